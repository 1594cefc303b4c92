//! Listeners on which TLS is optional, or on which the upgrade is not announced.

use starttls::proto::smtp::SMTP;
use starttls_gateway::config::UpgradePolicy;
use starttls_lab::Store;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::environment::{Environment, Running, cleartext, tell, within};
use crate::scripted::Scripted;

/// Lines of a message that look like commands and replies.
const DECEPTIVE: &str = "STARTTLS\r\nAUTH PLAIN AAAA\r\nXCLIENT ADDR=192.0.2.1\r\n250-STARTTLS\r\n250 AUTH PLAIN\r\n\
    ..\r\n..STARTTLS\r\nQUIT\r\n";

fn front(env: &Environment, backend: &str, offer: UpgradePolicy) -> Running {
    env.gateway("smtp+starttls://{}", &[String::from(backend)], Some(offer))
}

async fn told(running: &Running, said: &str) -> String {
    let heard = tell(cleartext(&SMTP, running.address).await, said.as_bytes()).await;
    String::from_utf8_lossy(&heard).into_owned()
}

/// RFC 3207 section 4: a public server does not require TLS.
#[tokio::test(flavor = "multi_thread")]
async fn optional_mail_is_taken_in_cleartext() {
    let env = Environment::new();
    let running =
        front(&env, &format!("smtp://{}", env.cleartext.address("smtp").unwrap()), UpgradePolicy::Optional);
    let mut tcp = cleartext(&SMTP, running.address).await;
    let start = "EHLO me\r\nMAIL FROM:<a@example.test>\r\nRCPT TO:<b@example.test>\r\nDATA\r\n";
    tcp.write_all(start.as_bytes()).await.unwrap();
    let heard = until(&mut tcp, "354 ").await;
    assert!(heard.contains("STARTTLS\r\n") && !heard.contains("AUTH"), "{heard}");
    let heard = tell(tcp, format!("{DECEPTIVE}.\r\nQUIT\r\n").as_bytes()).await;
    let heard = String::from_utf8_lossy(&heard);
    assert!(heard.contains("Delivered as") && heard.ends_with("221 2.0.0 Bye\r\n"), "{heard}");
    assert_eq!(delivered(env.cleartext.store()), DECEPTIVE.replace("\r\n..", "\r\n."));
    assert_eq!(running.ended(1).await, ["ok"]);
}

