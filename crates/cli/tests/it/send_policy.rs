//! `send` obeys DANE, MTA-STS and REQUIRETLS, against a DNS server, a policy host and mail exchangers in this process.

mod cache;

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::os::unix::net::UnixDatagram;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::spawn;
use std::time::Duration;

use serde_json::Value;
use starttls::Acceptor;
use starttls::proto::smtp::SMTP;
use starttls_lab::ca::{Authority, Leaf};
use tempfile::TempDir;

use crate::policy_check::{ENFORCE, policy_host, served};
use crate::schema;
use crate::support::tls_server::Duplex;
use crate::support::{Run, dns_server, starttls};

/// A mail exchanger.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Server {
    /// Its certificate is for this name, from an authority that the client trusts.
    Trusted(&'static str),
    /// The same, and it supports REQUIRETLS.
    RequireTls(&'static str),
    /// Its certificate is for this name, from an authority that the client does not trust.
    Untrusted(&'static str),
    /// It does not offer STARTTLS, and accepts mail in cleartext.
    Cleartext,
}

/// What the exchangers received: for each message whether it came inside TLS, the host's number and the MAIL command.
type Received = Arc<Mutex<Vec<(bool, usize, String)>>>;

/// A domain with its exchangers, which listen on the same port of different addresses.
struct World {
    trusted: Authority,
    folder: TempDir,
    port: u16,
    /// The SHA-256 of each exchanger's key as a TLSA record, and of the CA that issued its certificate.
    records: Vec<String>,
    received: Received,
    connections: Arc<AtomicUsize>,
}

fn address(host: usize) -> Ipv4Addr {
    Ipv4Addr::new(127, 8, 0, u8::try_from(host).unwrap())
}

impl World {
    fn new(servers: &[Server]) -> Self {
        let (trusted, untrusted) = (Authority::new().unwrap(), Authority::new().unwrap());
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("ca.pem"), trusted.root_pem()).unwrap();
        let listeners = listeners(servers.len());
        let port = listeners[0].local_addr().unwrap().port();
        let (received, connections) = (Received::default(), Arc::new(AtomicUsize::new(0)));
        let mut records = Vec::new();
        for (index, (server, listener)) in servers.iter().zip(listeners).enumerate() {
            let (authority, name) = match server {
                Server::Trusted(name) | Server::RequireTls(name) => (&trusted, *name),
                Server::Untrusted(name) => (&untrusted, *name),
                Server::Cleartext => (&trusted, "mx1.example.test"),
            };
            let issued = authority.issue(&Leaf::named(name)).unwrap();
            let file = folder.path().join(format!("{index}.pem"));
            std::fs::write(&file, &issued.chain_pem).unwrap();
            let mut command = starttls(["policy", "tlsa", "--name", "x.test", "--from"]);
            let run = Run::of(command.arg(&file)).exits(0);
            records.push(run.stdout.trim().rsplit_once("TLSA ").unwrap().1.to_owned());
            let acceptor = Acceptor::builder(&SMTP, name).certificate_pem(issued.chain_pem, issued.key_pem);
            let acceptor = acceptor.build().unwrap();
            let (server, received, connections) = (*server, received.clone(), connections.clone());
            spawn(move || {
                for mut stream in listener.incoming().flatten() {
                    connections.fetch_add(1, Ordering::SeqCst);
                    let (acceptor, received) = (acceptor.clone(), received.clone());
                    spawn(move || match server {
                        Server::Cleartext => {
                            let _ = stream.write_all(b"220 mx ESMTP\r\n");
                            mail(&mut stream, "250 mx", |from| {
                                received.lock().unwrap().push((false, index, from))
                            });
                        }
                        _ => {
                            let Ok(mut session) = acceptor.blocking().accept(stream) else { return };
                            let requires = matches!(server, Server::RequireTls(_));
                            let hello = if requires { "250-mx\r\n250 REQUIRETLS" } else { "250 mx" };
                            mail(&mut session, hello, |from| {
                                received.lock().unwrap().push((true, index, from))
                            });
                        }
                    });
                }
            });
        }
        Self { trusted, folder, port, records, received, connections }
    }

    /// Sends a message to the domain, and returns the run and its report.
    fn send(&self, zone: &str, policy: &str, rest: &[&str]) -> (Run, Value) {
        self.received.lock().unwrap().clear();
        self.connections.store(0, Ordering::SeqCst);
        let mut zone = zone.replace("_25", &format!("_{}", self.port));
        for (index, record) in self.records.iter().enumerate() {
            zone = zone.replace(&format!("{{tlsa{}}}", index + 1), record);
            zone = zone.replace(&format!("{{ip{}}}", index + 1), &address(index + 1).to_string());
        }
        let sts_port = policy_host(&self.trusted, "mta-sts.example.test", served(policy));
        let mut command = starttls(["send", "--mx", "--no-system-roots", "--timeout", "20s", "--ca-file"]);
        command.arg(self.folder.path().join("ca.pem"));
        command.args(["--resolver", &dns_server::server(&zone).to_string()]);
        command.args(["--mx-port", &self.port.to_string(), "--sts-port", &sts_port.to_string()]);
        command.args(["--to", "jane@example.test", "--body", "x", "--format", "json"]).args(rest);
        let run = Run::of(&mut command);
        let report = run.json();
        schema::fits_in("send.json", &report);
        assert_eq!(report["exit_code"], run.code, "{report}");
        (run, report)
    }
}

/// Returns listeners on the same port of as many addresses.
fn listeners(count: usize) -> Vec<TcpListener> {
    for _ in 0..100 {
        let first = TcpListener::bind((address(1), 0)).unwrap();
        let port = first.local_addr().unwrap().port();
        let others: Result<Vec<_>, _> =
            (2..=count).map(|host| TcpListener::bind(SocketAddr::from((address(host), port)))).collect();
        if let Ok(others) = others {
            return std::iter::once(first).chain(others).collect();
        }
    }
    panic!("no port is free on all addresses");
}

/// Accepts messages, and reports the MAIL command of each.
fn mail(stream: &mut dyn Duplex, hello: &str, done: impl Fn(String)) {
    let mut from = String::new();
    loop {
        let line = crate::support::tls_server::hear(stream, b"\r\n");
        let line = String::from_utf8_lossy(&line).trim_end().to_owned();
        let reply = match line.get(..4) {
            Some("EHLO") => hello,
            Some("MAIL") => {
                from = line;
                "250 ok"
            }
            Some("DATA") => {
                let _ = stream.write_all(b"354 go on\r\n");
                crate::support::tls_server::hear(stream, b"\r\n.\r\n");
                done(from.clone());
                "250 delivered"
            }
            Some("QUIT") => "221 bye",
            Some("STAR") => "502 no",
            None => return,
            Some(_) => "250 ok",
        };
        let _ = stream.write_all(format!("{reply}\r\n").as_bytes());
    }
}

/// One exchanger, everything signed, with TLSA records.
const DANE: &str = "
    .                          NS     ns.test
    .                          SECURE
    example.test               MX     10 mx1.example.test
    example.test               SECURE
    mx1.example.test           A      {ip1}
    mx1.example.test           SECURE
    _25._tcp.mx1.example.test  TLSA   {tlsa1}
    _25._tcp.mx1.example.test  SECURE
";

/// The same for a second exchanger.
const SECOND: &str = "
    example.test               MX     20 mx2.example.test
    mx2.example.test           A      {ip2}
    mx2.example.test           SECURE
    _25._tcp.mx2.example.test  TLSA   {tlsa2}
    _25._tcp.mx2.example.test  SECURE
";

/// MTA-STS.
const STS: &str = "
    _mta-sts.example.test      TXT    v=STSv1; id=1
    mta-sts.example.test       A      127.0.0.1
";

const WRONG: &str = "3 1 1 abababababababababababababababababababababababababababababababab";
const UNUSABLE: &str = "1 1 1 abababababababababababababababababababababababababababababababab";

fn without(zone: &str, part: &str) -> String {
    let kept: Vec<&str> = zone.lines().filter(|it| !it.contains(part)).collect();
    kept.join("\n")
}

/// Returns the zone with an MX record that is not signed.
fn unsigned(zone: &str) -> String {
    let kept: Vec<&str> =
        zone.lines().filter(|it| !it.trim_start().starts_with("example.test               SECURE")).collect();
    kept.join("\n")
}

/// What is expected of a delivery: the exit code, the kind of the last attempt's policy, and the exchanger that got the
/// message.
type Expected = (i32, &'static str, Option<usize>);

struct Row {
    name: &'static str,
    zone: String,
    policy: String,
    options: &'static [&'static str],
    expected: Expected,
    /// A part of the error.
    says: &'static str,
}

fn row(
    name: &'static str,
    zone: String,
    policy: String,
    options: &'static [&'static str],
    expected: Expected,
    says: &'static str,
) -> Row {
    Row { name, zone, policy, options, expected, says }
}

