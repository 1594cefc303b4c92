//! `starttls attack`: a man in the middle, for testing clients.

mod stage;
mod watch;

use std::sync::Arc;

use starttls::proto::{Protocol, Start};
use starttls_attack::report::{Outcome, Report};
use starttls_attack::{Campaign, Scenario, Shell, render};

use crate::args::{Attack, AttackFormat};
use crate::exit;
use crate::failure::Failed;
use crate::output::Sink;
use crate::talk::{Talk, Tone};
use stage::LabStage;

/// Runs the command and returns its exit code.
pub(crate) async fn run(args: &Attack) -> Result<u8, Failed> {
    let protocol = args.protocol.as_deref().map(protocol).transpose()?;
    let scenarios = scenarios()?;
    let Some(protocol) = protocol.filter(|_| !args.list) else { return list(args, protocol, &scenarios) };
    let chosen = choose(args, protocol, scenarios)?;
    if chosen.is_empty() {
        let hint = format!("starttls attack {} --list says why", protocol.name);
        let text = format!("none of these scenarios has a meaning in {}", protocol.title);
        return Err(Failed::usage(text).hint(Some(hint)));
    }
    match (&args.run, args.serve.or(args.listen)) {
        (Some(command), _) => campaign(args, protocol, chosen, command).await,
        (None, Some(address)) => watch::run(args, protocol, chosen, address).await,
        (None, None) => {
            let hint = format!(
                "for example: starttls attack {} --run './my-client {{host}} {{port}} {{ca}}'",
                protocol.name
            );
            let text = "which client shall be tested? --run, --serve or --upstream says so";
            Err(Failed::usage(text).hint(Some(hint)))
        }
    }
}

async fn campaign(
    args: &Attack,
    protocol: &'static Protocol,
    scenarios: Vec<Scenario>,
    command: &str,
) -> Result<u8, Failed> {
    let mut sink = Sink::open(&args.output)?;
    let stage = Arc::new(LabStage::new()?);
    let talk = Talk::new(&args.output);
    banner(&talk, protocol, &format!("scenarios: {}, {} at a time", scenarios.len(), args.jobs));
    let campaign = Campaign {
        protocol,
        scenarios,
        stage: stage.clone(),
        subject: Arc::new(Shell(command.to_owned())),
        timeout: args.timeout,
        jobs: args.jobs.into(),
    };
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    let report = tokio::select! {
        report = campaign.run() => report.map_err(|error| Failed::new(exit::INCONCLUSIVE, error)),
        _ = &mut interrupted => return Ok(exit::INTERRUPTED),
    };
    // Threads and folders go with it, which must not happen on this runtime.
    let _ = tokio::task::spawn_blocking(move || drop(stage)).await;
    let report = report?;
    sink.line(shown(args, &report).trim_end())?;
    Ok(code(report.outcome))
}

fn code(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Sound | Outcome::Refused => exit::DONE,
        Outcome::Fooled => exit::FINDINGS,
        Outcome::Hung | Outcome::Inconclusive => exit::INCONCLUSIVE,
    }
}

fn shown(args: &Attack, report: &Report) -> String {
    match args.format {
        AttackFormat::Text => render::text::render(report, style(args)),
        AttackFormat::Json => render::json::render(report),
        AttackFormat::Junit => render::junit::render(report),
        AttackFormat::Sarif => render::sarif::render(report, None),
    }
}

fn style(args: &Attack) -> render::text::Style {
    let colored = Talk::result(&args.output).is_colored() && args.output.output.is_none();
    render::text::Style { verbose: args.output.verbose, paint: colored.then_some(paint) }
}

fn paint(outcome: Outcome) -> (&'static str, &'static str) {
    let color = match outcome {
        Outcome::Sound => "\x1b[1;32m",
        Outcome::Fooled => "\x1b[1;31m",
        Outcome::Refused | Outcome::Hung | Outcome::Inconclusive => "\x1b[33m",
    };
    (color, "\x1b[0m")
}

