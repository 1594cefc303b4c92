//! `starttls inspect`: what packet captures show of each upgrade.

mod compare;
mod extract;
mod filter;
mod source;
mod text;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use starttls_inspect::{
    Baseline, ConnectionReport, HtmlReport, InspectLimits, Inspector, Offered, Origin, ReportLine, Requested,
    SCHEMA_VERSION, TlsUse, Weight, ZEEK_HEADER, eve, zeek,
};
use starttls_x509::validity;

use crate::args::{Inspect, InspectFormat};
use crate::console::{self, Console};
use crate::error::Failed;
use crate::exit;
use crate::interruption::Interruption;
use crate::output::Sink;
use extract::Marked;
use filter::Filter;
use source::Captures;
use text::TextReport;

/// Runs the command and returns its exit code.
pub(crate) async fn run(args: &Inspect, mut interruption: Interruption) -> Result<u8, Failed> {
    let args = args.clone();
    if !args.compare.is_empty() {
        let comparing = tokio::task::spawn_blocking(move || compare::run(&args));
        return tokio::select! {
            ended = comparing => ended.map_err(Failed::bug)?,
            code = interruption.code() => Ok(code),
        };
    }
    if args.write.is_some() && args.files.iter().any(|file| file.as_os_str() == "-") {
        let hint = "save the packets first, for example with tcpdump -w";
        return Err(Failed::usage(
            "--write reads the captures twice, and standard input can be read only once",
        )
        .hint(Some(hint.to_owned())));
    }
    let session = Arc::new(Mutex::new(Session::new(&args)?));
    let captures = Captures { files: args.files.clone(), merge: args.merge, follow: args.follow };
    let (reading, shared) = (captures.clone(), Arc::clone(&session));
    // The files are read on a thread of their own: a read of a pipe blocks.
    let reading = tokio::task::spawn_blocking(move || read(&reading, &shared));
    let is_whole = tokio::select! {
        ended = reading => {
            ended.map_err(Failed::bug)??;
            true
        }
        // What was seen so far is the report.
        _ = interruption.code() => false,
        failed = totals(args.interval, &session) => return Err(failed),
    };
    let (code, marked) = {
        let mut session = locked(&session);
        (session.finish()?, std::mem::take(&mut session.marked))
    };
    if let Some(path) = args.write.clone() {
        if !is_whole {
            console::warning(&"the reading was interrupted, so no packets were written");
            return Ok(code);
        }
        let inspector = inspector(&args)?;
        let writing = move || extract::write(&captures, inspector, marked, &path);
        let writing = tokio::task::spawn_blocking(writing);
        tokio::select! {
            ended = writing => ended.map_err(Failed::bug)??,
            code = interruption.code() => return Ok(code),
        }
    }
    Ok(code)
}

/// Returns an inspector with the limits and options of the command.
fn inspector(args: &Inspect) -> Result<Inspector, Failed> {
    let limits = InspectLimits { memory: args.memory, connections: args.flows, by_vlan: args.by_vlan };
    let mut inspector =
        Inspector::new(limits).with_ports(args.port.iter().copied()).showing_users(args.show_users.into());
    if args.anonymize {
        inspector = inspector.anonymized();
    }
    if let Some(path) = &args.baseline {
        let name = path.display();
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failed::usage(format!("cannot read {name}: {error}")))?;
        let baseline = Baseline::parse(&text).map_err(|error| Failed::usage(format!("{name}: {error}")))?;
        if baseline.is_empty() {
            console::warning(&format!("{name}: no server in this report offers the upgrade"));
        }
        inspector = inspector.with_baseline(baseline);
    }
    Ok(inspector)
}

/// Writes the totals at an interval, until an error.
async fn totals(interval: Option<Duration>, session: &Mutex<Session>) -> Failed {
    let Some(interval) = interval else { return std::future::pending().await };
    loop {
        tokio::time::sleep(interval).await;
        if let Err(failed) = locked(session).write_totals() {
            return failed;
        }
    }
}

fn locked(session: &Mutex<Session>) -> MutexGuard<'_, Session> {
    session.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Inspects all packets.
fn read(captures: &Captures, session: &Mutex<Session>) -> Result<(), Failed> {
    captures.read(
        &mut |packet| {
            let mut session = locked(session);
            if session.is_finished {
                return Ok(false);
            }
            session.inspector.packet(packet);
            session.write_finished()?;
            Ok(true)
        },
        &|| locked(session).is_finished,
    )
}

/// Writes a line of the JSON report.
fn json_line(line: &ReportLine<'_>, sink: &mut Sink) -> Result<(), Failed> {
    let json = line.to_json().map_err(|error| Failed::new(exit::BUG, error.to_string()))?;
    sink.line(&json)
}

/// The state of a run.
struct Session {
    inspector: Inspector,
    sink: Sink,
    console: Console,
    format: InspectFormat,
    /// The text report, if that is the format.
    text: TextReport,
    /// The page, if that is the format.
    html: HtmlReport,
    /// The names of the captures, for the page.
    captures: Vec<String>,
    filter: Filter,
    only_findings: bool,
    /// Connections of which the packets are written.
    marked: Marked,
    keeps_marks: bool,
    fail_on: Weight,
    has_failed: bool,
    has_judged: bool,
    is_finished: bool,
}

