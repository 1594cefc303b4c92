//! The transcripts of an endpoint as pictures and lists.

use starttls::proto::{Side, protocol};
use starttls_report::Language;
use starttls_report::diagram::{Crossing, Diagram, DiagramRow, HandshakeResult, Mark, RowContent, When};
use starttls_report::html::Html;

use super::super::common;
use crate::report::{EndpointReport, Entry, EntryKind, Evidence, Finding, Transcript};
use crate::session::NO_HANDSHAKE;
use crate::words;

/// Writes the picture that explains the endpoint: of the evidence of the worst problem, or of the first connection.
pub(super) fn featured(out: &mut Html, language: Language, number: usize, endpoint: &EndpointReport) {
    let Some((index, transcript)) = choice(endpoint) else { return };
    out.markup("<div class=\"screen\">\n");
    out.element("h3", &[], words::CONVERSATION.of(language));
    out.markup("\n");
    let anchor = format!("e{number}-t{index}");
    let diagram = diagram(language, number, endpoint, index, transcript);
    out.append(&diagram.figure(&format!("{anchor}-picture"), &anchor));
    out.markup("</div>\n");
}

/// Returns the transcript that is shown as a picture.
pub(super) fn choice(endpoint: &EndpointReport) -> Option<(usize, &Transcript)> {
    let evidence = common::wrong(endpoint).into_iter().flat_map(|(_, finding)| &finding.evidence);
    let index =
        evidence.map(|at| at.transcript).find(|index| *index < endpoint.transcripts.len()).unwrap_or(0);
    Some((index, endpoint.transcripts.get(index)?))
}

/// Writes the transcripts as lists, folded. Those whose entries were left out are not in it.
pub(super) fn transcripts(out: &mut Html, language: Language, number: usize, endpoint: &EndpointReport) {
    let all = endpoint.transcripts.iter().enumerate();
    let shown: Vec<_> = all.filter(|(_, transcript)| !transcript.entries.is_empty()).collect();
    if shown.is_empty() {
        return;
    }
    out.markup("<details class=\"fold\">");
    out.element("summary", &[], words::TRANSCRIPTS.filled(language, &[("count", &shown.len())]));
    out.markup("\n");
    for (index, transcript) in shown {
        let anchor = format!("e{number}-t{index}");
        out.open("details", &[("class", &"transcript"), ("id", &anchor)]);
        out.markup("<summary>");
        let (mut number_part, mut purpose) = (Html::default(), Html::default());
        number_part.text(index + 1);
        purpose.english(language, &transcript.purpose);
        out.phrase(words::CONNECTION.of(language), &[("number", &number_part), ("purpose", &purpose)]);
        out.markup("</summary>\n");
        out.append(&diagram(language, number, endpoint, index, transcript).list(Some(&anchor)));
        out.markup("</details>\n");
    }
    out.markup("</details>\n");
}

/// Writes the part of a transcript that the evidence refers to.
pub(super) fn excerpt(
    out: &mut Html,
    language: Language,
    number: usize,
    endpoint: &EndpointReport,
    at: Evidence,
) {
    let Some((Transcript { purpose, .. }, entries)) = common::excerpt(endpoint, at) else { return };
    out.markup("<figure class=\"screen\">\n<figcaption>");
    let mut purpose_part = Html::default();
    purpose_part.english(language, purpose);
    let link = link(language, number, at);
    out.phrase(words::SEEN_ON.of(language), &[("connection", &link), ("purpose", &purpose_part)]);
    out.markup("</figcaption>\n");
    let part = Diagram { language, rows: rows(entries), ..Diagram::default() };
    out.append(&part.list(None));
    out.markup("</figure>\n");
}

/// Returns a link to the start of the evidence.
pub(super) fn link(language: Language, number: usize, at: Evidence) -> Html {
    let Evidence { transcript, first, .. } = at;
    let text = words::CONNECTION_LINK.filled(language, &[("number", &transcript.saturating_add(1))]);
    let mut out = Html::default();
    out.element("a", &[("href", &format_args!("#e{number}-t{transcript}-{first}"))], text);
    out
}

