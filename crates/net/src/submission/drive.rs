//! A delivery over a stream.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use starttls_proto::{Protocol, Script};

use super::Error;
use super::delivery::{Delivered, Delivery};
use super::machine::{Progress, Submission};
use crate::deadline::Deadline;
use crate::login::LoggedIn;
use crate::{Encrypted, blocking};

impl Delivery {
    /// Delivers, in a session in which nothing was said yet, or that somebody has logged in to.
    ///
    /// # Errors
    /// [`Error`]; close the connection. A recipient that was refused is none: see [`Delivered`].
    #[cfg(feature = "tokio")]
    pub async fn send<IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
        &self,
        protocol: &Protocol,
        stream: &mut Encrypted<IO>,
        login: Option<&LoggedIn>,
    ) -> Result<Delivered, Error> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut script = Script::default();
        let (mut submission, mut input) = self.start(protocol, stream, login, &mut script);
        loop {
            submission = match self.step(submission, &input, &mut script)? {
                Progress::Continue(submission) => submission,
                Progress::Done(done) => return Ok(done),
            };
            let (step, limit) = (submission.awaits(), self.limit(&submission));
            let moved = async {
                let sent = async {
                    stream.write_all(&script.take_bytes()).await?;
                    stream.flush().await
                };
                // A server that has heard enough says why before it closes.
                let sent = sent.await;
                input.resize(4096, 0);
                match stream.read(&mut input).await {
                    Ok(count) if count > 0 => Ok(count),
                    read => sent.and(read),
                }
            };
            let moved = tokio::time::timeout(limit, moved).await;
            let count = self.moved(step, limit, moved.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into())))?;
            if count == 0 {
                return Err(submission.closed());
            }
            input.truncate(count);
        }
    }

    /// The same, blocking.
    ///
    /// # Errors
    /// [`Error`]; close the connection. A recipient that was refused is none: see [`Delivered`].
    pub fn send_blocking<IO: blocking::Stream>(
        &self,
        protocol: &Protocol,
        stream: &mut Encrypted<IO>,
        login: Option<&LoggedIn>,
    ) -> Result<Delivered, Error> {
        let mut script = Script::default();
        let (mut submission, mut input) = self.start(protocol, stream, login, &mut script);
        let done = loop {
            submission = match self.step(submission, &input, &mut script)? {
                Progress::Continue(submission) => submission,
                Progress::Done(done) => break done,
            };
            let (step, limit) = (submission.awaits(), self.limit(&submission));
            stream.wire.deadline = Some(Deadline::starting_now(limit));
            let sent = stream.write_all(&script.take_bytes()).and_then(|()| stream.flush());
            input.resize(4096, 0);
            let moved = match stream.read(&mut input) {
                Ok(count) if count > 0 => Ok(count),
                read => sent.and(read),
            };
            let count = self.moved(step, limit, moved)?;
            if count == 0 {
                return Err(submission.closed());
            }
            input.truncate(count);
        };
        stream.wire.deadline = None;
        stream.wire.io.set_timeout(None).map_err(|source| Error::Io { step: "the session", source })?;
        Ok(done)
    }

    fn start<IO>(
        &self,
        protocol: &Protocol,
        stream: &Encrypted<IO>,
        login: Option<&LoggedIn>,
        script: &mut Script,
    ) -> (Submission, Vec<u8>) {
        // Where nothing was negotiated, TLS started at the first byte, and the greeting comes inside.
        let greeted = login.is_none() && stream.facts().timings.negotiation.is_none();
        let unread = login.map(|login| login.unread.clone()).unwrap_or_default();
        (Submission::new(protocol, self.clone(), greeted, script), unread)
    }

    fn step(&self, submission: Submission, input: &[u8], script: &mut Script) -> Result<Progress, Error> {
        let received = submission.receive(input, script);
        let said = script.take_said();
        if let Some(listener) = &self.listener {
            said.iter().for_each(|said| (listener.0)(said));
        }
        received
    }

    fn limit(&self, submission: &Submission) -> Duration {
        if submission.is_at_the_end() { self.timeout * 2 } else { self.timeout }
    }

    fn moved(&self, step: &'static str, limit: Duration, moved: io::Result<usize>) -> Result<usize, Error> {
        moved.or_else(|source| match source.kind() {
            // Servers that end without a goodbye are common, and nothing here depends on how they end.
            ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Ok(0),
            ErrorKind::TimedOut => Err(Error::Timeout { step, limit }),
            _ => Err(Error::Io { step, source }),
        })
    }
}
