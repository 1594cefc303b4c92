//! The encrypted stream, over `Read` and `Write`. The asynchronous driver passes a stream that returns `WouldBlock` instead of
//! waiting.

use std::cell::Cell;
use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use rustls::sign::CertifiedKey;

use crate::connection::{Output, RECORD, TlsConnection};
use crate::early_data::EarlyDataLimit;
use crate::exporter::Exporter;
use crate::facts::TlsFacts;
use crate::observe::ConnectionPhase;
use crate::tapped_stream::TappedStream;

/// The most octets that one system call reads or writes, before encryption. Each write wakes the receiver, so that bulk data
/// costs the less the fewer there are.
const BLOCK: usize = 1 << 20;

/// The octets that are read at once during the handshake, whose messages are small.
const HANDSHAKE_READ: usize = 4096;

thread_local! {
    /// The buffers of the stream that is being read or written. Streams that wait hold none. A nested call allocates others.
    static INPUT: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static OUTPUT: Cell<Output> = const { Cell::new(Output::EMPTY) };
}

/// A stream inside TLS, with the facts of its handshake.
///
/// It is `AsyncRead + AsyncWrite` over an asynchronous stream and `Read + Write` over a blocking one. As with any buffered
/// stream, the caller flushes what the peer waits for, and ends the session with `shutdown` (or, blocking, `close`). If the
/// connection ends without the peer's `close_notify`, a read returns [`UnexpectedEof`](ErrorKind::UnexpectedEof), because an
/// attacker can cut a connection (RFC 8446 section 6.1).
#[derive(Debug)]
pub struct Encrypted<IO> {
    pub(crate) tls: Box<TlsConnection>,
    pub(crate) tapped: TappedStream<IO>,
    facts: Arc<TlsFacts>,
    /// The certificate that a server presented, for `tls-server-end-point`.
    pub(crate) presented: Option<Arc<CertifiedKey>>,
    early_data: Option<Arc<EarlyDataLimit>>,
    /// `None` with TLS 1.2.
    pub(crate) exporter: Option<Exporter>,
}

impl<IO> Encrypted<IO> {
    pub(crate) fn new(
        tls: Box<TlsConnection>,
        tapped: TappedStream<IO>,
        facts: TlsFacts,
        presented: Option<Arc<CertifiedKey>>,
        early_data: Option<Arc<EarlyDataLimit>>,
        exporter: Option<Exporter>,
    ) -> Self {
        Self { tls, tapped, facts: Arc::new(facts), presented, early_data, exporter }
    }

    /// Returns the facts of the connection at the end of its handshake.
    pub fn facts(&self) -> &TlsFacts {
        &self.facts
    }

    /// Returns the facts of the connection, for a record that outlives it.
    pub fn shared_facts(&self) -> Arc<TlsFacts> {
        self.facts.clone()
    }

