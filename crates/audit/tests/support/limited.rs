//! A server that admits a limited number of connections.

use std::net::SocketAddr;

use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

/// Forwards the first `left` connections to the server. Later connections receive `then` and are closed.
pub(crate) async fn limited(server: SocketAddr, mut left: u32, then: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let admitted = left > 0;
            left = left.saturating_sub(1);
            tokio::spawn(async move {
                if admitted {
                    let mut there = TcpStream::connect(server).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut client, &mut there).await;
                } else {
                    let _ = client.write_all(then).await;
                }
            });
        }
    });
    address
}
