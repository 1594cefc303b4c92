//! Certificates for many names. They are reloaded while the gateway runs.

mod index;
mod load;
mod ocsp;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use starttls::rustls::server::{ClientHello, ResolvesServerCert};
use starttls::rustls::sign::CertifiedKey;

use crate::setup_error::{SetupError, shown};
use crate::watch::{Stamp, Watched};
use index::Index;

pub use load::{CertificateSource, CertificateSummary};

/// What the gateway presents to a client that requests a name without a certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownNames {
    /// The default certificate. The client decides whether to accept it.
    #[default]
    Default,
    /// A fatal alert. Clients that request no name get the default certificate.
    Refuse,
}

/// The certificates of one listener.
///
/// All of them are read, or none, and they are replaced in one step (rule G6): a handshake uses the old set or the new set.
/// The name in SNI is looked up in the index and never becomes part of a path (rule S6).
pub struct Certificates {
    sources: Vec<CertificateSource>,
    default_name: Option<String>,
    unknown: UnknownNames,
    first_stamps: Vec<Stamp>,
    current: RwLock<Arc<Index>>,
}

impl Certificates {
    /// Reads all certificates of these sources.
    ///
    /// # Errors
    /// When a certificate is not usable, or when the sources contain none.
    pub fn load(
        sources: &[CertificateSource],
        default_name: Option<&str>,
        unknown: UnknownNames,
    ) -> Result<Self, SetupError> {
        let first_stamps = files(sources).into_iter().map(Stamp::of).collect();
        let index = read(sources, default_name)?;
        Ok(Self {
            sources: sources.to_vec(),
            default_name: default_name.map(str::to_owned),
            unknown,
            first_stamps,
            current: RwLock::new(Arc::new(index)),
        })
    }

    /// Returns a summary of each certificate, in the order of the sources.
    pub fn summaries(&self) -> Vec<CertificateSummary> {
        self.index().all().iter().map(|it| it.summary()).collect()
    }

    /// Returns the first host name of the default certificate.
    pub fn default_name(&self) -> Option<String> {
        let index = self.index();
        let mut names = index.default()?.names.iter();
        names.find(|name| !name.starts_with('*')).cloned()
    }

    fn index(&self) -> Arc<Index> {
        // A panic cannot leave the value half-written, because it is replaced as a whole.
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Watched for Certificates {
    fn name(&self) -> String {
        let paths: Vec<_> = self.sources.iter().map(|source| source.path().display().to_string()).collect();
        format!("the certificates in {}", paths.join(", "))
    }

    fn files(&self) -> Vec<PathBuf> {
        files(&self.sources)
    }

    fn first_stamps(&self) -> Option<Vec<Stamp>> {
        Some(self.first_stamps.clone())
    }

    fn warnings(&self) -> Vec<String> {
        self.index().all().iter().flat_map(|it| it.warnings()).collect()
    }

    fn reload(&self) -> Result<(), SetupError> {
        let index = Arc::new(read(&self.sources, self.default_name.as_deref())?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = index;
        Ok(())
    }
}

fn files(sources: &[CertificateSource]) -> Vec<PathBuf> {
    // A folder may be missing for a moment while it is replaced.
    let files = load::find_all(sources).unwrap_or_default();
    files.into_iter().flat_map(|files| [files.ocsp(), files.chain, files.key]).collect()
}

fn read(sources: &[CertificateSource], default_name: Option<&str>) -> Result<Index, SetupError> {
    let all = load::read_all(sources)?;
    let index = Index::new(all.into_iter().map(Arc::new).collect());
    match default_name {
        Some(name) => index.with_default(name).ok_or_else(|| {
            SetupError::new(format!("no certificate is for {}, the default", shown(name)))
                .with_hint("set default-certificate to a name in one of the certificates")
        }),
        None => Ok(index),
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let index = self.index();
        let known = hello.server_name().map(|name| index.find(name));
        let candidates = match (known, self.unknown) {
            (Some(Some(candidates)), _) => candidates,
            (Some(None), UnknownNames::Refuse) => return None,
            (Some(None), UnknownNames::Default) | (None, _) => index.defaults(),
        };
        // If no certificate fits, rustls fails the handshake and reports why.
        let chosen = candidates.iter().find(|it| it.fits(&hello)).or(candidates.first())?;
        Some(chosen.presented().clone())
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("sources", &self.sources).finish_non_exhaustive()
    }
}
