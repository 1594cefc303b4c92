//! `check` without a target: a test of the audit itself. It must find each weakness of the lab's rogue servers, and must
//! not report a problem for the sound ones.

use std::sync::Arc;

use serde_json::json;
use starttls::proto::{PROTOCOLS, Protocol, UrlAuthority};
use starttls_audit::report::{CheckOutcome, EndpointReport, EndpointVerdict, Finding, Severity};
use starttls_audit::{Audit, Limits, Selection, SurveyExtent};
use starttls_hello::WalkSize;
use starttls_lab::ca::Authority;
use starttls_lab::rogue::{Rogue, TlsWeakness, Weakness};
use tokio::sync::Semaphore;

use super::advice;
use crate::args::{Check, ReportFormat};
use crate::console::{Console, Tone};
use crate::error::Failed;
use crate::exit;
use crate::interruption::Interruption;
use crate::output::Sink;

/// One server, and the result of its audit.
struct Row {
    server: String,
    protocol: &'static str,
    /// The weakness to find; `None` for a sound server.
    expected: Option<Expected>,
    endpoint: EndpointReport,
}

/// The weakness of a rogue server.
#[derive(Clone, Copy)]
enum Expected {
    Upgrade(Weakness),
    Tls(TlsWeakness),
}

impl Expected {
    fn id(self) -> &'static str {
        match self {
            Self::Upgrade(weakness) => weakness.id(),
            Self::Tls(weakness) => weakness.id(),
        }
    }

    fn is_shown_by(self, id: &str) -> bool {
        match self {
            Self::Upgrade(weakness) => weakness.is_shown_by(id),
            Self::Tls(weakness) => weakness.id() == id,
        }
    }
}

/// The most connections of the audit of a rogue with a weakness of TLS: a larger survey than the default, and the upgrade.
const SURVEY_CONNECTIONS: u32 = 60;

/// Runs the self test. Returns 0 if every verdict is the expected one.
pub(crate) async fn run(args: &Check, interruption: &mut Interruption) -> Result<u8, Failed> {
    let chosen = [args.only.is_empty(), args.skip.is_empty(), args.baseline.is_none(), args.resume.is_none()];
    if !matches!(args.format.as_slice(), [ReportFormat::Text | ReportFormat::Json]) || chosen.contains(&false)
    {
        return Err(super::no_target());
    }
    let is_json = args.format == [ReportFormat::Json];
    let mut sink = Sink::replacing(&args.output)?;
    let console = if is_json { Console::new(&args.output).silent() } else { Console::result(&args.output) };
    console.line(
        Tone::Plain,
        "No target: testing the audit with sound servers and with one rogue server per weakness, on this machine.\n",
    );
    let lab = crate::lab::start()?;
    let rows = tokio::select! {
        rows = rows(args, &lab, &console) => rows.map(Ok),
        code = interruption.code() => Ok(Err(code)),
    };
    tokio::task::spawn_blocking(move || drop(lab)).await.map_err(Failed::bug)?;
    let rows = match rows? {
        Ok(rows) => rows,
        Err(code) => return Ok(code),
    };
    let right = rows.iter().filter(|row| row.is_right()).count();
    let code = if right == rows.len() { exit::DONE } else { exit::FINDINGS };
    if is_json {
        let servers: Vec<_> = rows.iter().map(Row::as_json).collect();
        let all = json!({ "schema_version": 1, "servers": servers, "right": right, "of": rows.len() });
        sink.line(&all.to_string())?;
        sink.finish()?;
        return Ok(code);
    }
    let tone = if code == exit::DONE { Tone::Good } else { Tone::Bad };
    console.line(tone, format_args!("\n{right} of {} verdicts are as expected.", rows.len()));
    console.line(Tone::Plain, "\nNext: starttls check submission://YOUR.SERVER, or starttls check --help");
    Ok(code)
}

