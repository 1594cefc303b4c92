//! The upgrade as a client does it, and everything that can be seen on the way.

use starttls::proto::{After, ClientMessage, Escaped, Protocol, Refusal, ReplyTo, ServerMessage};

use super::certificate as judge;
use super::leaks;
use crate::dialogue::{Dialogue, Inside, Opening, Stop};
use crate::draft::{Draft, Seen};
use crate::plan::Plan;
use crate::record::Mark;
use crate::report::{Capabilities, Outcome, Presented, Step, Tls, Verdict};
use crate::words::{alerts, is_somebody_else, refers};

/// What the first connection showed.
#[derive(Default)]
pub(crate) struct Baseline {
    pub(crate) seen: Seen,
    pub(crate) steps: Vec<Step>,
    pub(crate) tls: Option<Tls>,
    pub(crate) certificate: Option<Presented>,
    pub(crate) capabilities: Option<Capabilities>,
    /// How it ended, if it did not end inside TLS.
    pub(crate) ended: Option<(Verdict, String)>,
}

/// Upgrades once, with verification, and asks inside for what it may do.
pub(crate) async fn probe(plan: &Plan) -> Baseline {
    let mut base = Baseline::default();
    let mut dialogue = match plan.open("the upgrade").await {
        Ok(dialogue) => dialogue,
        Err((stop, record)) => {
            base.seen.record(record);
            return base.end(Verdict::Unreachable, Draft::fail("srv-reachable", stop.to_string()));
        }
    };
    base.step("connect", dialogue.record.elapsed_ms());
    let opening = match dialogue.open_up().await {
        Ok(opening) => opening,
        Err(stop) => return base.stopped(plan, dialogue, &stop),
    };
    let mut drafts = vec![Draft::pass("srv-reachable", format!("{} answers", plan.address))];
    base.steps.extend(opening.greeting_ms.map(|ms| Step { name: String::from("greeting"), ms }));
    base.steps.extend(opening.hello_ms.map(|ms| Step { name: String::from("hello"), ms }));
    drafts.extend(before_tls(plan, &opening));
    let said = dialogue.record.all();
    for draft in drafts.drain(..) {
        base.seen.push(draft.at(0, said));
    }
    if opening.preauthenticated {
        base.seen.record(dialogue.record);
        let draft = Draft::fail(
            "srv-preauth",
            "the session is authenticated before TLS, so that no upgrade is possible",
        );
        return base.end(Verdict::Violation, draft.at(0, said));
    }
    if dialogue.write(ClientMessage::Request).await.is_err() {
        return base.stopped(plan, dialogue, &Stop::Closed("our request"));
    }
    let verdict = dialogue.verdict().await;
    base.step("request", dialogue.record.elapsed_ms());
    let asked = dialogue.record.all();
    match verdict {
        Ok(Ok(())) => {}
        Ok(Err((refusal, answer))) => {
            base.seen.record(dialogue.record);
            return base.refused(plan, &answer, &opening, refusal, asked);
        }
        // Servers that know no such command may leave it unanswered (IRC).
        Err(Stop::Silent(_)) if opening.offered == Some(false) => {
            base.seen.record(dialogue.record);
            base.ended = Some((
                Verdict::Declined,
                String::from("the upgrade is not offered, and the request is not answered"),
            ));
            return base;
        }
        Err(stop) => return base.stopped(plan, dialogue, &stop),
    }
    base.inside(plan, dialogue, &opening).await
}

impl Baseline {
    fn step(&mut self, name: &str, ms: f64) {
        self.steps.push(Step { name: name.to_owned(), ms });
    }

