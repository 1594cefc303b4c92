//! The blocking driver. [`Connector::blocking`](crate::Connector::blocking) and
//! [`Acceptor::blocking`](crate::Acceptor::blocking) return it. It has the same methods as the tokio driver.
//!
//! It works over any [`Stream`]: TCP, Unix sockets, and every stream in [`Untimed`].

mod dialer;
mod drive;
mod io;

use starttls_proto::{Client, Identity, Protocol, Server};

use crate::dialer::{Dialed, Tcp};
use crate::handshake::ConnectionAttempt;
use crate::machine::{Negotiation, NegotiationEnd};
use crate::ready::Negotiated;
use crate::tapped_stream::TappedStream;
use crate::{Encrypted, Endpoint, Error, MaybeEncrypted, Ready};
pub use dialer::Dialer;
pub(crate) use drive::drive;
use drive::{remove_timeout, send_before_tls, send_last_message};
pub use io::{Stream, Untimed};

/// A [`Connector`](crate::Connector) with blocking methods.
#[derive(Debug)]
pub struct Connector<'a, D = Tcp>(&'a crate::Connector<D>);

impl<D> Clone for Connector<'_, D> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<D> Copy for Connector<'_, D> {}

/// An [`Acceptor`](crate::Acceptor) with blocking methods.
#[derive(Clone, Copy, Debug)]
pub struct Acceptor<'a>(&'a crate::Acceptor);

impl<D> crate::Connector<D> {
    /// Returns the blocking driver of this connector.
    pub fn blocking(&self) -> Connector<'_, D> {
        Connector(self)
    }
}

impl crate::Acceptor {
    /// Returns the blocking driver of this acceptor.
    pub fn blocking(&self) -> Acceptor<'_> {
        Acceptor(self)
    }
}

impl<D: Dialer> Connector<'_, D> {
    /// Connects to an endpoint, upgrades the connection, and verifies the server's certificate.
    ///
    /// # Errors
    /// [`Error`], also if the server declines the upgrade.
    pub fn connect(
        &self,
        protocol: &Protocol,
        to: impl Into<Endpoint>,
    ) -> Result<Encrypted<D::Stream>, Error> {
        let (attempt, tcp, to) = self.begin(protocol, to.into())?;
        self.negotiate_to_end(protocol, self.0.identity_for(protocol, &to), attempt, tcp)?
            .required()?
            .handshake_blocking()
    }

    /// Like [`connect`](Self::connect), but if the server declines the upgrade, the connection stays **in cleartext**.
    ///
    /// # Errors
    /// As for `connect`, except a refusal after which the connection can be used in cleartext.
    pub fn connect_or_cleartext(
        &self,
        protocol: &Protocol,
        to: impl Into<Endpoint>,
    ) -> Result<MaybeEncrypted<D::Stream>, Error> {
        let (attempt, tcp, to) = self.begin(protocol, to.into())?;
        or_cleartext(self.negotiate_to_end(protocol, self.0.identity_for(protocol, &to), attempt, tcp)?)
    }

    /// Connects to an endpoint and starts TLS at the first byte, without a negotiation (RFC 8314 section 3).
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub fn connect_implicit(
        &self,
        protocol: &Protocol,
        to: impl Into<Endpoint>,
    ) -> Result<Encrypted<D::Stream>, Error> {
        let (attempt, tcp, _) = self.begin(protocol, to.into())?;
        let tapped = timed(tcp, &attempt);
        attempt.begin_implicit(protocol, tapped)?.run_blocking()
    }

    /// Opens a connection to an endpoint, and sends and reads nothing for the protocol.
    ///
    /// # Errors
    /// [`Error::Resolve`], [`Error::Connect`], [`Error::Proxy`] or [`Error::Timeout`].
    pub fn dial(&self, to: impl Into<Endpoint>) -> Result<Dialed<D::Stream>, Error> {
        self.0.dialer.dial(&to.into(), self.0.deadline())
    }

    fn begin(
        &self,
        protocol: &Protocol,
        to: Endpoint,
    ) -> Result<(ConnectionAttempt, D::Stream, Endpoint), Error> {
        let mut attempt = self.0.attempt(protocol, to.server_name(), self.0.deadline())?;
        let dialed = self.0.dialer.dial(&to, attempt.deadline)?;
        let stream = attempt.dialed(dialed);
        Ok((attempt, stream, to))
    }
}

