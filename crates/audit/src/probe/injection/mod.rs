//! Bytes after the request: does the server act on them as if they had come inside TLS?

pub(super) mod cleartext_reply;
mod request_in_data;
mod restarts;
mod trial;
mod variants;

use std::time::Duration;

use starttls::proto::{Dialect, Protocol};

use super::answers::{Answers, harmless, harmless_is_login, signature};
use super::{Context, Cost, Probe, Running, Turn};
use crate::check::{Check, id};
use crate::error::{HandshakeFault, ProbeError};
use crate::finding::{FindingBuilder, ProbeResult};
use crate::message::{self, Statement};
use crate::plan::Plan;
use crate::profile::{ProtocolProfile, begins};
use crate::record::Log;
use crate::report::CheckOutcome;
use crate::selection::Selection;
use trial::{EAGER, End, Form, Shape, Trial, trial};

/// How long to wait between the segments of a split injection.
const DELAYS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(10), Duration::from_millis(100)];

/// The checks of a request with other bytes in one segment.
const TOGETHER: &[&Check] = &[id::SRV_INJECT_EAGER, id::SRV_INJECT_LAZY, id::SRV_REPLY_PLAIN];

/// Sends bytes after the request and compares the answers inside TLS with those of a plain upgrade.
pub(super) struct Injection;

impl Probe for Injection {
    fn checks(&self) -> &'static [&'static Check] {
        &[
            id::SRV_INJECT_EAGER,
            id::SRV_INJECT_LAZY,
            id::SRV_INJECT_SPLIT,
            id::SRV_INJECT_PARTIAL,
            id::SRV_INJECT_VARIANTS,
            id::SRV_REPLY_PLAIN,
        ]
    }

    fn cost(&self, selection: &Selection, protocol: &'static Protocol) -> Cost {
        let profile = ProtocolProfile::of(protocol);
        let parts = Parts::of(selection);
        let count = |is_run: bool, connections: usize| if is_run { connections } else { 0 };
        let connections = 1
            + count(parts.together, 2 + profile.restarts.len())
            + count(parts.split, DELAYS.len())
            + count(parts.partial, 2)
            + count(parts.variants, variants::connections(protocol));
        let failed_login = harmless_is_login(protocol) || (parts.together && !profile.restarts.is_empty());
        Cost { failed_login, ..Cost::new(u32::try_from(connections).unwrap_or(u32::MAX)) }
    }

    fn run<'a>(&'a self, context: &'a Context<'a>) -> Running<'a> {
        Box::pin(probe(context))
    }

    /// Bytes where a ClientHello belongs can hold a server that serves one connection at a time.
    fn turn(&self) -> Turn {
        Turn::Alone
    }

    fn needs_harmless_reply(&self, selection: &Selection) -> bool {
        selection.wants_any(&[id::SRV_REPLY_PLAIN, id::SRV_INJECT_VARIANTS])
    }
}

/// The parts of the probe that a selection needs.
struct Parts {
    together: bool,
    split: bool,
    partial: bool,
    variants: bool,
}

impl Parts {
    fn of(selection: &Selection) -> Self {
        // A variant is a finding of its own only if the exact form of the request lets no bytes through.
        let variants = selection.wants(id::SRV_INJECT_VARIANTS);
        Self {
            together: variants || selection.wants_any(TOGETHER),
            split: variants || selection.wants(id::SRV_INJECT_SPLIT),
            partial: selection.wants(id::SRV_INJECT_PARTIAL),
            variants,
        }
    }
}

/// Returns a dialect that writes bytes for inside TLS, where packets have other numbers. Its identity is a new one, so
/// that its tags and ids differ from those of the sentinel.
fn dialect_inside(plan: &Plan) -> Box<dyn Dialect> {
    plan.protocol.new_dialect(plan.identity().inside_tls())
}