    fn end(mut self, verdict: Verdict, draft: Draft) -> Self {
        self.ended = Some((verdict, draft.summary().to_owned()));
        self.seen.push(draft);
        self
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
            self.seen.push(Draft::fail("srv-referral", why).at(0, at));
        }
        // What the list lacked was told already.
        if self
            .seen
            .drafts
            .iter()
            .any(|draft| draft.outcome == Outcome::Fail && ["srv-offered", "srv-mangled"].contains(&draft.id))
        {
            self.ended = Some((Verdict::Declined, why.to_owned()));
            return self;
        }
        self.end(Verdict::Declined, Draft::fail(id, why).at(0, at))
    }

    fn stopped(mut self, plan: &Plan, dialogue: Dialogue, stop: &Stop) -> Self {
        let all = dialogue.record.all();
        let at = self.seen.record(dialogue.record);
        let (verdict, draft) = match stop {
            Stop::Bye(text) if refers(text) => (
                Verdict::Violation,
                Draft::fail("srv-referral", format!("the server sends clients elsewhere: \"{text}\"")),
            ),
            Stop::Bye(text) if is_somebody_else(text) => {
                let why = format!("the server does not serve {}: \"{text}\"", plan.server_name);
                (Verdict::Declined, Draft::fail("srv-reachable", why))
            }
            Stop::Bye(_) => {
                (Verdict::Inconclusive, Draft::new("srv-throttled", Outcome::Inconclusive, stop.to_string()))
            }
            Stop::Malformed(_) => (
                Verdict::Violation,
                Draft::fail("srv-reachable", format!("{stop}; is this {}?", plan.protocol.title)),
            ),
            _ => (Verdict::Unreachable, Draft::fail("srv-reachable", stop.to_string())),
        };
        self.end(verdict, draft.at(at, all))
    }

    /// Of a handshake that failed by its certificate: keeps it for the report, and judges its key.
    fn unproven(&mut self, error: &starttls::Error) -> Option<Draft> {
        let starttls::Error::Certificate { reason, chain, .. } = error else { return None };
        let presented = Presented::refused(reason, chain);
        let draft = judge::key(&presented.chain.first()?.key);
        self.certificate = Some(presented);
        Some(draft)
    }

    async fn inside(mut self, plan: &Plan, mut dialogue: Dialogue, opening: &Opening) -> Self {
        let beyond = dialogue.unread();
        let started = dialogue.record.elapsed_ms();
        if !beyond.is_empty() {
            let all = dialogue.record.all();
            let at = self.seen.record(dialogue.record);
            let why = format!("cleartext came behind the go-ahead: \"{}\"", Escaped(&beyond));
            return self.end(Verdict::Violation, Draft::fail("srv-upgrade", why).at(at, all));
        }
        let boundary = dialogue.record.all().last + 1;
        let secured = dialogue.secure(&plan.connectors.open, &plan.server_name, plan.identity()).await;
        let mut inside = match secured {
            Ok(inside) => inside,
            Err((error, record)) => {
                let all = record.all();
                let at = self.seen.record(record);
                let why = format!("the upgrade is agreed, and the handshake fails: {error}");
                // A key that nobody trusts any more fails here, and is what there is to mend.
                let weak = self.unproven(&error).filter(|draft| draft.outcome == Outcome::Fail);
                let draft = weak.unwrap_or_else(|| Draft::fail("srv-upgrade", why));
                return self.end(Verdict::TlsFailed, draft.at(at, all));
            }
        };
        self.step("handshake", inside.record.elapsed_ms() - started);
        let handshake = Mark { first: boundary, last: inside.record.all().last };
        let (again, before, after) = asked_again(plan, &mut inside, opening).await;
        let (facts, tickets) = (inside.session().facts().clone(), inside.session().tickets_received());
        let group = facts.group_name();
        self.tls = Some(Tls {
            version: facts.version_name().to_owned(),
            versions: vec![facts.version_name().to_owned()],
            cipher_suite: facts.cipher_suite_name(),
            post_quantum: group.as_deref().is_some_and(|name| name.contains("MLKEM")),
            group,
            alpn: facts.alpn.as_deref().map(|id| Escaped(id).to_string()),
            resumption: tickets > 0,
            ocsp_stapled: facts.ocsp_stapled,
        });
        self.certificate = Some(Presented::of(&facts));
        inside.goodbye().await;
        let all = inside.record.all();
        let at = self.seen.record(inside.record);
        self.seen.push(
            Draft::pass("srv-upgrade", "the upgrade is agreed, and the handshake succeeds").at(at, all),
        );
        self.seen.push(again.at(at, all));
        self.seen.push(capabilities(plan, &before, &after).at(at, all));
        if let (Some(presented), Some(tls)) = (&self.certificate, &self.tls) {
            for draft in judge::certificate(presented, &facts, &plan.server_name)
                .into_iter()
                .chain(judge::session(tls))
            {
                self.seen.push(draft.at(at, handshake));
            }
        }
        let steps =
            self.steps.iter().map(|step| format!("{} {:.1} ms", step.name, step.ms)).collect::<Vec<_>>();
        self.seen.push(Draft::new("time-steps", Outcome::Info, steps.join(", ")).at(at, all));
        self.capabilities = Some(Capabilities { before, inside: after });
        self
    }
}

