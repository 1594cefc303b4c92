//! Mechanisms of single protocols, and old ones that the SASL library does not have.

use hmac::{Hmac, Mac};
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;
use starttls_proto::OfferedMechanism;

use super::account::Secret;
use super::error::MechanismFault;
use super::exchange::{Exchange, Terms};

/// A mechanism with fixed messages: an initial response and the response to one challenge, each optional.
struct Fixed {
    initial: Option<Vec<u8>>,
    response: Option<Vec<u8>>,
}

impl Exchange for Fixed {
    fn begin(&mut self) -> Result<Option<Vec<u8>>, MechanismFault> {
        Ok(self.initial.take())
    }

    fn respond(&mut self, _: &[u8]) -> Result<Vec<u8>, MechanismFault> {
        self.response.take().ok_or(MechanismFault::UnexpectedChallenge)
    }
}

type Begun = Result<Box<dyn Exchange>, MechanismFault>;

fn fixed(initial: Option<Vec<u8>>, response: Option<Vec<u8>>) -> Begun {
    Ok(Box::new(Fixed { initial, response }))
}

fn secret<'a>(terms: &Terms<'a>) -> &'a str {
    match &terms.account.secret {
        Secret::Password(secret) | Secret::Token(secret) => secret,
        Secret::Certificate => "",
    }
}

fn challenge(offer: &OfferedMechanism) -> Result<&[u8], MechanismFault> {
    offer.challenge.as_deref().ok_or(MechanismFault::NoChallenge)
}

/// User name and password in the commands of a protocol.
pub(super) fn name_and_password(terms: &Terms<'_>, _: &OfferedMechanism) -> Begun {
    let (user, password) = (&terms.account.user, secret(terms));
    if [user, password].iter().any(|it| it.contains(['\r', '\n', '\0'])) {
        return Err(MechanismFault::LineEnd);
    }
    // RFC 4513 section 5.1.2: a server may answer a simple bind without a password with success, without an authentication.
    if password.is_empty() {
        return Err(MechanismFault::EmptyPassword);
    }
    fixed(Some(["", user, password].join("\0").into_bytes()), Some(password.as_bytes().to_vec()))
}

pub(super) fn password(terms: &Terms<'_>, _: &OfferedMechanism) -> Begun {
    if [&*terms.account.user, secret(terms)].iter().any(|it| it.contains(['\r', '\n', '\0'])) {
        return Err(MechanismFault::LineEnd);
    }
    fixed(Some(secret(terms).as_bytes().to_vec()), None)
}

pub(super) fn terminated_password(terms: &Terms<'_>, _: &OfferedMechanism) -> Begun {
    fixed(Some([secret(terms).as_bytes(), b"\0"].concat()), None)
}

/// The MD5 mechanism of PostgreSQL, whose challenge is a salt.
pub(super) fn md5(terms: &Terms<'_>, offer: &OfferedMechanism) -> Begun {
    let inner = hex(&Md5::digest([secret(terms), &terms.account.user].concat()));
    let outer = hex(&Md5::digest([inner.as_bytes(), challenge(offer)?].concat()));
    fixed(Some(format!("md5{outer}").into_bytes()), None)
}

/// APOP (RFC 1939 section 7).
pub(super) fn apop(terms: &Terms<'_>, offer: &OfferedMechanism) -> Begun {
    let digest = hex(&Md5::digest([challenge(offer)?, secret(terms).as_bytes()].concat()));
    fixed(Some(format!("{} {digest}", terms.account.user).into_bytes()), None)
}

/// CRAM-MD5 (RFC 2195).
struct CramMd5 {
    user: String,
    password: String,
}

pub(super) fn cram_md5(terms: &Terms<'_>, _: &OfferedMechanism) -> Begun {
    Ok(Box::new(CramMd5 { user: terms.account.user.clone(), password: secret(terms).to_owned() }))
}

