//! Moves octets between a stream and a machine, and through the handshake.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncWrite, ReadBuf};

use super::Stream;
use super::answered_hello::AnsweredHello;
use super::io::{Polled, waiting};
use crate::deadline::Deadline;
use crate::handshake::{Handshake, HandshakeFailure, advance_handshake};
use crate::machine::{Machine, Turn};
use crate::tapped_stream::TappedStream;
use crate::{Encrypted, Error, Step, stream};

impl<IO: Stream> Handshake<IO> {
    pub(super) async fn run(self) -> Result<Encrypted<IO>, Error> {
        self.span().run(self.complete()).await
    }

    pub(super) async fn complete(mut self) -> Result<Encrypted<IO>, Error> {
        match self.advance(|_| false).await? {
            Ok(()) => self.finish(),
            Err(failure) => Err(self.give_up(failure).await),
        }
    }

    /// Runs a server's handshake until the ClientHello has been answered. [`AnsweredHello::finish`] runs the rest.
    pub(super) async fn answer_hello(self) -> Result<AnsweredHello<IO>, Error> {
        let span = self.span();
        let handshake = span.clone().run(self.complete_answer()).await?;
        Ok(AnsweredHello { handshake, span })
    }

    async fn complete_answer(mut self) -> Result<Self, Error> {
        match self.advance(Self::has_answered_hello).await? {
            Ok(()) => Ok(self),
            Err(failure) => Err(self.give_up(failure).await),
        }
    }

    /// Runs the handshake until it is done, or until it has to wait and `is_enough`.
    async fn advance(
        &mut self,
        is_enough: impl Fn(&Self) -> bool,
    ) -> Result<Result<(), HandshakeFailure>, Error> {
        let deadline = self.attempt.deadline;
        let advancing = poll_fn(|cx| {
            let Self { tls, tapped, .. } = &mut *self;
            match advance_handshake(tls, &mut Polled { tapped, cx }) {
                Err(HandshakeFailure::Io(error)) if error.kind() == ErrorKind::WouldBlock => {
                    if is_enough(self) { Poll::Ready(Ok(Ok(()))) } else { Poll::Pending }
                }
                done => Poll::Ready(Ok(done)),
            }
        });
        deadline.bound(Step::Handshake, advancing).await
    }

    /// Sends the alert for a handshake that failed, closes the connection, and returns the error.
    async fn give_up(mut self, failure: HandshakeFailure) -> Error {
        let alert = self.own_alert();
        let Self { tls, tapped, attempt, .. } = &mut self;
        if alert.is_empty() {
            // rustls has queued an alert that names the cause.
            let pushed = poll_fn(|cx| waiting(stream::push(tls, &mut Polled { tapped, cx })));
            let limit = LAST_MESSAGE_TIMEOUT.min(attempt.deadline.remaining());
            let _ = tokio::time::timeout(limit, pushed).await;
        }
        send_last_message(tapped, alert, attempt.deadline).await;
        self.fail(failure)
    }
}

