//! Events and rules of a relay, independent of the protocol.

use alloc::string::String;
use alloc::vec::Vec;
use core::ops::Range;

use crate::{CapabilityRewrite, ClientMessage, ReplyTo, ServerMessage, Side};

/// A message or a change that the relay observed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RelayEvent {
    /// The side that sent it.
    pub from: Side,
    /// The range in the stream of that side, in octets from the start of the connection.
    pub at: Range<u64>,
    /// The kind of event.
    pub kind: EventKind,
    /// The message as readable text, in binary protocols.
    pub text: Option<String>,
}

/// The kind of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A message from the client. The request is [`ClientMessage::Request`]; credentials in cleartext are
    /// [`ClientMessage::Credentials`].
    Client(ClientMessage),
    /// A message from the server, such as an offer, a go-ahead or a refusal.
    Server(ServerMessage),
    /// The end of this side's cleartext. TLS follows, and passes unread.
    Boundary,
    /// Cleartext from this side after its boundary.
    BeyondBoundary,
    /// Bytes that are not a message of the protocol. Everything after them passes unread, in both directions.
    Lost {
        /// What was expected, as a noun phrase.
        expected: &'static str,
    },
}

/// The condition for a rule, independent of the protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Trigger {
    /// The client sends this message.
    Client(ClientMessage),
    /// The client sends a message that is not listed for cleartext where TLS is optional
    /// ([`Dialect::cleartext_permission`](crate::Dialect::cleartext_permission)). The upgrade request and
    /// [`ClientMessage::OnBehalf`] do not trigger it, because they have their own rules.
    ///
    /// [`Edit::AnswerInTurn`] ends the session if servers disagree about the end of the message.
    NeedsTls,
    /// The server sends this message.
    Server(ServerMessage),
    /// The server sends any answer to this.
    Reply(ReplyTo),
    /// This side sends any message. An offer may be spread over several messages.
    Any(Side),
}

/// The change that a rule makes to a message.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Edit {
    /// Changes a capability list, or the information that the client reports about itself.
    Rewrite(CapabilityRewrite),
    /// Drops the message.
    Drop,
    /// Sends these bytes in place of the message.
    Replace(Vec<u8>),
    /// Sends the message with each occurrence of the first byte string replaced by the second.
    Swap(Vec<u8>, Vec<u8>),
    /// Sends these bytes before the message.
    Before(Vec<u8>),
    /// Sends these bytes directly after the message.
    After(Vec<u8>),
    /// Drops the client's message and answers it at once in place of the server.
    Answer(ServerMessage),
    /// Drops the client's message and answers it in place of the server after all earlier answers, so that the
    /// answers arrive in order.
    AnswerInTurn(ServerMessage),
    /// Drops the client's message and sends these bytes as its answer, with the tag or id that the protocol requires.
    Reply(Vec<u8>),
    /// Sends these bytes directly after the message, as the answer to a command of the client. 0 is the client's last
    /// command; a higher number is that many commands later, before the client has sent it.
    PredictReply(u32, Vec<u8>),
    /// Ends a segment directly after the message.
    Cut,
    /// Passes the client's message, and everything after it unread. The server is parsed until it has answered all
    /// earlier messages.
    Release,
    /// Drops the client's request and stops there. [`Relay::upgrade`](super::Relay::upgrade) grants it.
    Grant,
}

/// A rule of a relay: an edit and its condition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayRule {
    /// The condition.
    pub trigger: Trigger,
    /// The edit.
    pub edit: Edit,
}

/// The bytes that the relay has to send to each side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// Bytes for the client.
    pub to_client: Vec<u8>,
    /// Bytes for the server.
    pub to_server: Vec<u8>,
    /// The ends of the segments for the client, in octets from the start of `to_client`.
    pub cuts: Vec<usize>,
}

impl Outgoing {
    pub(super) fn to(&mut self, side: Side) -> &mut Vec<u8> {
        match side {
            Side::Client => &mut self.to_client,
            Side::Server => &mut self.to_server,
        }
    }
}

/// Returns the message with each occurrence of `old` replaced by `new`.
pub(super) fn swapped(message: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::with_capacity(message.len()), message);
    while let Some((first, behind)) = rest.split_first() {
        match rest.strip_prefix(old).filter(|_| !old.is_empty()) {
            Some(behind) => {
                out.extend_from_slice(new);
                rest = behind;
            }
            None => {
                out.push(*first);
                rest = behind;
            }
        }
    }
    out
}
