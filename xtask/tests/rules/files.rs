//! What every file must have, and what none may have.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use starttls_proto::PROTOCOLS;

use crate::support::{complain, root, sources};

/// A role is written once, for every protocol.
const ROLES: &[&str] =
    &["client.rs", "server.rs", "relay.rs", "server_session.rs", "login.rs", "boundary.rs"];

/// Files outside `crates/proto/src` that name a family of protocols, and why the fact is not one of the protocol. Every other
/// fact belongs into its dialect, so that a new protocol needs no change elsewhere.
const FAMILY_USERS: &[(&str, &str)] = &[
    (
        "crates/inspect/src/verdict/servers.rs",
        "few servers of HTTP upgrade, so that those without it would fill the table",
    ),
    ("crates/cli/src/login/mod.rs", "the command accepts an address in place of the service and the user"),
    ("crates/cli/src/send/route.rs", "the command sends mail"),
];

/// A file is cut by meaning, not by length. This bound only finds those that do too much.
const MAX_LINES: usize = 800;

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
        .map(|(path, lines)| format!("{} has {lines} lines; the limit is {MAX_LINES}", path.display()))
        .collect();
    complain(&long);
}

/// An example is read as a whole.
#[test]
fn an_example_is_short() {
    let is_example = |path: &Path| {
        path.components().any(|it| it.as_os_str() == "examples")
            && !["lib.rs", "lab.rs"].iter().any(|it| path.ends_with(it))
    };
    let examples: Vec<_> = sources().into_iter().filter(|(path, _)| is_example(path)).collect();
    assert!(examples.len() >= 10, "only {} examples were found", examples.len());
    let long: Vec<String> = examples
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines >= 60)
        .map(|(path, lines)| format!("{} has {lines} lines: expected fewer than 60", path.display()))
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

#[test]
fn a_fact_of_a_protocol_is_in_its_dialect() {
    let sources = sources();
    let names_a_family =
        |text: &str| text.lines().any(|line| code(line).contains(concat!("ProtocolFamily", "::")));
    let users: BTreeSet<&str> = sources
        .iter()
        .filter(|(path, text)| !path.starts_with("crates/proto/src") && names_a_family(text))
        .filter_map(|(path, _)| path.to_str())
        .collect();
    let known: BTreeSet<&str> = FAMILY_USERS.iter().map(|(path, _)| *path).collect();
    let new = users.difference(&known).map(|path| {
        format!("{path} names a family of protocols: ask the dialect, such as Dialect::observed, or Protocol::flow")
    });
    let gone =
        known.difference(&users).map(|path| format!("{path} names no family: remove it from FAMILY_USERS"));
    complain(&new.chain(gone).collect::<Vec<_>>());
}

/// A table of protocols outside the dialects has to be extended for each new protocol.
#[test]
fn no_file_outside_the_dialects_lists_protocols() {
    const MANY: usize = 3;
    let constant = |name: &str| name.to_uppercase().replace('-', "_");
    let constants: BTreeSet<String> = PROTOCOLS.iter().map(|protocol| constant(protocol.name)).collect();
    let is_source = |path: &Path| {
        path.components().any(|it| it.as_os_str() == "src")
            && !path.starts_with("crates/proto/src")
            && !path.ends_with("tests.rs")
    };
    let mut lists = Vec::new();
    for (path, text) in sources().iter().filter(|(path, _)| is_source(path)) {
        let program = text.split("#[cfg(test)]").next().unwrap_or_default();
        let named: BTreeSet<&str> = program
            .lines()
            .flat_map(|line| code(line).split("::").skip(1))
            .map(|rest| {
                rest.split(|c: char| !(c.is_ascii_uppercase() || c == '_')).next().unwrap_or_default()
            })
            .filter(|word| constants.contains(*word))
            .collect();
        if named.len() >= MANY {
            lists.push(format!("{} lists {named:?}: ask each dialect of PROTOCOLS", path.display()));
        }
    }
    complain(&lists);
}

/// Returns the line without a comment that is all of it.
fn code(line: &str) -> &str {
    if line.trim_start().starts_with("//") { "" } else { line }
}
