//! The spans of a connection: their fields, and that nothing which crossed the connection is in them.

use std::cell::RefCell;
use std::fmt::{Debug, Write as _};
use std::sync::Once;
use std::time::Duration;

use starttls::Connector;
use starttls::dialer::Fixed;
use starttls::login::Account;
use starttls::proto::{Protocol, Side, base64, ftp::FTP, imap::IMAP, pop3::POP3, smtp::SMTP};
use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};
use tokio::net::TcpListener;
use tokio::time::timeout;
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::authority::{Authority, DEADLINE, NAME};
use crate::login::inside;
use vector::Vector;

#[path = "../../../proto/tests/vectors/vector.rs"]
mod vector;

thread_local! {
    /// What this thread has recorded since its test began to collect.
    static COLLECTED: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Returns the result of `work`, and what it has recorded on this thread, as text.
///
/// One subscriber serves all threads of the process. If each test had one for its own thread, `tracing` would disable a span
/// for every thread when a thread without a subscriber is the first to reach it.
async fn collect<T>(work: impl Future<Output = T>) -> (T, String) {
    static INSTALLED: Once = Once::new();
    INSTALLED.call_once(|| {
        tracing::subscriber::set_global_default(Collector).unwrap();
        // For the spans that other threads have reached while the line above was running.
        tracing::callsite::rebuild_interest_cache();
    });
    COLLECTED.set(Some(String::new()));
    let done = work.await;
    (done, COLLECTED.take().unwrap())
}

/// A subscriber that adds everything to what its thread collects.
struct Collector;

fn add(what: &str, write: impl FnOnce(&mut Fields)) {
    COLLECTED.with_borrow_mut(|collected| {
        let Some(text) = collected else { return };
        let mut fields = Fields(what.to_owned());
        write(&mut fields);
        *text += &fields.0;
        text.push('\n');
    });
}

struct Fields(String);

impl Visit for Fields {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {field}={value:?}");
    }
}

