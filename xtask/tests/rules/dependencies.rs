//! Which crate may depend on which.

use std::fs;
use std::process::Command;

use starttls_testkit::real;

use crate::support::{complain, root};

/// Which crates of the workspace a crate may import: `{ proto, x509 } <- net <- { audit, gateway, attack } <- cli`.
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("starttls-proto", &[]),
    ("starttls-x509", &[]),
    ("starttls", &["starttls-proto", "starttls-x509"]),
    ("starttls-lab", &["starttls-proto", "starttls", "starttls-hello"]),
    ("starttls-testkit", &["starttls-proto", "starttls", "starttls-lab", "starttls-processes"]),
    ("starttls-report", &["starttls-proto"]),
    ("starttls-hello", &[]),
    ("starttls-inspect", &["starttls-proto", "starttls-hello", "starttls-report", "starttls-x509"]),
    ("starttls-processes", &[]),
    ("starttls-dns", &[]),
    ("starttls-policy", &["starttls-dns", "starttls"]),
    ("starttls-survey", &["starttls", "starttls-audit", "starttls-dns", "starttls-x509"]),
    ("starttls-audit", &["starttls-proto", "starttls", "starttls-hello", "starttls-report", "starttls-x509"]),
    (
        "starttls-gateway",
        &["starttls-proto", "starttls", "starttls-inspect", "starttls-report", "starttls-x509"],
    ),
    ("starttls-attack", &["starttls-proto", "starttls", "starttls-report", "starttls-processes"]),
    (
        "starttls-web",
        &[
            "starttls-proto",
            "starttls",
            "starttls-audit",
            "starttls-dns",
            "starttls-hello",
            "starttls-report",
            "starttls-x509",
        ],
    ),
    (
        "starttls-cli",
        &[
            "starttls-proto",
            "starttls",
            "starttls-lab",
            "starttls-audit",
            "starttls-gateway",
            "starttls-attack",
            "starttls-dns",
            "starttls-hello",
            "starttls-inspect",
            "starttls-policy",
            "starttls-processes",
            "starttls-report",
            "starttls-web",
            "starttls-survey",
            "starttls-x509",
        ],
    ),
    ("starttls-conformance", &["starttls-audit", "starttls-attack"]),
    ("xtask", &["starttls-proto"]),
];

#[test]
fn the_core_has_no_dependency() {
    for name in ["starttls-proto", "starttls-hello"] {
        let tree = cargo_tree(&["-p", name, "-e", "normal,build"]);
        assert_eq!(tree.lines().count(), 1, "{tree}");
    }
}

#[test]
fn the_command_has_one_source_of_cryptography() {
    let tree = cargo_tree(&["-p", "starttls-cli", "-e", "normal,build", "--prefix", "none"]);
    let has = |name: &str| tree.lines().any(|line| line.split(' ').next() == Some(name));
    // ring has no post-quantum key exchange, and the system's roots are those that its user trusts.
    assert!(has("aws-lc-rs") && has("rustls-native-certs"), "{tree}");
    assert!(!has("ring") && !has("webpki-roots"), "{tree}");
}

#[test]
fn crates_import_only_what_they_may() {
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
fn the_testkit_is_a_development_dependency_only() {
    let tree =
        cargo_tree(&["--workspace", "-e", "normal,build", "--prefix", "none", "-i", "starttls-testkit"]);
    let users: Vec<String> = tree
        .lines()
        .filter(|line| !line.starts_with("starttls-testkit "))
        .map(|line| format!("{line} depends on starttls-testkit"))
        .collect();
    complain(&users);
}

#[test]
fn the_libraries_that_promise_an_old_compiler_are_checked_with_it() {
    let step = fs::read_to_string(root().join("xtask/src/msrv.rs")).unwrap();
    let version = step.split("VERSION: &str = \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
    let mut problems = Vec::new();
    for (name, _) in MAY_IMPORT.iter().filter(|(name, _)| name.starts_with("starttls")) {
        let folder = match *name {
            "starttls" => "crates/net".to_owned(),
            "starttls-conformance" => "conformance".to_owned(),
            name => name.replacen("starttls-", "crates/", 1),
        };
        let manifest = fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let promises = manifest.contains(&format!("\nrust-version = \"{version}\"\n"));
        if !promises && !manifest.contains("\nrust-version.workspace = true\n") {
            problems.push(format!("the rust-version of {name} is neither {version} nor the workspace's"));
        }
        if promises != step.contains(&format!("(\"{name}\", ")) {
            problems
                .push(format!("{name}: only the manifest or only xtask/src/msrv.rs names Rust {version}"));
        }
    }
    complain(&problems);
}

#[test]
fn a_published_crate_has_what_a_registry_shows() {
    let published = fs::read_to_string(root().join("xtask/src/package.rs")).unwrap();
    let mut problems = Vec::new();
    for entry in fs::read_dir(root().join("crates")).unwrap() {
        let folder = entry.unwrap().path();
        let manifest = fs::read_to_string(folder.join("Cargo.toml")).unwrap();
        let name =
            manifest.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"')).unwrap();
        let is_published = !manifest.contains("\npublish = false\n");
        if is_published != published.contains(&format!("(\"{name}\", \"")) {
            problems.push(format!("{name}: only its manifest or only xtask/src/package.rs publishes it"));
        }
        if !is_published {
            continue;
        }
        for key in ["description", "license", "readme", "documentation", "keywords", "categories"] {
            if !manifest
                .lines()
                .any(|line| line.starts_with(&format!("{key} ")) || line.starts_with(&format!("{key}.")))
            {
                problems.push(format!("{name}: the manifest has no {key}"));
            }
        }
        let is_library = folder.join("src/lib.rs").exists();
        if is_library && !manifest.contains("[package.metadata.docs.rs]\nall-features = true\n") {
            problems.push(format!("{name}: the manifest has no settings for docs.rs"));
        }
        for file in ["README.md", "LICENSE-APACHE", "LICENSE-MIT"] {
            if !folder.join(file).exists() {
                problems.push(format!("{name}: {file} is missing"));
            }
        }
    }
    complain(&problems);
}

#[test]
fn setup_installs_what_the_testkit_needs() {
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
