//! What the gateway relays inside TLS and what it refuses, and unreachable backends.

use starttls::proto::ClientMessage::{Credentials, Hello, Other};
use starttls::proto::smtp::SMTP;
use starttls::proto::{Identity, Protocol, ServerMessage};
use starttls_gateway::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::environment::{Environment, Running, nowhere, say, within, words};
use crate::scripted::Scripted;

/// Lines that look like commands and replies, and octets that are not text.
const DECEPTIVE: &[u8] =
    b"STARTTLS\r\n250-STARTTLS\r\n250 AUTH PLAIN SCRAM-SHA-256-PLUS\r\n* CAPABILITY IMAP4rev1 STARTTLS\r\n\
    a OK STLS\r\n\xe4\xff\x01\r\n..\r\n...\r\nXCLIENT ADDR=192.0.2.1\r\n{5}\r\nSTLS\r\nAUTH TLS\r\n";

/// A message smaller than the limit of the lab's servers and larger than any buffer.
fn message() -> Vec<u8> {
    DECEPTIVE.repeat(900_000 / DECEPTIVE.len())
}

fn gateway(env: &Environment, name: &str) -> (&'static Protocol, Running) {
    let protocol = starttls::proto::protocol(name).unwrap();
    let backend = format!("{name}://{}", env.cleartext.address(name).unwrap());
    (protocol, env.gateway(&format!("{name}+starttls://{{}}"), &[backend], None))
}

async fn talk(env: &Environment, name: &str, said: &[u8]) -> String {
    let (protocol, running) = gateway(env, name);
    let stream = within(env.connect(protocol, running.address, false)).await;
    let heard = say(stream, said).await;
    assert_eq!(running.ended(1).await, ["ok"], "{name}: {heard}");
    heard
}

#[tokio::test(flavor = "multi_thread")]
async fn g2_message_data_passes_as_it_is() {
    let env = Environment::new();
    let (message, password) = (message(), env.cleartext.password().to_owned());
    let undotted = String::from_utf8_lossy(&message).replace("\r\n..", "\r\n.").len();
    for (name, hello) in [("smtp", "EHLO"), ("lmtp", "LHLO")] {
        let start = format!("{hello} me\r\nMAIL FROM:<a@x>\r\nRCPT TO:<b@x>\r\nDATA\r\n");
        let heard = talk(&env, name, &[start.as_bytes(), &message, b".\r\nQUIT\r\n"].concat()).await;
        assert!(heard.contains("Delivered as"), "{name}: {heard}");
        let mail = env.cleartext.store().mail();
        assert_eq!(String::from_utf8_lossy(&mail.last().unwrap().text).len(), undotted, "{name}");
        assert!(message_is(&mail.last().unwrap().text, &message), "{name}");
    }
    let literal = DECEPTIVE.repeat(20);
    let start = format!("a LOGIN test {password}\r\nb APPEND INBOX {{{}+}}\r\n", literal.len());
    let end = b"\r\nc SELECT INBOX\r\nd UID FETCH 4 (BODY.PEEK[])\r\nz LOGOUT\r\n";
    let heard = talk(&env, "imap", &[start.as_bytes(), &literal, end].concat()).await;
    assert_eq!(*env.cleartext.store().mail().last().unwrap().text, *literal, "{heard}");
    assert!(heard.contains(&*String::from_utf8_lossy(&literal)), "{heard}");
}

/// Compares a stored message, without the added dots, with the sent message.
fn message_is(kept: &[u8], sent: &[u8]) -> bool {
    let lines = sent.split_inclusive(|octet| *octet == b'\n');
    kept == lines.map(|line| line.strip_prefix(b".").unwrap_or(line)).collect::<Vec<_>>().concat()
}

#[tokio::test(flavor = "multi_thread")]
async fn g3_a_client_cannot_speak_on_behalf_of_another() {
    let (env, backend) = (Environment::new(), Scripted::smtp().await);
    let url = format!("smtp://{}", backend.address);
    let running = env.gateway("smtp+starttls://{}", &[url], None);
    let stream = within(env.connect(&SMTP, running.address, false)).await;
    let said = b"EHLO me\r\nXCLIENT ADDR=192.0.2.1\r\nxforward ADDR=192.0.2.1\r\nMAIL FROM:<>\r\nQUIT\r\n";
    let heard = say(stream, said).await;
    assert!(heard.contains("PIPELINING") && !heard.contains("XCLIENT ADDR"), "{heard}");
    assert!(!heard.contains("XFORWARD ADDR") && !heard.contains("-PLUS"), "{heard}");
    assert_eq!(heard.matches("\r\n5").count(), 2, "{heard}");
    let behind = backend.heard().concat();
    assert!(!behind.to_ascii_uppercase().contains("192.0.2.1") && behind.contains("MAIL"), "{behind}");

    talk(&env, "imap", b"a ID (\"x-originating-ip\" \"192.0.2.1\")\r\nb NOOP\r\nz LOGOUT\r\n").await;
    let behind = String::from_utf8(env.cleartext.heard("imap")).unwrap();
    assert!(!behind.contains("192.0.2.1") && behind.contains("NOOP"), "{behind}");

    let request =
        "GET / HTTP/1.1\r\nHost: localhost\r\nForwarded: for=192.0.2.1\r\nConnection: close\r\n\r\n";
    talk(&env, "http", request.as_bytes()).await;
    let behind = String::from_utf8(env.cleartext.heard("http")).unwrap();
    assert!(behind.contains("GET / ") && !behind.contains("192.0.2.1"), "{behind}");
}

