//! The registrable suffix of a name: the part that one customer of a registry owns.

use std::path::Path;

use publicsuffix::{List, Psl};

use crate::error::SurveyError;

/// Where Debian's package `publicsuffix` installs the list.
const SYSTEM_LIST: &str = "/usr/share/publicsuffix/public_suffix_list.dat";

/// The public suffix list, or the rule of two labels in place of it.
#[derive(Clone, Debug, Default)]
pub struct Suffixes(Option<List>);

impl Suffixes {
    /// Reads the list from a file. Without a file it reads the system's list, if there is one.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub fn read(path: Option<&Path>) -> Result<Self, SurveyError> {
        let system = Path::new(SYSTEM_LIST);
        let path = match path {
            Some(path) => path,
            None if system.exists() => system,
            None => return Ok(Self::default()),
        };
        let text = std::fs::read_to_string(path).map_err(SurveyError::file(path))?;
        let list = text.parse::<List>().map_err(|error| SurveyError::contents(path, error))?;
        Ok(Self(Some(list)))
    }

    /// Returns the registrable suffix of a name: `provider.example` for `tenant.mail.provider.example`. Without a list it is the
    /// last two labels.
    pub fn registrable<'a>(&self, name: &'a str) -> &'a str {
        let by_list = self.0.as_ref().and_then(|list| list.domain(name.as_bytes()));
        let length = match by_list {
            Some(domain) => domain.as_bytes().len(),
            None => name.rmatch_indices('.').nth(1).map_or(name.len(), |(at, _)| name.len() - at - 1),
        };
        name.get(name.len() - length.min(name.len())..).unwrap_or(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &str =
        "// ===BEGIN ICANN DOMAINS===\ncom\nco.uk\nuk\n*.ck\n!www.ck\n// ===END ICANN DOMAINS===\n";

    #[test]
    fn the_list_decides_and_two_labels_replace_it() {
        let two = Suffixes::default();
        assert_eq!(two.registrable("a.b.provider.example"), "provider.example");
        assert_eq!(two.registrable("example"), "example");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("list.dat");
        std::fs::write(&path, LIST).unwrap();
        let list = Suffixes::read(Some(&path)).unwrap();
        for (name, suffix) in [
            ("mx.shop.co.uk", "shop.co.uk"),
            ("mx.example.com", "example.com"),
            ("a.b.c.ck", "b.c.ck"),
            ("mx.www.ck", "www.ck"),
            ("mx.d1.test", "d1.test"),
        ] {
            assert_eq!(list.registrable(name), suffix, "{name}");
        }
    }
}