/// Returns a row with an enforced MTA-STS policy.
fn enforced(
    name: &'static str,
    zone: String,
    options: &'static [&'static str],
    expected: Expected,
    says: &'static str,
) -> Row {
    row(name, zone, enforce(), options, expected, says)
}

fn run(world: &World, rows: Vec<Row>) {
    for Row { name, zone, policy, options, expected, says } in rows {
        let (run, report) = world.send(&zone, &policy, options);
        let received = world.received.lock().unwrap().clone();
        assert!(received.iter().all(|(tls, ..)| *tls), "{name}: delivered in cleartext");
        let host = received.first().map(|(_, host, _)| host + 1);
        let kind = report["attempts"]
            .as_array()
            .unwrap()
            .last()
            .map_or("-", |it| it["policy"]["kind"].as_str().unwrap());
        assert_eq!((run.code, kind, host), expected, "{name}: {report}");
        let message = report["error"]["message"].as_str().unwrap_or_default();
        assert!(message.contains(says), "{name}: {message}");
        if expected.0 != 0 {
            assert!(report["error"]["hint"].is_string(), "{name}: no hint: {report}");
        }
    }
}

fn enforce() -> String {
    ENFORCE.replace("mx.example.test", "mx1.example.test")
}

#[test]
fn dane_governs_where_it_authenticates() {
    let world = World::new(&[Server::Untrusted("other.test"), Server::Trusted("mx2.example.test")]);
    let both = format!("{DANE}{SECOND}");
    let row = enforced;
    let wrong = || DANE.replace("{tlsa1}", WRONG);
    let failing =
        |zone: &str| zone.replace("_25._tcp.mx1.example.test  SECURE", "_25._tcp.mx1.example.test SERVFAIL");
    run(
        &world,
        vec![
            // Neither the name nor the issuer matters for usage 3.
            row("a record matches", DANE.into(), &[], (0, "dane", Some(1)), ""),
            row("MTA-STS changes nothing", format!("{DANE}{STS}"), &[], (0, "dane", Some(1)), ""),
            row(
                "MTA-STS is required too",
                format!("{DANE}{STS}"),
                &["--policy", "sts"],
                (5, "dane-and-sts", None),
                "forbids",
            ),
            row(
                "no record matches",
                wrong(),
                &[],
                (5, "dane", None),
                "DANE for mx1.example.test forbids the delivery: ",
            ),
            row(
                "--insecure changes nothing",
                wrong(),
                &["--insecure"],
                (5, "dane", None),
                "no TLSA record matches",
            ),
            row(
                "one of two matches",
                format!("{DANE}\n_25._tcp.mx1.example.test TLSA {WRONG}"),
                &[],
                (0, "dane", Some(1)),
                "",
            ),
            row("the second exchanger", both.replace("{tlsa1}", WRONG), &[], (0, "dane", Some(2)), ""),
            row(
                "the lookup fails",
                failing(DANE),
                &[],
                (7, "dane", None),
                "no delivery to mx1.example.test: the lookup of _",
            ),
            row(
                "the lookup fails with MTA-STS",
                failing(&format!("{DANE}{STS}")),
                &[],
                (7, "dane", None),
                "the lookup of _",
            ),
            row("the lookup fails, the second exchanger", failing(&both), &[], (0, "dane", Some(2)), ""),
            row("no policy", without(DANE, "_tcp"), &[], (5, "none", None), "certificate"),
            row("no policy, not verified", without(DANE, "_tcp"), &["--insecure"], (0, "none", Some(1)), ""),
            row("not obeyed", wrong(), &["--policy", "none", "--insecure"], (0, "none", Some(1)), ""),
            row("not enforced", wrong(), &["--tls-optional"], (0, "dane", Some(1)), ""),
            row("not enforced, failing", failing(DANE), &["--tls-optional"], (0, "dane", Some(1)), ""),
        ],
    );
    let (_, report) = world.send(DANE, "", &[]);
    let policy = &report["attempts"][0]["policy"];
    assert_eq!(
        (&policy["domain"], &policy["source"]),
        (&"mx1.example.test".into(), &"dnssec".into()),
        "{report}"
    );
    assert_eq!(policy["matched"], world.records[0].as_str(), "{report}");
    // A host whose lookup failed is not connected to.
    world.send(&failing(DANE), "", &[]);
    assert_eq!(world.connections.load(Ordering::SeqCst), 0);
}

