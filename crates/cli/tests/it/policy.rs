//! `starttls policy`: what it writes and reads without a network.

use std::fs;
use std::path::PathBuf;

use rcgen::{CertificateParams, KeyPair, PublicKeyData};
use sha2::{Digest, Sha256, Sha512};
use tempfile::TempDir;

use crate::support::{Run, starttls};
use crate::{endpoint, lab, schema, shows};

fn policy(arguments: &[&str]) -> Run {
    Run::of(starttls(["policy"]).args(arguments))
}

fn file(folder: &TempDir, name: &str, content: impl AsRef<[u8]>) -> String {
    let path = folder.path().join(name);
    fs::write(&path, content).unwrap();
    path.to_str().unwrap().to_owned()
}

fn hex(octets: impl AsRef<[u8]>) -> String {
    octets.as_ref().iter().map(|octet| format!("{octet:02x}")).collect()
}

#[test]
fn help_of_each_command() {
    for command in ["check", "forget", "list", "report", "serve", "show", "sts", "tlsa"] {
        shows!(format!("help-policy-{command}"), policy(&[command, "--help"]).exits(0).stdout);
    }
}

#[test]
fn a_policy_is_written_and_passes_its_own_check() {
    let mx = ["--mx", "mx1.example.com", "--mx", "*.mail.example.com"];
    let arguments = [&["sts", "example.com", "--id", "20261129150000Z"][..], &mx].concat();
    shows!("policy-sts", policy(&arguments).exits(0).stdout);
    let record = policy(&[&arguments[..], &["--print", "record"]].concat()).exits(0).stdout;
    assert_eq!(record, "_mta-sts.example.com. 3600 IN TXT \"v=STSv1; id=20261129150000Z;\"\n");
    let text = policy(&[&arguments[..], &["--print", "text", "--mode", "enforce"]].concat()).exits(0).stdout;
    assert_eq!(
        text,
        "version: STSv1\r\nmode: enforce\r\nmax_age: 1209600\r\nmx: mx1.example.com\r\nmx: *.mail.example.com\r\n"
    );
    let folder = TempDir::new().unwrap();
    let lint = policy(&["sts", "--lint", &file(&folder, "mta-sts.txt", &text)]).exits(0);
    assert_eq!(lint.stdout, "valid: mode enforce, 14 days, mx mx1.example.com *.mail.example.com\n");
}

#[test]
fn faults_of_a_policy_text_are_named_with_their_lines() {
    let folder = TempDir::new().unwrap();
    for (text, code, parts) in [
        (
            "version: STSv1\nmode: enforce\nmax_age: 1209600\nmx: mail.example.com.\n",
            1,
            &[":4: error:", "ends with a dot", "[sts-mx-form]", "valid: mode enforce"][..],
        ),
        (
            "version: STSv1\nmode: testing\nmax_age: 3600\nmx: mail.example.com\n",
            0,
            &[":3: warning:", "shorter than a day", "mode testing protects no mail"],
        ),
        ("version: STSv1\n\nmode: enforce\n", 1, &[":2: error: an empty line", "invalid: senders discard"]),
        ("mode: \u{1b}[31m\n", 1, &["error: the value of mode"]),
        ("", 1, &["invalid: senders discard the policy"]),
    ] {
        let run = policy(&["sts", "--lint", &file(&folder, "policy.txt", text)]).exits(code);
        for part in parts {
            assert!(run.stdout.contains(part), "{text}: {}", run.stdout);
        }
        assert!(!run.stdout.contains('\u{1b}'));
    }
    let large = file(&folder, "large.txt", "mx: a.example\n".repeat(6000));
    assert!(policy(&["sts", "--lint", &large]).exits(1).stdout.contains("larger than 64 KiB"));
    assert!(policy(&["sts", "--lint", "/does/not/exist"]).exits(2).stderr.contains("cannot read"));
    let run = Run::with_input(starttls(["policy", "sts", "--lint", "-"]).arg("-q"), b"version: STSv1\n");
    assert_eq!(run.code, 1);
}

