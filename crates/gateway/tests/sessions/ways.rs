//! The connection to a backend: PROXY headers, fallback to another backend, and the gateway's login.

use std::time::Duration;

use starttls::proto::smtp::SUBMISSION;
use starttls::proto::{ClientMessage, Protocol, each_protocol};
use starttls_gateway::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::environment::{Environment, nowhere, say, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_is_down_is_passed_over() {
    let env = Environment::new();
    let (_reserved, nowhere) = nowhere();
    let down = format!("submission://{nowhere}");
    let up = format!("submission://127.0.0.1:{}", env.cleartext.address("submission").unwrap().port());
    let running = env.gateway("submission+starttls://{}", &[down, up], None);
    for _ in 0..3 {
        let stream = within(env.connect(&SUBMISSION, running.address, false)).await;
        let heard = say(stream, b"EHLO me\r\nQUIT\r\n").await;
        assert!(heard.starts_with("250-") && heard.contains("\r\n221 "), "{heard}");
    }
    assert_eq!(running.ended(3).await, ["ok", "ok", "ok"]);
}

/// Accepts a connection to the test's own backend and returns its first line. Panics if the connection ends before.
async fn first_line(listener: &TcpListener) -> (TcpStream, String) {
    let (mut tcp, _) = within(listener.accept()).await.unwrap();
    let mut line = Vec::new();
    while !line.ends_with(b"\n") {
        line.push(within(tcp.read_u8()).await.unwrap());
    }
    (tcp, String::from_utf8_lossy(&line).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn g3_the_client_is_named_by_a_proxy_header_before_any_byte_of_its_own() {
    let env = Environment::new();
    let backend = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let text = format!(
        "[[listener]]\nlisten = \"submission+starttls://127.0.0.1:0\"\ncert = {:?}\nkey = {:?}\n\
         proxy-from = [\"127.0.0.1\"]\n\
         forward = {{ url = \"submission://127.0.0.1:{}\", send-proxy = \"v1\" }}\n",
        env.certificate.0,
        env.certificate.1,
        backend.local_addr().unwrap().port()
    );
    let running = env.start(Config::parse(&text, "test").unwrap_or_else(|error| panic!("{error}\n{text}")));
    let mut tcp = TcpStream::connect(running.address).await.unwrap();
    tcp.write_all(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 587\r\n").await.unwrap();
    let client = within(env.connector.upgrade(&SUBMISSION, "localhost", tcp));
    let server = async {
        let (mut tcp, line) = first_line(&backend).await;
        tcp.write_all(b"220 backend\r\n").await.unwrap();
        (tcp, line)
    };
    let (stream, (_tcp, line)) = tokio::join!(client, server);
    assert_eq!(line, "PROXY TCP4 192.0.2.7 192.0.2.1 4711 587\r\n");
    drop(stream.unwrap());

    // A client that does not send the required header is not served.
    let mut tcp = TcpStream::connect(running.address).await.unwrap();
    tcp.write_all(b"EHLO me\r\n").await.unwrap();
    let mut heard = Vec::new();
    let _ = within(tcp.read_to_end(&mut heard)).await;
    assert_eq!(heard, b"");
    let ended = running.ended(2).await;
    assert!(ended.iter().any(|it| it.starts_with("expected a PROXY header")), "{ended:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_device_without_tls_or_login_sends_by_a_server_that_wants_both() {
    let env = Environment::new();
    let password = env.folder.path().join("password");
    std::fs::write(&password, format!("{}\n", env.lab.password())).unwrap();
    let config = |url: &str| {
        format!(
            "[[listener]]\nlisten = \"{}://127.0.0.1:0\"\n\
             forward = {{ url = {url:?}, ca-file = {:?}, \
             login = {{ mechanism = \"PLAIN\", user = \"test\", password-file = {password:?} }} }}\n",
            if url.starts_with("imap") { "imap" } else { "submission" },
            env.lab.ca_file(),
        )
    };
    let device = async |url: String, said: &str| {
        let text = config(&url);
        let running = env.start(Config::parse(&text, "t").unwrap_or_else(|error| panic!("{error}\n{text}")));
        let mut tcp = TcpStream::connect(running.address).await.unwrap();
        tcp.write_all(said.as_bytes()).await.unwrap();
        let mut heard = String::new();
        within(tcp.read_to_string(&mut heard)).await.unwrap();
        drop(tcp);
        assert_eq!(running.ended(1).await, ["ok"], "{heard}");
        heard
    };
    let mail = "EHLO printer\r\nMAIL FROM:<printer@example.test>\r\nRCPT TO:<test@example.test>\r\nDATA\r\n";
    for (scheme, name) in [("submission+starttls", "submission"), ("smtps", "smtps")] {
        let url = format!("{scheme}://localhost:{}", env.lab.endpoint(name).unwrap().address.port());
        let heard = device(url, &format!("{mail}Subject: {name}\r\n\r\nout of paper\r\n.\r\nQUIT\r\n")).await;
        assert!(heard.starts_with("220 localhost ") && heard.contains("\r\n354 "), "{heard}");
        assert!(!heard.contains("AUTH") && !heard.contains("STARTTLS"), "{heard}");
        let delivered = env.lab.store().mail();
        assert!(delivered.iter().any(|it| it.text.starts_with(format!("Subject: {name}").as_bytes())));
    }
    let url = format!("imaps://localhost:{}", env.lab.endpoint("imaps").unwrap().address.port());
    let heard = device(url, "a SELECT INBOX\r\nz LOGOUT\r\n").await;
    assert!(heard.starts_with("* PREAUTH ") && heard.contains("a OK "), "{heard}");

    std::fs::write(&password, "wrong\n").unwrap();
    let url =
        format!("submission+starttls://localhost:{}", env.lab.endpoint("submission").unwrap().address.port());
    let running = env.start(Config::parse(&config(&url), "t").unwrap());
    let mut tcp = TcpStream::connect(running.address).await.unwrap();
    let mut heard = String::new();
    within(tcp.read_to_string(&mut heard)).await.unwrap();
    assert!(heard.starts_with("421 "), "{heard}");
    let ended = running.ended(1).await;
    assert!(
        ended[0].starts_with("cannot log in to the backend") && !ended[0].contains("wrong\n"),
        "{ended:?}"
    );
}

each_protocol! {
    async if |it| it.flow.login_is_optional =>
    g5_the_gateway_logs_in_where_the_client_need_not
}

each_protocol! {
    if |it| !it.flow.login_is_optional && it.flow.has_cleartext_sessions =>
    a_login_is_refused_where_the_client_has_to_log_in
}

async fn g5_the_gateway_logs_in_where_the_client_need_not(protocol: &'static Protocol) {
    let env = Environment::new();
    let right = env.folder.path().join("right");
    let wrong = env.folder.path().join("wrong");
    std::fs::write(&right, env.lab.password()).unwrap();
    std::fs::write(&wrong, "wrong").unwrap();
    let name = protocol.name;
    let Some(backend) = env.lab.endpoint(name) else { panic!("the lab has no {name}") };
    // The lab's LMTP has no logins, so that only the refusal is visible.
    for (password, served) in [(&right, name != "lmtp"), (&wrong, false)] {
        let text = format!(
            "[[listener]]\nlisten = \"{name}://127.0.0.1:0\"\n\
             forward = {{ url = \"{name}+starttls://localhost:{}\", ca-file = {:?}, \
             login = {{ user = \"test\", password-file = {password:?} }} }}\n",
            backend.address.port(),
            env.lab.ca_file(),
        );
        let config = Config::parse(&text, "t").unwrap_or_else(|error| panic!("{error}\n{text}"));
        let running = env.start(config);
        let mut tcp = TcpStream::connect(running.address).await.unwrap();
        let mut goodbye = Vec::new();
        let mut dialect = protocol.new_dialect(starttls::proto::Identity::new("localhost"));
        dialect.write_client(ClientMessage::Quit, &mut goodbye);
        tcp.write_all(&goodbye).await.unwrap();
        let mut heard = String::new();
        within(tcp.read_to_string(&mut heard)).await.unwrap();
        drop(tcp);
        let ended = running.ended(1).await.remove(0);
        assert_eq!(ended == "ok", served, "{name}: {ended}; {heard}");
        assert_eq!(ended.starts_with("cannot log in to the backend"), !served, "{name}: {ended}");
    }
}

fn a_login_is_refused_where_the_client_has_to_log_in(protocol: &'static Protocol) {
    let (name, folder) = (protocol.name, tempfile::tempdir().unwrap());
    let password = folder.path().join("password");
    std::fs::write(&password, "secret").unwrap();
    let text = format!(
        "[[listener]]\nlisten = \"{name}://127.0.0.1:0\"\n\
         forward = {{ url = \"{name}+starttls://localhost:1\", \
         login = {{ user = \"test\", password-file = {password:?} }} }}\n",
    );
    let error = Config::parse(&text, "t").unwrap_err().to_string();
    assert!(error.contains("cannot log in on behalf of clients"), "{name}: {error}");
}

#[tokio::test(flavor = "multi_thread")]
async fn g4_a_fresh_backend_serves_after_an_optional_upgrade() {
    let env = Environment::new();
    let forward = format!("smtp://127.0.0.1:{}", env.cleartext.address("smtp").unwrap().port());
    let optional = Some(starttls_gateway::config::UpgradePolicy::Optional);
    let running = env.gateway("smtp+starttls://{}", &[forward], optional);
    let mut tcp = TcpStream::connect(running.address).await.unwrap();
    let said =
        b"EHLO before.example\r\nAUTH PLAIN AHRlc3QAeA==\r\nMAIL FROM:<before@example.test>\r\nQUIT\r\n";
    tcp.write_all(said).await.unwrap();
    let mut heard = String::new();
    within(tcp.read_to_string(&mut heard)).await.unwrap();
    assert!(heard.contains("STARTTLS\r\n") && !heard.contains("AUTH"), "{heard}");
    assert!(heard.contains("\r\n530 5.7.0 ") && heard.contains("\r\n250 "), "{heard}");

    let stream = within(env.connect(&starttls::proto::smtp::SMTP, running.address, false)).await;
    let heard = say(stream, b"RCPT TO:<test@example.test>\r\nQUIT\r\n").await;
    assert!(heard.starts_with("503 ") || heard.starts_with("530 "), "nothing survives: {heard}");
    tokio::time::sleep(Duration::from_millis(1)).await;
    assert!(!env.cleartext.heard("smtp").windows(4).any(|it| it == b"AUTH"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_goes_where_its_service_is_and_not_where_tls_was_not_for() {
    let env = Environment::new();
    let xmpp = starttls::proto::protocol("xmpp").unwrap();
    let up = env.cleartext.address("xmpp").unwrap().port();
    let text = format!(
        "[[listener]]\nlisten = \"xmpp+starttls://127.0.0.1:0\"\ncert = {:?}\nkey = {:?}\n\
         [[listener.route]]\nnames = [\"localhost\"]\nforward = \"xmpp://127.0.0.1:{up}\"\n",
        env.certificate.0, env.certificate.1,
    );
    let running = env.start(Config::parse(&text, "test").unwrap_or_else(|error| panic!("{error}\n{text}")));
    let stream = |to: &str| {
        format!(
            "<stream:stream to='{to}' version='1.0' xmlns='jabber:client' \
             xmlns:stream='http://etherx.jabber.org/streams'></stream:stream>"
        )
    };
    let connected = within(env.connect(xmpp, running.address, false)).await;
    let heard = say(connected, stream("localhost").as_bytes()).await;
    assert!(heard.contains("<mechanism>PLAIN</mechanism>"), "{heard}");
    let connected = within(env.connect(xmpp, running.address, false)).await;
    let heard = say(connected, stream("other.example").as_bytes()).await;
    assert!(!heard.contains("<mechanism>"), "{heard}");
    // The first client sees its end before the gateway records it, so the records come in either order.
    let mut ended = running.ended(2).await;
    ended.sort();
    assert_eq!(ended, ["no route serves \"other.example\"", "ok"]);
}
