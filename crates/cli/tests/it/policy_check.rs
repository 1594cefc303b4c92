//! `starttls policy check` against a DNS server, a policy host and a mail exchanger in this process.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::thread::spawn;

use serde_json::Value;
use starttls::Acceptor;
use starttls::proto::{http::HTTP, smtp::SMTP};
use starttls_lab::ca::{Authority, Leaf};
use tempfile::TempDir;

use crate::support::tls_server::hear;
use crate::support::{Run, dns_server, starttls};
use crate::{schema, shows};

/// The servers of a domain.
struct World {
    authority: Arc<Authority>,
    /// An exchanger whose certificate is for mx.example.test.
    exchanger: SocketAddr,
    folder: TempDir,
}

impl World {
    fn new() -> Self {
        let authority = Arc::new(Authority::new().unwrap());
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("ca.pem"), authority.root_pem()).unwrap();
        let exchanger = exchanger(&authority, "mx.example.test");
        Self { authority, exchanger, folder }
    }

    /// Returns the TLSA record of the exchanger's key.
    fn record(&self) -> String {
        let target = format!("smtp://{}", self.exchanger);
        let run = Run::of(&mut starttls(["policy", "tlsa", "--name", "x.test", "--live", &target])).exits(0);
        run.stdout.trim().rsplit_once("TLSA ").unwrap().1.to_owned()
    }

    fn command(&self, zone: &str, policy_port: u16, rest: &[&str]) -> Run {
        let port = self.exchanger.port();
        let zone = zone.replace("_25", &format!("_{port}"));
        let mut command =
            starttls(["policy", "check", "example.test", "--no-system-roots", "--timeout", "20s"]);
        command.arg("--ca-file").arg(self.folder.path().join("ca.pem"));
        command.args(["--resolver", &dns_server::server(&zone).to_string(), "--port", &port.to_string()]);
        command.args(["--sts-port", &policy_port.to_string()]).args(rest);
        Run::of(&mut command)
    }

    /// Returns the report as data, and its rows as "SEVERITY ID".
    fn check(&self, zone: &str, policy_port: u16) -> (Value, Vec<String>) {
        let run = self.command(zone, policy_port, &["--format", "json"]);
        let report = run.json();
        schema::fits_in("policy-check.json", &report);
        assert_eq!(report["exit_code"], run.code);
        let row =
            |row: &Value| format!("{} {}", row["severity"].as_str().unwrap(), row["id"].as_str().unwrap());
        let rows = report["findings"].as_array().unwrap().iter().map(row).collect();
        (report, rows)
    }
}

fn exchanger(authority: &Authority, name: &str) -> SocketAddr {
    exchanger_with(authority, name, "250 mx")
}

/// Starts an exchanger that answers every command inside TLS with this reply.
fn exchanger_with(authority: &Authority, name: &str, reply: &'static str) -> SocketAddr {
    let issued = authority.issue(&Leaf::named(name)).unwrap();
    let acceptor =
        Acceptor::builder(&SMTP, name).certificate_pem(issued.chain_pem, issued.key_pem).build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    spawn(move || {
        for stream in listener.incoming().flatten() {
            let acceptor = acceptor.clone();
            spawn(move || {
                let Ok(mut session) = acceptor.blocking().accept(stream) else { return };
                while !hear(&mut session, b"\r\n").is_empty() {
                    let _ = session.write_all(format!("{reply}\r\n").as_bytes());
                }
            });
        }
    });
    address
}

/// Starts a policy host that sends this answer, and returns its port.
pub(crate) fn policy_host(authority: &Authority, name: &str, answer: String) -> u16 {
    let issued = authority.issue(&Leaf::named(name)).unwrap();
    let acceptor =
        Acceptor::builder(&HTTP, name).certificate_pem(issued.chain_pem, issued.key_pem).build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    spawn(move || {
        for stream in listener.incoming().flatten() {
            let (acceptor, answer) = (acceptor.clone(), answer.clone());
            spawn(move || {
                let Ok(mut session) = acceptor.blocking().accept_implicit(stream) else { return };
                let (mut request, mut octet) = (Vec::new(), [0]);
                while !request.ends_with(b"\r\n\r\n") && matches!(session.read(&mut octet), Ok(1)) {
                    request.push(octet[0]);
                }
                assert!(request.starts_with(b"GET /.well-known/mta-sts.txt HTTP/1.1\r\n"));
                // The client may stop reading at its limit.
                let _ = session.write_all(answer.as_bytes());
                let _ = session.close();
            });
        }
    });
    port
}

