//! `check --profile` and `explain profile`.

use std::fs;

use crate::check::check;
use crate::lab;
use crate::support::{Run, starttls};

fn profile_finding(text: &str) -> serde_json::Value {
    let report: serde_json::Value = serde_json::from_str(text).unwrap();
    let findings = report["endpoints"][0]["findings"].as_array().unwrap().clone();
    findings.into_iter().find(|it| it["id"] == "tls-profile").unwrap()
}

#[test]
fn a_server_is_compared_with_a_profile_and_a_file() {
    let lab = lab();
    let mut command = check(&lab, &["imap"]);
    command.args(["--profile", "mozilla-modern", "--only", "tls-profile", "--format", "json"]);
    let run = Run::of(&mut command).exits(1);
    let finding = profile_finding(&run.stdout);
    assert_eq!(finding["outcome"], "fail", "{finding}");
    let details: Vec<_> =
        finding["details"].as_array().unwrap().iter().filter_map(|it| it.as_str()).collect();
    assert!(details.contains(&"fail: TLS 1.2 forbidden: offered"), "{details:?}");
    assert!(details.contains(&"pass: TLS 1.3 required: offered"), "{details:?}");

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ours.toml");
    let text =
        "title = \"Ours\"\n[versions]\nrequired = [\"TLS 1.2\", \"TLS 1.3\"]\nforbidden = [\"SSL 3.0\"]\n";
    fs::write(&file, text).unwrap();
    let mut command = check(&lab, &["imap"]);
    command.arg("--profile").arg(&file).args(["--only", "tls-profile", "--format", "json"]);
    let run = Run::of(&mut command).exits(0);
    let finding = profile_finding(&run.stdout);
    assert_eq!(finding["outcome"], "pass", "{finding}");
    assert_eq!(finding["summary"], "the server meets the 3 requirements of the profile ours");
}

#[test]
fn errors_of_a_profile_are_usage_errors_with_a_hint() {
    let refused = |arguments: &[&str]| {
        let all = [&["check", "smtp://localhost"], arguments].concat();
        Run::of(&mut starttls(all)).exits(2).stderr
    };
    let told = refused(&["--profile", "rfc9326"]);
    assert!(told.contains("hint: did you mean rfc9325?"), "{told}");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ours.toml");
    fs::write(&file, "title = \"Ours\"\n[versons]\n").unwrap();
    let told = refused(&["--profile", file.to_str().unwrap()]);
    assert!(told.contains("ours.toml:2: unknown key \"versons\" in the top level"), "{told}");
    assert!(told.contains("hint: did you mean \"versions\"?"), "{told}");
    let told = refused(&["--profile", "bsi", "--tls", "none"]);
    assert!(told.contains("--profile needs the check tls-profile"), "{told}");
}

#[test]
fn profiles_are_explained_with_their_source() {
    let list = Run::of(&mut starttls(["explain", "profile"])).exits(0).stdout;
    assert!(list.contains("ncsc-nl "), "{list}");
    let one = Run::of(&mut starttls(["explain", "profile", "ncsc-nl"])).exits(0).stdout;
    assert!(one.contains("Internet.nl") && one.contains("not from the document"), "{one}");
    Run::of(&mut starttls(["explain", "tls-old", "rfc9325"])).exits(2);
}
