//! The data connections of FTP: passive, one for each transfer, with implicit TLS unless the server has none.

use std::net::IpAddr;
use std::time::Duration;

use starttls::Acceptor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::session::{LIMIT, Session, SessionError, SessionStream, within};

/// How long a client may take to connect.
const DIAL: Duration = Duration::from_secs(10);

/// The listener of the next transfer.
#[derive(Debug, Default)]
pub(super) struct DataConnection(Option<TcpListener>);

impl DataConnection {
    /// Answers PASV (RFC 959 section 4.1.2) or EPSV (RFC 2428 section 3).
    pub(super) async fn listen(
        &mut self,
        session: &mut Session,
        name: &str,
        argument: &str,
    ) -> Result<(), SessionError> {
        let ip = session.ends().local;
        match (name, argument, ip) {
            ("EPSV", "ALL" | "all", _) => {
                session.say("200 EPSV it is");
                return Ok(());
            }
            ("EPSV", "", _) | ("EPSV", "1", IpAddr::V4(_)) | ("EPSV", "2", IpAddr::V6(_)) => {}
            ("EPSV", _, _) | (_, _, IpAddr::V6(_)) => {
                session.say("522 Use EPSV with the family of this connection");
                return Ok(());
            }
            _ => {}
        }
        let listener = TcpListener::bind((ip, 0)).await?;
        let port = listener.local_addr()?.port();
        session.say(match ip {
            IpAddr::V4(ip) if name == "PASV" => {
                let ([a, b, c, d], [high, low]) = (ip.octets(), port.to_be_bytes());
                format!("227 Entering Passive Mode ({a},{b},{c},{d},{high},{low})")
            }
            _ => format!("229 Entering Extended Passive Mode (|||{port}|)"),
        });
        self.0 = Some(listener);
        Ok(())
    }

    /// Sends bytes, and replies with the result.
    pub(super) async fn send(
        &mut self,
        session: &mut Session,
        acceptor: Option<&Acceptor>,
        content: &[u8],
    ) -> Result<(), SessionError> {
        let Some(mut stream) = self.open(session, acceptor).await? else { return Ok(()) };
        let sent = within(session.idle(), async {
            stream.write_all(content).await?;
            stream.shutdown().await
        });
        let sent = sent.await;
        session.say(if sent.is_ok() { "226 Sent" } else { "426 The data connection broke" });
        Ok(())
    }

    /// Receives up to the end. Returns `None` after an error, which it has replied.
    pub(super) async fn receive(
        &mut self,
        session: &mut Session,
        acceptor: Option<&Acceptor>,
    ) -> Result<Option<Vec<u8>>, SessionError> {
        let Some(stream) = self.open(session, acceptor).await? else { return Ok(None) };
        let mut content = Vec::new();
        // An end without close_notify is an error: an attacker can cut a connection (RFC 4217 section 12.2).
        let mut stream = stream.take(LIMIT as u64 + 1);
        match within(session.idle(), stream.read_to_end(&mut content)).await {
            Ok(_) if content.len() <= LIMIT => {
                // The client may be gone already.
                let _ = within(session.idle(), stream.get_mut().shutdown()).await;
                return Ok(Some(content));
            }
            Ok(_) => session.say("552 At most 1 MiB"),
            Err(_) => session.say("426 The data connection was cut"),
        }
        Ok(None)
    }

    /// Replies that the transfer starts, and waits for the client's connection.
    async fn open(
        &mut self,
        session: &mut Session,
        acceptor: Option<&Acceptor>,
    ) -> Result<Option<Box<dyn SessionStream>>, SessionError> {
        let Some(listener) = self.0.take() else {
            session.say("425 EPSV or PASV first");
            return Ok(None);
        };
        session.say("150 Here it comes");
        session.flush().await?;
        let client = session.ends().peer;
        let (stream, peer) = match within(DIAL, listener.accept()).await {
            Ok(accepted) => accepted,
            Err(_) => {
                session.say("425 No connection was made");
                return Ok(None);
            }
        };
        // A connection from another address would get the client's data.
        if peer.ip() != client {
            session.say("425 Another host connected");
            return Ok(None);
        }
        let Some(acceptor) = acceptor else { return Ok(Some(Box::new(stream))) };
        match acceptor.accept_implicit(stream).await {
            Ok(stream) => Ok(Some(Box::new(stream))),
            Err(_) => {
                session.say("522 TLS failed on the data connection");
                Ok(None)
            }
        }
    }
}