pub(crate) fn served(text: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{text}", text.len())
}

pub(crate) const ENFORCE: &str =
    "version: STSv1\r\nmode: enforce\r\nmax_age: 1209600\r\nmx: mx.example.test\r\n";

/// A domain with signed records. `{tlsa}` is the record of the exchanger.
const ZONE: &str = "
    .                               NS     ns.test
    .                               SECURE
    example.test                    MX     10 mx.example.test
    example.test                    SECURE
    mx.example.test                 A      127.0.0.1
    mx.example.test                 SECURE
    _25._tcp.mx.example.test        TLSA   {tlsa}
    _25._tcp.mx.example.test        SECURE
    _mta-sts.example.test           TXT    v=STSv1; id=1
    mta-sts.example.test            A      127.0.0.1
    _smtp._tls.example.test         TXT    v=TLSRPTv1; rua=mailto:tls@example.test
    example.test                    CAA    issue ca.example
";

/// A record for a key that is not in use.
const SPARE: &str =
    "_25._tcp.mx.example.test TLSA 3 1 1 cdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcdcd";

#[test]
fn a_sound_domain_has_no_problems() {
    let world = World::new();
    let port = policy_host(&world.authority, "mta-sts.example.test", served(ENFORCE));
    let zone = ZONE.replace("{tlsa}", &world.record());
    let (report, rows) = world.check(&zone, port);
    assert_eq!(
        (rows, &report["exit_code"]),
        (vec![String::from("info dane-spare")], &Value::from(0)),
        "{report}"
    );
    assert_eq!(report["decision"]["postfix"], "OK dane-only");
    assert_eq!(report["decision"]["send"][0]["authenticated_by"][0], "dane");
    let steps: Vec<_> =
        report["decision"]["steps"].as_array().unwrap().iter().map(|it| &it["step"]).collect();
    assert_eq!(steps, ["M7", "H3", "T3"]);
    assert_eq!(report["sts"]["mode"], "enforce");
    shows!("policy-check", world.command(&zone, port, &[]).exits(0).stdout.replace("1 1 1 ", ""));
}

