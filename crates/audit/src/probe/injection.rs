//! Bytes behind the request: does the server act on them as if they had come inside TLS?

use std::time::Duration;

use starttls::proto::{After, ClientMessage, Identity, ReplyTo};

use super::answers::{self, Answers, harmless, signature};
use super::variants::{Change, variants};
use crate::dialogue::{Dialogue, Stop};
use crate::draft::{Draft, Seen};
use crate::plan::Plan;
use crate::record::Record;
use crate::report::{Kind, Outcome};
use crate::words::{begins, is_final};

/// How long to wait between the segments of a split injection.
const DELAYS: [Duration; 3] = [Duration::ZERO, Duration::from_millis(10), Duration::from_millis(100)];

/// How long a server may take to answer in cleartext behind its go-ahead.
const PLAIN: Duration = Duration::from_millis(50);

/// How long a server that answers eagerly may take to do so while we are silent.
const EAGER: Duration = Duration::from_millis(500);

/// How one connection went.
pub(crate) struct Trial {
    pub(crate) end: End,
    pub(crate) record: Record,
}

/// What came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// TLS came up, and these were the answers inside.
    Inside(Answers),
    /// The server refused, closed, or broke off the handshake: sound reactions to injected bytes.
    Refused(String),
    /// This came in cleartext where TLS belongs.
    Plain(String),
    /// Something else was in the way.
    Stopped(Stop),
}

/// One way to ask for TLS.
pub(crate) struct Form {
    pub(crate) purpose: String,
    shape: Shape,
    /// What is said inside TLS before the sentinel.
    inside: Vec<u8>,
    /// Stay silent for so long after the handshake, or longer with a server that is slow, to see who answers all the
    /// same.
    silent: Option<Duration>,
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
pub(crate) async fn trial(plan: &Plan, form: &Form) -> Trial {
    let _place = plan.place().await;
    let mut dialogue = match plan.open(&form.purpose).await {
        Ok(dialogue) => dialogue,
        Err((stop, record)) => return Trial { end: End::Stopped(stop), record },
    };
    if let Err(stop) = dialogue.open_up().await {
        return Trial { end: End::Stopped(stop), record: dialogue.record };
    }
    let request = dialogue.words(ClientMessage::Request);
    for (pause, segment) in form.segments(request) {
        tokio::time::sleep(pause).await;
        if let Err(stop) = dialogue.send(&segment).await {
            return Trial { end: End::Refused(stop.to_string()), record: dialogue.record };
        }
    }
    match dialogue.verdict().await {
        Ok(Ok(())) => {}
        Ok(Err(_)) => {
            return Trial {
                end: End::Refused(String::from("the request was refused")),
                record: dialogue.record,
            };
        }
        Err(stop) => return Trial { end: End::Refused(stop.to_string()), record: dialogue.record },
    }
    secured(plan, dialogue, form).await
}

async fn secured(plan: &Plan, mut dialogue: Dialogue, form: &Form) -> Trial {
    // An answer in cleartext may come a moment behind the go-ahead. Once our ClientHello is out it would be seen as
    // the first few octets of something that is no TLS, too few to tell what they answer.
    let beyond = match &form.shape {
        Shape::Together(_) if form.inside.is_empty() && form.silent.is_none() => dialogue.listen(PLAIN).await,
        _ => dialogue.unread(),
    };
    if !beyond.is_empty() && !(0x14..=0x17).contains(beyond.first().unwrap_or(&0)) {
        return Trial { end: End::Plain(answers::shown(plan.protocol, &beyond)), record: dialogue.record };
    }
    if !matches!(form.shape, Shape::Plain) {
        dialogue.patience = plan.doubt();
    }
    match dialogue.secure(&plan.connectors.open, &plan.server_name, plan.identity()).await {
        Ok(mut inside) => {
            if let Some(wait) = form.silent {
                // What took so long until now takes its time for an answer too.
                let slow = Duration::from_secs_f64(inside.record.elapsed_ms() / 200.0);
                let mut wait = wait.max(slow).min(plan.patience());
                let mut answers = Answers::default();
                // What a server says by itself inside TLS is no answer.
                match plan.protocol.flow.after {
                    After::ServerSpeaks => drop(inside.message(ReplyTo::Connect, wait).await),
                    After::AnswerPending => drop(inside.message(ReplyTo::Other, wait).await),
                    _ => {}
                }
                while let Some(answer) = inside.message(ReplyTo::Other, wait).await {
                    wait = EAGER;
                    answers.0.push(answers::shown(plan.protocol, &answer));
                }
                return Trial { end: End::Inside(answers), record: inside.record };
            }
            let answers = answers::take(plan, &mut inside, &form.inside).await;
            Trial { end: End::Inside(answers), record: inside.record }
        }
        Err((starttls::Error::PlaintextNotTls { received, .. }, mut record)) => {
            record.bytes(Kind::Server, &received);
            Trial { end: End::Plain(answers::shown(plan.protocol, &received)), record }
        }
        Err((error, record)) => Trial { end: End::Refused(error.to_string()), record },
    }
}

/// The harmless message that is injected: from a dialect of its own, so that its tag or id is none that the
/// sentinel will have.
pub(super) fn injected(plan: &Plan) -> Vec<u8> {
    // It is to be read inside TLS, where packets have other numbers.
    let mut dialect = (plan.protocol.dialect)(Identity { inside_tls: true, ..plan.identity() });
    harmless(plan, &mut |message| {
        let mut bytes = Vec::new();
        dialect.write_client(message, &mut bytes);
        bytes
    })
}

/// Everything about injection: the control run first, then each form against it.
pub(crate) async fn probe(plan: &Plan, harmless_in_cleartext: Option<&str>) -> Seen {
    let mut seen = Seen::default();
    let control = trial(plan, &Form::new("control: a plain upgrade", Shape::Plain)).await;
    let End::Inside(normal) = control.end.clone() else {
        let stop = match &control.end {
            End::Stopped(stop) => stop.clone(),
            _ => Stop::Malformed("a plain upgrade that succeeds"),
        };
        seen.record(control.record);
        for id in [
            "srv-inject-eager",
            "srv-inject-lazy",
            "srv-inject-split",
            "srv-inject-partial",
            "srv-inject-variants",
            "srv-reply-plain",
        ] {
            seen.push(Draft::untold(id, &stop));
        }
        return seen;
    };
    seen.record(control.record);
    let judge = Judge { normal, served: plan.words.served, harmless_in_cleartext };
    let (together, partial) = tokio::join!(together(plan, &judge), partial(plan, &judge));
    // Alone: it can hold a server that does one thing at a time.
    let split = split(plan, &judge).await;
    let injectable = [&together, &split].iter().any(|part| part.has_failed());
    for part in [together, split, partial] {
        seen.absorb(part);
    }
    if injectable {
        let why = "the exact form of the request lets bytes through already";
        seen.push(Draft::new("srv-inject-variants", Outcome::NotApplicable, why));
    } else {
        seen.absorb(variants(plan, &judge).await);
    }
    seen
}

/// Compares a trial with the control run.
pub(super) struct Judge<'a> {
    normal: Answers,
    served: &'static [&'static str],
    pub(super) harmless_in_cleartext: Option<&'a str>,
}

