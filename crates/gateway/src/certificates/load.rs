//! Loads certificates, keys and OCSP responses from files.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use starttls::rustls::SignatureAlgorithm;
use starttls::rustls::crypto::aws_lc_rs;
use starttls::rustls::server::ClientHello;
use starttls::rustls::sign::CertifiedKey;
use starttls_x509::validity::{self, now};
use starttls_x509::{CertificateStatus, OcspAnswer, OcspFault};

use super::ocsp;
use crate::files::{self, exposure};
use crate::names::normal;
use crate::setup_error::{SetupError, shown};

/// The maximum number of certificates. More of them are probably a wrong folder.
const MOST: usize = 20_000;

/// The maximum number of entries of a folder: a key and an OCSP response beside each certificate.
const MOST_ENTRIES: usize = 4 * MOST;

/// Where certificates are read from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CertificateSource {
    /// A certificate chain and its key.
    Pair {
        /// The chain in PEM, the server's certificate first.
        chain: PathBuf,
        /// The private key in PEM.
        key: PathBuf,
    },
    /// A folder: `NAME.pem` with the key in the same file or in `NAME.key`, and `NAME/fullchain.pem` with
    /// `NAME/privkey.pem`, the layout of certbot.
    Directory(PathBuf),
}

impl CertificateSource {
    /// Returns the file of the chain, or the folder.
    pub(super) fn path(&self) -> &Path {
        match self {
            Self::Pair { chain, .. } => chain,
            Self::Directory(folder) => folder,
        }
    }
}

/// A summary of a certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateSummary {
    /// The file of the chain.
    pub path: PathBuf,
    /// The host names in the certificate.
    pub names: Vec<String>,
    /// The kind of key: `ECDSA`, `RSA`, `Ed25519` or `other`.
    pub key: &'static str,
    /// The expiry, in seconds since 1970.
    pub not_after: i64,
    /// Whole days until the expiry; negative after it (see [`starttls_x509::validity::days_left`]).
    pub days_left: i64,
    /// Whether an OCSP response is stapled.
    pub ocsp: bool,
}

/// A certificate chain with its key.
#[derive(Debug)]
pub(super) struct Certificate {
    path: PathBuf,
    /// The host names in the certificate, in normal form.
    pub(super) names: Vec<String>,
    /// Seconds since 1970.
    not_before: i64,
    pub(super) not_after: i64,
    pub(super) key: Arc<CertifiedKey>,
    /// The same chain and key with an OCSP response, and what that response reports.
    stapled: Option<(Arc<CertifiedKey>, OcspAnswer)>,
    /// Why the OCSP response in the file is not stapled.
    unfit: Option<OcspFault>,
    /// A warning if every user can read the key.
    exposure: Option<String>,
}

/// The files of one certificate.
#[derive(Debug)]
pub(super) struct CertificateFiles {
    pub(super) chain: PathBuf,
    pub(super) key: PathBuf,
}

impl CertificateFiles {
    /// Returns the path of the OCSP response. The file need not exist.
    pub(super) fn ocsp(&self) -> PathBuf {
        self.chain.with_extension("ocsp")
    }
}

pub(super) fn read_all(sources: &[CertificateSource]) -> Result<Vec<Certificate>, SetupError> {
    let all = find_all(sources)?.iter().map(Certificate::read).collect::<Result<Vec<_>, _>>()?;
    if all.is_empty() {
        return Err(SetupError::new("no certificate was found"));
    }
    Ok(all)
}

pub(super) fn find_all(sources: &[CertificateSource]) -> Result<Vec<CertificateFiles>, SetupError> {
    let mut all = Vec::new();
    for source in sources {
        match source {
            CertificateSource::Pair { chain, key } => {
                all.push(CertificateFiles { chain: chain.clone(), key: key.clone() })
            }
            CertificateSource::Directory(path) => all.append(&mut in_folder(path)?),
        }
    }
    if all.len() > MOST {
        return Err(SetupError::new(format!(
            "found {} certificates, more than the limit of {MOST}",
            all.len()
        )));
    }
    Ok(all)
}

