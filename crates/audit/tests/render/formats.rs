//! The requirements of each format.

use serde_json::Value;
use starttls_audit::check::CHECKS;
use starttls_audit::render::{json, junit, nagios, prometheus, sarif};
use starttls_audit::report::{EndpointReport, EndpointVerdict, Severity};

use crate::sample;

#[test]
fn json_reads_back_as_one_object_and_as_lines() {
    let report = sample::all();
    assert_eq!(json::read(&json::render(&report)).unwrap(), report);
    let line = |endpoint| json::line(&(&report).into(), "smtp://mail.example.com", endpoint);
    let lines: String = report.endpoints.iter().map(line).collect();
    assert_eq!(lines.lines().count(), 3);
    assert_eq!(json::read(&lines).unwrap().endpoints, report.endpoints);
    let cut = &lines[..lines.len() - 20];
    assert_eq!(json::read(cut).unwrap().endpoints, report.endpoints[..2]);
    json::read("").unwrap_err();
    json::read("{\"schema_version\": 1}").unwrap_err();
    let sound = sample::sound();
    json::read(&format!("{}nonsense\n{0}", line(&sound))).unwrap_err();
    let remark = json::remark(&json::Remark {
        schema_version: 1,
        run: (&report).into(),
        asked: String::from("gopher://x"),
        target_line: Some(3),
        lookups: Vec::new(),
        error: Some(String::from("no protocol is called \"gopher\"")),
        exit_code: Some(2),
    });
    let read = json::read(&(remark + &lines)).unwrap();
    assert_eq!(read.endpoints, report.endpoints);
    assert_eq!((read.unaudited[0].asked.as_str(), read.unaudited[0].target_line), ("gopher://x", Some(3)));
    assert_eq!((read.generator, read.options), (report.generator.clone(), report.options.clone()));
    // If an endpoint was audited twice, the last audit counts.
    let mut again = sample::wrong();
    again.findings.clear();
    let read = json::read(&(lines.clone() + &line(&again))).unwrap();
    assert_eq!((read.endpoints.len(), &read.endpoints[1]), (3, &again));
}

#[test]
fn errors_of_a_json_file_name_the_line() {
    let report = sample::all();
    let line = json::line(&(&report).into(), "smtp://mail.example.com", &sample::sound());
    let pretty = json::render(&report);
    let cut = &pretty[..pretty.len() - 100];
    let last = cut.lines().count();
    for (text, expected) in [
        (String::new(), String::from("the file is empty")),
        (String::from("\n[package]\n"), String::from("line 2 is not JSON")),
        (String::from("{\"a\": 1}"), String::from("line 1 is JSON, but not a report")),
        (format!("{line}{{}}\n"), String::from("line 2 is JSON, but not a report")),
        (format!("{line}\n{line}nonsense\n{line}"), String::from("line 4 is not JSON")),
        (format!("{line}{}\n{line}", &line[..50]), String::from("line 2 is truncated")),
        (cut.to_owned(), format!("line {last} is truncated")),
    ] {
        let error = json::read(&text).unwrap_err().to_string();
        assert!(error.starts_with(&expected), "{expected}: {error}");
        assert!(!error.contains("column") && !error.contains("EOF"), "{error}");
    }
}

#[test]
fn junit_is_well_formed_and_its_counts_are_correct() {
    for (fail_on, failures) in [(Severity::Warning, 3), (Severity::Error, 2), (Severity::Critical, 1)] {
        let xml = junit::render(&sample::all(), fail_on);
        let document = roxmltree::Document::parse(&xml).unwrap();
        let count = |name: &str| document.descendants().filter(|node| node.has_tag_name(name)).count();
        let root = document.root_element();
        let said = |name: &str| root.attribute(name).unwrap().parse::<usize>().unwrap();
        assert_eq!(root.tag_name().name(), "testsuites");
        assert_eq!(said("failures"), failures);
        let counted = ["testcase", "failure", "error", "skipped"].map(count);
        assert_eq!(counted, ["tests", "failures", "errors", "skipped"].map(said));
        for suite in root.children().filter(roxmltree::Node::is_element) {
            let inside = |name: &str| suite.descendants().filter(|node| node.has_tag_name(name)).count();
            let said = |name: &str| suite.attribute(name).unwrap().parse::<usize>().unwrap();
            let counted = ["testcase", "failure", "error", "skipped"].map(inside);
            assert_eq!(counted, ["tests", "failures", "errors", "skipped"].map(said));
        }
    }
}

