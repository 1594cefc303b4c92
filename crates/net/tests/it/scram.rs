//! SCRAM (RFC 5802, RFC 7677) and its channel binding, against a server that this file implements from the RFC.

use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use starttls::Encrypted;
use starttls::login::{Account, LoggedIn, LoginError, MechanismClient};
use starttls::proto::{ChannelBinding, base64, smtp::SMTP};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream};
use tokio::time::timeout;

use crate::authority::DEADLINE;
use crate::login::inside;

fn hmac(key: &[u8], text: &[u8]) -> Vec<u8> {
    Hmac::<Sha256>::new_from_slice(key).unwrap().chain_update(text).finalize().into_bytes().to_vec()
}

fn xor(one: &[u8], other: &[u8]) -> Vec<u8> {
    one.iter().zip(other).map(|(one, other)| one ^ other).collect()
}

/// Hi() of RFC 5802 section 2.2.
fn salted(password: &str, salt: &[u8], rounds: u32) -> Vec<u8> {
    let mut last = hmac(password.as_bytes(), &[salt, &[0, 0, 0, 1]].concat());
    let mut sum = last.clone();
    for _ in 1..rounds {
        last = hmac(password.as_bytes(), &last);
        sum = xor(&sum, &last);
    }
    sum
}

/// How the server behaves.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Server {
    Sound,
    /// The server grants the login without a proof.
    Unproven,
    /// The server proves another password.
    WrongProof,
    /// The server requires a year of hashing.
    Slow,
    /// The server's nonce does not begin with the client's.
    WrongNonce,
}

async fn line(server: &mut Encrypted<DuplexStream>) -> String {
    let mut heard = Vec::new();
    while !heard.ends_with(b"\r\n") {
        heard.push(server.read_u8().await.unwrap_or(b'\n'));
        assert!(heard.len() < 10_000);
        if heard.ends_with(b"\n\n\n") {
            return String::new();
        }
    }
    String::from_utf8(heard).unwrap().trim_end().to_owned()
}

fn decoded(text: &str) -> String {
    String::from_utf8(base64::decode(text.as_bytes()).unwrap()).unwrap()
}

/// Serves one login. Returns the channel binding flag of the client, if it sent one.
async fn serve(mut server: Encrypted<DuplexStream>, offer: &str, how: Server) -> Option<String> {
    let bound = server.channel_bindings().data(ChannelBinding::Exporter).unwrap().to_vec();
    line(&mut server).await;
    server.write_all(format!("250-hi\r\n250 AUTH {offer}\r\n").as_bytes()).await.unwrap();
    let begin = line(&mut server).await;
    let first = decoded(begin.rsplit(' ').next().unwrap());
    let (flag, bare) = first.split_once(",,").unwrap();
    let nonce = bare.split_once(",r=").unwrap().1;
    let nonce = if how == Server::WrongNonce { "mine" } else { nonce };
    let (salt, rounds) = (b"salt and pepper", if how == Server::Slow { 4_000_000_000 } else { 4096 });
    let told = format!("r={nonce}SERVER,s={},i={rounds}", base64::encode(salt));
    server.write_all(format!("334 {}\r\n", base64::encode(told.as_bytes())).as_bytes()).await.unwrap();
    let last = line(&mut server).await;
    if last.is_empty() {
        return None;
    }
    let last = decoded(&last);
    let (without_proof, proof) = last.rsplit_once(",p=").unwrap();
    let data = if flag.starts_with("p=") { &bound[..] } else { b"" };
    let binding = base64::encode(&[format!("{flag},,").as_bytes(), data].concat());
    assert_eq!(without_proof, format!("c={binding},r={nonce}SERVER"));
    let salted = salted("pencil", salt, rounds);
    let text = [bare, &told, without_proof].join(",");
    let client_key = hmac(&salted, b"Client Key");
    let signature = hmac(&Sha256::digest(&client_key), text.as_bytes());
    assert_eq!(base64::decode(proof.as_bytes()).unwrap(), xor(&client_key, &signature));
    let key = if how == Server::WrongProof { salted } else { hmac(&salted, b"Server Key") };
    let proof = format!("v={}", base64::encode(&hmac(&key, text.as_bytes())));
    if how != Server::Unproven {
        server.write_all(format!("334 {}\r\n", base64::encode(proof.as_bytes())).as_bytes()).await.unwrap();
        if line(&mut server).await.is_empty() && how == Server::WrongProof {
            return Some(flag.to_owned());
        }
    }
    server.write_all(b"235 in\r\n").await.unwrap();
    Some(flag.to_owned())
}

