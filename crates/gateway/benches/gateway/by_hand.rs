//! The lower bound for the cost of a session: rustls and blocking sockets.
//!
//! This server has no protocol engine and no limits, serves one client at a time, and supports only the dialogue of
//! this benchmark's clients. Its cost is that of the machine, the operating system and the TLS library.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;

use starttls::rustls::crypto::aws_lc_rs;
use starttls::rustls::pki_types::pem::PemObject;
use starttls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use starttls::rustls::{ClientConnection, Connection, ServerConfig, ServerConnection, StreamOwned};

use crate::{Outcome, client};

type Tls = StreamOwned<ServerConnection, TcpStream>;

/// The number of sequential handshakes for the cost of one.
const HANDSHAKES: usize = 2000;

/// Serves one client after the other until the process is killed.
pub(crate) fn serve(args: &[&str]) -> Outcome<()> {
    let [address, backend, chain, key] = *args else { return Err("a server has four arguments".into()) };
    let backend: SocketAddr = backend.parse()?;
    let config = config(chain.as_ref(), key.as_ref())?;
    let listener = TcpListener::bind(address)?;
    loop {
        let (client, _) = listener.accept()?;
        // The client checks the result.
        let _ = session(client, backend, &config);
    }
}

fn config(chain: &Path, key: &Path) -> Outcome<Arc<ServerConfig>> {
    let chain = CertificateDer::pem_file_iter(chain)?.collect::<Result<Vec<_>, _>>()?;
    let config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    Ok(Arc::new(config))
}

/// Each command and each answer arrives in one piece before the next, so that the server does not have to parse lines.
fn session(mut tcp: TcpStream, backend: SocketAddr, config: &Arc<ServerConfig>) -> Outcome<()> {
    tcp.set_nodelay(true)?;
    let mut chunk = [0; 4096];
    for answer in ["220 front ESMTP\r\n", "250-front\r\n250 STARTTLS\r\n", "220 go ahead\r\n"] {
        tcp.write_all(answer.as_bytes())?;
        if !answer.ends_with("ahead\r\n") && tcp.read(&mut chunk)? == 0 {
            return Ok(());
        }
    }
    let mut front = Tls::new(ServerConnection::new(config.clone())?, tcp);
    while front.conn.is_handshaking() {
        front.conn.complete_io(&mut front.sock)?;
    }
    let mut back = TcpStream::connect(backend)?;
    back.set_nodelay(true)?;
    // The client does not expect the backend's greeting.
    let mut count = back.read(&mut chunk)?;
    while count > 0 && !chunk.starts_with(b"221") {
        count = front.read(&mut chunk)?;
        back.write_all(&chunk[..count])?;
        count = back.read(&mut chunk)?;
        front.write_all(&chunk[..count])?;
        front.flush()?;
    }
    front.conn.send_close_notify();
    front.flush()?;
    Ok(())
}

/// Prints the milliseconds of the server's part of a handshake in memory.
pub(crate) fn handshake(args: &[&str]) -> Outcome<()> {
    let [chain, key, root] = *args else { return Err("a handshake has three arguments".into()) };
    let (server, client) = (config(chain.as_ref(), key.as_ref())?, client::config(root)?);
    let mut spent = std::time::Duration::ZERO;
    for _ in 0..HANDSHAKES {
        let mut client = ClientConnection::new(client.clone(), ServerName::try_from("localhost")?)?.into();
        let hello = step(&mut client, &[])?;
        let began = std::time::Instant::now();
        let mut server = ServerConnection::new(server.clone())?.into();
        let flight = step(&mut server, &hello)?;
        spent += began.elapsed();
        let finished = step(&mut client, &flight)?;
        let began = std::time::Instant::now();
        step(&mut server, &finished)?;
        spent += began.elapsed();
        if server.is_handshaking() {
            return Err("the handshake did not end".into());
        }
    }
    println!("{}", spent.as_secs_f64() * 1000.0 / HANDSHAKES as f64);
    Ok(())
}

/// Processes the received bytes and returns the bytes to send.
fn step(tls: &mut Connection, mut heard: &[u8]) -> Outcome<Vec<u8>> {
    while !heard.is_empty() {
        tls.read_tls(&mut heard)?;
        tls.process_new_packets()?;
    }
    let mut said = Vec::new();
    while tls.wants_write() {
        tls.write_tls(&mut said)?;
    }
    Ok(said)
}
