//! Other forms of the request than the specification's, and the request where it is none.

use starttls::proto::ClientMessage;

use super::request_in_data::{self, RequestInData};
use super::trial::{End, Form, Shape, Trial, trial};
use super::{Conclusion, Judge, injected};
use crate::finding::{FindingBuilder, ProbeResult};
use crate::plan::Plan;
use crate::report::CheckOutcome;

/// Makes another form of a request.
pub(super) type Change = fn(&[u8]) -> Vec<u8>;

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

/// Other forms of the request, each with the probe behind it, and the request where it is none.
pub(super) async fn variants(plan: &Plan, judge: &Judge<'_>) -> ProbeResult {
    let id = "srv-inject-variants";
    let mut seen = ProbeResult::default();
    let mut dialect = (plan.protocol.dialect)(plan.identity());
    let mut request = Vec::new();
    dialect.write_client(ClientMessage::Request, &mut request);
    let one_line = request.ends_with(b"\n") && !request.windows(4).any(|it| it == b"\r\n\r\n");
    let (mut worst, mut inconclusive, mut accepted) = (None, None, Vec::new());
    let others = VARIANTS.iter().filter(|(_, change)| one_line && change(&request) != request);
    for (name, change) in others {
        let form = Form::new(
            format!("the request with {name}, and a harmless command behind it"),
            Shape::Changed(*change, injected(plan)),
        );
        let Trial { end, record } = trial(plan, &form).await;
        let all = record.all();
        let at = seen.record(record);
        match judge.verdict(&end) {
            Conclusion::Injected(why) => {
                worst = Some(FindingBuilder::fail(id, format!("with {name}: {why}")).at(at, all))
            }
            Conclusion::Sound(_) if matches!(end, End::Inside(_)) => accepted.push(*name),
            Conclusion::Sound(_) => {}
            Conclusion::Inconclusive(stop) => {
                inconclusive = Some(FindingBuilder::inconclusive(id, &stop).at(at, all))
            }
        }
    }
    let mut data = "";
    match request_in_data::probe(plan, judge.harmless_in_cleartext, &mut seen, id).await {
        RequestInData::Nowhere if !one_line => {
            let why = "the request has one form only, and no data can hold it";
            seen.push(FindingBuilder::new(id, CheckOutcome::NotApplicable, why));
            return seen;
        }
        RequestInData::Nowhere => {}
        RequestInData::Kept => data = ", and a request in data is data",
        RequestInData::Taken(finding) => worst = worst.or(Some(finding)),
        RequestInData::Inconclusive(finding) => inconclusive = inconclusive.or(Some(finding)),
    }
    let pass = || match accepted.as_slice() {
        [] => FindingBuilder::pass(id, format!("other forms of the request let nothing through{data}")),
        names => FindingBuilder::pass(
            id,
            format!("accepted with {}, and lets nothing through{data}", names.join(", ")),
        ),
    };
    seen.push(worst.or(inconclusive).unwrap_or_else(pass));
    seen
}
