//! Names in certificates: distinguished names, and the alternative names of a subject.

use std::borrow::Cow;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::der::{Element, MalformedDer, Oid, Reader, tag};

/// A distinguished name (X.501), such as `C=DE, O="Example, Inc.", CN=mail.example.com`.
///
/// `Display` writes the attributes in the order of the certificate. Two names are equal if their encodings are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct DistinguishedName<'a> {
    der: &'a [u8],
}

/// One attribute of a distinguished name.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct NameAttribute<'a> {
    /// The type of the attribute.
    pub oid: Oid<'a>,
    /// The value, if it is text.
    pub text: Option<Cow<'a, str>>,
    /// The value in DER.
    pub value: &'a [u8],
    /// Whether the attribute is in the same relative distinguished name as the one before it.
    pub continues: bool,
}

const COMMON_NAME: Oid<'static> = Oid::from_content(&[0x55, 4, 3]);

impl<'a> DistinguishedName<'a> {
    pub(crate) fn new(element: &Element<'a>) -> Self {
        Self { der: element.der }
    }

    /// Reads a name in DER, as in the request for a client certificate. Its attributes are read on request.
    ///
    /// # Errors
    /// If it is not a sequence, or is followed by other bytes.
    pub fn from_der(der: &'a [u8]) -> Result<Self, MalformedDer> {
        let mut reader = Reader::new(der);
        let name = Self::new(&reader.expect(tag::SEQUENCE, "name")?);
        reader.end("name")?;
        Ok(name)
    }

    /// Returns the encoding of the name.
    pub fn der(&self) -> &'a [u8] {
        self.der
    }

    /// Returns the attributes in their order. Attributes after a malformed one are left out.
    pub fn attributes(&self) -> Vec<NameAttribute<'a>> {
        let mut found = Vec::new();
        // The attributes before a malformed one are still worth describing.
        let _ = self.read_attributes(&mut found);
        found
    }

    fn read_attributes(&self, found: &mut Vec<NameAttribute<'a>>) -> Result<(), MalformedDer> {
        let mut sets = Reader::new(self.der).expect(tag::SEQUENCE, "name")?.reader();
        while !sets.is_empty() {
            let mut attributes = sets.expect(tag::SET, "name part")?.reader();
            let mut continues = false;
            while !attributes.is_empty() {
                let mut attribute = attributes.expect(tag::SEQUENCE, "name attribute")?.reader();
                let oid = Oid::from_content(attribute.expect(tag::OID, "attribute type")?.content);
                let value = attribute.any("attribute value")?;
                found.push(NameAttribute { oid, text: text(&value), value: value.der, continues });
                continues = true;
            }
        }
        Ok(())
    }

    /// Returns the common names that are text.
    pub fn common_names(&self) -> Vec<Cow<'a, str>> {
        self.attributes().into_iter().filter(|it| it.oid == COMMON_NAME).filter_map(|it| it.text).collect()
    }
}

impl fmt::Display for DistinguishedName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, NameAttribute { oid, text, value, continues }) in self.attributes().iter().enumerate() {
            match (index, continues) {
                (0, _) => {}
                (_, true) => f.write_str(" + ")?,
                (_, false) => f.write_str(", ")?,
            }
            match abbreviation(oid) {
                Some(name) => f.write_str(name)?,
                None => oid.fmt(f)?,
            }
            // A value must not imitate other attributes.
            let is_plain = |text: &str| !text.contains([',', '+', '"', '\\', '=']) && text.trim() == text;
            match text {
                Some(text) if is_plain(text) => write!(f, "={text}")?,
                Some(text) => write!(f, "=\"{}\"", text.replace('\\', r"\\").replace('"', "\\\""))?,
                // RFC 4514 section 2.4.
                None => write!(f, "=#{}", crate::hex(value))?,
            }
        }
        Ok(())
    }
}

/// Returns the usual abbreviation of an attribute type (RFC 4519).
fn abbreviation(oid: &Oid<'_>) -> Option<&'static str> {
    Some(match oid.content() {
        [0x55, 4, 3] => "CN",
        [0x55, 4, 4] => "SN",
        [0x55, 4, 5] => "serialNumber",
        [0x55, 4, 6] => "C",
        [0x55, 4, 7] => "L",
        [0x55, 4, 8] => "ST",
        [0x55, 4, 9] => "street",
        [0x55, 4, 10] => "O",
        [0x55, 4, 11] => "OU",
        [0x55, 4, 12] => "title",
        [0x55, 4, 15] => "businessCategory",
        [0x55, 4, 17] => "postalCode",
        [0x55, 4, 42] => "GN",
        [0x55, 4, 97] => "organizationIdentifier",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 1] => "UID",
        [0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 1, 25] => "DC",
        [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 9, 1] => "emailAddress",
        _ => return None,
    })
}

/// Returns the text of a string type (X.680 section 41).
fn text<'a>(element: &Element<'a>) -> Option<Cow<'a, str>> {
    let content = element.content;
    match element.tag {
        tag::UTF8_STRING | tag::PRINTABLE_STRING | tag::IA5_STRING | tag::VISIBLE_STRING => {
            std::str::from_utf8(content).ok().map(Cow::Borrowed)
        }
        // In practice it contains UTF-8 or Latin-1, not T.61.
        tag::TELETEX_STRING => Some(match std::str::from_utf8(content) {
            Ok(text) => Cow::Borrowed(text),
            Err(_) => content.iter().copied().map(char::from).collect(),
        }),
        tag::BMP_STRING => {
            let (units, []) = content.as_chunks::<2>() else { return None };
            let units: Vec<u16> = units.iter().copied().map(u16::from_be_bytes).collect();
            String::from_utf16(&units).ok().map(Cow::Owned)
        }
        tag::UNIVERSAL_STRING => {
            let (units, []) = content.as_chunks::<4>() else { return None };
            units.iter().copied().map(|unit| char::from_u32(u32::from_be_bytes(unit))).collect()
        }
        _ => None,
    }
}

