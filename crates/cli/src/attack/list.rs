//! `starttls attack --list`.

use serde_json::{Value, json};
use starttls::proto::{PROTOCOLS, Protocol};
use starttls_attack::Scenario;

use crate::args::{Attack, AttackFormat};
use crate::error::Failed;
use crate::exit;
use crate::output::Sink;

/// Lists the scenarios. For one protocol, also lists the scenarios that do not apply to it, with the reason.
pub(super) fn run(args: &Attack, protocol: Option<&Protocol>, all: &[Scenario]) -> Result<u8, Failed> {
    let mut sink = Sink::open(&args.output)?;
    match args.format {
        AttackFormat::Text => text(&mut sink, protocol, all)?,
        AttackFormat::Json => {
            let scenarios: Vec<Value> = all.iter().map(|it| as_json(it, protocol)).collect();
            sink.line(&json!({ "schema_version": 1, "scenarios": scenarios }).to_string())?;
        }
        AttackFormat::Junit | AttackFormat::Sarif => {
            return Err(Failed::usage("--list supports only the formats text and json"));
        }
    }
    Ok(exit::DONE)
}

fn text(sink: &mut Sink, protocol: Option<&Protocol>, all: &[Scenario]) -> Result<(), Failed> {
    let mut without = Vec::new();
    for scenario in all {
        match protocol.and_then(|protocol| scenario.inapplicable(protocol)) {
            None => {
                let how = if scenario.needs_domain() { " (--domain)" } else { "" };
                sink.line(&format!("{:<24} {}{how}", scenario.id, scenario.title))?;
            }
            Some(why) => without.push(format!("{:<24} {why}", scenario.id)),
        }
    }
    if let (Some(protocol), false) = (protocol, without.is_empty()) {
        sink.line(&format!("\nNot applicable to {}:", protocol.title))?;
        without.iter().try_for_each(|line| sink.line(line))?;
    }
    Ok(())
}

fn as_json(scenario: &Scenario, protocol: Option<&Protocol>) -> Value {
    let applies = |it: &&&Protocol| scenario.inapplicable(it).is_none();
    let protocols: Vec<_> = PROTOCOLS.iter().filter(applies).map(|it| it.name).collect();
    let mut listed = json!({
        "id": scenario.id, "title": scenario.title, "what": scenario.what.trim(), "sound": scenario.sound,
        "not_sound": scenario.fooled, "fix": scenario.fix, "reference": scenario.reference, "protocols": protocols,
        "domain": scenario.needs_domain(),
    });
    if let Some(protocol) = protocol {
        listed["not_applicable"] = json!(scenario.inapplicable(protocol));
    }
    listed
}
