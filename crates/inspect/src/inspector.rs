//! Whole captures: from packets to a report for each connection.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};

use serde::Serialize;
use sha1::{Digest, Sha1};
use starttls_proto::{Side, base64, by_port};

use crate::capture::CapturedPacket;
use crate::conversation::{Conversation, ConversationEnd, index};
use crate::facts::{Clue, ClueKind, Facts};
use crate::flow::{Ending, StreamEvent, TcpConnection};
use crate::hops::{HopCounts, PacketKind};
use crate::kept_octets::KeptOctets;
use crate::moment::Moment;
use crate::peel::{Fragments, Layers, Peeled, Segment, Skipped, peel, peel_datagram};
use crate::privacy::{Privacy, ShownUsers};
use crate::verdict::{Baseline, Observation, Servers, judge};

/// Bounds of an inspection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct InspectLimits {
    /// The most octets for all connections.
    pub memory: usize,
    /// The most connections that are followed at the same time.
    pub connections: usize,
    /// Whether VLAN tags distinguish connections. A mirror port may tag each direction differently.
    pub by_vlan: bool,
}

impl Default for InspectLimits {
    fn default() -> Self {
        Self { memory: 256 * 1024 * 1024, connections: 1_000_000, by_vlan: false }
    }
}

/// What a capture shows of one connection.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ConnectionReport {
    /// The number of the connection, in the order of their first packets.
    pub id: u64,
    /// The Community ID, version 1 with seed 0, by which other tools name the same connection.
    pub community_id: String,
    /// The time of the first packet.
    pub start: String,
    /// The same as a number.
    #[serde(skip)]
    pub started: Moment,
    /// The time of the last packet.
    pub end: String,
    /// The client's address and port.
    pub client: String,
    /// The server's address and port.
    pub server: String,
    /// VLAN tags, tunnels and proxies around the conversation, the outermost first.
    pub tunnel: Vec<String>,
    /// The packets. 0 if the connection was observed without them.
    pub packets: u64,
    /// Packets that traveled another way than the others of their side. They support a finding and are none.
    pub hints: Vec<String>,
    /// What they show.
    #[serde(flatten)]
    pub facts: Facts,
    /// What is wrong with that.
    pub findings: Vec<Observation>,
    /// The first octets, if the inspector keeps them.
    #[serde(skip)]
    pub(crate) kept: Option<Box<KeptOctets>>,
}

impl ConnectionReport {
    /// Returns the report of a connection that was observed without packets: its number, its client and server, and the
    /// times of its start and end.
    pub fn observed(
        id: u64,
        (client, server): (SocketAddr, SocketAddr),
        (started, ended): (Moment, Moment),
        facts: Facts,
    ) -> Self {
        Self {
            id,
            community_id: community_id(client, server),
            start: started.rfc3339(),
            started,
            end: ended.rfc3339(),
            client: client.to_string(),
            server: server.to_string(),
            tunnel: facts.proxies.iter().map(|hop| hop.kind.name().to_owned()).collect(),
            packets: 0,
            hints: Vec::new(),
            findings: judge(&facts),
            facts,
            kept: None,
        }
    }

    /// Returns the server's name in the summary of its connections.
    pub fn server_name(&self) -> String {
        crate::verdict::server_name(&self.server, self.facts.destination())
    }
}

/// The totals of a capture.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct CaptureSummary {
    /// The packets that were read.
    pub packets: u64,
    /// Their captured octets.
    pub octets: u64,
    /// Packets that were skipped.
    pub skipped: Vec<SkippedPackets>,
    /// The connections.
    pub connections: u64,
    /// Connections with a known protocol or with TLS.
    pub recognized: u64,
    /// Gaps in all connections.
    pub gaps: u64,
    /// Connections that were given up for lack of memory.
    pub evicted: u64,
    /// Copies of octets with other contents.
    pub conflicts: u64,
}

/// Packets that hold no TCP segment that can be followed.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct SkippedPackets {
    /// Why they were skipped.
    pub reason: String,
    /// How many.
    pub packets: u64,
}

