//! `check --resume` and repeated targets: which targets are checked again, and the exit code.

use std::path::Path;

use serde_json::Value;

use crate::support::{Run, dns_server, starttls};
use crate::{endpoint, lab, schema};

fn lines(file: &Path) -> Vec<Value> {
    let text = std::fs::read_to_string(file).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    lines.iter().for_each(|line| schema::fits_in("check-line.json", line));
    lines
}

/// A name that does not resolve is unreachable. After it resolves, the result of the whole file is sound.
#[test]
fn what_was_unreachable_is_tried_again_and_the_exit_code_is_that_of_the_whole_file() {
    let lab = lab();
    let folder = tempfile::tempdir().unwrap();
    let (list, file) = (folder.path().join("targets"), folder.path().join("report.jsonl"));
    let port = |scheme| endpoint(&lab, scheme).address.port();
    let targets = [
        format!("imap://mail.example.test:{}", port("imap")),
        format!("pop3://later.example.test:{}", port("pop3")),
    ];
    std::fs::write(&list, targets.join("\n")).unwrap();
    let run = |zone: &str, options: &[&str]| {
        let mut command = starttls(["check", "--no-system-roots", "--format", "json", "--timeout", "20s"]);
        command.args(["--resolver", &dns_server::server(zone).to_string(), "--ca-file"]).arg(lab.ca_file());
        command.args(["--server-name", "localhost", "--file"]).arg(&list).arg("--resume").arg(&file);
        Run::of(command.args(options))
    };
    let first = "mail.example.test A 127.0.0.1";
    run(first, &[]).exits(3);
    assert_eq!(lines(&file).len(), 2);
    // Without a change, the target is tried again and is unreachable again.
    run(first, &[]).exits(3);
    assert_eq!(lines(&file).len(), 3);
    let both = "mail.example.test A 127.0.0.1\nlater.example.test A 127.0.0.1";
    run(both, &[]).exits(0);
    let all = lines(&file);
    let outcomes: Vec<_> = all.iter().map(|line| line["outcome"].as_str().unwrap()).collect();
    assert_eq!(outcomes, ["sound", "unreachable", "unreachable", "sound"]);
    assert!(all.iter().all(|line| line["run_started_at"].is_string() && line["generator"].is_string()));
    // All targets are complete. The last line of each target counts.
    assert_eq!(run(both, &[]).exits(0).stderr, "");
    assert_eq!(lines(&file).len(), 4);
    // With a threshold, the findings of earlier lines count.
    run(both, &["--fail-on", "info", "--expiry-warning", "60"]).exits(0);
}

/// If a signal ends a run between two endpoints of a target, no spelling of this target is complete.
#[test]
fn every_spelling_of_a_half_done_target_is_continued() {
    let lab = lab();
    let folder = tempfile::tempdir().unwrap();
    let (list, file) = (folder.path().join("targets"), folder.path().join("report.jsonl"));
    let url = format!("imap://mail.example.test:{}", endpoint(&lab, "imap").address.port());
    let targets = [url.clone(), url.replace("imap://", "IMAP://")];
    std::fs::write(&list, targets.join("\n")).unwrap();
    let zone = "mail.example.test A 127.0.0.1\nmail.example.test A 127.0.0.2";
    let resolver = dns_server::server(zone).to_string();
    let run = || {
        let mut command = starttls(["check", "--no-system-roots", "--format", "json", "--timeout", "20s"]);
        command.args(["--resolver", &resolver, "--server-name", "localhost", "--ca-file"]).arg(lab.ca_file());
        Run::of(command.arg("--file").arg(&list).arg("--resume").arg(&file)).exits(3)
    };
    let told = || -> Vec<_> {
        let it = |line: &Value| ["asked", "address"].map(|key| line[key].as_str().unwrap().to_owned());
        lines(&file).iter().map(it).collect()
    };
    run();
    let whole = told();
    assert_eq!(whole.len(), 4);
    assert_eq!(lines(&file)[0]["outcome"], "sound");
    // The file ends after the first endpoint, and between the two lines of the endpoint.
    for kept in [2, 1] {
        let text = std::fs::read_to_string(&file).unwrap();
        let half: String = text.split_inclusive('\n').take(kept).collect();
        std::fs::write(&file, half).unwrap();
        run();
        let mut all = told();
        all.sort();
        all.dedup();
        let mut expected = whole.clone();
        expected.sort();
        assert_eq!(all, expected, "{kept} lines were left");
    }
}

/// If all targets are complete, the exit code results from the file.
#[test]
fn the_exit_code_of_a_finished_file_is_not_zero() {
    let lab = lab();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.jsonl");
    for _ in 0..2 {
        let mut command = crate::check::check(&lab, &["pop3"]);
        command.args(["--server-name", "other.example.test", "--format", "json", "--resume"]).arg(&file);
        Run::of(&mut command).exits(1);
        assert_eq!(lines(&file).len(), 1);
    }
    let mut command = crate::check::check(&lab, &["pop3"]);
    command.args(["--skip", "cert", "--format", "json", "--resume"]).arg(&file);
    Run::of(&mut command).exits(0);
}

#[test]
fn a_repeated_target_is_audited_once_and_reported_for_each_line() {
    let lab = lab();
    let folder = tempfile::tempdir().unwrap();
    let (list, file) = (folder.path().join("targets"), folder.path().join("report.jsonl"));
    let url = endpoint(&lab, "pop3").url();
    let other = url.replace("pop3://", "POP3+starttls://");
    std::fs::write(&list, format!("{url}\n# nothing\n{other}\nnonsense://x\n{url}\nnonsense://x\n")).unwrap();
    let mut command = crate::check::check(&lab, &[]);
    command.args(["--format", "json", "--file"]).arg(&list).arg("--output").arg(&file);
    Run::of(&mut command).exits(2);
    let lines = lines(&file);
    let told =
        |line: &Value| (line["asked"].as_str().unwrap().to_owned(), line["target_line"].as_u64().unwrap());
    let expected = [(&url, 1), (&other, 3), (&url, 5)].map(|(text, line)| (text.clone(), line));
    assert_eq!(lines[..3].iter().map(told).collect::<Vec<_>>(), expected);
    let bad = [4, 6].map(|line| (String::from("nonsense://x"), line));
    assert_eq!(lines[3..].iter().map(told).collect::<Vec<_>>(), bad);
    for key in ["started_at", "elapsed_ms", "transcripts"] {
        assert!(lines[..3].iter().all(|line| line[key] == lines[0][key]), "{key}: one audit");
    }
}
