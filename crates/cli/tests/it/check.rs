//! `check` and `explain`: the report, the selection of checks, the exit codes.

use std::net::SocketAddr;
use std::process::Command;

use crate::support::scripted_server::{Step, closed, send, server, smtp_answering};
use crate::support::{Run, starttls};
use crate::{endpoint, lab, shows};
use starttls_lab::Lab;

/// Returns `check` for servers of the lab, which trusts the lab's root.
pub(crate) fn check(lab: &Lab, schemes: &[&str]) -> Command {
    let mut command = starttls(["check", "--no-system-roots", "--connect", "127.0.0.1", "--ca-file"]);
    command.arg(lab.ca_file());
    for scheme in schemes {
        command.arg(endpoint(lab, scheme).url());
    }
    command
}

/// Returns `check` for a scripted server.
pub(crate) fn check_at(scheme: &str, address: SocketAddr) -> Command {
    starttls(["check", "--no-system-roots", "--timeout", "20s", &format!("{scheme}://{address}")])
}

#[test]
fn for_people() {
    let lab = lab();
    for scheme in ["smtp", "imap"] {
        let run = Run::of(&mut check(&lab, &[scheme])).exits(0);
        assert_eq!(run.stderr, "");
        shows!(format!("check-{scheme}"), run.stdout);
    }
    let run = Run::of(check(&lab, &["smtp"]).args(["--server-name", "other.example.test"])).exits(1);
    shows!("check-other-name", run.stdout);
}

#[test]
fn the_table_of_checks_and_one_row() {
    let list = Run::of(&mut starttls(["check", "--list"])).exits(0).stdout;
    for row in starttls_audit::check::CHECKS {
        let lines: Vec<_> = list.lines().filter(|it| it.starts_with(&format!("  {:<20} ", row.id))).collect();
        let [line] = lines.as_slice() else { panic!("{}: {list}", row.id) };
        assert!(line.contains(row.title), "{line}");
        let told = Run::of(&mut starttls(["explain", row.id])).exits(0).stdout;
        assert!([row.id, row.why, row.fix, row.spec].iter().all(|text| told.contains(text)), "{told}");
    }
    let light = Run::of(&mut starttls(["check", "--list", "--light"])).exits(0).stdout;
    assert!(light.contains("  cert-chain ") && !light.contains("  srv-auth-before "), "{light}");
    let list = Run::of(&mut starttls(["check", "--list", "--format", "json"])).exits(0).json();
    let row = |id: &str| list["checks"].as_array().unwrap().iter().find(|row| row["id"] == id).unwrap();
    assert_eq!(list["checks"].as_array().unwrap().len(), starttls_audit::check::CHECKS.len());
    assert_eq!(
        (&row("cert-chain")["connections"], &row("cert-chain")["failed_login"]),
        (&1.into(), &false.into())
    );
    assert_eq!(row("srv-auth-before")["failed_login"], true);
    let of_some = row("srv-fixation")["failed_login_protocols"].as_array().unwrap();
    assert!(of_some.contains(&"pop3".into()) && !of_some.contains(&"smtp".into()), "{of_some:?}");
    assert_eq!(row("srv-stall")["needs_slow"], true);
    shows!("explain", Run::of(&mut starttls(["explain", "srv-inject-eager"])).exits(0).stdout);
}

#[test]
fn mistakes_are_reported_with_a_hint() {
    let mistakes: &[&[&str]] = &[
        &["check", "--file", "/dev/null"],
        &["check", "smtp://mail.example.com", "--only", "srv-inject"],
        &["check", "smtp://mail.example.com", "--skip", "everything"],
        &["check", "192.0.2.1"],
        &["check", "smpt://mail.example.com"],
        &["check", "example.com", "--connect", "127.0.0.1"],
        &["check", "smtp://mail.example.com", "--connect", "unix:/tmp/socket"],
        &["check", "smtp://mail.example.com", "--resolver", "dns.example.com"],
        &["check", "smtp://mail.example.com", "--file", "/does/not/exist"],
        &["check", "smtp://mail.example.com", "--baseline", "/does/not/exist"],
        &["check", "smtp://mail.example.com", "--baseline", "Cargo.toml"],
        &["check", "smtp://mail.example.com", "--resume", "report.jsonl"],
        &["check", "smtp://mail.example.com", "--format", "json", "--resume", "Cargo.toml"],
        &["check", "smtp://mail.example.com", "--max-connections", "0"],
        &["explain", "srv-inject"],
    ];
    let mut all = String::new();
    for mistake in mistakes {
        let run = Run::of(&mut starttls(*mistake)).exits(2);
        assert_eq!(run.stdout, "", "{mistake:?}");
        assert!(run.stderr.starts_with("error: "), "{mistake:?}: {}", run.stderr);
        all += &format!("$ starttls {}\n{}\n", mistake.join(" "), run.stderr);
    }
    shows!("check-usage", all);
}

