//! The service, over HTTP.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod audits;
mod browser;
mod bulk;
mod crash;
mod devtools;
mod gate;
mod hostile;
mod languages;
mod markup;
mod refusals;
mod site;
