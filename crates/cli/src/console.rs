//! Writes messages to standard error, in color on a terminal. For a command without other output, the messages go to
//! standard output.

use std::io::{IsTerminal, Write};

use anstyle::{AnsiColor, Style};

use crate::args::{Output, When};

/// The kind of a line, which decides its color.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    /// A message of the client.
    Client,
    /// A message of the server.
    Server,
    Good,
    Bad,
    /// The boundary between cleartext and TLS, and other notes.
    Boundary,
    Heading,
}

/// Writes messages as the output options require.
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

    /// Returns a console that writes to standard output, for a command whose messages are its result.
    pub(crate) fn result(output: &Output) -> Self {
        let color = colored(output.color, std::io::stdout().is_terminal());
        Self { color, stdout: true, ..Self::new(output) }
    }

    /// Returns whether the output has colors.
    pub(crate) fn is_colored(&self) -> bool {
        self.color
    }

    /// Returns a console without colors, for a file.
    #[cfg(feature = "inspect")]
    pub(crate) fn plain(self) -> Self {
        Self { color: false, ..self }
    }

    /// Returns a console that writes nothing.
    pub(crate) fn silent(self) -> Self {
        Self { quiet: true, ..self }
    }

    /// Writes one line, in one piece, because programs read it. The caller has escaped the bytes of the peer in it.
    pub(crate) fn line(&self, tone: Tone, text: impl std::fmt::Display) {
        if self.quiet {
            return;
        }
        let style = self.style(tone);
        let line = format!("{style}{text}{style:#}\n");
        // A closed terminal must not end the command.
        let _ = match self.stdout {
            true => std::io::stdout().lock().write_all(line.as_bytes()),
            false => std::io::stderr().lock().write_all(line.as_bytes()),
        };
    }

    /// Returns a word with the color of a tone, for a part of a line.
    pub(crate) fn word(&self, tone: Tone, text: &str) -> String {
        let style = self.style(tone);
        format!("{style}{text}{style:#}")
    }

    /// Writes a key and its value.
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

/// Writes an error in the form of all commands: one line with its causes, then the hint.
pub(crate) fn error(message: &dyn std::fmt::Display, hint: Option<&str>) {
    let mut out = std::io::stderr().lock();
    let _ = writeln!(out, "error: {message}");
    if let Some(hint) = hint {
        let _ = writeln!(out, "hint: {hint}");
    }
}

/// Writes a warning: the command continues, but the user should change something.
pub(crate) fn warning(message: &dyn std::fmt::Display) {
    let _ = std::io::stderr().lock().write_all(format!("warning: {message}\n").as_bytes());
}

/// Writes what a service does, for its log: a line in one piece, because programs read it.
#[cfg(any(feature = "gateway", feature = "web"))]
pub(crate) fn note(message: &dyn std::fmt::Display) {
    let _ = std::io::stderr().lock().write_all(format!("{message}\n").as_bytes());
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

/// Writes a prompt for a user at the terminal.
pub(crate) fn prompt(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{text}");
}
