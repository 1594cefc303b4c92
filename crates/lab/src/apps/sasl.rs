//! SASL PLAIN (RFC 4616), and the Base64 around it.

use starttls::proto::base64;

use super::context::World;

/// Decodes a line of Base64 with padding.
pub(super) fn decode(text: &[u8]) -> Option<Vec<u8>> {
    base64::decode(text.trim_ascii())
}

/// Returns whether this Base64 response contains the user and the password, and no other authorization identity.
pub(super) fn plain(world: &World, response: &[u8]) -> bool {
    let Some(response) = decode(response) else { return false };
    let parts: Vec<&[u8]> = response.split(|&byte| byte == 0).collect();
    match parts[..] {
        [as_whom, user, password] => (as_whom.is_empty() || as_whom == user) && world.admits(user, password),
        _ => false,
    }
}
