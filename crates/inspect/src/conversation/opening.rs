//! Which protocols the first octets of a connection belong to. Ports only break ties.

use starttls_proto::{Identity, OpeningFit, PROTOCOLS, Protocol, Side, by_port};

use crate::tls::is_record_start;

/// What the first octets show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// More octets are needed.
    Undecided,
    /// TLS.
    Tls,
    /// One of these protocols.
    Protocols(Vec<&'static Protocol>),
    /// None of the protocols that are known here.
    Unknown,
}

/// The most octets that are read before a decision.
const DECISION: usize = 64;

/// Reads the first octets of the side that spoke first.
pub(super) fn read(side: Side, bytes: &[u8], port: u16) -> Opening {
    let has_line = bytes.contains(&b'\n');
    if matches!(*bytes, [0x15 | 0x16, 3, 0..=4, ..]) || (side == Side::Client && is_ssl2(bytes)) {
        return Opening::Tls;
    }
    if bytes.len() < 5 && !has_line || (bytes.len() < 6 && is_record_start(bytes)) {
        return Opening::Undecided;
    }
    let fits = |protocol: &&'static Protocol| {
        protocol.new_dialect(Identity::observer().with_nonce(0)).observed().opening(side, bytes)
    };
    let fits: Vec<_> = PROTOCOLS.iter().map(|protocol| (*protocol, fits(protocol))).collect();
    let which = |wanted| fits.iter().filter(move |(_, fit)| *fit == wanted).map(|(protocol, _)| *protocol);
    let certain = which(OpeningFit::Certain).next();
    let found: Vec<_> = certain.map_or_else(|| which(OpeningFit::Possible).collect(), |only| vec![only]);
    let is_in_word = side == Side::Client && is_text(bytes) && !bytes.iter().any(u8::is_ascii_whitespace);
    let is_open = found.is_empty() && which(OpeningFit::Undecided).next().is_some();
    if certain.is_none() && (is_open || (is_in_word && bytes.len() < DECISION)) {
        return Opening::Undecided;
    }
    let own = by_port(port).map(|(protocol, _)| protocol);
    // A protocol that only a port distinguishes from another one is not found by its words.
    let is_variant = |it: &Protocol| found.iter().any(|other| *other != it && other.on_port(it.port) == it);
    let found = found.iter().filter(|it| !is_variant(it));
    let mut found: Vec<_> = found.map(|it| own.map_or(*it, |own| it.on_port(own.port))).collect();
    // A client that does not wait for the greeting.
    let starts = bytes.get(..8).is_some_and(|word| word.eq_ignore_ascii_case(b"STARTTLS"));
    found.extend(own.filter(|own| starts && own.flow.greeting && !found.contains(own)));
    if found.is_empty() {
        found.extend(own.filter(|own| own.flow.greeting == (side == Side::Server)));
    }
    if found.is_empty() { Opening::Unknown } else { Opening::Protocols(found) }
}

fn is_ssl2(bytes: &[u8]) -> bool {
    matches!(*bytes, [high, _, 1, 0 | 3, 0..=4, ..] if high & 0x80 != 0)
}

fn is_text(bytes: &[u8]) -> bool {
    bytes.iter().all(|octet| octet.is_ascii_graphic() || b" \t\r\n".contains(octet))
}

/// Returns the protocol of a connection with TLS from the first octet: by ALPN, otherwise by the port.
pub(super) fn implicit(alpn: &[String], port: u16) -> Option<&'static Protocol> {
    let named = |it: &&Protocol| it.alpn.is_some_and(|own| alpn.iter().any(|offered| offered == own));
    let by_port = || by_port(port).map(|(protocol, _)| protocol);
    PROTOCOLS.iter().copied().find(named).or_else(by_port).filter(|it| it.implicit_tls.is_some())
}
