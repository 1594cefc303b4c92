//! `starttls check`: the audit.

mod domain;
mod earlier;
mod matrix;
mod progress;
mod run;
mod targets;

use starttls_audit::Limits;
use starttls_audit::check::{GROUPS, check};
use starttls_audit::filter::{self, Selection};
use starttls_audit::render;
use starttls_audit::report::Report;

use crate::args::{Check, Explain, ReportFormat};
use crate::exit;
use crate::failure::Failed;
use crate::output::Sink;
use crate::talk::Talk;
use earlier::Earlier;
use progress::Progress;
use run::{Item, Queue};

/// Runs the command and returns its exit code.
pub(crate) async fn run(args: &Check) -> Result<u8, Failed> {
    match tried(args).await {
        // Where 2 is "critical", what was not even tried must not be it.
        Err(failed) if args.format == ReportFormat::Nagios && !failed.message.is_empty() => {
            use std::io::Write;
            writeln!(std::io::stdout().lock(), "STARTTLS UNKNOWN: {failed}")?;
            Ok(NAGIOS_UNKNOWN)
        }
        ended => ended,
    }
}

/// Wrong names of checks are told before anything is done.
async fn tried(args: &Check) -> Result<u8, Failed> {
    let selection = Selection::new(&args.only, &args.skip).map_err(|error| {
        Failed::usage(error.to_string()).hint(Some(String::from("see them all: starttls check --list")))
    })?;
    match () {
        () if args.list => list(args),
        () if args.targets.is_empty() && args.file.is_none() => matrix::run(args).await,
        () => audit(args, &selection).await,
    }
}

const NAGIOS_UNKNOWN: u8 = 3;

/// A server that waits for a handshake for longer can be held for nothing.
const FIVE_MINUTES: std::time::Duration = std::time::Duration::from_secs(300);

async fn audit(args: &Check, selection: &Selection) -> Result<u8, Failed> {
    let older = args.baseline.as_deref().map(older).transpose()?;
    let mut targets = targets::read(args)?;
    if targets.is_empty() {
        let hint = String::from("a target stands on a line of its own, for example smtp://mail.example.com");
        return Err(Failed::usage("the file names no target").hint(Some(hint)));
    }
    if args.resume.is_some() && args.format != ReportFormat::Json {
        let hint = String::from("add --format json");
        return Err(Failed::usage("--resume goes on with lines of JSON").hint(Some(hint)));
    }
    let lines = args.format == ReportFormat::Json
        && (targets.len() > 1 || args.file.is_some() || args.resume.is_some());
    let earlier = args.resume.as_deref().map(Earlier::read).transpose()?.unwrap_or_default();
    targets.retain(|line| !earlier.is_finished(&line.text));
    let mut progress = Progress::new(&args.output, &targets);
    let appended = earlier.continued(args.output.output.as_deref());
    let mut queue = Queue::new(args, targets, earlier)?;
    let sink = match appended {
        Some((path, length)) => Sink::append(&path, length)?,
        None => Sink::open(&args.output)?,
    };
    let mut outcome = Outcome { sink, lines, report: empty(), code: exit::DONE };
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    loop {
        let next = tokio::select! {
            biased;
            _ = &mut interrupted => None,
            next = queue.next() => Some(next),
        };
        progress.clear();
        let Some(next) = next else { return Ok(exit::INTERRUPTED) };
        let Some((asked, item)) = next else { break };
        progress.note(&asked, &item);
        match item {
            Item::LookedUp(lookups) => outcome.looked_up(&asked, lookups)?,
            Item::Endpoint(endpoint) => {
                let mut part = Report { endpoints: vec![*endpoint], ..empty() };
                selection.apply(&mut part);
                if let Some(older) = &older {
                    filter::mark_known(&mut part, older);
                }
                part.endpoints.iter_mut().for_each(|endpoint| filter::settle(endpoint, args.fail_on.into()));
                outcome.audited(&asked, part)?;
            }
            Item::Failed(failed) => outcome.failed(&asked, &failed)?,
            Item::End => {}
        }
        progress.draw();
    }
    outcome.end(args)
}

/// What came of the run so far.
struct Outcome {
    sink: Sink,
    /// Whether each endpoint is a line of JSON as soon as it is done.
    lines: bool,
    report: Report,
    code: u8,
}

impl Outcome {
    fn looked_up(&mut self, asked: &str, lookups: Vec<String>) -> Result<(), Failed> {
        if self.lines {
            return self.sink.line(render::json::remark(asked, &lookups, None).trim_end());
        }
        self.report.lookups.extend(lookups);
        Ok(())
    }

    fn audited(&mut self, asked: &str, mut part: Report) -> Result<(), Failed> {
        self.code = worse(self.code, filter::exit_code(&part));
        if !self.lines {
            self.report.endpoints.append(&mut part.endpoints);
            return Ok(());
        }
        let mut endpoints = part.endpoints.iter();
        endpoints.try_for_each(|it| self.sink.line(render::json::line(asked, it).trim_end()))
    }

