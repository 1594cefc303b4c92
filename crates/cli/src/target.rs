//! Parses targets: `PROTO://HOST[:PORT]` and `HOST:PORT`.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use starttls::proto::{self, InvalidUrl, Protocol, ServiceUrl, Start, UrlAuthority};
use starttls_report::scheme_hint;

use crate::error::Failed;

/// The server to connect to, and its protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) protocol: &'static Protocol,
    pub(crate) mode: Mode,
    pub(crate) host: Host,
    pub(crate) port: u16,
}

/// Where TLS starts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// After the upgrade of a cleartext connection.
    Upgrade,
    /// At the first byte.
    ImplicitTls,
}

impl Mode {
    /// Returns the name in the reports.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Upgrade => "upgrade",
            Self::ImplicitTls => "implicit-tls",
        }
    }
}

/// A host name or an address, in its ASCII and its Unicode form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    /// Letters, digits, hyphens and dots (A-labels), or an address.
    pub(crate) ascii: String,
    /// The Unicode form, where it differs.
    pub(crate) unicode: Option<String>,
}

impl Target {
    /// Returns the authority of the URL; `None` for a host that no URL can contain.
    pub(crate) fn authority(&self) -> Option<UrlAuthority> {
        UrlAuthority::new(&self.host.ascii, self.port, self.usual().1).ok()
    }

    /// Returns the scheme and its default port.
    fn usual(&self) -> (&'static str, u16) {
        let implicit = self.protocol.implicit_tls.filter(|_| self.mode == Mode::ImplicitTls);
        implicit.map_or((self.protocol.name, self.protocol.port), |tls| (tls.name, tls.port))
    }

    /// Returns the same host and port in the other mode, if the protocol has a scheme for it.
    pub(crate) fn other_mode(&self) -> Option<Self> {
        let (mode, protocol) = match self.mode {
            Mode::Upgrade => (Mode::ImplicitTls, self.protocol.with_implicit_tls()?),
            Mode::ImplicitTls => (Mode::Upgrade, self.protocol.with_upgrade(self.port)),
        };
        Some(Self { mode, protocol, ..self.clone() })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, usual) = self.usual();
        let url = self.host.url(scheme, self.port);
        // The default port is left out.
        let shown = if self.port == usual { url.rsplit_once(':').map_or("", |(bare, _)| bare) } else { &url };
        f.write_str(shown)
    }
}

impl FromStr for Target {
    type Err = Failed;

    fn from_str(text: &str) -> Result<Self, Failed> {
        if !text.contains("://") {
            let (host, port) = split_port(text)?;
            let unclear = |what: String| Failed::usage(what).hint(Some(choices(host, port)));
            let port = port.ok_or_else(|| {
                unclear(format!("\"{}\" has neither a protocol nor a port", text.escape_debug()))
            })?;
            let (protocol, start) = proto::by_port(port)
                .ok_or_else(|| unclear(format!("port {port} is not the port of a known protocol")))?;
            return Ok(Self { protocol, mode: mode(start), host: host.parse()?, port });
        }
        let url = ServiceUrl::parse(text).map_err(|invalid| match invalid {
            InvalidUrl::UnknownScheme(name) => {
                let rest = text.strip_prefix(name.as_str()).unwrap_or_default();
                unknown(&name, rest)
            }
            other => other.into(),
        })?;
        let (host, port) = url.host_and_port()?;
        let port = connectable(url.place, port)?;
        Ok(Self { protocol: url.protocol, mode: mode(url.start), host: host.parse()?, port })
    }
}

/// Returns the failure for an unknown scheme. `rest` is the part of the target after it.
pub(crate) fn unknown(scheme: &str, rest: &str) -> Failed {
    Failed::usage(format!("unknown protocol \"{}\"", scheme.escape_debug()))
        .hint(Some(scheme_hint(scheme, rest)))
}

impl From<InvalidUrl> for Failed {
    fn from(invalid: InvalidUrl) -> Self {
        Self::usage(invalid.to_string()).hint(invalid.hint())
    }
}