/// Each change to the sound domain has its own finding.
#[test]
fn each_fault_of_dns_has_its_finding() {
    let world = World::new();
    let port = policy_host(&world.authority, "mta-sts.example.test", served(ENFORCE));
    let zone = ZONE.replace("{tlsa}", &world.record());
    let wrong = format!("3 1 1 {}", "00".repeat(32));
    for (name, from, to, expected, postfix) in [
        ("wrong digest", world.record().as_str(), wrong.as_str(), "critical dane-mismatch", "OK dane-only"),
        ("wrong CA", &world.record(), &wrong.replace('3', "2"), "error dane-anchor", "OK dane-only"),
        (
            "usage 1 only",
            &world.record(),
            &wrong.replace('3', "1"),
            "error dane-unusable",
            "OK secure match=mx.example.test servername=hostname",
        ),
        (
            "TLSA fails",
            "_25._tcp.mx.example.test        SECURE",
            "_25._tcp.mx.example.test        SERVFAIL",
            "critical dane-lookup",
            "TEMP",
        ),
        (
            "address fails",
            "mx.example.test                 SECURE",
            "mx.example.test                 SERVFAIL",
            "critical dane-lookup",
            "TEMP",
        ),
        (
            "MX fails",
            "example.test                    SECURE",
            "example.test                    SERVFAIL",
            "inconclusive mx-lookup",
            "TEMP",
        ),
        (
            "MX is not signed",
            "example.test                    SECURE",
            "",
            "warning mx-unsigned",
            "OK secure",
        ),
        (
            "exchanger without address",
            "mx.example.test                 A      127.0.0.1",
            "",
            "warning mx-address",
            "",
        ),
        ("an address as exchanger", "10 mx.example.test", "10 127.0.0.1", "warning mx-literal", ""),
        (
            "an exchanger without records",
            "example.test                    SECURE",
            "example.test SECURE\nexample.test MX 20 mx2.example.test\nmx2.example.test A 127.0.0.1",
            "warning dane-partial",
            "OK secure",
        ),
        (
            "not covered",
            "10 mx.example.test",
            "10 other.example.test\nother.example.test A 127.0.0.1",
            "critical sts-mx-uncovered",
            "OK secure",
        ),
        (
            "the name beside the records fails",
            "_25._tcp.mx.example.test        SECURE",
            "_25._tcp.mx.example.test SECURE\n_25._tcp.mx.example.test FAILING 1",
            "error dane-denial",
            "OK dane-only",
        ),
        (
            "a signature has ended",
            "_25._tcp.mx.example.test        SECURE",
            "_25._tcp.mx.example.test SECURE\n_25._tcp.mx.example.test RRSIG 52 1000000000",
            "warning dane-signature",
            "OK dane-only",
        ),
        (
            "a record for the next key",
            "_25._tcp.mx.example.test        SECURE",
            &format!("_25._tcp.mx.example.test SECURE\n{SPARE}"),
            "info dane-stale",
            "OK dane-only",
        ),
        ("no CAA record", "CAA    issue ca.example", "NS ns.test", "info caa-absent", ""),
        ("no CA may issue", "issue ca.example", "issue ;", "warning caa-forbids", ""),
        (
            "CAA fails",
            "example.test                    CAA    issue ca.example",
            "example.test FAILING 257",
            "warning caa-lookup",
            "",
        ),
        ("no record", "v=STSv1; id=1", "v=spf1 -all", "info sts-absent", "OK dane-only"),
        (
            "two records",
            "v=STSv1; id=1",
            "v=STSv1; id=1\n_mta-sts.example.test TXT v=STSv1; id=2",
            "error sts-multiple",
            "",
        ),
        ("invalid id", "id=1", "id=1-2", "error sts-record", ""),
        ("no policy host", "mta-sts.example.test            A      127.0.0.1", "", "error sts-fetch", ""),
        ("no reports", "v=TLSRPTv1", "v=other", "warning rpt-absent", ""),
        ("no destination", "mailto:tls@", "tls@", "error rpt-record", ""),
        (
            "one destination of two",
            "mailto:tls@example.test",
            "mailto:tls@example.test,http://x",
            "error rpt-uri",
            "",
        ),
        ("no DNSSEC", ".                               SECURE", "", "inconclusive dane-lookup", ""),
    ] {
        let changed = zone.replacen(&format!("    {from}"), &format!("    {to}"), 1);
        let changed = if changed == zone { zone.replacen(from, to, 1) } else { changed };
        assert_ne!(changed, zone, "{name}");
        let (report, rows) = world.check(&changed, port);
        assert!(rows.iter().any(|it| it == expected), "{name}: {rows:#?}\n{report}");
        let answer = report["decision"]["postfix"].as_str().unwrap();
        assert!(answer.starts_with(postfix), "{name}: {answer}");
        let exit = match expected.split(' ').next().unwrap() {
            "info" => 0,
            "inconclusive" => 7,
            _ => 1,
        };
        assert!(report["exit_code"] == exit || report["exit_code"] == 1, "{name}: {report}");
        assert_ne!((report["exit_code"].as_u64(), exit), (Some(0), 1), "{name}");
    }
}

