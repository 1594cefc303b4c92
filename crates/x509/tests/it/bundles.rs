//! Files with certificates and keys, in all spellings.

use std::path::Path;
use std::process::Command;

use proptest::prelude::*;
use starttls_x509::pki_types::PrivateKeyDer;
use starttls_x509::{Bundle, certificate_to_pem};

use crate::samples;

fn certificates(content: &[u8]) -> Result<Vec<(Vec<u8>, String)>, String> {
    let read = Bundle::read("ca.pem", content).and_then(|bundle| bundle.certificates());
    let pairs = |all: Vec<_>| {
        all.into_iter().map(|it: starttls_x509::BundleCertificate| (it.der.to_vec(), it.position))
    };
    read.map(|all| pairs(all).collect()).map_err(|error| error.to_string())
}

#[test]
fn certificates_are_read_whatever_is_around_them() {
    let [one, two] = [&samples::all()[0], &samples::all()[5]].map(Clone::clone);
    let [first, second] = [&one, &two].map(|der| certificate_to_pem(der));
    let utf16 = |pem: &str| {
        [0xff, 0xfe].into_iter().chain(pem.encode_utf16().flat_map(u16::to_le_bytes)).collect::<Vec<u8>>()
    };
    let length = first.lines().count();
    let plain = format!("{first}{second}");
    let indented: String = plain.lines().map(|line| format!("    {line}  \n")).collect();
    for (content, lines) in [
        (plain.clone().into_bytes(), [1, length + 1]),
        (plain.replace('\n', "\r\n").into_bytes(), [1, length + 1]),
        (plain.replace('\n', "\r").into_bytes(), [1, length + 1]),
        (format!("\u{feff}{plain}").into_bytes(), [1, length + 1]),
        (utf16(&plain), [1, length + 1]),
        (indented.into_bytes(), [1, length + 1]),
        (
            format!("Subject: one\nMII is not Base64 here\n{first}\nsubject=two\n\n{second}# end")
                .into_bytes(),
            [3, length + 6],
        ),
        (format!("{}{second}", first.trim_end()).into_bytes(), [1, length]),
        (plain.replace('=', "").into_bytes(), [1, length + 1]),
        (plain.replace("CERTIFICATE", "X509 CERTIFICATE").into_bytes(), [1, length + 1]),
        (
            format!("{first}-----BEGIN SOMETHING-----\nAAAA\n-----END SOMETHING-----\n{second}").into_bytes(),
            [1, length + 4],
        ),
    ] {
        let read = certificates(&content).unwrap();
        let expected: Vec<_> =
            [&one, &two].into_iter().cloned().zip(lines.map(|line| format!("ca.pem:{line}"))).collect();
        assert!(
            read == expected,
            "{}\n{:?}",
            String::from_utf8_lossy(&content),
            read.iter().map(|it| &it.1).collect::<Vec<_>>()
        );
    }
    assert_eq!(certificates(&one), Ok(vec![(one.clone(), String::from("ca.pem"))]));
}

