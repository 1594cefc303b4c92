//! The client's side of the negotiation.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use crate::hello_refusal::{HelloRefusal, names_the_client};
use crate::inbox::Inbox;
use crate::{
    ClientMessage, Dialect, DialectContext, Error, ErrorKind, Flow, Identity, Malformed, OfferPlace,
    Progress, Protocol, Refusal, ReplyTo, ServerMessage, Side, Upgrade,
};

/// A client that asks for TLS and takes nothing but the exact go-ahead for a yes.
///
/// The machine does no I/O. Write what it appends to `out`, then give it what the server sends; see the
/// [crate documentation](crate) for the loop.
///
/// It asks whether the upgrade was offered or not, since an attacker can remove an offer more easily than
/// an answer (rule C2). An answer counts only after its question was written: input that is given while
/// `out` still holds bytes is older than the question in it, and an answer in it is an error (rule C3).
///
/// What was sent in cleartext stays in the machine, and the machine is gone when it has agreed:
/// ```compile_fail,E0382
/// # fn twice(client: starttls_proto::Client, out: &mut Vec<u8>) {
/// let agreed = client.receive(b"220 go\r\n", out);
/// let more = client.receive(b"250 AUTH PLAIN\r\n", out);
/// # }
/// ```
#[must_use = "a negotiation does nothing until it is driven"]
#[derive(Debug)]
pub struct Client(Box<State>);

struct State {
    dialect: Box<dyn Dialect>,
    flow: Flow,
    inbox: Inbox,
    awaiting: ReplyTo,
    offered: Option<bool>,
    /// The messages of the hello that were not sent yet.
    hello_rounds: u8,
    /// Makes another dialect, to see whether the hello has the client's name in it.
    another: fn(DialectContext) -> Box<dyn Dialect>,
    hello_refusal: Option<HelloRefusal>,
}

impl core::fmt::Debug for State {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("State").field("awaiting", &self.awaiting).field("offered", &self.offered).finish()
    }
}

/// The server will not upgrade. The connection is still in cleartext.
///
/// Close it, unless cleartext is what the user spelled out, or ask again with [`retry`](Self::retry).
#[must_use = "the connection is still in cleartext: close it, retry, or say that cleartext is allowed"]
#[derive(Debug)]
#[non_exhaustive]
pub struct Declined {
    /// Why.
    pub reason: DeclinedReason,
    /// Whether the server had offered the upgrade; `None` where the protocol has no offer, and where the server
    /// listed nothing.
    pub offered: Option<bool>,
    /// What the server answered to the hello, if that was an error and no list.
    pub hello_refusal: Option<HelloRefusal>,
    /// The server's answer, unescaped and not authenticated.
    pub answer: Vec<u8>,
    /// The server's answer as readable text, in binary protocols.
    pub description: Option<String>,
    client: Client,
}

/// Why there is no upgrade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeclinedReason {
    /// The server cannot upgrade, by its own account, in a protocol that gives no other answer (MySQL, VNC).
    NotOffered,
    /// The request was refused.
    Refused(Refusal),
    /// The server is closing, throttling or unable to serve.
    Bye,
}

impl Declined {
    /// Asks once more on the same connection, if the refusal was temporary. The pause is the caller's.
    ///
    /// # Errors
    /// Gives `self` back when asking again is pointless.
    pub fn retry(mut self, out: &mut Vec<u8>) -> Result<Client, Box<Self>> {
        if self.reason != DeclinedReason::Refused(Refusal::Temporary) {
            return Err(Box::new(self));
        }
        self.client.0.ask(ReplyTo::Request, out);
        Ok(self.client)
    }

    /// Whether the connection can go on in cleartext: it was refused an upgrade, not closed, and nothing
    /// that the server sent is left unread.
    pub fn is_usable_in_cleartext(&self) -> bool {
        self.reason != DeclinedReason::Bye && self.client.0.inbox.is_empty()
    }
}

impl Client {
    /// Starts a negotiation; appends the client's first message if the client speaks first.
    pub fn new(protocol: &Protocol, identity: impl Into<DialectContext>, out: &mut Vec<u8>) -> Self {
        let mut state = State {
            dialect: protocol.new_dialect(identity),
            flow: protocol.flow,
            inbox: Inbox::new(Side::Server, protocol),
            awaiting: ReplyTo::Connect,
            offered: None,
            hello_rounds: protocol.flow.hello_rounds,
            another: protocol.dialect,
            hello_refusal: None,
        };
        if !state.flow.greeting {
            state.advance(out);
        }
        Self(Box::new(state))
    }

