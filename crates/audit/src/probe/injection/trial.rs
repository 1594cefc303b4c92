//! One connection with bytes before, in or behind the request: the upgrade, and what comes of it.

use std::time::Duration;

use starttls::proto::ClientMessage;

use super::variants::Change;
use crate::plan::Plan;
use crate::probe::answers::{self, Answers};
use crate::record::Record;
use crate::report::EntryKind;
use crate::session::{CleartextSession, ProbeError};

/// How long a server may take to answer in cleartext behind its go-ahead.
const PLAIN: Duration = Duration::from_millis(50);

/// How long a server that answers eagerly may take to do so while we are silent.
pub(super) const EAGER: Duration = Duration::from_millis(500);

/// How one connection went.
pub(super) struct Trial {
    pub(super) end: End,
    pub(super) record: Record,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// TLS came up, and these were the answers inside.
    Inside(Answers),
    /// TLS came up, and the server said this while the client was silent; then these were the answers.
    Unasked(Vec<String>, Answers),
    /// The server refused, closed, or broke off the handshake: sound reactions to injected bytes.
    Refused(String),
    /// These messages came in cleartext where TLS belongs.
    Plain(Vec<u8>),
    /// Something else was in the way.
    Stopped(ProbeError),
}

/// One way to ask for TLS.
pub(super) struct Form {
    pub(super) purpose: String,
    pub(super) shape: Shape,
    /// What is said inside TLS before the sentinel.
    pub(super) inside: Vec<u8>,
    /// Stay silent for so long after the handshake, or longer with a server that is slow, to see who answers all the
    /// same.
    pub(super) silent: Option<Duration>,
}

/// What goes over the wire as, or around, the request.
pub(super) enum Shape {
    Plain,
    /// The request and more in one segment.
    Together(Vec<u8>),
    /// The request, a pause, and more in a segment of its own.
    Split(Duration, Vec<u8>),
    /// The request in another form, and more.
    Changed(Change, Vec<u8>),
}

impl Form {
    pub(super) fn new(purpose: impl Into<String>, shape: Shape) -> Self {
        Self { purpose: purpose.into(), shape, inside: Vec::new(), silent: None }
    }

    fn segments(&self, request: Vec<u8>) -> Vec<(Duration, Vec<u8>)> {
        match &self.shape {
            Shape::Plain => vec![(Duration::ZERO, request)],
            Shape::Together(more) => vec![(Duration::ZERO, [request, more.clone()].concat())],
            Shape::Split(pause, more) => vec![(Duration::ZERO, request), (*pause, more.clone())],
            Shape::Changed(change, more) => vec![(Duration::ZERO, [change(&request), more.clone()].concat())],
        }
    }
}

/// Runs one connection up to the answers inside TLS.
pub(super) async fn trial(plan: &Plan, form: &Form) -> Trial {
    let _place = plan.place().await;
    let mut session = match plan.open(&form.purpose).await {
        Ok(session) => session,
        Err((stop, record)) => return Trial { end: End::Stopped(stop), record },
    };
    if let Err(stop) = session.read_greeting_and_hello().await {
        return Trial { end: End::Stopped(stop), record: session.record };
    }
    let request = session.words(ClientMessage::Request);
    for (pause, segment) in form.segments(request) {
        tokio::time::sleep(pause).await;
        if let Err(stop) = session.send(&segment).await {
            return Trial { end: ended(stop), record: session.record };
        }
    }
    match session.verdict().await {
        Ok(Ok(())) => secured(plan, session, form).await,
        Ok(Err(_)) => {
            let end = End::Refused(String::from("the request was refused"));
            Trial { end, record: session.record }
        }
        // A request in a form that is none was not taken for one.
        Err(stop) if matches!(form.shape, Shape::Changed(..)) && stop.is_silence() => {
            Trial { end: End::Refused(stop.to_string()), record: session.record }
        }
        Err(stop) => Trial { end: ended(stop), record: session.record },
    }
}

/// A server that ends the connection has refused the injected bytes. One that says nothing has not.
fn ended(stop: ProbeError) -> End {
    match stop {
        ProbeError::Closed(_) | ProbeError::Bye(_) | ProbeError::Malformed(_) => {
            End::Refused(stop.to_string())
        }
        stop => End::Stopped(stop),
    }
}

async fn secured(plan: &Plan, mut session: CleartextSession, form: &Form) -> Trial {
    // An answer in cleartext may come a moment behind the go-ahead. Once our ClientHello is out it would be seen as
    // the first few octets of something that is no TLS, too few to tell what they answer.
    let beyond = match &form.shape {
        Shape::Together(_) if form.inside.is_empty() => session.listen(PLAIN).await,
        _ => session.unread(),
    };
    if !beyond.is_empty() && !(0x14..=0x17).contains(beyond.first().unwrap_or(&0)) {
        return Trial { end: End::Plain(beyond), record: session.record };
    }
    // The exact form alone shows the weakness that is worst: no hurry there.
    if matches!(form.shape, Shape::Split(..) | Shape::Changed(..)) {
        session.reply_timeout = plan.handshake_timeout();
    }
    let mut inside = match session.secure(&plan.connectors.open, &plan.server_name, plan.identity()).await {
        Ok(inside) => inside,
        Err((starttls::Error::PlaintextNotTls { received, .. }, mut record)) => {
            record.bytes(EntryKind::Server, &received);
            return Trial { end: End::Plain(received), record };
        }
        Err((error, record)) => {
            let end = match plan.unshaken(&error) {
                ProbeError::Unshaken(why) => End::Refused(why),
                stop => End::Stopped(stop),
            };
            return Trial { end, record };
        }
    };
    let Some(wait) = form.silent else {
        let answers = answers::take(plan, &mut inside, &form.inside).await;
        return Trial { end: End::Inside(answers), record: inside.record };
    };
    // What took so long until now takes its time for an answer too.
    let slow = Duration::from_secs_f64(inside.record.elapsed_ms() / 200.0);
    let wait = wait.max(slow).min(plan.reply_timeout());
    let heard = answers::unasked(plan, &mut inside, wait, EAGER).await;
    let answers = answers::take(plan, &mut inside, &form.inside).await;
    Trial { end: End::Unasked(heard, answers), record: inside.record }
}