/// Runs a conversation: gives the machine what arrives, and sends its output.
///
/// It reads before it writes. What has arrived before a request is sent is older than the request, and the machine gets it
/// first (rule C3). It also reads while it cannot write: two sides that both write first would wait for each other forever.
pub(crate) async fn drive<IO: Stream, M: Machine>(
    stream: &mut IO,
    mut machine: M,
    out: &mut Vec<u8>,
) -> Result<M::Done, M::Error> {
    let mut chunk = vec![0; 4096];
    let (mut written, mut unflushed) = (0, false);
    let mut has_new_output = !out.is_empty();
    let mut failed_write = None;
    loop {
        if std::mem::take(&mut has_new_output) {
            // The runtime has to poll the socket before its readiness is known.
            tokio::task::yield_now().await;
        }
        let unsent = out.len() - written + usize::from(unflushed);
        let deadline = machine.deadline(unsent);
        let step = poll_fn(|cx| {
            let mut buf = ReadBuf::new(&mut chunk);
            if let Poll::Ready(done) = Pin::new(&mut *stream).poll_read(cx, &mut buf) {
                return Poll::Ready(Moved::Read(done.map(|()| buf.filled().len())));
            }
            if failed_write.is_none() && written < out.len() {
                let sent = ready!(Pin::new(&mut *stream).poll_write(cx, &out[written..]));
                return Poll::Ready(Moved::Written(sent));
            }
            if failed_write.is_none() && unflushed {
                return Poll::Ready(Moved::Flushed(ready!(Pin::new(&mut *stream).poll_flush(cx))));
            }
            Poll::Pending
        });
        let failure = match deadline.within(step).await {
            Some(Moved::Read(Ok(count))) if count > 0 => {
                out.drain(..std::mem::take(&mut written));
                let before = out.len();
                match machine.receive(&chunk[..count], out)? {
                    Turn::Continue(next) => machine = next,
                    Turn::Done(done) => return Ok(done),
                }
                has_new_output = out.len() > before;
                continue;
            }
            Some(Moved::Read(read)) => match failed_write.map_or(read, Err) {
                Ok(_) => return Err(machine.closed()),
                Err(cause) => return Err(machine.broken(cause, &deadline)),
            },
            Some(Moved::Written(Ok(0))) => ErrorKind::WriteZero.into(),
            Some(Moved::Written(Ok(sent))) => {
                (written, unflushed) = (written + sent, true);
                if written == out.len() {
                    out.clear();
                    written = 0;
                }
                continue;
            }
            Some(Moved::Flushed(Ok(()))) => {
                unflushed = false;
                continue;
            }
            Some(Moved::Written(Err(cause)) | Moved::Flushed(Err(cause))) => cause,
            None if machine.goes_on_after_deadline(out) => continue,
            None => return Err(machine.broken(ErrorKind::TimedOut.into(), &deadline)),
        };
        if !M::READS_AFTER_FAILED_WRITE {
            return Err(machine.broken(failure, &deadline));
        }
        failed_write = Some(failure);
        out.clear();
        (written, unflushed) = (0, false);
    }
}

/// One movement of octets.
enum Moved {
    Read(io::Result<usize>),
    Written(io::Result<usize>),
    Flushed(io::Result<()>),
}

/// Sends the last message in cleartext, which the peer has to receive before TLS begins.
pub(super) async fn send_before_tls<IO: Stream>(
    tapped: &mut TappedStream<IO>,
    message: &[u8],
    deadline: &Deadline,
) -> Result<(), Error> {
    let step = Step::LastCleartext;
    let sending = async { send(tapped, message).await.map_err(|cause| deadline.explain(step, cause)) };
    deadline.bound(step, sending).await
}

/// How long the last message of a connection may take, whose delivery is not required.
const LAST_MESSAGE_TIMEOUT: Duration = Duration::from_secs(1);

/// Sends a last message and closes the connection, within [`LAST_MESSAGE_TIMEOUT`].
pub(super) async fn send_last_message<IO: Stream>(
    tapped: &mut TappedStream<IO>,
    message: &[u8],
    deadline: Deadline,
) {
    let closing = async {
        send(tapped, message).await?;
        poll_fn(|cx| Pin::new(&mut tapped.io).poll_shutdown(cx)).await
    };
    // The connection is over whether the peer receives the message or not.
    let _ = tokio::time::timeout(LAST_MESSAGE_TIMEOUT.min(deadline.remaining()), closing).await;
}

async fn send<IO: Stream>(tapped: &mut TappedStream<IO>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match poll_fn(|cx| Pin::new(&mut *tapped).poll_write(cx, bytes)).await? {
            0 => return Err(ErrorKind::WriteZero.into()),
            sent => bytes = &bytes[sent..],
        }
    }
    poll_fn(|cx| Pin::new(&mut *tapped).poll_flush(cx)).await
}
