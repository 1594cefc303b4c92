//! The languages of pages, and texts in all of them.

use std::fmt::{self, Display};

/// A language of the pages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Language {
    /// English, which all other formats use.
    #[default]
    English,
    /// German.
    German,
    /// French.
    French,
    /// Spanish.
    Spanish,
}

impl Language {
    /// All languages, in the order of the texts in [`Text::new`].
    pub const ALL: [Self; 4] = [Self::English, Self::German, Self::French, Self::Spanish];

    /// Returns the language tag (RFC 5646) of the attribute `lang`.
    pub const fn tag(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::German => "de",
            Self::French => "fr",
            Self::Spanish => "es",
        }
    }

    /// Returns the language's own name.
    pub const fn name(self) -> &'static str {
        match self {
            Self::English => "English",
            Self::German => "Deutsch",
            Self::French => "Français",
            Self::Spanish => "Español",
        }
    }

    /// Returns the language of a tag. Only its first subtag counts: `de-AT` is German.
    pub fn with_tag(tag: &str) -> Option<Self> {
        let primary = tag.split(['-', '_']).next().unwrap_or_default();
        Self::ALL.into_iter().find(|language| language.tag().eq_ignore_ascii_case(primary))
    }

    /// Returns whether a noun after this count is in the singular. French counts zero as singular.
    pub const fn is_singular(self, count: usize) -> bool {
        match self {
            Self::French => count < 2,
            Self::English | Self::German | Self::Spanish => count == 1,
        }
    }
}

/// A text of the program in each language. `{name}` is a placeholder for a value, and what is between backticks is code.
///
/// A constant whose texts have different placeholders does not compile:
///
/// ```compile_fail
/// use starttls_report::Text;
///
/// const WRONG: Text = Text::new("{count} checks", "{zahl} Prüfungen", "{count} contrôles", "{count} pruebas");
/// println!("{WRONG:?}");
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Text([&'static str; 4]);

impl Text {
    /// Returns a text in English, German, French and Spanish.
    ///
    /// # Panics
    /// If a text is empty, or if the texts do not have the same placeholders. Of a constant, this is an error of the compiler.
    pub const fn new(
        english: &'static str,
        german: &'static str,
        french: &'static str,
        spanish: &'static str,
    ) -> Self {
        let texts = [english, german, french, spanish];
        let mut index = 0;
        while index < texts.len() {
            let text = texts[index].as_bytes();
            assert!(!text.is_empty(), "a text is empty");
            assert!(has_placeholders_of(text, english.as_bytes()), "a text lacks a placeholder");
            assert!(has_placeholders_of(english.as_bytes(), text), "a text has a placeholder of its own");
            index += 1;
        }
        Self(texts)
    }

    /// Returns the text in a language.
    pub const fn of(self, language: Language) -> &'static str {
        let [english, german, french, spanish] = self.0;
        match language {
            Language::English => english,
            Language::German => german,
            Language::French => french,
            Language::Spanish => spanish,
        }
    }

    /// Returns the text in a language, with values in place of its placeholders.
    pub fn filled(self, language: Language, values: &[(&str, &dyn Display)]) -> String {
        let mut out = String::new();
        for part in parts(self.of(language)) {
            match part {
                TextPart::Plain(text) | TextPart::Code(text) => out.push_str(text),
                TextPart::Placeholder(name) => match values.iter().find(|(known, _)| *known == name) {
                    Some((_, value)) => out += &value.to_string(),
                    None => out += &format!("{{{name}}}"),
                },
            }
        }
        out
    }
}

/// A text that depends on a count, which is its placeholder `{count}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Plural {
    /// The text for one.
    pub one: Text,
    /// The text for several.
    pub many: Text,
}

impl Plural {
    /// Returns the text for a count.
    pub const fn of(self, language: Language, count: usize) -> Text {
        if language.is_singular(count) { self.one } else { self.many }
    }

    /// Returns the text for a count, with the count in it.
    pub fn filled(self, language: Language, count: usize) -> String {
        self.of(language, count).filled(language, &[("count", &count)])
    }
}