    fn failed(&mut self, asked: &str, failed: &Failed) -> Result<(), Failed> {
        self.code = worse(self.code, failed.code);
        crate::talk::error(&format!("\"{}\": {failed}", asked.escape_debug()), failed.hint.as_deref());
        if self.lines {
            self.sink.line(render::json::remark(asked, &[], Some(&failed.message)).trim_end())?;
        }
        Ok(())
    }

    fn end(mut self, args: &Check) -> Result<u8, Failed> {
        if self.lines {
            return Ok(self.code);
        }
        self.sink.line(shown(args, &self.report).trim_end())?;
        Ok(match args.format {
            ReportFormat::Nagios => match render::nagios::state(&self.report, thresholds(args)).code() {
                exit::DONE if self.code == exit::USAGE => NAGIOS_UNKNOWN,
                code => code,
            },
            _ => self.code,
        })
    }
}

fn empty() -> Report {
    Report::new(format!("starttls {}", env!("CARGO_PKG_VERSION")), Vec::new())
}

/// The exit code of several together, as `--help` has it: what was seen to be wrong outranks what could not be
/// looked at, and that outranks a line that is no target.
fn worse(one: u8, other: u8) -> u8 {
    const BY_WEIGHT: &[u8] = &[
        exit::BUG,
        exit::VIOLATION,
        exit::TLS,
        exit::DECLINED,
        exit::FINDINGS,
        exit::UNREACHABLE,
        exit::INCONCLUSIVE,
        exit::USAGE,
    ];
    *BY_WEIGHT.iter().find(|code| [one, other].contains(code)).unwrap_or(&exit::DONE)
}

fn shown(args: &Check, report: &Report) -> String {
    match args.format {
        ReportFormat::Text => {
            let palette = if Talk::result(&args.output).is_colored() && args.output.output.is_none() {
                render::text::Palette::TERMINAL
            } else {
                render::text::Palette::PLAIN
            };
            let style = render::text::Style { palette, verbose: args.output.verbose, width: None };
            render::text::render(report, style)
        }
        ReportFormat::Json => render::json::render(report),
        ReportFormat::Junit => render::junit::render(report, args.fail_on.into()),
        ReportFormat::Sarif => render::sarif::render(report, None),
        ReportFormat::Html => render::html::render(report),
        ReportFormat::Nagios => render::nagios::render(report, thresholds(args)),
        ReportFormat::Prometheus => render::prometheus::render(report),
    }
}

fn thresholds(args: &Check) -> render::nagios::Thresholds {
    render::nagios::Thresholds { warning_days: args.warning_days, critical_days: args.critical_days }
}

fn limits(args: &Check) -> Limits {
    let slow = args.slow.then_some(FIVE_MINUTES);
    let pace = args.pace.unwrap_or_default();
    // What is asked for in so many words has to fit in.
    let more = pace.saturating_mul(args.max_connections).saturating_add(slow.unwrap_or_default());
    let usual = Limits::default().deadline.saturating_add(more);
    Limits {
        connections: args.max_connections,
        concurrency: args.concurrency.into(),
        pace,
        patience: args.peer.timeout,
        deadline: args.deadline.unwrap_or(usual),
        slow,
        implicit_port: args.implicit_port,
    }
}

fn older(path: &std::path::Path) -> Result<Report, Failed> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| Failed::usage(format!("cannot read {}: {error}", path.display())))?;
    render::json::read(&text)
        .map_err(|error| Failed::usage(format!("{} is no report: {error}", path.display())))
}

fn list(args: &Check) -> Result<u8, Failed> {
    let mut sink = Sink::open(&args.output)?;
    for group in GROUPS {
        sink.line(group.title)?;
        for row in group.checks {
            sink.line(&format!("  {:<20} {}", row.id, row.title))?;
        }
    }
    Ok(exit::DONE)
}

/// `starttls explain ID`.
pub(crate) fn explain(args: &Explain) -> Result<u8, Failed> {
    use std::io::Write;
    if let Some(scenario) = crate::attack::explain(&args.id)? {
        write!(std::io::stdout().lock(), "{scenario}")?;
        return Ok(exit::DONE);
    }
    let row = check(&args.id).ok_or_else(|| {
        let hint = String::from("see them all: starttls check --list, starttls attack --list");
        Failed::usage(format!("there is no check or attack \"{}\"", args.id.escape_debug())).hint(Some(hint))
    })?;
    let severity = format!("{:?}", row.severity).to_lowercase();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}: {} ({severity})\n", row.id, row.title)?;
    writeln!(out, "Why it matters\n{}\n", row.why)?;
    writeln!(out, "What to do\n{}\n", row.fix)?;
    writeln!(out, "Specification\n{}", row.spec)?;
    Ok(exit::DONE)
}
