//! One connection as a conversation: its protocol, its negotiation, its boundary, its TLS handshake.

mod firewall;
mod lane;
mod opening;
mod prefix;
mod watcher;

use starttls_proto::{OfferPlace, Side};

use crate::facts::{
    BoundaryPoint, CleartextOctets, Clue, ClueKind, Exposure, Facts, ObservedLogin, Offered, ProxyHop,
    Recognition, RequestAnswer, Requested, TlsUse, Visibility,
};
use crate::moment::Moment;
use crate::tls::{TlsEnd, TlsWatch, is_hello_record, is_record_start};
use opening::Opening;
use prefix::{NoPrefix, Prefix};
use watcher::{Noted, Reading, Watcher};

/// The most octets and messages before the port decides between protocols.
const MAX_RACE: u64 = 4096;
const MAX_RACE_MESSAGES: u32 = 6;
/// What the heap adds to an allocation, in octets.
const ALLOCATION: usize = 16;
/// The most proxies between the client and the server.
const MAX_HOPS: usize = 3;

/// What is seen of one connection, without I/O: give it the octets of each side, in the order in which the sides could
/// have received them, and take the facts at the end.
///
/// ```
/// use starttls_inspect::{Conversation, ConversationEnd, Moment, Offered, Requested};
/// use starttls_proto::Side;
///
/// let mut conversation = Conversation::new(25);
/// let mut says = |side, text: &str| conversation.receive(side, text.as_bytes(), Moment::default());
/// says(Side::Server, "220 mail.example.com ESMTP\r\n");
/// says(Side::Client, "EHLO client.example\r\n");
/// says(Side::Server, "250-mail.example.com\r\n250 STARTTLS\r\n");
/// says(Side::Client, "QUIT\r\n");
/// says(Side::Server, "221 Bye\r\n");
/// let facts = conversation.finish(ConversationEnd::Closed);
/// assert_eq!(facts.protocol.map(|it| it.name), Some("smtp"));
/// assert_eq!((facts.offered, facts.requested), (Offered::Yes, Requested::No));
/// ```
#[derive(Debug)]
pub struct Conversation {
    port: u16,
    stage: Stage,
    noted: Noted,
    /// What the exchanges with proxies before the conversation showed.
    before: BeforeTalk,
    recognized: Option<&'static starttls_proto::Protocol>,
    recognized_by: Recognition,
    boundary: Option<BoundaryPoint>,
    /// Octets received from the client and the server.
    received: [u64; 2],
    cleartext: Option<CleartextOctets>,
    gaps: u32,
    /// Whether what follows is not understood any more: after a gap, or after octets that are not messages.
    is_lost: bool,
    is_midstream: bool,
}

/// How a conversation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConversationEnd {
    /// The connection was closed or reset, and everything before was given to [`Conversation::receive`] and
    /// [`Conversation::gap`].
    Closed,
    /// The connection goes on, as far as is known.
    Open,
    /// It was followed no further for lack of memory.
    Evicted,
}

/// What precedes the conversation.
#[derive(Debug, Default)]
struct BeforeTalk {
    hops: Vec<ProxyHop>,
    /// Whether the next octets are known not to be a prefix.
    is_over: bool,
    logins: Vec<ObservedLogin>,
    clues: Vec<Clue>,
    /// The octets of the client and of the server.
    octets: [u64; 2],
}

#[derive(Debug)]
enum Stage {
    /// The protocol is not known yet. Holds what was received.
    Opening {
        first: Vec<(Side, Vec<u8>, Moment)>,
        octets: usize,
    },
    /// Several protocols are possible.
    Race(Vec<Watcher>),
    Watching(Box<Watcher>),
    /// Nothing can be read. TLS is still noticed.
    Scanning,
    /// After the last octet in cleartext.
    Tls(Box<TlsStage>),
}

