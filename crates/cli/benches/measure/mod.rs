//! What the benchmarks of tools share: processor time, and the tools' commands.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike as _;
use starttls_testkit::process::run;

/// Returns the command of a line in which each `{…}` stands for a value.
pub(crate) fn command(line: &str, words: &[(&str, String)]) -> Command {
    let fill =
        |word: &str| words.iter().fold(word.to_owned(), |word, (mark, value)| word.replace(mark, value));
    let mut parts = line.split_whitespace().map(fill);
    let mut command = Command::new(parts.next().unwrap_or_default());
    command.args(parts);
    command
}

/// Returns the processor time of all child processes that have ended.
pub(crate) fn children() -> Result<Duration, Box<dyn Error>> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    let spent = usage.user_time().num_microseconds() + usage.system_time().num_microseconds();
    Ok(Duration::from_micros(spent.try_into()?))
}

/// Returns the folder of sslyze and tlslite-ng, which have no Debian packages.
pub(crate) fn venv() -> Result<PathBuf, Box<dyn Error>> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("sslyze");
    if !folder.join("bin/sslyze").exists() || !folder.join("bin/tls.py").exists() {
        let needed = |e| format!("sslyze and tlslite-ng need python3-venv (Debian) and PyPI: {e}");
        let words = [("{venv}", folder.display().to_string())];
        run(&mut command("python3 -m venv {venv}", &words)).map_err(needed)?;
        run(&mut command("{venv}/bin/pip install --quiet sslyze tlslite-ng", &words)).map_err(needed)?;
    }
    Ok(folder)
}
