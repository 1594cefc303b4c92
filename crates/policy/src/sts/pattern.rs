//! The patterns for mail exchangers in a policy (RFC 8461 section 4.1).

use std::fmt;

use starttls_dns::DnsName;

/// A pattern: a host name, or `*.` and the name of a domain.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MxPattern {
    wildcard: bool,
    name: DnsName,
}

impl MxPattern {
    /// Parses a pattern in A-labels; the second value is whether a final dot was removed.
    ///
    /// # Errors
    /// A clause that describes the form that is not a pattern.
    pub fn parse(text: &str) -> Result<(Self, bool), &'static str> {
        let (wildcard, name) = text.strip_prefix("*.").map_or((false, text), |rest| (true, rest));
        if !name.is_ascii() {
            return Err("the name is not in A-labels (xn--…)");
        }
        if name.contains(':') {
            return Err("the pattern contains a port or is an IPv6 address");
        }
        let parsed: DnsName = name.parse().map_err(|_| "the pattern is not a host name")?;
        if !parsed.is_host() {
            return Err("the pattern is an address or not a host name");
        }
        Ok((Self { wildcard, name: parsed }, name.ends_with('.')))
    }

    /// Returns whether the pattern matches this exchanger. The wildcard stands for exactly one label.
    pub fn matches(&self, host: &DnsName) -> bool {
        if self.wildcard { host.parent() == Some(self.name.as_str()) } else { *host == self.name }
    }

    /// Returns whether the pattern has a wildcard.
    pub fn is_wildcard(&self) -> bool {
        self.wildcard
    }

    /// Returns the name without the wildcard.
    pub fn name(&self) -> &DnsName {
        &self.name
    }
}

impl fmt::Display for MxPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", if self.wildcard { "*." } else { "" }, self.name)
    }
}
