//! When the upgrade cannot even be tried: what is it that answers there?

use std::time::Duration;

use starttls::Error;
use starttls::proto::{ClientMessage, PROTOCOLS, Speaker};

use crate::finding::{FindingBuilder, ProbeResult};
use crate::plan::Plan;
use crate::profile::{tls_url, upgrade_url, url};
use crate::report::EntryKind;

/// A server that speaks first does so at once, as a rule. After this time the audit asks on another connection what the
/// port serves, and goes on waiting on the first one.
pub(crate) const SILENCE: Duration = Duration::from_secs(3);

/// How long to listen for a greeting.
const GREETING: Duration = Duration::from_millis(300);

/// The port serves something else.
#[derive(Debug)]
pub(crate) struct Diagnosis {
    pub(crate) seen: ProbeResult,
    pub(crate) why: String,
}

impl Diagnosis {
    fn new(mut seen: ProbeResult, id: &'static str, why: String, fix: &'static str) -> Self {
        let last = seen.records.len().saturating_sub(1);
        seen.push_shown(FindingBuilder::fail(id, why.clone()).fix(fix), last);
        Self { seen, why }
    }
}

/// Does this work, and asks what the port serves when the work takes longer than a server should be silent.
pub(crate) async fn or_diagnosis<T>(plan: &Plan, work: impl Future<Output = T>) -> Result<T, Diagnosis> {
    if plan.has_one_port() {
        return Ok(work.await);
    }
    or_other(probe(plan), work).await
}

/// The same with this probe.
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
        // Slow, then.
        None => Ok(work.await),
    }
}

/// Tries TLS from the first byte, and listens to what is said without being asked.
pub(crate) async fn probe(plan: &Plan) -> Option<Diagnosis> {
    let mut seen = ProbeResult::default();
    let mut session = plan.open("what answers on this port").await.ok()?;
    let said = session.listen(GREETING).await;
    if let Some(speaker) = Speaker::recognize(&said) {
        let why = other(plan, speaker)?;
        seen.record(session.record);
        return Some(Diagnosis::new(seen, "srv-plain-tls", why, OTHER_PROTOCOL));
    }
    drop(session);
    let mut session = plan.open("TLS from the first byte").await.ok()?;
    session.reply_timeout = session.reply_timeout.min(SILENCE);
    match session.secure(&plan.connectors.open, &plan.server_name, plan.identity()).await {
        Ok(mut inside) => {
            inside.goodbye().await;
            seen.record(inside.record);
            Some(Diagnosis::new(seen, "srv-plain-tls", speaks_tls(plan), IMPLICIT))
        }
        Err((error, _)) if error.may_be_cleartext_port() => None,
        // TLS answered, if not with a handshake.
        Err((Error::Tls(_) | Error::ClientCertificate(_) | Error::NoServerName(_), record)) => {
            seen.record(record);
            Some(Diagnosis::new(seen, "srv-plain-tls", speaks_tls(plan), IMPLICIT))
        }
        // A server of HTTP waits for its client, and answers even a handshake.
        Err((Error::PlaintextNotTls { received, .. }, record)) => {
            let why = Speaker::recognize(&received).and_then(|speaker| other(plan, speaker))?;
            seen.record(record);
            Some(Diagnosis::new(seen, "srv-plain-tls", why, OTHER_PROTOCOL))
        }
        Err(_) => None,
    }
}

/// Speaks the protocol in cleartext on a port where TLS was expected.
pub(crate) async fn in_cleartext(plan: &Plan) -> Option<Diagnosis> {
    let mut seen = ProbeResult::default();
    let mut session = plan.open("what answers in cleartext").await.ok()?;
    session.reply_timeout = session.reply_timeout.min(SILENCE);
    let port = plan.port();
    let opening = session.read_greeting_and_hello().await;
    let why = match opening {
        Ok(opening) if opening.greeting.is_empty() && opening.hello.is_empty() => {
            session.write(ClientMessage::Request).await.ok()?;
            let _ = session.verdict().await.ok()?;
            None
        }
        Ok(_) => None,
        Err(_) => {
            let speaker = Speaker::recognize(session.record.sent(EntryKind::Server).as_bytes())
                .filter(|it| *it != Speaker::Tls);
            Some(speaker.and_then(|speaker| other(plan, speaker))?)
        }
    };
    session.goodbye().await;
    seen.record(session.record);
    let url = upgrade_url(plan.protocol, plan.host(), port);
    let why = why.unwrap_or_else(|| format!("port {port} starts in cleartext: use {url}"));
    Some(Diagnosis::new(seen, "srv-plain-tls", why, UPGRADE))
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

/// What is wrong when this is what the port speaks, if it is another protocol than the one that is audited.
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