#[test]
fn damage_is_reported_with_its_line() {
    let pem = certificate_to_pem(&samples::all()[0]);
    let lines: Vec<&str> = pem.lines().collect();
    let last = lines.len();
    let without = |line: usize| {
        let kept = lines.iter().enumerate().filter(|(at, _)| at + 1 != line);
        kept.map(|(_, text)| format!("{text}\n")).collect::<String>()
    };
    // The tenth character of the second line.
    let edited = |instead: &str| {
        let at = lines[0].len() + 10;
        format!("{}{instead}{}", &pem[..at], &pem[at + 1..])
    };
    for (content, expected) in [
        (String::new(), "ca.pem: the file is empty"),
        (String::from(" \r\n"), "ca.pem: the file is empty"),
        (String::from("not a certificate"), "ca.pem: the content is neither PEM nor DER"),
        (without(last), "ca.pem:1: expected \"-----END CERTIFICATE-----\" after this BEGIN, found none"),
        (
            without(last) + &pem,
            "ca.pem:1: expected \"-----END CERTIFICATE-----\" after this BEGIN, found none",
        ),
        (pem.replace("END CERTIFICATE", "END KEY"), "ca.pem:1: expected \"-----END CERTIFICATE-----\" after"),
        (without(3), "ca.pem:1: the block CERTIFICATE does not contain one whole item"),
        (format!("\n{}", edited("*")), "ca.pem:3: invalid Base64: unexpected character \"*\""),
        (
            String::from("-----BEGIN CERTIFICATE-----\nMIIBA\n-----END CERTIFICATE-----\n"),
            "invalid Base64: characters are missing or superfluous",
        ),
        (pem.replacen("CERTIFICATE-----", "CERTIFICATE----", 1), "ca.pem:1: "),
        (
            pem.replace("CERTIFICATE", "WHATEVER").replace("MII", "AAA"),
            "ca.pem: expected a certificate, found none",
        ),
    ] {
        let error = certificates(content.as_bytes()).unwrap_err();
        assert!(error.contains(expected), "{error}\n{content}");
    }
    let cut = &samples::all()[0][..100];
    assert_eq!(certificates(cut).unwrap_err(), "ca.pem: the DER ends early, or octets follow it");
}

/// Runs openssl in a folder.
fn openssl(folder: &Path, arguments: &str) {
    let mut command = Command::new("timeout");
    command.args(["60", "openssl"]).args(arguments.split(' ')).current_dir(folder);
    let output = command.output().unwrap();
    assert!(output.status.success(), "openssl {arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn files_of_openssl_are_read_or_named() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for arguments in [
        "genpkey -algorithm RSA -pkeyopt rsa_keygen_bits:2048 -out rsa.key",
        "pkey -in rsa.key -traditional -out rsa.pkcs1",
        "pkey -in rsa.key -outform DER -out rsa.der",
        "pkey -in rsa.key -pubout -out rsa.pub",
        "ecparam -name prime256v1 -genkey -out ec.key",
        "pkcs8 -topk8 -nocrypt -in ec.key -out ec.pkcs8",
        "genpkey -algorithm ed25519 -out ed25519.key",
        "pkcs8 -topk8 -in ec.key -passout pass:x -out encrypted.pkcs8",
        "rsa -in rsa.key -traditional -aes128 -passout pass:x -out encrypted.pkcs1",
        "req -x509 -new -key ec.key -subj /CN=mail.example.com -days 30 -out cert.pem",
        "x509 -in cert.pem -outform DER -out cert.der",
        "x509 -in cert.pem -trustout -addtrust serverAuth -out trusted.pem",
        "x509 -in cert.pem -text -out text.pem",
        "req -new -key ec.key -subj /CN=mail.example.com -out request.pem",
        "crl2pkcs7 -nocrl -certfile cert.pem -out cert.p7b",
        "crl2pkcs7 -nocrl -certfile cert.pem -outform DER -out cert.p7b.der",
        "pkcs12 -export -in cert.pem -inkey ec.key -passout pass:x -out cert.p12",
    ] {
        openssl(at, arguments);
    }
    let bundle = |name: &str| Bundle::read(name, &std::fs::read(at.join(name)).unwrap()).unwrap();
    let key = |name: &str| match bundle(name).private_key() {
        Ok(PrivateKeyDer::Pkcs1(_)) => Ok("PKCS #1"),
        Ok(PrivateKeyDer::Pkcs8(_)) => Ok("PKCS #8"),
        Ok(PrivateKeyDer::Sec1(_)) => Ok("SEC 1"),
        Ok(_) => Ok("another"),
        Err(error) => Err(error),
    };
    for (name, kind) in [
        ("rsa.key", "PKCS #8"),
        ("rsa.pkcs1", "PKCS #1"),
        ("ec.key", "SEC 1"),
        ("ec.pkcs8", "PKCS #8"),
        ("ed25519.key", "PKCS #8"),
    ] {
        assert_eq!(key(name), Ok(kind), "{name}");
        rustls::crypto::aws_lc_rs::sign::any_supported_type(&bundle(name).private_key().unwrap()).unwrap();
    }
    assert!(key("rsa.der").is_ok());
    for (name, line) in [("encrypted.pkcs8", 1), ("encrypted.pkcs1", 1)] {
        let error = key(name).unwrap_err();
        let expected =
            format!("{name}:{line}: the private key is encrypted, expected one without a passphrase");
        assert_eq!((error.to_string(), error.is_encrypted_key()), (expected, true));
        assert!(error.hint().is_some_and(|it| it.contains("openssl pkey -in")), "{:?}", error.hint());
    }
    let certificate = std::fs::read(at.join("cert.der")).unwrap();
    for name in ["cert.pem", "cert.der", "trusted.pem", "text.pem"] {
        let found = bundle(name).certificates().unwrap();
        assert!(found.len() == 1 && *found[0].der == *certificate, "{name}");
    }
    let requested = bundle("request.pem").requested_key().unwrap();
    assert_eq!(*requested, *starttls_x509::Certificate::from_der(&certificate).unwrap().spki_der());
    assert_eq!(bundle("rsa.pub").public_key().unwrap().as_ref()[0], 0x30);
    for (name, expected, hint) in [
        ("request.pem", "expected a certificate, found a certificate request", ""),
        ("rsa.key", "expected a certificate, found a private key", ""),
        ("cert.p7b", "expected PEM or one certificate in DER, found a PKCS #7 container", "openssl pkcs7"),
        (
            "cert.p7b.der",
            "expected PEM or one certificate in DER, found a PKCS #7 container",
            "openssl pkcs7",
        ),
        ("cert.p12", "expected PEM or DER, found a PKCS #12 container", "openssl pkcs12"),
    ] {
        let error = bundle(name).certificates().unwrap_err();
        assert_eq!(error.to_string(), format!("{name}: {expected}"));
        assert!(error.hint().unwrap_or_default().contains(hint), "{:?}", error.hint());
    }
    assert_eq!(
        key("cert.pem").unwrap_err().to_string(),
        "cert.pem: expected a private key, found a certificate"
    );
    assert_eq!(
        key("cert.p12").unwrap_err().to_string(),
        "cert.p12: expected PEM or DER, found a PKCS #12 container"
    );
}

