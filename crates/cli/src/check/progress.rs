//! Shows progress: one changing line on a terminal, otherwise one line per endpoint.

use std::io::{IsTerminal, Write};
use std::time::{Duration, Instant};

use super::run::Item;
use super::targets::{Line, Meaning, Targets};
use crate::args::{Output, Progress as When};
use crate::console::{Console, Tone};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Silent,
    Lines,
    Terminal,
}

pub(crate) struct Progress {
    kind: Kind,
    console: Console,
    total: usize,
    done: usize,
    /// The last result.
    last: String,
    drawn: bool,
    started: Instant,
}

/// The longest line: a line that wraps could not be erased.
const WIDTH: usize = 76;

impl Progress {
    pub(crate) fn new(output: &Output, targets: &Targets) -> Self {
        // One service takes only a moment, and its report follows.
        let short =
            matches!(targets.distinct.as_slice(), [] | [Line { meaning: Ok(Meaning::Service(_)), .. }]);
        let kind = match () {
            () if output.quiet || output.progress == When::Never => Kind::Silent,
            () if std::io::stderr().is_terminal() => Kind::Terminal,
            () if short => Kind::Silent,
            () => Kind::Lines,
        };
        let mut progress = Self {
            kind,
            console: Console::new(output),
            total: targets.len(),
            done: 0,
            last: String::new(),
            drawn: false,
            started: Instant::now(),
        };
        progress.draw();
        progress
    }

    /// Records a result of a target that is written `times` times.
    pub(crate) fn note(&mut self, asked: &str, item: &Item, times: usize) {
        let asked = asked.escape_debug();
        let number = (self.done + 1).min(self.total);
        self.last = match item {
            Item::LookedUp(_) => format!("{asked}: looked up"),
            Item::Endpoint(endpoint) => {
                let address = endpoint.address.as_deref().unwrap_or("no address");
                // The same word as in the JSON report.
                let verdict = serde_json::to_value(endpoint.outcome).unwrap_or_default();
                let verdict = verdict.as_str().unwrap_or_default();
                format!("{} ({address}): {verdict}", endpoint.target)
            }
            Item::Failed(_) | Item::End => {
                self.done += times;
                return;
            }
        };
        if self.kind == Kind::Lines {
            self.console.line(Tone::Plain, format_args!("[{number}/{}] {}", self.total, self.last));
        }
    }

    /// Erases the line on the terminal, so that other output can be written.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            self.write("");
        }
    }

    pub(crate) fn draw(&mut self) {
        self.drawn = true;
        let left = time_left(self.started.elapsed(), self.done, self.total);
        let left = left.map(|left| format!(", {left}")).unwrap_or_default();
        let line = format!("[{}/{}{left}] {}", self.done, self.total, self.last);
        self.write(&line.chars().take(WIDTH).collect::<String>());
    }

    fn write(&self, line: &str) {
        if self.kind == Kind::Terminal {
            let mut out = std::io::stderr().lock();
            // A closed terminal must not end the command.
            let _ = write!(out, "\r\x1b[K{line}").and_then(|()| out.flush());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}

/// The time after which an estimate is shown: shorter runs need none, and an estimate needs data.
const SHORT: Duration = Duration::from_secs(10);

/// Returns the estimated time left, from the average time per target so far.
fn time_left(elapsed: Duration, done: usize, total: usize) -> Option<String> {
    let (done, left) = (u32::try_from(done).ok()?, u32::try_from(total.checked_sub(done)?).ok()?);
    if elapsed < SHORT || left == 0 {
        return None;
    }
    let seconds = elapsed.checked_div(done)?.checked_mul(left)?.as_secs();
    Some(match seconds {
        ..60 => String::from("less than 1 min left"),
        60..5400 => format!("about {} min left", seconds.div_ceil(60)),
        _ => format!("about {} h left", seconds.div_ceil(3600)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_runs_have_an_estimate() {
        let left = |seconds, done, total| time_left(Duration::from_secs(seconds), done, total);
        assert_eq!(left(9, 1, 100), None, "too early");
        assert_eq!(left(60, 0, 100), None, "no target is finished");
        assert_eq!(left(60, 100, 100), None, "done");
        assert_eq!(left(20, 10, 20).as_deref(), Some("less than 1 min left"));
        assert_eq!(left(60, 10, 50).as_deref(), Some("about 4 min left"));
        assert_eq!(left(600, 10, 400).as_deref(), Some("about 7 h left"));
    }
}
