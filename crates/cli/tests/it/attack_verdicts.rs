//! `attack`: its verdicts, and clients that do not end by themselves.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::attack::{LOGIN, attack, client, interrupt, run_says, sound, told};
use crate::support::process::{Live, peak};
use crate::support::{Run, starttls};

#[test]
fn a_client_that_a_signal_ends_has_crashed() {
    let crashes = format!("{} || kill -SEGV $$", sound());
    let options = ["--only", "cli-refuse-temp"];
    let run = Run::of(&mut attack("imap", &crashes, &options)).exits(7);
    run_says(&run, "cli-refuse-temp          crashed      SIGSEGV ended the client");
    run_says(&run, "fix: find the fault with a debugger");
    Run::of(attack("imap", &crashes, &options).args(["--fail-on", "crashed"])).exits(1);
    // The shell reports a command that a signal ended.
    let crashes = format!("{} || {{ sh -c 'kill -ABRT $$'; exit $?; }}", sound());
    let run = Run::of(&mut attack("imap", &crashes, &options)).exits(7);
    run_says(&run, "crashed      SIGABRT ended the client");
}

#[test]
fn a_client_that_swallows_the_refusal_is_silent() {
    let swallows = format!("{} || echo sent", sound());
    let options = ["--only", "cli-refuse-temp"];
    let run = Run::of(&mut attack("imap", &swallows, &options)).exits(0);
    run_says(&run, "silent       reports success, but sent nothing inside TLS: nothing was delivered");
    run_says(&run, "fix: report a failure to the user when the upgrade fails");
    Run::of(attack("imap", &swallows, &options).args(["--fail-on", "silent"])).exits(1);
    Run::of(attack("imap", &swallows, &options).args(["--fail-on", "weak"])).exits(0);
}

#[test]
fn hygiene_is_weak_and_a_gain_is_fooled() {
    let trusts = client("imap", LOGIN, "--timeout 20s --insecure");
    let run = Run::of(&mut attack("imap", &trusts, &["--only", "cli-cert-cn-only"])).exits(0);
    run_says(&run, "cli-cert-cn-only         weak         trusts the certificate");
    run_says(&run, "weak: 1 weak of 1 scenarios");
    let weak = ["--only", "cli-cert-cn-only", "--fail-on", "weak"];
    Run::of(&mut attack("imap", &trusts, &weak)).exits(1);
    let run = Run::of(&mut attack("imap", &trusts, &["--only", "cli-cert-leaf-ca"])).exits(1);
    run_says(&run, "cli-cert-leaf-ca         fooled       trusts the certificate");
    run_says(&run, "fix: check the basic constraints of every issuer in the chain");
}

#[test]
fn a_command_without_credentials_is_no_fallback() {
    let pop3 = client("pop3", "STAT\\r\\nQUIT\\r\\n", "--timeout 20s");
    let falls_back = |line: &str| format!("{pop3} || {{ {}; false; }}", client("pop3", line, "--cleartext"));
    let only = ["--only", "cli-refuse-perm"];
    let run = Run::of(&mut attack("pop3", &falls_back("AUTH\\r\\n"), &only)).exits(0);
    run_says(&run, "cli-refuse-perm          sound        gave up");
    let run = Run::of(&mut attack("pop3", &falls_back("AUTH PLAIN AHgAeQ==\\r\\n"), &only)).exits(1);
    run_says(&run, "cli-refuse-perm          fooled       sends credentials in cleartext: AUTH PLAIN");
}

/// The second run of the client ends differently from the first.
#[test]
fn repeated_runs_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().display();
    let falls_back = client("imap", LOGIN, "--cleartext");
    let once = format!("{} || {{ mkdir {path}/once && {falls_back}; false; }}", sound());
    let options = ["--only", "cli-refuse-perm", "--repeat", "3", "--jobs", "1"];
    let run = Run::of(attack("imap", &once, &options).args(["--format", "json"])).exits(1).json();
    crate::schema::fits_in("attack.json", &run);
    let counts: Vec<(&str, u64)> = run["scenarios"][0]["outcomes"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| (it["outcome"].as_str().unwrap(), it["runs"].as_u64().unwrap()))
        .collect();
    assert_eq!(counts, [("fooled", 1), ("sound", 2)]);
    std::fs::remove_dir(folder.path().join("once")).unwrap();
    let run = Run::of(&mut attack("imap", &once, &options)).exits(1);
    run_says(&run, "(1 of 3 runs)");
}

#[test]
fn a_client_that_does_not_connect_is_quoted() {
    let folder = tempfile::tempdir().unwrap();
    // The client connects only in the control run.
    let once = format!(
        "mkdir {0}/once && {1} || {{ echo 'cannot find the server'; echo 'giving up'; false; }}",
        folder.path().display(),
        sound()
    );
    let run = Run::of(&mut attack("imap", &once, &["--only", "cli-refuse-perm"])).exits(7);
    run_says(&run, "inconclusive the client did not connect: ");
    run_says(&run, "cannot find the server / giving up");
}

#[test]
fn code_scanning_gets_a_file_and_a_fingerprint() {
    let falls_back = format!("{} || {}", sound(), client("imap", LOGIN, "--cleartext"));
    let options =
        ["--only", "cli-refuse-perm", "--format", "sarif", "--sarif-location", "./src/my client.py"];
    let run = Run::of(&mut attack("imap", &falls_back, &options)).exits(1);
    let sarif: Value = serde_json::from_str(&run.stdout).unwrap();
    let result = &sarif["runs"][0]["results"][0];
    let location = &result["locations"][0]["physicalLocation"];
    assert_eq!(location["artifactLocation"]["uri"], "src/my%20client.py");
    assert_eq!(location["region"]["startLine"], 1);
    let fingerprint = |client: &str, id: &str| {
        let options = ["--only", id, "--format", "sarif"];
        let sarif: Value =
            serde_json::from_str(&Run::of(&mut attack("imap", client, &options)).exits(1).stdout).unwrap();
        sarif["runs"][0]["results"][0]["partialFingerprints"]["primaryLocationLineHash"].clone()
    };
    let own = &result["partialFingerprints"]["primaryLocationLineHash"];
    assert!(own.is_string(), "{result}");
    assert_eq!(*own, fingerprint(&falls_back, "cli-refuse-perm"));
    assert_ne!(*own, fingerprint(&falls_back, "cli-refuse-temp"));
    assert_eq!(result["level"], "error");
}

