//! `starttls hello`: one ClientHello and the answer of the server.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread::spawn;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use rcgen::{CertificateParams, DnType, KeyPair};
use serde_json::Value;
use starttls_hello::{CipherSuite, Extension, ServerHello, Ssl2Kind, Ssl2ServerHello};

use crate::schema::fits_in;
use crate::support::process::{DEADLINE, Live};
use crate::support::scripted_server::{Step, send, server, smtp_answering, smtp_going_on};
use crate::support::{Run, starttls};
use crate::{lab, shows};

fn hello(target: &str, options: &[&str]) -> Command {
    let mut command = starttls(["hello", "--timeout", "30s", target]);
    command.args(options);
    command
}

/// Runs the command with JSON output and validates the report against the schema.
#[track_caller]
fn report(target: &str, options: &[&str], code: i32) -> Value {
    let run = Run::of(hello(target, options).args(["--format", "json"])).exits(code);
    assert_eq!(run.stderr, "");
    let report = run.json();
    fits_in("hello.json", &report);
    assert_eq!(report["exit_code"], code);
    report
}

#[test]
fn every_server_of_the_lab_is_asked_by_both_versions() {
    let lab = lab();
    for endpoint in lab.endpoints() {
        let modern = report(&endpoint.url(), &["--version", "1.3"], 0);
        assert_eq!(modern["server"]["version"], "TLS 1.3", "{}", endpoint.scheme);
        assert_eq!(modern["server"]["retry"], true);
        assert_eq!(modern["server"]["suite"]["class"], "tls13");
        assert_eq!(modern["negotiation"].is_null(), endpoint.implicit);
        let classic = report(&endpoint.url(), &[], 0);
        assert_eq!(classic["server"]["version"], "TLS 1.2");
        assert_eq!(classic["server"]["end"], "done");
        assert_eq!(classic["server"]["downgrade_mark"], "TLS 1.2");
        assert_eq!(classic["server"]["key_exchange"]["kind"], "ECDHE");
        assert!(!classic["server"]["certificates"].as_array().unwrap().is_empty());
        let old = report(&endpoint.url(), &["--version", "1.1"], 5);
        assert_eq!((&old["outcome"], &old["alert"]["fatal"]), (&"refused".into(), &true.into()));
    }
}

