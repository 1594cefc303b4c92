//! Servers with one weakness each, and unusual servers that are correct.
//!
//! ```
//! use starttls::proto::smtp::SMTP;
//! use starttls_lab::ca::Authority;
//! use starttls_lab::rogue::{Rogue, Weakness};
//!
//! let authority = Authority::new()?;
//! assert!(Weakness::Eager.applies_to(&SMTP));
//! let rogue = Rogue::start(&SMTP, Weakness::Eager, &authority)?;
//! assert!(rogue.address().ip().is_loopback());
//! # Ok::<(), starttls_lab::Error>(())
//! ```
//!
//! A weakness changes the behavior of one server, which speaks every protocol through its dialect. Inside TLS the
//! applications of the lab answer. All servers listen on loopback only.
//!
//! A [`TlsWeakness`] is one that no current TLS library has, such as SSL 3.0. Such a rogue answers the hellos of a survey
//! with a simulated first flight ([`TlsModel`]), and leaves hellos that a modern client can complete to a real TLS server.

mod behavior;
mod certificate;
mod endless;
mod engine;
mod ldap_response;
mod quirks;
mod response_patch;
mod server;
mod simulated_tls;
mod start;
mod tls_model;
mod weakness;
mod wire;

pub use endless::{Endless, Noise, StallPoint};
pub use quirks::Quirk;
pub use start::Rogue;
pub use tls_model::{DhPrime, TlsModel, TlsWeakness};
pub use weakness::Weakness;
