//! The first message of a server, for a caller that continues in the same stream: in cleartext where that is allowed,
//! where TLS started at the first byte, or after an upgrade.

use crate::inbox::Inbox;
use crate::{
    AfterUpgrade, Dialect, Error, ErrorKind, Identity, Malformed, Protocol, ReplyTo, ServerMessage, Side,
};

/// Waits for a server's greeting.
#[must_use = "a greeting is read by giving it what the server sends"]
pub struct Greeting {
    dialect: Box<dyn Dialect>,
    inbox: Inbox,
    /// Any answer will do: it is that to the request for the upgrade.
    pending: bool,
}

/// The server has greeted, and is ready.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedGreeting {
    /// The greeting, as it came.
    pub message: Vec<u8>,
    /// What the server sent after it.
    pub unread: Vec<u8>,
}

/// What came of listening.
#[must_use = "what the server said, or the one who listens, is in here"]
#[derive(Debug)]
pub enum GreetingStep {
    /// Not all of it yet: read, and call again.
    Continue(Greeting),
    /// The server is ready.
    Greeted(ReceivedGreeting),
    /// The server will not serve; its words.
    Bye(Vec<u8>),
}

impl std::fmt::Debug for Greeting {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Greeting").field("inbox", &self.inbox).finish_non_exhaustive()
    }
}

impl Greeting {
    /// Waits for the greeting of a server that speaks first ([`Flow::greeting`](crate::Flow::greeting)).
    pub fn new(protocol: &Protocol, identity: Identity) -> Self {
        let inbox = Inbox::new(Side::Server, protocol);
        Self { dialect: (protocol.dialect)(identity), inbox, pending: false }
    }

    /// Waits for what a server sends unasked after an upgrade: its capabilities, or the answer that it still
    /// owes. `None` where it sends nothing ([`Flow::after`](crate::Flow::after)).
    pub fn after_upgrade(protocol: &Protocol, identity: Identity) -> Option<Self> {
        match protocol.flow.after {
            AfterUpgrade::ServerSpeaks => Some(Self::new(protocol, identity)),
            AfterUpgrade::AnswerPending => Some(Self { pending: true, ..Self::new(protocol, identity) }),
            AfterUpgrade::Silent | AfterUpgrade::StreamRestart | AfterUpgrade::SequenceContinues => None,
        }
    }

    /// Takes what the server sent.
    ///
    /// # Errors
    /// [`Error`] when these bytes are not a greeting, or when the session is authenticated already.
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