fn mode(start: Start) -> Mode {
    match start {
        Start::Unspecified | Start::Upgrade => Mode::Upgrade,
        Start::FirstByte => Mode::ImplicitTls,
    }
}

/// Splits a host from its port. IPv6 addresses are in brackets.
pub(crate) fn split_port(text: &str) -> Result<(&str, Option<u16>), Failed> {
    let (host, port) = proto::host_and_port(text)?;
    Ok((host, port.map(|port| connectable(text, port)).transpose()?))
}

/// Returns the port unless it is 0, to which no client can connect.
fn connectable(text: &str, port: u16) -> Result<u16, InvalidUrl> {
    if port == 0 { Err(InvalidUrl::HostAndPort(text.to_owned())) } else { Ok(port) }
}

fn choices(host: &str, port: Option<u16>) -> String {
    let port = port.map_or_else(String::new, |port| format!(":{port}"));
    let rest = format!("://{}{port}", host.escape_debug());
    format!("specify the protocol, for example smtp{rest}, imap{rest} or ldap{rest}")
}

impl Host {
    /// Returns the URL of this host with this scheme and port.
    pub(crate) fn url(&self, scheme: &str, port: u16) -> String {
        let (open, close) = if self.ascii.contains(':') { ("[", "]") } else { ("", "") };
        format!("{scheme}://{open}{}{close}:{port}", self.ascii)
    }
}

impl FromStr for Host {
    type Err = Failed;

    fn from_str(text: &str) -> Result<Self, Failed> {
        if text.parse::<IpAddr>().is_ok() {
            return Ok(Self { ascii: text.to_owned(), unicode: None });
        }
        let bad = || Failed::usage(format!("invalid host name \"{}\"", text.escape_debug()));
        let ascii =
            idna::domain_to_ascii_strict(text).or_else(|_| idna::domain_to_ascii(text)).map_err(|_| bad())?;
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._".contains(c);
        if ascii.is_empty() || ascii.len() > 253 || !ascii.chars().all(plain) {
            return Err(bad());
        }
        let (unicode, decoded) = idna::domain_to_unicode(&ascii);
        let unicode = (decoded.is_ok() && unicode != ascii).then_some(unicode);
        Ok(Self { ascii, unicode })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.unicode {
            Some(unicode) => write!(f, "{unicode} ({})", self.ascii),
            None => f.write_str(&self.ascii),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> String {
        text.parse::<Target>().map_or_else(|error| format!("error: {error}"), |target| target.to_string())
    }

    #[test]
    fn targets_are_shown_in_their_canonical_form() {
        for (text, expected) in [
            ("smtp://mail.example.com", "smtp://mail.example.com"),
            ("SMTP+starttls://mail.example.com:25/", "smtp://mail.example.com"),
            ("smtp://mail.example.com:2525", "smtp://mail.example.com:2525"),
            ("smtps://mail.example.com", "smtps://mail.example.com"),
            ("smtp://[::1]:2525", "smtp://[::1]:2525"),
            ("mail.example.com:587", "submission://mail.example.com"),
            ("mail.example.com:465", "smtps://mail.example.com"),
            ("smtp://müller.example", "smtp://xn--mller-kva.example"),
        ] {
            assert_eq!(shown(text), expected, "{text}");
        }
    }

    #[test]
    fn errors_name_the_invalid_part() {
        for (text, part) in [
            ("mail.example.com", "neither a protocol nor a port"),
            ("mail.example.com:4711", "not the port of a known protocol"),
            ("gopher://mail.example.com", "unknown protocol \"gopher\""),
            ("smtps+starttls://mail.example.com", "unknown protocol"),
            ("smtp://::1:25", "in brackets"),
            ("smtp://host:99999", "invalid host and port"),
            ("smtp://host/path", "expected only a host and a port"),
            ("smtp://", "invalid host name"),
            ("smtp://a b", "invalid host name"),
            ("smtp://\x1b[31m", "invalid host name"),
        ] {
            let shown = shown(text);
            assert!(shown.starts_with("error: ") && shown.contains(part), "{text}: {shown}");
            assert!(!shown.contains('\x1b'), "{shown}");
        }
    }
}
