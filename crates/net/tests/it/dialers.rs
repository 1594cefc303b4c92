//! Dialers: the order of attempts, proxies that behave and proxies that do not, PROXY headers, a dialer of the program's own.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use starttls::dialer::{Dialed, Fixed, HttpConnect, Proxy, ProxyFault, Socks5, Tcp, TcpRoute};
use starttls::proto::smtp::SMTP;
use starttls::proxy_header::ProxyHeaderVersion;
use starttls::{AddressFamily, Connector, Deadline, Dialer, Endpoint, Error, Step};
use tokio::io::{DuplexStream, duplex};
use tokio::time::timeout;

use crate::authority::{Authority, DEADLINE, NAME};

/// A proxy that follows a script on one connection: it reads so many octets and answers each time, and then keeps the
/// connection until the client closes it. It returns what it read.
type Script = Vec<(usize, Vec<u8>)>;

fn proxy(script: Script) -> (SocketAddr, thread::JoinHandle<Vec<Vec<u8>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let running = thread::spawn(move || {
        let (mut tcp, _) = listener.accept().unwrap();
        tcp.set_read_timeout(Some(DEADLINE)).unwrap();
        let mut all = Vec::new();
        for (wanted, answer) in script {
            let mut read = vec![0; wanted];
            if tcp.read_exact(&mut read).is_err() {
                return all;
            }
            all.push(read);
            let _ = tcp.write_all(&answer);
        }
        all
    });
    (address, running)
}

fn plain(limit: Duration) -> Connector {
    Connector::builder().insecure().no_system_roots().timeout(limit).build().unwrap()
}

fn at(address: SocketAddr) -> Endpoint {
    Endpoint::new(address.ip().to_string(), address.port())
}

fn target() -> Endpoint {
    Endpoint::new("mail.example.com", 25)
}

/// Dials through a proxy with both drivers, and returns their error, which must be the same.
fn fails(kind: impl Fn(SocketAddr) -> Proxy, script: Script, limit: Duration) -> Error {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut errors = [0, 1].map(|driver| {
        let (address, _running) = proxy(script.clone());
        let connector = plain(limit).with_dialer(TcpRoute::direct().through(kind(address)));
        let began = Instant::now();
        let error = match driver {
            0 => runtime.block_on(connector.dial(target())).unwrap_err(),
            _ => connector.blocking().dial(target()).unwrap_err(),
        };
        assert!(began.elapsed() < DEADLINE, "{error}");
        (error, address.to_string())
    });
    let texts = errors.each_ref().map(|(error, address)| error.to_string().replace(address, "PROXY"));
    assert_eq!(texts[0], texts[1]);
    std::mem::replace(&mut errors[0].0, Error::Quit(starttls::proto::Quit::ByClient))
}

fn socks(address: SocketAddr) -> Proxy {
    Proxy::Socks5(Socks5::new(at(address)))
}

fn http(address: SocketAddr) -> Proxy {
    Proxy::HttpConnect(HttpConnect::new(at(address)))
}

const LONG: Duration = Duration::from_secs(10);
/// The connection to the proxy must be there within it, on a busy machine too.
const SHORT: Duration = Duration::from_secs(1);

#[test]
fn a_socks_proxy_looks_up_the_name_and_its_last_answer_ends_where_the_server_begins() {
    // The greeting is in the same segment as the proxy's answer, whose bound address is a name.
    let bound = [&b"\x05\0\0\x03\x04host\0\x19"[..], b"220 mail.example.com\r\n"].concat();
    let script = vec![(4, b"\x05\x02".to_vec()), (13, b"\x01\0".to_vec()), (7 + 16, bound)];
    let (address, running) = proxy(script);
    let dialer = Socks5::new(at(address)).login("user", "secret");
    let connector = plain(LONG).with_dialer(dialer);
    let Dialed { mut stream, address, .. } = connector.blocking().dial(target()).unwrap();
    assert_eq!(address, None, "the proxy does not report the server's address");
    let mut greeting = [0; 22];
    stream.read_exact(&mut greeting).unwrap();
    assert_eq!(&greeting, b"220 mail.example.com\r\n");
    let read = running.join().unwrap();
    assert_eq!(read[0], b"\x05\x02\0\x02");
    assert_eq!(read[1], b"\x01\x04user\x06secret");
    assert_eq!(read[2], [&b"\x05\x01\0\x03\x10"[..], b"mail.example.com", b"\0\x19"].concat());
}

#[tokio::test]
async fn a_socks_proxy_gets_an_address_as_an_address() {
    for (host, request) in [
        ("192.0.2.1", &b"\x05\x01\0\x01\xc0\0\x02\x01\0\x19"[..]),
        ("[2001:db8::1]", b"\x05\x01\0\x04\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01\0\x19"),
    ] {
        let script = vec![(3, b"\x05\0".to_vec()), (request.len(), b"\x05\0\0\x01\0\0\0\0\0\0".to_vec())];
        let (address, running) = proxy(script);
        let connector = plain(LONG).with_dialer(Socks5::new(at(address)));
        drop(connector.dial((host, 25)).await.unwrap());
        assert_eq!(running.join().unwrap()[1], request);
    }
}

