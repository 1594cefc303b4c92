//! A temporary certificate authority: a root, an intermediate, and leaf certificates.
//!
//! The keys stay in memory and end with the [`Authority`]. Only tests should trust its certificates.
//!
//! ```
//! use starttls_lab::ca::{Authority, Leaf};
//!
//! let authority = Authority::new()?;
//! let issued = authority.issue(&Leaf::named("mail.example.test"))?;
//! assert_eq!(issued.chain_pem.matches("BEGIN CERTIFICATE").count(), 2);
//! # Ok::<(), starttls_lab::Error>(())
//! ```

use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rcgen::{
    BasicConstraints, Certificate, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, PKCS_RSA_SHA256, PublicKeyData, RsaKeySize, SanType, SigningKey,
};

use starttls::rustls::crypto::aws_lc_rs;
use starttls::rustls::pki_types::{CertificateDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use starttls::rustls::sign::CertifiedKey;
use starttls::x509::{Bundle, BundleError};

use crate::error::Error;
use crate::files::write;
use crate::sha1_signature::{Sha1Key, corrected};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// A root and an intermediate that issue leaf certificates.
pub struct Authority {
    name: String,
    root: Certificate,
    root_issuer: Issuer<'static, KeyPair>,
    intermediate: Certificate,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    /// Creates both certificates with new keys.
    pub fn new() -> Result<Self, Error> {
        Self::named("starttls lab")
    }

    /// Creates an authority with another name, so that clients cannot confuse the two.
    pub fn named(name: &str) -> Result<Self, Error> {
        let root_key = KeyPair::generate()?;
        let root_params = authority_params(&format!("{name} root"), BasicConstraints::Constrained(1));
        let root = root_params.self_signed(&root_key)?;
        let key = KeyPair::generate()?;
        let params = authority_params(&format!("{name} intermediate"), BasicConstraints::Constrained(0));
        let root_issuer = Issuer::new(root_params, root_key);
        let intermediate = params.signed_by(&key, &root_issuer)?;
        Ok(Self { name: name.to_owned(), root, root_issuer, intermediate, issuer: Issuer::new(params, key) })
    }

    /// Issues a certificate for a new key.
    pub fn issue(&self, leaf: &Leaf) -> Result<Issued, Error> {
        let key = leaf.key()?;
        let cert_pem = leaf.params()?.signed_by(&key, &self.issuer)?.pem();
        let chain_pem = format!("{cert_pem}{}", self.intermediate.pem());
        Ok(Issued { cert_pem, chain_pem, key_pem: key.serialize_pem() })
    }

    /// Issues a certificate for an existing key. Returns the leaf, then the intermediate.
    pub(crate) fn issue_for(
        &self,
        leaf: &Leaf,
        key: &impl PublicKeyData,
    ) -> Result<Vec<CertificateDer<'static>>, Error> {
        let leaf = leaf.params()?.signed_by(key, &self.issuer)?;
        Ok(vec![leaf.der().clone(), self.intermediate.der().clone()])
    }

    /// Issues a certificate that is signed with another server's certificate, which is not an authority.
    pub(crate) fn issue_by_leaf(&self, leaf: &Leaf) -> Result<Issued, Error> {
        let (key, params) = (KeyPair::generate()?, Leaf::named("other.example.test").params()?);
        let other = params.signed_by(&key, &self.issuer)?;
        let leaf_key = leaf.key()?;
        let cert_pem = leaf.params()?.signed_by(&leaf_key, &Issuer::new(params, key))?.pem();
        let chain_pem = [&cert_pem, &other.pem(), &self.intermediate.pem()].map(String::as_str).concat();
        Ok(Issued { cert_pem, chain_pem, key_pem: leaf_key.serialize_pem() })
    }

    /// Issues a certificate of X.509 version 1: without a version and without extensions. It is valid until 2040.
    pub(crate) fn issue_version_1(&self, leaf: &Leaf) -> Result<CertifiedKey, Error> {
        let key = leaf.key()?;
        let model = leaf.params()?.signed_by(&key, &self.issuer)?;
        let old = version_1(model.der(), self.issuer.key())?;
        certified(vec![old, self.intermediate.der().clone()], &key)
    }

    /// Issues a certificate with a critical extension that no client knows (RFC 5280 section 4.2).
    pub(crate) fn issue_with_unknown_extension(&self, leaf: &Leaf) -> Result<CertifiedKey, Error> {
        let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99999, 1], vec![5, 0]);
        extension.set_criticality(true);
        self.issue_with(leaf, vec![extension])
    }

    /// Issues a certificate with more extensions.
    pub(crate) fn issue_with(
        &self,
        leaf: &Leaf,
        extensions: Vec<CustomExtension>,
    ) -> Result<CertifiedKey, Error> {
        let (key, mut params) = (leaf.key()?, leaf.params()?);
        params.custom_extensions.extend(extensions);
        let own = params.signed_by(&key, &self.issuer)?;
        certified(vec![own.der().clone(), self.intermediate.der().clone()], &key)
    }

    /// Returns the key that signs the leaf certificates.
    pub(crate) fn issuer_key(&self) -> &KeyPair {
        self.issuer.key()
    }

    /// Issues a certificate with a new intermediate that signs with SHA-1.
    pub(crate) fn issue_with_sha1(&self, leaf: &Leaf) -> Result<CertifiedKey, Error> {
        let key = Sha1Key::new()?;
        let params = authority_params("sha-1 intermediate", BasicConstraints::Constrained(0));
        let intermediate = params.signed_by(&key, &self.root_issuer)?;
        let leaf_key = leaf.key()?;
        let signed = leaf.params()?.signed_by(&leaf_key, &Issuer::new(params, key))?;
        let chain = vec![CertificateDer::from(corrected(signed.der())), intermediate.der().clone()];
        certified(chain, &leaf_key)
    }

    /// Returns a certificate that is signed with its own key.
    pub fn self_signed(leaf: &Leaf) -> Result<Issued, Error> {
        let key = leaf.key()?;
        let cert_pem = leaf.params()?.self_signed(&key)?.pem();
        Ok(Issued { chain_pem: cert_pem.clone(), cert_pem, key_pem: key.serialize_pem() })
    }

    /// Returns the root certificate in PEM, which clients must trust.
    pub fn root_pem(&self) -> String {
        self.root.pem()
    }

    /// Returns the intermediate certificate in PEM, for servers that need it separately.
    pub fn intermediate_pem(&self) -> String {
        self.intermediate.pem()
    }

    /// Returns a certificate in PEM that expired a year ago and that no path to the root needs.
    pub fn surplus_pem(&self, surplus: Surplus) -> Result<String, Error> {
        let expired = |name: &str, constraints| {
            let mut params = authority_params(&format!("{} {name}", self.name), constraints);
            params.not_before = (SystemTime::now() - 730 * DAY).into();
            params.not_after = (SystemTime::now() - 365 * DAY).into();
            params
        };
        let certificate = match surplus {
            Surplus::Twin => expired("intermediate", BasicConstraints::Constrained(0))
                .signed_by(self.issuer.key(), &self.root_issuer)?,
            Surplus::CrossSigned => {
                let (old, key) = (expired("old root", BasicConstraints::Unconstrained), KeyPair::generate()?);
                expired("root", BasicConstraints::Constrained(1))
                    .signed_by(self.root_issuer.key(), &Issuer::new(old, key))?
            }
            Surplus::Stranger => {
                expired("stranger", BasicConstraints::Unconstrained).self_signed(&KeyPair::generate()?)?
            }
        };
        Ok(certificate.pem())
    }

    /// Writes `root.pem` into a folder and returns its path.
    pub fn write_to(&self, dir: &Path) -> Result<PathBuf, Error> {
        write(dir.join("root.pem"), &self.root_pem(), 0o644)
    }
}

