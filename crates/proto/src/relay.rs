//! The middle: watches both directions of a negotiation, or edits them.

use std::collections::VecDeque;
use std::ops::Range;

use crate::boundary::Inbox;
use crate::{ClientMessage, Dialect, Flow, Identity, Protocol, ReplyTo, ServerMessage, Side};

/// Something the relay saw.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Who sent it.
    pub from: Side,
    /// Where it lies in what that side sent, counted from the first byte of the connection.
    pub at: Range<u64>,
    /// What it was.
    pub what: What,
    /// The message in words, in protocols that people cannot read.
    pub text: Option<String>,
}

/// What the relay saw.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum What {
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
pub enum Moment {
    /// When the client sends this.
    Client(ClientMessage),
    /// When the server sends this.
    Server(ServerMessage),
    /// When the server sends what answers this, whatever it says.
    Reply(ReplyTo),
    /// Whenever this side sends a message: an offer may be spread over several.
    Any(Side),
}

/// What a rule does with the message that it applies to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Edit {
    /// Takes the upgrade out of what the server says it can do.
    StripOffer,
    /// Swallows the message.
    Drop,
    /// Sends these bytes instead.
    Replace(Vec<u8>),
    /// Sends the message with the second in place of the first, wherever that stands in it.
    Swap(Vec<u8>, Vec<u8>),
    /// Sends these bytes first.
    Before(Vec<u8>),
    /// Sends these bytes right behind.
    After(Vec<u8>),
    /// Swallows the client's message and answers it in the server's place.
    Answer(ServerMessage),
    /// Swallows the client's message and answers it with these words, tied to it as the protocol has it.
    Reply(Vec<u8>),
    /// Sends these words right behind, as the answer to the question that is so many behind the client's last
    /// one: 0 is that one, 1 is not put yet.
    Foretell(u32, Vec<u8>),
    /// Ends a segment right behind.
    Cut,
}

/// An edit and the moment for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// When.
    pub at: Moment,
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
    /// Where a segment for the client ends before all is said, counted from the start of `to_client`.
    pub cuts: Vec<usize>,
}

impl Outgoing {
    fn to(&mut self, side: Side) -> &mut Vec<u8> {
        match side {
            Side::Client => &mut self.to_client,
            Side::Server => &mut self.to_server,
        }
    }
}

/// Stands between a client and a server and reads both.
///
/// Without rules it is an observer: it passes every byte on at once, unchanged, and reports what it meant.
/// With rules it passes whole messages on, edited where a rule applies. Past the boundary, and past bytes
/// that it cannot read, everything passes unread.
pub struct Relay {
    dialect: Box<dyn Dialect>,
    flow: Flow,
    rules: Vec<Rule>,
    client: Lane,
    server: Lane,
    /// Whether what comes beyond the boundary is kept for the caller.
    stops: bool,
    /// Whether a moment of a rule has come.
    applied: bool,
    /// What the client's commands make the server's next messages answer, oldest first.
    due: VecDeque<ReplyTo>,
}

struct Lane {
    inbox: Inbox,
    reading: Reading,
    /// What came beyond the boundary, for a relay that stops there.
    beyond: Vec<u8>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Reading {
    Messages,
    /// The request is out; whether TLS follows, the answer will tell.
    AwaitingVerdict,
    Opaque,
    /// Beyond the boundary, where the relay stops there.
    Beyond,
}

/// What became of a message that passed the rules.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fate {
    Untouched,
    Changed,
    Swallowed,
}

/// Commands that may wait for their answers before the relay gives up reading.
const MAX_DUE: usize = 1024;

impl std::fmt::Debug for Relay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Relay").field("rules", &self.rules).field("due", &self.due).finish_non_exhaustive()
    }
}

impl Relay {
    /// A relay for one connection.
    pub fn new(protocol: &Protocol, rules: Vec<Rule>) -> Self {
        let lane = |from| Lane {
            inbox: Inbox::endless(from, protocol),
            reading: Reading::Messages,
            beyond: Vec::new(),
        };
        Self {
            dialect: (protocol.dialect)(Identity::new("")),
            flow: protocol.flow,
            rules,
            client: lane(Side::Client),
            server: lane(Side::Server),
            stops: false,
            applied: false,
            due: VecDeque::from_iter(protocol.flow.greeting.then_some(ReplyTo::Connect)),
        }
    }

    /// The same for who has TLS of his own with both sides: what comes beyond the boundary does not pass, but
    /// is kept for [`into_beyond`](Self::into_beyond).
    #[must_use]
    pub fn until_boundary(self) -> Self {
        Self { stops: true, ..self }
    }

