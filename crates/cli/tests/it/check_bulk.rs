//! Many targets: order, invalid lines, interruption, continuation.

use std::io::Write;
use std::path::Path;
use std::process::Command;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::check::check;
use crate::support::process::Live;
use crate::support::scripted_server::{Step, server};
use crate::support::{Run, dns_server};
use crate::{endpoint, lab, schema};

fn lines(text: &str) -> Vec<Value> {
    assert!(text.is_empty() || text.ends_with('\n'), "the last line is cut off: {text:?}");
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn asked(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["asked"].as_str().unwrap()).collect()
}

/// Returns the URL of a server that never answers, so that the check takes as long as the timeout.
fn silent() -> String {
    format!("smtp://{}", server([Step::Stall]))
}

/// Returns `check` for a file of targets, with JSON Lines as its format.
fn bulk(lab: &starttls_lab::Lab, file: &Path) -> Command {
    let mut command = check(lab, &[]);
    command.args(["--format", "json", "--file"]).arg(file);
    command
}

#[test]
fn bad_lines_are_reported_and_skipped() {
    let lab = lab();
    let url = |scheme| endpoint(&lab, scheme).url();
    let list = [
        format!("\u{feff}{}   # a comment\r", url("smtp")).into_bytes(),
        b"# nothing".to_vec(),
        Vec::new(),
        b"gopher://mail.example.com".to_vec(),
        b"imap://\xff\x1b[31m".to_vec(),
        b"imap://mail.example.com/INBOX".to_vec(),
        url("imap").into_bytes(),
    ];
    let run = Run::with_input(&mut bulk(&lab, Path::new("-")), &list.join(&b'\n')).exits(2);
    let lines = lines(&run.stdout);
    lines.iter().for_each(|line| schema::fits_in("check-line.json", line));
    assert_eq!(lines.len(), 5);
    let told = |line: &Value| line.get("outcome").or_else(|| line.get("error")).unwrap().to_string();
    let told: Vec<_> = lines.iter().map(told).collect();
    for (told, part) in told.iter().zip([
        "sound",
        "unknown protocol",
        "invalid host name",
        "expected only a host and a port",
        "sound",
    ]) {
        assert!(told.contains(part), "{told}");
    }
    assert_eq!(run.stderr.matches("error: ").count(), 3, "{}", run.stderr);
    assert!(!run.stderr.contains('\x1b'));
    let steps = run.stderr.lines().filter(|line| line.starts_with('[')).count();
    assert_eq!(steps, 2, "{}", run.stderr);
    assert!(run.stderr.contains("[1/5] smtp://") && run.stderr.contains("[5/5] imap://"), "{}", run.stderr);

    for silent in [&["-q"][..], &["--progress", "never"]] {
        let input = format!("{}\n{}", url("smtp"), url("imap"));
        let run = Run::with_input(bulk(&lab, Path::new("-")).args(silent), input.as_bytes()).exits(0);
        assert_eq!(run.stderr, "");
    }
}

#[test]
fn the_order_is_that_of_the_targets() {
    let lab = lab();
    let targets: Vec<_> = [silent()]
        .into_iter()
        .chain(["smtp", "imap", "pop3", "ldap", "xmpp"].map(|scheme| endpoint(&lab, scheme).url()))
        .collect();
    let mut command = check(&lab, &[]);
    command.args(["--parallel", "4", "--format", "json", "--timeout", "10s"]).args(&targets);
    // The exit code for an unreachable target takes precedence over success.
    let run = Run::of(&mut command).exits(3);
    let lines = lines(&run.stdout);
    assert_eq!(asked(&lines), targets);
    assert_eq!(lines[0]["outcome"], "unreachable");
    assert!(lines[1..].iter().all(|line| line["outcome"] == "sound"), "{}", run.stdout);
}

#[test]
fn the_exit_code_is_that_of_the_most_telling_endpoint() {
    let lab = lab();
    let declined = crate::support::scripted_server::smtp_answering("502 5.5.1 no\r\n");
    let list = format!("gopher://x\n{}\nsmtp://{declined}\n{}\n", silent(), endpoint(&lab, "smtp").url());
    let list = list.as_bytes();
    std::thread::scope(|scope| {
        for format in ["json", "text", "sarif"] {
            let mut command = check(&lab, &[]);
            command.args(["--file", "-", "--timeout", "10s", "--format", format]);
            scope.spawn(move || Run::with_input(&mut command, list).exits(4));
        }
    });
}

