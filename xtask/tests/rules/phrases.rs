//! Phrases that hide who does what. docs/style.md has the rules; this test finds the worst offences.

use crate::support::{complain, documents, sources};

/// A phrase, and what to write instead.
const PHRASES: &[(&str, &str)] = &[
    ("nobody", "name the actor: no client, no server, no process"),
    ("somebody", "name the actor: the client, the attacker, another process"),
    ("whoever", "name the actor: a client that, the peer that"),
    ("there is none", "write that it is missing, or that it does not exist"),
    ("cure", "the field's word is fix"),
    ("could not be told", "the field's word is inconclusive"),
    ("cannot be told", "the field's word is inconclusive; or write that two things cannot be distinguished"),
    ("gets as long again", "write that the timer restarts"),
];

/// Lines that need one of the phrases.
const EXCEPTIONS: &[&str] = &[
    // The user of that name.
    "\"nobody\"",
];

#[test]
fn no_phrase_hides_the_actor() {
    let mut found = Vec::new();
    for (path, text) in sources().into_iter().chain(documents()) {
        if path.ends_with("phrases.rs") || path.ends_with("docs/style.md") {
            continue;
        }
        // Tests name their own data.
        let is_test = ["tests", "benches"].iter().any(|folder| path.iter().any(|part| part == *folder));
        for (index, line) in text.lines().enumerate() {
            let line = if is_test { line.split_once("//").map_or("", |(_, comment)| comment) } else { line };
            for (phrase, advice) in PHRASES {
                if contains(line, phrase) && !EXCEPTIONS.iter().any(|it| line.contains(it)) {
                    found.push(format!("{}:{}: \"{phrase}\": {advice}", path.display(), index + 1));
                }
            }
        }
    }
    complain(&found);
}

/// Whether the line contains the phrase as whole words. Names in code are one word, with their underscores.
fn contains(line: &str, phrase: &str) -> bool {
    let is_word = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
    let line = line.to_lowercase();
    line.match_indices(&phrase.to_lowercase())
        .any(|(at, found)| !line[..at].ends_with(is_word) && !line[at + found.len()..].starts_with(is_word))
}
