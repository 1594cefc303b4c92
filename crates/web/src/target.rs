//! What a visitor asks for: a domain, or a server.

use std::fmt;
use std::net::IpAddr;

use starttls::proto::{InvalidUrl, Protocol, ServiceUrl, Start, by_port, host_and_port};
use starttls_dns::{DnsName, InvalidName};
use starttls_report::html::Html;
use starttls_report::{Language, Text};

use crate::words;

/// The longest text of a target, in octets.
const LONGEST: usize = 300;

/// A target. Nothing was looked up yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebTarget {
    /// The services that a domain announces.
    Domain(DnsName),
    /// One server.
    Server(ServerTarget),
}

/// A server and its protocol.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServerTarget {
    /// The protocol.
    pub protocol: &'static Protocol,
    /// Whether TLS starts at the first byte.
    pub implicit: bool,
    /// The host.
    pub host: TargetHost,
    /// The port.
    pub port: u16,
}

/// A host by name or by address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetHost {
    /// A name, which DNS knows.
    Name(DnsName),
    /// An address.
    Address(IpAddr),
}

/// Which targets the service accepts, beyond the protocols' own ports and names in DNS.
#[derive(Clone, Debug, Default)]
pub struct TargetPolicy {
    /// Further ports.
    pub ports: Vec<u16>,
    /// Whether names of local networks are accepted: `localhost`, `*.internal`, names without a dot.
    pub local_names: bool,
}

/// Why a text is not a target, in words for a visitor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidTarget {
    text: Text,
    /// The value of the placeholder in the text, and its name.
    values: Vec<(&'static str, String)>,
}

impl InvalidTarget {
    fn new(text: Text, values: &[(&'static str, &dyn fmt::Display)]) -> Self {
        Self { text, values: values.iter().map(|(name, value)| (*name, value.to_string())).collect() }
    }

    /// Returns the sentence in a language.
    pub(crate) fn sentence(&self, language: Language) -> Html {
        let values: Vec<_> = self.values.iter().map(|(name, value)| (*name, value.as_str())).collect();
        let mut out = Html::default();
        out.sentence(language, self.text, &values);
        out
    }
}

impl fmt::Display for InvalidTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let values: Vec<_> = self.values.iter().map(|(name, value)| (*name, value as _)).collect();
        f.write_str(&self.text.filled(Language::English, &values))
    }
}

impl std::error::Error for InvalidTarget {}

impl From<InvalidUrl> for InvalidTarget {
    fn from(invalid: InvalidUrl) -> Self {
        let hint = invalid.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
        Self::new(words::ENGLISH, &[("why", &format_args!("{invalid}{hint}"))])
    }
}

impl WebTarget {
    /// Parses `DOMAIN`, `PROTO://HOST[:PORT]` or `HOST:PORT`.
    ///
    /// # Errors
    /// [`InvalidTarget`] if the text has another form, or if the policy does not accept the target.
    pub fn parse(text: &str, policy: &TargetPolicy) -> Result<Self, InvalidTarget> {
        let text = text.trim();
        if text.is_empty() {
            return Err(InvalidTarget::new(words::TARGET_MISSING, &[]));
        }
        if text.len() > LONGEST {
            return Err(InvalidTarget::new(words::TARGET_LONG, &[("count", &LONGEST)]));
        }
        let (protocol, start, host, port) = if text.contains("://") {
            let url = ServiceUrl::parse(text)?;
            let (host, port) = url.host_and_port()?;
            (url.protocol, url.start, host, port)
        } else {
            let (host, port) = host_and_port(text)?;
            let Some(port) = port else {
                return match host.parse::<IpAddr>() {
                    Ok(address) => {
                        let example = format!("smtp://{address}");
                        Err(InvalidTarget::new(words::NAME_PROTOCOL, &[("example", &example)]))
                    }
                    Err(_) => Ok(Self::Domain(name(host, policy)?)),
                };
            };
            let (protocol, start) =
                by_port(port).ok_or_else(|| InvalidTarget::new(words::UNKNOWN_PORT, &[("port", &port)]))?;
            (protocol, start, host, port)
        };
        if !is_accepted(protocol, port, policy) {
            let values: [(&str, &dyn fmt::Display); 2] = [("port", &port), ("protocol", &protocol.name)];
            return Err(InvalidTarget::new(words::OTHER_PORT, &values));
        }
        let host = match host.parse::<IpAddr>() {
            Ok(address) => TargetHost::Address(address),
            Err(_) => TargetHost::Name(name(host, policy)?),
        };
        Ok(Self::Server(ServerTarget { protocol, implicit: start == Start::FirstByte, host, port }))
    }
}

