//! Names in DNS.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

/// The longest name in its text form without the final dot (RFC 1035 section 2.3.4).
const MAX_NAME: usize = 253;
/// The longest label.
const MAX_LABEL: usize = 63;

/// A name in DNS: A-labels in lower case, without the final dot. It is not the root.
///
/// Labels contain letters, digits, hyphens and underscores only. DNS allows any octet, but no host name or service name
/// contains one, and names end up in logs, in SNI and in answers to other programs.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DnsName(Arc<str>);

impl DnsName {
    /// Returns the name as text: `mail.example.com`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the name below this one, with these labels in front: `_25._tcp` gives `_25._tcp.mail.example.com`.
    ///
    /// # Errors
    /// [`InvalidName`] if the result is too long.
    pub fn below(&self, labels: &str) -> Result<Self, InvalidName> {
        format!("{labels}.{self}").parse()
    }

    /// Returns whether the name can be that of a host (RFC 1123 section 2.1): no underscores, no hyphen at either end of a
    /// label, and a last label that is not a number, so that the name is not an IPv4 address.
    pub fn is_host(&self) -> bool {
        let labels_fit =
            self.0.split('.').all(|it| !it.contains('_') && !it.starts_with('-') && !it.ends_with('-'));
        let last = self.0.rsplit('.').next().unwrap_or_default();
        labels_fit && !last.bytes().all(|it| it.is_ascii_digit())
    }

    /// Returns the name without its first label: `example.com` for `mail.example.com`.
    pub fn parent(&self) -> Option<&str> {
        self.0.split_once('.').map(|(_, parent)| parent)
    }

    /// Returns the name in Unicode, where that differs.
    pub fn unicode(&self) -> Option<String> {
        let (unicode, decoded) = idna::domain_to_unicode(&self.0);
        (decoded.is_ok() && unicode != *self.0).then_some(unicode)
    }
}

impl FromStr for DnsName {
    type Err = InvalidName;

    /// Parses a name with or without the final dot. U-labels become A-labels (RFC 5891).
    fn from_str(text: &str) -> Result<Self, InvalidName> {
        let invalid = |reason| InvalidName { text: bounded(text), reason };
        let bare = text.strip_suffix('.').unwrap_or(text);
        let ascii = if bare.is_ascii() {
            bare.to_ascii_lowercase()
        } else {
            idna::domain_to_ascii(bare).map_err(|_| invalid("invalid internationalized label"))?
        };
        if ascii.is_empty() {
            return Err(invalid("the name is empty"));
        }
        if ascii.len() > MAX_NAME {
            return Err(invalid("the name is longer than 253 octets"));
        }
        for label in ascii.split('.') {
            if label.is_empty() || label.len() > MAX_LABEL {
                return Err(invalid("a label is empty or longer than 63 octets"));
            }
            if !label.bytes().all(|it| it.is_ascii_alphanumeric() || b"-_".contains(&it)) {
                return Err(invalid("expected letters, digits, hyphens and underscores"));
            }
        }
        Ok(Self(ascii.into()))
    }
}

impl fmt::Display for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for DnsName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A text that is not a name in DNS, or that is not a name this library handles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidName {
    text: String,
    reason: &'static str,
}

impl fmt::Display for InvalidName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid DNS name \"{}\": {}", self.text, self.reason)
    }
}

impl std::error::Error for InvalidName {}

fn bounded(text: &str) -> String {
    text.chars().take(80).flat_map(char::escape_debug).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> DnsName {
        text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    #[test]
    fn names_have_one_form() {
        for (text, expected) in [
            ("example.com", "example.com"),
            ("Example.COM.", "example.com"),
            ("_25._tcp.mx.example.com", "_25._tcp.mx.example.com"),
            ("müller.example", "xn--mller-kva.example"),
            ("MÜLLER.example.", "xn--mller-kva.example"),
        ] {
            assert_eq!(name(text).as_str(), expected, "{text}");
        }
        assert_eq!(name("xn--mller-kva.example").unicode().as_deref(), Some("müller.example"));
    }

    #[test]
    fn texts_that_are_no_names_are_refused_with_the_reason() {
        let (label, long) = ("a".repeat(64), "abcdefg.".repeat(32));
        for (text, reason) in [
            ("", "empty"),
            (".", "empty"),
            ("a..b", "label is empty"),
            ("..", "label is empty"),
            (label.as_str(), "63 octets"),
            (long.as_str(), "253 octets"),
            ("a b.example", "expected letters"),
            ("a\u{1b}[31m.example", "expected letters"),
            ("[192.0.2.1]", "expected letters"),
            ("2001:db8::1", "expected letters"),
        ] {
            let error = text.parse::<DnsName>().map_err(|error| error.to_string());
            assert!(
                error.as_ref().is_err_and(|it| it.contains(reason) && !it.contains('\u{1b}')),
                "{error:?}"
            );
        }
    }

    #[test]
    fn only_host_names_are_hosts() {
        for (text, expected) in [
            ("mx.example.com", true),
            ("xn--mller-kva.example", true),
            ("192.0.2.1", false),
            ("mx.example.25", false),
            ("_25._tcp.example", false),
            ("-mx.example", false),
        ] {
            assert_eq!(name(text).is_host(), expected, "{text}");
        }
    }
}
