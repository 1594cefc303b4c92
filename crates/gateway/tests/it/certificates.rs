//! Selection of certificates by name, and their reload and expiry.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use starttls::proto::imap::IMAP;
use starttls::rustls::{AlertDescription, CipherSuite, Error as TlsError};
use starttls::{Acceptor, Connector, Error};
use starttls_gateway::certificates::{CertificateSource, Certificates, UnknownNames};
use starttls_gateway::watch::{WatchEvent, Watched, watch};
use starttls_lab::ca::{KeyKind, Leaf, Usage};
use starttls_testkit::process::program;
use starttls_x509::{Certificate, KeyAlgorithm};
use tempfile::TempDir;
use tokio::sync::mpsc::unbounded_channel;
use tokio::time::timeout;

use crate::client::{DEADLINE, config, meet};
use crate::folder::Folder;

fn certificates(folder: &Folder, name: &str, unknown: UnknownNames) -> Arc<Certificates> {
    let source = CertificateSource::Directory(folder.path().join(name));
    Arc::new(Certificates::load(&[source], None, unknown).unwrap())
}

/// Returns the first name of the certificate that a client receives after it requests `wanted`.
async fn presented(folder: &Folder, certificates: &Arc<Certificates>, wanted: &str) -> Result<String, Error> {
    let acceptor =
        Acceptor::builder(&IMAP, "mail.example.com").cert_resolver(certificates.clone()).build().unwrap();
    let connector = Connector::builder().no_system_roots().roots_pem(folder.authority.root_pem()).insecure();
    let (near, far) = tokio::io::duplex(16 * 1024);
    let connector = connector.build().unwrap();
    let both = async { tokio::join!(connector.upgrade(&IMAP, wanted, near), acceptor.accept(far)) };
    let client = timeout(DEADLINE, both).await.unwrap().0?;
    Ok(Certificate::from_der(&client.facts().chain[0]).unwrap().common_names()[0].to_string())
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
    // An IP address is sent without SNI.
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
    let acceptor = Acceptor::builder(&IMAP, "mail.example.com").cert_resolver(certificates).build().unwrap();
    let rsa_only = CipherSuite::TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256;
    let ecdsa_only = CipherSuite::TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256;
    for (suites, expected) in [(None, false), (Some(rsa_only), true), (Some(ecdsa_only), false)] {
        let met = meet(&acceptor, &config(&folder, suites, None), "mail.example.com").await.unwrap();
        let key = Certificate::from_der(&met.chain[0]).unwrap().public_key().algorithm();
        assert_eq!(key == KeyAlgorithm::Rsa { bits: 2048 }, expected, "{suites:?}");
    }
}