impl<D> Connector<'_, D> {
    /// Upgrades a stream on which nothing has been sent or received yet.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub fn upgrade<IO: Stream>(
        &self,
        protocol: &Protocol,
        server_name: &str,
        io: IO,
    ) -> Result<Encrypted<IO>, Error> {
        self.negotiate(protocol, server_name, io)?.handshake_blocking()
    }

    /// Like [`upgrade`](Self::upgrade), with an identity in cleartext that differs from the verified name, as in
    /// [`Connector::upgrade_as`](crate::Connector::upgrade_as).
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub fn upgrade_as<IO: Stream>(
        &self,
        protocol: &Protocol,
        identity: Identity,
        server_name: &str,
        io: IO,
    ) -> Result<Encrypted<IO>, Error> {
        self.negotiate_as(protocol, identity, server_name, io)?.handshake_blocking()
    }

    /// Like [`upgrade`](Self::upgrade), but if the server declines the upgrade, the stream stays **in cleartext**.
    ///
    /// # Errors
    /// As for [`connect_or_cleartext`](Self::connect_or_cleartext).
    pub fn upgrade_or_cleartext<IO: Stream>(
        &self,
        protocol: &Protocol,
        server_name: &str,
        io: IO,
    ) -> Result<MaybeEncrypted<IO>, Error> {
        let attempt = self.0.attempt(protocol, server_name, self.0.deadline())?;
        or_cleartext(self.negotiate_to_end(protocol, self.0.identity(server_name), attempt, io)?)
    }

    /// Starts TLS on a stream at its first byte.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub fn upgrade_implicit<IO: Stream>(
        &self,
        protocol: &Protocol,
        server_name: &str,
        io: IO,
    ) -> Result<Encrypted<IO>, Error> {
        let attempt = self.0.attempt(protocol, server_name, self.0.deadline())?;
        let tapped = timed(io, &attempt);
        attempt.begin_implicit(protocol, tapped)?.run_blocking()
    }

    /// Performs the TLS handshake on a stream on which the caller has negotiated the upgrade itself.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub fn handshake<IO: Stream>(
        &self,
        protocol: &Protocol,
        server_name: &str,
        io: IO,
    ) -> Result<Encrypted<IO>, Error> {
        let attempt = self.0.attempt(protocol, server_name, self.0.deadline())?;
        let tapped = timed(io, &attempt);
        attempt.begin(tapped, Vec::new())?.run_blocking()
    }

    /// Negotiates the upgrade in cleartext and stops before the TLS handshake.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub fn negotiate<IO: Stream>(
        &self,
        protocol: &Protocol,
        server_name: &str,
        io: IO,
    ) -> Result<Ready<IO>, Error> {
        self.negotiate_as(protocol, self.0.identity(server_name), server_name, io)
    }

    /// Like [`negotiate`](Self::negotiate), with an identity in cleartext as in [`upgrade_as`](Self::upgrade_as).
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub fn negotiate_as<IO: Stream>(
        &self,
        protocol: &Protocol,
        identity: Identity,
        server_name: &str,
        io: IO,
    ) -> Result<Ready<IO>, Error> {
        let attempt = self.0.attempt(protocol, server_name, self.0.deadline())?;
        self.negotiate_to_end(protocol, identity, attempt, io)?.required()
    }

    fn negotiate_to_end<IO: Stream>(
        &self,
        protocol: &Protocol,
        identity: Identity,
        attempt: ConnectionAttempt,
        io: IO,
    ) -> Result<Negotiated<IO>, Error> {
        attempt.negotiation().run_blocking(|| self.converse(protocol, identity, attempt, io))
    }

    fn converse<IO: Stream>(
        &self,
        protocol: &Protocol,
        identity: Identity,
        attempt: ConnectionAttempt,
        io: IO,
    ) -> Result<Negotiated<IO>, Error> {
        let mut tapped = timed(io, &attempt);
        let mut out = Vec::new();
        let mut client = Client::new(protocol, identity, &mut out);
        let mut retry = self.0.retry();
        loop {
            let negotiation = Negotiation { side: client, deadline: attempt.deadline };
            let declined = match drive(&mut tapped, negotiation, &mut out)? {
                NegotiationEnd::Upgrade(upgrade) => {
                    send_before_tls(&mut tapped, &out, &attempt.deadline)?;
                    return Ok(Negotiated::Ready(Ready::new(tapped, upgrade, attempt)));
                }
                NegotiationEnd::Otherwise(declined) if retry.attempts == 0 => {
                    return Ok(Negotiated::Declined(declined, tapped));
                }
                NegotiationEnd::Otherwise(declined) => declined,
            };
            client = match declined.retry(&mut out) {
                Ok(client) => client,
                Err(declined) => return Ok(Negotiated::Declined(*declined, tapped)),
            };
            retry.attempts -= 1;
            std::thread::sleep(retry.pause.min(attempt.deadline.remaining()));
        }
    }
}