/// Returns whether servers of a protocol may be asked on this port.
pub(crate) fn is_accepted(protocol: &Protocol, port: u16, policy: &TargetPolicy) -> bool {
    let own = port == protocol.port || protocol.implicit_tls.is_some_and(|tls| tls.port == port);
    own || policy.ports.contains(&port)
}

/// Parses a name that DNS may know. Names of local networks would let a visitor ask servers that only this machine sees.
fn name(text: &str, policy: &TargetPolicy) -> Result<DnsName, InvalidTarget> {
    let name: DnsName =
        text.parse().map_err(|error: InvalidName| InvalidTarget::new(words::ENGLISH, &[("why", &error)]))?;
    if !name.is_host() {
        return Err(InvalidTarget::new(words::NOT_A_HOST, &[("name", &name)]));
    }
    let last = name.as_str().rsplit('.').next().unwrap_or_default();
    let is_local = !name.as_str().contains('.')
        || ["localhost", "local", "internal", "arpa", "onion", "test", "invalid"].contains(&last);
    if is_local && !policy.local_names {
        return Err(InvalidTarget::new(words::LOCAL_NAME, &[("name", &name)]));
    }
    Ok(name)
}

impl fmt::Display for WebTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Domain(name) => write!(f, "{name}"),
            Self::Server(server) => write!(f, "{server}"),
        }
    }
}

impl fmt::Display for ServerTarget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let implicit = self.protocol.implicit_tls.filter(|_| self.implicit);
        let (scheme, usual) =
            implicit.map_or((self.protocol.name, self.protocol.port), |tls| (tls.name, tls.port));
        let host = match &self.host {
            TargetHost::Name(name) => name.to_string(),
            TargetHost::Address(IpAddr::V6(address)) => format!("[{address}]"),
            TargetHost::Address(address) => address.to_string(),
        };
        write!(f, "{scheme}://{host}")?;
        if self.port == usual { Ok(()) } else { write!(f, ":{}", self.port) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &str) -> Result<String, String> {
        let target = WebTarget::parse(text, &TargetPolicy::default());
        target.map(|it| it.to_string()).map_err(|error| error.to_string())
    }

    #[test]
    fn domains_and_servers_have_a_canonical_form() {
        for (text, canonical) in [
            (" Example.COM. ", "example.com"),
            ("bücher.example", "xn--bcher-kva.example"),
            ("smtp://mail.example.com:25/", "smtp://mail.example.com"),
            ("imaps://mail.example.com", "imaps://mail.example.com"),
            ("mail.example.com:143", "imap://mail.example.com"),
            ("smtp://[2001:4860::1]", "smtp://[2001:4860::1]"),
        ] {
            assert_eq!(parsed(text), Ok(canonical.to_owned()), "{text}");
        }
    }

    /// Spellings that other programs read as addresses of this machine, and names of local networks.
    #[test]
    fn spellings_of_local_servers_are_no_targets() {
        for text in [
            "localhost",
            "smtp://localhost",
            "smtp://mail",
            "mail.local",
            "smtp://x.internal",
            "1.0.0.127.in-addr.arpa",
            "smtp://0x7f.1",
            "smtp://127.1",
            "smtp://2130706433",
            "smtp://0177.0.0.1",
            "smtp://①②⑦.0.0.1",
            "smtp://127.0.0.1.",
            "smtp://user@mail.example.com",
            "smtp://mail.example.com/path",
            "smtp://mail.example.com:22",
            "mail.example.com:22",
            "mail.example.com:0",
            "http://mail.example.com:6379",
            "gopher://mail.example.com",
            "file:///etc/passwd",
            "unix:/run/socket",
            "",
            "a b.example",
            "smtp://",
            "smtp://mail.example.com\r\nX: y",
            "127.0.0.1",
            "::1",
            "[::1]",
        ] {
            assert!(parsed(text).is_err(), "{text}: {:?}", parsed(text));
        }
        assert!(parsed(&"a.".repeat(200)).is_err());
    }

    #[test]
    fn a_policy_accepts_ports_and_local_names() {
        let policy = TargetPolicy { ports: vec![2525], local_names: true };
        for text in ["smtp://localhost:2525", "mail.internal"] {
            assert!(WebTarget::parse(text, &policy).is_ok(), "{text}");
        }
    }
}
