//! The encrypted stream, over `Read` and `Write`. The asynchronous driver passes a stream that returns `WouldBlock` instead of
//! waiting.

use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use rustls::Connection;
use rustls::sign::CertifiedKey;

use crate::early_data::EarlyDataLimit;
use crate::facts::TlsFacts;
use crate::observe::ConnectionPhase;
use crate::tapped_stream::TappedStream;

/// The length from which a read buffer is filled with one system call, instead of one for every 4 KiB, which is what rustls
/// reads at once.
const LARGE: usize = 16 * 1024;
/// The octets of TLS that are read at once then.
const SCRATCH_LEN: usize = 64 * 1024;

thread_local! {
    /// The buffer of the stream that is being read. Streams that wait hold none. A nested read allocates a second one.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A stream inside TLS, with the facts of its handshake.
///
/// It is `AsyncRead + AsyncWrite` over an asynchronous stream and `Read + Write` over a blocking one. As with any buffered
/// stream, the caller flushes what the peer waits for, and ends the session with `shutdown` (or, blocking, `close`). If the
/// connection ends without the peer's `close_notify`, a read returns [`UnexpectedEof`](ErrorKind::UnexpectedEof), because an
/// attacker can cut a connection (RFC 8446 section 6.1).
#[derive(Debug)]
pub struct Encrypted<IO> {
    pub(crate) tls: Box<Connection>,
    pub(crate) tapped: TappedStream<IO>,
    facts: Box<TlsFacts>,
    /// The certificate that a server presented, for `tls-server-end-point`.
    pub(crate) presented: Option<Arc<CertifiedKey>>,
    early_data: Option<Arc<EarlyDataLimit>>,
}

impl<IO> Encrypted<IO> {
    pub(crate) fn new(
        tls: Connection,
        tapped: TappedStream<IO>,
        facts: TlsFacts,
        presented: Option<Arc<CertifiedKey>>,
        early_data: Option<Arc<EarlyDataLimit>>,
    ) -> Self {
        Self { tls: Box::new(tls), tapped, facts: Box::new(facts), presented, early_data }
    }

    /// Returns the facts of the connection at the end of its handshake.
    pub fn facts(&self) -> &TlsFacts {
        &self.facts
    }

    /// Returns the number of session tickets that the server has sent. In TLS 1.3 it sends them after the handshake.
    pub fn tickets_received(&self) -> u32 {
        match &*self.tls {
            Connection::Client(client) => client.tls13_tickets_received(),
            Connection::Server(_) => 0,
        }
    }

    /// Returns the most octets of early data (0-RTT, RFC 8446 section 4.2.10) that the server's session tickets permit so far.
    /// This library sends none. The result is 0 on a server's stream, and with
    /// [`with_session_resumption`](crate::Connector::with_session_resumption).
    pub fn early_data_limit(&self) -> u32 {
        self.early_data.as_ref().map_or(0, |limit| limit.octets())
    }

    /// Returns the underlying stream, for its addresses and options. Reads and writes on it break TLS.
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

/// Sends the TLS records that are queued.
pub(crate) fn push(tls: &mut Connection, io: &mut impl Write) -> io::Result<()> {
    while tls.wants_write() {
        if tls.write_tls(io)? == 0 {
            return Err(ErrorKind::WriteZero.into());
        }
    }
    Ok(())
}

/// Reads application data, and never writes. Queued records such as key updates go out with the next write, as RFC 8446
/// section 4.6.3 allows. A reader that writes would take the wake-ups of a writer on another task.
pub(crate) fn read(tls: &mut Connection, io: &mut (impl Read + Write), buf: &mut [u8]) -> io::Result<usize> {
    if buf.is_empty() {
        return Ok(0);
    }
    loop {
        match tls.reader().read(buf) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            done => return done,
        }
        // At the end of the connection the reader above returns whether it ended with close_notify.
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

/// Reads what is available with one system call, and processes it record by record.
///
/// It reads no more than `buf` can hold after decryption, so that rustls keeps less than one record.
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
        // rustls reads nothing at the end of the input and after a close_notify.
        let done = tls.read_tls(&mut unread)? == 0 || unread.is_empty();
        process(tls, io)?;
        match tls.reader().read(&mut buf[taken..]) {
            Ok(count) => taken += count,
            // The next read returns the error.
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
        // The alert names the cause, but the peer does not need it.
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

/// Sends `close_notify`. The other direction stays open.
pub(crate) fn close(tls: &mut Connection, io: &mut impl Write) -> io::Result<()> {
    tls.send_close_notify();
    push(tls, io)?;
    io.flush()
}
