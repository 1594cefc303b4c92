//! The last message to a client before its connection is closed.

use std::time::Duration;

use starttls::proto::{Side, Speaker, UNEXPECTED_MESSAGE_ALERT};
use tokio::io::{AsyncWrite, AsyncWriteExt};

use super::splice::{Filter, Splice};
use super::stream::Stream;
use crate::failure::SessionFailure;

/// The time limit for the last message, and for the end of the connection after it.
pub(super) const CLOSING: Duration = Duration::from_secs(1);

/// Sends a message within [`CLOSING`]. Errors are ignored, because the connection is closed in any case.
pub(super) async fn send(to: &mut (impl AsyncWrite + Unpin), message: &[u8]) {
    let sending = async {
        to.write_all(message).await?;
        to.flush().await
    };
    let _ = tokio::time::timeout(CLOSING, sending).await;
}

/// Closes the connection of a client that broke a rule. The client gets the protocol's message for that, or an alert if it
/// sent TLS in cleartext.
pub(super) async fn answer_violation(
    failure: &SessionFailure,
    splice: &mut Splice<impl Filter + ?Sized>,
    client: &mut Stream,
) {
    let SessionFailure::Protocol { side: Side::Client, received, .. } = failure else { return };
    // Boxed, so that sessions do not reserve memory for it.
    Box::pin(async {
        match (&*client, Speaker::recognize(received)) {
            (Stream::Clear(_), Some(Speaker::Tls)) => send(client, &UNEXPECTED_MESSAGE_ALERT).await,
            _ => send(client, &splice.final_message()).await,
        }
        if let Ok(Ok(())) = tokio::time::timeout(CLOSING, client.shutdown()).await {
            // A reset could discard the message before the client has read it.
            client.end();
        }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use socket2::SockRef;
    use starttls::proto::smtp::SMTP;
    use starttls::proto::{Outgoing, Relay};
    use tokio::io::AsyncReadExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::session::stream::Socket;

    #[tokio::test]
    async fn the_goodbye_of_a_violation_is_not_followed_by_a_reset() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut stream = Stream::Clear(Socket::from(listener.accept().await.unwrap().0));
        stream.begin();
        let first = Outgoing { to_client: b"421 bye\r\n".to_vec(), ..Outgoing::default() };
        let mut splice = Splice::new(Some(Box::new(Relay::new(&SMTP, Vec::new()))), first);
        let violation =
            SessionFailure::Protocol { side: Side::Client, expected: "CRLF", received: b"NOOP\n".to_vec() };
        answer_violation(&violation, &mut splice, &mut stream).await;
        let tcp = stream.socket().tcp().unwrap();
        assert_eq!(SockRef::from(tcp).linger().unwrap(), None);
        drop(stream);
        let mut heard = String::new();
        client.read_to_string(&mut heard).await.unwrap();
        assert!(heard.starts_with("421 bye\r\n"), "{heard:?}");
    }
}