/// What can be judged before TLS.
fn before_tls(plan: &Plan, opening: &Opening) -> Vec<Draft> {
    let said = [opening.greeting.as_slice(), &opening.hello].concat();
    let mut drafts = leaks::judge(plan, &said);
    drafts.push(match opening.offered {
        Some(true) => Draft::pass("srv-offered", "the upgrade is offered"),
        Some(false) if mangled(&said) => Draft::fail(
            "srv-mangled",
            "the offer is mangled on the way: a firewall or proxy overwrites it with X",
        ),
        Some(false) => Draft::fail("srv-offered", "the upgrade is not offered"),
        None => Draft::new("srv-offered", Outcome::NotApplicable, "the protocol has no offer"),
    });
    let text = Escaped(&said).to_string();
    drafts.push(match refers(&text) {
        true => Draft::fail(
            "srv-referral",
            "the server sends clients elsewhere before TLS, as anybody on the way could",
        ),
        false => Draft::pass("srv-referral", "clients are not sent elsewhere before TLS"),
    });
    drafts.push(match alerts(&text) {
        true => Draft::new(
            "srv-alert",
            Outcome::Warning,
            "the server has text for the user before TLS, as anybody on the way could",
        ),
        false => Draft::pass("srv-alert", "no text for the user comes before TLS"),
    });
    drafts
}

/// Firewalls that inspect mail write `XXXXXXXA` over what they do not want.
fn mangled(said: &[u8]) -> bool {
    let all = |word: &[u8]| word.len() > 1 && word.iter().all(|it| *it == b'X');
    let mut words = said.split(|byte| !byte.is_ascii_alphanumeric());
    words.any(|word| word.strip_suffix(b"A").is_some_and(all) || (word.len() > 3 && all(word)))
}

/// The hello once more, inside; then the request, which has no business there.
async fn asked_again(
    plan: &Plan,
    inside: &mut Inside,
    opening: &Opening,
) -> (Draft, Vec<String>, Vec<String>) {
    let id = "srv-offer-inside";
    let patience = plan.patience();
    let list = |bytes: &[u8]| lines(plan.protocol, bytes);
    let before = list(if opening.hello.is_empty() { &opening.greeting } else { &opening.hello });
    if plan.protocol.flow.after == After::ServerSpeaks {
        let Some(said) = inside.message(ReplyTo::Connect, patience).await else {
            return (
                Draft::new(id, Outcome::Inconclusive, "the server says nothing inside TLS"),
                before,
                Vec::new(),
            );
        };
        let again = inside.meaning(ReplyTo::Connect, &said) == Some(ServerMessage::Offer { starttls: true });
        return (offered_again(plan, inside, again).await, before, list(&said));
    }
    let hello = inside.words(ClientMessage::Hello);
    if plan.protocol.flow.after == After::AnswerPending {
        inside.message(ReplyTo::Other, patience).await;
    }
    if !plan.protocol.flow.verdict {
        return (Draft::new(id, Outcome::NotApplicable, "nobody answers a request"), before, Vec::new());
    }
    if hello.is_empty() {
        return (offered_again(plan, inside, false).await, before, Vec::new());
    }
    let _ = inside.send(&hello).await;
    let mut said = Vec::new();
    let draft = loop {
        let Some(message) = inside.message(ReplyTo::Hello, patience).await else {
            break Draft::new(id, Outcome::Inconclusive, "the hello inside TLS is not answered");
        };
        said.extend_from_slice(&message);
        match inside.meaning(ReplyTo::Hello, &message) {
            Some(ServerMessage::Offer { starttls }) => break offered_again(plan, inside, starttls).await,
            Some(ServerMessage::Interim) => {}
            _ => {
                break Draft::new(
                    id,
                    Outcome::Info,
                    "the server ends the session behind the hello inside TLS",
                );
            }
        }
    };
    (draft, before, list(&said))
}

