//! `survey run` and `survey plan`.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use starttls::Connector;
use starttls::dialer::TcpRoute;
use starttls::proto::{ClientName, PROTOCOLS, Protocol};
use starttls_audit::{Audit, Limits};
use starttls_dns::{DialPolicy, DnsName, IpPrefix, Stub};
use starttls_survey::budget::{Budget, Pace};
use starttls_survey::identity::{check_identity, check_way_out};
use starttls_survey::monitor::Monitor;
use starttls_survey::network::AsTable;
#[cfg(feature = "nats")]
use starttls_survey::queue::NatsRun;
use starttls_survey::settings::RunSettings;
use starttls_survey::suffix::Suffixes;
use starttls_survey::{JoinSummary, RunFolder, StagePlan, Survey, SurveyEnd, SurveyError, Surveyor, Workers};
use tokio::sync::watch;

use super::status::words;
use super::view::View;
use super::{failed, metrics};
use crate::args::{Output, SurveyMachine, SurveyPace, SurveyRun};
use crate::console::{Console, Tone};
use crate::error::Failed;
use crate::input;
use crate::interruption::Interruption;
use crate::policy::resolver;
use crate::{console, exit};

/// The version of the settings.
const SETTINGS_VERSION: u32 = 1;

pub(super) async fn run(args: &SurveyRun, plan_only: bool, interruption: Interruption) -> Result<u8, Failed> {
    let protocol = protocol(&args.protocol)?;
    let settings = settings(args, protocol);
    let monitor = Arc::new(Monitor::default());
    if let Some(address) = args.machine.metrics {
        metrics::start(address, &monitor, &args.output).await?;
    }
    let (stopper, stop) = watch::channel(false);
    let (workers, way_out) = match workers_elsewhere(args).await? {
        Some(workers) => (workers, None),
        None => {
            let surveyor = surveyor(
                &args.machine,
                &args.client_name,
                settings.clone(),
                Arc::clone(&monitor),
                stop.clone(),
            )?;
            let way_out = WayOut::new(&args.machine, &args.client_name, &surveyor);
            (Workers::Here(Box::new(surveyor)), Some(way_out))
        }
    };
    let survey = Survey {
        run: RunFolder::new(&args.out),
        settings,
        workers,
        suffixes: Suffixes::read(args.scope.suffix_list.as_deref()).map_err(failed)?,
        networks: networks(args.scope.as_table.as_deref())?,
        monitor,
        plan_only,
        stop,
    };
    let before_probe = async {
        match way_out {
            Some(way_out) => way_out.check().await,
            None => Ok(()),
        }
    };
    let view = View::new(&args.output, Arc::clone(&survey.monitor), stopper);
    let mut note = view.note();
    let running = survey.run(|| open(&args.domains), &mut note, before_probe);
    let (ended, signal) = view.watch(running, interruption).await;
    finished(&args.output, &survey, ended.map_err(failed)?, signal)
}

/// Shows how a survey ended, and returns the exit code.
pub(super) fn finished(
    output: &Output,
    survey: &Survey,
    ended: SurveyEnd,
    signal: Option<u8>,
) -> Result<u8, Failed> {
    let done = if survey.monitor.lacks_dns() { exit::INCONCLUSIVE } else { exit::DONE };
    Ok(match ended {
        SurveyEnd::Stopped => signal.unwrap_or(exit::INCONCLUSIVE),
        SurveyEnd::Planned(plan) => {
            show_plan(&Console::result(output), survey, &plan);
            done
        }
        SurveyEnd::Finished(summary) => {
            show_summary(&Console::result(output), &summary);
            if summary.throttled > 0 { exit::INCONCLUSIVE } else { done }
        }
    })
}

/// Returns the queue that the work is published to, if the user wants that.
#[cfg(feature = "nats")]
async fn workers_elsewhere(args: &SurveyRun) -> Result<Option<Workers>, Failed> {
    let Some((address, name)) = super::nats::named(&args.queue)? else { return Ok(None) };
    let queue = NatsRun::create(&address, name, args.lease).await.map_err(failed)?;
    Ok(Some(Workers::Queue(Box::new(queue))))
}

#[cfg(not(feature = "nats"))]
#[expect(clippy::unused_async, reason = "with the feature nats it connects to the queue")]
async fn workers_elsewhere(_: &SurveyRun) -> Result<Option<Workers>, Failed> {
    Ok(None)
}

pub(super) fn networks(as_table: Option<&Path>) -> Result<AsTable, Failed> {
    as_table.map(AsTable::read).transpose().map(Option::unwrap_or_default).map_err(failed)
}