    /// Returns the number of session tickets that the server has sent. In TLS 1.3 it sends them after the handshake.
    pub fn tickets_received(&self) -> u32 {
        self.tls.tickets_received()
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

    /// Replaces the underlying stream, for instance by the same socket in another runtime. TLS continues where it was.
    ///
    /// # Errors
    /// The error of `replace`. The connection is lost then.
    pub fn try_map_io<T, E>(self, replace: impl FnOnce(IO) -> Result<T, E>) -> Result<Encrypted<T>, E> {
        let Self { tls, tapped, facts, presented, early_data, exporter } = self;
        let tapped = tapped.try_map(replace)?;
        Ok(Encrypted { tls, tapped, facts, presented, early_data, exporter })
    }

    pub(crate) fn seen(&self, bytes: &[u8]) {
        self.tapped.tap.received(ConnectionPhase::Session, bytes);
    }

    pub(crate) fn shown(&self, bytes: &[u8]) {
        self.tapped.tap.sent(ConnectionPhase::Session, bytes);
    }
}

/// Sends the records that are queued.
pub(crate) fn push(tls: &mut TlsConnection, io: &mut impl Write) -> io::Result<()> {
    while !tls.unsent().is_empty() {
        match io.write(tls.unsent()) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => tls.mark_sent(count),
            Err(error) => {
                tls.is_blocked = true;
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Reads and processes what is available during the handshake. Returns the number of octets that were read.
pub(crate) fn receive_handshake(
    tls: &mut TlsConnection,
    io: &mut impl Read,
) -> io::Result<Result<usize, rustls::Error>> {
    fill(tls, io, HANDSHAKE_READ, |tls, input, count| Ok(tls.receive(input, &mut []).map(|_| count)))
}

/// Reads application data, and never writes except for a fatal alert. Queued records such as key updates go out with the next
/// write, as RFC 8446 section 4.6.3 allows. A reader that writes would take the wake-ups of a writer on another task.
pub(crate) fn read(
    tls: &mut TlsConnection,
    io: &mut (impl Read + Write),
    buf: &mut [u8],
) -> io::Result<usize> {
    if buf.is_empty() {
        return Ok(0);
    }
    loop {
        let done = tls.available(buf).unwrap_or_else(|| {
            // One system call reads what `buf` can hold after decryption, and at least a record.
            let most = buf.len().clamp(RECORD, BLOCK);
            fill(tls, io, most, |tls, input, count| match tls.receive(input, buf) {
                Ok(_) if count == 0 => Err(ErrorKind::UnexpectedEof.into()),
                Ok(0) => Err(ErrorKind::Interrupted.into()),
                Ok(decrypted) => Ok(decrypted),
                Err(error) => Err(io::Error::new(ErrorKind::InvalidData, error)),
            })
        });
        match done {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                // The alert names the cause, but the peer does not need it.
                let _ = push(tls, io);
                return Err(error);
            }
            done => return done,
        }
    }
}

/// Reads at most `most` octets after those of an incomplete record, and processes them.
fn fill<T>(
    tls: &mut TlsConnection,
    io: &mut impl Read,
    most: usize,
    process: impl FnOnce(&mut TlsConnection, &mut [u8], usize) -> io::Result<T>,
) -> io::Result<T> {
    let kept = tls.incomplete().len();
    // The rest of an incomplete record counts, so that the buffer of the caller can take everything.
    let end = most.max(kept + HANDSHAKE_READ);
    let mut input = INPUT.take();
    if input.len() < end {
        input.resize(end, 0);
    }
    let done = io.read(&mut input[kept..end]).and_then(|count| {
        input[..kept].copy_from_slice(tls.incomplete());
        process(tls, &mut input[..kept + count], count)
    });
    INPUT.set(input);
    done
}

/// Encrypts at most [`BLOCK`] octets and sends them. What the stream does not take is kept, and sent before the next octets.
pub(crate) fn write(tls: &mut TlsConnection, io: &mut impl Write, buf: &[u8]) -> io::Result<usize> {
    if tls.is_blocked {
        push(tls, io)?;
    }
    if buf.is_empty() {
        return Ok(0);
    }
    let data = &buf[..buf.len().min(BLOCK)];
    let mut output = OUTPUT.take();
    let done = tls.encrypt(data, &mut output).and_then(|()| send(tls, io, output.filled()));
    OUTPUT.set(output);
    done.map(|()| data.len())
}

/// Sends records, and keeps those that the stream does not take.
fn send(tls: &mut TlsConnection, io: &mut impl Write, mut records: &[u8]) -> io::Result<()> {
    while !records.is_empty() {
        match io.write(records) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => records = &records[count..],
            // The octets in these records count as written, so a caller that tries again must not lose or repeat them. A
            // blocking socket with a time limit reports either kind, depending on the system.
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                tls.keep_unsent(records);
                break;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

pub(crate) fn flush(tls: &mut TlsConnection, io: &mut impl Write) -> io::Result<()> {
    push(tls, io)?;
    io.flush()
}

/// Sends `close_notify`. The other direction stays open.
pub(crate) fn close(tls: &mut TlsConnection, io: &mut impl Write) -> io::Result<()> {
    tls.queue_close_notify()?;
    push(tls, io)?;
    io.flush()
}
