//! One protocol's reading of a conversation.

use std::collections::VecDeque;

use starttls_proto::{
    AwaitedInput, ClientMessage, Dialect, Escaped, Identity, LoginExposure, LoginPart, OfferPlace, PartOf,
    Protocol, Refusal, ReplyTo, ServerMessage, Side,
};

use super::firewall;
use super::lane::{Cut, Lane};
use crate::facts::{Clue, ClueKind, Exposure, ObservedLogin, Offered, Readable, RequestAnswer};
use crate::moment::Moment;
use crate::tls::is_hello_record;

/// The most commands that may wait for answers.
const MAX_DUE: usize = 1024;
/// The most clues and logins that are kept of one connection.
const MAX_KEPT: usize = 32;

/// Where the reading of a conversation stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reading {
    Messages,
    /// The client has sent the request, and the server has not answered.
    AwaitingVerdict,
    /// TLS follows on both sides.
    Boundary,
    /// The client sends TLS, although the negotiation did not agree on it.
    ClientTls,
    /// The octets are not messages of the protocol.
    Lost,
}

/// A login that is going on.
#[derive(Clone, Copy, Debug)]
struct PendingLogin {
    /// Its place in `logins`.
    at: usize,
    step: u32,
    /// The server has sent a challenge: the client's next message is a response.
    is_challenged: bool,
    /// The challenge was a message of its own, so that its response waits for an answer.
    response_is_due: bool,
}

/// Reads both directions as one protocol, and notes what they prove.
pub(super) struct Watcher {
    pub(super) protocol: &'static Protocol,
    dialect: Box<dyn Dialect>,
    client: Lane,
    /// The offset of the client's first message.
    client_start: u64,
    server: Lane,
    pub(super) reading: Reading,
    due: VecDeque<ReplyTo>,
    /// How many messages fit this protocol and no other.
    pub(super) score: u32,
    /// The part of it that the server's messages give.
    pub(super) server_score: u32,
    pub(super) messages: u32,
    pending: Option<PendingLogin>,
    /// The server lets clients send content before they get an answer.
    lists_chunks: bool,
    /// The client sent a hello without a required part, which some servers accept.
    has_incomplete_hello: bool,
    /// Servers disagree about the end of the content that the client sent.
    is_ambiguous: bool,
    /// The server's messages answer nothing that is known, after an answer to the request that is not one.
    is_unpaired: bool,
    /// Octets are missing, and what follows on the client's side may be content: until the server's next final reply.
    awaits_reply: bool,
    pub(super) noted: Noted,
}

/// What was noted so far.
#[derive(Clone, Debug, Default)]
pub(super) struct Noted {
    pub(super) has_list: bool,
    pub(super) offered: Option<Offered>,
    pub(super) has_asked: bool,
    pub(super) requested: bool,
    pub(super) answer: Option<RequestAnswer>,
    pub(super) readable: Readable,
    pub(super) crossed_before_request: bool,
    pub(super) crossed_after_request: bool,
    /// Octets are missing. Whether anything of substance had crossed before.
    pub(super) has_gap: bool,
    pub(super) was_late: bool,
    pub(super) names: Vec<String>,
    pub(super) logins: Vec<ObservedLogin>,
    pub(super) clues: Vec<Clue>,
    /// The memory of the names and clues, in octets.
    kept: usize,
}

impl Noted {
    /// Returns the memory that it uses beside itself, in octets.
    pub(super) fn weight(&self) -> usize {
        /// A login with its mechanism and user.
        const LOGIN: usize = 512;
        self.kept + self.logins.len() * LOGIN
    }

    pub(super) fn clue(&mut self, clue: Clue) {
        let known = self.clues.iter().filter(|it| it.kind == clue.kind).count();
        if known < 3 && self.clues.len() < MAX_KEPT {
            self.kept += clue.weight();
            self.clues.push(clue);
        }
    }

    fn read(&mut self, what: Readable) {
        self.readable = self.readable.max(what);
        if self.has_gap {
            return;
        }
        self.crossed_before_request |= self.is_late() && !self.requested;
        self.crossed_after_request |= what >= Readable::Content && self.requested;
    }

