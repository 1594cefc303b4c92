//! Reads a header, and no byte after it.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use tokio::io::{AsyncRead, AsyncReadExt};

use starttls::proxy_header::{LOCAL, PROXY, SIGNATURE, TCP4, TCP6};

use super::format::{Header, HeaderError};

/// The maximum length of a line of version 1, CRLF included (section 2.1).
const LONGEST_LINE: usize = 107;

/// The maximum length of the body of version 2. Addresses and TLS facts need less.
const LONGEST_BODY: u16 = 4096;

/// Reads a header of either version. The next byte of the stream is the client's first.
///
/// There is no time limit; the caller has to set one.
///
/// # Errors
/// [`HeaderError`]: the caller has to close the connection and must not guess whether there is a header (section 2).
pub async fn read(io: &mut (impl AsyncRead + Unpin)) -> Result<Header, HeaderError> {
    // Every header is longer than this: "PROXY UNKNOWN\r\n" has 15 octets, version 2 at least 16.
    let mut start = [0; SIGNATURE.len()];
    for at in 0..start.len() {
        start[at] = io.read_u8().await?;
        let seen = &start[..=at];
        // Stop at the first wrong byte: the peer may send no more.
        if !SIGNATURE.starts_with(seen) && !b"PROXY ".iter().zip(seen).all(|(one, other)| one == other) {
            return Err(HeaderError::NoHeader(seen.to_vec()));
        }
    }
    if start == *SIGNATURE { binary(io).await } else { line(io, start.to_vec()).await }
}

async fn line(io: &mut (impl AsyncRead + Unpin), mut line: Vec<u8>) -> Result<Header, HeaderError> {
    while !line.ends_with(b"\r\n") {
        if line.len() == LONGEST_LINE {
            return Err(HeaderError::Malformed("the line is too long"));
        }
        line.push(io.read_u8().await?);
    }
    let text = line.strip_suffix(b"\r\n").and_then(|line| std::str::from_utf8(line).ok());
    let mut words = text.unwrap_or_default().split(' ').skip(1);
    let header = match words.next() {
        // The rest of the line is ignored (section 2.1).
        Some("UNKNOWN") => return Ok(Header::Local),
        Some("TCP4") => addresses::<Ipv4Addr>(&mut words),
        Some("TCP6") => addresses::<Ipv6Addr>(&mut words),
        _ => return Err(HeaderError::Malformed("the protocol is not TCP4, TCP6 or UNKNOWN")),
    };
    header.filter(|_| words.next().is_none()).ok_or(HeaderError::Malformed("invalid addresses"))
}

fn addresses<'a, A: FromStr + Into<IpAddr>>(words: &mut impl Iterator<Item = &'a str>) -> Option<Header> {
    let mut address = || words.next()?.parse::<A>().ok().map(Into::into);
    let (client, destination) = (address()?, address()?);
    let mut port = || {
        let word = words.next()?;
        let decimal = word.bytes().all(|it| it.is_ascii_digit()) && (word == "0" || !word.starts_with('0'));
        word.parse::<u16>().ok().filter(|_| decimal)
    };
    let (client_port, destination_port) = (port()?, port()?);
    Some(Header::Proxied {
        client: SocketAddr::new(client, client_port),
        destination: SocketAddr::new(destination, destination_port),
    })
}

async fn binary(io: &mut (impl AsyncRead + Unpin)) -> Result<Header, HeaderError> {
    let version_and_command = io.read_u8().await?;
    let family = io.read_u8().await?;
    let length = io.read_u16().await?;
    if length > LONGEST_BODY {
        return Err(HeaderError::Malformed("the header is too long"));
    }
    let mut body = vec![0; usize::from(length)];
    io.read_exact(&mut body).await?;
    match version_and_command {
        // The addresses are ignored (section 2.2).
        LOCAL => return Ok(Header::Local),
        PROXY => {}
        _ => return Err(HeaderError::Malformed("unknown version or command")),
    }
    match family {
        TCP4 => split(&body, |ip: [u8; 4]| IpAddr::from(ip)),
        TCP6 => split(&body, |ip: [u8; 16]| IpAddr::from(ip)),
        // Other families contain no IP address (section 2.2).
        _ => Some(Header::Local),
    }
    .ok_or(HeaderError::Malformed("the addresses are incomplete"))
}

