//! Extensions of certificates (RFC 5280 section 4.2).

use crate::der::{Element, MalformedDer, Oid, Reader, tag};

/// An extension of a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct CertificateExtension<'a> {
    /// The type.
    pub oid: Oid<'a>,
    /// Whether a verifier that does not know the type must reject the certificate.
    pub critical: bool,
    /// The content, in DER.
    pub value: &'a [u8],
}

/// The types that this crate reads.
pub(crate) mod oids {
    use super::Oid;

    pub(crate) const SUBJECT_KEY_ID: Oid<'static> = Oid::from_content(&[0x55, 29, 14]);
    pub(crate) const KEY_USAGE: Oid<'static> = Oid::from_content(&[0x55, 29, 15]);
    pub(crate) const SUBJECT_ALT_NAME: Oid<'static> = Oid::from_content(&[0x55, 29, 17]);
    pub(crate) const BASIC_CONSTRAINTS: Oid<'static> = Oid::from_content(&[0x55, 29, 19]);
    pub(crate) const AUTHORITY_KEY_ID: Oid<'static> = Oid::from_content(&[0x55, 29, 35]);
    pub(crate) const EXTENDED_KEY_USAGE: Oid<'static> = Oid::from_content(&[0x55, 29, 37]);
    pub(crate) const AUTHORITY_INFO_ACCESS: Oid<'static> = Oid::from_content(&[0x2b, 6, 1, 5, 5, 7, 1, 1]);
    pub(crate) const TLS_FEATURE: Oid<'static> = Oid::from_content(&[0x2b, 6, 1, 5, 5, 7, 1, 24]);
    pub(crate) const OCSP_SCT_LIST: Oid<'static> =
        Oid::from_content(&[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 5]);
    pub(crate) const SCT_LIST: Oid<'static> = Oid::from_content(&[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 2]);
}

/// The known types with their names: those of RFC 5280 section 4.2, RFC 6962, RFC 6960 and RFC 7633.
const NAMES: &[(Oid<'static>, &str)] = &[
    (oids::SUBJECT_KEY_ID, "subjectKeyIdentifier"),
    (oids::KEY_USAGE, "keyUsage"),
    (oids::SUBJECT_ALT_NAME, "subjectAltName"),
    (Oid::from_content(&[0x55, 29, 18]), "issuerAltName"),
    (oids::BASIC_CONSTRAINTS, "basicConstraints"),
    (Oid::from_content(&[0x55, 29, 30]), "nameConstraints"),
    (Oid::from_content(&[0x55, 29, 31]), "cRLDistributionPoints"),
    (Oid::from_content(&[0x55, 29, 32]), "certificatePolicies"),
    (Oid::from_content(&[0x55, 29, 33]), "policyMappings"),
    (oids::AUTHORITY_KEY_ID, "authorityKeyIdentifier"),
    (Oid::from_content(&[0x55, 29, 36]), "policyConstraints"),
    (oids::EXTENDED_KEY_USAGE, "extKeyUsage"),
    (Oid::from_content(&[0x55, 29, 46]), "freshestCRL"),
    (Oid::from_content(&[0x55, 29, 54]), "inhibitAnyPolicy"),
    (oids::AUTHORITY_INFO_ACCESS, "authorityInfoAccess"),
    (Oid::from_content(&[0x2b, 6, 1, 5, 5, 7, 1, 11]), "subjectInfoAccess"),
    (oids::TLS_FEATURE, "tlsFeature"),
    (Oid::from_content(&[0x2b, 6, 1, 5, 5, 7, 48, 1, 5]), "ocspNoCheck"),
    (oids::SCT_LIST, "signedCertificateTimestampList"),
    (Oid::from_content(&[0x2b, 6, 1, 4, 1, 0xd6, 0x79, 2, 4, 3]), "precertificatePoison"),
];

impl<'a> CertificateExtension<'a> {
    /// Reads the content of an `Extensions` element.
    pub(crate) fn read_all(list: &Element<'a>) -> Result<Vec<Self>, MalformedDer> {
        let mut extensions = list.reader();
        let mut found = Vec::new();
        while !extensions.is_empty() {
            let mut parts = extensions.expect(tag::SEQUENCE, "extension")?.reader();
            let oid = Oid::from_content(parts.expect(tag::OID, "extension type")?.content);
            let critical = match parts.optional(tag::BOOLEAN, "criticality of an extension")? {
                Some(critical) => critical.boolean()?,
                None => false,
            };
            let value = parts.expect(tag::OCTET_STRING, "content of an extension")?.content;
            found.push(Self { oid, critical, value });
        }
        Ok(found)
    }

    /// Returns the name of the type, if this crate knows it.
    pub fn name(&self) -> Option<&'static str> {
        NAMES.iter().find(|(oid, _)| *oid == self.oid).map(|(_, name)| *name)
    }
}