#[derive(Debug)]
struct TlsStage {
    watch: TlsWatch,
    start: TlsBegin,
    /// White space that may stand between the request and TLS.
    space: &'static [u8],
    /// Sides of which octets are missing.
    has_gap: [bool; 2],
    /// The first octets of a side are missing, so what is seen first is not known to be the first.
    is_midstream: bool,
    /// Sides that sent octets that are not TLS.
    has_cleartext: [bool; 2],
    /// The last octets of such cleartext: a ClientHello or ServerHello may start in them.
    tails: [Vec<u8>; 2],
}

/// How TLS began.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum TlsBegin {
    /// With the first octet of the connection.
    FirstOctet,
    /// After the negotiation agreed on it.
    Agreed,
    /// The negotiation was not read up to here, and the client sent a ClientHello. `first`: as its first octets.
    Seen { first: bool },
}

/// Returns the place of a side in an array.
pub(crate) fn index(side: Side) -> usize {
    usize::from(side == Side::Server)
}

impl Conversation {
    /// Returns a conversation with a server on this port.
    pub fn new(port: u16) -> Self {
        Self {
            port,
            stage: Stage::Opening { first: Vec::new(), octets: 0 },
            noted: Noted::default(),
            before: BeforeTalk::default(),
            recognized: None,
            recognized_by: Recognition::Unknown,
            boundary: None,
            received: [0; 2],
            cleartext: None,
            gaps: 0,
            is_lost: false,
            is_midstream: false,
        }
    }

    /// Reads the next octets of this side. An answer must come after its question.
    pub fn receive(&mut self, side: Side, bytes: &[u8], moment: Moment) {
        if bytes.is_empty() {
            return;
        }
        self.received[index(side)] += bytes.len() as u64;
        self.read(side, bytes, moment);
    }

    /// Notes that octets of this side are missing: their number, or 0 if it is unknown. Nothing is concluded from the
    /// absence of a message after it.
    pub fn gap(&mut self, side: Side, octets: u64) {
        self.gaps += 1;
        self.is_midstream |= octets == 0;
        if let Stage::Tls(stage) = &mut self.stage {
            stage.has_gap[index(side)] = true;
            stage.is_midstream |= octets == 0;
            stage.watch.gap(side);
        } else {
            let resumes = match &mut self.stage {
                Stage::Watching(watcher) => watcher.gap(side, octets),
                _ => false,
            };
            if !resumes {
                self.stop_reading();
            }
            self.is_lost = true;
        }
        self.received[index(side)] += octets;
    }

    /// Returns whether octets still pass in cleartext, or in the visible part of a handshake.
    pub fn is_open(&self) -> bool {
        match &self.stage {
            Stage::Tls(stage) => !stage.watch.is_sealed(),
            _ => true,
        }
    }

    /// Returns the memory that it uses, in octets.
    pub fn weight(&self) -> usize {
        let held = match &self.stage {
            Stage::Opening { first, octets } => {
                octets + first.capacity() * (size_of::<(Side, Vec<u8>, Moment)>() + ALLOCATION)
            }
            Stage::Race(watchers) => watchers.iter().map(Watcher::weight).sum(),
            Stage::Watching(watcher) => watcher.weight(),
            Stage::Scanning => 0,
            Stage::Tls(stage) => {
                let tails: usize = stage.tails.iter().map(Vec::capacity).sum();
                size_of::<TlsStage>() + ALLOCATION + stage.watch.weight() + tails
            }
        };
        held + size_of::<Self>() + ALLOCATION + self.noted.weight()
    }

    /// Notes evidence that comes from below the conversation, such as copies of a segment that differ.
    pub(crate) fn note(&mut self, clue: Clue) {
        match &mut self.stage {
            Stage::Race(watchers) => watchers.iter_mut().for_each(|it| it.noted.clue(clue.clone())),
            Stage::Watching(watcher) => watcher.noted.clue(clue),
            _ => self.noted.clue(clue),
        }
    }

