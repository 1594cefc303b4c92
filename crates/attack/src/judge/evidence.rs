//! What shows that a client was fooled, piece by piece.

use std::time::Instant;

use starttls::proto::{ClientMessage, Escaped, Side};

use super::{ClientBaseline, Observations, inside, messages, most_said_inside, substance};
use crate::canary::contains;
use crate::record::{ConnectionRecord, Layer, RecordEntry};
use crate::report::EvidenceItem;
use crate::scenario::{Proof, Scenario};
use crate::subject::ClientExit;

/// Octets of a line that an output does not contain by chance.
const SHORTEST_TRACE: usize = 12;

/// Returns what an attacker gained in any scenario: credentials, commands in cleartext, a session at another server.
pub(super) fn gained(
    scenario: &Scenario,
    seen: &Observations<'_>,
    baseline: &ClientBaseline,
) -> Vec<EvidenceItem> {
    let proofs = [credentials(seen), commands(seen, baseline), redirected(scenario, seen)];
    proofs.into_iter().flatten().collect()
}

/// Returns whether a line that the server said only in cleartext is in the output.
pub(super) fn traces(record: &ConnectionRecord, output: &[u8]) -> bool {
    let said = |layer| record.entries.iter().filter(move |it| it.from == Side::Server && it.layer == layer);
    let lines = |entry: &RecordEntry| {
        let lines = entry.bytes.split(|byte| matches!(byte, b'\r' | b'\n')).map(<[u8]>::to_vec);
        lines.collect::<Vec<_>>()
    };
    let mut in_cleartext = said(Layer::Cleartext).flat_map(lines).filter(|line| line.len() >= SHORTEST_TRACE);
    in_cleartext.any(|line| {
        contains(output, &line) && !said(Layer::Inside).any(|entry| contains(&entry.bytes, &line))
    })
}

/// Returns whether the request came before the server's answer to the question before it.
pub(super) fn pipelines(record: &ConnectionRecord) -> bool {
    let cleartext = record.entries.iter().filter(|entry| entry.layer == Layer::Cleartext);
    let up_to_request = cleartext.take_while(|entry| entry.meaning != Some(ClientMessage::Request));
    let last = up_to_request.last();
    record.asked() && last.is_some_and(|entry| entry.from == Side::Client)
}

/// Returns whether the client sends application data on a connection without a go-ahead. Its TLS ends at the server, so
/// the man in the middle cannot read it.
pub(super) fn starts_tls_unasked(record: &ConnectionRecord) -> bool {
    /// The type of a record with application data (RFC 8446 section 5.1).
    const APPLICATION_DATA: u8 = 23;
    !record.answered
        && record.said(Layer::Tls).any(|(_, entry)| entry.bytes.first() == Some(&APPLICATION_DATA))
}

/// Returns the first entry for which `is` holds, of all connections.
fn first(
    seen: &Observations<'_>,
    layer: Layer,
    what: &str,
    is: impl Fn(&ConnectionRecord, &RecordEntry) -> bool,
) -> Option<EvidenceItem> {
    seen.records.iter().enumerate().find_map(|(transcript, record)| {
        let (entry, said) = record.said(layer).find(|(_, entry)| is(record, entry))?;
        let text = format!("{what}: {}", said.text());
        Some(EvidenceItem { text, transcript: Some(transcript), entry: Some(entry) })
    })
}

/// Quotes the line of the output that contains this offset.
fn printed(what: &str, output: &[u8], offset: usize) -> EvidenceItem {
    let start = output[..offset].iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let line = output[start..].split(|byte| *byte == b'\n').next().unwrap_or_default();
    let text = format!("{what}: {}", Escaped(&line[..line.len().min(200)]));
    EvidenceItem { text, transcript: None, entry: None }
}

pub(super) fn credentials(seen: &Observations<'_>) -> Option<EvidenceItem> {
    let told = |entry: &RecordEntry| seen.canary.password_in(&entry.bytes);
    let password = first(seen, Layer::Cleartext, "the password in cleartext", |_, entry| told(entry));
    password.or_else(|| {
        let is =
            |_: &ConnectionRecord, entry: &RecordEntry| entry.meaning == Some(ClientMessage::Credentials);
        first(seen, Layer::Cleartext, "credentials in cleartext", is)
    })
}

