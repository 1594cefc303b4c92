//! A command's failure: what to print, and the exit code.

use std::fmt;

use crate::exit;

/// Ends a command.
#[derive(Debug)]
pub(crate) struct Failed {
    pub(crate) code: u8,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
}

impl Failed {
    pub(crate) fn new(code: u8, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None }
    }

    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self::new(exit::USAGE, message)
    }

    pub(crate) fn hint(self, hint: Option<String>) -> Self {
        Self { hint, ..self }
    }
}

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<std::io::Error> for Failed {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            // Whoever read our output has read enough.
            std::io::ErrorKind::BrokenPipe => Self::new(exit::DONE, ""),
            // With TLS 1.3 a client is done before its certificate was looked at.
            std::io::ErrorKind::InvalidData => match starttls::Error::from_session_io(&error) {
                Some(error) => error.into(),
                None => Self::new(exit::TLS, format!("TLS failed inside the session: {error}")),
            },
            // Nothing but a file is full.
            std::io::ErrorKind::StorageFull => Self::usage(format!("cannot write the output: {error}")),
            _ => Self::new(exit::UNREACHABLE, format!("the connection broke: {error}")),
        }
    }
}

impl From<starttls::Error> for Failed {
    fn from(error: starttls::Error) -> Self {
        let hint = crate::diagnose::library_hint(&error);
        Self::new(exit::code(&error), crate::diagnose::with_causes(&error)).hint(hint)
    }
}
