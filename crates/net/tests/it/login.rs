//! Logins to scripted servers: the chosen mechanism, the messages, and the results.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use starttls::login::{Account, LoggedIn, LoginError};
use starttls::proto::{
    ClientMessage, Denial, Identity, PROTOCOLS, Protocol, base64, ftp::FTP, imap::IMAP, pop3::POP3,
    smtp::SMTP,
};
use starttls::{Connector, Encrypted, Step};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;

use crate::authority::{Authority, DEADLINE, NAME};

/// One turn of the server: what it expects or what it sends.
pub(crate) enum Turn<'a> {
    Hears(&'a str),
    Says(&'a str),
}
use Turn::{Hears, Says};

/// Returns both sides of a connection inside TLS.
pub(crate) async fn inside(
    protocol: &'static Protocol,
) -> (Encrypted<DuplexStream>, Encrypted<DuplexStream>) {
    let authority = Authority::new();
    let connector: Connector = authority.connector().build().unwrap();
    let acceptor = authority.acceptor_for(protocol).build().unwrap();
    let (near, far) = duplex(64 * 1024);
    let both = async { tokio::join!(connector.upgrade(protocol, NAME, near), acceptor.accept(far)) };
    let (client, server) = timeout(DEADLINE, both).await.unwrap();
    (client.unwrap(), server.unwrap())
}

/// Runs the server's turns, and checks that the client sends nothing after them.
pub(crate) async fn play(mut server: Encrypted<DuplexStream>, turns: &[Turn<'_>]) {
    for turn in turns {
        match turn {
            Says(text) => {
                server.write_all(text.as_bytes()).await.unwrap();
                server.flush().await.unwrap();
            }
            Hears(text) => {
                let mut heard = vec![0; text.len()];
                server
                    .read_exact(&mut heard)
                    .await
                    .unwrap_or_else(|error| panic!("{error} instead of {text:?}"));
                assert_eq!(String::from_utf8_lossy(&heard), *text);
            }
        }
    }
    server.shutdown().await.unwrap();
    let mut rest = Vec::new();
    // The client may close without close_notify.
    let _ = server.read_to_end(&mut rest).await;
    assert_eq!(String::from_utf8_lossy(&rest), "");
}

async fn log_in(
    protocol: &'static Protocol,
    account: Account,
    turns: &[Turn<'_>],
) -> Result<LoggedIn, LoginError> {
    let (mut client, server) = inside(protocol).await;
    let login = async {
        let done = account.log_in(protocol, &mut client).await;
        drop(client);
        done
    };
    timeout(DEADLINE, async { tokio::join!(login, play(server, turns)) }).await.unwrap().0
}

fn john() -> Account {
    Account::password("john", "sesame")
}

/// The same account as a PLAIN token.
const PLAIN: &str = "AGpvaG4Ac2VzYW1l";
const EHLO: Turn<'_> = Hears("EHLO [127.0.0.1]\r\n");

#[tokio::test]
async fn the_best_mechanism_that_is_offered_inside_tls_is_used() {
    let turns =
        [EHLO, Says("250-hi\r\n250 AUTH LOGIN PLAIN CRAM-MD5\r\n"), Hears("AUTH PLAIN "), Hears(PLAIN)];
    let turns = turns.into_iter().chain([Hears("\r\n"), Says("235 2.7.0 Welcome\r\n220 more")]);
    let done = log_in(&SMTP, john(), &turns.collect::<Vec<_>>()).await.unwrap();
    assert_eq!((done.mechanism, done.checked), ("PLAIN", true));
    assert_eq!(done.offered, ["LOGIN", "PLAIN", "CRAM-MD5"]);
    assert_eq!((done.answer, done.unread), (b"235 2.7.0 Welcome\r\n".to_vec(), b"220 more".to_vec()));
}

#[tokio::test]
async fn without_an_initial_response_the_client_waits_for_the_challenge() {
    async fn hear(server: &mut Encrypted<DuplexStream>, end: &str) -> String {
        let mut heard = Vec::new();
        while !heard.ends_with(end.as_bytes()) {
            heard.push(server.read_u8().await.unwrap());
        }
        String::from_utf8(heard).unwrap()
    }
    async fn say(server: &mut Encrypted<DuplexStream>, text: &str) {
        server.write_all(text.as_bytes()).await.unwrap();
    }
    // The server has no SASL-IR. What follows the tagged answer belongs to the session.
    let (mut client, mut server) = inside(&IMAP).await;
    let serve = async {
        let command = hear(&mut server, " CAPABILITY\r\n").await;
        let tag = command.split(' ').next().unwrap();
        say(&mut server, &format!("* CAPABILITY IMAP4rev1 AUTH=PLAIN\r\n{tag} OK done\r\n")).await;
        let command = hear(&mut server, " AUTHENTICATE PLAIN\r\n").await;
        let tag = command.split(' ').next().unwrap();
        say(&mut server, "* OK still here\r\n+ \r\n").await;
        assert_eq!(hear(&mut server, "\r\n").await, format!("{PLAIN}\r\n"));
        say(&mut server, &format!("{tag} OK in\r\n* 1 EXISTS\r\n")).await;
    };
    let account = john();
    let both = async { tokio::join!(account.log_in(&IMAP, &mut client), serve) };
    let (done, ()) = timeout(DEADLINE, both).await.unwrap();
    assert_eq!(done.unwrap().unread, b"* 1 EXISTS\r\n");
}

#[tokio::test]
async fn a_refusal_contains_the_servers_answer() {
    for (answer, denial) in [
        ("535 5.7.8 wrong\r\n", Denial::Credentials),
        ("454 4.7.0 later\r\n", Denial::Temporary),
        ("504 5.5.4 what?\r\n", Denial::Mechanism),
        ("421 4.7.0 bye\r\n", Denial::Bye),
    ] {
        let turns = [
            EHLO,
            Says("250-hi\r\n250 AUTH PLAIN\r\n"),
            Hears("AUTH PLAIN "),
            Hears(PLAIN),
            Hears("\r\n"),
            Says(answer),
        ];
        let error = log_in(&SMTP, john(), &turns).await.unwrap_err();
        assert!(error.to_string().contains(answer.trim_end()), "{error}");
        assert!(matches!(error, LoginError::Refused { denial: why, .. } if why == denial), "{answer}");
    }
}

#[tokio::test]
async fn what_is_not_offered_inside_tls_is_not_used() {
    // What the server offered in cleartext does not count.
    let error = log_in(&SMTP, john(), &[EHLO, Says("250 hi\r\n")]).await.unwrap_err();
    assert!(
        matches!(&error, LoginError::NotOffered { wanted: None, offered } if offered.is_empty()),
        "{error}"
    );
    let turns = [EHLO, Says("250-hi\r\n250 AUTH PLAIN\r\n")];
    let error = log_in(&SMTP, john().mechanism("scram-sha-256"), &turns).await.unwrap_err();
    assert_eq!(error.to_string(), "the server does not offer SCRAM-SHA-256; it offers PLAIN");
    let error =
        log_in(&SMTP, Account::token("john", "t"), &[EHLO, Says("250-hi\r\n250 AUTH PLAIN\r\n")]).await;
    assert!(matches!(error, Err(LoginError::NotOffered { wanted: None, .. })));
}

#[tokio::test]
async fn weak_mechanisms_are_used_only_by_name() {
    let offer = "250-hi\r\n250 AUTH CRAM-MD5\r\n";
    let error = log_in(&SMTP, john(), &[EHLO, Says(offer)]).await.unwrap_err();
    assert!(matches!(error, LoginError::NotOffered { wanted: None, .. }));
    let challenge = format!("334 {}\r\n", base64::encode(b"<1@x>"));
    // HMAC-MD5 of the challenge, with the password as the key.
    let answer = format!("{}\r\n", base64::encode(b"john 2760982633d299c68921a18c0335ee33"));
    let heard = Arc::new(Mutex::new(Vec::new()));
    let keep = Arc::clone(&heard);
    let account =
        john().mechanism("CRAM-MD5").on_message(move |said| keep.lock().unwrap().push(said.text.clone()));
    let (mut client, mut server) = inside(&SMTP).await;
    let serve = async {
        let mut line = vec![0; b"EHLO [127.0.0.1]\r\n".len()];
        server.read_exact(&mut line).await.unwrap();
        server.write_all(offer.as_bytes()).await.unwrap();
        let mut line = vec![0; b"AUTH CRAM-MD5\r\n".len()];
        server.read_exact(&mut line).await.unwrap();
        assert_eq!(line, b"AUTH CRAM-MD5\r\n");
        server.write_all(challenge.as_bytes()).await.unwrap();
        let mut line = vec![0; answer.len()];
        server.read_exact(&mut line).await.unwrap();
        server.write_all(b"235 in\r\n").await.unwrap();
    };
    let (done, ()) =
        timeout(DEADLINE, async { tokio::join!(account.log_in(&SMTP, &mut client), serve) }).await.unwrap();
    assert_eq!(done.unwrap().mechanism, "CRAM-MD5");
    let said: Vec<String> =
        heard.lock().unwrap().iter().map(|it| String::from_utf8_lossy(it).into_owned()).collect();
    assert_eq!(said[3..], ["334 PDFAeD4=\r\n", "***\r\n", "235 in\r\n"]);
}

#[tokio::test]
async fn a_refused_token_is_reported_with_the_servers_details() {
    let status = r#"{"status":"invalid_token","scope":"mail"}"#;
    let challenge = format!("334 {}\r\n", base64::encode(status.as_bytes()));
    for (mechanism, initial, dummy, no) in [
        ("XOAUTH2", "user=john\x01auth=Bearer old\x01\x01", "\r\n", "535 5.7.8 expired"),
        ("OAUTHBEARER", "n,a=john,\x01auth=Bearer old\x01\x01", "AQ==\r\n", "535 5.7.8 expired"),
        // Another mechanism could follow this answer, but the server offers none.
        ("OAUTHBEARER", "n,a=john,\x01auth=Bearer old\x01\x01", "AQ==\r\n", "454 4.7.0 not now"),
    ] {
        let (offer, begin) = (
            format!("250-hi\r\n250 AUTH {mechanism}\r\n"),
            format!("AUTH {mechanism} {}\r\n", base64::encode(initial.as_bytes())),
        );
        let answer = format!("{no}\r\n");
        let turns = [EHLO, Says(&offer), Hears(&begin), Says(&challenge), Hears(dummy), Says(&answer)];
        let error = log_in(&SMTP, Account::token("john", "old"), &turns).await.unwrap_err();
        let text = error.to_string();
        assert!(text.contains(no) && text.contains("invalid_token"), "{text}");
    }
}

#[tokio::test]
async fn a_server_that_closes_during_the_login() {
    let turns = [EHLO, Says("250-hi\r\n250 AUTH LOGIN\r\n"), Hears("AUTH LOGIN\r\n"), Says("334 VXNl")];
    let error = log_in(&SMTP, john(), &turns).await.unwrap_err();
    let text = "the server closed the connection (rule B6): expected the answer to the login";
    assert_eq!(error.to_string(), text);
}

#[tokio::test]
async fn a_silent_server() {
    let (mut client, _server) = inside(&SMTP).await;
    let account = john().timeout(Duration::from_millis(50));
    let error = timeout(DEADLINE, account.log_in(&SMTP, &mut client)).await.unwrap().unwrap_err();
    assert!(matches!(error, LoginError::Timeout { step: Step::Mechanisms, .. }), "{error}");
}

#[tokio::test]
async fn a_challenge_that_never_ends() {
    let again = "334 \r\n".repeat(3);
    // All challenges arrive at once, and two of them have a response.
    let turns = [EHLO, Says("250-hi\r\n250 AUTH LOGIN\r\n"), Hears("AUTH LOGIN\r\n"), Says(&again)];
    let done = log_in(&SMTP, john(), &turns).await;
    assert!(matches!(done, Err(LoginError::Mechanism { .. })), "{done:?}");
}

#[tokio::test]
async fn the_protocols_own_commands() {
    let turns = [
        Hears("USER john\r\n"),
        Says("331 and?\r\n"),
        Hears("PASS sesame\r\n"),
        Says("230-in\r\n230 now\r\n"),
    ];
    assert_eq!(log_in(&FTP, john(), &turns).await.unwrap().mechanism, "USER");
    let turns = [
        Hears("CAPA\r\n"),
        Says("-ERR what?\r\n"),
        Hears("USER john\r\n"),
        Says("+OK\r\n"),
        Hears("PASS sesame\r\n"),
        Says("-ERR [AUTH] wrong\r\n"),
    ];
    let error = log_in(&POP3, john(), &turns).await.unwrap_err();
    assert!(matches!(error, LoginError::Refused { denial: Denial::Credentials, .. }), "{error}");
    // The time stamp of a greeting in cleartext does not count.
    let apop =
        log_in(&POP3, john().mechanism("APOP"), &[Hears("CAPA\r\n"), Says("+OK\r\nUSER\r\n.\r\n")]).await;
    assert!(matches!(apop, Err(LoginError::NotOffered { wanted: Some(_), .. })));
}

#[tokio::test]
async fn an_account_moves_between_threads_and_shows_no_secret() {
    fn moves<T: Send + 'static>(task: T) -> T {
        task
    }
    let (mut client, server) = inside(&SMTP).await;
    let task = moves(async move { john().log_in(&SMTP, &mut client).await });
    drop(server);
    assert!(tokio::spawn(task).await.unwrap().is_err());
    assert!(!format!("{:?}", john()).contains("sesame"));
}

#[test]
fn a_protocol_without_a_login_sends_no_credentials() {
    for protocol in PROTOCOLS {
        let (mut credentials, mut dialect) = (Vec::new(), protocol.new_dialect(Identity::new("")));
        dialect.write_client(ClientMessage::Credentials, &mut credentials);
        // The requests of HTTP carry their credentials.
        let expected = !credentials.is_empty() && protocol.name != "http";
        assert_eq!(Account::supports(protocol), expected, "{}", protocol.name);
    }
}

#[test]
fn the_blocking_driver_logs_in() {
    use std::io::{Read, Write};
    let authority = Authority::new();
    let acceptor = authority.acceptor().build().unwrap();
    let (near, far) = std::os::unix::net::UnixStream::pair().unwrap();
    let server = std::thread::spawn(move || {
        let mut server = acceptor.blocking().accept(far).unwrap();
        let mut line = vec![0; b"EHLO [127.0.0.1]\r\n".len()];
        server.read_exact(&mut line).unwrap();
        server.write_all(b"250-hi\r\n250 AUTH PLAIN\r\n").unwrap();
        let mut line = vec![0; "AUTH PLAIN \r\n".len() + PLAIN.len()];
        server.read_exact(&mut line).unwrap();
        server.write_all(b"235 in\r\n").unwrap();
    });
    let connector = authority.connector().build().unwrap();
    let mut client = connector.blocking().upgrade(&SMTP, NAME, near).unwrap();
    assert_eq!(john().log_in_blocking(&SMTP, &mut client).unwrap().mechanism, "PLAIN");
    server.join().unwrap();
}