    fn read(&mut self, side: Side, bytes: &[u8], moment: Moment) {
        match &mut self.stage {
            Stage::Opening { first, octets } => {
                first.push((side, bytes.to_vec(), moment));
                *octets += bytes.len();
                self.open();
            }
            Stage::Race(watchers) => {
                watchers.iter_mut().for_each(|watcher| watcher.receive(side, bytes, moment));
                self.decide();
            }
            Stage::Watching(watcher) if watcher.is_unpaired() && is_hello(side, bytes) => {
                self.stop_reading();
                self.read(side, bytes, moment);
            }
            Stage::Watching(watcher) => {
                watcher.receive(side, bytes, moment);
                self.advance(moment);
            }
            Stage::Scanning => {
                if is_hello(side, bytes) {
                    let before = self.before.octets[index(side)];
                    let first = self.received[index(side)] - before == bytes.len() as u64;
                    self.begin_tls(TlsBegin::Seen { first }, &[], bytes.len() as u64, side);
                    self.read_tls(side, bytes, moment);
                }
            }
            Stage::Tls(_) => self.read_tls(side, bytes, moment),
        }
    }

    /// Decides from the first octets which protocols are possible.
    fn open(&mut self) {
        let Stage::Opening { first, octets } = &mut self.stage else { return };
        let Some(speaker) = first.first().map(|(side, ..)| *side) else { return };
        let of = |side: Side| -> Vec<u8> {
            first.iter().filter(|(from, ..)| *from == side).flat_map(|(_, bytes, _)| bytes.clone()).collect()
        };
        if speaker == Side::Client && !self.before.is_over {
            match prefix::read(&of(Side::Client), &of(Side::Server)) {
                Ok(prefix) => return self.skip_prefix(prefix),
                Err(NoPrefix::Undecided) if *octets <= prefix::MAX_PREFIX => return,
                Err(_) => self.before.is_over = true,
            }
        }
        let mut opening = opening::read(speaker, &of(speaker), self.port);
        if opening == Opening::Undecided && *octets > 1024 {
            opening = Opening::Unknown;
        }
        let first = match opening {
            Opening::Undecided => return,
            _ => std::mem::take(first),
        };
        match opening {
            Opening::Tls if speaker == Side::Client => {
                self.begin_tls(TlsBegin::FirstOctet, &[], 0, Side::Client);
            }
            Opening::Protocols(protocols) => {
                let before = self.before.octets;
                let watchers = protocols.into_iter().map(|protocol| Watcher::new(protocol, before));
                self.stage = Stage::Race(watchers.collect());
            }
            Opening::Tls | Opening::Unknown | Opening::Undecided => {
                self.is_lost = true;
                self.stage = Stage::Scanning;
            }
        }
        for (side, bytes, moment) in first {
            self.read(side, &bytes, moment);
        }
    }

    /// Notes the exchange with a proxy, and starts again with what follows it.
    fn skip_prefix(&mut self, prefix: Prefix) {
        let Stage::Opening { first, octets } = &mut self.stage else { return };
        let moment = first.last().map_or_else(Moment::default, |(.., moment)| *moment);
        prefix::remove(first, prefix.octets);
        *octets = first.iter().map(|(_, bytes, _)| bytes.len()).sum();
        let before = &mut self.before;
        let start = before.octets;
        for (total, len) in before.octets.iter_mut().zip(prefix.octets) {
            *total += len as u64;
        }
        if let Some(part) = prefix.login {
            let range = start[0]..before.octets[0];
            let exposure = Exposure::from(part.exposure);
            if exposure >= Exposure::Guessable {
                before.clues.push(Clue::new(ClueKind::Login, Side::Client, range, moment));
            }
            before.logins.push(ObservedLogin {
                mechanism: part.mechanism,
                user: part.user.as_deref().map(watcher::shown),
                exposure,
                accepted: Some(true),
                packet: moment.packet,
            });
        }
        before.hops.push(prefix.hop);
        before.is_over = before.hops.len() >= MAX_HOPS;
        self.port = prefix.port.unwrap_or(self.port);
        self.open();
    }

