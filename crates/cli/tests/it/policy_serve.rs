//! `starttls policy serve` as Postfix uses it, with a DNS server and a policy host in this process.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use starttls::Acceptor;
use starttls::proto::http::HTTP;
use starttls_lab::ca::{Authority, Leaf};
use tempfile::TempDir;

use crate::policy_check::{ENFORCE, policy_host, served};
use crate::schema;
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
    example.test               MX     10 mx.example.test
    mx.example.test            A      127.0.0.1
    _mta-sts.example.test      TXT    v=STSv1; id=1
    mta-sts.example.test       A      127.0.0.1
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
    let mut command = starttls(["policy", "serve", "--no-system-roots"]);
    if !options.contains(&"--timeout") {
        command.args(["--timeout", "30s"]);
    }
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

/// States of MTA-STS in which a sender has no policy and never had one. `{domain}` is the domain.
const UNKNOWN: &[(&str, &str)] = &[
    ("absent", ""),
    ("lookup-fails", "_mta-sts.{domain} SERVFAIL"),
    ("no-answer", "_mta-sts.{domain} SILENT"),
    ("invalid", "_mta-sts.{domain} TXT v=STSv1; id=-"),
    ("two", "_mta-sts.{domain} TXT v=STSv1; id=1\n_mta-sts.{domain} TXT v=STSv1; id=2"),
    ("no-host", "_mta-sts.{domain} TXT v=STSv1; id=1"),
    ("host-fails", "_mta-sts.{domain} TXT v=STSv1; id=1\nmta-sts.{domain} SERVFAIL"),
    ("refused", "_mta-sts.{domain} TXT v=STSv1; id=1\nmta-sts.{domain} A 127.0.0.3"),
    // The certificate of the policy host is for another name.
    ("other-name", "_mta-sts.{domain} TXT v=STSv1; id=1\nmta-sts.{domain} A 127.0.0.1"),
];

/// States of DANE, and the beginning of the answer. `{domain}` is the domain.
const DANE: &[(&str, &str, &str)] = &[
    ("plain", "{domain} MX 10 mx.none.test", "NOTFOUND "),
    (
        "signed",
        "{domain} MX 10 mx.{domain}\n{domain} SECURE\nmx.{domain} A 127.0.0.1\nmx.{domain} SECURE",
        "NOTFOUND ",
    ),
    ("dane", "{domain} MX 10 mx.all.test\n{domain} SECURE", "OK dane-only"),
    ("half", "{domain} MX 10 mx.all.test", "OK dane"),
    (
        "tlsa-fails",
        "{domain} MX 10 mx.broken.test\n{domain} SECURE",
        "TEMP {domain}: the lookup of _25._tcp.mx.broken.test TLSA failed",
    ),
    (
        "tlsa-fails-unsigned",
        "{domain} MX 10 mx.broken.test",
        "TEMP {domain}: the lookup of _25._tcp.mx.broken.test TLSA failed",
    ),
    (
        "address-fails",
        "{domain} MX 10 mx.{domain}\n{domain} SECURE\nmx.{domain} SERVFAIL",
        "TEMP {domain}: the lookup of mx.{domain} A failed",
    ),
    ("mx-fails", "{domain} SERVFAIL", "TEMP {domain}: the MX lookup failed"),
];

/// An unknown MTA-STS state does not defer mail to a domain that never had a policy. If the TLSA lookup fails, the answer is
/// never that there is no policy.
#[test]
fn unknown_policies_do_not_defer_and_failed_lookups_always_do() {
    let folder = TempDir::new().unwrap();
    let authority = authority(&folder);
    let port = policy_host(&authority, "mta-sts.example.test", served(ENFORCE));
    let mut rows = Vec::new();
    let mut all = zone();
    for (sts, records) in UNKNOWN {
        for (dane, exchanger, expected) in DANE {
            let domain = format!("{dane}.{sts}.test");
            all.push_str(&format!("{records}\n{exchanger}\n").replace("{domain}", &domain));
            rows.push((format!("QUERY {domain}"), expected.replace("{domain}", &domain)));
        }
    }
    // The short limit is that of the row without an answer.
    let service = start(&folder, &all, port, &["--timeout", "6s"]);
    std::thread::scope(|scope| {
        for (request, expected) in &rows {
            scope.spawn(move || {
                let replies = ask(service.address, &[request]);
                assert!(
                    replies[0].starts_with(expected.as_str()),
                    "{request}: {replies:?}, expected {expected}"
                );
            });
        }
    });
}

