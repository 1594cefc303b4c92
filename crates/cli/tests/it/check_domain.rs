//! `check` of a domain: the servers are found in DNS, and each address is audited.

use serde_json::Value;

use crate::support::{Run, dns_server, starttls};
use crate::{endpoint, lab, schema, shows};
use starttls_lab::Lab;

/// Runs `check` for a domain with this zone, whose servers are those of the lab.
fn check(lab: &Lab, zone: &str, arguments: &[&str]) -> Run {
    check_within(lab, "20s", zone, arguments)
}

/// The same with another limit for each answer.
fn check_within(lab: &Lab, timeout: &str, zone: &str, arguments: &[&str]) -> Run {
    let port = |scheme| endpoint(lab, scheme).address.port().to_string();
    let zone = ["submission", "imap", "pop3", "xmpp", "ldap"]
        .iter()
        .fold(zone.to_owned(), |zone, scheme| zone.replace(&format!("{{{scheme}}}"), &port(scheme)));
    let mut command = starttls(["check", "--no-system-roots", "--timeout", timeout, "--ca-file"]);
    command.arg(lab.ca_file()).args(["--resolver", &dns_server::server(&zone).to_string()]).args(arguments);
    Run::of(&mut command)
}

fn told(endpoint: &Value) -> [&str; 3] {
    ["target", "address", "server_name"].map(|key| endpoint[key].as_str().unwrap_or("none"))
}

const ZONE: &str = "
    example.test                    MX   20 mx2.example.test
    example.test                    MX   10 mx1.example.test
    mx1.example.test                A    127.0.0.11
    mx1.example.test                AAAA ::1
    mx2.example.test                A    127.0.0.12
    _submission._tcp.example.test   SRV  0 1 {submission} mail.example.test
    _imap._tcp.example.test         SRV  0 1 {imap} mail.example.test
    _pop3._tcp.example.test         SRV  0 0 0 .
    _xmpp-client._tcp.example.test  SRV  5 0 {xmpp} chat.example.test
    _ldap._tcp.example.test         TRUNCATED
    _ldap._tcp.example.test         SRV  0 0 {ldap} mail.example.test
    mail.example.test               A    127.0.0.1
    chat.example.test               A    127.0.0.1
";

#[test]
fn every_server_of_a_domain_is_audited() {
    let lab = lab();
    // Port 25 of this machine may be in use. The test compares only its address, not its outcome.
    let report = check(&lab, ZONE, &["example.test", "--format", "json", "--max-connections", "2"]);
    let report = report.json();
    schema::fits_in("check.json", &report);
    let endpoints = report["endpoints"].as_array().unwrap();
    let at = |scheme| endpoint(&lab, scheme).address.to_string();
    let url = |scheme, name: &str| format!("{scheme}://{name}:{}", endpoint(&lab, scheme).address.port());
    let expected = [
        ["smtp://mx1.example.test", "127.0.0.11:25", "mx1.example.test"].map(str::to_owned),
        ["smtp://mx1.example.test", "[::1]:25", "mx1.example.test"].map(str::to_owned),
        ["smtp://mx2.example.test", "127.0.0.12:25", "mx2.example.test"].map(str::to_owned),
        [url("submission", "mail.example.test"), at("submission"), "mail.example.test".to_owned()],
        [url("imap", "mail.example.test"), at("imap"), "mail.example.test".to_owned()],
        [url("xmpp", "chat.example.test"), at("xmpp"), "example.test".to_owned()],
        [url("ldap", "mail.example.test"), at("ldap"), "mail.example.test".to_owned()],
        ["domain:example.test", "none", "example.test"].map(str::to_owned),
    ];
    assert_eq!(endpoints.iter().map(told).collect::<Vec<_>>(), expected);
    let lookups = report["lookups"].as_array().unwrap().iter().map(|line| line.as_str().unwrap());
    shows!("check-lookups", lookups.collect::<Vec<_>>().join("\n"));

    let four = check(&lab, ZONE, &["example.test", "-4", "--format", "json", "--max-connections", "1"]);
    assert!(four.json()["endpoints"].as_array().unwrap().iter().all(|it| told(it)[1] != "[::1]:25"));
    let named = ["example.test", "-6", "--server-name", "a.test", "--format", "json"];
    let six = check(&lab, ZONE, &named).exits(3).json();
    assert_eq!(told(&six["endpoints"][0]), ["smtp://mx1.example.test", "[::1]:25", "a.test"]);
}

#[test]
fn the_text_says_first_what_was_looked_up() {
    let lab = lab();
    let zone = "example.test MX 0 .
        _imap._tcp.example.test SRV 0 1 {imap} mail.example.test
        _pop3._tcp.example.test SRV 0 1 {pop3} other.example.test
        mail.example.test A 127.0.0.1
        other.example.test A 127.0.0.1";
    let run = check(&lab, zone, &["example.test", "--only", "cert-name"]).exits(1);
    let expected = ["example.test: looked up", "imap://", ": sound", "pop3://", ": findings"];
    let mut rest = run.stderr.as_str();
    for part in expected {
        rest = rest.split_once(part).unwrap_or_else(|| panic!("no {part:?}: {}", run.stderr)).1;
    }
    shows!("check-domain", run.stdout);
}

