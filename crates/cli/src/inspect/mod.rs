//! `starttls inspect`: what packet captures show of each upgrade.

mod filter;
mod text;

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use starttls_inspect::{
    CaptureError, CaptureReader, ConnectionReport, InspectLimits, Inspector, Offered, ReportLine, Requested,
    SCHEMA_VERSION, TlsUse, Weight, ZEEK_HEADER, eve, zeek,
};

use crate::args::{Inspect, InspectFormat};
use crate::console::{self, Console};
use crate::error::Failed;
use crate::exit;
use crate::interruption::Interruption;
use crate::output::Sink;
use filter::Filter;
use text::TextReport;

/// Runs the command and returns its exit code.
pub(crate) async fn run(args: &Inspect, mut interruption: Interruption) -> Result<u8, Failed> {
    let session = Arc::new(Mutex::new(Session::new(args)?));
    let (files, shared) = (args.files.clone(), Arc::clone(&session));
    // The files are read on a thread of their own: a read of a pipe blocks.
    let follow = args.follow;
    let reading = tokio::task::spawn_blocking(move || {
        let last = files.len().saturating_sub(1);
        let mut files = files.iter().enumerate();
        files.try_for_each(|(at, path)| read(path, &shared, follow && at == last))
    });
    tokio::select! {
        ended = reading => ended.map_err(|error| Failed::new(exit::BUG, error.to_string()))??,
        // What was seen so far is the report.
        _ = interruption.code() => {}
    }
    locked(&session).finish()
}

fn locked(session: &Mutex<Session>) -> MutexGuard<'_, Session> {
    session.lock().unwrap_or_else(PoisonError::into_inner)
}

/// How often a file that is followed is examined for more packets.
const FOLLOW: Duration = Duration::from_millis(200);

/// Reads one capture.
fn read(path: &Path, session: &Mutex<Session>, follow: bool) -> Result<(), Failed> {
    let name = path.display();
    let source: Box<dyn Read> = match path.as_os_str() == "-" {
        true => Box::new(std::io::stdin().lock()),
        false => {
            let opened = File::open(path);
            Box::new(opened.map_err(|error| Failed::usage(format!("cannot read {name}: {error}")))?)
        }
    };
    let (mut reader, mut packets) = (CaptureReader::new(source), 0_u64);
    loop {
        match reader.next_packet() {
            Ok(Some(packet)) => {
                packets += 1;
                let mut session = locked(session);
                if session.is_finished {
                    return Ok(());
                }
                session.inspector.packet(&packet);
                session.write_finished()?;
            }
            Ok(None) if follow => {
                if locked(session).is_finished {
                    return Ok(());
                }
                std::thread::sleep(FOLLOW);
            }
            Ok(None) => break,
            Err(CaptureError::Corrupt(expected)) if packets > 0 => {
                console::warning(&format!("{name}: corrupt after {packets} packets: expected {expected}"));
                return Ok(());
            }
            Err(error) => return Err(Failed::usage(format!("{name}: {error}"))),
        }
    }
    if reader.is_truncated() {
        console::warning(&format!("{name}: the file ends within packet {}", packets + 1));
    }
    Ok(())
}

/// The state of a run.
struct Session {
    inspector: Inspector,
    sink: Sink,
    console: Console,
    format: InspectFormat,
    /// The text report, if that is the format.
    text: TextReport,
    filter: Filter,
    only_findings: bool,
    fail_on: Weight,
    has_failed: bool,
    has_judged: bool,
    is_finished: bool,
}

impl Session {
    fn new(args: &Inspect) -> Result<Self, Failed> {
        let limits = InspectLimits { memory: args.memory, connections: args.flows, by_vlan: args.by_vlan };
        let console = match args.output.output {
            Some(_) => Console::new(&args.output).plain(),
            None => Console::result(&args.output),
        };
        let mut sink = Sink::open(&args.output)?;
        if args.format == InspectFormat::Zeek {
            sink.line(ZEEK_HEADER)?;
        }
        Ok(Self {
            inspector: Inspector::new(limits),
            sink,
            console,
            format: args.format,
            text: TextReport::default(),
            filter: Filter::parse(&args.filter)?,
            only_findings: args.only_findings,
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
                InspectFormat::Eve => {
                    eve(&report).iter().try_for_each(|event| self.sink.line(event))?;
                }
                InspectFormat::Zeek => self.sink.line(&zeek(&report))?,
            }
        }
        Ok(())
    }

    fn json(&mut self, line: &ReportLine<'_>) -> Result<(), Failed> {
        let json = line.to_json().map_err(|error| Failed::new(exit::BUG, error.to_string()))?;
        self.sink.line(&json)
    }

    /// Ends all connections, writes the rest of the report and returns the exit code.
    fn finish(&mut self) -> Result<u8, Failed> {
        self.is_finished = true;
        self.inspector.finish();
        self.write_finished()?;
        let servers = self.inspector.servers();
        let (servers, clients) = (servers.servers(), servers.clients());
        let summary = self.inspector.summary();
        let findings = servers.iter().flat_map(|server| &server.findings);
        self.has_failed |= findings.into_iter().any(|finding| finding.severity >= self.fail_on);
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