/// How a policy host misbehaves after the request. The service answers as if there were no policy.
#[test]
fn a_hostile_policy_host_has_bounds() {
    let folder = TempDir::new().unwrap();
    let authority = authority(&folder);
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n";
    let at_once = |octets: &[u8]| Part { octets: octets.to_vec(), times: 1, pause: Duration::ZERO };
    let endless = |head: String| {
        vec![at_once(head.as_bytes()), Part { octets: vec![b'x'; 16 << 20], times: 64, pause: DEADLINE }]
    };
    let trickle = format!("{head}\r\n{ENFORCE}").into_bytes();
    let trickle =
        trickle.into_iter().map(|octet| Part { pause: Duration::from_millis(400), ..at_once(&[octet]) });
    let moved = "https://mta-sts.example.test/.well-known/mta-sts.txt";
    let length = ENFORCE.len();
    let redirect =
        format!("HTTP/1.1 301 Moved\r\nLocation: {moved}\r\nContent-Length: {length}\r\n\r\n{ENFORCE}");
    let hosts = [
        ("silent", vec![Part { pause: DEADLINE, ..at_once(b"") }]),
        ("trickle", trickle.collect()),
        ("endless header", endless(format!("{head}X: "))),
        ("gigabyte", endless(format!("{head}Content-Length: 1073741824\r\n\r\n"))),
        ("endless chunks", endless(format!("{head}Transfer-Encoding: chunked\r\n\r\n40000000\r\n"))),
        ("continues", vec![at_once(&b"HTTP/1.1 100 Continue\r\n\r\n".repeat(10_000))]),
        ("redirect", vec![at_once(redirect.as_bytes())]),
        ("compressed", vec![at_once(format!("{head}Content-Length: 3\r\n\r\n\x1f\x7f\x08").as_bytes())]),
        ("not HTTP", vec![at_once(&b"220 mx ESMTP\r\n".repeat(1000))]),
    ];
    std::thread::scope(|scope| {
        for (what, parts) in hosts {
            let (folder, authority) = (&folder, &authority);
            scope.spawn(move || {
                let port = slow_policy_host(authority, "mta-sts.example.test", parts);
                let service = start(folder, &zone(), port, &["--timeout", "6s"]);
                assert_eq!(ask(service.address, &["QUERY example.test"]), ["NOTFOUND "], "{what}");
                let status = std::fs::read_to_string(format!("/proc/{}/status", service.live.id())).unwrap();
                let peak = status.lines().find_map(|it| it.strip_prefix("VmHWM:")).unwrap();
                let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
                assert!(peak < 100_000, "{what}: {peak} KiB");
            });
        }
    });
}

