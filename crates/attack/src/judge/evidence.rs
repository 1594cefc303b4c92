//! The proofs that a client was fooled.

use std::time::Instant;

use starttls::proto::{ClientMessage, Escaped, Side};

use super::observed::{
    ClientBaseline, Observations, inside, messages, most_sent_inside, sessions, substance,
};
use crate::canary::contains;
use crate::outcome::EvidenceItem;
use crate::record::{ConnectionRecord, Layer, RecordEntry};
use crate::scenario::{Proof, Scenario};
use crate::subject::ClientExit;

/// The shortest line, in octets, that an output does not contain by chance.
const SHORTEST_TRACE: usize = 12;

/// Returns what an attacker gained in any scenario: credentials, commands in cleartext, or a session with another server.
pub(super) fn gained(
    scenario: &Scenario,
    seen: &Observations<'_>,
    baseline: &ClientBaseline,
) -> Vec<EvidenceItem> {
    let proofs = [credentials(seen), commands(seen, baseline), redirected(scenario, seen)];
    proofs.into_iter().flatten().collect()
}

/// Returns whether the output contains a line that the server sent only in cleartext.
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

/// Returns whether the client sent its request before the server answered the message before it.
pub(super) fn pipelines(record: &ConnectionRecord) -> bool {
    let cleartext = record.entries.iter().filter(|entry| entry.layer == Layer::Cleartext);
    let up_to_request = cleartext.take_while(|entry| entry.meaning != Some(ClientMessage::Request));
    let last = up_to_request.last();
    record.has_request() && last.is_some_and(|entry| entry.from == Side::Client)
}

/// Returns whether the client sent application data on a connection whose request was not accepted. Its TLS session is
/// with the server, so the man in the middle cannot read it.
pub(super) fn starts_tls_unaccepted(record: &ConnectionRecord) -> bool {
    /// The type of a record with application data (RFC 8446 section 5.1).
    const APPLICATION_DATA: u8 = 23;
    !record.answered
        && record.sent(Layer::Tls).any(|(_, entry)| entry.bytes.first() == Some(&APPLICATION_DATA))
}