#[test]
fn a_domain_without_mail_exchangers_is_its_own() {
    let lab = lab();
    let run = check(&lab, "example.test A 127.0.0.13", &["example.test", "--format", "json"]).json();
    assert_eq!(told(&run["endpoints"][0]), ["smtp://example.test", "127.0.0.13:25", "example.test"]);
    assert!(run["lookups"][0].as_str().unwrap().contains("RFC 5321 section 5.1"), "{run}");
    assert!(run["lookups"].to_string().contains("announces no service"), "{run}");
}

#[test]
fn domains_with_nothing_to_audit() {
    let lab = lab();
    let zone = "null.test   MX 0 .
        silent.test         SILENT
        broken.test         SERVFAIL
        exists.test         MX 10 nowhere.test
        there.test          A 127.0.0.1";
    let mut all = String::new();
    let cases =
        [("null.test", 0), ("none.test", 3), ("broken.test", 3), ("silent.test", 3), ("exists.test", 3)];
    for (domain, code) in cases {
        let run = check_within(&lab, "3s", zone, &[domain, "--progress", "never"]).exits(code);
        all += &format!("$ starttls check {domain}, exit {code}\n{}{}\n", run.stdout, run.stderr);
    }
    shows!("check-nothing", all);
}

/// RFC 5321 section 5.1, RFC 2181 section 10.3: an MX record names a host with addresses, not an alias.
#[test]
fn a_mail_exchanger_is_named_by_a_host() {
    let lab = lab();
    let zone = "alias.test      MX 10 mx.alias.test
        mx.alias.test           CNAME real.alias.test
        mx.alias.test           A 127.0.0.14
        address.test            MX 10 127.0.0.15
        sound.test              MX 10 mx.sound.test
        mx.sound.test           A 127.0.0.16";
    let report = |domain| {
        let report = check(&lab, zone, &[domain, "--format", "json", "--max-connections", "1"]).json();
        schema::fits_in("check.json", &report);
        report["endpoints"][0].clone()
    };
    let remark = |endpoint: &Value| {
        let mut findings = endpoint["findings"].as_array().unwrap().iter();
        findings.find(|it| it["id"] == "srv-mx-name").cloned()
    };
    let found = remark(&report("alias.test")).unwrap();
    assert_eq!((&found["outcome"], &found["severity"]), (&"warning".into(), &"warning".into()));
    assert!(
        found["summary"].as_str().unwrap().contains("mx.alias.test, an alias of real.alias.test"),
        "{found}"
    );
    assert_eq!(remark(&report("sound.test")), None);
    let address = report("address.test");
    assert_eq!((&address["outcome"], &address["address"]), (&"unreachable".into(), &Value::Null));
    assert!(address["summary"].as_str().unwrap().contains("contains the address 127.0.0.15"), "{address}");
}

/// RFC 7505: with a null MX, a domain declares that it accepts no mail, which is not a fault.
#[test]
fn a_null_mx_is_a_clean_answer() {
    let lab = lab();
    let run = check(&lab, "example.test MX 0 .", &["example.test"]).exits(0);
    assert!(run.stdout.contains("the domain accepts no mail (RFC 7505)"), "{}", run.stdout);
}

/// A failed lookup does not mean that the record is missing.
#[test]
fn an_unanswered_question_is_an_endpoint_that_was_not_reached() {
    let lab = lab();
    let zone = "example.test MX 0 .
        _imap._tcp.example.test SERVFAIL
        _ldap._tcp.example.test SRV 0 1 {ldap} mail.example.test
        mail.example.test A 127.0.0.1";
    let report = check(&lab, zone, &["example.test", "--format", "json"]).exits(3).json();
    let outcomes: Vec<_> = report["endpoints"].as_array().unwrap().iter().map(|it| &it["outcome"]).collect();
    assert_eq!(outcomes, ["unreachable", "sound"], "{report}");
}

#[test]
fn the_chosen_server_resolves_ordinary_targets_too() {
    let lab = lab();
    let target = format!("imap://mail.example.test:{}", endpoint(&lab, "imap").address.port());
    let run = check(&lab, "mail.example.test A 127.0.0.1", &[&target, "--format", "json"]).exits(0).json();
    assert_eq!(run["endpoints"][0]["address"], endpoint(&lab, "imap").address.to_string().as_str());
    let run = check(&lab, "other.test A 127.0.0.1", &[&target]).exits(3);
    assert!(
        run.stdout.contains("\"mail.example.test\" has no address of the requested family"),
        "{}",
        run.stdout
    );
}

#[test]
fn a_zone_of_hostile_length_is_cut() {
    let lab = lab();
    // The records are also too large for a datagram.
    let zone = String::from("example.test TRUNCATED\n");
    let records: String =
        (0..120).map(|n| format!("example.test MX {n} mx{}.example.test\n", n % 60)).collect();
    let hosts: String = (0..60).map(|n| format!("mx{n}.example.test A 127.0.1.{n}\n")).collect();
    let report = check(
        &lab,
        &(zone + &records + &hosts),
        &["example.test", "--format", "json", "--max-connections", "1", "--no-policy"],
    );
    let report = report.json();
    assert_eq!(report["endpoints"].as_array().unwrap().len(), 50);
    assert!(report["lookups"].to_string().contains("the first 50 are audited"), "{}", report["lookups"]);
}

