//! From a captured packet to its TCP segment: link layers, VLAN tags, tunnels, IP.

mod fragments;
mod ip;
mod link;

use std::net::{IpAddr, SocketAddr};

pub(crate) use fragments::Fragments;

/// The most layers of one packet.
const MAX_LAYERS: usize = 16;

/// A TCP segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Segment<'a> {
    pub(crate) from: SocketAddr,
    pub(crate) to: SocketAddr,
    pub(crate) seq: u32,
    pub(crate) ack: u32,
    pub(crate) flags: u8,
    pub(crate) payload: &'a [u8],
    /// Octets of the payload that were sent and not captured.
    pub(crate) missing: u32,
    /// The VLAN tags and tunnels around the segment, the outermost first.
    pub(crate) layers: Layers,
}

impl Segment<'_> {
    const FIN: u8 = 1;
    const SYN: u8 = 2;
    const RST: u8 = 4;
    const ACK: u8 = 16;

    pub(crate) fn is_fin(&self) -> bool {
        self.flags & Self::FIN != 0
    }

    pub(crate) fn is_syn(&self) -> bool {
        self.flags & Self::SYN != 0
    }

    pub(crate) fn is_rst(&self) -> bool {
        self.flags & Self::RST != 0
    }

    pub(crate) fn has_ack(&self) -> bool {
        self.flags & Self::ACK != 0
    }
}

/// What surrounds a segment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Layers {
    names: [&'static str; 4],
    len: usize,
    /// The VLAN ids, folded into one number.
    pub(crate) vlan: u32,
    /// The time to live or hop limit of the innermost IP header.
    pub(crate) ttl: u8,
}

impl Layers {
    /// Adds a layer. Only the outermost four are kept.
    fn push(&mut self, name: &'static str) {
        if let Some(slot) = self.names.get_mut(self.len) {
            *slot = name;
            self.len += 1;
        }
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.names[..self.len].iter().map(|name| (*name).to_owned()).collect()
    }
}

/// A fragment of an IP datagram.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fragment<'a> {
    pub(crate) from: IpAddr,
    pub(crate) to: IpAddr,
    pub(crate) id: u32,
    pub(crate) protocol: u8,
    pub(crate) offset: usize,
    pub(crate) more: bool,
    pub(crate) data: &'a [u8],
    pub(crate) layers: Layers,
}

/// What a packet holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Peeled<'a> {
    Segment(Segment<'a>),
    Fragment(Fragment<'a>),
    /// Nothing to follow: why.
    Skipped(Skipped),
}

/// Why a packet holds nothing to follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Skipped {
    /// The link type is not known.
    LinkType(u16),
    /// Not IP.
    NotIp,
    /// IP, but not TCP.
    NotTcp,
    /// The packet was cut off within its headers.
    Truncated,
    /// The headers contradict each other.
    Malformed,
    /// More layers than are followed.
    TooManyLayers,
}

impl Skipped {
    pub(crate) fn reason(self) -> String {
        match self {
            Self::LinkType(link) => format!("unknown link type {link}"),
            Self::NotIp => String::from("not IP"),
            Self::NotTcp => String::from("not TCP"),
            Self::Truncated => String::from("captured without its headers"),
            Self::Malformed => String::from("malformed headers"),
            Self::TooManyLayers => String::from("more than 16 layers"),
        }
    }
}

/// The next layer of a packet and its octets.
enum Next<'a> {
    Link(u16, &'a [u8]),
    EtherType(u16, &'a [u8]),
    Ip(&'a [u8]),
    /// The payload of an IP packet, and how many octets of it were not captured.
    Transport {
        from: IpAddr,
        to: IpAddr,
        protocol: u8,
        data: &'a [u8],
        missing: u32,
    },
    Done(Peeled<'a>),
}

/// Removes the layers of a captured packet down to TCP.
pub(crate) fn peel(link: u16, data: &[u8]) -> Peeled<'_> {
    run(Next::Link(link, data), Layers::default())
}

/// Continues with the payload of a datagram that was reassembled.
pub(crate) fn peel_datagram<'a>(
    (from, to): (IpAddr, IpAddr),
    protocol: u8,
    data: &'a [u8],
    layers: Layers,
) -> Peeled<'a> {
    run(Next::Transport { from, to, protocol, data, missing: 0 }, layers)
}

fn run(mut next: Next<'_>, mut layers: Layers) -> Peeled<'_> {
    for _ in 0..MAX_LAYERS {
        let peeled = match next {
            Next::Link(link, data) => link::link(link, data),
            Next::EtherType(kind, data) => link::ether_type(kind, data, &mut layers),
            Next::Ip(data) => {
                layers.ttl = ip::ttl(data);
                ip::packet(data, layers)
            }
            Next::Transport { from, to, protocol, data, missing } => {
                ip::transport((from, to), protocol, data, missing, &mut layers)
            }
            Next::Done(peeled) => return peeled,
        };
        match peeled {
            Ok(layer) => next = layer,
            Err(skipped) => return Peeled::Skipped(skipped),
        }
    }
    match next {
        Next::Done(peeled) => peeled,
        _ => Peeled::Skipped(Skipped::TooManyLayers),
    }
}

/// Returns the octets from `at`.
fn after(data: &[u8], at: usize) -> Result<&[u8], Skipped> {
    data.get(at..).ok_or(Skipped::Truncated)
}

/// Returns the two octets at `at`, in network order.
fn u16_at(data: &[u8], at: usize) -> Result<u16, Skipped> {
    let octets = data.get(at..).and_then(|rest| rest.first_chunk()).ok_or(Skipped::Truncated)?;
    Ok(u16::from_be_bytes(*octets))
}

/// Returns the four octets at `at`, in network order.
fn u32_at(data: &[u8], at: usize) -> Result<u32, Skipped> {
    let octets = data.get(at..).and_then(|rest| rest.first_chunk()).ok_or(Skipped::Truncated)?;
    Ok(u32::from_be_bytes(*octets))
}
