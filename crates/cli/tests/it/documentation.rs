//! The tutorials: their commands run, against a lab.

use std::path::Path;

use crate::support::{Run, starttls};
use crate::{endpoint, lab};

#[test]
fn the_first_audit_runs_as_written() {
    let lab = lab();
    let port = endpoint(&lab, "smtp").address.port().to_string();
    let mut run = 0;
    for line in read("first-audit.md").lines().filter_map(|line| line.strip_prefix("starttls ")) {
        // The lab of this test is already running, and example.com is not a server for tests.
        if line == "lab" || line.contains("example.com") {
            continue;
        }
        let line = line.replace("PORT", &port).replace("FOLDER/ca.pem", &lab.ca_file().display().to_string());
        Run::of(&mut starttls(line.split(' '))).exits(0);
        run += 1;
    }
    assert_eq!(run, 3);
}

#[test]
fn the_messages_that_users_search_for_are_headings() {
    let text = read("errors.md");
    for message in [
        "wrong version number",
        "530 Must issue a STARTTLS command first",
        "454 TLS not available",
        "no peer certificate",
        "certificate has expired",
        "STARTTLS is required but not offered",
    ] {
        let heading = format!("## {message}");
        assert!(text.lines().any(|line| line.starts_with(&heading)), "{message}");
    }
}

#[test]
fn every_page_is_in_the_table_of_contents() {
    let contents = read("SUMMARY.md");
    for entry in std::fs::read_dir(docs()).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        if name.ends_with(".md") && name != "SUMMARY.md" {
            assert!(contents.contains(&format!("]({name})")), "{name} is missing");
        }
    }
}

fn docs() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs")
}

fn read(name: &str) -> String {
    std::fs::read_to_string(docs().join(name)).unwrap()
}