#[test]
fn unusable_records_require_tls_and_mta_sts_adds_authentication() {
    let world = World::new(&[Server::Trusted("mx1.example.test")]);
    let unusable = DANE.replace("{tlsa1}", UNUSABLE);
    let with_sts = format!("{unusable}{STS}");
    let other = || enforce().replace("mx1", "mx9");
    run(
        &world,
        vec![
            row("trusted", unusable.clone(), String::new(), &[], (0, "dane-unusable", Some(1)), ""),
            row("MTA-STS", with_sts.clone(), enforce(), &[], (0, "sts", Some(1)), ""),
            row("MTA-STS, not covered", with_sts.clone(), other(), &[], (5, "sts", None), "no mx pattern"),
            row(
                "MTA-STS testing",
                with_sts.clone(),
                other().replace("enforce", "testing"),
                &[],
                (0, "dane-unusable", Some(1)),
                "",
            ),
            row(
                "DANE alone is obeyed",
                with_sts,
                other(),
                &["--policy", "dane"],
                (0, "dane-unusable", Some(1)),
                "",
            ),
        ],
    );
    let world = World::new(&[Server::Untrusted("mx1.example.test")]);
    run(
        &world,
        vec![
            row(
                "as without a policy",
                unusable.clone(),
                String::new(),
                &[],
                (5, "dane-unusable", None),
                "DANE for mx1",
            ),
            row(
                "not verified",
                unusable.clone(),
                String::new(),
                &["--insecure"],
                (0, "dane-unusable", Some(1)),
                "",
            ),
            row(
                "MTA-STS",
                format!("{unusable}{STS}"),
                enforce(),
                &["--insecure"],
                (5, "sts", None),
                "the MTA-STS policy of example.test forbids",
            ),
        ],
    );
}