#[test]
fn a_socks_proxy_that_refuses_is_named() {
    let refused = vec![(3, b"\x05\0".to_vec()), (23, b"\x05\x04\0\x01".to_vec())];
    let error = fails(socks, refused, LONG);
    assert!(
        error.to_string().ends_with("did not connect to mail.example.com:25: host unreachable (reply 4)"),
        "{error}"
    );
    assert!(error.hint().is_some_and(|hint| hint.contains("not the server")), "{error}");
    let Error::Proxy(proxy) = error else { panic!("{error}") };
    assert!(matches!(proxy.fault, ProxyFault::Refused { .. }));

    let error = fails(socks, vec![(3, b"\x05\xff".to_vec())], LONG);
    assert!(error.to_string().ends_with("requires a login"), "{error}");
    let with_login = |address| Proxy::Socks5(Socks5::new(at(address)).login("user", "secret"));
    let error = fails(with_login, vec![(4, b"\x05\x02".to_vec()), (13, b"\x01\x01".to_vec())], LONG);
    assert!(
        error.to_string().ends_with("refused the login") && !format!("{error:?}").contains("secret"),
        "{error}"
    );
}

#[test]
fn a_socks_proxy_that_breaks_the_protocol_is_at_fault() {
    for (script, part) in [
        (vec![(3, b"\x04\0".to_vec())], "version 5 and a method"),
        (vec![(3, b"HT".to_vec())], "found \"HT\""),
        // A method that was not offered.
        (vec![(3, b"\x05\x01".to_vec())], "a method that was offered"),
        (vec![(3, b"\x05\0".to_vec()), (23, b"\x04\0\0\x01".to_vec())], "a reply and an address type"),
        (vec![(3, b"\x05\0".to_vec()), (23, b"\x05\0\0\x02".to_vec())], "a reply and an address type"),
        (vec![(3, b"\x05".to_vec())], "closed the connection, expected the proxy's choice"),
        (
            vec![(3, b"\x05\0".to_vec()), (23, b"\x05\0\0\x01\0".to_vec())],
            "closed the connection, expected the proxy's answer",
        ),
    ] {
        let error = fails(socks, script, LONG);
        assert!(matches!(error, Error::Proxy(_)) && error.to_string().contains(part), "{part}: {error}");
        assert!(error.to_string().starts_with("the proxy 127.0.0.1:"), "{error}");
    }
}

/// Answers with these octets, one every 20 ms, until the client closes.
fn trickle(octets: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for _ in 0..2 {
            let (mut tcp, _) = listener.accept().unwrap();
            for octet in octets.iter().cycle() {
                if tcp.write_all(&[*octet]).is_err() {
                    break;
                }
                thread::sleep(Duration::from_millis(20));
            }
        }
    });
    address
}

#[tokio::test]
async fn a_proxy_that_never_ends_does_not_hold_the_client() {
    let slow = trickle(b"HTTP/1.1 200 and so on ");
    let connector = plain(SHORT).with_dialer(HttpConnect::new(at(slow)));
    for error in [
        connector.dial(target()).await.unwrap_err(),
        tokio::task::spawn_blocking(move || connector.blocking().dial(target()).unwrap_err()).await.unwrap(),
    ] {
        assert!(matches!(error, Error::Timeout { step: Step::ProxyConnect, .. }), "{error}");
    }
    // A head without an end that is fast has a limit of its own.
    let request = b"CONNECT mail.example.com:25 HTTP/1.1\r\nHost: mail.example.com:25\r\n\r\n".len();
    let endless = [b"HTTP/1.1 200 OK\r\n".to_vec(), b"X: y\r\n".repeat(10_000)].concat();
    let error =
        tokio::task::spawn_blocking(move || fails(http, vec![(request, endless)], LONG)).await.unwrap();
    assert!(error.to_string().contains("at most 16 KiB"), "{error}");
}

