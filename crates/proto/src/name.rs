//! The values of an [`Identity`](crate::Identity): types that cannot contain an octet that ends a line, a quoted
//! string or a tag in any protocol.
//!
//! A peer would read a value with a line end as two messages (command injection, CWE-93). Each value is therefore
//! checked when it is constructed, and the dialects write it unchanged.

use alloc::borrow::ToOwned;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt;
use core::net::Ipv6Addr;
use core::ops::Deref;
use core::str::FromStr;

use crate::Escaped;

/// The longest name in octets (RFC 5321 section 4.5.3.1.2).
const MAX_NAME: usize = 255;
/// The longest capability in octets. It must fit in a line of every protocol (RFC 2449 section 4).
const MAX_CAPABILITY: usize = 480;

/// The client's own name: a domain, or an address literal (RFC 5321 section 4.1.3).
///
/// The default is the literal `[127.0.0.1]`. It reveals nothing about the client's host. Servers that refuse
/// `localhost`, because it is not a fully qualified domain, accept the literal.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct ClientName(String);

/// The name of a service: a domain or an address. It is empty if no service is named.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ServiceName(String);

/// The authority of a URL, `HOST` or `HOST:PORT`, with an IPv6 address in brackets (RFC 3986 section 3.2).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UrlAuthority(String);

/// An entry of a capability list, in the syntax of the protocol: `AUTH PLAIN`, `SASL-IR`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Capability(String);

/// The name of a user for a login. It is empty if the client certificate contains the name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct UserName(String);

/// The error for a value that cannot be written into the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidValue {
    /// The kind of value, as a noun phrase ("client name").
    pub kind: &'static str,
    /// What was expected, as a noun phrase.
    pub expected: &'static str,
    /// The first octets of the value.
    pub value: Vec<u8>,
}

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { kind, expected, value } = self;
        write!(f, "invalid {kind} \"{}\": expected {expected}", Escaped(value))
    }
}

impl core::error::Error for InvalidValue {}

impl Default for ClientName {
    fn default() -> Self {
        Self(String::from("[127.0.0.1]"))
    }
}

impl ClientName {
    /// Returns the domain, or `None` for an address literal: an XMPP address cannot contain a literal (RFC 7622
    /// section 3.2).
    pub fn domain(&self) -> Option<&str> {
        (!self.0.starts_with('[')).then_some(&*self.0)
    }
}

impl ServiceName {
    /// Returns a name from text that a peer sent. Characters that are not valid in a name are dropped.
    ///
    /// Use [`str::parse`] for a name that a user chose, so that the user learns about a mistake.
    pub fn from_peer(name: &str) -> Self {
        Self(name.chars().filter(|&c| is_name(c)).take(MAX_NAME).collect())
    }
}

impl UrlAuthority {
    /// Returns the authority of the URL for `host` and `port`. The port is omitted if it is `default_port`, the
    /// default of the scheme (RFC 9110 section 7.2).
    ///
    /// `host` may be an IPv6 address in brackets. Its zone is removed, because a zone is meaningful only on this host
    /// (RFC 6874 section 1).
    ///
    /// # Errors
    /// [`InvalidValue`] if `host` is neither an ASCII name nor an address.
    pub fn new(host: &str, port: u16, default_port: u16) -> Result<Self, InvalidValue> {
        let host = bracketed(host);
        if port == default_port { host.parse() } else { format!("{host}:{port}").parse() }
    }
}

/// Returns the host in the form that a URL requires: an IPv6 address in brackets and without its zone.
pub(crate) fn bracketed(host: &str) -> String {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    if !bare.contains(':') {
        return host.to_owned();
    }
    let (address, _zone) = bare.split_once('%').unwrap_or((bare, ""));
    format!("[{address}]")
}

/// Returns whether a character is valid in a name: in no protocol does it separate words, quote, or announce a
/// literal.
fn is_name(c: char) -> bool {
    !c.is_control() && !c.is_whitespace() && !"<>&'\"\\{}".contains(c)
}

fn is_client_name(text: &str) -> bool {
    let within = text.strip_prefix('[').map_or(Some(text), |rest| rest.strip_suffix(']'));
    within.is_some_and(|it| !it.is_empty() && it.chars().all(|c| is_name(c) && !"[]()@,;".contains(c)))
        && text.len() <= MAX_NAME
}

fn is_service_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= MAX_NAME && text.chars().all(is_name)
}

fn is_url_authority(text: &str) -> bool {
    let unreserved = |c: char| c.is_ascii_alphanumeric() || "-._~".contains(c);
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, rest)) => (address.parse::<Ipv6Addr>().is_ok(), rest),
        None => {
            let (name, port) = text.split_at(text.find(':').unwrap_or(text.len()));
            (!name.is_empty() && name.len() <= MAX_NAME && name.chars().all(unreserved), port)
        }
    };
    let is_port = |port: &str| port.bytes().all(|it| it.is_ascii_digit()) && port.parse::<u16>().is_ok();
    host && (port.is_empty() || port.strip_prefix(':').is_some_and(is_port))
}

fn is_capability(text: &str) -> bool {
    // Braces announce a literal (RFC 9051 section 4.3), a string with an unmatched quote continues in the next line
    // (RFC 5804 section 4), and a dot ends a list (RFC 3977 section 3.1.1).
    let ends_its_line = !text.starts_with('.') && !text.chars().any(|c| c.is_control() || "{}\\".contains(c));
    let quotes = text.bytes().filter(|&byte| byte == b'"').count();
    !text.is_empty() && text.len() <= MAX_CAPABILITY && ends_its_line && quotes.is_multiple_of(2)
}

fn is_user_name(text: &str) -> bool {
    !text.chars().any(char::is_control)
}

macro_rules! values {
    ($($value:ident, $kind:literal, $is_valid:ident, $expected:literal;)*) => {$(
        impl $value {
            /// Returns the value as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $value {
            type Err = InvalidValue;

            fn from_str(text: &str) -> Result<Self, InvalidValue> {
                if $is_valid(text) {
                    return Ok(Self(text.to_owned()));
                }
                let value = text.bytes().take(crate::Error::EXCERPT).collect();
                Err(InvalidValue { kind: $kind, expected: $expected, value })
            }
        }

        impl TryFrom<&str> for $value {
            type Error = InvalidValue;

            fn try_from(text: &str) -> Result<Self, InvalidValue> {
                text.parse()
            }
        }

        impl Deref for $value {
            type Target = str;

            fn deref(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $value {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl PartialEq<str> for $value {
            fn eq(&self, other: &str) -> bool {
                self.0 == other
            }
        }

        impl PartialEq<&str> for $value {
            fn eq(&self, other: &&str) -> bool {
                self.0 == *other
            }
        }
    )*};
}

values! {
    ClientName, "client name", is_client_name,
        "a domain such as client.example.com, or an address literal such as [127.0.0.1]";
    ServiceName, "server name", is_service_name, "a domain or an address";
    UrlAuthority, "authority of a URL", is_url_authority,
        "HOST or HOST:PORT, an IPv6 address in brackets";
    Capability, "capability", is_capability, "at most 480 octets, quotes in pairs, no dot in front, no control characters, braces or backslashes";
    UserName, "user name", is_user_name, "a name without control characters";
}
