//! Every real server starts, and somebody else's client upgrades to TLS and verifies it.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use starttls_lab::real::{Endpoint, Running, SERVERS, Setup};

const DEADLINE: Duration = Duration::from_secs(20);

#[test]
fn postfix() {
    upgrades_with_openssl("postfix", &[("smtp", "smtp"), ("submission", "smtp")]);
}

#[test]
fn dovecot() {
    upgrades_with_openssl(
        "dovecot",
        &[("imap", "imap"), ("pop3", "pop3"), ("sieve", "sieve"), ("lmtp", "lmtp")],
    );
}

#[test]
fn openldap() {
    upgrades_with_openssl("openldap", &[("ldap", "ldap")]);
}

#[test]
fn vsftpd() {
    upgrades_with_openssl("vsftpd", &[("ftp", "ftp")]);
}

#[test]
fn prosody() {
    upgrades_with_openssl("prosody", &[("xmpp", "xmpp"), ("xmpp-server", "xmpp-server")]);
}

#[test]
fn inn() {
    upgrades_with_openssl("inn", &[("nntp", "nntp")]);
}

#[test]
fn postgresql() {
    upgrades_with_openssl("postgresql", &[("postgres", "postgres")]);
}

#[test]
fn mariadb() {
    upgrades_with_openssl("mariadb", &[("mysql", "mysql")]);
}

#[test]
fn inspircd() {
    upgrades_with_openssl("inspircd", &[("irc", "irc")]);
}

#[test]
fn cups() {
    let request = "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: TLS/1.0\r\n\r\n";
    gives_go_ahead("cups", "http", request, "HTTP/1.1 101 ");
}

#[test]
fn nut() {
    gives_go_ahead("nut", "nut", "STARTTLS\n", "OK STARTTLS\n");
}

#[test]
fn without_tls_every_server_starts() {
    let setup = Setup::without_tls().unwrap();
    for server in SERVERS {
        let running = (server.start)(&setup).unwrap_or_else(|error| panic!("{}: {error}", server.name));
        ends(running);
    }
}

#[test]
fn the_table_is_sound() {
    for server in SERVERS {
        assert!(!server.packages.is_empty() && !server.protocols.is_empty(), "{}", server.name);
        assert_eq!(SERVERS.iter().filter(|other| other.name == server.name).count(), 1, "{}", server.name);
    }
}

fn start(setup: &Setup, name: &str) -> Running {
    let server = SERVERS.iter().find(|server| server.name == name).unwrap();
    let running = (server.start)(setup).unwrap_or_else(|error| panic!("{name}: {error}"));
    let protocols: Vec<_> = running.endpoints.iter().map(|endpoint| endpoint.protocol).collect();
    assert_eq!(protocols, server.protocols);
    running
}

fn upgrades_with_openssl(name: &str, protocols: &[(&str, &str)]) {
    let setup = Setup::new().unwrap();
    let running = start(&setup, name);
    let root = setup.authority.write_to(running.folder()).unwrap();
    for (protocol, starttls) in protocols {
        let Endpoint { address, server_name, .. } = running.endpoint(protocol).unwrap();
        let mut client = Command::new("openssl");
        client
            .args(["s_client", "-connect", &address.to_string(), "-starttls", starttls, "-brief"])
            .args(["-name", server_name, "-servername", server_name, "-verify_hostname", server_name])
            .args(["-verify_return_error", "-no-CApath", "-no-CAstore", "-CAfile"])
            .arg(&root);
        let (ended_well, said) = run(&mut client);
        let verified = said.contains("Verification: OK") && said.contains("CONNECTION ESTABLISHED");
        assert!(ended_well && verified, "{name}, {protocol}:\n{}", said.escape_debug());
    }
    ends(running);
}

fn gives_go_ahead(name: &str, protocol: &str, request: &str, go_ahead: &str) {
    let setup = Setup::new().unwrap();
    let running = start(&setup, name);
    let mut stream = TcpStream::connect(running.endpoint(protocol).unwrap().address).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = vec![0; go_ahead.len()];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), go_ahead);
    drop(stream);
    ends(running);
}

/// Runs a client to its end, or kills it at the deadline.
fn run(command: &mut Command) -> (bool, String) {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > DEADLINE {
            child.kill().unwrap();
        }
        sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// Drops a server and sees that no process is left that worked in its folder or led its groups.
fn ends(running: Running) {
    let folder = running.folder().display().to_string();
    let ids: Vec<_> = running.ids().map(|id| id.to_string()).collect();
    drop(running);
    let output = Command::new("ps").args(["-eo", "pid=,pgid=,stat=,args="]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for line in text.lines() {
        let fields: Vec<_> = line.split_whitespace().collect();
        // An orphan that has ended waits only for process 1 to reap it.
        let living = !fields[2].starts_with('Z');
        let left = living && (line.contains(&folder) || ids.iter().any(|id| id == fields[1]));
        assert!(!left, "left behind: {}", line.escape_debug());
    }
    assert!(!std::path::Path::new(&folder).exists(), "{folder} was not removed");
}
