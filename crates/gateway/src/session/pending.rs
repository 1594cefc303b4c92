//! An upgrade that the server offered in its greeting. The server sends no answer to the request.

use starttls::proto::{Client, Identity, Progress, Protocol, Side, Upgrade};
use tokio::io::AsyncWriteExt;

use super::stream::Stream;
use crate::config::BackendTls;
use crate::failure::SessionFailure;

/// An upgrade that the gateway has not requested yet, because the request may repeat a part of the client's login.
#[derive(Debug)]
pub(super) struct PendingUpgrade {
    upgrade: Upgrade,
    tls: BackendTls,
    protocol: &'static Protocol,
}

impl PendingUpgrade {
    /// Checks that `received`, everything that the server has sent, is a greeting that offers the upgrade.
    ///
    /// # Errors
    /// [`SessionFailure`] if the server does not offer the upgrade, or sent anything after its greeting.
    pub(super) fn new(
        protocol: &'static Protocol,
        tls: &BackendTls,
        received: &[u8],
    ) -> Result<Self, SessionFailure> {
        let client = Client::new(protocol, Identity::new(""), &mut Vec::new());
        let progress = client.receive(received, &mut Vec::new());
        match progress.map_err(|error| SessionFailure::protocol(*error))? {
            Progress::Upgrade(upgrade) => Ok(Self { upgrade, tls: tls.clone(), protocol }),
            Progress::Continue(client) => Err(SessionFailure::protocol(*client.closed())),
            Progress::End(declined) => {
                Err(SessionFailure::upstream(starttls::Error::Declined((&declined).into())))
            }
        }
    }

    /// Sends this request and does the handshake.
    ///
    /// # Errors
    /// [`SessionFailure`] when the connection breaks or the handshake fails.
    pub(super) async fn upgrade(self, stream: Stream, request: &[u8]) -> Result<Stream, SessionFailure> {
        let Self { upgrade, tls, protocol } = self;
        let Stream::Clear(mut socket) = stream else { return Ok(stream) };
        socket.write_all(request).await.map_err(|cause| SessionFailure::io(Side::Server, cause))?;
        let ready = tls.connector.from_upgrade(protocol, &tls.server_name, socket, upgrade);
        let handshake = ready.map_err(SessionFailure::upstream)?.handshake();
        Ok(Stream::Tls(Box::new(handshake.await.map_err(SessionFailure::upstream)?)))
    }
}
