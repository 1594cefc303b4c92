//! `survey run` and `survey plan`.

use std::fs::File;
use std::io::{BufRead, BufReader, IsTerminal, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use starttls::Connector;
use starttls::dialer::TcpRoute;
use starttls::proto::{ClientName, PROTOCOLS, Protocol};
use starttls_audit::{Audit, Limits};
use starttls_dns::{DialPolicy, IpPrefix, Stub};
use starttls_survey::budget::{Budget, Pace};
use starttls_survey::identity::{check_identity, check_way_out};
use starttls_survey::monitor::{Monitor, StageProgress};
use starttls_survey::network::AsTable;
use starttls_survey::settings::RunSettings;
use starttls_survey::suffix::Suffixes;
use starttls_survey::{
    JoinSummary, RunFolder, Stage, StagePlan, Survey, SurveyEnd, SurveyError, SurveyEvent,
};
use tokio::sync::watch;

use super::status::words;
use super::{failed, metrics};
use crate::args::{Progress as When, SurveyPace, SurveyRun, SurveyScope};
use crate::console::{Console, Tone};
use crate::error::Failed;
use crate::input;
use crate::interruption::Interruption;
use crate::policy::resolver;
use crate::{console, exit};

/// The version of the settings.
const SETTINGS_VERSION: u32 = 1;

pub(super) async fn run(args: &SurveyRun, plan_only: bool, interruption: Interruption) -> Result<u8, Failed> {
    let console = Console::new(&args.output);
    let protocol = protocol(&args.protocol)?;
    let client_name: ClientName = args
        .client_name
        .as_str()
        .parse()
        .map_err(|error| Failed::usage(format!("invalid --client-name: {error}")))?;
    for prefix in &args.scope.allow_special {
        console::warning(&format_args!("addresses in {prefix} are dialed, although they are not public"));
    }
    let monitor = Arc::new(Monitor::default());
    if let Some(address) = args.metrics {
        let address = metrics::serve(address, Arc::clone(&monitor)).await?;
        console.line(Tone::Plain, format_args!("metrics: http://{address}/metrics"));
    }
    let stub = resolver::stub(&args.resolver, args.timeout)?.max_pending(args.questions as usize * 2);
    let policy = policy(&args.scope)?;
    let (stopper, stop) = watch::channel(false);
    let survey = Survey {
        run: RunFolder::new(&args.out),
        settings: settings(args, protocol),
        protocol,
        audit: audit(args, client_name)?,
        stub: stub.clone(),
        policy: policy.clone(),
        suffixes: Suffixes::read(args.scope.suffix_list.as_deref()).map_err(failed)?,
        networks: match &args.scope.as_table {
            Some(path) => AsTable::read(path).map_err(failed)?,
            None => AsTable::default(),
        },
        opt_out: args.opt_out.clone(),
        questions: args.questions as usize,
        connections: args.parallel as usize,
        monitor: Arc::clone(&monitor),
        plan_only,
        stop,
    };

    let (stages, mut shown) = watch::channel(None);
    let (events, results) = (console, Arc::clone(&monitor));
    let mut note = move |event: SurveyEvent| {
        if let SurveyEvent::Begun(stage) = event {
            stages.send_replace(Some(stage));
        }
        show_event(&events, &event, &results);
    };
    let way_out = before_probe(args, protocol, &stub, &policy);
    let running = survey.run(|| open(&args.domains), &mut note, way_out);
    let mut interrupted = interruption.clone();
    let mut progress = Progress::new(args);
    let mut tick = tokio::time::interval(Progress::STEP);
    let mut running = std::pin::pin!(running);
    let mut signal = None;
    let ended = loop {
        tokio::select! {
            ended = &mut running => break ended,
            code = interrupted.code(), if signal.is_none() => {
                signal = Some(code);
                // Targets in work end first, so that their rows are kept.
                let _ = stopper.send(true);
            }
            _ = tick.tick() => {
                let stage = *shown.borrow_and_update();
                if let Some(stage) = stage {
                    progress.show(&console, &monitor.progress(stage));
                }
            }
        }
    };
    progress.clear();
    let done = if monitor.lacks_dns() { exit::INCONCLUSIVE } else { exit::DONE };
    Ok(match ended.map_err(failed)? {
        SurveyEnd::Stopped => signal.unwrap_or(exit::INCONCLUSIVE),
        SurveyEnd::Planned(plan) => {
            show_plan(&Console::result(&args.output), args, &plan);
            done
        }
        SurveyEnd::Finished(summary) => {
            show_summary(&Console::result(&args.output), &summary);
            if summary.throttled > 0 { exit::INCONCLUSIVE } else { done }
        }
    })
}

fn protocol(name: &str) -> Result<&'static Protocol, Failed> {
    PROTOCOLS.iter().copied().find(|it| it.name == name).ok_or_else(|| {
        let known: Vec<_> = PROTOCOLS.iter().map(|it| it.name).collect();
        Failed::usage(format!("unknown protocol \"{}\"", name.escape_debug()))
            .hint(Some(format!("use one of {}", known.join(", "))))
    })
}

