//! `GET /metrics` and `GET /health`, one request per connection. This is less code than the use of an HTTP library.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio::task::{AbortHandle, JoinSet, spawn_blocking};
use tokio::time::timeout;

use super::registry::Metrics;

/// The maximum length of a request head, in octets.
const LONGEST: usize = 8 * 1024;

/// The time limit for the request head. A head fits into one TCP segment.
const HEAD: Duration = Duration::from_secs(1);

/// The time limit for the response.
const ANSWER: Duration = Duration::from_secs(10);

/// The maximum number of open connections.
const CONNECTIONS: usize = 256;

/// How long the text of the metrics is cached.
const FRESH: Duration = Duration::from_secs(1);

/// The pause after a failed accept, usually for lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

const TEXT: &str = "text/plain; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Serves requests. Never returns.
///
/// A load balancer takes the gateway out of service when `/health` does not answer. So a connection without a request is
/// closed after a second. If there are too many connections, the oldest is closed.
pub async fn serve(listener: TcpListener, metrics: Arc<Metrics>) {
    let page = Arc::new(Page { metrics, last: Mutex::default() });
    let (mut tasks, mut open) = (JoinSet::new(), VecDeque::<AbortHandle>::new());
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            // Removes the tasks that have ended.
            Some(_) = tasks.join_next() => continue,
        };
        let Ok((io, _)) = accepted else {
            tokio::time::sleep(ACCEPT_PAUSE).await;
            continue;
        };
        open.retain(|task| !task.is_finished());
        if open.len() >= CONNECTIONS
            && let Some(oldest) = open.pop_front()
        {
            oldest.abort();
        }
        let page = page.clone();
        open.push_back(tasks.spawn(async move {
            // A client that is too slow or gone gets no response.
            let _ = answer(io, &page).await;
        }));
    }
}

/// The cached text of all metrics. It is rendered at most once a second and shared by all requests, so that clients that send
/// requests and do not read cost neither CPU time nor memory.
struct Page {
    metrics: Arc<Metrics>,
    last: Mutex<Option<(Instant, Arc<str>)>>,
}

impl Page {
    /// Returns the text. It is rendered on a separate thread, because that is slow with thousands of listeners. `None` if
    /// the runtime ends.
    async fn text(&self) -> Option<Arc<str>> {
        let mut last = self.last.lock().await;
        if let Some((made, text)) = &*last
            && made.elapsed() < FRESH
        {
            return Some(text.clone());
        }
        let metrics = self.metrics.clone();
        let text: Arc<str> = spawn_blocking(move || metrics.render()).await.ok()?.into();
        *last = Some((Instant::now(), text.clone()));
        Some(text)
    }
}

async fn answer(mut io: TcpStream, page: &Page) -> std::io::Result<()> {
    let Some(head) = timeout(HEAD, head(&mut io)).await?? else { return Ok(()) };
    let (method, path) = request(&head);
    let (status, kind, body) = match (method, path) {
        (b"GET" | b"HEAD", b"/metrics") => match page.text().await {
            Some(text) => ("200 OK", OPEN_METRICS, text),
            None => return Ok(()),
        },
        (b"GET" | b"HEAD", b"/health") if page.metrics.is_draining() => {
            ("503 Service Unavailable", TEXT, "draining\n".into())
        }
        (b"GET" | b"HEAD", b"/health") => ("200 OK", TEXT, "ok\n".into()),
        (b"GET" | b"HEAD", _) => ("404 Not Found", TEXT, "use /metrics or /health\n".into()),
        _ => ("405 Method Not Allowed", TEXT, "use GET or HEAD\n".into()),
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let sending = async {
        io.write_all(head.as_bytes()).await?;
        if method != b"HEAD" {
            io.write_all(body.as_bytes()).await?;
        }
        io.shutdown().await
    };
    timeout(ANSWER, sending).await?
}

/// The head of a request; nothing if it is too long, or is not there.
async fn head(io: &mut TcpStream) -> std::io::Result<Option<Vec<u8>>> {
    let mut head = Vec::with_capacity(1024);
    while !head.windows(4).any(|it| it == b"\r\n\r\n") {
        if head.len() >= LONGEST || io.read_buf(&mut head).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(head))
}

/// The method, and the path without a query.
fn request(head: &[u8]) -> (&[u8], &[u8]) {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    (method, path.split(|byte| *byte == b'?').next().unwrap_or_default())
}
