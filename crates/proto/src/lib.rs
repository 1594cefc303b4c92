//! STARTTLS without I/O: the negotiation in cleartext, both sides and the middle, for every protocol.
//!
//! A [`Protocol`] is data and a [`Dialect`]; a role is written once: [`Client`], [`Server`] and [`Relay`]
//! work for every protocol in [`PROTOCOLS`]. This crate has no dependencies, opens no socket and reads no clock.
//!
//! # The loop
//! A machine takes what the peer sent and appends what is to be sent. It is taken by value and given back
//! while the negotiation goes on; when both sides agree it is gone, and with it the only buffer that held
//! cleartext. What is left is an [`Upgrade`], the proof that not a byte came across.
//!
//! ```
//! use starttls_proto::{Client, Identity, Progress, Server, TlsSupport, smtp};
//!
//! let identity = || Identity::new("mail.example.com");
//! let (mut to_server, mut to_client) = (Vec::new(), Vec::new());
//! let mut client = Client::new(&smtp::SMTP, identity(), &mut to_server);
//! let mut server = Server::new(&smtp::SMTP, identity(), TlsSupport::Available, &mut to_client);
//! let (mut client_done, mut server_done) = (None, None);
//! while client_done.is_none() {
//!     // A driver writes `to_client` to the socket here and reads what the peer sent.
//!     match client.receive(&std::mem::take(&mut to_client), &mut to_server)? {
//!         Progress::Continue(machine) => client = machine,
//!         Progress::Upgrade(proof) => { client_done = Some(proof); break }
//!         Progress::End(declined) => panic!("{:?}", declined.reason),
//!     }
//!     match server.receive(&std::mem::take(&mut to_server), &mut to_client)? {
//!         Progress::Continue(machine) => server = machine,
//!         Progress::Upgrade(proof) => { server_done = Some(proof); server = Server::new(&smtp::SMTP, identity(), TlsSupport::Available, &mut Vec::new()) }
//!         Progress::End(quit) => panic!("{quit:?}"),
//!     }
//! }
//! assert_eq!(client_done, server_done);
//! # Ok::<(), Box<starttls_proto::Error>>(())
//! ```
//!
//! # Bounds
//! One message is at most 64 KiB, and the buffer with it; a negotiation is at most 1,024 messages and
//! 256 KiB in each direction. Work is linear in the input, even one byte at a time. Time is the driver's.
//!
//! # Versions
//! [`Dialect`] is sealed, and what grows is marked `#[non_exhaustive]`, so that a protocol can be added in a minor release. The
//! crate builds with Rust 1.88, which is raised only in a minor release.
//!
//! # Without the standard library
//! The crate needs only `alloc`. The feature `std` (default) takes the random nonces from the standard
//! library: it converts an [`Identity`] into a [`DialectContext`], and adds `Relay::new`. Without it,
//! [`Identity::with_nonce`] takes the nonce from the caller.
#![forbid(unsafe_code)]
#![cfg_attr(not(feature = "std"), no_std)]

extern crate alloc;

pub mod base64;
mod ber;
mod boundary;
mod cleartext;
mod client;
mod credentials;
mod dialect;
mod dialects;
mod each_protocol;
mod error;
mod escape;
mod greeting;
mod hello_refusal;
mod inbox;
mod login;
mod malformed;
mod message_reader;
mod name;
mod nonce;
mod probe_credentials;
mod protocol;
mod recognize;
mod relay;
mod rewrite;
mod scan;
mod scheme;
mod server;
mod server_session;
mod text;
mod url;
mod xml;

pub use boundary::Upgrade;
pub use client::{Client, Declined, DeclinedReason};
#[doc(hidden)]
pub use dialect::sealed;
pub use dialect::{
    AwaitedInput, HelloAnswer, LoginExposure, LoginPart, LoginResponse, ObservedDialect, OpeningFit, PartOf,
};
pub use dialect::{
    CapabilityRewrite, CleartextPermission, ClientMessage, Correlation, Dialect, DialectContext, Identity,
    Phase, Refusal, ReplyTo, ServerMessage, Side,
};
pub use dialect::{
    ChannelBinding, Denial, LoginDialect, LoginMessage, LoginReply, OfferedMechanism, OutputBuffer,
    TranscriptEntry,
};
pub use dialects::*;
pub use error::{Error, ErrorKind, UNEXPECTED_MESSAGE_ALERT};
pub use escape::Escaped;
pub use greeting::{Greeting, GreetingStep, ReceivedGreeting};
pub use hello_refusal::HelloRefusal;
pub use login::{
    AwaitedLoginReply, LoginChallenge, LoginClient, LoginGranted, LoginRefused, LoginStep, MechanismChoice,
};
pub use malformed::Malformed;
pub use message_reader::MessageReader;
pub use name::{Capability, ClientName, InvalidValue, ServiceName, UrlAuthority, UserName};
pub use protocol::{AfterUpgrade, Flow, ImplicitTls, OfferPlace, Protocol, ProtocolFamily};
pub use recognize::Speaker;
pub use relay::{Edit, EventKind, Outgoing, Relay, RelayEvent, RelayRule, Trigger};
pub use scan::Scan;
pub use scheme::{Start, by_port, protocol, scheme, schemes};
pub use server::{Quit, Server, TlsSupport};
pub use server_session::{ServerSession, SessionCommand};
pub use url::{InvalidUrl, ServiceUrl, host_and_port};

/// What came of giving a machine its input.
#[must_use = "the machine, the proof or the refusal is in here"]
#[derive(Debug)]
pub enum Progress<M, E> {
    /// The negotiation goes on: write, read, and call again.
    Continue(M),
    /// Both sides agreed: write what is left in `out`, then start TLS.
    Upgrade(Upgrade),
    /// It ended without an upgrade.
    End(E),
}

/// Compiles the example of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