fn settings(args: &SurveyRun, protocol: &Protocol) -> RunSettings {
    let SurveyPace { address_rate, subnet_rate, network_rate, suffix_rate, pause, retry_after } = &args.pace;
    let usual = Pace::default();
    let rate = |budget: Budget, per_second: &f64| Budget { per_second: *per_second, ..budget };
    RunSettings {
        schema_version: SETTINGS_VERSION,
        generator: format!("starttls {}", env!("CARGO_PKG_VERSION")),
        seed: args.scope.seed,
        probe: args.probe.into(),
        protocol: protocol.name.to_owned(),
        port: args.port.unwrap_or(protocol.port),
        samples: (!args.scope.every_name).then_some(args.scope.samples),
        retry_after: retry_after.0.clone(),
        pace: Pace {
            address: rate(usual.address, address_rate),
            subnet: rate(usual.subnet, subnet_rate),
            network: rate(usual.network, network_rate),
            suffix: rate(usual.suffix, suffix_rate),
            pause: *pause,
            longest_pause: *pause * 16,
        },
        client_name: args.client_name.to_string(),
        contact: args.contact.clone(),
        timeout: args.timeout,
        lanes: args.scope.lanes,
        evidence: args.scope.evidence.into(),
    }
}

fn audit(args: &SurveyRun, client_name: ClientName) -> Result<Audit, Failed> {
    let roots = args.ca_file.as_deref().map(|path| input::read(path, input::PEM)).transpose()?;
    let builder = || {
        let mut builder = Connector::builder().timeout(args.timeout).client_name(client_name.clone());
        if let Some(roots) = &roots {
            builder = builder.roots_pem(roots.clone());
        }
        if args.no_system_roots { builder.no_system_roots() } else { builder }
    };
    let limits = Limits { reply_timeout: args.timeout, ..Limits::default() };
    let audit = Audit::new(builder, limits)?.client_name(client_name.clone());
    let mut route = TcpRoute::direct();
    if let Some(source) = args.source {
        route = route.source(source);
    }
    Ok(audit.with_route(route))
}

fn policy(scope: &SurveyScope) -> Result<DialPolicy, Failed> {
    let mut policy = DialPolicy::default();
    for prefix in &scope.allow_special {
        policy = policy.allow(*prefix);
    }
    for prefix in &scope.block {
        policy = policy.block(*prefix);
    }
    if let Some(path) = &scope.blocklist {
        let text = std::fs::read_to_string(path)
            .map_err(|error| Failed::usage(format!("cannot read {}: {error}", path.display())))?;
        for (index, line) in text.lines().enumerate() {
            let entry = line.split('#').next().unwrap_or_default().trim();
            if !entry.is_empty() {
                let prefix: IpPrefix = entry.parse().map_err(|error| {
                    Failed::usage(format!("{} line {}: {error}", path.display(), index + 1))
                })?;
                policy = policy.block(prefix);
            }
        }
    }
    Ok(policy)
}

/// Checks the client's name and the way out.
async fn before_probe(
    args: &SurveyRun,
    protocol: &Protocol,
    stub: &Stub,
    policy: &DialPolicy,
) -> Result<(), SurveyError> {
    if args.own_networks && args.canary.is_none() {
        return Ok(());
    }
    if !args.own_networks {
        check_identity(stub, args.client_name.as_str(), args.source).await?;
    }
    let of_contact = || {
        let host = args.contact.as_deref()?.split("://").nth(1)?.split(['/', ':']).next()?;
        Some(host.to_owned())
    };
    let port = args.port.unwrap_or(protocol.port);
    match args.canary.clone().or_else(of_contact) {
        Some(host) => check_way_out(stub, &host, port, args.source, policy, args.timeout).await,
        None => Ok(()),
    }
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, SurveyError> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(std::io::stdin())));
    }
    let file = File::open(path).map_err(SurveyError::file(path))?;
    Ok(Box::new(BufReader::new(file)))
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
        SurveyEvent::Begun(_) => {}
    }
}

/// Shows what a survey will do, before it connects to a server.
fn show_plan(console: &Console, args: &SurveyRun, plan: &StagePlan) {
    let per_target = u64::from(starttls_survey::settings::ProbeKind::from(args.probe).connections());
    let lanes = plan.lanes.iter().filter(|it| it.targets > 0).count();
    console.fact("endpoints", plan.targets);
    console.fact("connections", format_args!("at most {} in the first pass", plan.targets * per_target));
    console.fact("lanes", lanes);
    console.fact("budgets", format_args!("need {} at least", words(plan.floor())));
    let traffic = plan.targets as f64 * per_target as f64 * BYTES_PER_CONNECTION / 1e9;
    console.fact("traffic", format_args!("about {traffic:.3} GB in the first pass"));
    console.line(Tone::Plain, "go on with starttls survey run and the same options");
}

/// The bytes of a connection with a public chain, headers included.
const BYTES_PER_CONNECTION: f64 = 8000.0;

pub(super) fn show_summary(console: &Console, summary: &JoinSummary) {
    let list = |counts: &std::collections::BTreeMap<String, u64>| {
        counts.iter().map(|(word, count)| format!("{word} {count}")).collect::<Vec<_>>().join(", ")
    };
    console.fact("domains", format_args!("{} ({})", summary.domains, list(&summary.by_status)));
    console.fact("best outcome", list(&summary.by_best));
    console.fact("certificates", summary.certificates);
    if summary.incomplete > 0 {
        console.fact(
            "incomplete",
            format_args!("{} domains have an endpoint without a result", summary.incomplete),
        );
    }
    if summary.throttled > 0 {
        console
            .fact("throttled", format_args!("{} endpoints of domains stayed throttled", summary.throttled));
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

    fn new(args: &SurveyRun) -> Self {
        let kind = match () {
            () if args.output.quiet || args.output.progress == When::Never => Kind::Silent,
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
