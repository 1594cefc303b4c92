//! Other implementations read what this crate writes, and this crate reads what they write.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::sync::Arc;

use proptest::prelude::*;
use rustls::pki_types::ServerName;
use rustls::server::Acceptor;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use starttls_hello::{
    AnyClientHello, CipherSuite, ClientHello, ClientHelloReader, HelloContext, NamedGroup, Question,
    SignatureScheme, Ssl2ClientHello, Topic, Version, Walk, WalkSize, WalkStep,
};

const CONTEXT: HelloContext<'_> = HelloContext {
    server_name: Some("mail.example.com"),
    alpn: Some(b"imap"),
    random: [0x5a; 32],
    session_id: [0xa5; 32],
};

/// A hello of every kind that a walk sends first.
fn questions() -> Vec<Question> {
    let suites = [0xc02f, 0xc030, 0x009e, 0x002f].map(CipherSuite).to_vec();
    let classic = [Version::Ssl3, Version::Tls10, Version::Tls11, Version::Tls12];
    let mut questions: Vec<_> =
        classic.map(|version| Question::new(Topic::Custom, version, suites.clone())).into();
    let modern = [0x1301, 0x1302, 0x1303].map(CipherSuite).to_vec();
    let modern = Question::new(Topic::Custom, Version::Tls13, modern);
    questions.push(Question { share: true, ..modern.clone() });
    questions.push(Question { grease: true, ..modern });
    for size in WalkSize::ALL {
        if let WalkStep::Ask(question) = Walk::new(*size).next() {
            questions.push(question);
        }
    }
    questions
}

