//! A library does not know the command line of a program that uses it.

use std::path::Path;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use crate::support::{complain, sources};

/// The crates that know options: the command has its own, and the lab and the tests start other programs.
const PROGRAMS: &[&str] = &["cli", "lab", "testkit"];

#[test]
fn a_library_names_no_option_of_the_command() {
    let (mut named, mut libraries) = (Vec::new(), 0);
    for (path, text) in sources() {
        if !is_library(&path) {
            continue;
        }
        libraries += 1;
        let mut found = Vec::new();
        literals(text.parse().unwrap(), &mut found);
        let with_option = found.iter().filter(|(_, literal)| has_option(literal));
        named.extend(with_option.map(|(line, literal)| format!("{}:{line}: {literal}", path.display())));
    }
    assert!(libraries > 100, "{libraries} files");
    complain(&named);
}

fn is_library(path: &Path) -> bool {
    let parts: Vec<_> = path.iter().filter_map(|part| part.to_str()).collect();
    matches!(parts.as_slice(), ["crates", name, "src", ..] if !PROGRAMS.contains(name))
}

/// Collects the string literals, with their lines. Documentation and unit tests are left out.
fn literals(tokens: TokenStream, found: &mut Vec<(usize, String)>) {
    let mut is_attribute = false;
    let mut skips_block = false;
    for token in tokens {
        match token {
            TokenTree::Punct(sign) => {
                is_attribute = sign.as_char() == '#' || (is_attribute && sign.as_char() == '!');
                skips_block &= sign.as_char() != ';';
                continue;
            }
            TokenTree::Group(group) if is_attribute && group.delimiter() == Delimiter::Bracket => {
                skips_block |= group.stream().to_string().replace(' ', "") == "cfg(test)";
            }
            TokenTree::Group(group) if skips_block && group.delimiter() == Delimiter::Brace => {
                skips_block = false;
            }
            TokenTree::Group(group) => literals(group.stream(), found),
            TokenTree::Literal(literal) if !skips_block => {
                found.push((literal.span().start().line, literal.to_string()));
            }
            TokenTree::Literal(_) | TokenTree::Ident(_) => {}
        }
        is_attribute = false;
    }
}

/// Returns whether a literal contains a word that starts with two hyphens.
fn has_option(literal: &str) -> bool {
    let is_name = |c: char| c.is_alphanumeric() || c == '-' || c == '_';
    literal.match_indices("--").any(|(at, _)| {
        !literal[..at].ends_with(is_name) && literal[at + 2..].starts_with(|c: char| c.is_ascii_lowercase())
    })
}

#[test]
fn an_option_is_found_in_a_literal_and_not_in_documentation() {
    let code = r#"
        /// Run it with --slow.
        const A: &str = "needs --slow";
        const B: &str = "a--b, --- and -- are no options";
        #[cfg(test)]
        mod tests { const C: &str = "--test"; }
        fn d() { println!("{}: --full", 1); }
    "#;
    let mut found = Vec::new();
    literals(code.parse().unwrap(), &mut found);
    let found: Vec<_> = found.into_iter().filter(|(_, literal)| has_option(literal)).collect();
    assert_eq!(found, [(3, String::from("\"needs --slow\"")), (7, String::from("\"{}: --full\""))]);
}