fn in_folder(folder: &Path) -> Result<Vec<CertificateFiles>, SetupError> {
    let unreadable = |source| SetupError::unreadable("the certificate folder", folder, source);
    let mut paths = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        paths.push(entry.map_err(unreadable)?.path());
        if paths.len() > MOST_ENTRIES {
            return Err(SetupError::new(format!(
                "the certificate folder {} has more than {MOST_ENTRIES} entries",
                folder.display()
            )));
        }
    }
    paths.sort();
    let mut found = Vec::new();
    for path in paths {
        let hidden = path.file_name().is_none_or(|name| name.as_encoded_bytes().starts_with(b"."));
        let chain = path.join("fullchain.pem");
        if hidden {
        } else if chain.exists() {
            found.push(CertificateFiles { chain, key: path.join("privkey.pem") });
        } else if path.extension().is_some_and(|it| it == "pem") {
            let key = path.with_extension("key");
            found.push(CertificateFiles { key: if key.exists() { key } else { path.clone() }, chain: path });
        }
    }
    if found.is_empty() {
        return Err(SetupError::new(format!("{} contains no certificate", folder.display()))
            .with_hint("expected NAME.pem with NAME.key, or NAME/fullchain.pem with NAME/privkey.pem"));
    }
    Ok(found)
}

impl Certificate {
    fn read(files: &CertificateFiles) -> Result<Self, SetupError> {
        let path = files.chain.display();
        let unusable = |what: &str| SetupError::new(format!("the certificate {path} {what}"));
        let chain: Vec<_> = files::bundle("the certificate", &files.chain)?
            .certificates()
            .map_err(SetupError::from)?
            .into_iter()
            .map(|it| it.der)
            .collect();
        let read = |index: usize| chain.get(index).map(|der| starttls_x509::Certificate::from_der(der));
        // A bundle returns at least one.
        let parsed = read(0)
            .ok_or_else(|| unusable("contains no certificate"))?
            .map_err(|cause| unusable("is malformed").because(cause))?;
        let names = parsed.dns_names().into_iter().filter_map(normal).collect();
        let (not_before, not_after) = (parsed.not_before(), parsed.not_after());
        let response = response(files, &parsed, read(1).and_then(Result::ok).as_ref())?;
        let key = signing_key(files)?;
        // This also compares the keys of certificates that rustls cannot parse.
        if key.public_key().is_some_and(|own| *own != *parsed.spki_der()) {
            return Err(unusable(&format!("does not match the key {}", files.key.display()))
                .with_hint("put the server's certificate first in its file, before those of its CA"));
        }
        let key = CertifiedKey::new(chain.clone(), key);
        let (stapled, unfit) = match response {
            Some(Ok((response, answer))) => {
                let key = CertifiedKey { ocsp: Some(response), ..key.clone() };
                (Some((Arc::new(key), answer)), None)
            }
            Some(Err(unfit)) => (None, Some(unfit)),
            None => (None, None),
        };
        let (path, key, exposure) = (files.chain.clone(), Arc::new(key), exposure("the key", &files.key));
        Ok(Self { path, names, not_before, not_after, key, stapled, unfit, exposure })
    }

    /// Returns what clients are presented now: with the OCSP response while it is valid.
    pub(super) fn presented(&self) -> &Arc<CertifiedKey> {
        match &self.stapled {
            Some((key, answer)) if ocsp::is_current(answer, now()) => key,
            _ => &self.key,
        }
    }

    pub(super) fn is_rsa(&self) -> bool {
        self.key.key.algorithm() == SignatureAlgorithm::RSA
    }

    /// Returns whether this client supports the key.
    pub(super) fn fits(&self, hello: &ClientHello<'_>) -> bool {
        let key = &self.key.key;
        let suites = || aws_lc_rs::DEFAULT_CIPHER_SUITES.iter();
        key.choose_scheme(hello.signature_schemes()).is_some()
            && suites().any(|suite| {
                suite.usable_for_signature_algorithm(key.algorithm())
                    && hello.cipher_suites().contains(&suite.suite())
            })
    }

