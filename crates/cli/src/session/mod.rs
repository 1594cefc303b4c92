//! A session with a server: how it is opened, watched, diagnosed when it fails, reported and used.
//!
//! `connect`, `login` and `send` open their sessions here.

pub(crate) mod conversation;
pub(crate) mod diagnose;
mod opening;
pub(crate) mod report;
pub(crate) mod stdio;
pub(crate) mod text;
mod watch;

pub(crate) use opening::{Opened, Opening, Session};
pub(crate) use watch::{Inside, Watch, open_transcript};
