//! Link layers: Ethernet, Linux cooked captures, PPP, tags and labels.

use super::{Layers, Next, Skipped, after, u16_at, u32_at};

const IPV4: u16 = 0x0800;
const IPV6: u16 = 0x86dd;

/// Removes the outermost layer, which the capture's link type names.
pub(super) fn link(link: u16, data: &[u8]) -> Result<Next<'_>, Skipped> {
    match link {
        1 => Ok(Next::EtherType(u16_at(data, 12)?, after(data, 14)?)),
        // BSD loopback: the address family in the byte order of the capturing host.
        0 => {
            let family = u32_at(data, 0)?;
            loopback(if family > 0xffff { family.swap_bytes() } else { family }, after(data, 4)?)
        }
        108 => loopback(u32_at(data, 0)?, after(data, 4)?),
        // Linux cooked, versions 1 and 2.
        113 => Ok(Next::EtherType(u16_at(data, 14)?, after(data, 16)?)),
        276 => Ok(Next::EtherType(u16_at(data, 0)?, after(data, 20)?)),
        12 | 14 | 101 | 228 | 229 => Ok(Next::Ip(data)),
        // PPP, with HDLC framing or without.
        9 | 50 => match data {
            [0xff, 0x03, rest @ ..] => ppp(rest),
            _ => ppp(data),
        },
        239 => nflog(data),
        258 => pktap(data),
        _ => Err(Skipped::LinkType(link)),
    }
}

fn loopback(family: u32, data: &[u8]) -> Result<Next<'_>, Skipped> {
    match family {
        // AF_INET6 is 10 on Linux, 24 on NetBSD, 28 on FreeBSD, 30 on macOS.
        2 | 10 | 24 | 28 | 30 => Ok(Next::Ip(data)),
        _ => Err(Skipped::NotIp),
    }
}

fn ppp(data: &[u8]) -> Result<Next<'_>, Skipped> {
    // RFC 1661 section 6.5: the protocol field may be compressed to one octet, which is then odd.
    let (protocol, at) = match data.first() {
        Some(first) if first & 1 == 1 => (u16::from(*first), 1),
        _ => (u16_at(data, 0)?, 2),
    };
    match protocol {
        0x0021 | 0x0057 => Ok(Next::Ip(after(data, at)?)),
        _ => Err(Skipped::NotIp),
    }
}

/// Linux's NFLOG: a header, then attributes. Attribute 9 is the packet.
fn nflog(data: &[u8]) -> Result<Next<'_>, Skipped> {
    let mut at = 4;
    while let Some(attribute) = data.get(at..).filter(|rest| rest.len() >= 4) {
        let number = |at: usize| u16::from_le_bytes([attribute[at], attribute[at + 1]]);
        let len = usize::from(number(0));
        if len < 4 {
            return Err(Skipped::Malformed);
        }
        if number(2) == 9 {
            return Ok(Next::Ip(&attribute[4..len.min(attribute.len())]));
        }
        at += len.next_multiple_of(4);
    }
    Err(Skipped::NotIp)
}

/// Apple's PKTAP: a header in little-endian order with its length and the link type of the rest.
fn pktap(data: &[u8]) -> Result<Next<'_>, Skipped> {
    let field = |at| u32_at(data, at).map(u32::swap_bytes);
    let (len, link) = (field(0)?, field(8)?);
    let link = u16::try_from(link).map_err(|_| Skipped::Malformed)?;
    if len < 12 || link == 258 {
        return Err(Skipped::Malformed);
    }
    Ok(Next::Link(link, after(data, usize::try_from(len).map_err(|_| Skipped::Malformed)?)?))
}

/// Removes what an EtherType announces.
pub(super) fn ether_type<'a>(kind: u16, data: &'a [u8], layers: &mut Layers) -> Result<Next<'a>, Skipped> {
    match kind {
        IPV4 | IPV6 => Ok(Next::Ip(data)),
        0x8100 | 0x88a8 | 0x9100 => {
            layers.push("vlan");
            layers.vlan = layers.vlan << 12 | u32::from(u16_at(data, 0)? & 0xfff);
            Ok(Next::EtherType(u16_at(data, 2)?, after(data, 4)?))
        }
        0x8864 => {
            layers.push("pppoe");
            ppp(after(data, 6)?)
        }
        0x8847 | 0x8848 => {
            layers.push("mpls");
            let mut at = 0;
            // The lowest bit of the third octet marks the bottom of the stack.
            while u32_at(data, at)? & 0x100 == 0 {
                at += 4;
            }
            let rest = after(data, at + 4)?;
            match rest.first().map(|first| first >> 4) {
                Some(4 | 6) => Ok(Next::Ip(rest)),
                // A pseudowire: a control word, then Ethernet (RFC 4448).
                Some(0) => Ok(Next::Link(1, after(rest, 4)?)),
                _ => Err(Skipped::NotIp),
            }
        }
        // Transparent Ethernet bridging, in GRE and GENEVE.
        0x6558 => Ok(Next::Link(1, data)),
        // ERSPAN of type II and III: a header, then Ethernet.
        0x88be => Ok(Next::Link(1, after(data, 8)?)),
        0x22eb => Ok(Next::Link(1, after(data, 12)?)),
        _ => Err(Skipped::NotIp),
    }
}
