//! How far the packets of a connection have traveled. A packet that traveled another way than the others of its side may
//! come from a device on the path; so may routes that change.

use starttls_proto::Side;

use crate::conversation::index;

/// The most different values that are remembered of a side.
const MAX_VALUES: usize = 3;
/// How many packets a side needs before one of them can be an exception, and how many exceptions there can be.
const MIN_PACKETS: u16 = 5;
const MAX_EXCEPTIONS: u16 = 2;

/// The time to live (IPv4) or hop limit (IPv6) of the packets of each side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct HopCounts([[Hops; MAX_VALUES]; 2]);

/// Packets with the same value. It is small, because every open connection has six of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Hops {
    ttl: u8,
    kind: PacketKind,
    packets: u16,
    /// The number of the first of them.
    first: u32,
}

/// What a packet is in a hint.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum PacketKind {
    #[default]
    Acknowledgment,
    Start,
    Data,
    End,
    Reset,
}

impl PacketKind {
    fn name(self) -> &'static str {
        match self {
            Self::Acknowledgment => "an acknowledgment",
            Self::Start => "the start",
            Self::Data => "data",
            Self::End => "the end",
            Self::Reset => "a reset",
        }
    }
}

impl HopCounts {
    /// Counts a packet with this number.
    pub(crate) fn add(&mut self, side: Side, ttl: u8, packet: u64, kind: PacketKind) {
        let Ok(first) = u32::try_from(packet) else { return };
        let values = &mut self.0[index(side)];
        if let Some(hops) = values.iter_mut().find(|it| it.packets > 0 && it.ttl == ttl) {
            hops.packets = hops.packets.saturating_add(1);
        } else if let Some(hops) = values.iter_mut().find(|it| it.packets == 0) {
            *hops = Hops { ttl, kind, packets: 1, first };
        }
    }

    /// Returns the packets with an unusual TTL. They support a finding but are not a finding themselves: a load balancer or a
    /// route that changes has the same effect.
    pub(crate) fn hints(&self) -> Vec<String> {
        let mut hints = Vec::new();
        for side in [Side::Client, Side::Server] {
            let values = &self.0[index(side)];
            let Some(usual) = values.iter().max_by_key(|it| it.packets) else { continue };
            let others = values.iter().filter(|it| (1..=MAX_EXCEPTIONS).contains(&it.packets));
            // A difference of 1 is a route that changed.
            for it in others.filter(|it| usual.packets >= MIN_PACKETS && it.ttl.abs_diff(usual.ttl) > 1) {
                hints.push(format!(
                    "packet {} ({} of the {}) has TTL {}, the others of this side have {}",
                    it.first,
                    it.kind.name(),
                    side.name(),
                    it.ttl,
                    usual.ttl
                ));
            }
        }
        hints
    }
}
