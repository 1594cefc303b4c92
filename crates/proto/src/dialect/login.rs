//! The words of a login inside TLS.

use std::fmt;

use super::{Dialect, Side};
use crate::{Malformed, ReplyTo};

/// A dialect that knows how one logs in: recognises and writes; decides nothing.
///
/// Mechanisms go by their names: those that SASL has registered (`PLAIN`, `SCRAM-SHA-256`), and those that
/// the protocol has of its own: `USER` for a name and a password in commands of its own, `SIMPLE`, `APOP`,
/// or the name that the server gives it. What they send and answer is known outside of this crate; a
/// dialect only wraps it. The initial response of `USER` and `SIMPLE` is that of PLAIN (RFC 4616), and
/// `USER` answers every challenge with the password.
pub trait LoginDialect: Dialect {
    /// What ties a login to its TLS connection in this protocol, where the mechanism can do that.
    fn binding(&self) -> ChannelBinding {
        ChannelBinding::Exporter
    }

    /// Whether a granted login means that name and password are right.
    fn is_checked(&self) -> bool {
        true
    }

    /// Whether another mechanism can begin in the same session after one was refused.
    fn can_begin_again(&self) -> bool {
        true
    }

    /// The mechanisms in this list of capabilities, in the server's order; with no message at all, those
    /// that are there without being listed.
    fn mechanisms(&self, list: &[u8]) -> Vec<OfferedMechanism>;

    /// Appends a message of the client's, and says whether it was said as a whole: not if the protocol has
    /// no such message, and not if the initial response did not go along, as it must not everywhere.
    fn write(&mut self, msg: LoginMessage<'_>, out: &mut OutputBuffer) -> bool;

    /// The meaning of one whole message of the server's: of its greeting inside TLS ([`ReplyTo::Connect`],
    /// where only what it tells for the login matters), of an answer to [`LoginMessage::Hello`]
    /// ([`ReplyTo::Hello`]), or of any other.
    ///
    /// # Errors
    /// [`Malformed`] when it means nothing in this place.
    fn read(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<LoginReply, Malformed>;
}

/// What ties a login to its TLS connection, so that an attacker in the middle cannot forward it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChannelBinding {
    /// A secret of both ends' (RFC 9266).
    Exporter,
    /// The server's certificate (RFC 5929 section 4).
    ServerEndPoint,
}

impl ChannelBinding {
    /// Its registered name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exporter => "tls-exporter",
            Self::ServerEndPoint => "tls-server-end-point",
        }
    }
}

/// A message of a client that logs in.
#[derive(Clone, Copy)]
pub enum LoginMessage<'a> {
    /// Asks which mechanisms there are; in some protocols with the name of the user.
    Hello {
        /// The name of the user.
        user: &'a str,
    },
    /// Begins a mechanism.
    Begin {
        /// Its name.
        mechanism: &'a str,
        /// The initial response of the mechanism, if it has one.
        initial: Option<&'a [u8]>,
    },
    /// Answers a challenge.
    Response(&'a [u8]),
    /// Breaks the exchange off.
    Abort,
    /// Asks for the identity of the session (RFC 4532).
    WhoAmI,
}

/// A mechanism that a server offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedMechanism {
    /// Its name, in upper case.
    pub name: String,
    /// What the mechanism is told first, where that comes with the offer.
    pub challenge: Option<Vec<u8>>,
}

impl OfferedMechanism {
    /// One that starts with what the client says, or waits for a challenge.
    pub(crate) fn named(name: impl AsRef<[u8]>) -> Self {
        let name = String::from_utf8_lossy(name.as_ref()).to_ascii_uppercase();
        Self { name, challenge: None }
    }
}

/// What a server's message means to a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginReply {
    /// Answers nothing.
    Interim,
    /// These are the mechanisms.
    Offer(Vec<OfferedMechanism>),
    /// The mechanism goes on with this.
    Challenge(Vec<u8>),
    /// Logged in.
    Granted {
        /// The server's last data for the mechanism, if there is any.
        data: Option<Vec<u8>>,
        /// The user of the session, if the server reports it.
        user: Option<String>,
    },
    /// Not logged in.
    Refused(Denial),
    /// The server is closing.
    Bye,
}