#[test]
fn an_interrupted_run_leaves_whole_lines_and_can_go_on() {
    let lab = lab();
    let folder = tempfile::tempdir().unwrap();
    let (list, file) = (folder.path().join("targets"), folder.path().join("report.jsonl"));
    let targets =
        [endpoint(&lab, "smtp").url(), endpoint(&lab, "imap").url(), silent(), endpoint(&lab, "pop3").url()];
    std::fs::write(&list, targets.join("\n")).unwrap();
    let command = |timeout| {
        let mut command = bulk(&lab, &list);
        command.args(["--timeout", timeout, "--resume"]).arg(&file);
        command
    };
    let mut live = Live::start(&mut command("50s"));
    live.is_told("[2/4]");
    kill(Pid::from_raw(live.id().try_into().unwrap()), Signal::SIGINT).unwrap();
    let run = live.end().exits(130);
    assert_eq!(run.stdout, "", "the lines are in the file");
    let text = std::fs::read_to_string(&file).unwrap();
    assert_eq!(asked(&lines(&text)), targets[..2]);

    // A truncated line, as if the process had been killed while it wrote.
    let mut half = std::fs::File::options().append(true).open(&file).unwrap();
    half.write_all(&text.as_bytes()[..100]).unwrap();
    let run = Run::of(command("10s").arg("--output").arg(&file)).exits(3);
    // The last complete target in the file is repeated, because it may be incomplete.
    assert!(run.stderr.starts_with("[2/3] smtp://127.0.0.1:"), "{}", run.stderr);
    let whole = std::fs::read_to_string(&file).unwrap();
    assert!(whole.starts_with(&text), "what was there is as it was");
    assert_eq!(asked(&lines(&whole)), targets);

    // Only the unreachable target is repeated.
    let elsewhere = folder.path().join("new.jsonl");
    Run::of(command("10s").arg("--output").arg(&elsewhere)).exits(3);
    assert_eq!(asked(&lines(&std::fs::read_to_string(&elsewhere).unwrap())), targets[2..3]);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), whole);
}

#[test]
fn a_domain_that_was_half_done_is_finished() {
    let lab = lab();
    let zone = format!(
        "example.test MX 0 .
        _imap._tcp.example.test SRV 0 1 {} mail.example.test
        _ldap._tcp.example.test SRV 0 1 {} mail.example.test
        mail.example.test A 127.0.0.1",
        endpoint(&lab, "imap").address.port(),
        endpoint(&lab, "ldap").address.port(),
    );
    let resolver = dns_server::server(&zone).to_string();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("report.jsonl");
    let audit = || {
        let mut command =
            crate::starttls(["check", "example.test", "null.test", "--format", "json", "--ca-file"]);
        command.arg(lab.ca_file()).args(["--resolver", &resolver, "--resume"]).arg(&file);
        Run::of(&mut command).exits(3)
    };
    let run = audit();
    run.says("\"null.test\": the domain null.test does not exist");
    let text = std::fs::read_to_string(&file).unwrap();
    let told = |lines: &[Value]| -> Vec<_> {
        lines
            .iter()
            .map(|line| (line["asked"].clone(), line["target"].clone(), line["error"].clone()))
            .collect()
    };
    let first = told(&lines(&text));
    assert_eq!(first.len(), 5, "{text}");
    lines(&text).iter().for_each(|line| schema::fits_in("check-line.json", line));

    let second = text.match_indices('\n').nth(1).unwrap().0;
    std::fs::write(&file, &text[..second + 20]).unwrap();
    audit();
    assert_eq!(told(&lines(&std::fs::read_to_string(&file).unwrap())), first);
}

#[test]
fn a_reader_may_close_the_pipe_after_one_line() {
    let lab = lab();
    let command = check(&lab, &["smtp", "imap", "pop3"]);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words.map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ");
    for reader in ["head -n 1", "true"] {
        let script = format!("{{ {line} -q --format json; echo \"exit $?\" >&2; }} | {reader}");
        let run = Run::of(Command::new("bash").args(["-c", &script])).exits(0);
        assert_eq!(run.stderr, "exit 0\n");
    }
}

/// The progress is one line that is overwritten, and erased before other output.
#[test]
fn on_a_terminal_progress_is_one_line() {
    let lab = lab();
    let command = check(&lab, &["smtp", "imap"]);
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    let line = words.map(|word| word.to_str().unwrap()).collect::<Vec<_>>().join(" ");
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &format!("{line} </dev/null"), "/dev/null"]);
    let shown = Run::of(&mut script).exits(0).stdout;
    assert!(shown.contains("\r\x1b[K[0/2]") && shown.contains("\r\x1b[K[2/2] imap://"), "{shown:?}");
    let (progress, report) = shown.rsplit_once("\x1b[K").unwrap();
    assert!(!progress.contains('\n') && report.contains("2 endpoints"), "{shown:?}");
}
