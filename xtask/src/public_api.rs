//! Writes the public interface of the libraries as text, so that a change of it shows in a review.
//!
//! The listing is read from the sources. The lint `unreachable_pub` makes sure that every `pub` item is a part of the interface,
//! and rustfmt that an item begins on a line of its own, so it needs neither a nightly compiler nor another program.

use std::fs;
use std::path::{Path, PathBuf};

use crate::root;

/// The folders of the libraries that other programs use.
const LIBRARIES: &[&str] = &["proto", "x509", "hello", "dns", "net"];

const FILE: &str = "public-api.txt";

/// Writes the listings.
pub(crate) fn write() -> Result<(), String> {
    for library in LIBRARIES {
        let path = listing_path(library);
        fs::write(&path, listing(library)?)
            .map_err(|error| format!("cannot write {}: {error}", path.display()))?;
        println!("wrote {}", path.display());
    }
    Ok(())
}

/// Fails if a listing differs from the sources.
pub(crate) fn check() -> Result<(), String> {
    let mut problems = Vec::new();
    for library in LIBRARIES {
        let written = fs::read_to_string(listing_path(library)).unwrap_or_default();
        let now = listing(library)?;
        let lost =
            written.lines().filter(|line| !now.lines().any(|it| it == *line)).map(|line| format!("- {line}"));
        let new =
            now.lines().filter(|line| !written.lines().any(|it| it == *line)).map(|line| format!("+ {line}"));
        problems.extend(lost.chain(new).map(|line| format!("crates/{library}: {line}")));
    }
    if problems.is_empty() {
        return Ok(());
    }
    let hint = "hint: if the change of the interface is intended, run `cargo xtask public-api`, and describe it in the changelog";
    Err(format!("the public interface changed:\n{}\n{hint}", problems.join("\n")))
}

fn listing_path(library: &str) -> PathBuf {
    root().join("crates").join(library).join(FILE)
}

fn listing(library: &str) -> Result<String, String> {
    let sources = root().join("crates").join(library).join("src");
    let mut files = Vec::new();
    collect(&sources, &mut files).map_err(|error| format!("cannot list {}: {error}", sources.display()))?;
    files.sort();
    let mut all = String::from("# Written by `cargo xtask public-api`.\n");
    for file in files {
        let text = fs::read_to_string(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        let items = items(&text);
        if !items.is_empty() {
            let name = file.strip_prefix(&sources).unwrap_or(&file);
            all += &format!("\n## {}\n{}\n", name.display(), items.join("\n"));
        }
    }
    Ok(all)
}

fn collect(folder: &Path, files: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            collect(&path, files)?;
        } else if path.extension().is_some_and(|it| it == "rs") {
            files.push(path);
        }
    }
    Ok(())
}

/// Returns the public items of a file, one a line, each after the block that contains it.
fn items(text: &str) -> Vec<String> {
    // Tests are last in a file.
    let text = text.split("\n#[cfg(test)]\nmod tests {").next().unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    let (mut found, mut attributes, mut block) = (Vec::new(), Vec::new(), Block::default());
    let mut at = 0;
    while let Some(line) = lines.get(at) {
        let word = line.trim_start();
        let indent = line.len() - word.len();
        if word.starts_with("#[") {
            attributes.push(word);
        } else if !word.starts_with("//") && !word.is_empty() {
            let (signature, length) = signature(&lines[at..]);
            if indent == 0 {
                block = Block::of(&signature, line.ends_with('}') || signature.ends_with(';'));
            }
            if block.shows(&signature, indent) {
                let outer = if indent == 0 { String::new() } else { format!("{}: ", block.name) };
                let shown = attributes.iter().filter(|it| is_part_of_the_interface(it)).copied();
                let words: Vec<&str> = shown.chain([signature.as_str()]).collect();
                found.push(format!("{outer}{}", words.join(" ")));
                at += length - 1;
            }
            attributes.clear();
        }
        at += 1;
    }
    found
}

