//! The first connection: the upgrade as a client does it, and everything that it shows.

use starttls::proto::{ClientMessage, Escaped, HelloRefusal, Refusal};
use starttls_hello::Version;

use super::{port, pre_tls_text};
use crate::check::id;
use crate::error::ProbeError;
use crate::finding::{FindingBuilder, ProbeResult};
use crate::message::{self, Statement};
use crate::plan::Plan;
use crate::profile::{alerts, is_unknown_host, refers};
use crate::record::Mark;
use crate::report::{
    Capabilities, CheckOutcome, EndpointVerdict, EntryKind, Presented, Reach, Severity, StepTime, TlsSummary,
};
use crate::requirement::Requirement;
use crate::session::{CleartextSession, GoAhead, Opening};

/// The result of the first connection.
#[derive(Default)]
pub(crate) struct Baseline {
    pub(crate) result: ProbeResult,
    pub(crate) steps: Vec<StepTime>,
    pub(crate) tls: Option<TlsSummary>,
    /// The version of that session.
    pub(crate) version: Option<Version>,
    pub(crate) certificate: Option<Presented>,
    /// The server's own certificate in DER.
    pub(crate) own_certificate: Option<Vec<u8>>,
    /// The OCSP response that the server stapled, in DER.
    pub(crate) ocsp_response: Option<Vec<u8>>,
    pub(crate) capabilities: Option<Capabilities>,
    /// Milliseconds that the server took, without a silence at the end.
    pub(crate) took_ms: f64,
    /// Whether the handshake may have failed because the ClientHello is large.
    pub(crate) large_hello: bool,
    /// Whether the server was silent for so long that another connection looked for the protocol of the port.
    pub(crate) port_was_asked: bool,
    /// Why a session inside TLS is not served.
    pub(crate) unserved: Option<ProbeError>,
    /// The verdict, if the connection ended before it was inside TLS.
    pub(crate) ended: Option<(EndpointVerdict, Statement)>,
    /// How far the connection got.
    pub(crate) reach: Reach,
}