#[test]
fn mta_sts_governs_without_dane() {
    let zone = format!("{}{STS}", without(DANE, "_tcp"));
    let row = |name, zone: &String, policy, options, expected, says| {
        row(name, zone.clone(), policy, options, expected, says)
    };
    let world = World::new(&[Server::Trusted("mx1.example.test")]);
    let unknown = zone.replace("_mta-sts.example.test      TXT", "_mta-sts.example.test SERVFAIL #");
    run(
        &world,
        vec![
            row("covered", &zone, enforce(), &[], (0, "sts", Some(1)), ""),
            row(
                "covered by a wildcard",
                &zone,
                enforce().replace("mx1.", "*."),
                &[],
                (0, "sts", Some(1)),
                "",
            ),
            row("not covered", &zone, enforce().replace("mx1.", ""), &[], (5, "sts", None), "no mx pattern"),
            row(
                "another server name",
                &zone,
                enforce(),
                &["--server-name", "localhost"],
                (0, "sts", Some(1)),
                "",
            ),
            row(
                "testing",
                &zone,
                enforce().replace("mx1", "x").replace("enforce", "testing"),
                &[],
                (0, "none", Some(1)),
                "",
            ),
            row("none", &zone, enforce().replace("enforce", "none"), &[], (0, "none", Some(1)), ""),
            row("invalid", &zone, enforce().replace("enforce", "Enforce"), &[], (0, "none", Some(1)), ""),
            row("unknown", &unknown, enforce(), &[], (0, "none", Some(1)), ""),
            row(
                "DANE only",
                &zone,
                enforce().replace("mx1", "x"),
                &["--policy", "dane"],
                (0, "none", Some(1)),
                "",
            ),
        ],
    );
    let (_, report) = world.send(&unknown, &enforce(), &[]);
    let note = report["policy_notes"][0].as_str().unwrap();
    assert!(note.contains("the MTA-STS policy of example.test is unknown: the lookup of _mta-sts"), "{note}");
    let (_, report) = world.send(&zone, &enforce(), &[]);
    let policy = &report["attempts"][0]["policy"];
    assert_eq!((&policy["domain"], &policy["source"]), (&"example.test".into(), &"fetched".into()));
    // In seconds.
    assert!(policy["age"].as_u64().is_some_and(|age| age < 600), "{report}");
    for server in [Server::Trusted("other.example.test"), Server::Untrusted("mx1.example.test")] {
        let world = World::new(&[server]);
        run(
            &world,
            vec![
                row(
                    "the certificate",
                    &zone,
                    enforce(),
                    &[],
                    (5, "sts", None),
                    "the MTA-STS policy of example.test forbids",
                ),
                row(
                    "--insecure",
                    &zone,
                    enforce(),
                    &["--insecure"],
                    (5, "sts", None),
                    "forbids the delivery",
                ),
                row("not enforced", &zone, enforce(), &["--tls-optional"], (0, "sts", Some(1)), ""),
            ],
        );
    }
}

