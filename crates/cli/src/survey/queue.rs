//! `survey work` and `survey collect`.

use std::sync::Arc;

use starttls_survey::monitor::Monitor;
use starttls_survey::suffix::Suffixes;
use starttls_survey::{Survey, SurveyError, WorkerEnd, Workers};
use tokio::sync::watch;

use super::nats::open;
use super::run::{WayOut, finished, networks, surveyor};
use super::view::View;
use super::{existing, failed, metrics};
use crate::args::{SurveyCollect, SurveyWork};
use crate::console::{Console, Tone};
use crate::error::Failed;
use crate::exit;
use crate::interruption::Interruption;

pub(super) async fn work(args: &SurveyWork, interruption: Interruption) -> Result<u8, Failed> {
    let queue = open(&args.queue).await?;
    let settings = queue.settings().await.map_err(failed)?;
    let monitor = Arc::new(Monitor::default());
    if let Some(address) = args.machine.metrics {
        metrics::start(address, &monitor, &args.output).await?;
    }
    let client_name = match &args.client_name {
        Some(name) => name.clone(),
        None => settings
            .client_name
            .parse()
            .map_err(|error| Failed::usage(format!("the survey has an invalid client name: {error}")))?,
    };
    let (stopper, stop) = watch::channel(false);
    let surveyor = surveyor(&args.machine, &client_name, settings, Arc::clone(&monitor), stop)?;
    WayOut::new(&args.machine, &client_name, &surveyor).check().await.map_err(failed)?;
    let view = View::new(&args.output, Arc::clone(&monitor), stopper);
    let mut note = view.note();
    let running = Arc::new(surveyor).serve(&queue, usize::from(args.most_lanes), &mut note);
    let (ended, signal) = view.watch(running, interruption).await;
    Ok(match ended.map_err(failed)? {
        WorkerEnd::Finished => {
            Console::result(&args.output).line(Tone::Good, "the survey is done");
            if monitor.lacks_dns() { exit::INCONCLUSIVE } else { exit::DONE }
        }
        WorkerEnd::Stopped => signal.unwrap_or(exit::INCONCLUSIVE),
    })
}

pub(super) async fn collect(args: &SurveyCollect, interruption: Interruption) -> Result<u8, Failed> {
    let run = existing(&args.out)?;
    let queue = open(&args.queue).await?;
    let (stopper, stop) = watch::channel(false);
    let survey = Survey {
        settings: run.settings().map_err(failed)?.ok_or_else(|| Failed::usage("plan.json is missing"))?,
        run,
        workers: Workers::Queue(Box::new(queue)),
        suffixes: Suffixes::read(args.suffix_list.as_deref()).map_err(failed)?,
        networks: networks(args.as_table.as_deref())?,
        monitor: Arc::new(Monitor::default()),
        plan_only: false,
        stop,
    };
    let view = View::new(&args.output, Arc::clone(&survey.monitor), stopper);
    let mut note = view.note();
    let unread = || {
        let why = format!("{} has no list of domains yet: repeat \"survey plan\"", args.out.display());
        Err::<std::io::Empty, _>(SurveyError::OtherRun(why))
    };
    let running = survey.run(unread, &mut note, async { Ok(()) });
    let (ended, signal) = view.watch(running, interruption).await;
    finished(&args.output, &survey, ended.map_err(failed)?, signal)
}
