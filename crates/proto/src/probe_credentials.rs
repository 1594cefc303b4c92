//! Credentials of a login that never succeeds, to test whether a server accepts logins in cleartext.

use crate::base64;

/// A user that no server knows.
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