#[test]
fn the_policies_of_a_domain_are_part_of_its_report() {
    let lab = lab();
    let zone = ". NS ns.test
        . SECURE
        example.test MX 10 mx.example.test
        example.test SECURE
        mx.example.test A 127.0.0.250
        mx.example.test SECURE
        _25._tcp.mx.example.test SERVFAIL
        _mta-sts.example.test TXT v=STSv1; id=a-b";
    let report = check(&lab, zone, &["example.test", "--format", "json"]).exits(1).json();
    schema::fits_in("check.json", &report);
    let domain = report["endpoints"].as_array().unwrap().last().unwrap();
    assert_eq!((&domain["target"], &domain["outcome"]), (&"domain:example.test".into(), &"findings".into()));
    let finding = |id: &str| domain["findings"].as_array().unwrap().iter().find(|it| it["id"] == id).unwrap();
    assert_eq!(finding("dane-lookup")["severity"], "critical");
    assert!(finding("dane-lookup")["fix"].as_str().unwrap().starts_with("Repair the signatures"));
    assert_eq!(finding("sts-record")["outcome"], "fail");
    let details = finding("mx-lookup")["details"].to_string();
    assert!(
        details.contains("policy serve answers Postfix: TEMP") && details.contains("T1 mx.example.test"),
        "{details}"
    );
    for leave_out in [&["--no-policy"][..], &["--light"], &["--only", "srv"]] {
        let run =
            check(&lab, zone, &[&["example.test", "--format", "json"][..], leave_out].concat()).exits(3);
        assert!(!run.stdout.contains("domain:example.test"), "{leave_out:?}");
    }
    // Checks of policies can be selected, and then no server is audited.
    let selected = |zone: &str, options: &[&str], code| {
        let run = check(&lab, zone, &[&["example.test", "--format", "json"][..], options].concat());
        let report = run.exits(code).json();
        schema::fits_in("check.json", &report);
        let [domain] = report["endpoints"].as_array().unwrap().as_slice() else { panic!("{report}") };
        assert_eq!(domain["target"], "domain:example.test");
        let findings = domain["findings"].as_array().unwrap().iter();
        findings
            .filter(|it| it["outcome"] != "pass")
            .map(|it| format!("{} {}", it["id"].as_str().unwrap(), it["outcome"].as_str().unwrap()))
            .collect::<Vec<_>>()
    };
    assert_eq!(selected(zone, &["--only", "sts-record"], 1), ["sts-record fail"]);
    let nothing_reached = "mx-address inconclusive";
    assert_eq!(
        selected(zone, &["--only", "dane", "--skip", "dane-absent"], 1),
        ["dane-lookup fail", nothing_reached]
    );
    // The lookup failed, so nothing was compared: a check that was not made has not passed.
    assert_eq!(
        selected(zone, &["--only", "dane-mismatch"], 7),
        ["dane-lookup inconclusive", nothing_reached]
    );
    assert_eq!(selected(zone, &["--only", "sts-mx-uncovered"], 7), ["sts-record inconclusive"]);
    let no_dnssec = zone.replacen(". SECURE", "", 1);
    assert_eq!(selected(&no_dnssec, &["--only", "dane-spare"], 7), ["dane-lookup inconclusive"]);
    for (target, options, part) in [
        ("smtp://mx.example.test", &["--only", "dane"][..], "the selected checks are those of a domain"),
        ("example.test", &["--only", "dane", "--no-policy"], "the selection contains no check"),
        ("example.test", &["--only", "dane", "--skip", "dane"], "the selection contains no check"),
        ("example.test", &["--only", "dane-mismatched"], "did you mean dane-mismatch?"),
    ] {
        let run = check(&lab, zone, &[&[target][..], options].concat()).exits(2);
        assert!(run.stderr.contains(part), "{}", run.stderr);
    }
    let run = check(&lab, "other.test A 127.0.0.1", &["example.test", "--only", "dane"]).exits(3);
    assert!(run.stderr.contains("does not exist"), "{}", run.stderr);
    // Without DNSSEC on this machine, DANE is not judged.
    let report = check(&lab, &zone.replacen(". SECURE", "", 1), &["example.test", "--format", "json"]).json();
    let findings = report["endpoints"].as_array().unwrap().last().unwrap()["findings"].as_array().unwrap();
    let outcomes: Vec<&Value> =
        findings.iter().filter(|it| it["id"] == "dane-lookup").map(|it| &it["outcome"]).collect();
    assert!(outcomes.contains(&&Value::from("not-run")), "{findings:?}");
    let explained = Run::of(&mut starttls(["explain", "dane-mismatch"])).exits(0).stdout;
    assert!(explained.contains("RFC 7672 section 3.1") && explained.contains("\n\nFix\n"), "{explained}");
}
