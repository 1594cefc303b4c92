//! HTML: a page with the findings first and a picture of each connection that has some.

use std::collections::BTreeMap;

use starttls_proto::Side;
use starttls_report::Language;
use starttls_report::diagram::{Crossing, Diagram, DiagramRow, HandshakeResult, Mark, RowContent, When};
use starttls_report::html::{self, Html};

use crate::facts::{CertificateView, Clue, ClueKind, Facts, Handshake, SideName, TlsUse};
use crate::inspector::{CaptureSummary, ConnectionReport};
use crate::verdict::{ClientSummary, Observation, ServerSummary, Weight, rule};

/// The most connections that the page shows. Further ones are counted.
const MAX_CONNECTIONS: usize = 200;
/// The most entries of a list of servers or clients.
const MAX_LISTED: usize = 500;

/// A page that is being written.
#[derive(Clone, Debug, Default)]
pub struct HtmlReport {
    connections: Vec<ConnectionReport>,
    /// Connections with findings that the page does not show.
    dropped: u64,
}

/// Where a report comes from, for the head of the page.
#[derive(Clone, Copy, Debug)]
pub struct Origin<'a> {
    /// The program and its version.
    pub generator: &'a str,
    /// The names of the captures.
    pub captures: &'a [String],
    /// The time of the report: RFC 3339, UTC.
    pub time: &'a str,
}

impl HtmlReport {
    /// Adds a connection. The page shows it if it has findings.
    pub fn add(&mut self, report: ConnectionReport) {
        if report.findings.iter().all(|finding| finding.severity < Weight::Low) {
            return;
        }
        if self.connections.len() < MAX_CONNECTIONS {
            self.connections.push(report);
        } else {
            self.dropped += 1;
        }
    }

    /// Returns the page.
    pub fn finish(
        mut self,
        servers: &[ServerSummary],
        clients: &[ClientSummary],
        capture: &CaptureSummary,
        origin: Origin<'_>,
    ) -> String {
        self.connections.sort_by_key(|it| std::cmp::Reverse(worst(&it.findings)));
        let mut out = Html::default();
        out.markup("<a class=\"skip\" href=\"#results\">Skip to the results</a>\n<header>\n<h1>STARTTLS in packet captures</h1>\n");
        out.markup("<dl class=\"facts\">\n");
        out.fact("Captures", &origin.captures.join(", "));
        out.time_fact("Time", origin.time);
        out.fact("Program", origin.generator);
        out.fact(
            "Contents",
            &format!(
                "{} packets, {} connections, {} recognized; {} gaps, {} evicted, {} conflicts",
                capture.packets,
                capture.connections,
                capture.recognized,
                capture.gaps,
                capture.evicted,
                capture.conflicts
            ),
        );
        out.markup("</dl>\n</header>\n<main id=\"results\">\n");
        self.summary(&mut out, servers, clients);
        for (number, report) in self.connections.iter().enumerate() {
            connection(&mut out, number, report);
        }
        listed(&mut out, servers, clients);
        out.markup("</main>\n");
        html::page(Language::English, &self.title(servers, clients), &out)
    }

    fn title(&self, servers: &[ServerSummary], clients: &[ClientSummary]) -> String {
        let count = self.connections.iter().map(|it| shown(&it.findings).count()).sum::<usize>()
            + servers.iter().map(|it| it.findings.len()).sum::<usize>()
            + clients.iter().map(|it| it.findings.len()).sum::<usize>();
        match count {
            0 => String::from("No findings in packet captures"),
            1 => String::from("1 finding in packet captures"),
            count => format!("{count} findings in packet captures"),
        }
    }

