//! The first messages of SSL and TLS without I/O and without cryptography: ClientHellos, the server's first flight, the
//! registries, and the walk that determines what a server offers.
//!
//! A **hello** uses one connection: the client sends one ClientHello, reads the server's first flight, and closes. It never
//! completes a handshake, so it needs no key. [`ClientHello`] and [`Ssl2ClientHello`] are written and read;
//! [`ClientHelloReader`] reads them from a stream. [`Flight`] reads what a server answers. [`Walk`] decides which
//! [`Question`] to ask next, and [`Walk::facts`] returns what the answers prove.
//!
//! All input is hostile: every buffer has a bound, and the result is the same however the input is cut.
//!
//! ```
//! use starttls_hello::{CipherSuite, ClientHello, StreamEnd, Extension, Flight, Answer, NamedGroup, Version};
//!
//! let hello = ClientHello {
//!     version: Version::Tls12.code(),
//!     random: [7; 32],
//!     session_id: Vec::new(),
//!     suites: vec![CipherSuite(0xc02f)],
//!     compression: vec![0],
//!     extensions: Some(vec![Extension::supported_groups(&[NamedGroup::X25519])]),
//! };
//! assert_eq!(hello.to_bytes()[..3], [0x16, 3, 1]);
//!
//! let mut flight = Flight::new();
//! flight.receive(&[0x15, 3, 1, 0, 2, 2, 70]);
//! match flight.finish(StreamEnd::Closed) {
//!     Answer::Refused(alert) => assert_eq!(alert.to_string(), "protocol_version (70)"),
//!     other => panic!("{other:?}"),
//! }
//! ```
#![forbid(unsafe_code)]

mod alert;
mod client_hello;
mod extension;
mod flight;
mod key_exchange;
mod malformed;
mod named;
mod question;
mod reader;
mod records;
mod server_hello;
mod ssl2;
mod table;
mod version;
mod walk;

pub use alert::Alert;
pub use client_hello::{AnyClientHello, ClientHello, ClientHelloReader};
pub use extension::{Extension, extension_name, kind as extension_kind};
pub use flight::{Answer, Flight, FlightEnd, FlightProgress, ServerFlight, StreamEnd};
pub use key_exchange::{CertificateRequest, Curve, ServerKeyExchange};
pub use malformed::MalformedTls;
pub use question::{GOODBYE, HelloContext, Question, SniName, Topic};
pub use server_hello::{DowngradeMark, ServerHello};
pub use ssl2::{Ssl2ClientHello, Ssl2ServerHello};
pub use table::{
    Authentication, CipherSuite, GroupInfo, GroupKind, KeyExchange, NamedGroup, Registration, SchemeInfo,
    SignatureScheme, Ssl2Kind, Strength, SuiteClass, SuiteFamily, SuiteInfo,
};
pub use version::Version;
pub use walk::{
    Certainty, ConnectionOutcome, DhParameters, Doubt, Exchange, Known, MAX_HELLOS, Preference, ServerFacts,
    Support, Walk, WalkEnd, WalkSize, WalkStep, Witness,
};

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
