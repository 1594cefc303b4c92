//! What can stand before a conversation: the exchange with a SOCKS or HTTP proxy, or a PROXY header.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use starttls_proto::{Escaped, Identity, LoginExposure, LoginPart, Side, http::HTTP};

use crate::facts::{ProxyHop, ProxyKind};

/// The most octets of a prefix.
pub(super) const MAX_PREFIX: usize = 4096;

const SIGNATURE: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

/// A prefix that was read to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Prefix {
    pub(super) hop: ProxyHop,
    /// The port of the destination.
    pub(super) port: Option<u16>,
    /// The login to the proxy.
    pub(super) login: Option<LoginPart>,
    /// The octets of the client and of the server that belong to it.
    pub(super) octets: [usize; 2],
}

/// Why no prefix was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NoPrefix {
    /// More octets are needed.
    Undecided,
    /// The connection starts without one, or the proxy refused.
    Absent,
}

/// Reads the first octets of a connection on which the client spoke first.
pub(super) fn read(client: &[u8], server: &[u8]) -> Result<Prefix, NoPrefix> {
    let (mut client, mut server) = (Octets::new(client), Octets::new(server));
    let (hop, port, login) = match client.bytes.first() {
        Some(5) => socks5(&mut client, &mut server)?,
        Some(4) => socks4(&mut client, &mut server)?,
        Some(b'P') => proxy_v1(&mut client)?,
        Some(b'\r') => proxy_v2(&mut client)?,
        Some(b'C') => connect(&mut client, &mut server)?,
        _ => return Err(NoPrefix::Absent),
    };
    Ok(Prefix { hop, port, login, octets: [client.at, server.at] })
}

/// A hop, the port of the destination, and the login.
type Hop = (ProxyHop, Option<u16>, Option<LoginPart>);

/// The octets of one side, read from their start.
struct Octets<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Octets<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], NoPrefix> {
        let taken = self.bytes.get(self.at..self.at + len).ok_or(NoPrefix::Undecided)?;
        self.at += len;
        Ok(taken)
    }

    fn octet(&mut self) -> Result<u8, NoPrefix> {
        self.take(1).map(|octet| octet[0])
    }

    /// Takes octets that must be these.
    fn expect(&mut self, expected: &[u8]) -> Result<(), NoPrefix> {
        let here = &self.bytes[self.at..];
        let compared = here.len().min(expected.len());
        if here[..compared] != expected[..compared] {
            return Err(NoPrefix::Absent);
        }
        self.take(expected.len()).map(|_| ())
    }

    /// Takes octets up to this end, and the end. Returns what stands before it.
    fn until(&mut self, end: &[u8]) -> Result<&'a [u8], NoPrefix> {
        let here = &self.bytes[self.at..];
        let len = here.windows(end.len()).position(|it| it == end).ok_or(NoPrefix::Undecided)?;
        self.at += len + end.len();
        Ok(&here[..len])
    }

    fn port(&mut self) -> Result<u16, NoPrefix> {
        self.take(2).map(|octets| u16::from_be_bytes([octets[0], octets[1]]))
    }

    fn ipv4(&mut self) -> Result<IpAddr, NoPrefix> {
        let octets = self.take(4)?.first_chunk::<4>().copied().unwrap_or_default();
        Ok(Ipv4Addr::from(octets).into())
    }

    fn ipv6(&mut self) -> Result<IpAddr, NoPrefix> {
        let octets = self.take(16)?.first_chunk::<16>().copied().unwrap_or_default();
        Ok(Ipv6Addr::from(octets).into())
    }

    /// Takes an address of SOCKS 5: its type, the address, the port.
    fn socks_address(&mut self) -> Result<(String, u16), NoPrefix> {
        let host = match self.octet()? {
            1 => self.ipv4()?.to_string(),
            4 => format!("[{}]", self.ipv6()?),
            3 => {
                let len = self.octet()?;
                text(self.take(usize::from(len))?)
            }
            _ => return Err(NoPrefix::Absent),
        };
        Ok((host, self.port()?))
    }
}

