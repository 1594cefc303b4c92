//! Compares `starttls inspect` with captures of which the contents are known: a folder with capture files and `truth.tsv`.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::{cargo, root};

const USAGE: &str = "usage: cargo xtask captures FOLDER";

/// Inspects every capture of the folder's table and prints the differences. `truth.tsv` is tab-separated; its first line names
/// the columns: `file`, `client`, `server`, `protocol`, `offered`, `requested`, `answer`, `tls`, `tls_version`, `suite`, `sni`,
/// `certificate`, `ja3`, `ja4`, `credentials`. Text after `:`, `,`, `;` or `(` is a comment.
pub(crate) fn run(args: &[&str]) -> Result<(), String> {
    let [folder] = *args else { return Err(String::from(USAGE)) };
    let folder = Path::new(folder);
    let path = folder.join("truth.tsv");
    let table = std::fs::read_to_string(&path).map_err(|e| format!("cannot read {}: {e}", path.display()))?;
    let built = cargo(["build", "--quiet", "-p", "starttls-cli"]).status().map_err(|e| e.to_string())?;
    if !built.success() {
        return Err(String::from("the command does not build"));
    }
    let mut lines = table.lines();
    let columns: Vec<&str> = lines.next().unwrap_or_default().split('\t').collect();
    let (mut differences, mut count) = (String::new(), 0);
    for line in lines.filter(|line| !line.is_empty()) {
        let row = Row { columns: &columns, cells: line.split('\t').collect() };
        count += 1;
        let report = inspect(&folder.join(row.cell("file")), row.cell("client"))?;
        for difference in row.differences(&report) {
            let _ = writeln!(differences, "{}: {difference}", row.cell("file"));
        }
    }
    print!("{differences}");
    println!("{count} connections, {} differences", differences.lines().count());
    if differences.is_empty() { Ok(()) } else { Err(String::from("the captures show something else")) }
}

/// Returns the report of the client's connection.
fn inspect(capture: &Path, client: &str) -> Result<Value, String> {
    let output = Command::new(root().join("target/debug/starttls"))
        .args(["inspect", "--format", "json"])
        .arg(capture)
        .output()
        .map_err(|e| e.to_string())?;
    let reports = String::from_utf8_lossy(&output.stdout);
    let mut reports = reports.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
    reports
        .find(|report| report["type"] == "connection" && report["client"] == client)
        .ok_or_else(|| format!("{}: no connection of {client} was reported", capture.display()))
}

/// A row of the table.
struct Row<'a> {
    columns: &'a [&'a str],
    cells: Vec<&'a str>,
}

impl Row<'_> {
    fn cell(&self, name: &str) -> &str {
        let at = self.columns.iter().position(|column| *column == name);
        at.and_then(|at| self.cells.get(at)).copied().unwrap_or("-")
    }

    /// Returns a cell without its comment.
    fn value(&self, name: &str) -> &str {
        let cell = self.cell(name);
        cell.split([':', ',', ';', '(']).next().unwrap_or(cell).trim()
    }

    fn differences(&self, report: &Value) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut compare = |name: &str, expected: &str, found: String, same: bool| {
            if !same {
                wrong.push(format!("{name} is {found}, expected {expected}"));
            }
        };
        let text = |value: &Value| value.as_str().unwrap_or("-").to_owned();
        // The end of a connection proves what it does not contain. Without it the report is "unknown".
        let is_whole = report["seen"] == "whole";
        let word = |name: &str| {
            let expected = match self.value(name) {
                "not asked" | "never asked" => "never-asked",
                "first octet" => "first-octet",
                "wrong mode" => "wrong-mode",
                "inconclusive" => "unknown",
                "no hello reply of the right form" => "unknown",
                other => other,
            };
            let found = text(&report[name]);
            let absent = ["no", "never", "broken"].contains(&expected);
            let same = match expected {
                // The column does not apply.
                "-" => !["yes", "accepted"].contains(&found.as_str()),
                "refused" => found.starts_with("refused"),
                expected => found == expected,
            };
            let is_open = absent && found == "unknown" && (!is_whole || report["protocol"].is_null());
            (expected.to_owned(), found, same || is_open)
        };
        for name in ["offered", "requested", "answer", "tls"] {
            let (expected, found, same) = word(name);
            // A protocol without a list has no offer, and a client that starts with TLS requests nothing.
            let is_other = ["requested", "offered"].contains(&name)
                && ["first-octet", "wrong-mode"].contains(&report["tls"].as_str().unwrap_or_default())
                && found == "unknown";
            compare(name, &expected, found, same || is_other);
        }
        let expected = self.cell("protocol").split(' ').next().unwrap_or_default();
        let found = text(&report["protocol"]);
        let same = match expected {
            // The ports 465 and 587 name a variant of SMTP.
            "smtp" => found == "smtp" || found == "submission",
            "tls" => report["recognized_by"] == "tls",
            "-" | "unknown" | "ssh" => found == "-",
            expected => found == expected,
        };
        compare("protocol", expected, found, same);
        let handshake = &report["handshake"];
        for (name, found) in [
            ("tls_version", &handshake["version"]),
            ("suite", &handshake["suite"]["code"]),
            ("ja3", &handshake["ja3"]),
            ("ja4", &handshake["ja4"]),
        ] {
            let (expected, found) = (self.cell(name), text(found));
            compare(name, expected, found.clone(), expected == found);
        }
        let (expected, found) = (self.cell("sni").split(' ').next().unwrap_or("-"), text(&handshake["sni"]));
        compare("sni", expected, found.clone(), found == if expected == "none" { "-" } else { expected });
        let (expected, found) = (self.value("certificate"), text(&handshake["certificate"]["visibility"]));
        compare("certificate", expected, found.clone(), expected == found);
        let expected = self.cell("credentials");
        let logins = report["credentials"].as_array().map(Vec::as_slice).unwrap_or_default();
        let found: Vec<String> = logins
            .iter()
            .map(|it| format!("{} {} {}", text(&it["mechanism"]), text(&it["user"]), text(&it["exposure"])))
            .collect();
        let same = match (expected, &found[..]) {
            ("-", []) => true,
            (expected, []) => expected.starts_with("none"),
            (expected, [login]) => login.split(' ').all(|word| word == "-" || is_named(expected, word)),
            _ => false,
        };
        compare("credentials", expected, found.join("; "), same);
        wrong
    }
}

/// Returns whether the description of a login has this word of the report.
fn is_named(expected: &str, word: &str) -> bool {
    match word {
        "attempted" => expected.contains("attempt"),
        "guessable" => !expected.contains("readable"),
        word => expected.contains(word),
    }
}