#[test]
fn an_http_proxy_is_asked_by_connect_and_its_head_ends_where_the_server_begins() {
    let request = b"CONNECT mail.example.com:25 HTTP/1.1\r\nHost: mail.example.com:25\r\n\
        Proxy-Authorization: Basic dXNlcjpzZWNyZXQ=\r\n\r\n";
    for head in [
        "HTTP/1.1 200 Connection established\r\n\r\n",
        "HTTP/1.0 200\r\nContent-Length: 5\r\n\r\n",
        "HTTP/1.1 200 OK\n\n",
        "HTTP/1.1 102 Wait\r\n\r\nHTTP/1.1 299 Fine\r\nVia: x\r\n\r\n",
    ] {
        let (address, running) =
            proxy(vec![(request.len(), [head.as_bytes(), b"220 mail.example.com\r\n"].concat())]);
        let connector = plain(LONG).with_dialer(HttpConnect::new(at(address)).login("user", "secret"));
        let mut stream = connector.blocking().dial(target()).unwrap().stream;
        let mut greeting = [0; 22];
        stream.read_exact(&mut greeting).unwrap();
        assert_eq!(&greeting, b"220 mail.example.com\r\n", "{head:?}");
        assert_eq!(running.join().unwrap()[0], request);
    }
}

#[test]
fn an_http_proxy_that_refuses_or_is_none_is_named() {
    let request = b"CONNECT mail.example.com:25 HTTP/1.1\r\nHost: mail.example.com:25\r\n\r\n".len();
    for (answer, part) in [
        (
            "HTTP/1.1 403 Filtered\r\nContent-Length: 3\r\n\r\nno!",
            "mail.example.com:25: HTTP/1.1 403 Filtered",
        ),
        ("HTTP/1.1 407 Log in\r\n\r\n", "requires a login"),
        ("HTTP/1.1 301 Moved\r\n\r\n", "HTTP/1.1 301 Moved"),
        ("220 mail.example.com ESMTP\r\n", "found \"220 mai\""),
        ("HTTP/1.1 OK\r\n\r\n", "the status line of an HTTP/1 response"),
        ("HTTP/1.1 2000 OK\r\n\r\n", "the status line of an HTTP/1 response"),
        ("HTTP/1.1 200 OK\r\n", "closed the connection, expected the proxy's answer"),
        ("HTTP/1.1 500 \x1b[31m\r\n\r\n", "\\x1b[31m"),
    ] {
        let error = fails(http, vec![(request, answer.into())], LONG);
        let shown = error.to_string();
        assert!(matches!(error, Error::Proxy(_)) && shown.contains(part), "{part}: {shown}");
        assert!(!shown.contains('\x1b'), "{shown}");
    }
}

#[test]
fn a_proxy_that_is_not_there_is_not_the_server() {
    let closed = closed();
    let connector = plain(LONG).with_dialer(TcpRoute::direct().through(socks(closed)));
    let error = connector.blocking().dial(target()).unwrap_err();
    assert_eq!(error.to_string(), format!("cannot reach the proxy {closed}"));
    assert!(format!("{error:?}").contains(&format!("cannot connect to {closed}")), "{error:?}");
}

/// Returns an address where nothing listens, and no other program can.
fn closed() -> SocketAddr {
    let reserved = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    reserved.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    let address = reserved.local_addr().unwrap().as_socket().unwrap();
    // It lives as long as the test process, so that the port stays taken.
    std::mem::forget(reserved);
    address
}

#[test]
fn what_a_proxy_cannot_express_is_an_error_before_the_connection() {
    let nowhere = at(closed());
    let socks = plain(LONG).with_dialer(Socks5::new(nowhere.clone()));
    let http = plain(LONG).with_dialer(HttpConnect::new(nowhere.clone()));
    for host in ["a\r\nX: y", "a b", "", "müller.example", &"a".repeat(254)] {
        for error in [socks.blocking().dial((host, 25)), http.blocking().dial((host, 25))] {
            let error = error.unwrap_err();
            assert!(matches!(error, Error::Config { .. }), "{host:?}: {error}");
        }
    }
    let v6 = target().family(AddressFamily::V6);
    assert!(matches!(socks.blocking().dial(v6).unwrap_err(), Error::Config { .. }));
    let long = plain(LONG).with_dialer(Socks5::new(nowhere.clone()).login("u".repeat(256), "p"));
    assert!(matches!(long.blocking().dial(target()).unwrap_err(), Error::Config { .. }));
    let split = plain(LONG).with_dialer(HttpConnect::new(nowhere).login("u", "p\r\nX: y"));
    assert!(matches!(split.blocking().dial(target()).unwrap_err(), Error::Config { .. }));
}