fn text(bytes: &[u8]) -> String {
    Escaped(bytes.get(..255).unwrap_or(bytes)).to_string()
}

fn forward(kind: ProxyKind, host: &str, port: u16) -> ProxyHop {
    ProxyHop { kind, source: None, destination: Some(format!("{host}:{port}")) }
}

/// SOCKS 5 (RFC 1928), with the password of RFC 1929.
fn socks5(client: &mut Octets<'_>, server: &mut Octets<'_>) -> Result<Hop, NoPrefix> {
    client.expect(&[5])?;
    let methods = client.octet()?;
    client.take(usize::from(methods))?;
    server.expect(&[5])?;
    let login = match server.octet()? {
        0 => None,
        2 => {
            client.expect(&[1])?;
            let len = client.octet()?;
            let user = client.take(usize::from(len))?;
            let len = client.octet()?;
            client.take(usize::from(len))?;
            server.expect(&[1, 0])?;
            Some(LoginPart::new("SOCKS 5 password", Some(user), LoginExposure::Readable))
        }
        _ => return Err(NoPrefix::Absent),
    };
    client.expect(&[5, 1, 0])?;
    let (host, port) = client.socks_address()?;
    server.expect(&[5, 0, 0])?;
    server.socks_address()?;
    Ok((forward(ProxyKind::Socks5, &host, port), Some(port), login))
}

/// SOCKS 4, and 4a with a name instead of an address.
fn socks4(client: &mut Octets<'_>, server: &mut Octets<'_>) -> Result<Hop, NoPrefix> {
    client.expect(&[4, 1])?;
    let port = client.port()?;
    let address = client.ipv4()?;
    let user = client.until(&[0])?;
    // An address of the form 0.0.0.x means that a name follows.
    let host = match address {
        IpAddr::V4(ip) if ip.octets()[..3] == [0; 3] && ip.octets()[3] != 0 => text(client.until(&[0])?),
        address => address.to_string(),
    };
    server.expect(&[0, 0x5a])?;
    server.take(6)?;
    let login = (!user.is_empty()).then(|| LoginPart::new("SOCKS 4", Some(user), LoginExposure::Identity));
    Ok((forward(ProxyKind::Socks4, &host, port), Some(port), login))
}

/// The CONNECT method of HTTP (RFC 9110 section 9.3.6). A proxy may refuse it first and demand a login.
fn connect(client: &mut Octets<'_>, server: &mut Octets<'_>) -> Result<Hop, NoPrefix> {
    let mut login = None;
    loop {
        client.expect(b"CONNECT ")?;
        let request = client.until(b"\r\n\r\n")?;
        let authority = request.split(|octet| *octet == b' ').next().unwrap_or_default();
        let colon = authority.iter().rposition(|octet| *octet == b':').ok_or(NoPrefix::Absent)?;
        let port = str::from_utf8(&authority[colon + 1..]).ok().and_then(|port| port.parse().ok());
        let port = port.ok_or(NoPrefix::Absent)?;
        if header(request, b"proxy-authorization").is_some() {
            login = HTTP.new_dialect(Identity::observer().with_nonce(0)).observed().login_part(request);
        }
        server.expect(b"HTTP/1.")?;
        let answer = server.until(b"\r\n\r\n")?;
        match answer.get(2..5) {
            Some([b'2', ..]) => {
                return Ok((
                    forward(ProxyKind::HttpConnect, &text(&authority[..colon]), port),
                    Some(port),
                    login,
                ));
            }
            Some(b"407") => {
                let len = header(answer, b"content-length").and_then(|it| str::from_utf8(it).ok());
                let len = len.and_then(|len| len.parse().ok()).ok_or(NoPrefix::Absent)?;
                if len > MAX_PREFIX {
                    return Err(NoPrefix::Absent);
                }
                server.take(len)?;
            }
            _ => return Err(NoPrefix::Absent),
        }
    }
}

