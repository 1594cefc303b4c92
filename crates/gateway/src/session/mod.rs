//! A session: one client's connection, a backend, and the bytes between them.

mod allowance;
mod backend;
mod busy_poll;
mod closing;
mod downstream;
mod early_dial;
mod ftp;
mod idle;
mod late_relay;
mod mysql;
mod observation;
mod pending;
mod relayed_greeting;
mod rules;
mod run;
mod splice;
mod stream;
mod transfer;
mod unread;

pub(crate) use idle::{Ticking, ticks, wake_at_each_tick};
pub(crate) use observation::Observation;
pub use run::probe;
pub(crate) use run::{is_ready, prepare};
pub(crate) use stream::Socket;
pub(crate) use transfer::{ParkedTransfer, Transfer, TransferStatus};