#[test]
fn programs_can_list_the_scenarios() {
    let list = |arguments: &[&str]| Run::of(&mut starttls(arguments)).exits(0).json();
    let all = list(&["attack", "--list", "--format", "json"]);
    let scenarios = all["scenarios"].as_array().unwrap();
    assert!(scenarios.len() > 50);
    for it in scenarios {
        assert!(["id", "title", "fix"].iter().all(|key| !it[key].as_str().unwrap().is_empty()), "{it}");
        assert!(!it["protocols"].as_array().unwrap().is_empty(), "{it}");
    }
    let ldap = list(&["attack", "ldap", "--list", "--format", "json"]);
    let preauth = ldap["scenarios"].as_array().unwrap().iter().find(|it| it["id"] == "cli-preauth").unwrap();
    assert_eq!(preauth["not_applicable"], "the server does not speak first");
    Run::of(&mut starttls(["attack", "--list", "--format", "sarif"])).exits(2);
}

/// Runs the command to its end and fails if it uses more than 64 MiB.
fn ends_small(mut command: std::process::Command) -> Run {
    const MOST: u64 = 64 * 1024;
    let (run, most) = Live::start(&mut command).end_measured();
    assert!((1..=MOST).contains(&most), "{most} KiB\n{}", run.stdout);
    run
}

#[test]
fn a_client_that_never_ends_ends_with_its_time() {
    let program = env!("CARGO_BIN_EXE_starttls");
    let connect = format!("{program} connect -q --timeout 50s --no-system-roots --ca-file {{ca}}");
    let target = "imap://{host}:{port}";
    let clients = [
        // Floods its output.
        String::from("exec yes"),
        // Floods the connection, inside TLS and in cleartext.
        format!("yes NOOP | {connect} {target}"),
        format!("yes 'x NOOP' | {connect} --cleartext {target}"),
        // Sends slowly inside TLS.
        format!("while :; do echo x NOOP; sleep 0.05; done | {connect} {target}"),
        // Connects again and again.
        format!("while :; do {connect} {target} </dev/null; done"),
    ];
    thread::scope(|scope| {
        for never_ends in &clients {
            scope.spawn(move || {
                let run = ends_small(attack("imap", never_ends, &["--timeout", "3s"])).exits(7);
                assert!(run.stdout.contains("inconclusive"), "{never_ends}: {}", run.stdout);
                // The control run ends; the other runs do not.
                let attacked = format!("{} || {never_ends}", sound());
                let options =
                    ["--timeout", "6s", "--only", "cli-refuse-perm,cli-refuse-temp,cli-spoof-error"];
                let run = ends_small(attack("imap", &attacked, &options));
                assert!([0, 1, 7].contains(&run.code), "{never_ends}: {}", run.stdout);
            });
        }
    });
}

/// A client that a user starts by hand and that keeps sending inside TLS.
#[test]
fn a_client_that_trickles_gets_its_verdict() {
    let mut live = Live::start(&mut starttls([
        "attack",
        "imap",
        "--serve",
        "127.0.0.1:0",
        "--timeout",
        "10s",
        "--scenario",
        "cli-cert-cn-only",
    ]));
    live.is_told("Ctrl-C stops");
    let (address, ca) = (told(live.stderr(), "listening on "), told(live.stderr(), "ca file"));
    let target = format!("imap://localhost:{}", address.split_once(':').unwrap().1);
    let mut command = starttls(["connect", "-q", "--timeout", "50s", "--no-system-roots", "--ca-file", &ca]);
    let mut trickle = Live::start(command.arg(target));
    let feed = thread::spawn(move || {
        for _ in 0..400 {
            trickle.say(b"x NOOP\r\n");
            thread::sleep(Duration::from_millis(50));
        }
    });
    live.hears("control                  sound");
    interrupt(&live);
    live.end().exits(0);
    feed.join().unwrap();
}

#[test]
fn a_server_behind_that_never_ends_is_cut_off() {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("imap://localhost:{}", server.local_addr().unwrap().port());
    let flood = thread::spawn(move || {
        let (mut stream, _) = server.accept().unwrap();
        while stream.write_all(&b"* OK go on\r\n".repeat(1000)).is_ok() {}
    });
    let mut command = starttls(["attack", "imap", "--upstream", &target, "--listen", "127.0.0.1:0"]);
    let mut live = Live::start(command.args(["--timeout", "50s", "--scenario", "cli-refuse-temp"]));
    live.is_told("Ctrl-C stops");
    let address = told(live.stderr(), "listening on ");
    let mut client = TcpStream::connect(&address).unwrap();
    client.set_read_timeout(Some(Duration::from_secs(50))).unwrap();
    let mut buffer = vec![0; 1 << 16];
    while client.read(&mut buffer).is_ok_and(|read| read > 0) {}
    live.hears("inconclusive the connection carried more than 16 MiB");
    assert!(peak(live.id()).is_some_and(|peak| peak <= 64 * 1024));
    interrupt(&live);
    live.end().exits(7);
    flood.join().unwrap();
}
