//! Servers that are wrong in one way each, on purpose, and servers that are odd in one way each, and right.
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
//! A weakness is a behavior of the one server that speaks every protocol through its dialect; inside TLS the
//! lab's own applications answer. Nothing here is listened to but on loopback.
//!
//! There is no certificate with a weak key among them: the TLS library signs with none.

mod behavior;
mod certificate;
mod endless;
mod engine;
mod ldap_response;
mod quirks;
mod response_patch;
mod server;
mod start;
mod weakness;
mod wire;

pub use endless::{Endless, Noise, StallPoint};
pub use quirks::Quirk;
pub use start::Rogue;
pub use weakness::Weakness;
