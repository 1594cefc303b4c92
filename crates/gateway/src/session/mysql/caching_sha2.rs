//! Full authentication by `caching_sha2_password`. A server that has no cached hash of an account requests the password. A
//! client inside TLS sends it as it is. A server without TLS accepts it only encrypted with the server's RSA key. So where
//! only the client's side has TLS, the gateway requests that key and encrypts the password, as a client without TLS would.

use std::fmt;

use aws_lc_rs::rsa::{OAEP_SHA1_MGF1SHA1, OaepPublicEncryptingKey, PublicEncryptingKey};
use starttls::proto::Side;
use starttls_x509::Bundle;

use crate::failure::SessionFailure;

const METHOD: &[u8] = b"caching_sha2_password\0";
/// The length of the greeting's challenge, in octets.
const CHALLENGE: usize = 20;
/// The server requests the password.
const PASSWORD_REQUEST: [u8; 2] = [1, 4];
/// The client requests the server's key.
const KEY_REQUEST: [u8; 1] = [2];
/// The first octets of AuthSwitchRequest and AuthMoreData.
const SWITCH: u8 = 0xfe;
const MORE: u8 = 1;

/// The state of a login with `caching_sha2_password`.
pub(super) struct CachingSha2 {
    challenge: Vec<u8>,
    step: Step,
}

enum Step {
    /// Another method, or none yet.
    Other,
    /// This method was selected.
    Method,
    /// The server has requested the password.
    PasswordRequested,
    /// The client has sent this password, and the gateway has requested the key.
    KeyRequested(Vec<u8>),
}

impl fmt::Debug for CachingSha2 {
    // The value may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachingSha2").finish_non_exhaustive()
    }
}

impl CachingSha2 {
    /// Makes the state after this greeting.
    pub(super) fn new(greeting: &[u8]) -> Self {
        Self { challenge: challenge(greeting).unwrap_or_default(), step: Step::Other }
    }

    /// Handles a packet of the client. Returns the payload to send to the server instead, if it differs.
    ///
    /// # Errors
    /// When the client sends a packet before the server has replied.
    pub(super) fn client(
        &mut self,
        payload: &[u8],
        is_login: bool,
    ) -> Result<Option<Vec<u8>>, SessionFailure> {
        match &self.step {
            Step::Other if is_login && payload.windows(METHOD.len()).any(|part| part == METHOD) => {
                self.step = Step::Method;
            }
            Step::PasswordRequested if payload.last() == Some(&0) => {
                self.step = Step::KeyRequested(payload.to_vec());
                return Ok(Some(KEY_REQUEST.to_vec()));
            }
            // The client requests the key itself, or ends the login.
            Step::PasswordRequested => self.step = Step::Other,
            Step::KeyRequested(_) => {
                return Err(wrong(Side::Client, "no packet before the reply to the password", &[]));
            }
            Step::Other | Step::Method => {}
        }
        Ok(None)
    }

    /// Handles a packet of the server. Returns the payload of the reply, if the gateway replies in place of the client.
    ///
    /// # Errors
    /// When the server did not send a key that can encrypt the password.
    pub(super) fn server(&mut self, payload: &[u8]) -> Result<Option<Vec<u8>>, SessionFailure> {
        match (&self.step, payload) {
            (Step::KeyRequested(password), [MORE, key @ ..]) => {
                let encrypted = self.encrypted(password, key);
                self.step = Step::Other;
                return match encrypted {
                    Some(encrypted) => Ok(Some(encrypted)),
                    None => Err(wrong(Side::Server, "an RSA key that is large enough for the password", key)),
                };
            }
            (Step::KeyRequested(_), _) => self.step = Step::Other,
            (_, [SWITCH, request @ ..]) => match request.strip_prefix(METHOD) {
                Some(data) => {
                    self.challenge = data.get(..CHALLENGE).unwrap_or_default().to_vec();
                    self.step = Step::Method;
                }
                None => self.step = Step::Other,
            },
            (Step::Method, payload) if *payload == PASSWORD_REQUEST => self.step = Step::PasswordRequested,
            _ => {}
        }
        Ok(None)
    }

    /// Encrypts the password and its NUL: XOR with the challenge, then RSA with OAEP.
    fn encrypted(&self, password: &[u8], key: &[u8]) -> Option<Vec<u8>> {
        if self.challenge.len() != CHALLENGE {
            return None;
        }
        let mixed: Vec<u8> = password.iter().zip(self.challenge.iter().cycle()).map(|(a, b)| a ^ b).collect();
        let key = Bundle::read("the key of the server", key).and_then(|it| it.public_key()).ok()?;
        let key = OaepPublicEncryptingKey::new(PublicEncryptingKey::from_der(&key).ok()?).ok()?;
        let mut encrypted = vec![0; key.ciphertext_size()];
        key.encrypt(&OAEP_SHA1_MGF1SHA1, &mixed, &mut encrypted, None).ok()?;
        Some(encrypted)
    }
}

/// Returns the challenge in a greeting: eight octets after the version and the connection number, and twelve octets after
/// flags and zeros.
fn challenge(greeting: &[u8]) -> Option<Vec<u8>> {
    let version = greeting.get(5..)?;
    let rest = version.get(version.iter().position(|octet| *octet == 0)? + 1..)?;
    Some([rest.get(4..12)?, rest.get(31..43)?].concat())
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

    fn with_password_request() -> CachingSha2 {
        let greeting =
            [&b"\x4a\0\0\0\x0a8.0\0"[..], &[9; 4], b"12345678\0", &[7; 18], b"901234567890\0"].concat();
        let mut login = CachingSha2::new(&greeting);
        assert_eq!(login.challenge, b"12345678901234567890");
        login.client(&[b"login", METHOD].concat(), true).unwrap();
        assert!(login.server(&PASSWORD_REQUEST).unwrap().is_none());
        login
    }

    #[test]
    fn the_password_is_sent_after_the_key_was_received() {
        let mut login = with_password_request();
        assert_eq!(login.client(b"secret\0", false).unwrap().unwrap(), KEY_REQUEST);
        assert!(login.client(b"more", false).is_err());
        for key in
            [&b"\x01"[..], b"\x01-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", &[1; 70_000]]
        {
            let mut login = with_password_request();
            login.client(b"secret\0", false).unwrap();
            assert!(login.server(key).is_err(), "{}", key.escape_ascii());
        }
        // A server without a key sends an error.
        assert!(login.server(b"\xff\x15\x04no").unwrap().is_none());
    }

    #[test]
    fn packets_without_a_password_pass() {
        // A client that requests the key itself.
        assert!(with_password_request().client(&KEY_REQUEST, false).unwrap().is_none());
        // Another method.
        let mut login = CachingSha2::new(b"");
        login.client(b"login\0mysql_native_password\0", true).unwrap();
        assert!(login.server(&PASSWORD_REQUEST).unwrap().is_none());
        assert!(login.client(b"secret\0", false).unwrap().is_none());
        login.server(&[b"\xfe", METHOD, b"tsrqponmlkjihgfedcba\0"].concat()).unwrap();
        login.server(b"\xfedialog\0").unwrap();
        login.server(&PASSWORD_REQUEST).unwrap();
        assert!(login.client(b"secret\0", false).unwrap().is_none());
    }
}
