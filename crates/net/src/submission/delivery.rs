//! What is to be delivered, and what came of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use starttls_proto::{ClientName, TranscriptEntry};

use super::{Extensions, Message, Reply, SubmissionError};

/// A message in its envelope, and how it is to travel.
///
/// What the server offers inside TLS is used where it is of use: PIPELINING, SIZE, CHUNKING, 8BITMIME and
/// SMTPUTF8. What was asked for, or is needed, and is not offered, is an error before the message is sent.
#[derive(Clone)]
#[must_use = "a delivery does nothing until it is sent"]
pub struct Delivery {
    pub(super) from: String,
    pub(super) to: Vec<String>,
    pub(super) message: Message,
    pub(super) until: Until,
    pub(super) require_tls: bool,
    pub(super) notify: Option<String>,
    pub(super) chunking: bool,
    pub(super) timeout: Duration,
    pub(super) client_name: ClientName,
    pub(super) listener: Option<Listener>,
}

#[derive(Clone)]
pub(super) struct Listener(pub(super) Arc<dyn Fn(&TranscriptEntry) + Send + Sync>);

/// How far to go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Until {
    /// Ask what the server can do.
    Hello,
    /// Name the recipients.
    Recipients,
    /// Have the server ask for the message, and say nothing more: close the connection then.
    Data,
    /// Deliver.
    End,
}

/// When the server is to report on a message (RFC 3461 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// When it was delivered.
    Success,
    /// When it cannot be delivered.
    Failure,
    /// When it takes long.
    Delay,
    /// Never.
    Never,
}

/// What came of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivered {
    /// What the server can do, inside TLS.
    pub extensions: Extensions,
    /// The extensions that were made use of.
    pub used: Vec<&'static str>,
    /// What became of each recipient, in order.
    pub recipients: Vec<Recipient>,
    /// The answer to the message as a whole; none where the recipients were answered one by one (LMTP), and
    /// where it did not come to that.
    pub reply: Option<Reply>,
}

/// What became of one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recipient {
    /// The address.
    pub address: String,
    /// The last word about it.
    pub reply: Option<Reply>,
}

impl Recipient {
    /// Whether the server took it on.
    pub fn is_accepted(&self) -> bool {
        self.reply.as_ref().is_some_and(Reply::is_positive)
    }
}

impl Delivery {
    /// A message from somebody, or from nobody (`""`), to these.
    ///
    /// # Errors
    /// [`SubmissionError::Address`] for what would be read otherwise than it is meant.
    pub fn new(
        from: impl Into<String>,
        to: impl IntoIterator<Item = impl Into<String>>,
        message: Message,
    ) -> Result<Self, SubmissionError> {
        let (from, to): (_, Vec<String>) = (from.into(), to.into_iter().map(Into::into).collect());
        if !from.is_empty() {
            address(&from)?;
        }
        to.iter().try_for_each(|it| address(it))?;
        if to.is_empty() {
            return Err(SubmissionError::Address { address: String::new(), what: "there is no recipient" });
        }
        Ok(Self {
            from,
            to,
            message,
            until: Until::End,
            require_tls: false,
            notify: None,
            chunking: true,
            timeout: TIMEOUT,
            client_name: ClientName::default(),
            listener: None,
        })
    }

    /// Stops early, without sending the message.
    pub fn until(self, until: Until) -> Self {
        Self { until, ..self }
    }

    /// Has every server on the way use verified TLS, or send the message back (RFC 8689).
    pub fn require_tls(self) -> Self {
        Self { require_tls: true, ..self }
    }

    /// Asks for reports (RFC 3461).
    pub fn notify(self, when: &[Notify]) -> Self {
        let words: Vec<&str> = when
            .iter()
            .map(|when| match when {
                Notify::Success => "SUCCESS",
                Notify::Failure => "FAILURE",
                Notify::Delay => "DELAY",
                Notify::Never => "NEVER",
            })
            .collect();
        Self { notify: (!words.is_empty()).then(|| words.join(",")), ..self }
    }

    /// Sends the message by DATA, though the server offers CHUNKING.
    pub fn without_chunking(self) -> Self {
        Self { chunking: false, ..self }
    }

    /// Sets the time for the delivery as a whole; 15 minutes by default. Each answer has the time that RFC 5321
    /// section 4.5.3.2 gives it, if that is less.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sets the client's own name, the argument of EHLO. The default is the address literal `[127.0.0.1]`.
    pub fn client_name(self, name: ClientName) -> Self {
        Self { client_name: name, ..self }
    }

    /// Hears every command and reply; of the message only how long it is.
    pub fn on_message(self, listener: impl Fn(&TranscriptEntry) + Send + Sync + 'static) -> Self {
        Self { listener: Some(Listener(Arc::new(listener))), ..self }
    }
}

/// For everything: more than the ten minutes that a server may take for the message alone.
const TIMEOUT: Duration = Duration::from_secs(15 * 60);

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("from", &self.from).field("to", &self.to).finish_non_exhaustive()
    }
}

/// RFC 5321 section 4.5.3.1.3: a path has 256 octets at most; and it stands in angle brackets.
fn address(address: &str) -> Result<(), SubmissionError> {
    let wrong = |what| Err(SubmissionError::Address { address: address.to_owned(), what });
    if address.is_empty() {
        wrong("it is empty")
    } else if address.len() > 254 {
        wrong("it is longer than 254 octets")
    } else if address.chars().any(|c| c.is_control() || c.is_whitespace() || "<>".contains(c)) {
        wrong("it has a space, a control character or an angle bracket in it")
    } else {
        Ok(())
    }
}
