//! Verdicts by evidence: what was seen on the wire and in the client's output, compared with a run without an attack.

mod evidence;

use starttls::proto::{ClientMessage, Escaped};

use crate::canary::Canary;
use crate::record::{Entry, Layer, Record};
use crate::report::{Evidence, Outcome};
use crate::scenario::{Degree, Proof, Scenario};
use crate::subject::{Ended, Output, Ran};

/// What the client does without an attack.
#[derive(Clone, Debug, Default)]
pub(crate) struct Baseline {
    /// The messages inside TLS of the connection with the most of them, where each is answered.
    pub(crate) answered: Vec<String>,
    /// The number of messages inside TLS in one connection where none is answered.
    pub(crate) unanswered: usize,
    /// Messages in cleartext that belong inside TLS.
    pub(crate) in_cleartext: usize,
    /// Whether it prints what the server says in cleartext: what it prints then does not show what it believes.
    pub(crate) traces: bool,
    /// Whether it sends its request before the answer to its first question.
    pub(crate) pipelines: bool,
}

/// What a verdict rests on.
pub(crate) struct Seen<'a> {
    pub(crate) records: &'a [Record],
    pub(crate) ran: &'a Ran,
    pub(crate) canary: &'a Canary,
}

/// A verdict, in a word and in a sentence.
pub(crate) struct Verdict {
    pub(crate) outcome: Outcome,
    pub(crate) summary: String,
    pub(crate) evidence: Vec<Evidence>,
}

impl Verdict {
    pub(crate) fn new(outcome: Outcome, summary: impl Into<String>) -> Self {
        Self { outcome, summary: summary.into(), evidence: Vec::new() }
    }
}

/// The verdict on the run without an attack: the client must get all the way through TLS.
pub(crate) fn control(seen: &Seen<'_>) -> Verdict {
    if let Some(evidence) = evidence::credentials(seen) {
        let summary = "the client says its credentials in cleartext although nobody attacks it";
        return Verdict { evidence: vec![evidence], ..Verdict::new(Outcome::Inconclusive, summary) };
    }
    let spoken = most_said_inside(seen.records);
    let outcome = |summary: String| Verdict::new(Outcome::Inconclusive, summary);
    match seen.ran.ended {
        _ if seen.records.is_empty() => outcome(unconnected(seen.ran)),
        _ if trouble(seen).is_some() => outcome(trouble(seen).unwrap_or_default()),
        Ended::TimedOut => outcome(String::from("the client was not done in time")),
        _ if seen.records.iter().any(|record| record.unread) => {
            Verdict::new(Outcome::Sound, "asked for TLS and went on with it, unread")
        }
        _ if !seen.records.iter().any(|record| record.encrypted) => {
            outcome(format!("the client did not get through TLS{}", last_lines(&seen.ran.output)))
        }
        Ended::Signal(signal) => {
            let signal = signal_name(signal);
            outcome(format!("{signal} ended the client without an attack{}", last_lines(&seen.ran.output)))
        }
        Ended::Failure(_) => {
            outcome(format!("the client failed without an attack{}", last_lines(&seen.ran.output)))
        }
        Ended::Success | Ended::Unknown if spoken == 0 => {
            let summary = "got through TLS and said nothing there: it should, so that more can be seen";
            Verdict::new(Outcome::Sound, summary)
        }
        Ended::Success | Ended::Unknown => {
            Verdict::new(Outcome::Sound, format!("said {} inside TLS", messages(spoken)))
        }
    }
}

fn messages(count: usize) -> String {
    if count == 1 { String::from("1 message") } else { format!("{count} messages") }
}

/// Describes what may be wrong with a client that does not connect.
fn unconnected(ran: &Ran) -> String {
    let last = last_lines(&ran.output);
    match ran.ended {
        Ended::TimedOut => format!("the client did not connect, and was not done in time{last}"),
        Ended::Failure(_) => format!("the client failed before it connected{last}"),
        Ended::Signal(signal) => {
            format!("{} ended the client before it connected{last}", signal_name(signal))
        }
        Ended::Success | Ended::Unknown => format!(
            "the client ended and did not connect: {{host}} and {{port}} in the command say where to, \
             and so do STARTTLS_HOST and STARTTLS_PORT{last}"
        ),
    }
}

/// Returns the last lines of what a client printed, if it printed any.
fn last_lines(output: &Output) -> String {
    const LINES: usize = 3;
    const OCTETS: usize = 300;
    let lines = output.bytes().split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    let lines: Vec<&[u8]> = lines.filter(|line| !line.is_empty()).collect();
    let last = lines[lines.len().saturating_sub(LINES)..].join(&b" / "[..]);
    let last = &last[last.len().saturating_sub(OCTETS)..];
    if last.is_empty() { String::new() } else { format!(": {}", Escaped(last)) }
}

/// Returns the name of a signal: `SIGSEGV`.
fn signal_name(number: i32) -> String {
    let signal = nix::sys::signal::Signal::try_from(number);
    signal.map_or_else(|_| format!("signal {number}"), |signal| signal.as_str().to_owned())
}