#[test]
fn wrong_usage_names_what_is_missing() {
    for (arguments, part) in [
        (&["sts"][..], "DOMAIN"),
        (&["sts", "example.com"], "--mx"),
        (&["sts", "example.com", "--mx", "192.0.2.1"], "address"),
        (
            &["sts", "example.com", "--mx", "mx.example.com", "--max-age", "2"],
            "expected a number with a unit",
        ),
        (&["sts", "example.com", "--mx", "mx.example.com", "--id", "a-b"], "letters and digits"),
        (&["sts", "a b", "--mx", "mx.example.com"], "invalid DNS name"),
        (&["tlsa"], "--from"),
        (&["tlsa", "--from", "/does/not/exist", "--name", "mx.example.com"], "cannot read"),
        (&["tlsa", "--live", "smtp://127.0.0.1:1"], "refused"),
        (&["report"], "FILE"),
        (&["report", "/does/not/exist"], "cannot read"),
    ] {
        let run = policy(arguments);
        assert!(
            [2, 3].contains(&run.code) && run.stderr.contains(part),
            "{arguments:?}: {} {}",
            run.code,
            run.stderr
        );
    }
}

/// A certificate with its key and a request for the same key, in files.
struct Keys {
    folder: TempDir,
    key: KeyPair,
    certificate: Vec<u8>,
}

impl Keys {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![String::from("mx.example.com")]).unwrap();
        let request = params.serialize_request(&key).unwrap();
        file(&folder, "request.pem", request.pem().unwrap());
        let certificate = params.self_signed(&key).unwrap();
        file(&folder, "certificate.pem", certificate.pem());
        file(&folder, "key.pem", key.serialize_pem());
        Self { folder, certificate: certificate.der().to_vec(), key }
    }

    fn path(&self, name: &str) -> String {
        let path: PathBuf = self.folder.path().join(name);
        path.to_str().unwrap().to_owned()
    }
}

#[test]
fn records_are_those_of_the_key() {
    let keys = Keys::new();
    let spki = keys.key.subject_public_key_info();
    let name = ["--name", "mx.example.com"];
    let expected = format!("_25._tcp.mx.example.com. 3600 IN TLSA 3 1 1 {}\n", hex(Sha256::digest(&spki)));
    for from in ["certificate.pem", "request.pem", "key.pem"] {
        let run = policy(&[&["tlsa", "--from", &keys.path(from)], &name[..]].concat()).exits(0);
        assert_eq!((run.stdout.as_str(), run.stderr.as_str()), (expected.as_str(), ""), "{from}");
    }
    let certificate = keys.path("certificate.pem");
    let of = |options: &[&str]| policy(&[&["tlsa", "--from", &certificate][..], &name, options].concat());
    let whole = of(&["--selector", "0", "--matching", "2", "--port", "26", "--ttl", "5m"]).exits(0);
    let digest = hex(Sha512::digest(&keys.certificate));
    assert_eq!(whole.stdout, format!("_26._tcp.mx.example.com. 300 IN TLSA 3 0 2 {digest}\n"));
    assert!(whole.stderr.contains("every renewal"), "{}", whole.stderr);
    let generic = of(&["--generic"]).exits(0).stdout;
    assert!(generic.contains(&format!("TYPE52 \\# 35 030101{}", hex(Sha256::digest(&spki)))), "{generic}");
    assert!(of(&["--usage", "2"]).exits(2).stderr.contains("only the server's own certificate"));
    let request = keys.path("request.pem");
    let run = policy(&[&["tlsa", "--from", &request, "--selector", "0"], &name[..]].concat()).exits(2);
    assert!(run.stderr.contains("no certificate for selector 0"), "{}", run.stderr);
}

