//! Parses and writes FTP replies.

use std::net::{IpAddr, SocketAddr};

/// Features that the gateway removes from the backend's list: it provides TLS itself, and refuses other commands that open
/// data connections.
const UNLISTED: &[&str] = &[
    "AUTH", "ADAT", "CCC", "CONF", "CPSV", "ENC", "EPRT", "LPRT", "LPSV", "MIC", "PBSZ", "PROT", "SPSV",
    "SSCN",
];

/// Returns the list of features for the client (RFC 2389 section 3.2, RFC 4217 section 6). Inside TLS there is a list even
/// if the backend has none.
pub(super) fn features(reply: &[u8], inside_tls: bool) -> Vec<u8> {
    let own = if inside_tls { &b" PBSZ\r\n PROT\r\n"[..] } else { b"" };
    if !reply.starts_with(b"211-") {
        return if inside_tls {
            [b"211-Features:\r\n", own, b"211 End\r\n"].concat()
        } else {
            reply.to_vec()
        };
    }
    let lines: Vec<&[u8]> = reply.split_inclusive(|byte| *byte == b'\n').collect();
    let (Some((first, rest)), Some(last)) = (lines.split_first(), lines.last()) else {
        return reply.to_vec();
    };
    let listed = rest[..rest.len().saturating_sub(1)].iter().filter(|line| {
        let name = line.trim_ascii().split(|byte| *byte == b' ').next().unwrap_or_default();
        !UNLISTED.iter().any(|it| it.as_bytes().eq_ignore_ascii_case(name))
    });
    [*first, own].into_iter().chain(listed.copied()).chain([*last]).collect::<Vec<_>>().concat()
}

/// Returns the port in a reply to PASV (RFC 959 section 4.1.2) or EPSV (RFC 2428 section 3). The address is ignored, because
/// data connections go to the host of the control connection.
pub(super) fn port(reply: &[u8]) -> Option<u16> {
    let text = std::str::from_utf8(reply.get(4..)?).ok()?;
    let port = match reply.get(..3)? {
        b"227" => {
            let start = text.find(|c: char| c.is_ascii_digit())?;
            let end = text[start..].find(|c: char| !c.is_ascii_digit() && c != ',');
            let numbers = text[start..end.map_or(text.len(), |end| start + end)].split(',');
            let numbers: Vec<u8> = numbers.map(|it| it.parse().ok()).collect::<Option<_>>()?;
            let [_, _, _, _, high, low] = numbers[..] else { return None };
            u16::from_be_bytes([high, low])
        }
        b"229" => {
            let inner = text.rsplit_once('(')?.1.split_once(')')?.0;
            let delimiter = inner.chars().next()?;
            let parts: Vec<&str> = inner.split(delimiter).collect();
            let ["", _, _, port, ""] = parts[..] else { return None };
            port.parse().ok()?
        }
        _ => return None,
    };
    (port != 0).then_some(port)
}

/// Writes a reply to PASV or EPSV.
pub(super) fn passive(address: SocketAddr, extended: bool) -> String {
    let port = address.port();
    match address.ip() {
        IpAddr::V4(ip) if !extended => {
            let ([a, b, c, d], [high, low]) = (ip.octets(), port.to_be_bytes());
            format!("227 Entering Passive Mode ({a},{b},{c},{d},{high},{low})\r\n")
        }
        _ => format!("229 Entering Extended Passive Mode (|||{port}|)\r\n"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_found_however_they_are_wrapped() {
        for reply in [
            "227 Entering Passive Mode (127,0,0,1,4,1).\r\n",
            "227 =10,20,30,40,4,1\r\n",
            "229 Entering Extended Passive Mode (|||1025|)\r\n",
            "229 (a mode) (!2!::1!1025!)\r\n",
        ] {
            assert_eq!(port(reply.as_bytes()), Some(1025), "{reply}");
        }
        for reply in [
            "227 Entering Passive Mode\r\n",
            "227 (1,2,3,4,5)\r\n",
            "227 (1,2,3,4,0,0)\r\n",
            "227 (1,2,3,4,256,1)\r\n",
            "227 (1,2,3,4,5,6,7)\r\n",
            "229 (|||65536|)\r\n",
            "229 (||1025|)\r\n",
            "229 |||1025|\r\n",
            "227\r\n",
            "250 (|||1025|)\r\n",
        ] {
            assert_eq!(port(reply.as_bytes()), None, "{reply}");
        }
    }

    #[test]
    fn what_the_backend_cannot_do_here_is_not_listed() {
        let reply =
            b"211-Features:\r\n AUTH TLS\r\n EPRT\r\n EPSV\r\n PROT\r\n auth SSL\r\n UTF8\r\n211 End\r\n";
        let inside = b"211-Features:\r\n PBSZ\r\n PROT\r\n EPSV\r\n UTF8\r\n211 End\r\n";
        assert_eq!(features(reply, true).escape_ascii().to_string(), inside.escape_ascii().to_string());
        assert_eq!(features(reply, false), b"211-Features:\r\n EPSV\r\n UTF8\r\n211 End\r\n");
        assert_eq!(features(b"500 What?\r\n", true), b"211-Features:\r\n PBSZ\r\n PROT\r\n211 End\r\n");
        assert_eq!(features(b"500 What?\r\n", false), b"500 What?\r\n");
    }
}
