//! Certificates for many names, which are renewed while the gateway runs.

mod index;
mod load;
mod ocsp;

use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError, RwLock};

use starttls::rustls::server::{ClientHello, ResolvesServerCert};
use starttls::rustls::sign::CertifiedKey;

use crate::setup_error::{SetupError, shown};
use crate::watch::Watched;
use index::Index;

pub use load::{CertificateSource, CertificateSummary};

/// What a client gets that wants a name for which there is no certificate.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnknownNames {
    /// The default certificate. The client will know whether that will do.
    #[default]
    Default,
    /// A fatal alert. Clients that want no name in particular get the default certificate all the same.
    Refuse,
}

/// The certificates of one listener, by the names that they are for.
///
/// They are read all or none, and replaced in one step (rule G6): a handshake sees the old ones or the
/// new ones. The name in SNI is looked up in what was read and goes nowhere else (rule S6).
pub struct Certificates {
    sources: Vec<CertificateSource>,
    default_name: Option<String>,
    unknown: UnknownNames,
    current: RwLock<Arc<Index>>,
}

impl Certificates {
    /// Reads everything from its sources.
    ///
    /// # Errors
    /// When one certificate of them cannot be used, and when there is none.
    pub fn load(
        sources: &[CertificateSource],
        default_name: Option<&str>,
        unknown: UnknownNames,
    ) -> Result<Self, SetupError> {
        let index = read(sources, default_name)?;
        Ok(Self {
            sources: sources.to_vec(),
            default_name: default_name.map(str::to_owned),
            unknown,
            current: RwLock::new(Arc::new(index)),
        })
    }

    /// All of them, in the order of their sources.
    pub fn summaries(&self) -> Vec<CertificateSummary> {
        self.index().all().iter().map(|it| it.summary()).collect()
    }

    /// The first host name of the default certificate.
    pub fn default_name(&self) -> Option<String> {
        let index = self.index();
        let mut names = index.default()?.names.iter();
        names.find(|name| !name.starts_with('*')).cloned()
    }

    fn index(&self) -> Arc<Index> {
        // What is behind the lock is replaced whole: nobody leaves it half done.
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Watched for Certificates {
    fn name(&self) -> String {
        let paths: Vec<_> = self.sources.iter().map(|source| source.path().display().to_string()).collect();
        format!("the certificates in {}", paths.join(", "))
    }

    fn files(&self) -> Vec<PathBuf> {
        // A folder that is away for a moment has no files in it.
        let files = load::find_all(&self.sources).unwrap_or_default();
        files.into_iter().flat_map(|files| [files.ocsp(), files.chain, files.key]).collect()
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

fn read(sources: &[CertificateSource], default_name: Option<&str>) -> Result<Index, SetupError> {
    let all = load::read_all(sources)?;
    let index = Index::new(all.into_iter().map(Arc::new).collect());
    match default_name {
        Some(name) => index.with_default(name).ok_or_else(|| {
            SetupError::new(format!("there is no certificate for {}, the default", shown(name)))
                .with_hint("default-certificate is one of the names that the certificates are for")
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
        // Where none fits, the handshake fails, and says why.
        let chosen = candidates.iter().find(|it| it.fits(&hello)).or(candidates.first())?;
        Some(chosen.presented().clone())
    }
}

impl fmt::Debug for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificates").field("sources", &self.sources).finish_non_exhaustive()
    }
}