/// The verdict on a run with an attack.
pub(crate) fn judge(scenario: &Scenario, seen: &Seen<'_>, baseline: &Baseline) -> Verdict {
    let gained = evidence::gained(scenario, seen, baseline);
    let shown = scenario.proof.iter().filter_map(|proof| evidence::prove(*proof, scenario, seen, baseline));
    let shown: Vec<Evidence> = shown.collect();
    let outcome = match scenario.degree {
        Degree::Weak if gained.is_empty() => Outcome::Weak,
        Degree::Weak | Degree::Fooled => Outcome::Fooled,
    };
    let evidence = [gained, shown].concat();
    if let Some(first) = evidence.first() {
        return Verdict { outcome, summary: first.text.clone(), evidence };
    }
    without_evidence(scenario, seen, baseline)
}

fn without_evidence(scenario: &Scenario, seen: &Seen<'_>, baseline: &Baseline) -> Verdict {
    let (output, records) = (&seen.ran.output, seen.records);
    let spoken = most_said_inside(records);
    let applied = records.iter().any(|record| record.applied);
    let unread = records.iter().any(|record| record.unread);
    let despite = records.iter().any(evidence::starts_tls_unasked);
    let inconclusive = |summary: String| Verdict::new(Outcome::Inconclusive, summary);
    match seen.ran.ended {
        _ if records.is_empty() => inconclusive(format!("the client did not connect{}", last_lines(output))),
        _ if trouble(seen).is_some() => inconclusive(trouble(seen).unwrap_or_default()),
        Ended::TimedOut => Verdict::new(Outcome::Hung, "still waiting when its time was over"),
        Ended::Signal(signal) => {
            let signal = signal_name(signal);
            Verdict::new(Outcome::Crashed, format!("{signal} ended the client{}", last_lines(output)))
        }
        _ if records.iter().any(|record| record.is_cut) => {
            inconclusive(String::from("the client said more in cleartext than is searched"))
        }
        _ if scenario.searches_inside() && records.iter().any(|record| record.inside_is_cut) => {
            inconclusive(String::from("the client said more inside TLS than is searched"))
        }
        _ if output.is_cut() && scenario.watches_output() => {
            inconclusive(String::from("the client printed more than is searched"))
        }
        _ if spoken > 0 || unread => match applied {
            true => Verdict::new(Outcome::Sound, "went on inside TLS"),
            false => Verdict::new(Outcome::Sound, "went on inside TLS; the attack was never triggered"),
        },
        _ if despite => Verdict::new(
            Outcome::Sound,
            "went on inside TLS, unread, although the answer was not the go-ahead",
        ),
        Ended::Success if !baseline.answered.is_empty() || !records.iter().any(|it| it.encrypted) => {
            let summary = "reports success, but said nothing inside TLS: nothing was delivered";
            Verdict::new(Outcome::Silent, format!("{summary}{}", last_lines(output)))
        }
        _ if baseline.answered.is_empty() && trusts_silently(scenario, seen) => inconclusive(String::from(
            "the handshake succeeded, but the client says nothing inside TLS, where it would show its trust",
        )),
        _ if !applied => Verdict::new(Outcome::Refused, "gave up before the attack was triggered"),
        _ => Verdict::new(Outcome::Sound, "gave up"),
    }
}

/// Returns whether the client finished a handshake with a certificate that is not good.
fn trusts_silently(scenario: &Scenario, seen: &Seen<'_>) -> bool {
    scenario.proof.contains(&Proof::Certificate) && seen.records.iter().any(|record| record.encrypted)
}

/// Describes what the client does in runs without an attack.
pub(crate) fn baseline(control: &[Record], output: &[u8], mute: &[Record]) -> Baseline {
    let most = control.iter().max_by_key(|record| record.messages_inside);
    let kept = |record: &Record| inside(record).map(|(_, entry)| entry.text()).collect::<Vec<_>>();
    let mut answered = most.map(kept).unwrap_or_default();
    // Beyond what is kept, messages count without their text.
    answered.resize(most.map_or(0, |record| record.messages_inside), String::from("a message"));
    Baseline {
        answered,
        unanswered: most_said_inside(mute),
        in_cleartext: control.iter().map(|record| substance(record).count()).max().unwrap_or(0),
        traces: control.iter().any(|record| evidence::traces(record, output)),
        pipelines: control.iter().any(evidence::pipelines),
    }
}

impl Baseline {
    /// Sets what the client does where nothing is answered inside TLS.
    pub(crate) fn set_unanswered(&mut self, mute: &[Record]) {
        self.unanswered = most_said_inside(mute);
    }
}

fn trouble(seen: &Seen<'_>) -> Option<String> {
    seen.records.iter().find_map(|record| record.trouble.clone())
}

/// The messages inside TLS, without goodbyes.
fn inside(record: &Record) -> impl Iterator<Item = (usize, &Entry)> {
    record.said(Layer::Inside).filter(|(_, entry)| entry.meaning != Some(ClientMessage::Quit))
}

fn most_said_inside(records: &[Record]) -> usize {
    records.iter().map(|record| record.messages_inside).max().unwrap_or(0)
}

/// The messages in cleartext that belong inside TLS.
fn substance(record: &Record) -> impl Iterator<Item = (usize, &Entry)> {
    let is = |meaning| matches!(meaning, Some(ClientMessage::Other | ClientMessage::Partial));
    record.said(Layer::Cleartext).filter(move |(_, entry)| is(entry.meaning))
}
