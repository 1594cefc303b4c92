//! Profiles: the built-in ones are readable, errors name the place, and the rows follow from what a server offers.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::OnceLock;
use std::time::Duration;

use starttls::proto::smtp::SMTP;
use starttls_audit::tls_profile::{BUILTIN, Row, SessionFacts, TlsProfile, Verdict, evaluate, overall};
use starttls_hello::{
    ConnectionOutcome, Flight, FlightProgress, GOODBYE, HelloContext, Question, StreamEnd, Walk, WalkSize,
    WalkStep,
};
use starttls_lab::ca::Authority;
use starttls_lab::rogue::{Rogue, TlsModel, TlsWeakness};

const DEADLINE: Duration = Duration::from_secs(60);

/// Upgrades with SMTP, sends one hello and reads the answer.
fn ask(address: SocketAddr, question: &Question) -> ConnectionOutcome {
    let mut stream = TcpStream::connect_timeout(&address, DEADLINE).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_nodelay(true).unwrap();
    let mut lines = BufReader::new(stream.try_clone().unwrap());
    for command in ["", "EHLO localhost\r\n", "STARTTLS\r\n"] {
        stream.write_all(command.as_bytes()).unwrap();
        loop {
            let mut line = String::new();
            lines.read_line(&mut line).unwrap();
            assert!(line.starts_with('2'), "{line:?}");
            if line.as_bytes()[3] == b' ' {
                break;
            }
        }
    }
    let context =
        HelloContext { server_name: Some("localhost"), alpn: None, random: [7; 32], session_id: [9; 32] };
    stream.write_all(&question.to_bytes(&context)).unwrap();
    let (mut flight, mut buffer) = (Flight::new(), [0; 4096]);
    loop {
        let read = lines.read(&mut buffer).unwrap();
        if read == 0 || flight.receive(&buffer[..read]) == FlightProgress::Done {
            break;
        }
    }
    let _ = stream.write_all(&GOODBYE);
    ConnectionOutcome::Answered(flight.finish(StreamEnd::Closed))
}

fn walk(model: TlsModel, mut walk: Walk) -> Walk {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    let authority = AUTHORITY.get_or_init(|| Authority::new().unwrap());
    let rogue = Rogue::start_with_tls(&SMTP, model, authority).unwrap();
    while let WalkStep::Ask(question) = walk.next() {
        let outcome = ask(rogue.address(), &question);
        walk.record(question, outcome);
    }
    walk
}

fn full(model: TlsModel) -> Walk {
    walk(model, Walk::with_budget(WalkSize::Full, 250))
}

/// The rows for a server whose session had a staple and no 0-RTT.
fn rows(name: &str, walk: &Walk) -> Vec<Row> {
    let session =
        SessionFacts { ocsp_stapled: Some(true), early_data: Some(false), ..SessionFacts::default() };
    evaluate(&TlsProfile::builtin(name).unwrap(), &walk.facts(), session)
}

fn with(verdict: Verdict, rows: &[Row]) -> Vec<String> {
    let of_verdict = rows.iter().filter(|row| row.verdict == verdict);
    of_verdict.map(|row| format!("{}: {}", row.requirement, row.detail)).collect()
}

