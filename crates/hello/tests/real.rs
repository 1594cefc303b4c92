//! The walk against real servers: the facts are what they were configured with.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread::spawn;
use std::time::{Duration, Instant};

use starttls_hello::{
    Answer, Authentication, CipherSuite, ConnectionOutcome, Flight, FlightProgress, GOODBYE, HelloContext,
    NamedGroup, Question, StreamEnd, SuiteClass, Support, Version, Walk, WalkEnd, WalkSize, WalkStep,
};

/// For one server to start, and for one answer. Far beyond what is needed, even on a busy machine.
const DEADLINE: Duration = Duration::from_secs(60);

const EVERYTHING: &str = "ALL:COMPLEMENTOFALL@SECLEVEL=0";

/// OpenSSL's server with an RSA certificate and one for ECDSA.
struct OpenSsl {
    child: Child,
    address: SocketAddr,
    _folder: tempfile::TempDir,
}

fn openssl(folder: &Path, arguments: &[&str]) -> Command {
    let config = folder.join("openssl.cnf");
    let text = format!(
        "openssl_conf = d\n[d]\nssl_conf = s\n[s]\nsystem_default = x\n[x]\nMinProtocol = None\n\
         CipherString = {EVERYTHING}\n[req]\ndistinguished_name = n\n[n]\n"
    );
    std::fs::write(&config, text).unwrap();
    let mut command = Command::new("timeout");
    command.args(["300", "openssl"]).args(arguments).current_dir(folder).env("OPENSSL_CONF", config);
    command.stdin(Stdio::null()).stderr(Stdio::null());
    command
}

