//! Listeners on which TLS is required: no cleartext reaches a backend.

use std::net::SocketAddr;

use starttls::proto::ClientMessage::{Credentials, Hello, Other, Probe, Quit, Request};
use starttls::proto::{Client, Identity, Progress, Protocol, ServerMessage, each_protocol};
use starttls_gateway::config::UpgradePolicy;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::environment::{Environment, Running, cleartext, say, tell, within, words};
use crate::scripted::Scripted;

/// The start of a ClientHello that is never completed.
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

/// Returns cleartext that must not reach a backend.
fn cleartext_words(protocol: &Protocol) -> Vec<(&'static str, Vec<u8>)> {
    // The commands of a client without TLS.
    let words = |messages| {
        let mut dialect = protocol.new_dialect(Identity::new("localhost").with_nonce(0));
        let mut out = Vec::new();
        <[_]>::iter(messages).for_each(|message| dialect.write_client(*message, &mut out));
        out
    };
    let partial = |mut bytes: Vec<u8>| {
        bytes.pop();
        bytes
    };
    vec![
        ("a command", words(&[Other])),
        ("a hello and a command", words(&[Hello, Other])),
        ("a login", words(&[Credentials])),
        ("a hello and a login", words(&[Hello, Credentials])),
        ("a no-op", words(&[Probe, Other])),
        ("a goodbye", words(&[Quit])),
        ("a command behind the request", words(&[Hello, Request, Other])),
        ("a login behind the request", words(&[Request, Credentials])),
        ("half a command behind the request", partial(words(&[Request, Other]))),
        ("half a command", partial(words(&[Other]))),
        ("an octet behind the request", [words(&[Request]), b"\n".to_vec()].concat()),
        ("garbage behind the request", [words(&[Request]), b"\0\xff\r\n".repeat(100)].concat()),
        ("TLS at once", CLIENT_HELLO.to_vec()),
        ("lines of nothing", b"\r\n".repeat(2000)),
        ("a line without end", vec![b'A'; 200_000]),
        ("garbage", b"\0\xff\r\n\x80\n\n{99}\r\n<a>\x01\x02".repeat(50)),
        ("a PROXY header", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n".to_vec()),
        ("commands one after the other", words(&[Hello, Other]).repeat(100)),
    ]
}

/// Returns the greeting of a backend without TLS, which the gateway relays.
fn relayed_greeting(protocol: &Protocol) -> Vec<u8> {
    let mut greeting = Vec::new();
    protocol
        .new_dialect(Identity::new(""))
        .write_server(ServerMessage::Offer { starttls: false }, &mut greeting);
    greeting
}

/// Returns the greeting of a server without TLS.
fn lab_greeting(protocol: &Protocol) -> Vec<u8> {
    if protocol.flow.login_needs_greeting {
        return relayed_greeting(protocol);
    }
    let mut greeting = Vec::new();
    protocol.new_dialect(Identity::new("localhost")).write_server(ServerMessage::Greeting, &mut greeting);
    greeting
}

async fn g1_holds(protocol: &Protocol, running: &Running, heard: impl Fn() -> Vec<u8>) {
    let mut told = 0;
    for (what, bytes) in cleartext_words(protocol) {
        let front = cleartext(protocol, running.address).await;
        tell(front, &bytes).await;
        told += 1;
        running.ended(told).await;
        let heard = heard();
        assert!(heard.is_empty(), "{}: {what}: {}", protocol.name, heard.escape_ascii());
    }
}

each_protocol_with_own_greeting! { g1_no_cleartext_octet_reaches_a_backend }

async fn g1_no_cleartext_octet_reaches_a_backend(protocol: &'static Protocol) {
    let env = Environment::new();
    for offer in [UpgradePolicy::Required, UpgradePolicy::Hidden] {
        let backend = format!("{}://{}", protocol.name, env.cleartext.address(protocol.name).unwrap());
        let running = env.gateway(&front(protocol), &[backend], Some(offer));
        g1_holds(protocol, &running, || env.cleartext.heard(protocol.name)).await;
    }
    // The backend is reachable and receives what is sent inside TLS.
    let backend = format!("{}://{}", protocol.name, env.cleartext.address(protocol.name).unwrap());
    let running = env.gateway(&front(protocol), &[backend], None);
    let stream = within(env.connect(protocol, running.address, false)).await;
    say(stream, &something(protocol)).await;
    assert!(!env.cleartext.heard(protocol.name).is_empty(), "{}", protocol.name);
}

each_protocol! {
    async if |it| it.flow.login_needs_greeting =>
    g1_no_cleartext_octet_reaches_a_backend_that_greets
}

/// A backend whose greeting is relayed receives nothing in cleartext.
async fn g1_no_cleartext_octet_reaches_a_backend_that_greets(protocol: &'static Protocol) {
    let env = Environment::new();
    for offer in [UpgradePolicy::Required, UpgradePolicy::Hidden] {
        let backend = Scripted::start(relayed_greeting(protocol), |_| Some("")).await;
        let running =
            env.gateway(&front(protocol), &[format!("{}://{}", protocol.name, backend.address)], Some(offer));
        g1_holds(protocol, &running, || backend.heard().concat().into_bytes()).await;
        assert!(!backend.heard().is_empty(), "it was not even asked for its greeting");
    }
}

each_protocol_with_own_greeting! { a_client_that_sends_tls_at_once_gets_an_alert }

/// A client that starts TLS at the first byte, such as `sslnegotiation=direct`, learns from an alert that this listener
/// does not.
async fn a_client_that_sends_tls_at_once_gets_an_alert(protocol: &'static Protocol) {
    let env = Environment::new();
    let backend = format!("{}://{}", protocol.name, env.cleartext.address(protocol.name).unwrap());
    let running = env.gateway(&front(protocol), &[backend], None);
    let answer = tell(cleartext(protocol, running.address).await, CLIENT_HELLO).await;
    let name = protocol.name;
    assert_eq!(answer, b"\x15\x03\x01\x00\x02\x02\x0a", "{name}: {}", answer.escape_ascii());
    let ended = running.ended(1).await;
    assert!(ended[0].contains("sent TLS where cleartext belongs"), "{name}: {}", ended[0]);
    assert_eq!(env.cleartext.heard(protocol.name), b"", "{name}");
}

/// The same for an optional upgrade, and for a relayed greeting.
#[tokio::test(flavor = "multi_thread")]
async fn a_relayed_client_that_sends_tls_at_once_gets_an_alert() {
    let env = Environment::new();
    for name in ["smtp", "ldap", "mysql"] {
        let protocol = starttls::proto::protocol(name).unwrap();
        let greeting = if name == "ldap" { Vec::new() } else { lab_greeting(protocol) };
        let backend = Scripted::start(greeting, |_| Some("")).await;
        let offer = (name != "mysql").then_some(UpgradePolicy::Optional);
        let running = env.gateway(&front(protocol), &[format!("{name}://{}", backend.address)], offer);
        let answer = tell(cleartext(protocol, running.address).await, CLIENT_HELLO).await;
        assert_eq!(answer, b"\x15\x03\x01\x00\x02\x02\x0a", "{name}: {}", answer.escape_ascii());
        assert_eq!(backend.heard().concat(), "", "{name}");
    }
}

/// Returns a message of the client. Not every protocol has a hello.
fn something(protocol: &Protocol) -> Vec<u8> {
    let said = [[Hello, Other].as_slice(), &[Credentials]].map(|messages| words(protocol, messages));
    said.into_iter().find(|said| !said.is_empty()).unwrap()
}

fn front(protocol: &Protocol) -> String {
    format!("{}+starttls://{{}}", protocol.name)
}

each_protocol_with_own_greeting! { b1_b2_an_octet_after_the_request_ends_the_connection }

/// Every octet after the request ends the connection, before a backend is contacted.
async fn b1_b2_an_octet_after_the_request_ends_the_connection(protocol: &'static Protocol) {
    let env = Environment::new();
    let backend = format!("{}://{}", protocol.name, env.cleartext.address(protocol.name).unwrap());
    let running = env.gateway(&front(protocol), &[backend], None);
    let request = asks(protocol);
    let octet = if protocol.flow.space_before_tls.is_empty() { b"\n" } else { b"\x0b" };
    let injected = [something(protocol), words(protocol, &[Credentials]), octet.to_vec()];
    let injected = injected.into_iter().filter(|bytes| !bytes.is_empty());
    for (count, bytes) in injected.enumerate() {
        let said = [&request, &bytes[..]].concat();
        tell(cleartext(protocol, running.address).await, &said).await;
        let ended = running.ended(count + 1).await;
        let why = &ended[count];
        assert!(why.contains("(rule B2)"), "{}, behind the request {:?}: {why}", protocol.name, bytes);
    }
    assert_eq!(env.cleartext.heard(protocol.name), b"", "{}", protocol.name);
}

/// Returns the messages of a client up to its request, the request included.
fn asks(protocol: &Protocol) -> Vec<u8> {
    let mut dialect = protocol.new_dialect(Identity::new("localhost").with_nonce(0));
    let mut out = Vec::new();
    (0..protocol.flow.hello_rounds).for_each(|_| dialect.write_client(Hello, &mut out));
    dialect.write_client(Request, &mut out);
    out
}

each_protocol_with_own_greeting! { b5_a_failed_handshake_ends_the_connection }

/// A failed handshake leads neither back to cleartext nor to a backend.
async fn b5_a_failed_handshake_ends_the_connection(protocol: &'static Protocol) {
    let env = Environment::new();
    let alert = b"\x15\x03\x03\x00\x02\x02\x28".to_vec();
    let backend = format!("{}://{}", protocol.name, env.cleartext.address(protocol.name).unwrap());
    let running = env.gateway(&front(protocol), &[backend], None);
    let garbage = words(protocol, &[Hello, Other, Credentials]);
    for (count, bytes) in [garbage, alert.clone(), b"\x16\x03\x01\x40\x01".to_vec()].iter().enumerate() {
        let tcp = within(upgraded(protocol, running.address)).await;
        let heard = tell(tcp, bytes).await;
        // The server sends an alert or nothing.
        assert!(matches!(heard.first(), None | Some(0x15)), "{}: {heard:?}", protocol.name);
        let ended = running.ended(count + 1).await;
        assert!(ended[count].starts_with("client: "), "{}: {ended:?}", protocol.name);
    }
    assert_eq!(env.cleartext.heard(protocol.name), b"", "{}", protocol.name);
}

/// Negotiates the upgrade, and returns the connection when the gateway expects TLS.
async fn upgraded(protocol: &Protocol, to: SocketAddr) -> TcpStream {
    let mut tcp = TcpStream::connect(to).await.unwrap();
    let mut out = Vec::new();
    let mut client = Client::new(protocol, Identity::new("localhost"), &mut out);
    loop {
        tcp.write_all(&std::mem::take(&mut out)).await.unwrap();
        let mut chunk = [0; 4096];
        let count = tcp.read(&mut chunk).await.unwrap();
        match client.receive(&chunk[..count], &mut out).unwrap() {
            Progress::Continue(next) => client = next,
            Progress::Upgrade(_) => return tcp,
            Progress::End(declined) => panic!("{}: {declined:?}", protocol.name),
        }
    }
}

each_protocol_with_own_greeting! { s3_s4_there_is_one_upgrade }

/// Inside TLS the upgrade is neither offered nor granted, and no backend is asked for it.
async fn s3_s4_there_is_one_upgrade(protocol: &'static Protocol) {
    let env = Environment::new();
    let backend = format!("{}://{}", protocol.name, env.cleartext.address(protocol.name).unwrap());
    let running = env.gateway(&front(protocol), &[backend], None);
    let stream = within(env.connect(protocol, running.address, false)).await;
    let heard = say(stream, &words(protocol, &[Hello, Request, Quit])).await;
    assert!(!heard.is_empty(), "{}", protocol.name);
    let request = words(protocol, &[Request]);
    let behind = env.cleartext.heard(protocol.name);
    assert!(!contains(&behind, &request), "{}: {}", protocol.name, behind.escape_ascii());
    let mut granted = Vec::new();
    let mut dialect = protocol.new_dialect(Identity::new("localhost"));
    dialect.write_server(ServerMessage::Accept, &mut granted);
    // PostgreSQL's answer is a single letter, which other text may contain.
    assert!(granted.len() == 1 || !contains(heard.as_bytes(), &granted), "{}: {heard}", protocol.name);
    for offer in ["STARTTLS", "STLS", "AUTH TLS", "1.3.6.1.4.1.1466.20037"] {
        let listed = heard.lines().any(|line| line.trim_start_matches("250-").trim() == offer);
        assert!(!listed, "{} offers {offer}: {heard}", protocol.name);
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    !part.is_empty() && bytes.windows(part.len()).any(|window| window == part)
}

/// In cleartext, each command except the request is refused with the error of the protocol.
#[tokio::test(flavor = "multi_thread")]
async fn s1_s4_commands_and_logins_are_refused_before_tls() {
    let env = Environment::new();
    let refusals = [
        ("smtp", "530 "),
        ("submission", "530 "),
        ("lmtp", "530 "),
        ("imap", " NO "),
        ("pop3", "-ERR"),
        ("sieve", "NO "),
        ("ftp", "530 "),
        ("nntp", "483 "),
        ("irc", " 451 "),
        ("nut", "ERR "),
        ("http", "426 "),
        ("postgres", "C28000"),
        ("xmpp", "encryption-required"),
    ];
    for (name, refusal) in refusals {
        let protocol = starttls::proto::protocol(name).unwrap();
        let backend = format!("{name}://{}", env.cleartext.address(name).unwrap());
        let running = env.gateway(&front(protocol), &[backend], None);
        let mut dialect = protocol.new_dialect(Identity::new("localhost").with_nonce(0));
        let mut login = Vec::new();
        dialect.write_client(Hello, &mut login);
        dialect.write_client(Credentials, &mut login);
        let mut front = cleartext(protocol, running.address).await;
        front.write_all(&login).await.unwrap();
        let (mut heard, mut chunk) = (String::new(), [0; 4096]);
        while !heard.contains(refusal) {
            let count = within(front.read(&mut chunk)).await.unwrap();
            assert!(count > 0, "{name}: {heard}");
            heard.push_str(&String::from_utf8_lossy(&chunk[..count]));
        }
        assert!(!heard.contains("PLAIN"), "{name} offers a login in cleartext: {heard}");
    }
}

/// Similar commands are not requests.
#[tokio::test(flavor = "multi_thread")]
async fn s2_nothing_else_is_a_request() {
    let env = Environment::new();
    for offer in [UpgradePolicy::Required, UpgradePolicy::Optional] {
        for (request, is_granted) in [
            ("STARTTLS\r\n", true),
            ("STARTTLS x\r\n", false),
            ("STARTTLS\n", false),
            ("STARTTLS\0\r\n", false),
            ("START TLS\r\n", false),
            ("XSTARTTLS\r\n", false),
        ] {
            let backend = format!("smtp://{}", env.cleartext.address("smtp").unwrap());
            let running = env.gateway("smtp+starttls://{}", &[backend], Some(offer));
            let front = cleartext(&starttls::proto::smtp::SMTP, running.address).await;
            let heard = tell(front, format!("EHLO me\r\n{request}").as_bytes()).await;
            let heard = String::from_utf8_lossy(&heard).into_owned();
            assert_eq!(heard.contains("220 "), is_granted, "{offer:?} {request:?}: {heard}");
        }
    }
}