/// Upgrades once, with verification, and asks for the capabilities inside TLS.
pub(crate) async fn probe(plan: &Plan) -> Baseline {
    let mut base = Baseline::default();
    let mut session = match plan.open("the upgrade", &base.result.log).await {
        Ok(session) => session,
        Err(error) => {
            base.reach = error.reach();
            return match error {
                ProbeError::Deadline | ProbeError::Proxy(_) => base.end(
                    EndpointVerdict::Inconclusive,
                    FindingBuilder::inconclusive(id::SRV_REACHABLE, &error),
                ),
                _ => base.end(EndpointVerdict::Unreachable, FindingBuilder::fail(id::SRV_REACHABLE, &error)),
            };
        }
    };
    base.step("connect", session.record.elapsed_ms());
    let opening = async {
        let mut opening = session.read_greeting_and_hello().await?;
        let can_request = session.finish_hello(&mut opening).await?;
        Ok((opening, can_request))
    };
    let (opening, can_request) = match port::or_diagnosis(plan, opening).await {
        Ok(Ok(opening)) => opening,
        Ok(Err(error)) => return base.stopped(plan, session.record.all(), &error),
        Err(diagnosis) => return base.diagnosed(diagnosis),
    };
    base.steps.extend(opening.greeting_ms.map(|ms| StepTime { name: String::from("greeting"), ms }));
    base.steps.extend(opening.hello_ms.map(|ms| StepTime { name: String::from("hello"), ms }));
    let opening_at = session.record.all();
    let has_spoken = !(opening.greeting.is_empty() && opening.hello.is_empty());
    if has_spoken {
        base.spoken(plan, &session);
        base.result.push_all(offer(&opening), opening_at);
    }
    if opening.preauthenticated {
        base.pre_tls_text(plan, &session);
        let finding = FindingBuilder::fail(
            id::SRV_PREAUTH,
            "the server reports the session as authenticated before TLS, so that no upgrade is possible",
        );
        return base.end(EndpointVerdict::Violation, finding.at(opening_at));
    }
    if plan.until_offer {
        base.pre_tls_text(plan, &session);
        session.quit().await;
        return base.offered(&opening);
    }
    if !can_request {
        base.pre_tls_text(plan, &session);
        base.ended = Some((EndpointVerdict::Declined, "the server does not offer the upgrade".into()));
        return base;
    }
    let sent = session.write(ClientMessage::Request).await;
    let answer = match sent {
        Err(error) => Err(error),
        Ok(()) if has_spoken => session.read_go_ahead().await,
        Ok(()) => match port::or_diagnosis(plan, session.read_go_ahead()).await {
            Ok(answer) => answer,
            Err(diagnosis) => return base.diagnosed(diagnosis),
        },
    };
    base.step("request", session.record.elapsed_ms());
    base.pre_tls_text(plan, &session);
    let asked = session.record.all();
    match &answer {
        Ok(GoAhead::Accepted) if !has_spoken => {
            base.spoken(plan, &session);
            base.result.push_all(offer(&opening), asked);
        }
        // A refusal is judged below.
        Ok(GoAhead::Refused(..)) if !has_spoken => base.reachable(plan, asked),
        _ => {}
    }
    match (answer, &opening.no_list) {
        (Ok(GoAhead::Accepted), no_list) => {
            if let Some(no_list) = no_list {
                base.result.push(accepted_unlisted(no_list).at(asked));
            }
        }
        (answer, Some(no_list)) => {
            let answer = match &answer {
                Ok(GoAhead::Refused(_, answer)) => {
                    format!("answers \"{}\"", super::answers::shown(plan.protocol, answer))
                }
                Err(error) => format!("does not agree: {error}"),
                Ok(GoAhead::Accepted) => String::new(),
            };
            return base.unlisted(no_list, &answer, asked);
        }
        (Ok(GoAhead::Refused(refusal, answer)), None) => {
            return base.refused(plan, &answer, &opening, refusal, asked);
        }
        // Servers that do not know the command may leave it unanswered (IRC).
        (Err(error), None) if error.is_silence() && opening.offered == Some(false) => {
            base.ended = Some((
                EndpointVerdict::Declined,
                Statement::from("the server does not offer the upgrade, and does not answer the request"),
            ));
            return base;
        }
        (Err(error), None) => return base.stopped(plan, session.record.all(), &error),
    }
    Box::pin(base.inside(plan, session, &opening)).await
}

impl Baseline {
    pub(super) fn step(&mut self, name: &str, ms: f64) {
        self.steps.push(StepTime { name: name.to_owned(), ms });
    }

    pub(super) fn end(mut self, verdict: EndpointVerdict, finding: FindingBuilder) -> Self {
        self.ended = Some((verdict, finding.statement().clone()));
        self.result.push(finding);
        self
    }

    fn reachable(&mut self, plan: &Plan, at: Mark) {
        self.result.push(
            FindingBuilder::pass(id::SRV_REACHABLE, message::REACHED.with(&[("address", &plan.address)]))
                .at(at),
        );
    }

    /// Judges the first messages of a server that speaks the protocol.
    fn spoken(&mut self, plan: &Plan, session: &CleartextSession) {
        let at = session.record.all();
        self.reachable(plan, at);
        self.result.push_all(for_people(&session.record.sent(EntryKind::Server)), at);
    }

    /// Judges everything that the server has sent in cleartext so far.
    fn pre_tls_text(&mut self, plan: &Plan, session: &CleartextSession) {
        let at = session.record.all();
        self.result.push_all(pre_tls_text::judge(plan, &session.record.sent(EntryKind::Server)), at);
    }

    /// Ends after the offer. The upgrade was not tried, so nothing is sound.
    fn offered(mut self, opening: &Opening) -> Self {
        let (verdict, why) = match opening.offered {
            Some(true) => {
                (EndpointVerdict::Inconclusive, "the server offers the upgrade, which was not tried")
            }
            Some(false) if opening.no_list.is_none() => {
                (EndpointVerdict::Declined, "the server does not offer the upgrade")
            }
            Some(false) => (EndpointVerdict::Inconclusive, "the server does not list its capabilities"),
            None => {
                (EndpointVerdict::Inconclusive, "the protocol has no offer, and the upgrade was not tried")
            }
        };
        self.ended = Some((verdict, Statement::from(why)));
        self
    }