/// Why there is no login.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Denial {
    /// The name, the password or the token is wrong, or not good for this.
    Credentials,
    /// The mechanism is not known there, or not allowed, or failed for a reason that is not the password.
    Mechanism,
    /// The server computed a different channel binding, so it is not at the other end of this TLS connection.
    ChannelBinding,
    /// The server cannot tell for now.
    Temporary,
    /// The server is closing the connection.
    Bye,
}

/// Octets to send, and a transcript of both sides in which secrets are redacted.
#[derive(Default)]
pub struct OutputBuffer {
    bytes: Vec<u8>,
    shown: Vec<u8>,
    said: Vec<TranscriptEntry>,
    /// A value could not be written.
    invalid: bool,
}

/// One message of a login, for people. The client's secrets are blanked; it is not escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TranscriptEntry {
    /// The side that sent it.
    pub from: Side,
    /// The message; in words, where the protocol is not text.
    pub text: Vec<u8>,
}

impl OutputBuffer {
    /// Takes what is to be sent.
    pub fn take_bytes(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Takes the transcript since the last call.
    pub fn take_entries(&mut self) -> Vec<TranscriptEntry> {
        std::mem::take(&mut self.said)
    }

    /// Appends octets that the transcript shows as they are.
    pub fn push_public(&mut self, text: impl AsRef<[u8]>) {
        self.bytes.extend_from_slice(text.as_ref());
        self.shown.extend_from_slice(text.as_ref());
    }

    /// Writes a value that a user chose, such as a name, into a line. It is not a secret.
    ///
    /// A line end in the value would end the command and start another one, so the message is not sent then.
    pub fn push_value(&mut self, value: impl AsRef<[u8]>) {
        self.invalid |= ends_a_line(value.as_ref());
        self.push_public(value);
    }

    /// Writes a secret into a line, as [`push_value`](Self::push_value) does.
    pub fn push_redacted(&mut self, bytes: impl AsRef<[u8]>) {
        self.invalid |= ends_a_line(bytes.as_ref());
        self.bytes.extend_from_slice(bytes.as_ref());
        self.shown.extend_from_slice(b"***");
    }

    /// Appends binary octets, and their description for the transcript.
    pub fn push_described(&mut self, bytes: impl AsRef<[u8]>, shown: &str) {
        self.bytes.extend_from_slice(bytes.as_ref());
        self.shown.extend_from_slice(shown.as_bytes());
    }

    /// Whether a value in the message that is being written would end a line.
    pub(crate) fn is_invalid(&self) -> bool {
        self.invalid
    }

    /// Drops what was not taken yet, if a value in it could not be written; returns whether that was so.
    pub(crate) fn is_withdrawn(&mut self) -> bool {
        if self.invalid {
            self.bytes.clear();
            self.shown.clear();
        }
        std::mem::take(&mut self.invalid)
    }

    /// Ends the client's message in the transcript.
    pub fn end_message(&mut self) {
        if !self.shown.is_empty() {
            let text = std::mem::take(&mut self.shown);
            self.said.push(TranscriptEntry { from: Side::Client, text });
        }
    }

    /// Adds a message of the server to the transcript.
    pub fn record_received(&mut self, text: &[u8]) {
        self.said.push(TranscriptEntry { from: Side::Server, text: text.to_vec() });
    }
}

fn ends_a_line(value: &[u8]) -> bool {
    value.iter().any(|byte| matches!(byte, b'\r' | b'\n' | 0))
}

impl fmt::Debug for OutputBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OutputBuffer").field("octets", &self.bytes.len()).field("said", &self.said).finish()
    }
}

impl fmt::Debug for LoginMessage<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hello { user } => f.debug_struct("Hello").field("user", user).finish(),
            Self::Begin { mechanism, .. } => {
                f.debug_struct("Begin").field("mechanism", mechanism).finish_non_exhaustive()
            }
            Self::Response(_) => f.write_str("Response"),
            Self::Abort => f.write_str("Abort"),
            Self::WhoAmI => f.write_str("WhoAmI"),
        }
    }
}
