//! `starttls web`: the page, its file, and its end.

use std::ffi::OsStr;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

use crate::support::process::{DEADLINE, Live};
use crate::support::{Run, starttls};
use crate::{endpoint, lab};

struct Service {
    _live: Live,
    address: SocketAddr,
}

fn start(data: &Path, port: u16, root: &Path) -> Service {
    start_with(data, port, root, &[])
}

fn start_with(data: &Path, port: u16, root: &Path, options: &[&OsStr]) -> Service {
    let mut command =
        starttls(["web", "--listen", "127.0.0.1:0", "--allow-target", "127.0.0.0/8", "--no-system-roots"]);
    command.args(["--resolver", "127.0.0.1", "--allow-port", &port.to_string()]);
    command.arg("--data").arg(data).arg("--ca-file").arg(root).args(options);
    let mut live = Live::start(&mut command);
    live.is_told("listening on ");
    let told = live.stderr();
    let rest = told.rsplit_once("listening on http://").unwrap().1;
    let address = rest.split('/').next().unwrap().parse().unwrap();
    Service { _live: live, address }
}

impl Service {
    fn request(&self, head: &str, body: &str) -> String {
        self.request_with(head, "", body)
    }

    /// Sends a request with further header lines.
    fn request_with(&self, head: &str, headers: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        let (host, length) = (self.address, body.len());
        write!(
            stream,
            "{head} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        )
        .unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        response
    }
}

#[test]
fn a_report_is_still_there_after_a_kill() {
    let (lab, folder) = (lab(), TempDir::new().unwrap());
    let port = endpoint(&lab, "smtp").address.port();
    let data = folder.path().join("runs.redb");
    let service = start(&data, port, lab.ca_file());
    let started = service.request("POST /check", &format!("target=smtp://127.0.0.1:{port}&preset=quick"));
    let path = started.lines().find_map(|line| line.strip_prefix("location: ")).unwrap().trim().to_owned();
    // The page that grows ends with the audit.
    service.request(&format!("GET {path}/live"), "");
    let report = service.request(&format!("GET {path}"), "");
    assert!(report.starts_with("HTTP/1.1 200") && report.contains("sound"), "{report}");
    // `Live` kills the process without a signal that it could handle.
    drop(service);
    let again = start(&data, port, lab.ca_file());
    let kept = again.request(&format!("GET {path}"), "");
    let body = |response: &str| response.split_once("\r\n\r\n").unwrap().1.to_owned();
    assert_eq!(body(&kept), body(&report));
}

#[test]
fn a_run_in_progress_is_broken_off_by_a_kill() {
    let (lab, folder) = (lab(), TempDir::new().unwrap());
    // It accepts connections and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let data = folder.path().join("runs.redb");
    let service = start(&data, port, lab.ca_file());
    let started = service.request("POST /check", &format!("target=smtp://127.0.0.1:{port}&preset=quick"));
    let path = started.lines().find_map(|line| line.strip_prefix("location: ")).unwrap().trim().to_owned();
    let running = service.request(&format!("GET {path}"), "");
    assert!(running.contains("is running"), "{running}");
    drop(service);
    let again = start(&data, port, lab.ca_file());
    let kept = again.request(&format!("GET {path}"), "");
    assert!(kept.starts_with("HTTP/1.1 200") && kept.contains("The audit was broken off."), "{kept}");
    let check = again.request(&format!("GET {}", path.replace("/r/", "/api/v1/checks/")), "");
    assert!(check.contains("\"state\":\"broken-off\""), "{check}");
}

#[test]
fn a_key_is_shown_once_and_works() {
    let (lab, folder) = (lab(), TempDir::new().unwrap());
    let keys = folder.path().join("keys.txt");
    let make = |name: &str| {
        let mut command = starttls(["web", "--new-api-key", name, "--api-keys"]);
        command.arg(&keys);
        Run::of(&mut command)
    };
    let made = make("alice").exits(0);
    let key = made.stdout.trim();
    let file = std::fs::read_to_string(&keys).unwrap();
    assert!(file.starts_with("alice sha256:") && !file.contains(key), "{file}");
    assert_eq!(std::fs::metadata(&keys).unwrap().permissions().mode() & 0o777, 0o600);
    assert!(make("alice").exits(2).stderr.contains("alice has a key already"));
    assert!(make("a b").exits(2).stderr.contains("invalid name"));
    make("bob").exits(0);
    let service = start_with(
        &folder.path().join("runs.redb"),
        1,
        lab.ca_file(),
        &["--api-keys".as_ref(), keys.as_os_str()],
    );
    let body = "{\"targets\": [\"smtp://10.0.0.1\"]}";
    let refused = service.request("POST /api/v1/bulk", body);
    assert!(refused.starts_with("HTTP/1.1 401"), "{refused}");
    let started =
        service.request_with("POST /api/v1/bulk", &format!("Authorization: Bearer {key}\r\n"), body);
    assert!(started.starts_with("HTTP/1.1 202"), "{started}");
    std::fs::write(&keys, "alice\n").unwrap();
    let mut command = starttls(["web", "--listen", "127.0.0.1:0", "--resolver", "127.0.0.1", "--api-keys"]);
    let broken = Run::of(command.arg(&keys)).exits(2);
    assert!(broken.stderr.contains("line 1 of the keys: expected NAME"), "{}", broken.stderr);
}

#[test]
fn an_invalid_option_is_explained() {
    for (option, value, expected) in [
        ("--listen", "localhost:8080", "expected an IP address and a port, such as 127.0.0.1:8080"),
        ("--public", "https://check.example.com/", "expected the host in the URL of the page"),
        ("--public", "check.example.com:8080", "without scheme, port and path"),
        ("--allow-port", "0", "0 is not in 1..=65535"),
        ("--data", "/dev/full", "/dev/full: the file of reports cannot be used"),
        ("--api-keys", "/nonexistent/keys", "cannot read /nonexistent/keys"),
    ] {
        let mut command = starttls(["web", "--resolver", "127.0.0.1", option, value]);
        let refused = Run::of(&mut command).exits(2);
        assert!(refused.stderr.contains(expected), "{option} {value}: {}", refused.stderr);
    }
}

#[test]
fn only_a_public_service_listens_for_other_machines() {
    let refused = Run::of(&mut starttls(["web", "--listen", "0.0.0.0:0"])).exits(2);
    assert!(refused.stderr.contains("can be reached from other machines"), "{}", refused.stderr);
    let both = ["web", "--public", "check.example", "--allow-target", "10.0.0.0/8"];
    Run::of(&mut starttls(both)).exits(2);
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("runs.redb");
    std::fs::write(&path, "no reports").unwrap();
    let mut command = starttls(["web", "--listen", "127.0.0.1:0", "--resolver", "127.0.0.1", "--data"]);
    let broken = Run::of(command.arg(path)).exits(2);
    assert!(broken.stderr.contains("the file of reports cannot be used"), "{}", broken.stderr);
    assert!(
        broken.stderr.contains("runs.redb: ") && broken.stderr.contains("hint: --data "),
        "{}",
        broken.stderr
    );
}
