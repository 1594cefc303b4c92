//! Files with certificates and keys, in PEM or DER.

use std::fmt;

use rustls_pki_types::{
    CertificateDer, PrivateKeyDer, PrivatePkcs1KeyDer, PrivatePkcs8KeyDer, PrivateSec1KeyDer,
    SubjectPublicKeyInfoDer,
};

use crate::certificate::Certificate;
use crate::der::{MalformedDer, Reader, tag};
use crate::key::PublicKey;
use crate::pem::{self, PemFault};

/// The certificates and keys of a file.
///
/// The file is PEM with any labels, line ends and text around the blocks, or DER. The structure of an item decides what it
/// is, so a wrong label does no harm.
pub struct Bundle {
    /// The name of the file, for errors.
    name: String,
    items: Vec<Item>,
}

struct Item {
    kind: ItemKind,
    /// The number of its line; `None` in DER.
    line: Option<usize>,
    der: Vec<u8>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ItemKind {
    Certificate,
    Pkcs8Key,
    Pkcs1Key,
    Sec1Key,
    EncryptedKey,
    OpenSshKey,
    DsaKey,
    PublicKey,
    CertificateRequest,
    RevocationList,
    Pkcs7,
    Pkcs12,
    /// Parameters of a key, such as the curve.
    Parameters,
    Other,
}

/// A certificate, and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct BundleCertificate {
    /// The certificate in DER. It is one element; its content is not checked.
    pub der: CertificateDer<'static>,
    /// The file and the line: `ca.pem:31`.
    pub position: String,
}

impl Bundle {
    /// Reads the content of a file. `name` names the file in errors.
    ///
    /// # Errors
    /// If the file is neither PEM nor DER, or is damaged.
    pub fn read(name: impl Into<String>, content: &[u8]) -> Result<Self, BundleError> {
        let name = name.into();
        match read(content) {
            Ok(items) => Ok(Self { name, items }),
            Err((line, fault)) => Err(BundleError { name, line, fault }),
        }
    }

    /// Returns the certificates in their order.
    ///
    /// # Errors
    /// If the file contains none.
    pub fn certificates(&self) -> Result<Vec<BundleCertificate>, BundleError> {
        let own = self.items.iter().filter(|item| item.kind == ItemKind::Certificate);
        let all: Vec<_> = own
            .map(|item| BundleCertificate {
                der: CertificateDer::from(item.der.clone()),
                position: position(&self.name, item.line),
            })
            .collect();
        if all.is_empty() { Err(self.missing("a certificate")) } else { Ok(all) }
    }

    /// Returns the first private key.
    ///
    /// # Errors
    /// If the file contains none, or only one that is encrypted or of a kind that TLS does not have.
    pub fn private_key(&self) -> Result<PrivateKeyDer<'static>, BundleError> {
        for Item { kind, line, der } in &self.items {
            let fault = match kind {
                ItemKind::Pkcs8Key => return Ok(PrivatePkcs8KeyDer::from(der.clone()).into()),
                ItemKind::Pkcs1Key => return Ok(PrivatePkcs1KeyDer::from(der.clone()).into()),
                ItemKind::Sec1Key => return Ok(PrivateSec1KeyDer::from(der.clone()).into()),
                ItemKind::EncryptedKey => BundleFault::EncryptedKey,
                ItemKind::OpenSshKey => BundleFault::OpenSshKey,
                ItemKind::DsaKey => BundleFault::DsaKey,
                _ => continue,
            };
            return Err(BundleError { name: self.name.clone(), line: *line, fault });
        }
        Err(self.missing("a private key"))
    }

    /// Returns the first public key.
    ///
    /// # Errors
    /// If the file contains none.
    pub fn public_key(&self) -> Result<SubjectPublicKeyInfoDer<'static>, BundleError> {
        let own = self.items.iter().find(|item| item.kind == ItemKind::PublicKey);
        own.map(|item| SubjectPublicKeyInfoDer::from(item.der.clone()))
            .ok_or_else(|| self.missing("a public key"))
    }

    /// Returns the public key of the first certificate request (RFC 2986), if the file contains one.
    pub fn requested_key(&self) -> Option<SubjectPublicKeyInfoDer<'static>> {
        let own = self.items.iter().find(|item| item.kind == ItemKind::CertificateRequest)?;
        let key = requested_key(&own.der).ok()?;
        Some(SubjectPublicKeyInfoDer::from(key.spki_der().to_vec()))
    }

    fn missing(&self, expected: &'static str) -> BundleError {
        let mut found: Vec<&'static str> = Vec::new();
        for item in &self.items {
            if !found.contains(&item.kind.name()) {
                found.push(item.kind.name());
            }
        }
        let has = |kind| self.items.iter().any(|item| item.kind == kind);
        let fault = match (has(ItemKind::Pkcs7), has(ItemKind::Pkcs12)) {
            (true, _) => BundleFault::Pkcs7,
            (_, true) => BundleFault::Pkcs12,
            _ => BundleFault::Missing { expected, found },
        };
        BundleError { name: self.name.clone(), line: None, fault }
    }
}

