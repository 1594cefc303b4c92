//! The data path: transfers bytes between a client and a backend, with or without a filter. A session without traffic
//! holds no buffer.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use starttls::proto::{Outgoing, Side};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::stream::Stream;
use crate::failure::SessionFailure;

/// The size of one read: four TLS records.
const SCRATCH: usize = 64 * 1024;

/// How many reads one session may do before it yields to the others.
const TURNS: usize = 16;

/// How long a client may take to close after the backend has closed.
const LINGER: Duration = Duration::from_secs(5);

thread_local! {
    /// One buffer for all sessions of a thread. It is in use only while a session moves bytes.
    static SCRATCH_OF_THREAD: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH]);
}

/// Reads and changes the bytes of a session, until nothing more has to be changed.
pub(super) trait Filter {
    /// Takes bytes from one side, and appends to `out` the bytes for each side.
    ///
    /// # Errors
    /// [`SessionFailure`] ends the session. `out` is then not sent.
    fn receive(
        &mut self,
        from: Side,
        input: &[u8],
        out: &mut Outgoing,
    ) -> Result<FilterState, SessionFailure>;

    /// Returns the octets of other connections of the session: to the backend, and to the client.
    fn other_octets(&self) -> (u64, u64) {
        (0, 0)
    }

    /// Returns whether the session has ended in the protocol. After that, many peers close the connection abruptly.
    fn is_over(&self) -> bool {
        false
    }

    /// Returns the last message to a client that broke a rule.
    fn goodbye(&mut self) -> Vec<u8> {
        Vec::new()
    }
}

/// What has to happen after a filter has received bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum FilterState {
    /// The filter needs the following bytes.
    Reading,
    /// All following bytes pass unchanged.
    Opaque,
    /// The transfer ends here. The caller continues with the client in another way.
    Stop,
    /// The filter has sent the last message to the client. Its connection is closed.
    Over,
}

/// The filter of transfers without a filter. It has no values.
#[derive(Debug)]
pub(super) enum Unfiltered {}

impl Filter for Unfiltered {
    fn receive(&mut self, _: Side, _: &[u8], _: &mut Outgoing) -> Result<FilterState, SessionFailure> {
        match *self {}
    }
}

/// How a transfer ended without a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Both sides have ended.
    Finished,
    /// The filter stopped it.
    Stopped,
}

/// The transfer in one direction.
#[derive(Debug, Default)]
struct Direction {
    /// Bytes that could not be written yet. While there are some, nothing is read.
    unsent: Vec<u8>,
    sent: usize,
    written: bool,
    ended: bool,
    closed: bool,
    /// The source broke the connection, and the session does not fail for it. The sink must not see an orderly end.
    broken: bool,
    octets: u64,
}

/// The transfer of one session, in both directions.
pub(super) struct Splice<E> {
    filter: Option<E>,
    /// From the client to the backend.
    up: Direction,
    /// From the backend to the client.
    down: Direction,
    stopping: bool,
    one_way: bool,
}

impl<E: Filter> Splice<E> {
    /// Makes a transfer that sends `first` before anything that is read.
    pub(super) fn new(filter: Option<E>, first: Outgoing) -> Self {
        let direction = |unsent| Direction { unsent, ..Direction::default() };
        Self {
            filter,
            up: direction(first.to_server),
            down: direction(first.to_client),
            stopping: false,
            one_way: false,
        }
    }

    /// Makes a transfer for connections on which only one side sends. A backend that has ended does not wait for the
    /// client's end.
    pub(super) fn one_way(self) -> Self {
        Self { one_way: true, ..self }
    }

    /// Returns the octets to the backend, and to the client.
    pub(super) fn octets(&self) -> (u64, u64) {
        let (up, down) = self.filter.as_ref().map(Filter::other_octets).unwrap_or_default();
        (self.up.octets + up, self.down.octets + down)
    }

    /// Takes the last bytes for a client that broke a rule: unsent bytes, and the filter's last message.
    pub(super) fn final_message(&mut self) -> Vec<u8> {
        let mut message = self.down.unsent.split_off(self.down.sent);
        message.extend(self.filter.as_mut().map(Filter::goodbye).unwrap_or_default());
        message
    }

    /// Returns the filter, unless it was dropped because all following bytes pass unchanged.
    pub(super) fn into_filter(self) -> Option<E> {
        self.filter
    }