/// Follows the connections of a capture.
#[derive(Debug)]
pub struct Inspector {
    limits: InspectLimits,
    /// Boxed, so that a table with empty places is small.
    connections: HashMap<Key, Box<Tracked>>,
    /// The connections to give up next, the first one last, each with its rank at the time of the choice.
    candidates: Vec<(u64, Key)>,
    fragments: Fragments,
    summary: CaptureSummary,
    skipped: HashMap<Skipped, u64>,
    servers: Servers,
    finished: Vec<ConnectionReport>,
    now: u64,
    next_sweep: u64,
    since_sweep: u64,
    weight: usize,
    privacy: Privacy,
    /// Ports that are treated like other ports.
    ports: HashMap<u16, u16>,
    /// How many of the first octets of each direction are kept.
    keeps: usize,
    /// The octets that were kept in all reports.
    kept: usize,
}

/// The two ends of a connection, the lesser first: their addresses as those of IPv6, and their ports.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct Key {
    low: ([u8; 16], u16),
    high: ([u8; 16], u16),
    vlan: u32,
}

/// The memory of an entry in the table of connections. A table that grows exists twice for a moment.
const ENTRY: usize = (size_of::<Key>() + size_of::<usize>() + 1) * 3 / 2;
/// What the heap adds to an allocation.
const ALLOCATION: usize = 16;
/// The part of the memory that may remember servers and clients: one in this many octets.
const SERVERS: usize = 4;
/// The part that stays free, because the heap cannot use every gap again: 49 MiB of 256 MiB were measured in a flood of SYNs.
const HEAP: usize = 6;

#[derive(Debug)]
struct Tracked {
    id: u64,
    client: SocketAddr,
    server: SocketAddr,
    /// The server's port, or the one that it is treated like.
    port: u16,
    layers: Layers,
    start: Moment,
    last: Moment,
    packets: u64,
    tcp: TcpConnection,
    hops: HopCounts,
    /// Made with the first octet.
    conversation: Option<Box<Conversation>>,
    kept: Option<Box<KeptOctets>>,
    /// The report was written. What follows are stray segments.
    is_reported: bool,
    weight: usize,
}

/// Seconds in nanoseconds.
const SECOND: u64 = 1_000_000_000;

impl Inspector {
    /// Returns an inspector without packets.
    pub fn new(limits: InspectLimits) -> Self {
        Self {
            limits,
            connections: HashMap::new(),
            candidates: Vec::new(),
            fragments: Fragments::default(),
            summary: CaptureSummary::default(),
            skipped: HashMap::new(),
            servers: Servers::new(limits.memory / SERVERS),
            finished: Vec::new(),
            now: 0,
            next_sweep: 0,
            since_sweep: 0,
            weight: 0,
            privacy: Privacy::default(),
            ports: HashMap::new(),
            keeps: 0,
            kept: 0,
        }
    }

    /// Returns the inspector with servers that are known to offer the upgrade.
    pub fn with_baseline(mut self, baseline: Baseline) -> Self {
        self.servers.baseline = baseline;
        self
    }

    /// Returns the inspector with ports that are treated like others: `(2525, 25)`.
    pub fn with_ports(mut self, ports: impl IntoIterator<Item = (u16, u16)>) -> Self {
        self.ports.extend(ports);
        self
    }

    /// Returns the inspector with another way to show the users of logins.
    pub fn showing_users(mut self, users: ShownUsers) -> Self {
        self.privacy.users = users;
        self
    }

    /// Returns the inspector with other addresses and without names in its reports. The same address always gets the
    /// same replacement.
    pub fn anonymized(mut self) -> Self {
        self.privacy.addresses = Some(HashMap::new());
        self
    }

    /// Returns the inspector keeping the first octets of each direction, for [`crate::compare`]. All reports together
    /// keep no more than the memory limit.
    pub fn keeping(mut self, octets: usize) -> Self {
        self.keeps = octets;
        self
    }

