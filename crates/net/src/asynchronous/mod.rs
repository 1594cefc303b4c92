//! The tokio driver.

mod answered_hello;
mod dialer;
mod drive;
mod io;

use std::time::Duration;

use starttls_proto::{Client, Identity, Protocol, Server};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::dialer::Dialed;
use crate::handshake::{ConnectionAttempt, Handshake};
use crate::machine::{Negotiation, NegotiationEnd};
use crate::ready::Negotiated;
use crate::tapped_stream::TappedStream;
use crate::{Acceptor, Connector, Encrypted, Endpoint, Error, MaybeEncrypted, Ready, Step};
pub use answered_hello::AnsweredHello;
pub use dialer::Dialer;
pub(crate) use drive::drive;
use drive::{send_before_tls, send_last_message};

/// The requirements on an asynchronous stream.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin {}
impl<IO: AsyncRead + AsyncWrite + Unpin> Stream for IO {}

impl<D: Dialer> Connector<D> {
    /// Connects to an endpoint, upgrades the connection, and verifies the server's certificate.
    ///
    /// # Errors
    /// [`Error`], also if the server declines the upgrade.
    pub async fn connect(
        &self,
        protocol: &Protocol,
        to: impl Into<Endpoint>,
    ) -> Result<Encrypted<D::Stream>, Error> {
        let (attempt, tcp, to) = self.begin(protocol, to.into()).await?;
        self.negotiate_to_end(protocol, self.identity_for(protocol, &to), attempt, tcp)
            .await?
            .required()?
            .handshake()
            .await
    }

    /// Like [`connect`](Self::connect), but if the server declines the upgrade, the connection stays **in cleartext**.
    ///
    /// # Errors
    /// As for `connect`, except a refusal after which the connection can be used in cleartext.
    pub async fn connect_or_cleartext(
        &self,
        protocol: &Protocol,
        to: impl Into<Endpoint>,
    ) -> Result<MaybeEncrypted<D::Stream>, Error> {
        let (attempt, tcp, to) = self.begin(protocol, to.into()).await?;
        or_cleartext(self.negotiate_to_end(protocol, self.identity_for(protocol, &to), attempt, tcp).await?)
            .await
    }

    /// Connects to an endpoint and starts TLS at the first byte, without a negotiation (RFC 8314 section 3).
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub async fn connect_implicit(
        &self,
        protocol: &Protocol,
        to: impl Into<Endpoint>,
    ) -> Result<Encrypted<D::Stream>, Error> {
        let (attempt, tcp, _) = self.begin(protocol, to.into()).await?;
        let tapped = TappedStream::new(tcp, attempt.tap.clone());
        attempt.begin_implicit(protocol, tapped)?.run().await
    }

    /// Opens a connection to an endpoint, and sends and reads nothing for the protocol.
    ///
    /// # Errors
    /// [`Error::Resolve`], [`Error::Connect`], [`Error::Proxy`] or [`Error::Timeout`].
    pub async fn dial(&self, to: impl Into<Endpoint>) -> Result<Dialed<D::Stream>, Error> {
        self.dialer.dial(&to.into(), self.deadline()).await
    }

    async fn begin(
        &self,
        protocol: &Protocol,
        to: Endpoint,
    ) -> Result<(ConnectionAttempt, D::Stream, Endpoint), Error> {
        let mut attempt = self.attempt(protocol, to.server_name(), self.deadline())?;
        let dialed = self.dialer.dial(&to, attempt.deadline).await?;
        let stream = attempt.dialed(dialed);
        Ok((attempt, stream, to))
    }
}

