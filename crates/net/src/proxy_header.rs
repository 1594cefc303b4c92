//! Headers of the PROXY protocol, which report the addresses of a connection to a server.
//!
//! The format is HAProxy's `proxy-protocol.txt` of 2020/03/05; section numbers refer to it.

use std::net::{IpAddr, SocketAddr};

/// The version of a PROXY header.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ProxyHeaderVersion {
    /// A line of text.
    V1,
    /// A binary header.
    V2,
}

/// The start of a header of version 2 (section 2.2).
pub const SIGNATURE: &[u8; 12] = b"\r\n\r\n\0\r\nQUIT\n";

/// Version and command (section 2.2): the connection is the proxy's own.
pub const LOCAL: u8 = 0x20;
/// Version and command (section 2.2): the connection is on behalf of a client.
pub const PROXY: u8 = 0x21;

/// Address family and transport (section 2.2): not specified.
pub const UNSPECIFIED: u8 = 0x00;
/// Address family and transport (section 2.2): TCP over IPv4.
pub const TCP4: u8 = 0x11;
/// Address family and transport (section 2.2): TCP over IPv6.
pub const TCP6: u8 = 0x21;

impl ProxyHeaderVersion {
    /// Returns a header with the addresses of the client and of the listener that it connected to; `None` if they are not
    /// known, so that the server uses those of the connection.
    pub fn header(self, addresses: Option<(SocketAddr, SocketAddr)>) -> Vec<u8> {
        match self {
            Self::V1 => v1(addresses),
            Self::V2 => v2(addresses, &[]),
        }
    }
}

/// Returns a line of version 1 (section 2.1), which contains addresses only.
pub fn v1(addresses: Option<(SocketAddr, SocketAddr)>) -> Vec<u8> {
    let line = match same_family(addresses) {
        Some((client, destination)) => {
            let family = if client.is_ipv4() { "TCP4" } else { "TCP6" };
            let (from, to) = (client.ip(), destination.ip());
            format!("PROXY {family} {from} {to} {} {}\r\n", client.port(), destination.port())
        }
        None => String::from("PROXY UNKNOWN\r\n"),
    };
    line.into_bytes()
}

/// Returns a header of version 2 (section 2.2). `values` are encoded already; those beyond 64 KiB are left out, all of them.
pub fn v2(addresses: Option<(SocketAddr, SocketAddr)>, values: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    let family = match same_family(addresses) {
        Some((client, destination)) => {
            for address in [client, destination] {
                match address.ip() {
                    IpAddr::V4(ip) => body.extend(ip.octets()),
                    IpAddr::V6(ip) => body.extend(ip.octets()),
                }
            }
            body.extend(client.port().to_be_bytes());
            body.extend(destination.port().to_be_bytes());
            if client.is_ipv4() { TCP4 } else { TCP6 }
        }
        None => UNSPECIFIED,
    };
    let with_values = u16::try_from(body.len() + values.len());
    let length = with_values.or_else(|_| u16::try_from(body.len())).unwrap_or_default();
    if with_values.is_ok() {
        body.extend_from_slice(values);
    }
    let mut header = SIGNATURE.to_vec();
    header.extend([PROXY, family]);
    header.extend(length.to_be_bytes());
    header.append(&mut body);
    header
}

/// Returns both addresses in one family: IPv4 if both are IPv4 or IPv4-mapped, otherwise IPv6.
fn same_family(addresses: Option<(SocketAddr, SocketAddr)>) -> Option<(SocketAddr, SocketAddr)> {
    let (client, destination) = addresses?;
    let plain = |address: SocketAddr| SocketAddr::new(address.ip().to_canonical(), address.port());
    let wide = |address: SocketAddr| match plain(address).ip() {
        IpAddr::V4(ip) => SocketAddr::new(ip.to_ipv6_mapped().into(), address.port()),
        IpAddr::V6(_) => plain(address),
    };
    let both_v4 = plain(client).is_ipv4() && plain(destination).is_ipv4();
    Some(if both_v4 { (plain(client), plain(destination)) } else { (wide(client), wide(destination)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_that_do_not_fit_are_left_out() {
        let addresses = Some(("192.0.2.1:1".parse().unwrap(), "192.0.2.2:2".parse().unwrap()));
        assert_eq!(v2(addresses, &[0; 70_000]), v2(addresses, &[]));
        assert_eq!(v2(addresses, &[7; 9]).len(), v2(addresses, &[]).len() + 9);
    }
}
