//! The command `survey`.

mod metrics;
#[cfg(feature = "nats")]
mod nats;
mod opt_out;
#[cfg(feature = "nats")]
mod queue;
mod run;
pub(crate) mod status;
mod view;

use std::path::Path;

use starttls_survey::suffix::Suffixes;
use starttls_survey::{RunFolder, SurveyError, Verification, join, verify};

use crate::args::{Survey, SurveyCommand, SurveyJoin, SurveyVerify};
use crate::console::{Console, Tone};
use crate::error::{Failed, with_causes};
use crate::exit;
use crate::interruption::Interruption;

pub(crate) async fn run(args: Survey, interruption: Interruption) -> Result<u8, Failed> {
    match args.command {
        SurveyCommand::Run(args) => run::run(&args, false, interruption).await,
        SurveyCommand::Plan(args) => run::run(&args, true, interruption).await,
        #[cfg(feature = "nats")]
        SurveyCommand::Work(args) => queue::work(&args, interruption).await,
        #[cfg(feature = "nats")]
        SurveyCommand::Collect(args) => queue::collect(&args, interruption).await,
        SurveyCommand::Status(args) => status::run(&args).await,
        SurveyCommand::Join(args) => joined(&args),
        SurveyCommand::Verify(args) => verified(&args),
        SurveyCommand::OptOut(args) => opt_out::run(args.command).await,
    }
}

fn joined(args: &SurveyJoin) -> Result<u8, Failed> {
    let folder = existing(&args.folder)?;
    let suffixes = Suffixes::read(args.suffix_list.as_deref()).map_err(failed)?;
    let summary = join(&folder, &suffixes).map_err(failed)?;
    run::show_summary(&Console::result(&args.output), &summary);
    Ok(exit::DONE)
}

fn verified(args: &SurveyVerify) -> Result<u8, Failed> {
    let folder = existing(&args.folder)?;
    let Verification { shards, open, rows, problems } = verify(&folder).map_err(failed)?;
    let console = Console::result(&args.output);
    for problem in &problems {
        console.line(Tone::Bad, problem);
    }
    let is_whole = problems.is_empty();
    let tone = if is_whole { Tone::Good } else { Tone::Bad };
    let done = shards - open;
    console.line(tone, format_args!("{rows} rows in {done} of {shards} shards; {} problems", problems.len()));
    Ok(match (is_whole, open) {
        (false, _) => exit::FINDINGS,
        (true, 0) => exit::DONE,
        (true, _) => exit::INCONCLUSIVE,
    })
}

/// Returns the run in a folder.
///
/// # Errors
/// If there is no run.
fn existing(path: &Path) -> Result<RunFolder, Failed> {
    let folder = RunFolder::new(path);
    match folder.settings().map_err(failed)? {
        Some(_) => Ok(folder),
        None => {
            let hint = Some(String::from("start one with starttls survey run DOMAINS --out DIR"));
            Err(Failed::usage(format!("{} contains no survey: plan.json is missing", path.display()))
                .hint(hint))
        }
    }
}

fn failed(error: SurveyError) -> Failed {
    let (code, hint) = match &error {
        SurveyError::Locked(_) => {
            (exit::USAGE, Some("wait for the other process to end, or end it; then repeat the command"))
        }
        SurveyError::OtherSettings(..) => (
            exit::USAGE,
            Some("use the options of that survey to go on with it, or another folder with --out"),
        ),
        SurveyError::Anonymous(_) => (
            exit::USAGE,
            Some(
                "set the A or AAAA record and the PTR record of this machine, or choose its address with --source; use \
                 --own-networks only for networks of your own",
            ),
        ),
        SurveyError::NoWayOut(_) => (
            exit::UNREACHABLE,
            Some("ask your provider to open the port, or choose a host that is reachable with --canary HOST"),
        ),
        SurveyError::NoQueue(_) | SurveyError::Queue(_) => (exit::UNREACHABLE, None),
        SurveyError::UnfitQueue(_) => (
            exit::USAGE,
            Some("use nats-server 2.10 or newer, and start it with --jetstream and --store_dir DIR"),
        ),
        SurveyError::NoRun(..) => (
            exit::USAGE,
            Some(
                "check the name, or start the survey with starttls survey plan DOMAINS --queue URL --run NAME",
            ),
        ),
        SurveyError::OtherRun(_) => (
            exit::USAGE,
            Some("choose another name with --run, or the folder that the survey was planned in"),
        ),
        _ => (exit::USAGE, None),
    };
    Failed::new(code, with_causes(&error)).hint(hint.map(String::from))
}
