//! Servers with valid TLS that run a script inside TLS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::spawn;

use starttls::proto::Protocol;
use starttls::{Acceptor, AcceptorBuilder};
use starttls_lab::ca::{Authority, Leaf};

/// Starts a server that upgrades, runs `inside` with each client inside TLS, and closes.
///
/// Clients connect to it as `localhost`.
pub(crate) fn server(
    protocol: &'static Protocol,
    authority: &Authority,
    adjust: impl FnOnce(AcceptorBuilder) -> AcceptorBuilder,
    inside: impl Fn(&mut dyn Duplex) + Send + Sync + 'static,
) -> SocketAddr {
    let issued = authority.issue(&Leaf::named("localhost")).unwrap();
    let builder = Acceptor::builder(protocol, "localhost").certificate_pem(issued.chain_pem, issued.key_pem);
    let shared = Arc::new((adjust(builder).build().unwrap(), inside));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    spawn(move || {
        for stream in listener.incoming().flatten() {
            let shared = shared.clone();
            spawn(move || {
                let (acceptor, inside) = &*shared;
                if let Ok(mut session) = acceptor.blocking().accept(stream) {
                    inside(&mut session);
                    let _ = session.close();
                }
            });
        }
    });
    address
}

/// A stream that can be read and written.
pub(crate) trait Duplex: Read + Write {}
impl<T: Read + Write> Duplex for T {}

/// Reads until the client closes.
pub(crate) fn rest(stream: &mut dyn Duplex) -> Vec<u8> {
    let mut bytes = Vec::new();
    // The end may be clean or not.
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

/// Reads until the received bytes end with `end`.
pub(crate) fn hear(stream: &mut dyn Duplex, end: &[u8]) -> Vec<u8> {
    let (mut heard, mut byte) = (Vec::new(), [0]);
    while !heard.ends_with(end) && matches!(stream.read(&mut byte), Ok(1)) {
        heard.push(byte[0]);
    }
    heard
}
