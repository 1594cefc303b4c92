//! One connection of the survey: the negotiation up to the go-ahead, one ClientHello, the server's first flight.

use std::time::Instant;

use starttls::proto::Escaped;
use starttls::rustls::crypto::aws_lc_rs::default_provider;
use starttls_hello::{
    Answer, Flight, FlightEnd, FlightProgress, GOODBYE, HelloContext, Question, ServerFlight, SniName,
    StreamEnd, Topic, Version,
};

use crate::channel::Chunk;
use crate::error::ProbeError;
use crate::filter::plural;
use crate::plan::Plan;
use crate::record::{Log, Mark};
use crate::report::EntryKind;

/// Sends one hello and returns the answer, with the transcript from the hello on.
///
/// # Errors
/// If the connection ended before the hello, which shows nothing about TLS.
pub(super) async fn ask(plan: &Plan, question: &Question, log: &Log) -> Result<(Answer, Mark), ProbeError> {
    let _place = plan.place().await;
    let mut session = plan.open(&purpose(question), log).await?;
    if !plan.implicit {
        session.negotiate().await?;
    }
    let before = session.record.all();
    session.record.text(EntryKind::Boundary, "TLS starts here");
    let sent = question.to_bytes(&context(plan)?);
    session.record.described(EntryKind::Client, &sent, offer(question, &plan.server_name));
    // A server may answer and close before it has read the whole hello. The answer still has to be read.
    let _ = session.send_unrecorded(&sent).await;
    let until = Instant::now() + plan.reply_timeout();
    let (mut flight, mut received) = (Flight::new(), Vec::new());
    let end = loop {
        match session.chunk(until).await {
            Chunk::Bytes(bytes) => {
                received.extend_from_slice(&bytes);
                if flight.receive(&bytes) == FlightProgress::Done {
                    break StreamEnd::Closed;
                }
            }
            Chunk::Closed => break StreamEnd::Closed,
            Chunk::Late if plan.is_over() => return Err(ProbeError::Deadline),
            Chunk::Late => break StreamEnd::TimedOut,
        }
    };
    let answer = flight.finish(end);
    session.record.described(EntryKind::Server, &received, reply(&answer));
    let _ = session.send_unrecorded(&GOODBYE).await;
    // A hello of SSL 2.0 does not start like a handshake record, so that a server to which the ClientHello is the request reads
    // it as cleartext.
    let is_cleartext = question.version == Version::Ssl2 && plan.protocol.flow.client_hello_is_request;
    let answer = match answer {
        Answer::NotTls(_) if is_cleartext => Answer::Closed,
        answer => answer,
    };
    Ok((answer, Mark { first: before.last + 1, ..session.record.all() }))
}

fn context(plan: &Plan) -> Result<HelloContext<'_>, ProbeError> {
    let mut octets = [0; 64];
    let random = default_provider().secure_random.fill(&mut octets);
    random.map_err(|_| ProbeError::Unclear(String::from("the system has no random octets")))?;
    let (random, session_id) = octets.split_at(32);
    let half = |part: &[u8]| part.first_chunk().copied().unwrap_or_default();
    Ok(HelloContext {
        server_name: Some(plan.server_name.trim_end_matches('.')),
        alpn: plan.protocol.alpn.map(str::as_bytes),
        random: half(random),
        session_id: half(session_id),
    })
}

/// Returns the purpose of a connection for its transcript.
fn purpose(question: &Question) -> String {
    let what = match question.topic {
        Topic::Custom => "a chosen hello",
        Topic::Good => "modern suites",
        Topic::Modern => "its suites and groups",
        Topic::ModernShare => "its suites and groups, with a key share",
        Topic::PostQuantum => "post-quantum groups",
        Topic::Old => "this version and older ones",
        Topic::OldDhe => "this version and older ones, with finite-field Diffie-Hellman",
        Topic::Ssl2 => "all kinds of ciphers",
        Topic::Bad => "weak suites",
        Topic::Dhe => "finite-field Diffie-Hellman",
        Topic::Mid => "suites that are neither weak nor modern",
        Topic::Lowest => "suites that the best version refused",
        Topic::Reuse => "a second Diffie-Hellman exchange",
        Topic::Fallback => "a fallback with TLS_FALLBACK_SCSV",
        Topic::WeakCurves => "weak and unusual curves",
        Topic::Curves => "curves by name",
        Topic::LegacyHash => "signatures with SHA-1 and MD5",
        Topic::OtherKey => "the other type of key",
        Topic::UnknownName => "an unknown name in SNI",
        Topic::Order => "the order of preference",
        Topic::Split => "one class of suites",
        Topic::Small => "a small hello, because the server did not answer a longer one",
        Topic::Control => "a hello that succeeded before",
    };
    format!("TLS survey, {}: {what}", question.version)
}

/// Describes a ClientHello.
fn offer(question: &Question, server_name: &str) -> String {
    if question.version == Version::Ssl2 {
        return String::from("CLIENT-HELLO of SSL 2.0 with all kinds of ciphers");
    }
    let newest = match question.version {
        Version::Tls13 | Version::Ssl3 => "",
        _ => "up to ",
    };
    let suites = match question.suites.as_slice() {
        [one] => one.to_string(),
        [first, .., last] => format!("{} suites ({first} to {last})", question.suites.len()),
        [] => String::from("no suites"),
    };
    let name = match question.name {
        SniName::Usual => format!(", name {server_name}"),
        SniName::Unknown => String::from(", an unknown name"),
        SniName::None => String::new(),
    };
    format!("ClientHello: {newest}{}, {suites}, {} groups{name}", question.version, question.groups.len())
}

/// Describes an answer.
fn reply(answer: &Answer) -> String {
    match answer {
        Answer::Hello(flight) => accepted(flight),
        Answer::Refused(alert) => format!("alert {alert}"),
        Answer::Closed => String::from("no answer, the connection is closed"),
        Answer::Silent => String::from("no answer in time"),
        Answer::Ssl2(hello) => {
            let kinds: Vec<_> = hello.kinds.iter().map(ToString::to_string).collect();
            format!("SERVER-HELLO of SSL 2.0: {}", kinds.join(", "))
        }
        Answer::Ssl2Error(code) => format!("error {code} of SSL 2.0"),
        Answer::NotTls(bytes) => format!("not TLS: \"{}\"", Escaped(bytes)),
        Answer::Malformed(malformed) => format!("malformed: {malformed}"),
    }
}

fn accepted(flight: &ServerFlight) -> String {
    let hello = &flight.hello;
    let name = if hello.is_retry() { "HelloRetryRequest" } else { "ServerHello" };
    let version =
        flight.version().map_or_else(|| format!("{:#06x}", hello.version_code()), |it| it.to_string());
    let mut parts = vec![format!("{name}: {version}"), hello.suite.to_string()];
    parts.extend(hello.group().map(|group| group.to_string()));
    if let Some(bits) = flight.key_exchange.as_ref().and_then(|exchange| exchange.bits()) {
        parts.push(format!("key exchange with {bits} bits"));
    }
    if let Some(scheme) = flight.key_exchange.as_ref().and_then(|exchange| exchange.scheme()) {
        parts.push(format!("signed with {scheme}"));
    }
    if hello.compression != 0 {
        parts.push(format!("compression {}", hello.compression));
    }
    if !flight.certificates.is_empty() {
        parts.push(plural(flight.certificates.len(), "certificate", "certificates"));
    }
    if let FlightEnd::Alert(alert) = flight.end {
        parts.push(format!("then alert {alert}"));
    }
    parts.join(", ")
}
