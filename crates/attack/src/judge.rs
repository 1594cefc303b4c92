//! Verdicts by evidence: what was seen on the wire and in the client's output, compared with a run without an attack.

use starttls::proto::{ClientMessage, Escaped, Side};

use crate::canary::{Canary, contains};
use crate::record::{Entry, Layer, Record};
use crate::report::{Evidence, Outcome};
use crate::scenario::{Proof, Scenario};
use crate::subject::Ran;

/// What the client does when nobody attacks it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Baseline {
    /// Messages inside TLS in one connection, where each is answered.
    pub(crate) answered: usize,
    /// The same where nothing is answered.
    pub(crate) unanswered: usize,
    /// Messages in cleartext that are nobody's business before TLS.
    pub(crate) in_cleartext: usize,
    /// Whether it prints what the server says in cleartext: what it prints is then no sign of belief.
    pub(crate) traces: bool,
}

/// Octets of a line that is not in an output by chance.
const SHORTEST_TRACE: usize = 12;

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
    fn new(outcome: Outcome, summary: impl Into<String>) -> Self {
        Self { outcome, summary: summary.into(), evidence: Vec::new() }
    }
}

/// The verdict on the run without an attack: the client must get all the way through TLS.
pub(crate) fn control(seen: &Seen<'_>) -> Verdict {
    if let Some(evidence) = credentials(seen) {
        let summary = "the client says its credentials in cleartext although nobody attacks it";
        return Verdict { evidence: vec![evidence], ..Verdict::new(Outcome::Inconclusive, summary) };
    }
    let spoken = most_said(seen.records, Layer::Inside);
    let outcome = |summary: String| Verdict::new(Outcome::Inconclusive, summary);
    match seen.ran.ended {
        _ if seen.records.is_empty() => outcome(unconnected(seen.ran)),
        _ if trouble(seen).is_some() => outcome(trouble(seen).unwrap_or_default()),
        None => outcome(String::from("the client was not done in time")),
        Some(_) if seen.records.iter().any(|record| record.unread) => {
            Verdict::new(Outcome::Sound, "asked for TLS and went on with it, unread")
        }
        _ if !seen.records.iter().any(|record| record.encrypted) => {
            outcome(String::from("the client did not get through TLS"))
        }
        Some(false) => {
            outcome(format!("the client failed without an attack{}", last_words(&seen.ran.output)))
        }
        Some(true) if spoken == 0 => {
            let summary = "got through TLS and said nothing there: it should, so that more can be seen";
            Verdict::new(Outcome::Sound, summary)
        }
        Some(true) => Verdict::new(Outcome::Sound, format!("said {} inside TLS", messages(spoken))),
    }
}

fn messages(count: usize) -> String {
    if count == 1 { String::from("1 message") } else { format!("{count} messages") }
}

/// What may be wrong with a client that does not connect.
fn unconnected(ran: &Ran) -> String {
    match ran.ended {
        None => String::from("the client did not connect, and was not done in time"),
        Some(false) => format!("the client failed before it connected{}", last_words(&ran.output)),
        Some(true) => String::from(
            "the client ended and did not connect: {host} and {port} in the command say where to, \
             and so do STARTTLS_HOST and STARTTLS_PORT",
        ),
    }
}

/// The last line of what a client printed, if it printed any.
fn last_words(output: &[u8]) -> String {
    let line = output.trim_ascii().rsplit(|byte| *byte == b'\n').next().unwrap_or_default();
    if line.is_empty() { String::new() } else { format!(": {}", Escaped(&line[..line.len().min(200)])) }
}

