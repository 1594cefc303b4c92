//! Audits of many targets for a holder of a key, a few at a time.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::task::JoinSet;

use crate::bulk::{Bulk, BulkItem, BulkState};
use crate::keys::ApiKey;
use crate::preset::Preset;
use crate::service::{NotStarted, Service, now, random_id};
use crate::store::{RunEnd, RunStoreError};
use crate::target::WebTarget;
use crate::verdict::overall;

/// The most targets of a bulk.
pub(crate) const MAX_TARGETS: usize = 1000;
/// The most runs of a bulk at the same time, so that visitors are served meanwhile.
const PLACES: usize = 4;
/// The pause before a run is tried again that did not start.
const AGAIN: Duration = Duration::from_secs(2);

impl From<RunEnd> for BulkState {
    fn from(end: RunEnd) -> Self {
        match end {
            RunEnd::Finished => Self::Finished,
            RunEnd::Stopped => Self::Stopped,
            RunEnd::Postponed => Self::Postponed,
            RunEnd::BrokenOff => Self::BrokenOff,
        }
    }
}

/// Why a bulk was not started.
#[derive(Debug)]
pub(crate) enum NoBulk {
    /// It has no target, or too many.
    Size,
    /// Another bulk of the holder is in progress.
    Busy,
    /// The store cannot be written, or the system has no random octets.
    Broken(String),
}

impl From<RunStoreError> for NoBulk {
    fn from(error: RunStoreError) -> Self {
        Self::Broken(error.to_string())
    }
}

impl Service {
    /// Starts the audits of these targets. Returns the id of the bulk.
    pub(crate) fn start_bulk(
        &self,
        targets: &[String],
        preset: Preset,
        key: Arc<ApiKey>,
    ) -> Result<String, NoBulk> {
        if targets.is_empty() || targets.len() > MAX_TARGETS {
            return Err(NoBulk::Size);
        }
        let id = random_id().map_err(NoBulk::Broken)?;
        let bulk = Bulk { id: id.clone(), holder: key.name.clone(), started: now() };
        let (mut items, mut parsed, mut known) = (Vec::new(), Vec::new(), HashSet::new());
        for text in targets {
            match self.parse(text) {
                Ok(target) => {
                    let name = target.to_string();
                    if known.insert(name.clone()) {
                        let index = u32::try_from(items.len()).unwrap_or(u32::MAX);
                        parsed.push((index, target));
                        items.push(BulkItem::new(name, BulkState::Waiting));
                    }
                }
                Err(error) => {
                    let shown: String = text.chars().take(300).collect();
                    let error = Some(error.to_string());
                    items.push(BulkItem { error, ..BulkItem::new(shown, BulkState::Invalid) });
                }
            }
        }
        if !self.bulks().insert(key.name.clone(), id.clone()) {
            return Err(NoBulk::Busy);
        }
        let guard = BulkGuard { service: self.clone(), holder: key.name.clone() };
        self.store().put_bulk(&bulk, &items)?;
        let service = self.clone();
        tokio::spawn(async move {
            let _guard = guard;
            service.bulk(&bulk.id, items, parsed, preset, &key).await;
        });
        Ok(id)
    }

    async fn bulk(
        &self,
        id: &str,
        items: Vec<BulkItem>,
        targets: Vec<(u32, WebTarget)>,
        preset: Preset,
        key: &Arc<ApiKey>,
    ) {
        let mut runs = JoinSet::new();
        for (index, target) in targets {
            let Some(item) = items.get(index as usize).cloned() else { continue };
            if runs.len() >= PLACES {
                runs.join_next().await;
            }
            while let Err(wait) = key.admit(Instant::now()) {
                tokio::time::sleep(wait).await;
            }
            let (service, id, holder) = (self.clone(), id.to_owned(), key.name.clone());
            runs.spawn(async move { service.bulk_item(&id, index, item, target, preset, holder).await });
        }
        while runs.join_next().await.is_some() {}
    }

    async fn bulk_item(
        &self,
        id: &str,
        index: u32,
        mut item: BulkItem,
        target: WebTarget,
        preset: Preset,
        holder: String,
    ) {
        let run = loop {
            match self.begin(&target, preset, Some(holder.clone())) {
                Err(NotStarted::Busy) => tokio::time::sleep(AGAIN).await,
                other => break other,
            }
        };
        match run {
            Ok((run, stored)) => {
                item.run = Some(run.id.clone());
                item.state = BulkState::Running;
                // The state is written again at the end.
                let _ = self.store().put_bulk_item(id, index, &item);
                let stored = self.run(&run, &target, preset, stored).await;
                item.state = stored.end.into();
                item.verdict = Some(overall(&stored.report));
            }
            Err(error) => {
                item.state = BulkState::Failed;
                item.error = Some(error.to_string());
            }
        }
        // The run itself is in the store.
        let _ = self.store().put_bulk_item(id, index, &item);
    }

    /// Returns a bulk and its targets. What was in progress when the service ended is broken off.
    pub(crate) fn stored_bulk(&self, id: &str) -> Result<Option<(Bulk, Vec<BulkItem>)>, RunStoreError> {
        let Some((bulk, mut items)) = self.store().bulk(id)? else { return Ok(None) };
        if !self.bulks().has(id) {
            let unfinished = items.iter_mut().filter(|item| !item.state.is_final());
            unfinished.for_each(|item| item.state = BulkState::BrokenOff);
        }
        Ok(Some((bulk, items)))
    }
}

/// Removes a bulk from those in progress when it is dropped.
struct BulkGuard {
    service: Service,
    holder: String,
}

impl Drop for BulkGuard {
    fn drop(&mut self) {
        self.service.bulks().remove(&self.holder);
    }
}