#[test]
fn exactly_what_was_asked_for_is_offered() {
    let lab = lab();
    let imap = lab.endpoint("imap").unwrap().url();
    let options = ["--suites", "0xc030,ECDHE-RSA-AES128-GCM-SHA256,0xc02c", "--groups", "P-384,x25519"];
    let report_of = report(&imap, &options, 0);
    let codes = |list: &Value| -> Vec<String> {
        list.as_array().unwrap().iter().map(|it| it["code"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(codes(&report_of["hello"]["suites"]), ["0xc030", "0xc02f", "0xc02c"]);
    assert_eq!(report_of["hello"]["groups"], serde_json::json!(["secp384r1", "x25519"]));
    let chosen = report_of["server"]["suite"]["code"].as_str().unwrap();
    assert!(["0xc030", "0xc02f", "0xc02c"].contains(&chosen), "{chosen}");
    let alone = report(&imap, &["--version", "1.3", "--groups", "secp384r1", "--suites", "0x1303"], 0);
    assert_eq!(alone["server"]["group"], "secp384r1");
    assert_eq!(alone["server"]["suite"]["name"], "TLS_CHACHA20_POLY1305_SHA256");
    let weak = report(&imap, &["--suites", "rc4,export"], 5);
    assert_eq!(weak["alert"]["name"], "handshake_failure");
    assert!(codes(&weak["hello"]["suites"]).len() > 15);
}

#[test]
fn the_answer_is_shown_to_people() {
    let lab = lab();
    let mut all = String::new();
    for (scheme, options) in [
        ("smtp", &["--suites", "0xc02b,0xc02f"][..]),
        ("imaps", &["--version", "1.3"]),
        ("pop3", &["--version", "1.0"]),
    ] {
        let run = Run::of(&mut hello(&lab.endpoint(scheme).unwrap().url(), options));
        all += &format!(
            "$ starttls hello {scheme} {}\n{}{}exit {}\n\n",
            options.join(" "),
            run.stderr,
            run.stdout,
            run.code
        );
    }
    shows!("hello", all);
}

#[test]
fn a_server_that_does_not_continue_is_distinguished_from_one_that_refuses() {
    let smtp = |answer: &str| format!("smtp://{}", smtp_answering(answer));
    assert_eq!(report(&smtp("454 4.7.0 Not now\r\n"), &[], 4)["outcome"], "declined");
    assert_eq!(report(&smtp("421 4.3.2 Too many connections\r\n"), &[], 7)["outcome"], "inconclusive");
    assert_eq!(report(&smtp("220 go\r\n250 injected\r\n"), &[], 6)["outcome"], "violation");
    let after = |answer: &[u8]| {
        format!("smtp://{}", smtp_going_on([send("220 go\r\n"), Step::HearAny, send(answer)]))
    };
    assert_eq!(report(&after(b""), &[], 5)["outcome"], "closed");
    let plain = report(&after(b"250 \x1b[31m\r\n"), &[], 6);
    assert_eq!((&plain["outcome"], &plain["received"]), (&"violation".into(), &"250 \\x1b[31m\\r\\n".into()));
    let broken = report(&after(&[22, 3, 3, 0, 5, 2, 0, 0, 1, 7]), &[], 6);
    assert_eq!(broken["outcome"], "violation");
    // A selected suite that was not offered is not an agreement.
    let server_hello = ServerHello {
        legacy_version: 0x0303,
        random: [1; 32],
        session_id: Vec::new(),
        suite: CipherSuite(0x0004),
        compression: 0,
        extensions: vec![Extension::empty(23)],
    };
    let other = report(&after(&server_hello.to_bytes()), &[], 6);
    assert_eq!(
        (&other["server"]["offered"], &other["server"]["suite"]["class"]),
        (&false.into(), &"rc4".into())
    );
    assert_eq!(report(&after(&server_hello.to_bytes()), &["--suites", "rc4"], 0)["outcome"], "agreed");
}

#[test]
fn b6_a_silent_server_is_left_in_time() {
    let target = format!("smtp://{}", smtp_answering("220 go\r\n"));
    let run = Run::of(&mut starttls(["hello", "--timeout", "5s", &target, "--format", "json"])).exits(7);
    fits_in("hello.json", &run.json());
    assert_eq!(run.json()["outcome"], "silent");
    let address = server([Step::Stall]);
    Run::of(&mut starttls(["hello", "--timeout", "300ms", &format!("smtp://{address}")])).exits(3);
}

/// Another hello would be a handshake that the user did not request.
#[test]
fn a_slow_server_is_not_tried_with_another_hello() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("smtp://{}", listener.local_addr().unwrap());
    let (connection, connections) = channel();
    spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"220 mail.example.test ESMTP\r\n");
            // The test may have ended.
            let _ = connection.send(stream);
        }
    });
    Run::of(&mut starttls(["hello", "--timeout", "5s", &target])).exits(3).says("the answer to the hello");
    let _first = connections.recv_timeout(DEADLINE).unwrap();
    assert_eq!(connections.try_iter().count(), 0, "another connection");
}

/// The old file stays until the answer is complete.
#[test]
fn a_file_is_replaced_as_a_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("answer");
    std::fs::write(&file, "the old answer").unwrap();
    let target = format!("smtp://{}", server([send("220 mail.example.test ESMTP\r\n"), Step::Stall]));
    let mut live = Live::start(starttls(["hello", "--timeout", "50s", &target, "--output"]).arg(&file));
    live.is_told("S: 220 ");
    kill(Pid::from_raw(live.id() as i32), Signal::SIGTERM).unwrap();
    live.end().exits(143);
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "the old answer");

    let target = format!("smtp://{}", smtp_answering("454 4.7.0 Not now\r\n"));
    for format in ["text", "json"] {
        Run::of(hello(&target, &["--format", format, "--output"]).arg(&file)).exits(4);
        let new = std::fs::read_to_string(&file).unwrap();
        assert_eq!(new.starts_with("{\"schema_version\":1,"), format == "json", "{new}");
        assert!(!new.contains("the old answer"), "{new}");
    }
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1, "nothing else is left");
}

