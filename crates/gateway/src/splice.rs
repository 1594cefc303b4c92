//! The data path: bytes between the two legs, edited or not. A session that waits holds no buffer.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use starttls::proto::{Outgoing, Side};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::failure::SessionFailure;
use crate::session::Stream;

/// Octets that are read at once: four TLS records.
const SCRATCH: usize = 64 * 1024;

/// How often one session reads before others have their turn.
const TURNS: usize = 16;

/// How long a client may take to close when the backend has closed.
const LINGER: Duration = Duration::from_secs(5);

thread_local! {
    /// One buffer for all sessions of a thread: it is in use only while bytes are under way.
    static SCRATCH_OF_THREAD: RefCell<Vec<u8>> = RefCell::new(vec![0; SCRATCH]);
}

/// Reads what passes, as long as there is something to change in it.
pub(crate) trait Filter {
    /// Takes what `from` sent, and appends what is to be sent on, to each side.
    ///
    /// # Errors
    /// [`SessionFailure`] ends the session; nothing of `out` is sent.
    fn receive(&mut self, from: Side, input: &[u8], out: &mut Outgoing) -> Result<State, SessionFailure>;

    /// Octets that the session moved elsewhere so far: to the backend, and to the client.
    fn elsewhere(&self) -> (u64, u64) {
        (0, 0)
    }

    /// Whether goodbye was said: either side may hang up without another word, as many do.
    fn is_over(&self) -> bool {
        false
    }

    /// What a client that broke a rule is sent before its connection ends.
    fn goodbye(&mut self) -> Vec<u8> {
        Vec::new()
    }
}

/// What an editor is up to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum State {
    /// There may be more to change.
    Reading,
    /// Everything may pass from here on.
    Opaque,
    /// The copying has to end here: the client's side goes on otherwise.
    Stop,
    /// The editor has said goodbye to the client. Nothing else is sent to it, and its connection is closed.
    Over,
}

/// How the copying ended, if nothing failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Both sides said all they had to say.
    Finished,
    /// The editor said so.
    Stopped,
}

/// The way from one leg to the other.
#[derive(Debug, Default)]
struct Direction {
    /// What could not be written yet. Nothing is read while there is something.
    unsent: Vec<u8>,
    sent: usize,
    written: bool,
    ended: bool,
    closed: bool,
    /// The source broke off, and the session does not fail for it. The sink must not see an end in good order.
    broken: bool,
    octets: u64,
}

/// The copying of one session.
pub(crate) struct Splice<E> {
    editor: Option<E>,
    /// From the client to the backend.
    up: Direction,
    /// From the backend to the client.
    down: Direction,
    stopping: bool,
    one_way: bool,
}

impl<E: Filter> Splice<E> {
    /// Starts with what is to be sent before anything that is read.
    pub(crate) fn new(editor: Option<E>, first: Outgoing) -> Self {
        let lane = |unsent| Direction { unsent, ..Direction::default() };
        Self {
            editor,
            up: lane(first.to_server),
            down: lane(first.to_client),
            stopping: false,
            one_way: false,
        }
    }

    /// Where one side sends and the other has nothing to say: a backend that is done is not kept waiting for the
    /// client's end.
    pub(crate) fn one_way(self) -> Self {
        Self { one_way: true, ..self }
    }

    /// Octets to the backend, and to the client.
    pub(crate) fn octets(&self) -> (u64, u64) {
        let (up, down) = self.editor.as_ref().map(Filter::elsewhere).unwrap_or_default();
        (self.up.octets + up, self.down.octets + down)
    }

    /// Takes what is left to send to a client that broke a rule: octets on their way to it, and the editor's goodbye.
    pub(crate) fn last_words(&mut self) -> Vec<u8> {
        let mut words = self.down.unsent.split_off(self.down.sent);
        words.extend(self.editor.as_mut().map(Filter::goodbye).unwrap_or_default());
        words
    }

    /// The editor, if it has not become superfluous.
    pub(crate) fn into_editor(self) -> Option<E> {
        self.editor
    }

    /// Copies until both sides are done; one may end before the other.
    ///
    /// A leg is closed in good order only where the other one has ended in good order. Otherwise its peer would take a
    /// message that was cut off for a whole one.
    ///
    /// # Errors
    /// [`SessionFailure`] when a leg broke, the editor gave up, or nothing moved for the time `idle`.
    pub(crate) async fn run(
        &mut self,
        front: &mut Stream,
        back: &mut Stream,
        idle: Duration,
    ) -> Result<Ended, SessionFailure> {
        front.begin();
        back.begin();
        let ended = self.carry(front, back, idle).await?;
        for (leg, lane) in [(back, &self.up), (front, &self.down)] {
            if ended == Ended::Stopped || (lane.closed && !lane.broken) {
                leg.end();
            }
        }
        Ok(ended)
    }