/// `policy list`, `show` and `forget`, of a running service and of its file.
#[test]
fn policies_are_shown_and_forgotten() {
    let folder = TempDir::new().unwrap();
    let authority = authority(&folder);
    let port = policy_host(&authority, "mta-sts.example.test", served(ENFORCE));
    let (path, socket) = (folder.path().join("policies.jsonl"), folder.path().join("control"));
    let (path, socket) = (path.to_str().unwrap(), socket.to_str().unwrap());
    let service = start(&folder, &zone(), port, &["--state", path, "--reset", "--control", socket]);
    let policy = |arguments: &[&str]| Run::of(&mut starttls([&["policy"], arguments].concat()));
    let at = ["--control", socket];
    assert_eq!(policy(&["list", at[0], at[1]]).exits(0).stdout, "");
    policy(&["show", "example.test", at[0], at[1]]).exits(1).says("no policy of example.test is kept");
    let secure = ["OK secure match=mx.example.test servername=hostname"];
    assert_eq!(ask(service.address, &["QUERY example.test"]), secure);
    let shown = policy(&["show", "example.test", "--format", "json", at[0], at[1]]).exits(0).json();
    schema::fits_in("policy-stored.json", &shown);
    assert_eq!(shown["policies"][0]["mode"], "enforce", "{shown}");
    assert_eq!(shown["policies"][0]["text"][0], "version: STSv1", "{shown}");
    assert_eq!(shown["answers"][0]["reply"], secure[0], "{shown}");
    for source in [["--state", path], at] {
        let listed = policy(&["list", source[0], source[1]]).exits(0).stdout;
        assert!(
            listed.starts_with("example.test enforce until 2") && listed.ends_with(": mx.example.test\n"),
            "{listed}"
        );
        let text = policy(&["show", "EXAMPLE.test.", source[0], source[1]]).exits(0).stdout;
        assert!(
            text.contains("mta-sts   enforce, id 1: mx.example.test") && text.contains("  mode: enforce\n"),
            "{text}"
        );
    }
    let used = policy(&["forget", "example.test", "--state", path]).exits(2);
    assert!(
        used.stderr.contains("is in use by another process") && used.stderr.contains("--control"),
        "{}",
        used.stderr
    );
    policy(&["forget", "example.test", at[0], at[1]]).exits(0);
    policy(&["forget", "example.test", at[0], at[1]]).exits(1);
    assert_eq!(policy(&["list", "--state", path]).exits(0).stdout, "");
    // The next question fetches the policy again.
    assert_eq!(ask(service.address, &["QUERY example.test"]), secure);
    drop(service);
    policy(&["list", at[0], at[1]]).exits(3).says("--state");
    policy(&["forget", "example.test", "--state", path]).exits(0);
    assert_eq!(policy(&["list", "--state", path]).exits(0).stdout, "");
    policy(&["list", "--state", "missing"]).exits(2).says("does not exist");
}

/// The policy changes without a new id, and the background finds it.
#[test]
fn policies_are_fetched_again() {
    let folder = TempDir::new().unwrap();
    let authority = authority(&folder);
    let texts = [ENFORCE.to_owned(), ENFORCE.replace("mx.example.test", "*.example.test")];
    let port = changing_policy_host(&authority, "mta-sts.example.test", texts.map(|it| served(&it)));
    let service = start(&folder, &zone(), port, &["--refresh", "1s"]);
    let first = ask(service.address, &["QUERY example.test"]);
    assert_eq!(first, ["OK secure match=mx.example.test servername=hostname"]);
    let deadline = std::time::Instant::now() + DEADLINE;
    while ask(service.address, &["QUERY example.test"]) == first {
        assert!(std::time::Instant::now() < deadline, "the policy was not fetched again");
        std::thread::sleep(Duration::from_millis(100));
    }
    let second = ask(service.address, &["QUERY example.test"]);
    assert_eq!(second, ["OK secure match=.example.test servername=hostname"]);
}

/// The socket exists before the service, as with systemd.
#[test]
fn a_service_manager_passes_the_sockets() {
    let folder = TempDir::new().unwrap();
    authority(&folder);
    let plain = command(&folder, &zone(), 1, &["--listen", "systemd:policy", "--control", "systemd:control"]);
    let manager = "import os, socket, sys
mail, control = socket.create_server(('127.0.0.1', 0)), socket.socket(socket.AF_UNIX)
control.bind(sys.argv[1]); control.listen()
print('address', mail.getsockname()[1], file=sys.stderr, flush=True)
os.dup2(mail.fileno(), 10); os.dup2(control.fileno(), 11); os.dup2(10, 3); os.dup2(11, 4)
os.environ.update(LISTEN_FDS='2', LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES='policy:control')
os.execv(sys.argv[2], sys.argv[2:])";
    let socket = folder.path().join("control");
    let mut wrapped = Command::new("python3");
    wrapped.args(["-c", manager]).arg(&socket).arg(plain.get_program()).args(plain.get_args());
    let mut live = Live::start(&mut wrapped);
    live.is_told("listening on ");
    let port = live.stderr().split("address ").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
    assert_eq!(ask(SocketAddr::from(([127, 0, 0, 1], port)), &["QUERY all.test"]), ["OK dane-only"]);
    let shown = Run::of(starttls(["policy", "show", "all.test", "--control"]).arg(&socket)).exits(0).stdout;
    assert!(shown.starts_with("answer    all.test: OK dane-only (kept for "), "{shown}");
    drop(live);
    let missing = Run::of(&mut command(&folder, &zone(), 1, &["--listen", "systemd:policy"])).exits(2);
    missing.says("the service manager passed no socket with the name policy");
}

