//! The records that mail and service look-ups need.

use std::fmt;
use std::net::IpAddr;

use crate::DnsName;

/// The type of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RecordType {
    /// IPv4 address.
    A,
    /// IPv6 address.
    Aaaa,
    /// Which CA may issue certificates (RFC 8659).
    Caa,
    /// The canonical name of an alias. A question of this type is not followed through aliases.
    Cname,
    /// Mail exchanger (RFC 5321 section 5).
    Mx,
    /// Name server.
    Ns,
    /// The name of an address (RFC 1035 section 3.3.12).
    Ptr,
    /// Server of a service (RFC 2782).
    Srv,
    /// TLSA (RFC 6698).
    Tlsa,
    /// Text.
    Txt,
}

impl RecordType {
    /// Returns the name in zone files.
    pub fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Caa => "CAA",
            Self::Cname => "CNAME",
            Self::Mx => "MX",
            Self::Ns => "NS",
            Self::Ptr => "PTR",
            Self::Srv => "SRV",
            Self::Tlsa => "TLSA",
            Self::Txt => "TXT",
        }
    }
}

impl fmt::Display for RecordType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The data of one record.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RecordData {
    /// A or AAAA.
    Address(IpAddr),
    /// CAA: a property, such as `issue`, and its value.
    Caa {
        /// The name of the property.
        tag: String,
        /// The value as received.
        value: Vec<u8>,
    },
    /// CNAME, NS or PTR.
    Name(DnsName),
    /// MX.
    Mx(Mx),
    /// SRV.
    Srv(Srv),
    /// TLSA.
    Tlsa(TlsaData),
    /// The strings of a TXT record, joined without spaces (RFC 8461 section 3.1).
    Txt(Vec<u8>),
}

/// A mail exchanger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mx {
    /// Lower values are preferred.
    pub preference: u16,
    /// The host.
    pub target: MxTarget,
}

/// What an MX record names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MxTarget {
    /// The root: the domain accepts no mail (RFC 7505).
    Null,
    /// A host.
    Host(DnsName),
    /// Something that is not a host name, such as an address, escaped.
    Invalid(String),
}

impl MxTarget {
    /// Parses the name in an MX record.
    pub fn new(text: &str) -> Self {
        if text == "." {
            return Self::Null;
        }
        match text.parse::<DnsName>() {
            Ok(name) if name.is_host() => Self::Host(name),
            _ => Self::Invalid(text.chars().take(80).flat_map(char::escape_debug).collect()),
        }
    }
}

/// A server of a service (RFC 2782).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Srv {
    /// Lower values are preferred.
    pub priority: u16,
    /// Among equals, the share of the clients.
    pub weight: u16,
    /// The port.
    pub port: u16,
    /// The host; `MxTarget::Null` if the service does not exist.
    pub target: MxTarget,
}

/// The fields of a TLSA record, not judged (RFC 6698 section 2.1).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TlsaData {
    /// Certificate usage.
    pub usage: u8,
    /// Selector: certificate or public key.
    pub selector: u8,
    /// Matching type: the data itself or a digest.
    pub matching: u8,
    /// Certificate association data.
    pub data: Vec<u8>,
}

impl fmt::Debug for TlsaData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for TlsaData {
    /// Writes the record as in zone files: `3 1 1 9f86…`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {} ", self.usage, self.selector, self.matching)?;
        self.data.iter().try_for_each(|octet| write!(f, "{octet:02x}"))
    }
}
