//! Escapes for received bytes, because a terminal interprets control characters.

use core::fmt::{self, Write};

/// Received bytes, displayed as printable ASCII. Other bytes are displayed as `\r`, `
/// `, `\t`, `\\`, `\"` or `\xNN`.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a [u8]);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|&byte| match byte {
            b'\r' => f.write_str("\\r"),
            b'\n' => f.write_str("\\n"),
            b'\t' => f.write_str("\\t"),
            b'\\' | b'"' => write!(f, "\\{}", char::from(byte)),
            0x20..=0x7e => f.write_char(char::from(byte)),
            _ => write!(f, "\\x{byte:02x}"),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_raw_comes_through() {
        let all: Vec<u8> = (0..=255).collect();
        let shown = Escaped(&all).to_string();
        assert!(shown.bytes().all(|byte| (0x20..0x7f).contains(&byte)));
        assert_eq!(Escaped(b"\x1b[31m\r\n\"\\").to_string(), r#"\x1b[31m\r\n\"\\"#);
    }
}
