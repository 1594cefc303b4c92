//! `starttls attack`: tests clients with a man in the middle.

mod list;
mod present;
mod stage;
mod watch;

use std::sync::Arc;
use std::time::Duration;

use starttls::proto::{Protocol, Start};
use starttls_attack::report::AttackReport;
use starttls_attack::{Campaign, DomainPorts, Scenario, Shell, render};
use starttls_report::nearest;

use crate::args::{Attack, AttackFormat};
use crate::console::Console;
use crate::error::Failed;
use crate::exit;
use crate::interruption::Interruption;
use crate::output::Sink;
use present::{banner, code, style};
use stage::LabStage;

/// Runs the command and returns its exit code.
pub(crate) async fn run(args: &Attack, interruption: Interruption) -> Result<u8, Failed> {
    let protocol = args.protocol.as_deref().map(protocol).transpose()?;
    let scenarios = scenarios()?;
    let Some(protocol) = protocol.filter(|_| !args.list) else {
        return list::run(args, protocol, &scenarios);
    };
    let chosen = choose(args, protocol, scenarios)?;
    if chosen.is_empty() {
        let hint = format!("starttls attack {} --list shows the reasons", protocol.name);
        let text = format!("none of the selected scenarios applies to {}", protocol.title);
        return Err(Failed::usage(text).hint(Some(hint)));
    }
    match (&args.run, args.serve.or(args.listen)) {
        (Some(command), _) => campaign(args, protocol, chosen, command, interruption).await,
        (None, Some(address)) => watch::run(args, protocol, chosen, address, interruption).await,
        (None, None) => {
            let hint = format!(
                "for example: starttls attack {} --run './my-client {{host}} {{port}} {{ca}}'",
                protocol.name
            );
            let text = "no client is specified: use --run, --serve or --upstream";
            Err(Failed::usage(text).hint(Some(hint)))
        }
    }
}

async fn campaign(
    args: &Attack,
    protocol: &'static Protocol,
    scenarios: Vec<Scenario>,
    command: &str,
    mut interruption: Interruption,
) -> Result<u8, Failed> {
    // Processes that a client starts may outlive it, in their own process group and session.
    starttls_processes::adopt_orphans()?;
    let mut sink = Sink::replacing(&args.output)?;
    let stage = Arc::new(LabStage::new()?);
    let console = Console::new(&args.output);
    banner(&console, protocol, &format!("scenarios: {}, {} at a time", scenarios.len(), args.jobs));
    let campaign = Campaign {
        protocol,
        scenarios,
        environment: stage.clone(),
        subject: Arc::new(Shell(command.to_owned())),
        timeout: args.timeout,
        jobs: if args.real_ports { 1 } else { args.jobs.into() },
        repeat: args.repeat.into(),
        domain: match (args.domain, args.real_ports) {
            (false, _) => None,
            (true, false) => Some(DomainPorts::default()),
            (true, true) => Some(DomainPorts::REAL),
        },
    };
    let mut interrupted = None;
    let stop = async { interrupted = Some(interruption.code().await) };
    let report = campaign.run_until(stop).await;
    let ended = tokio::task::spawn_blocking(move || {
        starttls_processes::end_descendants();
        release(stage);
    });
    ended.await.map_err(|error| Failed::new(exit::BUG, error.to_string()))?;
    let report = report.map_err(|error| Failed::new(exit::INCONCLUSIVE, error.to_string()))?;
    if interrupted.is_some() {
        crate::console::warning(&format!(
            "the report is partial: {} scenarios are missing",
            report.unfinished.len()
        ));
    }
    sink.line(shown(args, command, &report).trim_end())?;
    sink.finish()?;
    let outcomes = report.scenarios.iter().map(|it| it.outcome).chain([report.control.outcome]);
    Ok(interrupted.unwrap_or_else(|| code(outcomes, args.fail_on)))
}

/// Drops the lab, which removes its folder. A key that is being generated for an interrupted run keeps the lab alive for a
/// moment.
fn release(mut stage: Arc<LabStage>) {
    const PAUSE: Duration = Duration::from_millis(10);
    for _ in 0..500 {
        match Arc::try_unwrap(stage) {
            Ok(whole) => return drop(whole),
            Err(shared) => stage = shared,
        }
        std::thread::sleep(PAUSE);
    }
}