#[test]
fn chosen_checks_and_the_threshold_decide_the_exit_code() {
    let lab = lab();
    let other = |arguments: &[&str], code| {
        let mut command = check(&lab, &["pop3"]);
        let run = Run::of(command.args(["--server-name", "other.example.test"]).args(arguments)).exits(code);
        run.stdout
    };
    assert!(other(&[], 1).contains("[cert-name]"));
    assert!(!other(&["--skip", "cert-name"], 0).contains("[cert-name]"));
    assert!(other(&["--only", "cert-name"], 1).contains("[cert-name]"));
    let leaks = other(&["--only", "leak,time", "--verbose"], 0);
    assert!(leaks.contains("[leak-banner]") && !leaks.contains("[srv-") && !leaks.contains("[cert-"));
    assert!(other(&["--fail-on", "critical"], 0).contains("[cert-name]"), "told all the same");
}

#[test]
fn an_empty_or_contradictory_selection_is_an_error() {
    for (arguments, expected) in [
        (
            &["smtp://mail.example.com", "--only", "tls", "--skip", "tls"][..],
            "the selection contains no check",
        ),
        (
            &["smtp://mail.example.com", "--light", "--skip", "srv,cert,tls"],
            "the selection contains no check",
        ),
        (&["smtp://mail.example.com", "--light", "--only", "srv-offered"], "cannot be used with"),
        (&["smtp://mail.example.com", "--only", "srv-inject-eger"], "did you mean srv-inject-eager?"),
        (&["--list", "--format", "html"], "formats text and json"),
    ] {
        let run = Run::of(starttls(["check"]).args(arguments)).exits(2);
        assert!(run.stdout.is_empty() && run.stderr.contains(expected), "{arguments:?}: {}", run.stderr);
    }
}

#[test]
fn monitoring_opens_one_connection_to_a_sound_server() {
    let lab = lab();
    for scheme in ["smtp", "imaps", "ldap"] {
        let report = Run::of(check(&lab, &[scheme]).args(["--light", "--format", "json"])).exits(0).json();
        let endpoint = &report["endpoints"][0];
        assert_eq!(
            (&endpoint["connections"], &endpoint["outcome"]),
            (&1.into(), &"sound".into()),
            "{endpoint}"
        );
        let findings = endpoint["findings"].as_array().unwrap();
        assert!(findings.iter().any(|it| it["id"] == "cert-expiry"), "{endpoint}");
        assert!(findings.iter().all(|it| it["id"] != "srv-auth-before"), "{endpoint}");
    }
}

#[test]
fn a_known_problem_is_not_reported_again() {
    let lab = lab();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("then.json");
    let mut command = check(&lab, &["pop3"]);
    command.args(["--server-name", "other.example.test", "--format", "json", "--output"]).arg(&file);
    assert_eq!(Run::of(&mut command).exits(1).stdout, "");
    let with_baseline = |scheme: &str, code| {
        let mut command = check(&lab, &[scheme]);
        command.args(["--server-name", "other.example.test", "--baseline"]).arg(&file);
        Run::of(&mut command).exits(code).stdout
    };
    let known = with_baseline("pop3", 0);
    assert!(known.contains("SOUND") && known.contains("no new problems, 1 known"), "{known}");
    assert!(known.contains("known (1): cert-name") && !known.contains("fix:"), "{known}");
    assert!(with_baseline("imap", 1).contains("cert-name"), "another server");
}

