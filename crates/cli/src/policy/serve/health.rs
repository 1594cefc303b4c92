//! `/health` and `/metrics` over HTTP, one request per connection.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use starttls_policy::drive::PolicyService;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::socket::{Duplex, Listener};

/// The time limit of a request.
const REQUEST_LIMIT: Duration = Duration::from_secs(5);
/// The largest request.
const MAX_REQUEST: usize = 8 << 10;
/// The most connections.
const MAX_CONNECTIONS: usize = 16;

/// Answers requests, without end. `sound` is whether the resolver validates DNSSEC.
pub(super) async fn serve(listener: Listener, service: PolicyService, sound: Arc<AtomicBool>) {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let stream = listener.accept().await;
        let Ok(permit) = connections.clone().acquire_owned().await else { return };
        let (service, sound) = (service.clone(), sound.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let _ = timeout(REQUEST_LIMIT, respond(stream, &service, &sound)).await;
        });
    }
}

async fn respond(
    mut stream: Box<dyn Duplex>,
    service: &PolicyService,
    sound: &AtomicBool,
) -> std::io::Result<()> {
    let (mut head, mut buffer) = (Vec::new(), [0; 512]);
    while !head.windows(4).any(|it| it == b"\r\n\r\n") && head.len() < MAX_REQUEST {
        match stream.read(&mut buffer).await? {
            0 => return Ok(()),
            length => head.extend_from_slice(buffer.get(..length).unwrap_or_default()),
        }
    }
    let is_sound = sound.load(Ordering::Relaxed);
    let (status, body) = if head.starts_with(b"GET /health ") {
        if is_sound {
            ("200 OK", String::from("ok\n"))
        } else {
            ("503 Service Unavailable", String::from("DNSSEC is not available\n"))
        }
    } else if head.starts_with(b"GET /metrics ") {
        ("200 OK", metrics(service, is_sound))
    } else {
        ("404 Not Found", String::from("expected /health or /metrics\n"))
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    stream.shutdown().await
}

fn metrics(service: &PolicyService, is_sound: bool) -> String {
    let numbers = service.numbers();
    let mut text = String::new();
    for (kind, name, help, value) in [
        ("counter", "requests_total", "Questions of mail servers.", numbers.requests),
        ("counter", "cached_total", "Questions that the cache answered.", numbers.cached),
        ("counter", "deferred_total", "Answers that defer mail.", numbers.deferred),
        (
            "counter",
            "refresh_failures_total",
            "MTA-STS policies that could not be fetched.",
            numbers.fetch_failures,
        ),
        (
            "counter",
            "store_failures_total",
            "MTA-STS policies that could not be written.",
            numbers.store_failures,
        ),
        ("gauge", "answers", "Answers in the cache.", numbers.answers as u64),
        ("gauge", "policies", "MTA-STS policies that are known.", numbers.policies as u64),
        (
            "gauge",
            "oldest_policy_seconds",
            "Age of the MTA-STS policy that was confirmed the longest time ago.",
            numbers.oldest_policy,
        ),
        ("gauge", "dnssec", "Whether the resolver validates DNSSEC.", is_sound.into()),
    ] {
        let name = format!("starttls_policy_{name}");
        text.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"));
    }
    text
}
