//! Input that is expensive by design, derived from the messages of sound peers and from the vectors.

use std::collections::HashSet;

use starttls_proto::{PROTOCOLS, Protocol};

use crate::clock::cpu_time;
use crate::machine::{Machine, feed};
use crate::vectors::Vector;

/// The size of hostile input in octets: the limit of one message.
pub(crate) const SIZE: usize = 64 * 1024;

/// The way in which input is expensive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Repeated whole messages.
    Flood,
    /// A message without an end, in which the last octet or another octet is repeated.
    Endless,
    /// A message in which one part is repeated: lines, elements, attributes, entries.
    Many,
}

impl Kind {
    pub(crate) const ALL: [Self; 3] = [Self::Flood, Self::Endless, Self::Many];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Flood => "flood",
            Self::Endless => "endless",
            Self::Many => "many",
        }
    }
}

/// An attack: `head`, then repetitions of `part`, then `tail`, sent to a machine that has received the first segments
/// of a sound negotiation.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Attack {
    pub(crate) kind: Kind,
    segments: usize,
    head: Vec<u8>,
    part: Vec<u8>,
    tail: Vec<u8>,
    /// The octets until the machine stops, found by a first run.
    pub(crate) size: usize,
}

/// The result of a run.
pub(crate) struct Run {
    pub(crate) ns: f64,
    /// The number of pieces that the machine accepted, with the last one.
    pub(crate) pieces: usize,
    /// Whether the machine accepts more input.
    pub(crate) lasted: bool,
}

impl Attack {
    fn new(kind: Kind, segments: usize, [head, part, tail]: [&[u8]; 3]) -> Self {
        let [head, part, tail] = [head, part, tail].map(<[u8]>::to_vec);
        Self { kind, segments, head, part, tail, size: SIZE }
    }

    pub(crate) fn input(&self, size: usize) -> Vec<u8> {
        let middle = size.saturating_sub(self.head.len() + self.tail.len()) / self.part.len();
        let mut input = [self.head.as_slice(), &self.part.repeat(middle), &self.tail].concat();
        input.truncate(size);
        input
    }

    pub(crate) fn run<M: Machine>(
        &self,
        protocol: &Protocol,
        segments: &[Vec<u8>],
        input: &[u8],
        piece: usize,
    ) -> Run {
        let mut out = Vec::with_capacity(SIZE);
        let mut machine = M::start(protocol, &mut out);
        for segment in &segments[..self.segments] {
            machine = feed(machine, segment, usize::MAX, &mut out).expect("a sound start");
        }
        out.clear();
        let mut pieces = 0;
        let start = cpu_time();
        let lasted = input.chunks(piece).try_fold(machine, |machine, piece| {
            pieces += 1;
            out.clear();
            machine.receive(piece, &mut out)
        });
        Run { ns: cpu_time() - start, pieces, lasted: lasted.is_ok() }
    }

    /// Returns a description: the number of segments before the attack, and its content.
    pub(crate) fn describe(&self) -> String {
        let [head, part, tail] = [&self.head, &self.part, &self.tail].map(|it| {
            let shown = it.get(..60).unwrap_or(it).escape_ascii().to_string();
            if it.len() > 60 { shown + "…" } else { shown }
        });
        format!("after {}: {head}[{part}]*{tail}", self.segments)
    }
}

/// The price of an attack in nanoseconds per octet.
#[derive(Clone, Copy)]
pub(crate) struct Price {
    /// In one piece.
    pub(crate) whole: f64,
    /// In single bytes.
    pub(crate) single: f64,
}

/// Returns the attacks that keep a machine busy, each with a first estimate of its price.
pub(crate) fn attacks<M: Machine>(
    protocol: &'static Protocol,
    segments: &[Vec<u8>],
    vectors: &[Vector],
) -> Vec<(Price, Attack)> {
    let messages = messages::<M>(protocol, segments, vectors);
    let mut seen = HashSet::new();
    let mut lasting = Vec::new();
    for after in 0..segments.len() {
        for message in &messages {
            variations(message, |kind, parts| {
                let mut attack = Attack::new(kind, after, parts);
                if parts[1].is_empty() || !seen.insert(attack.clone()) {
                    return;
                }
                let input = attack.input(SIZE);
                let single = attack.run::<M>(protocol, segments, &input, 1);
                attack.size = single.pieces;
                // An attack that ends early is cheap. A flood may be shorter, because its messages are.
                if attack.size < if kind == Kind::Flood { 1000 } else { 8000 } {
                    return;
                }
                // In one piece, input before its question is an early answer, so the runs are not comparable.
                let before = attack.run::<M>(protocol, segments, &input[..attack.size - 1], SIZE);
                let whole = attack.run::<M>(protocol, segments, &input[..attack.size], SIZE);
                if before.lasted && whole.lasted == single.lasted {
                    let octets = attack.size as f64;
                    lasting.push((Price { whole: whole.ns / octets, single: single.ns / octets }, attack));
                }
            });
        }
    }
    lasting
}

/// Returns the messages that the peer sends in a sound negotiation and in the vectors, as segments and as lines.
fn messages<M: Machine>(
    protocol: &'static Protocol,
    segments: &[Vec<u8>],
    vectors: &[Vector],
) -> Vec<Vec<u8>> {
    let peer = M::SIDE.peer();
    let same = PROTOCOLS.iter().filter(|it| it.family == protocol.family).copied().collect::<Vec<_>>();
    let turns = vectors.iter().filter(|it| same.contains(&it.protocol)).flat_map(|it| &it.turns);
    let said = segments.iter().chain(turns.filter(|turn| turn.from == peer).map(|turn| &turn.bytes));
    let mut messages: Vec<Vec<u8>> = said
        .flat_map(|segment| segment.split_inclusive(|byte| *byte == b'\n').chain([segment.as_slice()]))
        .filter(|message| message.len() < 1024)
        .map(<[u8]>::to_vec)
        .collect();
    messages.sort();
    messages.dedup();
    messages
}

fn variations(message: &[u8], mut found: impl FnMut(Kind, [&[u8]; 3])) {
    let len = message.len();
    found(Kind::Flood, [b"", message, b""]);
    // Cut the ending off and repeat an octet. In binary messages, make a length near the start large.
    let binary = message.iter().take(8).any(|octet| *octet < b'\t');
    for cut in (1..len).filter(|cut| len - cut <= 2 || *cut == len / 2 || (binary && *cut <= 9)) {
        let head = &message[..cut];
        for octet in [head[cut - 1], b'a', b'\t', b'-', 0] {
            found(Kind::Endless, [head, &[octet], b""]);
        }
    }
    for place in 0..if binary { len.min(6) } else { 0 } {
        for octet in [0x27, 0x70, 0xfa, 0xff] {
            let mut head = message[..len.min(40)].to_vec();
            head[place] = octet;
            found(Kind::Endless, [&head, b"a", b""]);
        }
    }
    // The text between two marks is a line, an element, an attribute or a BER element.
    let marks: Vec<usize> = (1..len)
        .filter(|at| {
            matches!(message[*at], b'<' | b' ' | 0x30) || matches!(message[at - 1], b'\n' | b'>' | 0)
        })
        .chain([0, len])
        .collect::<std::collections::BTreeSet<_>>()
        .into_iter()
        .collect();
    for (index, start) in marks.iter().enumerate() {
        for end in marks.iter().skip(index + 1).take(3) {
            let (part, tail) = (&message[*start..*end], &message[*end..]);
            found(Kind::Many, [&message[..*start], part, tail]);
            found(Kind::Many, [&message[..*start], part, b""]);
        }
    }
}
