//! Reads the tables.

/// A named case and its lines.
pub(crate) struct Case<'a> {
    pub(crate) name: &'a str,
    pub(crate) lines: Vec<&'a str>,
}

/// Returns the cases of a table: a `== NAME` line begins each.
pub(crate) fn cases(table: &str) -> Vec<Case<'_>> {
    let mut cases: Vec<Case<'_>> = Vec::new();
    for line in table.lines() {
        if let Some(name) = line.strip_prefix("== ") {
            cases.push(Case { name, lines: Vec::new() });
        } else if let Some(case) = cases.last_mut() {
            case.lines.push(line);
        }
    }
    assert!(cases.len() > 10, "the table is not read");
    cases
}

/// Fails with every problem.
pub(crate) fn complain(problems: &[String]) {
    assert!(problems.is_empty(), "\n{}", problems.join("\n"));
}
