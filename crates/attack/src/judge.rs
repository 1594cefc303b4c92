//! Verdicts by evidence: what was seen on the wire and in the client's output, compared with a run without an attack.

mod evidence;

use starttls::proto::{ClientMessage, Escaped};

use crate::canary::Canary;
use crate::record::{ConnectionRecord, Layer, RecordEntry};
use crate::report::{EvidenceItem, ScenarioOutcome};
use crate::scenario::{Degree, Proof, Scenario};
use crate::subject::{ClientExit, ClientOutput, ClientRun};

/// What the client does without an attack.
#[derive(Clone, Debug, Default)]
pub(crate) struct ClientBaseline {
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
pub(crate) struct Observations<'a> {
    pub(crate) records: &'a [ConnectionRecord],
    pub(crate) ran: &'a ClientRun,
    pub(crate) canary: &'a Canary,
}

/// A verdict, in a word and in a sentence.
pub(crate) struct Judgment {
    pub(crate) outcome: ScenarioOutcome,
    pub(crate) summary: String,
    pub(crate) evidence: Vec<EvidenceItem>,
}

impl Judgment {
    pub(crate) fn new(outcome: ScenarioOutcome, summary: impl Into<String>) -> Self {
        Self { outcome, summary: summary.into(), evidence: Vec::new() }
    }
}

/// The verdict on the run without an attack: the client must get all the way through TLS.
pub(crate) fn control(seen: &Observations<'_>) -> Judgment {
    if let Some(evidence) = evidence::credentials(seen) {
        let summary = "the client says its credentials in cleartext although nobody attacks it";
        return Judgment {
            evidence: vec![evidence],
            ..Judgment::new(ScenarioOutcome::Inconclusive, summary)
        };
    }
    let spoken = most_said_inside(seen.records);
    let outcome = |summary: String| Judgment::new(ScenarioOutcome::Inconclusive, summary);
    match seen.ran.ended {
        _ if seen.records.is_empty() => outcome(unconnected(seen.ran)),
        _ if trouble(seen).is_some() => outcome(trouble(seen).unwrap_or_default()),
        ClientExit::TimedOut => outcome(String::from("the client was not done in time")),
        _ if seen.records.iter().any(|record| record.unread) => {
            Judgment::new(ScenarioOutcome::Sound, "asked for TLS and went on with it, unread")
        }
        _ if !seen.records.iter().any(|record| record.encrypted) => {
            outcome(format!("the client did not get through TLS{}", last_lines(&seen.ran.output)))
        }
        ClientExit::Signal(signal) => {
            let signal = signal_name(signal);
            outcome(format!("{signal} ended the client without an attack{}", last_lines(&seen.ran.output)))
        }
        ClientExit::Failure(_) => {
            outcome(format!("the client failed without an attack{}", last_lines(&seen.ran.output)))
        }
        ClientExit::Success | ClientExit::Unknown if spoken == 0 => {
            let summary = "got through TLS and said nothing there: it should, so that more can be seen";
            Judgment::new(ScenarioOutcome::Sound, summary)
        }
        ClientExit::Success | ClientExit::Unknown => {
            Judgment::new(ScenarioOutcome::Sound, format!("said {} inside TLS", messages(spoken)))
        }
    }
}

fn messages(count: usize) -> String {
    if count == 1 { String::from("1 message") } else { format!("{count} messages") }
}

/// Describes what may be wrong with a client that does not connect.
fn unconnected(ran: &ClientRun) -> String {
    let last = last_lines(&ran.output);
    match ran.ended {
        ClientExit::TimedOut => format!("the client did not connect, and was not done in time{last}"),
        ClientExit::Failure(_) => format!("the client failed before it connected{last}"),
        ClientExit::Signal(signal) => {
            format!("{} ended the client before it connected{last}", signal_name(signal))
        }
        ClientExit::Success | ClientExit::Unknown => format!(
            "the client ended and did not connect: {{host}} and {{port}} in the command say where to, \
             and so do STARTTLS_HOST and STARTTLS_PORT{last}"
        ),
    }
}

