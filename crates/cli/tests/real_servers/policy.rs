//! Postfix asks `starttls policy serve`. `dnssec` has the deliveries.

use std::process::Command;

use tempfile::TempDir;

use super::dns_server;
use super::process::{Live, Run, starttls};

const ZONE: &str = "
    .                          NS     ns.test
    .                          SECURE
    all.test                   MX     10 mx.all.test
    all.test                   SECURE
    mx.all.test                A      127.0.0.1
    mx.all.test                SECURE
    _25._tcp.mx.all.test       TLSA   3 1 1 abababababababababababababababababababababababababababababababab
    _25._tcp.mx.all.test       SECURE
    half.test                  MX     10 mx.all.test
    none.test                  MX     10 mx.none.test
    mx.none.test               A      127.0.0.1
    failing.test               SERVFAIL
";

#[test]
fn postfix_reads_every_kind_of_answer() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("main.cf"), "compatibility_level = 3.6\n").unwrap();
    let resolver = dns_server::server(ZONE).to_string();
    let arguments = ["policy", "serve", "--listen", "127.0.0.1:0", "--resolver", &resolver];
    let mut live = Live::start(&mut starttls(arguments));
    live.is_told("listening on ");
    let address = live.stderr().rsplit_once("listening on ").unwrap().1.lines().next().unwrap().to_owned();
    let ask = |key: &str| {
        let mut postmap = Command::new("timeout");
        postmap.args(["150", "/usr/sbin/postmap", "-c"]).arg(folder.path());
        Run::of(postmap.args(["-q", key, &format!("socketmap:inet:{address}:QUERY")]))
    };
    for (key, code, expected) in [
        ("all.test", 0, "dane-only\n"),
        ("half.test", 0, "dane\n"),
        ("none.test", 1, ""),
        ("[192.0.2.1]", 1, ""),
    ] {
        let run = ask(key);
        assert_eq!((run.code, run.stdout.as_str()), (code, expected), "{key}: {}", run.stderr);
        assert!(!run.stderr.contains("error"), "{key}: {}", run.stderr);
    }
    // The administrator finds our reason in the log.
    let failed = ask("failing.test").exits(1);
    let reason = "socketmap server temporary error: failing.test: the MX lookup failed: the resolver answered SERVFAIL";
    assert!(failed.stderr.contains(reason), "{}", failed.stderr);
}
