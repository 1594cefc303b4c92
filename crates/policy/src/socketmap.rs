//! Postfix's socketmap protocol, the server's side: a netstring with a request, a netstring with a reply, in order.

use std::fmt;
use std::net::IpAddr;

use starttls_dns::DnsName;

use crate::dane::NextHop;
use crate::decide::Decision;
use crate::sts::StsPolicy;

/// The longest request, in octets.
pub const MAX_REQUEST: usize = 10_000;
/// The longest reply that Postfix accepts, in octets.
pub const MAX_REPLY: usize = 100_000;

/// A request: `QUERY example.com`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MapRequest {
    /// The name of the map.
    pub map: String,
    /// The key.
    pub key: String,
}

/// A request that breaks the protocol. The connection cannot be used any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MapFault {
    /// The length is missing, too large or has leading zeros.
    Length,
    /// The comma after the payload is missing.
    Comma,
    /// The payload is not UTF-8, or has no space.
    Payload,
}

impl fmt::Display for MapFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Length => "invalid netstring length: expected digits up to 10000 and a colon",
            Self::Comma => "invalid netstring: expected a comma at its end",
            Self::Payload => "invalid request: expected a map name, a space and a key in UTF-8",
        })
    }
}

impl std::error::Error for MapFault {}

/// The requests of one connection. It keeps at most one incomplete request besides what was received last.
#[derive(Debug, Default)]
pub struct MapReader {
    buffer: Vec<u8>,
    at: usize,
}

impl MapReader {
    /// Adds received octets.
    pub fn receive(&mut self, octets: &[u8]) {
        self.buffer.drain(..self.at);
        self.at = 0;
        self.buffer.extend_from_slice(octets);
    }

    /// Returns the next whole request.
    ///
    /// # Errors
    /// [`MapFault`] if the client breaks the protocol.
    pub fn next_request(&mut self) -> Result<Option<MapRequest>, MapFault> {
        let rest = self.buffer.get(self.at..).unwrap_or_default();
        let digits = rest.iter().take_while(|it| it.is_ascii_digit()).count();
        let number = rest.get(..digits).unwrap_or_default();
        if digits > 5 || (digits > 1 && number.starts_with(b"0")) {
            return Err(MapFault::Length);
        }
        match rest.get(digits) {
            None => return Ok(None),
            Some(b':') if digits > 0 => {}
            Some(_) => return Err(MapFault::Length),
        }
        let length = number.iter().fold(0, |sum, digit| sum * 10 + usize::from(digit - b'0'));
        if length > MAX_REQUEST {
            return Err(MapFault::Length);
        }
        let start = digits + 1;
        let Some(payload) = rest.get(start..start + length) else { return Ok(None) };
        match rest.get(start + length) {
            None => return Ok(None),
            Some(b',') => {}
            Some(_) => return Err(MapFault::Comma),
        }
        let text = std::str::from_utf8(payload).map_err(|_| MapFault::Payload)?;
        let (map, key) = text.split_once(' ').ok_or(MapFault::Payload)?;
        let request = MapRequest { map: map.to_owned(), key: key.to_owned() };
        self.at += start + length + 1;
        Ok(Some(request))
    }

    /// Returns whether a part of a request has been received.
    pub fn is_within_request(&self) -> bool {
        self.at < self.buffer.len()
    }
}

/// A reply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MapReply {
    /// The value of the key.
    Found(String),
    /// The key has no value.
    NotFound,
    /// A temporary failure. Postfix defers the mail and logs the reason.
    Temporary(String),
    /// A permanent failure. Postfix defers the mail and logs the reason.
    Permanent(String),
}

impl MapReply {
    /// Appends the reply as a netstring. Reasons are bounded.
    pub fn write(&self, out: &mut Vec<u8>) {
        // The space stays when nothing follows it: Postfix expects it.
        let (status, text) = match self {
            Self::Found(value) if value.len() < MAX_REPLY - 8 => ("OK", value.as_str()),
            Self::Found(_) => ("TEMP", "the answer is too long"),
            Self::NotFound => ("NOTFOUND", ""),
            Self::Temporary(reason) => ("TEMP", bounded(reason)),
            Self::Permanent(reason) => ("PERM", bounded(reason)),
        };
        let length = status.len() + 1 + text.len();
        out.extend_from_slice(format!("{length}:{status} {text},").as_bytes());
    }
}

impl fmt::Display for MapReply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Found(value) => write!(f, "OK {value}"),
            Self::NotFound => f.write_str("NOTFOUND"),
            Self::Temporary(reason) => write!(f, "TEMP {reason}"),
            Self::Permanent(reason) => write!(f, "PERM {reason}"),
        }
    }
}

fn bounded(text: &str) -> &str {
    let mut end = text.len().min(2_000);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// Returns the next hop that Postfix asks about and its port, from a key such as `example.com` or
/// `[relay.example.com]:587`. Parent domains (`.example.com`), addresses and texts that are not host names have no policy.
pub fn next_hop(key: &str) -> Option<(NextHop, u16)> {
    let (name, service, is_host) = match key.strip_prefix('[') {
        Some(rest) => {
            let (name, service) = rest.split_once(']')?;
            (name, service.strip_prefix(':').or(service.is_empty().then_some("smtp"))?, true)
        }
        None => {
            let (name, service) = key.split_once(':').unwrap_or((key, "smtp"));
            (name, service, false)
        }
    };
    if name.parse::<IpAddr>().is_ok() || name.len() > 1_000 {
        return None;
    }
    let name: DnsName = name.parse().ok()?;
    if !name.is_host() {
        return None;
    }
    let hop = if is_host { NextHop::Host(name) } else { NextHop::Domain(name) };
    Some((hop, port(service)?))
}

/// Returns the port of a number or of a service that mail uses.
fn port(service: &str) -> Option<u16> {
    match service {
        "smtp" => Some(25),
        "submission" => Some(587),
        "submissions" | "smtps" => Some(465),
        number => number.parse().ok().filter(|port| *port != 0),
    }
}

/// Returns the reply for a decision. With `tlsrpt` it contains the attributes of the policy for TLSRPT, which Postfix accepts
/// since 3.10.
pub fn reply(decision: &Decision, domain: &DnsName, sts: Option<&StsPolicy>, tlsrpt: bool) -> MapReply {
    match decision {
        Decision::DaneOnly | Decision::Dane => MapReply::Found(decision.level().to_owned()),
        Decision::NoPolicy => MapReply::NotFound,
        Decision::Defer(reason) => MapReply::Temporary(format!("{domain}: {reason}")),
        Decision::Secure(patterns) => {
            let mut value = format!("secure match={} servername=hostname", patterns.join(":"));
            if let (true, Some(policy)) = (tlsrpt, sts) {
                value.push_str(&tlsrpt_attributes(domain, policy));
            }
            MapReply::Found(value)
        }
    }
}

/// Braces protect the spaces of a value in Postfix, so a line that contains one is left out.
fn tlsrpt_attributes(domain: &DnsName, policy: &StsPolicy) -> String {
    let mut text = format!(" policy_type=sts policy_domain={domain}");
    for pattern in &policy.mx {
        text.push_str(&format!(" mx_host_pattern={pattern}"));
    }
    for line in policy.lines.iter().filter(|it| !it.contains(['{', '}'])) {
        text.push_str(&format!(" {{ policy_string = {line} }}"));
    }
    text
}
