//! Keys of session tickets. They rotate by themselves, and several gateways can share them.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use aws_lc_rs::aead::{AES_256_GCM, Aad, Nonce, RandomizedNonceKey};
use aws_lc_rs::{hkdf, rand};
use starttls::rustls::server::ProducesTickets;

use crate::files;
use crate::setup_error::SetupError;
use crate::watch::{Stamp, Watched};

/// How long a key encrypts tickets, in seconds. The previous key still decrypts them, so a ticket is valid for up to twice
/// as long.
const PERIOD: u64 = 6 * 60 * 60;

const NAME_LEN: usize = 16;
const NONCE_LEN: usize = 12;
/// The longest ticket. Tickets of the gateway are shorter.
const LONGEST: usize = 32 * 1024;

type Secret = [u8; 32];

/// The secrets that all ticket keys are derived from.
///
/// Each listener derives its own keys for every period, and they depend on the listener's requirements for clients. A ticket
/// of another listener, or from before the requirements changed, is invalid (rule S9).
#[derive(Debug)]
pub struct TicketKeys {
    source: Source,
    first_stamps: Vec<Stamp>,
    secrets: RwLock<Arc<Secrets>>,
}

#[derive(Debug)]
enum Source {
    /// Random secrets, a new one for each period.
    Random,
    /// Secrets from a file. Gateways with the same file resume each other's sessions.
    Shared(PathBuf),
}

struct Secrets {
    /// The first secret encrypts tickets, all decrypt them.
    all: Vec<Secret>,
    /// The period of the first secret, if it is random.
    period: u64,
}

impl std::fmt::Debug for Secrets {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Secrets").field("period", &self.period).finish_non_exhaustive()
    }
}

impl TicketKeys {
    /// Returns random keys. The whole process shares them, so sessions can be resumed after a reload of the configuration.
    ///
    /// # Errors
    /// When the system has no randomness.
    pub fn random() -> Result<Arc<Self>, SetupError> {
        static ONLY: OnceLock<Arc<TicketKeys>> = OnceLock::new();
        if let Some(keys) = ONLY.get() {
            return Ok(keys.clone());
        }
        let secrets = Secrets { all: vec![fresh()?], period: period() };
        let secrets = RwLock::new(Arc::new(secrets));
        let keys = Self { source: Source::Random, first_stamps: Vec::new(), secrets };
        Ok(ONLY.get_or_init(|| Arc::new(keys)).clone())
    }

    /// Reads keys from a file: lines of 64 hexadecimal digits. The first one encrypts tickets, all decrypt them.
    ///
    /// # Errors
    /// When the file cannot be read or has another format.
    pub fn shared(path: &Path) -> Result<Arc<Self>, SetupError> {
        let first_stamps = vec![Stamp::of(path.to_owned())];
        let secrets = RwLock::new(Arc::new(Secrets { all: read(path)?, period: 0 }));
        Ok(Arc::new(Self { source: Source::Shared(path.to_owned()), first_stamps, secrets }))
    }

    /// Returns the tickets of one listener. `terms` must be equal to those of the listener that issued a ticket.
    pub(crate) fn for_terms(self: &Arc<Self>, terms: &[&[u8]]) -> Arc<dyn ProducesTickets> {
        // Each term is preceded by its length, so that different lists have different encodings.
        let terms =
            terms.iter().flat_map(|term| [&(term.len() as u64).to_be_bytes(), *term].concat()).collect();
        let current = RwLock::new(Arc::new(Derived::default()));
        Arc::new(Tickets { keys: self.clone(), terms, current })
    }

    /// Returns the secrets of this period.
    fn secrets(&self, period: u64) -> Arc<Secrets> {
        let secrets = self.secrets.read().unwrap_or_else(PoisonError::into_inner).clone();
        if matches!(self.source, Source::Shared(_)) || secrets.period >= period {
            return secrets;
        }
        // Without randomness the old secret stays in use. The derived keys change nevertheless.
        let Ok(new) = fresh() else { return secrets };
        let mut current = self.secrets.write().unwrap_or_else(PoisonError::into_inner);
        if current.period < period {
            let before = current.all.first().filter(|_| current.period + 1 == period).copied();
            let all = [new].into_iter().chain(before).collect();
            *current = Arc::new(Secrets { all, period });
        }
        current.clone()
    }
}

