//! Which queue the user means.

use starttls_survey::queue::{NatsRun, QueueAddress, RunName};

use super::failed;
use crate::args::SurveyQueue;
use crate::error::Failed;
use crate::input;

/// Returns the queue that the user names, with the password from its file, and the survey on it.
pub(super) fn named(args: &SurveyQueue) -> Result<Option<(QueueAddress, &RunName)>, Failed> {
    let (Some(address), Some(run)) = (&args.queue, &args.run) else { return Ok(None) };
    let address = match &args.queue_password_file {
        None => address.clone(),
        Some(path) => {
            let text = input::read(path, input::SECRET)?;
            let text = String::from_utf8(text)
                .map_err(|_| Failed::usage(format!("the password in {} is not UTF-8", path.display())))?;
            address.clone().password(text.trim_end_matches(['\r', '\n'])).map_err(Failed::usage)?
        }
    };
    Ok(Some((address, run)))
}

/// Connects to the survey on the queue that the user names.
pub(super) async fn open(args: &SurveyQueue) -> Result<NatsRun, Failed> {
    let Some((address, run)) = named(args)? else {
        return Err(Failed::usage("a queue is missing: expected --queue URL and --run NAME"));
    };
    NatsRun::open(&address, run).await.map_err(failed)
}