#[test]
fn each_fault_of_the_policy_host_has_its_finding() {
    let world = World::new();
    let zone = ZONE.replace("{tlsa}", &world.record());
    let right = "mta-sts.example.test";
    let head = |status: &str, more: &str| format!("HTTP/1.1 {status}\r\n{more}Content-Length: 0\r\n\r\n");
    for (name, host, answer, expected) in [
        ("another name", "www.example.test", served(ENFORCE), "error sts-host-certificate"),
        (
            "redirection",
            right,
            head("301 Moved", "Location: https://example.test/\r\n"),
            "error sts-redirect",
        ),
        ("not found", right, head("404 Not Found", ""), "error sts-fetch"),
        ("HTML", right, served(ENFORCE).replace("text/plain", "text/html"), "error sts-type"),
        ("no type", right, served(ENFORCE).replace("Content-Type: text/plain\r\n", ""), "error sts-type"),
        ("too large", right, served(&format!("{ENFORCE}{}", "x: y\r\n".repeat(20_000))), "error sts-size"),
        ("not HTTP", right, String::from("220 mail ESMTP\r\n"), "error sts-fetch"),
        ("endless head", right, format!("HTTP/1.1 200 OK\r\nX: {}", "y".repeat(200_000)), "error sts-fetch"),
        ("cut body", right, served(ENFORCE).replace("mx: mx", ""), "error sts-fetch"),
        ("invalid", right, served(&ENFORCE.replace("enforce", "Enforce")), "error sts-syntax"),
        ("testing", right, served(&ENFORCE.replace("enforce", "testing")), "warning sts-mode"),
        ("none", right, served(&ENFORCE.replace("enforce", "none")), "warning sts-mode"),
        (
            "a final dot",
            right,
            served(&ENFORCE.replace("mx.example.test", "mx.example.test.")),
            "error sts-mx-form",
        ),
        ("an idle pattern", right, served(&format!("{ENFORCE}mx: old.example.test\r\n")), "info sts-mx-idle"),
        ("a wildcard", right, served(&ENFORCE.replace("mx.example", "*.example")), "info sts-mx-wide"),
        (
            "chunks",
            right,
            format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain; charset=utf-8\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{ENFORCE}\r\n0\r\n\r\n",
                ENFORCE.len()
            ),
            "",
        ),
    ] {
        let (report, rows) = world.check(&zone, policy_host(&world.authority, host, answer));
        match expected {
            "" => assert_eq!(rows, ["info dane-spare"], "{name}"),
            row => assert!(rows.iter().any(|it| it == row), "{name}: {rows:#?}\n{report}"),
        }
    }
}

#[test]
fn an_exchanger_must_keep_the_policy() {
    let mut world = World::new();
    let port = policy_host(&world.authority, "mta-sts.example.test", served(ENFORCE));
    world.exchanger = exchanger(&world.authority, "other.example.test");
    let without_dane: String =
        ZONE.lines().filter(|it| !it.contains("_tcp")).map(|it| format!("{it}\n")).collect();
    let (report, rows) = world.check(&without_dane, port);
    assert!(rows.contains(&String::from("critical sts-mx-certificate")), "{report}");
    // A self-signed certificate of another authority.
    world.exchanger = exchanger(&Authority::new().unwrap(), "mx.example.test");
    let (report, rows) = world.check(&without_dane, port);
    assert!(rows.contains(&String::from("critical sts-mx-certificate")), "{report}");
    // DANE does not need the name.
    let (report, rows) = world.check(&ZONE.replace("{tlsa}", &world.record()), port);
    assert!(!rows.iter().any(|it| it.contains("dane-m") || it.contains("dane-a")), "{report}");
}

#[test]
fn a_server_without_starttls_breaks_dane() {
    let mut world = World::new();
    let record = world.record();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    world.exchanger = listener.local_addr().unwrap();
    spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(b"220 mx ESMTP\r\n");
            let _ = stream.read(&mut [0; 512]);
            let _ = stream.write_all(b"250 mx\r\n");
            while matches!(stream.read(&mut [0; 512]), Ok(1..)) {
                let _ = stream.write_all(b"502 no\r\n");
            }
        }
    });
    let port = policy_host(&world.authority, "mta-sts.example.test", served(ENFORCE));
    let (report, rows) = world.check(&ZONE.replace("{tlsa}", &record), port);
    for expected in ["critical dane-no-starttls", "critical sts-mx-certificate"] {
        assert!(rows.iter().any(|it| it == expected), "{report}");
    }
}