/// Audits all servers. Shows the rows in order, each as soon as possible.
async fn rows(args: &Check, lab: &starttls_lab::Lab, console: &Console) -> Result<Vec<Row>, Failed> {
    let authority = Authority::new().map_err(Failed::bug)?;
    let roots = [lab.ca_pem(), &authority.root_pem()].concat();
    let builder = || starttls::Connector::builder().no_system_roots().roots_pem(roots.as_bytes());
    let audit = Audit::new(builder, super::limits::of(args))?;
    let audit = Arc::new(audit.with_advice(advice::option_for));
    let slots = Arc::new(Semaphore::new(args.parallel.into()));
    let mut tasks = Vec::new();
    for endpoint in lab.endpoints().iter().filter(|it| !it.implicit) {
        let (audit, slots, endpoint) = (audit.clone(), slots.clone(), endpoint.clone());
        tasks.push(tokio::spawn(async move {
            let _slot = slots.acquire().await;
            let url = endpoint.url();
            let port = endpoint.address.port();
            let audit = audit.with_authority(authority_of(endpoint.protocol, endpoint.server_name, port));
            let audited = audit.endpoint(endpoint.protocol, &url, endpoint.server_name, endpoint.address);
            let (server, protocol) = (String::from("sound"), endpoint.protocol.name);
            Ok(Row { server, protocol, expected: None, endpoint: audited.await })
        }));
    }
    for (turn, weakness) in Weakness::ALL.iter().copied().enumerate() {
        let Some(protocol) = protocol_for(weakness, turn).filter(|_| args.slow || !weakness.is_slow()) else {
            continue;
        };
        let rogue = Rogue::start(protocol, weakness, &authority);
        let rogue = rogue.map_err(|error| {
            Failed::new(exit::UNREACHABLE, format!("cannot start a rogue server: {error}"))
        })?;
        let limits = Limits { implicit_port: rogue.implicit_port(), ..super::limits::of(args) };
        let (audit, slots) = (audit.with_limits(limits), slots.clone());
        tasks.push(tokio::spawn(async move {
            let _slot = slots.acquire().await;
            let port = rogue.address().port();
            let target = format!("{}://{}:{port}", protocol.name, rogue.server_name());
            let audit = audit.with_authority(authority_of(protocol, rogue.server_name(), port));
            let audited = audit.endpoint(protocol, &target, rogue.server_name(), rogue.address()).await;
            let (server, protocol) = (format!("{weakness:?}"), protocol.name);
            Ok(Row { server, protocol, expected: Some(Expected::Upgrade(weakness)), endpoint: audited })
        }));
    }
    let extent = SurveyExtent::new(WalkSize::Survey);
    let selection = Selection::new(&[String::from("tls")], &[]).map_err(Failed::bug)?.with_survey(extent);
    let limits = Limits { connections: SURVEY_CONNECTIONS, ..super::limits::of(args) };
    let survey = audit.with_limits(limits).with_selection(selection);
    for (turn, weakness) in TlsWeakness::ALL.iter().copied().enumerate() {
        let protocols = PROTOCOLS.iter().copied().cycle().skip(turn).take(PROTOCOLS.len());
        let Some(protocol) = protocols.into_iter().find(|it| weakness.applies_to(it)) else { continue };
        let rogue = Rogue::start_with_tls(protocol, weakness.model(), &authority);
        let rogue = rogue.map_err(|error| {
            Failed::new(exit::UNREACHABLE, format!("cannot start a rogue server: {error}"))
        })?;
        let (survey, slots) = (survey.clone(), slots.clone());
        tasks.push(tokio::spawn(async move {
            let _slot = slots.acquire().await;
            let port = rogue.address().port();
            let target = format!("{}://{}:{port}", protocol.name, rogue.server_name());
            let survey = survey.with_authority(authority_of(protocol, rogue.server_name(), port));
            let audited = survey.endpoint(protocol, &target, rogue.server_name(), rogue.address()).await;
            let (server, protocol) = (format!("{weakness:?}"), protocol.name);
            Ok(Row { server, protocol, expected: Some(Expected::Tls(weakness)), endpoint: audited })
        }));
    }
    let names = Weakness::ALL.iter().map(|it| format!("{it:?}"));
    let names = names.chain(TlsWeakness::ALL.iter().map(|it| format!("{it:?}")));
    let width = names.map(|name| name.len()).max().unwrap_or_default();
    let mut rows = Vec::new();
    for task in tasks {
        let row: Result<Row, Failed> = task.await.map_err(Failed::bug)?;
        let row = row?;
        row.show(console, width);
        rows.push(row);
    }
    Ok(rows)
}

