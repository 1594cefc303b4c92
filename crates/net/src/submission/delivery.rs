//! A message with its envelope, and the result of its delivery.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use starttls_proto::{ClientName, TranscriptEntry};

use super::{Extensions, Message, Reply, SubmissionError};

/// A message with its envelope, and the options of the delivery.
///
/// The delivery uses the extensions that the server offers inside TLS: PIPELINING, SIZE, CHUNKING, 8BITMIME and SMTPUTF8. If
/// it needs an extension that the server does not offer, it fails before the message is sent.
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

/// The last step of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Until {
    /// Read the server's list of extensions.
    Hello,
    /// Send the recipients.
    Recipients,
    /// Send DATA and stop after the server's go-ahead. The caller closes the connection then.
    Data,
    /// Send the message.
    End,
}

/// When the server is to report on a message (RFC 3461 section 4.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notify {
    /// After the delivery.
    Success,
    /// If the delivery fails.
    Failure,
    /// If the delivery is delayed.
    Delay,
    /// Never.
    Never,
}

/// The result of a delivery.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivered {
    /// The extensions that the server offers inside TLS.
    pub extensions: Extensions,
    /// The extensions that the delivery used.
    pub used: Vec<&'static str>,
    /// The result for each recipient, in order.
    pub recipients: Vec<Recipient>,
    /// The reply to the message as a whole; `None` if the server replies once for each recipient (LMTP), and if the delivery
    /// ended before the message.
    pub reply: Option<Reply>,
}

/// The result for one recipient.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Recipient {
    /// The address.
    pub address: String,
    /// The last reply for this recipient.
    pub reply: Option<Reply>,
}

impl Recipient {
    /// Returns whether the server accepted the recipient.
    pub fn is_accepted(&self) -> bool {
        self.reply.as_ref().is_some_and(Reply::is_positive)
    }
}

impl Delivery {
    /// Returns the delivery of a message from this sender (`""` for the null reverse-path) to these recipients.
    ///
    /// # Errors
    /// [`SubmissionError::Address`] for an address that a command cannot contain.
    pub fn new(
        from: impl Into<String>,
        to: impl IntoIterator<Item = impl Into<String>>,
        message: Message,
    ) -> Result<Self, SubmissionError> {
        let (from, to): (_, Vec<String>) = (from.into(), to.into_iter().map(Into::into).collect());
        if !from.is_empty() {
            check_address(&from)?;
        }
        to.iter().try_for_each(|it| check_address(it))?;
        if to.is_empty() {
            return Err(SubmissionError::Address {
                address: String::new(),
                what: "the recipient is missing",
            });
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

    /// Sets the last step. The default is [`Until::End`].
    pub fn until(self, until: Until) -> Self {
        Self { until, ..self }
    }

    /// Requires that every server on the path uses verified TLS, or returns the message (RFC 8689).
    pub fn require_tls(self) -> Self {
        Self { require_tls: true, ..self }
    }

    /// Requests delivery reports (RFC 3461).
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

    /// Sends the message with DATA, even if the server offers CHUNKING.
    pub fn without_chunking(self) -> Self {
        Self { chunking: false, ..self }
    }

    /// Sets the time limit of the whole delivery; 15 minutes by default. Each reply also has the limit of RFC 5321
    /// section 4.5.3.2.
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Sets the client's own name, the argument of EHLO. The default is the address literal `[127.0.0.1]`.
    pub fn client_name(self, name: ClientName) -> Self {
        Self { client_name: name, ..self }
    }

    /// Calls the listener with every command and reply. Of the message it gets only the length.
    pub fn on_message(self, listener: impl Fn(&TranscriptEntry) + Send + Sync + 'static) -> Self {
        Self { listener: Some(Listener(Arc::new(listener))), ..self }
    }
}

/// The default limit: more than the ten minutes that a server may take for the message alone.
const TIMEOUT: Duration = Duration::from_secs(15 * 60);

impl fmt::Debug for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery").field("from", &self.from).field("to", &self.to).finish_non_exhaustive()
    }
}

/// Checks an address. A path has at most 256 octets, two of which are the angle brackets (RFC 5321 section 4.5.3.1.3).
fn check_address(address: &str) -> Result<(), SubmissionError> {
    let invalid = |what| Err(SubmissionError::Address { address: address.to_owned(), what });
    if address.is_empty() {
        invalid("it is empty")
    } else if address.len() > 254 {
        invalid("it is longer than 254 octets")
    } else if address.chars().any(|c| c.is_control() || c.is_whitespace() || "<>".contains(c)) {
        invalid("it contains a space, a control character or an angle bracket")
    } else {
        Ok(())
    }
}
