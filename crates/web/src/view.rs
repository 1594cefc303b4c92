//! In which language a page is shown, and how its links keep that.

use hyper::HeaderMap;
use hyper::header::ACCEPT_LANGUAGE;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use starttls_report::Language;

/// The language of a page, and its own address.
#[derive(Clone, Debug, Default)]
pub(crate) struct View {
    pub(crate) language: Language,
    /// Whether the request names the language. The links of the page then name it too, because there are no cookies.
    is_chosen: bool,
    /// The path and the query of the page without the language.
    location: String,
}

impl View {
    /// Returns the view for a request: in the language `chosen` if that is a tag of one, otherwise in the one that the browser
    /// prefers.
    pub(crate) fn new(chosen: &str, headers: &HeaderMap, location: String) -> Self {
        let chosen = Language::with_tag(chosen);
        let accepted = headers.get(ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok());
        let language = chosen.unwrap_or_else(|| preferred(accepted.unwrap_or_default()));
        Self { language, is_chosen: chosen.is_some(), location }
    }

    /// Returns the view of another page in the same language. A form is answered at an address that cannot be opened again.
    pub(crate) fn at(&self, location: String) -> Self {
        Self { location, ..self.clone() }
    }

    /// Returns the tag of the language if the request names it.
    pub(crate) fn chosen(&self) -> Option<Language> {
        self.is_chosen.then_some(self.language)
    }

    /// Returns the address of another page of the service, which may have a query.
    pub(crate) fn link(&self, path: &str) -> String {
        match self.is_chosen {
            true => with_language(path, self.language),
            false => path.to_owned(),
        }
    }

    /// Returns the address of this page in a language.
    pub(crate) fn in_language(&self, language: Language) -> String {
        with_language(&self.location, language)
    }
}

fn with_language(path: &str, language: Language) -> String {
    let separator = if path.contains('?') { '&' } else { '?' };
    format!("{path}{separator}lang={language}")
}

/// Returns the address of a page with the fields of its query, without the language.
pub(crate) fn location<'a>(path: &str, fields: impl Iterator<Item = (&'a str, &'a str)>) -> String {
    let mut location = path.to_owned();
    for (name, value) in fields.filter(|(name, _)| *name != "lang") {
        let separator = if location.contains('?') { '&' } else { '?' };
        let [name, value] = [name, value].map(|text| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string());
        location += &format!("{separator}{name}={value}");
    }
    location
}

/// Returns the language that a browser prefers (RFC 9110 section 12.5.4); English if it names none of them.
fn preferred(accepted: &str) -> Language {
    let mut best = (0.0, Language::English);
    for range in accepted.split(',') {
        let (tag, weight) = range.split_once(';').unwrap_or((range, ""));
        let weight = match weight.trim().strip_prefix("q=") {
            Some(weight) => weight.parse().unwrap_or(0.0),
            None => 1.0,
        };
        // The first of several with the same weight.
        if let Some(language) = Language::with_tag(tag.trim())
            && weight > best.0
        {
            best = (weight, language);
        }
    }
    best.1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_browser_gets_the_language_that_it_prefers() {
        for (accepted, language) in [
            ("", Language::English),
            ("de", Language::German),
            ("de-AT,de;q=0.9,en;q=0.8", Language::German),
            ("en;q=0.5, fr-CA;q=0.8", Language::French),
            ("nl, es;q=0.3", Language::Spanish),
            ("pl, *;q=0.5", Language::English),
            ("fr, de", Language::French),
            ("de;q=0, fr;q=0.1", Language::French),
            ("de;q=0", Language::English),
            ("de;q=x, es;q=0.2", Language::Spanish),
            (";;,,=,q=1", Language::English),
        ] {
            assert_eq!(preferred(accepted), language, "{accepted:?}");
        }
    }

    #[test]
    fn links_keep_a_language_that_was_chosen() {
        let view = |chosen| View::new(chosen, &HeaderMap::new(), String::from("/compare?a=1&b=2"));
        assert_eq!(view("fr").link("/about"), "/about?lang=fr");
        assert_eq!(view("fr").link("/compare?a=1"), "/compare?a=1&lang=fr");
        for unknown in ["", "xx", "\"><script>"] {
            assert_eq!(view(unknown).link("/about"), "/about");
        }
        assert_eq!(view("").in_language(Language::Spanish), "/compare?a=1&b=2&lang=es");
    }

    #[test]
    fn a_location_keeps_the_query_and_is_encoded() {
        let fields = [("a", "x&lang=de"), ("lang", "fr"), ("b", "\"ü")];
        assert_eq!(location("/compare", fields.into_iter()), "/compare?a=x%26lang%3Dde&b=%22%C3%BC");
        assert_eq!(location("/", [].into_iter()), "/");
    }
}