fn shown(args: &Attack, command: &str, report: &AttackReport) -> String {
    match args.format {
        AttackFormat::Text => render::text::render(report, style(args)),
        AttackFormat::Json => render::json::render(report),
        AttackFormat::Junit => render::junit::render(report, args.fail_on.into()),
        AttackFormat::Sarif => {
            render::sarif::render(report, &args.sarif_location.clone().unwrap_or_else(|| location(command)))
        }
    }
}

/// Returns the first word of the command that is a file in the working directory; otherwise the first word.
fn location(command: &str) -> String {
    let is_path = |word: &&str| !word.starts_with('/') && !word.contains("..");
    let file = command.split_whitespace().filter(is_path).find(|word| std::path::Path::new(word).is_file());
    let first = || command.split_whitespace().next().map(|word| word.trim_start_matches('/'));
    file.or_else(first).unwrap_or("client").to_owned()
}

fn protocol(name: &str) -> Result<&'static Protocol, Failed> {
    match starttls::proto::scheme(name) {
        Some((upgrading, Start::FirstByte)) => {
            let hint = format!("use {}, which has the upgrade", upgrading.name);
            Err(Failed::usage(format!("{name} starts TLS at the first byte: there is no upgrade to attack"))
                .hint(Some(hint)))
        }
        Some((protocol, _)) => Ok(protocol),
        None => Err(crate::target::unknown(name, "")),
    }
}

/// Returns every scenario.
pub(crate) fn scenarios() -> Result<Vec<Scenario>, Failed> {
    Scenario::all().map_err(|error| Failed::new(exit::BUG, error.to_string()))
}

fn choose(args: &Attack, protocol: &Protocol, all: Vec<Scenario>) -> Result<Vec<Scenario>, Failed> {
    let named = |id: &str, names: &[String]| names.iter().any(|name| id.starts_with(name.as_str()));
    let wanted = args.only.iter().chain(&args.skip).chain(&args.scenario);
    if let Some(name) = wanted.into_iter().find(|name| !all.iter().any(|it| it.id.starts_with(name.as_str())))
    {
        return Err(unknown(name, &all));
    }
    if let Some(id) = &args.scenario {
        let found = all.iter().position(|it| it.id == *id);
        let one = all[found.ok_or_else(|| unknown(id, &all))?].clone();
        if one.needs_domain() != args.domain {
            let (needs, hint) = match one.needs_domain() {
                true => ("attacks a domain", "use it with --domain and --run"),
                false => ("attacks a connection", "use it without --domain"),
            };
            return Err(Failed::usage(format!("{id} {needs}")).hint(Some(hint.into())));
        }
        return match one.inapplicable(protocol) {
            Some(why) => Err(Failed::usage(format!("{id} does not apply to {}: {why}", protocol.title))),
            None => Ok(vec![one]),
        };
    }
    let kept = |it: &Scenario| {
        it.inapplicable(protocol).is_none()
            && it.needs_domain() == args.domain
            && (args.only.is_empty() || named(&it.id, &args.only))
            && !named(&it.id, &args.skip)
    };
    Ok(all.into_iter().filter(kept).collect())
}

/// Returns the text of `starttls explain ID`; `None` if no scenario has this id.
pub(crate) fn explain(id: &str) -> Result<Option<String>, Failed> {
    let scenario = scenarios()?.into_iter().find(|scenario| scenario.id == id);
    Ok(scenario.map(|it| {
        let everywhere = starttls::proto::PROTOCOLS.iter();
        let names: Vec<_> =
            everywhere.filter(|protocol| it.inapplicable(protocol).is_none()).map(|it| it.name).collect();
        format!(
            "{}: {}\n\nWhat happens\n{}\n\nA sound client\n{}\n\nA client that is not sound\n{}\n\nFix\n{}\n\nProtocols\n{}\n\nReference\n{}\n",
            it.id,
            it.title,
            it.what.trim(),
            it.sound,
            it.fooled,
            it.fix,
            names.join(" "),
            it.reference
        )
    }))
}

/// Returns the failure for an unknown id, with all valid ids, the most similar one first.
fn unknown(id: &str, all: &[Scenario]) -> Failed {
    let ids: Vec<&str> = all.iter().map(|it| it.id.as_str()).collect();
    let meant = nearest(id, ids.iter().copied());
    let meant = meant.map(|it| format!("did you mean {it}? ")).unwrap_or_default();
    let hint = format!("{meant}valid ids, or the start of one: {}", ids.join(", "));
    Failed::usage(format!("unknown scenario \"{}\"", id.escape_debug())).hint(Some(hint))
}