async fn log_in(
    offer: &str,
    account: Account,
    how: Server,
) -> (Result<LoggedIn, LoginError>, Option<String>) {
    let (mut client, server) = inside(&SMTP).await;
    let login = async {
        let done = account.log_in(&SMTP, &mut client).await;
        drop(client);
        done
    };
    timeout(DEADLINE, async { tokio::join!(login, serve(server, offer, how)) }).await.unwrap()
}

fn pencil() -> Account {
    Account::password("user", "pencil")
}

#[tokio::test]
async fn an_offered_channel_binding_is_used() {
    let (done, flag) = log_in("PLAIN SCRAM-SHA-256 SCRAM-SHA-256-PLUS", pencil(), Server::Sound).await;
    let done = done.unwrap();
    assert_eq!((done.mechanism, done.binding), ("SCRAM-SHA-256-PLUS", Some(ChannelBinding::Exporter)));
    assert_eq!(flag.as_deref(), Some("p=tls-exporter"));
    // Without the offer the client declares its support, so that the server detects a removed offer.
    let (done, flag) = log_in("PLAIN SCRAM-SHA-256", pencil(), Server::Sound).await;
    assert_eq!((done.unwrap().binding, flag.as_deref()), (None, Some("y")));
    // A client that is configured not to use an offered binding declares that it has none.
    let named = pencil().mechanism("SCRAM-SHA-256");
    let (done, flag) = log_in("SCRAM-SHA-256 SCRAM-SHA-256-PLUS", named, Server::Sound).await;
    assert_eq!((done.unwrap().mechanism, flag.as_deref()), ("SCRAM-SHA-256", Some("n")));
}

#[tokio::test]
async fn a_server_must_prove_that_it_knows_the_password() {
    let (done, _) = log_in("SCRAM-SHA-256", pencil(), Server::Unproven).await;
    assert!(matches!(done, Err(LoginError::Unproven { .. })), "{done:?}");
    let (done, _) = log_in("SCRAM-SHA-256", pencil(), Server::WrongProof).await;
    assert!(matches!(done, Err(LoginError::Mechanism { .. })), "{done:?}");
}

#[tokio::test]
async fn a_server_cannot_keep_the_client_busy() {
    let (done, _) = log_in("SCRAM-SHA-256", pencil(), Server::Slow).await;
    let error = done.unwrap_err().to_string();
    assert!(error.contains("more than 1000000 rounds"), "{error}");
    let (done, _) = log_in("SCRAM-SHA-256", pencil(), Server::WrongNonce).await;
    assert!(matches!(done, Err(LoginError::Mechanism { .. })), "{done:?}");
}

/// Almost valid challenges, from a linear congruential generator.
#[test]
fn noise_never_panics() {
    let mut state = 7_u64;
    let mut next = move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize
    };
    for round in 0..2000 {
        for mechanism in ["SCRAM-SHA-256", "SCRAM-SHA-1", "OAUTHBEARER", "LOGIN", "CRAM-MD5"] {
            let token = mechanism == "OAUTHBEARER";
            let account = if token { Account::token("user", "token") } else { pencil() };
            let mut tokens = MechanismClient::new(&account.mechanism(mechanism), None).unwrap();
            let first = tokens.begin().unwrap().unwrap_or_default();
            let nonce = first.rsplit(|&byte| byte == b'=').next().unwrap();
            let mut told = [b"r=".as_slice(), nonce, b"x,s=c2FsdA==,i=1,m=x"].concat();
            for _ in 0..next() % 3 {
                let at = next() % told.len();
                told[at] = [b'=', b',', b'r', b'i', 0, 0xff, b'9', b'-'][next() % 8];
            }
            told.truncate(told.len() - next() % 12);
            // The call returns for every challenge.
            let _ = tokens.respond(&told);
            let _ = tokens.respond(if round % 2 == 0 { b"v=AA==" } else { b"e=no" });
        }
    }
}
