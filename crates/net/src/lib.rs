//! STARTTLS for tokio and blocking streams, client and server, on rustls.
//!
//! Both sides return only streams inside TLS. The client verifies the server's certificate by default. One deadline limits
//! all steps from the lookup of the name to the end of the handshake.
//!
//! # Client
//! ```no_run
//! # #[cfg(feature = "tokio")]
//! # async fn example() -> Result<(), starttls::Error> {
//! use starttls::{Connector, proto::smtp::SUBMISSION};
//!
//! let connector = Connector::builder().build()?;
//! let stream = connector.connect(&SUBMISSION, ("mail.example.com", 587)).await?;
//! println!("{}, {}", stream.facts().version_name(), stream.facts().verdict);
//! # Ok(())
//! # }
//! ```
//! Blocking:
//! ```no_run
//! # fn example() -> Result<(), starttls::Error> {
//! use starttls::{Connector, proto::smtp::SUBMISSION};
//!
//! let connector = Connector::builder().build()?;
//! let stream = connector.blocking().connect(&SUBMISSION, ("mail.example.com", 587))?;
//! println!("{}, {}", stream.facts().version_name(), stream.facts().verdict);
//! # Ok(())
//! # }
//! ```
//!
//! # Server
//! ```no_run
//! # #[cfg(feature = "tokio")]
//! # async fn example(tcp: tokio::net::TcpStream, chain: &[u8], key: &[u8]) -> Result<(), starttls::Error> {
//! use starttls::{Acceptor, proto::smtp::SUBMISSION};
//!
//! let acceptor = Acceptor::builder(&SUBMISSION, "mail.example.com").certificate_pem(chain, key).build()?;
//! let stream = acceptor.accept(tcp).await?;
//! println!("{}", stream.facts().version_name());
//! # Ok(())
//! # }
//! ```
//! Blocking:
//! ```no_run
//! # fn example(tcp: std::net::TcpStream, chain: &[u8], key: &[u8]) -> Result<(), starttls::Error> {
//! use starttls::{Acceptor, proto::smtp::SUBMISSION};
//!
//! let acceptor = Acceptor::builder(&SUBMISSION, "mail.example.com").certificate_pem(chain, key).build()?;
//! let stream = acceptor.blocking().accept(tcp)?;
//! println!("{}", stream.facts().version_name());
//! # Ok(())
//! # }
//! ```
//! [`proto::ServerSession`] parses the commands that follow inside TLS.
//!
//! # Guarantees
//! - A stream without TLS exists only if the caller requests it with
//!   [`connect_or_cleartext`](Connector::connect_or_cleartext), and its type is [`NotEncrypted`].
//! - Octets that arrived in cleartext are never treated as if they had arrived inside TLS. A negotiation ends with a proof
//!   that no octet is left ([`proto::Upgrade`]). [`Ready`] owns the proof and is not a stream, and the handshake consumes it.
//! - A failed handshake closes the connection, which never returns to cleartext.
//!
//! # Proxies
//! The module [`dialer`] opens connections in other ways: through a SOCKS5 or HTTP proxy, from a source address, to a socket
//! in the file system, or in a way of the program's own.
//!
//! # Errors
//! Each error has one line in plain words, a cause, and a [`hint`](Error::hint) if a fix is known. What a program decides on
//! is typed: [`Step`], [`CertificateFault`], and the variants of [`Error`].
//!
//! # Versions
//! The version is that of the workspace, and follows semantic versioning. What grows is marked `#[non_exhaustive]`: the variants
//! of [`Error`], and the facts and results that this library returns. The variants of `Error` are its kinds, and carry their data
//! openly, because a [dialer] of the program's own creates them too; [`Error::name`] and [`Error::step`] are for
//! logs. Enums without the mark are closed by a specification. [`rustls`] is a part of the interface: a new
//! minor version of it (0.23) is a new minor version of this library while both begin with 0.
//!
//! The library builds with Rust 1.88. That version is raised only in a minor release.
//!
//! # Tracing
//! With the feature `tracing`, each connection has the spans `negotiation`, `handshake` and `login` at the level `DEBUG`, with the
//! target `starttls`. Their fields are `protocol`, `side`, `peer` (the address, if a dialer of this library connected), and at
//! their end `outcome`: `upgrade`, `encrypted` or `granted`, or the [`name`](Error::name) of the error, with the `step` that it
//! ended. A handshake adds `tls_version`, `cipher_suite` and `kind`, a login its `mechanism`. An event at the level `TRACE` names
//! each step of a negotiation. No span or event contains an octet that a peer sent, a user name or a secret.
//!
//! # Features
//! | feature | default | adds |
//! |---|---|---|
//! | `aws-lc-rs` | yes | cryptography with post-quantum key exchange |
//! | `ring` | | cryptography by ring, if `aws-lc-rs` is off or a `crypto_provider` names it |
//! | `native-certs` | yes | trust in the system's roots, by default |
//! | `webpki-roots` | | `ConnectorBuilder::mozilla_roots` |
//! | `tokio` | yes | the asynchronous driver; the [blocking] one is always present |
//! | `login` | yes | [`login`] |
//! | `submission` | yes | [`submission`], and `login` |
//! | `tracing` | | spans of the crate `tracing`, as below |
//! | `raw-tls` | | a stream after the boundary for probes, and `tokio` |
//!
//! Without `aws-lc-rs` and `ring`, the caller sets a [`crypto_provider`](ConnectorBuilder::crypto_provider).
#![forbid(unsafe_code)]

mod alert;
#[cfg(feature = "tokio")]
mod asynchronous;
pub mod blocking;
mod causes;
mod certificate_fault;
mod certification_path;
mod channel_binding;
mod client;
mod connection;
pub mod dane;
mod deadline;
pub mod dialer;
mod early_data;
mod endpoint;
mod error;
mod exporter;
mod facts;
pub mod file;
mod handshake;
mod handshake_signature;
mod host_name;
#[cfg(feature = "login")]
pub mod login;
mod machine;
mod observe;
mod proxy_error;
pub mod proxy_header;
#[cfg(feature = "raw-tls")]
mod raw;
mod ready;
mod server;
mod step;
mod stream;
#[cfg(feature = "submission")]
pub mod submission;
mod tapped_stream;
mod tls;
mod trace;
mod transcript;
mod verify;

use std::time::Duration;

#[cfg(feature = "tokio")]
pub use asynchronous::{AnsweredHello, Dialer};
pub use certificate_fault::{CertificateFailure, CertificateFault};
pub use channel_binding::ChannelBindings;
pub use client::{Connector, ConnectorBuilder};
pub use deadline::Deadline;
pub use endpoint::{AddressFamily, Endpoint};
pub use error::{Error, UpgradeRefusal};
pub use facts::{CertificateVerdict, Timings, TlsFacts};
pub use host_name::host_name;
pub use observe::{Chunk, ConnectionPhase, Observer};
#[cfg(feature = "raw-tls")]
pub use raw::RawTls;
pub use ready::{MaybeEncrypted, NotEncrypted, Ready};
pub use rustls;
pub use server::{Acceptor, AcceptorBuilder};
pub use starttls_proto as proto;
pub use starttls_x509::{self as x509, validity};
pub use step::Step;
pub use stream::Encrypted;
pub use tls::{ClientAuth, TlsVersion};
pub use transcript::TranscriptWriter;

/// The default time limit of all steps of a connection together.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
