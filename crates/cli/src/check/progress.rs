//! How far it is: one line that changes on a terminal, a line per endpoint elsewhere.

use std::io::{IsTerminal, Write};

use super::run::Item;
use super::targets::{Line, Meaning};
use crate::args::{Output, Progress as When};
use crate::talk::{Talk, Tone};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Silent,
    Lines,
    Terminal,
}

pub(crate) struct Progress {
    kind: Kind,
    talk: Talk,
    total: usize,
    done: usize,
    /// What was done last.
    last: String,
    drawn: bool,
}

/// Longer lines would wrap, and a wrapped line cannot be taken back.
const WIDTH: usize = 76;

impl Progress {
    pub(crate) fn new(output: &Output, targets: &[Line]) -> Self {
        // One service is over in a moment, and then there is the report.
        let short = matches!(targets, [] | [Line { meaning: Ok(Meaning::Service(_)), .. }]);
        let kind = match () {
            () if output.quiet || output.progress == When::Never => Kind::Silent,
            () if std::io::stderr().is_terminal() => Kind::Terminal,
            () if short => Kind::Silent,
            () => Kind::Lines,
        };
        let mut progress = Self {
            kind,
            talk: Talk::new(output),
            total: targets.len(),
            done: 0,
            last: String::new(),
            drawn: false,
        };
        progress.draw();
        progress
    }

    /// Something came of a target.
    pub(crate) fn note(&mut self, asked: &str, item: &Item) {
        let asked = asked.escape_debug();
        let number = (self.done + 1).min(self.total);
        self.last = match item {
            Item::LookedUp(_) => format!("{asked}: looked up"),
            Item::Endpoint(endpoint) => {
                let address = endpoint.address.as_deref().unwrap_or("no address");
                // The word that the JSON has.
                let verdict = serde_json::to_value(endpoint.outcome).unwrap_or_default();
                let verdict = verdict.as_str().unwrap_or_default();
                format!("{} ({address}): {verdict}", endpoint.target)
            }
            Item::Failed(_) | Item::End => {
                self.done += 1;
                return;
            }
        };
        if self.kind == Kind::Lines {
            self.talk.line(Tone::Plain, format_args!("[{number}/{}] {}", self.total, self.last));
        }
    }

    /// Takes the line back that is on the terminal, so that something else can be said.
    pub(crate) fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            self.write("");
        }
    }

    pub(crate) fn draw(&mut self) {
        self.drawn = true;
        let line = format!("[{}/{}] {}", self.done, self.total, self.last);
        self.write(&line.chars().take(WIDTH).collect::<String>());
    }

    fn write(&self, line: &str) {
        if self.kind == Kind::Terminal {
            let mut out = std::io::stderr().lock();
            // Nobody to talk to is no reason to stop.
            let _ = write!(out, "\r\x1b[K{line}").and_then(|()| out.flush());
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.clear();
    }
}