#[tokio::test]
async fn a_response_of_the_authority_is_sent_along_once_it_is_there() {
    let folder = Folder::new();
    let certificates = certificates(&folder, "live", UnknownNames::Default);
    let acceptor =
        Acceptor::builder(&IMAP, "mail.example.com").cert_resolver(certificates.clone()).build().unwrap();
    let connector = Connector::builder().no_system_roots().roots_pem(folder.authority.root_pem());
    let connector = connector.build().unwrap();
    let stapled = async || {
        let (near, far) = tokio::io::duplex(16 * 1024);
        let both =
            async { tokio::join!(connector.upgrade(&IMAP, "a.example.com", near), acceptor.accept(far)) };
        timeout(DEADLINE, both).await.unwrap().0.unwrap().facts().ocsp_response.is_some()
    };
    assert!(!stapled().await);
    let place = folder.path().join("live/a.example.com/fullchain.ocsp");
    let own = folder.path().join("live/a.example.com/fullchain.pem");
    let signer = Signer::new(&folder, Usage::OcspResponder);
    let good = signer.response(&folder, &own, false).await;
    let another = signer.response(&folder, &folder.path().join("mail.pem"), false).await;
    let earlier = signer.in_the_year(&good, b"2020").await;
    let later = signer.in_the_year(&good, b"2099").await;
    let forged = Signer::new(&folder, Usage::Server).response(&folder, &own, false).await;
    let (stranger, changed) = (Folder::new(), [&good[..good.len() - 1], &[!good[good.len() - 1]]].concat());
    let strange = Signer::new(&stranger, Usage::OcspResponder).response(&folder, &own, false).await;
    let beside = format!("the OCSP response beside the certificate {} ", own.display());
    let unused = "is outside its validity period and is not stapled";
    let unsigned = "is not signed by its CA and is not stapled";
    for (response, sent, warning) in [
        (good.clone(), true, None),
        (signer.response(&folder, &own, true).await, true, Some("reports that it is revoked")),
        (another, false, Some("is for another certificate and is not stapled")),
        (earlier, false, Some(unused)),
        (later, false, Some(unused)),
        (forged, false, Some(unsigned)),
        (strange, false, Some(unsigned)),
        (changed, false, Some(unsigned)),
        (b"\x30\x03\x0a\x01\x03".to_vec(), false, Some("contains no status and is not stapled")),
    ] {
        fs::write(&place, response).unwrap();
        certificates.reload().unwrap();
        assert_eq!(stapled().await, sent, "{warning:?}");
        assert_eq!(certificates.summaries().iter().any(|it| it.ocsp), sent, "{warning:?}");
        let expected: Vec<_> = warning.map(|it| format!("{beside}{it}")).into_iter().collect();
        assert_eq!(certificates.warnings(), expected);
    }
    // A truncated response, or a response with trailing data, is invalid.
    let cut = (0..good.len()).step_by(13).map(|len| good[..len].to_vec());
    for broken in cut.chain([[&good[..], &[0]].concat()]) {
        fs::write(&place, &broken).unwrap();
        let error = certificates.reload().unwrap_err().to_string();
        assert!(
            error.contains("is not an OCSP response in DER"),
            "{} of {}: {error}",
            broken.len(),
            good.len()
        );
    }
}

/// A signer of OCSP responses.
struct Signer {
    folder: TempDir,
}

