//! Certificates.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;

use rustls_pki_types::SignatureVerificationAlgorithm;

use crate::der::{MalformedDer, Oid, Reader, tag};
use crate::extension::{self, CertificateExtension, ExtendedKeyUsage, oids};
use crate::key::PublicKey;
use crate::name::{DistinguishedName, GeneralName, matches_host};
use crate::signature::{SignatureAlgorithm, SignatureError};

/// An X.509 certificate of any version (RFC 5280 section 4.1).
///
/// It is only read, not verified. Its content is trustworthy only if the chain was verified. Unknown extensions and
/// algorithms are described, also critical ones.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate<'a> {
    der: &'a [u8],
    /// The part that is signed.
    signed: &'a [u8],
    version: u8,
    serial: &'a [u8],
    issuer: DistinguishedName<'a>,
    not_before: i64,
    not_after: i64,
    subject: DistinguishedName<'a>,
    key: PublicKey<'a>,
    extensions: Vec<CertificateExtension<'a>>,
    /// The content of the AlgorithmIdentifier of the signature.
    signature_id: &'a [u8],
    signature: &'a [u8],
}

impl fmt::Debug for Certificate<'_> {
    /// Writes what identifies the certificate, and not its octets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate")
            .field("subject", &format_args!("{}", self.subject()))
            .field("sha256", &format_args!("{}", crate::hex(&self.sha256())))
            .finish_non_exhaustive()
    }
}

impl<'a> Certificate<'a> {
    /// Reads a certificate in DER.
    ///
    /// # Errors
    /// If it is not a well-formed certificate, or octets follow it.
    pub fn from_der(der: &'a [u8]) -> Result<Self, MalformedDer> {
        let mut input = Reader::new(der);
        let certificate = Self::read(&mut input)?;
        input.end("certificate")?;
        Ok(certificate)
    }

    /// Reads the next certificate of a list.
    pub(crate) fn read(input: &mut Reader<'a>) -> Result<Self, MalformedDer> {
        let outer = input.expect(tag::SEQUENCE, "certificate")?;
        let mut parts = outer.reader();
        let signed = parts.expect(tag::SEQUENCE, "content of the certificate")?;
        let mut fields = signed.reader();
        let version = match fields.optional(tag::constructed(0), "version")? {
            Some(version) => version.reader().expect(tag::INTEGER, "version")?.small()?.saturating_add(1),
            None => 1,
        };
        let serial = fields.expect(tag::INTEGER, "serial number")?.content;
        // The signature's algorithm, again: only the one after the content counts.
        fields.expect(tag::SEQUENCE, "signature algorithm")?;
        let issuer = DistinguishedName::new(&fields.expect(tag::SEQUENCE, "issuer")?);
        let mut validity = fields.expect(tag::SEQUENCE, "validity")?.reader();
        let not_before = validity.any("start of the validity")?.time()?;
        let not_after = validity.any("end of the validity")?.time()?;
        let subject = DistinguishedName::new(&fields.expect(tag::SEQUENCE, "subject")?);
        let key = PublicKey::new(&fields.expect(tag::SEQUENCE, "public key")?)?;
        fields.optional(tag::primitive(1), "unique identifier of the issuer")?;
        fields.optional(tag::primitive(2), "unique identifier of the subject")?;
        let extensions = match fields.optional(tag::constructed(3), "extensions")? {
            Some(list) => {
                CertificateExtension::read_all(&list.reader().expect(tag::SEQUENCE, "extensions")?)?
            }
            None => Vec::new(),
        };
        fields.end("content of the certificate")?;
        let signature_id = parts.expect(tag::SEQUENCE, "signature algorithm")?.content;
        let signature = parts.expect(tag::BIT_STRING, "signature")?.whole_bits()?;
        parts.end("certificate")?;
        Ok(Self {
            der: outer.der,
            signed: signed.der,
            version,
            serial,
            issuer,
            not_before,
            not_after,
            subject,
            key,
            extensions,
            signature_id,
            signature,
        })
    }

