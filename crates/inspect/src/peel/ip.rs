//! IPv4, IPv6, tunnels in IP, and TCP. Checksums are not verified: a capture on the sending host has none.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::{Fragment, Layers, Next, Peeled, Segment, Skipped, after, u16_at, u32_at};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// The UDP ports of tunnels.
const VXLAN: u16 = 4789;
const GENEVE: u16 = 6081;

/// Returns the time to live or the hop limit; 0 if it was not captured.
pub(super) fn ttl(data: &[u8]) -> u8 {
    let at = if data.first().is_some_and(|first| first >> 4 == 6) { 7 } else { 8 };
    data.get(at).copied().unwrap_or(0)
}

/// Reads an IP header.
pub(super) fn packet(data: &[u8], layers: Layers) -> Result<Next<'_>, Skipped> {
    match data.first().ok_or(Skipped::Truncated)? >> 4 {
        4 => ipv4(data, layers),
        6 => ipv6(data, layers),
        _ => Err(Skipped::Malformed),
    }
}

fn ipv4(data: &[u8], layers: Layers) -> Result<Next<'_>, Skipped> {
    let address = |at| u32_at(data, at).map(|it| IpAddr::V4(Ipv4Addr::from(it)));
    let (from, to) = (address(12)?, address(16)?);
    let header = usize::from(data[0] & 0xf) * 4;
    let total = match usize::from(u16_at(data, 2)?) {
        // With segmentation offload the total length does not fit and is 0.
        0 => data.len(),
        total => total,
    };
    if header < 20 || total < header {
        return Err(Skipped::Malformed);
    }
    let body = after(data, header)?;
    let sent = total - header;
    let body = &body[..body.len().min(sent)];
    let missing = u32::try_from(sent - body.len()).unwrap_or(u32::MAX);
    let body = if total == MIN_FRAME { without_padding(body) } else { body };
    let fragment = u16_at(data, 6)?;
    let (more, offset) = (fragment & 0x2000 != 0, usize::from(fragment & 0x1fff) * 8);
    let protocol = data[9];
    if more || offset > 0 {
        let id = u32::from(u16_at(data, 4)?);
        return whole(missing, Fragment { from, to, id, protocol, offset, more, data: body, layers });
    }
    Ok(Next::Transport { from, to, protocol, data: body, missing })
}

/// The shortest payload of an Ethernet frame.
const MIN_FRAME: usize = 46;

/// Removes the padding of a short Ethernet frame. Some devices count it in the total length of the packet, where it would
/// look like six octets of data that differ from the real ones. Such a segment is an acknowledgment or opens a connection. Data
/// at the end of a write has PSH (RFC 9293 section 3.9.1.2), so six zero octets with it are data.
fn without_padding(body: &[u8]) -> &[u8] {
    const PSH: u8 = 0x08;
    match body.split_at_checked(20) {
        Some((header, padding))
            if header[12] == 0x50 && header[13] & PSH == 0 && padding.iter().all(|octet| *octet == 0) =>
        {
            header
        }
        _ => body,
    }
}

fn whole(missing: u32, fragment: Fragment<'_>) -> Result<Next<'_>, Skipped> {
    if missing > 0 { Err(Skipped::Truncated) } else { Ok(Next::Done(Peeled::Fragment(fragment))) }
}

fn ipv6(data: &[u8], layers: Layers) -> Result<Next<'_>, Skipped> {
    let address = |at: usize| {
        let octets = data.get(at..).and_then(|rest| rest.first_chunk::<16>()).ok_or(Skipped::Truncated)?;
        Ok(IpAddr::V6(Ipv6Addr::from(*octets)))
    };
    let (from, to) = (address(8)?, address(24)?);
    let body = after(data, 40)?;
    let sent = match usize::from(u16_at(data, 4)?) {
        0 => body.len(),
        sent => sent,
    };
    let mut body = &body[..body.len().min(sent)];
    let missing = u32::try_from(sent - body.len()).unwrap_or(u32::MAX);
    let mut protocol = data[6];
    // Each extension header has at least eight octets, so the loop ends.
    loop {
        let len = match protocol {
            0 | 43 | 60 | 135 => usize::from(*body.get(1).ok_or(Skipped::Truncated)?) * 8 + 8,
            51 => usize::from(*body.get(1).ok_or(Skipped::Truncated)?) * 4 + 8,
            44 => {
                let field = u16_at(body, 2)?;
                let (more, offset) = (field & 1 != 0, usize::from(field & 0xfff8));
                let (inner, id) = (body[0], u32_at(body, 4)?);
                let rest = after(body, 8)?;
                if more || offset > 0 {
                    let fragment =
                        Fragment { from, to, id, protocol: inner, offset, more, data: rest, layers };
                    return whole(missing, fragment);
                }
                // RFC 6946: an atomic fragment is a whole datagram.
                8
            }
            _ => return Ok(Next::Transport { from, to, protocol, data: body, missing }),
        };
        protocol = *body.first().ok_or(Skipped::Truncated)?;
        body = after(body, len)?;
    }
}

