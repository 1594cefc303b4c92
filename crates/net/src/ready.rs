//! The results of a negotiation: a connection that is ready for TLS, or one that stays in cleartext.

use starttls_proto::{Declined, Upgrade};

use crate::handshake::{ConnectionAttempt, Handshake};
use crate::tapped_stream::TappedStream;
use crate::{Encrypted, Error, UpgradeRefusal};

/// A connection after an agreed upgrade. The next octet in either direction belongs to TLS.
///
/// It cannot be read or written, so that no data can get between the negotiation and the handshake, and the handshake
/// consumes it. The deadline of the negotiation continues.
///
/// It is not a stream:
/// ```compile_fail,E0277
/// fn read_it(ready: starttls::Ready<std::net::TcpStream>) {
///     fn readable(_: impl std::io::Read) {}
///     readable(ready);
/// }
/// ```
/// ```compile_fail,E0277
/// fn write_it(ready: starttls::Ready<std::net::TcpStream>) {
///     fn writable(_: impl std::io::Write) {}
///     writable(ready);
/// }
/// ```
/// It permits one handshake:
/// ```compile_fail,E0382
/// fn twice(ready: starttls::Ready<std::net::TcpStream>) -> Result<(), starttls::Error> {
///     let first = ready.handshake_blocking()?;
///     let second = ready.handshake_blocking()?;
///     Ok(())
/// }
/// ```
#[derive(Debug)]
#[must_use = "the peer now expects TLS: go on with the handshake, or drop this to close the connection"]
pub struct Ready<IO> {
    tapped: TappedStream<IO>,
    upgrade: Upgrade,
    attempt: Box<ConnectionAttempt>,
}

impl<IO> Ready<IO> {
    pub(crate) fn new(tapped: TappedStream<IO>, upgrade: Upgrade, mut attempt: ConnectionAttempt) -> Self {
        attempt.timings.negotiation = Some(attempt.lap());
        Self { tapped, upgrade, attempt: Box::new(attempt) }
    }

    /// Returns the stream without TLS, for a probe that sends its own ClientHello and never finishes a handshake.
    ///
    /// For diagnosis only: nothing on the stream is encrypted or authenticated. The proof of the boundary is consumed, so the
    /// next octet in either direction belongs to TLS here too.
    #[cfg(feature = "raw-tls")]
    pub fn into_raw_tls(self) -> crate::RawTls<IO> {
        crate::RawTls::new(self.tapped, self.upgrade)
    }

    pub(crate) fn begin(mut self) -> Result<Handshake<IO>, Error> {
        self.tapped.skip_leading_space(self.attempt.space_before_tls);
        self.attempt.begin(self.tapped, self.upgrade.into_early_tls())
    }
}

/// A connection on which the server declined the upgrade, for callers that explicitly accept cleartext.
///
/// An attacker in the network path can read and change everything on it. Its type differs from that of an encrypted stream:
/// ```compile_fail,E0308
/// fn secret(stream: starttls::Encrypted<std::net::TcpStream>) {}
/// fn careless(refused: starttls::NotEncrypted<std::net::TcpStream>) {
///     secret(refused);
/// }
/// ```
#[derive(Debug)]
#[must_use = "the connection is open and not encrypted"]
pub struct NotEncrypted<IO> {
    io: IO,
    refused: UpgradeRefusal,
}

impl<IO> NotEncrypted<IO> {
    pub(crate) fn io_mut(&mut self) -> &mut IO {
        &mut self.io
    }

    /// Returns the server's refusal.
    pub fn refused(&self) -> &UpgradeRefusal {
        &self.refused
    }

    /// Returns the stream, in cleartext. The server has answered the upgrade request, and the client sends next.
    pub fn into_cleartext(self) -> IO {
        self.io
    }
}

/// The result of an upgrade for a caller that accepts cleartext.
#[derive(Debug)]
#[must_use = "one of the two variants is not encrypted"]
pub enum MaybeEncrypted<IO> {
    /// The connection is encrypted.
    Encrypted(Encrypted<IO>),
    /// The server declined, and the connection stays in cleartext.
    NotEncrypted(NotEncrypted<IO>),
}

/// The result of a client's negotiation.
pub(crate) enum Negotiated<IO> {
    Ready(Ready<IO>),
    Declined(Declined, TappedStream<IO>),
}

impl<IO> Negotiated<IO> {
    /// Returns the connection for a caller that requires TLS (rule C1).
    pub(crate) fn required(self) -> Result<Ready<IO>, Error> {
        match self {
            Self::Ready(ready) => Ok(ready),
            Self::Declined(declined, _) => Err(Error::Declined((&declined).into())),
        }
    }

    /// Returns the connection for a caller that accepts cleartext, if it can be used in cleartext.
    pub(crate) fn or_cleartext(self) -> Result<Result<Ready<IO>, NotEncrypted<IO>>, Error> {
        match self {
            Self::Declined(declined, tapped) if declined.is_usable_in_cleartext() => {
                Ok(Err(NotEncrypted { io: tapped.io, refused: (&declined).into() }))
            }
            other => other.required().map(Ok),
        }
    }
}
