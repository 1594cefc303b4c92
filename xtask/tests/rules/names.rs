//! A public type's name means one thing in the workspace, and the name of a function hides no actor.

use std::collections::BTreeMap;
use std::path::Component;

use syn::{Item, Visibility};

use crate::support::{complain, sources};

/// Names that may have several owners, and why.
const SHARED: &[(&str, &str)] = &[
    ("Error", "each library has one, as is usual in Rust"),
    ("Connector", "the blocking driver mirrors the asynchronous one, in a module of its own"),
    ("Dialer", "the blocking driver mirrors the asynchronous one, in a module of its own"),
    ("Acceptor", "the blocking driver mirrors the asynchronous one, in a module of its own"),
];

#[test]
fn a_public_type_has_a_name_of_its_own() {
    let mut owners: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (path, text) in sources() {
        let is_library = path.starts_with("crates")
            && !path.starts_with("crates/cli")
            && path.components().nth(2) == Some(Component::Normal("src".as_ref()));
        if !is_library {
            continue;
        }
        for item in syn::parse_file(&text).unwrap().items {
            let (visibility, name) = match item {
                Item::Struct(item) => (item.vis, item.ident),
                Item::Enum(item) => (item.vis, item.ident),
                Item::Trait(item) => (item.vis, item.ident),
                Item::Type(item) => (item.vis, item.ident),
                _ => continue,
            };
            if matches!(visibility, Visibility::Public(_)) {
                owners.entry(name.to_string()).or_default().push(path.display().to_string());
            }
        }
    }
    let problems = owners
        .into_iter()
        .filter(|(name, paths)| paths.len() > 1 && !SHARED.iter().any(|(shared, _)| shared == name))
        .map(|(name, paths)| format!("{name} means several things: {}", paths.join(", ")));
    complain(&problems.collect::<Vec<_>>());
}

/// Words that hide the actor in a name, as they do in a sentence; see `phrases.rs`.
const VAGUE: &[&str] =
    &["nobody", "somebody", "anybody", "everybody", "whoever", "who", "whom", "whomever", "cure"];

#[test]
fn the_name_of_a_function_hides_no_actor() {
    let mut vague = Vec::new();
    for (path, text) in sources() {
        for (index, line) in text.lines().enumerate() {
            let mut words = line.split(|c: char| !c.is_alphanumeric() && c != '_');
            let Some(name) = words.by_ref().find(|word| *word == "fn").and_then(|_| words.next()) else {
                continue;
            };
            if name.split('_').any(|part| VAGUE.contains(&part)) {
                vague.push(format!("{}:{}: {name}", path.display(), index + 1));
            }
        }
    }
    complain(&vague);
}