    /// Adds the next packet. Returns the number of its connection, if it contains a TCP segment.
    pub fn packet(&mut self, packet: &CapturedPacket<'_>) -> Option<u64> {
        self.summary.packets += 1;
        self.summary.octets += packet.data.len() as u64;
        // Merged captures are not always in order.
        self.now = self.now.max(packet.time);
        let moment = Moment { packet: self.summary.packets, time: packet.time };
        let skipped = match peel(packet.link, packet.data) {
            Peeled::Segment(segment) => Ok(self.segment(&segment, moment)),
            Peeled::Fragment(fragment) => match self.fragments.push(&fragment, packet.time) {
                Some(whole) => {
                    match peel_datagram(whole.addresses, whole.protocol, &whole.data, whole.layers) {
                        Peeled::Segment(segment) => Ok(self.segment(&segment, moment)),
                        Peeled::Fragment(_) => Err(Some(Skipped::TooManyLayers)),
                        Peeled::Skipped(skipped) => Err(Some(skipped)),
                    }
                }
                None => Err(None),
            },
            Peeled::Skipped(skipped) => Err(Some(skipped)),
        };
        if let Err(Some(skipped)) = skipped {
            self.skip(skipped);
        }
        self.sweep();
        skipped.ok()
    }

    /// Returns the reports of the connections that have ended since the last call.
    pub fn take_finished(&mut self) -> Vec<ConnectionReport> {
        std::mem::take(&mut self.finished)
    }

    /// Ends all connections that are open, at the end of the capture.
    pub fn finish(&mut self) {
        let mut keys: Vec<(u64, Key)> = self.connections.iter().map(|(key, it)| (it.id, *key)).collect();
        keys.sort_unstable();
        for (_, key) in keys {
            self.end(&key, ConversationEnd::Open);
        }
        (self.connections, self.candidates, self.weight) = (HashMap::new(), Vec::new(), 0);
    }

    /// Returns the octets in use for all connections, and for what is known of servers and clients.
    pub fn memory(&self) -> usize {
        self.weight + self.connections.capacity() * 8 / 7 * ENTRY + self.servers.weight()
    }

    /// Returns the totals.
    pub fn summary(&self) -> CaptureSummary {
        let mut summary = self.summary.clone();
        let skipped = |reason: String, packets: u64| SkippedPackets { reason, packets };
        summary.skipped =
            self.skipped.iter().map(|(reason, count)| skipped(reason.reason(), *count)).collect();
        if self.fragments.dropped > 0 {
            summary.skipped.push(skipped(String::from("incomplete fragments"), self.fragments.dropped));
        }
        summary.skipped.sort();
        summary.conflicts += self.fragments.conflicts;
        summary
    }

    /// Returns what all connections show together.
    pub fn servers(&self) -> &Servers {
        &self.servers
    }

    fn skip(&mut self, skipped: Skipped) {
        // The link type comes from the file, so their number needs a bound.
        if self.skipped.len() < 64 || self.skipped.contains_key(&skipped) {
            *self.skipped.entry(skipped).or_default() += 1;
        }
    }

    /// Adds a segment and returns the number of its connection.
    fn segment(&mut self, segment: &Segment<'_>, moment: Moment) -> u64 {
        let key = Key::of(segment, self.limits.by_vlan);
        if let Some(tracked) = self.connections.get_mut(&key) {
            let from = tracked.side(segment.from);
            if !tracked.tcp.is_other(from, segment) {
                let id = tracked.id;
                self.add(&key, segment, moment);
                return id;
            }
            self.end(&key, ConversationEnd::Closed);
            self.forget(&key);
        }
        if self.connections.len() >= self.limits.connections {
            self.evict();
        }
        self.summary.connections += 1;
        let id = self.summary.connections;
        let (client, server) = roles(segment, |port| self.port(port));
        let tracked = Tracked {
            id,
            client,
            server,
            port: self.port(server.port()),
            layers: segment.layers,
            start: moment,
            last: moment,
            packets: 0,
            tcp: TcpConnection::new(),
            hops: HopCounts::default(),
            conversation: None,
            kept: (self.keeps > 0 && self.kept < self.limits.memory).then(Box::default),
            is_reported: false,
            weight: size_of::<Tracked>() + ALLOCATION,
        };
        self.weight += tracked.weight;
        self.connections.insert(key, Box::new(tracked));
        self.add(&key, segment, moment);
        id
    }

