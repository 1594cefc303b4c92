//! What the two sides' TLS configurations share.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{KeyLog, KeyLogFile, NoKeyLog, RootCertStore, SupportedProtocolVersion};

use crate::{Error, file};

/// A version of TLS that this library speaks. Older ones are deprecated (RFC 8996) and refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// TLS 1.2, RFC 5246.
    Tls12,
    /// TLS 1.3, RFC 8446.
    Tls13,
}

/// Whether a server asks its clients for certificates.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientAuth {
    /// It asks; who presents none is served too.
    Optional,
    /// Who presents none is turned away.
    Required,
}

/// The versions, and where the keys are logged: the same for both sides.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) versions: Option<(TlsVersion, TlsVersion)>,
    pub(crate) key_log: KeyLogTarget,
}

#[derive(Clone, Debug, Default)]
pub(crate) enum KeyLogTarget {
    #[default]
    Secret,
    /// Where `SSLKEYLOGFILE` says, if it says anything.
    Environment,
    File(PathBuf),
}

impl Options {
    pub(crate) fn versions(&self) -> Result<Vec<&'static SupportedProtocolVersion>, Error> {
        let (min, max) = self.versions.unwrap_or((TlsVersion::Tls12, TlsVersion::Tls13));
        let known =
            [(TlsVersion::Tls13, &rustls::version::TLS13), (TlsVersion::Tls12, &rustls::version::TLS12)];
        let chosen: Vec<_> =
            known.into_iter().filter(|(version, _)| (min..=max).contains(version)).map(|it| it.1).collect();
        if chosen.is_empty() {
            return Err(Error::config("the lowest TLS version is above the highest"));
        }
        Ok(chosen)
    }

    pub(crate) fn key_log(&self) -> Result<Arc<dyn KeyLog>, Error> {
        Ok(match &self.key_log {
            KeyLogTarget::Secret => Arc::new(NoKeyLog),
            KeyLogTarget::Environment => Arc::new(KeyLogFile::new()),
            KeyLogTarget::File(path) => Arc::new(KeyLogTo::open(path)?),
        })
    }
}

/// aws-lc-rs, with the hybrid X25519MLKEM768 first among the groups.
pub(crate) fn provider() -> Arc<CryptoProvider> {
    Arc::new(aws_lc_rs::default_provider())
}

/// Returns the provider without the post-quantum hybrids, whose key shares make a ClientHello larger than one segment.
pub(crate) fn small_hello_provider() -> Arc<CryptoProvider> {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups.retain(|group| !format!("{:?}", group.name()).contains("MLKEM"));
    Arc::new(provider)
}

/// The certificates in a PEM text, in their order.
pub(crate) fn certificates(pem: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem).collect();
    let found =
        found.map_err(|cause| Error::config_because(format!("{what}: not readable as PEM"), cause))?;
    if found.is_empty() {
        return Err(Error::config(format!("{what}: there is no certificate in it")));
    }
    Ok(found)
}

/// The first private key in a PEM text.
pub(crate) fn private_key(pem: &[u8], what: &str) -> Result<PrivateKeyDer<'static>, Error> {
    PrivateKeyDer::from_pem_slice(pem)
        .map_err(|cause| Error::config_because(format!("{what}: there is no private key in it"), cause))
}

/// Adds the certificates in a PEM text to the roots.
pub(crate) fn add_roots(store: &mut RootCertStore, pem: &[u8], what: &str) -> Result<(), Error> {
    for root in certificates(pem, what)? {
        store
            .add(root)
            .map_err(|cause| Error::config_because(format!("{what}: not usable as a root"), cause))?;
    }
    Ok(())
}

/// Secrets of every session in the format that Wireshark reads.
struct KeyLogTo(Mutex<File>);

impl KeyLogTo {
    fn open(path: &Path) -> Result<Self, Error> {
        let file = file::append(path, 0o600).map_err(|cause| {
            Error::config_because(format!("the key log {} cannot be opened", path.display()), cause)
        })?;
        Ok(Self(Mutex::new(file)))
    }
}

impl KeyLog for KeyLogTo {
    fn log(&self, label: &str, client_random: &[u8], secret: &[u8]) {
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        let line = format!("{label} {} {}\n", hex(client_random), hex(secret));
        if let Ok(mut file) = self.0.lock() {
            // A full disk must not break the connection, and there is nobody here to tell.
            let _ = file.write_all(line.as_bytes());
        }
    }
}

impl fmt::Debug for KeyLogTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyLogTo")
    }
}