#[test]
fn a_key_is_read_whatever_its_label_and_never_printed() {
    let key = samples::key();
    let pem = key.serialize_pem();
    for label in ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ANY PRIVATE KEY"] {
        let bundle = Bundle::read("key", pem.replace("PRIVATE KEY", label).as_bytes()).unwrap();
        assert_eq!(bundle.private_key().unwrap().secret_der(), key.serialize_der());
        assert_eq!(format!("{bundle:?}"), "Bundle { name: \"key\", .. }");
    }
}

proptest! {
    #[test]
    fn no_input_panics(
        text in "(-----(BEGIN|END) (CERTIFICATE|PRIVATE KEY|X)-----|[A-Za-z0-9+/=:\r\n -]{0,8}|\u{feff}|MAA=){0,12}",
        octets in prop::collection::vec(any::<u8>(), 0..64),
    ) {
        for content in [text.as_bytes(), &octets, &[&b"\x30"[..], &octets].concat()] {
            if let Ok(bundle) = Bundle::read("any", content) {
                let _ = (bundle.certificates(), bundle.private_key(), bundle.public_key());
            }
        }
    }

    #[test]
    fn what_is_written_is_read(der in prop::collection::vec(any::<u8>(), 0..200)) {
        let whole = samples::element(0x30, &[&der]);
        let pem = certificate_to_pem(&whole);
        prop_assert!(pem.lines().all(|line| line.len() <= 64));
        let read = Bundle::read("any", pem.as_bytes()).unwrap().certificates();
        prop_assert!(read.is_err() || read.is_ok_and(|all| *all[0].der == *whole));
    }
}
