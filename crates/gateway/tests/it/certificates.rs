//! Certificates by name, and their life.

use std::fs;
use std::sync::Arc;
use std::time::Duration;

use starttls::proto::imap::IMAP;
use starttls::rustls::{AlertDescription, CipherSuite, Error as TlsError};
use starttls::{Acceptor, Connector, Error};
use starttls_gateway::certificates::{Certificates, Source, UnknownNames};
use starttls_gateway::watch::{Event, Watched, watch};
use starttls_lab::ca::KeyKind;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::timeout;

use crate::client::{DEADLINE, config, meet};
use crate::folder::Folder;

fn certificates(folder: &Folder, name: &str, unknown: UnknownNames) -> Arc<Certificates> {
    let source = Source::Directory(folder.path().join(name));
    Arc::new(Certificates::load(&[source], None, unknown).unwrap())
}

/// The first name of the certificate that a client gets who wants this one.
async fn presented(folder: &Folder, certificates: &Arc<Certificates>, wanted: &str) -> Result<String, Error> {
    let acceptor =
        Acceptor::builder(&IMAP, "mail.example.com").resolver(certificates.clone()).build().unwrap();
    let connector = Connector::builder().no_system_roots().roots_pem(folder.authority.root_pem()).insecure();
    let (near, far) = tokio::io::duplex(16 * 1024);
    let connector = connector.build().unwrap();
    let both = async { tokio::join!(connector.upgrade(&IMAP, wanted, near), acceptor.accept(far)) };
    let client = timeout(DEADLINE, both).await.unwrap().0?;
    let (_, own) = x509_parser::parse_x509_certificate(&client.facts().chain[0]).unwrap();
    Ok(own.subject().iter_common_name().next().unwrap().as_str().unwrap().to_owned())
}

#[tokio::test]
async fn s6_the_name_chooses_and_is_looked_up_only() {
    let folder = Folder::new();
    folder
        .issue(&["mail.example.net"], KeyKind::EcdsaP256)
        .write_to(&folder.path().join("live"), "z")
        .unwrap();
    let lenient = certificates(&folder, "live", UnknownNames::Default);
    let strict = certificates(&folder, "live", UnknownNames::Refuse);
    for (wanted, found) in [
        ("a.example.com", Some("a.example.com")),
        ("WWW.example.com", Some("a.example.com")),
        ("b.example.com", Some("*.example.com")),
        ("mail.example.net", Some("mail.example.net")),
        ("x.b.example.com", None),
        ("example.org", None),
    ] {
        let default = found.unwrap_or("a.example.com");
        assert_eq!(presented(&folder, &lenient, wanted).await.unwrap(), default, "{wanted}");
        match presented(&folder, &strict, wanted).await {
            Ok(name) => assert_eq!(Some(name.as_str()), found, "{wanted}"),
            Err(Error::Tls(TlsError::AlertReceived(alert))) => {
                assert_eq!((alert, found), (AlertDescription::UnrecognisedName, None), "{wanted}");
            }
            Err(error) => panic!("{wanted}: {error:?}"),
        }
    }
    // An address goes without SNI, and wants no name in particular.
    assert_eq!(presented(&folder, &strict, "127.0.0.1").await.unwrap(), "a.example.com");
}

#[tokio::test]
async fn rsa_and_ecdsa_stand_side_by_side() {
    let folder = Folder::empty();
    for (file, key) in [("a-rsa", KeyKind::Rsa2048), ("b-ecdsa", KeyKind::EcdsaP256)] {
        folder.issue(&["mail.example.com"], key).write_to(folder.path(), file).unwrap();
    }
    let certificates = certificates(&folder, ".", UnknownNames::Default);
    let kinds: Vec<_> = certificates.summaries().iter().map(|it| it.key).collect();
    assert_eq!(kinds, ["RSA", "ECDSA"]);
    let acceptor = Acceptor::builder(&IMAP, "mail.example.com").resolver(certificates).build().unwrap();
    let rsa_only = CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256;
    let ecdsa_only = CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
    let rsa = "1.2.840.113549.1.1.1";
    for (suites, expected) in [(None, false), (Some(rsa_only), true), (Some(ecdsa_only), false)] {
        let met = meet(&acceptor, &config(&folder, suites, None), "mail.example.com").await.unwrap();
        let (_, own) = x509_parser::parse_x509_certificate(&met.chain[0]).unwrap();
        assert_eq!(own.public_key().algorithm.algorithm.to_id_string() == rsa, expected, "{suites:?}");
    }
}

