//! A transcript as a timeline: the client on one side, the server on the other, the boundary across both.

use starttls_report::Markup;

use super::super::common;
use super::Page;
use crate::report::{EndpointReport, Entry, EntryKind, Evidence, Transcript};

/// Writes all transcripts, folded unless one of them is evidence of a problem.
pub(super) fn transcripts(page: &mut Page, number: usize, endpoint: &EndpointReport) {
    let proof = common::wrong(endpoint).iter().any(|(_, finding)| !finding.evidence.is_empty());
    let (open, count) = (if proof { " open" } else { "" }, endpoint.transcripts.len());
    page.add(format_args!("<details class=\"fold\"{open}><summary>Transcripts ({count})</summary>\n"));
    for index in 0..count {
        transcript(page, number, endpoint, index);
    }
    page.add(format_args!("</details>\n"));
}

/// Writes a transcript, open if it is evidence of a problem.
fn transcript(page: &mut Page, number: usize, endpoint: &EndpointReport, index: usize) {
    let Some(transcript) = endpoint.transcripts.get(index) else { return };
    let wrong: Vec<_> = common::wrong(endpoint)
        .into_iter()
        .flat_map(|(place, finding)| finding.evidence.iter().map(move |&at| (place, finding.id.as_str(), at)))
        .filter(|(_, _, at)| at.transcript == index)
        .collect();
    let (open, connection) = (if wrong.is_empty() { "" } else { " open" }, index + 1);
    let purpose = Markup(&transcript.purpose);
    page.add(format_args!(
        "<details class=\"transcript\" id=\"e{number}-t{index}\"{open}><summary>Connection {connection}: {purpose}\
        </summary>\n<ol>\n"
    ));
    for (line, entry) in transcript.entries.iter().enumerate() {
        let proofs: Vec<_> = wrong.iter().filter(|(_, _, at)| (at.first..=at.last).contains(&line)).collect();
        let hit = if proofs.is_empty() { "" } else { " hit" };
        open_entry(page, entry, hit, &format!(" id=\"e{number}-t{index}-{line}\""));
        for (place, id, _) in proofs.iter().filter(|(_, _, at)| at.first == line) {
            let id = Markup(id);
            page.add(format_args!(" <a class=\"proof\" href=\"#e{number}-f{place}\">{id}</a>"));
        }
        page.add(format_args!("</li>\n"));
    }
    page.add(format_args!("</ol>\n</details>\n"));
}

/// Writes the part of a transcript that the evidence refers to.
pub(super) fn excerpt(page: &mut Page, number: usize, endpoint: &EndpointReport, at: Evidence) {
    let Some((Transcript { purpose, .. }, entries)) = common::excerpt(endpoint, at) else { return };
    let purpose = Markup(purpose);
    page.add(format_args!("<figure class=\"transcript\">\n<figcaption>Seen on "));
    link(page, number, at);
    page.add(format_args!(" ({purpose})</figcaption>\n<ol>\n"));
    for entry in entries {
        open_entry(page, entry, "", "");
        page.add(format_args!("</li>\n"));
    }
    page.add(format_args!("</ol>\n</figure>\n"));
}

/// Writes a link to the start of the evidence.
pub(super) fn link(page: &mut Page, number: usize, at: Evidence) {
    let Evidence { transcript, first, .. } = at;
    let connection = transcript.saturating_add(1);
    page.add(format_args!(" <a href=\"#e{number}-t{transcript}-{first}\">connection {connection}</a>"));
}

fn open_entry(page: &mut Page, entry: &Entry, hit: &str, id: &str) {
    let (class, who) = match entry.kind {
        EntryKind::Client => ("client clear", "client, cleartext"),
        EntryKind::Server => ("server clear", "server, cleartext"),
        EntryKind::ClientInside => ("client inside", "client, inside TLS"),
        EntryKind::ServerInside => ("server inside", "server, inside TLS"),
        EntryKind::Boundary => ("boundary", common::boundary("").0),
        EntryKind::Event => ("event", ""),
    };
    let at = entry.at_ms;
    page.add(format_args!("<li class=\"{class}{hit}\"{id}><time>{at:.1} ms</time><div class=\"said\">"));
    if !who.is_empty() {
        page.add(format_args!("<span class=\"who\">{who}</span>"));
    }
    let lines = match entry.kind {
        EntryKind::Boundary => vec![common::boundary(&entry.text).1],
        _ => common::lines(entry),
    };
    for line in lines.into_iter().filter(|line| !line.is_empty() || entry.kind != EntryKind::Boundary) {
        let end = [r"\r\n", r"\n"].into_iter().find(|end| line.ends_with(end)).unwrap_or("");
        let said = Markup(line.strip_suffix(end).unwrap_or(line));
        page.add(format_args!("<code>{said}"));
        if !end.is_empty() {
            page.add(format_args!("<span class=\"end\">{end}</span>"));
        }
        page.add(format_args!("</code>"));
    }
    if entry.decoded.is_some() {
        page.add(format_args!("<code class=\"bytes\">{}</code>", Markup(&entry.text)));
    }
    page.add(format_args!("</div>"));
}
