//! The encrypted stream. Written once, over `Read` and `Write`; the asynchronous side lends it a stream
//! that says `WouldBlock` where it has to wait.

use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};

use rustls::Connection;

use crate::facts::TlsFacts;
use crate::observe::ConnectionPhase;
use crate::tapped_stream::TappedStream;

/// From this size on, who reads wants much at once, and gets it with one call to the system instead of one for
/// every 4 KiB, which is as much as rustls asks for.
const LARGE: usize = 16 * 1024;
/// Octets of TLS that are read at once then.
const SCRATCH_LEN: usize = 64 * 1024;

thread_local! {
    /// Lent to whoever reads; streams that wait hold none. Two that read within each other have two.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A stream inside TLS, and the facts of how it came about.
///
/// It is `AsyncRead + AsyncWrite` over an asynchronous stream and `Read + Write` over a blocking one.
/// As with any buffered stream, flush what the peer is waiting for, and shut down (or, blocking, `close`)
/// at the end. A connection that ends without the peer's `close_notify` reads as
/// [`UnexpectedEof`](ErrorKind::UnexpectedEof), since anybody can cut a connection (RFC 8446 section 6.1).
#[derive(Debug)]
pub struct Encrypted<IO> {
    pub(crate) tls: Box<Connection>,
    pub(crate) tapped: TappedStream<IO>,
    facts: Box<TlsFacts>,
}

impl<IO> Encrypted<IO> {
    pub(crate) fn new(tls: Connection, tapped: TappedStream<IO>, facts: TlsFacts) -> Self {
        Self { tls: Box::new(tls), tapped, facts: Box::new(facts) }
    }

    /// Everything known of the connection when its handshake had ended.
    pub fn facts(&self) -> &TlsFacts {
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
        &self.tapped.io
    }

    pub(crate) fn seen(&self, bytes: &[u8]) {
        self.tapped.tap.received(ConnectionPhase::Session, bytes);
    }

    pub(crate) fn shown(&self, bytes: &[u8]) {
        self.tapped.tap.sent(ConnectionPhase::Session, bytes);
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
        if buf.len() < LARGE {
            tls.read_tls(io)?;
            process(tls, io)?;
            continue;
        }
        let mut scratch = SCRATCH.take();
        scratch.resize(SCRATCH_LEN, 0);
        let done = read_many(tls, io, buf, &mut scratch);
        SCRATCH.set(scratch);
        match done? {
            0 => {}
            count => return Ok(count),
        }
    }
}

/// Reads as much as there is, and takes it apart record by record.
///
/// No more is read than fits into `buf` once it is decrypted, so that TLS keeps less than a record of it.
fn read_many(
    tls: &mut Connection,
    io: &mut (impl Read + Write),
    buf: &mut [u8],
    scratch: &mut [u8],
) -> io::Result<usize> {
    let most = buf.len().min(scratch.len());
    let count = io.read(&mut scratch[..most])?;
    let mut unread = &scratch[..count];
    let mut taken = 0;
    loop {
        // It takes nothing at the end, and nothing behind a close_notify.
        let done = tls.read_tls(&mut unread)? == 0 || unread.is_empty();
        process(tls, io)?;
        match tls.reader().read(&mut buf[taken..]) {
            Ok(count) => taken += count,
            // The next reading says how it ended.
            Err(error) if error.kind() == ErrorKind::WouldBlock || taken > 0 => {}
            Err(error) => return Err(error),
        }
        if done {
            return Ok(taken);
        }
    }
}

fn process(tls: &mut Connection, io: &mut impl Write) -> io::Result<()> {
    tls.process_new_packets().map(drop).map_err(|error| {
        // The alert is a courtesy.
        let _ = push(tls, io);
        io::Error::new(ErrorKind::InvalidData, error)
    })
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
