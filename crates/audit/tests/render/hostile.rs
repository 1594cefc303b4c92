//! Hostile text in every field of a report, through every renderer.

use std::collections::BTreeMap;

use serde_json::Value;
use starttls_audit::render::{csv, html, json, junit, nagios, prometheus, sarif, testssl, text};
use starttls_audit::report::{AuditReport, Severity};
use starttls_report::Language;

use crate::sample;

const HOSTILE: &str = "<script>alert(1)</script>]]>--><img src=http://evil.example/ onerror='x'>\"'`$(id)|\
    \x1b[31m\u{9b}1m\x07\0\r\n# injected 1\n\u{202e}\u{2028}\u{fffe}&amp;\\\"} 1\\n[a](http://evil.example)\u{e0041}";

/// Returns the samples with every text replaced, except the values of enums.
pub(crate) fn hostile() -> AuditReport {
    fn poison(value: &mut Value, key: &str) {
        match value {
            Value::String(text) if !["outcome", "severity", "kind"].contains(&key) => {
                HOSTILE.clone_into(text)
            }
            Value::Array(list) => list.iter_mut().for_each(|each| poison(each, key)),
            Value::Object(map) => map.iter_mut().for_each(|(key, each)| poison(each, key)),
            _ => {}
        }
    }
    let mut report = sample::all();
    report.unaudited.push(sample::unaudited());
    let mut value = serde_json::to_value(report).unwrap();
    poison(&mut value, "");
    serde_json::from_value(value).unwrap()
}

fn renderings() -> BTreeMap<&'static str, String> {
    let report = hostile();
    BTreeMap::from([
        ("text", text::render(&report, text::Style { verbose: true, ..text::Style::default() })),
        ("json", json::render(&report)),
        ("csv", csv::render(&report).replace("\r\n", "\n")),
        ("testssl", testssl::render(&report)),
        ("junit", junit::render(&report, Severity::Warning)),
        ("sarif", sarif::render(&report, None)),
        ("html", html::render(&report, Language::English)),
        ("nagios", nagios::render(&report, nagios::Thresholds::default())),
        ("prometheus", prometheus::render(&report)),
    ])
}

#[test]
fn no_renderer_passes_control_characters_to_a_terminal() {
    for (name, out) in renderings() {
        assert!(out.contains("alert(1)"), "{name} shows the text");
        let bad = out.chars().find(|&c| {
            (c.is_control() && c != '\n') || ['\u{202e}', '\u{2028}', '\u{fffe}', '\u{e0041}'].contains(&c)
        });
        assert_eq!(bad, None, "{name}");
        assert!(!out.lines().any(|line| line.starts_with("# injected")), "{name}: a line feed came through");
    }
}

#[test]
fn text_does_not_become_markup() {
    let out = renderings();
    for name in ["junit", "html"] {
        assert!(!out[name].contains("<script") && !out[name].contains("<img"), "{name}");
        assert!(!out[name].contains("]]>"), "{name}");
    }
    let junit = roxmltree::Document::parse(&out["junit"]).unwrap();
    let known = [
        "testsuites",
        "testsuite",
        "properties",
        "property",
        "testcase",
        "failure",
        "error",
        "skipped",
        "system-out",
    ];
    let elements = junit.descendants().filter(roxmltree::Node::is_element);
    assert!(elements.into_iter().all(|node| known.contains(&node.tag_name().name())));
}

#[test]
fn json_preserves_the_report() {
    let report = hostile();
    assert_eq!(json::read(&json::render(&report)).unwrap(), report);
    for endpoint in &report.endpoints {
        let line = json::line(&(&report).into(), "smtp://mail.example.com", endpoint);
        assert_eq!(line.matches('\n').count(), 1);
        assert_eq!(json::read(&line).unwrap().endpoints, std::slice::from_ref(endpoint));
    }
}

