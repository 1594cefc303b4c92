//! The messages of a login inside TLS.

use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;

use super::{Dialect, Side};
use crate::{Malformed, ReplyTo};

/// A dialect that implements logins: it parses and writes messages, but makes no decisions.
///
/// Mechanisms are identified by name: registered SASL names (`PLAIN`, `SCRAM-SHA-256`), names of the protocol's own
/// logins (`USER` for a name and a password in separate commands, `SIMPLE`, `APOP`), or the name that the server
/// sends. The data of the mechanisms is computed outside of this crate; a dialect only encodes it. The initial
/// response of `USER` and `SIMPLE` is that of PLAIN (RFC 4616), and `USER` answers every challenge with the password.
pub trait LoginDialect: Dialect {
    /// Returns the type of channel binding in this protocol, for mechanisms that support it.
    fn binding(&self) -> ChannelBinding {
        ChannelBinding::Exporter
    }

    /// Returns whether the server has checked the name and the password when it grants a login.
    fn is_checked(&self) -> bool {
        true
    }

    /// Returns whether another mechanism can begin in the same session after a refusal.
    fn can_begin_again(&self) -> bool {
        true
    }

    /// Returns the mechanisms in this capability list, in the server's order. An empty list returns the mechanisms
    /// that are available without being listed.
    fn mechanisms(&self, list: &[u8]) -> Vec<OfferedMechanism>;

    /// Appends a message of the client. Returns whether it was written completely: false if the protocol has no such
    /// message, or if the initial response was not included because the protocol does not permit it there.
    fn write(&mut self, msg: LoginMessage<'_>, out: &mut OutputBuffer) -> bool;

    /// Returns the meaning of one complete message of the server: the greeting inside TLS ([`ReplyTo::Connect`], read
    /// only for data that the login uses), the answer to [`LoginMessage::Hello`] ([`ReplyTo::Hello`]), or any other
    /// message.
    ///
    /// # Errors
    /// [`Malformed`] if the message has no meaning at this point.
    fn read(&mut self, reply_to: ReplyTo, msg: &[u8]) -> Result<LoginReply, Malformed>;
}

/// The data that binds a login to its TLS connection, so that an attacker in the middle cannot forward it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ChannelBinding {
    /// A secret that both ends derive from the TLS session (RFC 9266).
    Exporter,
    /// The server's certificate (RFC 5929 section 4).
    ServerEndPoint,
}

impl ChannelBinding {
    /// Returns the registered name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Exporter => "tls-exporter",
            Self::ServerEndPoint => "tls-server-end-point",
        }
    }
}

/// A message of a client in a login.
#[derive(Clone, Copy)]
pub enum LoginMessage<'a> {
    /// Asks for the mechanisms. In some protocols it contains the user name.
    Hello {
        /// The name of the user.
        user: &'a str,
    },
    /// Begins a mechanism.
    Begin {
        /// The name of the mechanism.
        mechanism: &'a str,
        /// The initial response of the mechanism, if it has one.
        initial: Option<&'a [u8]>,
    },
    /// Answers a challenge.
    Response(&'a [u8]),
    /// Aborts the exchange.
    Abort,
    /// Asks for the identity of the session (RFC 4532).
    WhoAmI,
}

/// A mechanism that a server offers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OfferedMechanism {
    /// The name, in upper case.
    pub name: String,
    /// The first challenge, if the offer contains it.
    pub challenge: Option<Vec<u8>>,
}

impl OfferedMechanism {
    /// Returns a mechanism without a challenge in its offer.
    pub(crate) fn named(name: impl AsRef<[u8]>) -> Self {
        let name = String::from_utf8_lossy(name.as_ref()).to_ascii_uppercase();
        Self { name, challenge: None }
    }
}

/// The meaning of a server's message for a login.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LoginReply {
    /// Answers nothing.
    Interim,
    /// Lists the mechanisms.
    Offer(Vec<OfferedMechanism>),
    /// Continues the mechanism with this challenge.
    Challenge(Vec<u8>),
    /// The login succeeded.
    Granted {
        /// The server's final data for the mechanism, if any.
        data: Option<Vec<u8>>,
        /// The user of the session, if the server reports it.
        user: Option<String>,
    },
    /// The login failed.
    Refused(Denial),
    /// The server is closing.
    Bye,
}

/// The reason for which a login failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Denial {
    /// The name, the password or the token is wrong, or not permitted for this.
    Credentials,
    /// The mechanism is unknown, not permitted, or failed for a reason other than the password.
    Mechanism,
    /// The server computed a different channel binding, so it is not at the other end of this TLS connection.
    ChannelBinding,
    /// The server cannot decide at the moment.
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

/// A message of a login as readable text, with the client's secrets redacted. It is not escaped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TranscriptEntry {
    /// The side that sent it.
    pub from: Side,
    /// The message, or its description in a binary protocol.
    pub text: Vec<u8>,
}

impl OutputBuffer {
    /// Takes the octets to send.
    pub fn take_bytes(&mut self) -> Vec<u8> {
        core::mem::take(&mut self.bytes)
    }

    /// Takes the transcript since the last call.
    pub fn take_entries(&mut self) -> Vec<TranscriptEntry> {
        core::mem::take(&mut self.said)
    }

    /// Appends octets that the transcript shows unchanged.
    pub fn push_public(&mut self, text: impl AsRef<[u8]>) {
        self.bytes.extend_from_slice(text.as_ref());
        self.shown.extend_from_slice(text.as_ref());
    }

    /// Appends a value that a user chose, such as a name, to a line. The value is not a secret.
    ///
    /// A line end in the value would end the command and start another command, so such a message is not sent.
    pub fn push_value(&mut self, value: impl AsRef<[u8]>) {
        self.invalid |= ends_a_line(value.as_ref());
        self.push_public(value);
    }

    /// Appends a secret to a line, with the check of [`push_value`](Self::push_value).
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

    /// Returns whether a value in the current message would end a line.
    pub(crate) fn is_invalid(&self) -> bool {
        self.invalid
    }

    /// Drops the octets that were not taken yet if a value among them could not be written. Returns whether they were
    /// dropped.
    pub(crate) fn is_withdrawn(&mut self) -> bool {
        if self.invalid {
            self.bytes.clear();
            self.shown.clear();
        }
        core::mem::take(&mut self.invalid)
    }

    /// Ends the client's message in the transcript.
    pub fn end_message(&mut self) {
        if !self.shown.is_empty() {
            let text = core::mem::take(&mut self.shown);
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