impl Signer {
    /// Creates a signer whose certificate the authority of `of` has issued for this usage.
    fn new(of: &Folder, usage: Usage) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let leaf = Leaf { key: KeyKind::Rsa2048, usage, ..Leaf::named("signer") };
        of.authority.issue(&leaf).unwrap().write_to(folder.path(), "signer").unwrap();
        Self { folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    async fn openssl(&self, args: &[&str]) -> String {
        let mut command = tokio::process::Command::new(program("openssl", "openssl").unwrap());
        let output =
            timeout(DEADLINE, command.args(args).kill_on_drop(true).output()).await.unwrap().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Returns the OCSP response for a certificate.
    async fn response(&self, folder: &Folder, certificate: &Path, revoked: bool) -> Vec<u8> {
        let certificate = certificate.to_str().unwrap();
        let serial = self.openssl(&["x509", "-noout", "-serial", "-in", certificate]).await;
        let serial = serial.trim().strip_prefix("serial=").unwrap();
        let state = if revoked { "R\t990101000000Z\t250101000000Z" } else { "V\t990101000000Z\t" };
        fs::write(self.path("index"), format!("{state}\t{serial}\tunknown\t/CN=x\n")).unwrap();
        fs::write(self.path("issuer.pem"), folder.authority.intermediate_pem()).unwrap();
        let (signer, key) = (self.path("signer.pem"), self.path("signer.key"));
        let (index, issuer, out) = (self.path("index"), self.path("issuer.pem"), self.path("response"));
        let about = ["ocsp", "-index", &index, "-CA", &issuer, "-issuer", &issuer, "-cert", certificate];
        let by = ["-rsigner", &signer, "-rkey", &key, "-ndays", "1", "-noverify", "-respout", &out];
        self.openssl(&[&about[..], &by].concat()).await;
        fs::read(&out).unwrap()
    }

    /// Returns the response with all its times moved to another year and a new signature.
    async fn in_the_year(&self, response: &[u8], year: &[u8]) -> Vec<u8> {
        // A GeneralizedTime of 15 characters; the signature algorithm, which follows the signed part.
        const TIME: &[u8] = b"\x18\x0f20";
        const SIGNATURE: &[u8] =
            b"\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01\x0b\x05\0\x03\x82\x01\x01\0";
        let place =
            |octets: &[u8], part: &[u8]| octets.windows(part.len()).position(|it| it == part).unwrap();
        let end = place(response, SIGNATURE);
        let mut octets = response.to_vec();
        let starts = response[..end].windows(TIME.len()).enumerate().filter(|(_, part)| *part == TIME);
        starts.for_each(|(at, _)| octets[at + 2..at + 6].copy_from_slice(year));
        // BasicOCSPResponse is in an octet string and starts with the signed part.
        let basic = place(response, b"\x2b\x06\x01\x05\x05\x07\x30\x01\x01\x04\x82") + 13;
        fs::write(self.path("data"), &octets[basic + 4..end]).unwrap();
        let (data, key, out) = (self.path("data"), self.path("signer.key"), self.path("signature"));
        self.openssl(&["dgst", "-sha256", "-sign", &key, "-out", &out, &data]).await;
        let signature = end + SIGNATURE.len();
        octets[signature..signature + 256].copy_from_slice(&fs::read(&out).unwrap());
        octets
    }
}

#[tokio::test]
async fn g6_a_reload_is_all_or_nothing() {
    let folder = Folder::new();
    let certificates = certificates(&folder, "live", UnknownNames::Refuse);
    folder.live("live/new", &["new.example.net"]);
    folder.write("live/a.example.com/privkey.pem", "no key");
    let error = certificates.reload().unwrap_err();
    assert!(error.to_string().contains("privkey.pem: the content is neither PEM nor DER"), "{error}");
    assert!(presented(&folder, &certificates, "a.example.com").await.is_ok());
    assert!(presented(&folder, &certificates, "new.example.net").await.is_err());
    folder.live("live/a.example.com", &["a.example.com"]);
    certificates.reload().unwrap();
    assert_eq!(presented(&folder, &certificates, "new.example.net").await.unwrap(), "new.example.net");
}

/// Lets `live/mail` point to `to`, in one step.
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
    // Nothing that changes after the certificates were read is missed, even if the watch begins later.
    link("archive/2");
    let watching = tokio::spawn(watch(vec![certificates.clone()], move |event| drop(tell.send(event))));
    let next = async |told: &mut tokio::sync::mpsc::UnboundedReceiver<WatchEvent>| {
        timeout(DEADLINE, told.recv()).await.unwrap().unwrap()
    };
    assert!(matches!(next(&mut told).await, WatchEvent::Reloaded(_)));
    assert_eq!(certificates.default_name().as_deref(), Some("new.example.com"));
    folder.write("archive/2/fullchain.pem", "half");
    let kept = next(&mut told).await;
    assert!(
        matches!(&kept, WatchEvent::Kept(error) if error.to_string().contains("fullchain.pem")),
        "{kept:?}"
    );
    assert_eq!(certificates.default_name().as_deref(), Some("new.example.com"));
    folder.live("archive/2", &["newer.example.com"]);
    while !matches!(next(&mut told).await, WatchEvent::Reloaded(_)) {}
    assert_eq!(certificates.default_name().as_deref(), Some("newer.example.com"));
    // A response for another certificate causes a warning.
    folder.live("other", &["other.example.com"]);
    let other = Signer::new(&folder, Usage::OcspResponder)
        .response(&folder, &folder.path().join("other/fullchain.pem"), false)
        .await;
    // In one step, so that the watch does not read a part of it.
    fs::write(folder.path().join("response"), other).unwrap();
    fs::rename(folder.path().join("response"), folder.path().join("archive/2/fullchain.ocsp")).unwrap();
    while !matches!(next(&mut told).await, WatchEvent::Reloaded(_)) {}
    let warned = next(&mut told).await;
    assert!(
        matches!(&warned, WatchEvent::Warned(what) if what.contains("is for another certificate")),
        "{warned:?}"
    );
    watching.abort();
}