/// Returns what this machine needs to work on shards.
pub(super) fn surveyor(
    args: &SurveyMachine,
    client_name: &DnsName,
    settings: RunSettings,
    monitor: Arc<Monitor>,
    stop: watch::Receiver<bool>,
) -> Result<Surveyor, Failed> {
    let client_name: ClientName = client_name
        .as_str()
        .parse()
        .map_err(|error| Failed::usage(format!("invalid --client-name: {error}")))?;
    for prefix in &args.allow_special {
        console::warning(&format_args!("addresses in {prefix} are dialed, although they are not public"));
    }
    let stub = resolver::stub(&args.resolver, settings.timeout)?.max_pending(args.questions as usize * 2);
    Ok(Surveyor {
        protocol: protocol(&settings.protocol)?,
        audit: audit(args, client_name, settings.timeout)?,
        settings,
        stub,
        policy: policy(args)?,
        opt_out: args.opt_out.clone(),
        questions: args.questions as usize,
        connections: args.parallel as usize,
        monitor,
        stop,
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

fn audit(args: &SurveyMachine, client_name: ClientName, timeout: Duration) -> Result<Audit, Failed> {
    let roots = args.ca_file.as_deref().map(|path| input::read(path, input::PEM)).transpose()?;
    let builder = || {
        let mut builder = Connector::builder().timeout(timeout).client_name(client_name.clone());
        if let Some(roots) = &roots {
            builder = builder.roots_pem(roots.clone());
        }
        if args.no_system_roots { builder.no_system_roots() } else { builder }
    };
    let limits = Limits { reply_timeout: timeout, ..Limits::default() };
    let audit = Audit::new(builder, limits)?.client_name(client_name.clone());
    let mut route = TcpRoute::direct();
    if let Some(source) = args.source {
        route = route.source(source);
    }
    Ok(audit.with_route(route))
}

fn policy(args: &SurveyMachine) -> Result<DialPolicy, Failed> {
    let mut policy = DialPolicy::default();
    for prefix in &args.allow_special {
        policy = policy.allow(*prefix);
    }
    for prefix in &args.block {
        policy = policy.block(*prefix);
    }
    if let Some(path) = &args.blocklist {
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

/// What is checked before the first connection to a server.
pub(super) struct WayOut<'a> {
    args: &'a SurveyMachine,
    stub: Stub,
    policy: DialPolicy,
    client_name: String,
    contact: Option<String>,
    port: u16,
    timeout: Duration,
}

impl<'a> WayOut<'a> {
    pub(super) fn new(args: &'a SurveyMachine, client_name: &DnsName, surveyor: &Surveyor) -> Self {
        Self {
            args,
            stub: surveyor.stub.clone(),
            policy: surveyor.policy.clone(),
            client_name: client_name.to_string(),
            contact: surveyor.settings.contact.clone(),
            port: surveyor.settings.port,
            timeout: surveyor.settings.timeout,
        }
    }

    /// Checks the client's name and the way out.
    pub(super) async fn check(&self) -> Result<(), SurveyError> {
        let Self { args, stub, policy, client_name, contact, port, timeout } = self;
        if args.own_networks && args.canary.is_none() {
            return Ok(());
        }
        if !args.own_networks {
            check_identity(stub, client_name, args.source).await?;
        }
        let of_contact = || {
            let host = contact.as_deref()?.split("://").nth(1)?.split(['/', ':']).next()?;
            Some(host.to_owned())
        };
        match args.canary.clone().or_else(of_contact) {
            Some(host) => check_way_out(stub, &host, *port, args.source, policy, *timeout).await,
            None => Ok(()),
        }
    }
}

fn open(path: &Path) -> Result<Box<dyn BufRead>, SurveyError> {
    if path == Path::new("-") {
        return Ok(Box::new(BufReader::new(std::io::stdin())));
    }
    let file = File::open(path).map_err(SurveyError::file(path))?;
    Ok(Box::new(BufReader::new(file)))
}

/// Shows what a survey will do, before it connects to a server.
fn show_plan(console: &Console, survey: &Survey, plan: &StagePlan) {
    let per_target = u64::from(survey.settings.probe.connections());
    let lanes = plan.lanes.iter().filter(|it| it.targets > 0).count();
    console.fact("endpoints", plan.targets);
    console.fact("connections", format_args!("at most {} in the first pass", plan.targets * per_target));
    console.fact("lanes", lanes);
    console.fact("budgets", format_args!("need {} at least", words(plan.floor())));
    let traffic = plan.targets as f64 * per_target as f64 * BYTES_PER_CONNECTION / 1e9;
    console.fact("traffic", format_args!("about {traffic:.3} GB in the first pass"));
    console.line(
        Tone::Plain,
        match survey.workers {
            Workers::Here(_) => "go on with starttls survey run and the same options",
            #[cfg(feature = "nats")]
            Workers::Queue(_) => "go on with starttls survey collect; the workers get the rest then",
        },
    );
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
