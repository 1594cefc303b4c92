//! No data inside TLS makes an application of the lab panic, and the lab continues to serve.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use starttls::{Connector, Encrypted};
use starttls_lab::{Lab, LabEndpoint, Options};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

static PANICS: AtomicUsize = AtomicUsize::new(0);

/// Pseudorandom numbers that are the same in each run (Knuth's constants).
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % end
    }

    fn pick<'a>(&mut self, from: &[&'a str]) -> &'a str {
        from[self.below(from.len())]
    }
}

#[rustfmt::skip]
const WORDS: &[&str] = &[
    "a", "EHLO", "AUTH", "PLAIN", "LOGIN", "MAIL", "FROM:<>", "RCPT", "TO:<x>", "DATA", ".", "=", "LIST", "SELECT", "INBOX",
    "FETCH", "UID", "1:*", "*", "0", "4294967296", "BODY[]", "BODY.PEEK[HEADER.FIELDS (TO)]", "BODY[]<1.99>", "BODY[X", "ENVELOPE",
    "SEARCH", "SUBJECT", "NOT", "APPEND", "{3}", "{3+}", "{0}", "{99999999}", "STATUS", "(MESSAGES)", "(", ")", "\"", "\"\\\"", "IDLE", "DONE",
    "RETR", "TOP", "DELE", "UIDL", "STAT", "LIST", "PUTSCRIPT", "GETSCRIPT", "SETACTIVE", "\"x\"", "AUTHENTICATE", "GROUP", "lab.mail",
    "ARTICLE", "<x>", "OVER", "1-", "-", "NEXT", "LAST", "PBSZ", "PROT", "P", "PASV", "EPSV", "STOR", "RETR", "MLST", "welcome.txt", "/",
    "NICK", "USER", "JOIN", "PING", ":", "CAP", "USERNAME", "PASSWORD", "GET", "VAR", "lab", "GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "<iq id='", "<auth mechanism='PLAIN'>", "</auth>", "<iq>", "<x/>", "\0\0\0\x08\0\x03\0\0", "Q\0\0\0\x0dselect 1\0", "\x01\0\0\x02\x03",
    "0\x0c\x02\x01\x02`\x07\x02\x01\x03\x04\0\0\0", "0\x05\x02\x01\x01c\0", "\u{ff}", "\u{7f}", "\t",
];

async fn connect(connector: &Connector, to: &LabEndpoint) -> Encrypted<TcpStream> {
    let address = (to.server_name, to.address.port());
    let connected = match to.implicit {
        true => connector.connect_implicit(to.protocol, address).await,
        false => connector.connect(to.protocol, address).await,
    };
    connected.unwrap()
}

/// Returns the commands that start a session of the application, so that the noise reaches more of it.
fn login(scheme: &str, password: &str) -> String {
    match scheme {
        "imap" => format!("a LOGIN test {password}\r\nb SELECT INBOX\r\n"),
        "pop3" | "ftp" => format!("USER test\r\nPASS {password}\r\n"),
        "nntp" => format!("AUTHINFO USER test\r\nAUTHINFO PASS {password}\r\n"),
        "irc" => String::from("NICK me\r\nUSER me 0 * :Me\r\n"),
        _ => String::new(),
    }
}

#[tokio::test]
async fn noise_inside_tls_causes_no_panic() {
    let default = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().name() == Some("starttls-lab") {
            PANICS.fetch_add(1, Ordering::Relaxed);
        }
        default(info);
    }));
    let lab = Lab::start(Options::default()).unwrap();
    let connector = Connector::builder().no_system_roots().roots_pem(lab.ca_pem()).build().unwrap();
    let mut numbers = Numbers(1);
    for endpoint in lab.endpoints().iter().filter(|endpoint| !endpoint.implicit) {
        for _ in 0..12 {
            let scheme = numbers.pick(&[endpoint.scheme, "outside"]);
            let mut noise = login(scheme, lab.password()).into_bytes();
            for _ in 0..40 {
                for _ in 0..numbers.below(5) {
                    noise.extend_from_slice(numbers.pick(WORDS).as_bytes());
                    noise.extend_from_slice(numbers.pick(&[" ", " ", " ", "", "\r\n"]).as_bytes());
                }
                noise.extend_from_slice(if endpoint.scheme == "nut" { b"\n" } else { b"\r\n" });
            }
            let mut stream = connect(&connector, endpoint).await;
            // The server may close the connection before the end of the noise.
            let _ = stream.write_all(&noise).await;
            let _ = stream.shutdown().await;
            let mut heard = Vec::new();
            let end = tokio::time::timeout(Duration::from_secs(120), stream.read_to_end(&mut heard)).await;
            assert!(end.is_ok(), "{} hung on \"{}\"", endpoint.scheme, noise.escape_ascii());
            let panics = PANICS.load(Ordering::Relaxed);
            assert_eq!(panics, 0, "{} on \"{}\"", endpoint.scheme, noise.escape_ascii());
        }
    }
}