/// Returns the harmless command that is injected.
fn injected(plan: &Plan) -> Vec<u8> {
    let mut dialect = dialect_inside(plan);
    harmless(plan, &mut |message| {
        let mut bytes = Vec::new();
        dialect.write_client(message, &mut bytes);
        bytes
    })
}

/// Makes the control run first, and then compares each form of injection with it.
async fn probe(context: &Context<'_>) -> ProbeResult {
    let plan = context.plan;
    let mut result = ProbeResult::default();
    let control = trial(plan, &Form::new("control: a plain upgrade", Shape::Plain)).await;
    let at = result.record(&control.log);
    let normal = match served(control.end) {
        Ok(normal) => normal,
        Err(error) => {
            // Without a control run, silence proves nothing.
            for check in Injection.checks() {
                result.push(FindingBuilder::inconclusive(check, &error).at_all(at));
            }
            if matches!(error, ProbeError::Unserved(_)) {
                let _ = context.unserved.set(error);
            }
            return result;
        }
    };
    let judge = Judge { normal, harmless_in_cleartext: context.harmless_reply(), plan };
    let parts = Parts::of(&plan.selection);
    let (together, restarts, partial) = tokio::join!(
        when(parts.together, together(plan, &judge)),
        when(parts.together, restarts::probe(plan, &judge)),
        when(parts.partial, partial(plan, &judge))
    );
    // Alone, because it can hold a server that serves one connection at a time.
    let split = when(parts.split, split(plan, &judge)).await;
    let injectable = [&together, &restarts, &split].iter().any(|part| part.has_failed());
    for part in [together, restarts, split, partial] {
        result.absorb(part);
    }
    if injectable {
        let why = "the exact form of the request already lets bytes through";
        result.push(FindingBuilder::new(id::SRV_INJECT_VARIANTS, CheckOutcome::NotApplicable, why));
    } else {
        result.absorb(when(parts.variants, variants::variants(plan, &judge)).await);
    }
    result.worst_of_each();
    result
}

/// Runs a part of the probe if the selection needs it.
async fn when(is_needed: bool, part: impl Future<Output = ProbeResult>) -> ProbeResult {
    if is_needed { part.await } else { ProbeResult::default() }
}

/// Returns the answers of a control run whose session inside TLS is served.
fn served(end: End) -> Result<Answers, ProbeError> {
    match end {
        End::Inside(answers) => match &answers.served {
            Ok(_) => Ok(answers),
            Err(error) => Err(error.clone().unserved()),
        },
        End::Stopped(error) => Err(error),
        End::Refused(why) => Err(ProbeError::Handshake(HandshakeFault::broken(why))),
        End::Plain(_) | End::Unasked(..) => {
            Err(ProbeError::Unclear(String::from("the server answers a plain upgrade in cleartext")))
        }
    }
}

/// Compares a trial with the control run.
struct Judge<'a> {
    normal: Answers,
    harmless_in_cleartext: Option<&'a str>,
    plan: &'a Plan,
}

/// The result of a trial with injected bytes.
enum Conclusion {
    /// The server sent more answers inside TLS than there were commands.
    Injected(Statement),
    Sound(Statement),
    Inconclusive(ProbeError),
}

