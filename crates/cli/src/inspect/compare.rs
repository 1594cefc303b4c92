//! `--compare`: two captures of the same connections, from both sides of a device.

use std::path::{Path, PathBuf};

use starttls_inspect::{
    Clue, Comparison, ConnectionDifference, ConnectionReport, Inspector, ReportLine, SCHEMA_VERSION, Weight,
    compare,
};
use starttls_report::Plain;

use super::source::Captures;
use super::text::{clue, title};
use super::{inspector, json_line};
use crate::args::{Inspect, InspectFormat};
use crate::console::{Console, Tone};
use crate::error::Failed;
use crate::exit;
use crate::output::Sink;

/// The first octets of each direction that are compared.
const COMPARED: usize = 64 * 1024;

/// Compares the captures and returns the exit code.
pub(super) fn run(args: &Inspect) -> Result<u8, Failed> {
    let [near, far] = args.compare.as_slice() else {
        return Err(Failed::usage("--compare needs two captures"));
    };
    let reports = |file: &PathBuf| connections(inspector(args)?.keeping(COMPARED), file);
    let comparison = compare(&reports(near)?, &reports(far)?);
    let console = Console::result(&args.output);
    let mut sink = Sink::open(&args.output)?;
    match args.format {
        InspectFormat::Text => text(&comparison, console, &mut sink)?,
        InspectFormat::Json => {
            for difference in &comparison.differences {
                json_line(&ReportLine::Difference { schema_version: SCHEMA_VERSION, difference }, &mut sink)?;
            }
            let line = ReportLine::Comparison { schema_version: SCHEMA_VERSION, comparison: &comparison };
            json_line(&line, &mut sink)?;
        }
        _ => return Err(Failed::usage("--compare writes text or json")),
    }
    let fail_on = Weight::from(args.fail_on);
    let fails = |it: &ConnectionDifference| it.findings.iter().any(|it| it.finding.severity >= fail_on);
    Ok(match comparison.matched {
        0 => exit::INCONCLUSIVE,
        _ if comparison.differences.iter().any(fails) => exit::FINDINGS,
        _ => exit::DONE,
    })
}

fn connections(mut inspector: Inspector, file: &Path) -> Result<Vec<ConnectionReport>, Failed> {
    let captures = Captures { files: vec![file.to_owned()], merge: false, follow: false };
    let mut reports = Vec::new();
    captures.read(
        &mut |packet| {
            inspector.packet(packet);
            reports.extend(inspector.take_finished());
            Ok(true)
        },
        &|| true,
    )?;
    inspector.finish();
    reports.extend(inspector.take_finished());
    Ok(reports)
}

fn text(comparison: &Comparison, console: Console, sink: &mut Sink) -> Result<(), Failed> {
    for difference in &comparison.differences {
        let (near, far) = (&difference.near, &difference.far);
        let ends = format!("{} -> {}", near.client, near.server);
        let elsewhere = match (&near.client, &near.server) == (&far.client, &far.server) {
            true => String::new(),
            false => format!(" (far: {} -> {})", far.client, far.server),
        };
        sink.line(&console.word(Tone::Heading, &format!("{ends}{elsewhere}")))?;
        for it in &difference.findings {
            let title = title(&it.finding, console);
            sink.line(&format!("  {title}  {}", Plain(&it.finding.summary)))?;
            let shown = |name: &str, evidence: &[Clue], sink: &mut Sink| {
                evidence.iter().try_for_each(|it| sink.line(&format!("      {name}: {}", clue(it))))
            };
            shown("near", &it.finding.evidence, sink)?;
            shown("far", &it.far_evidence, sink)?;
        }
    }
    let Comparison { matched, only_near, only_far, differences } = comparison;
    sink.line(&format!(
        "connections in both captures: {matched}, different: {}; only in the first: {only_near}, only in the second: \
         {only_far}",
        differences.len()
    ))
}
