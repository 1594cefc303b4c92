//! Keeps MTA-STS policies in a file, so that a restart does not forget them: an attacker who suppresses the TXT record at that
//! moment would otherwise end the policy.
//!
//! The file has one JSON object in each line, which a person can read. Each policy is written and synchronized when it is
//! fetched. A last line without its end, after a crash, is ignored.

use std::collections::HashMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
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
/// The lines beyond two for each policy after which the file is written anew.
const SPARE_LINES: usize = 100;

/// Policies by domain, and the file that keeps them.
#[derive(Debug, Default)]
pub struct PolicyStore {
    policies: HashMap<DnsName, StoredPolicy>,
    journal: Option<Journal>,
}

/// A policy in the store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredPolicy {
    /// The policy, its id and its time.
    pub cached: CachedPolicy,
    /// When a mail server last asked for the domain, in seconds since 1970.
    pub used: u64,
}

/// The file, which grows by a line for each change. This process holds a lock on it.
#[derive(Debug)]
struct Journal {
    path: PathBuf,
    file: File,
    /// The length of the whole lines.
    length: u64,
    lines: usize,
}

/// Why a file of policies cannot be used.
#[derive(Debug)]
#[non_exhaustive]
pub enum StoreError {
    /// The file does not exist.
    Missing(PathBuf),
    /// Another process uses the file.
    InUse(PathBuf),
    /// The file cannot be read or written.
    Io(PathBuf, io::Error),
    /// The file is not a file of policies, or a line in it is invalid.
    Invalid(PathBuf, String),
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(path) => write!(f, "the file of policies {} does not exist", path.display()),
            Self::InUse(path) => {
                write!(f, "the file of policies {} is in use by another process", path.display())
            }
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
    /// [`StoreError`] if another process uses the file, or it cannot be written.
    pub fn create(path: &Path) -> Result<Self, StoreError> {
        // The lock on the old file is kept until the new one has replaced it.
        let _old = match lock(path) {
            Err(StoreError::Missing(_)) => None,
            locked => Some(locked?),
        };
        Self::replacing(path, HashMap::new())
    }

    /// Reads the policies, and replaces the file by one with the last line of each domain.
    ///
    /// # Errors
    /// [`StoreError`] if the file is missing or cannot be used. It is not changed then.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let old = lock(path)?;
        let policies = parse(path, &old)?;
        Self::replacing(path, policies)
    }

    /// Reads the policies in a file that another process may be using.
    ///
    /// # Errors
    /// [`StoreError`] if the file is missing or invalid.
    pub fn read(path: &Path) -> Result<HashMap<DnsName, StoredPolicy>, StoreError> {
        let file = File::open(path).map_err(|error| failed(path, error))?;
        parse(path, &file)
    }

    fn replacing(path: &Path, policies: HashMap<DnsName, StoredPolicy>) -> Result<Self, StoreError> {
        let journal = replace(path, &policies).map_err(|error| failed(path, error))?;
        Ok(Self { policies, journal: Some(journal) })
    }

    /// Returns the policies.
    pub fn policies(&self) -> &HashMap<DnsName, StoredPolicy> {
        &self.policies
    }

    /// Records that a mail server asked for the domain. The time reaches the file with the next change of the policy.
    pub fn touch(&mut self, domain: &DnsName, now: u64) {
        if let Some(policy) = self.policies.get_mut(domain) {
            policy.used = now;
        }
    }

    /// Adds or replaces the policy of a domain, which has reached the disk when this returns.
    ///
    /// # Errors
    /// The error of the file system. The policy is in memory nevertheless.
    pub fn put(&mut self, domain: DnsName, policy: StoredPolicy) -> io::Result<()> {
        let line = line(&domain, Some(&policy));
        self.policies.insert(domain, policy);
        self.write(&line)
    }

    /// Removes the policy of a domain, and returns whether there was one.
    ///
    /// # Errors
    /// The error of the file system. The policy is not in memory any more, but a restart may find it.
    pub fn remove(&mut self, domain: &DnsName) -> io::Result<bool> {
        let known = self.policies.remove(domain).is_some();
        if known {
            self.write(&line(domain, None))?;
        }
        Ok(known)
    }

    fn write(&mut self, line: &str) -> io::Result<()> {
        let Some(journal) = &mut self.journal else { return Ok(()) };
        if journal.lines > 2 * self.policies.len() + SPARE_LINES {
            *journal = replace(&journal.path, &self.policies)?;
            return Ok(());
        }
        journal.append(line)
    }
}

impl Journal {
    /// Appends a line and synchronizes it. After a failure, such as a full disk, no part of the line stays: it would make
    /// the next line invalid.
    fn append(&mut self, line: &str) -> io::Result<()> {
        let written =
            self.file.write_all_at(line.as_bytes(), self.length).and_then(|()| self.file.sync_data());
        if written.is_err() {
            self.file.set_len(self.length)?;
            return written;
        }
        self.length += line.len() as u64;
        self.lines += 1;
        Ok(())
    }
}

fn failed(path: &Path, error: io::Error) -> StoreError {
    match error.kind() {
        io::ErrorKind::NotFound => StoreError::Missing(path.to_owned()),
        _ => StoreError::Io(path.to_owned(), error),
    }
}

/// Opens the file and locks it, so that two processes do not write to it.
fn lock(path: &Path) -> Result<File, StoreError> {
    let failed = |error| failed(path, error);
    loop {
        let file = File::open(path).map_err(failed)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => StoreError::InUse(path.to_owned()),
            TryLockError::Error(error) => failed(error),
        })?;
        // Another process may have replaced the file between the two calls.
        let (locked, named) = (file.metadata().map_err(failed)?, std::fs::metadata(path).map_err(failed)?);
        if (locked.dev(), locked.ino()) == (named.dev(), named.ino()) {
            return Ok(file);
        }
    }
}