/// Reads the payload of an IP packet.
pub(super) fn transport<'a>(
    (from, to): (IpAddr, IpAddr),
    protocol: u8,
    data: &'a [u8],
    missing: u32,
    layers: &mut Layers,
) -> Result<Next<'a>, Skipped> {
    match protocol {
        TCP => tcp((from, to), data, missing, *layers),
        4 | 41 => {
            layers.push("ip");
            Ok(Next::Ip(data))
        }
        47 => gre(data, layers),
        UDP => match u16_at(data, 2)? {
            VXLAN => {
                layers.push("vxlan");
                Ok(Next::Link(1, after(data, 16)?))
            }
            GENEVE => {
                layers.push("geneve");
                let options = usize::from(data.get(8).ok_or(Skipped::Truncated)? & 0x3f) * 4;
                Ok(Next::EtherType(u16_at(data, 10)?, after(data, 16 + options)?))
            }
            _ => Err(Skipped::NotTcp),
        },
        _ => Err(Skipped::NotTcp),
    }
}

/// GRE (RFC 2784, RFC 2890), and its version 1 with PPP (RFC 2637).
fn gre<'a>(data: &'a [u8], layers: &mut Layers) -> Result<Next<'a>, Skipped> {
    let (flags, kind) = (u16_at(data, 0)?, u16_at(data, 2)?);
    let optional = |bit: u16| if flags & bit == 0 { 0 } else { 4 };
    match flags & 7 {
        0 => {
            layers.push("gre");
            let len = 4 + optional(0x8000) + optional(0x2000) + optional(0x1000);
            // ERSPAN of type I has no sequence number and no header of its own.
            let bare = kind == 0x88be && flags & 0x1000 == 0;
            let rest = after(data, len)?;
            Ok(if bare { Next::Link(1, rest) } else { Next::EtherType(kind, rest) })
        }
        1 => {
            layers.push("gre");
            Ok(Next::Link(9, after(data, 8 + optional(0x1000) + optional(0x0080))?))
        }
        _ => Err(Skipped::Malformed),
    }
}

fn tcp<'a>(
    (from, to): (IpAddr, IpAddr),
    data: &'a [u8],
    missing: u32,
    layers: Layers,
) -> Result<Next<'a>, Skipped> {
    let header = usize::from(data.get(12).ok_or(Skipped::Truncated)? >> 4) * 4;
    if header < 20 {
        return Err(Skipped::Malformed);
    }
    let segment = Segment {
        from: SocketAddr::new(from, u16_at(data, 0)?),
        to: SocketAddr::new(to, u16_at(data, 2)?),
        seq: u32_at(data, 4)?,
        ack: u32_at(data, 8)?,
        flags: *data.get(13).ok_or(Skipped::Truncated)?,
        // Options that were cut off are not payload.
        payload: data.get(header..).unwrap_or_default(),
        missing: missing.saturating_sub(u32::try_from(header.saturating_sub(data.len())).unwrap_or(0)),
        layers,
    };
    Ok(Next::Done(Peeled::Segment(segment)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_at_the_end_of_a_write_are_data() {
        let mut segment = [0; 26];
        segment[12] = 0x50;
        for (flags, length) in [(0x10, 20), (0x02, 20), (0x18, 26)] {
            segment[13] = flags;
            assert_eq!(without_padding(&segment).len(), length, "{flags:#x}");
        }
    }
}
