//! The texts of the checks in other languages than English.
//!
//! A row has all of them, and the program does not compile if a check has no row or a row has no check.

mod boundary;
mod certificate;
mod session;
mod survey;
mod upgrade;

use starttls_report::Language;

use super::id::is_same;
use super::{CHECKS, Check};

/// The texts of a check in one language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CheckText {
    /// The fault that a failure reports, in a few words.
    pub title: &'static str,
    /// The consequence of the fault, and the attack that it allows.
    pub why: &'static str,
    /// The instruction that removes the fault.
    pub fix: &'static str,
}

/// The texts of a check in the other languages.
#[derive(Clone, Copy, Debug)]
struct Translation {
    id: &'static str,
    german: CheckText,
    french: CheckText,
    spanish: CheckText,
}

const TRANSLATIONS: &[&[Translation]] =
    &[upgrade::ROWS, boundary::ROWS, certificate::ROWS, session::ROWS, survey::ROWS];

impl Check {
    /// Returns the texts in a language.
    pub fn text(&self, language: Language) -> CheckText {
        let english = CheckText { title: self.title, why: self.why, fix: self.fix };
        let row = TRANSLATIONS.iter().copied().flatten().find(|row| row.id == self.id);
        match (language, row) {
            (Language::German, Some(row)) => row.german,
            (Language::French, Some(row)) => row.french,
            (Language::Spanish, Some(row)) => row.spanish,
            // Every check has a row; see below.
            (Language::English, _) | (_, None) => english,
        }
    }
}

/// Every check has exactly one row, and every row a check.
const _: () = {
    let mut check = 0;
    while check < CHECKS.len() {
        assert!(rows_of(CHECKS[check].id) == 1, "a check has no translation, or more than one");
        check += 1;
    }
    let (mut rows, mut table) = (0, 0);
    while table < TRANSLATIONS.len() {
        rows += TRANSLATIONS[table].len();
        table += 1;
    }
    assert!(rows == CHECKS.len(), "a translation has no check");
};

const fn rows_of(id: &str) -> usize {
    let (mut count, mut table) = (0, 0);
    while table < TRANSLATIONS.len() {
        let mut row = 0;
        while row < TRANSLATIONS[table].len() {
            if is_same(TRANSLATIONS[table][row].id.as_bytes(), id.as_bytes()) {
                count += 1;
            }
            row += 1;
        }
        table += 1;
    }
    count
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn translations_are_other_texts_of_the_same_form() {
        for check in CHECKS {
            let english = check.text(Language::English);
            for language in [Language::German, Language::French, Language::Spanish] {
                let CheckText { title, why, fix } = check.text(language);
                let id = check.id;
                for (text, original) in [(title, english.title), (why, english.why), (fix, english.fix)] {
                    assert!(text != original, "{id} in {language}: {text}");
                    assert!(text.trim() == text && !text.contains("  "), "{id} in {language}: {text:?}");
                    assert!(!text.contains(['\n', '{', '`']), "{id} in {language}: {text:?}");
                    let (length, expected) = (text.chars().count(), original.len());
                    assert!((expected / 2..=expected * 2).contains(&length), "{id} in {language}: {text}");
                }
                assert!(title.chars().count() <= 110 && !title.ends_with('.'), "{id} in {language}: {title}");
                assert!(why.ends_with('.') && fix.ends_with('.'), "{id} in {language}: {why} {fix}");
            }
        }
    }

    /// Names, numbers and options are the same in all languages: RFC 8314, X25519MLKEM768, 30 seconds, `fullchain`.
    #[test]
    fn translations_have_the_numbers_and_names_of_the_original() {
        let is_name = |word: &&str| {
            let capitals = word.chars().filter(char::is_ascii_uppercase).count();
            word.chars().any(|c| c.is_ascii_digit()) || word.contains('_') || capitals > 1
        };
        // What other languages abbreviate in another way.
        let translated = ["CA", "CAs", "ID", "SCT", "GB", "DNS"];
        let words = |text: &'static str| {
            text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
        };
        for check in CHECKS {
            let english = check.text(Language::English);
            for language in [Language::German, Language::French, Language::Spanish] {
                let other = check.text(language);
                for (original, text) in
                    [(english.title, other.title), (english.why, other.why), (english.fix, other.fix)]
                {
                    for name in words(original).filter(is_name).filter(|name| !translated.contains(name)) {
                        assert!(
                            text.contains(name.trim_end_matches('s')),
                            "{} in {language}: {name} is missing: {text}",
                            check.id
                        );
                    }
                }
            }
        }
    }
}