    /// Returns whether anything of substance has crossed: from then on, an offer is too late.
    fn is_late(&self) -> bool {
        self.readable >= Readable::Content
    }

    fn start_gap(&mut self) {
        if !std::mem::replace(&mut self.has_gap, true) {
            self.was_late = self.is_late();
        }
    }

    /// Returns whether anything of substance had crossed before octets were missing.
    pub(super) fn is_decided(&self) -> bool {
        if self.has_gap { self.was_late } else { self.is_late() }
    }

    fn name(&mut self, name: &[u8]) {
        let name = Escaped(name.get(..120).unwrap_or(name)).to_string();
        if !self.names.contains(&name) && self.names.len() < 8 {
            self.kept += 64 + name.capacity();
            self.names.push(name);
        }
        self.read(Readable::Names);
    }
}

impl std::fmt::Debug for Watcher {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watcher")
            .field("protocol", &self.protocol)
            .field("reading", &self.reading)
            .finish_non_exhaustive()
    }
}

impl Watcher {
    /// Returns a watcher of a conversation that starts at these offsets of the client and of the server.
    pub(super) fn new(protocol: &'static Protocol, start: [u64; 2]) -> Self {
        let mut dialect = (protocol.dialect)(Identity::new("").with_nonce(0));
        let mut hello = Vec::new();
        dialect.write_client(ClientMessage::Hello, &mut hello);
        let has_list = !hello.is_empty() || protocol.flow.offer == OfferPlace::InGreeting;
        Self {
            protocol,
            dialect: (protocol.dialect)(Identity::observer().with_nonce(0)),
            client: Lane::new(Side::Client, start[0]),
            client_start: start[0],
            server: Lane::new(Side::Server, start[1]),
            reading: Reading::Messages,
            due: protocol.flow.greeting.then_some(ReplyTo::Connect).into_iter().collect(),
            score: 0,
            server_score: 0,
            messages: 0,
            pending: None,
            lists_chunks: false,
            has_incomplete_hello: false,
            is_ambiguous: false,
            is_unpaired: false,
            awaits_reply: false,
            noted: Noted { has_list, ..Noted::default() },
        }
    }

    pub(super) fn receive(&mut self, side: Side, bytes: &[u8], moment: Moment) {
        self.lane_mut(side).push(bytes, moment);
        if side == Side::Client && self.awaits_reply {
            self.client.discard();
            return;
        }
        // The client's octets come first: an answer can make them readable, and the next answer may be theirs.
        while self.read_one(Side::Client) || self.read_one(Side::Server) {}
    }

    /// Continues after missing octets of this side, if that is possible: returns whether it is. From here on, only logins and
    /// content are noted, because every absence may be in the gap.
    ///
    /// What follows on the client's side may be content, which is not commands. A server that sends a final reply waits for a
    /// command, unless the protocol lets clients send content before they get an answer.
    pub(super) fn gap(&mut self, side: Side, octets: u64) -> bool {
        let chunks = self.noted.offered.map(|_| self.lists_chunks);
        let can_resume = self.dialect.observed().can_resume(chunks);
        if octets == 0 || !can_resume || !self.is_reading() {
            return false;
        }
        for lane in [&mut self.client, &mut self.server] {
            lane.discard();
            lane.stop_skipping();
        }
        self.lane_mut(side).pass_missing(octets);
        // It may have been within message data.
        self.dialect = (self.protocol.dialect)(Identity::observer().with_nonce(0));
        self.due.clear();
        self.pending = None;
        self.reading = Reading::Messages;
        (self.is_unpaired, self.awaits_reply) = (true, true);
        self.noted.start_gap();
        true
    }

    /// Returns whether the server's messages answer nothing that is known.
    pub(super) fn is_unpaired(&self) -> bool {
        self.is_unpaired
    }

    pub(super) fn is_reading(&self) -> bool {
        matches!(self.reading, Reading::Messages | Reading::AwaitingVerdict)
    }

    pub(super) fn lane(&self, side: Side) -> &Lane {
        if side == Side::Client { &self.client } else { &self.server }
    }

    pub(super) fn weight(&self) -> usize {
        /// The dialect and what waits for answers.
        const DIALECT: usize = 1024;
        let waiting = self.due.capacity() * size_of::<ReplyTo>();
        self.client.weight()
            + self.server.weight()
            + self.noted.weight()
            + waiting
            + size_of::<Self>()
            + DIALECT
    }