impl Watched for TicketKeys {
    fn name(&self) -> String {
        match &self.source {
            Source::Random => String::from("the ticket keys"),
            Source::Shared(path) => format!("the ticket keys {}", path.display()),
        }
    }

    fn files(&self) -> Vec<PathBuf> {
        match &self.source {
            Source::Random => Vec::new(),
            Source::Shared(path) => vec![path.clone()],
        }
    }

    fn first_stamps(&self) -> Option<Vec<Stamp>> {
        Some(self.first_stamps.clone())
    }

    fn reload(&self) -> Result<(), SetupError> {
        if let Source::Shared(path) = &self.source {
            let secrets = Arc::new(Secrets { all: read(path)?, period: 0 });
            *self.secrets.write().unwrap_or_else(PoisonError::into_inner) = secrets;
        }
        Ok(())
    }
}

fn read(path: &Path) -> Result<Vec<Secret>, SetupError> {
    let bytes = files::read("the ticket keys", path)?;
    let lines = bytes.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii).filter(|line| !line.is_empty());
    let all: Option<Vec<_>> = lines.map(secret).collect();
    all.filter(|all| (1..=16).contains(&all.len())).ok_or_else(|| {
        SetupError::new(format!(
            "invalid ticket keys in {}: expected 1 to 16 lines of 64 hexadecimal digits",
            path.display()
        ))
        .with_hint("make a key with openssl rand -hex 32; put the newest into the first line")
    })
}

fn secret(hex: &[u8]) -> Option<Secret> {
    let mut secret = Secret::default();
    if hex.len() != 2 * secret.len() || !hex.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    for (byte, digits) in secret.iter_mut().zip(hex.chunks(2)) {
        *byte = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
    }
    Some(secret)
}

fn fresh() -> Result<Secret, SetupError> {
    let mut secret = Secret::default();
    rand::fill(&mut secret).map_err(|_| SetupError::new("the system has no randomness for ticket keys"))?;
    Ok(secret)
}

fn period() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / PERIOD
}

/// The tickets of one listener.
#[derive(Debug)]
struct Tickets {
    keys: Arc<TicketKeys>,
    terms: Vec<u8>,
    current: RwLock<Arc<Derived>>,
}

/// The keys of one period, and what they were derived from.
#[derive(Debug, Default)]
struct Derived {
    of: Option<(u64, Arc<Secrets>)>,
    /// The first key encrypts tickets.
    keys: Vec<Key>,
}

#[derive(Debug)]
struct Key {
    name: [u8; NAME_LEN],
    key: RandomizedNonceKey,
}

impl Tickets {
    fn derived(&self, period: u64) -> Arc<Derived> {
        let secrets = self.keys.secrets(period);
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner).clone();
        if current.of.as_ref().is_some_and(|(when, of)| *when == period && Arc::ptr_eq(of, &secrets)) {
            return current;
        }
        // The current, the previous and the next period, because the clocks of gateways differ.
        let periods = [period, period.saturating_sub(1), period.saturating_add(1)];
        let each = periods.iter().flat_map(|period| secrets.all.iter().map(move |secret| (secret, *period)));
        let keys = each.filter_map(|(secret, period)| Key::derive(secret, period, &self.terms)).collect();
        let derived = Arc::new(Derived { of: Some((period, secrets)), keys });
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = derived.clone();
        derived
    }

    fn seal(&self, plain: &[u8], period: u64) -> Option<Vec<u8>> {
        let derived = self.derived(period);
        let Key { name, key } = derived.keys.first()?;
        let mut sealed = plain.to_vec();
        let nonce = key.seal_in_place_append_tag(Aad::from(name), &mut sealed).ok()?;
        Some([name.as_slice(), nonce.as_ref(), &sealed].concat())
    }

    fn open(&self, ticket: &[u8], period: u64) -> Option<Vec<u8>> {
        if ticket.len() > LONGEST {
            return None;
        }
        let (name, rest) = ticket.split_first_chunk::<NAME_LEN>()?;
        let (nonce, sealed) = rest.split_first_chunk::<NONCE_LEN>()?;
        let derived = self.derived(period);
        // The name is public and only selects the key. The ciphertext is authenticated below.
        let Key { key, .. } = derived.keys.iter().find(|key| key.name == *name)?;
        let mut opened = sealed.to_vec();
        let len = key.open_in_place(Nonce::from(nonce), Aad::from(name), &mut opened).ok()?.len();
        opened.truncate(len);
        Some(opened)
    }
}

