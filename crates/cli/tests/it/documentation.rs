//! The documentation: the commands of its tutorials and guides run, against a lab.

use std::path::Path;

use starttls::proto::PROTOCOLS;
use tempfile::TempDir;

use crate::support::{Run, starttls};
use crate::{endpoint, lab, shell};

/// The environment variable that makes these tests write what is generated instead of comparing it.
const UPDATE: &str = "UPDATE_DOCS";

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
fn the_commands_of_the_guides_run_as_written() {
    let lab = lab();
    let folder = TempDir::new().unwrap();
    let smtp = format!("smtp://localhost:{}\n", endpoint(&lab, "smtp").address.port());
    std::fs::write(folder.path().join("targets.txt"), smtp).unwrap();
    let mut count = 0;
    for page in ["monitoring.md", "ci.md", "renewal.md"] {
        for line in commands(&read(page)).filter(|line| line.starts_with("starttls check ")) {
            let mut line = line.replace("/var/lib/prometheus/node-exporter/", "");
            for scheme in ["smtp", "imap"] {
                let port = endpoint(&lab, scheme).address.port();
                line = line.replace(
                    &format!("{scheme}://mail.example.com"),
                    &format!("{scheme}://localhost:{port}"),
                );
            }
            let trust = format!("--no-system-roots --ca-file {}", lab.ca_file().display());
            // The certificates of the lab are valid for a few days.
            let line = format!("{line} {trust}").replace(" --expiry-warning 21", "");
            Run::of(shell().args(["-c", &line]).current_dir(folder.path())).exits(0);
            count += 1;
        }
    }
    assert_eq!(count, 8);
    for written in ["starttls.prom", "starttls.xml", "starttls.sarif", "accepted.json"] {
        assert!(folder.path().join(written).exists(), "{written}");
    }
}

#[test]
fn the_reference_of_the_commands_is_current() {
    let help = |arguments: &[&str]| Run::of(&mut starttls(arguments)).exits(0).stdout;
    let mut page = String::from(
        "# Commands and exit codes\n\nThe help texts of all commands, as `--help` prints them.\n\n## starttls\n",
    );
    let block = |text: &str| {
        let lines: Vec<&str> = text.trim_end().lines().map(str::trim_end).collect();
        format!("```text\n{}\n```\n", lines.join("\n"))
    };
    let program = help(&["--help"]);
    page.push_str(&block(&program));
    for command in subcommands(&program) {
        let text = help(&[command, "--help"]);
        page.push_str(&format!("\n## starttls {command}\n{}", block(&text)));
        for part in subcommands(&text) {
            let text = help(&[command, part, "--help"]);
            page.push_str(&format!("\n### starttls {command} {part}\n{}", block(&text)));
        }
    }
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(docs().join("commands.md"), page).unwrap();
    } else {
        assert!(
            read("commands.md") == page,
            "docs/commands.md is not current: run this test with {UPDATE}=1"
        );
    }
}

#[test]
fn the_table_of_protocols_is_current() {
    let url = |scheme: &str| format!("`{scheme}://`");
    let rows = PROTOCOLS.iter().map(|it| {
        let implicit = it.implicit_tls.map(|tls| url(tls.name)).unwrap_or_default();
        format!("| {} | {} | {implicit} | {} |\n", it.title, url(it.name), it.spec)
    });
    let table = rows.collect::<String>().replace("|  |", "| |");
    let path = docs().join("../README.md");
    let page = std::fs::read_to_string(&path).unwrap();
    let head = "| | upgrade | TLS from the first byte | specification |\n|---|---|---|---|\n";
    let start = page.find(head).unwrap() + head.len();
    let end = start + page[start..].find("\n\n").unwrap() + 1;
    let current = format!("{}{table}{}", &page[..start], &page[end..]);
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(path, current).unwrap();
    } else {
        assert!(page == current, "the table of README.md is not current: run this test with {UPDATE}=1");
    }
}

/// Returns the names in the list of commands of a help text.
fn subcommands(help: &str) -> impl Iterator<Item = &str> {
    let list = help.split_once("Commands:\n").map(|(_, list)| list.split("\n\n").next().unwrap());
    let names =
        list.unwrap_or_default().lines().filter(|line| line.starts_with("  ") && !line.starts_with("   "));
    names.filter_map(|line| line.split_whitespace().next()).filter(|name| *name != "help")
}

/// Returns the lines of a page that run this program, with continued lines joined. They are in blocks without a language,
/// or in those of a console.
fn commands(page: &str) -> impl Iterator<Item = String> {
    let page = page.replace("\\\n", " ");
    let mut lines = Vec::new();
    for block in page.split("\n```").skip(1).step_by(2) {
        let (language, block) = block.split_once('\n').unwrap();
        if ["", "console"].contains(&language) {
            let commands = block.lines().map(|line| line.strip_prefix("$ ").unwrap_or(line));
            lines.extend(commands.filter(|line| line.starts_with("starttls ")).map(str::to_owned));
        }
    }
    lines.into_iter()
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
