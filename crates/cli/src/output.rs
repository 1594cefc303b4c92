//! Results go to standard output, or where `--output` says.

use std::io::Write;

use crate::args::Output;
use crate::failure::Failed;

/// Writes one line of data.
pub(crate) fn write(output: &Output, line: &str) -> Result<(), Failed> {
    match &output.output {
        Some(path) => std::fs::write(path, format!("{line}\n"))
            .map_err(|error| Failed::usage(format!("cannot write {}: {error}", path.display()))),
        None => {
            let mut out = std::io::stdout().lock();
            writeln!(out, "{line}")?;
            Ok(out.flush()?)
        }
    }
}