/// Returns the value of a field of an HTTP message.
fn header<'a>(head: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    head.split(|octet| *octet == b'\n').find_map(|line| {
        let colon = line.iter().position(|octet| *octet == b':')?;
        line[..colon].eq_ignore_ascii_case(name).then(|| line[colon + 1..].trim_ascii())
    })
}

/// Version 1 of the PROXY protocol: one line.
fn proxy_v1(client: &mut Octets<'_>) -> Result<Hop, NoPrefix> {
    client.expect(b"PROXY ")?;
    let line = client.until(b"\r\n")?;
    let line = str::from_utf8(line).map_err(|_| NoPrefix::Absent)?;
    let words: Vec<&str> = line.split(' ').collect();
    let (ends, port) = match words[..] {
        ["TCP4" | "TCP6", source, destination, from, to] => {
            let end = |ip: &str, port: &str| {
                let (ip, port): (IpAddr, u16) = (ip.parse().ok()?, port.parse().ok()?);
                Some(SocketAddr::new(ip, port))
            };
            let source = end(source, from).ok_or(NoPrefix::Absent)?;
            let destination = end(destination, to).ok_or(NoPrefix::Absent)?;
            (Some((source, destination)), Some(destination.port()))
        }
        ["UNKNOWN", ..] => (None, None),
        _ => return Err(NoPrefix::Absent),
    };
    Ok((header_hop(ProxyKind::ProxyV1, ends), port, None))
}

/// Version 2 of the PROXY protocol: a binary header.
fn proxy_v2(client: &mut Octets<'_>) -> Result<Hop, NoPrefix> {
    client.expect(SIGNATURE)?;
    let (command, family) = (client.octet()?, client.octet()?);
    if command >> 4 != 2 {
        return Err(NoPrefix::Absent);
    }
    let len = client.port()?;
    let mut body = Octets::new(client.take(usize::from(len))?);
    let ends = match (command & 0xf, family) {
        (1, 0x11) => Some((body.ipv4()?, body.ipv4()?)),
        (1, 0x21) => Some((body.ipv6()?, body.ipv6()?)),
        _ => None,
    };
    let ends = match ends {
        Some((source, destination)) => {
            Some((SocketAddr::new(source, body.port()?), SocketAddr::new(destination, body.port()?)))
        }
        None => None,
    };
    let port = ends.map(|(_, destination)| destination.port());
    Ok((header_hop(ProxyKind::ProxyV2, ends), port, None))
}

fn header_hop(kind: ProxyKind, ends: Option<(SocketAddr, SocketAddr)>) -> ProxyHop {
    let (source, destination) = ends.map(|(from, to)| (from.to_string(), to.to_string())).unzip();
    ProxyHop { kind, source, destination }
}

