//! A run while it happens: as server-sent events for the script, and as a page that grows.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use http_body_util::channel::Sender;
use hyper::body::Bytes;
use starttls_audit::report::EntryKind;
use starttls_report::diagram;
use starttls_report::html::Html;
use starttls_report::{Language, Text};

use crate::pages;
use crate::run::{LiveEvent, Run};
use crate::view::View;
use crate::words;

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
pub(crate) async fn page(view: View, run: Arc<Run>, mut sender: Sender<Bytes>, _viewer: Viewer) {
    let until = Instant::now() + GROWING;
    let (head, tail) = pages::growing(&view, &run.id, &run.target);
    if send(&mut sender, head).await.is_err() {
        return;
    }
    let (language, path) = (view.language, format!("/r/{}", run.id));
    let mut from = 0;
    let end = loop {
        let left = until.saturating_duration_since(Instant::now());
        let Ok(events) = tokio::time::timeout(left, run.events(from)).await else {
            let again = view.link(&format!("{path}/live"));
            break pages::link(&again, words::LOOK_AGAIN.of(language));
        };
        if events.is_empty() {
            break pages::link(&view.link(&path), words::FINISHED.of(language));
        }
        from += events.len();
        let mut part = Html::default();
        events.iter().for_each(|event| row(&mut part, language, event));
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
fn row(out: &mut Html, language: Language, event: &LiveEvent) {
    let (class, side) = match event {
        LiveEvent::Entry { kind, .. } => kind_of(*kind),
        _ => ("event", None),
    };
    out.open("li", &[("class", &class)]);
    match event {
        LiveEvent::Entry { number, at_ms, text, .. } => {
            out.element("span", &[("class", &"when")], format_args!("{at_ms:.1} ms"));
            out.markup("<div class=\"said\">");
            let side = side.map_or("", |side: Text| side.of(language));
            let who = words::CONNECTION_SIDE.filled(language, &[("number", number), ("side", &side)]);
            out.element("span", &[("class", &"who")], who.trim_end());
            out.element("code", &[("translate", &"no"), ("lang", &"")], text);
        }
        LiveEvent::Endpoint { target, address, .. } => {
            named(out, target, |out| out.text(format_args!("({address})")));
        }
        LiveEvent::Verdict { target, summary, .. } => {
            named(out, target, |out| out.english(language, summary))
        }
        LiveEvent::LeftOut { target, reason } => named(out, target, |out| out.english(language, reason)),
        LiveEvent::Connection { number, purpose, .. } => {
            out.markup("<span class=\"when\"></span><div class=\"said\"><strong>");
            let values = [("number", number.to_string()), ("why", purpose.clone())];
            let values = values.each_ref().map(|(name, value)| (*name, value.as_str()));
            out.sentence(language, words::CONNECTION, &values);
            out.markup("</strong>");
        }
    }
    out.markup("</div></li>\n");
}

/// Writes the start of an item: a target, and what happened to it.
fn named(out: &mut Html, target: &str, write: impl FnOnce(&mut Html)) {
    out.markup("<span class=\"when\"></span><div class=\"said\"><strong>");
    out.peer(target);
    out.markup(" ");
    write(out);
    out.markup("</strong>");
}

/// Returns the class of a message's item, and who sent it.
fn kind_of(kind: EntryKind) -> (&'static str, Option<Text>) {
    match kind {
        EntryKind::Client => ("client clear", Some(diagram::CLIENT_CLEARTEXT)),
        EntryKind::Server => ("server clear", Some(diagram::SERVER_CLEARTEXT)),
        EntryKind::ClientInside => ("client inside", Some(diagram::CLIENT_INSIDE)),
        EntryKind::ServerInside => ("server inside", Some(diagram::SERVER_INSIDE)),
        EntryKind::Boundary => ("boundary", None),
        EntryKind::Event => ("event", None),
    }
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
        let language = Language::German;
        let entry = LiveEvent::Entry { endpoint: 0, number: 1, at_ms: 0.5, kind: EntryKind::Server, text };
        row(&mut out, language, &entry);
        row(
            &mut out,
            language,
            &LiveEvent::LeftOut { target: String::from("<b>"), reason: String::from("&") },
        );
        let out = out.into_string();
        assert!(
            out.contains("&lt;script&gt;") && out.contains("&lt;b&gt;") && out.contains("&amp;"),
            "{out}"
        );
        assert!(!out.contains("<script") && !out.contains("<b>") && !out.contains('\u{202e}'), "{out}");
    }
}