/// Returns a chain with its key. The chain is not parsed, because a TLS library rejects some of these certificates.
fn certified(chain: Vec<CertificateDer<'static>>, key: &KeyPair) -> Result<CertifiedKey, Error> {
    let der = PrivateKeyDer::from(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let key = aws_lc_rs::sign::any_supported_type(&der).map_err(io::Error::other);
    Ok(CertifiedKey::new(chain, key.map_err(Error::io("the certificate"))?))
}

/// Returns a certificate of version 1 with the names and the key of this one, signed with an ECDSA key.
fn version_1(model: &[u8], issuer: &KeyPair) -> Result<CertificateDer<'static>, Error> {
    const ALGORITHM: &[u8] = b"\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02";
    const VALIDITY: &[u8] = b"\x30\x1e\x17\x0d240101000000Z\x17\x0d400101000000Z";
    let model = starttls::x509::Certificate::from_der(model).map_err(io::Error::other);
    let model = model.map_err(Error::io("the certificate"))?;
    let (from, to) = (model.issuer().der(), model.subject().der());
    let serial = der_element(0x02, &[model.serial()]);
    let content = der_element(0x30, &[&serial, ALGORITHM, from, VALIDITY, to, model.spki_der()]);
    let signature = der_element(0x03, &[&[0], &issuer.sign(&content)?]);
    Ok(CertificateDer::from(der_element(0x30, &[&content, ALGORITHM, &signature])))
}

/// Returns an element of DER, of less than 64 KiB.
pub(crate) fn der_element(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let content = parts.concat();
    let length = match u16::try_from(content.len()).unwrap_or(u16::MAX).to_be_bytes() {
        [0, short @ 0..=0x7f] => vec![short],
        [0, low] => vec![0x81, low],
        [high, low] => vec![0x82, high, low],
    };
    [&[tag], &length[..], &content].concat()
}

/// A certificate that a server sends besides those that clients verify.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surplus {
    /// The intermediate's name and key, expired; it comes before the valid one.
    Twin,
    /// The root's name and key, signed by an older root that no client trusts.
    CrossSigned,
    /// An authority that issued none of the others.
    Stranger,
}