/// Asks once more for TLS, inside TLS.
async fn offered_again(plan: &Plan, inside: &mut Inside, listed: bool) -> Draft {
    let id = "srv-offer-inside";
    let _ = inside.write(ClientMessage::Request).await;
    let answer = inside.message(ReplyTo::Request, plan.patience()).await;
    let accepted =
        answer.and_then(|answer| inside.meaning(ReplyTo::Request, &answer)) == Some(ServerMessage::Accept);
    match (accepted, listed) {
        (true, _) => Draft::fail(id, "the upgrade is accepted again inside TLS"),
        (false, true) if !plan.words.may_repeat_offer => {
            Draft::new(id, Outcome::Warning, "the upgrade is listed again inside TLS, and refused")
        }
        (false, true) => {
            Draft::pass(id, "the upgrade is still listed inside TLS, as it may be here, and refused")
        }
        (false, false) => Draft::pass(id, "inside TLS the upgrade is neither listed nor accepted"),
    }
}

/// What the server says it can do, one entry each, as people read it.
fn lines(protocol: &Protocol, bytes: &[u8]) -> Vec<String> {
    let dialect = (protocol.dialect)(starttls::proto::Identity::new(""));
    if let Some(text) = dialect.describe(starttls::proto::Side::Server, bytes) {
        return vec![text];
    }
    let split = bytes.split(|&byte| byte == b'\n').map(|line| Escaped(line.trim_ascii()).to_string());
    let one_line =
        |line: &String| line.to_ascii_uppercase().starts_with("* CAPABILITY") || line.starts_with('<');
    let lines: Vec<String> = split.filter(|line| !line.is_empty() && line != ".").collect();
    if let Some(list) = lines.iter().find(|line| one_line(line)) {
        let words = if list.starts_with('<') { list.split("><") } else { list.split(" ") };
        return words.skip(2).map(str::to_owned).collect();
    }
    let entry = |line: &String| match line.get(..4) {
        Some(code) if code.starts_with(|c: char| c.is_ascii_digit()) => {
            line.get(4..).unwrap_or_default().to_owned()
        }
        _ => line.trim().to_owned(),
    };
    // The first line names the server, or says that a list follows.
    lines.iter().skip(1).map(entry).collect()
}

/// The two lists compared.
fn capabilities(plan: &Plan, before: &[String], inside: &[String]) -> Draft {
    let id = "srv-caps-kept";
    if inside.is_empty() {
        return Draft::new(id, Outcome::NotApplicable, "there is no list inside TLS to compare");
    }
    let gone = before.iter().filter(|it| !inside.contains(it)).map(|it| format!("- {it}"));
    let new = inside.iter().filter(|it| !before.contains(it)).map(|it| format!("+ {it}"));
    let difference: Vec<String> = gone.chain(new).collect();
    let cleartext_only = ["STARTTLS", "STLS", "LOGINDISABLED"];
    let names = |it: &String, word: &&str| {
        it.trim_matches(|c: char| !c.is_ascii_alphanumeric()).eq_ignore_ascii_case(word)
    };
    let kept = |it: &String| {
        it.contains("<starttls")
            || it.starts_with("starttls ")
            || cleartext_only.iter().any(|word| names(it, word))
    };
    let kept = !plan.words.may_repeat_offer && inside.iter().any(kept);
    match (kept, difference.is_empty()) {
        (true, _) => {
            Draft::new(id, Outcome::Warning, "inside TLS the list still says what holds in cleartext only")
        }
        (false, true) => Draft::new(id, Outcome::Info, "the list inside TLS is that of before"),
        (false, false) => Draft::pass(id, "the list changes with TLS"),
    }
    .details(difference)
}