fn line(domain: &DnsName, policy: Option<&StoredPolicy>) -> String {
    let value = match policy {
        None => json!({ "domain": domain.as_str(), "forgotten": true }),
        Some(StoredPolicy { cached, used }) => json!({
            "domain": domain.as_str(), "id": cached.id, "fetched": cached.fetched, "used": used,
            "text": cached.policy.lines.join("\n"),
        }),
    };
    format!("{value}\n")
}

fn parse(path: &Path, file: &File) -> Result<HashMap<DnsName, StoredPolicy>, StoreError> {
    let mut text = String::new();
    file.take(MAX_FILE).read_to_string(&mut text).map_err(|error| failed(path, error))?;
    parse_text(&text).map_err(|reason| StoreError::Invalid(path.to_owned(), reason))
}

fn parse_text(text: &str) -> Result<HashMap<DnsName, StoredPolicy>, String> {
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

fn entry(line: &str) -> Option<(DnsName, Option<StoredPolicy>)> {
    let value: Value = serde_json::from_str(line).ok()?;
    let domain = value.get("domain")?.as_str()?.parse().ok()?;
    if value.get("forgotten").is_some() {
        return Some((domain, None));
    }
    let policy = parse_policy(value.get("text")?.as_str()?.as_bytes()).policy.ok()?;
    let id = value.get("id")?.as_str()?.to_owned();
    let fetched = value.get("fetched")?.as_u64()?;
    let used = value.get("used").map_or(Some(fetched), Value::as_u64)?;
    let cached = CachedPolicy { id, fetched, policy: Arc::new(policy) };
    Some((domain, Some(StoredPolicy { cached, used })))
}

/// Writes a new file beside the old one and renames it, so that a crash leaves one of the two. The new file is locked before
/// it has the name.
fn replace(path: &Path, policies: &HashMap<DnsName, StoredPolicy>) -> io::Result<Journal> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let mut text = format!("{}\n", json!({ "starttls-policies": VERSION }));
    policies.iter().for_each(|(domain, policy)| text.push_str(&line(domain, Some(policy))));
    let mut file = OpenOptions::new().write(true).create(true).truncate(true).open(&new)?;
    file.try_lock()?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&new, path)?;
    let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder)?.sync_all()?;
    Ok(Journal { path: path.to_owned(), file, length: text.len() as u64, lines: policies.len() + 1 })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(id: &str, mode: &str) -> StoredPolicy {
        let text = format!("version: STSv1\nmode: {mode}\nmax_age: 604800\nmx: mx.example.test\n");
        let policy = parse_policy(text.as_bytes()).policy.unwrap_or_else(|error| panic!("{error}"));
        let cached = CachedPolicy { id: id.to_owned(), fetched: 1000, policy: Arc::new(policy) };
        StoredPolicy { cached, used: 2000 }
    }

    fn folder(name: &str) -> io::Result<PathBuf> {
        let folder = std::env::temp_dir().join(format!("starttls-store-{name}-{}", std::process::id()));
        // An earlier process with the same number may have left it.
        let _ = std::fs::remove_dir_all(&folder);
        std::fs::create_dir_all(&folder)?;
        Ok(folder)
    }

    #[test]
    fn policies_survive_a_restart_and_a_crash() -> Result<(), Box<dyn std::error::Error>> {
        let folder = folder("restart")?;
        let path = folder.join("policies.jsonl");
        let (one, two): (DnsName, DnsName) = ("one.test".parse()?, "two.test".parse()?);
        assert!(matches!(PolicyStore::open(&path), Err(StoreError::Missing(_))));
        let mut store = PolicyStore::create(&path)?;
        store.put(one.clone(), policy("1", "testing"))?;
        store.put(one.clone(), policy("2", "enforce"))?;
        store.put(two.clone(), policy("1", "enforce"))?;
        assert!(store.remove(&two)? && !store.remove(&two)?);
        assert!(
            matches!(PolicyStore::open(&path), Err(StoreError::InUse(_))),
            "two services would lose lines"
        );
        assert!(matches!(PolicyStore::create(&path), Err(StoreError::InUse(_))));
        assert_eq!(&PolicyStore::read(&path)?, store.policies());
        drop(store);
        // The crash cuts the line that was being written.
        let mut file = OpenOptions::new().append(true).open(&path)?;
        file.write_all(b"{\"domain\":\"two.test\",\"id\":")?;
        let store = PolicyStore::open(&path)?;
        assert_eq!(store.policies(), &HashMap::from([(one.clone(), policy("2", "enforce"))]));
        drop(store);
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

    #[test]
    fn the_file_does_not_grow_with_each_change() -> Result<(), Box<dyn std::error::Error>> {
        let folder = folder("compact")?;
        let path = folder.join("policies.jsonl");
        let one: DnsName = "one.test".parse()?;
        let mut store = PolicyStore::create(&path)?;
        for id in 0..250 {
            store.put(one.clone(), policy(&id.to_string(), "enforce"))?;
            assert!(std::fs::read_to_string(&path)?.lines().count() < SPARE_LINES + 5);
        }
        assert_eq!(PolicyStore::read(&path)?.get(&one).map(|it| it.cached.id.as_str()), Some("249"));
        assert!(matches!(PolicyStore::open(&path), Err(StoreError::InUse(_))), "the new file is locked too");
        std::fs::remove_dir_all(&folder)?;
        Ok(())
    }
}