/// Removes the octets of a prefix from what was received.
pub(super) fn remove<M>(received: &mut Vec<(Side, Vec<u8>, M)>, octets: [usize; 2]) {
    let mut left = octets;
    for (side, bytes, _) in received.iter_mut() {
        let left = &mut left[super::index(*side)];
        let len = bytes.len().min(*left);
        bytes.drain(..len);
        *left -= len;
    }
    received.retain(|(_, bytes, _)| !bytes.is_empty());
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Checks that the prefix is found at its end and not before, with octets after it.
    fn found(client: &[u8], server: &[u8]) -> Prefix {
        for cut in 0..client.len() {
            let server = &server[..server.len().min(cut / 2)];
            assert!(read(&client[..cut], server).is_err(), "{cut}");
        }
        let prefix = read(&[client, b"EHLO a\r\n"].concat(), &[server, b"220 a\r\n"].concat()).unwrap();
        assert_eq!(prefix.octets, [client.len(), server.len()]);
        prefix
    }

    #[test]
    fn proxies_are_read_to_their_end() {
        let named = |prefix: &Prefix| {
            (prefix.hop.kind, prefix.hop.destination.clone().unwrap_or_default(), prefix.port)
        };
        let ip = found(b"\x05\x01\0\x05\x01\0\x01\xc0\0\x02\x01\0\x19", b"\x05\0\x05\0\0\x01\0\0\0\0\0\0");
        assert_eq!(named(&ip), (ProxyKind::Socks5, String::from("192.0.2.1:25"), Some(25)));
        let login = found(
            b"\x05\x02\0\x02\x01\x05alice\x07hunter2\x05\x01\0\x03\x0bexample.com\x02\x4b",
            b"\x05\x02\x01\0\x05\0\0\x03\x01a\0\0",
        );
        assert_eq!(named(&login), (ProxyKind::Socks5, String::from("example.com:587"), Some(587)));
        let part = login.login.unwrap();
        assert_eq!((part.user.as_deref(), part.exposure), (Some(&b"alice"[..]), LoginExposure::Readable));
        let name = found(b"\x04\x01\0\x19\0\0\0\x01me\0mail.example\0", b"\0\x5a\0\0\0\0\0\0");
        assert_eq!(named(&name), (ProxyKind::Socks4, String::from("mail.example:25"), Some(25)));
        let address = found(b"\x04\x01\0\x19\xc0\0\x02\x01\0", b"\0\x5a\0\0\0\0\0\0");
        assert_eq!(named(&address).1, "192.0.2.1:25");
        let connect = found(
            b"CONNECT [2001:db8::1]:143 HTTP/1.1\r\nHost: a\r\n\r\nCONNECT [2001:db8::1]:143 HTTP/1.1\r\n\
              Proxy-Authorization: Basic YWxpY2U6aHVudGVyMg==\r\n\r\n",
            b"HTTP/1.1 407 Who\r\nContent-Length: 2\r\n\r\nnoHTTP/1.1 200 OK\r\n\r\n",
        );
        assert_eq!(named(&connect), (ProxyKind::HttpConnect, String::from("[2001:db8::1]:143"), Some(143)));
        assert_eq!(connect.login.unwrap().user.as_deref(), Some(&b"alice"[..]));
    }

    #[test]
    fn proxy_headers_are_read_to_their_end() {
        let line = found(b"PROXY TCP4 198.51.100.7 192.0.2.1 40000 25\r\n", b"");
        assert_eq!(line.hop.source.as_deref(), Some("198.51.100.7:40000"));
        assert_eq!((line.hop.destination.as_deref(), line.port), (Some("192.0.2.1:25"), Some(25)));
        assert_eq!(found(b"PROXY UNKNOWN\r\n", b"").port, None);
        let v2 = [SIGNATURE, b"\x21\x11\0\x0f\xc6\x33\x64\x07\xc0\0\x02\x01\x9c\x40\0\x19\x03\0\0"].concat();
        assert_eq!(found(&v2, b"").hop, ProxyHop { kind: ProxyKind::ProxyV2, ..line.hop });
        let local = [SIGNATURE, b"\x20\0\0\0"].concat();
        assert_eq!(found(&local, b"").hop.source, None);
    }

    #[test]
    fn what_is_no_prefix_is_left_alone() {
        for (client, server) in [
            (&b"\x05\x01\0"[..], &b"\x05\xff"[..]),
            (b"\x05\x01\0", b"220 a\r\n"),
            (b"\x04\x01\0\x19\xc0\0\x02\x01\0", b"\0\x5b\0\0\0\0\0\0"),
            (b"CONNECT a:1 HTTP/1.1\r\n\r\n", b"HTTP/1.1 403 No\r\n\r\n"),
            (b"PASS secret\r\n", b""),
            (b"CAP LS\r\n", b""),
            (b"PROXY TCP4 a b 1 2\r\n", b""),
            (b"EHLO a\r\n", b""),
        ] {
            assert_eq!(read(client, server), Err(NoPrefix::Absent), "{client:?}");
        }
        for (client, server) in [(&b"\x05\x01\0"[..], &b""[..]), (b"PROX", b""), (b"CONNECT a", b"")] {
            assert_eq!(read(client, server), Err(NoPrefix::Undecided), "{client:?}");
        }
    }
}