    /// Returns whether messages wait for octets or answers that did not arrive.
    pub(super) fn is_idle(&self) -> bool {
        self.client.unread().is_empty() && !self.client.is_skipping()
    }

    fn lane_mut(&mut self, side: Side) -> &mut Lane {
        if side == Side::Client { &mut self.client } else { &mut self.server }
    }

    /// Reads one message of this side, if it is complete. Returns whether there was one.
    fn read_one(&mut self, side: Side) -> bool {
        let readable = match side {
            Side::Client => self.reading == Reading::Messages,
            Side::Server => self.is_reading(),
        };
        if !readable {
            return false;
        }
        if side == Side::Client && self.client.is_at_start() {
            match starts_tls(self.client.unread()) {
                Some(true) if self.requests_by_client_hello() => {
                    self.score += 3;
                    self.noted.requested = true;
                    self.noted.answer = Some(RequestAnswer::Implied);
                    self.reading = Reading::Boundary;
                    return true;
                }
                Some(true) => {
                    self.reading = Reading::ClientTls;
                    return true;
                }
                Some(false) => {}
                None => return false,
            }
        }
        let reply_to = self.due.front().copied().unwrap_or(ReplyTo::Other);
        let lane = if side == Side::Client { &mut self.client } else { &mut self.server };
        match lane.next(&*self.dialect, reply_to) {
            Ok(Some(cut)) => {
                let message = lane.bytes(&cut).to_vec();
                self.messages += 1;
                match side {
                    Side::Client => self.read_client(&message, &cut),
                    Side::Server => self.read_server(reply_to, &message, &cut),
                }
                true
            }
            Ok(None) => false,
            Err(_) if side == Side::Server && self.can_continue() => {
                let (unread, offsets) = self.server.discard();
                let moment = self.server.moment();
                self.read_past_the_answer(&unread, offsets, moment);
                true
            }
            Err(_) => {
                self.reading = Reading::Lost;
                true
            }
        }
    }

    /// Returns whether a ClientHello at this place is the request. Servers accept it as the first message only.
    fn requests_by_client_hello(&self) -> bool {
        let is_first = self.client.offset() == self.client_start;
        self.protocol.flow.client_hello_is_request && is_first && self.noted.offered == Some(Offered::Yes)
    }

    /// Returns whether the client can be read although the server's messages cannot. A client that gets such an answer to
    /// its request may continue in cleartext, and its login must not go unnoticed.
    fn can_continue(&self) -> bool {
        self.is_unpaired || (self.due.contains(&ReplyTo::Request) && self.reading == Reading::AwaitingVerdict)
    }

    /// Continues after an answer that is not one. From here on, the server's messages answer nothing that is known.
    fn read_past_the_answer(&mut self, message: &[u8], offsets: std::ops::Range<u64>, moment: Moment) {
        if !std::mem::replace(&mut self.is_unpaired, true) {
            self.noted.answer = Some(RequestAnswer::Unknown);
            self.noted.clue(Clue::new(ClueKind::Refuse, Side::Server, offsets, moment).showing(message));
        }
        self.due.clear();
        self.reading = Reading::Messages;
    }