/// An alternative name of the subject (RFC 5280 section 4.2.1.6).
///
/// Texts are as the certificate contains them: they may contain control characters.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum GeneralName<'a> {
    /// A host name, possibly with a wildcard.
    Dns(&'a str),
    /// An IP address.
    Ip(IpAddr),
    /// A mail address, also one in UTF-8 (RFC 9598).
    Email(&'a str),
    /// A URI.
    Uri(&'a str),
    /// A service and its domain, such as `_imaps.example.com` (RFC 4985).
    Srv(&'a str),
    /// An XMPP address, such as `example.com` (RFC 6120 section 13.7.1.4).
    Xmpp(&'a str),
    /// A distinguished name.
    Directory(DistinguishedName<'a>),
    /// A registered object identifier.
    RegisteredId(Oid<'a>),
    /// A name of another type, with its DER.
    Other {
        /// The type.
        oid: Oid<'a>,
        /// The value, with its tag and length.
        value: &'a [u8],
    },
    /// A name with a content that its type does not allow, or of a type that names no peer.
    Invalid {
        /// The number of the type in `GeneralName`.
        number: u8,
        /// The content.
        content: &'a [u8],
    },
}

impl<'a> GeneralName<'a> {
    pub(crate) fn read_all(extension: &'a [u8]) -> Result<Vec<Self>, MalformedDer> {
        let mut outer = Reader::new(extension);
        let mut names = outer.expect(tag::SEQUENCE, "subjectAltName")?.reader();
        outer.end("subjectAltName")?;
        let mut found = Vec::new();
        while !names.is_empty() {
            found.push(Self::read(&names.any("alternative name")?));
        }
        Ok(found)
    }

    fn read(element: &Element<'a>) -> Self {
        const DIRECTORY: u8 = tag::constructed(4);
        const OTHER: u8 = tag::constructed(0);
        let content = element.content;
        let ascii = std::str::from_utf8(content).ok().filter(|it| it.is_ascii());
        let known = match element.tag {
            0x81 => ascii.map(Self::Email),
            0x82 => ascii.map(Self::Dns),
            0x86 => ascii.map(Self::Uri),
            0x87 => address(content).map(Self::Ip),
            0x88 => Some(Self::RegisteredId(Oid::from_content(content))),
            DIRECTORY => element
                .reader()
                .expect(tag::SEQUENCE, "name")
                .ok()
                .map(|it| Self::Directory(DistinguishedName::new(&it))),
            OTHER => Self::other(element).ok(),
            _ => None,
        };
        known.unwrap_or(Self::Invalid { number: element.tag & 0x1f, content })
    }

    fn other(element: &Element<'a>) -> Result<Self, MalformedDer> {
        let mut parts = element.reader();
        let oid = Oid::from_content(parts.expect(tag::OID, "name type")?.content);
        let value = parts.expect(tag::constructed(0), "name value")?.reader().any("name value")?;
        let text = std::str::from_utf8(value.content).ok();
        Ok(match (oid.content(), value.tag, text) {
            // id-on-xmppAddr, id-on-dnsSRV, id-on-SmtpUTF8Mailbox: 1.3.6.1.5.5.7.8.
            ([0x2b, 6, 1, 5, 5, 7, 8, 5], tag::UTF8_STRING, Some(text)) => Self::Xmpp(text),
            ([0x2b, 6, 1, 5, 5, 7, 8, 7], tag::IA5_STRING, Some(text)) => Self::Srv(text),
            ([0x2b, 6, 1, 5, 5, 7, 8, 9], tag::UTF8_STRING, Some(text)) => Self::Email(text),
            _ => Self::Other { oid, value: value.der },
        })
    }
}

fn address(octets: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(octets).map(|it| Ipv4Addr::from(it).into());
    v4.or_else(|_| <[u8; 16]>::try_from(octets).map(|it| Ipv6Addr::from(it).into())).ok()
}

impl fmt::Display for GeneralName<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dns(name) => f.write_str(name),
            Self::Ip(address) => address.fmt(f),
            Self::Email(address) => write!(f, "email:{address}"),
            Self::Uri(uri) => write!(f, "uri:{uri}"),
            Self::Srv(name) => write!(f, "srv:{name}"),
            Self::Xmpp(address) => write!(f, "xmpp:{address}"),
            Self::Directory(name) => write!(f, "directory:{name}"),
            Self::RegisteredId(oid) => write!(f, "oid:{oid}"),
            Self::Other { oid, .. } => write!(f, "other:{oid}"),
            Self::Invalid { number, content } => write!(f, "invalid:{number}:{}", crate::hex(content)),
        }
    }
}

/// Returns whether a host name in a certificate is for this host (RFC 9525 section 6.3). A wildcard is the whole first
/// label and stands for exactly one label.
pub fn matches_host(presented: &str, host: &str) -> bool {
    let [presented, host] = [presented, host].map(|it| it.strip_suffix('.').unwrap_or(it));
    if presented.is_empty() || host.is_empty() {
        return false;
    }
    match presented.strip_prefix("*.") {
        // A wildcard for a whole top-level domain has no second label.
        Some(parent) => host.split_once('.').is_some_and(|(label, rest)| {
            !label.is_empty()
                && parent.contains('.')
                && !parent.contains('*')
                && rest.eq_ignore_ascii_case(parent)
        }),
        None => !presented.contains('*') && presented.eq_ignore_ascii_case(host),
    }
}