/// A part of a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextPart<'a> {
    Plain(&'a str),
    Code(&'a str),
    Placeholder(&'a str),
}

/// Returns the parts of a text. A brace or backtick without its partner is plain text.
pub(crate) fn parts(text: &str) -> impl Iterator<Item = TextPart<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let (part, after) = match rest.find(['{', '`']) {
            None => (TextPart::Plain(rest), ""),
            Some(0) => {
                let is_code = rest.starts_with('`');
                let end = if is_code { '`' } else { '}' };
                match rest[1..].split_once(end) {
                    Some((inner, after)) if is_code => (TextPart::Code(inner), after),
                    Some((inner, after)) => (TextPart::Placeholder(inner), after),
                    None => (TextPart::Plain(rest), ""),
                }
            }
            Some(at) => {
                let (before, after) = rest.split_at(at);
                (TextPart::Plain(before), after)
            }
        };
        let is_end = rest.is_empty();
        rest = after;
        (!is_end).then_some(part)
    })
}

/// Returns whether `text` contains each placeholder of `other`.
const fn has_placeholders_of(text: &[u8], other: &[u8]) -> bool {
    let mut start = 0;
    while start < other.len() {
        if other[start] == b'{' {
            let mut end = start;
            while other[end] != b'}' {
                end += 1;
            }
            if !contains(text, other, start, end) {
                return false;
            }
            start = end;
        }
        start += 1;
    }
    true
}

/// Returns whether `text` contains `other[start..=end]`. Slices are not available at compile time.
const fn contains(text: &[u8], other: &[u8], start: usize, end: usize) -> bool {
    let (length, mut at) = (end - start + 1, 0);
    while at + length <= text.len() {
        let mut same = 0;
        while same < length && text[at + same] == other[start + same] {
            same += 1;
        }
        if same == length {
            return true;
        }
        at += 1;
    }
    false
}

impl Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.tag())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_name_languages() {
        for (tag, language) in [
            ("de", Some(Language::German)),
            ("de-AT", Some(Language::German)),
            ("FR_ca", Some(Language::French)),
            ("es-419", Some(Language::Spanish)),
            ("en", Some(Language::English)),
            ("den", None),
            ("", None),
        ] {
            assert_eq!(Language::with_tag(tag), language, "{tag}");
        }
    }

    #[test]
    fn zero_is_singular_in_french_only() {
        const CHECKS: Plural = Plural {
            one: Text::new("{count} check", "{count} Prüfung", "{count} contrôle", "{count} prueba"),
            many: Text::new("{count} checks", "{count} Prüfungen", "{count} contrôles", "{count} pruebas"),
        };
        let all = |count| Language::ALL.map(|language| CHECKS.filled(language, count));
        assert_eq!(all(0), ["0 checks", "0 Prüfungen", "0 contrôle", "0 pruebas"]);
        assert_eq!(all(1), ["1 check", "1 Prüfung", "1 contrôle", "1 prueba"]);
        assert_eq!(all(2), ["2 checks", "2 Prüfungen", "2 contrôles", "2 pruebas"]);
    }

    #[test]
    fn placeholders_are_compared_as_wholes() {
        for (text, other, expected) in [
            ("{a} and {b}", "{b}: {a}", true),
            ("{a}", "{b}", false),
            ("{ab}", "{a}", false),
            ("a}", "{a}", false),
            ("", "{a}", false),
            ("{a}", "", true),
        ] {
            assert_eq!(has_placeholders_of(text.as_bytes(), other.as_bytes()), expected, "{text} {other}");
        }
    }

    #[test]
    fn a_text_has_parts() {
        use TextPart::{Code, Placeholder, Plain};
        let of = |text| parts(text).collect::<Vec<_>>();
        assert_eq!(
            of("see `x` of {name}."),
            [Plain("see "), Code("x"), Plain(" of "), Placeholder("name"), Plain(".")]
        );
        assert_eq!(of("{open"), [Plain("{open")]);
        assert_eq!(of(""), []);
    }
}
