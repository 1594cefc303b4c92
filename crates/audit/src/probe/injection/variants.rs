//! Forms of the request that the specification does not have, and requests in the data of other commands.

use starttls::proto::{ClientMessage, Identity, Protocol};

use super::request_in_data::{self, RequestInData};
use super::trial::{Change, End, Form, Shape, Trial, trial};
use super::{Conclusion, Judge, injected};
use crate::check::id;
use crate::finding::{FindingBuilder, ProbeResult};
use crate::plan::Plan;
use crate::profile::ProtocolProfile;
use crate::report::CheckOutcome;

/// Forms of the request that the specification does not have.
const VARIANTS: &[(&str, Change)] = &[
    ("lower case", |request| request.to_ascii_lowercase()),
    ("a trailing space", |request| with_end(request, b" ")),
    ("a bare line feed", |request| match request.strip_suffix(b"\r\n") {
        Some(line) => [line, b"\n"].concat(),
        None => request.to_vec(),
    }),
];

fn with_end(request: &[u8], more: &[u8]) -> Vec<u8> {
    let line = request.strip_suffix(b"\r\n").or(request.strip_suffix(b"\n")).unwrap_or(request);
    let end = request.get(line.len()..).unwrap_or_default();
    [line, more, end].concat()
}

fn request(protocol: &Protocol, identity: Identity) -> Vec<u8> {
    let mut request = Vec::new();
    protocol.new_dialect(identity).write_client(ClientMessage::Request, &mut request);
    request
}

fn is_one_line(request: &[u8]) -> bool {
    request.ends_with(b"\n") && !request.windows(4).any(|it| it == b"\r\n\r\n")
}

/// Returns the forms that differ from this request.
fn applicable(request: &[u8]) -> impl Iterator<Item = &'static (&'static str, Change)> {
    VARIANTS.iter().filter(move |(_, change)| is_one_line(request) && change(request) != request)
}

/// Returns the most connections that the variants need. Each command with data needs one more if the server acts on it,
/// or ends the connection.
pub(super) fn connections(protocol: &Protocol) -> usize {
    let request = request(protocol, Identity::new(""));
    applicable(&request).count() + 2 * ProtocolProfile::of(protocol).data.len()
}

/// Sends each other form of the request with a harmless command after it, and requests in data.
pub(super) async fn variants(plan: &Plan, judge: &Judge<'_>) -> ProbeResult {
    let check = id::SRV_INJECT_VARIANTS;
    let mut result = ProbeResult::default();
    let request = request(plan.protocol, plan.identity());
    let one_line = is_one_line(&request);
    let (mut worst, mut inconclusive, mut accepted) = (None, None, Vec::new());
    for (name, change) in applicable(&request) {
        let form = Form::new(
            format!("the request with {name}, and a harmless command after it"),
            Shape::Changed(*change, injected(plan)),
        );
        let Trial { end, log } = trial(plan, &form).await;
        let at = result.record(&log);
        match judge.verdict(&end) {
            Conclusion::Injected(why) => {
                worst = Some(FindingBuilder::fail(check, format!("with {name}: {}", why.text)).at_all(at))
            }
            Conclusion::Sound(_) if matches!(end, End::Inside(_)) => accepted.push(*name),
            Conclusion::Sound(_) => {}
            Conclusion::Inconclusive(error) => {
                inconclusive = Some(FindingBuilder::inconclusive(check, &error).at_all(at))
            }
        }
    }
    let mut data = "";
    match request_in_data::probe(plan, judge.harmless_in_cleartext, &result.log).await {
        RequestInData::NoData if !one_line => {
            let why = "the request has only one form, and no command can contain it as data";
            result.push(FindingBuilder::new(check, CheckOutcome::NotApplicable, why));
            return result;
        }
        RequestInData::NoData => {}
        RequestInData::Kept => data = ", and a request in data has no effect",
        RequestInData::Acted(finding) => worst = worst.or(Some(finding)),
        RequestInData::Inconclusive(finding) => inconclusive = inconclusive.or(Some(finding)),
    }
    let pass = || match accepted.as_slice() {
        [] => FindingBuilder::pass(check, format!("other forms of the request let no bytes through{data}")),
        names => FindingBuilder::pass(
            check,
            format!(
                "the server accepts the request with {}, and lets no bytes through{data}",
                names.join(", ")
            ),
        ),
    };
    result.push(worst.or(inconclusive).unwrap_or_else(pass));
    result
}
