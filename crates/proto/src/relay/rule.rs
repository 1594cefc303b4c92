//! Events and rules of a relay. They name no protocol.

use std::ops::Range;

use crate::{CapabilityRewrite, ClientMessage, ReplyTo, ServerMessage, Side};

/// Something the relay saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayEvent {
    /// The side that sent it.
    pub from: Side,
    /// Where it lies in what that side sent, counted from the first byte of the connection.
    pub at: Range<u64>,
    /// What it was.
    pub kind: EventKind,
    /// The message in words, in protocols that people cannot read.
    pub text: Option<String>,
}

/// What the relay saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum EventKind {
    /// A message of the client's: the request is [`ClientMessage::Request`], credentials in cleartext
    /// are [`ClientMessage::Credentials`].
    Client(ClientMessage),
    /// A message of the server's: offered, accepted, refused.
    Server(ServerMessage),
    /// This side's cleartext ends here: what follows is TLS, and passes unread.
    Boundary,
    /// This side sent cleartext beyond its boundary.
    BeyondBoundary,
    /// These bytes are no message of the protocol. What follows passes unread, in both directions.
    Lost {
        /// What should have been there.
        expected: &'static str,
    },
}

/// When a rule applies. It names no protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trigger {
    /// When the client sends this.
    Client(ClientMessage),
    /// When the client sends what may not pass in cleartext where TLS is optional, by the protocol's list
    /// ([`Dialect::cleartext_permission`](crate::Dialect::cleartext_permission)). The upgrade request and
    /// [`ClientMessage::OnBehalf`] are not among it: they have rules of their own.
    ///
    /// [`Edit::AnswerInTurn`] ends the session where servers disagree about the end of the message.
    NeedsTls,
    /// When the server sends this.
    Server(ServerMessage),
    /// When the server answers this, with any answer.
    Reply(ReplyTo),
    /// Whenever this side sends a message: an offer may be spread over several.
    Any(Side),
}

/// What a rule does with the message that it applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Changes a list of capabilities, or what the client reports about itself.
    Rewrite(CapabilityRewrite),
    /// Swallows the message.
    Drop,
    /// Sends these bytes instead.
    Replace(Vec<u8>),
    /// Sends the message with the second in place of the first, wherever that stands in it.
    Swap(Vec<u8>, Vec<u8>),
    /// Sends these bytes first.
    Before(Vec<u8>),
    /// Sends these bytes right after the message.
    After(Vec<u8>),
    /// Swallows the client's message and answers it in the server's place, at once.
    Answer(ServerMessage),
    /// The same, after everything before it is answered, so that the client sees one well-ordered session.
    AnswerInTurn(ServerMessage),
    /// Swallows the client's message and answers it with these words, tied to it as the protocol has it.
    Reply(Vec<u8>),
    /// Sends these words right behind, as the answer to the question that is so many behind the client's last
    /// one: 0 is that one, 1 is not put yet.
    PredictReply(u32, Vec<u8>),
    /// Ends a segment right after the message.
    Cut,
    /// Lets the client's message pass, and everything after it unread; the server is read until it has
    /// answered what came before.
    Release,
    /// Swallows the client's request and stops there: [`Relay::upgrade`](super::Relay::upgrade) grants it.
    Grant,
}

/// An edit and the moment for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelayRule {
    /// When.
    pub trigger: Trigger,
    /// What.
    pub edit: Edit,
}

/// What the relay has to send on, to each side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// For the client.
    pub to_client: Vec<u8>,
    /// For the server.
    pub to_server: Vec<u8>,
    /// Where segments for the client end, in octets from the start of `to_client`.
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

/// A message with the one in place of the other.
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
