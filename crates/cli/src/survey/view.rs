//! What the user sees of a survey while it runs.

use std::future::Future;
use std::io::{IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use starttls_survey::monitor::{Monitor, StageProgress};
use starttls_survey::{Stage, SurveyError, SurveyEvent};
use tokio::sync::watch;

use super::status::words;
use crate::args::{Output, Progress as When};
use crate::console::{self, Console, Tone};
use crate::interruption::Interruption;

/// The view of a survey that runs in this process.
pub(super) struct View<'a> {
    output: &'a Output,
    console: Console,
    monitor: Arc<Monitor>,
    stopper: watch::Sender<bool>,
    stage: watch::Sender<Option<Stage>>,
}

impl<'a> View<'a> {
    /// Returns the view. `stopper` tells the survey to end.
    pub(super) fn new(output: &'a Output, monitor: Arc<Monitor>, stopper: watch::Sender<bool>) -> Self {
        let stage = watch::channel(None).0;
        Self { output, console: Console::new(output), monitor, stopper, stage }
    }

    /// Returns the function that shows the events of the survey.
    pub(super) fn note(&self) -> impl FnMut(SurveyEvent) + Send + use<> {
        let (console, monitor, stage) =
            (Console::new(self.output), Arc::clone(&self.monitor), self.stage.clone());
        move |event| {
            if let SurveyEvent::Begun(begun) = event {
                stage.send_replace(Some(begun));
            }
            show_event(&console, &event, &monitor);
        }
    }

    /// Shows the progress until the survey ends. A signal makes it end in order; then its exit code is returned too.
    pub(super) async fn watch<T>(
        self,
        running: impl Future<Output = Result<T, SurveyError>>,
        mut interruption: Interruption,
    ) -> (Result<T, SurveyError>, Option<u8>) {
        let mut progress = Progress::new(self.output);
        let mut tick = tokio::time::interval(Progress::STEP);
        let mut running = std::pin::pin!(running);
        let mut signal = None;
        let ended = loop {
            tokio::select! {
                ended = &mut running => break ended,
                code = interruption.code(), if signal.is_none() => {
                    signal = Some(code);
                    // Targets in work end first, so that their rows are kept.
                    let _ = self.stopper.send(true);
                }
                _ = tick.tick() => {
                    let stage = *self.stage.borrow();
                    if let Some(stage) = stage {
                        progress.show(&self.console, &self.monitor.progress(stage));
                    }
                }
            }
        };
        progress.clear();
        (ended, signal)
    }
}

fn show_event(console: &Console, event: &SurveyEvent, monitor: &Monitor) {
    match event {
        SurveyEvent::Planned(stage, plan) => {
            let invalid = match plan.invalid_lines {
                0 => String::new(),
                lines => format!("; {lines} lines are not domains"),
            };
            let floor = match plan.floor().as_secs() {
                0 => String::new(),
                _ => format!("; the budgets need {} at least", words(plan.floor())),
            };
            console.line(
                Tone::Plain,
                format_args!("{stage}: {} targets in {} shards{floor}{invalid}", plan.targets, plan.shards),
            );
        }
        SurveyEvent::Waiting(stage, time) => {
            console.line(Tone::Plain, format_args!("{stage}: begins in {}", words(*time)));
        }
        SurveyEvent::Finished(stage) => {
            let results = monitor.results(*stage);
            let results: String = results.iter().map(|(word, count)| format!(", {word} {count}")).collect();
            console.line(Tone::Plain, format_args!("{stage}: done{results}"));
            if matches!(stage, Stage::Resolve | Stage::Addresses) && monitor.lacks_dns() {
                console::warning(&format_args!(
                    "no look-up was answered; check the DNS resolver, or set --resolver"
                ));
            }
        }
        SurveyEvent::QueueFailed(why) => console::warning(&format_args!("{why}; trying again")),
        SurveyEvent::Begun(_) => {}
    }
}

/// One changing line on a terminal, or a line now and then.
struct Progress {
    kind: Kind,
    drawn: bool,
    ticks: u32,
    last: Option<Stage>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Silent,
    Lines,
    Terminal,
}

impl Progress {
    const STEP: Duration = Duration::from_secs(1);
    /// A line that is not on a terminal is written after this many steps.
    const LINE_EVERY: u32 = 60;
    /// A line that wraps could not be erased.
    const WIDTH: usize = 78;

    fn new(output: &Output) -> Self {
        let kind = match () {
            () if output.quiet || output.progress == When::Never => Kind::Silent,
            () if std::io::stderr().is_terminal() => Kind::Terminal,
            () => Kind::Lines,
        };
        Self { kind, drawn: false, ticks: 0, last: None }
    }

    fn show(&mut self, console: &Console, it: &StageProgress) {
        self.ticks += 1;
        if self.last.replace(it.stage) != Some(it.stage) {
            self.ticks = 0;
        }
        let left = match (it.left, it.is_bound_by_budgets) {
            (None, _) => String::new(),
            (Some(left), true) => format!(", {} left by the budgets", words(left)),
            (Some(left), false) => format!(", {} left", words(left)),
        };
        let paused = if it.paused > 0 { format!(", {} networks paused", it.paused) } else { String::new() };
        let line = format!(
            "{}: {}/{}, {:.0}/s, {} in work{paused}{left}",
            it.stage, it.done, it.planned, it.rate, it.in_flight
        );
        match self.kind {
            Kind::Silent => {}
            Kind::Lines if self.ticks > 0 && self.ticks.is_multiple_of(Self::LINE_EVERY) => {
                console.line(Tone::Plain, line)
            }
            Kind::Lines => {}
            Kind::Terminal => {
                self.drawn = true;
                self.write(&line.chars().take(Self::WIDTH).collect::<String>());
            }
        }
    }

    fn clear(&mut self) {
        if std::mem::take(&mut self.drawn) {
            self.write("");
        }
    }

    fn write(&self, line: &str) {
        let mut out = std::io::stderr().lock();
        // A closed terminal must not end the survey.
        let _ = write!(out, "\r\x1b[K{line}").and_then(|()| out.flush());
    }
}