#[test]
fn ssl2_lists_its_kinds_and_its_certificate() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "old\u{202e}\u{9b}2J");
    let certificate = params.self_signed(&key).unwrap().der().to_vec();
    let kinds = vec![Ssl2Kind([1, 0, 0x80]), Ssl2Kind([2, 0, 0x80])];
    let answer = Ssl2ServerHello { version: 2, kinds, certificate, connection_id: vec![7; 16] };
    let target = format!("imaps://{}", server([Step::HearAny, send(answer.to_bytes())]));
    let report = report(&target, &["--version", "ssl2"], 0);
    let names: Vec<_> = report["ssl2"]["kinds"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kind| kind["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["SSL_CK_RC4_128_WITH_MD5", "SSL_CK_RC4_128_EXPORT40_WITH_MD5"]);
    let run = Run::of(&mut hello(&target, &["--version", "ssl2"])).exits(0);
    for text in [run.stdout, run.stderr, report.to_string()] {
        assert!(!text.chars().any(|c| c != '\n' && (c.is_control() || c == '\u{202e}')), "{text:?}");
    }
}

#[test]
fn mistakes_are_named_before_anything_is_dialled() {
    let mut all = String::new();
    for mistake in [
        &["--suites", "ECDHE-RSA-AES128-GCM-SHA265"][..],
        &["--suites", "\x1b[31m"],
        &["--groups", "x25591"],
        &["--version", "1.4"],
        &["--version", "ssl2", "--suites", "rc4"],
        &["--suites", ""],
        &["--ca-file", "ca.pem"],
    ] {
        let run = Run::of(&mut hello("smtp://mail.example.com", mistake)).exits(2);
        assert_eq!(run.stdout, "");
        all += &format!(
            "$ starttls hello smtp://mail.example.com {}\n{}\n",
            mistake.join(" ").escape_debug(),
            run.stderr
        );
    }
    shows!("hello-usage", all);
}

/// A server of OpenSSL with every version and suite that it supports.
struct OpenSsl {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

impl OpenSsl {
    fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let certificate =
            CertificateParams::new(vec![String::from("localhost")]).unwrap().self_signed(&key).unwrap();
        let file = |name: &str, text: String| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let any = "openssl_conf = d\n[d]\nssl_conf = s\n[s]\nsystem_default = x\n[x]\nMinProtocol = None\n\
                   CipherString = ALL:COMPLEMENTOFALL@SECLEVEL=0\n";
        let mut child = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-cert"])
            .arg(file("cert.pem", certificate.pem()))
            .arg("-key")
            .arg(file("key.pem", key.serialize_pem()))
            .args(options)
            .env("OPENSSL_CONF", file("openssl.cnf", any.to_owned()))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let stdout = child.stdout.take().unwrap();
        let (found, address) = channel();
        spawn(move || {
            // The server logs every connection and would block on a full pipe.
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if let Some(address) = line.strip_prefix("ACCEPT ") {
                    let _ = found.send(address.parse());
                }
            }
        });
        let mut server = Self { child, address: ([127, 0, 0, 1], 0).into(), _folder: folder };
        server.address = address.recv_timeout(DEADLINE).unwrap().unwrap();
        server
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
fn openssl_answers_in_old_versions_too() {
    let server = OpenSsl::start(&["-cipher", "ALL:COMPLEMENTOFALL@SECLEVEL=0"]);
    let target = format!("imaps://{}", server.address);
    for version in ["1.0", "1.1", "1.2"] {
        let report = report(&target, &["--version", version], 0);
        assert_eq!(report["server"]["version"], format!("TLS {version}"));
        assert_eq!(report["server"]["end"], "done");
    }
    let null = report(&target, &["--suites", "null"], 0);
    assert_eq!(null["server"]["suite"]["class"], "null");
    let anonymous = report(&target, &["--suites", "ADH-AES128-SHA"], 0);
    assert_eq!(anonymous["server"]["key_exchange"]["kind"], "DHE");
    assert_eq!(anonymous["server"]["certificates"], serde_json::json!([]));
    let modern = report(&target, &["--version", "1.3", "--groups", "x448"], 0);
    assert_eq!(modern["server"]["group"], "x448");
    assert_eq!(report(&target, &["--version", "ssl2"], 5)["outcome"], "refused");
    drop(server);
    let old = OpenSsl::start(&["-cipher", "ALL@SECLEVEL=0", "-tls1"]);
    let target = format!("imaps://{}", old.address);
    let report_of = report(&target, &["--suites", "cbc,static"], 0);
    assert_eq!(report_of["server"]["version"], "TLS 1.0");
    assert_eq!(report(&target, &["--version", "1.3"], 5)["alert"]["name"], "protocol_version");
}