    /// Writes the findings: those of servers and clients, and those of connections by server.
    fn summary(&self, out: &mut Html, servers: &[ServerSummary], clients: &[ClientSummary]) {
        let mut groups: BTreeMap<String, Vec<(Option<usize>, &Observation)>> = BTreeMap::new();
        for it in servers {
            let findings = it.findings.iter().map(|finding| (None, finding));
            groups.entry(it.server.clone()).or_default().extend(findings);
        }
        for it in clients {
            let findings = it.findings.iter().map(|finding| (None, finding));
            groups.entry(format!("client {}", it.client)).or_default().extend(findings);
        }
        for (number, it) in self.connections.iter().enumerate() {
            let findings = shown(&it.findings).map(|finding| (Some(number), finding));
            groups.entry(it.server_name()).or_default().extend(findings);
        }
        let mut groups: Vec<_> = groups.into_iter().filter(|(_, findings)| !findings.is_empty()).collect();
        groups.sort_by_key(|(_, findings)| {
            std::cmp::Reverse(findings.iter().map(|(_, finding)| finding.severity).max())
        });
        out.markup("<section class=\"summary\">\n<h2>Summary</h2>\n");
        if groups.is_empty() {
            out.markup("<p>No findings.</p>\n");
        }
        out.markup("<ul>\n");
        for (name, mut findings) in groups {
            findings.sort_by_key(|(_, finding)| std::cmp::Reverse(finding.severity));
            out.markup("<li>");
            out.element("strong", &[], &name);
            out.markup("\n<ul>\n");
            for (number, finding) in findings {
                out.markup("<li>");
                severity(out, finding.severity);
                match number {
                    Some(number) => {
                        out.element("a", &[("href", &format_args!("#c{number}"))], &finding.summary);
                    }
                    None => out.text(&finding.summary),
                }
                out.text(" ");
                out.element("code", &[("class", &"id")], finding.id);
                out.markup("</li>\n");
            }
            out.markup("</ul>\n</li>\n");
        }
        out.markup("</ul>\n");
        if self.dropped > 0 {
            out.element(
                "p",
                &[],
                format_args!("{} more connections with findings are not shown", self.dropped),
            );
        }
        out.markup("</section>\n");
    }
}

fn shown(findings: &[Observation]) -> impl Iterator<Item = &Observation> {
    findings.iter().filter(|finding| finding.severity >= Weight::Low)
}

fn worst(findings: &[Observation]) -> Option<Weight> {
    findings.iter().map(|finding| finding.severity).max()
}

fn severity(out: &mut Html, severity: Weight) {
    out.badge(severity.name(), severity.name());
}

fn connection(out: &mut Html, number: usize, report: &ConnectionReport) {
    let facts = &report.facts;
    let anchor = format!("c{number}");
    out.open("section", &[("class", &"endpoint"), ("id", &anchor)]);
    out.markup("\n<h2>");
    out.text(format_args!("{} to {}", report.client, report.server_name()));
    out.markup("</h2>\n<dl class=\"facts\">\n");
    out.fact("Protocol", facts.protocol.map_or("unknown", |it| it.title));
    out.time_fact("Start", &report.start);
    out.fact("TLS", &super::word(&facts.tls));
    out.fact("Seen", &super::word(&facts.seen));
    if let Some(handshake) = &facts.handshake {
        out.fact("Session", &session(handshake).join(", "));
    }
    out.minor_fact("Tunnel", &report.tunnel.join(", "));
    out.minor_fact("Community ID", &report.community_id);
    out.minor_fact("Hints", &report.hints.join("; "));
    out.markup("</dl>\n");
    for finding in shown(&report.findings) {
        article(out, finding);
    }
    let diagram = diagram(report);
    let text = format!("{anchor}-text");
    out.markup("<div class=\"screen\">\n");
    out.append(&diagram.figure(&format!("{anchor}-picture"), &text));
    out.open("details", &[("class", &"transcript"), ("id", &text)]);
    out.markup("<summary>The messages as text</summary>\n");
    out.append(&diagram.list(Some(&text)));
    out.markup("</details>\n</div>\n</section>\n");
}

fn article(out: &mut Html, finding: &Observation) {
    let name = finding.severity.name();
    out.open(
        "article",
        &[("class", &format_args!("finding {name}")), ("data-check", &finding.id), ("data-severity", &name)],
    );
    out.markup("\n<h3>");
    severity(out, finding.severity);
    out.text(format_args!("{} ", finding.summary));
    out.element("code", &[("class", &"id")], finding.id);
    out.markup("</h3>\n");
    out.element("p", &[], format_args!("Certainty: {}", finding.certainty.name()));
    if !finding.evidence.is_empty() {
        out.markup("<ul class=\"details\">\n");
        for clue in &finding.evidence {
            out.markup("<li>");
            out.text(format_args!(
                "packet {}, {} octets {} to {} ",
                clue.packet,
                super::word(&clue.side),
                clue.from,
                clue.to
            ));
            if !clue.text.is_empty() {
                out.element("code", &[("translate", &"no")], &clue.text);
            }
            out.markup("</li>\n");
        }
        out.markup("</ul>\n");
    }
    if let Some(rule) = rule(finding.id) {
        out.markup("<p class=\"fix\"><strong>Fix:</strong> ");
        out.text(rule.fix);
        out.markup("</p>\n<details class=\"why\"><summary>Why it matters</summary>");
        out.element("p", &[], rule.why);
        out.element("p", &[("class", &"spec")], rule.spec);
        out.markup("</details>\n");
    }
    out.markup("</article>\n");
}

