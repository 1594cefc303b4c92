//! The names in `docs/rules.md`, which say where a rule is enforced.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use super::support::{complain, root, sources};

#[test]
fn what_enforces_a_rule_exists() {
    let sources = sources();
    let files: Vec<File<'_>> = sources.iter().map(|(path, text)| File::new(path, text)).collect();
    let text = fs::read_to_string(root().join("docs/rules.md")).unwrap();
    let (mut in_rules, mut found, mut missing) = (false, 0, Vec::new());
    for (index, line) in text.lines().enumerate() {
        in_rules = line.ends_with("| enforced |") || in_rules && line.starts_with('|');
        let enforced = line.trim_end_matches('|').rsplit('|').next().filter(|_| in_rules).unwrap_or_default();
        for name in enforced.split('`').skip(1).step_by(2).filter(|name| is_name(name)) {
            found += 1;
            if !files.iter().any(|file| file.contains(name)) {
                missing.push(format!("docs/rules.md:{}: nothing is called {name}", index + 1));
            }
        }
    }
    assert!(found > 50, "only {found} names were found");
    complain(&missing);
}

fn is_name(text: &str) -> bool {
    let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_alphanumeric() || c == '_');
    text.trim_end_matches('…').split("::").all(is_word)
}

/// A source file: its modules, what it defines, and its words.
struct File<'a> {
    modules: BTreeSet<String>,
    defined: BTreeSet<&'a str>,
    words: BTreeSet<&'a str>,
}

impl<'a> File<'a> {
    fn new(path: &Path, text: &'a str) -> Self {
        const KINDS: [&str; 8] = ["fn", "struct", "enum", "trait", "type", "const", "mod", "impl"];
        let modules = path.with_extension("");
        let modules = modules.components().map(|part| part.as_os_str().to_string_lossy().into_owned());
        let words: Vec<&str> =
            text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()).collect();
        let defined = words.windows(2).filter(|pair| KINDS.contains(&pair[0])).map(|pair| pair[1]);
        Self {
            modules: modules.collect(),
            defined: defined.collect(),
            words: words.iter().copied().collect(),
        }
    }

    /// Returns whether the file has `name`, `Type::name`, `module::name`, or a definition that starts like `start_…`.
    fn contains(&self, name: &str) -> bool {
        let owned = |owner: &str| self.modules.contains(owner) || self.defined.contains(owner);
        match (name.rsplit_once("::"), name.strip_suffix('…')) {
            (Some((owner, name)), _) => owner.split("::").all(owned) && self.words.contains(name),
            (None, Some(start)) => self.defined.iter().any(|it| it.starts_with(start)),
            (None, None) => owned(name),
        }
    }
}