/// What a trial with injected bytes shows.
pub(super) enum Verdict {
    /// More answers came than were asked for inside TLS.
    Injected(String),
    Sound(String),
    Untold(Stop),
}

impl Judge<'_> {
    pub(super) fn verdict(&self, end: &End) -> Verdict {
        match end {
            End::Inside(answers) if answers.has_more_than(&self.normal) => Verdict::Injected(format!(
                "{} answers came inside TLS where {} were due: the injected bytes were acted upon",
                answers.0.len(),
                self.normal.0.len()
            )),
            End::Inside(_) => Verdict::Sound(String::from("the injected bytes were dropped")),
            End::Refused(why) => Verdict::Sound(format!("the server does not go on: {why}")),
            End::Plain(text) => {
                Verdict::Sound(format!("the server answers in cleartext and ends: \"{}\"", short(text)))
            }
            End::Stopped(stop) => Verdict::Untold(stop.clone()),
        }
    }

    /// Whether cleartext that came where TLS belongs answers the injected message, as it is answered in cleartext
    /// or inside TLS.
    fn answers_in_cleartext(&self, text: &str) -> bool {
        let said = signature(text);
        let usual = self.harmless_in_cleartext.is_some_and(|usual| usual == said);
        !said.is_empty()
            && !is_final(text)
            && (usual || self.normal.0.contains(&said) || begins(text, self.served))
    }
}

fn short(text: &str) -> &str {
    text.get(..80).unwrap_or(text)
}

