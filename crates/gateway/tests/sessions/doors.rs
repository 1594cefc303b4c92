//! Where the gateway listens: whose place it is, and who is still let in when it is given up.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;

use socket2::{Domain, Socket, Type};
use starttls_gateway::config::Listener;
use starttls_gateway::{Config, Gateway, Record};

use crate::house::House;

/// A listener at each of these places.
fn config(house: &House, places: &[SocketAddr]) -> Config {
    let stem = house.certificate.0.with_extension("");
    let stem = stem.display();
    let listeners = places.iter().map(|place| {
        format!(
            "[[listener]]\nlisten = \"smtp+starttls://{place}\"\ncert = \"{stem}.pem\"\nkey = \"{stem}.key\"\n\
             forward = \"smtp://127.0.0.1:9\"\n"
        )
    });
    Config::parse(&listeners.collect::<String>(), "test").unwrap()
}

fn start(config: Config) -> std::io::Result<Gateway> {
    Gateway::start(config, Arc::new(|_: &Listener, _: &Record| {}))
}

/// A place that nobody has at this moment.
fn free() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

#[test]
fn a_place_that_is_taken_is_not_shared() {
    let house = House::new();
    let gateway = start(config(&house, &["127.0.0.1:0".parse().unwrap()])).unwrap();
    let taken = gateway.addresses()[0].1.unwrap();
    let everywhere = SocketAddr::new("::".parse().unwrap(), taken.port());
    for place in [taken, everywhere] {
        let second = start(config(&house, &[place])).unwrap_err();
        assert_eq!(second.kind(), ErrorKind::AddrInUse, "{second}");
        assert!(second.to_string().starts_with(&format!("cannot listen on {place}: ")), "{second}");
    }
    // By somebody who would share it.
    let other = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    other.set_reuse_port(true).unwrap();
    other.bind(&"127.0.0.1:0".parse::<SocketAddr>().unwrap().into()).unwrap();
    other.listen(8).unwrap();
    let taken = other.local_addr().unwrap().as_socket().unwrap();
    let gateway = start(config(&house, &[taken])).map(drop).unwrap_err();
    assert_eq!(gateway.kind(), ErrorKind::AddrInUse, "{gateway}");
    // What was left open by a connection that is over does not count.
    let left = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = left.local_addr().unwrap();
    let client = TcpStream::connect(address).unwrap();
    drop(left.accept().unwrap());
    drop((client, left));
    start(config(&house, &[address])).unwrap();
}

#[test]
fn a_reload_moves_between_one_address_and_all() {
    let house = House::new();
    let one = free();
    let all = SocketAddr::new("::".parse().unwrap(), one.port());
    let mut gateway = start(config(&house, &[one])).unwrap();
    for places in [&[all][..], &[one], &[one, all], &[all], &[all, one]] {
        gateway.reload(config(&house, places)).unwrap_or_else(|error| panic!("{places:?}: {error}"));
        TcpStream::connect(one).unwrap();
    }
    // All or nothing, and what is another's stays another's.
    let other = TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = gateway.reload(config(&house, &[all, other.local_addr().unwrap()])).unwrap_err();
    assert_eq!(taken.kind(), ErrorKind::AddrInUse);
    TcpStream::connect(one).unwrap();
}