impl OpenSsl {
    fn start(options: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, key) in
            [("rsa", &["rsa:2048"][..]), ("ec", &["ec", "-pkeyopt", "ec_paramgen_curve:P-256"])]
        {
            let (key_file, file) = (format!("{name}.key"), format!("{name}.pem"));
            let mut arguments = vec!["req", "-x509", "-nodes", "-subj", "/CN=localhost", "-newkey"];
            arguments.extend(key);
            arguments.extend(["-keyout", &key_file, "-out", &file]);
            assert!(openssl(folder.path(), &arguments).stdout(Stdio::null()).status().unwrap().success());
        }
        let mut arguments = vec!["s_server", "-accept", "127.0.0.1:0", "-cert", "rsa.pem", "-key", "rsa.key"];
        arguments.extend(options);
        let mut child =
            openssl(folder.path(), &arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let stdout = child.stdout.take().unwrap();
        let (found, address) = channel();
        spawn(move || {
            // It writes about every connection, and would block on a full pipe.
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

    /// The suites that OpenSSL itself lists for a version, without those of shared keys and passwords.
    fn listed(cipher: &str, version: &str) -> BTreeSet<String> {
        let folder = tempfile::tempdir().unwrap();
        let output = openssl(folder.path(), &["ciphers", "-s", version, cipher]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        let apart =
            |name: &&str| !["PSK", "SRP", "TLS_", "DSS", "GOST"].iter().any(|part| name.contains(part));
        text.trim().split(':').filter(apart).map(str::to_owned).collect()
    }
}

impl Drop for OpenSsl {
    fn drop(&mut self) {
        // `timeout` passes SIGTERM on to the server.
        let _ = Command::new("kill").arg(self.child.id().to_string()).status();
        let _ = self.child.wait();
    }
}

/// One hello on a connection of its own.
fn ask(address: SocketAddr, question: &Question, number: usize) -> ConnectionOutcome {
    let random = [u8::try_from(number % 256).unwrap(); 32];
    let context = HelloContext { server_name: Some("localhost"), alpn: None, random, session_id: random };
    let Ok(mut stream) = TcpStream::connect_timeout(&address, DEADLINE) else {
        return ConnectionOutcome::TurnedAway;
    };
    let until = Instant::now() + DEADLINE;
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(&question.to_bytes(&context)).unwrap();
    let mut flight = Flight::new();
    let mut buffer = [0; 4096];
    let end = loop {
        assert!(Instant::now() < until, "no end of the answer to {question:?}");
        match stream.read(&mut buffer) {
            Ok(0) => break StreamEnd::Closed,
            Ok(len) => match flight.receive(&buffer[..len]) {
                FlightProgress::More => {}
                FlightProgress::Done => break StreamEnd::Closed,
            },
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break StreamEnd::Closed,
            Err(error) => panic!("{error}"),
        }
    };
    let _ = stream.write_all(&GOODBYE);
    ConnectionOutcome::Answered(flight.finish(end))
}

fn walk(address: SocketAddr, mut walk: Walk) -> (Walk, WalkEnd) {
    loop {
        match walk.next() {
            WalkStep::Done(stop) => return (walk, stop),
            WalkStep::Ask(question) => {
                let outcome = ask(address, &question, walk.connections());
                walk.record(question, outcome);
            }
        }
    }
}

/// The topics that were asked for, with their answers.
fn asked(walk: &Walk) -> Vec<String> {
    let line = |it: &starttls_hello::Exchange| {
        let answer = match &it.outcome {
            ConnectionOutcome::Answered(Answer::Hello(flight)) => {
                format!("{:?} {}", flight.version(), flight.suite())
            }
            other => format!("{other:?}"),
        };
        format!("{} {} {}: {answer:.80}", it.question.topic, it.question.version, it.question.suites.len())
    };
    walk.exchanges().iter().map(line).collect()
}

#[track_caller]
fn versions(walk: &Walk, offered: &[Version]) {
    for version in Version::ALL {
        let expected = if offered.contains(version) { Support::Offered } else { Support::NotOffered };
        let known = walk.facts().version(*version);
        assert_eq!(known.value(), Some(expected), "{version}: {known:?} {:#?}", asked(walk));
    }
}

#[test]
fn a_modern_server_is_known_at_every_size() {
    let modern = OpenSsl::start(&["-no_tls1", "-no_tls1_1", "-cipher", "ECDHE+AESGCM:ECDHE+CHACHA20"]);
    for size in WalkSize::ALL {
        let (walk, stop) = walk(modern.address, Walk::new(*size));
        assert_eq!(stop, WalkEnd::Complete, "{size} {:#?}", asked(&walk));
        versions(&walk, &[Version::Tls12, Version::Tls13]);
        let facts = walk.facts();
        for class in SuiteClass::ALL.iter().filter(|class| **class <= SuiteClass::Ccm8) {
            assert_eq!(facts.class(Version::Tls12, *class).value(), Some(Support::NotOffered), "{class}");
        }
        assert!(facts.post_quantum().value().is_some());
        assert_eq!(facts.downgrade_mark().value(), Some(Support::Offered));
    }
}

#[test]
fn a_server_with_everything_is_known() {
    let server = OpenSsl::start(&["-cipher", EVERYTHING, "-dcert", "ec.pem", "-dkey", "ec.key"]);
    let (walk, stop) = walk(server.address, Walk::new(WalkSize::Survey));
    versions(&walk, &[Version::Tls10, Version::Tls11, Version::Tls12, Version::Tls13]);
    assert!(walk.connections() <= 30 && stop == WalkEnd::Complete, "{stop} {:#?}", asked(&walk));
    let facts = walk.facts();
    for (class, offer) in [
        (SuiteClass::Null, Support::Offered),
        (SuiteClass::Anonymous, Support::Offered),
        (SuiteClass::Static, Support::Offered),
        (SuiteClass::Dhe, Support::Offered),
        (SuiteClass::Cbc, Support::Offered),
        (SuiteClass::Ccm8, Support::Offered),
        (SuiteClass::Aead, Support::Offered),
        (SuiteClass::Export, Support::NotOffered),
        (SuiteClass::Rc4, Support::NotOffered),
        (SuiteClass::Des, Support::NotOffered),
        (SuiteClass::Block64, Support::NotOffered),
    ] {
        assert_eq!(facts.class(Version::Tls12, class).value(), Some(offer), "{class} {:#?}", asked(&walk));
    }
    for kind in [Authentication::Rsa, Authentication::Ecdsa] {
        assert_eq!(facts.key_type(kind).value(), Some(Support::Offered), "{kind}");
    }
    assert_eq!(facts.chains().len(), 2);
    assert_eq!(facts.dh_reuse().value(), Some(Support::NotOffered));
    assert_eq!(facts.fallback_scsv().value(), Some(Support::Offered));
    assert_eq!(facts.compression().value(), Some(Support::NotOffered));
    assert!(!facts.dh_parameters().is_empty());
    assert!(facts.dh_parameters().iter().all(|it| it.bits >= 1024));
    assert_eq!(facts.groups().first(), Some(&NamedGroup::X25519));
}

#[test]
fn a_full_walk_finds_the_suites_that_openssl_lists() {
    let server = OpenSsl::start(&["-cipher", EVERYTHING, "-dcert", "ec.pem", "-dkey", "ec.key"]);
    let (walk, stop) = walk(server.address, Walk::with_budget(WalkSize::Full, 250));
    assert_eq!(stop, WalkEnd::Complete, "{:#?}", asked(&walk));
    let facts = walk.facts();
    for (version, option) in
        [(Version::Tls12, "-tls1_2"), (Version::Tls11, "-tls1_1"), (Version::Tls10, "-tls1")]
    {
        let name =
            |suite: &CipherSuite| suite.info().and_then(|info| info.openssl_name()).unwrap().to_owned();
        let found: BTreeSet<_> = facts.suites(version).iter().map(name).collect();
        assert_eq!(found, OpenSsl::listed(EVERYTHING, option), "{version}");
        assert!(facts.is_complete(version), "{version}");
    }
}

#[test]
fn a_server_of_one_old_version_is_known() {
    let server = OpenSsl::start(&["-tls1", "-cipher", "AES128-SHA@SECLEVEL=0"]);
    let (walk, stop) = walk(server.address, Walk::new(WalkSize::Survey));
    assert_eq!(stop, WalkEnd::Complete);
    versions(&walk, &[Version::Tls10]);
    assert_eq!(walk.facts().suites(Version::Tls10), [CipherSuite(0x002f)]);
    assert_eq!(walk.facts().class(Version::Tls10, SuiteClass::Cbc).value(), Some(Support::NotOffered));
}