    /// Decides between the protocols that are possible.
    fn decide(&mut self) {
        let Stage::Race(watchers) = &self.stage else { return };
        let mut scores: Vec<u32> = watchers.iter().map(|it| it.score).collect();
        scores.sort_unstable();
        let lead = match scores.as_slice() {
            [.., second, first] => first - second,
            _ => u32::MAX,
        };
        let messages = watchers.iter().map(|it| it.messages).max().unwrap_or(0);
        let is_late = self.received.iter().sum::<u64>() > MAX_RACE || messages >= MAX_RACE_MESSAGES;
        let is_over = watchers.iter().all(|it| !it.is_reading());
        if lead >= 3 || is_late || is_over {
            self.choose();
            let moment = self.last_moment();
            self.advance(moment);
        }
    }

    fn last_moment(&self) -> Moment {
        match &self.stage {
            Stage::Watching(watcher) => {
                watcher.lane(Side::Client).moment().max(watcher.lane(Side::Server).moment())
            }
            _ => Moment::default(),
        }
    }

    /// Continues with the protocol that fits best; the port decides between equals.
    fn choose(&mut self) {
        let Stage::Race(watchers) = &mut self.stage else { return };
        let mut watchers = std::mem::take(watchers);
        let own = starttls_proto::by_port(self.port).map(|(protocol, _)| protocol);
        let is_own = |it: &Watcher| own == Some(it.protocol);
        // That the other protocols do not fit is not enough: the server must speak this one.
        let is_only = watchers.len() == 1;
        watchers.retain(|it| is_only || is_own(it) || it.server_score > 0);
        let score = watchers.iter().map(|it| it.score).max().unwrap_or(0);
        watchers.retain(|it| it.score == score);
        let is_alone = watchers.len() == 1;
        if watchers.iter().any(is_own) {
            watchers.retain(is_own);
        } else if !is_alone {
            watchers.retain(|it| it.reading != Reading::Lost);
        }
        match watchers.pop().filter(|_| watchers.is_empty()) {
            Some(watcher) => {
                self.recognized_by = if is_alone { Recognition::Conversation } else { Recognition::Port };
                self.recognized = Some(watcher.protocol);
                self.stage = Stage::Watching(Box::new(watcher));
            }
            None => {
                self.is_lost = true;
                self.stage = Stage::Scanning;
            }
        }
    }

    /// Continues after what the watcher has read.
    fn advance(&mut self, moment: Moment) {
        let Stage::Watching(watcher) = &mut self.stage else { return };
        match watcher.reading {
            Reading::Messages | Reading::AwaitingVerdict => {}
            Reading::Lost => self.stop_reading(),
            reading @ (Reading::Boundary | Reading::ClientTls) => {
                let ends = [Side::Client, Side::Server].map(|side| watcher.lane(side).offset());
                let rest = [Side::Client, Side::Server].map(|side| watcher.lane(side).unread().to_vec());
                let space = watcher.protocol.flow.space_before_tls;
                let agreed = reading == Reading::Boundary;
                self.noted = std::mem::take(&mut watcher.noted);
                self.boundary = Some(BoundaryPoint {
                    client: ends[0],
                    server: ends[1],
                    packet: moment.packet,
                    negotiated: agreed,
                });
                self.cleartext = Some(CleartextOctets { client: ends[0], server: ends[1] });
                let start = match agreed {
                    true => TlsBegin::Agreed,
                    false => TlsBegin::Seen { first: ends[0] == self.before.octets[0] },
                };
                self.stage = Stage::Tls(Box::new(TlsStage::new(start, space, self.is_midstream)));
                for (side, rest) in [Side::Client, Side::Server].into_iter().zip(rest) {
                    if !rest.is_empty() {
                        self.read_tls(side, &rest, moment);
                    }
                }
            }
        }
    }