impl fmt::Debug for Bundle {
    // The items may be private keys.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Bundle").field("name", &self.name).finish_non_exhaustive()
    }
}

/// Returns a certificate in PEM.
pub fn certificate_to_pem(der: &[u8]) -> String {
    pem::encode("CERTIFICATE", der)
}

fn read(content: &[u8]) -> Result<Vec<Item>, (Option<usize>, BundleFault)> {
    let text = pem::text(content);
    if !pem::is_pem(&text) {
        return match content.trim_ascii() {
            [] => Err((None, BundleFault::Empty)),
            // Every file in DER is a SEQUENCE, and its length is the one of the file.
            [0x30, ..] if is_one_element(content) => {
                let kind = kind_of(content).unwrap_or(ItemKind::Other);
                Ok(vec![Item { kind, line: None, der: content.to_vec() }])
            }
            [0x30, 0x80..=0x84, ..] => Err((None, BundleFault::TruncatedDer)),
            _ => Err((None, BundleFault::Unknown)),
        };
    }
    let blocks = pem::blocks(&text).map_err(|(line, fault)| (Some(line), BundleFault::Pem(fault)))?;
    let mut items = Vec::new();
    for pem::Block { label, line, mut der, is_encrypted } in blocks {
        // After the certificate OpenSSL writes whom it trusts for which purpose.
        if label == "TRUSTED CERTIFICATE" {
            let length = Reader::new(&der).any("certificate").map_or(der.len(), |it| it.der.len());
            der.truncate(length);
        }
        let kind = match label {
            _ if is_encrypted => ItemKind::EncryptedKey,
            "OPENSSH PRIVATE KEY" => ItemKind::OpenSshKey,
            "EC PARAMETERS" | "DH PARAMETERS" | "X9.42 DH PARAMETERS" | "DSA PARAMETERS" => {
                ItemKind::Parameters
            }
            _ if !is_one_element(&der) => {
                let fault = match label.ends_with("CERTIFICATE") || label.ends_with("KEY") {
                    true => BundleFault::TruncatedBlock(label.to_owned()),
                    false => continue,
                };
                return Err((Some(line), fault));
            }
            // A certificate that cannot be read is still one: the error says where and why.
            "CERTIFICATE" | "TRUSTED CERTIFICATE" | "X509 CERTIFICATE" => {
                kind_of(&der).unwrap_or(ItemKind::Certificate)
            }
            _ => kind_of(&der).unwrap_or(ItemKind::Other),
        };
        items.push(Item { kind, line: Some(line), der });
    }
    Ok(items)
}

fn is_one_element(der: &[u8]) -> bool {
    let mut reader = Reader::new(der);
    reader.expect(tag::SEQUENCE, "file").is_ok() && reader.is_empty()
}

/// Returns the kind of an item, which its structure shows; `None` for any other structure.
fn kind_of(der: &[u8]) -> Option<ItemKind> {
    if Certificate::from_der(der).is_ok() {
        return Some(ItemKind::Certificate);
    }
    if PublicKey::from_der(der).is_ok() {
        return Some(ItemKind::PublicKey);
    }
    private_or_container(der).ok().flatten()
}

