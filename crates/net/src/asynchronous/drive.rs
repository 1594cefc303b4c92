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
use crate::attempt::{Broken, HANDSHAKE, Handshake, shake};
use crate::deadline::Deadline;
use crate::machine::{Ended, Machine};
use crate::wire::Wire;
use crate::{Encrypted, Error, stream};

impl<IO: Stream> Handshake<IO> {
    pub(super) async fn run(mut self) -> Result<Encrypted<IO>, Error> {
        let Self { tls, wire, attempt } = &mut self;
        let shaking = poll_fn(|cx| match shake(tls, &mut Polled { wire, cx }) {
            Err(Broken::Io(error)) if error.kind() == ErrorKind::WouldBlock => Poll::Pending,
            done => Poll::Ready(Ok(done)),
        });
        match attempt.deadline.bound(HANDSHAKE, shaking).await? {
            Ok(()) => self.finish(),
            Err(broken) => {
                // The alert that says why is a courtesy, and waits for nobody.
                let alert = broken.alert();
                if alert.is_empty() {
                    let pushed = poll_fn(|cx| waiting(stream::push(tls, &mut Polled { wire, cx })));
                    let _ = tokio::time::timeout(FAREWELL.min(attempt.deadline.remaining()), pushed).await;
                }
                farewell(wire, alert, attempt.deadline).await;
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
    wire: &mut Wire<IO>,
    mut machine: M,
    out: &mut Vec<u8>,
    deadline: &Deadline,
) -> Result<Ended<M::End>, Error> {
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
            if let Poll::Ready(done) = Pin::new(&mut *wire).poll_read(cx, &mut buf) {
                return Poll::Ready(done.map(|()| Some(buf.filled().len())));
            }
            if !out.is_empty() {
                let sent = ready!(Pin::new(&mut *wire).poll_write(cx, out))?;
                out.drain(..sent);
                unflushed = true;
                return Poll::Ready(if sent > 0 { Ok(None) } else { Err(ErrorKind::WriteZero.into()) });
            }
            if unflushed {
                ready!(Pin::new(&mut *wire).poll_flush(cx))?;
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
            Ok(Progress::End(end)) => return Ok(Ended::Otherwise(end)),
            Ok(Progress::Upgrade(upgrade)) => {
                let writing = async { send(wire, out).await.map_err(|cause| deadline.explain(step, cause)) };
                deadline.bound("the peer to take the last message before TLS", writing).await?;
                out.clear();
                return Ok(Ended::Upgrade(upgrade));
            }
            Err(error) => {
                if M::SAYS_GOODBYE {
                    farewell(wire, out, *deadline).await;
                }
                return Err(error.into());
            }
        }
        fresh = out.len() > before;
    }
}

/// How long a connection that is over may take to hear the last words.
const FAREWELL: Duration = Duration::from_secs(1);

/// Sends the last words and closes, without waiting long.
pub(super) async fn farewell<IO: Stream>(wire: &mut Wire<IO>, words: &[u8], deadline: Deadline) {
    let leave = async {
        send(wire, words).await?;
        poll_fn(|cx| Pin::new(&mut wire.io).poll_shutdown(cx)).await
    };
    // It is over whether the peer hears it or not.
    let _ = tokio::time::timeout(FAREWELL.min(deadline.remaining()), leave).await;
}

async fn send<IO: Stream>(wire: &mut Wire<IO>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match poll_fn(|cx| Pin::new(&mut *wire).poll_write(cx, bytes)).await? {
            0 => return Err(ErrorKind::WriteZero.into()),
            sent => bytes = &bytes[sent..],
        }
    }
    poll_fn(|cx| Pin::new(&mut *wire).poll_flush(cx)).await
}
