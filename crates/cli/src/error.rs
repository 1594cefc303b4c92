//! A command's failure: the message, the hint and the exit code.

use std::error::Error;
use std::fmt;
use std::io::ErrorKind;

use crate::{exit, hint};

/// The failure of a command.
#[derive(Clone, Debug)]
pub(crate) struct Failed {
    pub(crate) code: u8,
    /// One line. An empty message ends the command without output.
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

    /// A panic or another bug in this program.
    pub(crate) fn bug(error: impl fmt::Display) -> Self {
        Self::new(exit::BUG, error.to_string())
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
            // The reader of the output has closed the pipe, as `head` does.
            ErrorKind::BrokenPipe => Self::new(exit::DONE, ""),
            // With TLS 1.3 the client's handshake is complete before the server looks at the client's certificate.
            ErrorKind::InvalidData => match starttls::Error::from_session_io(&error) {
                Some(error) => error.into(),
                None => Self::new(exit::TLS, format!("TLS failed inside the session: {error}")),
            },
            // Only files report this error, never sockets.
            ErrorKind::StorageFull => Self::usage(format!("cannot write the output: {error}")),
            _ => Self::new(exit::UNREACHABLE, format!("the connection broke: {error}")),
        }
    }
}

impl From<starttls::Error> for Failed {
    fn from(error: starttls::Error) -> Self {
        let hint = hint::of_library(&error);
        Self::new(exit::of_library(&error), with_causes(&error)).hint(hint)
    }
}

/// Returns the error and its causes in one line.
pub(crate) fn with_causes(error: &dyn Error) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(current) = cause {
        line.push_str(": ");
        line.push_str(&current.to_string());
        cause = current.source();
    }
    line
}
