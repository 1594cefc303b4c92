//! The diagnosis of a port where the upgrade cannot be tried: what does it serve?

use std::time::Duration;

use starttls::Error;
use starttls::proto::{ClientMessage, PROTOCOLS, Speaker};

use crate::check::id;
use crate::finding::{FindingBuilder, ProbeResult};
use crate::plan::Plan;
use crate::profile::{tls_url, upgrade_url, url};
use crate::report::EntryKind;

/// A server that speaks first usually does so at once. After this time the audit looks on another connection what the port
/// serves, and keeps waiting on the first one.
pub(crate) const SILENCE: Duration = Duration::from_secs(3);

/// How long to wait for a greeting.
const GREETING: Duration = Duration::from_millis(300);

/// What a port serves that does not serve the expected protocol.
#[derive(Debug)]
pub(crate) struct Diagnosis {
    pub(crate) result: ProbeResult,
    pub(crate) why: String,
}

impl Diagnosis {
    fn new(mut result: ProbeResult, why: String, fix: &'static str) -> Self {
        result.push_with_last(FindingBuilder::fail(id::SRV_PLAIN_TLS, why.clone()).fix(fix));
        Self { result, why }
    }
}

/// Does this work. If it takes longer than a server is usually silent, diagnoses the port meanwhile, if the limits allow another
/// connection at the same time.
pub(crate) async fn or_diagnosis<T>(plan: &Plan, work: impl Future<Output = T>) -> Result<T, Diagnosis> {
    if plan.has_one_port() || plan.has_one_connection_at_once() {
        return Ok(work.await);
    }
    or_other(Box::pin(probe(plan)), Box::pin(work)).await
}

/// Like [`or_diagnosis`], with this probe.
pub(crate) async fn or_other<T>(
    probe: impl Future<Output = Option<Diagnosis>>,
    work: impl Future<Output = T>,
) -> Result<T, Diagnosis> {
    let mut work = std::pin::pin!(work);
    if let Ok(done) = tokio::time::timeout(SILENCE, &mut work).await {
        return Ok(done);
    }
    let diagnosis = tokio::select! {
        biased;
        done = &mut work => return Ok(done),
        diagnosis = probe => diagnosis,
    };
    match diagnosis {
        Some(diagnosis) => Err(diagnosis),
        // The server is slow.
        None => Ok(work.await),
    }
}

/// Listens for a message without a request, and tries implicit TLS. Both need one connection each.
pub(crate) async fn probe(plan: &Plan) -> Option<Diagnosis> {
    // The last connection that the limits allow goes to the handshake, which also shows a greeting.
    if plan.opened() + 1 < plan.limits.connections {
        let result = ProbeResult::default();
        let mut session = plan.open("what the port serves", &result.log).await.ok()?;
        let received = session.listen(GREETING).await;
        if let Some(speaker) = Speaker::recognize(&received) {
            return Some(Diagnosis::new(result, other(plan, speaker)?, OTHER_PROTOCOL));
        }
    }
    // Only the connection that shows something belongs in the report.
    let result = ProbeResult::default();
    let mut session = plan.open("TLS from the first byte", &result.log).await.ok()?;
    session.reply_timeout = session.reply_timeout.min(SILENCE);
    match plan.secure(session).await {
        Ok(mut inside) => {
            inside.quit().await;
            Some(Diagnosis::new(result, speaks_tls(plan), IMPLICIT))
        }
        Err(error) if error.may_be_cleartext_port() => None,
        // The server answered with TLS, but not with a complete handshake.
        Err(Error::Tls(_) | Error::ClientCertificate(_) | Error::NoServerName(_)) => {
            Some(Diagnosis::new(result, speaks_tls(plan), IMPLICIT))
        }
        // A server of HTTP waits for its client, and answers even a handshake.
        Err(Error::PlaintextNotTls { received, .. }) => {
            let why = Speaker::recognize(&received).and_then(|speaker| other(plan, speaker))?;
            Some(Diagnosis::new(result, why, OTHER_PROTOCOL))
        }
        Err(_) => None,
    }
}

/// Speaks the protocol in cleartext on a port where TLS was expected.
pub(crate) async fn in_cleartext(plan: &Plan) -> Option<Diagnosis> {
    let result = ProbeResult::default();
    let mut session = plan.open("what the port serves in cleartext", &result.log).await.ok()?;
    session.reply_timeout = session.reply_timeout.min(SILENCE);
    let port = plan.port();
    let opening = session.read_greeting_and_hello().await;
    let why = match opening {
        Ok(opening) if opening.greeting.is_empty() && opening.hello.is_empty() => {
            session.write(ClientMessage::Request).await.ok()?;
            session.read_go_ahead().await.ok()?;
            None
        }
        Ok(_) => None,
        Err(_) => {
            let sent = session.record.sent(EntryKind::Server);
            let speaker = Speaker::recognize(sent.as_bytes()).filter(|it| *it != Speaker::Tls);
            Some(speaker.and_then(|speaker| other(plan, speaker))?)
        }
    };
    session.quit().await;
    let url = upgrade_url(plan.protocol, plan.host(), port);
    let why = why.unwrap_or_else(|| format!("port {port} starts in cleartext: use {url}"));
    Some(Diagnosis::new(result, why, UPGRADE))
}

const UPGRADE: &str = "Audit the port by that URL. If clients should find TLS from the first byte here, set the listener to \
    implicit TLS; the setting is often called \"ssl\", \"smtps\" or \"wrapper mode\".";

const IMPLICIT: &str = "Audit the port by that URL. If clients should find STARTTLS here, set the listener to cleartext \
    with the upgrade; its setting for implicit TLS is often called \"ssl\", \"smtps\" or \"wrapper mode\".";

const OTHER_PROTOCOL: &str = "Check the port number and the scheme of the URL.";

fn speaks_tls(plan: &Plan) -> String {
    let port = plan.port();
    match tls_url(plan.protocol, plan.host(), port) {
        Some(url) => format!("port {port} speaks TLS from the first byte: use {url}"),
        None => {
            let title = plan.protocol.title;
            format!("port {port} speaks TLS from the first byte, and {title} has no URL scheme for that")
        }
    }
}

/// Describes a port that speaks another protocol than the audited one; `None` if it may be the same one.
fn other(plan: &Plan, speaker: Speaker) -> Option<String> {
    if speaker.families().contains(&plan.protocol.family) {
        return None;
    }
    let (port, title) = (plan.port(), plan.protocol.title);
    if speaker == Speaker::Tls {
        return Some(speaks_tls(plan));
    }
    let scheme = match speaker.families() {
        [family] => PROTOCOLS.iter().find(|it| it.family == *family).map(|it| it.name),
        _ => None,
    };
    let hint = scheme.map(|scheme| format!(": use {}", url(scheme, plan.host(), port))).unwrap_or_default();
    Some(format!("port {port} speaks {speaker}, not {title}{hint}"))
}