/// The purposes in an extended key usage (RFC 5280 section 4.2.1.12).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ExtendedKeyUsage<'a> {
    /// The object identifiers of the purposes.
    pub purposes: Vec<Oid<'a>>,
}

impl<'a> ExtendedKeyUsage<'a> {
    pub(crate) fn read(extension: &'a [u8]) -> Result<Self, MalformedDer> {
        let mut list = Reader::new(extension).expect(tag::SEQUENCE, "extKeyUsage")?.reader();
        let mut purposes = Vec::new();
        while !list.is_empty() {
            purposes.push(Oid::from_content(list.expect(tag::OID, "purpose of the key")?.content));
        }
        Ok(Self { purposes })
    }

    /// Returns whether TLS servers may use the certificate.
    pub fn allows_servers(&self) -> bool {
        self.allows(&[0x2b, 6, 1, 5, 5, 7, 3, 1]) || self.allows(&[0x55, 29, 37, 0])
    }

    /// Returns whether TLS clients may use the certificate.
    pub fn allows_clients(&self) -> bool {
        self.allows(&[0x2b, 6, 1, 5, 5, 7, 3, 2]) || self.allows(&[0x55, 29, 37, 0])
    }

    /// Returns whether the certificate's key may sign OCSP responses. `anyExtendedKeyUsage` is not enough (RFC 6960
    /// section 4.2.2.2).
    pub fn allows_ocsp_signing(&self) -> bool {
        self.allows(&[0x2b, 6, 1, 5, 5, 7, 3, 9])
    }

    fn allows(&self, purpose: &[u8]) -> bool {
        self.purposes.iter().any(|it| it.content() == purpose)
    }
}

/// Returns the URLs of an authority information access with this access method, of 1.3.6.1.5.5.7.48 (RFC 5280 section
/// 4.2.2.1).
pub(crate) fn access_urls(extension: &[u8], method: u8) -> Result<Vec<&str>, MalformedDer> {
    let mut list = Reader::new(extension).expect(tag::SEQUENCE, "authorityInfoAccess")?.reader();
    let mut found = Vec::new();
    while !list.is_empty() {
        let mut access = list.expect(tag::SEQUENCE, "access description")?.reader();
        let oid = access.expect(tag::OID, "access method")?.content;
        let location = access.any("access location")?;
        let is_wanted = oid == [0x2b, 6, 1, 5, 5, 7, 48, method] && location.tag == tag::primitive(6);
        found.extend(std::str::from_utf8(location.content).ok().filter(|_| is_wanted));
    }
    Ok(found)
}

/// Returns the number of signed certificate timestamps in an extension of a certificate or of an OCSP response: an OCTET
/// STRING with a list (RFC 6962 section 3.3).
pub(crate) fn timestamps(extension: &[u8]) -> Result<usize, MalformedDer> {
    let list = Reader::new(extension).expect(tag::OCTET_STRING, "list of timestamps")?;
    timestamp_count(list.content).ok_or_else(|| list.invalid())
}

/// Returns the number of signed certificate timestamps in a list of TLS (RFC 6962 section 3.3), such as the content of the
/// TLS extension. Returns `None` if the list is malformed or empty.
pub fn timestamp_count(list: &[u8]) -> Option<usize> {
    let (length, mut rest) = list.split_first_chunk()?;
    let mut count = 0;
    if usize::from(u16::from_be_bytes(*length)) != rest.len() {
        return None;
    }
    while !rest.is_empty() {
        let (length, after) = rest.split_first_chunk()?;
        let (timestamp, after) = after.split_at_checked(u16::from_be_bytes(*length).into())?;
        if timestamp.is_empty() {
            return None;
        }
        (rest, count) = (after, count + 1);
    }
    (count > 0).then_some(count)
}

/// Returns whether a TLS feature extension contains this TLS extension (RFC 7633 section 4).
pub(crate) fn has_tls_feature(extension: &[u8], number: u8) -> Result<bool, MalformedDer> {
    let mut list = Reader::new(extension).expect(tag::SEQUENCE, "tlsFeature")?.reader();
    let mut found = false;
    while !list.is_empty() {
        found |= list.expect(tag::INTEGER, "TLS feature")?.content == [number];
    }
    Ok(found)
}