    /// Returns the encoding of the certificate.
    pub fn der(&self) -> &'a [u8] {
        self.der
    }

    /// Returns the version: 1, 2 or 3, where the encoding has 0, 1 or 2. Only version 3 has extensions, and so host names.
    pub fn version(&self) -> u8 {
        self.version
    }

    /// Returns the octets of the serial number, as they are encoded.
    pub fn serial(&self) -> &'a [u8] {
        self.serial
    }

    /// Returns the serial number in hexadecimal digits: `01:9f:3c`.
    pub fn serial_text(&self) -> String {
        let octets: Vec<String> = self.serial.iter().map(|octet| format!("{octet:02x}")).collect();
        octets.join(":")
    }

    /// Returns the issuer.
    pub fn issuer(&self) -> DistinguishedName<'a> {
        self.issuer
    }

    /// Returns the subject.
    pub fn subject(&self) -> DistinguishedName<'a> {
        self.subject
    }

    /// Returns whether the issuer is the subject. Only [`verify_signed_by`](Self::verify_signed_by) shows whether the
    /// signature is its own, too.
    pub fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }

    /// Returns the start of the validity, in seconds since 1970.
    pub fn not_before(&self) -> i64 {
        self.not_before
    }

    /// Returns the end of the validity, in seconds since 1970. The certificate is still valid at that second.
    pub fn not_after(&self) -> i64 {
        self.not_after
    }

    /// Returns whether the certificate is valid at this time, in seconds since 1970.
    pub fn is_valid_at(&self, time: i64) -> bool {
        (self.not_before..=self.not_after).contains(&time)
    }

    /// Returns the public key.
    pub fn public_key(&self) -> PublicKey<'a> {
        self.key
    }

    /// Returns the encoding of the SubjectPublicKeyInfo (see [`PublicKey::spki_der`]).
    pub fn spki_der(&self) -> &'a [u8] {
        self.key.spki_der()
    }

    /// Returns the fingerprint: the SHA-256 hash of the certificate.
    pub fn sha256(&self) -> [u8; 32] {
        crate::sha256(self.der)
    }

    /// Returns the SHA-256 hash of the SubjectPublicKeyInfo: the pin of the key (RFC 7469 section 2.4).
    pub fn spki_sha256(&self) -> [u8; 32] {
        crate::sha256(self.spki_der())
    }

    /// Returns the algorithm of the signature.
    pub fn signature_algorithm(&self) -> SignatureAlgorithm {
        SignatureAlgorithm::of(self.signature_id)
    }

    /// Verifies the signature with the issuer's key. Names, dates and the right of the issuer to sign are not checked.
    ///
    /// # Errors
    /// [`SignatureError::Unsupported`] if none of the algorithms fits, [`SignatureError::Invalid`] if another key signed.
    pub fn verify_signed_by(
        &self,
        issuer: &PublicKey<'_>,
        algorithms: &[&dyn SignatureVerificationAlgorithm],
    ) -> Result<(), SignatureError> {
        issuer.verify_as(self.signature_id, algorithms, self.signed, self.signature)
    }

    /// Returns the extensions in their order.
    pub fn extensions(&self) -> &[CertificateExtension<'a>] {
        &self.extensions
    }

    /// Returns the critical extensions that this crate does not know. A verifier that does not know them either must reject
    /// the certificate (RFC 5280 section 4.2).
    pub fn unknown_critical_extensions(&self) -> impl Iterator<Item = &CertificateExtension<'a>> {
        self.extensions.iter().filter(|it| it.critical && it.name().is_none())
    }

    fn extension(&self, oid: Oid<'_>) -> Option<&'a [u8]> {
        self.extensions.iter().find(|it| it.oid == oid).map(|it| it.value)
    }

    /// Returns the alternative names of the subject; an empty list if the extension is missing or malformed.
    pub fn subject_alt_names(&self) -> Vec<GeneralName<'a>> {
        let names = self.extension(oids::SUBJECT_ALT_NAME).map(GeneralName::read_all);
        names.and_then(Result::ok).unwrap_or_default()
    }

    /// Returns the host names in the alternative names, possibly with wildcards.
    pub fn dns_names(&self) -> Vec<&'a str> {
        let names = self.subject_alt_names().into_iter();
        names.filter_map(|it| if let GeneralName::Dns(name) = it { Some(name) } else { None }).collect()
    }

    /// Returns the common names of the subject. Clients ignore them (RFC 9525 section 2), except DANE (RFC 7671 section 5.2).
    pub fn common_names(&self) -> Vec<Cow<'a, str>> {
        self.subject.common_names()
    }

    /// Returns whether the certificate is for this host name or IP address, by its alternative names alone (RFC 9525
    /// section 6).
    pub fn is_for(&self, host: &str) -> bool {
        let address = host.parse::<IpAddr>().ok();
        self.subject_alt_names().iter().any(|name| match (name, address) {
            (GeneralName::Dns(name), None) => matches_host(name, host),
            (GeneralName::Ip(own), Some(address)) => *own == address,
            _ => false,
        })
    }

    /// Returns whether the certificate is a CA's (RFC 5280 section 4.2.1.9).
    pub fn is_ca(&self) -> bool {
        let constraints = self.extension(oids::BASIC_CONSTRAINTS).map(Reader::new);
        let is_ca = |mut der: Reader<'a>| {
            let mut fields = der.expect(tag::SEQUENCE, "basicConstraints")?.reader();
            fields.optional(tag::BOOLEAN, "cA")?.map_or(Ok(false), |it| it.boolean())
        };
        constraints.is_some_and(|der| is_ca(der) == Ok(true))
    }

    /// Returns the purposes of the key; `None` if the certificate does not restrict them. A malformed extension allows no
    /// purpose.
    pub fn extended_key_usage(&self) -> Option<ExtendedKeyUsage<'a>> {
        self.extension(oids::EXTENDED_KEY_USAGE).map(|it| ExtendedKeyUsage::read(it).unwrap_or_default())
    }

    /// Returns whether the server must staple an OCSP response (RFC 7633).
    pub fn requires_stapling(&self) -> bool {
        // The TLS extensions status_request and status_request_v2.
        let has = |der| [5, 17].iter().any(|number| extension::has_tls_feature(der, *number) == Ok(true));
        self.extension(oids::TLS_FEATURE).is_some_and(has)
    }

    /// Returns the number of signed certificate timestamps in the certificate (RFC 6962 section 3.3). A malformed list counts
    /// as none.
    pub fn timestamps(&self) -> usize {
        self.extension(oids::SCT_LIST).and_then(|list| extension::timestamps(list).ok()).unwrap_or_default()
    }

    /// Returns the URLs of the issuer's certificate. Certificates that an intermediate CA issued usually have one.
    pub fn issuer_urls(&self) -> Vec<&'a str> {
        self.access_urls(2)
    }

    /// Returns the URLs of the OCSP responder.
    pub fn ocsp_urls(&self) -> Vec<&'a str> {
        self.access_urls(1)
    }

    fn access_urls(&self, method: u8) -> Vec<&'a str> {
        let urls = self.extension(oids::AUTHORITY_INFO_ACCESS).map(|it| extension::access_urls(it, method));
        urls.and_then(Result::ok).unwrap_or_default()
    }
}
