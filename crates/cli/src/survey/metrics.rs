//! Serves the metrics of a survey over HTTP.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use starttls_survey::monitor::Monitor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use crate::args::Output;
use crate::console::{Console, Tone};
use crate::error::Failed;

/// The limits of a request: its time, its size, and how many there are at once.
const LIMIT: Duration = Duration::from_secs(5);
const MAX_REQUEST: usize = 8 * 1024;
const AT_ONCE: usize = 8;

/// Starts to serve, and shows the address.
pub(super) async fn start(
    address: SocketAddr,
    monitor: &Arc<Monitor>,
    output: &Output,
) -> Result<(), Failed> {
    let address = serve(address, Arc::clone(monitor)).await?;
    Console::new(output).line(Tone::Plain, format_args!("metrics: http://{address}/metrics"));
    Ok(())
}

/// Starts to serve, and returns the address. The task ends with the runtime.
async fn serve(address: SocketAddr, monitor: Arc<Monitor>) -> Result<SocketAddr, Failed> {
    let failed = |error| Failed::usage(format!("cannot listen for --metrics on {address}: {error}"));
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    let room = Arc::new(Semaphore::new(AT_ONCE));
    tokio::spawn(async move {
        while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
            let Ok((stream, _)) = listener.accept().await else {
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            };
            let monitor = Arc::clone(&monitor);
            tokio::spawn(async move {
                // A client that is too slow, or that leaves, gets no answer.
                let _ = timeout(LIMIT, answer(stream, &monitor)).await;
                drop(permit);
            });
        }
    });
    Ok(bound)
}

async fn answer(mut stream: TcpStream, monitor: &Monitor) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.windows(4).any(|it| it == b"\r\n\r\n") {
        if request.len() > MAX_REQUEST || stream.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    }
    let (status, body) = match request.starts_with(b"GET /metrics ") {
        true => ("200 OK", monitor.prometheus()),
        false => ("404 Not Found", String::from("expected GET /metrics\n")),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all((head + &body).as_bytes()).await?;
    stream.shutdown().await
}