#[test]
fn the_published_records_are_compared_with_the_key() {
    let (old, new) = (Keys::new(), Keys::new());
    let record = |keys: &Keys| format!("3 1 1 {}", hex(Sha256::digest(keys.key.subject_public_key_info())));
    let (old_record, new_record) = (record(&old), record(&new));
    let check = |published: &[&str], next: bool| {
        let mut command = starttls(["policy", "tlsa", "--name", "mx.example.com", "--from"]);
        command.arg(old.path("certificate.pem"));
        for record in published {
            command.args(["--published", record]);
        }
        if next {
            command.args(["--next", &new.path("key.pem")]);
        }
        Run::of(&mut command)
    };
    let single = check(&[&old_record], false).exits(0).stdout;
    assert!(single.contains("matches the server's own certificate\nsteady: the records match"), "{single}");
    assert!(single.contains("rollover scheme: no"), "{single}");
    let broken = check(&[&new_record, "1 1 1 00"], false).exits(1).stdout;
    assert!(
        broken.contains("matches no certificate in use") && broken.contains("unusable: usages 0 and 1"),
        "{broken}"
    );
    assert!(broken.contains("broken: no usable record"), "{broken}");
    let ready = check(&[&old_record, &new_record], true).exits(0).stdout;
    assert!(ready.contains("pre-published: ") && ready.contains("rollover scheme: yes"), "{ready}");
    let plan = check(&[], true).exits(0).stdout;
    let steps: Vec<&str> = plan.lines().filter(|it| it.starts_with(['1', '2', '3'])).collect();
    assert_eq!(steps.len(), 3, "{plan}");
    assert!(steps[1].contains("3 h after step 1"), "{plan}");
    assert_eq!(plan.matches(&format!("TLSA {old_record}")).count(), 2, "{plan}");
    assert_eq!(plan.matches(&format!("TLSA {new_record}")).count(), 3, "{plan}");
}

#[test]
fn records_of_a_live_server() {
    let lab = lab();
    let server = endpoint(&lab, "smtp");
    let run = policy(&["tlsa", "--live", &server.url(), "--name", "mx.example.com", "--port", "25"]).exits(0);
    let record = run.stdout.strip_prefix("_25._tcp.mx.example.com. 3600 IN TLSA ").unwrap().trim();
    let run = policy(&["tlsa", "--live", &server.url(), "--name", "mx.example.com", "--published", record])
        .exits(0);
    assert!(run.stdout.contains("steady: the records match"), "{}", run.stdout);
}

const REPORT: &str = r#"{"organization-name": "Company-X", "report-id": "1",
    "date-range": {"start-datetime": "2026-04-01T00:00:00Z", "end-datetime": "2026-04-01T23:59:59Z"},
    "policies": [
      {"policy": {"policy-type": "sts", "policy-domain": "example.com"},
       "summary": {"total-successful-session-count": 10, "total-failure-session-count": 2},
       "failure-details": [{"result-type": "certificate-expired", "receiving-mx-hostname": "mx1.example.com",
                            "failed-session-count": 2, "failure-reason-code": "ended in March"}]},
      {"policy": {"policy-type": "no-policy-found"}, "summary": {"total-successful-session-count": 1}}]}"#;

#[test]
fn reports_are_added_up() {
    let folder = TempDir::new().unwrap();
    file(&folder, "1.json", REPORT);
    let good = REPORT
        .replace("\"1\"", "\"2\"")
        .replace("-count\": 2", "-count\": 0")
        .replace("2026-04-01", "2026-04-02");
    file(&folder, "2.json", good);
    fs::create_dir(folder.path().join("again")).unwrap();
    file(&folder, "again/1.json", REPORT);
    let path = folder.path().to_str().unwrap();
    shows!("policy-report", policy(&["report", path]).exits(1).stdout);
    let report = policy(&["report", path, "--format", "json"]).exits(1).json();
    schema::fits_in("policy-report.json", &report);
    assert_eq!([&report["reports"], &report["duplicates"]], [2, 1]);
    assert_eq!(report["policies"][1]["failures"][0]["receiver"], "mx1.example.com");
    let sound = policy(&["report", folder.path().join("2.json").to_str().unwrap()]);
    assert_eq!(sound.code, 0, "{}", sound.stdout);
}

#[test]
fn files_that_are_no_reports_are_inconclusive() {
    let folder = TempDir::new().unwrap();
    let (text, good) = (file(&folder, "text.txt", "hello"), REPORT.replace("-count\": 2", "-count\": 0"));
    let good = file(&folder, "good.json", good);
    let run = policy(&["report", &text]).exits(7);
    assert!(run.stderr.contains("contains no report"), "{}", run.stderr);
    assert!(policy(&["report", &text, &good]).exits(7).stdout.contains("1 report of 1 organization"));
    let empty = folder.path().join("empty");
    fs::create_dir(&empty).unwrap();
    assert!(policy(&["report", empty.to_str().unwrap()]).exits(7).stdout.contains("0 reports"));
    let run = Run::with_input(&mut starttls(["policy", "report", "-"]), REPORT.as_bytes());
    assert_eq!(run.code, 1, "{}", run.stderr);
}
