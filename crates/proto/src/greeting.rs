//! The first message of a server, for a caller that continues on the same stream: in cleartext, with implicit TLS, or
//! after an upgrade.

use alloc::boxed::Box;
use alloc::vec::Vec;

use crate::inbox::Inbox;
use crate::{
    AfterUpgrade, Dialect, DialectContext, Error, ErrorKind, Malformed, Protocol, ReplyTo, ServerMessage,
    Side,
};

/// A client that waits for a server's greeting.
#[must_use = "a greeting is read by giving it what the server sends"]
pub struct Greeting {
    dialect: Box<dyn Dialect>,
    inbox: Inbox,
    /// Any answer counts: the server answers the upgrade request.
    pending: bool,
}

/// A server's greeting.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedGreeting {
    /// The greeting as received.
    pub message: Vec<u8>,
    /// The bytes that the server sent after the greeting.
    pub unread: Vec<u8>,
}

/// The next step while a client waits for a greeting.
#[must_use = "what the server said, or the one who listens, is in here"]
#[derive(Debug)]
pub enum GreetingStep {
    /// The greeting is incomplete. Read, and call `receive` again.
    Continue(Greeting),
    /// The server is ready.
    Greeted(ReceivedGreeting),
    /// The server refuses to serve, with this message.
    Bye(Vec<u8>),
}

impl core::fmt::Debug for Greeting {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Greeting").field("inbox", &self.inbox).finish_non_exhaustive()
    }
}

impl Greeting {
    /// Waits for the greeting of a server that speaks first ([`Flow::greeting`](crate::Flow::greeting)).
    pub fn new(protocol: &Protocol, identity: impl Into<DialectContext>) -> Self {
        let inbox = Inbox::new(Side::Server, protocol);
        Self { dialect: protocol.new_dialect(identity), inbox, pending: false }
    }

    /// Waits for the message that a server sends first after an upgrade: its capabilities, or the pending answer.
    /// Returns `None` if the server sends no such message ([`Flow::after`](crate::Flow::after)).
    pub fn after_upgrade(protocol: &Protocol, identity: impl Into<DialectContext>) -> Option<Self> {
        let identity = identity.into().inside_tls();
        match protocol.flow.after {
            AfterUpgrade::ServerSpeaks => Some(Self::new(protocol, identity)),
            AfterUpgrade::AnswerPending => Some(Self { pending: true, ..Self::new(protocol, identity) }),
            AfterUpgrade::Silent | AfterUpgrade::StreamRestart | AfterUpgrade::SequenceContinues => None,
        }
    }

    /// Reads input from the server.
    ///
    /// # Errors
    /// [`Error`] if the bytes are not a greeting, or if the session is already authenticated.
    pub fn receive(mut self, input: &[u8]) -> Result<GreetingStep, Box<Error>> {
        let rest = self.inbox.push(input);
        loop {
            let Some(cut) = self.inbox.next(&*self.dialect, ReplyTo::Connect)? else {
                return Ok(GreetingStep::Continue(self));
            };
            let message = self.inbox.bytes(&cut).to_vec();
            match self.dialect.read_server(ReplyTo::Connect, &message) {
                Ok(ServerMessage::Interim) => {}
                Ok(ServerMessage::Other) if !self.pending => return Err(self.unexpected(&message)),
                Ok(ServerMessage::Greeting | ServerMessage::Offer { .. } | ServerMessage::Other) => {
                    let unread = [&self.inbox.take(), rest].concat();
                    return Ok(GreetingStep::Greeted(ReceivedGreeting { message, unread }));
                }
                Ok(ServerMessage::Bye) => return Ok(GreetingStep::Bye(message)),
                Ok(ServerMessage::PreAuthenticated) => {
                    let expected = "a session that is not authenticated yet";
                    return Err(Error::new(ErrorKind::PreAuthenticated, Side::Server, expected, &message));
                }
                Ok(_) => return Err(self.unexpected(&message)),
                Err(cause) => return Err(self.inbox.malformed(cause, &message)),
            }
        }
    }

    /// Returns the error for a connection that the server closed.
    pub fn closed(self) -> Box<Error> {
        Error::new(ErrorKind::Closed, Side::Server, "the greeting", b"")
    }

    fn unexpected(&self, message: &[u8]) -> Box<Error> {
        self.inbox.malformed(Malformed { expected: "a greeting" }, message)
    }
}
