//! The report of a verified upgrade, as text and as JSON.

use crate::schema::fits;
use crate::support::{Run, starttls};
use crate::{connect, lab, shows};

#[test]
fn for_people() {
    let lab = lab();
    for scheme in ["smtp", "imap", "ldap", "postgres", "mysql", "xmpp", "smtps"] {
        let run = Run::of(&mut connect(&lab, scheme)).exits(0);
        shows!(format!("report-{scheme}"), run.stderr);
    }
}

#[test]
fn for_people_in_every_detail() {
    let lab = lab();
    let run = Run::of(connect(&lab, "smtp").arg("--verbose")).exits(0);
    shows!("report-verbose", run.stderr);
}

#[test]
fn for_programs_it_is_one_object_that_fits_the_schema() {
    let lab = lab();
    for endpoint in lab.endpoints() {
        let run = Run::of(connect(&lab, endpoint.scheme).args(["--format", "json"])).exits(0);
        assert_eq!((run.stdout.matches('\n').count(), run.stderr.as_str()), (1, ""), "{}", endpoint.scheme);
        let report = run.json();
        fits(&report);
        assert_eq!(report["outcome"], "encrypted", "{report}");
        assert_eq!(report["target"], endpoint.url().as_str());
        assert_eq!(report["negotiation"].is_null(), endpoint.implicit, "{report}");
        assert_eq!(report["tls"]["group"], "X25519MLKEM768", "{report}");
    }
}

#[test]
fn without_a_target_every_protocol_is_tried_against_the_lab() {
    let run = Run::of(&mut starttls(["connect"])).exits(0);
    let all = starttls::proto::PROTOCOLS.len();
    assert!(run.stdout.contains(&format!("{all} of {all} upgrades verified.")), "{}", run.stdout);
    assert_eq!(run.stderr, "");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("reports.json");
    let run = Run::of(starttls(["connect", "--format", "json", "--output"]).arg(&file)).exits(0);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
    let text = std::fs::read_to_string(file).unwrap();
    assert_eq!(text.lines().count(), all);
    for line in text.lines() {
        let report = serde_json::from_str(line).unwrap();
        fits(&report);
        assert_eq!(report["outcome"], "encrypted", "{report}");
    }
}
