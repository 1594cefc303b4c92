//! The rules of the house that no lint can say.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use starttls_lab::real;
use starttls_proto::PROTOCOLS;

/// Who may import which crate of the workspace: `proto <- net <- { audit, gateway, attack } <- cli`.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("starttls-proto", &[]),
    ("starttls", &["starttls-proto"]),
    ("starttls-lab", &["starttls-proto", "starttls", "starttls-processes"]),
    ("starttls-report", &[]),
    ("starttls-hello", &[]),
    ("starttls-processes", &[]),
    ("starttls-audit", &["starttls-proto", "starttls", "starttls-report"]),
    ("starttls-gateway", &["starttls-proto", "starttls"]),
    ("starttls-attack", &["starttls-proto", "starttls", "starttls-report", "starttls-processes"]),
    (
        "starttls-cli",
        &[
            "starttls-proto",
            "starttls",
            "starttls-lab",
            "starttls-audit",
            "starttls-gateway",
            "starttls-attack",
            "starttls-hello",
            "starttls-processes",
            "starttls-report",
        ],
    ),
    ("starttls-conformance", &["starttls-audit", "starttls-attack"]),
    ("xtask", &["starttls-proto"]),
];

/// A role is written once, for every protocol.
const ROLES: &[&str] = &["client.rs", "server.rs", "relay.rs", "inside.rs", "login.rs", "boundary.rs"];

/// About 400, and some.
const MAX_LINES: usize = 450;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

fn cargo_tree(args: &[&str]) -> String {
    let cargo = Command::new("timeout")
        .args(["120", env!("CARGO"), "tree", "--offline", "--locked"])
        .args(args)
        .current_dir(root())
        .output()
        .unwrap();
    assert!(cargo.status.success(), "{}", String::from_utf8_lossy(&cargo.stderr));
    String::from_utf8(cargo.stdout).unwrap()
}

/// Every Rust file of the repository, with its text.
fn sources() -> Vec<(PathBuf, String)> {
    let mut folders: Vec<PathBuf> =
        ["crates", "xtask", "fuzz", "conformance"].map(|it| root().join(it)).into();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|ending| ending == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root()).unwrap().to_owned(), text));
            }
        }
    }
    assert!(found.len() > 10, "the sources were not found");
    found
}

fn complain(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}

/// What a line says to the compiler.
fn code(line: &str) -> &str {
    if line.trim_start().starts_with("//") { "" } else { line }
}

#[test]
fn the_core_has_no_dependency() {
    for name in ["starttls-proto", "starttls-hello"] {
        let tree = cargo_tree(&["-p", name, "-e", "normal,build"]);
        assert_eq!(tree.lines().count(), 1, "{tree}");
    }
}

#[test]
fn crates_import_only_whom_they_may() {
    let tree = cargo_tree(&["--workspace", "-e", "normal,build", "--depth", "1", "--prefix", "depth"]);
    let (mut crates, mut problems) = (Vec::new(), Vec::new());
    for line in tree.lines() {
        let name = line.get(1..).and_then(|rest| rest.split(' ').next()).unwrap_or_default();
        match line.as_bytes().first() {
            Some(b'0') => crates.push(name),
            Some(b'1') if name == "xtask" || name.starts_with("starttls") => {
                let importer = *crates.last().unwrap();
                let rule = MAY_IMPORT.iter().find(|(known, _)| *known == importer);
                if !rule.is_some_and(|(_, allowed)| allowed.contains(&name)) {
                    problems.push(format!("{importer} may not import {name}"));
                }
            }
            _ => {}
        }
    }
    assert!(crates.contains(&"starttls-proto") && crates.contains(&"starttls-cli"), "{tree}");
    crates.retain(|name| !MAY_IMPORT.iter().any(|(known, _)| known == name));
    problems.extend(crates.iter().map(|name| format!("{name} has no line in MAY_IMPORT")));
    complain(&problems);
}

#[test]
fn every_crate_forbids_unsafe_code() {
    let sources = sources();
    let roots = sources.iter().filter(|(path, _)| {
        let bin = path.parent().is_some_and(|folder| folder.ends_with("src/bin"));
        bin || path.ends_with("src/lib.rs") || path.ends_with("src/main.rs") || path.ends_with("build.rs")
    });
    let unsure: Vec<String> = roots
        .filter(|(_, text)| !text.lines().any(|line| line == "#![forbid(unsafe_code)]"))
        .map(|(path, _)| format!("{} does not forbid unsafe code", path.display()))
        .collect();
    complain(&unsure);
}

#[test]
fn no_file_is_long() {
    let long: Vec<String> = sources()
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > MAX_LINES)
        .map(|(path, lines)| format!("{} has {lines} lines; {MAX_LINES} are enough", path.display()))
        .collect();
    complain(&long);
}

#[test]
fn a_lint_is_expected_with_a_reason_or_obeyed() {
    let mut bare = Vec::new();
    for (path, text) in sources() {
        for (index, line) in text.lines().enumerate() {
            let attribute = line.trim_start();
            if ["#[allow(", "#![allow("].iter().any(|it| attribute.starts_with(it)) {
                bare.push(format!("{}:{}: {attribute}", path.display(), index + 1));
            }
        }
    }
    complain(&bare);
}

#[test]
fn setup_installs_what_the_lab_needs() {
    let list = fs::read_to_string(root().join("xtask/packages.txt")).unwrap();
    let listed: Vec<&str> = list.lines().filter_map(|line| line.split_whitespace().next()).collect();
    let servers = real::SERVERS.iter().flat_map(|server| server.packages);
    let missing: Vec<String> = servers
        .chain(real::CLIENT_PACKAGES)
        .filter(|name| !listed.contains(name))
        .map(|name| format!("xtask/packages.txt does not list {name}"))
        .collect();
    complain(&missing);
}

#[test]
fn no_role_knows_a_protocol() {
    // "xmpp-server" is XMPP: what follows the dash is a role.
    let names: Vec<&str> = PROTOCOLS.iter().filter_map(|protocol| protocol.name.split('-').next()).collect();
    let mut named = Vec::new();
    for role in ROLES {
        let text = fs::read_to_string(root().join("crates/proto/src").join(role)).unwrap();
        for (index, line) in text.lines().enumerate() {
            for word in code(line).split(|c: char| !c.is_ascii_alphanumeric()) {
                if names.iter().any(|name| name.eq_ignore_ascii_case(word)) {
                    named.push(format!("crates/proto/src/{role}:{} names {word}", index + 1));
                }
            }
        }
    }
    complain(&named);
}
