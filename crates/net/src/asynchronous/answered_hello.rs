//! A server's handshake in two halves.

use tokio::io::{AsyncRead, AsyncWrite};

use crate::handshake::Handshake;
use crate::trace::Span;
use crate::{Encrypted, Error};

/// A server's TLS handshake whose ClientHello has been answered.
///
/// The client has named the service that it wants and has proved nothing yet: anyone can send a ClientHello. A server can use
/// the time until the client's answer to prepare what needs no proof, such as a connection to a backend.
///
/// It is not a stream, so nothing can be read or written before the handshake is complete:
/// ```compile_fail,E0277
/// fn read_it(answered: starttls::AnsweredHello<tokio::net::TcpStream>) {
///     fn readable(_: impl tokio::io::AsyncRead) {}
///     readable(answered);
/// }
/// ```
#[derive(Debug)]
#[must_use = "the client waits for the end of the handshake: go on with it, or drop this to close the connection"]
pub struct AnsweredHello<IO> {
    pub(super) handshake: Handshake<IO>,
    pub(super) span: Span,
}

impl<IO: AsyncRead + AsyncWrite + Unpin> AnsweredHello<IO> {
    /// Returns the server name that the client has sent (SNI).
    pub fn server_name(&self) -> Option<String> {
        self.handshake.server_name()
    }

    /// Completes the handshake. The deadline of the first half continues.
    ///
    /// # Errors
    /// As for [`Acceptor::accept`](crate::Acceptor::accept).
    pub async fn finish(self) -> Result<Encrypted<IO>, Error> {
        self.span.run(self.handshake.complete()).await
    }
}