impl<D> Connector<D> {
    /// Upgrades a stream on which nothing has been sent or received yet.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub async fn upgrade<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        protocol: &Protocol,
        server_name: &str,
        io: IO,
    ) -> Result<Encrypted<IO>, Error> {
        self.negotiate(protocol, server_name, io).await?.handshake().await
    }

    /// Like [`upgrade`](Self::upgrade), with an identity in cleartext that differs from the verified name: the authority
    /// of a URL, or the names that the client of a relay will repeat inside TLS.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub async fn upgrade_as<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        protocol: &Protocol,
        identity: Identity,
        server_name: &str,
        io: IO,
    ) -> Result<Encrypted<IO>, Error> {
        self.negotiate_as(protocol, identity, server_name, io).await?.handshake().await
    }

    /// Like [`upgrade`](Self::upgrade), but if the server declines the upgrade, the stream stays **in cleartext**.
    ///
    /// # Errors
    /// As for [`connect_or_cleartext`](Self::connect_or_cleartext).
    pub async fn upgrade_or_cleartext<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        protocol: &Protocol,
        server_name: &str,
        io: IO,
    ) -> Result<MaybeEncrypted<IO>, Error> {
        let attempt = self.attempt(protocol, server_name, self.deadline())?;
        or_cleartext(self.negotiate_to_end(protocol, self.identity(server_name), attempt, io).await?).await
    }

    /// Starts TLS on a stream at its first byte.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub async fn upgrade_implicit<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        protocol: &Protocol,
        server_name: &str,
        io: IO,
    ) -> Result<Encrypted<IO>, Error> {
        let attempt = self.attempt(protocol, server_name, self.deadline())?;
        let tapped = TappedStream::new(io, attempt.tap.clone());
        attempt.begin_implicit(protocol, tapped)?.run().await
    }

    /// Performs the TLS handshake on a stream on which the caller has negotiated the upgrade itself.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub async fn handshake<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        protocol: &Protocol,
        server_name: &str,
        io: IO,
    ) -> Result<Encrypted<IO>, Error> {
        let attempt = self.attempt(protocol, server_name, self.deadline())?;
        let tapped = TappedStream::new(io, attempt.tap.clone());
        attempt.begin(tapped, Vec::new())?.run().await
    }

    /// Negotiates the upgrade in cleartext and stops before the TLS handshake.
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub async fn negotiate<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        protocol: &Protocol,
        server_name: &str,
        io: IO,
    ) -> Result<Ready<IO>, Error> {
        self.negotiate_as(protocol, self.identity(server_name), server_name, io).await
    }

    /// Like [`negotiate`](Self::negotiate), with an identity in cleartext as in [`upgrade_as`](Self::upgrade_as).
    ///
    /// # Errors
    /// As for [`connect`](Self::connect).
    pub async fn negotiate_as<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        protocol: &Protocol,
        identity: Identity,
        server_name: &str,
        io: IO,
    ) -> Result<Ready<IO>, Error> {
        let attempt = self.attempt(protocol, server_name, self.deadline())?;
        self.negotiate_to_end(protocol, identity, attempt, io).await?.required()
    }

    async fn negotiate_to_end<IO: Stream>(
        &self,
        protocol: &Protocol,
        identity: Identity,
        attempt: ConnectionAttempt,
        io: IO,
    ) -> Result<Negotiated<IO>, Error> {
        attempt.negotiation().run(self.converse(protocol, identity, attempt, io)).await
    }

    async fn converse<IO: Stream>(
        &self,
        protocol: &Protocol,
        identity: Identity,
        attempt: ConnectionAttempt,
        io: IO,
    ) -> Result<Negotiated<IO>, Error> {
        let mut tapped = TappedStream::new(io, attempt.tap.clone());
        let mut out = Vec::new();
        let mut client = Client::new(protocol, identity, &mut out);
        let mut retry = self.retry();
        loop {
            let negotiation = Negotiation { side: client, deadline: attempt.deadline };
            let declined = match drive(&mut tapped, negotiation, &mut out).await? {
                NegotiationEnd::Upgrade(upgrade) => {
                    send_before_tls(&mut tapped, &out, &attempt.deadline).await?;
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
            attempt.deadline.bound(Step::RetryPause, sleep(retry.pause)).await?;
        }
    }
}

async fn sleep(pause: Duration) -> Result<(), Error> {
    tokio::time::sleep(pause).await;
    Ok(())
}

async fn or_cleartext<IO: Stream>(agreement: Negotiated<IO>) -> Result<MaybeEncrypted<IO>, Error> {
    match agreement.or_cleartext()? {
        Ok(ready) => ready.handshake().await.map(MaybeEncrypted::Encrypted),
        Err(refused) => Ok(MaybeEncrypted::NotEncrypted(refused)),
    }
}

impl Acceptor {
    /// Sends the greeting, negotiates the upgrade, and completes the TLS handshake.
    ///
    /// # Errors
    /// [`Error`], also if the client quits without an upgrade ([`Error::Quit`]).
    pub async fn accept<IO: AsyncRead + AsyncWrite + Unpin>(&self, io: IO) -> Result<Encrypted<IO>, Error> {
        self.negotiate(io).await?.handshake().await
    }

    /// Starts TLS at the first byte, without a negotiation.
    ///
    /// # Errors
    /// As for [`accept`](Self::accept).
    pub async fn accept_implicit<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        io: IO,
    ) -> Result<Encrypted<IO>, Error> {
        self.begin_implicit(io)?.run().await
    }

    /// Sends the greeting, negotiates the upgrade, and answers the ClientHello. [`AnsweredHello::finish`] completes the handshake.
    ///
    /// # Errors
    /// As for [`accept`](Self::accept).
    pub async fn answer_hello<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        io: IO,
    ) -> Result<AnsweredHello<IO>, Error> {
        self.negotiate(io).await?.begin()?.answer_hello().await
    }

    /// Starts TLS at the first byte, and answers the ClientHello. [`AnsweredHello::finish`] completes the handshake.
    ///
    /// # Errors
    /// As for [`accept`](Self::accept).
    pub async fn answer_hello_implicit<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        io: IO,
    ) -> Result<AnsweredHello<IO>, Error> {
        self.begin_implicit(io)?.answer_hello().await
    }

    fn begin_implicit<IO: Stream>(&self, io: IO) -> Result<Handshake<IO>, Error> {
        let attempt = self.attempt();
        let tapped = TappedStream::new(io, attempt.tap.clone());
        attempt.begin_implicit(self.protocol(), tapped)
    }

    /// Performs the TLS handshake on a stream on which the caller has negotiated the upgrade itself.
    ///
    /// # Errors
    /// As for [`accept`](Self::accept).
    pub async fn handshake<IO: AsyncRead + AsyncWrite + Unpin>(
        &self,
        io: IO,
    ) -> Result<Encrypted<IO>, Error> {
        let attempt = self.attempt();
        let tapped = TappedStream::new(io, attempt.tap.clone());
        attempt.begin(tapped, Vec::new())?.run().await
    }

    /// Negotiates the upgrade in cleartext, sends the go-ahead, and stops before the TLS handshake.
    ///
    /// # Errors
    /// As for [`accept`](Self::accept).
    pub async fn negotiate<IO: AsyncRead + AsyncWrite + Unpin>(&self, io: IO) -> Result<Ready<IO>, Error> {
        let attempt = self.attempt();
        attempt.negotiation().run(self.converse(attempt, io)).await
    }

    async fn converse<IO: Stream>(&self, attempt: ConnectionAttempt, io: IO) -> Result<Ready<IO>, Error> {
        let mut tapped = TappedStream::new(io, attempt.tap.clone());
        let mut out = Vec::new();
        let server = Server::new(self.protocol(), self.identity(), self.tls(), &mut out);
        let negotiation = Negotiation { side: server, deadline: attempt.deadline };
        let error = match drive(&mut tapped, negotiation, &mut out).await {
            Ok(NegotiationEnd::Upgrade(upgrade)) => {
                send_before_tls(&mut tapped, &out, &attempt.deadline).await?;
                return Ok(Ready::new(tapped, upgrade, attempt));
            }
            Ok(NegotiationEnd::Otherwise(quit)) => Error::Quit(quit),
            Err(error) => error,
        };
        if error.has_last_message() {
            send_last_message(&mut tapped, &out, attempt.deadline).await;
        }
        Err(error)
    }
}

impl<IO: AsyncRead + AsyncWrite + Unpin> Ready<IO> {
    /// Performs the TLS handshake.
    ///
    /// # Errors
    /// [`Error`]. The connection is closed then: it never returns to cleartext (rule B5).
    pub async fn handshake(self) -> Result<Encrypted<IO>, Error> {
        self.begin()?.run().await
    }
}
