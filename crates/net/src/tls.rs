//! TLS configuration that both sides share.

use std::fmt;
use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{KeyLog, KeyLogFile, NamedGroup, RootCertStore, SupportedProtocolVersion};

use starttls_x509::{Bundle, BundleCertificate};

use crate::{Error, file};

/// A version of TLS that this library supports. Older versions are deprecated (RFC 8996) and refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TlsVersion {
    /// TLS 1.2, RFC 5246.
    Tls12,
    /// TLS 1.3, RFC 8446.
    Tls13,
}

/// How a server treats clients without a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ClientAuth {
    /// The server requests a certificate, and serves clients without one.
    Optional,
    /// The server requests a certificate, and ends the handshake of clients without one.
    Required,
}

/// The TLS versions and the key log.
#[derive(Clone, Debug, Default)]
pub(crate) struct Options {
    pub(crate) versions: Option<(TlsVersion, TlsVersion)>,
    pub(crate) key_log: KeyLogTarget,
}

#[derive(Clone, Debug, Default)]
pub(crate) enum KeyLogTarget {
    #[default]
    None,
    /// The file in the environment variable `SSLKEYLOGFILE`, if it is set.
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

    /// Returns the key log; `None` if the caller asked for none.
    pub(crate) fn key_log(&self) -> Result<Option<Arc<dyn KeyLog>>, Error> {
        Ok(match &self.key_log {
            KeyLogTarget::None => None,
            KeyLogTarget::Environment => Some(Arc::new(KeyLogFile::new())),
            KeyLogTarget::File(path) => Some(Arc::new(KeyLogTo::open(path)?)),
        })
    }
}

/// Returns the default source of cryptography: aws-lc-rs with the hybrid X25519MLKEM768 first among the groups, else ring,
/// else the one that the process installed in rustls.
///
/// # Errors
/// [`Error::Config`] if all of these are missing.
pub(crate) fn default_provider() -> Result<Arc<CryptoProvider>, Error> {
    #[cfg(feature = "aws-lc-rs")]
    return Ok(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    #[cfg(all(feature = "ring", not(feature = "aws-lc-rs")))]
    return Ok(Arc::new(rustls::crypto::ring::default_provider()));
    #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
    CryptoProvider::get_default().cloned().ok_or_else(|| {
        Error::config(
            "no source of cryptography: expected the feature `aws-lc-rs` or `ring`, or a `crypto_provider`",
        )
    })
}

/// Removes the post-quantum hybrids, whose key shares make a ClientHello larger than one segment.
pub(crate) fn without_post_quantum(provider: &CryptoProvider) -> Arc<CryptoProvider> {
    let mut provider = provider.clone();
    provider.kx_groups.retain(|group| !is_post_quantum(group.name()));
    Arc::new(provider)
}

/// Returns an error if a TLS configuration of the caller's is combined with a setting that it contains already.
pub(crate) fn refuse_beside_config(config: &str, settings: &[(&str, bool)]) -> Result<(), Error> {
    match settings.iter().find(|(_, is_set)| *is_set) {
        Some((setting, _)) => Err(Error::config(format!(
            "`{setting}` cannot be combined with `{config}`: expected it in the TLS configuration"
        ))),
        None => Ok(()),
    }
}

/// Returns whether a group contains ML-KEM (FIPS 203), which resists quantum computers.
pub(crate) fn is_post_quantum(group: NamedGroup) -> bool {
    use NamedGroup as Group;
    matches!(
        group,
        Group::MLKEM512
            | Group::MLKEM768
            | Group::MLKEM1024
            | Group::secp256r1MLKEM768
            | Group::X25519MLKEM768
    )
}

/// Returns the certificates in PEM or DER, in their order.
pub(crate) fn certificates(content: &[u8], what: &str) -> Result<Vec<CertificateDer<'static>>, Error> {
    let all =
        Bundle::read(what, content).and_then(|bundle| bundle.certificates()).map_err(Error::unusable)?;
    Ok(all.into_iter().map(|it| it.der).collect())
}

/// Returns the first private key in PEM or DER.
pub(crate) fn private_key(content: &[u8], what: &str) -> Result<PrivateKeyDer<'static>, Error> {
    Bundle::read(what, content).and_then(|bundle| bundle.private_key()).map_err(Error::unusable)
}

/// Adds the certificates in PEM or DER to the roots.
pub(crate) fn add_roots(store: &mut RootCertStore, content: &[u8], what: &str) -> Result<(), Error> {
    let all =
        Bundle::read(what, content).and_then(|bundle| bundle.certificates()).map_err(Error::unusable)?;
    for BundleCertificate { der, position, .. } in all {
        store
            .add(der)
            .map_err(|cause| Error::config_because(format!("{position}: cannot be used as a root"), cause))?;
    }
    Ok(())
}

/// Appends the secrets of every session to a file, in the format that Wireshark reads.
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
            // A full disk must not break the connection.
            let _ = file.write_all(line.as_bytes());
        }
    }
}

impl fmt::Debug for KeyLogTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyLogTo")
    }
}
