//! The login that never succeeds, for whoever wants to know what a server takes in cleartext.

use crate::base64;

/// Whom no server knows.
pub(crate) const USER: &str = "starttls-probe";

/// No secret, and another one in every session.
pub(crate) fn password(nonce: u64) -> String {
    format!("{USER}-{nonce:016x}")
}

/// Name and password for SASL PLAIN, in base64 (RFC 4616 section 2).
pub(crate) fn plain(nonce: u64) -> String {
    base64::encode(["", USER, &password(nonce)].join("\0").as_bytes())
}

/// Name and password for HTTP, in base64 (RFC 7617 section 2).
pub(crate) fn basic(nonce: u64) -> String {
    base64::encode([USER, &password(nonce)].join(":").as_bytes())
}
