//! Which TLSA records are used.

use starttls_dns::TlsaData;
use starttls_policy::tlsa::{TlsaFault, fault, parse, usable};

fn record(text: &str) -> TlsaData {
    let mut words = text.split(' ');
    let mut number = || words.next().unwrap().parse::<u8>().unwrap();
    let (usage, selector, matching) = (number(), number(), number());
    let data = match words.next() {
        Some("empty") => Vec::new(),
        Some(length) => vec![7; length.parse().unwrap()],
        None if matching == 0 => vec![0x30, 3, 2, 1, 1],
        None => vec![matching; if matching == 1 { 32 } else { 64 }],
    };
    TlsaData { usage, selector, matching, data }
}

#[test]
fn unusable_records_are_named() {
    for (text, expected) in [
        ("3 1 1", None),
        ("3 1 2", None),
        ("2 0 1", None),
        ("2 1 0", None),
        ("3 0 0", None),
        ("0 0 1", Some(TlsaFault::PkixUsage)),
        ("1 1 1", Some(TlsaFault::PkixUsage)),
        ("4 1 1", Some(TlsaFault::Usage)),
        ("255 1 1", Some(TlsaFault::Usage)),
        ("3 2 1", Some(TlsaFault::Selector)),
        ("3 255 1", Some(TlsaFault::Selector)),
        ("3 1 3", Some(TlsaFault::Matching)),
        ("3 1 255", Some(TlsaFault::Matching)),
        ("3 1 1 31", Some(TlsaFault::Length)),
        ("3 1 1 64", Some(TlsaFault::Length)),
        ("3 1 2 32", Some(TlsaFault::Length)),
        ("3 1 1 empty", Some(TlsaFault::Length)),
        ("3 0 0 empty", Some(TlsaFault::Length)),
        ("3 0 0 10", Some(TlsaFault::Der)),
    ] {
        assert_eq!(fault(&record(text)), expected, "{text}");
    }
}

#[test]
fn only_the_strongest_digest_counts() {
    for (published, expected) in [
        (vec!["3 1 1"], vec!["3 1 1"]),
        (vec!["3 1 1", "3 1 2"], vec!["3 1 2"]),
        (vec!["3 1 1", "3 0 2"], vec!["3 1 1", "3 0 2"]),
        (vec!["3 1 1", "2 1 2"], vec!["3 1 1", "2 1 2"]),
        (vec!["2 0 1", "3 1 1"], vec!["3 1 1", "2 0 1"]),
        (vec!["3 1 0", "3 1 1", "3 1 2"], vec!["3 1 0", "3 1 2"]),
        // A digest that cannot be used does not hide a weaker one.
        (vec!["3 1 1", "3 1 2 20"], vec!["3 1 1"]),
        (vec!["3 1 1", "3 1 1"], vec!["3 1 1"]),
        (vec!["1 1 1"], vec![]),
    ] {
        let records: Vec<_> = published.iter().map(|it| record(it)).collect();
        let expected: Vec<_> = expected.into_iter().map(record).collect();
        assert_eq!(usable(&records), expected, "{published:?}");
    }
}

#[test]
fn records_are_read_as_zone_files_have_them() {
    let text = format!("3 1 1 {}", "0a".repeat(32));
    assert_eq!(parse(&text).unwrap().to_string(), text);
    assert_eq!(parse("3  1 1\t0A0b 0c").unwrap().data, [10, 11, 12]);
    for (text, part) in [
        ("", "invalid usage \"\""),
        ("3 1", "invalid matching type"),
        ("300 1 1 00", "invalid usage \"300\""),
        ("3 1 1", "even number"),
        ("3 1 1 0", "even number"),
        ("3 1 1 zz", "even number"),
        ("3 1 1 0\u{e9}", "even number"),
    ] {
        assert!(parse(text).is_err_and(|it| it.contains(part)), "{text}");
    }
}
