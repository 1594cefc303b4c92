//! `GET /metrics` and `GET /health`, one request a connection: less than a library for it would be.

use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;

use super::Metrics;

/// The longest head of a request.
const LONGEST: usize = 8 * 1024;

/// How long a request and its answer may take together.
const PATIENCE: Duration = Duration::from_secs(10);

/// Requests at once; the others wait in the socket's queue.
const AT_ONCE: usize = 16;

/// Answers whoever asks. Never ends by itself.
pub async fn serve(listener: TcpListener, metrics: Arc<Metrics>) {
    let places = Arc::new(Semaphore::new(AT_ONCE));
    loop {
        // It is never closed.
        let Ok(place) = places.clone().acquire_owned().await else { return };
        let Ok((io, _)) = listener.accept().await else {
            // Out of descriptors, most likely: there will be some again.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let metrics = metrics.clone();
        tokio::spawn(async move {
            // Whoever is too slow, or has gone, gets no answer.
            let _ = tokio::time::timeout(PATIENCE, answer(io, &metrics)).await;
            drop(place);
        });
    }
}

async fn answer(mut io: TcpStream, metrics: &Metrics) -> std::io::Result<()> {
    let mut head = Vec::with_capacity(1024);
    while !head.windows(4).any(|it| it == b"\r\n\r\n") {
        if head.len() >= LONGEST || io.read_buf(&mut head).await? == 0 {
            return Ok(());
        }
    }
    const TEXT: &str = "text/plain; charset=utf-8";
    const METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let path = path.split(|byte| *byte == b'?').next().unwrap_or_default();
    let (status, kind, body) = match (method, path) {
        (b"GET" | b"HEAD", b"/metrics") => ("200 OK", METRICS, metrics.render()),
        (b"GET" | b"HEAD", b"/health") if metrics.is_draining() => {
            ("503 Service Unavailable", TEXT, String::from("draining\n"))
        }
        (b"GET" | b"HEAD", b"/health") => ("200 OK", TEXT, String::from("ok\n")),
        (b"GET" | b"HEAD", _) => ("404 Not Found", TEXT, String::from("there are /metrics and /health\n")),
        _ => ("405 Method Not Allowed", TEXT, String::from("only GET and HEAD\n")),
    };
    let length = body.len();
    let body = if method == b"HEAD" { "" } else { &body };
    let text = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    );
    io.write_all(text.as_bytes()).await?;
    io.shutdown().await
}
