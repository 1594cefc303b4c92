//! The mechanisms that are a protocol's own, and those that are too old for a library.

use hmac::{Hmac, Mac};
use md5::{Digest, Md5};
use sha1::Sha1;
use sha2::Sha256;
use starttls_proto::OfferedMechanism;

use super::account::Secret;
use super::mechanism::{Exchange, Terms};

/// An initial response, if any, and the same answer to every challenge, if it may have any.
struct Fixed {
    initial: Option<Vec<u8>>,
    response: Option<Vec<u8>>,
}

impl Exchange for Fixed {
    fn begin(&mut self) -> Result<Option<Vec<u8>>, String> {
        Ok(self.initial.take())
    }

    fn respond(&mut self, _: &[u8]) -> Result<Vec<u8>, String> {
        // Once: a server that asks again did not like it.
        self.response.take().ok_or_else(|| String::from("the server asks for more than there is to say"))
    }
}

type Begun = Result<Box<dyn Exchange>, String>;

fn fixed(initial: Option<Vec<u8>>, response: Option<Vec<u8>>) -> Begun {
    Ok(Box::new(Fixed { initial, response }))
}

fn secret<'a>(terms: &Terms<'a>) -> &'a str {
    match &terms.account.secret {
        Secret::Password(secret) | Secret::Token(secret) => secret,
        Secret::Certificate => "",
    }
}

fn challenge(offer: &OfferedMechanism) -> Result<&[u8], String> {
    offer.challenge.as_deref().ok_or_else(|| String::from("the server sent nothing to answer"))
}

/// Name and password in commands of the protocol's own.
pub(super) fn name_and_password(terms: &Terms<'_>, _: &OfferedMechanism) -> Begun {
    let (user, password) = (&terms.account.user, secret(terms));
    if [user, password].iter().any(|it| it.contains(['\r', '\n', '\0'])) {
        return Err(String::from("a line's end in the name or the password would end the command"));
    }
    // RFC 4513 section 5.1.2: with a name and no password nobody is logged in, and the answer is yes.
    if password.is_empty() {
        return Err(String::from("the password is empty"));
    }
    fixed(Some(["", user, password].join("\0").into_bytes()), Some(password.as_bytes().to_vec()))
}

pub(super) fn password(terms: &Terms<'_>, _: &OfferedMechanism) -> Begun {
    if [&*terms.account.user, secret(terms)].iter().any(|it| it.contains(['\r', '\n', '\0'])) {
        return Err(String::from("a line's end in the name or the password would end the command"));
    }
    fixed(Some(secret(terms).as_bytes().to_vec()), None)
}

pub(super) fn terminated_password(terms: &Terms<'_>, _: &OfferedMechanism) -> Begun {
    fixed(Some([secret(terms).as_bytes(), b"\0"].concat()), None)
}

/// PostgreSQL's MD5, for which it sends a salt.
pub(super) fn md5(terms: &Terms<'_>, offer: &OfferedMechanism) -> Begun {
    let inner = hex(&Md5::digest([secret(terms), &terms.account.user].concat()));
    let outer = hex(&Md5::digest([inner.as_bytes(), challenge(offer)?].concat()));
    fixed(Some(format!("md5{outer}").into_bytes()), None)
}

/// RFC 1939 section 7.
pub(super) fn apop(terms: &Terms<'_>, offer: &OfferedMechanism) -> Begun {
    let digest = hex(&Md5::digest([challenge(offer)?, secret(terms).as_bytes()].concat()));
    fixed(Some(format!("{} {digest}", terms.account.user).into_bytes()), None)
}

/// RFC 2195.
struct CramMd5 {
    user: String,
    password: String,
}

pub(super) fn cram_md5(terms: &Terms<'_>, _: &OfferedMechanism) -> Begun {
    Ok(Box::new(CramMd5 { user: terms.account.user.clone(), password: secret(terms).to_owned() }))
}

impl Exchange for CramMd5 {
    fn begin(&mut self) -> Result<Option<Vec<u8>>, String> {
        Ok(None)
    }