#[test]
fn with_unsigned_mx_records_dane_and_mta_sts_must_both_hold() {
    let row = |name, zone, expected, says| enforced(name, zone, &[], expected, says);
    let half = unsigned(DANE);
    let with_sts = format!("{half}{STS}");
    let world = World::new(&[Server::Trusted("mx1.example.test")]);
    run(
        &world,
        vec![
            row("both hold", with_sts.clone(), (0, "dane-and-sts", Some(1)), ""),
            row(
                "no record matches",
                with_sts.replace("{tlsa1}", WRONG),
                (5, "dane-and-sts", None),
                "no TLSA record matches",
            ),
            row("DANE alone", half.clone(), (0, "dane", Some(1)), ""),
            row(
                "DANE alone, no record matches",
                half.replace("{tlsa1}", WRONG),
                (5, "dane", None),
                "no TLSA record matches",
            ),
        ],
    );
    let world = World::new(&[Server::Untrusted("mx1.example.test")]);
    run(&world, vec![row("not trusted", with_sts, (5, "dane-and-sts", None), "forbids the delivery")]);
}

#[test]
fn a_policy_prevents_delivery_in_cleartext() {
    let world = World::new(&[Server::Cleartext, Server::Trusted("mx2.example.test")]);
    let row = enforced;
    let sts = || format!("{}{STS}", without(DANE, "_tcp"));
    run(
        &world,
        vec![
            row(
                "DANE",
                DANE.into(),
                &[],
                (4, "dane", None),
                "DANE for mx1.example.test forbids the delivery: ",
            ),
            row(
                "unusable",
                DANE.replace("{tlsa1}", UNUSABLE),
                &["--insecure"],
                (4, "dane-unusable", None),
                "DANE for mx1",
            ),
            row(
                "MTA-STS",
                sts(),
                &["--insecure"],
                (4, "sts", None),
                "the MTA-STS policy of example.test forbids",
            ),
            row("REQUIRETLS", DANE.into(), &["--require-tls"], (4, "dane", None), "DANE for mx1"),
            row("another exchanger", format!("{DANE}{SECOND}"), &[], (0, "dane", Some(2)), ""),
        ],
    );
    let (run, _) = world.send(DANE, "", &["--tls-optional"]);
    assert_eq!((run.code, world.received.lock().unwrap().len()), (4, 0));
}