#[test]
fn sarif_has_what_the_specification_requires() {
    let log: Value = serde_json::from_str(&sarif::render(&sample::all(), None)).unwrap();
    assert_eq!(log["version"], "2.1.0");
    let run = &log["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    assert!(run["tool"]["driver"]["name"].is_string());
    assert_eq!(rules.len(), CHECKS.len());
    for rule in rules {
        assert!(rule["id"].is_string() && rule["shortDescription"]["text"].is_string());
    }
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 3);
    for result in results {
        let index = usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap();
        assert_eq!(rules[index]["id"], result["ruleId"]);
        assert!(["none", "note", "warning", "error"].map(Value::from).contains(&result["level"]));
        assert!(!result["message"]["text"].as_str().unwrap().is_empty());
        assert!(result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"].is_string());
    }
    let invocation = &run["invocations"][0];
    assert_eq!(invocation["executionSuccessful"], false, "one endpoint could not be audited");
    assert_eq!(invocation["toolExecutionNotifications"].as_array().unwrap().len(), 1);
    let sound: Value =
        serde_json::from_str(&sarif::render(&sample::report(vec![sample::sound()]), None)).unwrap();
    assert_eq!(sound["runs"][0]["invocations"][0]["executionSuccessful"], true);
    assert_eq!(sound["runs"][0]["results"], Value::Array(Vec::new()), "no results is an empty list");
}

/// The requirements of GitHub code scanning: relative paths with a line, rules with a level, and a fingerprint for each
/// result that differs between two addresses of a server.
#[test]
fn sarif_is_what_github_accepts() {
    let at = |report: &_, file| serde_json::from_str::<Value>(&sarif::render(report, file)).unwrap();
    let mut report = sample::all();
    let other = EndpointReport { address: Some("192.0.2.9:587".to_owned()), ..sample::wrong() };
    report.endpoints.push(other);
    report.target_list = Some("ops/targets.txt".to_owned());
    for (index, endpoint) in report.endpoints.iter_mut().enumerate().skip(1) {
        endpoint.target_line = Some(index + 10);
    }
    let log = at(&report, None);
    let run = &log["runs"][0];
    assert_eq!(run["automationDetails"]["id"], "starttls-check/");
    for rule in run["tool"]["driver"]["rules"].as_array().unwrap() {
        for text in ["/shortDescription/text", "/fullDescription/text", "/help/text", "/name", "/id"] {
            let text = rule.pointer(text).and_then(Value::as_str).unwrap();
            assert!(!text.is_empty() && text.len() <= 1024, "{text}");
        }
        assert!(rule["properties"]["security-severity"].as_str().unwrap().parse::<f64>().is_ok());
    }
    let mut fingerprints: Vec<_> = Vec::new();
    for result in run["results"].as_array().unwrap() {
        fingerprints.push(result["partialFingerprints"]["primaryLocationLineHash"].as_str().unwrap());
        assert_eq!(result["locations"].as_array().unwrap().len(), 1);
        let place = &result["locations"][0]["physicalLocation"];
        assert_eq!(place["artifactLocation"]["uri"], "ops/targets.txt");
        assert!([11, 13].map(Value::from).contains(&place["region"]["startLine"]), "{place}");
    }
    assert_eq!(fingerprints.len(), 6);
    fingerprints.sort_unstable();
    fingerprints.dedup();
    assert_eq!(fingerprints.len(), 6, "each result has its own fingerprint");

    let first = |log: &Value| {
        log.pointer("/runs/0/results/0/locations/0/physicalLocation/artifactLocation/uri").unwrap().clone()
    };
    assert_eq!(first(&at(&report, Some("src/mail.conf"))), "src/mail.conf");
    report.target_list = None;
    assert_eq!(first(&at(&report, None)), "endpoints/submission/mail.example.com");
    report.baseline = Some("audit/baseline.json".to_owned());
    assert_eq!(first(&at(&report, None)), "audit/baseline.json");
}

#[test]
fn nagios_states_follow_thresholds_and_verdicts() {
    let code = |days: i64, warning_days, critical_days| {
        let mut endpoint = sample::sound();
        endpoint.certificate.as_mut().unwrap().expires.as_mut().unwrap().days_left = days;
        let thresholds = nagios::Thresholds { warning_days, critical_days };
        nagios::state(&sample::report(vec![endpoint]), thresholds).code()
    };
    assert_eq!([code(31, 30, 10), code(30, 30, 10), code(29, 30, 10)], [0, 0, 1]);
    assert_eq!([code(10, 30, 10), code(9, 30, 10), code(-1, 30, 10)], [1, 2, 2]);
    let outcome = |outcome| {
        let endpoint = starttls_audit::report::EndpointReport { outcome, ..sample::throttled() };
        nagios::state(&sample::report(vec![endpoint]), nagios::Thresholds::default()).code()
    };
    for critical in [
        EndpointVerdict::Declined,
        EndpointVerdict::Unreachable,
        EndpointVerdict::TlsFailed,
        EndpointVerdict::Violation,
        EndpointVerdict::WrongPort,
    ] {
        assert_eq!(outcome(critical), 2);
    }
    assert_eq!(outcome(EndpointVerdict::Inconclusive), 3);
    assert_eq!(nagios::state(&sample::report(Vec::new()), nagios::Thresholds::default()).code(), 3);
    let headline = nagios::render(&sample::report(vec![sample::wrong()]), nagios::Thresholds::default());
    assert!(
        headline
            .starts_with("STARTTLS CRITICAL: submission://mail.example.com: the server answered a cleartext")
    );
    // The thresholds decide on the remaining days, not the finding.
    let mut expiring = sample::wrong();
    expiring.findings.retain(|finding| finding.id == "cert-expiry");
    let lenient = nagios::Thresholds { warning_days: 3, critical_days: 1 };
    assert_eq!(nagios::state(&sample::report(vec![expiring]), lenient).code(), 0);
}

#[test]
fn prometheus_groups_families_and_exports_dates_of_unverified_certificates() {
    let metrics = prometheus::render(&sample::all());
    let mut families = Vec::new();
    let mut current = "";
    for line in metrics.lines() {
        if let Some(help) = line.strip_prefix("# HELP ") {
            current = help.split(' ').next().unwrap();
            assert!(!families.contains(&current), "{current} exists twice");
            families.push(current);
        } else if !line.starts_with('#') {
            assert_eq!(line.split('{').next().unwrap(), current);
            line.rsplit(' ').next().unwrap().parse::<f64>().unwrap();
        }
    }
    for name in ["probe_success", "probe_duration_seconds", "probe_tls_version_info", "starttls_finding"] {
        assert!(families.contains(&name), "{name} is missing");
    }
    let of_wrong = |name: &str| {
        metrics.lines().any(|line| line.starts_with(&format!("{name}{{target=\"submission://mail")))
    };
    assert!(of_wrong("probe_ssl_earliest_cert_expiry"));
    assert!(!of_wrong("probe_ssl_last_chain_expiry_timestamp_seconds"), "the chain is not verified");
}

/// RFC 7505: a domain that accepts no mail is OK, and the report contains the reason why it has no endpoint.
#[test]
fn the_first_line_names_a_domain_that_accepts_no_mail() {
    let null_mx = "example.com MX: null MX, the domain takes no mail (RFC 7505)";
    let mut report = sample::report(Vec::new());
    report.lookups.push(null_mx.to_owned());
    let thresholds = nagios::Thresholds::default();
    let text = nagios::render(&report, thresholds);
    let first = text.lines().next().unwrap();
    assert!(first.starts_with("STARTTLS OK") && first.contains("takes no mail"), "{first}");
    assert_eq!(nagios::state(&report, thresholds), nagios::State::Ok);
    let suites = junit::render(&report, Severity::Warning);
    assert!(suites.contains("takes no mail") && !suites.contains("<error"), "{suites}");

    // Without an answer of DNS the state is unknown.
    report.lookups.clear();
    let text = nagios::render(&report, thresholds);
    assert!(text.starts_with("STARTTLS UNKNOWN"), "{text}");
    assert!(junit::render(&report, Severity::Warning).contains("no endpoints to audit"));
}
