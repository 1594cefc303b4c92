//! Moving bytes between the stream and the machine, and through the handshake.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::Pin;
use std::task::{Poll, ready};
use std::time::Duration;

use starttls_proto::Progress;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::Stream;
use super::io::{Polled, waiting};
use crate::deadline::Deadline;
use crate::handshake::{HANDSHAKE, Handshake, HandshakeFailure, advance_handshake};
use crate::machine::{Machine, NegotiationEnd};
use crate::tapped_stream::TappedStream;
use crate::{Encrypted, Error, stream};

impl<IO: Stream> Handshake<IO> {
    pub(super) async fn run(mut self) -> Result<Encrypted<IO>, Error> {
        let Self { tls, tapped, attempt } = &mut self;
        let shaking = poll_fn(|cx| match advance_handshake(tls, &mut Polled { tapped, cx }) {
            Err(HandshakeFailure::Io(error)) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
            done => Poll::Ready(Ok(done)),
        });
        match attempt.deadline.bound(HANDSHAKE, shaking).await? {
            Ok(()) => self.finish(),
            Err(broken) => {
                // The alert that says why is a courtesy, and waits for nobody.
                let alert = broken.alert();
                if alert.is_empty() {
                    let pushed = poll_fn(|cx| waiting(stream::push(tls, &mut Polled { tapped, cx })));
                    let _ =
                        tokio::time::timeout(LAST_MESSAGE_TIMEOUT.min(attempt.deadline.remaining()), pushed)
                            .await;
                }
                send_last_message(tapped, alert, attempt.deadline).await;
                Err(self.fail(broken))
            }
        }
    }
}

/// Gives the machine what arrives and sends what it says, both at once.
///
/// What has arrived by the time a question is to be written is older than the question, and is given to
/// the machine first (rule C3).
pub(super) async fn drive<IO: Stream, M: Machine>(
    tapped: &mut TappedStream<IO>,
    mut machine: M,
    out: &mut Vec<u8>,
    deadline: &Deadline,
) -> Result<NegotiationEnd<M::End>, Error> {
    let mut chunk = vec![0; 4096];
    let mut unflushed = false;
    let mut fresh = !out.is_empty();
    loop {
        if std::mem::take(&mut fresh) {
            // Readiness is only known after the runtime has looked.
            tokio::task::yield_now().await;
        }
        let step = machine.awaits();
        let moved = poll_fn(|cx| {
            let mut buf = ReadBuf::new(&mut chunk);
            if let Poll::Ready(done) = Pin::new(&mut *tapped).poll_read(cx, &mut buf) {
                return Poll::Ready(done.map(|()| Some(buf.filled().len())));
            }
            if !out.is_empty() {
                let sent = ready!(Pin::new(&mut *tapped).poll_write(cx, out))?;
                out.drain(..sent);
                unflushed = true;
                return Poll::Ready(if sent > 0 { Ok(None) } else { Err(ErrorKind::WriteZero.into()) });
            }
            if unflushed {
                ready!(Pin::new(&mut *tapped).poll_flush(cx))?;
                unflushed = false;
            }
            Poll::Pending
        });
        let moved = async { moved.await.map_err(|cause| deadline.explain(step, cause)) };
        let Some(count) = deadline.bound(step, moved).await? else { continue };
        if count == 0 {
            return Err(machine.closed().into());
        }
        let before = out.len();
        match machine.receive(&chunk[..count], out) {
            Ok(Progress::Continue(next)) => machine = next,
            Ok(Progress::End(end)) => return Ok(NegotiationEnd::Otherwise(end)),
            Ok(Progress::Upgrade(upgrade)) => {
                let writing =
                    async { send(tapped, out).await.map_err(|cause| deadline.explain(step, cause)) };
                deadline.bound("the peer to take the last message before TLS", writing).await?;
                out.clear();
                return Ok(NegotiationEnd::Upgrade(upgrade));
            }
            Err(error) => {
                if M::SAYS_GOODBYE {
                    send_last_message(tapped, out, *deadline).await;
                }
                return Err(error.into());
            }
        }
        fresh = out.len() > before;
    }
}

/// How long a connection that is over may take to hear the last words.
const LAST_MESSAGE_TIMEOUT: Duration = Duration::from_secs(1);

/// Sends the last words and closes, without waiting long.
pub(super) async fn send_last_message<IO: Stream>(
    tapped: &mut TappedStream<IO>,
    words: &[u8],
    deadline: Deadline,
) {
    let leave = async {
        send(tapped, words).await?;
        poll_fn(|cx| Pin::new(&mut tapped.io).poll_shutdown(cx)).await
    };
    // It is over whether the peer hears it or not.
    let _ = tokio::time::timeout(LAST_MESSAGE_TIMEOUT.min(deadline.remaining()), leave).await;
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
