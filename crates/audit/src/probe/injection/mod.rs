//! Bytes behind the request: does the server act on them as if they had come inside TLS?

pub(super) mod cleartext_reply;
mod request_in_data;
mod restarts;
mod trial;
mod variants;

use std::time::Duration;

use starttls::proto::{ClientMessage, Dialect, Identity};

use super::answers::{Answers, harmless, signature};
use crate::finding::{FindingBuilder, ProbeResult};
use crate::plan::Plan;
use crate::profile::begins;
use crate::record::Record;
use crate::report::CheckOutcome;
use crate::session::ProbeError;
use trial::{EAGER, End, Form, Shape, Trial, trial};
use variants::variants;

/// How long to wait between the segments of a split injection.
const DELAYS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(10), Duration::from_millis(100)];

/// The checks that compare with the control run.
const COMPARED: [&str; 6] = [
    "srv-inject-eager",
    "srv-inject-lazy",
    "srv-inject-split",
    "srv-inject-partial",
    "srv-inject-variants",
    "srv-reply-plain",
];

/// A dialect for bytes that are to be read inside TLS, where packets have other numbers. It is one of its own, so that
/// its tags and ids are none that the sentinel will have.
fn dialect_inside(plan: &Plan) -> Box<dyn Dialect> {
    (plan.protocol.dialect)(Identity { inside_tls: true, ..plan.identity() })
}

/// The harmless message that is injected.
fn injected(plan: &Plan) -> Vec<u8> {
    let mut dialect = dialect_inside(plan);
    harmless(plan, &mut |message| {
        let mut bytes = Vec::new();
        dialect.write_client(message, &mut bytes);
        bytes
    })
}

/// Everything about injection: the control run first, then each form against it. Also returns why nothing is served
/// inside TLS, if that is so.
pub(crate) async fn probe(
    plan: &Plan,
    harmless_in_cleartext: Option<&str>,
) -> (ProbeResult, Option<ProbeError>) {
    let mut seen = ProbeResult::default();
    let control = trial(plan, &Form::new("control: a plain upgrade", Shape::Plain)).await;
    let all = control.record.all();
    let at = seen.record(control.record);
    let normal = match served(control.end) {
        Ok(normal) => normal,
        Err(stop) => {
            // Silence proves nothing about a command that servers leave unanswered.
            for id in COMPARED {
                seen.push(FindingBuilder::inconclusive(id, &stop).at(at, all));
            }
            return (seen, Some(stop).filter(|it| matches!(it, ProbeError::Unserved(_))));
        }
    };
    let judge = Judge { normal, harmless_in_cleartext, plan };
    let (together, restarts, partial) =
        tokio::join!(together(plan, &judge), restarts::probe(plan, &judge), partial(plan, &judge));
    // Alone: it can hold a server that does one thing at a time.
    let split = split(plan, &judge).await;
    let injectable = [&together, &restarts, &split].iter().any(|part| part.has_failed());
    for part in [together, restarts, split, partial] {
        seen.absorb(part);
    }
    if injectable {
        let why = "the exact form of the request lets bytes through already";
        seen.push(FindingBuilder::new("srv-inject-variants", CheckOutcome::NotApplicable, why));
    } else {
        seen.absorb(variants(plan, &judge).await);
    }
    seen.worst_of_each();
    (seen, None)
}

/// The answers of a control run, if it is one: a session inside TLS that answers and goes on.
fn served(end: End) -> Result<Answers, ProbeError> {
    match end {
        End::Inside(answers) => match &answers.served {
            Ok(_) => Ok(answers),
            Err(stop) => Err(stop.clone().unserved()),
        },
        End::Stopped(stop) => Err(stop),
        End::Refused(why) => Err(ProbeError::Unshaken(why)),
        End::Plain(_) | End::Unasked(..) => {
            Err(ProbeError::Unclear(String::from("a plain upgrade is answered in cleartext")))
        }
    }
}

