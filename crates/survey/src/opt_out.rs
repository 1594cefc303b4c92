//! The list of those that do not want to be surveyed.

use std::collections::BTreeSet;
use std::fmt;
use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use starttls_dns::{DnsName, IpPrefix};

use crate::error::SurveyError;
use crate::network::NetworkKey;
use crate::target::EndpointTarget;

/// The file is read again after this time.
const LIST_AGE: Duration = Duration::from_secs(5);

/// One entry of the list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum OptOutEntry {
    /// An address or a prefix.
    Prefix(IpPrefix),
    /// An AS.
    As(u32),
    /// A name and every name below it.
    Name(DnsName),
}

impl FromStr for OptOutEntry {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let as_number =
            text.strip_prefix("AS").or_else(|| text.strip_prefix("as")).and_then(|it| it.parse().ok());
        if let Some(number) = as_number {
            return Ok(Self::As(number));
        }
        if let Ok(prefix) = text.parse() {
            return Ok(Self::Prefix(prefix));
        }
        text.parse::<DnsName>().ok().filter(|_| !text.contains('/')).map(Self::Name).ok_or_else(|| {
            let shown: String = text.chars().take(60).flat_map(char::escape_debug).collect();
            format!("invalid entry \"{shown}\": expected a prefix, an AS such as AS64500, or a domain")
        })
    }
}

impl fmt::Display for OptOutEntry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(prefix) => prefix.fmt(f),
            Self::As(number) => write!(f, "AS{number}"),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// The list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OptOutList(BTreeSet<OptOutEntry>);

impl OptOutList {
    /// Parses a list: one entry a line, `#` for comments.
    ///
    /// # Errors
    /// The first line that is not an entry.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut entries = BTreeSet::new();
        for (index, line) in text.lines().enumerate() {
            let entry = line.split('#').next().unwrap_or_default().trim();
            if !entry.is_empty() {
                entries.insert(entry.parse().map_err(|why| format!("line {}: {why}", index + 1))?);
            }
        }
        Ok(Self(entries))
    }

    /// Reads a file. A file that does not exist is an empty list.
    ///
    /// # Errors
    /// If it cannot be read or has another form.
    pub fn read(path: &Path) -> Result<Self, SurveyError> {
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text).map_err(|why| SurveyError::contents(path, why)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(SurveyError::file(path)(error)),
        }
    }

    /// Replaces a file by this list, in one step.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn write(&self, path: &Path) -> Result<(), SurveyError> {
        let folder = path.parent().filter(|it| !it.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let write = || {
            let mut file = tempfile::NamedTempFile::new_in(folder)?;
            self.0.iter().try_for_each(|entry| writeln!(file, "{entry}"))?;
            file.as_file().sync_all()?;
            file.persist(path).map_err(|error| error.error)
        };
        write().map(drop).map_err(SurveyError::file(path))
    }

    /// Adds an entry, and returns whether it is new.
    pub fn insert(&mut self, entry: OptOutEntry) -> bool {
        self.0.insert(entry)
    }

    /// Removes an entry, and returns whether it was in the list.
    pub fn remove(&mut self, entry: &OptOutEntry) -> bool {
        self.0.remove(entry)
    }

    /// Returns the entries.
    pub fn entries(&self) -> impl Iterator<Item = &OptOutEntry> {
        self.0.iter()
    }

    /// Returns whether the list contains the name or a name above it.
    pub fn has_name(&self, name: &str) -> bool {
        let mut rest = Some(name);
        while let Some(part) = rest {
            if part.parse().is_ok_and(|it| self.0.contains(&OptOutEntry::Name(it))) {
                return true;
            }
            rest = part.split_once('.').map(|(_, parent)| parent);
        }
        false
    }

    /// Returns whether the list contains the address, by a prefix or by its network.
    pub fn has_address(&self, address: IpAddr, network: NetworkKey) -> bool {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        let by_prefix =
            (0..=longest).any(|it| self.0.contains(&OptOutEntry::Prefix(IpPrefix::containing(address, it))));
        by_prefix || matches!(network, NetworkKey::As(number) if self.0.contains(&OptOutEntry::As(number)))
    }
}

/// The opt-out list of a process, which can change while the survey runs: that of its file, and that of the queue.
#[derive(Debug, Default)]
pub(crate) struct OptOut {
    path: Option<PathBuf>,
    state: Mutex<OptOutState>,
}

