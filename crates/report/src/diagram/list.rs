//! The conversation as a list: the client on one side, the server on the other, the boundary across both.

use starttls_proto::Side;

use super::{Diagram, DiagramRow, RowContent, line_end, words};
use crate::Language;
use crate::html::Html;

pub(super) fn list(diagram: &Diagram, anchor: Option<&str>) -> Html {
    let mut out = Html::default();
    out.open("ol", &[("class", &"messages")]);
    out.markup("\n");
    for (index, row) in diagram.rows.iter().enumerate() {
        let crossed = diagram.crossings.iter().filter(|crossing| crossing.to == index);
        entry(&mut out, diagram.language, row, anchor.map(|anchor| format!("{anchor}-{index}")));
        for crossing in crossed {
            out.element("span", &[("class", &"mark")], format_args!("▲ {}", crossing.text));
        }
        out.markup("</li>\n");
    }
    out.close("ol");
    out.markup("\n");
    out
}

fn entry(out: &mut Html, language: Language, row: &DiagramRow, id: Option<String>) {
    let (class, who) = match &row.content {
        RowContent::Message { from, inside_tls, .. } => match (from, inside_tls) {
            (Side::Client, false) => ("client clear", Some(words::CLIENT_CLEARTEXT)),
            (Side::Server, false) => ("server clear", Some(words::SERVER_CLEARTEXT)),
            (Side::Client, true) => ("client inside", Some(words::CLIENT_INSIDE)),
            (Side::Server, true) => ("server inside", Some(words::SERVER_INSIDE)),
        },
        RowContent::Boundary { handshake, .. } if handshake.starts_tls() => {
            ("boundary", Some(handshake.label()))
        }
        RowContent::Boundary { handshake, .. } => ("boundary failed", Some(handshake.label())),
        RowContent::Event(_) => ("event", None),
    };
    let class = format!("{class}{}", if row.is_evidence { " hit" } else { "" });
    match &id {
        Some(id) => out.open("li", &[("class", &class), ("id", id)]),
        None => out.open("li", &[("class", &class)]),
    }
    out.element("span", &[("class", &"when")], &row.when);
    out.markup("<div class=\"said\">");
    if let Some(who) = who {
        out.element("span", &[("class", &"who")], who.of(language));
    }
    content(out, language, &row.content);
    out.markup("</div>");
    for mark in &row.marks {
        match &mark.target {
            Some(target) => {
                out.open("a", &[("class", &"mark"), ("href", &format_args!("#{target}"))]);
                out.text(format_args!("▲ {}", mark.text));
                out.close("a");
            }
            None => out.element("span", &[("class", &"mark")], format_args!("▲ {}", mark.text)),
        }
    }
}

fn content(out: &mut Html, language: Language, content: &RowContent) {
    match content {
        RowContent::Message { lines, octets, .. } => {
            for line in lines {
                let (said, end) = line_end(line);
                out.markup("<code translate=\"no\" lang=\"\">");
                out.text(said);
                if !end.is_empty() {
                    out.element("span", &[("class", &"end")], end);
                }
                out.close("code");
            }
            if let Some(octets) = octets {
                out.element("code", &[("class", &"bytes"), ("translate", &"no"), ("lang", &"")], octets);
            }
        }
        RowContent::Boundary { facts, .. } => {
            for fact in facts {
                out.open("span", &[("class", &"fact")]);
                out.english(language, fact);
                out.close("span");
            }
        }
        RowContent::Event(text) => {
            out.markup("<span>");
            out.english(language, text);
            out.markup("</span>");
        }
    }
}