fn is_part_of_the_interface(attribute: &str) -> bool {
    ["#[non_exhaustive", "#[derive", "#[must_use", "#[cfg(", "#[doc(hidden", "#[default"]
        .iter()
        .any(|start| attribute.starts_with(start))
}

/// The item at the left margin that contains the current line.
#[derive(Default)]
struct Block {
    name: String,
    /// Whether everything in it is public: the variants of an enum, the methods of a trait.
    is_open: bool,
}

impl Block {
    fn of(signature: &str, is_closed: bool) -> Self {
        let kinds = ["pub enum ", "pub trait "];
        let name = signature.split(['{', '(']).next().unwrap_or_default().trim().to_owned();
        Self { is_open: !is_closed && kinds.iter().any(|kind| signature.starts_with(kind)), name }
    }

    fn shows(&self, signature: &str, indent: usize) -> bool {
        let is_public = signature.starts_with("pub ");
        match indent {
            0 => is_public || (signature.starts_with("impl") && signature.contains(" for ")),
            4 => is_public || (self.is_open && signature.starts_with(|c: char| c.is_ascii_alphabetic())),
            // The fields of a variant.
            8 => self.is_open && self.name.starts_with("pub enum ") && signature.contains(": "),
            _ => false,
        }
    }
}

/// Returns the text from the first line up to its body or its end, in one line, and the number of its lines.
fn signature(lines: &[&str]) -> (String, usize) {
    let mut text = String::new();
    for (index, line) in lines.iter().enumerate() {
        let line = line.trim();
        text += if text.is_empty() || text.ends_with('(') { "" } else { " " };
        text += line;
        let depth = text.matches(['(', '[']).count() as isize - text.matches([')', ']']).count() as isize;
        if depth == 0 && line.ends_with(['{', ';', ',', '}']) || index > 30 {
            // The value of a constant is not a part of its type.
            let value = if text.contains("const ") || text.contains("static ") { " = " } else { " {" };
            let head = text.split(value).next().unwrap_or_default();
            let head = if text.starts_with("pub use") { &text } else { head };
            return (head.trim_end_matches([',', '{', ' ']).to_owned(), index + 1);
        }
    }
    (text, lines.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_listing_has_what_is_public() {
        let text = "//! A file.\n\nuse std::fmt;\n\n/// A type.\n#[derive(Clone)]\n#[non_exhaustive]\npub struct A {\n    \
                    /// A field.\n    pub field: Vec<u8>,\n    hidden: u8,\n}\n\nimpl A {\n    /// Does.\n    #[must_use]\n    \
                    pub fn long(\n        &self,\n        other: u8,\n    ) -> Result<u8, fmt::Error> {\n        let pub_no = 1;\n    \
                    }\n\n    pub(crate) fn no(&self) {}\n\n    fn neither(&self) {}\n}\n\npub enum B {\n    One,\n    Two {\n        \
                    x: u8,\n    },\n    Three(u8),\n}\n\nimpl fmt::Display for B {\n    fn fmt(&self) {}\n}\n\n\
                    pub const C: &[u8] = b\"x\";\n\npub trait T: Send {\n    /// Gets.\n    fn get(&self) -> u8;\n}\n\n\
                    #[cfg(test)]\nmod tests {\n    pub fn never() {}\n}\n";
        assert_eq!(
            items(text),
            [
                "#[derive(Clone)] #[non_exhaustive] pub struct A",
                "pub struct A: pub field: Vec<u8>",
                "impl A: #[must_use] pub fn long(&self, other: u8, ) -> Result<u8, fmt::Error>",
                "pub enum B",
                "pub enum B: One",
                "pub enum B: Two",
                "pub enum B: x: u8",
                "pub enum B: Three(u8)",
                "impl fmt::Display for B",
                "pub const C: &[u8]",
                "pub trait T: Send",
                "pub trait T: Send: fn get(&self) -> u8;",
            ]
        );
    }
}