/// Writes all servers, and the clients that never encrypted.
fn listed(out: &mut Html, servers: &[ServerSummary], clients: &[ClientSummary]) {
    out.markup("<section class=\"summary\">\n<h2>Servers</h2>\n<ul>\n");
    for it in servers.iter().take(MAX_LISTED) {
        out.markup("<li>");
        out.element("strong", &[], &it.server);
        let protocol = it.protocol.as_deref().unwrap_or("unknown");
        out.element(
            "p",
            &[],
            format_args!(
                "{protocol}: {} connections; the upgrade was offered in {} and not offered in {}; {} were encrypted, \
                 {} readable",
                it.connections, it.offered, it.not_offered, it.encrypted, it.readable
            ),
        );
        out.markup("</li>\n");
    }
    out.markup("</ul>\n");
    more(out, servers.len());
    out.markup("</section>\n");
    let never: Vec<_> = clients.iter().filter(|it| it.encrypted == 0 && it.readable > 0).collect();
    if never.is_empty() {
        return;
    }
    out.markup("<section class=\"summary\">\n<h2>Clients that never encrypted</h2>\n<ul>\n");
    for it in never.iter().take(MAX_LISTED) {
        let text = format!("{}: {} of {} connections readable", it.client, it.readable, it.connections);
        out.element("li", &[], text);
        out.markup("\n");
    }
    out.markup("</ul>\n");
    more(out, never.len());
    out.markup("</section>\n");
}

fn more(out: &mut Html, count: usize) {
    match count.saturating_sub(MAX_LISTED) {
        0 => {}
        more => out.element("p", &[], format_args!("{more} more are in the JSON report")),
    }
}

/// Returns the messages that prove the facts, with the boundary between them. A capture keeps no others.
fn diagram(report: &ConnectionReport) -> Diagram {
    let facts = &report.facts;
    let title = facts.protocol.map_or("unknown protocol", |it| it.title);
    let mut clues: Vec<&Clue> = facts.clues.iter().collect();
    clues.sort_by_key(|clue| (clue.packet, clue.from));
    let is_after = |clue: &&Clue| matches!(clue.kind, ClueKind::AfterTls | ClueKind::CleartextToTls);
    let (after, before): (Vec<&Clue>, Vec<&Clue>) = clues.into_iter().partition(is_after);
    let mut diagram = Diagram {
        title: format!(
            "Evidence of the connection from {} to {}, {title}",
            report.client,
            report.server_name()
        ),
        names: [report.client.clone(), report.server_name()],
        ..Diagram::default()
    };
    let boundary = boundary(facts);
    let is_first = facts.tls == TlsUse::FirstOctet;
    if is_first {
        diagram.rows.extend(boundary.clone());
    }
    add(&mut diagram.rows, report, &before);
    if let (Some(row), false) = (boundary, is_first) {
        let to = diagram.rows.len();
        // One line for each side: all of its octets cross at the same place.
        for side in [Side::Client, Side::Server] {
            let is_beyond = |row: &DiagramRow| {
                matches!(row.content, RowContent::Message { from, .. } if from == side)
                    && row.marks.iter().any(|mark| mark.text == CROSSED)
            };
            let from = diagram.rows.iter().position(is_beyond);
            diagram.crossings.extend(from.map(|from| Crossing { from, to, text: String::from(CROSSED) }));
        }
        diagram.rows.push(row);
    }
    add(&mut diagram.rows, report, &after);
    if facts.tls == TlsUse::Never {
        let text = String::from("the connection stayed in cleartext");
        diagram.rows.push(DiagramRow { content: RowContent::Event(text), ..DiagramRow::default() });
    }
    diagram
}

/// The mark of octets that one side sent beyond its boundary.
const CROSSED: &str = "crossed the boundary";

