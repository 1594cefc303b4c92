//! STARTTLS for tokio and blocking streams, client and server, on rustls.
//!
//! Both sides hand out nothing but streams inside TLS. The client verifies by default, and everything
//! from the look-up of the name to the end of the handshake happens within one deadline.
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
//! [`proto::ServerSession`] reads the commands that then come inside TLS.
//!
//! # What cannot go wrong
//! - There is no stream without TLS, unless the caller asked for it by a name that says so
//!   ([`connect_or_cleartext`](Connector::connect_or_cleartext)) and takes it by a name that says so
//!   ([`NotEncrypted`]).
//! - Nothing that came in cleartext is read as if it had come inside TLS: a negotiation ends with the
//!   proof that not a byte is left ([`proto::Upgrade`]), [`Ready`] takes the proof by value and is no
//!   stream, and the handshake consumes it.
//! - A failed handshake closes the connection. There is no way back.
//!
//! # Features
//! `tokio` (default) adds the asynchronous driver. The blocking one is always there.
//! `login` (default) adds [`login`] and [`submission`].
#![forbid(unsafe_code)]

#[cfg(feature = "tokio")]
mod asynchronous;
pub mod blocking;
mod certification_path;
mod client;
mod deadline;
mod der;
mod endpoint;
mod error;
mod facts;
pub mod file;
mod handshake;
mod host_name;
#[cfg(feature = "login")]
pub mod login;
mod machine;
mod observe;
#[cfg(feature = "raw-tls")]
mod raw;
mod ready;
mod server;
mod stream;
#[cfg(feature = "login")]
pub mod submission;
mod tapped_stream;
mod tls;
mod transcript;
pub mod validity;
mod verify;

use std::time::Duration;

pub use client::{Connector, ConnectorBuilder};
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
pub use stream::Encrypted;
pub use tls::{ClientAuth, TlsVersion};
pub use transcript::TranscriptWriter;

/// The time for everything together, unless a builder was told otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