    pub(super) fn summary(&self) -> CertificateSummary {
        CertificateSummary {
            path: self.path.clone(),
            names: self.names.clone(),
            key: match self.key.key.algorithm() {
                SignatureAlgorithm::RSA => "RSA",
                SignatureAlgorithm::ECDSA => "ECDSA",
                SignatureAlgorithm::ED25519 => "Ed25519",
                _ => "other",
            },
            not_after: self.not_after,
            days_left: validity::days_left(self.not_after, now()),
            ocsp: self.presented().ocsp.is_some(),
        }
    }

    pub(super) fn warnings(&self) -> Vec<String> {
        let (path, now) = (self.path.display(), now());
        let mut warnings = Vec::new();
        if self.not_before > now {
            let start = validity::rfc3339(self.not_before);
            warnings.push(format!("the certificate {path} is not valid before {start}"));
        }
        if self.not_after < now {
            // A date, not a number of days: a text that changes every day would be a new warning every day.
            let end = validity::rfc3339(self.not_after);
            warnings.push(format!("the certificate {path} expired on {end}"));
        }
        if self.names.is_empty() {
            warnings.push(format!("the certificate {path} has no host name (subject alternative name)"));
        }
        if let Some(why) = self.response_trouble() {
            warnings.push(format!("the OCSP response beside the certificate {path} {why}"));
        }
        warnings.extend(self.exposure.clone());
        warnings
    }
}

/// An OCSP response with what it reports, or why it is not usable.
type Response = Result<(Vec<u8>, OcspAnswer), OcspFault>;

/// Reads the OCSP response of a certificate, if the file exists. An unusable response does not reject the certificate,
/// because a renewed certificate is written before its response.
fn response(
    files: &CertificateFiles,
    certificate: &starttls_x509::Certificate<'_>,
    issuer: Option<&starttls_x509::Certificate<'_>>,
) -> Result<Option<Response>, SetupError> {
    let path = files.ocsp();
    if !path.exists() {
        return Ok(None);
    }
    let response = files::read("the OCSP response", &path)?;
    match ocsp::read(&response, certificate, issuer, now()) {
        Ok(answer) => Ok(Some(Ok((response, answer)))),
        Err(OcspFault::Malformed(cause)) => {
            let what = format!("{} is not an OCSP response in DER", path.display());
            Err(SetupError::new(what).because(cause).with_hint("write it with openssl ocsp -respout"))
        }
        Err(unfit) => Ok(Some(Err(unfit))),
    }
}

impl Certificate {
    /// Returns what is wrong with the OCSP response in the file.
    fn response_trouble(&self) -> Option<&'static str> {
        match (&self.stapled, &self.unfit) {
            (Some((_, OcspAnswer { status: CertificateStatus::Unknown, .. })), _) => {
                Some("contains no status and is not stapled")
            }
            (Some((_, answer)), _) if !ocsp::is_current(answer, now()) => {
                Some("is outside its validity period and is not stapled")
            }
            (Some((_, OcspAnswer { status: CertificateStatus::Revoked { .. }, .. })), _) => {
                Some("reports that it is revoked")
            }
            (None, Some(unfit)) => Some(ocsp::reason(unfit)),
            _ => None,
        }
    }
}

fn signing_key(files: &CertificateFiles) -> Result<Arc<dyn starttls::rustls::sign::SigningKey>, SetupError> {
    let path = files.key.display();
    let key = files::bundle("the key", &files.key)?.private_key().map_err(|error| {
        let is_missing = files.key == files.chain && !error.is_encrypted_key();
        let error = SetupError::from(error);
        match is_missing {
            true => error.with_hint(format!(
                "put the key into this file or into {}",
                shown(&key_beside(&files.chain))
            )),
            false => error,
        }
    })?;
    aws_lc_rs::sign::any_supported_type(&key)
        .map_err(|cause| SetupError::new(format!("TLS cannot use the kind of key in {path}")).because(cause))
}

fn key_beside(chain: &Path) -> String {
    chain.with_extension("key").display().to_string()
}
