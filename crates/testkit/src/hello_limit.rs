//! A device on the way to a server that does not accept a ClientHello of more than one segment.
//!
//! Such devices exist: they parse the first segment only, and treat a larger ClientHello, such as one with a post-quantum
//! key share, as an attack or as malformed.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::spawn;

use crate::error::Error;

/// The largest ClientHello that the device forwards: one Ethernet segment, less a reserve.
pub const LIMIT: usize = 1400;

/// The reaction of the device to a larger ClientHello.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// It resets the connection.
    Reset,
    /// It drops what the client sends.
    Silence,
    /// It answers with the alert `decode_error`.
    Alert,
}

impl Reaction {
    /// Every reaction.
    pub const ALL: [Self; 3] = [Self::Reset, Self::Silence, Self::Alert];
}

/// Starts the device in front of a server, on a port of loopback. It listens as long as the process runs.
///
/// # Errors
/// Returns an error if no port is free.
pub fn in_front_of(server: SocketAddr, reaction: Reaction) -> Result<SocketAddr, Error> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(Error::io("the device"))?;
    let address = listener.local_addr().map_err(Error::io("the device"))?;
    spawn(move || {
        for client in listener.incoming().flatten() {
            spawn(move || {
                // A side that has left needs nothing more.
                let _ = pass(client, server, reaction);
            });
        }
    });
    Ok(address)
}

fn pass(mut client: TcpStream, server: SocketAddr, reaction: Reaction) -> io::Result<()> {
    let mut server = TcpStream::connect(server)?;
    let (mut answers, mut back) = (server.try_clone()?, client.try_clone()?);
    let reset = Arc::new(AtomicBool::new(false));
    let answering = spawn({
        let reset = Arc::clone(&reset);
        move || {
            let _ = io::copy(&mut answers, &mut back);
            // An end in good order would come before the reset.
            if !reset.load(Ordering::SeqCst) {
                let _ = back.shutdown(Shutdown::Write);
            }
        }
    });
    let mut buffer = [0; 16 * 1024];
    loop {
        let seen = client.peek(&mut buffer)?;
        let is_large = matches!(buffer.get(..seen), Some([0x16, 0x03, _, high, low, ..])
            if usize::from(u16::from_be_bytes([*high, *low])) > LIMIT);
        if seen == 0 || is_large {
            break;
        }
        let length = client.read(&mut buffer)?;
        server.write_all(buffer.get(..length).unwrap_or_default())?;
    }
    match reaction {
        _ if client.peek(&mut buffer)? == 0 => {}
        // The system sends a reset when a connection with unread octets is closed.
        Reaction::Reset => reset.store(true, Ordering::SeqCst),
        Reaction::Silence => while client.read(&mut buffer)? > 0 {},
        Reaction::Alert => {
            client.write_all(&[21, 3, 3, 0, 2, 2, 50])?;
            while client.read(&mut buffer)? > 0 {}
        }
    }
    server.shutdown(Shutdown::Both)?;
    let _ = answering.join();
    Ok(())
}
