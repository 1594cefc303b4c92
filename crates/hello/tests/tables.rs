//! The tables are the data files, and the data files are in order.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::fs;

use starttls_hello::{CipherSuite, NamedGroup, Registration, SignatureScheme, Ssl2Kind, SuiteInfo, Version};

/// Reads the rows of a data file, without the comment and the line of names.
fn rows(file: &str) -> Vec<Vec<String>> {
    let text = fs::read_to_string(format!("{}/data/{file}", env!("CARGO_MANIFEST_DIR"))).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#')).skip(1);
    lines.map(|line| line.split('\t').map(str::to_owned).collect()).collect()
}

fn code(row: &[String]) -> u32 {
    u32::from_str_radix(row[0].trim_start_matches("0x"), 16).unwrap()
}

fn short(row: &[String]) -> u16 {
    u16::try_from(code(row)).unwrap()
}

/// Spells a value as the data files do.
fn cell(text: &str) -> String {
    if text.is_empty() { String::from("-") } else { text.to_owned() }
}

fn flag(flag: bool) -> String {
    String::from(if flag { "y" } else { "n" })
}

fn version(version: Version) -> String {
    let names = ["ssl2", "ssl3", "tls10", "tls11", "tls12", "tls13"];
    names[Version::ALL.iter().position(|it| *it == version).unwrap()].to_owned()
}

fn written(info: &SuiteInfo) -> Vec<String> {
    vec![
        info.name.to_owned(),
        cell(info.openssl_name().unwrap_or_default()),
        info.family.to_string(),
        info.key_exchange.to_string(),
        info.authentication.to_string(),
        cell(info.cipher),
        cell(info.mode),
        info.key_bits.to_string(),
        info.block_bits.to_string(),
        cell(info.mac),
        cell(info.hash),
        flag(info.forward_secrecy),
        info.class.to_string(),
        version(info.min),
        version(info.max),
        info.registration.to_string(),
    ]
}

#[test]
fn suites_are_those_of_the_file() {
    let rows = rows("suites.tsv");
    assert_eq!(rows.len(), 391);
    for row in &rows {
        // The last column names the source of the row.
        let expected = &row[1..17];
        let info = match row[3] == "sslv2" {
            true => Ssl2Kind(code(row).to_be_bytes()[1..].try_into().unwrap()).info(),
            false => CipherSuite(short(row)).info(),
        };
        let info = info.unwrap_or_else(|| panic!("{row:?} is missing"));
        assert_eq!(written(info), expected, "{row:?}");
        assert_eq!(info.code, code(row));
    }
    assert_eq!(CipherSuite::all().count() + Ssl2Kind::all().count(), rows.len());
    assert!(CipherSuite::all().is_sorted_by(|(a, _), (b, _)| a < b));
    assert!(Ssl2Kind::all().is_sorted_by(|(a, _), (b, _)| a < b));
}

#[test]
fn groups_are_those_of_the_file() {
    let rows = rows("groups.tsv");
    assert_eq!(rows.len(), 56);
    for row in &rows {
        let info = NamedGroup(short(row)).info().unwrap();
        let found = [
            info.name.to_owned(),
            cell(info.aliases),
            info.kind.to_string(),
            info.bits.to_string(),
            info.strength.to_string(),
            flag(info.tls12),
            flag(info.tls13),
            info.share.to_string(),
            info.class.to_string(),
        ];
        assert_eq!(found, row[1..], "{row:?}");
    }
    assert_eq!(NamedGroup::all().count(), rows.len());
    assert!(NamedGroup::all().is_sorted_by(|(a, _), (b, _)| a < b));
}

#[test]
fn schemes_are_those_of_the_file() {
    let rows = rows("signatures.tsv");
    for row in &rows {
        let info = SignatureScheme(short(row)).info().unwrap();
        let found = [
            info.name.to_owned(),
            info.key.to_owned(),
            info.hash.to_owned(),
            flag(info.tls12),
            flag(info.tls13),
            info.class.to_string(),
        ];
        assert_eq!(found, row[1..], "{row:?}");
    }
    assert_eq!(SignatureScheme::all().count(), rows.len());
    assert!(SignatureScheme::all().is_sorted_by(|(a, _), (b, _)| a < b));
}

#[test]
fn names_lead_to_codes() {
    for (suite, info) in CipherSuite::all() {
        assert_eq!(CipherSuite::by_name(info.name), Some(suite), "{}", info.name);
        assert_eq!(suite.to_string(), info.name);
    }
    for (group, info) in NamedGroup::all() {
        assert_eq!(NamedGroup::by_name(&info.name.to_lowercase()), Some(group), "{}", info.name);
        for alias in info.aliases.split(',').filter(|alias| !alias.is_empty()) {
            assert_eq!(NamedGroup::by_name(alias), Some(group), "{alias}");
        }
    }
    assert_eq!(CipherSuite::by_name("ecdhe-rsa-aes128-gcm-sha256"), Some(CipherSuite(0xc02f)));
    assert_eq!(CipherSuite::by_name("0xC02F"), Some(CipherSuite(0xc02f)));
    assert_eq!(CipherSuite::by_name("0xfefa").map(|suite| suite.to_string()).as_deref(), Some("0xfefa"));
    for wrong in ["", "0x", "0x12345", "0x+1", "-", "AES"] {
        assert_eq!(CipherSuite::by_name(wrong), None, "{wrong}");
        assert_eq!(NamedGroup::by_name(wrong), None, "{wrong}");
    }
}

#[test]
fn reserved_values_are_recognized() {
    assert!(
        CipherSuite(0x0a0a).is_grease() && CipherSuite(0xfafa).is_grease() && NamedGroup(0x3a3a).is_grease()
    );
    assert!(!CipherSuite(0x0a1a).is_grease() && !CipherSuite(0x0b0b).is_grease());
    assert!(CipherSuite::all().all(|(suite, _)| !suite.is_grease()));
}

/// tls-parser has its own table of the same registry.
#[test]
fn tls_parser_spells_the_suites_alike() {
    let mut compared = 0;
    for (suite, info) in
        CipherSuite::all().filter(|(_, info)| info.registration != Registration::Unregistered)
    {
        if let Some(theirs) = tls_parser::TlsCipherSuite::from_id(suite.0) {
            assert_eq!(theirs.name, info.name);
            compared += 1;
        }
    }
    assert!(compared > 250, "only {compared} suites were compared");
}

#[test]
fn rustls_has_the_same_codes_for_its_groups() {
    for (name, theirs) in [
        ("X25519MLKEM768", rustls::NamedGroup::X25519MLKEM768),
        ("x25519", rustls::NamedGroup::X25519),
        ("P-256", rustls::NamedGroup::secp256r1),
        ("ffdhe2048", rustls::NamedGroup::FFDHE2048),
    ] {
        assert_eq!(rustls::NamedGroup::from(NamedGroup::by_name(name).unwrap().0), theirs);
    }
}