impl Judge<'_> {
    fn verdict(&self, end: &End) -> Conclusion {
        match end {
            End::Inside(answers) => self.compared(answers),
            End::Unasked(received, answers) => match received.iter().find(|text| self.was_injected(text)) {
                Some(text) => Conclusion::Injected(message::ANSWERS_UNASKED.with(&[("text", &short(text))])),
                None => self.compared(answers),
            },
            End::Refused(why) => Conclusion::Sound(message::DOES_NOT_CONTINUE_BECAUSE.with(&[("why", why)])),
            End::Plain(bytes) => {
                let text = cleartext_reply::shown(self.plan, bytes);
                Conclusion::Sound(message::ANSWERS_IN_CLEARTEXT.with(&[("text", &text)]))
            }
            End::Stopped(error) => Conclusion::Inconclusive(error.clone()),
        }
    }

    fn compared(&self, answers: &Answers) -> Conclusion {
        let (came, due) = (answers.signatures.len(), self.normal.signatures.len());
        if answers.has_more_than(&self.normal) {
            return Conclusion::Injected(message::ACTS_ON_INJECTED.with(&[("count", &came), ("due", &due)]));
        }
        match &answers.served {
            _ if answers.has_all_of(&self.normal) => Conclusion::Sound(message::DISCARDED.with(&[])),
            Ok(_) if answers.before_goodbye() == self.normal.before_goodbye() => {
                Conclusion::Sound(message::DISCARDED.with(&[]))
            }
            Ok(_) => Conclusion::Inconclusive(ProbeError::Unclear(format!(
                "after injected bytes the answers inside TLS are \"{}\" instead of \"{}\"",
                answers.signatures.join(", "),
                self.normal.signatures.join(", ")
            ))),
            // The only answer may be the one to the injected bytes.
            Err(error) if error.ends() && answers.has_some_of(&self.normal) => {
                Conclusion::Inconclusive(ProbeError::Unclear(String::from(
                    "after injected bytes the server sends one answer and ends the session",
                )))
            }
            Err(error) if error.ends() || matches!(error, ProbeError::Unfinished(..)) => {
                Conclusion::Sound(message::ENDS_INSIDE.with(&[]))
            }
            Err(error) => Conclusion::Inconclusive(error.clone()),
        }
    }

    /// Returns whether a message that the client did not ask for inside TLS answers injected bytes.
    fn was_injected(&self, text: &str) -> bool {
        match self.plan.profile.begins_session() {
            true => answers_beginning(self.plan, self, text),
            false => !self.ends_with(text),
        }
    }

    /// Returns whether a server ends the session with this message.
    fn ends_with(&self, text: &str) -> bool {
        crate::profile::is_final(text) || begins(text, self.plan.profile.turned_away)
    }
}

fn short(text: &str) -> &str {
    text.get(..80).unwrap_or(text)
}

/// Sends the request and a harmless command in one segment. If the server acts on it, repeats that and is silent inside
/// TLS, to distinguish a server that answers at once from one that waits for data.
async fn together(plan: &Plan, judge: &Judge<'_>) -> ProbeResult {
    let mut result = ProbeResult::default();
    let form =
        Form::new("the request and a harmless command in one segment", Shape::Together(injected(plan)));
    let Trial { end, log } = trial(plan, &form).await;
    let at = result.record(&log);
    result.push(cleartext_reply::judge(plan, judge, &end).at_all(at));
    match judge.verdict(&end) {
        // If a session begins only once, the injected beginning and the client's have the same answer. Only silence
        // distinguishes them.
        Conclusion::Sound(_) if plan.profile.begins_session() && !plan.profile.begins_once => {
            let (finding, log) = alone(plan, judge).await;
            let second = result.record(&log);
            result.push(finding.at_all(second));
            let why = "an answer that waits for data inside TLS looks the same as the answer to that data";
            result
                .push(FindingBuilder::new(id::SRV_INJECT_LAZY, CheckOutcome::NotApplicable, why).at_all(at));
        }
        Conclusion::Sound(why) => {
            result.push(FindingBuilder::pass(id::SRV_INJECT_EAGER, why.clone()).at_all(at));
            result.push(FindingBuilder::pass(id::SRV_INJECT_LAZY, why).at_all(at));
        }
        Conclusion::Inconclusive(error) => {
            result.push(FindingBuilder::inconclusive(id::SRV_INJECT_EAGER, &error).at_all(at));
            result.push(FindingBuilder::inconclusive(id::SRV_INJECT_LAZY, &error).at_all(at));
        }
        Conclusion::Injected(why) => {
            let purpose = "the same, and silence inside TLS";
            // The server is vulnerable, so the probe takes its time.
            let silent = Some(plan.reply_timeout());
            let silent = Form { silent, ..Form::new(purpose, Shape::Together(injected(plan))) };
            let Trial { end, log } = trial(plan, &silent).await;
            let second = result.record(&log);
            let (bad, other) = match &end {
                End::Unasked(received, _) if received.is_empty() => {
                    let why = "the server answers nothing before data arrives inside TLS";
                    (id::SRV_INJECT_LAZY, FindingBuilder::pass(id::SRV_INJECT_EAGER, why))
                }
                End::Unasked(..) => {
                    let why = "the answer does not wait for data inside TLS";
                    (id::SRV_INJECT_EAGER, FindingBuilder::pass(id::SRV_INJECT_LAZY, why))
                }
                end => (
                    id::SRV_INJECT_EAGER,
                    FindingBuilder::inconclusive(id::SRV_INJECT_LAZY, &unrepeated(end)),
                ),
            };
            result.push(FindingBuilder::fail(bad, why).at_all(at).at_all(second));
            result.push(other.at_all(second));
        }
    }
    result
}

