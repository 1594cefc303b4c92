//! The mail, articles, files and scripts of the lab's servers, in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The most entries of each kind.
const ENTRIES: usize = 256;

/// One message in the mailbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mail {
    /// Its unique id, ascending from 1.
    pub uid: u32,
    /// Header and body, with CRLF line endings.
    pub text: Arc<[u8]>,
}

/// The store that all servers of a lab share.
#[derive(Debug)]
pub struct Store {
    mail: Mutex<Vec<Mail>>,
    files: Mutex<BTreeMap<String, Arc<[u8]>>>,
    scripts: Mutex<BTreeMap<String, Arc<[u8]>>>,
}

/// The message in the mailbox, which is also an article in the group.
pub(crate) const WELCOME: &str = "From: The lab <lab@example.test>\r\n\
    To: test@example.test\r\n\
    Subject: It works\r\n\
    Date: Thu, 01 Jan 2026 00:00:00 +0000\r\n\
    Message-ID: <welcome@example.test>\r\n\
    MIME-Version: 1.0\r\n\
    Content-Type: text/plain; charset=us-ascii\r\n\
    \r\n\
    You read this inside TLS.\r\n\
    .A line that starts with a dot.\r\n";

impl Default for Store {
    /// One message, one file, no script.
    fn default() -> Self {
        let files = BTreeMap::from([(String::from("welcome.txt"), WELCOME.as_bytes().into())]);
        let mail = vec![Mail { uid: 1, text: WELCOME.as_bytes().into() }];
        Self { mail: Mutex::new(mail), files: Mutex::new(files), scripts: Mutex::default() }
    }
}

impl Store {
    /// Returns the messages of the mailbox, the oldest first.
    pub fn mail(&self) -> Vec<Mail> {
        lock(&self.mail).clone()
    }

    /// Delivers a message and returns its unique id, unless the mailbox is full.
    pub fn deliver(&self, text: &[u8]) -> Option<u32> {
        let mut mail = lock(&self.mail);
        if mail.len() >= ENTRIES {
            return None;
        }
        let uid = mail.last().map_or(1, |last| last.uid.saturating_add(1));
        mail.push(Mail { uid, text: text.into() });
        Some(uid)
    }

    /// Removes messages by their unique ids.
    pub fn delete(&self, uids: &[u32]) {
        lock(&self.mail).retain(|mail| !uids.contains(&mail.uid));
    }

    /// Returns the names and sizes of the files.
    pub fn files(&self) -> Vec<(String, usize)> {
        lock(&self.files).iter().map(|(name, text)| (name.clone(), text.len())).collect()
    }

    /// Returns the content of a file.
    pub fn file(&self, name: &str) -> Option<Arc<[u8]>> {
        lock(&self.files).get(name).cloned()
    }

    /// Stores a file. Returns whether there was room for it.
    pub fn put_file(&self, name: &str, content: &[u8]) -> bool {
        put(&self.files, name, content)
    }

    /// Removes a file.
    pub fn delete_file(&self, name: &str) -> bool {
        lock(&self.files).remove(name).is_some()
    }

    /// Returns the names of the Sieve scripts.
    pub fn scripts(&self) -> Vec<String> {
        lock(&self.scripts).keys().cloned().collect()
    }

    /// Returns a Sieve script.
    pub fn script(&self, name: &str) -> Option<Arc<[u8]>> {
        lock(&self.scripts).get(name).cloned()
    }

    /// Stores a Sieve script. Returns whether there was room for it.
    pub fn put_script(&self, name: &str, content: &[u8]) -> bool {
        put(&self.scripts, name, content)
    }

    /// Removes a Sieve script.
    pub fn delete_script(&self, name: &str) -> bool {
        lock(&self.scripts).remove(name).is_some()
    }
}

fn put(map: &Mutex<BTreeMap<String, Arc<[u8]>>>, name: &str, content: &[u8]) -> bool {
    let mut map = lock(map);
    let room = map.len() < ENTRIES || map.contains_key(name);
    if room {
        map.insert(name.to_owned(), content.into());
    }
    room
}

/// Locks a mutex. A poisoned one is valid: no operation leaves the data in an intermediate state.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
