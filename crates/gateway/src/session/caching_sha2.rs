//! CachingSha2 authentication by `caching_sha2_password` (MySQL): a server that has not cached an account wants the password
//! itself. A client inside TLS says it as it is; a server without TLS takes it encrypted with a key of its own only, and
//! would refuse the client's words, having read the password in cleartext. Between the two, the gateway does what the
//! client would do without TLS.

use std::fmt;

use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
use starttls::proto::Side;
use starttls::rustls::pki_types::SubjectPublicKeyInfoDer;
use starttls::rustls::pki_types::pem::PemObject;

use crate::failure::SessionFailure;

const METHOD: &[u8] = b"caching_sha2_password\0";
/// Octets of the greeting's challenge.
const CHALLENGE: usize = 20;
/// The server says: the password itself, please.
const WANTED: [u8; 2] = [1, 4];
/// The client asks for the server's key.
const KEY_REQUEST: [u8; 1] = [2];
/// What an AuthSwitchRequest begins with, and what more of a method's data does.
const SWITCH: u8 = 0xfe;
const MORE: u8 = 1;

/// How far a login has come.
pub(super) struct CachingSha2 {
    challenge: Vec<u8>,
    step: Step,
}

enum Step {
    /// Another method is spoken, or none yet.
    Other,
    /// This one.
    Method,
    /// The password was asked for.
    Wanted,
    /// The client has said it, and the server was asked for its key.
    Said(Vec<u8>),
}

impl fmt::Debug for CachingSha2 {
    /// It may hold a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachingSha2").finish_non_exhaustive()
    }
}

impl CachingSha2 {
    /// Behind this greeting.
    pub(super) fn new(greeting: &[u8]) -> Self {
        Self { challenge: challenge(greeting).unwrap_or_default(), step: Step::Other }
    }

    /// What goes to the server in the place of the client's packet, if it is another.
    ///
    /// # Errors
    /// When the client goes on before its turn.
    pub(super) fn client(
        &mut self,
        payload: &[u8],
        is_login: bool,
    ) -> Result<Option<Vec<u8>>, SessionFailure> {
        match &self.step {
            Step::Other if is_login && payload.windows(METHOD.len()).any(|part| part == METHOD) => {
                self.step = Step::Method;
            }
            Step::Wanted if payload.last() == Some(&0) => {
                self.step = Step::Said(payload.to_vec());
                return Ok(Some(KEY_REQUEST.to_vec()));
            }
            // It asks for the key itself, or has given up.
            Step::Wanted => self.step = Step::Other,
            Step::Said(_) => {
                return Err(wrong(Side::Client, "nothing before the answer to the password", &[]));
            }
            Step::Other | Step::Method => {}
        }
        Ok(None)
    }

    /// What the server is answered to this packet, which the client need not see then.
    ///
    /// # Errors
    /// When the password cannot be encrypted with what the server sent.
    pub(super) fn server(&mut self, payload: &[u8]) -> Result<Option<Vec<u8>>, SessionFailure> {
        match (&self.step, payload) {
            (Step::Said(password), [MORE, key @ ..]) => {
                let encrypted = self.encrypted(password, key);
                self.step = Step::Other;
                return match encrypted {
                    Some(encrypted) => Ok(Some(encrypted)),
                    None => Err(wrong(Side::Server, "an RSA key that the password fits into", key)),
                };
            }
            (Step::Said(_), _) => self.step = Step::Other,
            (_, [SWITCH, request @ ..]) => match request.strip_prefix(METHOD) {
                Some(data) => {
                    self.challenge = data.get(..CHALLENGE).unwrap_or_default().to_vec();
                    self.step = Step::Method;
                }
                None => self.step = Step::Other,
            },
            (Step::Method, payload) if *payload == WANTED => self.step = Step::Wanted,
            _ => {}
        }
        Ok(None)
    }

    /// The password with its NUL, mixed with the challenge and encrypted by RSA with OAEP.
    fn encrypted(&self, password: &[u8], key: &[u8]) -> Option<Vec<u8>> {
        if self.challenge.len() != CHALLENGE {
            return None;
        }
        let mixed: Vec<u8> = password.iter().zip(self.challenge.iter().cycle()).map(|(a, b)| a ^ b).collect();
        let key = SubjectPublicKeyInfoDer::from_pem_slice(key).ok()?;
        let key = OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(&key).ok()?).ok()?;
        let mut encrypted = vec![0; key.ciphertext_size()];
        key.encrypt(&OAEP_SHA1_MGF1SHA1, &mixed, &mut encrypted, None).ok()?;
        Some(encrypted)
    }
}

/// The challenge in a greeting: eight octets behind the version and the number of the connection, and twelve behind
/// flags and zeros.
fn challenge(greeting: &[u8]) -> Option<Vec<u8>> {
    let version = greeting.get(5..)?;
    let behind = version.get(version.iter().position(|octet| *octet == 0)? + 1..)?;
    Some([behind.get(4..12)?, behind.get(31..43)?].concat())
}

fn wrong(from: Side, expected: &'static str, received: &[u8]) -> SessionFailure {
    SessionFailure::Protocol {
        side: from,
        expected,
        received: received.get(..200).unwrap_or(received).to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked() -> CachingSha2 {
        let greeting =
            [&b"\x4a\0\0\0\x0a8.0\0"[..], &[9; 4], b"12345678\0", &[7; 18], b"901234567890\0"].concat();
        let mut full = CachingSha2::new(&greeting);
        assert_eq!(full.challenge, b"12345678901234567890");
        full.client(&[b"login", METHOD].concat(), true).unwrap();
        assert!(full.server(&WANTED).unwrap().is_none());
        full
    }

    #[test]
    fn the_password_stays_here_until_there_is_a_key() {
        let mut full = asked();
        assert_eq!(full.client(b"secret\0", false).unwrap().unwrap(), KEY_REQUEST);
        assert!(full.client(b"more", false).is_err());
        for key in
            [&b"\x01"[..], b"\x01-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", &[1; 70_000]]
        {
            let mut full = asked();
            full.client(b"secret\0", false).unwrap();
            assert!(full.server(key).is_err(), "{}", key.escape_ascii());
        }
        // A server that has no key says so.
        assert!(full.server(b"\xff\x15\x04no").unwrap().is_none());
    }

    #[test]
    fn what_is_no_password_passes() {
        // A client that asks for the key itself.
        assert!(asked().client(&KEY_REQUEST, false).unwrap().is_none());
        // Another method, whatever it says.
        let mut full = CachingSha2::new(b"");
        full.client(b"login\0mysql_native_password\0", true).unwrap();
        assert!(full.server(&WANTED).unwrap().is_none());
        assert!(full.client(b"secret\0", false).unwrap().is_none());
        full.server(&[b"\xfe", METHOD, b"tsrqponmlkjihgfedcba\0"].concat()).unwrap();
        full.server(b"\xfedialog\0").unwrap();
        full.server(&WANTED).unwrap();
        assert!(full.client(b"secret\0", false).unwrap().is_none());
    }
}