/// Compares a trial with the control run.
struct Judge<'a> {
    normal: Answers,
    harmless_in_cleartext: Option<&'a str>,
    plan: &'a Plan,
}

/// What a trial with injected bytes shows.
enum Conclusion {
    /// More answers came than were asked for inside TLS.
    Injected(String),
    Sound(String),
    Inconclusive(ProbeError),
}

impl Judge<'_> {
    fn verdict(&self, end: &End) -> Conclusion {
        match end {
            End::Inside(answers) => self.compared(answers),
            End::Unasked(heard, answers) => match heard.iter().find(|text| !self.ends_with(text)) {
                Some(text) => Conclusion::Injected(format!(
                    "the server answers inside TLS before it is asked there: \"{}\"",
                    short(text)
                )),
                None => self.compared(answers),
            },
            End::Refused(why) => Conclusion::Sound(format!("the server does not go on: {why}")),
            End::Plain(bytes) => {
                let text = cleartext_reply::shown(self.plan, bytes);
                Conclusion::Sound(format!(
                    "nothing goes on inside TLS: the server answers in cleartext: \"{text}\""
                ))
            }
            End::Stopped(stop) => Conclusion::Inconclusive(stop.clone()),
        }
    }

    fn compared(&self, answers: &Answers) -> Conclusion {
        let (came, due) = (answers.signatures.len(), self.normal.signatures.len());
        if answers.has_more_than(&self.normal) {
            return Conclusion::Injected(format!(
                "{came} answers came inside TLS where {due} were due: the injected bytes were acted upon"
            ));
        }
        match &answers.served {
            _ if answers.has_all_of(&self.normal) => {
                Conclusion::Sound(String::from("the injected bytes were dropped"))
            }
            Ok(_) if answers.before_goodbye() == self.normal.before_goodbye() => {
                Conclusion::Sound(String::from("the injected bytes were dropped"))
            }
            Ok(_) => Conclusion::Inconclusive(ProbeError::Unclear(format!(
                "after injected bytes the answers inside TLS are \"{}\" instead of \"{}\"",
                answers.signatures.join(", "),
                self.normal.signatures.join(", ")
            ))),
            // One answer, and the end: it may have been that to the injected bytes.
            Err(stop) if stop.ends() && answers.has_some_of(&self.normal) => {
                Conclusion::Inconclusive(ProbeError::Unclear(String::from(
                    "after injected bytes the server gives one answer and ends the session",
                )))
            }
            Err(stop) if stop.ends() || matches!(stop, ProbeError::Unfinished(..)) => {
                Conclusion::Sound(String::from("the server ends the session inside TLS"))
            }
            Err(stop) => Conclusion::Inconclusive(stop.clone()),
        }
    }

    /// Whether a server ends the session with this.
    fn ends_with(&self, text: &str) -> bool {
        crate::profile::is_final(text) || begins(text, self.plan.profile.turned_away)
    }
}

fn short(text: &str) -> &str {
    text.get(..80).unwrap_or(text)
}