#[test]
fn support_of_requiretls_is_reported() {
    let mut world = World::new();
    world.exchanger = exchanger_with(&world.authority, "mx.example.test", "250-mx\r\n250 REQUIRETLS");
    let port = policy_host(&world.authority, "mta-sts.example.test", served(ENFORCE));
    let (report, rows) = world.check(&ZONE.replace("{tlsa}", &world.record()), port);
    assert!(rows.iter().any(|it| it == "info req-offered"), "{report}");
    assert!(!rows.iter().any(|it| it.contains("req-in-clear")), "{report}");
    let issued = world.authority.issue(&Leaf::named("mx.example.test")).unwrap();
    let acceptor =
        Acceptor::builder(&SMTP, "mx.example.test").certificate_pem(issued.chain_pem, issued.key_pem);
    let acceptor = acceptor.build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    world.exchanger = listener.local_addr().unwrap();
    spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let acceptor = acceptor.clone();
            spawn(move || {
                let _ = stream.write_all(b"220 mx ESMTP\r\n");
                hear(&mut stream, b"\r\n");
                let _ = stream.write_all(b"250-mx\r\n250-REQUIRETLS\r\n250 STARTTLS\r\n");
                hear(&mut stream, b"\r\n");
                let _ = stream.write_all(b"220 go on\r\n");
                let Ok(mut session) = acceptor.blocking().accept_implicit(stream) else { return };
                while !hear(&mut session, b"\r\n").is_empty() {
                    let _ = session.write_all(b"250 mx\r\n");
                }
            });
        }
    });
    let (report, rows) = world.check(&ZONE.replace("{tlsa}", &world.record()), port);
    assert!(rows.iter().any(|it| it == "warning req-in-clear"), "{report}");
    assert!(!rows.iter().any(|it| it.contains("req-offered")), "{report}");
}

#[test]
fn the_published_records_come_from_dns() {
    let world = World::new();
    let port = world.exchanger.port();
    let look_up = |zone: &str| {
        let zone = zone.replace("_25", &format!("_{port}")).replace("{tlsa}", &world.record());
        let mut command =
            starttls(["policy", "tlsa", "--look-up", "--live", &format!("smtp://{}", world.exchanger)]);
        command.args(["--name", "mx.example.test", "--port", &port.to_string()]);
        Run::of(command.args(["--resolver", &dns_server::server(&zone).to_string()]))
    };
    let run = look_up(&format!("{ZONE}{SPARE}")).exits(0);
    assert!(
        run.stdout.contains("matches the server's own certificate\n3 1 1 cdcdcdcdcdcdcdcd…: matches no"),
        "{}",
        run.stdout
    );
    assert!(run.stdout.contains("steady, with a spare"), "{}", run.stdout);
    let run = look_up(&ZONE.replace("{tlsa}", &format!("3 1 1 {}", "00".repeat(32)))).exits(1);
    assert!(run.stdout.contains("broken: "), "{}", run.stdout);
    look_up(&ZONE.replace("_25._tcp.mx.example.test        SECURE", ""))
        .exits(0)
        .says("DNSSEC does not prove the records");
    look_up(&ZONE.replace("_25._tcp.mx.example.test        SECURE", "_25._tcp.mx.example.test SERVFAIL"))
        .exits(7)
        .says("the lookup of _");
    let run = look_up("mx.example.test A 127.0.0.1").exits(0);
    assert!(
        run.stdout.contains("no TLSA record is published at _") && run.stdout.contains(" IN TLSA 3 1 1 "),
        "{}",
        run.stdout
    );
}