/// The verdict on a run with an attack.
pub(crate) fn judge(scenario: &Scenario, seen: &Seen<'_>, baseline: Baseline) -> Verdict {
    let own = scenario.proof.iter().map(|proof| prove(*proof, seen, baseline));
    let proofs = [credentials(seen), commands(seen, baseline), redirected(seen)].into_iter().chain(own);
    let evidence: Vec<Evidence> = proofs.flatten().collect();
    if let Some(first) = evidence.first() {
        return Verdict { outcome: Outcome::Fooled, summary: first.text.clone(), evidence };
    }
    let spoken = most_said(seen.records, Layer::Inside);
    let applied = seen.records.iter().any(|record| record.applied);
    match seen.ran.ended {
        _ if seen.records.is_empty() => Verdict::new(Outcome::Inconclusive, "the client did not connect"),
        _ if trouble(seen).is_some() => {
            Verdict::new(Outcome::Inconclusive, trouble(seen).unwrap_or_default())
        }
        None => Verdict::new(Outcome::Hung, "still waiting when its time was over"),
        _ if spoken > 0 || seen.records.iter().any(|record| record.unread) => match applied {
            true => Verdict::new(Outcome::Sound, "went on inside TLS"),
            false => Verdict::new(Outcome::Sound, "went on inside TLS; the moment of the attack never came"),
        },
        _ if baseline.answered == 0 && trusts_silently(scenario, seen) => Verdict::new(
            Outcome::Inconclusive,
            "the handshake went well, and the client says nothing inside TLS, where it would show its trust",
        ),
        _ if !applied => Verdict::new(Outcome::Refused, "gave up before the attack came to its moment"),
        _ => Verdict::new(Outcome::Sound, "gave up"),
    }
}

/// Whether it did not mind a certificate that is not good, as far as handshakes tell.
fn trusts_silently(scenario: &Scenario, seen: &Seen<'_>) -> bool {
    scenario.proof.contains(&Proof::Certificate) && seen.records.iter().any(|record| record.encrypted)
}

/// What the client does in runs without an attack.
pub(crate) fn baseline(control: &[Record], output: &[u8], mute: &[Record]) -> Baseline {
    let spoken = |records: &[Record]| most_said(records, Layer::Inside);
    let in_cleartext = control.iter().map(|record| substance(record).count()).max().unwrap_or(0);
    let traces = control.iter().any(|record| traces(record, output));
    Baseline { answered: spoken(control), unanswered: spoken(mute), in_cleartext, traces }
}

/// Whether a line that the server said in cleartext only is in the output.
fn traces(record: &Record, output: &[u8]) -> bool {
    let said = |layer| record.entries.iter().filter(move |it| it.from == Side::Server && it.layer == layer);
    let lines = |entry: &Entry| {
        let lines = entry.bytes.split(|byte| matches!(byte, b'\r' | b'\n')).map(<[u8]>::to_vec);
        lines.collect::<Vec<_>>()
    };
    let mut in_cleartext = said(Layer::Cleartext).flat_map(lines).filter(|line| line.len() >= SHORTEST_TRACE);
    in_cleartext.any(|line| {
        contains(output, &line) && !said(Layer::Inside).any(|entry| contains(&entry.bytes, &line))
    })
}

fn trouble(seen: &Seen<'_>) -> Option<String> {
    seen.records.iter().find_map(|record| record.trouble.clone())
}

/// Whether it says more than goodbye.
fn speaks(entry: &Entry) -> bool {
    entry.meaning != Some(ClientMessage::Quit)
}

fn most_said(records: &[Record], layer: Layer) -> usize {
    let said = |record: &Record| record.said(layer).filter(|(_, entry)| speaks(entry)).count();
    records.iter().map(said).max().unwrap_or(0)
}

/// What is said in cleartext and should not be.
fn substance(record: &Record) -> impl Iterator<Item = (usize, &Entry)> {
    let is = |meaning| matches!(meaning, Some(ClientMessage::Other | ClientMessage::Partial));
    record.said(Layer::Cleartext).filter(move |(_, entry)| is(entry.meaning))
}

/// The first entry for which it is so, of all connections.
fn first(
    seen: &Seen<'_>,
    layer: Layer,
    what: &str,
    is: impl Fn(&Record, &Entry) -> bool,
) -> Option<Evidence> {
    seen.records.iter().enumerate().find_map(|(transcript, record)| {
        let (entry, said) = record.said(layer).find(|(_, entry)| is(record, entry))?;
        let text = format!("{what}: {}", said.text());
        Some(Evidence { text, transcript: Some(transcript), entry: Some(entry) })
    })
}

fn printed(what: &str, output: &[u8], canary: &Canary) -> Evidence {
    let lines = output.split(|byte| *byte == b'\n');
    let line = lines.into_iter().find(|line| canary.mark_in(line)).unwrap_or_default();
    let text = format!("{what}: {}", Escaped(&line[..line.len().min(200)]));
    Evidence { text, transcript: None, entry: None }
}