fn commands(seen: &Observations<'_>, baseline: &ClientBaseline) -> Option<EvidenceItem> {
    let (transcript, entry, said) = seen.records.iter().enumerate().find_map(|(at, record)| {
        let (entry, said) = substance(record).nth(baseline.in_cleartext)?;
        Some((at, entry, said))
    })?;
    let text = format!("a command in cleartext that is for TLS only: {}", said.text());
    Some(EvidenceItem { text, transcript: Some(transcript), entry: Some(entry) })
}

/// Finds a connection to another server. Some scenarios permit it if TLS starts at its first byte.
fn redirected(scenario: &Scenario, seen: &Observations<'_>) -> Option<EvidenceItem> {
    let in_cleartext = |record: &ConnectionRecord| record.said(Layer::Cleartext).next().is_some();
    let is =
        |record: &ConnectionRecord| record.redirected && (!scenario.redirects_to_tls || in_cleartext(record));
    let transcript = seen.records.iter().position(is)?;
    let text = String::from("followed a redirect that came in cleartext");
    Some(EvidenceItem { text, transcript: Some(transcript), entry: None })
}

pub(super) fn prove(
    proof: Proof,
    scenario: &Scenario,
    seen: &Observations<'_>,
    baseline: &ClientBaseline,
) -> Option<EvidenceItem> {
    let (canary, output) = (seen.canary, seen.ran.output.bytes());
    match proof {
        Proof::Mark => {
            let what = "says inside TLS what only the injected bytes said";
            let said = first(seen, Layer::Inside, what, |_, entry| canary.mark_in(&entry.bytes));
            said.or_else(|| shown_inside(seen, baseline))
        }
        Proof::Terminal => {
            // The title of the terminal's window: a client has no reason to set it to this.
            let obeyed =
                ["\x1b]2;", "\u{9d}2;"].map(|control| [control.as_bytes(), canary.mark.as_bytes()].concat());
            let offset = obeyed.iter().find_map(|it| output.windows(it.len()).position(|part| part == it))?;
            Some(printed("sends a control sequence of the peer's to the terminal", output, offset))
        }
        Proof::DesyncedExtra => {
            let what = format!(
                "sends more inside TLS without an answer than without the attack ({})",
                messages(baseline.unanswered)
            );
            nth_inside(seen, &what, baseline.unanswered)
        }
        Proof::DesyncedShort => adrift(seen, baseline),
        // A client that sends its request before it has read an answer did not take that answer for a go-ahead.
        Proof::Handshake if baseline.pipelines => None,
        Proof::Handshake => {
            let what = "took something else for the answer to its request";
            first(seen, Layer::Tls, what, |record, _| {
                record.asked() && !record.answered && !pipelines(record)
            })
        }
        // A client may send a hello before it verifies the certificate: a hello gives nothing away.
        Proof::Certificate => {
            let what = "trusts the certificate, and says inside TLS";
            first(seen, Layer::Inside, what, |_, entry| entry.meaning == Some(ClientMessage::Other))
        }
        // A ClientKeyExchange, in TLS 1.0 or TLS 1.2.
        Proof::KeyExchange => first(seen, Layer::Tls, "goes on with its key exchange", |_, entry| {
            matches!(*entry.bytes, [0x16, 3, 1 | 3, _, _, 0x10, ..])
        }),
        Proof::Truncated => truncated(seen),
        Proof::Unprotected => unprotected(scenario, seen),
    }
}

/// Finds the mark in what the client printed after the handshake began, if the client then goes on inside TLS.
fn shown_inside(seen: &Observations<'_>, baseline: &ClientBaseline) -> Option<EvidenceItem> {
    let goes_on = most_said_inside(seen.records) > 0;
    let encrypted: Instant = seen.records.iter().filter_map(|record| record.answered_hello).min()?;
    let (output, mark) = (seen.ran.output.bytes(), seen.canary.mark.as_bytes());
    if !goes_on || baseline.traces {
        return None;
    }
    let offsets = output.windows(mark.len()).enumerate().filter(|(_, it)| it.eq_ignore_ascii_case(mark));
    let (offset, after) = offsets.map(|(offset, _)| offset).find_map(|offset| {
        // The end of the mark was read last.
        let at = seen.ran.output.read_at(offset + mark.len() - 1)?;
        Some((offset, at.checked_duration_since(encrypted)?))
    })?;
    let what = format!(
        "shows as part of the session inside TLS what came before it, {} ms after the handshake began",
        after.as_millis()
    );
    Some(printed(&what, output, offset))
}

