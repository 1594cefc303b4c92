//! Values of keys, and files.

use std::path::Path;
use std::time::Duration;

use crate::setup_error::{SetupError, shown};

/// The largest certificate, key or list of them that is read.
const LARGEST: u64 = 1 << 20;

/// A time: `30s`, `5m`, `1h`.
pub(super) fn duration(text: &str) -> Result<Duration, SetupError> {
    let bad = || {
        SetupError::new(format!("{} is no time", shown(text)))
            .with_hint("write a number and its unit: \"500ms\", \"30s\", \"5m\" or \"1h\"")
    };
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let number: u64 = number.parse().map_err(|_| bad())?;
    let milliseconds: u64 = match unit.trim_start() {
        "ms" => 1,
        "s" => 1000,
        "m" | "min" => 60_000,
        "h" => 3_600_000,
        _ => return Err(bad()),
    };
    match number.checked_mul(milliseconds) {
        Some(time @ 1..=604_800_000) => Ok(Duration::from_millis(time)),
        _ => Err(SetupError::new(format!("{} is not a time from 1ms to a week", shown(text)))),
    }
}

/// One of a few words.
pub(super) fn choice<T: Copy>(text: &str, choices: &[(&str, T)]) -> Result<T, SetupError> {
    let found = choices.iter().find(|(word, _)| word.eq_ignore_ascii_case(text));
    found.map(|(_, value)| *value).ok_or_else(|| {
        let words: Vec<_> = choices.iter().map(|(word, _)| format!("\"{word}\"")).collect();
        SetupError::new(format!("{} is none of {}", shown(text), words.join(", ")))
    })
}

/// Reads a small regular file. `what` is what errors call it.
pub(crate) fn file(what: &str, path: &Path) -> Result<Vec<u8>, SetupError> {
    starttls::file::read(path, LARGEST).map_err(|source| SetupError::unreadable(what, path, source))
}

/// Returns a warning if every user of the machine can read or change this file, which holds a secret.
pub(crate) fn exposure(what: &str, path: &Path) -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let exposed = std::fs::metadata(path).is_ok_and(|it| it.mode() & 0o007 != 0);
    let path = path.display();
    exposed.then(|| format!("{what} {path} can be read by every user: chmod o-rwx {path}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_have_a_unit() {
        for (text, time) in [
            ("500ms", Some(500)),
            ("30s", Some(30_000)),
            ("5 m", Some(300_000)),
            ("1h", Some(3_600_000)),
            ("30", None),
            ("0s", None),
            ("-1s", None),
            ("1d", None),
            ("99999999999999999h", None),
            ("", None),
        ] {
            assert_eq!(duration(text).ok(), time.map(Duration::from_millis), "{text}");
        }
    }
}
