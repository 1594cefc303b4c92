//! Paths in the gateway's configuration that are not regular files cause an error; the gateway never blocks on them.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use starttls_lab::ca::{Authority, Leaf};
use starttls_testkit::process::{free_port, own_loopback};
use tempfile::TempDir;

use crate::support::process::{DEADLINE, Live};
use crate::support::{Run, starttls};

/// All kinds of files that are not read, and the error for each.
const KINDS: [(&str, &str); 5] = [
    ("pipe", "expected a regular file, found a pipe (FIFO)"),
    ("socket", "expected a regular file, found a socket"),
    ("folder", "expected a regular file, found a directory"),
    ("device", "expected a regular file, found a character device"),
    ("huge", "expected at most 1 MiB, found more"),
];

fn make(kind: &str, path: &Path) {
    match kind {
        "pipe" => assert!(Command::new("mkfifo").arg(path).status().unwrap().success()),
        "socket" => drop(UnixListener::bind(path).unwrap()),
        "folder" => fs::create_dir(path).unwrap(),
        "device" => symlink("/dev/zero", path).unwrap(),
        _ => OpenOptions::new().create_new(true).write(true).open(path).unwrap().set_len(1 << 40).unwrap(),
    }
}

fn remove(path: &Path) {
    match fs::symlink_metadata(path) {
        Ok(found) if found.is_dir() => fs::remove_dir(path).unwrap(),
        Ok(_) => fs::remove_file(path).unwrap(),
        Err(_) => {}
    }
}

/// A temporary folder with all files that a configuration can refer to.
struct Folder(TempDir);

impl Folder {
    fn new() -> Self {
        let folder = Self(tempfile::tempdir().unwrap());
        let authority = Authority::new().unwrap();
        fs::create_dir(folder.path("certificates")).unwrap();
        folder.write("root.pem", &authority.root_pem());
        folder.write("password", "secret\n");
        folder.write("tickets", &format!("{}\n", "07".repeat(32)));
        for name in ["own", "client", "certificates/one"] {
            let issued = authority.issue(&Leaf::named("localhost")).unwrap();
            folder.write(&format!("{name}.pem"), &issued.chain_pem);
            folder.write(&format!("{name}.key"), &issued.key_pem);
        }
        folder.write("gateway.toml", &folder.configuration());
        folder
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn write(&self, name: &str, text: &str) {
        use std::os::unix::fs::PermissionsExt;
        let (new, path) = (self.path("new"), self.path(name));
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, PermissionsExt::from_mode(0o600)).unwrap();
        fs::rename(new, path).unwrap();
    }

    fn configuration(&self) -> String {
        let dir = self.0.path().display();
        format!(
            "log = \"{dir}/log\"\nticket-keys = \"{dir}/tickets\"\n\
             [[listener]]\nname = \"pair\"\nlisten = \"submission+starttls://127.0.0.1:0\"\nallow = [\"127.0.0.1\"]\n\
             cert = \"{dir}/own.pem\"\nkey = \"{dir}/own.key\"\n\
             client-auth = \"optional\"\nclient-ca = \"{dir}/root.pem\"\n\
             [listener.forward]\nurl = \"submission+starttls://localhost:1\"\nca-file = \"{dir}/root.pem\"\n\
             cert = \"{dir}/client.pem\"\nkey = \"{dir}/client.key\"\n\
             login = {{ user = \"u\", password-file = \"{dir}/password\" }}\n\
             [[listener]]\nname = \"folder\"\nlisten = \"imap+starttls://127.0.0.2:0\"\n\
             certificates = \"{dir}/certificates\"\nforward = \"imap://127.0.0.1:1\"\n"
        )
    }

    fn command(&self) -> Command {
        let mut command = starttls(["gateway", "-c"]);
        command.arg(self.path("gateway.toml"));
        command
    }

