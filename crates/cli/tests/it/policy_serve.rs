//! `starttls policy serve` as Postfix uses it, with a DNS server and a policy host in this process.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use starttls_lab::ca::Authority;
use tempfile::TempDir;

use crate::policy_check::{ENFORCE, policy_host, served};
use crate::support::process::{DEADLINE, Live};
use crate::support::{Run, dns_server, starttls};

/// Domains in every state.
const ZONE: &str = "
    .                          NS     ns.test
    .                          SECURE
    all.test                   MX     10 mx.all.test
    all.test                   SECURE
    mx.all.test                A      127.0.0.1
    mx.all.test                SECURE
    _25._tcp.mx.all.test       TLSA   3 1 1 {digest}
    _25._tcp.mx.all.test       SECURE
    half.test                  MX     10 mx.all.test
    broken.test                MX     10 mx.broken.test
    broken.test                SECURE
    mx.broken.test             A      127.0.0.1
    mx.broken.test             SECURE
    _25._tcp.mx.broken.test    SERVFAIL
    _mta-sts.broken.test       TXT    v=STSv1; id=1
    failing.test               SERVFAIL
    none.test                  MX     10 mx.none.test
    mx.none.test               A      127.0.0.1
    unknown.test               MX     10 mx.none.test
    _mta-sts.unknown.test      SERVFAIL
    example.test               MX     10 mx.example.test
    mx.example.test            A      127.0.0.1
    _mta-sts.example.test      TXT    v=STSv1; id=1
    mta-sts.example.test       A      127.0.0.1
    nohost.test                MX     10 mx.none.test
    _mta-sts.nohost.test       TXT    v=STSv1; id=1
";

fn zone() -> String {
    ZONE.replace("{digest}", &"ab".repeat(32))
}

/// A running service, and the folder with its files.
struct Service {
    live: Live,
    address: SocketAddr,
}

fn command(folder: &TempDir, zone: &str, policy_port: u16, options: &[&str]) -> Command {
    let mut command = starttls(["policy", "serve", "--no-system-roots", "--timeout", "4s"]);
    command.arg("--ca-file").arg(folder.path().join("ca.pem"));
    command.args(["--resolver", &dns_server::server(zone).to_string()]);
    command.args(["--sts-port", &policy_port.to_string()]).args(options);
    command
}

fn start(folder: &TempDir, zone: &str, policy_port: u16, options: &[&str]) -> Service {
    let options = [&["--listen", "127.0.0.1:0"], options].concat();
    let mut live = Live::start(&mut command(folder, zone, policy_port, &options));
    live.is_told("listening on ");
    let address =
        live.stderr().rsplit_once("listening on ").unwrap().1.lines().next().unwrap().parse().unwrap();
    Service { live, address }
}

fn authority(folder: &TempDir) -> Authority {
    let authority = Authority::new().unwrap();
    std::fs::write(folder.path().join("ca.pem"), authority.root_pem()).unwrap();
    authority
}

/// Sends the requests in one write and returns the replies.
fn ask(address: SocketAddr, requests: &[&str]) -> Vec<String> {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    exchange(stream, requests)
}

fn exchange(mut stream: impl Read + Write, requests: &[&str]) -> Vec<String> {
    let text: String = requests.iter().map(|it| format!("{}:{it},", it.len())).collect();
    stream.write_all(text.as_bytes()).unwrap();
    requests.iter().map(|_| reply(&mut stream)).collect()
}

fn reply(stream: &mut impl Read) -> String {
    let (mut digits, mut octet) = (String::new(), [0]);
    loop {
        stream.read_exact(&mut octet).unwrap();
        match octet[0] {
            b':' => break,
            digit => digits.push(char::from(digit)),
        }
    }
    let mut payload = vec![0; digits.parse::<usize>().unwrap() + 1];
    stream.read_exact(&mut payload).unwrap();
    assert_eq!(payload.pop(), Some(b','));
    String::from_utf8(payload).unwrap()
}

#[test]
fn each_state_of_a_domain_has_its_answer() {
    let folder = TempDir::new().unwrap();
    let authority = authority(&folder);
    let port = policy_host(&authority, "mta-sts.example.test", served(ENFORCE));
    let service = start(&folder, &zone(), port, &[]);
    let secure = "OK secure match=mx.example.test servername=hostname";
    for (request, expected) in [
        ("QUERY all.test", "OK dane-only"),
        ("QUERY ALL.test.", "OK dane-only"),
        ("postfix all.test", "OK dane-only"),
        ("QUERY [mx.all.test]", "OK dane-only"),
        ("QUERY half.test", "OK dane"),
        ("QUERY none.test", "NOTFOUND "),
        ("QUERY missing.test", "NOTFOUND "),
        ("QUERY example.test", secure),
        ("QUERY .example.test", "NOTFOUND "),
        ("QUERY [127.0.0.1]", "NOTFOUND "),
        // A policy that never was does not hold mail back.
        ("QUERY unknown.test", "NOTFOUND "),
        ("QUERY nohost.test", "NOTFOUND "),
    ] {
        assert_eq!(ask(service.address, &[request]), [expected], "{request}");
    }
    for (request, part) in [
        ("QUERY broken.test", "TEMP broken.test: the lookup of _25._tcp.mx.broken.test TLSA failed"),
        ("QUERY failing.test", "TEMP failing.test: the MX lookup failed"),
        ("other all.test", "PERM unknown map"),
    ] {
        let replies = ask(service.address, &[request]);
        assert!(replies[0].starts_with(part), "{request}: {replies:?}");
    }
    let tlsrpt = ask(service.address, &["QUERYwithTLSRPT example.test"]);
    assert!(
        tlsrpt[0].starts_with(&format!("{secure} policy_type=sts policy_domain=example.test")),
        "{tlsrpt:?}"
    );
    let many = ["QUERY all.test", "QUERY none.test", "QUERY example.test"].repeat(50);
    let replies = ask(service.address, &many);
    assert_eq!(replies, ["OK dane-only", "NOTFOUND ", secure].repeat(50), "in order");
}

