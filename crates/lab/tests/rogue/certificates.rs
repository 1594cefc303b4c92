//! Weaknesses of the certificate and of TLS itself.

use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use starttls::proto::{Protocol, each_protocol};
use starttls::{CertificateVerdict, Connector, ConnectorBuilder, Encrypted, Error, TlsVersion};
use starttls_lab::rogue::{Rogue, Weakness};
use time::OffsetDateTime;

use crate::{authority, sound};

fn trusting() -> ConnectorBuilder {
    Connector::builder().no_system_roots().roots_pem(authority().root_pem()).timeout(Duration::from_secs(60))
}

fn connect(
    builder: ConnectorBuilder,
    protocol: &Protocol,
    address: SocketAddr,
) -> Result<Encrypted<TcpStream>, Error> {
    let tcp = TcpStream::connect(address).unwrap();
    builder.build().unwrap().blocking().upgrade(protocol, "localhost", tcp)
}

each_protocol! {
    parallel
    bad_certificates_are_bad_in_their_own_way
    a_key_that_is_too_short_is_named_and_not_called_stolen
    a_certificate_that_expires_soon_is_good_until_then
    tls_1_2_only
    another_protocols_alpn
    no_certificate_at_all
}

fn bad_certificates_are_bad_in_their_own_way(protocol: &'static Protocol) {
    let bad = [
        (Weakness::Expired, "Expired"),
        (Weakness::NotYet, "NotValidYet"),
        (Weakness::WrongName, "other.example.test"),
        (Weakness::SelfSigned, "CaUsedAsEndEntity"),
        (Weakness::UnknownRoot, "UnknownIssuer"),
        (Weakness::MissingIntermediate, "UnknownIssuer"),
        (Weakness::WrongUsage, "Purpose"),
        (Weakness::CommonNameOnly, "NotValidForName"),
    ];
    for (weakness, why) in bad {
        let rogue = Rogue::start(protocol, weakness, authority()).unwrap();
        let error = connect(trusting(), protocol, rogue.address()).unwrap_err();
        let Error::Certificate { source, chain, .. } = &error else {
            panic!("{weakness:?} {}: {error}", protocol.name)
        };
        let alone = matches!(weakness, Weakness::SelfSigned | Weakness::MissingIntermediate);
        assert_eq!(chain.len(), if alone { 1 } else { 2 }, "{weakness:?}");
        let source = format!("{source:?}");
        assert!(source.contains(why), "{weakness:?}: {source}");
        let anyhow = connect(trusting().insecure(), protocol, rogue.address());
        assert!(anyhow.is_ok(), "{weakness:?} {}: {}", protocol.name, anyhow.unwrap_err());
    }
}

fn a_key_that_is_too_short_is_named_and_not_called_stolen(protocol: &'static Protocol) {
    let rogue = Rogue::start(protocol, Weakness::WeakKey, authority()).unwrap();
    let named = "RSA key has 1024 bits";
    let error = connect(trusting(), protocol, rogue.address()).unwrap_err();
    assert!(error.to_string().contains(named), "{}: {error}", protocol.name);
    // `insecure` continues, because the key cannot be verified and was not shown to be another's.
    let stream = connect(trusting().insecure(), protocol, rogue.address()).unwrap();
    let CertificateVerdict::Failed(failure) = &stream.facts().verdict else {
        panic!("{}: {:?}", protocol.name, stream.facts().verdict)
    };
    assert!(failure.to_string().contains(named), "{}: {failure}", protocol.name);
}

fn a_certificate_that_expires_soon_is_good_until_then(protocol: &'static Protocol) {
    let rogue = Rogue::start(protocol, Weakness::SoonExpired, authority()).unwrap();
    let stream = connect(trusting(), protocol, rogue.address()).unwrap();
    let day = |from_now| OffsetDateTime::now_utc().date() + time::Duration::days(from_now);
    let found = [4, 5].into_iter().map(day).any(|day| {
        // UTCTime (RFC 5280 section 4.1.2.5.1).
        let text = format!("{:02}{:02}{:02}", day.year() % 100, u8::from(day.month()), day.day());
        stream.facts().chain[0].windows(6).any(|window| window == text.as_bytes())
    });
    assert!(found);
}

fn tls_1_2_only(protocol: &'static Protocol) {
    let modern = || trusting().tls_versions(TlsVersion::Tls13, TlsVersion::Tls13);
    let rogue = Rogue::start(protocol, Weakness::OldTlsOnly, authority()).unwrap();
    assert!(connect(modern(), protocol, rogue.address()).is_err());
    assert!(connect(trusting(), protocol, rogue.address()).is_ok());
    assert!(connect(modern().insecure(), protocol, sound(protocol)).is_ok());
}

fn another_protocols_alpn(protocol: &'static Protocol) {
    let foreign = || trusting().insecure().alpn(vec![b"acme-tls/1".to_vec()]);
    let rogue = Rogue::start(protocol, Weakness::WrongAlpn, authority()).unwrap();
    assert!(connect(foreign(), protocol, rogue.address()).is_ok(), "{}", protocol.name);
    assert!(connect(foreign(), protocol, sound(protocol)).is_err(), "{}", protocol.name);
}

fn no_certificate_at_all(protocol: &'static Protocol) {
    let rogue = Rogue::start(protocol, Weakness::NoCertificate, authority()).unwrap();
    let error = connect(trusting().insecure(), protocol, rogue.address()).unwrap_err();
    assert!(matches!(error, Error::Tls(_) | Error::Io { .. }), "{}: {error}", protocol.name);
}