/// Returns the authority in the URL of a server on this machine.
fn authority_of(protocol: &Protocol, server_name: &str, port: u16) -> Option<UrlAuthority> {
    UrlAuthority::new(server_name, port, protocol.port).ok()
}

/// Returns a protocol in which the weakness can be observed: a different one for each weakness, so that all protocols
/// are used.
fn protocol_for(weakness: Weakness, turn: usize) -> Option<&'static Protocol> {
    let shows_it = |it: &&'static Protocol| weakness.applies_to(it) && weakness.hidden(it).is_none();
    PROTOCOLS.iter().copied().cycle().skip(turn % PROTOCOLS.len()).take(PROTOCOLS.len()).find(shows_it)
}

impl Row {
    fn found(&self) -> Vec<&str> {
        let shows = |it: &Finding| self.expected.is_some_and(|weakness| weakness.is_shown_by(&it.id));
        let bad = self.endpoint.findings.iter().filter(|it| match it.outcome {
            CheckOutcome::Fail | CheckOutcome::Warning => it.severity >= Severity::Warning || shows(it),
            CheckOutcome::Inconclusive => shows(it) && matches!(self.expected, Some(Expected::Upgrade(_))),
            // Some properties of TLS are remarks, such as suites in CBC mode.
            CheckOutcome::Info => shows(it) && matches!(self.expected, Some(Expected::Tls(_))),
            CheckOutcome::Pass | CheckOutcome::NotApplicable | CheckOutcome::NotRun => false,
        });
        bad.map(|it| it.id.as_str()).collect()
    }

    fn is_right(&self) -> bool {
        match self.expected {
            Some(weakness) => self.found().iter().any(|id| weakness.is_shown_by(id)),
            None => self.endpoint.outcome == EndpointVerdict::Sound,
        }
    }

    /// Shows the row. `width` is the width of the column with the servers.
    fn show(&self, console: &Console, width: usize) {
        let (tone, verdict) = match (self.is_right(), self.expected) {
            (true, None) => (Tone::Good, String::from("sound")),
            (true, Some(weakness)) => {
                let by = self.found().into_iter().find(|id| weakness.is_shown_by(id));
                (Tone::Good, format!("found {}", by.unwrap_or_default()))
            }
            (false, None) => (Tone::Bad, format!("false alarm: {}", self.endpoint.summary)),
            (false, Some(weakness)) => {
                (Tone::Bad, format!("missed {}: {}", weakness.id(), self.endpoint.summary))
            }
        };
        let (connections, seconds) = (self.endpoint.connections, self.endpoint.elapsed_ms / 1000.0);
        let plural = if connections == 1 { "" } else { "s" };
        let cost = format!("{connections} connection{plural}, {seconds:.2} s");
        let verdict = console.word(tone, &format!("{verdict:<28}"));
        console.line(
            Tone::Plain,
            format_args!("{:<width$} {:<12} {verdict} {cost}", self.server, self.protocol),
        );
    }

    fn as_json(&self) -> serde_json::Value {
        json!({
            "server": self.server, "protocol": self.protocol,
            "expected": self.expected.map(Expected::id), "found": self.found(),
            "right": self.is_right(), "connections": self.endpoint.connections,
            "elapsed_ms": self.endpoint.elapsed_ms,
        })
    }
}
