//! The upgrade as a client does it, and everything that can be seen on the way.

use starttls::proto::{ClientMessage, Escaped, HelloRefusal, Refusal};
use starttls_hello::Version;

use super::{port, pre_tls_text};
use crate::finding::{FindingBuilder, ProbeResult};
use crate::plan::Plan;
use crate::profile::{alerts, is_somebody_else, refers};
use crate::record::Mark;
use crate::report::{
    Capabilities, CheckOutcome, EndpointVerdict, EntryKind, Presented, Severity, StepTime, TlsSummary,
};
use crate::session::{CleartextSession, Opening, ProbeError};

/// What the first connection showed.
#[derive(Default)]
pub(crate) struct Baseline {
    pub(crate) seen: ProbeResult,
    pub(crate) steps: Vec<StepTime>,
    pub(crate) tls: Option<TlsSummary>,
    /// The version of that session.
    pub(crate) version: Option<Version>,
    pub(crate) certificate: Option<Presented>,
    pub(crate) capabilities: Option<Capabilities>,
    /// Milliseconds that the server took, without the silence that it may have ended in.
    pub(crate) took_ms: f64,
    /// Whether the handshake ended as one with a large ClientHello may.
    pub(crate) large_hello: bool,
    /// Whether the server was silent for so long that the port was asked what it serves, without an answer.
    pub(crate) port_was_asked: bool,
    /// How it ended, if it did not end inside TLS.
    pub(crate) ended: Option<(EndpointVerdict, String)>,
}

/// Upgrades once, with verification, and asks inside for what it may do.
pub(crate) async fn probe(plan: &Plan) -> Baseline {
    let mut base = Baseline::default();
    let mut session = match plan.open("the upgrade").await {
        Ok(session) => session,
        Err((stop, record)) => {
            base.seen.record(record);
            return match stop {
                ProbeError::Deadline => base
                    .end(EndpointVerdict::Inconclusive, FindingBuilder::inconclusive("srv-reachable", &stop)),
                _ => base.end(
                    EndpointVerdict::Unreachable,
                    FindingBuilder::fail("srv-reachable", stop.to_string()),
                ),
            };
        }
    };
    base.step("connect", session.record.elapsed_ms());
    let opening = match port::or_diagnosis(plan, session.read_greeting_and_hello()).await {
        Ok(Ok(opening)) => opening,
        Ok(Err(stop)) => return base.stopped(plan, session, &stop),
        Err(diagnosis) => return base.diagnosed(session, diagnosis),
    };
    base.steps.extend(opening.greeting_ms.map(|ms| StepTime { name: String::from("greeting"), ms }));
    base.steps.extend(opening.hello_ms.map(|ms| StepTime { name: String::from("hello"), ms }));
    let said = session.record.all();
    let has_spoken = !(opening.greeting.is_empty() && opening.hello.is_empty());
    if has_spoken {
        base.spoken(plan, &session);
        base.seen.push_all(offer(&opening), said);
    }
    if opening.preauthenticated {
        base.leaks(plan, &session);
        base.seen.record(session.record);
        let finding = FindingBuilder::fail(
            "srv-preauth",
            "the session is authenticated before TLS, so that no upgrade is possible",
        );
        return base.end(EndpointVerdict::Violation, finding.at(0, said));
    }
    let written = session.write(ClientMessage::Request).await;
    let verdict = match written {
        Err(stop) => Err(stop),
        Ok(()) if has_spoken => session.verdict().await,
        Ok(()) => match port::or_diagnosis(plan, session.verdict()).await {
            Ok(verdict) => verdict,
            Err(diagnosis) => return base.diagnosed(session, diagnosis),
        },
    };
    base.step("request", session.record.elapsed_ms());
    base.leaks(plan, &session);
    let asked = session.record.all();
    match &verdict {
        Ok(Ok(())) if !has_spoken => {
            base.spoken(plan, &session);
            base.seen.push_all(offer(&opening), asked);
        }
        // The refusal is judged as a whole.
        Ok(Err(_)) if !has_spoken => base.reachable(plan, asked),
        _ => {}
    }
    match (verdict, &opening.no_list) {
        (Ok(Ok(())), no_list) => {
            if let Some(no_list) = no_list {
                base.seen.push(accepted_unlisted(no_list).at(0, asked));
            }
        }
        (verdict, Some(no_list)) => {
            let answer = match &verdict {
                Ok(Err((_, answer))) => {
                    format!("answers \"{}\"", super::answers::shown(plan.protocol, answer))
                }
                Err(stop) => format!("does not agree: {stop}"),
                Ok(Ok(())) => String::new(),
            };
            base.seen.record(session.record);
            return base.unlisted(no_list, &answer, asked);
        }
        (Ok(Err((refusal, answer))), None) => {
            base.seen.record(session.record);
            return base.refused(plan, &answer, &opening, refusal, asked);
        }
        // Servers that know no such command may leave it unanswered (IRC).
        (Err(stop), None) if stop.is_silence() && opening.offered == Some(false) => {
            base.seen.record(session.record);
            base.ended = Some((
                EndpointVerdict::Declined,
                String::from("the upgrade is not offered, and the request is not answered"),
            ));
            return base;
        }
        (Err(stop), None) => return base.stopped(plan, session, &stop),
    }
    base.inside(plan, session, &opening).await
}