    fn port(&self, port: u16) -> u16 {
        self.ports.get(&port).copied().unwrap_or(port)
    }

    fn add(&mut self, key: &Key, segment: &Segment<'_>, moment: Moment) {
        let Some(tracked) = self.connections.get_mut(key) else { return };
        tracked.packets += 1;
        tracked.last = tracked.last.max(moment);
        if tracked.is_reported {
            return;
        }
        let from = tracked.side(segment.from);
        tracked.hops.add(from, segment.layers.ttl, moment.packet, kind(segment));
        let conflicts = tracked.receive(self.keeps, |tcp, emit| tcp.segment(from, segment, moment, emit));
        self.summary.conflicts += conflicts;
        let before = tracked.weight;
        tracked.weight = tracked.current_weight();
        let is_closed = tracked.tcp.ending() == Ending::Closed;
        self.weight = self.weight + tracked.weight - before;
        if is_closed {
            self.end(key, ConversationEnd::Closed);
        }
        let limit = self.limits.memory - self.limits.memory / HEAP;
        while self.memory() > limit && self.evict() {}
    }

    /// Ends a connection and writes its report. Its addresses stay known, for stray segments.
    fn end(&mut self, key: &Key, end: ConversationEnd) {
        let Some(tracked) = self.connections.get_mut(key) else { return };
        if tracked.is_reported {
            return;
        }
        self.summary.conflicts += tracked.receive(self.keeps, |tcp, emit| tcp.finish(emit));
        tracked.is_reported = true;
        let is_ended = tracked.tcp.ending() != Ending::Open;
        let end = match end {
            // A new connection with the same addresses does not prove how the old one ended.
            ConversationEnd::Closed | ConversationEnd::Open if is_ended => ConversationEnd::Closed,
            ConversationEnd::Closed => ConversationEnd::Open,
            end => end,
        };
        tracked.tcp.release();
        let (before, conversation) = (tracked.weight, tracked.conversation.take());
        tracked.weight = tracked.current_weight();
        self.weight = self.weight + tracked.weight - before;
        // A connection without an octet shows nothing.
        let Some(conversation) = conversation else { return };
        let mut kept = tracked.kept.take();
        if let Some(kept) = &mut kept {
            kept.start = tracked.tcp.start();
            self.kept += kept.octets.iter().map(Vec::len).sum::<usize>();
        }
        let mut facts = conversation.finish(end);
        self.privacy.apply(&mut facts);
        let [client, server] = [tracked.client, tracked.server].map(|end| self.privacy.address(end));
        self.summary.gaps += u64::from(facts.gaps);
        self.summary.recognized += u64::from(facts.protocol.is_some() || facts.handshake.is_some());
        self.servers.add(client.ip(), server, tracked.start.time, &facts);
        let (ends, times) = ((client, server), (tracked.start, tracked.last));
        let report = ConnectionReport::observed(tracked.id, ends, times, facts);
        let layers = tracked.layers.names().into_iter();
        self.finished.push(ConnectionReport {
            tunnel: layers.chain(report.tunnel).collect(),
            packets: tracked.packets,
            hints: tracked.hops.hints(),
            kept,
            ..report
        });
    }

    /// Ends connections that were idle for too long.
    fn sweep(&mut self) {
        self.since_sweep += 1;
        // Time stamps are input: they must not cause a sweep for each packet.
        let is_due = self.now >= self.next_sweep && self.since_sweep > self.connections.len() as u64 / 4;
        if !is_due {
            return;
        }
        (self.next_sweep, self.since_sweep) = (self.now + 10 * SECOND, 0);
        let now = self.now;
        let mut old: Vec<(u64, Key)> = self
            .connections
            .iter()
            .filter(|(_, it)| now.saturating_sub(it.last.time) > it.timeout())
            .map(|(key, it)| (it.id, *key))
            .collect();
        old.sort_unstable();
        for (_, key) in old {
            self.end(&key, ConversationEnd::Open);
            self.forget(&key);
        }
    }

