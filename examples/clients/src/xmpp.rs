//! `tokio-xmpp`: logs in.

use std::borrow::Cow;

use futures_util::StreamExt;
use sasl::common::ChannelBinding;
use starttls::{Connector, Encrypted, Endpoint, proto::xmpp::XMPP};
use tokio::io::BufStream;
use tokio::net::TcpStream;
use tokio_xmpp::connect::ServerConnector;
use tokio_xmpp::jid::{BareJid, Jid};
use tokio_xmpp::xmlstream::{PendingFeaturesRecv, StreamHeader, Timeouts, initiate_stream};
use tokio_xmpp::{Client, Error, Event};

use crate::Failure;

/// Connects for `tokio-xmpp`, which calls this again when a connection was lost.
#[derive(Clone, Debug)]
struct Upgraded(Connector, Endpoint);

impl ServerConnector for Upgraded {
    type Stream = BufStream<Encrypted<TcpStream>>;

    async fn connect(
        &self,
        jid: &Jid,
        ns: &'static str,
        timeouts: Timeouts,
    ) -> Result<(PendingFeaturesRecv<Self::Stream>, ChannelBinding), Error> {
        let stream = self.0.connect(&XMPP, self.1.clone()).await.map_err(std::io::Error::other)?;
        let header = StreamHeader { to: Some(Cow::Borrowed(jid.domain().as_str())), from: None, id: None };
        let stream = initiate_stream(BufStream::new(stream), ns, header, timeouts).await?;
        Ok((stream, ChannelBinding::None))
    }
}

/// Logs in, and returns the address that the server assigns.
///
/// # Errors
/// Returns an error if the server does not admit the user.
pub async fn log_in(
    connector: &Connector,
    server: Endpoint,
    (address, password): (&str, &str),
) -> Result<String, Failure> {
    let server = Upgraded(connector.clone(), server);
    let address: BareJid = address.parse()?;
    let mut client = Client::new_with_connector(address, password, server, Timeouts::default());
    match client.next().await {
        Some(Event::Online { bound_jid, .. }) => {
            client.send_end().await?;
            Ok(bound_jid.to_string())
        }
        other => Err(format!("the login failed: {other:?}").into()),
    }
}
