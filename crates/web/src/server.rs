//! Accepts connections, and answers their requests.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::live::Viewers;
use crate::service::{Service, WebSettings};
use crate::site::{Access, Site};
use crate::{http, routes};

/// The most connections of clients.
const MAX_CONNECTIONS: usize = 512;
/// The time for the header of a request.
const HEADER_LIMIT: Duration = Duration::from_secs(5);
/// The pause after a connection could not be accepted, for example because there are too many open files.
const PAUSE: Duration = Duration::from_millis(100);

/// Serves without end.
///
/// # Errors
/// If the listener has no address.
pub async fn serve(listener: TcpListener, access: Access, settings: WebSettings) -> io::Result<Infallible> {
    let listening = listener.local_addr()?;
    let site =
        Arc::new(Site { service: Service::new(settings), access, listening, viewers: Viewers::default() });
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        // The semaphore is never closed.
        let Ok(permit) = Arc::clone(&connections).acquire_owned().await else {
            return Err(io::Error::other("the semaphore is closed"));
        };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let site = Arc::clone(&site);
                tokio::spawn(async move {
                    let _permit = permit;
                    connection(stream, peer, &site).await;
                });
            }
            Err(_) => tokio::time::sleep(PAUSE).await,
        }
    }
}

async fn connection(stream: tokio::net::TcpStream, peer: SocketAddr, site: &Arc<Site>) {
    let respond = service_fn(|request| {
        let site = Arc::clone(site);
        async move {
            let accepts = http::accepts_gzip(request.headers());
            let reply = routes::respond(&site, peer.ip(), request).await;
            Ok::<_, Infallible>(http::compressed(reply, accepts).await)
        }
    });
    // Lines of a live page must not wait for more of them.
    let _ = stream.set_nodelay(true);
    let mut server = http1::Builder::new();
    server.timer(TokioTimer::new()).header_read_timeout(HEADER_LIMIT).max_buf_size(16 << 10);
    // The client is gone, or broke the protocol.
    let _ = server.serve_connection(TokioIo::new(stream), respond).await;
}