#[test]
fn too_few_connections_are_no_verdict() {
    let lab = lab();
    for scheme in ["smtp", "ldap", "mysql"] {
        let mut command = check(&lab, &[scheme]);
        let report = Run::of(command.args(["--max-connections", "3", "--format", "json"])).exits(7).json();
        let endpoint = &report["endpoints"][0];
        assert_eq!(endpoint["outcome"], "inconclusive", "{scheme}");
        assert!(endpoint["connections"].as_u64().unwrap() <= 3, "{scheme}");
        for finding in endpoint["findings"].as_array().unwrap() {
            let outcome = finding["outcome"].as_str().unwrap();
            assert!(!["fail", "warning"].contains(&outcome), "{scheme}: {finding}");
            if finding["id"].as_str().unwrap().starts_with("srv-inject-") {
                assert!(["inconclusive", "not-applicable"].contains(&outcome), "{scheme}: {finding}");
            }
        }
    }
    // Three connections are enough for a single check.
    Run::of(check(&lab, &["smtp"]).args(["--max-connections", "3", "--only", "cert-chain"])).exits(0);
}

#[test]
fn the_wrong_port_is_diagnosed() {
    let lab = lab();
    let mut all = String::new();
    let implicit = endpoint(&lab, "imaps").address;
    all += &Run::of(&mut check_at("imap", implicit)).exits(6).stdout;
    let web = server([Step::HearAny, send("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n")]);
    all += &Run::of(&mut check_at("smtp", web)).exits(6).stdout;
    let (_reserved, closed) = closed();
    all += &Run::of(&mut check_at("smtp", closed)).exits(3).stdout;
    shows!("check-wrong-port", all);
}

#[test]
fn implicit_tls_is_audited_by_its_own_scheme() {
    let lab = lab();
    let run = Run::of(&mut check(&lab, &["imaps"])).exits(0);
    shows!("check-imaps", run.stdout);
    let report = Run::of(check(&lab, &["ldaps", "smtps"]).args(["--format", "json", "--only", "cert,tls"]));
    let report = report.exits(0).stdout;
    for (line, scheme) in report.lines().zip(["ldaps", "smtps"]) {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(line["target"], endpoint(&lab, scheme).url(), "{scheme}");
    }
    assert_eq!(report.lines().count(), 2);
    // An IMAP server with STARTTLS under the URL of implicit TLS.
    let imap = endpoint(&lab, "imap").address;
    let run = Run::of(&mut check_at("imaps", imap)).exits(6);
    assert!(run.stdout.contains(&format!("starts in cleartext: use imap://{imap}")), "{}", run.stdout);
}

#[test]
fn a_server_that_declines() {
    let without = server([
        send("220 mail.example.test ESMTP\r\n"),
        Step::Hear(b"EHLO [127.0.0.1]\r\n"),
        send("250 mail.example.test\r\n"),
        Step::Hear(b"\r\n"),
        send("502 5.5.1 what?\r\n"),
        Step::Hear(b"\r\n"),
    ]);
    let mut all = Run::of(&mut check_at("smtp", without)).exits(4).stdout;
    all += &Run::of(&mut check_at("smtp", smtp_answering("454 4.7.0 no TLS today\r\n"))).exits(4).stdout;
    shows!("check-declined", all);
}

#[test]
fn a_server_that_throttles_is_no_server_without_tls() {
    let throttled = server([send("421 4.7.0 too many connections\r\n")]);
    let report = Run::of(check_at("smtp", throttled).args(["--format", "json"])).exits(7).json();
    assert_eq!(report["endpoints"][0]["outcome"], "inconclusive", "{report}");
    let ids = report["endpoints"][0]["findings"].as_array().unwrap().iter();
    assert!(ids.clone().any(|finding| finding["id"] == "srv-throttled"), "{report}");
    assert!(ids.clone().all(|finding| finding["outcome"] != "fail"), "{report}");
}

#[test]
fn conflicting_options_are_reported_before_anything_starts() {
    let cases: [&[&str]; 5] = [
        &["--only", "nonsense"],
        &["--skip", "nonsense", "--list"],
        &["--only", "nonsense", "smtp://localhost:1"],
        &["--baseline", "report.json"],
        &["smtp://localhost:1", "smpt://localhost:1"],
    ];
    for args in cases {
        let run = Run::of(starttls(["check"]).args(args)).exits(2);
        assert_eq!(run.stdout, "", "{args:?}");
        assert!(run.stderr.starts_with("error: "), "{args:?}: {}", run.stderr);
    }
}
