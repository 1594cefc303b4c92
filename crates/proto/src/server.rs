//! The server's side of the negotiation.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::inbox::{Inbox, Message};
use crate::{
    ClientMessage, Dialect, DialectContext, Error, ErrorKind, Flow, OfferPlace, Progress, Protocol, Refusal,
    ReplyTo, ServerMessage, Side, UNEXPECTED_MESSAGE_ALERT, Upgrade,
};

/// Whether a server can do TLS at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TlsSupport {
    /// It can, and requires it.
    Available,
    /// It can, and requires it, and does not announce it: for clients that ask without an offer.
    Unannounced,
    /// It cannot for now (no certificate, too many handshakes): requests get the protocol's
    /// temporary refusal, and everything else still waits for TLS (rule S5).
    Unavailable,
}

/// A server that requires TLS.
///
/// It greets, lists its capabilities, answers commands that change nothing, and refuses everything else until the
/// client has asked for TLS in the exact form (rules S1, S2, S4). It checks that its buffer is empty
/// before it writes the go-ahead (rule B4). The machine does no I/O; see the [crate documentation](crate).
#[must_use = "a negotiation does nothing until it is driven"]
#[derive(Debug)]
pub struct Server(Box<State>);

struct State {
    dialect: Box<dyn Dialect>,
    flow: Flow,
    inbox: Inbox,
    tls: TlsSupport,
}

impl core::fmt::Debug for State {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("State").field("tls", &self.tls).field("inbox", &self.inbox).finish()
    }
}

/// The session ended before an upgrade, in good order; flush and close.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Quit {
    /// The client ended the session.
    ByClient,
    /// The client insisted on cleartext in a way after which the protocol closes: with this message as readable text, in
    /// binary protocols.
    TlsRequired(Option<String>),
}

impl Server {
    /// Starts a session; appends the greeting if the server speaks first.
    pub fn new(
        protocol: &Protocol,
        identity: impl Into<DialectContext>,
        tls: TlsSupport,
        out: &mut Vec<u8>,
    ) -> Self {
        let mut dialect = protocol.new_dialect(identity);
        let flow = protocol.flow;
        if flow.greeting {
            let greeting = match flow.offer {
                OfferPlace::InGreeting => ServerMessage::Offer { starttls: tls == TlsSupport::Available },
                OfferPlace::AfterHello | OfferPlace::Unannounced => ServerMessage::Greeting,
            };
            dialect.write_server(greeting, out);
        }
        Self(Box::new(State { dialect, flow, inbox: Inbox::new(Side::Client, protocol), tls }))
    }

    /// Returns the error for a connection that the client closed.
    pub fn closed(self) -> Box<Error> {
        Error::new(ErrorKind::Closed, Side::Client, "the upgrade request or a goodbye", b"")
    }

    /// Takes what the client sent and appends what is to be sent back.
    ///
    /// # Errors
    /// [`Error`] when the client broke a rule. `out` then ends with the protocol's own goodbye: send it
    /// if that can be done without waiting, and close the connection.
    pub fn receive(
        mut self,
        mut input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Progress<Self, Quit>, Box<Error>> {
        loop {
            let state = &mut *self.0;
            input = state.inbox.push(input);
            loop {
                // A server that cannot do TLS reads the ClientHello as a violation.
                if state.flow.client_hello_is_request && state.tls != TlsSupport::Unavailable {
                    match state.inbox.starts_with_handshake() {
                        Some(true) => return self.agree(input, out),
                        Some(false) => {}
                        None => break,
                    }
                }
                let (message, read) = match state.next() {
                    Ok(Some(next)) => next,
                    Ok(None) => break,
                    Err(error) => {
                        match error.kind {
                            ErrorKind::TlsNotCleartext => out.extend(UNEXPECTED_MESSAGE_ALERT),
                            _ => state.dialect.write_server(ServerMessage::Bye, out),
                        }
                        return Err(error);
                    }
                };
                let answer = match message {
                    ClientMessage::Request if state.tls != TlsSupport::Unavailable => {
                        return self.agree(input, out);
                    }
                    ClientMessage::Request => ServerMessage::Refuse(Refusal::Temporary),
                    ClientMessage::Hello => {
                        ServerMessage::Offer { starttls: state.tls == TlsSupport::Available }
                    }
                    ClientMessage::Probe | ClientMessage::OnBehalf => ServerMessage::Other,
                    ClientMessage::Silent => continue,
                    ClientMessage::Quit => {
                        state.dialect.write_server(ServerMessage::Bye, out);
                        return Ok(Progress::End(Quit::ByClient));
                    }
                    ClientMessage::Partial | ClientMessage::Credentials | ClientMessage::Other => {
                        ServerMessage::TlsRequired
                    }
                };
                // What follows a literal or message data could be read as data or as a command: never guess.
                let ambiguous =
                    message == ClientMessage::Partial || state.dialect.has_ambiguous_continuation();
                state.dialect.write_server(answer, out);
                if ambiguous || (answer == ServerMessage::TlsRequired && state.flow.closes_when_tls_required)
                {
                    if !state.flow.closes_when_tls_required {
                        state.dialect.write_server(ServerMessage::Bye, out);
                    }
                    let description = state.dialect.describe(Side::Client, state.inbox.bytes(&read));
                    return Ok(Progress::End(Quit::TlsRequired(description)));
                }
            }
            if input.is_empty() {
                return Ok(Progress::Continue(self));
            }
        }
    }

    /// The request is here, whole and exact: agrees, unless anything else is here too.
    fn agree(self, rest: &[u8], out: &mut Vec<u8>) -> Result<Progress<Self, Quit>, Box<Error>> {
        let State { mut dialect, inbox, flow, .. } = *self.0;
        if !flow.request_is_answered {
            return Upgrade::without_go_ahead(&inbox, rest).map(Progress::Upgrade);
        }
        let proof = Upgrade::after_request(&inbox, rest, flow.space_before_tls);
        dialect.write_server(if proof.is_ok() { ServerMessage::Accept } else { ServerMessage::Bye }, out);
        proof.map(Progress::Upgrade)
    }
}

impl State {
    fn next(&mut self) -> Result<Option<(ClientMessage, Message)>, Box<Error>> {
        let Some(message) = self.inbox.next(&*self.dialect, ReplyTo::Other)? else { return Ok(None) };
        let bytes = self.inbox.bytes(&message);
        match self.dialect.read_client(bytes) {
            Ok(meaning) => Ok(Some((meaning, message))),
            Err(cause) => Err(self.inbox.malformed(cause, bytes)),
        }
    }
}
