//! Keeps MTA-STS policies in a file, so that a restart does not forget them: an attacker who suppresses the TXT record at that
//! moment would otherwise end the policy.
//!
//! The file has one JSON object in each line, which a person can read. Each policy is written and synchronized when it is
//! fetched. A last line without its end, after a crash, is ignored.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::{fmt, io};

use serde_json::{Value, json};
use starttls_dns::DnsName;

use crate::sts::{CachedPolicy, parse_policy};

/// The version of the file's format, in its first line.
const VERSION: u64 = 1;
/// The largest file that is read.
const MAX_FILE: u64 = 1 << 30;

/// Policies by domain, and the file that keeps them.
#[derive(Debug)]
pub struct PolicyStore {
    path: PathBuf,
    file: File,
}

/// Why a file of policies cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// The file does not exist.
    Missing(PathBuf),
    /// The file cannot be read or written.
    Io(PathBuf, io::Error),
    /// The file is not a file of policies, or a line in it is invalid.
    Invalid(PathBuf, String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(f, "the file of policies {} does not exist", path.display()),
            Self::Io(path, error) => write!(f, "cannot use the file of policies {}: {error}", path.display()),
            Self::Invalid(path, reason) => write!(f, "invalid file of policies {}: {reason}", path.display()),
        }
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        if let Self::Io(_, error) = self { Some(error) } else { None }
    }
}

impl PolicyStore {
    /// Creates an empty file, or replaces the old one.
    ///
    /// # Errors
    /// [`StoreError::Io`] if that fails.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        replace(path, &HashMap::new()).map_err(|error| StoreError::Io(path.to_owned(), error))
    }

    /// Reads the policies, and replaces the file by one with the last line of each domain.
    ///
    /// # Errors
    /// [`StoreError`] if the file is missing or cannot be used. It is not changed then.
    pub fn open(path: &Path) -> Result<(Self, HashMap<DnsName, CachedPolicy>), StoreError> {
        let io_error = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => StoreError::Missing(path.to_owned()),
            _ => StoreError::Io(path.to_owned(), error),
        };
        let mut text = String::new();
        File::open(path).and_then(|file| file.take(MAX_FILE).read_to_string(&mut text)).map_err(io_error)?;
        let policies = read(&text).map_err(|reason| StoreError::Invalid(path.to_owned(), reason))?;
        let store = replace(path, &policies).map_err(io_error)?;
        Ok((store, policies))
    }

    /// Adds or replaces the policy of a domain; `None` removes it. The text has reached the disk when this returns.
    ///
    /// # Errors
    /// The error of the file system.
    pub fn put(&mut self, domain: &DnsName, policy: Option<&CachedPolicy>) -> io::Result<()> {
        self.file.write_all(line(domain, policy).as_bytes())?;
        self.file.sync_data()
    }

    /// Returns the path of the file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

fn line(domain: &DnsName, policy: Option<&CachedPolicy>) -> String {
    let value = match policy {
        None => json!({ "domain": domain.as_str(), "forgotten": true }),
        Some(it) => json!({
            "domain": domain.as_str(), "id": it.id, "fetched": it.fetched, "text": it.policy.lines.join("\n"),
        }),
    };
    format!("{value}\n")
}

fn read(text: &str) -> Result<HashMap<DnsName, CachedPolicy>, String> {
    // After a crash, the last line may be cut.
    let whole = text.rfind('\n').map_or("", |end| text.get(..end).unwrap_or_default());
    let mut lines = whole.lines();
    let header: Value = lines.next().and_then(|it| serde_json::from_str(it).ok()).unwrap_or_default();
    match header.get("starttls-policies").and_then(Value::as_u64) {
        Some(VERSION) => {}
        Some(other) => return Err(format!("it has version {other}: expected {VERSION}")),
        None => return Err(String::from("the first line does not have the version of the format")),
    }
    let mut policies = HashMap::new();
    for (index, line) in lines.enumerate() {
        let (domain, policy) = entry(line).ok_or_else(|| format!("line {} is invalid", index + 2))?;
        match policy {
            Some(policy) => policies.insert(domain, policy),
            None => policies.remove(&domain),
        };
    }
    Ok(policies)
}

fn entry(line: &str) -> Option<(DnsName, Option<CachedPolicy>)> {
    let value: Value = serde_json::from_str(line).ok()?;
    let domain = value.get("domain")?.as_str()?.parse().ok()?;
    if value.get("forgotten").is_some() {
        return Some((domain, None));
    }
    let policy = parse_policy(value.get("text")?.as_str()?.as_bytes()).policy.ok()?;
    let id = value.get("id")?.as_str()?.to_owned();
    Some((
        domain,
        Some(CachedPolicy { id, fetched: value.get("fetched")?.as_u64()?, policy: Arc::new(policy) }),
    ))
}

/// Writes a new file beside the old one and renames it, so that a crash leaves one of the two.
fn replace(path: &Path, policies: &HashMap<DnsName, CachedPolicy>) -> io::Result<PolicyStore> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut text = format!("{}\n", json!({ "starttls-policies": VERSION }));
    policies.iter().for_each(|(domain, policy)| text.push_str(&line(domain, Some(policy))));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&new)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()?;
    Ok(PolicyStore { path: path.to_owned(), file })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(id: &str, mode: &str) -> CachedPolicy {
        let text = format!("version: STSv1\nmode: {mode}\nmax_age: 604800\nmx: mx.example.test\n");
        CachedPolicy {
            id: id.to_owned(),
            fetched: 1000,
            policy: Arc::new(parse_policy(text.as_bytes()).policy.unwrap_or_else(|error| panic!("{error}"))),
        }
    }

    #[test]
    fn policies_survive_a_restart_and_a_crash() -> Result<(), Box<dyn std::error::Error>> {
        let folder = std::env::temp_dir().join(format!("starttls-store-{}", std::process::id()));
        std::fs::create_dir_all(&folder)?;
        let path = folder.join("policies.jsonl");
        let (one, two): (DnsName, DnsName) = ("one.test".parse()?, "two.test".parse()?);
        assert!(matches!(PolicyStore::open(&path), Err(StoreError::Missing(_))));
        let mut store = PolicyStore::create(&path)?;
        store.put(&one, Some(&policy("1", "testing")))?;
        store.put(&one, Some(&policy("2", "enforce")))?;
        store.put(&two, Some(&policy("1", "enforce")))?;
        store.put(&two, None)?;
        drop(store);
        // The crash cuts the line that was being written.
        let mut file = OpenOptions::new().append(true).open(&path)?;
        file.write_all(b"{\"domain\":\"two.test\",\"id\":")?;
        let (_, policies) = PolicyStore::open(&path)?;
        assert_eq!(policies, HashMap::from([(one.clone(), policy("2", "enforce"))]));
        assert_eq!(std::fs::read_to_string(&path)?.lines().count(), 2, "the file is compact again");
        for (text, part) in [
            ("", "first line"),
            ("{}\n", "first line"),
            ("{\"starttls-policies\":2}\n", "version 2"),
            ("{\"starttls-policies\":1}\nx\n", "line 2"),
            ("{\"starttls-policies\":1}\n{\"domain\":\"one.test\"}\n", "line 2"),
        ] {
            std::fs::write(&path, text)?;
            let error = PolicyStore::open(&path).map(drop).map_err(|error| error.to_string());
            assert!(error.as_ref().is_err_and(|it| it.contains(part)), "{text}: {error:?}");
            assert_eq!(std::fs::read_to_string(&path)?, text, "a file that cannot be used stays as it is");
        }
        std::fs::remove_dir_all(&folder)?;
        Ok(())
    }
}
