//! Servers that never complete their answer behave as intended.

use std::io::Read;
use std::net::TcpStream;
use std::time::Duration;

use starttls::Connector;
use starttls::proto::{Protocol, each_protocol, smtp::SMTP};
use starttls_lab::rogue::{Endless, Noise, StallPoint};

use crate::authority;

const DEADLINE: Duration = Duration::from_secs(30);

fn connector() -> Connector {
    let builder = Connector::builder().no_system_roots().roots_pem(authority().root_pem());
    builder.timeout(DEADLINE).build().unwrap()
}

each_protocol! {
    parallel
    a_session_gets_noise_without_end
    everything_before_the_stage_is_answered
}

fn a_session_gets_noise_without_end(protocol: &'static Protocol) {
    let noise = if protocol.name == "mysql" { Noise::Unfinished } else { Noise::Interim };
    let server = Endless::start(protocol, StallPoint::Session, noise, authority()).unwrap();
    let tcp = TcpStream::connect(server.address()).unwrap();
    let mut session = connector().blocking().upgrade(protocol, "localhost", tcp).unwrap();
    session.io().set_read_timeout(Some(DEADLINE)).unwrap();
    let mut heard = vec![0; 256 * 1024];
    session.read_exact(&mut heard).unwrap_or_else(|error| panic!("{}: {error}", protocol.name));
}

#[test]
fn a_dribble_is_slow() {
    let noise = Noise::Dribbled(Duration::from_millis(20));
    let server = Endless::start(&SMTP, StallPoint::Greeting, noise, authority()).unwrap();
    let mut tcp = TcpStream::connect(server.address()).unwrap();
    tcp.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut heard = [0; 3];
    tcp.read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"222");
}

fn everything_before_the_stage_is_answered(protocol: &'static Protocol) {
    for stage in StallPoint::ALL.into_iter().filter(|stage| stage.applies_to(protocol)) {
        let server = Endless::start(protocol, stage, Noise::Dribbled(DEADLINE), authority()).unwrap();
        let inside = matches!(stage, StallPoint::Session | StallPoint::TlsHello | StallPoint::TlsCommand);
        // Every step before the noise is fast, so a short limit is enough if the noise comes before TLS.
        let timeout = if inside { DEADLINE } else { Duration::from_millis(300) };
        let builder = Connector::builder().no_system_roots().roots_pem(authority().root_pem());
        let connector = builder.timeout(timeout).build().unwrap();
        let done = connector.blocking().connect(protocol, ("localhost", server.address().port()));
        assert_eq!(done.is_ok(), inside, "{} {stage:?}: {:?}", protocol.name, done.err());
    }
}
