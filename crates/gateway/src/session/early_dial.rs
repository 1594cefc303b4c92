//! Dialing a backend while the client completes its handshake, which saves a round trip to the backend.

use std::pin::pin;

use starttls::{Encrypted, Error};
use tokio::time::timeout;

use super::backend::EarlyBackend;
use super::run::Session;
use super::stream::Socket;
use crate::admission::Admission;
use crate::config::{Downstream, Listener, ListenerTls};
use crate::record::EarlyDialUse;

impl<'a> Session<'a> {
    /// Does the handshake with the client, and connects to a backend as soon as the ClientHello has been answered. The backend
    /// receives nothing from the client: [`connect`](Self::connect) returns it after the handshake, when the client is admitted.
    ///
    /// If the handshake fails, the connection to the backend is dropped. It is also dropped if it has waited for the client as
    /// long as a dial may take, because a backend may close it at any time: the session then dials again.
    ///
    /// # Errors
    /// Those of the handshake.
    pub(super) async fn accept_and_dial(
        &mut self,
        admission: &Admission,
        socket: Socket,
        tls: &ListenerTls,
    ) -> Result<Encrypted<Socket>, Error> {
        let acceptor = self.acceptor(tls);
        let answered = match &self.listener.downstream {
            Downstream::Implicit(_) => acceptor.answer_hello_implicit(socket).await?,
            Downstream::Upgrade(..) | Downstream::Cleartext => acceptor.answer_hello(socket).await?,
        };
        let listener: &'a Listener = self.listener;
        let route = listener.early_route(answered.server_name().as_deref());
        let Some((route, place)) = route.zip(admission.early_dial()) else {
            return answered.finish().await;
        };
        self.record.early_dial = Some(EarlyDialUse::Unused);
        let (began, patience) = (self.record.began, listener.limits.dial);
        let (encrypted, until_tls, connected) = {
            let mut handshake =
                pin!(async { answered.finish().await.map(|encrypted| (encrypted, began.elapsed())) });
            let mut connecting = pin!(self.connect(route, None));
            tokio::select! {
                biased;
                done = &mut handshake => {
                    let (encrypted, until_tls) = done?;
                    drop(place);
                    (encrypted, until_tls, Some(connecting.await))
                }
                connected = &mut connecting => match timeout(patience, &mut handshake).await {
                    Ok(done) => {
                        let (encrypted, until_tls) = done?;
                        (encrypted, until_tls, Some(connected))
                    }
                    Err(_) => {
                        drop((connected, place));
                        let (encrypted, until_tls) = handshake.await?;
                        (encrypted, until_tls, None)
                    }
                },
            }
        };
        self.record.until_tls = Some(until_tls);
        self.early = connected.map(|connected| Box::new(EarlyBackend { route, connected }));
        Ok(encrypted)
    }
}