each_protocol_with_own_greeting! { a_backend_that_is_down_is_a_temporary_error }

/// Returns a part of the error that a client of this protocol receives before its first message, if there is one.
fn temporary_error(protocol: &Protocol) -> Vec<u8> {
    let part = match protocol.name {
        "smtp" | "submission" | "lmtp" | "ftp" => "421 ",
        "imap" => "* BYE [UNAVAILABLE] ",
        "pop3" => "-ERR [SYS/TEMP] ",
        "sieve" => "BYE (TRYLATER) ",
        "nntp" => "400 ",
        "irc" => "ERROR ",
        "ldap" => "1.3.6.1.4.1.1466.20036",
        "postgres" => "C57P03",
        "mysqlx" | "vnc" => "The server cannot serve for now",
        "xmpp" | "xmpp-server" => "<internal-server-error ",
        "http" => "503 ",
        "nut" => "ERR DRIVER-NOT-CONNECTED",
        _ => {
            let mut error = Vec::new();
            let mut dialect = protocol.new_dialect(Identity::new("localhost").inside_tls());
            dialect.write_server(ServerMessage::Unavailable, &mut error);
            return error;
        }
    };
    part.into()
}

/// The client receives an error of its protocol, if the protocol has one, and the connection ends.
async fn a_backend_that_is_down_is_a_temporary_error(protocol: &'static Protocol) {
    let env = Environment::new();
    let (_reserved, nowhere) = nowhere();
    let backend = format!("{}://{nowhere}", protocol.name);
    let running = env.gateway(&format!("{}+starttls://{{}}", protocol.name), &[backend], None);
    let mut stream = within(env.connect(protocol, running.address, false)).await;
    let said = [[Hello, Other].as_slice(), &[Credentials]].map(|messages| words(protocol, messages));
    // The gateway may have ended the connection already.
    let _ = stream.write_all(said.iter().find(|said| !said.is_empty()).unwrap()).await;
    let mut heard = Vec::new();
    let _ = within(stream.read_to_end(&mut heard)).await;
    let error = temporary_error(protocol);
    let has_error = error.is_empty() || heard.windows(error.len()).any(|it| it == error);
    assert!(has_error, "{}: {}", protocol.name, heard.escape_ascii());
    let ended = running.ended(1).await;
    assert!(ended[0].starts_with("cannot reach the backend"), "{}: {ended:?}", protocol.name);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_dies_in_mid_session_ends_the_session() {
    let (env, backend) = (Environment::new(), Scripted::smtp().await);
    let url = format!("smtp://{}", backend.address);
    let running = env.gateway("smtp+starttls://{}", &[url], None);
    let mut stream = within(env.connect(&SMTP, running.address, false)).await;
    stream.write_all(b"EHLO me\r\nMAIL FROM:<>\r\nVANISH\r\n").await.unwrap();
    let mut heard = String::new();
    let _ = within(stream.read_to_string(&mut heard)).await;
    assert!(heard.contains("250 2.0.0 OK"), "{heard}");
    drop(stream);
    running.ended(1).await;
}

/// If the requested name has no certificate, the handshake fails and the gateway connects to no backend.
#[tokio::test(flavor = "multi_thread")]
async fn names_without_a_certificate_are_refused() {
    let (env, backend) = (Environment::new(), Scripted::smtp().await);
    let (cert, key) = &env.certificate;
    let text = format!(
        "[[listener]]\nlisten = \"smtp+starttls://127.0.0.1:0\"\ncert = {cert:?}\nkey = {key:?}\n\
         unknown-names = \"refuse\"\nforward = \"smtp://{}\"\n",
        backend.address
    );
    let running = env.start(Config::parse(&text, "gateway.toml").unwrap());
    for name in ["elsewhere.example.test", "localhost.example.test"] {
        let tcp = tokio::net::TcpStream::connect(running.address).await.unwrap();
        let refused = within(env.connector.upgrade(&SMTP, name, tcp)).await.unwrap_err();
        let why = format!("{refused}: {:?}", refused);
        assert!(why.contains("UnrecognisedName") || why.contains("unrecognized_name"), "{why}");
    }
    assert_eq!(backend.heard(), Vec::<String>::new());
    let stream = within(env.connect(&SMTP, running.address, false)).await;
    assert!(say(stream, b"EHLO me\r\nQUIT\r\n").await.contains("221 "));
}