#[test]
fn sarif_messages_contain_no_links_and_targets_are_uris() {
    let log: Value = serde_json::from_str(&renderings()["sarif"]).unwrap();
    for result in log["runs"][0]["results"].as_array().unwrap() {
        let message = result["message"]["text"].as_str().unwrap();
        assert!(message.contains("[a] (http") && !message.contains("]("), "{message}");
        let uri = result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].as_str().unwrap();
        assert!(uri.is_ascii() && !uri.contains(['<', '"', ' ', '\\', '|', '`']), "{uri}");
    }
}

#[test]
fn csv_has_quoted_fields_and_no_formulas() {
    let mut report = hostile();
    for (index, start) in ["=", "+", "-", "@"].into_iter().enumerate() {
        report.endpoints[0].findings[index].summary = format!("{start}HYPERLINK(1)");
    }
    let out = csv::render(&report);
    for line in out.split_terminator("\r\n") {
        let fields: Vec<_> = line.split("\",\"").collect();
        assert_eq!(fields.len(), 15, "{line}");
        assert!(line.starts_with('"') && line.ends_with('"') && !line.contains('\n'), "{line}");
        assert!(
            fields.iter().all(|field| !field.trim_start_matches('"').starts_with(['=', '+', '@'])),
            "{line}"
        );
    }
    assert!(out.contains("\"'=HYPERLINK(1)\"") && out.contains("\"'-HYPERLINK(1)\""));
}

/// Text from a peer is escaped when it enters the report; renderers do not escape it again.
#[test]
fn nothing_is_escaped_twice() {
    let mut report = sample::report(vec![sample::throttled()]);
    report.endpoints[0].summary = starttls::proto::Escaped(b"421 \x1b[31m\"away\" \xff\r\n").to_string();
    let thresholds = nagios::Thresholds::default();
    for (out, expected) in [
        (text::render(&report, text::Style::default()), r#"421 \x1b[31m\"away\" \xff\r\n"#),
        (csv::render(&report), ""),
        (nagios::render(&report, thresholds), r"421 \x1b[31m\x22away\x22 \xff\r\n"),
        (html::render(&report, Language::English), r"421 \x1b[31m\&quot;away\&quot; \xff\r\n"),
        (junit::render(&report, Severity::Warning), r"421 \x1b[31m\&quot;away\&quot; \xff\r\n"),
    ] {
        assert!(out.contains(expected), "{expected}: {out}");
    }
    let log: Value = serde_json::from_str(&sarif::render(&report, None)).unwrap();
    let note = log.pointer("/runs/0/invocations/0/toolExecutionNotifications/0/message/text").unwrap();
    assert!(note.as_str().unwrap().ends_with(r#"421 \x1b[31m\"away\" \xff\r\n"#), "{note}");
}

#[test]
fn nagios_has_one_bar_and_quoted_labels() {
    let out = &renderings()["nagios"];
    assert_eq!(out.matches('|').count(), 1);
    let (status, rest) = out.split_once('|').unwrap();
    assert!(!status.contains(['<', '>', '$', '`', '&', '\n']), "{status}");
    let performance = rest.lines().next().unwrap();
    for measure in performance.split_whitespace() {
        let (label, value) = measure.strip_prefix('\'').unwrap().split_once("'=").unwrap();
        assert!(
            !label.contains(['\'', '=']) && value.starts_with(|c: char| c.is_ascii_digit() || c == '-'),
            "{measure}"
        );
    }
}

#[test]
fn prometheus_lines_are_samples_with_closed_labels() {
    let out = &renderings()["prometheus"];
    for line in out.lines().filter(|line| !line.starts_with("# ")) {
        let (name, mut rest) = line.split_once('{').unwrap();
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || "_0123456789".contains(c)), "{line}");
        loop {
            let (label, value) = rest.split_once("=\"").unwrap();
            assert!(label.chars().all(|c| c.is_ascii_lowercase() || "_0123456789".contains(c)), "{label}");
            let mut escape = false;
            let end = value.find(|c| {
                let ends = c == '"' && !escape;
                escape = c == '\\' && !escape;
                ends
            });
            let end = end.unwrap();
            match value[end + 1..].strip_prefix(',') {
                Some(more) => rest = more,
                None => break assert!(value[end + 1..].starts_with("} "), "{line}"),
            }
        }
    }
}
