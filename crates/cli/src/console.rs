//! Messages go to standard error, in colour where somebody looks at it. Where it is all that a command
//! has to give, it goes to standard output.

use std::io::{IsTerminal, Write};

use anstyle::{AnsiColor, Style};

use crate::args::{Output, When};

/// What a line is, and so how it looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    /// What we send.
    Client,
    /// What the peer sends.
    Server,
    Good,
    Bad,
    /// Where cleartext ends.
    Boundary,
    Heading,
}

/// Where output goes, as the user wants it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Console {
    quiet: bool,
    color: bool,
    stdout: bool,
    pub(crate) verbose: bool,
}

impl Console {
    pub(crate) fn new(output: &Output) -> Self {
        let color = colored(output.color, std::io::stderr().is_terminal());
        Self { quiet: output.quiet, color, stdout: false, verbose: output.verbose }
    }

    /// For a command whose messages are its result.
    pub(crate) fn result(output: &Output) -> Self {
        let color = colored(output.color, std::io::stdout().is_terminal());
        Self { color, stdout: true, ..Self::new(output) }
    }

    /// Whether colour is wanted where this goes.
    pub(crate) fn is_colored(&self) -> bool {
        self.color
    }

    /// The same, silent.
    pub(crate) fn silent(self) -> Self {
        Self { quiet: true, ..self }
    }

    /// One line. Whatever is in it that a peer sent is escaped already.
    pub(crate) fn line(&self, tone: Tone, text: impl std::fmt::Display) {
        if self.quiet {
            return;
        }
        let (style, text) = (self.style(tone), text.to_string());
        // Nobody to talk to is no reason to stop.
        let _ = match self.stdout {
            true => writeln!(std::io::stdout().lock(), "{style}{text}{style:#}"),
            false => writeln!(std::io::stderr().lock(), "{style}{text}{style:#}"),
        };
    }

    /// A word in a tone, to stand in a plain line.
    pub(crate) fn word(&self, tone: Tone, text: &str) -> String {
        let style = self.style(tone);
        format!("{style}{text}{style:#}")
    }

    /// A line about a key and its value.
    pub(crate) fn fact(&self, key: &str, value: impl std::fmt::Display) {
        self.line(Tone::Plain, format!("{} {value}", self.word(Tone::Heading, &format!("{key:<13}"))));
    }

    fn style(&self, tone: Tone) -> Style {
        if !self.color {
            return Style::new();
        }
        match tone {
            Tone::Plain => Style::new(),
            Tone::Client => AnsiColor::Cyan.on_default(),
            Tone::Server => AnsiColor::Blue.on_default(),
            Tone::Good => AnsiColor::Green.on_default().bold(),
            Tone::Bad => AnsiColor::Red.on_default().bold(),
            Tone::Boundary => AnsiColor::Yellow.on_default(),
            Tone::Heading => Style::new().bold(),
        }
    }
}

/// An error in the one form that all commands use: one line with its causes, then the cure.
pub(crate) fn error(message: &dyn std::fmt::Display, hint: Option<&str>) {
    let mut out = std::io::stderr().lock();
    let _ = writeln!(out, "error: {message}");
    if let Some(hint) = hint {
        let _ = writeln!(out, "hint: {hint}");
    }
}

/// What works, and should not stay as it is.
pub(crate) fn warning(message: &dyn std::fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "warning: {message}");
}

fn colored(when: When, terminal: bool) -> bool {
    let unwanted = std::env::var_os("NO_COLOR").is_some_and(|it| !it.is_empty())
        || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    match when {
        When::Always => true,
        When::Never => false,
        When::Auto => terminal && !unwanted,
    }
}

/// A word to whoever sits at the terminal.
pub(crate) fn prompt(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