    async fn carry(
        &mut self,
        front: &mut Stream,
        back: &mut Stream,
        idle: Duration,
    ) -> Result<Ended, SessionFailure> {
        loop {
            let before = self.octets();
            // A backend that has ended reads no more, as a rule: the client has only to hear of it.
            let over = self.down.closed;
            let limit = if over { LINGER.min(idle) } else { idle };
            let copying = poll_fn(|cx| match self.poll(cx, front, back) {
                Poll::Pending if self.down.closed != over => Poll::Ready(None),
                polled => polled.map(Some),
            });
            match tokio::time::timeout(limit, copying).await {
                Ok(Some(ended)) => return ended,
                Ok(None) => {}
                // Whoever moved anything since gets as long again.
                Err(_) if self.octets() != before => {}
                Err(_) if over => return Ok(Ended::Finished),
                Err(_) => return Err(SessionFailure::Idle(idle)),
            }
        }
    }

    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        front: &mut Stream,
        back: &mut Stream,
    ) -> Poll<Result<Ended, SessionFailure>> {
        for _ in 0..TURNS {
            // Both first: each way may hold up the other, and both have to be waited for then.
            self.up.drain(cx, back).map_err(|cause| SessionFailure::io(Side::Server, cause))?;
            self.down.drain(cx, front).map_err(|cause| SessionFailure::io(Side::Client, cause))?;
            let up = self.turn(cx, Side::Client, front, back)?;
            let down = self.turn(cx, Side::Server, back, front)?;
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

    /// Moves what there is from one leg to the other: once at most. Pending means that nothing moved.
    fn turn(
        &mut self,
        cx: &mut Context<'_>,
        from: Side,
        source: &mut Stream,
        sink: &mut Stream,
    ) -> Poll<Result<(), SessionFailure>> {
        let (lane, other) = match from {
            Side::Client => (&mut self.up, &mut self.down),
            Side::Server => (&mut self.down, &mut self.up),
        };
        let over = self.editor.as_ref().is_some_and(Filter::is_over);
        let (reads, writes) = (from, from.peer());
        // What an editor says to the other side must not pile up while that side does not read.
        if !lane.is_empty() || (self.editor.is_some() && !other.is_empty()) {
            return Poll::Pending;
        }
        if lane.closed || self.stopping {
            return lane.flush(cx, sink).map_err(|cause| SessionFailure::io(writes, cause));
        }
        if lane.ended {
            match ready!(Pin::new(&mut *sink).poll_shutdown(cx)) {
                Err(error) if !gone(&error) => return Poll::Ready(Err(SessionFailure::io(writes, error))),
                _ => {}
            }
            lane.closed = true;
            if self.one_way && from == Side::Server && other.octets == 0 {
                // The backend need not wait for the client's end. A client that has sent something may have more.
                let _ = Pin::new(source).poll_shutdown(cx);
            }
            return Poll::Ready(Ok(()));
        }
        SCRATCH_OF_THREAD.with_borrow_mut(|scratch| {
            let mut buf = ReadBuf::new(scratch);
            match Pin::new(source).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) => {}
                // After goodbye was said, either side may hang up without another word.
                Poll::Ready(Err(error)) if over && gone(&error) => {}
                // After the other side has ended, the session does not fail when a peer hangs up. But the peer may have
                // been in the middle of a message, so the other side must not see an end in good order.
                Poll::Ready(Err(error)) if other.closed && gone(&error) => {
                    (lane.ended, lane.closed, lane.broken) = (true, true, true);
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Err(error)) => return Poll::Ready(Err(SessionFailure::io(reads, error))),
                Poll::Pending => {
                    return lane.flush(cx, sink).map_err(|cause| SessionFailure::io(writes, cause));
                }
            }
            let bytes = buf.filled();
            lane.octets += bytes.len() as u64;
            if bytes.is_empty() {
                lane.ended = true;
                return Poll::Ready(Ok(()));
            }
            let Some(editor) = &mut self.editor else {
                lane.send(cx, sink, bytes).map_err(|cause| SessionFailure::io(writes, cause))?;
                return Poll::Ready(Ok(()));
            };
            let mut out = Outgoing::default();
            let state = editor.receive(from, bytes, &mut out)?;
            let (onward, back) = match from {
                Side::Client => (out.to_server, out.to_client),
                Side::Server => (out.to_client, out.to_server),
            };
            lane.unsent = onward;
            other.unsent.extend_from_slice(&back);
            match state {
                State::Reading => {}
                State::Opaque => self.editor = None,
                State::Stop => self.stopping = true,
                State::Over => match from {
                    Side::Client => other.ended = true,
                    Side::Server => lane.ended = true,
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

    /// Sends bytes, and keeps what the sink does not take.
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

    /// Sends what was kept, as far as the sink takes it; when all is gone, so is the memory.
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

    /// Pending either way: there is nothing more to move.
    fn flush(&mut self, cx: &mut Context<'_>, sink: &mut Stream) -> Poll<io::Result<()>> {
        if self.written {
            ready!(Pin::new(sink).poll_flush(cx))?;
            self.written = false;
        }
        Poll::Pending
    }
}

/// Whether nobody is there any more.
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
    use starttls::proto::Relay;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::session::Socket;

    async fn pair() -> (TcpStream, Stream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (near, far) = tokio::join!(TcpStream::connect(listener.local_addr().unwrap()), listener.accept());
        (near.unwrap(), Stream::Clear(Socket::Tcp(far.unwrap().0)))
    }

    /// A server may end its direction of a data connection at once when it is the client that sends.
    #[tokio::test]
    async fn an_upload_that_breaks_off_after_the_backend_has_ended_its_direction_is_not_whole() {
        let ((mut client, mut front), (mut backend, mut back)) = (pair().await, pair().await);
        let mut copy = Splice::<Relay>::new(None, Outgoing::default()).one_way();
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
