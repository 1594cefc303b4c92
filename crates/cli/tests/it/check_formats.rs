//! Each `--format` of `check`, parsed as its consumers parse it.

use crate::check::check;
use crate::lab;
use crate::schema;
use crate::support::Run;

/// Returns a report with findings.
fn report(format: &str, code: i32) -> String {
    let lab = lab();
    let mut command = check(&lab, &["smtp", "imap"]);
    Run::of(command.args(["--server-name", "other.example.test", "--format", format])).exits(code).stdout
}

#[test]
fn json_fits_its_schema() {
    let lab = lab();
    let run = Run::of(check(&lab, &["smtp"]).args(["--format", "json"])).exits(0);
    let report = run.json();
    schema::fits_in("check.json", &report);
    assert_eq!(report["endpoints"][0]["outcome"], "sound");
    let lines = report_lines();
    assert_eq!(lines.len(), 2);
    for line in lines {
        schema::fits_in("check-line.json", &line);
        assert_eq!(line["outcome"], "findings");
        assert_eq!(line["asked"], line["target"]);
    }
}

fn report_lines() -> Vec<serde_json::Value> {
    report("json", 1).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn nagios_has_exit_codes_of_its_own() {
    let lab = lab();
    let plugin = |arguments: &[&str], code| {
        let mut command = check(&lab, &["smtp"]);
        let run = Run::of(command.args(["--format", "nagios"]).args(arguments)).exits(code);
        assert_eq!(run.stderr, "");
        run.stdout
    };
    // The lab's certificate is valid for less than 30 days.
    assert!(plugin(&["--warning-days", "10"], 0).starts_with("STARTTLS OK: "));
    assert!(plugin(&["--warning-days", "60"], 1).starts_with("STARTTLS WARNING: "));
    assert!(plugin(&["--warning-days", "90", "--critical-days", "60"], 2).starts_with("STARTTLS CRITICAL: "));
    let wrong = plugin(&["--warning-days", "10", "--server-name", "other.example.test"], 2);
    assert!(wrong.contains("[cert-name]") && wrong.contains('|'), "{wrong}");
    assert!(plugin(&["--max-connections", "3", "--warning-days", "10"], 3).starts_with("STARTTLS UNKNOWN: "));
    // Wrong usage is UNKNOWN (3), not CRITICAL.
    let mut mistaken = crate::starttls(["check", "gopher://mail.example.com", "--format", "nagios"]);
    assert!(Run::of(&mut mistaken).exits(3).stdout.starts_with("STARTTLS UNKNOWN: unknown protocol"));
}

#[test]
fn prometheus_reads_every_line() {
    let text = report("prometheus", 1);
    let mut samples = 0;
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let (series, value) = line.rsplit_once(' ').unwrap();
        value.parse::<f64>().unwrap();
        let (name, labels) = series.split_once('{').unwrap();
        assert!(name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{line}");
        assert!(labels.ends_with("\"}"), "{line}");
        samples += 1;
    }
    assert!(samples > 10 && text.contains("cert-name"), "{text}");
}

#[test]
fn junit_and_sarif_are_well_formed_and_have_the_findings() {
    let xml = report("junit", 1);
    let document = roxmltree::Document::parse(&xml).unwrap();
    let failed = document.descendants().filter(|node| node.has_tag_name("failure"));
    let failed: Vec<_> = failed.map(|node| node.parent().unwrap().attribute("name").unwrap()).collect();
    assert!(failed.contains(&"cert-name"), "{failed:?}");

    let log: serde_json::Value = serde_json::from_str(&report("sarif", 1)).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let results = log["runs"][0]["results"].as_array().unwrap();
    assert!(results.iter().any(|result| result["ruleId"] == "cert-name"), "{results:?}");
}

#[test]
fn html_has_the_findings_and_loads_nothing() {
    let page = report("html", 1);
    assert!(page.starts_with("<!DOCTYPE html>") && page.trim_end().ends_with("</html>"));
    assert!(page.contains("cert-name") && page.contains("srv-inject-eager"));
    for word in ["<link", " src=", "@import", "url("] {
        assert!(!page.contains(word), "{word} would be loaded");
    }
}
