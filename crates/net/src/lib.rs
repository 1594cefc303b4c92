//! STARTTLS for tokio and blocking streams, client and server, on rustls.
#![forbid(unsafe_code)]

#[cfg(feature = "tokio")]
mod asynchronous;
mod attempt;
mod client;
mod deadline;
mod endpoint;
mod error;
mod facts;
mod machine;
mod observe;
mod ready;
mod server;
mod stream;
mod tls;
mod verify;
mod wire;

use std::time::Duration;

pub use client::{Connector, ConnectorBuilder};
pub use endpoint::{Endpoint, Family};
pub use error::{Error, Refused};
pub use facts::{Facts, Timings, Verdict};
pub use observe::{Chunk, Observer, Phase};
pub use ready::{NotEncrypted, Outcome, Ready};
pub use rustls;
pub use server::{Acceptor, AcceptorBuilder};
pub use starttls_proto as proto;
pub use stream::Encrypted;
pub use tls::{ClientAuth, TlsVersion};

/// The time for everything together, unless a builder was told otherwise.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