fn read(bytes: &[u8]) -> ClientHello {
    match ClientHelloReader::new().receive(bytes).unwrap() {
        Some(AnyClientHello::Tls(hello)) => hello,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_is_written_is_read_back() {
    for question in questions() {
        let hello = question.client_hello(&CONTEXT);
        assert_eq!(read(&hello.to_bytes()), hello, "{question:?}");
        assert_eq!(hello.newest_version(), Some(question.version));
        let len = hello.message_len();
        assert!(!(256..512).contains(&len), "{len} octets need padding: {question:?}");
        if question.version > Version::Ssl3 {
            assert_eq!(hello.server_name(), Some(&b"mail.example.com"[..]));
            assert_eq!(hello.alpn(), [b"imap"]);
            assert!(hello.extensions.unwrap().last().is_some_and(|last| !last.data.is_empty()));
        } else {
            assert_eq!(hello.extensions, None);
        }
    }
}

#[test]
fn tls_parser_reads_every_hello() {
    use tls_parser::{TlsMessage, TlsMessageHandshake, parse_tls_extensions, parse_tls_plaintext};
    for question in questions() {
        let hello = question.client_hello(&CONTEXT);
        let bytes = hello.to_bytes();
        let (rest, record) = parse_tls_plaintext(&bytes).unwrap();
        assert!(rest.is_empty());
        let [TlsMessage::Handshake(TlsMessageHandshake::ClientHello(theirs))] = &record.msg[..] else {
            panic!("{record:?}")
        };
        assert_eq!(theirs.version.0, hello.version);
        let suites: Vec<_> = theirs.ciphers.iter().map(|suite| suite.0).collect();
        assert_eq!(suites, hello.suites.iter().map(|suite| suite.0).collect::<Vec<_>>());
        assert_eq!(theirs.comp.iter().map(|it| it.0).collect::<Vec<_>>(), hello.compression);
        let extensions = theirs.ext.map(|block| parse_tls_extensions(block).unwrap());
        if let Some((rest, extensions)) = extensions {
            assert!(rest.is_empty());
            assert_eq!(extensions.len(), hello.extensions.as_ref().map_or(0, Vec::len));
        }
    }
}

#[test]
fn rustls_accepts_every_hello_with_a_version_of_its_own() {
    for question in questions().into_iter().filter(|question| question.version >= Version::Tls12) {
        let bytes = question.to_bytes(&CONTEXT);
        let mut acceptor = Acceptor::default();
        acceptor.read_tls(&mut &bytes[..]).unwrap();
        let accepted = acceptor.accept().map_err(|(error, _)| error).unwrap().expect("a whole hello");
        let hello = accepted.client_hello();
        assert_eq!(hello.server_name(), Some("mail.example.com"));
        let suites: Vec<u16> = hello.cipher_suites().iter().map(|suite| (*suite).into()).collect();
        let ours = question.client_hello(&CONTEXT);
        assert_eq!(suites, ours.suites.iter().map(|suite| suite.0).collect::<Vec<_>>());
        let schemes: Vec<u16> = hello.signature_schemes().iter().map(|it| (*it).into()).collect();
        assert_eq!(schemes, ours.signature_schemes().iter().map(|it| it.0).collect::<Vec<_>>());
    }
}

#[test]
fn the_hello_of_rustls_is_read_at_every_cut() {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(RootCertStore::empty())
        .with_no_client_auth();
    config.alpn_protocols = vec![b"smtp".to_vec(), b"imap".to_vec()];
    let name = ServerName::try_from("mail.example.com").unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut bytes = Vec::new();
    client.write_tls(&mut bytes).unwrap();
    let whole = read(&bytes);
    assert_eq!(whole.newest_version(), Some(Version::Tls13));
    assert_eq!(whole.server_name(), Some(&b"mail.example.com"[..]));
    assert_eq!(whole.alpn(), [&b"smtp"[..], b"imap"]);
    assert!(whole.groups().contains(&NamedGroup::X25519));
    assert!(whole.signature_schemes().contains(&SignatureScheme(0x0403)));
    assert!(whole.key_shares().iter().any(|(group, len)| *group == NamedGroup::X25519 && *len == 32));
    for cut in 0..bytes.len() {
        let mut reader = ClientHelloReader::new();
        assert_eq!(reader.receive(&bytes[..cut]), Ok(None), "complete after {cut} octets");
        assert_eq!(reader.receive(&bytes[cut..]), Ok(Some(AnyClientHello::Tls(whole.clone()))));
    }
}

#[test]
fn an_ssl2_hello_is_read_back_at_every_cut() {
    let hello = Ssl2ClientHello::all_kinds([9; 16]);
    let bytes = hello.to_bytes();
    // The two-octet header has its first bit set (SSL 2.0 specification, section 1.2).
    assert_eq!(bytes[..5], [0x80, 64, 1, 0, 2]);
    for cut in 0..bytes.len() {
        let mut reader = ClientHelloReader::new();
        assert_eq!(reader.receive(&bytes[..cut]), Ok(None));
        assert_eq!(reader.receive(&bytes[cut..]), Ok(Some(AnyClientHello::Ssl2(hello.clone()))));
    }
}

proptest! {
    #[test]
    fn any_octets_are_a_hello_or_an_error_at_every_cut(
        bytes in prop::collection::vec(any::<u8>(), 0..200), tls in any::<bool>(), cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = bytes;
        if tls && bytes.len() > 9 {
            let len = u16::try_from(bytes.len() - 5).unwrap();
            bytes[..3].copy_from_slice(&[22, 3, 1]);
            bytes[3..5].copy_from_slice(&len.to_be_bytes());
            bytes[5..9].copy_from_slice(&[1, 0, 0, u8::try_from(len - 4).unwrap()]);
        }
        let whole = ClientHelloReader::new().receive(&bytes);
        let cut = cut.index(bytes.len() + 1);
        let mut reader = ClientHelloReader::new();
        let first = reader.receive(&bytes[..cut]);
        let parts = match first {
            Ok(None) => reader.receive(&bytes[cut..]),
            ended => ended,
        };
        prop_assert_eq!(parts, whole);
    }
}