    /// Whether the moment of any rule has come.
    pub fn has_applied(&self) -> bool {
        self.applied
    }

    /// What this side sent beyond the boundary, where the relay stops there.
    #[must_use]
    pub fn into_beyond(self, from: Side) -> Vec<u8> {
        match from {
            Side::Client => self.client.beyond,
            Side::Server => self.server.beyond,
        }
    }

    /// Takes what `from` sent, appends what is to be sent on to `out` and what was seen to `events`.
    pub fn receive(&mut self, from: Side, mut input: &[u8], out: &mut Outgoing, events: &mut Vec<Event>) {
        if self.observes() {
            out.to(from.peer()).extend_from_slice(input);
        }
        while !input.is_empty() {
            match self.lane(from).reading {
                Reading::Beyond => return self.lane(from).beyond.extend_from_slice(input),
                Reading::Opaque => return self.pass(from.peer(), input, out),
                Reading::Messages | Reading::AwaitingVerdict => {}
            }
            let rest = self.lane(from).inbox.push(input);
            self.read(from, out, events);
            // An answer may have made the client's bytes behind its request readable.
            self.read(from.peer(), out, events);
            let reading = self.lane(from).reading;
            if rest.len() == input.len() && matches!(reading, Reading::Messages | Reading::AwaitingVerdict) {
                self.lose("the answer to the request", from, out, events);
            }
            input = rest;
        }
    }

    fn lane(&mut self, side: Side) -> &mut Lane {
        match side {
            Side::Client => &mut self.client,
            Side::Server => &mut self.server,
        }
    }

    /// Whether every byte passes at once and unchanged.
    fn observes(&self) -> bool {
        self.rules.is_empty() && !self.stops
    }

    /// Sends edited bytes; an observer has sent the original ones already.
    fn pass(&self, to: Side, bytes: &[u8], out: &mut Outgoing) {
        if !self.observes() {
            out.to(to).extend_from_slice(bytes);
        }
    }

    fn read(&mut self, from: Side, out: &mut Outgoing, events: &mut Vec<Event>) {
        while self.lane(from).reading == Reading::Messages {
            let reply_to = self.due.front().copied().unwrap_or(ReplyTo::Other);
            let lane = if from == Side::Client { &mut self.client } else { &mut self.server };
            let message = match lane.inbox.next(&*self.dialect, reply_to) {
                Ok(Some(message)) => lane.inbox.bytes(&message).to_vec(),
                Ok(None) => return,
                Err(error) => return self.lose(error.expected, from, out, events),
            };
            let end = lane.inbox.offset();
            let what = match from {
                Side::Client => self.dialect.read_client(&message).map(What::Client),
                Side::Server => self.dialect.read_server(reply_to, &message).map(What::Server),
            };
            let what = what.unwrap_or_else(|cause| What::Lost { expected: cause.expected });
            let text = self.dialect.describe(from, &message);
            events.push(Event { from, at: end - message.len() as u64..end, what, text });
            let fate = self.edit(from, reply_to, message, what, out);
            match what {
                What::Client(meaning) if fate != Fate::Swallowed => self.follow_client(meaning, out, events),
                What::Server(meaning) => self.follow_server(meaning, fate, out, events),
                What::Lost { .. } => self.open(out),
                What::Client(_) | What::Boundary | What::BeyondBoundary => {}
            }
            if self.due.len() > MAX_DUE {
                return self.lose("answers to the commands", from.peer(), out, events);
            }
        }
    }