    fn forget(&mut self, key: &Key) {
        if let Some(tracked) = self.connections.remove(key) {
            self.weight -= tracked.weight;
        }
    }

    /// Gives up a connection, if there is one: a connection inside TLS before others, and one that was idle for longer
    /// before others. One at a time, so that the reports do not need memory beyond the limit.
    fn evict(&mut self) -> bool {
        loop {
            if self.candidates.is_empty() {
                self.choose_candidates();
            }
            let Some((rank, key)) = self.candidates.pop() else { return false };
            // A connection that was not idle since has another rank.
            let Some(tracked) = self.connections.get(&key).filter(|it| it.rank() == rank) else { continue };
            self.summary.evicted += u64::from(!tracked.is_reported);
            self.end(&key, ConversationEnd::Evicted);
            self.forget(&key);
            return true;
        }
    }

    /// Chooses a quarter of the connections, because a choice reads all of them.
    fn choose_candidates(&mut self) {
        let mut ranks: Vec<u64> = self.connections.values().map(|it| it.rank()).collect();
        if ranks.is_empty() {
            return;
        }
        let quarter = ranks.len() / 4;
        let (_, &mut highest, _) = ranks.select_nth_unstable(quarter);
        let chosen = self.connections.iter().map(|(key, it)| (it.rank(), *key));
        self.candidates.extend(chosen.filter(|(rank, _)| *rank <= highest));
        self.candidates.sort_unstable_by(|one, other| other.cmp(one));
    }
}

impl Key {
    fn of(segment: &Segment<'_>, by_vlan: bool) -> Self {
        let end = |address: SocketAddr| {
            let ip = match address.ip() {
                IpAddr::V4(ip) => ip.to_ipv6_mapped(),
                IpAddr::V6(ip) => ip,
            };
            (ip.octets(), address.port())
        };
        let (one, other) = (end(segment.from), end(segment.to));
        let vlan = if by_vlan { segment.layers.vlan } else { 0 };
        Self { low: one.min(other), high: one.max(other), vlan }
    }
}

fn kind(segment: &Segment<'_>) -> PacketKind {
    match segment {
        it if it.is_rst() => PacketKind::Reset,
        it if it.is_syn() => PacketKind::Start,
        it if it.is_fin() => PacketKind::End,
        it if it.payload.is_empty() => PacketKind::Acknowledgment,
        _ => PacketKind::Data,
    }
}

/// Returns the client and the server. A connection that was joined late has the server at the port that is known, or at
/// the lower one.
fn roles(segment: &Segment<'_>, like: impl Fn(u16) -> u16) -> (SocketAddr, SocketAddr) {
    let (from, to) = (segment.from, segment.to);
    let is_from_server = match (segment.is_syn(), segment.has_ack()) {
        (true, ack) => ack,
        (false, _) => {
            let known = |port| by_port(like(port)).is_some();
            match (known(from.port()), known(to.port())) {
                (true, false) => true,
                (false, true) => false,
                _ => from.port() < to.port(),
            }
        }
    };
    if is_from_server { (to, from) } else { (from, to) }
}

impl Tracked {
    fn side(&self, from: SocketAddr) -> Side {
        if from == self.client { Side::Client } else { Side::Server }
    }

    fn current_weight(&self) -> usize {
        let conversation = self.conversation.as_ref().map_or(0, |it| it.weight());
        let kept = self.kept.as_ref().map_or(0, |it| it.octets.iter().map(Vec::capacity).sum());
        size_of::<Self>() + ALLOCATION + self.tcp.weight() + conversation + kept
    }

    /// Returns the place in the order in which connections are given up.
    fn rank(&self) -> u64 {
        let is_open = !self.is_reported && self.conversation.as_ref().is_some_and(|it| it.is_open());
        u64::from(is_open) << 63 | self.last.packet
    }

    /// How long the connection may be idle, in nanoseconds of capture time.
    fn timeout(&self) -> u64 {
        match &self.conversation {
            _ if self.is_reported || self.tcp.ending() != Ending::Open => 2 * SECOND,
            None => 30 * SECOND,
            Some(conversation) if conversation.is_open() => 300 * SECOND,
            Some(_) => 3600 * SECOND,
        }
    }

