//! Logging in, inside TLS and nowhere else.
//!
//! [`Account`] says who logs in; [`Account::log_in`] does it over an [`Encrypted`](crate::Encrypted) stream,
//! [`Account::log_in_blocking`] over a blocking one, and [`LoginMachine`] is the machine that both of them drive.
//! There is no way to log in over a stream in cleartext.
//!
//! The server is asked again, inside TLS, what it offers; of that the best is chosen: what proves that both
//! sides know the password without saying it, and ties that proof to the TLS connection (`SCRAM-…-PLUS`),
//! before what only proves it (`SCRAM-…`), before what says it (`PLAIN`, `LOGIN`, a protocol's own
//! commands). CRAM-MD5 and APOP are used only when they are asked for by name. A server that grants a login
//! without the proof that the mechanism demands of it is an error.

mod account;
mod binding;
mod drive;
mod error;
mod machine;
mod mechanism;
mod non_sasl;
mod sasl;

pub use account::Account;
pub use binding::ChannelBindings;
pub use error::{LoginError, RefusedMechanism};
pub use machine::{LoggedIn, LoginMachine, LoginProgress};
pub use mechanism::MechanismClient;