/// Returns why a second connection with the same bytes does not show whether the answer waits for data.
fn unrepeated(end: &End) -> ProbeError {
    match end {
        End::Stopped(error) => error.clone(),
        End::Refused(why) => ProbeError::Unclear(format!("the same bytes on a second connection: {why}")),
        End::Inside(_) | End::Unasked(..) | End::Plain(_) => ProbeError::Unclear(String::from(
            "the server answers the same bytes on a second connection in cleartext",
        )),
    }
}

/// Sends the request and the beginning of a session in one segment, and is silent inside TLS: does the session begin?
async fn alone(plan: &Plan, judge: &Judge<'_>) -> (FindingBuilder, Log) {
    let check = id::SRV_INJECT_EAGER;
    let shape = Shape::Together(injected(plan));
    let form = Form {
        silent: Some(EAGER),
        ..Form::new("the request and the beginning of a session, and silence", shape)
    };
    let Trial { end, log } = trial(plan, &form).await;
    let finding = match &end {
        End::Unasked(received, _) => {
            match received.iter().find(|text| answers_beginning(plan, judge, text)) {
                Some(answer) => {
                    FindingBuilder::fail(check, message::SESSION_CROSSES.with(&[("text", &short(answer))]))
                }
                None => FindingBuilder::pass(
                    check,
                    "a session that began in cleartext does not continue inside TLS",
                ),
            }
        }
        End::Stopped(error) => FindingBuilder::inconclusive(check, error),
        End::Inside(_) | End::Refused(_) | End::Plain(_) => {
            FindingBuilder::pass(check, "the server does not continue")
        }
    };
    (finding, log)
}

/// Returns whether this answers the beginning of a session, as servers do or as this one did in the control run.
fn answers_beginning(plan: &Plan, judge: &Judge<'_>, text: &str) -> bool {
    begins(text, plan.profile.served) || judge.normal.signatures.first() == Some(&signature(text))
}

/// Sends the request and a harmless command in two segments, both before the ClientHello.
async fn split(plan: &Plan, judge: &Judge<'_>) -> ProbeResult {
    let mut result = ProbeResult::default();
    let mut worst: Option<FindingBuilder> = None;
    let mut inconclusive = None;
    let [now, soon, later] = DELAYS.map(|pause| apart(plan, pause));
    for Trial { end, log } in <[Trial; 3]>::from(tokio::join!(now, soon, later)) {
        let at = result.record(&log);
        match judge.verdict(&end) {
            Conclusion::Injected(why) => {
                worst = Some(FindingBuilder::fail(id::SRV_INJECT_SPLIT, why).at_all(at))
            }
            Conclusion::Sound(_) => {}
            Conclusion::Inconclusive(error) => {
                inconclusive = Some(FindingBuilder::inconclusive(id::SRV_INJECT_SPLIT, &error).at_all(at))
            }
        }
    }
    let pass =
        || FindingBuilder::pass(id::SRV_INJECT_SPLIT, "bytes in a later segment do not get inside TLS");
    result.push(worst.or(inconclusive).unwrap_or_else(pass));
    result
}