/// Adds a row for each message. Several clues may refer to one message.
fn add(rows: &mut Vec<DiagramRow>, report: &ConnectionReport, clues: &[&Clue]) {
    let start = rows.len();
    let mut places: Vec<(SideName, u64, u64)> = Vec::new();
    for clue in clues {
        let place = (clue.side, clue.from, clue.to);
        let known = places.iter().position(|known| *known == place);
        let index = known.unwrap_or_else(|| {
            places.push(place);
            rows.push(row(clue));
            places.len() - 1
        });
        let Some(row) = rows.get_mut(start + index) else { continue };
        let mut marks: Vec<String> = match clue.kind {
            ClueKind::ClientBeyond | ClueKind::ServerBeyond => vec![String::from(CROSSED)],
            ClueKind::Login => vec![login(report, clue)],
            _ => Vec::new(),
        };
        let is_proof = |finding: &&Observation| {
            finding.evidence.iter().any(|it| (it.side, it.from, it.to) == (clue.side, clue.from, clue.to))
        };
        marks.extend(shown(&report.findings).filter(is_proof).map(|finding| finding.id.to_owned()));
        for text in marks {
            row.is_evidence = true;
            if row.marks.iter().all(|mark| mark.text != text) {
                row.marks.push(Mark { text, target: None });
            }
        }
    }
}

/// Returns what a reader of the network learns from a login.
fn login(report: &ConnectionReport, clue: &Clue) -> String {
    let login = report.facts.credentials.iter().find(|login| login.packet == clue.packet);
    let what = login.map_or_else(
        || String::from("a login"),
        |login| match &login.user {
            Some(user) => format!("login of {user}"),
            None => format!("login ({})", login.mechanism),
        },
    );
    format!("leaked: {what}")
}

fn row(clue: &Clue) -> DiagramRow {
    let from = match clue.side {
        SideName::Client => Side::Client,
        SideName::Server => Side::Server,
    };
    let mut lines: Vec<String> = clue.text.split_inclusive(r"\r\n").map(str::to_owned).collect();
    if lines.is_empty() {
        lines.push(format!("({} octets, not shown)", clue.to.saturating_sub(clue.from)));
    }
    DiagramRow {
        when: When::Named(format!("packet {}", clue.packet)),
        content: RowContent::Message { from, inside_tls: false, lines, octets: None },
        ..DiagramRow::default()
    }
}

fn boundary(facts: &Facts) -> Option<DiagramRow> {
    let shown = facts.handshake.as_ref();
    if facts.boundary.is_none() && shown.is_none() {
        return None;
    }
    let handshake = match (facts.tls, shown.and_then(|it| it.established)) {
        (TlsUse::Failed | TlsUse::Broken | TlsUse::WrongMode, _) | (_, Some(false)) => {
            HandshakeResult::Failed
        }
        (_, Some(true)) => HandshakeResult::Done,
        (_, None) if shown.is_none() => HandshakeResult::Missing,
        (_, None) => HandshakeResult::Unknown,
    };
    let octets = facts
        .boundary
        .map(|it| format!("cleartext: {} octets of the client, {} of the server", it.client, it.server));
    let mut texts: Vec<String> = octets.into_iter().collect();
    texts.extend(shown.into_iter().flat_map(session));
    let when = match facts.boundary {
        Some(it) => When::Named(format!("packet {}", it.packet)),
        None => When::Unknown,
    };
    Some(DiagramRow {
        when,
        content: RowContent::Boundary { handshake, facts: texts },
        ..DiagramRow::default()
    })
}

/// Returns what is visible of the handshake.
fn session(handshake: &Handshake) -> Vec<String> {
    let suite = handshake.suite.as_ref().map(|suite| suite.name.clone());
    let parts: Vec<String> =
        [handshake.version.clone(), suite, handshake.group.clone()].into_iter().flatten().collect();
    let mut texts = Vec::new();
    if !parts.is_empty() {
        texts.push(parts.join(" · "));
    }
    texts.extend(handshake.sni.as_ref().map(|name| format!("server name {name}")));
    texts.extend(
        handshake
            .alert
            .as_ref()
            .map(|alert| format!("alert of the {}: {}", super::word(&alert.side), alert.name)),
    );
    texts.extend(handshake.certificate.as_ref().map(|certificate| match certificate {
        CertificateView::Visible { subject, .. } => {
            format!("certificate of {}", subject.as_deref().unwrap_or("an unreadable subject"))
        }
        CertificateView::Hidden { why } => format!("certificate hidden ({why})"),
    }));
    texts
}