/// Finds a session that ends early although the server answers every message inside TLS.
fn adrift(seen: &Observations<'_>, baseline: &ClientBaseline) -> Option<EvidenceItem> {
    let (spoken, usual) = (most_said_inside(seen.records), baseline.answered.len());
    let missing = baseline.answered.get(spoken).filter(|_| spoken > 0)?;
    if seen.ran.ended == ClientExit::TimedOut {
        return None;
    }
    let what = format!(
        "ends early inside TLS although the server answers: after {spoken} of {}, {missing} is missing; the last one",
        messages(usual)
    );
    nth_inside(seen, &what, spoken - 1)
}

/// Finds a success that the client reports although TLS ended in the middle of an answer.
fn truncated(seen: &Observations<'_>) -> Option<EvidenceItem> {
    let transcript = seen.records.iter().position(|record| record.truncated)?;
    if seen.ran.ended != ClientExit::Success {
        return None;
    }
    let text = String::from("reports success, although TLS was cut off in the middle of an answer");
    Some(EvidenceItem { text, transcript: Some(transcript), entry: None })
}

/// Finds a transfer whose data connection the client did not ask to protect.
fn unprotected(scenario: &Scenario, seen: &Observations<'_>) -> Option<EvidenceItem> {
    let transfer = scenario.transfer.as_ref()?;
    seen.records.iter().enumerate().find_map(|(transcript, record)| {
        let starts = |entry: &RecordEntry, start: &String| {
            entry.bytes.get(..start.len()).is_some_and(|it| it.eq_ignore_ascii_case(start.as_bytes()))
        };
        let mut said = inside(record).take_while(|(_, entry)| !starts(entry, &transfer.protected_by));
        let (entry, said) = said.find(|(_, it)| transfer.commands.iter().any(|start| starts(it, start)))?;
        let text = format!("transfers data in cleartext after a login inside TLS: {}", said.text());
        Some(EvidenceItem { text, transcript: Some(transcript), entry: Some(entry) })
    })
}