    fn begin_tls(&mut self, start: TlsBegin, space: &'static [u8], pending: u64, side: Side) {
        let mut ends = self.received;
        ends[index(side)] -= pending;
        if start == TlsBegin::FirstOctet {
            ends = self.before.octets;
        } else {
            self.boundary =
                Some(BoundaryPoint { client: ends[0], server: ends[1], packet: 0, negotiated: false });
        }
        self.cleartext = Some(CleartextOctets { client: ends[0], server: ends[1] });
        self.stage = Stage::Tls(Box::new(TlsStage::new(start, space, self.is_midstream)));
    }

    /// Reads octets after the boundary.
    fn read_tls(&mut self, side: Side, bytes: &[u8], moment: Moment) {
        let Stage::Tls(stage) = &mut self.stage else { return };
        let at = self.received[index(side)];
        let mut bytes = bytes;
        let started = stage.watch.has_started(side);
        if !started {
            if side == Side::Client {
                while let Some((_, rest)) =
                    bytes.split_first().filter(|(first, _)| stage.space.contains(first))
                {
                    bytes = rest;
                }
            }
            let kind = if side == Side::Client { 1 } else { 2 };
            if bytes.is_empty() || (stage.has_gap[index(side)] && !is_hello_record(bytes, kind)) {
                return;
            }
            // A server answers a hello of SSL 2.0 with a header of SSL 2.0, and sends none before it.
            let may_be_ssl2 = side == Side::Client || stage.watch.has_started(Side::Client);
            let is_record = is_record_start(bytes.get(..3).unwrap_or(bytes))
                && (may_be_ssl2 || bytes.first().is_none_or(|first| *first < 0x80));
            if stage.has_cleartext[index(side)] || !is_record {
                let start = at.saturating_sub(bytes.len() as u64);
                match stage.after_cleartext(side, bytes, kind) {
                    (cleartext, None) => {
                        let clue = stage.cleartext_clue(side, start..start + cleartext.len() as u64, moment);
                        // What a client sends may be a login.
                        let shown = side == Side::Server;
                        if let Some(clue) = clue {
                            self.noted.clue(if shown { clue.showing(cleartext) } else { clue });
                        }
                    }
                    (cleartext, Some(tls)) => {
                        let end = start + cleartext.len() as u64;
                        let clue = stage.cleartext_clue(side, start..end, moment);
                        let _ = stage.watch.receive(side, &tls, moment);
                        if let Some(clue) = clue.filter(|_| !cleartext.is_empty()) {
                            self.noted.clue(clue);
                        }
                    }
                }
                return;
            }
        }
        if let Some(rest) = stage.watch.receive(side, bytes, moment) {
            let start = at.saturating_sub(rest.len() as u64);
            let range = start..start + rest.len() as u64;
            let clue = match stage.watch.is_sealed() {
                true => Some(Clue::new(ClueKind::AfterTls, side, range, moment)),
                false => {
                    stage.has_cleartext[index(side)] = true;
                    stage.cleartext_clue(side, range, moment)
                }
            };
            if let Some(clue) = clue {
                self.noted.clue(clue);
            }
        }
    }

    /// Gives up reading messages. What was noted so far stays.
    fn stop_reading(&mut self) {
        self.is_lost = true;
        if let Stage::Race(_) = &self.stage {
            self.choose();
        }
        if let Stage::Watching(watcher) = &mut self.stage {
            self.noted = std::mem::take(&mut watcher.noted);
            if self.noted.readable == crate::facts::Readable::Nothing && watcher.score == 0 {
                (self.recognized, self.recognized_by) = (None, Recognition::Unknown);
            }
        }
        self.stage = Stage::Scanning;
    }