    fn read_client(&mut self, message: &[u8], cut: &Cut) {
        let clue = |kind| Clue::new(kind, Side::Client, cut.offsets.clone(), cut.moment);
        let Ok(meaning) = self.dialect.read_client(message) else {
            self.reading = Reading::Lost;
            return;
        };
        if self.pending.is_some_and(|pending| pending.is_challenged) {
            return self.read_response(message, cut);
        }
        let observed = self.dialect.observed();
        match observed.chunk(message) {
            Ok(None) => {}
            Ok(Some(octets)) if self.lists_chunks => return self.read_chunk(octets, message, cut),
            _ => return self.reading = Reading::Lost,
        }
        // The server's answers show whether it reads the end of the content where this code does.
        self.is_ambiguous |= observed.has_ambiguous_content();
        self.has_incomplete_hello = meaning == ClientMessage::Probe && observed.is_incomplete_hello(message);
        self.noted.has_asked |= self.has_incomplete_hello && !self.noted.is_late();
        let mut due = Some(ReplyTo::Other);
        match meaning {
            ClientMessage::Request => {
                self.score += 3;
                self.noted.requested = true;
                self.noted.clue(clue(ClueKind::Request).showing(message));
                self.note_names(message);
                due = Some(ReplyTo::Request);
                // The answer would not be recognized. TLS after it is.
                if self.is_unpaired {
                    return;
                }
                if self.protocol.flow.request_is_answered {
                    self.reading = Reading::AwaitingVerdict;
                } else {
                    self.noted.answer = Some(RequestAnswer::Implied);
                    self.reading = Reading::Boundary;
                    due = None;
                }
            }
            ClientMessage::Hello => {
                self.score += 3;
                self.noted.has_asked |= !self.noted.is_late();
                if self.pending.is_none() {
                    self.note_names(message);
                }
                due = Some(ReplyTo::Hello);
            }
            ClientMessage::Credentials => {
                self.score += 3;
                let unknown = || LoginPart::new("unknown", None, LoginExposure::Readable);
                let part = observed.login_part(message).unwrap_or_else(unknown);
                self.note_login(part, message, cut);
            }
            ClientMessage::Silent | ClientMessage::Partial => due = None,
            ClientMessage::Probe | ClientMessage::OnBehalf | ClientMessage::Quit | ClientMessage::Other => {
                if let Some(login) = self.noted.logins.last_mut().filter(|login| login.user.is_none()) {
                    login.user = observed.later_user(&login.mechanism, message).map(shown);
                }
                if self.pending.is_none() {
                    if let Some(name) = observed.hello_name(message) {
                        self.noted.name(name);
                    }
                    self.note_content(message, cut);
                }
            }
        }
        self.ask(due);
    }

    fn ask(&mut self, due: Option<ReplyTo>) {
        if self.is_unpaired {
            return;
        }
        if self.due.len() < MAX_DUE {
            self.due.extend(due);
        } else {
            self.reading = Reading::Lost;
        }
    }

    /// Reads a command with this many octets of content after it, which are not commands.
    fn read_chunk(&mut self, octets: usize, message: &[u8], cut: &Cut) {
        self.note_content(message, cut);
        self.client.skip(octets);
        self.ask(Some(ReplyTo::Other));
    }

    fn note_names(&mut self, message: &[u8]) {
        if let Some(name) = self.dialect.observed().hello_name(message) {
            self.noted.name(name);
        }
        for name in [self.dialect.client(), self.dialect.service()].into_iter().flatten() {
            self.noted.name(name.as_bytes());
        }
    }

    fn note_content(&mut self, message: &[u8], cut: &Cut) {
        if self.dialect.observed().carries_content(message) {
            self.noted.read(Readable::Content);
            self.noted.clue(Clue::new(ClueKind::Content, Side::Client, cut.offsets.clone(), cut.moment));
        }
    }

    fn note_login(&mut self, part: LoginPart, message: &[u8], cut: &Cut) {
        let same = |login: &ObservedLogin| login.mechanism == part.mechanism;
        let continues = match part.part_of {
            PartOf::NewLogin => false,
            PartOf::LastLogin => true,
            PartOf::SameMechanism => {
                self.pending.is_some_and(|pending| self.noted.logins.get(pending.at).is_some_and(same))
            }
        };
        let at = match self.noted.logins.last_mut() {
            Some(login) if continues => {
                let step = self.pending.map_or(part.steps, |pending| pending.step + part.steps);
                if !part.mechanism.is_empty() && part.part_of == PartOf::LastLogin {
                    login.mechanism = if part.mechanism == "PASS" {
                        String::from("USER/PASS")
                    } else {
                        part.mechanism.clone()
                    };
                }
                let exposure = if part.part_of == PartOf::SameMechanism && part.steps > 0 {
                    self.dialect.observed().login_response(&part.mechanism, step, message).exposure
                } else {
                    part.exposure
                };
                login.exposure = login.exposure.max(exposure.into());
                (login.accepted, login.packet) = (None, cut.moment.packet);
                if let (Some(user), None) = (&part.user, &login.user) {
                    login.user = Some(shown(user));
                }
                self.noted.logins.len() - 1
            }
            _ => {
                if self.noted.logins.len() >= MAX_KEPT {
                    return;
                }
                self.noted.logins.push(ObservedLogin {
                    mechanism: if part.mechanism.is_empty() {
                        String::from("unknown")
                    } else {
                        part.mechanism
                    },
                    user: part.user.as_deref().map(shown),
                    exposure: part.exposure.into(),
                    accepted: None,
                    packet: cut.moment.packet,
                });
                self.noted.logins.len() - 1
            }
        };
        let steps = self.pending.filter(|pending| pending.at == at).map_or(0, |pending| pending.step);
        self.pending =
            Some(PendingLogin { at, step: steps + part.steps, is_challenged: false, response_is_due: false });
        self.note_exposure(at, cut);
    }