fn or_cleartext<IO: Stream>(agreement: Negotiated<IO>) -> Result<MaybeEncrypted<IO>, Error> {
    match agreement.or_cleartext()? {
        Ok(ready) => ready.handshake_blocking().map(MaybeEncrypted::Encrypted),
        Err(mut refused) => {
            remove_timeout(refused.io_mut())?;
            Ok(MaybeEncrypted::NotEncrypted(refused))
        }
    }
}

impl Acceptor<'_> {
    /// Sends the greeting, negotiates the upgrade, and completes the TLS handshake.
    ///
    /// # Errors
    /// [`Error`], also if the client quits without an upgrade ([`Error::Quit`]).
    pub fn accept<IO: Stream>(&self, io: IO) -> Result<Encrypted<IO>, Error> {
        self.negotiate(io)?.handshake_blocking()
    }

    /// Starts TLS at the first byte, without a negotiation.
    ///
    /// # Errors
    /// As for [`accept`](Self::accept).
    pub fn accept_implicit<IO: Stream>(&self, io: IO) -> Result<Encrypted<IO>, Error> {
        let attempt = self.0.attempt();
        let tapped = timed(io, &attempt);
        attempt.begin_implicit(self.0.protocol(), tapped)?.run_blocking()
    }

    /// Performs the TLS handshake on a stream on which the caller has negotiated the upgrade itself.
    ///
    /// # Errors
    /// As for [`accept`](Self::accept).
    pub fn handshake<IO: Stream>(&self, io: IO) -> Result<Encrypted<IO>, Error> {
        let attempt = self.0.attempt();
        let tapped = timed(io, &attempt);
        attempt.begin(tapped, Vec::new())?.run_blocking()
    }

    /// Negotiates the upgrade in cleartext, sends the go-ahead, and stops before the TLS handshake.
    ///
    /// # Errors
    /// As for [`accept`](Self::accept).
    pub fn negotiate<IO: Stream>(&self, io: IO) -> Result<Ready<IO>, Error> {
        let attempt = self.0.attempt();
        attempt.negotiation().run_blocking(|| self.converse(attempt, io))
    }

    fn converse<IO: Stream>(&self, attempt: ConnectionAttempt, io: IO) -> Result<Ready<IO>, Error> {
        let mut tapped = timed(io, &attempt);
        let mut out = Vec::new();
        let server = Server::new(self.0.protocol(), self.0.identity(), self.0.tls(), &mut out);
        let negotiation = Negotiation { side: server, deadline: attempt.deadline };
        let error = match drive(&mut tapped, negotiation, &mut out) {
            Ok(NegotiationEnd::Upgrade(upgrade)) => {
                send_before_tls(&mut tapped, &out, &attempt.deadline)?;
                return Ok(Ready::new(tapped, upgrade, attempt));
            }
            Ok(NegotiationEnd::Otherwise(quit)) => Error::Quit(quit),
            Err(error) => error,
        };
        if error.has_last_message() {
            send_last_message(&mut tapped, &out, attempt.deadline);
        }
        Err(error)
    }
}

impl<IO: Stream> Ready<IO> {
    /// Performs the TLS handshake, blocking.
    ///
    /// # Errors
    /// [`Error`]. The connection is closed then: it never returns to cleartext (rule B5).
    pub fn handshake_blocking(self) -> Result<Encrypted<IO>, Error> {
        self.begin()?.run_blocking()
    }
}

fn timed<IO>(io: IO, attempt: &ConnectionAttempt) -> TappedStream<IO> {
    let mut tapped = TappedStream::new(io, attempt.tap.clone());
    tapped.deadline = Some(attempt.deadline);
    tapped
}
