//! The documentation names only files that exist.

use std::fs;
use std::path::{Path, PathBuf};

/// Where a word with a slash is a path of this repository.
const FOLDERS: &[&str] =
    &["crates/", "xtask/", "fuzz/", "docs/", "conformance/", "examples/", ".ci/", ".cargo/"];

/// What a name at the root, or beside the document, ends with.
const ENDINGS: &[&str] = &[".md", ".toml"];

/// Made by running something, and so not always there.
const GENERATED: &[&str] = &["fuzz/corpus", "fuzz/artifacts", "fuzz/target"];

/// Checks every link and every path in the markdown files at the root and under `docs`.
pub(crate) fn check(root: &Path) -> Result<(), String> {
    let mut missing = Vec::new();
    for document in documents(root).map_err(|e| format!("cannot list the documents: {e}"))? {
        let text = fs::read_to_string(&document).map_err(|e| format!("{}: {e}", document.display()))?;
        let name = document.strip_prefix(root).unwrap_or(&document).display();
        for (line, target) in targets(&text) {
            let beside = document.parent().unwrap_or(root).join(&target);
            let generated = GENERATED.iter().any(|folder| target.starts_with(folder));
            if !generated && !beside.exists() && !root.join(&target).exists() {
                missing.push(format!("{name}:{line}: there is no {target}"));
            }
        }
    }
    if missing.is_empty() { Ok(()) } else { Err(missing.join("\n")) }
}

fn documents(root: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for folder in [root.to_owned(), root.join("docs")] {
        if folder.is_dir() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.extension().is_some_and(|ending| ending == "md") {
                    found.push(path);
                }
            }
        }
    }
    found.sort();
    Ok(found)
}

/// The files that a document names, with the line: links, and words in backticks that are paths.
/// Blocks of code are left out: they show input and output.
fn targets(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let mut in_block = false;
    for (index, line) in text.lines().enumerate() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            let links = line.split("](").skip(1).filter_map(|rest| rest.split(')').next()).filter_map(link);
            let words = line.split('`').skip(1).step_by(2).filter_map(path);
            found.extend(links.chain(words).map(|target| (index + 1, target.to_owned())));
        }
    }
    found
}

/// The file that a link leads to, if it stays in the repository.
fn link(target: &str) -> Option<&str> {
    let file = target.split('#').next()?.trim();
    (!file.is_empty() && !file.contains("://") && !file.starts_with("mailto:")).then_some(file)
}

/// The file or folder that a word names; what varies (`<name>`, `NAME`, `*`) ends the part that can be checked.
fn path(word: &str) -> Option<&str> {
    let fixed = word.split(['<', '*', '{', '…']).next()?.split("NAME").next()?;
    let fixed = if fixed.len() < word.len() { &fixed[..fixed.rfind('/')? + 1] } else { fixed };
    let is_path = !fixed.contains(' ')
        && (FOLDERS.iter().any(|folder| fixed.starts_with(folder))
            || (!fixed.contains('/')
                && ENDINGS.iter().any(|ending| fixed.len() > ending.len() && fixed.ends_with(ending))));
    is_path.then_some(fixed)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(text: &str) -> Vec<String> {
        targets(text).into_iter().map(|(_, target)| target).collect()
    }

    #[test]
    fn links_and_paths_are_found() {
        assert_eq!(
            named("see [the rules](docs/rules.md#b2) and [us](https://example.com)"),
            ["docs/rules.md"]
        );
        assert_eq!(
            named(
                "`crates/proto/src/lib.rs`, `crates/proto/vectors/<protocol>/x.txt`, `a b`, `x/y`, `docs/NAME.md`"
            ),
            ["crates/proto/src/lib.rs", "crates/proto/vectors/", "docs/"]
        );
        assert_eq!(
            named("`deny.toml` [here](#here)\n```\n`docs/no.md`\n```\n`README.md`"),
            ["deny.toml", "README.md"]
        );
    }

    #[test]
    fn a_missing_file_is_told_with_its_line() {
        let folder = std::env::temp_dir().join(format!("xtask-docs-{}", std::process::id()));
        fs::create_dir_all(folder.join("docs")).unwrap();
        fs::write(folder.join("README.md"), "one\n[two](docs/two.md)\n").unwrap();
        fs::write(folder.join("docs/one.md"), "[one](one.md) `docs/one.md` `README.md`\n").unwrap();
        assert_eq!(check(&folder), Err(String::from("README.md:2: there is no docs/two.md")));
        fs::write(folder.join("docs/two.md"), "").unwrap();
        assert_eq!(check(&folder), Ok(()));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_documentation_names_what_exists() {
        if let Err(missing) = check(&crate::root()) {
            panic!("{missing}");
        }
    }
}