    fn respond(&mut self, challenge: &[u8]) -> Result<Vec<u8>, String> {
        let mac = Hmac::<Md5>::new_from_slice(self.password.as_bytes()).map_err(|error| error.to_string())?;
        let digest = hex(&mac.chain_update(challenge).finalize().into_bytes());
        Ok(format!("{} {digest}", self.user).into_bytes())
    }
}

/// `SHA1(password) XOR SHA1(scramble, SHA1(SHA1(password)))`.
pub(super) fn mysql_native(terms: &Terms<'_>, offer: &OfferedMechanism) -> Begun {
    let scramble = challenge(offer)?;
    let once = Sha1::digest(secret(terms));
    let mask = Sha1::digest([scramble, &Sha1::digest(once)].concat());
    fixed(Some(xor(&once, &mask)), None)
}

/// `SHA256(password) XOR SHA256(SHA256(SHA256(password)), scramble)`; and the password itself, inside TLS, for
/// a server that has to see it.
pub(super) fn caching_sha2(terms: &Terms<'_>, offer: &OfferedMechanism) -> Begun {
    let scramble = challenge(offer)?;
    let once = Sha256::digest(secret(terms));
    let mask = Sha256::digest([&Sha256::digest(once), scramble].concat());
    fixed(Some(xor(&once, &mask)), Some([secret(terms).as_bytes(), b"\0"].concat()))
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

    /// What an account says first by this mechanism, to this challenge.
    fn said(begin: fn(&Terms<'_>, &OfferedMechanism) -> Begun, account: &Account, told: &[u8]) -> Vec<u8> {
        let offer = OfferedMechanism { name: String::new(), challenge: Some(told.to_vec()) };
        let (offered, bindings) = ([offer.clone()], ChannelBindings::default());
        let binding = ChannelBinding::Exporter;
        let terms = Terms { account, offered: &offered, bindings: &bindings, binding, refused: &[] };
        let mut exchange = begin(&terms, &offer).unwrap();
        exchange.begin().unwrap().unwrap_or_else(|| exchange.respond(told).unwrap())
    }

    #[test]
    fn the_examples_of_the_rfcs() {
        // RFC 2195 section 2.
        let tim = Account::password("tim", "tanstaaftanstaaf");
        let told = b"<1896.697170952@postoffice.reston.mci.net>";
        assert_eq!(
            base64::encode(&said(cram_md5, &tim, told)),
            "dGltIGI5MTNhNjAyYzdlZGE3YTQ5NWI0ZTZlNzMzNGQzODkw"
        );
        // RFC 1939 section 7.
        let mrose = Account::password("mrose", "tanstaaf");
        let told = b"<1896.697170952@dbc.mtview.ca.us>";
        assert_eq!(said(apop, &mrose, told), b"mrose c4c9334bac560ecc979e58001b3e22fb");
    }

    #[test]
    fn what_databases_want() {
        let account = Account::password("test", "secret");
        assert_eq!(said(md5, &account, &[1, 2, 3, 4]), b"md5594f15006e55e17dff918116ee00778f");
        let scramble = b"0123456789abcdefghij";
        let native = "f5cac3f3b3df2133feb57db682c71e6ed433a988";
        assert_eq!(hex(&said(mysql_native, &account, scramble)), native);
        let caching = "7e4adda2f2d5ef09b4147518becb0cee2939376203650a8c2bb2815959364bd0";
        assert_eq!(hex(&said(caching_sha2, &account, scramble)), caching);
    }

    #[test]
    fn a_name_cannot_end_its_command() {
        let offered = [OfferedMechanism { name: String::from("USER"), challenge: None }];
        let (bindings, binding) = (ChannelBindings::default(), ChannelBinding::Exporter);
        for (user, password) in [("a\r\nb", "c"), ("a", "b\nc"), ("a\0", "b"), ("a", "")] {
            let account = &Account::password(user, password);
            let terms = Terms { account, offered: &offered, bindings: &bindings, binding, refused: &[] };
            assert!(name_and_password(&terms, &offered[0]).is_err(), "{user:?} {password:?}");
        }
    }
}
