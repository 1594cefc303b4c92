//! The gateway's listening sockets: addresses already in use, changes by a reload, and connections during the change.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use socket2::{Domain, Socket, Type};
use starttls::proto::smtp::SMTP;
use starttls_gateway::config::Listener;
use starttls_gateway::{Config, Gateway, SessionObserver, SessionRecord};
use starttls_testkit::process::{free_port, free_port_everywhere, own_loopback};

use crate::environment::{Environment, within};
use crate::scripted::Scripted;

/// Returns a configuration with a listener on each of these addresses.
fn config(env: &Environment, places: &[SocketAddr]) -> Config {
    let stem = env.certificate.0.with_extension("");
    let stem = stem.display();
    let listeners = places.iter().map(|place| {
        format!(
            "[[listener]]\nlisten = \"smtp+starttls://{place}\"\ncert = \"{stem}.pem\"\nkey = \"{stem}.key\"\n\
             forward = \"smtp://127.0.0.1:9\"\nlimits = {{ handshakes-per-second = 1000 }}\n"
        )
    });
    Config::parse(&listeners.collect::<String>(), "test").unwrap()
}

fn start(config: Config) -> std::io::Result<Gateway> {
    Gateway::start(config, Arc::new(|_: &Listener, _: &SessionRecord| {}))
}

/// Returns a free address that other tests do not use.
fn free() -> SocketAddr {
    free_port(own_loopback()).unwrap()
}

#[test]
fn a_place_that_is_taken_is_not_shared() {
    let env = Environment::new();
    let gateway = start(config(&env, &["127.0.0.1:0".parse().unwrap()])).unwrap();
    let taken = gateway.addresses()[0].1.unwrap();
    let everywhere = SocketAddr::new("::".parse().unwrap(), taken.port());
    for place in [taken, everywhere] {
        let second = start(config(&env, &[place])).unwrap_err();
        assert_eq!(second.kind(), ErrorKind::AddrInUse, "{second}");
        assert!(second.to_string().starts_with(&format!("cannot listen on {place}: ")), "{second}");
    }
    // The address is also unavailable if the other process allows sharing it.
    let other = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    other.set_reuse_port(true).unwrap();
    other.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    other.listen(8).unwrap();
    let taken = other.local_addr().unwrap().as_socket().unwrap();
    let gateway = start(config(&env, &[taken])).map(drop).unwrap_err();
    assert_eq!(gateway.kind(), ErrorKind::AddrInUse, "{gateway}");
    // A finished connection in TIME_WAIT does not block the address.
    let left = TcpListener::bind((own_loopback(), 0)).unwrap();
    let address = left.local_addr().unwrap();
    let client = TcpStream::connect(address).unwrap();
    drop(left.accept().unwrap());
    drop((client, left));
    start(config(&env, &[address])).unwrap();
}

#[test]
fn a_reload_moves_between_one_address_and_all() {
    let env = Environment::new();
    let one = free_port_everywhere(own_loopback()).unwrap();
    let all = SocketAddr::new("::".parse().unwrap(), one.port());
    let mut gateway = start(config(&env, &[one])).unwrap();
    for places in [&[all][..], &[one], &[one, all], &[all], &[all, one]] {
        gateway.reload(config(&env, places)).unwrap_or_else(|error| panic!("{places:?}: {error}"));
        reachable(one);
    }
    // A reload changes all listeners or none, and does not take the address of another process.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = gateway.reload(config(&env, &[all, other.local_addr().unwrap()])).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AddrInUse);
    reachable(one);
}

/// Connects, if necessary again: a connection can be lost at the moment at which one of two sockets closes.
fn reachable(at: SocketAddr) {
    let since = Instant::now();
    while let Err(error) = TcpStream::connect(at) {
        assert!(since.elapsed() < Duration::from_secs(60), "{error}");
    }
}

/// A connection counts from its first moment, even if the proxy has not sent its header yet.
#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_sends_its_proxy_header_counts() {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    let (env, backend) = (Environment::new(), Scripted::smtp().await);
    let (cert, key) = &env.certificate;
    let text = format!(
        "[[listener]]\nlisten = \"smtp+starttls://127.0.0.1:0\"\ncert = {cert:?}\nkey = {key:?}\n\
         proxy-from = [\"127.0.0.1\"]\nforward = \"smtp://{}\"\nlimits = {{ connections = 3, handshakes-per-second = 100000 }}\n",
        backend.address
    );
    let running = env.start(Config::parse(&text, "test").unwrap());
    let connect = || async { TcpStream::connect(running.address).await.unwrap() };
    let mut mute = Vec::new();
    for start in ["", "PROXY TCP4 192.0.2.1 ", "\r\n\r\n"] {
        let mut tcp = connect().await;
        tcp.write_all(start.as_bytes()).await.unwrap();
        mute.push(tcp);
    }
    // Connects through a proxy until the client receives `expected`. The threads of the gateway accept in any order.
    let hears = async |expected: &[u8; 4]| {
        let mut words = [0; 4];
        while words != *expected {
            let mut tcp = connect().await;
            tcp.write_all(b"PROXY TCP4 192.0.2.7 192.0.2.1 4711 25\r\n").await.unwrap();
            // If the gateway closes with an unread header, the client receives a reset.
            let _ = tcp.read_exact(&mut words).await;
        }
    };
    within(hears(b"421 ")).await;
    let ended = running.ended(1).await;
    let refused = "the listener has reached its limit of connections";
    assert!(ended.iter().any(|it| it == refused), "{ended:?}");
    // The connections no longer count after they are closed.
    drop(mute);
    within(hears(b"220 ")).await;
}