fn private_or_container(der: &[u8]) -> Result<Option<ItemKind>, MalformedDer> {
    const PKCS7_SIGNED_DATA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 1, 7, 2];
    let mut parts = Reader::new(der).expect(tag::SEQUENCE, "item")?.reader();
    let first = parts.any("first field")?;
    if first.tag == tag::OID {
        return Ok((first.content == PKCS7_SIGNED_DATA).then_some(ItemKind::Pkcs7));
    }
    let second = parts.any("second field")?;
    Ok(match (first.tag, first.content, second.tag) {
        // PrivateKeyInfo (RFC 5958), and PFX (RFC 7292 section 4).
        (tag::INTEGER, [0 | 1], tag::SEQUENCE) => Some(ItemKind::Pkcs8Key),
        (tag::INTEGER, [3], tag::SEQUENCE) => Some(ItemKind::Pkcs12),
        // RSAPrivateKey has nine numbers (RFC 8017 appendix A.1.2), the DSA key of OpenSSL has six.
        (tag::INTEGER, [0 | 1], tag::INTEGER) => {
            let mut count = 2;
            while parts.optional(tag::INTEGER, "number")?.is_some() {
                count += 1;
            }
            Some(if count < 9 { ItemKind::DsaKey } else { ItemKind::Pkcs1Key })
        }
        // ECPrivateKey (RFC 5915).
        (tag::INTEGER, [1], tag::OCTET_STRING) => Some(ItemKind::Sec1Key),
        // EncryptedPrivateKeyInfo (RFC 5958 section 3).
        (tag::SEQUENCE, _, tag::OCTET_STRING) => Some(ItemKind::EncryptedKey),
        // A signed object that is not a certificate: a request (RFC 2986) starts with version 0, and a list has none or 1.
        (tag::SEQUENCE, _, tag::SEQUENCE) => {
            let mut fields = first.reader();
            Some(match fields.optional(tag::INTEGER, "version")?.map(|it| it.content) {
                Some([0]) => ItemKind::CertificateRequest,
                _ if fields.expect(tag::SEQUENCE, "algorithm").is_ok()
                    && fields.expect(tag::SEQUENCE, "issuer").is_ok()
                    && fields.any("time")?.time().is_ok() =>
                {
                    ItemKind::RevocationList
                }
                _ => return Ok(None),
            })
        }
        _ => None,
    })
}

fn requested_key(der: &[u8]) -> Result<PublicKey<'_>, MalformedDer> {
    let mut parts = Reader::new(der).expect(tag::SEQUENCE, "request")?.reader();
    let mut fields = parts.expect(tag::SEQUENCE, "content of the request")?.reader();
    fields.expect(tag::INTEGER, "version")?;
    fields.expect(tag::SEQUENCE, "subject")?;
    PublicKey::new(&fields.expect(tag::SEQUENCE, "public key")?)
}

impl ItemKind {
    fn name(self) -> &'static str {
        match self {
            Self::Certificate => "a certificate",
            Self::Pkcs8Key | Self::Pkcs1Key | Self::Sec1Key => "a private key",
            Self::EncryptedKey => "an encrypted private key",
            Self::OpenSshKey => "a private key of OpenSSH",
            Self::DsaKey => "a DSA key",
            Self::PublicKey => "a public key",
            Self::CertificateRequest => "a certificate request",
            Self::RevocationList => "a revocation list",
            Self::Pkcs7 => "a PKCS #7 container",
            Self::Pkcs12 => "a PKCS #12 container",
            Self::Parameters => "parameters of a key",
            Self::Other => "an unknown item",
        }
    }
}

/// Why a certificate or a key was not read from a file.
///
/// `Display` starts with the file and the line: `ca.pem:31: …`. [`hint`](Self::hint) has the fix, if one is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BundleError {
    name: String,
    line: Option<usize>,
    fault: BundleFault,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum BundleFault {
    Empty,
    /// The content is neither PEM nor DER.
    Unknown,
    TruncatedDer,
    Pem(PemFault),
    /// The content of a block is not one DER element.
    TruncatedBlock(String),
    Missing {
        expected: &'static str,
        found: Vec<&'static str>,
    },
    EncryptedKey,
    OpenSshKey,
    DsaKey,
    Pkcs7,
    Pkcs12,
}