    /// Applies the rules to a message and sends what they leave of it.
    fn edit(
        &mut self,
        from: Side,
        reply_to: ReplyTo,
        message: Vec<u8>,
        what: What,
        out: &mut Outgoing,
    ) -> Fate {
        let (mut message, mut fate) = (Some(message), Fate::Untouched);
        let onward = from.peer();
        let applies = |rule: &&Rule| match rule.at {
            Moment::Client(meaning) => what == What::Client(meaning),
            Moment::Server(meaning) => what == What::Server(meaning),
            Moment::Reply(to) => from == Side::Server && reply_to == to,
            Moment::Any(side) => from == side,
        };
        self.applied |= self.rules.iter().any(|rule| applies(&rule));
        for rule in self.rules.iter().filter(applies) {
            let edited = match &rule.edit {
                Edit::StripOffer => message.as_ref().map(|it| self.dialect.strip_offer(it)),
                Edit::Swap(old, new) => message.as_ref().map(|it| swapped(it, old, new)),
                Edit::Replace(with) => Some(with.clone()),
                Edit::Drop => None,
                Edit::Answer(answer) => {
                    self.dialect.write_server(*answer, &mut out.to_client);
                    None
                }
                Edit::Reply(words) => {
                    self.dialect.write_answer(0, words, &mut out.to_client);
                    None
                }
                Edit::Before(first) => {
                    out.to(onward).extend_from_slice(first);
                    continue;
                }
                Edit::After(_) | Edit::Foretell(..) | Edit::Cut => continue,
            };
            if edited.is_none() {
                fate = Fate::Swallowed;
            } else if edited != message {
                fate = Fate::Changed;
            }
            message = edited;
        }
        self.pass(onward, &message.unwrap_or_default(), out);
        for rule in self.rules.iter().filter(applies) {
            match &rule.edit {
                Edit::After(more) => out.to(onward).extend_from_slice(more),
                Edit::Foretell(ahead, words) => self.dialect.write_answer(*ahead, words, &mut out.to_client),
                Edit::Cut => out.cuts.push(out.to_client.len()),
                _ => {}
            }
        }
        fate
    }

    fn follow_client(&mut self, meaning: ClientMessage, out: &mut Outgoing, events: &mut Vec<Event>) {
        let reply_to = match meaning {
            ClientMessage::Request if !self.flow.verdict => return self.boundary(out, events),
            ClientMessage::Request => {
                self.client.reading = Reading::AwaitingVerdict;
                ReplyTo::Request
            }
            ClientMessage::Hello => ReplyTo::Hello,
            ClientMessage::Silent | ClientMessage::Partial => return,
            ClientMessage::Probe
            | ClientMessage::Quit
            | ClientMessage::Credentials
            | ClientMessage::Other => ReplyTo::Other,
        };
        self.due.push_back(reply_to);
    }

    fn follow_server(
        &mut self,
        meaning: ServerMessage,
        fate: Fate,
        out: &mut Outgoing,
        events: &mut Vec<Event>,
    ) {
        if meaning == ServerMessage::Interim {
            return;
        }
        // A verdict has but one question, even where commands before it go unanswered (NICK in IRC).
        let verdict = matches!(meaning, ServerMessage::Accept | ServerMessage::Refuse(_));
        let mut answered = self.due.pop_front();
        while verdict && answered.is_some_and(|due| due != ReplyTo::Request) {
            answered = self.due.pop_front();
        }
        if answered != Some(ReplyTo::Request) {
            return;
        }
        if meaning == ServerMessage::Accept && fate == Fate::Untouched {
            self.boundary(out, events);
        } else {
            self.client.reading = Reading::Messages;
        }
    }

    /// Both sides' cleartext ends with what was read last.
    fn boundary(&mut self, out: &mut Outgoing, events: &mut Vec<Event>) {
        let lanes = [(Side::Client, &self.client), (Side::Server, &self.server)];
        for (from, lane) in lanes {
            let end = lane.inbox.offset();
            events.push(Event { from, at: end..end, what: What::Boundary, text: None });
        }
        for (from, lane) in lanes {
            let (end, beyond) = (lane.inbox.offset(), lane.inbox.pending());
            // A TLS record starts with its content type, 20 to 23 (RFC 8446 section 5.1).
            if beyond.first().is_some_and(|first| !(20..=23).contains(first)) {
                let at = end..end + beyond.len() as u64;
                events.push(Event { from, at, what: What::BeyondBoundary, text: None });
            }
        }
        if !self.stops {
            return self.open(out);
        }
        for lane in [&mut self.client, &mut self.server] {
            lane.beyond = lane.inbox.take();
            lane.reading = Reading::Beyond;
        }
    }

    fn lose(&mut self, expected: &'static str, from: Side, out: &mut Outgoing, events: &mut Vec<Event>) {
        let inbox = &self.lane(from).inbox;
        let at = inbox.offset()..inbox.offset() + inbox.pending().len() as u64;
        events.push(Event { from, at, what: What::Lost { expected }, text: None });
        self.open(out);
    }

    /// From here on everything passes unread, in both directions.
    fn open(&mut self, out: &mut Outgoing) {
        for from in [Side::Client, Side::Server] {
            let pending = self.lane(from).inbox.take();
            self.pass(from.peer(), &pending, out);
            self.lane(from).reading = Reading::Opaque;
        }
    }
}

/// A message with the one in place of the other.
fn swapped(message: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
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
