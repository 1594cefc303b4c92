//! What `attack` shows, and its exit code, for a campaign and for connections as they come.

use starttls::proto::Protocol;
use starttls_attack::render;
use starttls_attack::report::ScenarioOutcome;

use crate::args::{Attack, FailOn};
use crate::console::{Console, Tone};
use crate::exit;

/// Returns the exit code: an outcome at or above `fail_on` is a finding; a run without a verdict is inconclusive.
pub(super) fn code(outcomes: impl IntoIterator<Item = ScenarioOutcome>, fail_on: FailOn) -> u8 {
    let outcomes: Vec<ScenarioOutcome> = outcomes.into_iter().collect();
    match () {
        () if outcomes.iter().any(|outcome| *outcome <= fail_on.into()) => exit::FINDINGS,
        () if outcomes.iter().any(|outcome| outcome.is_undecided()) => exit::INCONCLUSIVE,
        () => exit::DONE,
    }
}

pub(super) fn style(args: &Attack) -> render::text::TextStyle {
    let colored = Console::result(&args.output).is_colored() && args.output.output.is_none();
    render::text::TextStyle { verbose: args.output.verbose, paint: colored.then_some(paint) }
}

fn paint(outcome: ScenarioOutcome) -> (&'static str, &'static str) {
    let color = match outcome {
        ScenarioOutcome::Sound => "\x1b[1;32m",
        ScenarioOutcome::Fooled | ScenarioOutcome::Crashed => "\x1b[1;31m",
        _ => "\x1b[33m",
    };
    (color, "\x1b[0m")
}

/// Shows what this program does, for a user who finds it running.
pub(super) fn banner(console: &Console, protocol: &Protocol, what: &str) {
    console.line(
        Tone::Plain,
        format_args!(
            "starttls attack: a man in the middle for clients that you are allowed to test. {}, {what}.\n",
            protocol.title
        ),
    );
}
