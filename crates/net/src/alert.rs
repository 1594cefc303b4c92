//! The names of alerts.

use std::fmt;

use rustls::AlertDescription;

/// Displays an alert by its registered name and its number (RFC 8446 section 6): `handshake_failure (40)`.
pub(crate) struct AlertName(pub(crate) AlertDescription);

impl fmt::Display for AlertName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = u8::from(self.0);
        match self.0 {
            AlertDescription::Unknown(_) => return write!(f, "alert {number}"),
            AlertDescription::UnrecognisedName => f.write_str("unrecognized_name"),
            AlertDescription::UnknownPSKIdentity => f.write_str("unknown_psk_identity"),
            AlertDescription::EncryptedClientHelloRequired => f.write_str("ech_required"),
            // All others are named as in the registry, in another case.
            alert => f.write_str(&in_snake_case(&format!("{alert:?}"))),
        }?;
        write!(f, " ({number})")
    }
}

/// Returns `UnknownCA` as `unknown_ca`.
fn in_snake_case(name: &str) -> String {
    let mut snake = String::new();
    let mut follows_lower = false;
    for c in name.chars() {
        if c.is_ascii_uppercase() && follows_lower {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
        follows_lower = c.is_ascii_lowercase();
    }
    snake
}