#[test]
fn every_built_in_profile_is_readable_and_documented() {
    let folder = format!("{}/profiles", env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let names: Vec<_> = files.iter().map(|path| path.file_stem().unwrap().to_str().unwrap()).collect();
    let mut known = BUILTIN.to_vec();
    known.sort_unstable();
    assert_eq!(names, known);
    let page = format!("{}/../../docs/profiles.md", env!("CARGO_MANIFEST_DIR"));
    let page = std::fs::read_to_string(page).unwrap();
    for (path, name) in files.iter().zip(&names) {
        let text = std::fs::read_to_string(path).unwrap();
        let profile = TlsProfile::parse(path.to_str().unwrap(), &text).unwrap();
        assert_eq!(profile.name, *name);
        assert_eq!(TlsProfile::builtin(name), Some(profile.clone()));
        assert!(page.contains(&format!("| `{name}` | {}", profile.title)), "docs/profiles.md lacks {name}");
        let described = profile.to_string();
        assert!(described.contains(&profile.source) && described.contains("TLS 1.3"), "{described}");
    }
}

#[test]
fn a_modern_server_meets_the_profiles() {
    let walk = full(TlsModel::SOUND);
    for name in BUILTIN {
        let rows = rows(name, &walk);
        let failed = with(Verdict::Fail, &rows);
        let is_chacha20 = |row: &&String| row.contains("CHACHA20");
        let chacha20 = failed.iter().filter(is_chacha20).count();
        assert_eq!(chacha20, if ["bsi", "nist"].contains(name) { 2 } else { 0 }, "{name}: {failed:?}");
        match *name {
            // This profile permits TLS 1.3 only.
            "mozilla-modern" => assert_eq!(
                failed,
                ["TLS 1.2 forbidden: offered", "keys of certificates forbidden: offered: RSA"]
            ),
            "mozilla-old" => assert_eq!(failed.len(), 2, "{failed:?}"),
            // These two list no ChaCha20, and one of them requires longer RSA keys.
            "bsi" => {
                assert_eq!(failed.last().unwrap(), "RSA keys of 3000 bits required: a key has 2048 bits")
            }
            "nist" => assert_eq!(failed.last().unwrap(), "groups forbidden: offered: x25519"),
            _ => assert_eq!(failed, [""; 0], "{name}"),
        }
        assert_eq!(with(Verdict::Inconclusive, &rows), [""; 0], "{name}");
    }
}

#[test]
fn each_weakness_fails_the_requirement_that_it_breaks() {
    for (weakness, profile, verdict, expected) in [
        (TlsWeakness::Ssl2, "rfc9325", Verdict::Fail, "SSL 2.0 forbidden: offered"),
        (TlsWeakness::Ssl3, "rfc9325", Verdict::Fail, "SSL 3.0 forbidden: offered"),
        (TlsWeakness::DeprecatedTls, "rfc9325", Verdict::Fail, "TLS 1.0 forbidden: offered"),
        (TlsWeakness::DeprecatedTls, "nist", Verdict::Warn, "TLS 1.1 discouraged: offered"),
        (
            TlsWeakness::NullSuite,
            "rfc9325",
            Verdict::Fail,
            "suites up to TLS 1.2 forbidden: offered: TLS_RSA_WITH_NULL_SHA256 (TLS 1.2)",
        ),
        (
            TlsWeakness::StaticRsaSuite,
            "mozilla-intermediate",
            Verdict::Fail,
            "suites up to TLS 1.2 forbidden: offered: TLS_RSA_WITH_AES_128_GCM_SHA256 (TLS 1.2)",
        ),
        (
            TlsWeakness::CbcSuite,
            "rfc9325",
            Verdict::Warn,
            "suites up to TLS 1.2 discouraged: offered: TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA (TLS 1.2)",
        ),
        (
            TlsWeakness::Prime1024,
            "bsi",
            Verdict::Fail,
            "Diffie-Hellman primes of 3000 bits required: a prime has 1024 bits",
        ),
        (
            TlsWeakness::FiniteField,
            "ncsc-nl",
            Verdict::Fail,
            "Diffie-Hellman primes forbidden: offered: a prime of 2048 bits that is not in RFC 7919",
        ),
        (TlsWeakness::WeakCurve, "rfc9325", Verdict::Fail, "groups forbidden: offered: secp192r1"),
        (
            TlsWeakness::Sha1Signature,
            "rfc9325",
            Verdict::Fail,
            "handshake signatures with MD5 or SHA-1 in TLS 1.2 forbidden: used",
        ),
        (TlsWeakness::Compression, "ncsc-nl", Verdict::Fail, "compression forbidden: offered"),
        (
            TlsWeakness::NoExtendedMasterSecret,
            "ncsc-nl",
            Verdict::Fail,
            "extended-master-secret required: not offered",
        ),
        (TlsWeakness::Heartbeat, "bsi", Verdict::Warn, "heartbeat discouraged: offered"),
    ] {
        let rows = rows(profile, &walk(weakness.model(), Walk::new(WalkSize::Survey)));
        let found = with(verdict, &rows);
        assert!(found.iter().any(|row| row == expected), "{weakness:?} with {profile}: {rows:#?}");
    }
}

/// What a short walk leaves out does not count as met.
#[test]
fn what_was_not_asked_is_inconclusive() {
    let short = walk(TlsModel::SOUND, Walk::with_budget(WalkSize::Survey, 2));
    let rows = rows("mozilla-intermediate", &short);
    assert_eq!(overall(&rows), Verdict::Inconclusive, "{rows:#?}");
    let open = with(Verdict::Inconclusive, &rows);
    for start in ["TLS 1.0 forbidden: ", "suites up to TLS 1.2 forbidden: not known: "] {
        assert!(open.iter().any(|row| row.starts_with(start)), "{start}: {open:#?}");
    }
    let empty = Walk::new(WalkSize::Survey);
    let session = SessionFacts::default();
    for name in BUILTIN {
        let rows = evaluate(&TlsProfile::builtin(name).unwrap(), &empty.facts(), session);
        let decided =
            rows.iter().filter(|row| !matches!(row.verdict, Verdict::Inconclusive | Verdict::NotTested));
        assert_eq!(decided.collect::<Vec<_>>(), Vec::<&Row>::new(), "{name}");
    }
}

#[test]
fn errors_name_the_file_the_line_the_key_and_what_was_expected() {
    for (text, message, hint) in [
        (
            "titel = \"Mine\"",
            "mine.toml:1: unknown key \"titel\" in the top level",
            Some("did you mean \"title\"?"),
        ),
        ("[versions]\nforbidden = [\"TLS 1.0\"]", "mine.toml:1: \"title\" is missing in the top level", None),
        (
            "title = \"Mine\"\n[versions]\nrequired = \"TLS 1.2\"",
            "mine.toml:3: invalid value of \"required\": expected a list of strings, found \"\\\"TLS 1.2\\\"\"",
            None,
        ),
        (
            "title = \"Mine\"\n[versions]\nrequired = [\"TLS1.2\"]",
            "mine.toml:3: invalid value of \"required\": expected a version such as \"TLS 1.2\", found \"TLS1.2\"",
            Some("did you mean \"TLS 1.2\"?"),
        ),
        (
            "title = \"Mine\"\n[suites]\naccepted = [\n  \"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA265\",\n]",
            "mine.toml:4: invalid value of \"accepted\": expected a suite by its IANA or OpenSSL name, or \"class:rc4\", \
             found \"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA265\"",
            Some("did you mean \"TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256\"?"),
        ),
        (
            "title = \"Mine\"\n[suites]\nother = \"forbiden\"",
            "mine.toml:3: invalid value of \"other\": expected a level, found \"forbiden\"",
            Some("did you mean \"forbidden\"?"),
        ),
        (
            "title = \"Mine\"\n[sizes]\nrequired = { rsa = -1 }",
            "mine.toml:3: invalid value of \"rsa\": expected a positive integer, found \"-1\"",
            None,
        ),
        (
            "title = \"Mine\"\n[features]\nforbiden = [\"compression\"]",
            "mine.toml:3: unknown key \"forbiden\" in [features]",
            Some("did you mean \"forbidden\"?"),
        ),
        ("title = ", "mine.toml:1: ", None),
    ] {
        let error = TlsProfile::parse("mine.toml", text).unwrap_err();
        assert!(error.to_string().starts_with(message), "{text}: {error}");
        assert_eq!(error.hint(), hint, "{text}");
    }
}

/// A file of a user may be short. What it does not mention is not rated.
#[test]
fn a_short_profile_has_only_its_own_rows() {
    let text = "title = \"No TLS below 1.2\"\n[versions]\nforbidden = [\"TLS 1.0\", \"TLS 1.1\"]";
    let profile = TlsProfile::parse("/tmp/mine.toml", text).unwrap();
    assert_eq!(profile.name, "mine");
    let old = walk(TlsWeakness::DeprecatedTls.model(), Walk::new(WalkSize::Brief));
    let rows = evaluate(&profile, &old.facts(), SessionFacts::default());
    assert_eq!(with(Verdict::Fail, &rows), ["TLS 1.0 forbidden: offered", "TLS 1.1 forbidden: offered"]);
    assert_eq!(rows.len(), 2);
}
