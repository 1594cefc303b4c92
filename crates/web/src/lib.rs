//! The service of `starttls web`: it audits servers for its visitors and keeps the reports.
//!
//! The service renders complete pages. A script of a few kilobytes adds live updates; every page also works without it.
//! [`serve`] answers requests; [`TargetResolver`] decides which servers may be asked, and [`RunStore`] keeps the reports.
#![forbid(unsafe_code)]

mod api;
mod assets;
mod badge;
mod bulk;
mod bulk_audit;
mod changes;
mod exporter;
mod http;
mod keys;
mod limits;
mod live;
mod pages;
mod preset;
mod resolve;
mod routes;
mod run;
mod server;
mod service;
mod site;
mod store;
mod target;
mod verdict;
mod view;
mod words;

pub use bulk::{Bulk, BulkItem, BulkState};
pub use keys::{ApiKeys, InvalidApiKeys, NewApiKey};
pub use preset::Preset;
pub use resolve::TargetResolver;
pub use server::serve;
pub use service::WebSettings;
pub use site::Access;
pub use store::{RunEnd, RunStore, RunStoreError, RunSummary, StoredRun};
pub use target::{InvalidTarget, ServerTarget, TargetHost, TargetPolicy, WebTarget};