    fn note_exposure(&mut self, at: usize, cut: &Cut) {
        let Some(login) = self.noted.logins.get(at) else { return };
        match login.exposure {
            Exposure::Attempted => {}
            Exposure::Identity => self.noted.read(Readable::Names),
            Exposure::Guessable | Exposure::Readable => {
                self.noted.read(Readable::Credentials);
                self.noted.clue(Clue::new(ClueKind::Login, Side::Client, cut.offsets.clone(), cut.moment));
            }
        }
    }

    /// Reads the client's answer to a challenge.
    fn read_response(&mut self, message: &[u8], cut: &Cut) {
        let Some(pending) = &mut self.pending else { return };
        pending.is_challenged = false;
        pending.step += 1;
        let (at, step, due) = (pending.at, pending.step, pending.response_is_due);
        if let Some(login) = self.noted.logins.get_mut(at) {
            let response = self.dialect.observed().login_response(&login.mechanism, step, message);
            login.exposure = login.exposure.max(response.exposure.into());
            login.packet = cut.moment.packet;
            if let (Some(user), None) = (response.user, &login.user) {
                login.user = Some(shown(&user));
            }
            self.note_exposure(at, cut);
        }
        self.ask(due.then_some(ReplyTo::Other));
    }

    fn read_server(&mut self, reply_to: ReplyTo, message: &[u8], cut: &Cut) {
        if self.is_unpaired {
            self.awaits_reply = match self.dialect.observed().awaited_input(message) {
                Some(AwaitedInput::Command) => false,
                Some(AwaitedInput::Content) => true,
                None => self.awaits_reply,
            };
        }
        if self.is_ambiguous && self.due.is_empty() && !self.is_unpaired {
            return self.reading = Reading::Lost;
        }
        let is_list = std::mem::take(&mut self.has_incomplete_hello)
            && !self.dialect.observed().hello_answer(message).is_refusal;
        let reply_to = if is_list { ReplyTo::Hello } else { reply_to };
        // An answer to a login may repeat what the client sent.
        let is_private = self.pending.is_some();
        let clue = |kind| {
            let clue = Clue::new(kind, Side::Server, cut.offsets.clone(), cut.moment);
            if is_private { clue } else { clue.showing(message) }
        };
        let (reply_to, meaning) = match self.dialect.read_server(reply_to, message) {
            Ok(meaning) => (reply_to, meaning),
            // A server may leave a command without an answer. The go-ahead answers the request alone.
            Err(_) if self.due.contains(&ReplyTo::Request) => {
                match self.dialect.read_server(ReplyTo::Request, message) {
                    Ok(meaning @ ServerMessage::Accept) => (ReplyTo::Request, meaning),
                    _ if self.can_continue() => {
                        return self.read_past_the_answer(message, cut.offsets.clone(), cut.moment);
                    }
                    _ => return self.reading = Reading::Lost,
                }
            }
            Err(_) if self.is_unpaired => return,
            Err(_) => return self.reading = Reading::Lost,
        };
        self.follow_login(reply_to, meaning, message);
        if reply_to == ReplyTo::Connect && firewall::is_masked_greeting(message) {
            self.noted.clue(clue(ClueKind::Mask));
        }
        match meaning {
            ServerMessage::Greeting => self.fits(1),
            ServerMessage::Offer { starttls } => {
                self.fits(3);
                self.note_offer(starttls, message, cut);
            }
            ServerMessage::Accept => {
                self.fits(3);
                self.noted.clue(clue(ClueKind::Accept));
            }
            ServerMessage::Refuse(_) => {
                self.fits(3);
                self.noted.clue(clue(ClueKind::Refuse));
                if firewall::quotes_an_altered_request(message) {
                    self.noted.clue(clue(ClueKind::AlteredRequest));
                }
            }
            ServerMessage::TlsRequired => self.noted.clue(clue(ClueKind::TlsRequired)),
            ServerMessage::Interim => return,
            _ => {}
        }
        self.answered(meaning);
    }