/// The request and the probe in one segment. When that works, once more in silence, to tell a server that answers
/// at once from one that waits for data.
async fn together(plan: &Plan, judge: &Judge<'_>) -> ProbeResult {
    let mut seen = ProbeResult::default();
    let form =
        Form::new("the request and a harmless command in one segment", Shape::Together(injected(plan)));
    let Trial { end, record } = trial(plan, &form).await;
    let all = record.all();
    let at = seen.record(record);
    let plain = cleartext_reply::judge(plan, judge, &end);
    seen.push(plain.at(at, all));
    match judge.verdict(&end) {
        // Where a session begins once, the injected beginning and ours look alike: only silence tells them apart.
        Conclusion::Sound(_) if plan.profile.harmless == ClientMessage::Credentials => {
            let (finding, record) = alone(plan, judge).await;
            let silence = record.all();
            let second = seen.record(record);
            seen.push(finding.at(second, silence));
            let why = "an answer that waits for data inside TLS cannot be told from the answer to that data";
            seen.push(FindingBuilder::new("srv-inject-lazy", CheckOutcome::NotApplicable, why).at(at, all));
        }
        Conclusion::Sound(why) => {
            seen.push(FindingBuilder::pass("srv-inject-eager", why.clone()).at(at, all));
            seen.push(FindingBuilder::pass("srv-inject-lazy", why).at(at, all));
        }
        Conclusion::Inconclusive(stop) => {
            seen.push(FindingBuilder::inconclusive("srv-inject-eager", &stop).at(at, all));
            seen.push(FindingBuilder::inconclusive("srv-inject-lazy", &stop).at(at, all));
        }
        Conclusion::Injected(why) => {
            let purpose = "the same, and silence inside TLS";
            // There is something to find: no hurry now.
            let silent = Some(plan.reply_timeout());
            let silent = Form { silent, ..Form::new(purpose, Shape::Together(injected(plan))) };
            let Trial { end, record } = trial(plan, &silent).await;
            let silence = record.all();
            let second = seen.record(record);
            let (bad, other) = match &end {
                End::Unasked(heard, _) if heard.is_empty() => {
                    let why = "nothing is answered before data comes inside TLS";
                    ("srv-inject-lazy", FindingBuilder::pass("srv-inject-eager", why))
                }
                End::Unasked(..) => {
                    let why = "the answer does not wait for data inside TLS";
                    ("srv-inject-eager", FindingBuilder::pass("srv-inject-lazy", why))
                }
                end => {
                    ("srv-inject-eager", FindingBuilder::inconclusive("srv-inject-lazy", &unrepeated(end)))
                }
            };
            seen.push(FindingBuilder::fail(bad, why).at(at, all).at(second, silence));
            seen.push(other.at(second, silence));
        }
    }
    seen
}

/// Why a second connection with the same injected bytes does not show whether the answer waits for data.
fn unrepeated(end: &End) -> ProbeError {
    match end {
        End::Stopped(stop) => stop.clone(),
        End::Refused(why) => ProbeError::Unclear(format!("the same bytes on a second connection: {why}")),
        End::Inside(_) | End::Unasked(..) | End::Plain(_) => ProbeError::Unclear(String::from(
            "the same bytes on a second connection are answered in cleartext",
        )),
    }
}

/// The request and the beginning of a session in one segment, and silence inside TLS: is the session begun?
async fn alone(plan: &Plan, judge: &Judge<'_>) -> (FindingBuilder, Record) {
    let id = "srv-inject-eager";
    let shape = Shape::Together(injected(plan));
    let form = Form {
        silent: Some(EAGER),
        ..Form::new("the request and the beginning of a session, and silence", shape)
    };
    let Trial { end, record } = trial(plan, &form).await;
    let finding = match &end {
        End::Unasked(heard, _) => match heard.iter().find(|text| begun(plan, judge, text)) {
            Some(answer) => FindingBuilder::fail(
                id,
                format!("a session that was begun in cleartext goes on inside TLS: \"{}\"", short(answer)),
            ),
            None => {
                FindingBuilder::pass(id, "a session that was begun in cleartext does not go on inside TLS")
            }
        },
        End::Stopped(stop) => FindingBuilder::inconclusive(id, stop),
        End::Inside(_) | End::Refused(_) | End::Plain(_) => {
            FindingBuilder::pass(id, "the server does not go on")
        }
    };
    (finding, record)
}

/// Whether this answers the beginning of a session: as servers do, or as this one did in the control run.
fn begun(plan: &Plan, judge: &Judge<'_>, text: &str) -> bool {
    begins(text, plan.profile.served) || judge.normal.signatures.first() == Some(&signature(text))
}