impl Baseline {
    pub(super) fn step(&mut self, name: &str, ms: f64) {
        self.steps.push(StepTime { name: name.to_owned(), ms });
    }

    pub(super) fn end(mut self, verdict: EndpointVerdict, finding: FindingBuilder) -> Self {
        self.ended = Some((verdict, finding.summary().to_owned()));
        self.seen.push(finding);
        self
    }

    fn reachable(&mut self, plan: &Plan, at: Mark) {
        self.seen.push(FindingBuilder::pass("srv-reachable", format!("{} answers", plan.address)).at(0, at));
    }

    /// Judges the first messages of the server. It speaks the protocol.
    fn spoken(&mut self, plan: &Plan, session: &CleartextSession) {
        let at = session.record.all();
        self.reachable(plan, at);
        self.seen.push_all(for_people(&session.record.sent(EntryKind::Server)), at);
    }

    /// Judges everything that the server has sent in cleartext so far.
    fn leaks(&mut self, plan: &Plan, session: &CleartextSession) {
        let at = session.record.all();
        self.seen.push_all(pre_tls_text::judge(plan, &session.record.sent(EntryKind::Server)), at);
    }

    /// Another connection has shown what the port serves instead.
    fn diagnosed(mut self, session: CleartextSession, diagnosis: port::Diagnosis) -> Self {
        self.seen.record(session.record);
        self.seen.findings.clear();
        self.seen.absorb(diagnosis.seen);
        self.ended = Some((EndpointVerdict::WrongPort, diagnosis.why));
        self
    }

    /// There is no list of capabilities, and the request for TLS was not agreed to either: the answer to it.
    fn unlisted(self, no_list: &HelloRefusal, answer: &str, at: Mark) -> Self {
        let id = "srv-offered";
        let refused = no_list.answer();
        match no_list {
            HelloRefusal::RefusedName(_) => {
                let why = format!(
                    "the server refused the hello (\"{refused}\"), so whether it offers the upgrade is unknown: \
                     it may not accept the name that this client gives; hint: choose the name with --client-name"
                );
                self.end(
                    EndpointVerdict::Inconclusive,
                    FindingBuilder::new(id, CheckOutcome::Inconclusive, why).at(0, at),
                )
            }
            HelloRefusal::UnknownCommand(_) => {
                let why = format!(
                    "the server does not list its capabilities (\"{refused}\"), and it {answer} to the request for TLS"
                );
                let fix = "Update the server: it does not know the command that lists capabilities, which every \
                    protocol with an upgrade needs. Or find out what removes that command on the way, such as a \
                    firewall that inspects this protocol.";
                self.end(EndpointVerdict::Declined, FindingBuilder::fail(id, why).fix(fix).at(0, at))
            }
        }
    }

    fn refused(mut self, plan: &Plan, answer: &[u8], opening: &Opening, refusal: Refusal, at: Mark) -> Self {
        let (id, why) = match (opening.offered, refusal) {
            (Some(true), Refusal::Temporary) => {
                ("srv-upgrade", "the upgrade is offered, and refused for a while")
            }
            (Some(true), Refusal::Permanent) => ("srv-upgrade", "the upgrade is offered, and refused"),
            (_, Refusal::Temporary) => ("srv-upgrade", "the upgrade is refused for a while"),
            (_, Refusal::Permanent) => ("srv-offered", "the upgrade is not offered, and refused"),
        };
        let text = super::answers::shown(plan.protocol, answer);
        if refers(&text) || refers(&Escaped(answer).to_string()) {
            let why = format!("the server sends clients elsewhere instead of upgrading: \"{text}\"");
            self.seen.push(FindingBuilder::fail("srv-referral", why).at(0, at));
        }
        if let Some(rule) = plan.profile.may_ignore_request.filter(|_| refusal == Refusal::Permanent) {
            let why =
                format!("the server answers the request without upgrading (\"{text}\"), as {rule} allows");
            return self.end(
                EndpointVerdict::Declined,
                FindingBuilder::new("srv-offered", CheckOutcome::Info, why).at(0, at),
            );
        }
        // What the list lacked was told already.
        if self.seen.findings.iter().any(|finding| {
            finding.outcome == CheckOutcome::Fail && ["srv-offered", "srv-mangled"].contains(&finding.id)
        }) {
            self.ended = Some((EndpointVerdict::Declined, why.to_owned()));
            return self;
        }
        self.end(EndpointVerdict::Declined, FindingBuilder::fail(id, why).at(0, at))
    }

