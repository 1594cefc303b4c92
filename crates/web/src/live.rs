//! A run while it happens: as server-sent events for the script, and as a page that grows.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::channel::Sender;
use hyper::body::Bytes;
use starttls_audit::report::EntryKind;
use starttls_report::html::Html;

use crate::pages;
use crate::run::{LiveEvent, Run};

/// The time between two comments on a connection without events, so that proxies keep it.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// The longest time that a page grows.
const GROWING: Duration = Duration::from_secs(120);
/// The longest wait for a client that does not read.
const SLOW: Duration = Duration::from_secs(30);
/// The most viewers in all, and of one client.
const MAX_VIEWERS: u32 = 200;
const MAX_OF_CLIENT: u32 = 4;

/// The viewers of all runs, by client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Viewers(Arc<Mutex<HashMap<IpAddr, u32>>>);

/// A viewer. It is counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Viewer {
    viewers: Viewers,
    client: IpAddr,
}

impl Viewers {
    /// Counts a viewer. `None` if there are too many.
    pub(crate) fn add(&self, client: IpAddr) -> Option<Viewer> {
        let mut counts = self.lock();
        if counts.values().sum::<u32>() >= MAX_VIEWERS {
            return None;
        }
        let count = counts.entry(client).or_default();
        if *count >= MAX_OF_CLIENT {
            return None;
        }
        *count += 1;
        Some(Viewer { viewers: self.clone(), client })
    }

    /// Returns the number of viewers.
    pub(crate) fn count(&self) -> u32 {
        self.lock().values().sum()
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, u32>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Viewer {
    fn drop(&mut self) {
        let mut counts = self.viewers.lock();
        if let Some(count) = counts.get_mut(&self.client) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.client);
            }
        }
    }
}

/// Sends the events from this index on, until the run is finished or the client is gone.
pub(crate) async fn events(run: Arc<Run>, mut from: usize, mut sender: Sender<Bytes>, _viewer: Viewer) {
    loop {
        let Ok(events) = tokio::time::timeout(HEARTBEAT, run.events(from)).await else {
            if send(&mut sender, String::from(":\n\n")).await.is_err() {
                return;
            }
            continue;
        };
        if events.is_empty() {
            let _ = send(&mut sender, String::from(DONE)).await;
            return;
        }
        for event in events {
            let Ok(data) = serde_json::to_string(&event) else { return };
            if send(&mut sender, format!("id: {from}\ndata: {data}\n\n")).await.is_err() {
                return;
            }
            from += 1;
        }
    }
}

/// The event that tells the script to load the report.
pub(crate) const DONE: &str = "event: done\ndata: {}\n\n";

/// Writes the page that grows until the run is finished.
pub(crate) async fn page(run: Arc<Run>, mut sender: Sender<Bytes>, _viewer: Viewer) {
    let until = Instant::now() + GROWING;
    let (head, tail) = pages::growing(&run.id, &run.target);
    if send(&mut sender, head).await.is_err() {
        return;
    }
    let (mut from, path) = (0, format!("/r/{}", run.id));
    let end = loop {
        let left = until.saturating_duration_since(Instant::now());
        let Ok(events) = tokio::time::timeout(left, run.events(from)).await else {
            break pages::link(&format!("{path}/live"), "The audit is still running: look again");
        };
        if events.is_empty() {
            break pages::link(&path, "Finished: see the report");
        }
        from += events.len();
        let mut part = Html::default();
        events.iter().for_each(|event| row(&mut part, event));
        if send(&mut sender, part.into_string()).await.is_err() {
            return;
        }
    };
    let _ = send(&mut sender, format!("</ol>\n{}{tail}", end.as_str())).await;
}

async fn send(sender: &mut Sender<Bytes>, text: String) -> Result<(), ()> {
    match tokio::time::timeout(SLOW, sender.send_data(Bytes::from(text))).await {
        Ok(Ok(())) => Ok(()),
        _ => Err(()),
    }
}

/// Writes an event as an item of a list.
fn row(out: &mut Html, event: &LiveEvent) {
    out.markup("<li class=\"");
    let (kind, text) = match event {
        LiveEvent::Entry { kind, .. } => (
            match kind {
                EntryKind::Client => "client clear",
                EntryKind::Server => "server clear",
                EntryKind::ClientInside => "client inside",
                EntryKind::ServerInside => "server inside",
                EntryKind::Boundary => "boundary",
                EntryKind::Event => "event",
            },
            None,
        ),
        LiveEvent::Endpoint { target, address, .. } => ("event", Some(format!("{target} ({address})"))),
        LiveEvent::Connection { number, purpose, .. } => {
            ("event", Some(format!("connection {number}: {purpose}")))
        }
        LiveEvent::Verdict { target, summary, .. } => ("event", Some(format!("{target}: {summary}"))),
        LiveEvent::LeftOut { target, reason } => ("event", Some(format!("{target}: {reason}"))),
    };
    out.markup(kind);
    out.markup("\">");
    match event {
        LiveEvent::Entry { number, at_ms, text, .. } => {
            out.element("span", &[("class", &"when")], format_args!("{at_ms:.1} ms"));
            out.markup("<div class=\"said\">");
            let who = match kind {
                "client clear" => "client, cleartext",
                "server clear" => "server, cleartext",
                "client inside" => "client, inside TLS",
                "server inside" => "server, inside TLS",
                _ => "",
            };
            out.element("span", &[("class", &"who")], format_args!("connection {number} {who}"));
            out.element("code", &[("translate", &"no")], text);
            out.markup("</div>");
        }
        _ => {
            out.markup("<span class=\"when\"></span><div class=\"said\">");
            out.element("strong", &[], text.unwrap_or_default());
            out.markup("</div>");
        }
    }
    out.markup("</li>\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn viewers_are_limited_and_leave() {
        let viewers = Viewers::default();
        let client = |host: u8| IpAddr::from([192, 0, 2, host]);
        let first: Vec<_> = (0..4).map(|_| viewers.add(client(1)).unwrap()).collect();
        assert!(viewers.add(client(1)).is_none());
        let others: Vec<_> =
            (2..51).flat_map(|host| (0..4).map(move |_| host)).map(|it| viewers.add(client(it))).collect();
        assert!(others.iter().all(Option::is_some) && viewers.add(client(99)).is_none());
        drop((first, others));
        assert!(viewers.lock().is_empty());
    }

    #[test]
    fn rows_are_escaped() {
        let mut out = Html::default();
        let text = String::from("<script>\u{202e}");
        row(
            &mut out,
            &LiveEvent::Entry { endpoint: 0, number: 1, at_ms: 0.5, kind: EntryKind::Server, text },
        );
        row(&mut out, &LiveEvent::LeftOut { target: String::from("<b>"), reason: String::from("&") });
        let out = out.into_string();
        assert!(!out.contains("<script") && !out.contains("<b>") && !out.contains('\u{202e}'), "{out}");
    }
}