#[tokio::test]
async fn a_response_of_the_authority_is_sent_along_once_it_is_there() {
    let folder = Folder::new();
    let certificates = certificates(&folder, "live", UnknownNames::Default);
    let acceptor =
        Acceptor::builder(&IMAP, "mail.example.com").resolver(certificates.clone()).build().unwrap();
    let connector = Connector::builder().no_system_roots().roots_pem(folder.authority.root_pem());
    let connector = connector.build().unwrap();
    let stapled = async || {
        let (near, far) = tokio::io::duplex(16 * 1024);
        let both =
            async { tokio::join!(connector.upgrade(&IMAP, "a.example.com", near), acceptor.accept(far)) };
        timeout(DEADLINE, both).await.unwrap().0.unwrap().facts().ocsp_stapled
    };
    assert!(!stapled().await);
    // The form is looked at, and no more: what is in it is between the authority and the client.
    folder.write("live/a.example.com/fullchain.ocsp", "\x30\x03\x0a\x01\x00");
    certificates.reload().unwrap();
    assert!(stapled().await);
    assert_eq!(certificates.summaries().iter().filter(|it| it.ocsp).count(), 1);
}

#[tokio::test]
async fn g6_a_reload_is_all_or_nothing() {
    let folder = Folder::new();
    let certificates = certificates(&folder, "live", UnknownNames::Refuse);
    folder.live("live/new", &["new.example.net"]);
    folder.write("live/a.example.com/privkey.pem", "no key");
    let error = certificates.reload().unwrap_err();
    assert!(error.to_string().contains("no private key"), "{error}");
    assert!(presented(&folder, &certificates, "a.example.com").await.is_ok());
    assert!(presented(&folder, &certificates, "new.example.net").await.is_err());
    folder.live("live/a.example.com", &["a.example.com"]);
    certificates.reload().unwrap();
    assert_eq!(presented(&folder, &certificates, "new.example.net").await.unwrap(), "new.example.net");
}

/// Lets `live/mail` lead there, in one step.
fn link(folder: &Folder, to: &str) {
    fs::create_dir_all(folder.path().join("live")).unwrap();
    std::os::unix::fs::symlink(folder.path().join(to), folder.path().join("next")).unwrap();
    fs::rename(folder.path().join("next"), folder.path().join("live/mail")).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn no_handshake_fails_while_certificates_are_swapped() {
    let folder = Arc::new(Folder::empty());
    folder.live("archive/0", &["even.example.com", "mail.example.com"]);
    folder.live("archive/1", &["odd.example.com", "mail.example.com"]);
    link(&folder, "archive/0");
    let certificates = certificates(&folder, "live", UnknownNames::Refuse);
    let (swapping, swapped) = (folder.clone(), certificates.clone());
    let swaps = tokio::task::spawn_blocking(move || {
        for number in 1..=100 {
            link(&swapping, &format!("archive/{}", number % 2));
            swapped.reload().unwrap();
            std::thread::sleep(Duration::from_millis(10));
        }
    });
    let mut seen = std::collections::BTreeSet::new();
    while !swaps.is_finished() || seen.is_empty() {
        seen.insert(presented(&folder, &certificates, "mail.example.com").await.unwrap());
    }
    timeout(DEADLINE, swaps).await.unwrap().unwrap();
    assert!(
        seen.iter().all(|name| ["even.example.com", "odd.example.com"].contains(&name.as_str())),
        "{seen:?}"
    );
}

#[tokio::test]
async fn renewals_are_noticed_also_behind_symbolic_links() {
    let folder = Folder::empty();
    folder.live("archive/1", &["old.example.com"]);
    folder.live("archive/2", &["new.example.com"]);
    let link = |to: &str| link(&folder, to);
    link("archive/1");
    let certificates = certificates(&folder, "live", UnknownNames::Default);
    let (tell, mut told) = unbounded_channel();
    let watching = tokio::spawn(watch(vec![certificates.clone()], move |event| drop(tell.send(event))));
    let next = async |told: &mut tokio::sync::mpsc::UnboundedReceiver<Event>| {
        timeout(DEADLINE, told.recv()).await.unwrap().unwrap()
    };
    tokio::time::sleep(Duration::from_millis(500)).await;
    link("archive/2");
    assert!(matches!(next(&mut told).await, Event::Reloaded(_)));
    assert_eq!(certificates.default_name().as_deref(), Some("new.example.com"));
    folder.write("archive/2/fullchain.pem", "half");
    let kept = next(&mut told).await;
    assert!(matches!(&kept, Event::Kept(error) if error.to_string().contains("fullchain.pem")), "{kept:?}");
    assert_eq!(certificates.default_name().as_deref(), Some("new.example.com"));
    folder.live("archive/2", &["newer.example.com"]);
    while !matches!(next(&mut told).await, Event::Reloaded(_)) {}
    assert_eq!(certificates.default_name().as_deref(), Some("newer.example.com"));
    watching.abort();
}
