//! Errors with their causes, in one line.

use std::fmt;

/// Writes an error and its causes in one line, for `Debug`.
pub(crate) fn write_with_causes(error: &dyn std::error::Error, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    write!(f, "{error}")?;
    let mut cause = error.source();
    while let Some(current) = cause {
        write!(f, ": {current}")?;
        cause = current.source();
    }
    Ok(())
}