/// What this is, for whoever finds it running.
fn banner(talk: &Talk, protocol: &Protocol, what: &str) {
    talk.line(
        Tone::Plain,
        format_args!(
            "starttls attack: a man in the middle, to test clients that you may test. {}, {what}.\n",
            protocol.title
        ),
    );
}

fn protocol(name: &str) -> Result<&'static Protocol, Failed> {
    match starttls::proto::scheme(name) {
        Some((upgrading, Start::FirstByte)) => {
            let hint = format!("the upgrade is in {}", upgrading.name);
            Err(Failed::usage(format!("{name} starts with TLS: nothing comes before it")).hint(Some(hint)))
        }
        Some((protocol, _)) => Ok(protocol),
        None => Err(crate::target::unknown(name, "")),
    }
}

/// Every scenario.
pub(crate) fn scenarios() -> Result<Vec<Scenario>, Failed> {
    Scenario::all().map_err(|error| Failed::new(exit::BUG, error))
}

fn choose(args: &Attack, protocol: &Protocol, all: Vec<Scenario>) -> Result<Vec<Scenario>, Failed> {
    let named = |id: &str, names: &[String]| names.iter().any(|name| id.starts_with(name.as_str()));
    let wanted = args.only.iter().chain(&args.skip).chain(&args.scenario);
    if let Some(name) = wanted.into_iter().find(|name| !all.iter().any(|it| it.id.starts_with(name.as_str())))
    {
        return Err(unknown(name));
    }
    if let Some(id) = &args.scenario {
        let one = all.into_iter().find(|it| it.id == *id).ok_or_else(|| unknown(id))?;
        return match one.inapplicable(protocol) {
            Some(why) => Err(Failed::usage(format!("{id} has no meaning in {}: {why}", protocol.title))),
            None => Ok(vec![one]),
        };
    }
    let kept = |it: &Scenario| {
        it.inapplicable(protocol).is_none()
            && (args.only.is_empty() || named(&it.id, &args.only))
            && !named(&it.id, &args.skip)
    };
    Ok(all.into_iter().filter(kept).collect())
}

/// `starttls explain ID`, for a scenario; `None` if there is none with this id.
pub(crate) fn explain(id: &str) -> Result<Option<String>, Failed> {
    let scenario = scenarios()?.into_iter().find(|scenario| scenario.id == id);
    Ok(scenario.map(|it| {
        let everywhere = starttls::proto::PROTOCOLS.iter();
        let names: Vec<_> =
            everywhere.filter(|protocol| it.inapplicable(protocol).is_none()).map(|it| it.name).collect();
        format!(
            "{}: {}\n\nWhat happens\n{}\n\nA sound client\n{}\n\nA client that is fooled\n{}\n\nProtocols\n{}\n\nReference\n{}\n",
            it.id,
            it.title,
            it.what.trim(),
            it.sound,
            it.fooled,
            names.join(" "),
            it.reference
        )
    }))
}

fn unknown(id: &str) -> Failed {
    let hint = String::from("see them all: starttls attack --list");
    Failed::usage(format!("there is no scenario \"{}\"", id.escape_debug())).hint(Some(hint))
}

/// The scenarios; of one protocol, also those that have no meaning there, and why not.
fn list(args: &Attack, protocol: Option<&Protocol>, all: &[Scenario]) -> Result<u8, Failed> {
    let mut sink = Sink::open(&args.output)?;
    let mut without = Vec::new();
    for scenario in all {
        match protocol.and_then(|protocol| scenario.inapplicable(protocol)) {
            None => sink.line(&format!("{:<24} {}", scenario.id, scenario.title))?,
            Some(why) => without.push(format!("{:<24} {why}", scenario.id)),
        }
    }
    if let (Some(protocol), false) = (protocol, without.is_empty()) {
        sink.line(&format!("\nWithout a meaning in {}:", protocol.title))?;
        without.iter().try_for_each(|line| sink.line(line))?;
    }
    Ok(exit::DONE)
}
