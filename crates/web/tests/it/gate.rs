//! A relay of connections that a test controls.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};

/// A relay in front of a server. It holds each connection until it may pass.
pub(crate) struct Gate {
    pub(crate) address: SocketAddr,
    permits: Arc<Semaphore>,
    cut: watch::Sender<()>,
}

impl Gate {
    pub(crate) async fn start(server: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (permits, (cut, _)) = (Arc::new(Semaphore::new(0)), watch::channel(()));
        let gate = Self { address, permits: Arc::clone(&permits), cut: cut.clone() };
        tokio::spawn(async move {
            while let Ok((mut client, _)) = listener.accept().await {
                let (permits, mut cut) = (Arc::clone(&permits), cut.subscribe());
                tokio::spawn(async move {
                    let relayed = async {
                        permits.acquire().await.unwrap().forget();
                        let mut server = TcpStream::connect(server).await.unwrap();
                        // A connection may end in any way.
                        let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
                    };
                    tokio::select! {
                        () = relayed => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        gate
    }

    /// Lets this number of connections pass, those that wait first.
    pub(crate) fn pass(&self, connections: usize) {
        self.permits.add_permits(connections);
    }

    /// Holds the connections from now on.
    pub(crate) fn hold(&self) {
        self.permits.forget_permits(usize::MAX);
    }

    /// Closes all connections.
    pub(crate) fn cut(&self) {
        self.cut.send_replace(());
    }
}
