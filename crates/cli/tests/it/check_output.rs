//! The output files of `check` and what all formats contain.

use std::os::unix::fs::PermissionsExt;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::check::check;
use crate::support::process::Live;
use crate::support::scripted_server::{Step, server};
use crate::support::{Run, dns_server, starttls};
use crate::{endpoint, lab, schema};

const FORMATS: [(&str, &str); 9] = [
    ("text", "report.txt"),
    ("json", "report.json"),
    ("csv", "report.csv"),
    ("junit", "report.junit.xml"),
    ("sarif", "report.sarif"),
    ("html", "report.html"),
    ("nagios", "report.nagios"),
    ("prometheus", "report.prom"),
    ("testssl-json", "report.testssl.json"),
];

#[test]
fn every_format_says_when_by_what_from_where_and_how() {
    let lab = lab();
    let folder = tempfile::tempdir().unwrap();
    let all = FORMATS.map(|(format, _)| format).join(",");
    let mut command = check(&lab, &["smtp"]);
    command
        .args(["--server-name", "other.example.test", "--format", &all, "--output-dir"])
        .arg(folder.path());
    assert_eq!(Run::of(&mut command).exits(1).stdout, "");
    let read = |name: &str| std::fs::read_to_string(folder.path().join(name)).unwrap();
    let json: Value = serde_json::from_str(&read("report.json")).unwrap();
    schema::fits_in("check.json", &json);
    let started = json["endpoints"][0]["started_at"].as_str().unwrap();
    assert_eq!(json["endpoints"][0]["source"], "127.0.0.1");
    let own = &json["endpoints"][0]["certificate"]["chain"][0];
    for (format, name) in FORMATS {
        let text = read(name);
        for part in [env!("CARGO_PKG_VERSION"), "--server-name", "127.0.0.1", "other.example.test"] {
            assert!(text.contains(part), "{format} has no {part}: {text}");
        }
        let time = match format {
            "prometheus" => starttls_x509::validity::unix(started).unwrap().to_string(),
            // Times have no zone in the schema of JUnit.
            "junit" => started.trim_end_matches('Z').to_owned(),
            _ => started.to_owned(),
        };
        assert!(text.contains(&time), "{format} has no {time}: {text}");
        // Findings about the certificate identify it.
        if ["text", "json", "junit", "sarif", "html"].contains(&format) {
            for key in ["subject", "issuer", "serial", "not_before", "not_after", "sha256", "spki_sha256"] {
                let value = own[key].as_str().unwrap();
                assert!(text.contains(value), "{format} has no {key}, {value}: {text}");
            }
        }
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), FORMATS.len(), "nothing else is left");
}

#[test]
fn several_formats_need_a_folder() {
    let mut command = starttls(["check", "smtp://127.0.0.1:1", "--format", "text,json"]);
    Run::of(&mut command).exits(2).says("--output-dir");
}

/// The old file stays until the report is complete. The new file has the permissions of the old one.
#[test]
fn a_file_is_replaced_as_a_whole_or_not_at_all() {
    let lab = lab();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.html");
    std::fs::write(&file, "the old report").unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o640)).unwrap();
    let to_file = |command: &mut Command| {
        command.args(["--format", "html", "--output"]).arg(&file);
    };
    let slow = format!("smtp://{}", server([Step::Stall]));
    let mut command = check(&lab, &["smtp"]);
    to_file(command.args([&slow, "--timeout", "50s"]));
    let mut live = Live::start(&mut command);
    live.is_told("[1/2]");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "the old report");
    kill(Pid::from_raw(live.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let _ = live.end();
    let old = std::fs::read_to_string(&file).unwrap();
    assert!(old == "the old report" || old.trim_end().ends_with("</html>"), "{old}");
    std::fs::write(&file, "the old report").unwrap();

    let mut command = check(&lab, &["smtp"]);
    to_file(&mut command);
    assert_eq!(Run::of(&mut command).exits(0).stdout, "");
    assert!(std::fs::read_to_string(&file).unwrap().trim_end().ends_with("</html>"));
    assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o640);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");

    // Devices are written directly. A missing folder is an error before any connection.
    let mut command = check(&lab, &["smtp"]);
    Run::of(command.args(["--format", "html", "--output", "/dev/null"])).exits(0);
    let missing = folder.path().join("missing/report.html");
    let mut command = starttls(["check", "smtp://127.0.0.1:1", "--format", "html", "--output"]);
    Run::of(command.arg(&missing)).exits(2).says("cannot write");
}