    /// What the server owes now, as a noun phrase for errors ("the greeting").
    pub fn awaits(&self) -> &'static str {
        self.0.awaits()
    }

    /// Returns the message that the server's next message answers.
    pub fn awaited_reply(&self) -> ReplyTo {
        self.0.awaiting
    }

    /// Returns the error for a connection that the server closed; it names what the server owed.
    pub fn closed(self) -> Box<Error> {
        match &self.0.hello_refusal {
            // The refused hello is the likely reason.
            Some(hello_refusal) => {
                let expected = "the answer to the upgrade request, after the server refused the hello";
                Error::new(ErrorKind::Closed, Side::Server, expected, hello_refusal.answer().as_bytes())
            }
            None => Error::new(ErrorKind::Closed, Side::Server, self.awaits(), b""),
        }
    }

    /// Takes what the server sent and appends what is to be sent next.
    ///
    /// # Errors
    /// [`Error`] when the server broke a rule; close the connection.
    pub fn receive(
        mut self,
        mut input: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Progress<Self, Declined>, Box<Error>> {
        let state = &mut *self.0;
        loop {
            input = state.inbox.push(input);
            if !out.is_empty() {
                state.inbox.question();
            }
            while let Some(message) = state.inbox.next(&*state.dialect, state.awaiting)? {
                let bytes = state.inbox.bytes(&message);
                let meaning = if message.early {
                    match state.dialect.read_server(ReplyTo::Other, bytes) {
                        Ok(interim @ (ServerMessage::Interim | ServerMessage::Bye)) => interim,
                        _ => return Err(state.early_answer(bytes)),
                    }
                } else {
                    state
                        .dialect
                        .read_server(state.awaiting, bytes)
                        .map_err(|cause| state.malformed(cause, bytes))?
                };
                let reason = match meaning {
                    ServerMessage::Interim => continue,
                    ServerMessage::Greeting if state.awaiting == ReplyTo::Connect => {
                        state.advance(out);
                        continue;
                    }
                    ServerMessage::Offer { starttls } if state.awaiting != ReplyTo::Request => {
                        if state.awaiting == ReplyTo::Hello && !starttls {
                            let another = state.another;
                            let names_client =
                                || names_the_client(&mut *another(Identity::new("").with_nonce(0)));
                            state.hello_refusal = HelloRefusal::of(&*state.dialect, names_client, bytes);
                        }
                        state.offered = state.hello_refusal.is_none().then_some(starttls);
                        let must_be_offered = !state.flow.request_is_answered || state.flow.hello_rounds > 1;
                        if must_be_offered && !starttls {
                            DeclinedReason::NotOffered
                        } else {
                            state.advance(out);
                            if !state.flow.request_is_answered {
                                return Upgrade::at_boundary(&self.0.inbox, input).map(Progress::Upgrade);
                            }
                            continue;
                        }
                    }
                    ServerMessage::Accept if state.awaiting == ReplyTo::Request => {
                        return Upgrade::at_boundary(&self.0.inbox, input).map(Progress::Upgrade);
                    }
                    ServerMessage::Refuse(refusal) if state.awaiting == ReplyTo::Request => {
                        DeclinedReason::Refused(refusal)
                    }
                    ServerMessage::Bye => DeclinedReason::Bye,
                    ServerMessage::PreAuthenticated => {
                        let expected = "a session that is not authenticated yet";
                        return Err(Error::new(ErrorKind::PreAuthenticated, Side::Server, expected, bytes));
                    }
                    _ => return Err(state.malformed(Malformed { expected: state.awaits() }, bytes)),
                };
                let answer = bytes.to_vec();
                let description = state.dialect.describe(Side::Server, bytes);
                let (offered, hello_refusal) = (state.offered, state.hello_refusal.take());
                // What is still unread came in cleartext too: it stays with the machine, and a retry finds it early.
                state.inbox.push(input);
                let client = self;
                let declined = Declined { reason, offered, hello_refusal, answer, description, client };
                return Ok(Progress::End(declined));
            }
            if input.is_empty() {
                return Ok(Progress::Continue(self));
            }
        }
    }
}

impl State {
    /// Puts the next question: the hello where the offer is still unknown, or its next message; the request otherwise.
    fn advance(&mut self, out: &mut Vec<u8>) {
        let begins = self.flow.offer == OfferPlace::AfterHello && self.offered != Some(true);
        let continues = self.awaiting == ReplyTo::Hello || (self.awaiting == ReplyTo::Connect && begins);
        if continues && self.hello_rounds > 0 {
            self.hello_rounds -= 1;
            return self.ask(ReplyTo::Hello, out);
        }
        self.ask(ReplyTo::Request, out);
    }

    fn ask(&mut self, question: ReplyTo, out: &mut Vec<u8>) {
        let message = if question == ReplyTo::Hello { ClientMessage::Hello } else { ClientMessage::Request };
        self.dialect.write_client(message, out);
        self.awaiting = question;
        self.inbox.question();
    }

    fn awaits(&self) -> &'static str {
        match self.awaiting {
            ReplyTo::Connect => "the greeting",
            ReplyTo::Hello => "the answer to the hello",
            ReplyTo::Request | ReplyTo::Other => "the answer to the upgrade request",
        }
    }

    fn early_answer(&self, bytes: &[u8]) -> Box<Error> {
        Error::new(ErrorKind::EarlyAnswer, Side::Server, "silence until the question was sent", bytes)
    }

    fn malformed(&self, cause: Malformed, bytes: &[u8]) -> Box<Error> {
        self.inbox.malformed(cause, bytes)
    }
}
