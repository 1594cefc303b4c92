//! The library's client works with servers that have quirks.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use starttls::Connector;
use starttls::proto::{Protocol, each_protocol, smtp};
use starttls_lab::rogue::Quirk;

use crate::authority;

fn connector() -> Connector {
    let builder = Connector::builder().no_system_roots().roots_pem(authority().root_pem());
    builder.timeout(Duration::from_secs(60)).build().unwrap()
}

each_protocol! {
    parallel
    our_client_reaches_tls_with_every_odd_peer
}

fn our_client_reaches_tls_with_every_odd_peer(protocol: &'static Protocol) {
    for odd in Quirk::ALL.iter().filter(|odd| odd.applies_to(protocol)) {
        let peer = odd.start(protocol, authority()).unwrap();
        let tcp = TcpStream::connect(peer.address()).unwrap();
        let done = connector().blocking().upgrade(protocol, peer.server_name(), tcp);
        assert!(done.is_ok(), "{}, {}: {}", protocol.name, odd.name(), done.unwrap_err());
    }
}

#[test]
fn every_odd_peer_is_odd_somewhere() {
    for odd in Quirk::ALL {
        let count = starttls::proto::PROTOCOLS.iter().filter(|protocol| odd.applies_to(protocol)).count();
        assert!(count > 0, "{}", odd.name());
    }
}

#[test]
fn a_delay_has_the_requested_length() {
    let peer = Quirk::delayed(Duration::from_millis(700)).start(&smtp::SMTP, authority()).unwrap();
    let began = Instant::now();
    connector().blocking().connect(&smtp::SMTP, ("localhost", peer.address().port())).unwrap();
    assert!(began.elapsed() >= Duration::from_millis(700));
}