async fn apart(plan: &Plan, pause: Duration) -> Trial {
    let purpose = format!("a harmless command {} ms after the request, before TLS", pause.as_millis());
    // If a session begins only once, the injected beginning and the client's have the same answer.
    let silent = plan.profile.begins_session().then_some(EAGER);
    trial(plan, &Form { silent, ..Form::new(purpose, Shape::Split(pause, injected(plan))) }).await
}

/// Sends half a command after the request and the other half inside TLS, and the other half alone for comparison.
async fn partial(plan: &Plan, judge: &Judge<'_>) -> ProbeResult {
    let check = id::SRV_INJECT_PARTIAL;
    let mut result = ProbeResult::default();
    let whole = injected(plan);
    let Some((first, rest)) =
        whole.split_at_checked(whole.len() - (whole.len() / 2).min(4)).filter(|(first, _)| first.len() > 1)
    else {
        result.push(FindingBuilder::new(
            check,
            CheckOutcome::NotApplicable,
            "the protocol has no command that can be cut in two",
        ));
        return result;
    };
    let mut form =
        Form { inside: rest.to_vec(), ..Form::new("control: half a command inside TLS", Shape::Plain) };
    let control = trial(plan, &form).await;
    form.purpose = String::from("half a command after the request, the rest inside TLS");
    form.shape = Shape::Together(first.to_vec());
    let Trial { end, log } = trial(plan, &form).await;
    let control_at = result.record(&control.log);
    let at = result.record(&log);
    let finding = match (&control.end, &end) {
        (_, End::Stopped(error)) | (End::Stopped(error), _) => FindingBuilder::inconclusive(check, error),
        // Only a session that answers shows whether the server kept the half.
        (End::Inside(Answers { served: Err(error), .. }), End::Inside(_)) if !error.ends() => {
            FindingBuilder::inconclusive(check, error)
        }
        (End::Inside(_), End::Inside(Answers { served: Err(error), .. })) if !error.ends() => {
            FindingBuilder::inconclusive(check, error)
        }
        (End::Inside(alone), End::Inside(joined))
            if alone.signatures != joined.signatures
                && (joined.has_more_than(&judge.normal) || joined.signatures == judge.normal.signatures) =>
        {
            FindingBuilder::fail(
                check,
                message::HALVES_JOINED.with(&[
                    ("joined", &joined.signatures.join(", ")),
                    ("alone", &alone.signatures.join(", ")),
                ]),
            )
            .at_all(control_at)
        }
        (End::Inside(alone), End::Inside(joined))
            if alone.before_goodbye().is_some()
                && joined.before_goodbye().is_some()
                && alone.before_goodbye() != joined.before_goodbye() =>
        {
            let why = format!(
                "after half a command in cleartext the answers inside TLS are \"{}\" instead of \"{}\"",
                joined.signatures.join(", "),
                alone.signatures.join(", ")
            );
            FindingBuilder::inconclusive(check, &ProbeError::Unclear(why))
        }
        (End::Inside(_), _) => FindingBuilder::pass(check, "half a command does not get inside TLS"),
        // The probe did not see what the server did with the half.
        (End::Refused(why), _) => {
            FindingBuilder::inconclusive(check, &ProbeError::Handshake(HandshakeFault::broken(why.clone())))
        }
        _ => FindingBuilder::inconclusive(
            check,
            &ProbeError::Unclear(String::from("the server answers a plain upgrade in cleartext")),
        ),
    };
    result.push(finding.at_all(at));
    result
}