    /// Ends with the diagnosis from another connection: the port serves something else.
    fn diagnosed(mut self, diagnosis: port::Diagnosis) -> Self {
        self.result.findings.clear();
        self.result.absorb(diagnosis.result);
        self.ended = Some((EndpointVerdict::WrongPort, diagnosis.why.into()));
        self
    }

    /// Ends with a server that neither lists its capabilities nor agrees to the request for TLS.
    fn unlisted(self, no_list: &HelloRefusal, answer: &str, at: Mark) -> Self {
        let check = id::SRV_OFFERED;
        let refused = no_list.answer();
        match no_list {
            HelloRefusal::RefusedName(_) => {
                let why = format!(
                    "the server refused the hello (\"{refused}\"), so whether it offers the upgrade is unknown: \
                     it may not accept the name that this client gives"
                );
                self.end(
                    EndpointVerdict::Inconclusive,
                    FindingBuilder::new(check, CheckOutcome::Inconclusive, why)
                        .needs(Requirement::ClientName)
                        .at(at),
                )
            }
            HelloRefusal::UnknownCommand(_) => {
                let why = format!(
                    "the server does not list its capabilities (\"{refused}\"), and it {answer} to the request for TLS"
                );
                let fix = "Update the server: it does not know the command that lists capabilities, which every \
                    protocol with an upgrade needs. Or find out what removes that command on the way, such as a \
                    firewall that inspects this protocol.";
                self.end(EndpointVerdict::Declined, FindingBuilder::fail(check, why).fix(fix).at(at))
            }
        }
    }

    fn refused(mut self, plan: &Plan, answer: &[u8], opening: &Opening, refusal: Refusal, at: Mark) -> Self {
        let (check, why) = match (opening.offered, refusal) {
            (Some(true), Refusal::Temporary) => {
                (id::SRV_UPGRADE, "the server offers the upgrade, and refuses it temporarily")
            }
            (Some(true), Refusal::Permanent) => {
                (id::SRV_UPGRADE, "the server offers the upgrade, and refuses it")
            }
            (_, Refusal::Temporary) => (id::SRV_UPGRADE, "the server refuses the upgrade temporarily"),
            (_, Refusal::Permanent) => {
                (id::SRV_OFFERED, "the server does not offer the upgrade, and refuses it")
            }
        };
        let text = super::answers::shown(plan.protocol, answer);
        if refers(&text) || refers(&Escaped(answer).to_string()) {
            let why = message::REFERS_INSTEAD.with(&[("text", &text)]);
            self.result.push(FindingBuilder::fail(id::SRV_REFERRAL, why).at(at));
        }
        if let Some(rule) = plan.profile.may_ignore_request.filter(|_| refusal == Refusal::Permanent) {
            let why =
                format!("the server answers the request without upgrading (\"{text}\"), as {rule} allows");
            return self.end(
                EndpointVerdict::Declined,
                FindingBuilder::new(id::SRV_OFFERED, CheckOutcome::Info, why).at(at),
            );
        }
        // The missing offer has a finding already.
        if self.result.findings.iter().any(|finding| {
            finding.outcome == CheckOutcome::Fail
                && (finding.is_of(id::SRV_OFFERED) || finding.is_of(id::SRV_MANGLED))
        }) {
            self.ended = Some((EndpointVerdict::Declined, why.into()));
            return self;
        }
        self.end(EndpointVerdict::Declined, FindingBuilder::fail(check, why).at(at))
    }