/// A service that blocks every thread of the gateway while it is locked.
struct Busy(Mutex<()>);

impl SessionObserver for Busy {
    fn connected(&self, _: &Listener) {
        drop(self.0.lock());
    }

    fn session(&self, _: &Listener, _: &SessionRecord) {}
}

/// Connects clients that the kernel accepts before the gateway does.
fn crowd(at: SocketAddr) -> Vec<TcpStream> {
    let crowd: Vec<_> = (0..64).map(|_| TcpStream::connect(at).unwrap()).collect();
    for client in &crowd {
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    }
    crowd
}

/// Expects that the gateway sends a greeting to each client.
fn all_are_greeted(crowd: Vec<TcpStream>) {
    for (number, mut client) in crowd.into_iter().enumerate() {
        let mut heard = [0; 4];
        client.read_exact(&mut heard).unwrap_or_else(|error| panic!("client {number}: {error}"));
        assert_eq!(&heard, b"220 ");
        client.write_all(b"QUIT\r\n").unwrap();
        let mut words = String::new();
        client.read_to_string(&mut words).unwrap_or_else(|error| panic!("client {number}: {error}"));
        assert!(words.contains("221 "), "{words}");
    }
}

#[test]
fn connections_accepted_before_the_drain_are_served() {
    let env = Environment::new();
    let busy = Arc::new(Busy(Mutex::new(())));
    let gateway = Gateway::start(config(&env, &[free()]), busy.clone()).unwrap();
    let at = gateway.addresses()[0].1.unwrap();
    let locked = busy.0.lock().unwrap();
    let crowd = crowd(at);
    let draining = std::thread::spawn(move || gateway.drain());
    std::thread::sleep(Duration::from_millis(100));
    assert!(!draining.is_finished());
    drop(locked);
    all_are_greeted(crowd);
    assert_eq!(draining.join().unwrap(), 0);
    assert!(TcpStream::connect(at).is_err());
}

#[test]
fn connections_accepted_before_a_listener_is_removed_are_served() {
    let env = Environment::new();
    let busy = Arc::new(Busy(Mutex::new(())));
    let mut gateway = Gateway::start(config(&env, &[free()]), busy.clone()).unwrap();
    let at = gateway.addresses()[0].1.unwrap();
    let locked = busy.0.lock().unwrap();
    let crowd = crowd(at);
    gateway.reload(config(&env, &[free()])).unwrap();
    drop(locked);
    all_are_greeted(crowd);
    assert!(TcpStream::connect(at).is_err());
}

#[test]
fn only_a_socket_that_was_left_behind_is_replaced() {
    let env = Environment::new();
    let place = env.folder.path().join("door");
    let (certificate, key) = (env.certificate.0.display(), env.certificate.1.display());
    let text = format!(
        "[[listener]]\nlisten = \"lmtp+starttls://unix:{}\"\ncert = \"{certificate}\"\nkey = \"{key}\"\n\
         forward = \"lmtp://127.0.0.1:9\"\n",
        place.display()
    );
    let gateway = || start(Config::parse(&text, "test").unwrap());
    std::fs::write(&place, "important").unwrap();
    assert!(gateway().is_err());
    assert_eq!(std::fs::read_to_string(&place).unwrap(), "important");
    let file = env.folder.path().join("file");
    std::fs::rename(&place, &file).unwrap();
    std::os::unix::fs::symlink(&file, &place).unwrap();
    assert!(gateway().is_err());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "important");
    std::fs::remove_file(&place).unwrap();
    let left = std::os::unix::net::UnixListener::bind(&place).unwrap();
    assert!(gateway().is_err(), "somebody answers there");
    drop(left);
    drop(gateway().unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_cut_off_is_recorded() {
    let env = Environment::new();
    let backend = Scripted::smtp().await;
    let (certificate, key) = &env.certificate;
    let text = format!(
        "drain = \"100ms\"\n[[listener]]\nlisten = \"smtp+starttls://127.0.0.1:0\"\ncert = {certificate:?}\nkey = {key:?}\n\
         forward = \"smtp://{}\"\n",
        backend.address
    );
    let mut running = env.start(Config::parse(&text, "test").unwrap());
    let _stream = within(env.connect(&SMTP, running.address, false)).await;
    let gateway = running.gateway.take().unwrap();
    let left = within(tokio::task::spawn_blocking(move || gateway.drain())).await.unwrap();
    assert_eq!((left, running.ended(1).await), (1, vec![String::from("the gateway stopped")]));
}
