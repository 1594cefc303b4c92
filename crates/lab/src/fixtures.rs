//! The servers and certificates for attacks on clients.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use starttls::proto::Protocol;
use starttls::rustls::sign::CertifiedKey;
use tempfile::TempDir;

use crate::ca::{Authority, Issued, KeyKind, Leaf, Usage};
use crate::error::Error;
use crate::files::readable_folder;
use crate::lab::SERVER_NAME;
use crate::rogue::{Rogue, Weakness};
use crate::weak_key::WeakKey;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The fixtures of attacks: servers that serve everything in cleartext too, and valid and invalid certificates.
pub struct Fixtures {
    authority: Authority,
    ca_file: PathBuf,
    /// The certificates by name, each created at its first use.
    certificates: Mutex<HashMap<String, Arc<CertifiedKey>>>,
    /// Removed on drop.
    _scratch: TempDir,
}

impl std::fmt::Debug for Fixtures {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Fixtures").field("ca_file", &self.ca_file).finish_non_exhaustive()
    }
}

impl Fixtures {
    /// Creates an authority.
    ///
    /// # Errors
    /// Returns an error if a key or a folder cannot be created.
    pub fn new() -> Result<Self, Error> {
        let (authority, scratch) = (Authority::new()?, readable_folder()?);
        let ca_file = authority.write_to(scratch.path())?;
        Ok(Self { authority, ca_file, certificates: Mutex::default(), _scratch: scratch })
    }

    /// Returns the file with the root certificate, which a client under test must trust.
    pub fn ca_file(&self) -> &Path {
        &self.ca_file
    }

    /// Returns the root certificate in PEM.
    pub fn root_pem(&self) -> String {
        self.authority.root_pem()
    }

    /// Starts a server that offers the upgrade, and also serves clients in cleartext: a fooled client gets answers, and so
    /// shows what it would send.
    ///
    /// # Errors
    /// Returns an error if a port, a certificate or a thread cannot be created.
    pub fn server(&self, protocol: &'static Protocol) -> Result<Rogue, Error> {
        Rogue::start(protocol, Weakness::NotEnforced, &self.authority)
    }

    /// Returns the certificate of this name: `sound`, `rsa`, or its defect; `name:HOST` for another host, and
    /// `other-key:HOST` for that host with another key. Returns `None` for an unknown name. The first call for a name may
    /// take seconds to generate a key.
    ///
    /// # Errors
    /// Returns an error if a key cannot be created.
    pub fn certificate(&self, name: &str) -> Result<Option<Arc<CertifiedKey>>, Error> {
        let mut made = self.certificates.lock().unwrap_or_else(PoisonError::into_inner);
        if !made.contains_key(name) {
            let Some(certified) = self.certified(name)? else { return Ok(None) };
            made.insert(name.to_owned(), Arc::new(certified));
        }
        Ok(made.get(name).cloned())
    }

    fn certified(&self, name: &str) -> Result<Option<CertifiedKey>, Error> {
        if name == "weak-key" {
            return WeakKey::certified(&self.authority, &sound()).map(Some);
        }
        if name == "sha1" {
            return self.authority.issue_with_sha1(&sound()).map(Some);
        }
        self.issue(name)?.map(|issued| issued.certified()).transpose()
    }

    fn issue(&self, name: &str) -> Result<Option<Issued>, Error> {
        let now = SystemTime::now();
        let sound = sound();
        if let Some(host) = name.strip_prefix("name:").or_else(|| name.strip_prefix("other-key:")) {
            return self.authority.issue(&Leaf::named(host)).map(Some);
        }
        let nameless = Leaf { dns: Vec::new(), ips: Vec::new(), ..sound.clone() };
        let leaf = match name {
            "sound" => sound,
            "rsa" => Leaf { key: KeyKind::Rsa2048, ..sound },
            "expired" => Leaf { not_before: now - 60 * DAY, not_after: now - 2 * DAY, ..sound },
            "not-yet" => Leaf { not_before: now + 2 * DAY, ..sound },
            "wrong-host" => Leaf { dns: vec![String::from("other.example.test")], ..nameless },
            "wrong-eku" => Leaf { usage: Usage::Client, ..sound },
            "cn-only" => Leaf { common_name: Some(String::from("localhost")), ..nameless },
            "leaf-ca" => return self.authority.issue_by_leaf(&sound).map(Some),
            "selfsigned" => return Authority::self_signed(&sound).map(Some),
            "unknown-root" => return Authority::named("unknown")?.issue(&sound).map(Some),
            _ => return Ok(None),
        };
        self.authority.issue(&leaf).map(Some)
    }
}

/// Returns the contents of a valid certificate.
fn sound() -> Leaf {
    Leaf {
        dns: vec![String::from("localhost"), String::from(SERVER_NAME)],
        ips: vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
        ..Leaf::default()
    }
}