/// Returns the last lines of what a client printed, if it printed any.
fn last_lines(output: &ClientOutput) -> String {
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
pub(crate) fn judge(scenario: &Scenario, seen: &Observations<'_>, baseline: &ClientBaseline) -> Judgment {
    let gained = evidence::gained(scenario, seen, baseline);
    let shown = scenario.proof.iter().filter_map(|proof| evidence::prove(*proof, scenario, seen, baseline));
    let shown: Vec<EvidenceItem> = shown.collect();
    let outcome = match scenario.degree {
        Degree::Weak if gained.is_empty() => ScenarioOutcome::Weak,
        Degree::Weak | Degree::Fooled => ScenarioOutcome::Fooled,
    };
    let evidence = [gained, shown].concat();
    if let Some(first) = evidence.first() {
        return Judgment { outcome, summary: first.text.clone(), evidence };
    }
    without_evidence(scenario, seen, baseline)
}

fn without_evidence(scenario: &Scenario, seen: &Observations<'_>, baseline: &ClientBaseline) -> Judgment {
    let (output, records) = (&seen.ran.output, seen.records);
    let spoken = most_said_inside(records);
    let applied = records.iter().any(|record| record.applied);
    let unread = records.iter().any(|record| record.unread);
    let despite = records.iter().any(evidence::starts_tls_unasked);
    let inconclusive = |summary: String| Judgment::new(ScenarioOutcome::Inconclusive, summary);
    match seen.ran.ended {
        _ if records.is_empty() => inconclusive(format!("the client did not connect{}", last_lines(output))),
        _ if trouble(seen).is_some() => inconclusive(trouble(seen).unwrap_or_default()),
        ClientExit::TimedOut => Judgment::new(ScenarioOutcome::Hung, "still waiting when its time was over"),
        ClientExit::Signal(signal) => {
            let signal = signal_name(signal);
            Judgment::new(
                ScenarioOutcome::Crashed,
                format!("{signal} ended the client{}", last_lines(output)),
            )
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
            true => Judgment::new(ScenarioOutcome::Sound, "went on inside TLS"),
            false => {
                Judgment::new(ScenarioOutcome::Sound, "went on inside TLS; the attack was never triggered")
            }
        },
        _ if despite => Judgment::new(
            ScenarioOutcome::Sound,
            "went on inside TLS, unread, although the answer was not the go-ahead",
        ),
        ClientExit::Success if !baseline.answered.is_empty() || !records.iter().any(|it| it.encrypted) => {
            let summary = "reports success, but said nothing inside TLS: nothing was delivered";
            Judgment::new(ScenarioOutcome::Silent, format!("{summary}{}", last_lines(output)))
        }
        _ if baseline.answered.is_empty() && trusts_silently(scenario, seen) => inconclusive(String::from(
            "the handshake succeeded, but the client says nothing inside TLS, where it would show its trust",
        )),
        _ if !applied => Judgment::new(ScenarioOutcome::Refused, "gave up before the attack was triggered"),
        _ => Judgment::new(ScenarioOutcome::Sound, "gave up"),
    }
}

/// Returns whether the client finished a handshake with a certificate that is not good.
fn trusts_silently(scenario: &Scenario, seen: &Observations<'_>) -> bool {
    scenario.proof.contains(&Proof::Certificate) && seen.records.iter().any(|record| record.encrypted)
}

/// Describes what the client does in runs without an attack.
pub(crate) fn baseline(
    control: &[ConnectionRecord],
    output: &[u8],
    mute: &[ConnectionRecord],
) -> ClientBaseline {
    let most = control.iter().max_by_key(|record| record.messages_inside);
    let kept = |record: &ConnectionRecord| inside(record).map(|(_, entry)| entry.text()).collect::<Vec<_>>();
    let mut answered = most.map(kept).unwrap_or_default();
    // Beyond what is kept, messages count without their text.
    answered.resize(most.map_or(0, |record| record.messages_inside), String::from("a message"));
    ClientBaseline {
        answered,
        unanswered: most_said_inside(mute),
        in_cleartext: control.iter().map(|record| substance(record).count()).max().unwrap_or(0),
        traces: control.iter().any(|record| evidence::traces(record, output)),
        pipelines: control.iter().any(evidence::pipelines),
    }
}

impl ClientBaseline {
    /// Sets what the client does where nothing is answered inside TLS.
    pub(crate) fn set_unanswered(&mut self, mute: &[ConnectionRecord]) {
        self.unanswered = most_said_inside(mute);
    }
}

fn trouble(seen: &Observations<'_>) -> Option<String> {
    seen.records.iter().find_map(|record| record.trouble.clone())
}

/// The messages inside TLS, without goodbyes.
fn inside(record: &ConnectionRecord) -> impl Iterator<Item = (usize, &RecordEntry)> {
    record.said(Layer::Inside).filter(|(_, entry)| entry.meaning != Some(ClientMessage::Quit))
}

fn most_said_inside(records: &[ConnectionRecord]) -> usize {
    records.iter().map(|record| record.messages_inside).max().unwrap_or(0)
}

/// The messages in cleartext that belong inside TLS.
fn substance(record: &ConnectionRecord) -> impl Iterator<Item = (usize, &RecordEntry)> {
    let is = |meaning| matches!(meaning, Some(ClientMessage::Other | ClientMessage::Partial));
    record.said(Layer::Cleartext).filter(move |(_, entry)| is(entry.meaning))
}
