//! Credentials of a login that never succeeds, to test whether a server accepts logins in cleartext.

use alloc::format;
use alloc::string::String;

use crate::base64;

/// A user name that exists on no server.
pub(crate) const USER: &str = "starttls-probe";

/// Returns a password that is not secret, and differs in every session.
pub(crate) fn password(nonce: u64) -> String {
    format!("{USER}-{nonce:016x}")
}

/// Returns the name and the password for SASL PLAIN, in Base64 (RFC 4616 section 2).
pub(crate) fn plain(nonce: u64) -> String {
    base64::encode(["", USER, &password(nonce)].join("\0").as_bytes())
}

/// Returns the name and the password for HTTP, in Base64 (RFC 7617 section 2).
pub(crate) fn basic(nonce: u64) -> String {
    base64::encode([USER, &password(nonce)].join(":").as_bytes())
}
