//! The output of each renderer for the samples.

use starttls_audit::render::{csv, json, junit, nagios, prometheus, sarif, testssl, text};
use starttls_audit::report::Severity;

use crate::sample;

#[test]
fn text_for_people() {
    insta::assert_snapshot!(text::render(&sample::all(), text::Style::default()));
}

#[test]
fn text_in_colour_and_in_full() {
    let style = text::Style { palette: text::Palette::TERMINAL, verbose: true, width: None };
    let coloured = text::render(&sample::report(vec![sample::wrong()]), style);
    insta::assert_snapshot!(coloured.replace('\x1b', "ESC"));
}

#[test]
fn one_json_line() {
    insta::assert_snapshot!(json::line(
        &(&sample::all()).into(),
        "imap://mail.example.com",
        &sample::throttled()
    ));
}

#[test]
fn text_on_a_narrow_terminal_with_a_baseline() {
    let mut report = sample::all();
    report.endpoints.remove(0);
    report.endpoints[0].findings.iter_mut().filter(|it| it.id == "cert-name").for_each(|it| it.known = true);
    report.unaudited.push(sample::unaudited());
    let style = text::Style { width: Some(60), ..text::Style::default() };
    let text = text::render(&report, style);
    assert!(text.lines().all(|line| line.chars().count() <= 60), "{text}");
    insta::assert_snapshot!(text);
}

#[test]
fn csv_rows() {
    let mut report = sample::report(vec![sample::throttled()]);
    report.unaudited.push(sample::unaudited());
    insta::assert_snapshot!(csv::render(&report));
}

#[test]
fn junit_for_build_servers() {
    insta::assert_snapshot!(junit::render(&sample::all(), Severity::Warning));
}

#[test]
fn sarif_results() {
    let log: serde_json::Value = serde_json::from_str(&sarif::render(&sample::all(), None)).unwrap();
    let mut run = log["runs"][0].clone();
    run["tool"]["driver"]["rules"] = "the table of checks".into();
    insta::assert_snapshot!(serde_json::to_string_pretty(&run).unwrap());
}

#[test]
fn testssl_json_facts() {
    let mut report = sample::all();
    report.unaudited.push(sample::unaudited());
    insta::assert_snapshot!(testssl::render(&report));
}

#[test]
fn nagios_plugin_output() {
    let thresholds = nagios::Thresholds::default();
    let single = |endpoint| nagios::render(&sample::report(vec![endpoint]), thresholds);
    let outputs = [
        single(sample::sound()),
        single(sample::wrong()),
        single(sample::throttled()),
        nagios::render(&sample::all(), thresholds),
    ];
    insta::assert_snapshot!(outputs.join("\n"));
}

#[test]
fn prometheus_metrics() {
    insta::assert_snapshot!(prometheus::render(&sample::all()));
}
