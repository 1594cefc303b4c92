//! The encrypted stream. Written once, over `Read` and `Write`; the asynchronous side lends it a stream
//! that says `WouldBlock` where it has to wait.

use std::io::{self, ErrorKind, Read, Write};

use rustls::Connection;

use crate::facts::Facts;
use crate::observe::Phase;
use crate::wire::Wire;

/// A stream inside TLS, and the facts of how it came about.
///
/// It is `AsyncRead + AsyncWrite` over an asynchronous stream and `Read + Write` over a blocking one.
/// As with any buffered stream, flush what the peer is waiting for, and shut down (or, blocking, `close`)
/// at the end. A connection that ends without the peer's `close_notify` reads as
/// [`UnexpectedEof`](ErrorKind::UnexpectedEof), since anybody can cut a connection (RFC 8446 section 6.1).
#[derive(Debug)]
pub struct Encrypted<IO> {
    pub(crate) tls: Box<Connection>,
    pub(crate) wire: Wire<IO>,
    facts: Box<Facts>,
}

impl<IO> Encrypted<IO> {
    pub(crate) fn new(tls: Connection, wire: Wire<IO>, facts: Facts) -> Self {
        Self { tls: Box::new(tls), wire, facts: Box::new(facts) }
    }

    /// Everything known of the connection when its handshake had ended.
    pub fn facts(&self) -> &Facts {
        &self.facts
    }

    /// How many tickets for later resumption the server has sent so far; TLS 1.3 sends them after the handshake.
    pub fn tickets_received(&self) -> u32 {
        match &*self.tls {
            Connection::Client(client) => client.tls13_tickets_received(),
            Connection::Server(_) => 0,
        }
    }

    /// The stream below, for its addresses and options. Reading or writing there breaks TLS.
    pub fn io(&self) -> &IO {
        &self.wire.io
    }

    pub(crate) fn seen(&self, bytes: &[u8]) {
        self.wire.tap.received(Phase::Session, bytes);
    }

    pub(crate) fn shown(&self, bytes: &[u8]) {
        self.wire.tap.sent(Phase::Session, bytes);
    }
}

/// Sends what TLS owes the peer.
pub(crate) fn push(tls: &mut Connection, io: &mut impl Write) -> io::Result<()> {
    while tls.wants_write() {
        if tls.write_tls(io)? == 0 {
            return Err(ErrorKind::WriteZero.into());
        }
    }
    Ok(())
}

/// Only reads: what TLS owes meanwhile (key updates) goes with the next write, as RFC 8446 section 4.6.3
/// allows. A reader that wrote would take the wake-ups of a writer on another task.
pub(crate) fn read(tls: &mut Connection, io: &mut (impl Read + Write), buf: &mut [u8]) -> io::Result<usize> {
    if buf.is_empty() {
        return Ok(0);
    }
    loop {
        match tls.reader().read(buf) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            done => return done,
        }
        // At the end of the connection the reader above knows whether it ended well.
        tls.read_tls(io)?;
        if let Err(error) = tls.process_new_packets() {
            // The alert is a courtesy.
            let _ = push(tls, io);
            return Err(io::Error::new(ErrorKind::InvalidData, error));
        }
    }
}

pub(crate) fn write(tls: &mut Connection, io: &mut impl Write, buf: &[u8]) -> io::Result<usize> {
    loop {
        let taken = tls.writer().write(buf)?;
        match push(tls, io) {
            Err(error) if taken == 0 || error.kind() != ErrorKind::WouldBlock => return Err(error),
            _ if taken > 0 || buf.is_empty() => return Ok(taken),
            _ => {}
        }
    }
}

pub(crate) fn flush(tls: &mut Connection, io: &mut impl Write) -> io::Result<()> {
    tls.writer().flush()?;
    push(tls, io)?;
    io.flush()
}

/// Says goodbye in TLS; the other direction stays open.
pub(crate) fn close(tls: &mut Connection, io: &mut impl Write) -> io::Result<()> {
    tls.send_close_notify();
    push(tls, io)?;
    io.flush()
}