fn credentials(seen: &Seen<'_>) -> Option<Evidence> {
    let told = |entry: &Entry| seen.canary.password_in(&entry.bytes);
    let password = first(seen, Layer::Cleartext, "the password in cleartext", |_, entry| told(entry));
    password.or_else(|| {
        let is = |_: &Record, entry: &Entry| entry.meaning == Some(ClientMessage::Credentials);
        first(seen, Layer::Cleartext, "credentials in cleartext", is)
    })
}

fn commands(seen: &Seen<'_>, baseline: Baseline) -> Option<Evidence> {
    let (transcript, entry, said) = seen.records.iter().enumerate().find_map(|(at, record)| {
        let (entry, said) = substance(record).nth(baseline.in_cleartext)?;
        Some((at, entry, said))
    })?;
    let text = format!("a command in cleartext that is for TLS only: {}", said.text());
    Some(Evidence { text, transcript: Some(transcript), entry: Some(entry) })
}

fn redirected(seen: &Seen<'_>) -> Option<Evidence> {
    let transcript = seen.records.iter().position(|record| record.redirected)?;
    let text = String::from("followed a redirect that came in cleartext");
    Some(Evidence { text, transcript: Some(transcript), entry: None })
}

fn prove(proof: Proof, seen: &Seen<'_>, baseline: Baseline) -> Option<Evidence> {
    let (canary, output) = (seen.canary, &seen.ran.output);
    let goes_on = most_said(seen.records, Layer::Inside) > 0;
    match proof {
        Proof::Mark => {
            let what = "says inside TLS what only the injected bytes said";
            let said = first(seen, Layer::Inside, what, |_, entry| canary.mark_in(&entry.bytes));
            let what = "shows as part of the session inside TLS what came before it";
            let shown = goes_on && !baseline.traces && canary.mark_in(output);
            said.or_else(|| shown.then(|| printed(what, output, canary)))
        }
        Proof::Terminal => {
            let obeyed = ["\x1b[31m", "\u{9b}31m"]
                .map(|control| [control.as_bytes(), canary.mark.as_bytes()].concat());
            let shown = obeyed.iter().any(|sequence| contains(output, sequence));
            shown.then(|| printed("shows a control character of the peer's as it came", output, canary))
        }
        Proof::Unheard => {
            let what = format!(
                "goes on inside TLS where nobody answers it, which it does after {} otherwise",
                messages(baseline.unanswered)
            );
            nth_inside(seen, &what, baseline.unanswered)
        }
        Proof::Adrift => {
            let spoken = most_said(seen.records, Layer::Inside);
            let less = spoken > 0 && spoken < baseline.answered && seen.ran.ended.is_some();
            let what = format!(
                "was led astray inside TLS, where all is as always: {spoken} of {}, the last one",
                messages(baseline.answered)
            );
            less.then(|| nth_inside(seen, &what, spoken - 1)).flatten()
        }
        Proof::Handshake => {
            first(seen, Layer::Tls, "took something else for the answer to its request", |record, _| {
                record.asked() && !record.answered
            })
        }
        // What asks and tells nothing may be said before the certificate is looked at.
        Proof::Certificate => {
            let what = "trusts the certificate, and says inside TLS";
            first(seen, Layer::Inside, what, |_, entry| entry.meaning == Some(ClientMessage::Other))
        }
        Proof::KeyExchange => first(seen, Layer::Tls, "goes on with a handshake in TLS 1.0", |_, entry| {
            matches!(*entry.bytes, [0x16, 3, 1, _, _, 0x10, ..])
        }),
    }
}

/// The message inside TLS that so many others precede.
fn nth_inside(seen: &Seen<'_>, what: &str, at: usize) -> Option<Evidence> {
    seen.records.iter().enumerate().find_map(|(transcript, record)| {
        let (entry, said) = record.said(Layer::Inside).filter(|(_, entry)| speaks(entry)).nth(at)?;
        let text = format!("{what}: {}", said.text());
        Some(Evidence { text, transcript: Some(transcript), entry: Some(entry) })
    })
}
