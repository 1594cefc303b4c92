//! A delivery over a stream.

use std::io::{self, ErrorKind, Read, Write};
use std::time::Duration;

use starttls_proto::{OutputBuffer, Protocol};

use super::SubmissionError;
use super::delivery::{Delivered, Delivery};
use super::machine::{Submission, SubmissionProgress};
use crate::deadline::{Budget, Deadline};
use crate::login::LoggedIn;
use crate::{Encrypted, blocking};

impl Delivery {
    /// Delivers, in a session in which nothing was said yet, or that somebody has logged in to.
    ///
    /// # Errors
    /// [`SubmissionError`]; close the connection. A recipient that was refused is none: see [`Delivered`].
    #[cfg(feature = "tokio")]
    pub async fn send<IO: tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin>(
        &self,
        protocol: &Protocol,
        stream: &mut Encrypted<IO>,
        login: Option<&LoggedIn>,
    ) -> Result<Delivered, SubmissionError> {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut script = OutputBuffer::default();
        let (mut submission, mut input) = self.start(protocol, stream, login, &mut script);
        let mut clock = Clock::new(self.timeout);
        loop {
            submission = match self.step(submission, &input, &mut script)? {
                SubmissionProgress::Continue(submission) => submission,
                SubmissionProgress::Done(done) => return Ok(done),
            };
            let step = submission.awaits();
            let mut sent = Ok(());
            let bytes = script.take_bytes();
            for block in bytes.chunks(BLOCK) {
                let writing = async {
                    stream.write_all(block).await?;
                    stream.flush().await
                };
                sent = clock.block().within(writing).await;
                if sent.is_err() {
                    break;
                }
            }
            let question = clock.question(&submission, !bytes.is_empty());
            input.resize(4096, 0);
            // A server that has heard enough says why before it closes.
            let moved = match question.within(stream.read(&mut input)).await {
                Ok(count) if count > 0 => Ok(count),
                read => sent.and(read),
            };
            let count = moved_within(step, question, moved)?;
            if count == 0 {
                return Err(submission.closed());
            }
            input.truncate(count);
            clock.budget.spend(&input)?;
        }
    }

    /// The same, blocking.
    ///
    /// # Errors
    /// [`SubmissionError`]; close the connection. A recipient that was refused is none: see [`Delivered`].
    pub fn send_blocking<IO: blocking::Stream>(
        &self,
        protocol: &Protocol,
        stream: &mut Encrypted<IO>,
        login: Option<&LoggedIn>,
    ) -> Result<Delivered, SubmissionError> {
        let mut output = OutputBuffer::default();
        let (mut submission, mut input) = self.start(protocol, stream, login, &mut output);
        let mut clock = Clock::new(self.timeout);
        let done = loop {
            submission = match self.step(submission, &input, &mut output)? {
                SubmissionProgress::Continue(submission) => submission,
                SubmissionProgress::Done(done) => break done,
            };
            let step = submission.awaits();
            let mut sent = Ok(());
            let bytes = output.take_bytes();
            for block in bytes.chunks(BLOCK) {
                stream.tapped.deadline = Some(clock.block());
                sent = stream.write_all(block).and_then(|()| stream.flush());
                if sent.is_err() {
                    break;
                }
            }
            let question = clock.question(&submission, !bytes.is_empty());
            stream.tapped.deadline = Some(question);
            input.resize(4096, 0);
            let moved = match question.check().and_then(|_| stream.read(&mut input)) {
                Ok(count) if count > 0 => Ok(count),
                read => sent.and(read),
            };
            let count = moved_within(step, question, moved)?;
            if count == 0 {
                return Err(submission.closed());
            }
            input.truncate(count);
            clock.budget.spend(&input)?;
        };
        stream.tapped.deadline = None;
        stream
            .tapped
            .io
            .set_timeout(None)
            .map_err(|source| SubmissionError::Io { step: "the session", source })?;
        Ok(done)
    }

    fn start<IO>(
        &self,
        protocol: &Protocol,
        stream: &Encrypted<IO>,
        login: Option<&LoggedIn>,
        script: &mut OutputBuffer,
    ) -> (Submission, Vec<u8>) {
        // Where nothing was negotiated, TLS started at the first byte, and the greeting comes inside.
        let greeted = login.is_none() && stream.facts().timings.negotiation.is_none();
        let unread = login.map(|login| login.unread.clone()).unwrap_or_default();
        (Submission::new(protocol, self.clone(), greeted, script), unread)
    }

    fn step(
        &self,
        submission: Submission,
        input: &[u8],
        output: &mut OutputBuffer,
    ) -> Result<SubmissionProgress, SubmissionError> {
        let received = submission.receive(input, output);
        let said = output.take_entries();
        if let Some(listener) = &self.listener {
            said.iter().for_each(|said| (listener.0)(said));
        }
        received
    }
}

/// Octets that are sent at once, and have a time of their own (RFC 5321 section 4.5.3.2.5).
const BLOCK: usize = 64 * 1024;
const BLOCK_TIME: Duration = Duration::from_secs(180);

/// The time that a delivery has: as a whole, and for the answer that is due.
struct Clock {
    whole: Deadline,
    question: Deadline,
    answers: Option<usize>,
    budget: Budget,
}

impl Clock {
    fn new(limit: Duration) -> Self {
        let whole = Deadline::starting_now(limit);
        // A thousand recipients, with a reply of many lines each.
        let budget = Budget::new(4 * 1024 * 1024, "the end of the delivery within 4 MiB");
        Self { whole, question: whole, answers: None, budget }
    }

    /// The deadline for one block of what is sent.
    fn block(&self) -> Deadline {
        self.whole.at_most(BLOCK_TIME)
    }

    /// The deadline for the next answer: it starts when its question was sent, or when the answer before it was read,
    /// and not again while the server keeps sending what is not the answer.
    fn question(&mut self, submission: &Submission, sent: bool) -> Deadline {
        let answers = Some(submission.answers());
        if sent || self.answers != answers {
            (self.question, self.answers) = (self.whole.at_most(submission.reply_timeout()), answers);
        }
        self.question
    }
}

fn moved_within(
    step: &'static str,
    question: Deadline,
    moved: io::Result<usize>,
) -> Result<usize, SubmissionError> {
    moved.or_else(|source| match source.kind() {
        // Servers that end without a goodbye are common, and nothing here depends on how they end.
        ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset | ErrorKind::BrokenPipe => Ok(0),
        ErrorKind::TimedOut => Err(SubmissionError::Timeout { step, limit: question.limit() }),
        _ => Err(match crate::Error::from_session_io(&source) {
            Some(error) => SubmissionError::Tls(Box::new(error)),
            None => SubmissionError::Io { step, source },
        }),
    })
}