    /// Transfers until both sides have ended. One may end before the other.
    ///
    /// A connection is closed in good order only if the other one has ended in good order. Otherwise the peer would take a
    /// truncated message for a complete one.
    ///
    /// # Errors
    /// [`SessionFailure`] when a connection broke, the filter failed, or there was no traffic for the time `idle`.
    pub(super) async fn run(
        &mut self,
        client: &mut Stream,
        backend: &mut Stream,
        idle: Duration,
    ) -> Result<Ended, SessionFailure> {
        client.begin();
        backend.begin();
        let ended = self.transfer(client, backend, idle).await?;
        for (stream, direction) in [(backend, &self.up), (client, &self.down)] {
            if ended == Ended::Stopped || (direction.closed && !direction.broken) {
                stream.end();
            }
        }
        Ok(ended)
    }

    async fn transfer(
        &mut self,
        client: &mut Stream,
        backend: &mut Stream,
        idle: Duration,
    ) -> Result<Ended, SessionFailure> {
        loop {
            let before = self.octets();
            // A backend that has ended usually reads no more. The client only has to close its side.
            let over = self.down.closed;
            let limit = if over { LINGER.min(idle) } else { idle };
            let transfer = poll_fn(|cx| match self.poll(cx, client, backend) {
                Poll::Pending if self.down.closed != over => Poll::Ready(None),
                polled => polled.map(Some),
            });
            match tokio::time::timeout(limit, transfer).await {
                Ok(Some(ended)) => return ended,
                Ok(None) => {}
                // Progress restarts the idle timer.
                Err(_) if self.octets() != before => {}
                Err(_) if over => return Ok(Ended::Finished),
                Err(_) => return Err(SessionFailure::Idle(idle)),
            }
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        client: &mut Stream,
        backend: &mut Stream,
    ) -> Poll<Result<Ended, SessionFailure>> {
        for _ in 0..TURNS {
            // Both directions first: either may block the other, so the task has to be woken by both.
            self.up.drain(cx, backend).map_err(|cause| SessionFailure::io(Side::Server, cause))?;
            self.down.drain(cx, client).map_err(|cause| SessionFailure::io(Side::Client, cause))?;
            let up = self.turn(cx, Side::Client, client, backend)?;
            let down = self.turn(cx, Side::Server, backend, client)?;
            if self.stopping && self.up.is_empty() && self.down.is_empty() {
                return Poll::Ready(Ok(Ended::Stopped));
            }
            if self.up.closed && self.down.closed {
                return Poll::Ready(Ok(Ended::Finished));
            }
            if up.is_pending() && down.is_pending() {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }

    /// Does at most one read and write in one direction. Pending means that nothing moved.
    fn turn(
        &mut self,
        cx: &mut Context<'_>,
        from: Side,
        source: &mut Stream,
        sink: &mut Stream,
    ) -> Poll<Result<(), SessionFailure>> {
        let (direction, other) = match from {
            Side::Client => (&mut self.up, &mut self.down),
            Side::Server => (&mut self.down, &mut self.up),
        };
        let over = self.filter.as_ref().is_some_and(Filter::is_over);
        let (reads, writes) = (from, from.peer());
        // The messages of a filter to the other side must not accumulate while that side does not read.
        if !direction.is_empty() || (self.filter.is_some() && !other.is_empty()) {
            return Poll::Pending;
        }
        if direction.closed || self.stopping {
            return direction.flush(cx, sink).map_err(|cause| SessionFailure::io(writes, cause));
        }
        if direction.ended {
            match ready!(Pin::new(&mut *sink).poll_shutdown(cx)) {
                Err(error) if !gone(&error) => return Poll::Ready(Err(SessionFailure::io(writes, error))),
                _ => {}
            }
            direction.closed = true;
            if self.one_way && from == Side::Server && other.octets == 0 {
                // The backend does not wait for the client's end. A client that has sent something may send more.
                let _ = Pin::new(source).poll_shutdown(cx);
            }
            return Poll::Ready(Ok(()));
        }
        SCRATCH_OF_THREAD.with_borrow_mut(|scratch| {
            let mut buf = ReadBuf::new(scratch);
            match Pin::new(source).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) => {}
                // After the end of the session in the protocol, either side may close the connection abruptly.
                Poll::Ready(Err(error)) if over && gone(&error) => {}
                // After the other side has ended, the session does not fail when a peer closes abruptly. But the peer may
                // have been in the middle of a message, so the other side must not see an orderly end.
                Poll::Ready(Err(error)) if other.closed && gone(&error) => {
                    (direction.ended, direction.closed, direction.broken) = (true, true, true);
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(SessionFailure::io(reads, error))),
                Poll::Pending => {
                    return direction.flush(cx, sink).map_err(|cause| SessionFailure::io(writes, cause));
                }
            }
            let bytes = buf.filled();
            direction.octets += bytes.len() as u64;
            if bytes.is_empty() {
                direction.ended = true;
                return Poll::Ready(Ok(()));
            }
            let Some(filter) = &mut self.filter else {
                direction.send(cx, sink, bytes).map_err(|cause| SessionFailure::io(writes, cause))?;
                return Poll::Ready(Ok(()));
            };
            let mut out = Outgoing::default();
            let state = filter.receive(from, bytes, &mut out)?;
            let (onward, answer) = match from {
                Side::Client => (out.to_server, out.to_client),
                Side::Server => (out.to_client, out.to_server),
            };
            direction.unsent = onward;
            other.unsent.extend_from_slice(&answer);
            match state {
                FilterState::Reading => {}
                FilterState::Opaque => self.filter = None,
                FilterState::Stop => self.stopping = true,
                FilterState::Over => match from {
                    Side::Client => other.ended = true,
                    Side::Server => direction.ended = true,
                },
            }
            Poll::Ready(Ok(()))
        })
    }
}

impl Direction {
    fn is_empty(&self) -> bool {
        self.unsent.is_empty()
    }