#[test]
fn a_policy_is_written_for_the_exchangers_in_dns() {
    let from = |zone: &str| {
        let mut command = starttls([
            "policy",
            "sts",
            "example.test",
            "--from-mx",
            "--print",
            "text",
            "--mx",
            "mx2.example.test",
        ]);
        Run::of(command.args(["--resolver", &dns_server::server(zone).to_string()]))
    };
    let text =
        from("example.test MX 10 mx1.example.test\nexample.test MX 20 mx2.example.test").exits(0).stdout;
    assert!(text.ends_with("mx: mx2.example.test\r\nmx: mx1.example.test\r\n"), "{text}");
    let implicit = from("example.test A 127.0.0.1").exits(0).stdout;
    assert!(implicit.ends_with("mx: example.test\r\n"), "{implicit}");
    from("example.test MX 0 .").exits(2).says("accepts no mail");
    from("other.test A 127.0.0.1").exits(2).says("does not exist");
    from("example.test SERVFAIL").exits(7).says("the MX lookup of example.test failed");
}

#[test]
fn no_lookup_leaves_beside_a_proxy() {
    for arguments in [
        &["connect", "smtp://mx.example.test", "--dane"][..],
        &["send", "smtp://mx.example.test", "--policy", "dane", "--to", "a@b.test", "--body", "x"],
        &["policy", "tlsa", "--live", "smtp://mx.example.test", "--name", "mx.example.test", "--look-up"],
    ] {
        // Nothing listens there: a question or a connection would have another exit code.
        let mut command = starttls(arguments);
        let run = Run::of(command.args(["--proxy", "socks5://127.0.0.9:9", "--resolver", "127.0.0.9:9"]));
        assert!(run.code == 2 || arguments[0] == "policy", "{arguments:?}: {}", run.stderr);
        assert!(run.code != 0 && !run.stderr.contains("the lookup of"), "{arguments:?}: {}", run.stderr);
    }
}

#[test]
fn domains_without_mail_are_clean_or_unreachable() {
    let world = World::new();
    let null = "example.test MX 0 .\nexample.test SECURE\n. NS ns.test\n. SECURE";
    let (report, rows) = world.check(null, 1);
    assert_eq!((&report["null_mx"], &report["exit_code"]), (&Value::from(true), &Value::from(0)), "{rows:?}");
    let run = world.command("other.test A 127.0.0.1", 1, &[]).exits(3);
    assert!(run.stderr.contains("does not exist"), "{}", run.stderr);
}

#[test]
fn connect_authenticates_by_tlsa_records() {
    let world = World::new();
    let record = world.record();
    let target = format!("smtp://mx.example.test:{}", world.exchanger.port());
    let connect = |options: &[&str]| {
        let mut command = starttls(["connect", &target, "--no-system-roots", "--format", "json"]);
        command.args(["--connect", &world.exchanger.to_string()]).args(options);
        Run::of(&mut command)
    };
    let report = connect(&["--tlsa", &record]).exits(0).json();
    assert_eq!((&report["outcome"], &report["certificate"]["verified"]), (&"encrypted".into(), &true.into()));
    let wrong = format!("3 1 1 {}", "00".repeat(32));
    let report = connect(&["--tlsa", &wrong]).exits(5).json();
    let message = report["error"]["message"].as_str().unwrap();
    assert!(message.contains("no TLSA record matches"), "{message}");
    assert!(
        connect(&["--tlsa", &wrong.replace('3', "1")]).exits(2).stderr.contains("no TLSA record can be used")
    );
    let port = world.exchanger.port();
    let dane = |zone: &str| {
        let zone = zone.replace("{tlsa}", &record).replace("_25", &format!("_{port}"));
        connect(&["--dane", "--resolver", &dns_server::server(&zone).to_string()])
    };
    assert_eq!(dane(ZONE).exits(0).json()["outcome"], "encrypted");
    let unsigned = ZONE.replace("_25._tcp.mx.example.test        SECURE", "");
    assert!(dane(&unsigned).exits(5).stderr.contains("no secure TLSA records exist"));
    let failing = ZONE.replace("_25._tcp.mx.example.test        SECURE", "_25._tcp.mx.example.test SERVFAIL");
    assert!(dane(&failing).exits(7).stderr.contains("_tcp.mx.example.test TLSA failed"));
    let plain = ZONE.replacen(".                               SECURE", "", 1);
    assert!(dane(&plain).exits(7).stderr.contains("does not validate DNSSEC"));
}