impl ProducesTickets for Tickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        PERIOD as u32
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(plain, period())
    }

    fn decrypt(&self, ticket: &[u8]) -> Option<Vec<u8>> {
        self.open(ticket, period())
    }
}

impl Key {
    fn derive(secret: &Secret, period: u64, terms: &[u8]) -> Option<Self> {
        let period = period.to_be_bytes();
        let derived = hkdf::Salt::new(hkdf::HKDF_SHA256, b"starttls session tickets").extract(secret);
        let (mut name, mut bytes) = ([0; NAME_LEN], Secret::default());
        let parts = [b"name", &period[..], terms];
        derived.expand(&parts, Length(NAME_LEN)).ok()?.fill(&mut name).ok()?;
        let parts = [b"key ", &period[..], terms];
        derived.expand(&parts, Length(bytes.len())).ok()?.fill(&mut bytes).ok()?;
        Some(Self { name, key: RandomizedNonceKey::new(&AES_256_GCM, &bytes).ok()? })
    }
}

struct Length(usize);

impl hkdf::KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(secrets: &[u8]) -> Arc<TicketKeys> {
        let secrets = Secrets { all: secrets.iter().map(|byte| [*byte; 32]).collect(), period: 0 };
        Arc::new(TicketKeys {
            source: Source::Shared("keys".into()),
            first_stamps: Vec::new(),
            secrets: RwLock::new(Arc::new(secrets)),
        })
    }

    fn tickets(keys: &Arc<TicketKeys>, terms: &[&[u8]]) -> Tickets {
        let terms =
            terms.iter().flat_map(|term| [&(term.len() as u64).to_be_bytes(), *term].concat()).collect();
        Tickets { keys: keys.clone(), terms, current: RwLock::default() }
    }

    #[test]
    fn s9_a_ticket_is_valid_for_its_own_terms_only() {
        let keys = keys(&[1]);
        let ticket = tickets(&keys, &[b"mx", b"none"]).seal(b"session", 7).unwrap();
        let opened = |terms: &[&[u8]]| tickets(&keys, terms).open(&ticket, 7);
        assert_eq!(opened(&[b"mx", b"none"]).as_deref(), Some(&b"session"[..]));
        for terms in
            [&[b"mx".as_slice(), b"required"][..], &[b"imap", b"none"], &[b"mxn", b"one"], &[b"mxnone"]]
        {
            assert_eq!(opened(terms), None, "{terms:?}");
        }
    }

    #[test]
    fn a_ticket_lives_for_two_periods() {
        let here = tickets(&keys(&[1]), &[]);
        let ticket = here.seal(b"session", 7).unwrap();
        let lives: Vec<_> = (5..11).filter(|period| here.open(&ticket, *period).is_some()).collect();
        assert_eq!(lives, [6, 7, 8]);
    }

    #[test]
    fn gateways_with_one_file_read_each_others_tickets_while_it_is_replaced() {
        let (old, new) = (tickets(&keys(&[1]), &[]), tickets(&keys(&[2, 1]), &[]));
        let ticket = old.seal(b"session", 7).unwrap();
        assert!(new.open(&ticket, 7).is_some());
        assert!(old.open(&new.seal(b"session", 7).unwrap(), 7).is_none());
        assert!(tickets(&keys(&[2]), &[]).open(&ticket, 7).is_none());
    }

    #[test]
    fn random_keys_change_and_are_forgotten() {
        let secrets = Secrets { all: vec![fresh().unwrap()], period: 7 };
        let secrets = RwLock::new(Arc::new(secrets));
        let keys = TicketKeys { source: Source::Random, first_stamps: Vec::new(), secrets };
        let first = keys.secrets(7).all.clone();
        let second = keys.secrets(8).all.clone();
        assert_eq!(second[1..], first[..]);
        assert_eq!(keys.secrets(9).all[1..], second[..1]);
        assert_eq!(keys.secrets(20).all.len(), 1);
    }

    #[test]
    fn changed_tickets_are_invalid() {
        let here = tickets(&keys(&[1]), &[]);
        let ticket = here.seal(b"session", 7).unwrap();
        for len in 0..ticket.len() {
            assert_eq!(here.open(&ticket[..len], 7), None);
            let mut other = ticket.clone();
            other[len] ^= 1;
            assert_eq!(here.open(&other, 7), None);
        }
        assert_eq!(here.open(&vec![0; 1 << 20], 7), None);
    }
}
