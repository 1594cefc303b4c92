//! Login inside TLS.
//!
//! An [`Account`] holds the user and the credentials. [`Account::log_in`] logs in over an
//! [`Encrypted`](crate::Encrypted) stream, and [`Account::log_in_blocking`] over a blocking one. [`LoginMachine`] is the
//! login without I/O that both drive. Nothing here accepts a stream in cleartext.
//!
//! The client requests the list of mechanisms again inside TLS, and chooses the best one:
//! 1. Mechanisms in which both sides prove that they know the password, without sending it, and which bind the proof to the
//!    TLS connection (`SCRAM-…-PLUS`).
//! 2. The same without the binding (`SCRAM-…`).
//! 3. Mechanisms that send the password (`PLAIN`, `LOGIN`, the commands of a protocol).
//!
//! The weak mechanisms CRAM-MD5 and APOP are used only if [`Account::mechanism`] names them. If a server grants a login
//! without the proof that the mechanism requires, the login fails.

mod account;
mod drive;
mod error;
mod exchange;
mod machine;
mod mechanism;
mod non_sasl;
mod sasl;

pub use crate::channel_binding::ChannelBindings;
pub use account::Account;
#[cfg(feature = "submission")]
pub(crate) use drive::is_end;
pub use error::{LoginError, MechanismFault, RefusedMechanism};
pub use machine::{LoggedIn, LoginMachine, LoginProgress};
pub use mechanism::MechanismClient;