    /// Writes bytes, and keeps those that the sink does not take.
    fn send(&mut self, cx: &mut Context<'_>, sink: &mut Stream, mut bytes: &[u8]) -> io::Result<()> {
        self.written = true;
        while !bytes.is_empty() {
            match Pin::new(&mut *sink).poll_write(cx, bytes)? {
                Poll::Ready(0) => return Err(ErrorKind::WriteZero.into()),
                Poll::Ready(count) => bytes = &bytes[count..],
                Poll::Pending => {
                    self.unsent = bytes.to_vec();
                    break;
                }
            }
        }
        Ok(())
    }

    /// Writes the bytes that were kept, and frees their memory when all are written.
    fn drain(&mut self, cx: &mut Context<'_>, sink: &mut Stream) -> io::Result<()> {
        while self.sent < self.unsent.len() {
            self.written = true;
            match Pin::new(&mut *sink).poll_write(cx, &self.unsent[self.sent..])? {
                Poll::Ready(0) => return Err(ErrorKind::WriteZero.into()),
                Poll::Ready(count) => self.sent += count,
                Poll::Pending => return Ok(()),
            }
        }
        if self.sent > 0 {
            (self.unsent, self.sent) = (Vec::new(), 0);
        }
        Ok(())
    }

    /// Flushes what was written. Always returns `Pending` on success, because nothing is left to move.
    fn flush(&mut self, cx: &mut Context<'_>, sink: &mut Stream) -> Poll<io::Result<()>> {
        if self.written {
            ready!(Pin::new(sink).poll_flush(cx))?;
            self.written = false;
        }
        Poll::Pending
    }
}

/// Returns whether the peer is gone.
fn gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::NotConnected
            | ErrorKind::BrokenPipe
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::UnexpectedEof
    )
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::session::stream::Socket;

    async fn pair() -> (TcpStream, Stream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (near.unwrap(), Stream::Clear(Socket::Tcp(far.unwrap().0)))
    }

    /// A server may end its direction of a data connection at once when it is the client that sends.
    #[tokio::test]
    async fn an_upload_that_breaks_off_after_the_backend_has_ended_its_direction_is_not_whole() {
        let ((mut client, mut front), (mut backend, mut back)) = (pair().await, pair().await);
        let mut copy = Splice::<Unfiltered>::new(None, Outgoing::default()).one_way();
        let copying = async {
            copy.run(&mut front, &mut back, Duration::from_secs(60)).await.unwrap();
            drop((front, back));
        };
        let peers = async {
            client.write_all(b"the start").await.unwrap();
            backend.read_exact(&mut [0; 9]).await.unwrap();
            backend.shutdown().await.unwrap();
            assert_eq!(client.read(&mut [0; 16]).await.unwrap(), 0);
            client.write_all(b"and more").await.unwrap();
            backend.read_exact(&mut [0; 8]).await.unwrap();
            SockRef::from(&client).set_linger(Some(Duration::ZERO)).unwrap();
            drop(client);
            backend.read(&mut [0; 16]).await
        };
        let both = async { tokio::join!(copying, peers).1 };
        let end = tokio::time::timeout(Duration::from_secs(60), both).await.unwrap();
        assert!(end.is_err(), "{end:?}");
    }
}
