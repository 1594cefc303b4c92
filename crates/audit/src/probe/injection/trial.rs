//! One connection with bytes before, in or after the request: the upgrade, and the answers inside TLS.

use std::time::Duration;

use starttls::proto::ClientMessage;

use crate::error::ProbeError;
use crate::plan::Plan;
use crate::probe::answers::{self, Answers};
use crate::record::Log;
use crate::session::{CleartextSession, GoAhead};

/// Changes a request into another form.
pub(super) type Change = fn(&[u8]) -> Vec<u8>;

/// How long a server may take to answer in cleartext after its go-ahead.
const PLAIN: Duration = Duration::from_millis(50);

/// How long a server that answers eagerly may take while the client is silent.
pub(super) const EAGER: Duration = Duration::from_millis(500);

/// The result and the transcript of one connection.
pub(super) struct Trial {
    pub(super) end: End,
    pub(super) log: Log,
}

/// The result of one connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The handshake succeeded, and these were the answers inside TLS.
    Inside(Answers),
    /// The handshake succeeded. The server sent these messages while the client was silent, and then the answers.
    Unasked(Vec<String>, Answers),
    /// The server refused, closed, or broke off the handshake: sound reactions to injected bytes.
    Refused(String),
    /// The server sent these messages in cleartext where TLS was expected.
    Plain(Vec<u8>),
    /// The connection ended for another reason.
    Stopped(ProbeError),
}

/// One way to request TLS.
pub(super) struct Form {
    pub(super) purpose: String,
    pub(super) shape: Shape,
    /// The bytes that the client sends inside TLS before the sentinel.
    pub(super) inside: Vec<u8>,
    /// How long the client is silent after the handshake, to see whether the server answers anyway. The silence is longer
    /// if the server is slow.
    pub(super) silent: Option<Duration>,
}

/// What the client sends as the request, and around it.
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
    let log = Log::default();
    // On the heap: a probe contains the futures of many trials, and would overflow the stack of a thread.
    let end = Box::pin(connection(plan, form, &log)).await.unwrap_or_else(End::Stopped);
    Trial { end, log }
}

async fn connection(plan: &Plan, form: &Form, log: &Log) -> Result<End, ProbeError> {
    let mut session = plan.open(&form.purpose, log).await?;
    let mut opening = session.read_greeting_and_hello().await?;
    if !session.finish_hello(&mut opening).await? {
        return Err(ProbeError::Refused);
    }
    let request = session.encode(ClientMessage::Request);
    for (pause, segment) in form.segments(request) {
        tokio::time::sleep(pause).await;
        if let Err(error) = session.send(&segment).await {
            return Ok(refused(error));
        }
    }
    match session.read_go_ahead().await {
        Ok(GoAhead::Accepted) => secured(plan, session, form).await,
        Ok(GoAhead::Refused(..)) => Ok(End::Refused(String::from("the server refused the request"))),
        // The server did not recognize the changed request.
        Err(error) if matches!(form.shape, Shape::Changed(..)) && error.is_silence() => {
            Ok(End::Refused(error.to_string()))
        }
        Err(error) => Ok(refused(error)),
    }
}

/// A server that ends the connection has refused the injected bytes. A silent one has not.
fn refused(error: ProbeError) -> End {
    match error {
        ProbeError::Closed(_) | ProbeError::Bye(_) | ProbeError::Malformed(_) => {
            End::Refused(error.to_string())
        }
        error => End::Stopped(error),
    }
}

async fn secured(plan: &Plan, mut session: CleartextSession, form: &Form) -> Result<End, ProbeError> {
    // An answer in cleartext may come a moment after the go-ahead. After the ClientHello is sent, the TLS library would
    // read only its first few octets, too few to see which message they answer.
    let beyond = match &form.shape {
        Shape::Together(_) if form.inside.is_empty() => session.listen(PLAIN).await,
        _ => session.unread(),
    };
    if !beyond.is_empty() && !(0x14..=0x17).contains(beyond.first().unwrap_or(&0)) {
        return Ok(End::Plain(beyond));
    }
    // Only the exact form shows the worst weakness, and gets the full time.
    if matches!(form.shape, Shape::Split(..) | Shape::Changed(..)) {
        session.reply_timeout = plan.handshake_timeout();
    }
    let mut inside = match plan.secure(session).await {
        Ok(inside) => inside,
        Err(starttls::Error::PlaintextNotTls { received, .. }) => return Ok(End::Plain(received)),
        Err(error) => {
            return match plan.handshake_error(&error) {
                ProbeError::Handshake(fault) => Ok(End::Refused(fault.why)),
                error => Err(error),
            };
        }
    };
    // The injected bytes are the beginning, and the client continues. Without them, the server reads that as a beginning.
    if plan.profile.begins_once {
        answers::harmless(plan, &mut |message| inside.encode(message));
    }
    let Some(silence) = form.silent else {
        return Ok(End::Inside(answers::take(plan, &mut inside, &form.inside).await));
    };
    // A server that was slow until now is also slow to answer.
    let slow = Duration::from_secs_f64(inside.record.elapsed_ms() / 200.0);
    let wait = silence.max(slow).min(plan.reply_timeout());
    let received = answers::unasked(plan, &mut inside, wait, EAGER).await;
    Ok(End::Unasked(received, answers::take(plan, &mut inside, &form.inside).await))
}