/// Returns the first entry for which `is` holds, of all connections.
fn first(
    seen: &Observations<'_>,
    layer: Layer,
    what: &str,
    is: impl Fn(&ConnectionRecord, &RecordEntry) -> bool,
) -> Option<EvidenceItem> {
    seen.records.iter().enumerate().find_map(|(transcript, record)| {
        let (entry, said) = record.sent(layer).find(|(_, entry)| is(record, entry))?;
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
    let password = first(seen, Layer::Cleartext, "sends the password in cleartext", |_, entry| told(entry));
    password.or_else(|| {
        let is =
            |_: &ConnectionRecord, entry: &RecordEntry| entry.meaning == Some(ClientMessage::Credentials);
        first(seen, Layer::Cleartext, "sends credentials in cleartext", is)
    })
}

fn commands(seen: &Observations<'_>, baseline: &ClientBaseline) -> Option<EvidenceItem> {
    let (transcript, entry, said) = seen.records.iter().enumerate().find_map(|(at, record)| {
        let (entry, said) = substance(record).nth(baseline.in_cleartext)?;
        Some((at, entry, said))
    })?;
    let text = format!("sends a command in cleartext that belongs inside TLS: {}", said.text());
    Some(EvidenceItem { text, transcript: Some(transcript), entry: Some(entry) })
}

/// Finds a connection to another server. Some scenarios permit it if TLS starts at its first byte.
fn redirected(scenario: &Scenario, seen: &Observations<'_>) -> Option<EvidenceItem> {
    let in_cleartext = |record: &ConnectionRecord| record.sent(Layer::Cleartext).next().is_some();
    let is =
        |record: &ConnectionRecord| record.redirected && (!scenario.redirects_to_tls || in_cleartext(record));
    let transcript = seen.records.iter().position(is)?;
    let text = String::from("follows a redirect that it received in cleartext");
    Some(EvidenceItem { text, transcript: Some(transcript), entry: None })
}

pub(super) fn prove(
    proof: Proof,
    scenario: &Scenario,
    seen: &Observations<'_>,
    baseline: &ClientBaseline,
) -> Option<EvidenceItem> {
    let (canary, output) = (seen.canary, seen.client.output.bytes());
    match proof {
        Proof::Mark => {
            let what = "sends a value inside TLS that only the injected bytes contained";
            let said = first(seen, Layer::Inside, what, |_, entry| canary.mark_in(&entry.bytes));
            said.or_else(|| shown_inside(seen, baseline))
        }
        Proof::Terminal => {
            // Sets the window title of the terminal, which no client does with this text of its own accord.
            let obeyed =
                ["\x1b]2;", "\u{9d}2;"].map(|control| [control.as_bytes(), canary.mark.as_bytes()].concat());
            let offset = obeyed.iter().find_map(|it| output.windows(it.len()).position(|part| part == it))?;
            Some(printed("passes a control sequence of the server to the terminal", output, offset))
        }
        Proof::DesyncedExtra => {
            let what = format!(
                "sends more inside TLS without an answer than it does without the attack ({})",
                messages(baseline.unanswered)
            );
            nth_inside(seen, &what, baseline.unanswered)
        }
        Proof::DesyncedShort => ends_early(seen, baseline),
        // A client that sends its request before it has read an answer did not treat that answer as the acceptance.
        Proof::Handshake if baseline.pipelines => None,
        Proof::Handshake => {
            let what = "treats another message as the answer to its request";
            first(seen, Layer::Tls, what, |record, _| {
                record.has_request() && !record.answered && !pipelines(record)
            })
        }
        // A client may send a hello before it verifies the certificate: a hello discloses nothing.
        Proof::Certificate => {
            let what = "trusts the certificate and continues inside TLS";
            first(seen, Layer::Inside, what, |_, entry| entry.meaning == Some(ClientMessage::Other))
        }
        // A ClientKeyExchange, in TLS 1.0 or TLS 1.2.
        Proof::KeyExchange => first(seen, Layer::Tls, "continues with its key exchange", |_, entry| {
            matches!(*entry.bytes, [0x16, 3, 1 | 3, _, _, 0x10, ..])
        }),
        Proof::Truncated => truncated(seen, baseline),
        Proof::Unprotected => unprotected(scenario, seen),
    }
}

/// Finds the mark in the output after the start of the handshake, if the client then continues inside TLS.
fn shown_inside(seen: &Observations<'_>, baseline: &ClientBaseline) -> Option<EvidenceItem> {
    let continues = most_sent_inside(seen.records) > 0;
    let encrypted: Instant = seen.records.iter().filter_map(|record| record.answered_hello).min()?;
    let (output, mark) = (seen.client.output.bytes(), seen.canary.mark.as_bytes());
    if !continues || baseline.traces {
        return None;
    }
    let offsets = output.windows(mark.len()).enumerate().filter(|(_, it)| it.eq_ignore_ascii_case(mark));
    let (offset, after) = offsets.map(|(offset, _)| offset).find_map(|offset| {
        let at = seen.client.output.read_at(offset + mark.len() - 1)?;
        Some((offset, at.checked_duration_since(encrypted)?))
    })?;
    let what = format!(
        "prints text from before TLS as part of the session inside TLS, {} ms after the handshake began",
        after.as_millis()
    );
    Some(printed(&what, output, offset))
}

/// Finds a session that ends early although the server answers every message inside TLS. The client then counts one
/// answer more than the server sent.
fn ends_early(seen: &Observations<'_>, baseline: &ClientBaseline) -> Option<EvidenceItem> {
    let (sent, usual) = (most_sent_inside(seen.records), baseline.answered.len());
    let missing = baseline.answered.get(sent).filter(|_| sent > 0)?;
    if seen.client.exit == ClientExit::TimedOut {
        return None;
    }
    let what = format!(
        "ends its session early although the server answers: it sent {sent} of {}, and the next one would have been {missing}; the last one",
        messages(usual)
    );
    nth_inside(seen, &what, sent - 1)
}

/// Finds a client that reports success although TLS ended in the middle of an answer, and that did not ask again.
fn truncated(seen: &Observations<'_>, baseline: &ClientBaseline) -> Option<EvidenceItem> {
    // A client that always opens several sessions may send the same message in each of them.
    let has_more = sessions(seen.records) > baseline.sessions;
    let is = |(at, record): &(usize, &ConnectionRecord)| {
        record.truncated && !(has_more && is_repeated(record, &seen.records[at + 1..]))
    };
    let (transcript, _) = seen.records.iter().enumerate().find(is)?;
    if seen.client.exit != ClientExit::Success {
        return None;
    }
    let text = String::from("reports success although TLS was cut off in the middle of an answer");
    Some(EvidenceItem { text, transcript: Some(transcript), entry: None })
}

/// Returns whether the client sends the last message of a connection again on a later one, and gets its answer there.
fn is_repeated(record: &ConnectionRecord, later: &[ConnectionRecord]) -> bool {
    let Some((_, last)) = inside(record).last().filter(|_| !record.inside_is_cut) else { return false };
    later.iter().filter(|record| !record.truncated).any(|record| {
        let asked = inside(record).find(|(_, said)| said.bytes == last.bytes);
        let answer = |entry: &RecordEntry| entry.from == Side::Server && entry.layer == Layer::Inside;
        asked.is_some_and(|(at, _)| record.entries[at + 1..].iter().any(answer))
    })
}

/// Finds a transfer on a data connection that the client did not protect.
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

/// Returns the message inside TLS that follows this many others. It is evidence even if its text was not recorded.
fn nth_inside(seen: &Observations<'_>, what: &str, at: usize) -> Option<EvidenceItem> {
    let mut records = seen.records.iter().enumerate();
    let (transcript, record) = records.find(|(_, record)| record.messages_inside > at)?;
    let kept = inside(record).nth(at);
    let said = kept.map_or_else(|| String::from("a message that was not recorded"), |(_, said)| said.text());
    let text = format!("{what}: {said}");
    Some(EvidenceItem { text, transcript: Some(transcript), entry: kept.map(|(entry, _)| entry) })
}
