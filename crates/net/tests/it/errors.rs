//! Errors as programs print them: `{error:?}` from `main`, and the hint.

use starttls::proto::smtp::SMTP;
use starttls::{Acceptor, Connector, Error};
use tokio::io::duplex;
use tokio::time::timeout;

use crate::authority::{Authority, DEADLINE, NAME};
use crate::script::{hear, say, serve_until_request};

/// Errors of different kinds, each with what it received.
async fn errors() -> Vec<(&'static str, Error)> {
    let (authority, stranger) = (Authority::new(), Authority::new());
    let connector: Connector = stranger.connector().build().unwrap();
    let acceptor = authority.acceptor().build().unwrap();
    let (near, far) = duplex(64 * 1024);
    let both = async { tokio::join!(connector.upgrade(&SMTP, NAME, near), acceptor.accept(far)) };
    let (client, server) = timeout(DEADLINE, both).await.unwrap();
    let mut found = vec![("certificate", client.unwrap_err()), ("tls", server.unwrap_err())];

    let (near, mut far) = duplex(64 * 1024);
    let noise = async {
        serve_until_request(&mut far).await;
        say(&mut far, b"220 go\r\n").await;
        let _ = timeout(DEADLINE, hear(&mut far, "\x16\x03\x01")).await;
        say(&mut far, &b"\xffnot TLS\r\n\x1b[31m".repeat(40)).await;
        far
    };
    let (client, _far) = tokio::join!(connector.upgrade(&SMTP, NAME, near), noise);
    found.push(("plaintext-not-tls", client.unwrap_err()));

    let (near, mut far) = duplex(64 * 1024);
    let injected = async {
        serve_until_request(&mut far).await;
        say(&mut far, &[b"220 go\r\n".to_vec(), b"250 \xff\x1b[31m\r\n".repeat(60)].concat()).await;
        far
    };
    let (client, _far) = tokio::join!(connector.upgrade(&SMTP, NAME, near), injected);
    found.push(("protocol", client.unwrap_err()));
    found
}

#[tokio::test]
async fn debug_of_an_error_is_one_readable_line() {
    for (name, error) in errors().await {
        assert_eq!(error.name(), name, "{error}");
        for text in [format!("{error:?}"), format!("{error:#?}")] {
            let lower = text.to_lowercase();
            assert!(text.starts_with(&error.to_string()), "{text}");
            assert!(text.len() < 1200 && text.chars().all(|it| !it.is_control()), "{text:?}");
            // Neither a list of octets nor a certificate.
            assert!(
                !text.contains(", 48, ") && !lower.contains("3082") && !text.contains("CertificateDer"),
                "{text}"
            );
        }
    }
}

#[test]
fn an_error_of_a_file_has_its_position_and_its_hint() {
    let authority = Authority::new();
    let leaf = authority.issue(NAME);
    let cut = leaf.chain.replace("-----END CERTIFICATE-----", "");
    let builder = Acceptor::builder(&SMTP, NAME).certificate_pem(cut, leaf.key);
    let error = builder.build().unwrap_err();
    let expected = "the certificate:1: expected \"-----END CERTIFICATE-----\" after this BEGIN, found none";
    assert_eq!((error.to_string().as_str(), format!("{error:?}").as_str()), (expected, expected));
    assert_eq!(error.hint(), Some("copy the file again: it is damaged or incomplete"));

    let (root, key) = (
        authority.pem(),
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAkwBAYCKgMEAQA=\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let error = Connector::builder().client_certificate_pem(root, key).build().unwrap_err();
    assert!(error.to_string().contains("encrypted"), "{error}");
    assert!(error.hint() == Some("decrypt the key: openssl pkey -in FILE -out NEW.key"), "{error}");
}