    /// Ends with an error before the go-ahead.
    fn stopped(mut self, plan: &Plan, at: Mark, error: &ProbeError) -> Self {
        self.reach = error.reach();
        self.port_was_asked = error.is_silence()
            && plan.limits.reply_timeout > port::SILENCE
            && !plan.has_one_connection_at_once();
        let (verdict, finding) = match error {
            ProbeError::Bye(text) if refers(text) => (
                EndpointVerdict::Violation,
                FindingBuilder::fail(
                    id::SRV_REFERRAL,
                    format!("the server refers clients to another server: \"{text}\""),
                ),
            ),
            ProbeError::Bye(text) if is_unknown_host(text) => {
                let why = format!("the server does not serve {}: \"{text}\"", plan.server_name);
                (EndpointVerdict::Declined, FindingBuilder::fail(id::SRV_REACHABLE, why))
            }
            ProbeError::Deadline | ProbeError::Proxy(_) => {
                (EndpointVerdict::Inconclusive, FindingBuilder::inconclusive(id::SRV_REACHABLE, error))
            }
            ProbeError::Bye(_) => (
                EndpointVerdict::Inconclusive,
                FindingBuilder::new(id::SRV_THROTTLED, CheckOutcome::Inconclusive, error),
            ),
            ProbeError::Malformed(_) => (
                EndpointVerdict::Violation,
                FindingBuilder::fail(id::SRV_REACHABLE, format!("{error}; is this {}?", plan.protocol.title)),
            ),
            _ => (EndpointVerdict::Unreachable, FindingBuilder::fail(id::SRV_REACHABLE, error)),
        };
        self.end(verdict, finding.at(at))
    }
}

/// Reports a server that upgrades without a list of capabilities. Clients that rely on the list do not find the upgrade.
fn accepted_unlisted(no_list: &HelloRefusal) -> FindingBuilder {
    let why = format!(
        "the server does not list its capabilities (\"{}\"), but accepts the upgrade",
        no_list.answer()
    );
    let fix = "Have the server list its capabilities if it can, so that clients find the upgrade.";
    FindingBuilder::new(id::SRV_OFFERED, CheckOutcome::Warning, why).severity(Severity::Info).fix(fix)
}

/// Judges whether the server offers the upgrade.
fn offer(opening: &Opening) -> Option<FindingBuilder> {
    let sent = [opening.greeting.as_slice(), &opening.hello].concat();
    match opening.offered {
        Some(true) => Some(FindingBuilder::pass(id::SRV_OFFERED, "the server offers the upgrade")),
        Some(false) if mangled(&sent) => Some(FindingBuilder::fail(
            id::SRV_MANGLED,
            "a firewall or proxy on the path overwrites the offer with X",
        )),
        // Without a list, the answer to the request decides.
        Some(false) if opening.no_list.is_some() => None,
        Some(false) => {
            let listed = opening.hello_text.as_ref().map(|text| format!(": \"{text}\"")).unwrap_or_default();
            let why = format!("the server does not offer the upgrade{listed}");
            Some(FindingBuilder::fail(id::SRV_OFFERED, why))
        }
        None => Some(FindingBuilder::new(
            id::SRV_OFFERED,
            CheckOutcome::NotApplicable,
            "the protocol has no offer",
        )),
    }
}

/// Judges referrals and messages for the user, which nothing protects before TLS. The text is escaped.
fn for_people(text: &str) -> [FindingBuilder; 2] {
    let referral = match refers(text) {
        true => FindingBuilder::fail(
            id::SRV_REFERRAL,
            "the server refers clients to another server before TLS; an attacker on the path can do the same",
        ),
        false => {
            FindingBuilder::pass(id::SRV_REFERRAL, "the server refers no client to another server before TLS")
        }
    };
    let alert = match alerts(text) {
        true => FindingBuilder::new(
            id::SRV_ALERT,
            CheckOutcome::Warning,
            "the server sends a message for the user before TLS; an attacker on the path can do the same",
        ),
        false => FindingBuilder::pass(id::SRV_ALERT, "the server sends no message for the user before TLS"),
    };
    [referral, alert]
}

/// Returns whether a firewall that inspects mail has overwritten a capability with `XXXXXXXA`.
fn mangled(sent: &[u8]) -> bool {
    let all = |word: &[u8]| word.len() > 1 && word.iter().all(|it| *it == b'X');
    let mut words = sent.split(|byte| !byte.is_ascii_alphanumeric());
    words.any(|word| word.strip_suffix(b"A").is_some_and(all) || (word.len() > 3 && all(word)))
}