/// Returns the diagram of a transcript, with marks on the evidence of problems.
pub(super) fn diagram(
    language: Language,
    number: usize,
    endpoint: &EndpointReport,
    index: usize,
    transcript: &Transcript,
) -> Diagram {
    let title = protocol(&endpoint.protocol).map_or(endpoint.protocol.as_str(), |it| it.title);
    let connection = index + 1;
    let mut diagram = Diagram {
        language,
        title: words::DIAGRAM.filled(
            language,
            &[
                ("number", &connection),
                ("server", &endpoint.server_name),
                ("protocol", &title),
                ("purpose", &transcript.purpose),
            ],
        ),
        names: [String::from("starttls check"), endpoint.server_name.clone()],
        rows: rows(&transcript.entries),
        crossings: Vec::new(),
    };
    let evidence = common::wrong(endpoint)
        .into_iter()
        .flat_map(|(place, finding)| finding.evidence.iter().map(move |at| (place, finding, at)))
        .filter(|(_, _, at)| at.transcript == index);
    for (place, finding, at) in evidence {
        mark(&mut diagram, language, finding, format!("e{number}-f{place}"), at);
    }
    diagram
}

/// Marks the rows that are evidence of a problem. The first of them names it.
fn mark(diagram: &mut Diagram, language: Language, finding: &Finding, target: String, at: &Evidence) {
    let Some(rows) = diagram.rows.get_mut(at.first..) else { return };
    let length = at.last.saturating_sub(at.first).saturating_add(1).min(rows.len());
    let Some(rows) = rows.get_mut(..length) else { return };
    let id = &finding.id;
    let crossing = if crosses(id) { crossed(rows) } else { None };
    let is_evidence = |row: usize| crossing.is_none_or(|(from, to)| row == from || row == to);
    rows.iter_mut().enumerate().for_each(|(index, row)| row.is_evidence |= is_evidence(index));
    if let Some((from, to)) = crossing {
        let text = words::CROSSED.filled(language, &[("check", id)]);
        diagram.crossings.push(Crossing { from: at.first + from, to: at.first + to, text });
    }
    let text = match id.starts_with("leak-") {
        true => words::LEAKED.filled(language, &[("check", id)]),
        false => id.clone(),
    };
    if let Some(row) = rows.get_mut(crossing.map_or(0, |(from, _)| from)) {
        row.marks.push(Mark { text, target: Some(target) });
    }
}

/// Returns whether the fault is that octets cross the boundary.
fn crosses(id: &str) -> bool {
    id.starts_with("srv-inject-") || id == "srv-fixation"
}

/// Returns the rows with the last message that the client sent in cleartext, and with the first one inside TLS.
fn crossed(rows: &[DiagramRow]) -> Option<(usize, usize)> {
    let from = rows.iter().rposition(|row| {
        matches!(row.content, RowContent::Message { from: Side::Client, inside_tls: false, .. })
    })?;
    let to =
        rows.iter().position(|row| matches!(row.content, RowContent::Message { inside_tls: true, .. }))?;
    (from < to).then_some((from, to))
}

/// Returns the rows of a transcript.
fn rows(entries: &[Entry]) -> Vec<DiagramRow> {
    let mut rows: Vec<DiagramRow> = entries.iter().map(row).collect();
    for (row, after) in rows.iter_mut().zip(entries.iter().skip(1)) {
        if let RowContent::Boundary { handshake, .. } = &mut row.content {
            *handshake = match after.kind {
                EntryKind::Event if after.text.starts_with(NO_HANDSHAKE) => HandshakeResult::Failed,
                EntryKind::Event => HandshakeResult::Done,
                _ => HandshakeResult::Unknown,
            };
        }
    }
    rows
}

fn row(entry: &Entry) -> DiagramRow {
    let message = |from, inside_tls| RowContent::Message {
        from,
        inside_tls,
        lines: common::lines(entry).into_iter().filter(|line| !line.is_empty()).map(str::to_owned).collect(),
        octets: entry.decoded.as_ref().map(|_| entry.text.clone()),
    };
    let content = match entry.kind {
        EntryKind::Client => message(Side::Client, false),
        EntryKind::Server => message(Side::Server, false),
        EntryKind::ClientInside => message(Side::Client, true),
        EntryKind::ServerInside => message(Side::Server, true),
        EntryKind::Boundary => {
            let (_, rest) = common::boundary(&entry.text);
            let facts = if rest.is_empty() { Vec::new() } else { vec![rest.to_owned()] };
            RowContent::Boundary { handshake: HandshakeResult::Unknown, facts }
        }
        EntryKind::Event => RowContent::Event(entry.text.clone()),
    };
    DiagramRow { when: When::Milliseconds(entry.at_ms), content, ..DiagramRow::default() }
}