#[test]
fn results_of_code_scanning_are_at_the_line_of_the_target() {
    let lab = lab();
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("targets.txt");
    std::fs::write(&list, format!("# ours\n\n{}\ngopher://x\n", endpoint(&lab, "pop3").url())).unwrap();
    let place = |arguments: &[&str]| {
        let mut command = check(&lab, &[]);
        command.current_dir(folder.path()).args(["--server-name", "other.example.test", "--format", "sarif"]);
        let run = Run::of(command.args(["--file", "targets.txt"]).args(arguments)).exits(1);
        let log = run.json();
        let notes =
            log["runs"][0]["invocations"][0]["toolExecutionNotifications"].as_array().unwrap().clone();
        assert!(notes[0]["message"]["text"].as_str().unwrap().starts_with("gopher://x: "), "{notes:?}");
        let results = log["runs"][0]["results"].as_array().unwrap();
        let name = results.iter().find(|result| result["ruleId"] == "cert-name").unwrap();
        let place = &name["locations"][0]["physicalLocation"];
        (place["artifactLocation"]["uri"].as_str().unwrap().to_owned(), place["region"]["startLine"].clone())
    };
    assert_eq!(place(&[]), (String::from("targets.txt"), 3.into()));
    assert_eq!(place(&["--sarif-location", "ops/mail.conf"]), (String::from("ops/mail.conf"), 1.into()));
}

#[test]
fn failures_of_dns_are_in_every_report() {
    let resolver = dns_server::server("there.test A 127.0.0.1").to_string();
    let report = |format: &str, code| {
        let arguments = ["check", "gone.test", "--resolver", &resolver, "--format", format];
        Run::of(&mut starttls(arguments)).exits(code).stdout
    };
    let why = "the domain gone.test does not exist";
    let nagios = report("nagios", 2);
    let first = nagios.lines().next().unwrap();
    assert!(first.starts_with("STARTTLS CRITICAL: ") && first.contains(why), "{nagios}");
    let junit = report("junit", 3);
    let document = roxmltree::Document::parse(&junit).unwrap();
    let error = document.descendants().find(|node| node.has_tag_name("error")).unwrap();
    assert_eq!(error.attribute("message"), Some(why));
    assert_eq!(error.parent().unwrap().attribute("name"), Some("gone.test"));
    for format in ["text", "json", "csv", "sarif", "html", "prometheus"] {
        assert!(report(format, 3).contains(why), "{format}");
    }
}

#[test]
fn days_until_a_finding_and_conversations_are_chosen() {
    let lab = lab();
    let report = |arguments: &[&str], code| {
        let mut command = check(&lab, &["pop3"]);
        let report = Run::of(command.args(["--format", "json"]).args(arguments)).exits(code).json();
        schema::fits_in("check.json", &report);
        report["endpoints"][0].clone()
    };
    let expiry = |endpoint: &Value| {
        let findings = endpoint["findings"].as_array().unwrap();
        findings.iter().find(|it| it["id"] == "cert-expiry").unwrap()["outcome"].clone()
    };
    // The lab's certificate is valid for a month.
    let with = report(&["--expiry-warning", "60"], 1);
    assert_eq!(expiry(&with), "warning");
    let has_evidence = |it: &Value| it["evidence"] != Value::Array(Vec::new());
    assert!(with["findings"].as_array().unwrap().iter().any(has_evidence));
    let without = report(&["--expiry-warning", "3", "--no-transcripts"], 0);
    assert_eq!(expiry(&without), "pass");
    assert_eq!(without["transcripts"], Value::Array(Vec::new()));
    let findings = without["findings"].as_array().unwrap();
    assert!(!findings.iter().any(has_evidence));
}

/// Evidence of binary protocols is decoded as in `connect`, next to the bytes.
#[test]
fn binary_protocols_are_decoded_in_evidence() {
    let lab = lab();
    for (scheme, word) in [("ldap", "ExtendedRe"), ("mysql", "greeting: version"), ("postgres", "SSLRequest")]
    {
        let report = Run::of(check(&lab, &[scheme]).args(["--format", "json"])).exits(0).json();
        let entries = report["endpoints"][0]["transcripts"][0]["entries"].as_array().unwrap();
        let decoded = entries.iter().filter_map(|entry| entry["decoded"].as_str()).collect::<Vec<_>>();
        assert!(decoded.iter().any(|it| it.contains(word)), "{scheme}: {entries:?}");
    }
}