    /// Waits until a line of the log fits, and returns it.
    fn logged(&self, fits: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            let log = fs::read_to_string(self.path("log")).unwrap_or_default();
            let mut lines = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            if let Some(found) = lines.find(|line| fits(line)) {
                return found;
            }
            assert!(started.elapsed() < DEADLINE, "not in the log:\n{log}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn event<'a>(event: &'a str, part: &'a str) -> impl Fn(&Value) -> bool + 'a {
    move |line| line["event"] == event && line["what"].as_str().is_some_and(|what| what.contains(part))
}

fn signal(live: &Live, signal: Signal) {
    kill(Pid::from_raw(live.id() as i32), signal).unwrap();
}

#[test]
fn every_path_is_checked_before_it_is_opened() {
    let folder = Folder::new();
    Run::of(folder.command().arg("--check")).exits(0);
    for name in [
        "own.pem",
        "own.key",
        "own.ocsp",
        "root.pem",
        "client.pem",
        "client.key",
        "password",
        "tickets",
        "certificates/one.pem",
        "certificates/one.key",
        "certificates/one.ocsp",
        "certificates/two.pem",
        "gateway.toml",
        "log",
    ] {
        let (path, away) = (folder.path(name), folder.path("away"));
        let was_there = fs::rename(&path, &away).is_ok();
        for (kind, expected) in KINDS {
            // The log may be large, and so may a file of which only a line is read.
            let limit = match name {
                "log" if kind == "huge" => continue,
                "log" if kind == "pipe" => String::from("a program reads, found no reader"),
                "password" => expected.replace("1 MiB", "64 KiB"),
                "gateway.toml" => expected.replace("1 MiB", "16 MiB"),
                _ => expected.to_owned(),
            };
            make(kind, &path);
            let run = Run::of(folder.command().arg("--check")).exits(2);
            assert!(run.stderr.contains(&limit), "{name} as {kind}: {}", run.stderr);
            remove(&path);
        }
        if was_there {
            fs::rename(&away, &path).unwrap();
        }
    }
    Run::of(folder.command().arg("--check")).exits(0);
}

#[test]
fn a_fifo_among_the_certificates_stops_neither_renewal_nor_reload_nor_the_end() {
    let folder = Folder::new();
    let live = Live::start(&mut folder.command());
    folder.logged(event("started", "listens on"));
    make("pipe", &folder.path("certificates/two.pem"));
    // The watch reports the pipe and keeps the current certificates.
    folder.logged(event("kept", "found a pipe (FIFO)"));
    // Meanwhile another certificate is renewed.
    let issued = Authority::new().unwrap().issue(&Leaf::named("localhost")).unwrap();
    folder.write("own.key", &issued.key_pem);
    folder.write("own.pem", &issued.chain_pem);
    let renewed = folder.logged(event("renewed", ""));
    // The event contains only the changed files.
    let files = renewed["what"].as_str().unwrap().split(", ").map(|file| file.rsplit('/').next().unwrap());
    assert!(files.clone().all(|file| ["own.key", "own.pem"].contains(&file)), "{renewed}");
    fs::remove_file(folder.path("log")).unwrap();
    signal(&live, Signal::SIGHUP);
    folder.logged(event("kept", "found a pipe (FIFO)"));
    remove(&folder.path("certificates/two.pem"));
    signal(&live, Signal::SIGHUP);
    folder.logged(event("reloaded", ""));
    make("pipe", &folder.path("certificates/two.pem"));
    signal(&live, Signal::SIGHUP);
    signal(&live, Signal::SIGTERM);
    live.end().exits(0);
}

/// While the gateway reads a large configuration, it answers health requests and ends on a signal.
#[test]
fn a_reload_that_takes_long_stops_nothing() {
    // On a fast machine, the first one may end before the signal.
    assert!([200, 1000].into_iter().any(is_stopped_during_a_reload), "every reload ended before the signal");
}

/// Reloads a configuration with this number of backends, and ends the gateway. Returns whether it was still reading.
fn is_stopped_during_a_reload(backends: usize) -> bool {
    let folder = Folder::new();
    let root = fs::read_to_string(folder.path("root.pem")).unwrap();
    folder.write("many.pem", &root.repeat((1 << 20) / root.len()));
    let dir = folder.0.path().display();
    let backend = format!("{{ url = \"imap+starttls://localhost:1\", ca-file = \"{dir}/many.pem\" }}");
    let metrics = free_port(own_loopback()).unwrap();
    let few = format!("metrics = \"{metrics}\"\n{}", folder.configuration());
    folder.write("gateway.toml", &few);
    let live = Live::start(&mut folder.command());
    folder.logged(event("started", "listens on"));
    // Reading takes from a fraction of a second to many seconds.
    let many = vec![backend; backends].join(", ");
    folder.write("gateway.toml", &few.replace("\"imap://127.0.0.1:1\"", &format!("[{many}]")));
    signal(&live, Signal::SIGHUP);
    let mut health = std::net::TcpStream::connect(metrics).unwrap();
    health.set_read_timeout(Some(DEADLINE)).unwrap();
    std::io::Write::write_all(&mut health, b"GET /health HTTP/1.1\r\n\r\n").unwrap();
    let mut answer = String::new();
    std::io::Read::read_to_string(&mut health, &mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 200 OK"), "{answer}");
    signal(&live, Signal::SIGTERM);
    folder.logged(event("draining", ""));
    live.end().exits(0);
    let log = fs::read_to_string(folder.path("log")).unwrap();
    assert!(!log.contains("\"kept\""), "{log}");
    !log.contains("\"reloaded\"")
}