#[test]
fn a_client_that_breaks_the_protocol_is_answered_once() {
    let folder = TempDir::new().unwrap();
    authority(&folder);
    let service = start(&folder, &zone(), 1, &[]);
    for garbage in ["GET / HTTP/1.1\r\n\r\n", "99999:x", "5:QUERY,", "0:,"] {
        let mut stream = TcpStream::connect(service.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream.write_all(garbage.as_bytes()).unwrap();
        assert!(reply(&mut stream).starts_with("PERM invalid"), "{garbage}");
        let mut rest = Vec::new();
        assert!(stream.read_to_end(&mut rest).is_ok() && rest.is_empty(), "{garbage}");
    }
    assert_eq!(ask(service.address, &["QUERY all.test"]), ["OK dane-only"]);
}

/// The policy survives a restart at a moment when the record is suppressed and the policy host is gone.
#[test]
fn a_restart_does_not_forget_policies() {
    let folder = TempDir::new().unwrap();
    let authority = authority(&folder);
    let port = policy_host(&authority, "mta-sts.example.test", served(ENFORCE));
    let path: PathBuf = folder.path().join("policies.jsonl");
    let state = ["--state", path.to_str().unwrap()];
    let missing = Run::of(&mut command(&folder, &zone(), port, &state)).exits(2);
    assert!(
        missing.stderr.contains("does not exist") && missing.stderr.contains("--reset"),
        "{}",
        missing.stderr
    );
    let secure = ["OK secure match=mx.example.test servername=hostname"];
    let first = start(&folder, &zone(), port, &[&state[..], &["--reset"]].concat());
    assert_eq!(ask(first.address, &["QUERY example.test"]), secure);
    drop(first);
    let suppressed = zone().replace("v=STSv1; id=1", "v=other");
    let second = start(&folder, &suppressed, 1, &state);
    assert_eq!(ask(second.address, &["QUERY example.test"]), secure);
    drop(second);
    // A new id whose policy cannot be fetched does not end the policy either.
    let changed = zone().replace("id=1", "id=2");
    let third = start(&folder, &changed, 1, &state);
    assert_eq!(ask(third.address, &["QUERY example.test"]), secure);
    drop(third);
    std::fs::write(&path, "something else\n").unwrap();
    let invalid = Run::of(&mut command(&folder, &zone(), port, &state)).exits(2);
    assert!(invalid.stderr.contains("first line"), "{}", invalid.stderr);
}

#[test]
fn without_dnssec_it_does_not_start() {
    let folder = TempDir::new().unwrap();
    authority(&folder);
    let plain = zone().replacen("    .                          SECURE\n", "", 1);
    let run = Run::of(&mut command(&folder, &plain, 1, &["--listen", "127.0.0.1:0"])).exits(7);
    assert!(
        run.stderr.contains("does not validate DNSSEC") && run.stderr.contains("--no-dane"),
        "{}",
        run.stderr
    );
    let service = start(&folder, &plain, 1, &["--no-dane"]);
    assert_eq!(ask(service.address, &["QUERY all.test"]), ["NOTFOUND "]);
}

#[test]
fn health_and_metrics_are_served() {
    let folder = TempDir::new().unwrap();
    authority(&folder);
    let service = start(&folder, &zone(), 1, &["--health", "127.0.0.1:0"]);
    assert_eq!(ask(service.address, &["QUERY all.test", "QUERY all.test"]), ["OK dane-only", "OK dane-only"]);
    let url = service.live.stderr().split("health on http://").nth(1).unwrap();
    let address: SocketAddr = url.split('/').next().unwrap().parse().unwrap();
    let get = |path: &str| {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(get("/health").starts_with("HTTP/1.1 200 OK\r\n"));
    let metrics = get("/metrics");
    for line in
        ["starttls_policy_requests_total 2", "starttls_policy_cached_total 1", "starttls_policy_dnssec 1"]
    {
        assert!(metrics.contains(line), "{metrics}");
    }
    crate::contrib::assert_metrics_exist("starttls_policy_", &metrics, true);
    assert!(get("/other").starts_with("HTTP/1.1 404 "));
}

#[test]
fn a_socket_in_the_file_system_is_replaced_only_if_it_is_abandoned() {
    let folder = TempDir::new().unwrap();
    authority(&folder);
    let path = folder.path().join("policy.sock");
    let listen = format!("unix:{}", path.display());
    for _ in 0..2 {
        // The second round finds the socket of the first one, which was killed.
        let mut live = Live::start(&mut command(&folder, &zone(), 1, &["--listen", &listen]));
        live.is_told("listening on unix:");
        let stream = UnixStream::connect(&path).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        assert_eq!(exchange(stream, &["QUERY all.test"]), ["OK dane-only"]);
        let second = Run::of(&mut command(&folder, &zone(), 1, &["--listen", &listen])).exits(2);
        assert!(second.stderr.contains("cannot listen"), "{}", second.stderr);
    }
}
