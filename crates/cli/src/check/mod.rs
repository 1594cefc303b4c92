//! `starttls check`: audits servers. `starttls explain`: explains checks and attacks.

mod advice;
mod domain;
mod formats;
mod judge;
mod limits;
mod list;
mod options;
mod partial;
mod policies;
mod profile;
mod progress;
mod report;
mod resolved;
mod resume;
mod run;
mod selection;
#[cfg(feature = "lab")]
mod self_test;
mod targets;

use std::collections::HashSet;
use std::sync::Arc;

use starttls_audit::check::check;

use crate::args::{Check, Explain, ReportFormat};
use crate::error::Failed;
use crate::exit;
use crate::interruption::Interruption;
use crate::output::Sink;
use judge::Judge;
use partial::Unfinished;
use progress::Progress;
use report::{Outcome, Output};
use resume::EarlierRun;
use run::{Item, Queue};
use selection::Selected;
use targets::Targets;

/// Runs the command and returns its exit code.
pub(crate) async fn run(args: &Check, mut interruption: Interruption) -> Result<u8, Failed> {
    match run_inner(args, &mut interruption).await {
        Err(failed) if formats::is_plugin(args) => formats::failed_plugin(&failed),
        ended => ended,
    }
}

/// Runs the command. Unknown checks are reported before anything is dialed.
async fn run_inner(args: &Check, interruption: &mut Interruption) -> Result<u8, Failed> {
    let selected = Selected::new(args)?;
    match () {
        () if args.list => list::run(args, &selected),
        #[cfg(feature = "lab")]
        () if args.targets.is_empty() && args.file.is_none() => self_test::run(args, interruption).await,
        #[cfg(not(feature = "lab"))]
        () if args.targets.is_empty() && args.file.is_none() => Err(no_target()),
        () => audit(args, selected, interruption).await,
    }
}

/// Returns the failure of a check that has no target.
fn no_target() -> Failed {
    let hint = String::from("specify one, for example: starttls check submission://mail.example.com");
    Failed::usage("no target is specified").hint(Some(hint))
}

/// How long the end of a target may be on its way when a signal arrives.
const LATE: std::time::Duration = std::time::Duration::from_millis(500);

async fn audit(args: &Check, selected: Selected, interruption: &mut Interruption) -> Result<u8, Failed> {
    let judge = Judge::new(args, selected.servers.clone())?;
    let lines = targets::read(args)?;
    if lines.is_empty() {
        let hint = String::from("write one target per line, for example smtp://mail.example.com");
        return Err(Failed::usage("the file contains no target").hint(Some(hint)));
    }
    if args.resume.is_some() && (args.format != [ReportFormat::Json] || args.output_dir.is_some()) {
        let hint = String::from("use only --format json, and --output instead of --output-dir");
        return Err(Failed::usage("--resume needs the format json").hint(Some(hint)));
    }
    let is_lines = formats::is_lines(args, lines.len());
    let earlier = args.resume.as_deref().map(|path| EarlierRun::read(path, &judge, &lines)).transpose()?;
    let earlier = Arc::new(earlier.unwrap_or_default());
    let new: Vec<_> = lines.into_iter().filter(|line| !earlier.is_finished(&line.text)).collect();
    let again: HashSet<_> = new.iter().map(|line| line.text.clone()).collect();
    let targets = Targets::new(new);
    let mut progress = Progress::new(&args.output, &targets);
    let appended = earlier.continued(args.output.output.as_deref());
    let mut unfinished = Unfinished::new(&targets);
    let mut queue = Queue::new(args, selected, targets.distinct, Arc::clone(&earlier))?;
    let output = match (appended, is_lines) {
        (Some((path, length)), _) => Output::Lines(Sink::append(&path, length)?),
        (None, true) => Output::Lines(Sink::open(&args.output)?),
        (None, false) => Output::Whole(formats::Destinations::open(args)?),
    };
    let mut outcome = Outcome::new(args, output, earlier.code(&again));
    loop {
        let next = tokio::select! {
            biased;
            code = interruption.code() => Err(code),
            next = queue.next() => Ok(next),
        };
        progress.clear();
        let next = match next {
            Ok(next) => next,
            Err(code) => {
                // The end of a target follows its last endpoint, which the report may already contain.
                let late = tokio::time::timeout(LATE, queue.next()).await;
                if let Ok(Some((_, Item::End))) = late {
                    unfinished.finish();
                }
                return outcome.interrupted(args, &unfinished, code);
            }
        };
        let Some((asked, item)) = next else { break };
        let same = targets.same.get(&asked).map(Vec::as_slice).unwrap_or_default();
        progress.note(&asked, &item, same.len());
        if matches!(item, Item::End | Item::Failed(_)) {
            unfinished.finish();
        }
        match item {
            Item::LookedUp(lookups) => outcome.looked_up(same, &lookups)?,
            Item::Endpoint(endpoint) => outcome.audited(same, judge.judged(*endpoint))?,
            Item::Failed(failed) => outcome.failed(same, &failed)?,
            Item::End => {}
        }
        progress.draw();
    }
    outcome.end(args)
}

/// `starttls explain ID`.
pub(crate) fn explain(args: &Explain) -> Result<u8, Failed> {
    use std::io::Write;
    if args.id == "profile" {
        profile::explain(args.profile.as_deref())?;
        return Ok(exit::DONE);
    }
    if let Some(name) = &args.profile {
        let what = format!("unexpected argument \"{}\"", name.escape_debug());
        let hint = String::from("only `starttls explain profile NAME` has a second argument");
        return Err(Failed::usage(what).hint(Some(hint)));
    }
    #[cfg(feature = "attack")]
    if let Some(scenario) = crate::attack::explain(&args.id)? {
        write!(std::io::stdout().lock(), "{scenario}")?;
        return Ok(exit::DONE);
    }
    #[cfg(feature = "inspect")]
    if let Some(finding) = crate::inspect::explain(&args.id) {
        write!(std::io::stdout().lock(), "{finding}")?;
        return Ok(exit::DONE);
    }
    if let Some(rule) = crate::policy::check::explain(&args.id) {
        write!(std::io::stdout().lock(), "{rule}")?;
        return Ok(exit::DONE);
    }
    let row = check(&args.id).ok_or_else(|| {
        let (kind, hint) = match cfg!(feature = "attack") {
            true => ("check or attack", "starttls check --list and starttls attack --list show all ids"),
            false => ("check", "starttls check --list shows all ids"),
        };
        Failed::usage(format!("unknown {kind} \"{}\"", args.id.escape_debug())).hint(Some(hint.to_owned()))
    })?;
    let severity = format!("{:?}", row.severity).to_lowercase();
    let mut out = std::io::stdout().lock();
    writeln!(out, "{}: {} ({severity})\n", row.id, row.title)?;
    writeln!(out, "Why it matters\n{}\n", row.why)?;
    writeln!(out, "Fix\n{}\n", row.fix)?;
    writeln!(out, "Specification\n{}", row.spec)?;
    Ok(exit::DONE)
}
