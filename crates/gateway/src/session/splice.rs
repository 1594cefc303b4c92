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

use super::allowance::{self, HeldOctets, LARGE_READ, SMALL_READ};
use super::busy_poll::stay_awake;
use super::idle::{self, IdleTimer};
use super::stream::Stream;
use crate::failure::SessionFailure;

/// How many reads one session may do before it yields to the others.
const TURNS: usize = 16;

/// How long nothing moves before a transfer pauses, and at most a second more. To park a session and to resume it costs about
/// 20 µs, as much as a message and its answer.
const SILENCE: Duration = Duration::from_secs(1);

/// How long a client may take to close after the backend has closed.
const LINGER: Duration = Duration::from_secs(5);

thread_local! {
    /// One buffer for all sessions of a thread. It is in use only while a session moves bytes.
    static SCRATCH_OF_THREAD: RefCell<Vec<u8>> = RefCell::new(vec![0; LARGE_READ]);
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

    /// Returns a number that changes when other connections of the session make progress.
    fn other_activity(&self) -> u64 {
        0
    }

    /// Returns whether the session may pause while both sides are silent. It must not if it has other connections.
    fn may_pause(&self) -> bool {
        true
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

/// How a run of a transfer ended without a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ended {
    /// Both sides have ended.
    Finished,
    /// The filter stopped it.
    Stopped,
    /// Neither side has sent anything for a while, and the transfer holds nothing. It goes on when it runs again.
    Silent,
}

/// The transfer in one direction.
#[derive(Debug, Default)]
struct Direction {
    /// Bytes that could not be written yet. While there are some, nothing is read.
    unsent: Vec<u8>,
    sent: usize,
    /// What this direction holds, in the sink included.
    held: HeldOctets,
    /// Whether the sink has to be flushed.
    written: bool,
    ended: bool,
    closed: bool,
    /// The source broke the connection, and the session does not fail for it. The sink must not see an orderly end.
    broken: bool,
    /// The error of a read that also returned octets. The next turn handles it.
    failed: Option<io::Error>,
    octets: u64,
}

/// The transfer of one session, in both directions.
pub(super) struct Splice<E: ?Sized> {
    /// Boxed, so that its memory is freed when nothing has to be changed any more.
    filter: Option<Box<E>>,
    /// From the client to the backend.
    up: Direction,
    /// From the backend to the client.
    down: Direction,
    stopping: bool,
    one_way: bool,
    busy_poll: bool,
    /// Whether it returns [`Ended::Silent`].
    pauses: bool,
    /// `None` before the first run.
    timer: Option<IdleTimer>,
}

impl<E: Filter + ?Sized> Splice<E> {
    /// Makes a transfer that sends `first` before anything that is read.
    pub(super) fn new(filter: Option<Box<E>>, first: Outgoing) -> Self {
        let direction = |unsent| Direction { unsent, ..Direction::default() };
        Self {
            filter,
            up: direction(first.to_server),
            down: direction(first.to_client),
            stopping: false,
            one_way: false,
            busy_poll: false,
            pauses: false,
            timer: None,
        }
    }

    /// Makes a transfer that returns [`Ended::Silent`] after [`SILENCE`].
    pub(super) fn pausing(self) -> Self {
        Self { pauses: true, ..self }
    }

    /// Makes a transfer for connections on which only one side sends. A backend that has ended does not wait for the
    /// client's end.
    pub(super) fn one_way(self) -> Self {
        Self { one_way: true, ..self }
    }

    /// Makes a transfer that keeps its thread awake until each side has sent something.
    pub(super) fn busy_polling(self) -> Self {
        Self { busy_poll: true, ..self }
    }

    /// Returns the octets to the backend, and to the client.
    pub(super) fn octets(&self) -> (u64, u64) {
        let (up, down) = self.filter.as_ref().map(|filter| filter.other_octets()).unwrap_or_default();
        (self.up.octets + up, self.down.octets + down)
    }

    /// Takes the last bytes for a client that broke a rule: unsent bytes, and the filter's last message.
    pub(super) fn final_message(&mut self) -> Vec<u8> {
        let mut message = self.down.unsent.split_off(self.down.sent);
        message.extend(self.filter.as_mut().map(|filter| filter.goodbye()).unwrap_or_default());
        message
    }

    /// Returns the filter, unless it was dropped because all following bytes pass unchanged.
    pub(super) fn into_filter(self) -> Option<Box<E>> {
        self.filter
    }

    /// Returns a number that changes when the session makes progress: when it reads, and when a sink takes what it holds.
    pub(super) fn activity(&self, client: &Stream, backend: &Stream) -> u64 {
        let other = self.filter.as_ref().map(|filter| filter.other_activity()).unwrap_or_default();
        let written = client.socket().written() + backend.socket().written();
        self.up.octets + self.down.octets + written + other
    }

    /// Transfers until both sides have ended. One may end before the other.
    ///
    /// A connection is closed in good order only if the other one has ended in good order. Otherwise the peer would take a
    /// truncated message for a complete one.
    ///
    /// # Errors
    /// [`SessionFailure`] when a connection broke, the filter failed, or there was no traffic for the time `idle`.
    pub(super) fn run(
        &mut self,
        client: &mut Stream,
        backend: &mut Stream,
        idle: &Duration,
    ) -> impl Future<Output = Result<Ended, SessionFailure>> {
        client.begin();
        backend.begin();
        if let Some(timer) = &mut self.timer {
            timer.resume();
        }
        // Not an `async fn`, which would store its arguments twice.
        poll_fn(move |cx| {
            let was_over = self.down.closed;
            let mut ended = self.poll(cx, client, backend);
            if ended.is_pending() {
                if self.busy_poll && (self.up.octets == 0 || self.down.octets == 0) {
                    stay_awake();
                }
                // A backend that has ended usually reads no more. The client only has to close its side.
                let over = self.down.closed;
                let progress = self.activity(client, backend);
                let pauses = self.pauses && self.holds_nothing();
                let timer = self.timer.get_or_insert_with(IdleTimer::start);
                timer.restart_on_progress(progress);
                if over != was_over {
                    timer.restart();
                }
                let due = timer.due(if over { LINGER.min(*idle) } else { *idle });
                let next = if pauses { due.min(timer.silent(SILENCE)) } else { due };
                ended = timer.poll(cx, next).map(|()| match over {
                    _ if due > idle::ticks() => Ok(Ended::Silent),
                    true => Ok(Ended::Finished),
                    false => Err(SessionFailure::Idle(*idle)),
                });
            }
            if let Poll::Ready(Ok(ended)) = &ended {
                self.end(*ended, client, backend);
            }
            ended
        })
    }

    /// Returns the tick at which the session has been without traffic for the time `idle`. The timer wakes no task any more.
    pub(super) fn pause(&mut self, idle: Duration) -> u64 {
        let timer = self.timer.get_or_insert_with(IdleTimer::start);
        timer.pause();
        timer.due(idle)
    }

    /// Returns whether the transfer only waits for octets, of either side.
    fn holds_nothing(&self) -> bool {
        let filter_allows = self.filter.as_ref().is_none_or(|filter| filter.may_pause());
        filter_allows && !self.stopping && self.up.holds_nothing() && self.down.holds_nothing()
    }

    /// Lets the peers see an orderly end where the other side has ended in good order.
    fn end(&self, ended: Ended, client: &Stream, backend: &Stream) {
        for (stream, direction) in [(backend, &self.up), (client, &self.down)] {
            if ended == Ended::Stopped || (direction.closed && !direction.broken) {
                stream.end();
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
        let over = self.filter.as_ref().is_some_and(|filter| filter.is_over());
        let (reads, writes) = (from, from.peer());
        // The messages of a filter to the other side must not accumulate while that side does not read.
        if !direction.is_empty() || (self.filter.is_some() && !other.is_empty()) {
            return Poll::Pending;
        }
        // A sink that buffers must have sent everything before more is read for it.
        ready!(direction.flush(cx, sink)).map_err(|cause| SessionFailure::io(writes, cause))?;
        if direction.closed || self.stopping {
            return Poll::Pending;
        }
        if direction.ended {
            // A session whose last direction has ended drops its sockets, which tells a peer in cleartext the same.
            let closes = other.closed && matches!(sink, Stream::Clear(_));
            if !closes {
                match ready!(Pin::new(&mut *sink).poll_shutdown(cx)) {
                    Err(error) if !gone(&error) => {
                        return Poll::Ready(Err(SessionFailure::io(writes, error)));
                    }
                    _ => {}
                }
            }
            direction.closed = true;
            if self.one_way && from == Side::Server && other.octets == 0 {
                // The backend does not wait for the client's end. A client that has sent something may send more.
                let _ = Pin::new(source).poll_shutdown(cx);
            }
            return Poll::Ready(Ok(()));
        }
        SCRATCH_OF_THREAD.with_borrow_mut(|scratch| {
            let size = if self.filter.is_some() { SMALL_READ } else { allowance::read_size() };
            let mut buf = ReadBuf::new(&mut scratch[..size]);
            let read = match direction.failed.take() {
                Some(error) => Err(error),
                None => ready!(Pin::new(&mut *source).poll_read(cx, &mut buf)),
            };
            match read {
                Ok(()) => {}
                // After the end of the session in the protocol, either side may close the connection abruptly.
                Err(error) if over && gone(&error) => {}
                // After the other side has ended, the session does not fail when a peer closes abruptly. But the peer may
                // have been in the middle of a message, so the other side must not see an orderly end.
                Err(error) if other.closed && gone(&error) => {
                    (direction.ended, direction.closed, direction.broken) = (true, true, true);
                    return Poll::Ready(Ok(()));
                }
                Err(error) => return Poll::Ready(Err(SessionFailure::io(reads, error))),
            }
            if buf.filled().is_empty() {
                direction.ended = true;
                return Poll::Ready(Ok(()));
            }
            direction.read_on(cx, source, sink, &mut buf);
            let bytes = buf.filled();
            direction.octets += bytes.len() as u64;
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
            direction.hold(onward);
            other.hold(answer);
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

    /// Returns whether the direction only waits for octets of its source.
    fn holds_nothing(&self) -> bool {
        self.is_empty() && !self.written && !self.ended && self.failed.is_none()
    }

    /// Reads what else has arrived, above all the end: the last octets and the end of the connection then leave in one segment.
    /// It costs a system call only if there is something.
    fn read_on(&mut self, cx: &mut Context<'_>, source: &mut Stream, sink: &Stream, buf: &mut ReadBuf<'_>) {
        let before = buf.filled().len();
        if buf.remaining() == 0 {
            return;
        }
        match Pin::new(source).poll_read(cx, buf) {
            Poll::Ready(Ok(())) if buf.filled().len() == before => {
                self.ended = true;
                sink.hold_until_shutdown();
            }
            Poll::Ready(Ok(())) | Poll::Pending => {}
            Poll::Ready(Err(error)) => self.failed = Some(error),
        }
    }

    /// Keeps bytes for the sink.
    fn hold(&mut self, bytes: Vec<u8>) {
        match self.unsent.is_empty() {
            true => self.unsent = bytes,
            false => self.unsent.extend_from_slice(&bytes),
        }
        self.held.set(self.unsent.len());
    }

    /// Writes bytes, and keeps those that the sink does not take.
    fn send(&mut self, cx: &mut Context<'_>, sink: &mut Stream, mut bytes: &[u8]) -> io::Result<()> {
        self.written = true;
        self.held.set(bytes.len());
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

    /// Flushes what was written. After that the direction holds nothing.
    fn flush(&mut self, cx: &mut Context<'_>, sink: &mut Stream) -> Poll<io::Result<()>> {
        if self.written {
            ready!(Pin::new(sink).poll_flush(cx))?;
            self.written = false;
            self.held.set(self.unsent.len());
        }
        Poll::Ready(Ok(()))
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
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    use socket2::SockRef;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::LocalSet;

    use super::*;
    use crate::session::allowance::BUDGET;
    use crate::session::stream::Socket;

    async fn pair() -> (TcpStream, Stream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (near.unwrap(), Stream::Clear(Socket::from(far.unwrap().0)))
    }

    /// Each sink takes little and then nothing, while its source has more than a small read.
    #[tokio::test]
    async fn two_thousand_stalled_sinks_stay_within_the_budget() {
        const SINKS: usize = 2000;
        const SENT: usize = 160 << 10;
        let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
        assert!(most > 4 * SINKS as u64 + 200, "only {most} files may be open");
        let tasks = LocalSet::new();
        let mut peers = Vec::new();
        tasks
            .run_until(async {
                for _ in 0..SINKS {
                    let ((client, mut front), (mut backend, mut back)) = (pair().await, pair().await);
                    SockRef::from(front.socket().tcp().unwrap()).set_send_buffer_size(4096).unwrap();
                    SockRef::from(&client).set_recv_buffer_size(4096).unwrap();
                    // The sink is full before the source sends.
                    let tcp = front.socket().tcp().unwrap();
                    while tcp.try_write(&[0; 4096]).is_ok() {}
                    tokio::task::spawn_local(async move {
                        let mut splice = Splice::<Unfiltered>::new(None, Outgoing::default());
                        splice.run(&mut front, &mut back, &Duration::from_secs(60)).await
                    });
                    tokio::task::spawn_local(async move {
                        // It fails when the test is over.
                        let _ = backend.write_all(&[0; SENT]).await;
                        std::future::pending::<()>().await;
                    });
                    peers.push(client);
                }
                // Every sink is stalled when the amount no longer changes.
                let stalled = async {
                    let mut before = 0;
                    while allowance::held() <= BUDGET || allowance::held() != before {
                        before = allowance::held();
                        tokio::time::sleep(Duration::from_secs(2)).await;
                    }
                };
                let reached = tokio::time::timeout(Duration::from_secs(60), stalled).await;
                assert!(reached.is_ok(), "{}: the budget was not reached", allowance::held());
            })
            .await;
        let held = allowance::held();
        assert!(held <= BUDGET + LARGE_READ + SINKS * SMALL_READ, "{held}");
        drop((tasks, peers));
        assert_eq!(allowance::held(), 0);
    }

    /// A server may end its direction of a data connection at once when it is the client that sends.
    #[tokio::test]
    async fn an_upload_that_breaks_off_after_the_backend_has_ended_its_direction_is_not_whole() {
        let ((mut client, mut front), (mut backend, mut back)) = (pair().await, pair().await);
        let mut copy = Splice::<Unfiltered>::new(None, Outgoing::default()).one_way();
        let copying = async {
            copy.run(&mut front, &mut back, &Duration::from_secs(60)).await.unwrap();
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