fn delivered(store: &Store) -> String {
    String::from_utf8_lossy(&store.mail().last().unwrap().text).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn s4_optional_cleartext_has_no_logins() {
    let (env, backend) = (Environment::new(), Scripted::smtp().await);
    let running = front(&env, &format!("smtp://{}", backend.address), UpgradePolicy::Optional);
    let logins = [
        "AUTH PLAIN AHUAcA==",
        "AUTH PLAIN",
        "auth login",
        "AUTH SCRAM-SHA-256-PLUS biws",
        "AUTH\tPLAIN\tAHUAcA==",
        " \tAUTH PLAIN AHUAcA==",
        "AUTH=PLAIN AHUAcA==",
    ];
    for login in logins {
        let heard = told(&running, &format!("EHLO me\r\n{login}\r\nNOOP\r\nQUIT\r\n")).await;
        assert!(!heard.contains("AUTH") && !heard.contains("235 "), "{login}: {heard}");
        assert_eq!(heard.matches("530 ").count(), 1, "{login}: {heard}");
        assert!(heard.ends_with("221 2.0.0 bye\r\n"), "{login}: {heard}");
    }
    let heard = backend.heard();
    assert_eq!(heard.len(), logins.len());
    assert!(heard.iter().all(|it| !it.to_ascii_uppercase().contains("AUTH")), "{heard:?}");
}

/// The gateway does not relay commands that servers parse differently. The client receives an error before the end.
#[tokio::test(flavor = "multi_thread")]
async fn s4_optional_cleartext_hides_no_logins() {
    let (env, backend) = (Environment::new(), Scripted::smtp().await);
    let running = front(&env, &format!("smtp://{}", backend.address), UpgradePolicy::Optional);
    let hiding = [
        ("BDAT 25 LAST\r\n", "\r\n421 ", "AUTH PLAIN AHUAcA==\r\n"),
        ("DATA\r\n", "\r\n354 go on\r\n", "text\n.\r\nAUTH PLAIN AHUAcA==\r\n.\r\n"),
        ("DATA\r\n", "\r\n354 go on\r\n", "text\r.\r\nAUTH PLAIN AHUAcA==\r\n.\r\n"),
        ("DATA\r\n", "\r\n354 go on\r\n", "text\0\r\n.\r\nAUTH PLAIN AHUAcA==\r\n.\r\n"),
    ];
    for (count, (command, wanted, data)) in hiding.into_iter().enumerate() {
        let mut tcp = cleartext(&SMTP, running.address).await;
        tcp.write_all(format!("EHLO me\r\nMAIL FROM:<>\r\n{command}").as_bytes()).await.unwrap();
        let answered = until(&mut tcp, wanted).await;
        let heard = answered + &String::from_utf8_lossy(&tell(tcp, data.as_bytes()).await);
        assert!(heard.contains("\n530 ") && heard.contains("\r\n421 "), "{command}: {heard}");
        assert_eq!(running.ended(count + 1).await[count], "ok", "{command}");
    }
    let heard = backend.heard().concat();
    assert!(heard.contains("MAIL") && !heard.contains("AUTH") && !heard.contains("BDAT"), "{heard}");
}

/// The gateway closes a session that it has ended, without waiting for the client, and closes the backend connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_over_is_closed() {
    let (env, backend) = (Environment::new(), Scripted::smtp().await);
    let running = front(&env, &format!("smtp://{}", backend.address), UpgradePolicy::Optional);
    let mut tcp = cleartext(&SMTP, running.address).await;
    tcp.write_all(b"EHLO me\r\nNOOP\r\nBDAT 3 LAST\r\nabcRSET\r\n").await.unwrap();
    let mut heard = String::new();
    within(tcp.read_to_string(&mut heard)).await.unwrap();
    assert!(heard.contains("250 2.0.0 OK\r\n530 ") && heard.contains("\r\n421 "), "{heard}");
    drop(tcp);
    assert_eq!(running.ended(1).await, ["ok"]);
    within(async {
        while backend.open() != 0 {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    })
    .await;
    assert_eq!(backend.heard(), ["EHLO me\r\nNOOP\r\n"]);
}

/// In protocols whose greeting lists capabilities, the list contains the upgrade and no login (rule S4).
#[tokio::test(flavor = "multi_thread")]
async fn s4_a_greeting_offers_the_upgrade_and_no_login() {
    let env = Environment::new();
    for (scheme, greeting, wanted) in [
        (
            "imap",
            "* OK [CAPABILITY IMAP4rev1 LITERAL+ SASL-IR AUTH=PLAIN] ready\r\n",
            "* OK [CAPABILITY IMAP4rev1 LOGINDISABLED STARTTLS] ready\r\n",
        ),
        (
            "sieve",
            "\"SIEVE\" \"fileinto\"\r\n\"SASL\" \"PLAIN\"\r\nOK\r\n",
            "\"SIEVE\" \"fileinto\"\r\n\"SASL\" \"\"\r\n\"STARTTLS\"\r\nOK\r\n",
        ),
    ] {
        let backend = Scripted::start(greeting.as_bytes().to_vec(), |_| None).await;
        let forward = [format!("{scheme}://{}", backend.address)];
        let running =
            env.gateway(&format!("{scheme}+starttls://{{}}"), &forward, Some(UpgradePolicy::Optional));
        let mut tcp = within(tokio::net::TcpStream::connect(running.address)).await.unwrap();
        assert_eq!(until(&mut tcp, &wanted[wanted.len() - 4..]).await, wanted);
    }
}

/// Message data passes unchanged, including lines of any length, if all servers agree on its end.
#[tokio::test(flavor = "multi_thread")]
async fn optional_mail_passes_unchanged() {
    let (env, backend) = (Environment::new(), Scripted::smtp().await);
    let running = front(&env, &format!("smtp://{}", backend.address), UpgradePolicy::Optional);
    for data in ["Subject: x\r\n\r\nhello\r\n..", "a\x01\u{8d}\u{8a}.", &"x".repeat(70_000)] {
        let mut tcp = cleartext(&SMTP, running.address).await;
        lines(&mut tcp, "DATA\r\n", "354 go on\r\n").await;
        lines(&mut tcp, &format!("{data}\r\n.\r\n"), "250 2.0.0 OK\r\n").await;
        assert_eq!(tell(tcp, b"QUIT\r\n").await, b"221 2.0.0 bye\r\n");
        let heard = backend.heard().pop().unwrap();
        assert!(heard == format!("DATA\r\n{data}\r\n.\r\nQUIT\r\n"), "{} octets", heard.len());
    }
}

/// No state from before the upgrade remains: another connection to the backend serves the client.
#[tokio::test(flavor = "multi_thread")]
async fn b3_an_optional_upgrade_starts_afresh() {
    let (env, backend) = (Environment::new(), Scripted::smtp().await);
    let running = front(&env, &format!("smtp://{}", backend.address), UpgradePolicy::Optional);
    let mut tcp = cleartext(&SMTP, running.address).await;
    lines(&mut tcp, "EHLO before\r\n", "250 8BITMIME\r\n").await;
    lines(&mut tcp, "MAIL FROM:<before@example.test>\r\n", "250 2.0.0 OK\r\n").await;
    lines(&mut tcp, "RSET\r\n", "250 2.0.0 OK\r\n").await;
    let mut tls = within(env.connector.upgrade(&SMTP, "localhost", Greeted::new(tcp))).await.unwrap();
    tls.write_all(b"EHLO inside\r\nMAIL FROM:<inside@example.test>\r\nQUIT\r\n").await.unwrap();
    let mut heard = String::new();
    within(tls.read_to_string(&mut heard)).await.unwrap();
    assert!(heard.contains("AUTH PLAIN\r\n") && !heard.contains("STARTTLS"), "{heard}");
    let connections = backend.heard();
    assert_eq!(connections.len(), 2, "{connections:?}");
    assert!(connections[0].contains("before@") && !connections[0].contains("inside"), "{connections:?}");
    assert!(connections[1].contains("inside@") && !connections[1].contains("before"), "{connections:?}");
    assert!(!connections.concat().contains("STARTTLS"), "{connections:?}");
}

/// Data injected after the request reaches neither the backend nor the session inside TLS.
#[tokio::test(flavor = "multi_thread")]
async fn b1_b2_an_optional_front_takes_nothing_behind_the_request() {
    let (env, backend) = (Environment::new(), Scripted::smtp().await);
    let running = front(&env, &format!("smtp://{}", backend.address), UpgradePolicy::Optional);
    for (count, injected) in ["MAIL FROM:<injected>\r\n", "MAIL FROM:<injected", "\n"].iter().enumerate() {
        told(&running, &format!("EHLO me\r\nSTARTTLS\r\n{injected}")).await;
        let ended = running.ended(count + 1).await;
        assert!(ended[count].starts_with("client: expected"), "{injected:?}: {ended:?}");
    }
    assert!(!backend.heard().concat().contains("injected"), "{:?}", backend.heard());
}

#[tokio::test(flavor = "multi_thread")]
async fn b5_a_failed_optional_handshake_ends_the_connection() {
    let (env, backend) = (Environment::new(), Scripted::smtp().await);
    let running = front(&env, &format!("smtp://{}", backend.address), UpgradePolicy::Optional);
    let mut tcp = cleartext(&SMTP, running.address).await;
    lines(&mut tcp, "EHLO me\r\n", "250 8BITMIME\r\n").await;
    lines(&mut tcp, "STARTTLS\r\n", "220 ").await;
    let heard = tell(tcp, b"MAIL FROM:<cleartext>\r\nQUIT\r\n").await;
    assert!(matches!(heard.first(), None | Some(0x15)), "{heard:?}");
    assert!(!backend.heard().concat().contains("cleartext"), "{:?}", backend.heard());
}

/// The upgrade is not announced but accepted; everything else is refused.
#[tokio::test(flavor = "multi_thread")]
async fn hidden_upgrades_are_granted_and_not_offered() {
    let (env, backend) = (Environment::new(), Scripted::smtp().await);
    let running = front(&env, &format!("smtp://{}", backend.address), UpgradePolicy::Hidden);
    let mut tcp = cleartext(&SMTP, running.address).await;
    tcp.write_all(b"EHLO me\r\nMAIL FROM:<>\r\n").await.unwrap();
    let heard = until(&mut tcp, "530 ").await;
    assert!(!heard.contains("STARTTLS\r\n") && !heard.contains("AUTH"), "{heard}");
    assert_eq!(backend.heard(), Vec::<String>::new());
    let stream = within(env.connect(&SMTP, running.address, false)).await;
    let heard = crate::environment::say(stream, b"EHLO me\r\nQUIT\r\n").await;
    assert!(heard.contains("AUTH PLAIN"), "{heard}");
}

/// Sends a line and waits until the answer contains `wanted`.
async fn lines(tcp: &mut tokio::net::TcpStream, said: &str, wanted: &str) {
    tcp.write_all(said.as_bytes()).await.unwrap();
    until(tcp, wanted).await;
}

async fn until(tcp: &mut tokio::net::TcpStream, wanted: &str) -> String {
    within(async {
        let (mut heard, mut chunk) = (String::new(), [0; 4096]);
        while !heard.contains(wanted) {
            let count = tcp.read(&mut chunk).await.unwrap();
            assert!(count > 0, "no {wanted:?} in {heard:?}");
            heard.push_str(&String::from_utf8_lossy(&chunk[..count]));
        }
        heard
    })
    .await
}

/// A connection that replays a greeting: the test has already read the greeting, and the client code expects one.
struct Greeted {
    tcp: tokio::net::TcpStream,
    greeting: &'static [u8],
}

impl Greeted {
    fn new(tcp: tokio::net::TcpStream) -> Self {
        Self { tcp, greeting: b"220 again\r\n" }
    }
}

mod io {
    use std::io;
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

    impl AsyncRead for super::Greeted {
        fn poll_read(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            buf: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            match std::mem::take(&mut self.greeting) {
                [] => Pin::new(&mut self.tcp).poll_read(cx, buf),
                greeting => {
                    buf.put_slice(greeting);
                    Poll::Ready(Ok(()))
                }
            }
        }
    }

    impl AsyncWrite for super::Greeted {
        fn poll_write(
            mut self: Pin<&mut Self>,
            cx: &mut Context<'_>,
            bytes: &[u8],
        ) -> Poll<io::Result<usize>> {
            Pin::new(&mut self.tcp).poll_write(cx, bytes)
        }

        fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.tcp).poll_flush(cx)
        }

        fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
            Pin::new(&mut self.tcp).poll_shutdown(cx)
        }
    }
}
