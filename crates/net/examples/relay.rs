//! A relay: accepts an upgrade from a client, upgrades a connection to the server, and copies between the two.
//!
//! `cargo run --example relay -- chain.pem key.pem imap.example.com`
#![expect(clippy::print_stdout, reason = "it is a program")]

use starttls::{Acceptor, Connector, Endpoint, Error, proto::imap::IMAP};
use tokio::net::{TcpListener, TcpStream};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [chain, key, server] = arguments.as_slice() else {
        return Err("expected CHAIN.PEM, KEY.PEM and SERVER".into());
    };
    let pem = (std::fs::read(chain)?, std::fs::read(key)?);
    let acceptor = Acceptor::builder(&IMAP, "relay.example.com").certificate_pem(pem.0, pem.1).build()?;
    let connector = Connector::builder().build()?;
    let backend = Endpoint::new(server.as_str(), 143);
    let listener = TcpListener::bind("127.0.0.1:2143").await?;
    loop {
        let (tcp, from) = listener.accept().await?;
        let (acceptor, connector, backend) = (acceptor.clone(), connector.clone(), backend.clone());
        tokio::spawn(async move {
            if let Err(error) = relay(tcp, &acceptor, &connector, backend).await {
                println!("{from}: {error}");
            }
        });
    }
}

/// Both upgrades succeed before a byte is copied, so that no cleartext can cross from one side to the other.
async fn relay(
    tcp: TcpStream,
    acceptor: &Acceptor,
    connector: &Connector,
    to: Endpoint,
) -> Result<(), Error> {
    let mut client = acceptor.accept(tcp).await?;
    let mut server = connector.connect(&IMAP, to).await?;
    // The copy ends when either side does; how it ends makes no difference here.
    let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
    Ok(())
}
