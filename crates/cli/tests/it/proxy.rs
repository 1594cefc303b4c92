//! `--proxy`, `--source` and `--send-proxy-header`, with microsocks and tinyproxy as the proxies.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::process::Command;
use std::time::Duration;

use starttls_testkit::process::{Daemon, Scratch, free_port, own_loopback, program};

use crate::support::scripted_server::closed;
use crate::support::{Run, starttls};
use crate::{endpoint, lab};

const START: Duration = Duration::from_secs(60);

/// A running proxy that requires a login.
struct Running {
    address: SocketAddr,
    /// The proxy's URL with the login.
    url: String,
    daemon: Daemon,
    scratch: Scratch,
}

impl Running {
    fn url_as(&self, login: &str) -> String {
        let (scheme, rest) = self.url.split_once("://").unwrap();
        format!("{scheme}://{login}{}", rest.split_once('@').unwrap().1)
    }

    /// Returns what the proxy logged.
    fn log(&self) -> String {
        let file = std::fs::read(self.scratch.path().join("connections.log")).unwrap_or_default();
        String::from_utf8_lossy(&[self.daemon.log(), file].concat()).into_owned()
    }
}

fn started(
    scheme: &str,
    login: &str,
    name: &str,
    command: impl FnOnce(&Scratch, SocketAddr) -> Command,
) -> Running {
    let scratch = Scratch::new().unwrap();
    let address = free_port(own_loopback()).unwrap();
    let mut daemon = Daemon::spawn(&scratch, name, &mut command(&scratch, address)).unwrap();
    daemon.wait_listening(address, START).unwrap();
    Running { address, url: format!("{scheme}://{login}@{address}"), daemon, scratch }
}

fn microsocks() -> Running {
    started("socks5", "user:p%40ss", "microsocks", |_, address| {
        let mut command = Command::new(program("microsocks", "microsocks").unwrap());
        command.args(["-u", "user", "-P", "p@ss", "-i", &address.ip().to_string()]);
        command.args(["-p", &address.port().to_string()]);
        command
    })
}

fn tinyproxy() -> Running {
    started("http", "user:pa55", "tinyproxy", |scratch, address| {
        let config = format!(
            "Port {}\nListen {}\nLogFile \"{}\"\nLogLevel Connect\nBasicAuth user pa55\n",
            address.port(),
            address.ip(),
            scratch.path().join("connections.log").display()
        );
        let config = scratch.file("tinyproxy.conf", &config).unwrap();
        let mut command = Command::new(program("tinyproxy", "tinyproxy-bin").unwrap());
        command.arg("-d").arg("-c").arg(config);
        command
    })
}

#[test]
fn every_command_connects_through_a_proxy() {
    let lab = lab();
    let target = |scheme: &str| format!("{scheme}://localhost:{}", endpoint(&lab, scheme).address.port());
    for proxy in [microsocks(), tinyproxy()] {
        let run = |command: &str, scheme: &str, more: &[&str]| {
            let mut run = starttls([command, &target(scheme), "--proxy", &proxy.url]);
            if command != "hello" {
                run.arg("--no-system-roots").arg("--ca-file").arg(lab.ca_file());
            }
            run.args(more).env("STARTTLS_PASSWORD", lab.password());
            Run::of(&mut run).exits(0)
        };
        let report = run("connect", "smtp", &["--format", "json"]).json();
        assert_eq!(report["outcome"], "encrypted", "{report}");
        assert!(report["address"].is_null(), "only the proxy knows the server's address: {report}");
        run("login", "imap", &["--user", "test"]);
        run("send", "smtp", &["--from", "a@example.test", "--to", "test@example.test", "--until", "rcpt"]);
        run("hello", "pop3", &[]);
        let checked = run("check", "sieve", &[]);
        assert!(checked.stdout.contains("SOUND") || checked.stdout.contains("sound"), "{}", checked.stdout);
        for secret in ["p@ss", "p%40ss", "pa55"] {
            assert!(!checked.stdout.contains(secret), "the report contains the password: {}", checked.stdout);
        }
        // The proxy looked up the name itself.
        let log = proxy.log();
        assert!(log.contains(&format!("localhost:{}", endpoint(&lab, "smtp").address.port())), "{log}");
    }
}

#[test]
fn a_proxy_that_fails_is_named_and_the_server_is_not_blamed() {
    let (_reserved, closed) = closed();
    for proxy in [microsocks(), tinyproxy()] {
        let name = format!("the proxy {}", proxy.address);
        let connect = |url: &str, target: &str| {
            let run = Run::of(starttls(["connect", target, "--proxy", url]).arg("--timeout").arg("30s"));
            assert!(run.stderr.contains(&name), "{}", run.stderr);
            run.exits(3)
        };
        connect(&proxy.url, &format!("smtp://localhost:{}", closed.port()))
            .says("did not connect to localhost");
        connect(&proxy.url, "smtp://server.invalid").says("did not connect to server.invalid:25");
        connect(&proxy.url_as(""), "smtp://localhost").says("requires a login");
        assert!(!connect(&proxy.url_as("user:wr0ng@"), "smtp://localhost").stderr.contains("wr0ng"));
        // The proxy's failure says nothing about the server.
        let checked =
            Run::of(&mut starttls(["check", "smtp://localhost", "--proxy", &proxy.url_as("")])).exits(7);
        assert!(checked.stdout.contains("requires a login"), "{}", checked.stdout);
    }
    let nowhere = format!("socks5://{closed}");
    let run = Run::of(&mut starttls(["connect", "smtp://localhost", "--proxy", &nowhere])).exits(3);
    run.says(&format!("cannot reach the proxy {closed}"));
}

#[test]
fn wrong_usage_does_not_repeat_the_password() {
    for url in
        ["ftp://user:hunter2@proxy.example", "http://user:hunter2@proxy.example", "socks5://user:hunter2@a b"]
    {
        let run = Run::of(&mut starttls(["connect", "smtp://localhost", "--proxy", url])).exits(2);
        assert!(!run.stderr.contains("hunter2"), "{}", run.stderr);
        run.says("expected socks5://");
    }
    for arguments in [
        &["connect", "smtp://localhost", "-4", "--proxy", "socks5://localhost"][..],
        &["connect", "smtp://localhost", "--connect", "unix:/run/x", "--proxy", "socks5://localhost"],
        &[
            "send",
            "--mx",
            "--from",
            "a@example.test",
            "--to",
            "b@example.test",
            "--proxy",
            "socks5://localhost",
        ],
        &["check", "example.test", "--proxy", "socks5://localhost"],
    ] {
        Run::of(&mut starttls(arguments)).exits(2);
    }
}

#[test]
fn a_source_address_and_a_proxy_header_are_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = format!("smtp://{}", listener.local_addr().unwrap());
    let accepted = std::thread::spawn(move || {
        use std::io::Read;
        let (mut tcp, from) = listener.accept().unwrap();
        let mut line = vec![0; b"PROXY TCP4 127.0.0.7 127.0.0.1 ".len()];
        tcp.read_exact(&mut line).unwrap();
        (from, String::from_utf8(line).unwrap())
    });
    let mut run = starttls(["connect", &target, "--source", "127.0.0.7", "--send-proxy-header", "v1"]);
    let run = Run::of(&mut run);
    let (from, line) = accepted.join().unwrap();
    assert_eq!(from.ip(), IpAddr::from([127, 0, 0, 7]), "{}", run.stderr);
    assert_eq!(line, "PROXY TCP4 127.0.0.7 127.0.0.1 ");
}