/// Reads two addresses and two ports. The values after them are ignored.
fn split<const N: usize>(body: &[u8], ip: impl Fn([u8; N]) -> IpAddr) -> Option<Header> {
    let (client, body) = body.split_first_chunk::<N>()?;
    let (destination, body) = body.split_first_chunk::<N>()?;
    let (client_port, body) = body.split_first_chunk::<2>()?;
    let (destination_port, _) = body.split_first_chunk::<2>()?;
    let address = |of: &[u8; N], port: &[u8; 2]| SocketAddr::new(ip(*of), u16::from_be_bytes(*port));
    Some(Header::Proxied {
        client: address(client, client_port),
        destination: address(destination, destination_port),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns the header, and the number of octets after it.
    async fn read_all(mut bytes: &[u8]) -> (Result<Header, HeaderError>, usize) {
        let header = read(&mut bytes).await;
        (header, bytes.len())
    }

    fn proxied(client: &str, destination: &str) -> Header {
        Header::Proxied { client: client.parse().unwrap(), destination: destination.parse().unwrap() }
    }

    #[tokio::test]
    async fn lines_are_read_to_their_end() {
        for (text, expected) in [
            ("PROXY TCP4 192.0.2.1 198.51.100.2 50000 25\r\n", proxied("192.0.2.1:50000", "198.51.100.2:25")),
            ("PROXY TCP6 2001:db8::1 ::1 1 65535\r\n", proxied("[2001:db8::1]:1", "[::1]:65535")),
            ("PROXY UNKNOWN\r\n", Header::Local),
            ("PROXY UNKNOWN whatever comes\r\n", Header::Local),
        ] {
            let (header, left) = read_all(format!("{text}EHLO x\r\n").as_bytes()).await;
            assert_eq!((header.unwrap(), left), (expected, 8), "{text}");
        }
    }

    #[tokio::test]
    async fn malformed_headers_are_rejected() {
        for text in [
            "EHLO client.example\r\n",
            "PROXX TCP4 192.0.2.1 192.0.2.2 1 2\r\n",
            "proxy tcp4 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2 3\r\n",
            "PROXY TCP4 192.0.2.1  192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 +1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 01 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 65536 2\r\n",
            "PROXY TCP4 192.0.2.256 192.0.2.2 1 2\r\n",
            "PROXY TCP4 ::1 ::1 1 2\r\n",
            "PROXY TCP6 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY UDP4 192.0.2.1 192.0.2.2 1 2\r\n",
            "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\n EHLO too long for a line, which ends with CR and LF, never with less\r\n",
            "\r\n\r\n\0\r\nQUIT\r\n\r\n\r\n",
            "\r\n\r\n\0\r\nQUIT\n\x11\x11\0\x0c123456789012",
            "\r\n\r\n\0\r\nQUIT\n\x22\x11\0\x0c123456789012",
            "\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0b12345678901",
            "\r\n\r\n\0\r\nQUIT\n\x21\x21\0\x0c123456789012",
            "\r\n\r\n\0\r\nQUIT\n\x21\x11\x7f\x7f",
        ] {
            let (header, _) = read_all(text.as_bytes()).await;
            assert!(
                matches!(header, Err(HeaderError::NoHeader(_) | HeaderError::Malformed(_))),
                "{text:?}: {header:?}"
            );
        }
        let (header, _) = read_all(b"PROXY TCP4 192.0.2.1").await;
        assert!(matches!(header, Err(HeaderError::Io(_))));
    }

    /// The first byte shows that this is a client and not a proxy.
    #[tokio::test]
    async fn a_client_without_a_proxy_is_detected_at_its_first_byte() {
        let (mut near, mut far) = tokio::io::duplex(64);
        tokio::io::AsyncWriteExt::write_all(&mut near, b"E").await.unwrap();
        let header = tokio::time::timeout(std::time::Duration::from_secs(10), read(&mut far)).await.unwrap();
        assert!(matches!(header, Err(HeaderError::NoHeader(bytes)) if bytes == b"E"));
    }

    #[tokio::test]
    async fn binary_headers_are_read_to_their_end() {
        let four =
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x10\xc0\0\x02\x01\xc6\x33\x64\x02\xc3\x50\0\x19\x04\0\x01xEHLO";
        let (header, left) = read_all(four).await;
        assert_eq!((header.unwrap(), left), (proxied("192.0.2.1:50000", "198.51.100.2:25"), 4));
        for local in [&b"\x20\0\0\0"[..], b"\x20\x11\0\x01x", b"\x21\x00\0\x02xx", b"\x21\x31\0\x02xx"] {
            let (header, left) = read_all(&[SIGNATURE, local, b"EHLO"].concat()).await;
            assert_eq!((header.unwrap(), left), (Header::Local, 4));
        }
    }
}