    fn stopped(mut self, plan: &Plan, session: CleartextSession, stop: &ProbeError) -> Self {
        let all = session.record.all();
        let at = self.seen.record(session.record);
        self.port_was_asked = stop.is_silence() && plan.limits.reply_timeout > port::SILENCE;
        let (verdict, finding) = match stop {
            ProbeError::Bye(text) if refers(text) => (
                EndpointVerdict::Violation,
                FindingBuilder::fail(
                    "srv-referral",
                    format!("the server sends clients elsewhere: \"{text}\""),
                ),
            ),
            ProbeError::Bye(text) if is_somebody_else(text) => {
                let why = format!("the server does not serve {}: \"{text}\"", plan.server_name);
                (EndpointVerdict::Declined, FindingBuilder::fail("srv-reachable", why))
            }
            ProbeError::Deadline => {
                (EndpointVerdict::Inconclusive, FindingBuilder::inconclusive("srv-reachable", stop))
            }
            ProbeError::Bye(_) => (
                EndpointVerdict::Inconclusive,
                FindingBuilder::new("srv-throttled", CheckOutcome::Inconclusive, stop.to_string()),
            ),
            ProbeError::Malformed(_) => (
                EndpointVerdict::Violation,
                FindingBuilder::fail("srv-reachable", format!("{stop}; is this {}?", plan.protocol.title)),
            ),
            _ => (EndpointVerdict::Unreachable, FindingBuilder::fail("srv-reachable", stop.to_string())),
        };
        self.end(verdict, finding.at(at, all))
    }
}

/// The upgrade works without a list; clients that go by the list do not find it.
fn accepted_unlisted(no_list: &HelloRefusal) -> FindingBuilder {
    let why = format!(
        "the server does not list its capabilities (\"{}\"), and accepts the upgrade all the same",
        no_list.answer()
    );
    let fix = "Have the server list its capabilities if it can, so that clients find the upgrade.";
    FindingBuilder::new("srv-offered", CheckOutcome::Warning, why).severity(Severity::Info).fix(fix)
}

/// Whether the upgrade is offered.
fn offer(opening: &Opening) -> Option<FindingBuilder> {
    let said = [opening.greeting.as_slice(), &opening.hello].concat();
    match opening.offered {
        Some(true) => Some(FindingBuilder::pass("srv-offered", "the upgrade is offered")),
        Some(false) if mangled(&said) => Some(FindingBuilder::fail(
            "srv-mangled",
            "the offer is mangled on the way: a firewall or proxy overwrites it with X",
        )),
        // Without a list, the answer to the request decides.
        Some(false) if opening.no_list.is_some() => None,
        Some(false) => Some(FindingBuilder::fail("srv-offered", "the upgrade is not offered")),
        None => {
            Some(FindingBuilder::new("srv-offered", CheckOutcome::NotApplicable, "the protocol has no offer"))
        }
    }
}

/// Referrals and text for users, which nothing protects before TLS. The text is escaped.
fn for_people(text: &str) -> [FindingBuilder; 2] {
    let referral = match refers(text) {
        true => FindingBuilder::fail(
            "srv-referral",
            "the server sends clients elsewhere before TLS, as anybody on the way could",
        ),
        false => FindingBuilder::pass("srv-referral", "clients are not sent elsewhere before TLS"),
    };
    let alert = match alerts(text) {
        true => FindingBuilder::new(
            "srv-alert",
            CheckOutcome::Warning,
            "the server has text for the user before TLS, as anybody on the way could",
        ),
        false => FindingBuilder::pass("srv-alert", "no text for the user comes before TLS"),
    };
    [referral, alert]
}

/// Firewalls that inspect mail write `XXXXXXXA` over what they do not want.
fn mangled(said: &[u8]) -> bool {
    let all = |word: &[u8]| word.len() > 1 && word.iter().all(|it| *it == b'X');
    let mut words = said.split(|byte| !byte.is_ascii_alphanumeric());
    words.any(|word| word.strip_suffix(b"A").is_some_and(all) || (word.len() > 3 && all(word)))
}