#[derive(Debug, Default)]
struct OptOutState {
    of_file: OptOutList,
    changed: Option<SystemTime>,
    read: Option<Instant>,
    of_queue: OptOutList,
    /// Both of them.
    list: Arc<OptOutList>,
}

impl OptOutState {
    fn merge(&mut self) {
        self.list = Arc::new(OptOutList(self.of_file.0.union(&self.of_queue.0).cloned().collect()));
    }
}

impl OptOut {
    /// Reads the list in a file. Without a file it is empty.
    ///
    /// # Errors
    /// If the file cannot be read.
    pub(crate) fn new(path: Option<PathBuf>) -> Result<Self, SurveyError> {
        let mut state = OptOutState {
            of_file: path.as_deref().map(OptOutList::read).transpose()?.unwrap_or_default(),
            changed: path.as_deref().and_then(changed_at),
            read: Some(Instant::now()),
            ..OptOutState::default()
        };
        state.merge();
        Ok(Self { path, state: Mutex::new(state) })
    }

    /// Returns the list. That of the file is at most five seconds old; if the file has become unreadable, it stays as it was.
    pub(crate) fn list(&self) -> Arc<OptOutList> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(path) = self.path.as_deref()
            && state.read.is_none_or(|it| it.elapsed() > LIST_AGE)
        {
            state.read = Some(Instant::now());
            let now = changed_at(path);
            if now != state.changed
                && let Ok(new) = OptOutList::read(path)
            {
                (state.of_file, state.changed) = (new, now);
                state.merge();
            }
        }
        Arc::clone(&state.list)
    }

    /// Returns whether an endpoint opted out, by its name, its address or its network.
    pub(crate) fn has_endpoint(&self, target: &EndpointTarget) -> bool {
        let list = self.list();
        list.has_name(&target.server_name) || list.has_address(target.address, target.network)
    }

    /// Replaces the list of the queue.
    #[cfg(feature = "nats")]
    pub(crate) fn set_of_queue(&self, list: OptOutList) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.of_queue = list;
        state.merge();
    }
}

fn changed_at(path: &Path) -> Option<SystemTime> {
    std::fs::metadata(path).and_then(|it| it.modified()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_prefixes_and_networks_are_found() {
        let list = OptOutList::parse("# list\n192.0.2.0/24\nAS64500\nExample.org # by mail\n\n2001:db8::1\n")
            .unwrap();
        assert!(list.has_name("example.org") && list.has_name("mx.a.example.org"));
        assert!(!list.has_name("anexample.org") && !list.has_name("org"));
        let other = NetworkKey::As(1);
        for (address, network, expected) in [
            ("192.0.2.9", other, true),
            ("192.0.3.9", other, false),
            ("192.0.3.9", NetworkKey::As(64_500), true),
            ("2001:db8::1", other, true),
            ("2001:db8::2", other, false),
        ] {
            assert_eq!(list.has_address(address.parse().unwrap(), network), expected, "{address}");
        }
    }

    #[cfg(feature = "nats")]
    #[test]
    fn the_lists_of_the_file_and_of_the_queue_both_count() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("opt-out.txt");
        std::fs::write(&path, "a.example\n").unwrap();
        let opt_out = OptOut::new(Some(path)).unwrap();
        opt_out.set_of_queue(OptOutList::parse("b.example").unwrap());
        assert!(["a.example", "b.example"].iter().all(|name| opt_out.list().has_name(name)));
        opt_out.set_of_queue(OptOutList::default());
        assert!(opt_out.list().has_name("a.example") && !opt_out.list().has_name("b.example"));
    }

    #[test]
    fn a_list_is_written_as_it_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("opt-out.txt");
        assert_eq!(OptOutList::read(&path).unwrap(), OptOutList::default());
        let mut list = OptOutList::parse("a.example\n10.0.0.0/8").unwrap();
        assert!(list.insert("AS1".parse().unwrap()) && !list.insert("AS1".parse().unwrap()));
        list.write(&path).unwrap();
        assert_eq!(OptOutList::read(&path).unwrap(), list);
        assert!(list.remove(&"a.example".parse().unwrap()));
        assert!(
            OptOutList::parse("ok.example\n10.0.0.1/8").unwrap_err().starts_with("line 2: invalid entry")
        );
    }
}