impl Exchange for CramMd5 {
    fn begin(&mut self) -> Result<Option<Vec<u8>>, MechanismFault> {
        Ok(None)
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Vec<u8>, MechanismFault> {
        let mac = Hmac::<Md5>::new_from_slice(self.password.as_bytes())
            .map_err(|error| MechanismFault::Library(error.to_string()))?;
        let digest = hex(&mac.chain_update(challenge).finalize().into_bytes());
        Ok(format!("{} {digest}", self.user).into_bytes())
    }
}

/// The response of `mysql_native_password`: `SHA1(password) XOR SHA1(scramble, SHA1(SHA1(password)))`.
pub(super) fn mysql_native(terms: &Terms<'_>, offer: &OfferedMechanism) -> Begun {
    let scramble = challenge(offer)?;
    let once = Sha1::digest(secret(terms));
    let mask = Sha1::digest([scramble, &Sha1::digest(once)].concat());
    fixed(Some(xor(&once, &mask)), None)
}

/// The response of `caching_sha2_password`. A server that has no cached hash then requests the password itself, inside TLS.
pub(super) fn caching_sha2(terms: &Terms<'_>, offer: &OfferedMechanism) -> Begun {
    let initial = sha256_scrambled(secret(terms), challenge(offer)?);
    fixed(Some(initial), Some([secret(terms).as_bytes(), b"\0"].concat()))
}

/// SHA256_MEMORY of the X Protocol: the hash of `caching_sha2_password`, with the name of the user.
struct Sha256Memory {
    user: String,
    password: String,
}

pub(super) fn sha256_memory(terms: &Terms<'_>, _: &OfferedMechanism) -> Begun {
    if terms.account.user.contains('\0') {
        return Err(MechanismFault::LineEnd);
    }
    Ok(Box::new(Sha256Memory { user: terms.account.user.clone(), password: secret(terms).to_owned() }))
}

impl Exchange for Sha256Memory {
    fn begin(&mut self) -> Result<Option<Vec<u8>>, MechanismFault> {
        Ok(None)
    }

    fn respond(&mut self, nonce: &[u8]) -> Result<Vec<u8>, MechanismFault> {
        Ok(format!("\0{}\0{}", self.user, hex(&sha256_scrambled(&self.password, nonce))).into_bytes())
    }
}

/// Returns `SHA256(password) XOR SHA256(SHA256(SHA256(password)), scramble)`.
fn sha256_scrambled(password: &str, scramble: &[u8]) -> Vec<u8> {
    let once = Sha256::digest(password);
    xor(&once, &Sha256::digest([&Sha256::digest(once), scramble].concat()))
}

fn xor(one: &[u8], other: &[u8]) -> Vec<u8> {
    one.iter().zip(other).map(|(one, other)| one ^ other).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use starttls_proto::{ChannelBinding, base64};

    use super::*;
    use crate::login::{Account, ChannelBindings};

    /// Returns the first response of an account to this challenge.
    fn response(
        begin: fn(&Terms<'_>, &OfferedMechanism) -> Begun,
        account: &Account,
        challenge: &[u8],
    ) -> Vec<u8> {
        let offer = OfferedMechanism { name: String::new(), challenge: Some(challenge.to_vec()) };
        let (offered, bindings) = ([offer.clone()], ChannelBindings::default());
        let binding = ChannelBinding::Exporter;
        let terms = Terms { account, offered: &offered, bindings: &bindings, binding, refused: &[] };
        let mut exchange = begin(&terms, &offer).unwrap();
        exchange.begin().unwrap().unwrap_or_else(|| exchange.respond(challenge).unwrap())
    }

    #[test]
    fn responses_match_the_examples_of_the_rfcs() {
        // RFC 2195 section 2.
        let tim = Account::password("tim", "tanstaaftanstaaf");
        let challenge = b"<1896.697170952@postoffice.reston.mci.net>";
        assert_eq!(
            base64::encode(&response(cram_md5, &tim, challenge)),
            "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw"
        );
        // RFC 1939 section 7.
        let mrose = Account::password("mrose", "tanstaaf");
        let challenge = b"<1896.697170952@dbc.mtview.ca.us>";
        assert_eq!(response(apop, &mrose, challenge), b"mrose c4c9334bac560ecc979e58001b3e22fb");
    }

    #[test]
    fn responses_to_databases_match_their_servers() {
        let account = Account::password("test", "secret");
        assert_eq!(response(md5, &account, &[1, 2, 3, 4]), b"md5594f15006e55e17dff918116ee00778f");
        let scramble = b"0123456789abcdefghij";
        let native = "f5cac3f3b3df2133feb57db682c71e6ed433a988";
        assert_eq!(hex(&response(mysql_native, &account, scramble)), native);
        let caching = "7e4adda2f2d5ef09b4147518becb0cee2939376203650a8c2bb2815959364bd0";
        assert_eq!(hex(&response(caching_sha2, &account, scramble)), caching);
        let memory = format!("\0test\0{caching}");
        assert_eq!(response(sha256_memory, &account, scramble), memory.as_bytes());
    }

    #[test]
    fn a_line_end_in_a_name_or_password_is_refused() {
        let offered = [OfferedMechanism { name: String::from("USER"), challenge: None }];
        let (bindings, binding) = (ChannelBindings::default(), ChannelBinding::Exporter);
        for (user, password) in [("a\r\nb", "c"), ("a", "b\nc"), ("a\0", "b"), ("a", "")] {
            let account = &Account::password(user, password);
            let terms = Terms { account, offered: &offered, bindings: &bindings, binding, refused: &[] };
            assert!(name_and_password(&terms, &offered[0]).is_err(), "{user:?} {password:?}");
        }
    }
}
