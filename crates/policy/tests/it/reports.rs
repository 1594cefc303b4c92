//! TLSRPT reports as organizations send them, and files that are not what they seem.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use starttls_policy::tlsrpt::{ReportSummary, parse_report, reports_in};

const REPORT: &str = r#"{
  "organization-name": "Company-X",
  "date-range": {"start-datetime": "2026-04-01T00:00:00Z", "end-datetime": "2026-04-01T23:59:59Z"},
  "contact-info": "sts-reporting@company-x.example",
  "report-id": "5065427c-23d3",
  "policies": [{
    "policy": {"policy-type": "sts", "policy-string": ["version: STSv1"], "policy-domain": "Company-Y.example",
               "mx-host": ["*.mail.company-y.example"]},
    "summary": {"total-successful-session-count": 5326, "total-failure-session-count": 303},
    "failure-details": [
      {"result-type": "certificate-expired", "sending-mta-ip": "2001:db8::1",
       "receiving-mx-hostname": "mx1.mail.company-y.example", "failed-session-count": 100},
      {"result-type": "validation-failure", "receiving-ip": "198.51.100.58", "failed-session-count": 203,
       "failure-reason-code": "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED"}
    ]
  }]
}"#;

fn gzip(octets: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    encoder.write_all(octets).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn a_report_is_read() {
    let report = parse_report(REPORT.as_bytes()).unwrap();
    assert_eq!((report.organization.as_str(), report.id.as_str()), ("Company-X", "5065427c-23d3"));
    assert_eq!(report.days, ("2026-04-01".into(), "2026-04-01".into()));
    let policy = &report.policies[0];
    assert_eq!((policy.kind.as_str(), policy.domain.as_str()), ("sts", "company-y.example"));
    assert_eq!((policy.successful, policy.failed), (5326, 303));
    assert_eq!(policy.failures[0].result, "certificate-expired");
    assert_eq!(policy.failures[1].receiver_address, "198.51.100.58");
    assert_eq!(policy.failures[1].reason, "X509_V_ERR_PROXY_PATH_LENGTH_EXCEEDED");
}

/// Each deviation has been seen in reports of large mail providers or is tolerated by other readers.
#[test]
fn deviations_are_accepted() {
    for (name, from, to) in [
        ("contact is null", "\"sts-reporting@company-x.example\"", "null"),
        ("mx-host is a text", "[\"*.mail.company-y.example\"]", "\"*.mail.company-y.example\""),
        ("numbers are texts", "5326", "\"5326\""),
        ("time without zone", "2026-04-01T00:00:00Z", "2026-04-01T00:00:00"),
        ("byte order mark", "{\n  \"org", "\u{feff}{\n  \"org"),
        ("unknown field", "\"report-id\"", "\"x\": [1], \"report-id\""),
    ] {
        let text = REPORT.replacen(from, to, 1);
        assert_ne!(text, REPORT, "{name}");
        let report = parse_report(text.as_bytes()).unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!((report.policies[0].successful, report.policies[0].failures.len()), (5326, 2), "{name}");
        assert_eq!(report.days.0, "2026-04-01", "{name}");
    }
    let sparse = r#"{"policies": [{"policy": {"policy-type": "no-policy-found"},
        "summary": {"total-failure-session-count": 0}, "failure-details": null}]}"#;
    let report = parse_report(sparse.as_bytes()).unwrap();
    assert_eq!((report.policies[0].kind.as_str(), report.policies[0].failed), ("no-policy-found", 0));
    assert_eq!(report.policies[0].failures, []);
}

#[test]
fn texts_that_are_no_reports_are_refused() {
    for (text, part) in [
        ("", "invalid JSON"),
        ("[]", "expected a JSON object"),
        ("{}", "policies is missing"),
        ("{\"policies\": [", "invalid JSON"),
    ] {
        assert!(parse_report(text.as_bytes()).is_err_and(|it| it.contains(part)), "{text}");
    }
    let deep = "[".repeat(100_000);
    assert!(parse_report(deep.as_bytes()).is_err());
}

#[test]
fn long_lists_are_bounded() {
    let entry = r#"{"policy": {"policy-type": "sts"}, "summary": {}}"#;
    let text = format!("{{\"policies\": [{}]}}", vec![entry; 10_005].join(","));
    let report = parse_report(text.as_bytes()).unwrap();
    assert_eq!((report.policies.len(), report.left_out), (10_000, 5));
    let long = REPORT.replace("Company-X", &format!("x\u{1b}[31m{}", "y".repeat(9000)));
    let report = parse_report(long.replace('\u{1b}', "\\u001b").as_bytes()).unwrap();
    assert!(report.organization.chars().count() <= 500 && !report.organization.contains('\u{1b}'));
}

fn mail(attachment: &str) -> String {
    format!(
        "From: reports@company-x.example\r\nSubject: Report Domain: company-y.example\r\nContent-Type: \
         multipart/report;\r\n report-type=\"tlsrpt\"; boundary=\"b1\"\r\n\r\npreamble\r\n--b1\r\n\
         Content-Type: text/plain\r\n\r\nThis is a report.\r\n--b1\r\n{attachment}\r\n--b1--\r\n"
    )
}

fn attached(kind: &str, name: &str, content: &[u8]) -> String {
    let encoded = data_encoding::BASE64.encode(content);
    let lines: Vec<&str> = encoded.as_bytes().chunks(76).map(|it| std::str::from_utf8(it).unwrap()).collect();
    format!(
        "Content-Type: {kind}\r\nContent-Disposition: attachment; filename=\"{name}\"\r\n\
         Content-Transfer-Encoding: base64\r\n\r\n{}",
        lines.join("\r\n")
    )
}

