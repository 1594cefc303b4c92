//! URLs of services: `SCHEME://HOST[:PORT]`.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use core::fmt;
use core::net::Ipv6Addr;

use crate::{Protocol, Start, scheme};

/// The URL of a service, split at `://`: its protocol, where TLS starts, and the place that follows.
#[derive(Clone, Copy, Debug)]
pub struct ServiceUrl<'a> {
    /// The protocol that the scheme names.
    pub protocol: &'static Protocol,
    /// Where TLS starts, according to the scheme.
    pub start: Start,
    /// The text after `://`, without a slash at its end.
    pub place: &'a str,
    text: &'a str,
}

/// Why a text is not the URL of a service. `Display` escapes the text, and leaves out what may be a password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidUrl {
    /// The text contains no `://`.
    NoScheme(String),
    /// No protocol has this scheme.
    UnknownScheme(String),
    /// The URL contains a user, a path, a query or a fragment.
    NotOnlyHostAndPort(String),
    /// The host and the port are not `HOST` or `HOST:PORT`.
    HostAndPort(String),
    /// The text is an IPv6 address without brackets, possibly with a port.
    Ipv6WithoutBrackets(String),
}

impl<'a> ServiceUrl<'a> {
    /// Parses the scheme and splits the URL. [`host_and_port`](Self::host_and_port) parses the rest.
    ///
    /// # Errors
    /// [`InvalidUrl`] if there is no scheme, or if it is unknown.
    pub fn parse(text: &'a str) -> Result<Self, InvalidUrl> {
        let (name, place) = text.split_once("://").ok_or_else(|| InvalidUrl::NoScheme(text.to_owned()))?;
        let (protocol, start) = scheme(name).ok_or_else(|| InvalidUrl::UnknownScheme(name.to_owned()))?;
        Ok(Self { protocol, start, place: place.strip_suffix('/').unwrap_or(place), text })
    }

    /// Returns the host, which is not checked and may be empty, and the port, which may be 0. The default is the port
    /// of the scheme.
    ///
    /// # Errors
    /// [`InvalidUrl`] if the URL contains more or something else.
    pub fn host_and_port(&self) -> Result<(&'a str, u16), InvalidUrl> {
        if self.place.contains(['/', '@', '?', '#']) {
            return Err(InvalidUrl::NotOnlyHostAndPort(self.text.to_owned()));
        }
        let (host, port) = host_and_port(self.place)?;
        let implicit = self.protocol.implicit_tls.filter(|_| self.start == Start::FirstByte);
        let default = implicit.map_or(self.protocol.port, |tls| tls.port);
        Ok((host, port.unwrap_or(default)))
    }
}

/// Splits `HOST` or `HOST:PORT`. An IPv6 address is in brackets, which the result leaves out. The host is not checked
/// and may be empty; the port may be 0.
///
/// # Errors
/// [`InvalidUrl`] if the text has another form.
pub fn host_and_port(text: &str) -> Result<(&str, Option<u16>), InvalidUrl> {
    let invalid = || InvalidUrl::HostAndPort(text.to_owned());
    let (host, rest) = match text.strip_prefix('[') {
        Some(rest) => rest.split_once(']').ok_or_else(invalid)?,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    if rest.is_empty() {
        return Ok((host, None));
    }
    let port = rest.strip_prefix(':').ok_or_else(invalid)?;
    if port.contains(':') && !text.starts_with('[') {
        return Err(InvalidUrl::Ipv6WithoutBrackets(text.to_owned()));
    }
    // `parse` accepts a sign.
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    Ok((host, Some(port.parse().ok().filter(|_| is_number).ok_or_else(invalid)?)))
}

impl InvalidUrl {
    /// Returns how to fix the text, if that is known.
    pub fn hint(&self) -> Option<String> {
        let Self::Ipv6WithoutBrackets(text) = self else { return None };
        let shown = text.escape_debug();
        let with_port = text
            .rsplit_once(':')
            .filter(|(host, port)| host.parse::<Ipv6Addr>().is_ok() && port.parse::<u16>().is_ok());
        Some(match with_port {
            Some((host, port)) => format!("write [{host}]:{port}, or [{shown}] without a port"),
            None => format!("write [{shown}]"),
        })
    }
}

impl fmt::Display for InvalidUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoScheme(text) => write!(f, "\"{}\" has no protocol", text.escape_debug()),
            Self::UnknownScheme(name) => write!(f, "unknown protocol \"{}\"", name.escape_debug()),
            Self::NotOnlyHostAndPort(text) => {
                let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
                // The part before an @ may contain a password.
                let (hidden, shown) = rest.rsplit_once('@').map_or(("", rest), |(_, host)| ("…@", host));
                let (scheme, shown) = (scheme.escape_debug(), shown.escape_debug());
                write!(
                    f,
                    "invalid URL \"{scheme}://{hidden}{shown}\": expected only a host and a port after ://"
                )
            }
            Self::HostAndPort(text) => {
                write!(f, "invalid host and port \"{}\": expected HOST or HOST:PORT", text.escape_debug())
            }
            Self::Ipv6WithoutBrackets(_) => f.write_str("an IPv6 address must be in brackets"),
        }
    }
}

impl core::error::Error for InvalidUrl {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_has_a_protocol_a_host_and_a_port() {
        for (text, name, start, host, port) in [
            ("smtp://mail.example.com", "smtp", Start::Unspecified, "mail.example.com", 25),
            ("SMTP+starttls://mail.example.com/", "smtp", Start::Upgrade, "mail.example.com", 25),
            ("imaps://[::1]", "imap", Start::FirstByte, "::1", 993),
            ("imap://[::1]:1143", "imap", Start::Unspecified, "::1", 1143),
            ("smtp://:0", "smtp", Start::Unspecified, "", 0),
        ] {
            let url = ServiceUrl::parse(text).unwrap();
            assert_eq!((url.protocol.name, url.start), (name, start), "{text}");
            assert_eq!(url.host_and_port(), Ok((host, port)), "{text}");
        }
    }

    #[test]
    fn an_error_names_the_invalid_part_and_no_password() {
        let error = |text| ServiceUrl::parse(text).and_then(|url| url.host_and_port()).unwrap_err();
        for (text, expected) in [
            ("mail.example.com", "\"mail.example.com\" has no protocol"),
            ("gopher://mail", "unknown protocol \"gopher\""),
            (
                "smtp://host/path",
                "invalid URL \"smtp://host/path\": expected only a host and a port after ://",
            ),
            (
                "smtp://me:secret@host",
                "invalid URL \"smtp://…@host\": expected only a host and a port after ://",
            ),
            ("smtp://host:99999", "invalid host and port \"host:99999\": expected HOST or HOST:PORT"),
            ("smtp://host:+25", "invalid host and port \"host:+25\": expected HOST or HOST:PORT"),
            ("smtp://host:", "invalid host and port \"host:\": expected HOST or HOST:PORT"),
            ("smtp://[::1", "invalid host and port \"[::1\": expected HOST or HOST:PORT"),
            ("smtp://[::1]25", "invalid host and port \"[::1]25\": expected HOST or HOST:PORT"),
            ("smtp://::1:25", "an IPv6 address must be in brackets"),
        ] {
            assert_eq!(error(text).to_string(), expected);
        }
        assert_eq!(error("smtp://::1:25").hint().unwrap(), "write [::1]:25, or [::1:25] without a port");
        assert_eq!(error("smtp://2001:db8::\x1b").hint().unwrap(), "write [2001:db8::\\u{1b}]");
        assert_eq!(error("smtp://::1").hint().unwrap(), "write [::1]");
    }
}
