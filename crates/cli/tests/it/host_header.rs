//! `Host` in HTTP is the authority of the URL (RFC 9110 section 7.2); `--server-name` and `--connect` do not change it.

use std::io::Write;
use std::net::TcpListener;
use std::os::unix::net::UnixListener;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::spawn;

use starttls::Acceptor;
use starttls::proto::http::HTTP;
use starttls_lab::ca::{Authority, Leaf};

use crate::support::process::DEADLINE;
use crate::support::tls_server::{Duplex, hear};
use crate::support::{Run, starttls};

/// What a client sent.
#[derive(Debug, PartialEq, Eq)]
enum Seen {
    Host(String),
    ServerName(Option<String>),
}

/// Reads a request and reports its `Host`. Returns whether it requests TLS, or `None` at the end of the connection.
fn request(stream: &mut dyn Duplex, seen: &Sender<Seen>) -> Option<bool> {
    let head = String::from_utf8_lossy(&hear(stream, b"\r\n\r\n")).into_owned();
    for host in head.lines().filter_map(|line| line.strip_prefix("Host: ")) {
        // The test may have ended and dropped the receiver.
        let _ = seen.send(Seen::Host(host.to_owned()));
    }
    head.ends_with("\r\n\r\n").then(|| head.contains("Upgrade: TLS"))
}

/// Upgrades, and answers every request inside TLS.
fn serve<IO: starttls::blocking::Stream>(mut io: IO, acceptor: &Acceptor, seen: &Sender<Seen>) {
    const REQUIRED: &str = "HTTP/1.1 426 Upgrade Required\r\nUpgrade: TLS/1.0, HTTP/1.1\r\nConnection: Upgrade\r\n\
        Content-Length: 0\r\n\r\n";
    const ACCEPTED: &str =
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: TLS/1.0, HTTP/1.1\r\nConnection: Upgrade\r\n\r\n";
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    loop {
        match request(&mut io, seen) {
            None => return,
            Some(true) => break,
            Some(false) if io.write_all(REQUIRED.as_bytes()).is_err() => return,
            Some(false) => {}
        }
    }
    if io.write_all(ACCEPTED.as_bytes()).is_err() {
        return;
    }
    let Ok(mut session) = acceptor.blocking().accept_implicit(io) else { return };
    let _ = seen.send(Seen::ServerName(session.facts().server_name.clone()));
    while session.write_all(OK.as_bytes()).is_ok() && request(&mut session, seen).is_some() {}
    let _ = session.close();
}

/// An HTTP server on a TCP port and on a Unix socket.
struct Server {
    port: u16,
    socket: std::path::PathBuf,
    _folder: tempfile::TempDir,
    seen: Receiver<Seen>,
}

impl Server {
    fn new() -> Self {
        let issued = Authority::new().unwrap().issue(&Leaf::named("localhost")).unwrap();
        let builder = Acceptor::builder(&HTTP, "localhost").certificate_pem(issued.chain_pem, issued.key_pem);
        let acceptor = Arc::new(builder.timeout(DEADLINE).build().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let (socket, (sender, seen)) = (folder.path().join("http"), channel());
        let (tcp, unix) = (TcpListener::bind("127.0.0.1:0").unwrap(), UnixListener::bind(&socket).unwrap());
        let port = tcp.local_addr().unwrap().port();
        let shared = (acceptor.clone(), sender.clone());
        spawn(move || {
            for stream in tcp.incoming().flatten() {
                let (acceptor, seen) = shared.clone();
                spawn(move || serve(stream, &acceptor, &seen));
            }
        });
        spawn(move || {
            for stream in unix.incoming().flatten() {
                let (acceptor, seen) = (acceptor.clone(), sender.clone());
                spawn(move || serve(stream, &acceptor, &seen));
            }
        });
        Self { port, socket, _folder: folder, seen }
    }

    /// Returns what a client sent next: the `Host` of a request, or the server name of a handshake.
    #[track_caller]
    fn next(&self) -> Seen {
        self.seen.recv_timeout(DEADLINE).expect("the client sends a request")
    }
}

/// The URL, `--server-name`, the expected `Host`, and the expected name in SNI.
const CASES: [(&str, Option<&str>, &str, Option<&str>); 8] = [
    ("http://mail.example.test", None, "mail.example.test", Some("mail.example.test")),
    ("http://mail.example.test:80", None, "mail.example.test", Some("mail.example.test")),
    ("http://mail.example.test:8080", None, "mail.example.test:8080", Some("mail.example.test")),
    ("http://mail.example.test:443", None, "mail.example.test:443", Some("mail.example.test")),
    ("http://[2001:db8::1]", None, "[2001:db8::1]", None),
    ("http://[2001:db8::1]:8080", None, "[2001:db8::1]:8080", None),
    ("http://192.0.2.1:8080", Some("mail.example.test"), "192.0.2.1:8080", Some("mail.example.test")),
    ("http://a.example.test:8080", Some("b.example.test"), "a.example.test:8080", Some("b.example.test")),
];

fn options(server_name: Option<&'static str>) -> Vec<&'static str> {
    server_name.map(|name| ["--server-name", name]).into_iter().flatten().collect()
}

#[test]
fn connect_and_hello_send_the_authority_of_the_url() {
    let server = Server::new();
    let ways = [format!("127.0.0.1:{}", server.port), format!("unix:{}", server.socket.display())];
    for (url, name, host, sni) in CASES {
        for way in &ways {
            let run = |command: &[&str]| {
                let mut command = starttls(command);
                Run::of(command.args(["--timeout", "30s", url, "--connect", way]).args(options(name)))
            };
            run(&["connect", "--insecure"]).exits(0);
            assert_eq!(server.next(), Seen::Host(host.to_owned()), "connect {url} {name:?} {way}");
            assert_eq!(
                server.next(),
                Seen::ServerName(sni.map(str::to_owned)),
                "connect {url} {name:?} {way}"
            );
            run(&["hello"]).exits(0);
            assert_eq!(server.next(), Seen::Host(host.to_owned()), "hello {url} {name:?} {way}");
        }
    }
}

#[test]
fn every_probe_of_check_sends_the_authority_of_the_url() {
    for (url, name, host, sni) in [CASES[0], CASES[5], CASES[7]] {
        let server = Server::new();
        let way = format!("127.0.0.1:{}", server.port);
        let run = Run::of(starttls(["check", url, "--connect", &way]).args(options(name)));
        let seen: Vec<_> = server.seen.try_iter().collect();
        let hosts: Vec<_> = seen.iter().filter(|it| matches!(it, Seen::Host(_))).collect();
        // The upgrade and the probes in cleartext and inside TLS.
        assert!(hosts.len() > 5, "{url}: {seen:?}\n{run:?}");
        assert!(hosts.iter().all(|it| **it == Seen::Host(host.to_owned())), "{url} {name:?}: {seen:?}");
        assert!(seen.contains(&Seen::ServerName(sni.map(str::to_owned))), "{url} {name:?}: {seen:?}");
    }
}