    /// Runs a step of the connection and gives its streams to the conversation. Returns the number of conflicts.
    fn receive(
        &mut self,
        keeps: usize,
        step: impl FnOnce(&mut TcpConnection, &mut dyn FnMut(StreamEvent<'_>)),
    ) -> u64 {
        let Self { tcp, conversation, port, kept, .. } = self;
        let port = *port;
        let mut conflicts = 0;
        let mut events = |event: StreamEvent<'_>| {
            let conversation = conversation.get_or_insert_with(|| Box::new(Conversation::new(port)));
            if let Some(kept) = kept {
                kept.add(&event, keeps);
            }
            match event {
                StreamEvent::Data { side, moment, bytes } => conversation.receive(side, bytes, moment),
                StreamEvent::Gap { side, octets } => conversation.gap(side, octets),
                StreamEvent::Conflict { side, moment, offset, first, other } => {
                    if conversation.is_open() {
                        conflicts += 1;
                        note_conflict(conversation, side, moment, offset, first, other);
                    }
                }
            }
        };
        step(tcp, &mut events);
        tcp.compares = conversation.as_ref().is_none_or(|it| it.is_open());
        conflicts
    }
}

impl KeptOctets {
    fn add(&mut self, event: &StreamEvent<'_>, most: usize) {
        match *event {
            StreamEvent::Data { side, moment, bytes } => {
                let (octets, is_cut) = (&mut self.octets[index(side)], &mut self.is_cut[index(side)]);
                let len = if *is_cut { 0 } else { bytes.len().min(most - octets.len()) };
                octets.extend_from_slice(&bytes[..len]);
                *is_cut |= len < bytes.len();
                if len > 0 {
                    self.moments[index(side)].push((octets.len() as u64, moment));
                }
            }
            StreamEvent::Gap { side, .. } => self.is_cut[index(side)] = true,
            StreamEvent::Conflict { .. } => {}
        }
    }
}

/// Notes two copies of the same octets. Their text stays out: it could be a login.
fn note_conflict(
    conversation: &mut Conversation,
    side: Side,
    moment: Moment,
    offset: u64,
    first: &[u8],
    other: &[u8],
) {
    let offers = |bytes: &[u8]| {
        let upper = bytes.to_ascii_uppercase();
        [&b"STARTTLS"[..], b"STLS", b"AUTH TLS"]
            .iter()
            .any(|word| upper.windows(word.len()).any(|it| it == *word))
    };
    let range = offset..offset + first.len() as u64;
    conversation.note(Clue::new(ClueKind::Conflict, side, range.clone(), moment));
    if side == Side::Server && offers(first) != offers(other) {
        conversation.note(Clue::new(ClueKind::ForgedOffer, side, range, moment));
    }
}

/// Returns the Community ID of a TCP connection, version 1 with seed 0.
fn community_id(one: SocketAddr, other: SocketAddr) -> String {
    let octets = |address: SocketAddr| match address.ip() {
        IpAddr::V4(ip) => ip.octets().to_vec(),
        IpAddr::V6(ip) => ip.octets().to_vec(),
    };
    let ends = [one, other].map(|end| (octets(end), end.port()));
    let (low, high) = if ends[0] <= ends[1] { (&ends[0], &ends[1]) } else { (&ends[1], &ends[0]) };
    let mut hash = Sha1::new();
    hash.update([0, 0]);
    hash.update(&low.0);
    hash.update(&high.0);
    hash.update([6, 0]);
    hash.update(low.1.to_be_bytes());
    hash.update(high.1.to_be_bytes());
    format!("1:{}", base64::encode(&hash.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn community_ids_are_those_of_other_tools() {
        // From the specification's reference implementation.
        let [one, other] = ["128.232.110.120:34855", "66.35.250.204:80"].map(|it| it.parse().unwrap());
        assert_eq!(community_id(one, other), "1:LQU9qZlK+B5F3KDmev6m5PMibrg=");
        assert_eq!(community_id(other, one), community_id(one, other));
    }
}