impl BundleError {
    /// Returns whether the only private key is encrypted.
    pub fn is_encrypted_key(&self) -> bool {
        self.fault == BundleFault::EncryptedKey
    }

    /// Returns what the user can do, if that is known.
    pub fn hint(&self) -> Option<String> {
        self.hint_for(&self.name)
    }

    /// Returns what the user can do, with another name for the file: the content may be from elsewhere, and the name be that of
    /// a setting.
    pub fn hint_for(&self, name: &str) -> Option<String> {
        Some(match &self.fault {
            BundleFault::EncryptedKey => format!("decrypt the key: openssl pkey -in {name} -out NEW.key"),
            BundleFault::OpenSshKey => format!("convert the key: ssh-keygen -p -m PKCS8 -f {name}"),
            BundleFault::DsaKey => String::from("use an ECDSA, Ed25519 or RSA key: TLS 1.3 has no DSA"),
            BundleFault::Pkcs7 => {
                format!("extract the certificates: openssl pkcs7 -print_certs -in {name} -out NEW.pem")
            }
            BundleFault::Pkcs12 => {
                format!("extract the content: openssl pkcs12 -in {name} -nodes -out NEW.pem")
            }
            BundleFault::TruncatedDer | BundleFault::TruncatedBlock(_) | BundleFault::Pem(_) => {
                String::from("copy the file again: it is damaged or incomplete")
            }
            BundleFault::Unknown => String::from("expected PEM, which contains -----BEGIN, or DER"),
            BundleFault::Empty | BundleFault::Missing { .. } => return None,
        })
    }
}

fn position(name: &str, line: Option<usize>) -> String {
    match line {
        Some(line) => format!("{name}:{line}"),
        None => name.to_owned(),
    }
}

impl fmt::Display for BundleError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", position(&self.name, self.line))?;
        match &self.fault {
            BundleFault::Empty => f.write_str("the file is empty"),
            BundleFault::Unknown => f.write_str("the content is neither PEM nor DER"),
            BundleFault::TruncatedDer => f.write_str("the DER ends early, or octets follow it"),
            BundleFault::Pem(PemFault::Begin) => {
                f.write_str("invalid BEGIN line: expected five dashes after the label")
            }
            BundleFault::Pem(PemFault::NoEnd(label)) => {
                write!(f, "expected \"-----END {label}-----\" after this BEGIN, found none")
            }
            BundleFault::Pem(PemFault::Octet(octet)) => {
                write!(f, "invalid Base64: unexpected character \"{}\"", octet.escape_ascii())
            }
            BundleFault::Pem(PemFault::Length) => {
                f.write_str("invalid Base64: characters are missing or superfluous")
            }
            BundleFault::TruncatedBlock(label) => {
                write!(
                    f,
                    "the block {label} does not contain one whole item: it is cut off, or octets follow"
                )
            }
            BundleFault::Missing { expected, found } => match found.as_slice() {
                [] => write!(f, "expected {expected}, found none"),
                found => write!(f, "expected {expected}, found {}", found.join(" and ")),
            },
            BundleFault::EncryptedKey => {
                f.write_str("the private key is encrypted, expected one without a passphrase")
            }
            BundleFault::OpenSshKey => {
                f.write_str("expected a private key in PKCS #8, PKCS #1 or SEC 1, found one of OpenSSH")
            }
            BundleFault::DsaKey => f.write_str("the private key is a DSA key, which TLS 1.3 does not have"),
            BundleFault::Pkcs7 => {
                f.write_str("expected PEM or one certificate in DER, found a PKCS #7 container")
            }
            BundleFault::Pkcs12 => f.write_str("expected PEM or DER, found a PKCS #12 container"),
        }
    }
}

impl std::error::Error for BundleError {}
