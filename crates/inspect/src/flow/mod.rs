//! TCP: from segments to two streams of octets, in the order in which each side could have received them.

mod half;

use starttls_proto::Side;

use crate::moment::Moment;
use crate::peel::Segment;
use half::{Half, Held};

/// The most octets that a direction holds back before a hole counts as lost.
const MAX_HELD: usize = 64 * 1024;
/// How long octets are held back before a hole counts as lost, in nanoseconds of capture time.
const MAX_HELD_TIME: u64 = 5_000_000_000;

/// What a segment added to the streams.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum StreamEvent<'a> {
    /// The next octets of this side.
    Data { side: Side, moment: Moment, bytes: &'a [u8] },
    /// Octets of this side that the capture does not contain. 0 if their number is unknown.
    Gap { side: Side, octets: u64 },
    /// Two copies of the same octets have other contents. The first copy counts.
    Conflict { side: Side, moment: Moment, offset: u64, first: &'a [u8], other: &'a [u8] },
}

/// How a connection ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// Still open.
    Open,
    /// Both sides closed it.
    Closed,
    /// This side reset it.
    Reset(Side),
}

/// One TCP connection.
#[derive(Debug)]
pub(crate) struct TcpConnection {
    client: Half,
    server: Half,
    reset: Option<Side>,
    /// Whether octets are kept to compare them with later copies.
    pub(crate) compares: bool,
}

impl TcpConnection {
    /// Returns a connection whose first segment was not seen yet.
    pub(crate) fn new() -> Self {
        Self { client: Half::default(), server: Half::default(), reset: None, compares: true }
    }

    /// Returns whether this segment, from this side, starts another connection with the same addresses.
    pub(crate) fn is_other(&self, from: Side, segment: &Segment<'_>) -> bool {
        let half = self.half(from);
        segment.is_syn()
            && if segment.has_ack() {
                half.has_other_start(segment.seq)
            } else {
                from == Side::Server || half.has_other_start(segment.seq)
            }
    }

    pub(crate) fn ending(&self) -> Ending {
        match self.reset {
            Some(side) => Ending::Reset(side),
            None if self.client.is_finished() && self.server.is_finished() => Ending::Closed,
            None => Ending::Open,
        }
    }

    /// Returns the sequence numbers of the first octets of the client and of the server.
    pub(crate) fn start(&self) -> [Option<u32>; 2] {
        [&self.client, &self.server].map(Half::first_number)
    }

    /// Forgets all octets. Where the streams started stays known, to recognize a new connection.
    pub(crate) fn release(&mut self) {
        self.client.release();
        self.server.release();
    }

    /// Returns the octets that are held in memory.
    pub(crate) fn weight(&self) -> usize {
        self.client.weight() + self.server.weight()
    }