#[test]
fn requiretls_needs_a_proof_an_authenticated_server_and_the_keyword() {
    let world = World::new(&[Server::Trusted("mx1.example.test"), Server::RequireTls("mx2.example.test")]);
    let row =
        |name, zone, policy, expected, says| row(name, zone, policy, &["--require-tls"], expected, says);
    let second = DANE.replace("mx1", "mx2").replace("1}", "2}");
    let no_tlsa = without(&second, "_tcp");
    let covered = enforce().replace("mx1", "mx2");
    run(
        &world,
        vec![
            row(
                "without the keyword",
                DANE.into(),
                String::new(),
                (1, "dane", None),
                "does not offer REQUIRETLS",
            ),
            row("the next exchanger", format!("{DANE}{SECOND}"), String::new(), (0, "dane", Some(2)), ""),
            row("DANE", second.clone(), String::new(), (0, "dane", Some(2)), ""),
            row(
                "signed MX records and a trusted certificate",
                no_tlsa.clone(),
                String::new(),
                (0, "none", Some(2)),
                "",
            ),
            row(
                "nothing proves the exchanger",
                unsigned(&no_tlsa),
                String::new(),
                (5, "none", None),
                "REQUIRETLS needs a proof",
            ),
            row(
                "MTA-STS proves it",
                format!("{}{STS}", unsigned(&no_tlsa)),
                covered.clone(),
                (0, "sts", Some(2)),
                "",
            ),
            row(
                "mode testing proves it",
                format!("{}{STS}", unsigned(&no_tlsa)),
                covered.replace("enforce", "testing"),
                (0, "sts", Some(2)),
                "",
            ),
            row(
                "mode none does not",
                format!("{}{STS}", unsigned(&no_tlsa)),
                covered.replace("enforce", "none"),
                (5, "none", None),
                "REQUIRETLS needs a proof",
            ),
            row(
                "DANE without signed MX records",
                unsigned(&second),
                String::new(),
                (5, "none", None),
                "REQUIRETLS needs a proof",
            ),
        ],
    );
    world.send(&second, "", &["--require-tls"]);
    let commands = world.received.lock().unwrap().clone();
    assert_eq!(commands[0].2, "MAIL FROM:<> REQUIRETLS");
    let world = World::new(&[Server::RequireTls("mx9.example.test")]);
    let (run, report) = world.send(&without(DANE, "_tcp"), "", &["--require-tls"]);
    assert_eq!((run.code, world.received.lock().unwrap().len()), (5, 0), "{report}");
}

#[test]
fn without_dnssec_only_mta_sts_governs() {
    let world = World::new(&[Server::Trusted("mx1.example.test")]);
    // Without AD at the root, every answer counts as not signed by a resolver of this kind.
    let zone: String = DANE.lines().filter(|it| !it.contains("SECURE")).map(|it| format!("{it}\n")).collect();
    let (run, report) = world.send(&zone.replace("{tlsa1}", WRONG), "", &[]);
    assert_eq!((run.code, &report["attempts"][0]["policy"]["kind"]), (0, &"none".into()), "{report}");
    let note = report["policy_notes"][0].as_str().unwrap();
    assert!(note.starts_with("DANE is not available: the resolver "), "{note}");
    let (run, report) = world.send_code(&zone, &["--policy", "dane"]);
    assert_eq!(run, 7, "{report}");
    assert!(report.contains("hint: use a resolver on this machine"), "{report}");
}

#[test]
fn a_target_is_held_to_its_policies_if_the_user_asks() {
    let world = World::new(&[Server::Untrusted("other.test")]);
    let send = |record: &str, options: &[&str]| {
        let port = world.port;
        let zone = DANE.replace("_25", &format!("_{port}")).replace("{tlsa1}", record);
        let zone = zone.replace("{ip1}", &address(1).to_string());
        let mut command = starttls(["send", "--no-system-roots", "--ca-file"]);
        command.arg(world.folder.path().join("ca.pem")).arg(format!("smtp://mx1.example.test:{port}"));
        command.args(["--connect", &address(1).to_string(), "--to", "jane@example.test", "--body", "x"]);
        Run::of(command.args(["--resolver", &dns_server::server(&zone).to_string()]).args(options))
    };
    send(&world.records[0], &["--policy", "dane"]).exits(0).says("Policy        DANE for mx1.example.test: ");
    send(WRONG, &["--policy", "dane"]).exits(5).says("DANE for mx1.example.test forbids the delivery");
    // The header field of the message does not turn off what the user asks for.
    send(WRONG, &["--policy", "dane", "--tls-optional"]).exits(5);
    let run = send(&world.records[0], &[]).exits(5);
    assert!(!run.stderr.contains("Policy"), "{}", run.stderr);
}

