//! Judges a run by the evidence in its connections and in the client's output, compared with a run without an attack.

mod evidence;
mod observed;
#[cfg(test)]
mod tests;

use starttls::proto::Escaped;

use crate::outcome::{EvidenceItem, Judgment, ScenarioOutcome};
use crate::record::ConnectionRecord;
use crate::scenario::{Degree, Proof, Scenario};
use crate::subject::{ClientExit, ClientOutput, ClientRun};
pub(crate) use observed::{ClientBaseline, Observations};
use observed::{inside, messages, most_sent_inside, sessions, substance};

/// Judges the run without an attack, in which the client must complete its session inside TLS.
pub(crate) fn control(seen: &Observations<'_>) -> Judgment {
    if let Some(evidence) = evidence::credentials(seen) {
        let summary = "the client sends its credentials in cleartext without an attack";
        return Judgment {
            evidence: vec![evidence],
            ..Judgment::new(ScenarioOutcome::Inconclusive, summary)
        };
    }
    let sent = most_sent_inside(seen.records);
    let outcome = |summary: String| Judgment::new(ScenarioOutcome::Inconclusive, summary);
    match seen.client.exit {
        _ if seen.records.is_empty() => outcome(unconnected(seen.client)),
        _ if trouble(seen).is_some() => outcome(trouble(seen).unwrap_or_default()),
        ClientExit::TimedOut => outcome(String::from("the client did not finish in time")),
        _ if seen.records.iter().any(|record| record.unread) => Judgment::new(
            ScenarioOutcome::Sound,
            "requested TLS and continued with it; the session was not decrypted",
        ),
        _ if !seen.records.iter().any(|record| record.encrypted) => outcome(format!(
            "the client did not complete the TLS handshake{}",
            last_lines(&seen.client.output)
        )),
        ClientExit::Signal(signal) => {
            let signal = signal_name(signal);
            outcome(format!("{signal} ended the client without an attack{}", last_lines(&seen.client.output)))
        }
        ClientExit::Failure(_) => {
            outcome(format!("the client failed without an attack{}", last_lines(&seen.client.output)))
        }
        ClientExit::Success | ClientExit::Unknown if sent == 0 => {
            let summary = "completed the handshake and sent nothing inside TLS: a client that sends a message shows more";
            Judgment::new(ScenarioOutcome::Sound, summary)
        }
        ClientExit::Success | ClientExit::Unknown => {
            Judgment::new(ScenarioOutcome::Sound, format!("sent {} inside TLS", messages(sent)))
        }
    }
}