/// The request and the probe in two segments, both before the ClientHello.
async fn split(plan: &Plan, judge: &Judge<'_>) -> ProbeResult {
    let mut seen = ProbeResult::default();
    let mut worst: Option<FindingBuilder> = None;
    let mut inconclusive = None;
    let [now, soon, later] = DELAYS.map(|pause| apart(plan, pause));
    for Trial { end, record } in <[Trial; 3]>::from(tokio::join!(now, soon, later)) {
        let all = record.all();
        let at = seen.record(record);
        match judge.verdict(&end) {
            Conclusion::Injected(why) => {
                worst = Some(FindingBuilder::fail("srv-inject-split", why).at(at, all))
            }
            Conclusion::Sound(_) => {}
            Conclusion::Inconclusive(stop) => {
                inconclusive = Some(FindingBuilder::inconclusive("srv-inject-split", &stop).at(at, all))
            }
        }
    }
    let pass = || FindingBuilder::pass("srv-inject-split", "bytes in a later segment do not get inside TLS");
    seen.push(worst.or(inconclusive).unwrap_or_else(pass));
    seen
}

async fn apart(plan: &Plan, pause: Duration) -> Trial {
    let purpose = format!("a harmless command {} ms behind the request, before TLS", pause.as_millis());
    trial(plan, &Form::new(purpose, Shape::Split(pause, injected(plan)))).await
}

/// Half a command behind the request, the other half inside TLS; and the other half alone, for comparison.
async fn partial(plan: &Plan, judge: &Judge<'_>) -> ProbeResult {
    let id = "srv-inject-partial";
    let mut seen = ProbeResult::default();
    let whole = injected(plan);
    let Some((first, rest)) =
        whole.split_at_checked(whole.len() - (whole.len() / 2).min(4)).filter(|(first, _)| first.len() > 1)
    else {
        seen.push(FindingBuilder::new(id, CheckOutcome::NotApplicable, "there is no command to cut in two"));
        return seen;
    };
    let mut form =
        Form { inside: rest.to_vec(), ..Form::new("control: half a command inside TLS", Shape::Plain) };
    let control = trial(plan, &form).await;
    form.purpose = String::from("half a command behind the request, the rest inside TLS");
    form.shape = Shape::Together(first.to_vec());
    let Trial { end, record } = trial(plan, &form).await;
    let (all, control_all) = (record.all(), control.record.all());
    let control_at = seen.record(control.record);
    let at = seen.record(record);
    let finding = match (&control.end, &end) {
        (_, End::Stopped(stop)) | (End::Stopped(stop), _) => FindingBuilder::inconclusive(id, stop),
        // Only a session that answers shows what became of the half.
        (End::Inside(Answers { served: Err(stop), .. }), End::Inside(_)) if !stop.ends() => {
            FindingBuilder::inconclusive(id, stop)
        }
        (End::Inside(_), End::Inside(Answers { served: Err(stop), .. })) if !stop.ends() => {
            FindingBuilder::inconclusive(id, stop)
        }
        (End::Inside(alone), End::Inside(joined))
            if alone.signatures != joined.signatures
                && (joined.has_more_than(&judge.normal) || joined.signatures == judge.normal.signatures) =>
        {
            FindingBuilder::fail(
                id,
                format!(
                    "the halves were joined: \"{}\" instead of \"{}\"",
                    joined.signatures.join(", "),
                    alone.signatures.join(", ")
                ),
            )
            .at(control_at, control_all)
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
            FindingBuilder::inconclusive(id, &ProbeError::Unclear(why))
        }
        (End::Inside(_), _) => FindingBuilder::pass(id, "half a command does not get inside TLS"),
        // What becomes of half a command was not seen.
        (End::Refused(why), _) => FindingBuilder::inconclusive(id, &ProbeError::Unshaken(why.clone())),
        _ => FindingBuilder::inconclusive(
            id,
            &ProbeError::Unclear(String::from("a plain upgrade is answered in cleartext")),
        ),
    };
    seen.push(finding.at(at, all));
    seen
}