impl Subscriber for Collector {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let about = span.metadata();
        add(&format!("{} {}", about.target(), about.name()), |fields| span.record(fields));
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        add("recorded", |fields| values.record(fields));
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        add(event.metadata().name(), |fields| event.record(fields));
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn a_connection_has_a_span_for_each_part_with_its_result() {
    let authority = Authority::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let acceptor = authority.acceptor().build().unwrap();
    let connector = authority.connector().build().unwrap().with_dialer(Fixed::new([address]));
    let serve = async { acceptor.accept(listener.accept().await.unwrap().0).await };
    let both = async { tokio::join!(connector.connect(&SMTP, (NAME, 25)), serve) };
    let (done, text) = collect(timeout(DEADLINE, both)).await;
    let (client, server) = done.unwrap();
    client.unwrap();
    server.unwrap();
    for expected in [
        &format!("starttls negotiation protocol=\"smtp\" side=\"client\" peer={address}\n"),
        "starttls negotiation protocol=\"smtp\" side=\"server\"\n",
        "recorded outcome=\"upgrade\"\n",
        &format!("starttls handshake protocol=\"smtp\" side=\"client\" peer={address}\n"),
        "starttls handshake protocol=\"smtp\" side=\"server\"\n",
        "recorded outcome=\"encrypted\"\nrecorded tls_version=\"TLS 1.3\"\nrecorded cipher_suite=\"TLS_",
        "recorded kind=\"full\"\n",
        "step=\"the answer to the hello\"",
        "step=\"the answer to the upgrade request\"",
    ] {
        assert!(text.contains(expected), "{expected:?} is missing in\n{text}");
    }
}

#[tokio::test]
async fn a_failure_is_recorded_by_name_and_step() {
    let connector: Connector = Connector::builder().timeout(Duration::from_millis(50)).build().unwrap();
    let (near, _far) = duplex(64);
    let (done, text) = collect(connector.upgrade(&SMTP, NAME, near)).await;
    done.unwrap_err();
    assert!(text.contains("recorded outcome=\"timeout\"\nrecorded step=\"the greeting\"\n"), "{text}");
}

/// The shortest line of a conversation that would be recognized in the spans.
const SHORTEST: usize = 6;

#[tokio::test]
async fn no_line_of_a_negotiation_is_in_a_span() {
    let authority = Authority::new();
    let (mut upgrades, mut failures) = (0, 0);
    for Vector { protocol, turns, .. } in Vector::all() {
        let connector = authority
            .connector()
            .client_name("client.example".parse().unwrap())
            .timeout(Duration::from_secs(5))
            .build()
            .unwrap();
        let acceptor = authority.acceptor_for(protocol).timeout(Duration::from_secs(5)).build().unwrap();
        for side in [Side::Server, Side::Client] {
            let (near, mut far) = duplex(64 * 1024);
            let negotiate = async {
                match side {
                    Side::Server => connector.negotiate(protocol, NAME, near).await.map(drop),
                    Side::Client => acceptor.negotiate(near).await.map(drop),
                }
            };
            let feed = async {
                let mut chunk = vec![0; 4096];
                for turn in &turns {
                    if turn.from == side {
                        // The other side may have ended the connection.
                        let _ = far.write_all(&turn.bytes).await;
                    } else {
                        // A side that ends or waits sends nothing, and the conversation goes on without it.
                        let _ = timeout(Duration::from_millis(50), far.read(&mut chunk)).await;
                    }
                }
                drop(far);
            };
            let both = async { tokio::join!(negotiate, feed) };
            let (done, text) = collect(timeout(DEADLINE, both)).await;
            match done.unwrap().0 {
                Ok(()) => upgrades += 1,
                Err(_) => failures += 1,
            }
            assert!(text.starts_with("starttls negotiation "), "{text}");
            // The target of the spans is the name of the library, and a command of CAP.
            let text = text.replace("starttls ", "");
            for line in turns.iter().flat_map(|turn| turn.bytes.split(|octet| *octet == b'\n')) {
                let line = String::from_utf8_lossy(line);
                let line = line.trim();
                assert!(line.len() < SHORTEST || !text.contains(line), "{line:?} is in\n{text}");
            }
        }
    }
    // Both kinds of ending are among them.
    assert!(upgrades > 20 && failures > 20, "{upgrades} upgrades, {failures} failures");
}

const USER: &str = "canary-user";
const PASSWORD: &str = "canary-password";
const TOKEN: &str = "canary-token";

/// Returns a server's answer to a line, for a login that gets as far as it can.
fn answer(protocol: &Protocol, mechanism: &str, line: &str) -> String {
    let word = line.split(' ').next().unwrap_or_default();
    match (protocol.name, line.split(' ').nth(1).unwrap_or(word)) {
        ("smtp", _) if word == "EHLO" => format!("250-hi\r\n250 AUTH {mechanism}\r\n"),
        ("smtp", _) if word == "AUTH" && mechanism.starts_with("SCRAM-") => {
            let initial = base64::decode(line.split(' ').next_back().unwrap().as_bytes()).unwrap_or_default();
            let initial = String::from_utf8_lossy(&initial).into_owned();
            let nonce = initial.split("r=").nth(1).unwrap_or_default();
            format!("334 {}\r\n", base64::encode(format!("r={nonce}x,s=c2FsdA==,i=4096").as_bytes()))
        }
        ("smtp", _) if word == "AUTH" && mechanism == "CRAM-MD5" => String::from("334 PDFAeD4=\r\n"),
        ("smtp", _) if word == "AUTH" && mechanism == "LOGIN" => String::from("334 VXNlcm5hbWU6\r\n"),
        ("smtp", _) if line == base64::encode(USER.as_bytes()) => String::from("334 UGFzc3dvcmQ6\r\n"),
        ("smtp", _) => format!("535 5.7.8 no, {USER} {PASSWORD}\r\n"),
        ("pop3", "CAPA") => String::from("+OK\r\nUSER\r\n.\r\n"),
        ("pop3", _) => String::from("+OK\r\n"),
        ("imap", "CAPABILITY") => format!("* CAPABILITY IMAP4rev1\r\n{word} OK\r\n"),
        ("imap", _) => format!("{word} NO [AUTHENTICATIONFAILED] {PASSWORD}\r\n"),
        ("ftp", _) if word == "USER" => String::from("331 go on\r\n"),
        (_, _) => format!("530 no {PASSWORD}\r\n"),
    }
}

#[tokio::test]
async fn no_account_and_no_secret_of_a_login_is_in_a_span() {
    let of_smtp = Account::mechanisms().map(|name| (&SMTP, name));
    let cases = of_smtp.chain([(&POP3, "USER"), (&IMAP, "LOGIN"), (&FTP, "USER")]);
    let mut sent = 0;
    for (protocol, mechanism) in cases {
        let account = match mechanism {
            "EXTERNAL" => Account::certificate(),
            "OAUTHBEARER" | "XOAUTH2" => Account::token(USER, TOKEN),
            _ => Account::password(USER, PASSWORD),
        };
        let account = if protocol.name == "smtp" { account.mechanism(mechanism) } else { account };
        let account = account.timeout(Duration::from_secs(10));
        let (mut client, mut server) = inside(protocol).await;
        let serve = async {
            let (mut line, mut heard) = (Vec::new(), String::new());
            while let Ok(octet) = server.read_u8().await {
                line.push(octet);
                if octet == b'\n' {
                    let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                    let _ = server.write_all(answer(protocol, mechanism, &text).as_bytes()).await;
                    let _ = server.flush().await;
                    heard += &text;
                    line.clear();
                }
            }
            heard
        };
        let login = async {
            let done = account.log_in(protocol, &mut client).await;
            drop(client);
            done
        };
        let (done, text) = collect(timeout(DEADLINE, async { tokio::join!(login, serve) })).await;
        let (done, heard) = done.unwrap();
        let secrets = [USER, PASSWORD, TOKEN].map(|it| (it.to_owned(), base64::encode(it.as_bytes())));
        sent +=
            usize::from(secrets.iter().any(|(plain, encoded)| {
                heard.contains(plain) || heard.contains(encoded.trim_end_matches('='))
            }));
        let outcome = done.map_or_else(|error| error.name(), |_| "granted");
        assert!(text.contains(&format!("outcome={outcome:?}\n")), "{protocol:?} {mechanism}: {text}");
        for (plain, encoded) in &secrets {
            assert!(!text.contains(plain) && !text.contains(encoded), "{mechanism}: {text}");
        }
        for line in heard.lines().filter(|line| line.len() >= SHORTEST) {
            assert!(!text.contains(line), "{mechanism}: {line:?} is in\n{text}");
        }
    }
    // LOGIN and the protocols' own commands carry the user and the password as they are.
    assert!(sent >= 4, "{sent} logins have sent a name or a secret");
}
