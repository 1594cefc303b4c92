//! Alerts (RFC 8446 section 6).

use std::fmt;

/// An alert as it was received.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Alert {
    /// 1 for a warning, 2 for a fatal alert.
    pub level: u8,
    /// What it reports.
    pub description: u8,
}

impl Alert {
    /// Ends the connection.
    pub const CLOSE_NOTIFY: u8 = 0;
    /// A message that is not allowed at this point.
    pub const UNEXPECTED_MESSAGE: u8 = 10;
    /// No acceptable set of parameters.
    pub const HANDSHAKE_FAILURE: u8 = 40;
    /// A field is out of range.
    pub const ILLEGAL_PARAMETER: u8 = 47;
    /// A message cannot be decoded.
    pub const DECODE_ERROR: u8 = 50;
    /// The version is not supported.
    pub const PROTOCOL_VERSION: u8 = 70;
    /// Stronger suites are required.
    pub const INSUFFICIENT_SECURITY: u8 = 71;
    /// An error of the server's own.
    pub const INTERNAL_ERROR: u8 = 80;
    /// TLS_FALLBACK_SCSV with a version below the server's best.
    pub const INAPPROPRIATE_FALLBACK: u8 = 86;
    /// A required extension is missing.
    pub const MISSING_EXTENSION: u8 = 109;
    /// The name in SNI is unknown.
    pub const UNRECOGNIZED_NAME: u8 = 112;
    /// TLS 1.3: a client certificate is required.
    pub const CERTIFICATE_REQUIRED: u8 = 116;

    /// A fatal alert.
    pub const fn fatal(description: u8) -> Self {
        Self { level: 2, description }
    }

    /// Returns the record to send.
    pub const fn to_bytes(self) -> [u8; 7] {
        [0x15, 3, 1, 0, 2, self.level, self.description]
    }

    /// Returns whether the connection goes on after this alert: a warning other than close_notify.
    pub const fn is_warning(self) -> bool {
        self.level == 1 && self.description != Self::CLOSE_NOTIFY
    }

    /// Returns the registered name of the description.
    pub const fn name(self) -> Option<&'static str> {
        Some(match self.description {
            0 => "close_notify",
            10 => "unexpected_message",
            20 => "bad_record_mac",
            21 => "decryption_failed",
            22 => "record_overflow",
            30 => "decompression_failure",
            40 => "handshake_failure",
            41 => "no_certificate",
            42 => "bad_certificate",
            43 => "unsupported_certificate",
            44 => "certificate_revoked",
            45 => "certificate_expired",
            46 => "certificate_unknown",
            47 => "illegal_parameter",
            48 => "unknown_ca",
            49 => "access_denied",
            50 => "decode_error",
            51 => "decrypt_error",
            60 => "export_restriction",
            70 => "protocol_version",
            71 => "insufficient_security",
            80 => "internal_error",
            86 => "inappropriate_fallback",
            90 => "user_canceled",
            100 => "no_renegotiation",
            109 => "missing_extension",
            110 => "unsupported_extension",
            111 => "certificate_unobtainable",
            112 => "unrecognized_name",
            113 => "bad_certificate_status_response",
            114 => "bad_certificate_hash_value",
            115 => "unknown_psk_identity",
            116 => "certificate_required",
            117 => "general_error",
            120 => "no_application_protocol",
            121 => "ech_required",
            _ => return None,
        })
    }
}

impl fmt::Display for Alert {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name() {
            Some(name) => write!(f, "{name} ({})", self.description),
            None => write!(f, "alert {}", self.description),
        }
    }
}