#[test]
fn the_service_reports_what_confines_it() {
    let folder = TempDir::new().unwrap();
    authority(&folder);
    let path = folder.path().join("policies.jsonl");
    let service = start(&folder, &zone(), 1, &["--reset", "--state", path.to_str().unwrap()]);
    let lines: Vec<&str> =
        service.live.stderr().lines().filter(|it| it.contains("the service is ")).collect();
    assert_eq!(lines.len(), 1, "{lines:?}");
    assert!(lines[0].contains(folder.path().to_str().unwrap()) || lines[0].contains("kernel"), "{lines:?}");
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

/// What a policy host sends: these octets, so many times, and a pause after that.
struct Part {
    octets: Vec<u8>,
    times: usize,
    pause: Duration,
}

/// Starts a policy host that sends these parts.
fn slow_policy_host(authority: &Authority, name: &str, parts: Vec<Part>) -> u16 {
    host_of(authority, name, move |session, _| {
        for part in &parts {
            for _ in 0..part.times {
                if session.write_all(&part.octets).and_then(|()| session.flush()).is_err() {
                    return;
                }
            }
            std::thread::sleep(part.pause);
        }
    })
}

/// Starts a policy host that sends the first answer once, and the second one after that.
fn changing_policy_host(authority: &Authority, name: &str, answers: [String; 2]) -> u16 {
    host_of(authority, name, move |session, nth| {
        let _ = session.write_all(answers[nth.min(1)].as_bytes());
    })
}

trait ReadWrite: Read + Write {}
impl<T: Read + Write> ReadWrite for T {}

/// Starts a policy host that answers each request by `respond`, which gets the number of connections before.
fn host_of(
    authority: &Authority,
    name: &str,
    respond: impl Fn(&mut dyn ReadWrite, usize) + Send + Sync + 'static,
) -> u16 {
    let issued = authority.issue(&Leaf::named(name)).unwrap();
    let acceptor =
        Acceptor::builder(&HTTP, name).certificate_pem(issued.chain_pem, issued.key_pem).build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let (port, respond) = (listener.local_addr().unwrap().port(), Arc::new(respond));
    std::thread::spawn(move || {
        for (nth, stream) in listener.incoming().flatten().enumerate() {
            let (acceptor, respond) = (acceptor.clone(), respond.clone());
            std::thread::spawn(move || {
                let Ok(mut session) = acceptor.blocking().accept_implicit(stream) else { return };
                let (mut request, mut octet) = (Vec::new(), [0]);
                while !request.ends_with(b"\r\n\r\n") && matches!(session.read(&mut octet), Ok(1)) {
                    request.push(octet[0]);
                }
                respond(&mut session, nth);
                let _ = session.close();
            });
        }
    });
    port
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

/// The service has a bound for its connections, and the next one is served when another one ends.
#[test]
fn the_connection_after_the_512th_waits_for_another_one_to_end() {
    // The test and the service need a file for each connection.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let folder = TempDir::new().unwrap();
    authority(&folder);
    let mut service = start(&folder, &zone(), 1, &[]);
    let address = service.address;
    let connect = || {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        stream
    };
    let request = b"14:QUERY all.test,";
    let mut open: Vec<TcpStream> = (0..512)
        .map(|_| {
            let mut stream = connect();
            stream.write_all(request).unwrap();
            assert_eq!(reply(&mut stream), "OK dane-only");
            stream
        })
        .collect();
    let mut next = connect();
    next.write_all(request).unwrap();
    service.live.is_told("512 connections are open");
    next.set_read_timeout(Some(Duration::from_millis(300))).unwrap();
    let early = next.read(&mut [0; 1]).map_err(|error| error.kind());
    assert!(
        matches!(early, Err(ErrorKind::WouldBlock | ErrorKind::TimedOut)),
        "the connection after the limit was served: {early:?}"
    );
    // The others are still served.
    open[0].write_all(request).unwrap();
    assert_eq!(reply(&mut open[0]), "OK dane-only");
    drop(open.pop());
    next.set_read_timeout(Some(DEADLINE)).unwrap();
    assert_eq!(reply(&mut next), "OK dane-only");
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