impl World {
    /// Sends a message without a report, and returns the exit code and the messages.
    fn send_code(&self, zone: &str, rest: &[&str]) -> (i32, String) {
        let mut command = starttls(["send", "--mx", "--to", "jane@example.test", "--body", "x"]);
        command.args(["--resolver", &dns_server::server(zone).to_string()]).args(rest);
        let run = Run::of(&mut command);
        (run.code, run.stderr)
    }
}

#[test]
fn a_failed_mx_lookup_is_inconclusive() {
    let world = World::new(&[Server::Trusted("mx1.example.test")]);
    let (code, text) = world.send_code(". NS ns.test\n. SECURE\nexample.test SERVFAIL", &[]);
    assert_eq!(code, 7, "{text}");
    assert!(text.contains(
        "cannot look up the mail exchangers of example.test: the resolver answered SERVFAIL\nhint: "
    ));
}

#[test]
fn each_session_is_reported_to_a_collector() {
    let world = World::new(&[Server::Untrusted("other.test"), Server::Cleartext]);
    let socket = world.folder.path().join("tlsrpt.socket");
    let collector = UnixDatagram::bind(&socket).unwrap();
    collector.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let option = ["--tlsrpt", socket.to_str().unwrap()];
    let zone = format!("{DANE}_smtp._tls.example.test TXT v=TLSRPTv1; rua=mailto:tls@example.test\n");
    let received = |zone: &str, policy: &str| {
        world.send(zone, policy, &option);
        let mut datagram = vec![0; 65_536];
        let length = collector.recv(&mut datagram).unwrap();
        serde_json::from_slice::<Value>(&datagram[..length]).unwrap()
    };
    let report = received(&zone, "");
    assert_eq!((&report["dpv"], &report["d"]), (&"1".into(), &"example.test".into()), "{report}");
    assert_eq!(report["pr"], "v=TLSRPTv1; rua=mailto:tls@example.test");
    let policy = &report["policies"][0];
    assert_eq!((&policy["policy-type"], &policy["policy-domain"]), (&1.into(), &"mx1.example.test".into()));
    assert_eq!(
        (&policy["t"], &policy["f"], &policy["policy-string"][0]),
        (&0.into(), &0.into(), &world.records[0].as_str().into())
    );
    let no_tlsa = without(&zone, "_tcp");
    let sts = format!("{no_tlsa}\n{STS}");
    let cleartext = without(&zone, "{tlsa1}").replace("{ip1}", "{ip2}")
        + "\n_25._tcp.mx1.example.test TLSA {tlsa2}\n_25._tcp.mx1.example.test SECURE";
    for (name, zone, text, kind, code, reason) in [
        ("no record matches", zone.replace("{tlsa1}", WRONG), String::new(), 1, 205, Some("dane-no-match")),
        ("no STARTTLS", cleartext, String::new(), 1, 201, None),
        ("not trusted", sts.clone(), enforce(), 2, 203, None),
        ("not covered", sts, enforce().replace("mx1", "mx9"), 2, 205, Some("mx-not-in-policy")),
    ] {
        let report = received(&zone, &text);
        let policy = &report["policies"][0];
        assert_eq!(
            (&policy["policy-type"], &policy["t"], &policy["f"]),
            (&kind.into(), &1.into(), &1.into()),
            "{name}: {report}"
        );
        let failure = &policy["failure-details"][0];
        assert_eq!((failure["c"].as_u64(), failure["f"].as_str()), (Some(code), reason), "{name}: {report}");
        assert_eq!(failure["n"], "mx1.example.test", "{name}: {report}");
    }
    let invalid = received(&format!("{no_tlsa}\n{STS}"), "version: STSv2\n");
    assert_eq!(
        (&invalid["policies"][0]["policy-type"], &invalid["policies"][1]["failure-details"][0]["c"]),
        (&9.into(), &302.into())
    );
    // Without a record nothing is reported, and a missing collector does not prevent the delivery.
    collector.set_nonblocking(true).unwrap();
    world.send(DANE, "", &option);
    assert!(collector.recv(&mut [0; 9]).is_err());
    drop(collector);
    std::fs::remove_file(&socket).unwrap();
    let (run, _) = world.send(&zone, "", &option);
    assert!(
        run.code == 0 && run.stderr.contains("warning: cannot report to the collector"),
        "{}",
        run.stderr
    );
}