    /// Returns what the conversation has shown.
    pub fn finish(mut self, end: ConversationEnd) -> Facts {
        if let Stage::Opening { .. } = &self.stage
            && !std::mem::replace(&mut self.before.is_over, true)
        {
            self.open();
        }
        if let Stage::Race(_) = &self.stage {
            self.choose();
            let moment = self.last_moment();
            self.advance(moment);
        }
        let mut is_idle = true;
        if let Stage::Watching(watcher) = &mut self.stage {
            is_idle = watcher.is_idle();
            self.noted = std::mem::take(&mut watcher.noted);
            if self.recognized_by == Recognition::Conversation && watcher.score == 0 && watcher.messages == 0
            {
                (self.recognized, self.recognized_by) = (None, Recognition::Unknown);
            }
        }
        let is_complete = self.gaps == 0 && !self.is_lost;
        // The end of the connection proves the absence of what it does not contain.
        let is_closed = is_complete && end == ConversationEnd::Closed;
        let mut facts = Facts {
            protocol: self.recognized,
            recognized_by: self.recognized_by,
            boundary: self.boundary,
            gaps: self.gaps,
            seen: self.visibility(end),
            ..Facts::default()
        };
        if let Some(protocol) = self.recognized {
            let is_decided = self.boundary.is_some_and(|it| it.negotiated)
                || self.noted.is_decided()
                || (is_closed && is_idle);
            facts.offered = match self.noted.offered {
                Some(Offered::Yes) => Offered::Yes,
                _ if !self.noted.has_list => Offered::Unannounced,
                _ if !is_decided => Offered::Unknown,
                Some(offered) => offered,
                None if self.noted.has_asked || protocol.flow.offer == OfferPlace::InGreeting => {
                    Offered::Unknown
                }
                None => Offered::NeverAsked,
            };
            facts.requested = match self.noted.requested {
                true => Requested::Yes,
                false if is_closed && is_idle => Requested::No,
                false => Requested::Unknown,
            };
            facts.answer = match (self.noted.answer, facts.requested) {
                (Some(answer), _) => answer,
                (None, Requested::Yes) if is_closed => RequestAnswer::Missing,
                (None, Requested::No) => RequestAnswer::NotRequested,
                (None, _) => RequestAnswer::Unknown,
            };
        }
        facts.cleartext =
            self.cleartext.unwrap_or(CleartextOctets { client: self.received[0], server: self.received[1] });
        facts.readable = self.noted.readable;
        facts.crossed_before_request = self.noted.crossed_before_request;
        facts.crossed_after_request = self.noted.crossed_after_request;
        let talked = facts.cleartext.client + facts.cleartext.server > self.before.octets.iter().sum();
        let had_cleartext = talked && !self.is_midstream;
        match self.stage {
            Stage::Tls(stage) => {
                let begin = match stage.start {
                    TlsBegin::Seen { first } => TlsBegin::Seen { first: first && !stage.is_midstream },
                    begin => begin,
                };
                let has_cleartext = stage.has_cleartext;
                let closed = end == ConversationEnd::Closed && self.gaps == 0 && !stage.watch.has_gap();
                let (handshake, tls_end) = stage.watch.finish(closed);
                let left = self.noted.clues.iter().any(|clue| clue.kind == ClueKind::AfterTls);
                facts.tls = tls_use(begin, tls_end, has_cleartext, closed, left, had_cleartext);
                if begin == TlsBegin::FirstOctet && self.recognized.is_none() {
                    let alpn = handshake.as_ref().map_or(&[][..], |it| &it.offered_alpn);
                    facts.protocol = opening::implicit(alpn, self.port);
                    facts.recognized_by = Recognition::Tls;
                }
                facts.handshake = handshake;
            }
            _ if is_closed && is_idle && self.recognized.is_some() => facts.tls = TlsUse::Never,
            _ => {}
        }
        facts.names = self.noted.names;
        facts.proxies = self.before.hops;
        facts.credentials = self.before.logins;
        facts.credentials.extend(self.noted.logins);
        facts.clues = self.before.clues;
        facts.clues.extend(self.noted.clues);
        facts
    }

