//! Checks that the documentation shows only commands that this program accepts.

use std::path::{Path, PathBuf};

use clap::Parser;
use clap::error::ErrorKind;

use crate::args::Cli;

#[test]
fn every_documented_command_is_accepted() {
    let mut problems = Vec::new();
    let mut count = 0;
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        for command in commands(&text) {
            count += 1;
            if let Err(error) = Cli::try_parse_from(words(&command))
                && !matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion)
            {
                let first = error.to_string().lines().next().unwrap_or_default().to_owned();
                problems.push(format!("{}: {command}: {first}", document.display()));
            }
        }
    }
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
    assert!(count > 40, "only {count} commands were found");
}

#[test]
fn a_command_ends_at_a_redirection_or_at_its_description() {
    let text = "text\n```\n$ starttls connect smtp://a </dev/null\nstarttls send x \\\n  --body 'a b'\nstarttls check a    a text\n```\n";
    let found: Vec<_> = commands(text).iter().map(|it| words(it)).collect();
    let expected = [
        &["starttls", "connect", "smtp://a"][..],
        &["starttls", "send", "x", "--body", "a b"],
        &["starttls", "check", "a"],
    ];
    assert_eq!(found, expected);
}

fn documents() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let docs = std::fs::read_dir(root.join("docs")).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = docs.filter(|path| path.extension().is_some_and(|it| it == "md")).collect();
    // The help texts, whose lines are wrapped.
    found.retain(|path| !path.ends_with("commands.md"));
    found.push(root.join("README.md"));
    found
}

/// Returns the commands in the blocks of a document. Continued lines are joined.
fn commands(text: &str) -> Vec<String> {
    let mut in_block = false;
    let mut found = Vec::new();
    for line in text.replace("\\\n", " ").lines() {
        let line = line.trim_start();
        if line.starts_with("```") {
            in_block = !in_block;
        } else if in_block
            && let Some(rest) = line.trim_start_matches("$ ").strip_prefix("starttls ")
            && !rest.starts_with('=')
        {
            found.push(format!("starttls {rest}"));
        }
    }
    found
}

/// Returns the words of a command up to a redirection, a pipe, a comment or a description, which follows two spaces.
fn words(command: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut quote = None;
    let mut spaces = 0;
    for c in command.chars() {
        if quote == Some(c) {
            quote = None;
        } else if quote.is_some() {
            words.last_mut().unwrap().push(c);
        } else if c == ' ' {
            spaces += 1;
            continue;
        } else {
            let is_option = c == '-';
            if (spaces >= 2 && !is_option) || (spaces >= 1 && matches!(c, '<' | '>' | '|' | '#' | '&' | '['))
            {
                break;
            }
            if spaces >= 1 {
                words.push(String::new());
            }
            if c == '\'' || c == '"' {
                quote = Some(c);
            } else {
                words.last_mut().unwrap().push(c);
            }
        }
        spaces = 0;
    }
    words
}