/// The contents of a leaf certificate.
#[derive(Clone, Debug)]
pub struct Leaf {
    /// The DNS names. The first one is also the common name, unless `common_name` is set.
    pub dns: Vec<String>,
    /// The common name, if it is not the first DNS name.
    pub common_name: Option<String>,
    /// The IP addresses.
    pub ips: Vec<IpAddr>,
    /// The kind of its key.
    pub key: KeyKind,
    /// The start of the validity.
    pub not_before: SystemTime,
    /// The end of the validity.
    pub not_after: SystemTime,
    /// The purpose of the certificate.
    pub usage: Usage,
}

/// The kind of a leaf's key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA on P-256.
    #[default]
    EcdsaP256,
    /// RSA with 2048 bits.
    Rsa2048,
}

/// The extended key usage of a leaf (RFC 5280 section 4.2.1.12).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Usage {
    /// A server's certificate.
    #[default]
    Server,
    /// A client's certificate.
    Client,
    /// Signs OCSP responses for the authority that issued it (RFC 6960 section 4.2.2.2).
    OcspResponder,
    /// No extended key usage, but an authority: the default of `openssl req -x509`.
    Authority,
}

impl Default for Leaf {
    /// Returns a server certificate with an ECDSA key and no name, valid for 30 days.
    fn default() -> Self {
        let now = SystemTime::now();
        Self {
            dns: Vec::new(),
            common_name: None,
            ips: Vec::new(),
            key: KeyKind::default(),
            not_before: now - DAY,
            not_after: now + 30 * DAY,
            usage: Usage::default(),
        }
    }
}

impl Leaf {
    /// Returns a server certificate for one DNS name.
    pub fn named(name: &str) -> Self {
        Self { dns: vec![name.into()], ..Self::default() }
    }

    fn common_name(&self) -> Option<&String> {
        self.common_name.as_ref().or(self.dns.first())
    }

    fn key(&self) -> Result<KeyPair, Error> {
        Ok(match self.key {
            KeyKind::EcdsaP256 => KeyPair::generate()?,
            KeyKind::Rsa2048 => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048)?,
        })
    }

    fn params(&self) -> Result<CertificateParams, Error> {
        let mut params = CertificateParams::new(self.dns.clone())?;
        params.subject_alt_names.extend(self.ips.iter().map(|ip| SanType::IpAddress(*ip)));
        params.distinguished_name = rcgen::DistinguishedName::new();
        params
            .distinguished_name
            .push(DnType::CommonName, self.common_name().map_or("lab leaf", String::as_str));
        params.not_before = self.not_before.into();
        params.not_after = self.not_after.into();
        params.use_authority_key_identifier_extension = true;
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        if self.key == KeyKind::Rsa2048 {
            // TLS 1.2 with RSA key exchange (RFC 5246, section 7.4.2).
            params.key_usages.push(KeyUsagePurpose::KeyEncipherment);
        }
        match self.usage {
            Usage::Server => params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth],
            Usage::Client => params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth],
            Usage::OcspResponder => params.extended_key_usages = vec![ExtendedKeyUsagePurpose::OcspSigning],
            Usage::Authority => params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
        }
        Ok(params)
    }
}

/// A leaf with its key.
#[derive(Clone)]
pub struct Issued {
    /// The leaf alone.
    pub cert_pem: String,
    /// The leaf, then the intermediate.
    pub chain_pem: String,
    /// The private key, PKCS #8.
    pub key_pem: String,
}

impl Issued {
    /// Returns the certificate and the key for the TLS library.
    pub(crate) fn certified(&self) -> Result<CertifiedKey, Error> {
        let read = || {
            let chain = Bundle::read("the certificate", self.chain_pem.as_bytes())?.certificates()?;
            let key = Bundle::read("the key", self.key_pem.as_bytes())?.private_key()?;
            Ok::<_, BundleError>((chain.into_iter().map(|it| it.der).collect(), key))
        };
        let (chain, key) = read().map_err(io::Error::other).map_err(Error::io("the certificate"))?;
        CertifiedKey::from_der(chain, key, &aws_lc_rs::default_provider())
            .map_err(io::Error::other)
            .map_err(Error::io("the certificate"))
    }

    /// Writes `NAME.pem` (the chain) and `NAME.key` (mode 600) into a folder and returns their paths.
    pub fn write_to(&self, dir: &Path, name: &str) -> Result<(PathBuf, PathBuf), Error> {
        let chain = write(dir.join(format!("{name}.pem")), &self.chain_pem, 0o644)?;
        let key = write(dir.join(format!("{name}.key")), &self.key_pem, 0o600)?;
        Ok((chain, key))
    }
}

fn authority_params(name: &str, constraints: BasicConstraints) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(constraints);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params.use_authority_key_identifier_extension = true;
    params.not_before = (SystemTime::now() - DAY).into();
    params.not_after = (SystemTime::now() + 365 * DAY).into();
    params
}
