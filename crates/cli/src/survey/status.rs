//! `survey status`: how far a survey is, from its folder or its queue alone.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::io::Write as _;
use std::time::Duration;

use serde::Serialize;
#[cfg(feature = "nats")]
use starttls_survey::SurveyError;
#[cfg(feature = "nats")]
use starttls_survey::queue::{NatsRun, StageCounts};
use starttls_survey::{RunFolder, SHARD_TARGETS, ShardId, Stage, StagePlan};
use starttls_x509::validity;

use super::{existing, failed};
use crate::args::{StatusFormat, SurveyStatus};
use crate::console::{Console, Tone};
use crate::error::Failed;
use crate::exit;

/// The state of a survey. Its schema is `docs/schema/survey-status.json`.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Report {
    /// The version of the report: 1.
    pub(crate) schema_version: u32,
    /// Whether a process works on the survey; on a queue, whether a worker has a lane.
    pub(crate) is_running: bool,
    /// Whether all planned stages have all of their results, and no further pass follows.
    pub(crate) is_done: bool,
    /// The stages that were planned, in order.
    pub(crate) stages: Vec<StageReport>,
}

/// The state of a stage.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct StageReport {
    /// The name: "resolve", "addresses", "probe-1".
    pub(crate) stage: String,
    /// The number of targets.
    pub(crate) targets: u64,
    /// The number of shards.
    pub(crate) shards: u64,
    /// Shards with a result.
    pub(crate) done_shards: u64,
    /// Lanes with shards that have no result.
    pub(crate) open_lanes: usize,
    /// Seconds until the stage may begin.
    pub(crate) due_in_seconds: u64,
    /// The seconds that the budgets need at least for the whole stage.
    pub(crate) floor_seconds: u64,
    /// The seconds that the slowest open lane needs at least.
    pub(crate) left_at_least_seconds: u64,
    /// Lines of the input that are not domains.
    pub(crate) invalid_lines: u64,
}

pub(super) async fn run(args: &SurveyStatus) -> Result<u8, Failed> {
    let source = Source::open(args).await?;
    let console = Console::result(&args.output);
    loop {
        let report = source.report().await?;
        match args.format {
            StatusFormat::Json => {
                let json = serde_json::to_string(&report).map_err(Failed::bug)?;
                writeln!(std::io::stdout().lock(), "{json}")?;
            }
            StatusFormat::Prometheus => write!(std::io::stdout().lock(), "{}", prometheus(&report))?,
            StatusFormat::Text => show(&report, &console),
        }
        if !args.watch || report.is_done {
            return Ok(exit::DONE);
        }
        tokio::time::sleep(Duration::from_secs(2)).await;
    }
}

/// Where the state of a survey is.
enum Source {
    Folder(RunFolder),
    #[cfg(feature = "nats")]
    Queue(Box<NatsRun>),
}

impl Source {
    #[cfg_attr(not(feature = "nats"), expect(clippy::unused_async, reason = "the queue is asked"))]
    async fn open(args: &SurveyStatus) -> Result<Self, Failed> {
        if let Some(folder) = &args.folder {
            return existing(folder).map(Self::Folder);
        }
        #[cfg(feature = "nats")]
        return super::nats::open(&args.queue).await.map(|it| Self::Queue(Box::new(it)));
        #[cfg(not(feature = "nats"))]
        Err(Failed::usage("the folder of the survey is missing"))
    }

    #[cfg_attr(not(feature = "nats"), expect(clippy::unused_async, reason = "the queue is asked"))]
    async fn report(&self) -> Result<Report, Failed> {
        match self {
            Self::Folder(folder) => report(folder),
            #[cfg(feature = "nats")]
            Self::Queue(queue) => queue_report(queue).await.map_err(failed),
        }
    }
}

#[cfg(feature = "nats")]
async fn queue_report(queue: &NatsRun) -> Result<Report, SurveyError> {
    let mut stages = Vec::new();
    for stage in queue.stages().await? {
        let plan = queue.stage(stage).await?.unwrap_or_default();
        let StageCounts { planned, done } = queue.counts(stage).await?;
        stages.push(stage_report(stage, &plan, &planned, &done));
    }
    let is_running = queue.lanes_in_work().await? > 0;
    Ok(Report { schema_version: 1, is_running, is_done: queue.has_ended().await?, stages })
}

