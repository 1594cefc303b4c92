//! Reads the sources.

use std::fs;
use std::path::{Path, PathBuf};

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}

/// Returns every Rust file of the repository, with its text.
pub(crate) fn sources() -> Vec<(PathBuf, String)> {
    files(&["crates", "xtask", "examples", "fuzz", "conformance"], "rs")
}

/// Returns the texts that users read: the documentation, and the scenarios of `attack`.
pub(crate) fn documents() -> Vec<(PathBuf, String)> {
    let mut found = files(&["docs", "crates", "contrib"], "md");
    found.extend(files(&["crates/attack"], "toml"));
    for entry in fs::read_dir(root()).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|ending| ending == "md") {
            let text = fs::read_to_string(&path).unwrap();
            found.push((path.strip_prefix(root()).unwrap().to_owned(), text));
        }
    }
    found
}

/// Returns the files with this ending, with their texts.
fn files(folders: &[&str], ending: &str) -> Vec<(PathBuf, String)> {
    let mut folders: Vec<PathBuf> = folders.iter().map(|it| root().join(it)).collect();
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() && !path.ends_with("target") {
                folders.push(path);
            } else if path.extension().is_some_and(|it| it == ending) {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path.strip_prefix(root()).unwrap().to_owned(), text));
            }
        }
    }
    assert!(!found.is_empty(), "no file was found that ends in .{ending}");
    found
}

/// Fails with a line for each problem.
pub(crate) fn complain(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}