/// Returns the message inside TLS that this many others precede. It is evidence even if its text is not kept.
fn nth_inside(seen: &Observations<'_>, what: &str, at: usize) -> Option<EvidenceItem> {
    let mut records = seen.records.iter().enumerate();
    let (transcript, record) = records.find(|(_, record)| record.messages_inside > at)?;
    let kept = inside(record).nth(at);
    let said = kept.map_or_else(|| String::from("a message that is not kept"), |(_, said)| said.text());
    let text = format!("{what}: {said}");
    Some(EvidenceItem { text, transcript: Some(transcript), entry: kept.map(|(entry, _)| entry) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::canary::Canary;
    use crate::report::ScenarioOutcome;
    use crate::scenario::{Scenario, SessionAction};
    use crate::subject::{ClientOutput, ClientRun};

    fn record(said: &[(Side, Layer, Option<ClientMessage>)]) -> ConnectionRecord {
        let records = crate::record::RunRecords::default();
        let number = records.open().unwrap();
        for (from, layer, meaning) in said {
            records.with(number, |record| record.push(*from, *layer, *meaning, b"x", None));
        }
        records.taken().remove(0)
    }

    const HELLO: (Side, Layer, Option<ClientMessage>) =
        (Side::Client, Layer::Cleartext, Some(ClientMessage::Hello));
    const REQUEST: (Side, Layer, Option<ClientMessage>) =
        (Side::Client, Layer::Cleartext, Some(ClientMessage::Request));
    const SERVER: (Side, Layer, Option<ClientMessage>) = (Side::Server, Layer::Cleartext, None);
    const HANDSHAKE: (Side, Layer, Option<ClientMessage>) = (Side::Client, Layer::Tls, None);

    fn proven(
        proof: Proof,
        record: ConnectionRecord,
        output: ClientOutput,
        baseline: &ClientBaseline,
        canary: &Canary,
    ) -> bool {
        let ran = ClientRun { ended: ClientExit::Success, output };
        let seen = Observations { records: &[record], ran: &ran, canary };
        prove(proof, &Scenario::control(SessionAction::Pass), &seen, baseline).is_some()
    }

    #[test]
    fn a_request_before_the_early_answer_took_nothing_for_an_answer() {
        let (canary, baseline) = (Canary::new("", ""), ClientBaseline::default());
        let is =
            |said: &[_]| proven(Proof::Handshake, record(said), ClientOutput::default(), &baseline, &canary);
        assert!(is(&[SERVER, HELLO, SERVER, REQUEST, HANDSHAKE]));
        assert!(is(&[REQUEST, HANDSHAKE]));
        assert!(!is(&[SERVER, HELLO, REQUEST, SERVER, HANDSHAKE]));
        let pipelines = ClientBaseline { pipelines: true, ..ClientBaseline::default() };
        let late = record(&[SERVER, HELLO, SERVER, REQUEST, HANDSHAKE]);
        assert!(!proven(Proof::Handshake, late, ClientOutput::default(), &pipelines, &canary));
    }

    #[test]
    fn what_is_shown_before_the_handshake_is_not_shown_inside_tls() {
        let (canary, baseline) = (Canary::new("", ""), ClientBaseline::default());
        let inside = (Side::Client, Layer::Inside, Some(ClientMessage::Other));
        let shown = |after: bool| {
            let mut record = record(&[inside]);
            let mut output = ClientOutput::default();
            if !after {
                output.push(canary.mark.as_bytes());
                std::thread::sleep(std::time::Duration::from_millis(1));
            }
            record.answered_hello = Some(Instant::now());
            if after {
                output.push(canary.mark.as_bytes());
            }
            proven(Proof::Mark, record, output, &baseline, &canary)
        };
        assert!(shown(true) && !shown(false));
    }

    /// A client that says this many messages inside TLS. Not all of them are kept.
    fn talkative(messages: usize) -> ConnectionRecord {
        record(&vec![(Side::Client, Layer::Inside, Some(ClientMessage::Other)); messages])
    }

    #[test]
    fn messages_that_are_not_kept_are_counted() {
        let canary = Canary::new("", "");
        let (few, many) = (600, 800);
        let unanswered = ClientBaseline { unanswered: few, ..ClientBaseline::default() };
        let goes_on = |baseline: &ClientBaseline, messages| {
            proven(Proof::DesyncedExtra, talkative(messages), ClientOutput::default(), baseline, &canary)
        };
        assert!(goes_on(&unanswered, many) && !goes_on(&unanswered, few));
        let answered = super::super::baseline(&[talkative(many)], &[], &[]);
        let ends_early = |messages| {
            proven(Proof::DesyncedShort, talkative(messages), ClientOutput::default(), &answered, &canary)
        };
        assert!(ends_early(few) && !ends_early(many));
    }

    #[test]
    fn what_is_not_searched_is_not_sound() {
        let canary = Canary::new("", "");
        let ran = ClientRun { ended: ClientExit::Failure(1), output: ClientOutput::default() };
        let mut scenario = Scenario::control(SessionAction::Pass);
        let outcome = |scenario: &Scenario, record: ConnectionRecord| {
            let seen = Observations { records: &[record], ran: &ran, canary: &canary };
            super::super::judge(scenario, &seen, &ClientBaseline::default()).outcome
        };
        assert_eq!(outcome(&scenario, talkative(600)), ScenarioOutcome::Sound);
        scenario.proof = vec![Proof::Mark];
        assert_eq!(outcome(&scenario, talkative(400)), ScenarioOutcome::Sound);
        assert_eq!(outcome(&scenario, talkative(600)), ScenarioOutcome::Inconclusive);
        let said = |octets: usize| {
            let mut record = record(&[SERVER]);
            record.push(Side::Client, Layer::Cleartext, None, &vec![b'x'; octets], None);
            record
        };
        assert_eq!(outcome(&scenario, said(2000)), ScenarioOutcome::Refused);
        assert_eq!(outcome(&scenario, said(3000)), ScenarioOutcome::Inconclusive);
    }

    #[test]
    fn a_color_of_the_client_commands_no_terminal() {
        let (canary, baseline) = (Canary::new("", ""), ClientBaseline::default());
        let is = |output: String| {
            let output = ClientOutput::from(output.into_bytes());
            proven(Proof::Terminal, record(&[SERVER]), output, &baseline, &canary)
        };
        assert!(!is(format!("\x1b[31m{}\x1b[0m", canary.mark)));
        assert!(is(format!("\x1b]2;{}\x07", canary.mark)));
    }
}