#[test]
fn reports_are_found_in_every_container() {
    let zipped = gzip(REPORT.as_bytes());
    let name = "company-x.example!company-y.example!1!2.json.gz";
    let typed = mail(&attached("application/tlsrpt+gzip", name, &zipped));
    let mbox =
        format!("From a@b\n{}\n\nFrom c@d\n{}", typed.replace("\r\n", "\n"), typed.replace("\r\n", "\n"));
    let outer =
        format!("Content-Type: multipart/mixed; boundary=outer\r\n\r\n--outer\r\n{typed}\r\n--outer--\r\n");
    let quoted =
        REPORT.replace('=', "=3D").replace("sts-reporting", "sts-=\r\nreporting").replace('"', "=22");
    for (what, file, count) in [
        ("JSON", REPORT.as_bytes().to_vec(), 1),
        ("gzip", zipped.clone(), 1),
        ("gzip of two members", [gzip(&REPORT.as_bytes()[..100]), gzip(&REPORT.as_bytes()[100..])].concat(), 1),
        ("typed mail", typed.clone().into_bytes(), 1),
        ("mail with LF", typed.replace("\r\n", "\n").into_bytes(), 1),
        ("mail with a generic type", mail(&attached("application/octet-stream", name, &zipped)).into_bytes(), 1),
        ("mail with JSON", mail(&attached("application/tlsrpt+json", "x", REPORT.as_bytes())).into_bytes(), 1),
        ("mail in a mail", outer.into_bytes(), 1),
        ("mail without the last boundary", typed.replace("--b1--\r\n", "").into_bytes(), 1),
        (
            "quoted-printable",
            mail(&format!(
                "Content-Type: application/tlsrpt+json\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n{quoted}"
            ))
            .into_bytes(),
            1,
        ),
        ("mbox", mbox.into_bytes(), 2),
    ] {
        let found = reports_in(&file);
        assert_eq!(found.len(), count, "{what}: {found:?}");
        for json in found {
            let report = parse_report(&json.unwrap_or_else(|error| panic!("{what}: {error}"))).unwrap();
            assert_eq!(report.policies[0].failed, 303, "{what}");
        }
    }
}

#[test]
fn files_without_a_report_are_named() {
    let (zipped, zeros) = (gzip(REPORT.as_bytes()), vec![b' '; 40 << 20]);
    let bomb = gzip(&zeros);
    assert!(bomb.len() < 100_000);
    for (what, file, part) in [
        ("a bomb", bomb.clone(), "expands to more than"),
        ("a bomb in a bomb", gzip(&bomb), "gzip"),
        (
            "a bomb in a mail",
            mail(&attached("application/gzip", "x.gz", &bomb)).into_bytes(),
            "expands to more than",
        ),
        ("cut gzip", zipped[..zipped.len() / 2].to_vec(), "invalid gzip"),
        ("text", b"hello".to_vec(), "contains no report"),
        ("nothing", Vec::new(), "contains no report"),
        (
            "a mail without report",
            mail("Content-Type: text/plain\r\n\r\nx").into_bytes(),
            "contains no report",
        ),
        (
            "a picture",
            mail(&attached("application/gzip", "x.gz", b"\x89PNG")).into_bytes(),
            "neither gzip nor JSON",
        ),
        ("no boundary", b"Content-Type: multipart/report\r\n\r\nx".to_vec(), "no boundary"),
        ("parts in parts", nested(20), "too many levels"),
    ] {
        let problems: Vec<String> = reports_in(&file)
            .into_iter()
            .filter_map(|it| it.and_then(|json| parse_report(&json).map(drop)).err())
            .collect();
        // A gzip file in a gzip file is not JSON.
        let part = if what == "a bomb in a bomb" { "invalid JSON" } else { part };
        assert!(problems.iter().any(|it| it.contains(part)), "{what}: {problems:?}");
    }
}

fn nested(levels: usize) -> Vec<u8> {
    let open = |level| format!("Content-Type: multipart/mixed; boundary=b{level}x\n\n--b{level}x\n");
    (0..levels).map(open).collect::<String>().into_bytes()
}

#[test]
fn reports_are_added_up_once() {
    let report = parse_report(REPORT.as_bytes()).unwrap();
    let mut other = report.clone();
    other.id = String::from("other");
    other.days = (String::from("2026-04-02"), String::from("2026-04-02"));
    let mut sum = ReportSummary::default();
    for report in [&report, &other, &report] {
        sum.add(report);
    }
    assert_eq!((sum.reports, sum.duplicates, sum.successful(), sum.failed()), (2, 1, 2 * 5326, 2 * 303));
    assert_eq!((sum.first_day.as_str(), sum.last_day.as_str()), ("2026-04-01", "2026-04-02"));
    let policy = &sum.policies[&("company-y.example".into(), "sts".into())];
    assert_eq!(policy.failures.values().map(|it| it.sessions).sum::<u64>(), 2 * 303);
    let mut huge = report.clone();
    huge.id = String::from("huge");
    huge.policies[0].failed = u64::MAX;
    sum.add(&huge);
    assert_eq!(sum.failed(), u64::MAX);
}

proptest! {
    #[test]
    fn no_file_panics(file in proptest::collection::vec(any::<u8>(), 0..300)) {
        for json in reports_in(&file).into_iter().flatten() {
            let _ = parse_report(&json);
        }
    }

    #[test]
    fn no_mail_panics(text in "(Content-Type|From|x)(: |;|=|\")(multipart/x|a)(; boundary=b|\\n|\\r\\n){0,4}(--b|=|\\n){0,9}") {
        let _ = reports_in(text.as_bytes());
    }
}