#[tokio::test]
async fn attempts_race_and_the_first_connection_wins() {
    let open = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = open.local_addr().unwrap();
    // Connections to a listener whose queue is full get no answer.
    let full = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    full.bind(&SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).into()).unwrap();
    full.listen(0).unwrap();
    let silent = full.local_addr().unwrap().as_socket().unwrap();
    let mut fill = Vec::new();
    while let Ok(tcp) = TcpStream::connect_timeout(&silent, Duration::from_secs(1)) {
        fill.push(tcp);
    }
    for addresses in [vec![silent, address], vec![closed(), silent, address]] {
        let connector = plain(LONG).with_dialer(Fixed::new(addresses));
        let dialed = timeout(DEADLINE, connector.dial(target())).await.unwrap().unwrap();
        assert_eq!(dialed.address, Some(address));
        let dialed =
            tokio::task::spawn_blocking(move || connector.blocking().dial(target()).unwrap()).await.unwrap();
        assert_eq!(dialed.stream.peer_addr().unwrap(), address);
    }
    let none = [closed(), closed()];
    let expected = format!("cannot connect to any of 2 addresses, the last was {}", none[1]);
    let connector = plain(LONG).with_dialer(Fixed::new(none));
    assert_eq!(connector.dial(target()).await.unwrap_err().to_string(), expected);
    let blocking = tokio::task::spawn_blocking(move || connector.blocking().dial(target()).unwrap_err());
    assert!(blocking.await.unwrap().to_string().starts_with("cannot connect to any of 2 addresses"));
}

#[tokio::test]
async fn a_source_address_is_used() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let source = "127.0.0.9".parse().unwrap();
    let connector = plain(LONG).with_dialer(Tcp::new().source(source));
    let asynchronous = connector.dial(at(address)).await.unwrap();
    assert_eq!(listener.accept().unwrap().1.ip(), source);
    let blocking = connector.blocking().dial(at(address)).unwrap();
    assert_eq!(listener.accept().unwrap().1.ip(), source);
    drop((asynchronous, blocking));
    let other = connector.with_dialer(Tcp::new().source("::1".parse().unwrap()));
    assert!(format!("{:?}", other.dial(at(address)).await.unwrap_err()).contains("family"));
}

#[tokio::test]
async fn a_proxy_header_comes_first() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let connector = plain(LONG);
    for version in [ProxyHeaderVersion::V1, ProxyHeaderVersion::V2] {
        let connector = connector.with_dialer(TcpRoute::direct().with_proxy_header(version));
        let dialed = connector.dial(at(address)).await.unwrap();
        let own = dialed.stream.local_addr().unwrap();
        let expected = version.header(Some((own, address)));
        let mut header = vec![0; expected.len()];
        listener.accept().unwrap().0.read_exact(&mut header).unwrap();
        assert_eq!(header, expected);
        let blocking = connector.blocking().dial(at(address)).unwrap();
        let expected = version.header(Some((blocking.stream.local_addr().unwrap(), address)));
        let mut header = vec![0; expected.len()];
        listener.accept().unwrap().0.read_exact(&mut header).unwrap();
        assert_eq!(header, expected);
    }
}

#[cfg(unix)]
#[tokio::test]
async fn an_upgrade_runs_over_a_socket_in_the_file_system() {
    let authority = Authority::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("smtp");
    let listener = tokio::net::UnixListener::bind(&path).unwrap();
    let acceptor = authority.acceptor().build().unwrap();
    let server =
        tokio::spawn(async move { acceptor.accept(listener.accept().await.unwrap().0).await.map(drop) });
    let connector = authority.connector().build().unwrap();
    let connector = connector.with_dialer(starttls::dialer::Unix::new(&path));
    let stream = timeout(DEADLINE, connector.connect(&SMTP, (NAME, 25))).await.unwrap().unwrap();
    assert_eq!(stream.facts().server_name.as_deref(), Some(NAME));
    assert!(timeout(DEADLINE, server).await.unwrap().unwrap().is_ok());
    let missing = connector.with_dialer(starttls::dialer::Unix::new(folder.path().join("none")));
    let error = missing.connect(&SMTP, (NAME, 25)).await.unwrap_err();
    assert!(error.to_string().starts_with("cannot connect to the socket /"), "{error}");
}

/// A dialer without a network.
struct InMemory(tokio::sync::mpsc::UnboundedSender<DuplexStream>);

impl Dialer for InMemory {
    type Stream = DuplexStream;

    async fn dial(&self, to: &Endpoint, _: Deadline) -> Result<Dialed<DuplexStream>, Error> {
        assert_eq!(to.server_name(), NAME);
        let (near, far) = duplex(4096);
        self.0.send(far).unwrap();
        Ok(Dialed::new(near))
    }
}

#[tokio::test]
async fn a_program_dials_in_its_own_way() {
    let authority = Authority::new();
    let (sender, mut streams) = tokio::sync::mpsc::unbounded_channel();
    let acceptor = authority.acceptor().build().unwrap();
    let server = tokio::spawn(async move { acceptor.accept(streams.recv().await.unwrap()).await.map(drop) });
    let connector = authority.connector().build().unwrap().with_dialer(Arc::new(InMemory(sender)));
    let stream = timeout(DEADLINE, connector.connect(&SMTP, (NAME, 25))).await.unwrap().unwrap();
    assert!(stream.facts().timings.connect.is_some() && stream.facts().address.is_none());
    assert!(timeout(DEADLINE, server).await.unwrap().unwrap().is_ok());
}
