//! Certification paths.

use rustls::RootCertStore;
use rustls::crypto::WebPkiSupportedAlgorithms;
use rustls::pki_types::{CertificateDer, UnixTime};
use webpki::{EndEntityCert, KeyUsage};

/// Returns the certificates that link the end entity to a trusted root at this time: the end entity first, without the
/// root. Returns `None` if no such path exists (RFC 5280 section 6).
///
/// A server may send more certificates than the path needs, such as an expired cross-signed root. They do not affect
/// clients, so they do not affect verdicts either.
pub(crate) fn verified(
    anchors: &RootCertStore,
    algorithms: &WebPkiSupportedAlgorithms,
    end_entity: &CertificateDer<'_>,
    intermediates: &[CertificateDer<'_>],
    time: UnixTime,
) -> Option<Vec<CertificateDer<'static>>> {
    let own = EndEntityCert::try_from(end_entity).ok()?;
    let usage = KeyUsage::server_auth();
    let path =
        own.verify_for_usage(algorithms.all, &anchors.roots, intermediates, time, usage, None, None).ok()?;
    let links = path.intermediate_certificates().map(|link| link.der().into_owned());
    Some(std::iter::once(end_entity.clone().into_owned()).chain(links).collect())
}