impl Session {
    fn new(args: &Inspect) -> Result<Self, Failed> {
        let console = match args.output.output {
            Some(_) => Console::new(&args.output).plain(),
            None => Console::result(&args.output),
        };
        let mut sink = Sink::open(&args.output)?;
        if args.format == InspectFormat::Zeek {
            sink.line(ZEEK_HEADER)?;
        }
        Ok(Self {
            inspector: inspector(args)?,
            sink,
            console,
            format: args.format,
            text: TextReport::default(),
            html: HtmlReport::default(),
            captures: args.files.iter().map(|file| file.display().to_string()).collect(),
            filter: Filter::parse(&args.filter)?,
            only_findings: args.only_findings,
            marked: Marked::new(),
            keeps_marks: args.write.is_some(),
            fail_on: args.fail_on.into(),
            has_failed: false,
            has_judged: false,
            is_finished: false,
        })
    }

    /// Writes the connections that have ended.
    fn write_finished(&mut self) -> Result<(), Failed> {
        for report in self.inspector.take_finished() {
            if !self.filter.selects(&report) {
                continue;
            }
            if self.keeps_marks {
                extract::mark(&report, &mut self.marked);
            }
            self.has_judged |= is_judged(&report);
            self.has_failed |= report.findings.iter().any(|finding| finding.severity >= self.fail_on);
            if self.only_findings && report.findings.iter().all(|it| it.severity < Weight::Low) {
                continue;
            }
            match self.format {
                InspectFormat::Text => self.text.add(report, self.console, &mut self.sink)?,
                InspectFormat::Json => {
                    self.json(&ReportLine::Connection {
                        schema_version: SCHEMA_VERSION,
                        connection: &report,
                    })?;
                }
                InspectFormat::Html => self.html.add(report),
                InspectFormat::Eve => {
                    eve(&report).iter().try_for_each(|event| self.sink.line(event))?;
                }
                InspectFormat::Zeek => self.sink.line(&zeek(&report))?,
            }
        }
        Ok(())
    }

    fn json(&mut self, line: &ReportLine<'_>) -> Result<(), Failed> {
        json_line(line, &mut self.sink)
    }

    /// Writes the totals so far.
    fn write_totals(&mut self) -> Result<(), Failed> {
        if self.is_finished {
            return Ok(());
        }
        let summary = self.inspector.summary();
        match self.format {
            InspectFormat::Text => self.text.totals(&summary, &mut self.sink),
            InspectFormat::Json => {
                self.json(&ReportLine::Progress { schema_version: SCHEMA_VERSION, summary: &summary })
            }
            // These formats have no line for it.
            InspectFormat::Html | InspectFormat::Eve | InspectFormat::Zeek => Ok(()),
        }
    }

    /// Ends all connections, writes the rest of the report and returns the exit code.
    fn finish(&mut self) -> Result<u8, Failed> {
        self.is_finished = true;
        self.inspector.finish();
        self.write_finished()?;
        let servers = self.inspector.servers();
        let (servers, clients) = (servers.servers(), servers.clients());
        let summary = self.inspector.summary();
        let mut findings = servers
            .iter()
            .flat_map(|server| &server.findings)
            .chain(clients.iter().flat_map(|client| &client.findings));
        self.has_failed |= findings.any(|finding| finding.severity >= self.fail_on);
        match self.format {
            InspectFormat::Text => {
                let text = std::mem::take(&mut self.text);
                text.finish(&servers, &clients, &summary, self.console, &mut self.sink)?;
            }
            InspectFormat::Json => {
                for summary in &servers {
                    self.json(&ReportLine::Server { schema_version: SCHEMA_VERSION, summary })?;
                }
                for summary in &clients {
                    self.json(&ReportLine::Client { schema_version: SCHEMA_VERSION, summary })?;
                }
                self.json(&ReportLine::Capture { schema_version: SCHEMA_VERSION, summary: &summary })?;
            }
            InspectFormat::Html => {
                let origin = Origin {
                    generator: concat!("starttls ", env!("CARGO_PKG_VERSION")),
                    captures: &self.captures,
                    time: &validity::rfc3339(validity::now()),
                };
                let page = std::mem::take(&mut self.html).finish(&servers, &clients, &summary, origin);
                self.sink.show(page.as_bytes())?;
            }
            InspectFormat::Eve | InspectFormat::Zeek => {}
        }
        Ok(match (self.has_failed, self.has_judged) {
            (true, _) => exit::FINDINGS,
            (false, true) => exit::DONE,
            (false, false) => exit::INCONCLUSIVE,
        })
    }
}

/// Returns whether the packets showed anything about the upgrade.
fn is_judged(report: &ConnectionReport) -> bool {
    let facts = &report.facts;
    facts.tls != TlsUse::Unknown
        || facts.offered != Offered::Unknown
        || facts.requested != Requested::Unknown
        || !report.findings.is_empty()
}

/// Returns the text of `starttls explain ID`; `None` if no finding has this id.
pub(crate) fn explain(id: &str) -> Option<String> {
    let rule = starttls_inspect::rule(id)?;
    Some(format!(
        "{}: {} ({})\n\nWhy it matters\n{}\n\nFix\n{}\n\nSpecification\n{}\n",
        rule.id,
        rule.title,
        rule.severity.name(),
        rule.why,
        rule.fix,
        rule.spec
    ))
}