fn report(folder: &RunFolder) -> Result<Report, Failed> {
    let passes = folder.settings().map_err(failed)?.map_or(0, |it| it.retry_after.len() + 1);
    let mut stages = Vec::new();
    for stage in folder.stages().map_err(failed)? {
        let plan = folder.stage(stage).map_err(failed)?.unwrap_or_default();
        let (planned, done) = (folder.planned(stage).map_err(failed)?, folder.done(stage).map_err(failed)?);
        stages.push(stage_report(stage, &plan, &planned, &done));
    }
    let is_done = stages.len() == passes + 2 && stages.iter().all(|it| it.shards == it.done_shards);
    Ok(Report { schema_version: 1, is_running: folder.is_locked(), is_done, stages })
}

fn stage_report(
    stage: Stage,
    plan: &StagePlan,
    planned: &BTreeSet<ShardId>,
    done: &BTreeSet<ShardId>,
) -> StageReport {
    let mut open: Vec<u64> = vec![0; plan.lanes.len()];
    for id in planned.difference(done) {
        if let Some(lane) = open.get_mut(usize::from(id.lane)) {
            *lane += SHARD_TARGETS as u64;
        }
    }
    let left = plan.lanes.iter().zip(&open).map(|(lane, open)| {
        let share = *open as f64 / lane.targets.max(1) as f64;
        lane.floor.mul_f64(share.min(1.0)).as_secs()
    });
    StageReport {
        stage: stage.to_string(),
        targets: plan.targets,
        shards: plan.shards,
        done_shards: done.len() as u64,
        open_lanes: open.iter().filter(|it| **it > 0).count(),
        due_in_seconds: u64::try_from(plan.due_unix.saturating_sub(validity::now())).unwrap_or_default(),
        floor_seconds: plan.floor().as_secs(),
        left_at_least_seconds: left.max().unwrap_or_default(),
        invalid_lines: plan.invalid_lines,
    }
}

/// Returns the state in the text format of Prometheus. Metrics that `--metrics` has too have the same name and meaning.
fn prometheus(report: &Report) -> String {
    let mut text = String::new();
    let head = |text: &mut String, name: &str, help: &str| {
        let _ = write!(text, "# HELP starttls_survey_{name} {help}\n# TYPE starttls_survey_{name} gauge\n");
    };
    type Value = fn(&StageReport) -> u64;
    let of_stages: [(&str, &str, Value); 8] = [
        ("planned_targets", "Targets of a stage.", |it| it.targets),
        ("planned_shards", "Shards of a stage.", |it| it.shards),
        ("done_shards", "Shards of a stage with a result.", |it| it.done_shards),
        ("open_lanes", "Lanes with work.", |it| it.open_lanes as u64),
        ("due_seconds", "Seconds until a stage may begin.", |it| it.due_in_seconds),
        ("floor_seconds", "The time that the budgets need at least.", |it| it.floor_seconds),
        ("left_at_least_seconds", "The time that the slowest open lane needs at least.", |it| {
            it.left_at_least_seconds
        }),
        ("invalid_lines", "Lines of the input that are not domains.", |it| it.invalid_lines),
    ];
    for (name, help, value) in of_stages {
        head(&mut text, name, help);
        for it in &report.stages {
            let _ = writeln!(text, "starttls_survey_{name}{{stage=\"{}\"}} {}", it.stage, value(it));
        }
    }
    for (name, help, value) in [
        ("is_running", "1 if a process works on the survey.", report.is_running),
        ("is_done", "1 if all stages have all of their results.", report.is_done),
    ] {
        head(&mut text, name, help);
        let _ = writeln!(text, "starttls_survey_{name} {}", u8::from(value));
    }
    text
}

fn show(report: &Report, console: &Console) {
    for it in &report.stages {
        let mut text = format!("{} of {} shards, {} targets", it.done_shards, it.shards, it.targets);
        if it.done_shards < it.shards {
            text += &format!(", {} lanes open", it.open_lanes);
        }
        if it.due_in_seconds > 0 {
            text += &format!(", due in {}", words(Duration::from_secs(it.due_in_seconds)));
        }
        if it.left_at_least_seconds > 0 {
            text +=
                &format!(", the budgets need {} more", words(Duration::from_secs(it.left_at_least_seconds)));
        }
        if it.invalid_lines > 0 {
            text += &format!(", {} lines of the input are not domains", it.invalid_lines);
        }
        console.fact(&it.stage, text);
    }
    let state = match (report.is_done, report.is_running) {
        (true, _) => "done",
        (false, true) => "running",
        (false, false) => "not running; the same commands go on with it",
    };
    console.line(if report.is_done { Tone::Good } else { Tone::Plain }, state);
}

/// Returns a duration for people.
pub(super) fn words(time: Duration) -> String {
    match time.as_secs() {
        seconds @ 0..120 => format!("{seconds} s"),
        seconds @ 120..7200 => format!("{} min", seconds.div_ceil(60)),
        seconds => format!("{} h", seconds.div_ceil(3600)),
    }
}
