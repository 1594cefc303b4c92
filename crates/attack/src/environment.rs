//! What a campaign needs beside the client: upstream servers and certificates.

use std::any::Any;
use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use starttls::proto::Protocol;
use starttls::rustls::sign::CertifiedKey;

use crate::error::AttackError;
use crate::middle::Upstream;

/// The upstream servers and certificates of a campaign.
pub trait Environment: Send + Sync {
    /// Starts the upstream server of one run.
    ///
    /// # Errors
    /// Returns an error if the server cannot be started.
    fn upstream(&self, protocol: &'static Protocol) -> Result<UpstreamLease, Box<dyn Error + Send + Sync>>;

    /// Returns the certificate chain and the key of this name, such as [`SOUND_CERTIFICATE`](crate::SOUND_CERTIFICATE).
    /// `name:HOST` is a valid certificate for this host, `other-key:HOST` one with another key.
    ///
    /// The call may block: it runs on a thread of its own.
    fn certificate(&self, name: &str) -> Option<Arc<CertifiedKey>>;

    /// Returns the file with the root certificate that the client must trust.
    fn ca_file(&self) -> &Path;
}

/// An upstream server that exists for one run, and its credentials.
pub struct UpstreamLease {
    /// The address of the server.
    pub upstream: Upstream,
    /// The user that can log in.
    pub user: String,
    /// The password of the user.
    pub password: String,
    /// Dropped at the end of the run, which ends the server.
    pub keep: Box<dyn Any + Send>,
}

impl std::fmt::Debug for UpstreamLease {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UpstreamLease").field("upstream", &self.upstream).finish_non_exhaustive()
    }
}

/// Returns the certificate of this name.
pub(crate) async fn named_certificate(
    environment: &Arc<dyn Environment>,
    name: &str,
) -> Result<Arc<CertifiedKey>, AttackError> {
    let (environment, name) = (Arc::clone(environment), name.to_owned());
    let missing = AttackError::UnknownCertificate(name.clone());
    let made = tokio::task::spawn_blocking(move || environment.certificate(&name)).await;
    made?.ok_or(missing)
}
