//! Durations as users write them, in the configuration and on the command line.

use std::fmt;
use std::time::Duration;

/// A text that is not a duration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidDuration {
    /// The text is not a number with a unit.
    Syntax {
        /// The text as it was written.
        text: String,
    },
    /// The duration is shorter than 1 ms or longer than the limit.
    OutOfRange {
        /// The text as it was written.
        text: String,
        /// The longest duration that is allowed.
        longest: Duration,
    },
}

/// Parses a duration: a decimal number and a unit (`ms`, `s`, `m`, `min` or `h`), such as `500ms`, `1.5s` or `5 m`.
///
/// # Errors
/// [`InvalidDuration`] if the text does not follow this grammar, or if the duration is shorter than 1 ms or longer than
/// `longest`.
pub fn duration(text: &str, longest: Duration) -> Result<Duration, InvalidDuration> {
    let invalid = || InvalidDuration::Syntax { text: text.to_owned() };
    let is_number = |c: char| c.is_ascii_digit() || c == '.';
    let (number, unit) = text.split_at(text.find(|c| !is_number(c)).unwrap_or(text.len()));
    let number: f64 = number.parse().map_err(|_| invalid())?;
    let milliseconds = match unit.trim_start() {
        "ms" => 1.0,
        "s" => 1_000.0,
        "m" | "min" => 60_000.0,
        "h" => 3_600_000.0,
        _ => return Err(invalid()),
    };
    let parsed = Duration::try_from_secs_f64(number * milliseconds / 1000.0).ok();
    parsed
        .filter(|parsed| (Duration::from_millis(1)..=longest).contains(parsed))
        .ok_or_else(|| InvalidDuration::OutOfRange { text: text.to_owned(), longest })
}

impl fmt::Display for InvalidDuration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Syntax { text } => write!(
                f,
                "invalid duration \"{}\": expected a number with a unit, such as 500ms, 30s, 5m or 1h",
                text.escape_debug()
            ),
            Self::OutOfRange { text, longest } => {
                let hours = longest.as_secs() / 3600;
                let longest =
                    if hours % 24 == 0 { format!("{} d", hours / 24) } else { format!("{hours} h") };
                write!(f, "invalid duration \"{}\": expected 1 ms to {longest}", text.escape_debug())
            }
        }
    }
}

impl std::error::Error for InvalidDuration {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_a_unit_and_bounds() {
        let week = Duration::from_secs(7 * 24 * 60 * 60);
        for (text, milliseconds) in [
            ("500ms", Some(500)),
            ("30s", Some(30_000)),
            ("1.5s", Some(1500)),
            ("5 m", Some(300_000)),
            ("5min", Some(300_000)),
            ("1h", Some(3_600_000)),
            ("168h", Some(604_800_000)),
            ("169h", None),
            ("30", None),
            ("0s", None),
            ("0.5ms", None),
            ("-1s", None),
            ("1e3s", None),
            ("1d", None),
            (".", None),
            ("99999999999999999h", None),
            ("", None),
        ] {
            assert_eq!(duration(text, week).ok(), milliseconds.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn errors_name_what_is_expected() {
        let day = Duration::from_secs(86_400);
        assert_eq!(
            duration("30", day).unwrap_err().to_string(),
            "invalid duration \"30\": expected a number with a unit, such as 500ms, 30s, 5m or 1h"
        );
        assert_eq!(
            duration("25h", day).unwrap_err().to_string(),
            "invalid duration \"25h\": expected 1 ms to 1 d"
        );
    }
}
