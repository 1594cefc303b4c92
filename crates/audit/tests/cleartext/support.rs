//! A relay that drops cleartext messages of the client and adds messages of the server.

use std::net::SocketAddr;

use starttls::proto::{ClientMessage, Identity, Protocol, ReplyTo, Scan, Side};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What the relay does with a message of the client.
pub(crate) struct Act {
    /// Bytes that are sent to the client first.
    pub(crate) before: &'static [u8],
    /// Whether the message is forwarded to the server. If not, the connection ends.
    pub(crate) passes: bool,
}

/// Listens in front of `server`. `act` decides on each message in cleartext up to the request for TLS.
pub(crate) async fn between(
    protocol: &'static Protocol,
    server: SocketAddr,
    act: impl Fn(ClientMessage) -> Act + Copy + Send + Sync + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(async move { carry(protocol, client, server, act).await });
        }
    });
    address
}

/// Relays one connection; returns `None` at its end.
async fn carry(
    protocol: &'static Protocol,
    client: TcpStream,
    server: SocketAddr,
    act: impl Fn(ClientMessage) -> Act,
) -> Option<()> {
    let (mut from, mut to) = client.into_split();
    let (mut back, mut there) = TcpStream::connect(server).await.ok()?.into_split();
    let mut dialect = protocol.new_dialect(Identity::new("localhost"));
    let (mut up, mut down) = (vec![0; 16 * 1024], vec![0; 16 * 1024]);
    let mut clear = true;
    loop {
        tokio::select! {
            read = from.read(&mut up) => {
                let said = &up[..read.ok().filter(|len| *len > 0)?];
                let whole = dialect.frame(Side::Client, ReplyTo::Other, said, &mut Scan::default());
                let meaning = match whole {
                    Ok(Some(end)) if clear => dialect.read_client(&said[..end]).ok(),
                    _ => None,
                };
                clear &= meaning.is_some_and(|it| it != ClientMessage::Request);
                let act = meaning.map(&act).unwrap_or(Act { before: b"", passes: true });
                to.write_all(act.before).await.ok()?;
                if !act.passes {
                    return None;
                }
                there.write_all(said).await.ok()?;
            }
            read = back.read(&mut down) => {
                let said = &down[..read.ok().filter(|len| *len > 0)?];
                to.write_all(said).await.ok()?;
            }
        }
    }
}