/// Describes how a client ended that did not connect.
fn unconnected(client: &ClientRun) -> String {
    let last = last_lines(&client.output);
    match client.exit {
        ClientExit::TimedOut => format!("the client did not connect and did not finish in time{last}"),
        ClientExit::Failure(_) => format!("the client failed before it connected{last}"),
        ClientExit::Signal(signal) => {
            format!("{} ended the client before it connected{last}", signal_name(signal))
        }
        ClientExit::Success | ClientExit::Unknown => format!(
            "the client ended and did not connect: its command needs {{host}} and {{port}}, \
             or the variables STARTTLS_HOST and STARTTLS_PORT{last}"
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

/// Judges a run with an attack.
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

/// Judges the second delivery to a domain, which is attacked after the first one. A sender that does not deliver is sound: the
/// mail waits. `asked` is whether it asked DNS, which shows that it tried.
pub(crate) fn delivery(
    scenario: &Scenario,
    seen: &Observations<'_>,
    baseline: &ClientBaseline,
    asked: bool,
) -> Judgment {
    let judged = judge(scenario, seen, baseline);
    let sound = |summary: &str| Judgment::new(ScenarioOutcome::Sound, summary);
    match (judged.outcome, seen.client.exit) {
        (ScenarioOutcome::Inconclusive, ClientExit::Success | ClientExit::Failure(_))
            if seen.records.is_empty() =>
        {
            match asked {
                true => sound("did not connect: the mail waits"),
                false => Judgment::new(
                    ScenarioOutcome::Inconclusive,
                    "the client neither asked DNS nor connected: it may not have tried to deliver",
                ),
            }
        }
        // A queue reports success for mail that waits.
        (ScenarioOutcome::Silent, _) => sound("sent nothing inside TLS: the mail waits"),
        _ => judged,
    }
}

fn without_evidence(scenario: &Scenario, seen: &Observations<'_>, baseline: &ClientBaseline) -> Judgment {
    let (output, records) = (&seen.client.output, seen.records);
    let sent = most_sent_inside(records);
    let applied = records.iter().any(|record| record.applied);
    let unread = records.iter().any(|record| record.unread);
    let unaccepted = records.iter().any(evidence::starts_tls_unaccepted);
    let inconclusive = |summary: String| Judgment::new(ScenarioOutcome::Inconclusive, summary);
    match seen.client.exit {
        _ if records.is_empty() => inconclusive(format!("the client did not connect{}", last_lines(output))),
        _ if trouble(seen).is_some() => inconclusive(trouble(seen).unwrap_or_default()),
        ClientExit::TimedOut => Judgment::new(ScenarioOutcome::Hung, "still waiting at the timeout"),
        ClientExit::Signal(signal) => {
            let signal = signal_name(signal);
            Judgment::new(
                ScenarioOutcome::Crashed,
                format!("{signal} ended the client{}", last_lines(output)),
            )
        }
        _ if records.iter().any(|record| record.is_cut) => {
            inconclusive(String::from("the client sent more in cleartext than is searched"))
        }
        _ if scenario.searches_inside() && records.iter().any(|record| record.inside_is_cut) => {
            inconclusive(String::from("the client sent more inside TLS than is searched"))
        }
        _ if output.is_cut() && scenario.watches_output() => {
            inconclusive(String::from("the client printed more than is searched"))
        }
        _ if sent > 0 || unread => match applied {
            true => Judgment::new(ScenarioOutcome::Sound, "continued inside TLS"),
            false => {
                Judgment::new(ScenarioOutcome::Sound, "continued inside TLS; the attack was never triggered")
            }
        },
        _ if unaccepted => Judgment::new(
            ScenarioOutcome::Sound,
            "continued with TLS, which was not decrypted, although the server did not accept the request",
        ),
        ClientExit::Success if !baseline.answered.is_empty() || !records.iter().any(|it| it.encrypted) => {
            let summary = "reports success, but sent nothing inside TLS: nothing was delivered";
            Judgment::new(ScenarioOutcome::Silent, format!("{summary}{}", last_lines(output)))
        }
        _ if baseline.answered.is_empty() && trusts_silently(scenario, seen) => inconclusive(String::from(
            "the handshake succeeded, but the client sent nothing inside TLS that shows whether it trusts the certificate",
        )),
        _ if !applied => Judgment::new(ScenarioOutcome::Refused, "gave up before the attack was triggered"),
        _ => Judgment::new(ScenarioOutcome::Sound, "gave up"),
    }
}

/// Returns whether the client completed a handshake with an invalid certificate.
fn trusts_silently(scenario: &Scenario, seen: &Observations<'_>) -> bool {
    scenario.proof.contains(&Proof::Certificate) && seen.records.iter().any(|record| record.encrypted)
}

/// Returns the baseline of a client from its runs without an attack: with answers inside TLS, and without.
pub(crate) fn baseline(
    control: &[ConnectionRecord],
    output: &[u8],
    mute: &[ConnectionRecord],
) -> ClientBaseline {
    let most = control.iter().max_by_key(|record| record.messages_inside);
    let kept = |record: &ConnectionRecord| inside(record).map(|(_, entry)| entry.text()).collect::<Vec<_>>();
    let mut answered = most.map(kept).unwrap_or_default();
    // Messages after the recorded ones count without their text.
    answered.resize(most.map_or(0, |record| record.messages_inside), String::from("a message"));
    ClientBaseline {
        answered,
        sessions: sessions(control),
        unanswered: most_sent_inside(mute),
        in_cleartext: control.iter().map(|record| substance(record).count()).max().unwrap_or(0),
        traces: control.iter().any(|record| evidence::traces(record, output)),
        pipelines: control.iter().any(evidence::pipelines),
    }
}

fn trouble(seen: &Observations<'_>) -> Option<String> {
    seen.records.iter().find_map(|record| record.trouble.clone())
}
