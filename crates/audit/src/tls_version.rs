//! The TLS version of a session.

use starttls::TlsFacts;
use starttls_hello::Version;

/// Returns the version of a session.
pub(crate) fn tls_version(facts: &TlsFacts) -> Option<Version> {
    facts.version.and_then(|version| Version::from_code(u16::from(version)))
}
