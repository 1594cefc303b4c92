//! The table of checks: the title, the reason and the fix of each check.
//!
//! The list of checks, the explanations, the reports and `docs/checks.md` are made from this table.

mod boundary;
mod certificate;
pub mod id;
mod session;
mod survey;
mod translation;
mod upgrade;

pub use translation::CheckText;

use crate::report::Severity;

/// A check: one row of the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Check {
    /// The id, which does not change between versions: `srv-inject-eager`.
    pub id: &'static str,
    /// The severity of a failure.
    pub severity: Severity,
    /// The fault that a failure reports, in a few words.
    pub title: &'static str,
    /// The consequence of the fault, and the attack that it allows.
    pub why: &'static str,
    /// The instruction that removes the fault.
    pub fix: &'static str,
    /// The specifications that contain the rule.
    pub spec: &'static str,
}

impl Check {
    /// Returns the first part of the id: `srv`, `cert`, `tls`, `leak` or `time`.
    pub fn family(&self) -> &'static str {
        self.id.split('-').next().unwrap_or(self.id)
    }

    /// Returns the address of the documentation, relative to the root of the repository.
    pub fn page(&self) -> String {
        format!("docs/checks.md#{}", self.id)
    }
}

/// A group of checks with one subject.
#[derive(Clone, Copy, Debug)]
pub struct CheckGroup {
    /// The subject.
    pub title: &'static str,
    /// The checks, in the order of reports.
    pub checks: &'static [Check],
}

/// All checks by group, in the order of reports.
pub const GROUPS: &[CheckGroup] = &[
    CheckGroup { title: "The offer of the upgrade", checks: upgrade::CHECKS },
    CheckGroup { title: "The boundary between cleartext and TLS", checks: boundary::CHECKS },
    CheckGroup { title: "The certificate", checks: certificate::CHECKS },
    CheckGroup { title: "The TLS session", checks: session::TLS },
    CheckGroup { title: "What TLS offers", checks: survey::CHECKS },
    CheckGroup { title: "Visible before TLS", checks: session::VISIBLE },
];

/// The checks of what a server offers in TLS.
pub(crate) const SURVEY: &[Check] = survey::CHECKS;

/// All checks, in the order of reports.
pub const CHECKS: &[Check] = &flattened();

/// Returns the check with this id.
pub fn check(id: &str) -> Option<&'static Check> {
    CHECKS.iter().find(|check| check.id == id)
}

const COUNT: usize = {
    let (mut count, mut group) = (0, 0);
    while group < GROUPS.len() {
        count += GROUPS[group].checks.len();
        group += 1;
    }
    count
};

const fn flattened() -> [Check; COUNT] {
    let mut all = [GROUPS[0].checks[0]; COUNT];
    let (mut next, mut group) = (0, 0);
    while group < GROUPS.len() {
        let mut row = 0;
        while row < GROUPS[group].checks.len() {
            all[next] = GROUPS[group].checks[row];
            next += 1;
            row += 1;
        }
        group += 1;
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_unique_and_families_are_contiguous() {
        let mut families: Vec<_> = CHECKS.iter().map(Check::family).collect();
        families.dedup();
        assert_eq!(families, ["srv", "cert", "tls", "leak", "time"]);
        for (index, row) in CHECKS.iter().enumerate() {
            assert!(CHECKS[..index].iter().all(|earlier| earlier.id != row.id), "{} exists twice", row.id);
            assert_eq!(check(row.id), Some(row));
        }
        assert_eq!(check("srv"), None);
    }

    #[test]
    fn every_row_has_a_title_two_to_four_sentences_and_a_fix() {
        for Check { id, title, why, fix, spec, .. } in CHECKS {
            assert!(id.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'), "{id}");
            for text in [title, why, fix, spec] {
                assert!(!text.is_empty() && text.trim() == *text && !text.contains("  "), "{id}: {text:?}");
                assert!(text.is_ascii() && !text.contains('\n'), "{id}: {text:?}");
            }
            assert!(title.len() <= 72 && !title.ends_with('.'), "{id}: a title is a few words");
            let sentences = why.split(". ").count();
            assert!(why.ends_with('.') && (2..=4).contains(&sentences), "{id}: {sentences} sentences of why");
            assert!(fix.ends_with('.'), "{id}: {fix}");
        }
    }

    #[test]
    fn every_attack_on_a_server_is_a_check() {
        for name in [
            "inject-eager",
            "inject-lazy",
            "inject-split",
            "inject-partial",
            "inject-variants",
            "reply-plain",
            "fixation",
            "auth-before",
            "not-enforced",
            "offer-inside",
            "caps-kept",
            "hs-fallback",
            "stall",
            "plain-tls",
            "alpn",
            "xproto",
        ] {
            assert!(check(&format!("srv-{name}")).is_some(), "srv-{name} is missing");
        }
    }

    /// `UPDATE_DOCS=1` writes the file.
    #[test]
    fn docs_checks_md_equals_the_table() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/checks.md");
        let page = page();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(path, &page).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(written == page, "docs/checks.md is out of date: run this test with UPDATE_DOCS=1");
    }

    fn page() -> String {
        let mut page = String::from(
            "# The checks of `starttls check`\n\n\
            This page is generated from the table in `crates/audit/src/check.rs`; `starttls explain ID` shows one row.\n\
            The severity is that of a failure; in some cases a finding is less severe. The outcome of a check is passed,\n\
            failed, warning, info, not applicable, not run, or inconclusive if the audit could not finish it.\n",
        );
        for group in GROUPS {
            page += &format!(
                "\n## {}\n\n| check | severity | meaning of a failure |\n|---|---|---|\n",
                group.title
            );
            for row in group.checks {
                let severity = format!("{:?}", row.severity).to_lowercase();
                page += &format!("| [{0}](#{0}) | {severity} | {1} |\n", row.id, row.title);
            }
        }
        for row in CHECKS {
            let Check { id, title, why, fix, spec, .. } = row;
            page += &format!("\n### {id}\n**{title}.** {why}\n\n*Fix:* {fix}\n\n*Specification:* {spec}\n");
        }
        page
    }
}
