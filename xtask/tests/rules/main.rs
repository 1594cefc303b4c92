//! The rules of this repository that no lint can check.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

mod dependencies;
mod files;
mod imports;
mod names;
mod options;
mod phrases;
mod rules_document;
mod support;
