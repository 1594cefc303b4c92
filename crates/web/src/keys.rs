//! Keys of the API. A holder may audit many targets, and more thoroughly.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use data_encoding::{BASE32_NOPAD, HEXLOWER};
use sha2::{Digest, Sha256};

use crate::limits::Budget;

/// What every key starts with, so that programs which look for leaked secrets find it.
const PREFIX: &str = "starttls_";
/// The audits that a key permits in an hour if its line names no number.
const HOURLY: u32 = 1000;
const MAX_NAME: usize = 64;

/// The keys of a service. The file of keys has their digests only: a key has 160 random bits, so its digest tells nothing.
#[derive(Debug, Default)]
pub struct ApiKeys(Vec<Arc<ApiKey>>);

/// A key.
#[derive(Debug)]
pub(crate) struct ApiKey {
    /// The name of its holder.
    pub(crate) name: String,
    digest: String,
    budget: Budget<()>,
}

/// A key that was just made. It is not kept.
#[derive(Debug)]
pub struct NewApiKey {
    /// The key.
    pub key: String,
    /// Its line in the file of keys.
    pub line: String,
}

/// Why a file of keys cannot be used, or a key cannot be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InvalidApiKeys(String);

impl fmt::Display for InvalidApiKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidApiKeys {}

impl ApiKeys {
    /// Parses a file of keys. Each line has a name, the digest of a key, and optionally the audits that it permits in an hour; a
    /// line that starts with `#` is a comment.
    ///
    /// # Errors
    /// [`InvalidApiKeys`] with the number of the invalid line.
    pub fn parse(text: &str) -> Result<Self, InvalidApiKeys> {
        let mut keys: Vec<Arc<ApiKey>> = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let words: Vec<&str> = line.split_whitespace().collect();
            if words.first().is_none_or(|word| word.starts_with('#')) {
                continue;
            }
            let invalid = |what: String| InvalidApiKeys(format!("line {} of the keys: {what}", index + 1));
            let (name, digest, hourly) = match words.as_slice() {
                [name, digest] => (*name, *digest, HOURLY),
                [name, digest, hourly] => {
                    let number = hourly.parse().ok().filter(|number| *number > 0);
                    let expected = "expected the number of audits in an hour after the digest";
                    (*name, *digest, number.ok_or_else(|| invalid(expected.to_owned()))?)
                }
                _ => return Err(invalid(String::from("expected NAME sha256:DIGEST [AUDITS-IN-AN-HOUR]"))),
            };
            checked(name).map_err(|error| invalid(error.0))?;
            let octets = digest.strip_prefix("sha256:").and_then(|hex| HEXLOWER.decode(hex.as_bytes()).ok());
            if octets.is_none_or(|octets| octets.len() != 32) {
                return Err(invalid(String::from("expected sha256: and 64 lower-case hexadecimal digits")));
            }
            if keys.iter().any(|key| key.name == name) {
                return Err(invalid(format!("{name} has a key already")));
            }
            let budget = Budget::new(hourly, Duration::from_secs(3600) / hourly);
            keys.push(Arc::new(ApiKey { name: name.to_owned(), digest: digest.to_owned(), budget }));
        }
        Ok(Self(keys))
    }

    /// Makes a key for a holder with this name, who must not have one.
    ///
    /// # Errors
    /// [`InvalidApiKeys`] if the name is invalid or has a key, or if the system has no random octets.
    pub fn create(&self, name: &str) -> Result<NewApiKey, InvalidApiKeys> {
        checked(name)?;
        if self.0.iter().any(|key| key.name == name) {
            return Err(InvalidApiKeys(format!("{name} has a key already")));
        }
        let mut octets = [0; 20];
        getrandom::fill(&mut octets)
            .map_err(|error| InvalidApiKeys(format!("the system has no random octets: {error}")))?;
        let key = format!("{PREFIX}{}", BASE32_NOPAD.encode(&octets).to_ascii_lowercase());
        let line = format!("{name} {}\n", digest(&key));
        Ok(NewApiKey { key, line })
    }

    /// Returns the key with this text. Digests are compared, so the time does not depend on the octets of a key.
    pub(crate) fn find(&self, key: &str) -> Option<Arc<ApiKey>> {
        let digest = digest(key);
        self.0.iter().find(|known| known.digest == digest).cloned()
    }
}

impl ApiKey {
    /// Takes one audit of its budget. Returns how long to wait if it is used up.
    pub(crate) fn admit(&self, now: Instant) -> Result<(), Duration> {
        self.budget.take((), now)
    }
}

fn digest(key: &str) -> String {
    format!("sha256:{}", HEXLOWER.encode(&Sha256::digest(key)))
}

fn checked(name: &str) -> Result<(), InvalidApiKeys> {
    let is_valid = |it: char| it.is_ascii_alphanumeric() || "-_.@".contains(it);
    if name.is_empty() || name.len() > MAX_NAME || !name.chars().all(is_valid) {
        return Err(InvalidApiKeys(format!(
            "invalid name {name:?}: expected at most {MAX_NAME} letters, digits, and \"-_.@\""
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_found_by_its_text_and_only_its_digest_is_kept() {
        let made = ApiKeys::default().create("alice@example.com").unwrap();
        assert!(made.key.len() == PREFIX.len() + 32 && !made.line.contains(&made.key[PREFIX.len()..]));
        let keys = ApiKeys::parse(&format!("# keys\n\n{}bob {} 2\n", made.line, digest("b"))).unwrap();
        assert_eq!(keys.find(&made.key).unwrap().name, "alice@example.com");
        assert!(keys.find(&made.key[1..]).is_none() && keys.find("").is_none());
        assert!(keys.create("bob").is_err() && keys.create("b b").is_err() && keys.create("").is_err());
        let (bob, now) = (keys.find("b").unwrap(), Instant::now());
        assert!(bob.admit(now).is_ok() && bob.admit(now).is_ok());
        assert_eq!(bob.admit(now), Err(Duration::from_secs(1800)));
    }

    #[test]
    fn an_invalid_file_names_the_line() {
        let good = digest("b");
        for (line, what) in [
            ("alice", "expected NAME sha256:DIGEST"),
            ("alice starttls_secret", "expected sha256:"),
            ("alice sha256:00", "64 lower-case"),
            (&format!("alice {good} many"), "expected the number of audits"),
            (&format!("alice {good} 0"), "expected the number of audits"),
            (&format!("alice {good} 1 2"), "expected NAME"),
            (&format!("a/b {good}"), "invalid name"),
            (&format!("bob {good}"), "bob has a key already"),
        ] {
            let error = ApiKeys::parse(&format!("bob {good}\n{line}\n")).unwrap_err().to_string();
            assert!(error.starts_with("line 2 of the keys: ") && error.contains(what), "{line}: {error}");
        }
    }
}
