//! Profiles: what a guideline requires of a TLS server, as data, and the comparison with the facts of a survey.
//!
//! ```
//! use starttls_audit::tls_profile::{BUILTIN, TlsProfile};
//!
//! let profile = TlsProfile::builtin("rfc9325").expect("it is built in");
//! assert!(profile.source.contains("RFC 9325"));
//! let error = TlsProfile::parse("mine.toml", "title = \"Mine\"\n[versions]\nrequird = [\"TLS 1.2\"]").unwrap_err();
//! assert!(error.hint().is_some_and(|hint| hint.contains("required")));
//! assert!(BUILTIN.contains(&"rfc9325"));
//! ```

mod algorithm_names;
mod document;
mod evaluate;
mod rules;
mod toml_reader;

use std::fmt;

pub use evaluate::{Row, SessionFacts, Verdict, evaluate, overall};
pub use rules::{Provenance, TlsProfile};
pub use toml_reader::ProfileError;

macro_rules! builtin {
    ($($name:literal)*) => {
        /// The names of the built-in profiles.
        pub const BUILTIN: &[&str] = &[$($name),*];

        const TEXTS: &[&str] = &[$(include_str!(concat!("../../profiles/", $name, ".toml"))),*];
    };
}

builtin! {
    "rfc9325"
    "mozilla-modern"
    "mozilla-intermediate"
    "mozilla-old"
    "ncsc-nl"
    "bsi"
    "nist"
}

impl TlsProfile {
    /// Returns the built-in profile with this name.
    pub fn builtin(name: &str) -> Option<Self> {
        let text = TEXTS.get(BUILTIN.iter().position(|known| *known == name)?)?;
        // A test parses every built-in profile.
        Self::parse(name, text).ok()
    }

    /// Reads a profile in TOML. `file` is its name in errors, and its stem is the name of the profile.
    ///
    /// # Errors
    /// Returns an error if the text is not TOML, if a key or a value is unknown, or if a key is missing.
    pub fn parse(file: &str, text: &str) -> Result<Self, ProfileError> {
        document::parse(file, text)
    }
}

/// Describes the profile: its source and its requirements, one per line.
impl fmt::Display for TlsProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}: {}\n", self.name, self.title)?;
        writeln!(f, "Version\n{}\n", self.version)?;
        writeln!(f, "Source\n{}", self.source)?;
        writeln!(f, "Certainty: {}\n", self.certainty)?;
        writeln!(f, "Applies to\n{}\n", self.applies_to)?;
        writeln!(f, "Requirements")?;
        for line in self.requirements() {
            writeln!(f, "- {line}")?;
        }
        if !self.untested.is_empty() {
            writeln!(f, "\nNot tested")?;
            self.untested.iter().try_for_each(|line| writeln!(f, "- {line}"))?;
        }
        Ok(())
    }
}
