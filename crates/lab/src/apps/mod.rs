//! The applications of the servers inside TLS: one small application per protocol.
//!
//! A protocol without one is served by [`answers_only`](context::answers_only). To add one, write `apps/NAME.rs` with a `serve` that takes an [`AppContext`](context::AppContext) and returns when the
//! session ends, and add its row to `profile.rs`. The engine answers hellos, goodbyes and no-ops.

pub(crate) mod context;
pub(crate) mod ftp;
mod ftp_data;
pub(crate) mod http;
pub(crate) mod imap;
mod imap_fetch;
pub(crate) mod irc;
pub(crate) mod ldap;
pub(crate) mod mysql;
pub(crate) mod mysqlx;
pub(crate) mod nats;
pub(crate) mod nbd;
pub(crate) mod nntp;
pub(crate) mod nut;
pub(crate) mod pop3;
pub(crate) mod postgres;
pub(crate) mod rdp;
mod sasl;
pub(crate) mod sieve;
pub(crate) mod smtp;
mod tokens;
pub(crate) mod vnc;
mod words;
pub(crate) mod xmpp;