    /// Notes that a message of the server fits this protocol.
    fn fits(&mut self, score: u32) {
        self.score += score;
        self.server_score += score;
    }

    /// Removes the question that a message of the server answers.
    fn answered(&mut self, meaning: ServerMessage) {
        let verdict = matches!(meaning, ServerMessage::Accept | ServerMessage::Refuse(_));
        let mut answered = self.due.pop_front();
        while verdict && answered.is_some_and(|due| due != ReplyTo::Request) {
            answered = self.due.pop_front();
        }
        if answered != Some(ReplyTo::Request) {
            return;
        }
        self.noted.answer = Some(match meaning {
            ServerMessage::Accept => RequestAnswer::Accepted,
            ServerMessage::Refuse(Refusal::Permanent) => RequestAnswer::RefusedPermanent,
            ServerMessage::Refuse(Refusal::Temporary) | ServerMessage::Bye => RequestAnswer::RefusedTemporary,
            _ => RequestAnswer::RefusedPermanent,
        });
        self.reading = if meaning == ServerMessage::Accept { Reading::Boundary } else { Reading::Messages };
    }

    fn note_offer(&mut self, starttls: bool, message: &[u8], cut: &Cut) {
        let answer = self.dialect.observed().hello_answer(message);
        self.lists_chunks = answer.lists_chunks;
        let kind = match (starttls, answer.is_masked) {
            (true, _) => ClueKind::Offer,
            (false, true) => ClueKind::Mask,
            (false, false) => ClueKind::NoOffer,
        };
        if kind != ClueKind::NoOffer || !answer.is_refusal {
            let clue = Clue::new(kind, Side::Server, cut.offsets.clone(), cut.moment);
            let is_private = self.pending.is_some();
            self.noted.clue(if is_private { clue } else { clue.showing(message) });
        }
        if self.noted.is_late() || self.noted.has_gap {
            return;
        }
        let offered = match kind {
            ClueKind::Offer => Offered::Yes,
            ClueKind::Mask => Offered::Masked,
            _ => Offered::No,
        };
        // One list with the upgrade is an offer, even if other lists lack it.
        if self.noted.offered != Some(Offered::Yes) {
            self.noted.offered = Some(offered);
        }
    }

    /// Follows a login that is going on.
    fn follow_login(&mut self, reply_to: ReplyTo, meaning: ServerMessage, message: &[u8]) {
        let Some(pending) = &mut self.pending else { return };
        if self.dialect.observed().is_challenge(message) {
            pending.is_challenged = true;
            pending.response_is_due = meaning != ServerMessage::Interim;
            return;
        }
        if meaning == ServerMessage::Interim || reply_to != ReplyTo::Other {
            return;
        }
        if let Some(accepted) = self.dialect.observed().login_result(message) {
            let at = pending.at;
            if let Some(login) = self.noted.logins.get_mut(at) {
                login.accepted = Some(accepted);
            }
            self.pending = None;
        }
    }
}

/// Returns whether a ClientHello starts here; `None` while it is undecided.
fn starts_tls(unread: &[u8]) -> Option<bool> {
    const PREFIX: [u8; 2] = [0x16, 3];
    let compared = unread.len().min(PREFIX.len());
    if compared == 0 || unread[..compared] != PREFIX[..compared] {
        return Some(false);
    }
    if unread.len() < 6 { None } else { Some(is_hello_record(unread, 1)) }
}

/// Returns a user's name for a report.
pub(super) fn shown(user: &[u8]) -> String {
    Escaped(user.get(..120).unwrap_or(user)).to_string()
}