    /// Adds a segment that this side sent.
    pub(crate) fn segment(
        &mut self,
        from: Side,
        segment: &Segment<'_>,
        moment: Moment,
        emit: &mut dyn FnMut(StreamEvent<'_>),
    ) {
        let compares = self.compares;
        let (own, peer) = self.halves(from);
        if segment.is_syn() {
            own.start(segment.seq.wrapping_add(1));
            if segment.has_ack() {
                peer.start(segment.ack);
            }
        }
        // The octets of a SYN follow its sequence number (TCP Fast Open).
        let seq = if segment.is_syn() { segment.seq.wrapping_add(1) } else { segment.seq };
        let needs = if segment.has_ack() { peer.acknowledged(segment.ack) } else { 0 };
        let offset = own.offset(seq);
        if segment.is_rst() {
            // A reset outside of the window has no effect.
            if (0..1 << 30).contains(&(offset + 1 - own.next as i64)) {
                self.reset.get_or_insert(from);
            }
            return;
        }
        let sent = segment.payload.len() as u64 + u64::from(segment.missing);
        if segment.is_fin() {
            own.finish(offset + sent as i64);
        }
        let is_keep_alive = sent == 1 && offset + 1 == own.next as i64;
        if !segment.payload.is_empty() && !is_keep_alive {
            if own.is_next(offset) && needs <= peer.next {
                own.pass(from, moment, segment.payload, compares, emit);
            } else {
                let held = Held { moment, needs };
                own.insert(offset, segment.payload, held, compares, &mut |offset, first, other| {
                    emit(StreamEvent::Conflict { side: from, moment, offset, first, other });
                });
            }
        }
        self.deliver(emit);
        while self.must_give_up(moment) {
            self.give_up(emit);
            self.deliver(emit);
        }
    }

    /// Delivers everything that is held, with gaps where octets are missing.
    pub(crate) fn finish(&mut self, emit: &mut dyn FnMut(StreamEvent<'_>)) {
        self.deliver(emit);
        while self.client.first().is_some() || self.server.first().is_some() {
            self.give_up(emit);
            self.deliver(emit);
        }
        let is_empty = self.client.next == 0 && self.server.next == 0;
        for side in [Side::Client, Side::Server] {
            let half = self.half_mut(side);
            if !is_empty {
                half.announce(side, emit);
            }
            let missing = half.missing_at_end();
            if missing > 0 {
                half.skip_to(half.next + missing);
                emit(StreamEvent::Gap { side, octets: missing });
            }
        }
    }

    fn half(&self, side: Side) -> &Half {
        if side == Side::Client { &self.client } else { &self.server }
    }

    fn half_mut(&mut self, side: Side) -> &mut Half {
        if side == Side::Client { &mut self.client } else { &mut self.server }
    }

    fn halves(&mut self, side: Side) -> (&mut Half, &mut Half) {
        match side {
            Side::Client => (&mut self.client, &mut self.server),
            Side::Server => (&mut self.server, &mut self.client),
        }
    }

    /// Delivers what is next on either side, as long as the other side's octets that it acknowledges were delivered.
    /// Time stamps do not decide: several network queues, and merged captures, reorder packets.
    fn deliver(&mut self, emit: &mut dyn FnMut(StreamEvent<'_>)) {
        let compares = self.compares;
        loop {
            let mut progress = false;
            for side in [Side::Client, Side::Server] {
                let (own, peer) = self.halves(side);
                while own.first().is_some_and(|(offset, held)| offset == own.next && held.needs <= peer.next)
                {
                    own.deliver(side, compares, emit);
                    progress = true;
                }
            }
            if !progress {
                return;
            }
        }
    }

    fn must_give_up(&self, now: Moment) -> bool {
        [&self.client, &self.server].into_iter().any(|half| {
            half.held() > MAX_HELD
                || half
                    .first()
                    .is_some_and(|(_, held)| now.time.saturating_sub(held.moment.time) > MAX_HELD_TIME)
        })
    }

    /// Gives up what the oldest octets that are held wait for.
    fn give_up(&mut self, emit: &mut dyn FnMut(StreamEvent<'_>)) {
        let since = |half: &Half| half.first().map(|(_, held)| held.moment);
        let side = match (since(&self.client), since(&self.server)) {
            (Some(client), Some(server)) if client > server => Side::Server,
            (None, _) => Side::Server,
            _ => Side::Client,
        };
        let compares = self.compares;
        let (own, peer) = self.halves(side);
        let Some((offset, held)) = own.first() else { return };
        if offset > own.next {
            let octets = offset - own.next;
            own.skip_to(offset);
            return emit(StreamEvent::Gap { side, octets });
        }
        // The octets wait for octets of the other side.
        let until = peer.first().map_or(held.needs, |(offset, _)| held.needs.min(offset));
        if until > peer.next {
            let octets = until - peer.next;
            peer.skip_to(until);
            return emit(StreamEvent::Gap { side: side.peer(), octets });
        }
        own.deliver(side, compares, emit);
    }
}
