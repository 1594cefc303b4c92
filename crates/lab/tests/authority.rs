//! OpenSSL verifies the certificates that the authority issues.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::process::Command;
use std::time::{Duration, SystemTime};

use starttls_lab::ca::{Authority, KeyKind, Leaf, Usage};

const NAME: &str = "mail.example.test";

#[test]
fn leaves_verify_for_their_names_and_use() {
    for key in [KeyKind::EcdsaP256, KeyKind::Rsa2048] {
        let ips = vec!["127.0.0.1".parse().unwrap(), "::1".parse().unwrap()];
        let leaf = Leaf { key, ips, ..Leaf::named(NAME) };
        let server = ["-purpose", "sslserver"];
        assert!(verify(&leaf, &[&server[..], &["-verify_hostname", NAME]].concat()));
        assert!(verify(&leaf, &[&server[..], &["-verify_ip", "::1"]].concat()));
        assert!(!verify(&leaf, &[&server[..], &["-verify_hostname", "other.example.test"]].concat()));
        assert!(!verify(&leaf, &["-purpose", "sslclient"]));
    }
    let client = Leaf { usage: Usage::Client, ..Leaf::named("client") };
    assert!(verify(&client, &["-purpose", "sslclient"]));
    assert!(!verify(&client, &["-purpose", "sslserver"]));
}

#[test]
fn leaves_are_valid_only_in_their_window() {
    let hour = Duration::from_secs(3600);
    let now = SystemTime::now();
    assert!(verify(&Leaf::named(NAME), &[]));
    let expired = Leaf { not_before: now - 2 * hour, not_after: now - hour, ..Leaf::named(NAME) };
    assert!(!verify(&expired, &[]));
    let early = Leaf { not_before: now + hour, not_after: now + 2 * hour, ..Leaf::named(NAME) };
    assert!(!verify(&early, &[]));
}

#[test]
fn another_authority_is_not_trusted() {
    let folder = tempfile::tempdir().unwrap();
    let issued = Authority::new().unwrap().issue(&Leaf::named(NAME)).unwrap();
    let (chain, _) = issued.write_to(folder.path(), "leaf").unwrap();
    let root = Authority::new().unwrap().write_to(folder.path()).unwrap();
    let output = Command::new("openssl")
        .args(["verify", "-no-CApath", "-no-CAstore", "-CAfile"])
        .arg(root)
        .arg("-untrusted")
        .arg(&chain)
        .arg(&chain)
        .output()
        .unwrap();
    assert!(!output.status.success());
}

fn verify(leaf: &Leaf, more: &[&str]) -> bool {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new().unwrap();
    let root = authority.write_to(folder.path()).unwrap();
    let (chain, _) = authority.issue(leaf).unwrap().write_to(folder.path(), "leaf").unwrap();
    let output = Command::new("openssl")
        .args(["verify", "-x509_strict", "-no-CApath", "-no-CAstore", "-CAfile"])
        .arg(root)
        .arg("-untrusted")
        .arg(&chain)
        .args(more)
        .arg(&chain)
        .output()
        .unwrap();
    output.status.success()
}