    fn visibility(&self, end: ConversationEnd) -> Visibility {
        match end {
            ConversationEnd::Evicted => Visibility::Evicted,
            _ if self.is_midstream => Visibility::Midstream,
            _ if self.gaps > 0 && self.received.contains(&0) => Visibility::OneSide,
            _ if self.gaps > 0 => Visibility::Gaps,
            ConversationEnd::Open => Visibility::Open,
            ConversationEnd::Closed => Visibility::Whole,
        }
    }
}

impl TlsStage {
    fn new(start: TlsBegin, space: &'static [u8], is_midstream: bool) -> Self {
        Self {
            watch: TlsWatch::new(),
            start,
            space,
            has_gap: [false; 2],
            is_midstream,
            has_cleartext: [false; 2],
            tails: [Vec::new(), Vec::new()],
        }
    }

    /// Reads octets of a side that has sent cleartext after the boundary. Returns the cleartext, and the octets from the
    /// hello on, if one starts here.
    fn after_cleartext<'a>(&mut self, side: Side, bytes: &'a [u8], kind: u8) -> (&'a [u8], Option<Vec<u8>>) {
        /// One octet less than [`is_hello_record`] needs.
        const TAIL: usize = 5;
        self.has_cleartext[index(side)] = true;
        let tail = &mut self.tails[index(side)];
        let before = tail.len();
        tail.extend_from_slice(bytes);
        let Some(at) = (0..tail.len()).find(|from| is_hello_record(&tail[*from..], kind)) else {
            tail.drain(..tail.len().saturating_sub(TAIL));
            return (bytes, None);
        };
        let tls = tail.split_off(at);
        tail.clear();
        (&bytes[..at.saturating_sub(before)], Some(tls))
    }

    fn cleartext_clue(&self, side: Side, range: std::ops::Range<u64>, moment: Moment) -> Option<Clue> {
        let kind = match (self.start, side) {
            (TlsBegin::Agreed, Side::Client) => ClueKind::ClientBeyond,
            (TlsBegin::Agreed, Side::Server) => ClueKind::ServerBeyond,
            (TlsBegin::FirstOctet | TlsBegin::Seen { first: true }, Side::Server) if !self.is_midstream => {
                ClueKind::CleartextToTls
            }
            _ => return None,
        };
        Some(Clue::new(kind, side, range, moment))
    }
}

/// Returns whether these octets start with the hello of this side.
fn is_hello(side: Side, bytes: &[u8]) -> bool {
    is_hello_record(bytes, if side == Side::Client { 1 } else { 2 })
}

fn tls_use(
    begin: TlsBegin,
    end: TlsEnd,
    has_cleartext: [bool; 2],
    closed: bool,
    left: bool,
    had_cleartext: bool,
) -> TlsUse {
    match (begin, end) {
        _ if left => TlsUse::Left,
        (TlsBegin::FirstOctet, _) if has_cleartext[1] => TlsUse::WrongMode,
        (TlsBegin::FirstOctet, TlsEnd::Failed) => TlsUse::Failed,
        (TlsBegin::FirstOctet, TlsEnd::OneSide(_)) if closed => TlsUse::Failed,
        (TlsBegin::FirstOctet, TlsEnd::Established | TlsEnd::Started) => TlsUse::FirstOctet,
        (TlsBegin::Agreed, TlsEnd::Failed) => TlsUse::Failed,
        (TlsBegin::Agreed, TlsEnd::Established | TlsEnd::Started) => TlsUse::Upgrade,
        (TlsBegin::Agreed, TlsEnd::Nothing) if closed => TlsUse::Broken,
        (TlsBegin::Agreed, TlsEnd::OneSide(_)) if closed => TlsUse::Failed,
        (TlsBegin::Seen { first: true }, TlsEnd::OneSide(Side::Client)) if closed || has_cleartext[1] => {
            TlsUse::WrongMode
        }
        (TlsBegin::Seen { .. }, TlsEnd::Failed) if had_cleartext => TlsUse::Failed,
        (TlsBegin::Seen { .. }, TlsEnd::Established | TlsEnd::Started) if had_cleartext => TlsUse::Upgrade,
        _ => TlsUse::Unknown,
    }
}
