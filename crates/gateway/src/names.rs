//! Values by host name, found by the name in SNI.

use std::collections::HashMap;

/// The longest host name (RFC 1035 section 2.3.4).
const LONGEST: usize = 253;

/// A map from host names and wildcards. An exact name has precedence over a wildcard.
///
/// The names that are looked up are hostile input (rule S6): their length is bounded, they are only compared with configured
/// names, and they are not stored.
#[derive(Clone, Debug)]
pub(crate) struct ByName<T> {
    exact: HashMap<String, T>,
    /// By the part after the asterisk, with its dot.
    wildcard: HashMap<String, T>,
}

impl<T> Default for ByName<T> {
    fn default() -> Self {
        Self { exact: HashMap::new(), wildcard: HashMap::new() }
    }
}

impl<T> ByName<T> {
    /// Returns the value of this name or wildcard, and inserts it first if it is new. `None` if the pattern is invalid.
    pub(crate) fn entry(&mut self, pattern: &str, new: impl FnOnce() -> T) -> Option<&mut T> {
        let pattern = normal(pattern)?;
        Some(match pattern.strip_prefix('*') {
            Some(rest) => self.wildcard.entry(rest.to_owned()).or_insert_with(new),
            None => self.exact.entry(pattern).or_insert_with(new),
        })
    }

    /// Returns the value of a name, or of the wildcard that covers it.
    pub(crate) fn find(&self, name: &str) -> Option<&T> {
        let name = name.strip_suffix('.').unwrap_or(name);
        if name.len() > LONGEST {
            return None;
        }
        let name = name.to_ascii_lowercase();
        // A wildcard stands for one label, the left-most (RFC 9525 section 6.3).
        let parent = || name.find('.').filter(|dot| *dot > 0).and_then(|dot| name.get(dot..));
        self.exact.get(&name).or_else(|| self.wildcard.get(parent()?))
    }

    pub(crate) fn contains(&self, pattern: &str) -> bool {
        normal(pattern).is_some_and(|pattern| match pattern.strip_prefix('*') {
            Some(rest) => self.wildcard.contains_key(rest),
            None => self.exact.contains_key(&pattern),
        })
    }
}

/// Returns a host name, or a wildcard in its left-most label, in lower case and without the trailing dot. `None` if it is
/// invalid.
pub(crate) fn normal(pattern: &str) -> Option<String> {
    let pattern = pattern.strip_suffix('.').unwrap_or(pattern);
    let host = pattern.strip_prefix("*.").unwrap_or(pattern);
    let label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|it| it.is_ascii_alphanumeric() || it == b'-' || it == b'_')
    };
    // A wildcard under a single label would cover a whole top-level domain.
    let deep = host.len() == pattern.len() || host.contains('.');
    (pattern.len() <= LONGEST && deep && host.split('.').all(label)).then(|| pattern.to_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exact_name_goes_before_a_wildcard_and_a_wildcard_is_one_label() {
        let mut names = ByName::default();
        for (number, pattern) in ["a.example.com", "*.example.com", "*.b.example.com"].iter().enumerate() {
            names.entry(pattern, || number).unwrap();
        }
        for (asked, found) in [
            ("a.example.com", Some(0)),
            ("A.EXAMPLE.com.", Some(0)),
            ("b.example.com", Some(1)),
            ("x.b.example.com", Some(2)),
            ("x.a.example.com", None),
            ("example.com", None),
            (".example.com", None),
            ("*.example.com", Some(1)),
            ("", None),
            ("..", None),
        ] {
            assert_eq!(names.find(asked).copied(), found, "{asked}");
        }
    }

    #[test]
    fn s6_a_name_is_bounded_and_no_path() {
        let mut names = ByName::default();
        assert!(names.entry("../../etc/passwd", || ()).is_none());
        assert!(names.entry("*.com", || ()).is_none());
        assert!(names.entry("a.*.com", || ()).is_none());
        assert!(names.entry(&"a.".repeat(200), || ()).is_none());
        assert!(names.find(&"a.".repeat(1 << 20)).is_none());
        assert!(names.exact.is_empty() && names.wildcard.is_empty());
    }
}