/// The request and the probe in one segment. When that works, once more in silence, to tell a server that answers
/// at once from one that waits for data.
async fn together(plan: &Plan, judge: &Judge<'_>) -> Seen {
    let mut seen = Seen::default();
    let form =
        Form::new("the request and a harmless command in one segment", Shape::Together(injected(plan)));
    let Trial { end, record } = trial(plan, &form).await;
    let all = record.all();
    let at = seen.record(record);
    let plain = match &end {
        End::Plain(text) if judge.answers_in_cleartext(text) => Draft::fail(
            "srv-reply-plain",
            format!("the injected command was answered in cleartext: \"{}\"", short(text)),
        ),
        End::Stopped(stop) => Draft::untold("srv-reply-plain", stop),
        _ => Draft::pass("srv-reply-plain", "no answer in cleartext behind the go-ahead"),
    };
    seen.push(plain.at(at, all));
    match judge.verdict(&end) {
        // Where a session begins once, the injected beginning and ours look alike: only silence tells them apart.
        Verdict::Sound(_) if plan.words.harmless == ClientMessage::Credentials => {
            let (draft, record) = alone(plan).await;
            let silence = record.all();
            let second = seen.record(record);
            seen.push(draft.at(second, silence));
            let why = "an answer that waits for data inside TLS cannot be told from the answer to that data";
            seen.push(Draft::new("srv-inject-lazy", Outcome::NotApplicable, why).at(at, all));
        }
        Verdict::Sound(why) => {
            seen.push(Draft::pass("srv-inject-eager", why.clone()).at(at, all));
            seen.push(Draft::pass("srv-inject-lazy", why).at(at, all));
        }
        Verdict::Untold(stop) => {
            seen.push(Draft::untold("srv-inject-eager", &stop).at(at, all));
            seen.push(Draft::untold("srv-inject-lazy", &stop).at(at, all));
        }
        Verdict::Injected(why) => {
            let purpose = "the same, and silence inside TLS";
            // There is something to find: no hurry now.
            let silent = Some(plan.patience());
            let silent = Form { silent, ..Form::new(purpose, Shape::Together(injected(plan))) };
            let Trial { end, record } = trial(plan, &silent).await;
            let eager = matches!(&end, End::Inside(answers) if !answers.0.is_empty());
            let silence = record.all();
            let second = seen.record(record);
            let (bad, good) = if eager {
                ("srv-inject-eager", "srv-inject-lazy")
            } else {
                ("srv-inject-lazy", "srv-inject-eager")
            };
            seen.push(Draft::fail(bad, why).at(at, all).at(second, silence));
            let other = if eager {
                "the answer does not wait for data inside TLS"
            } else {
                "nothing is answered before data comes inside TLS"
            };
            seen.push(Draft::pass(good, other).at(second, silence));
        }
    }
    seen
}

/// The request and the beginning of a session in one segment, and silence inside TLS: is the session begun?
async fn alone(plan: &Plan) -> (Draft, Record) {
    let id = "srv-inject-eager";
    let shape = Shape::Together(injected(plan));
    let form = Form {
        silent: Some(EAGER),
        ..Form::new("the request and the beginning of a session, and silence", shape)
    };
    let Trial { end, record } = trial(plan, &form).await;
    let draft = match &end {
        End::Inside(answers) => match answers.0.iter().find(|answer| begins(answer, plan.words.served)) {
            Some(answer) => Draft::fail(
                id,
                format!("a session that was begun in cleartext goes on inside TLS: \"{answer}\""),
            ),
            None => Draft::pass(id, "a session that was begun in cleartext does not go on inside TLS"),
        },
        End::Stopped(stop) => Draft::untold(id, stop),
        End::Refused(_) | End::Plain(_) => Draft::pass(id, "the server does not go on"),
    };
    (draft, record)
}

/// The request and the probe in two segments, both before the ClientHello.
async fn split(plan: &Plan, judge: &Judge<'_>) -> Seen {
    let mut seen = Seen::default();
    let mut worst: Option<Draft> = None;
    let mut untold = None;
    let [now, soon, later] = DELAYS.map(|pause| apart(plan, pause));
    for Trial { end, record } in <[Trial; 3]>::from(tokio::join!(now, soon, later)) {
        let all = record.all();
        let at = seen.record(record);
        match judge.verdict(&end) {
            Verdict::Injected(why) => worst = Some(Draft::fail("srv-inject-split", why).at(at, all)),
            Verdict::Sound(_) => {}
            Verdict::Untold(stop) => untold = Some(Draft::untold("srv-inject-split", &stop).at(at, all)),
        }
    }
    let pass = || Draft::pass("srv-inject-split", "bytes in a later segment do not get inside TLS");
    seen.push(worst.or(untold).unwrap_or_else(pass));
    seen
}

async fn apart(plan: &Plan, pause: Duration) -> Trial {
    let purpose = format!("a harmless command {} ms behind the request, before TLS", pause.as_millis());
    trial(plan, &Form::new(purpose, Shape::Split(pause, injected(plan)))).await
}

/// Half a command behind the request, the other half inside TLS; and the other half alone, for comparison.
async fn partial(plan: &Plan, judge: &Judge<'_>) -> Seen {
    let id = "srv-inject-partial";
    let mut seen = Seen::default();
    let whole = injected(plan);
    let Some((first, rest)) =
        whole.split_at_checked(whole.len() - (whole.len() / 2).min(4)).filter(|(first, _)| first.len() > 1)
    else {
        seen.push(Draft::new(id, Outcome::NotApplicable, "there is no command to cut in two"));
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
    let draft = match (&control.end, &end) {
        (_, End::Stopped(stop)) | (End::Stopped(stop), _) => Draft::untold(id, stop),
        (End::Inside(alone), End::Inside(joined))
            if alone != joined && (joined.has_more_than(&judge.normal) || *joined == judge.normal) =>
        {
            Draft::fail(
                id,
                format!(
                    "the halves were joined: \"{}\" instead of \"{}\"",
                    joined.0.join(", "),
                    alone.0.join(", ")
                ),
            )
            .at(control_at, control_all)
        }
        _ => Draft::pass(id, "half a command does not get inside TLS"),
    };
    seen.push(draft.at(at, all));
    seen
}
