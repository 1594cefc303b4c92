//! `survey opt-out`.

use std::io::Write;

use starttls_survey::opt_out::OptOutList;

use super::failed;
use crate::args::{OptOutChange, OptOutCommand, OptOutShow};
use crate::error::Failed;
use crate::exit;

pub(super) async fn run(command: OptOutCommand) -> Result<u8, Failed> {
    match command {
        OptOutCommand::Add(args) => add(&args).await,
        OptOutCommand::Remove(args) => remove(&args).await,
        OptOutCommand::List(args) => show(&args).await,
    }
}

async fn add(args: &OptOutChange) -> Result<u8, Failed> {
    let mut list = OptOutList::read(&args.file).map_err(failed)?;
    for entry in &args.entries {
        list.insert(entry.clone());
    }
    list.write(&args.file).map_err(failed)?;
    // All of them, so that the command can be repeated after the queue failed.
    change_on_queue(args, |on_queue| {
        for entry in list.entries() {
            on_queue.insert(entry.clone());
        }
    })
    .await
}

async fn remove(args: &OptOutChange) -> Result<u8, Failed> {
    let mut list = OptOutList::read(&args.file).map_err(failed)?;
    let missing: Vec<_> = args.entries.iter().filter(|entry| !list.remove(entry)).collect();
    if let Some(entry) = missing.first().filter(|_| !has_queue(args)) {
        let hint = Some(String::from("starttls survey opt-out list shows the entries"));
        return Err(Failed::usage(format!("{entry} is not in {}", args.file.display())).hint(hint));
    }
    list.write(&args.file).map_err(failed)?;
    change_on_queue(args, |on_queue| {
        for entry in &args.entries {
            on_queue.remove(entry);
        }
    })
    .await
}

async fn show(args: &OptOutShow) -> Result<u8, Failed> {
    let list = match &args.file {
        Some(file) => OptOutList::read(file).map_err(failed)?,
        None => list_on_queue(args).await?,
    };
    let mut out = std::io::stdout().lock();
    list.entries().try_for_each(|it| writeln!(out, "{it}"))?;
    Ok(exit::DONE)
}

#[cfg(feature = "nats")]
fn has_queue(args: &OptOutChange) -> bool {
    args.queue.queue.is_some()
}

/// Changes the list on the queue too, if the user names one.
#[cfg(feature = "nats")]
async fn change_on_queue(args: &OptOutChange, change: impl Fn(&mut OptOutList)) -> Result<u8, Failed> {
    if has_queue(args) {
        super::nats::open(&args.queue).await?.change_opt_out(change).await.map_err(failed)?;
    }
    Ok(exit::DONE)
}

#[cfg(feature = "nats")]
async fn list_on_queue(args: &OptOutShow) -> Result<OptOutList, Failed> {
    super::nats::open(&args.queue).await?.opt_out().await.map_err(failed)
}

#[cfg(not(feature = "nats"))]
fn has_queue(_: &OptOutChange) -> bool {
    false
}

#[cfg(not(feature = "nats"))]
#[expect(clippy::unused_async, reason = "the queue is asked")]
async fn change_on_queue(_: &OptOutChange, _: impl Fn(&mut OptOutList)) -> Result<u8, Failed> {
    Ok(exit::DONE)
}

#[cfg(not(feature = "nats"))]
#[expect(clippy::unused_async, reason = "the queue is asked")]
async fn list_on_queue(_: &OptOutShow) -> Result<OptOutList, Failed> {
    Err(Failed::usage("the file with the list is missing"))
}
