//! `starttls gateway`: its output before it starts, and its operation as a service.

use std::ffi::OsString;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use starttls::proto::imap::IMAP;
use starttls::{Connector, Endpoint};
use starttls_lab::CleartextServers;
use starttls_lab::ca::{Authority, Leaf};
use starttls_testkit::process::{free_port, own_loopback};
use tempfile::TempDir;

use crate::support::process::{DEADLINE, Live};
use crate::support::{Run, starttls};
use crate::{endpoint, lab, schema, shows};

/// Servers without TLS, and a folder with a certificate for the gateway.
pub(crate) struct House {
    cleartext: CleartextServers,
    authority: Authority,
    dir: TempDir,
}

impl House {
    pub(crate) fn new() -> Self {
        let (cleartext, authority) = (CleartextServers::start().unwrap(), Authority::new().unwrap());
        let house = Self { cleartext, authority, dir: tempfile::tempdir().unwrap() };
        house.authority.write_to(house.dir.path()).unwrap();
        house.issue("localhost");
        house
    }

    /// Replaces the certificate.
    fn issue(&self, name: &str) {
        let issued = self.authority.issue(&Leaf::named(name)).unwrap();
        for (file, text) in [("localhost.key", &issued.key_pem), ("localhost.pem", &issued.chain_pem)] {
            self.write(file, text);
        }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file atomically, readable only by its owner.
    pub(crate) fn write(&self, name: &str, text: &str) -> PathBuf {
        let (new, path) = (self.path("new"), self.path(name));
        fs::write(&new, text).unwrap();
        fs::set_permissions(&new, PermissionsExt::from_mode(0o600)).unwrap();
        fs::rename(new, &path).unwrap();
        path
    }

    pub(crate) fn imap(&self) -> String {
        format!("imap://{}", self.cleartext.address("imap").unwrap())
    }

    /// Returns a gateway in front of the IMAP server, on a free port.
    fn gateway(&self) -> Command {
        let mut command = starttls(["gateway", "imap+starttls://127.0.0.1:0", &self.imap()]);
        command.arg("--cert").arg(self.path("localhost.pem")).arg("--key").arg(self.path("localhost.key"));
        command
    }

    /// Writes a configuration file with a listener for IMAP.
    pub(crate) fn configuration(&self, more: &str) -> PathBuf {
        let (dir, imap) = (self.dir.path().display(), self.imap());
        let text = format!(
            "log = \"{dir}/log\"\n{more}\n[[listener]]\nname = \"imap\"\nlisten = \"imap+starttls://127.0.0.1:0\"\n\
             cert = \"{dir}/localhost.pem\"\nkey = \"{dir}/localhost.key\"\nforward = \"{imap}\"\n"
        );
        self.write("gateway.toml", &text)
    }

    /// Upgrades as a client; the exit code is the result.
    pub(crate) fn connect(&self, port: u16) -> Run {
        let mut command =
            starttls(["connect", "--no-system-roots", "--server-name", "localhost", "--ca-file"]);
        Run::of(command.arg(self.path("root.pem")).arg(format!("imap://127.0.0.1:{port}")))
    }

    /// Returns the lines of the log, once the last event is this one. Lines of sessions may follow it.
    pub(crate) fn logged(&self, event: &str) -> Vec<Value> {
        let started = Instant::now();
        loop {
            let log = fs::read_to_string(self.path("log")).unwrap_or_default();
            let lines: Vec<Value> = log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
            let last = lines.iter().rev().find_map(|line| line.get("event"));
            if last.is_some_and(|last| last == event) {
                return lines;
            }
            assert!(started.elapsed() < DEADLINE, "nothing of {event} in\n{log}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Returns what the last event of a log says. Lines of sessions may follow it.
pub(crate) fn last_event(log: &[Value]) -> &str {
    let last = log.iter().rev().find(|line| line.get("event").is_some());
    last.unwrap()["what"].as_str().unwrap()
}

pub(crate) fn signal(live: &Live, signal: Signal) {
    kill(Pid::from_raw(live.id() as i32), signal).unwrap();
}

/// Returns the port after the last "listens on 127.0.0.1:".
pub(crate) fn port(text: &str) -> u16 {
    let (_, rest) = text.rsplit_once("listens on 127.0.0.1:").unwrap();
    rest[..rest.find(|c: char| !c.is_ascii_digit()).unwrap()].parse().unwrap()
}

#[test]
fn mistakes_are_reported_with_a_hint() {
    let house = House::new();
    let (cert, key) = (house.path("localhost.pem"), house.path("localhost.key"));
    let (cert, key) = (cert.to_str().unwrap(), key.to_str().unwrap());
    let config =
        house.write("bad.toml", "[[listener]]\nlisten = \"imap+starttls://:143\"\nforwards = \"x\"\n");
    let mistakes: &[&[&str]] = &[
        &["gateway"],
        &["gateway", ":587"],
        &["gateway", ":587", "smtp://127.0.0.1:25"],
        &["gateway", ":587", "smtp://127.0.0.1:25", "--cert", cert],
        &["gateway", ":587", "smtp://127.0.0.1:25", "--cert", cert, "--key", "/does/not/exist"],
        &["gateway", ":587", "smtp://192.0.2.1:25", "--cert", cert, "--key", key],
        &["gateway", ":587", "imap://127.0.0.1", "--cert", cert, "--key", key],
        &["gateway", ":587", "smtp://127.0.0.1:25", "--cert", cert, "--key", key, "--starttls", "maybe"],
        &["gateway", "smtp://:25", "smtp+starttls://smtp.example.com"],
        &["gateway", "-c", "/does/not/exist"],
        &["gateway", "-c", config.to_str().unwrap()],
        &["gateway", "-c", config.to_str().unwrap(), "--check", "--plan"],
        &["gateway", "-c", config.to_str().unwrap(), "--allow", "192.0.2.1"],
        &["gateway", "-c", config.to_str().unwrap(), "--format", "json"],
    ];
    let mut all = String::new();
    for mistake in mistakes {
        let run = Run::of(&mut starttls(*mistake)).exits(2);
        assert_eq!(run.stdout, "", "{mistake:?}");
        all += &format!("$ starttls {}\n{}\n", mistake.join(" "), run.stderr);
    }
    shows!("gateway-usage", all.replace(house.dir.path().to_str().unwrap(), "DIR"));
}

#[test]
fn a_sound_configuration_is_said_to_be_sound() {
    let house = House::new();
    let unwritable = house.write(
        "unwritable.toml",
        &fs::read_to_string(house.configuration("")).unwrap().replace("/log\"", "/none/log\""),
    );
    let check = |config: &Path| Run::of(starttls(["gateway", "--check", "-c"]).arg(config));
    check(&unwritable).exits(2).says("cannot write the log ");
    check(&house.configuration("")).exits(0);
    assert!(!house.path("log").exists());
    let run = Run::of(house.gateway().arg("--check")).exits(0);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("the configuration is sound: 1 listener\n", ""));
    fs::set_permissions(house.path("localhost.key"), PermissionsExt::from_mode(0o644)).unwrap();
    Run::of(house.gateway().arg("--check")).exits(0).says("localhost.key is accessible to every user");
}

#[test]
fn a_plan_tries_every_backend() {
    let (house, lab) = (House::new(), lab());
    let dir = house.dir.path().display();
    let (imap, upgraded) = (house.imap(), endpoint(&lab, "imap").address.port());
    let text = format!(
        "[[listener]]\nname = \"imap\"\nlisten = \"imaps://127.0.0.1:0\"\ncert = \"{dir}/localhost.pem\"\n\
         key = \"{dir}/localhost.key\"\nforward = [\"{imap}\", \"imap://127.0.0.1:1\"]\n\
         [[listener.route]]\nnames = [\"a.example.com\", \"*.example.org\"]\n\
         forward = {{ url = \"imap+starttls://localhost:{upgraded}\", ca-file = \"{}\" }}\n\
         [[listener]]\nname = \"device\"\nlisten = \"imap://127.0.0.1:143\"\n\
         forward = {{ url = \"imap+starttls://localhost:{upgraded}\", insecure = true }}\n",
        lab.ca_file().display()
    );
    let config = house.write("plan.toml", &text);
    let run = Run::of(starttls(["gateway", "--plan", "-c"]).arg(&config)).exits(3);
    shows!("gateway-plan", run.stdout);
    run.says("warning: the certificate of imap+starttls://localhost:");
    let json = Run::of(starttls(["gateway", "--plan", "--format", "json", "-c"]).arg(&config)).exits(3);
    assert_eq!(json.stderr, "");
    let plan: Value = serde_json::from_str(&json.stdout).unwrap();
    schema::fits_in("plan.json", &plan);
    let at = |pointer: &str| plan.pointer(pointer).unwrap_or_else(|| panic!("{pointer} in {plan}"));
    for (pointer, expected) in [
        ("/exit_code", json!(3)),
        ("/listeners/0/mode", json!("implicit-tls")),
        ("/listeners/0/certificates/0/names", json!(["localhost"])),
        ("/listeners/0/routes/0/names", json!([])),
        ("/listeners/0/routes/0/backends/0/outcome", json!("cleartext")),
        ("/listeners/0/routes/0/backends/1/outcome", json!("failed")),
        ("/listeners/0/routes/1/names", json!(["a.example.com", "*.example.org"])),
        ("/listeners/0/routes/1/backends/0/outcome", json!("verified")),
        ("/listeners/0/routes/1/backends/0/tls/version", json!("TLS 1.3")),
        ("/listeners/1/routes/0/backends/0/outcome", json!("unverified")),
        ("/listeners/1/routes/0/backends/0/certificate/verified", json!(false)),
    ] {
        assert_eq!(*at(pointer), expected, "{pointer}");
    }
    assert!(at("/warnings/0").as_str().unwrap().starts_with("the certificate of imap+starttls://localhost:"));
    // The same without the unreachable backend, and with a certificate for another name.
    let other = text
        .replace(", \"imap://127.0.0.1:1\"", "")
        .replace("insecure = true", "server-name = \"x.example\"");
    house.write("plan.toml", &other);
    let run = Run::of(starttls(["gateway", "--plan", "-c"]).arg(config)).exits(5);
    assert!(run.stdout.contains("FAILED, backend: the certificate is not accepted"), "{}", run.stdout);
}

#[test]
fn it_serves_until_it_receives_a_signal() {
    let house = House::new();
    let live = Live::start(starttls(["gateway", "-c"]).arg(house.configuration("")));
    let port = port(house.logged("started")[0]["what"].as_str().unwrap());
    house.connect(port).exits(0);
    house.ended(1);
    // An open session delays the end, and a second signal ends it.
    let mut open = TcpStream::connect(("127.0.0.1", port)).unwrap();
    open.set_read_timeout(Some(DEADLINE)).unwrap();
    open.read_exact(&mut [0; 4]).unwrap();
    signal(&live, Signal::SIGTERM);
    let log = house.logged("draining");
    assert_eq!(last_event(&log), "1 session");
    assert!(log.iter().any(|line| line["verdict"] == "done"), "{log:?}");
    // The log line is written before the listening sockets close.
    let deadline = Instant::now() + DEADLINE;
    while TcpStream::connect(("127.0.0.1", port)).is_ok() {
        assert!(Instant::now() < deadline, "the gateway still accepts connections");
    }
    signal(&live, Signal::SIGINT);
    let run = live.end().exits(0);
    assert_eq!((run.stdout.as_str(), run.stderr.as_str()), ("", ""));
    assert_eq!(last_event(&house.logged("stopped")), "at once");
}

#[test]
fn g6_a_reload_is_all_or_nothing_and_renewed_certificates_are_noticed() {
    let house = House::new();
    let config = house.configuration("drain = \"1s\"");
    let live = Live::start(starttls(["gateway", "-c"]).arg(&config));
    let port = port(house.logged("started")[0]["what"].as_str().unwrap());
    house.connect(port).exits(0);

    house.configuration("drian = \"1s\"");
    signal(&live, Signal::SIGHUP);
    let kept = house.logged("kept");
    let what = last_event(&kept);
    assert!(what.contains("unknown key \"drian\"") && what.contains("did you mean"), "{what}");
    house.connect(port).exits(0);

    // The listening socket is kept, because the address is the same.
    house.configuration("drain = \"2s\"");
    fs::rename(house.path("log"), house.path("old-log")).unwrap();
    signal(&live, Signal::SIGHUP);
    let reloaded = house.logged("reloaded");
    assert!(last_event(&reloaded).contains(&format!(":{port}")), "{reloaded:?}");
    house.connect(port).exits(0);

    house.issue("renewed.example");
    house.logged("renewed");
    house.connect(port).exits(5).says("renewed.example");

    house.configuration("metrics = \"127.0.0.1:9464\"");
    signal(&live, Signal::SIGHUP);
    assert!(last_event(&house.logged("kept")).contains("restart"));
    signal(&live, Signal::SIGTERM);
    live.end().exits(0);
    house.logged("stopped");
}

#[test]
fn systemd_is_notified_and_its_sockets_are_served() {
    let house = House::new();
    let told = UnixDatagram::bind(house.path("notify")).unwrap();
    told.set_read_timeout(Some(DEADLINE)).unwrap();
    let next = || {
        let mut text = [0; 256];
        let length = told.recv(&mut text).expect("the service manager is told in time");
        String::from_utf8_lossy(&text[..length]).into_owned()
    };
    // systemd passes the listening socket as descriptor 3.
    let launch = "import os, socket, sys\n\
         listener = socket.create_server(('127.0.0.1', 0))\n\
         os.dup2(listener.fileno(), 3)\n\
         os.set_inheritable(3, True)\n\
         os.environ.update(LISTEN_FDS='1', LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES='mail')\n\
         print(listener.getsockname()[1], flush=True)\n\
         os.execv(sys.argv[1], sys.argv[1:])\n";
    let gateway = house.gateway();
    let arguments = gateway.get_args().map(|it| match it.to_str() {
        Some("imap+starttls://127.0.0.1:0") => OsString::from("imap+starttls://systemd:mail"),
        _ => it.to_owned(),
    });
    let mut python = Command::new("python3");
    python.args(["-c", launch]).arg(gateway.get_program()).args(arguments);
    let mut live = Live::start(python.env("NOTIFY_SOCKET", house.path("notify")));
    live.hears("\n");
    let port = live.stdout().trim().parse().unwrap();
    assert_eq!(next().trim(), "READY=1");
    house.connect(port).exits(0);
    signal(&live, Signal::SIGHUP);
    let reloading = next();
    assert!(reloading.starts_with("RELOADING=1\nMONOTONIC_USEC="), "{reloading}");
    assert_eq!(next().trim(), "READY=1");
    house.connect(port).exits(0);
    signal(&live, Signal::SIGTERM);
    assert_eq!(next().trim(), "STOPPING=1");
    live.end().exits(0);
}

#[test]
fn metrics_and_health_have_an_address_of_their_own() {
    let house = House::new();
    let address = free_port(own_loopback()).unwrap();
    let config = house.configuration(&format!("metrics = \"{address}\""));
    let live = Live::start(starttls(["gateway", "-c"]).arg(&config));
    let port = port(house.logged("started")[0]["what"].as_str().unwrap());
    house.connect(port).exits(0);
    let ask = |path: &str| {
        let mut tcp = TcpStream::connect(address).unwrap();
        write!(tcp, "GET {path} HTTP/1.1\r\n\r\n").unwrap();
        let mut answer = String::new();
        tcp.read_to_string(&mut answer).unwrap();
        answer
    };
    assert!(ask("/health").starts_with("HTTP/1.1 200 OK"));
    let started = Instant::now();
    while !ask("/metrics").contains("starttls_gateway_sessions_total{listener=\"imap\",verdict=\"done\"} 1") {
        assert!(started.elapsed() < DEADLINE, "{}", ask("/metrics"));
    }
    assert!(
        ask("/metrics").contains("starttls_gateway_certificate_expiry_timestamp_seconds{listener=\"imap\"")
    );
    signal(&live, Signal::SIGHUP);
    while !ask("/metrics").contains("starttls_gateway_reloads_total{outcome=\"done\"} 1") {
        assert!(started.elapsed() < DEADLINE, "{}", ask("/metrics"));
    }
    crate::contrib::assert_metrics_exist("starttls_gateway_", &ask("/metrics"), true);
    signal(&live, Signal::SIGTERM);
    live.end().exits(0);
}

/// Landlock applies to a thread and to the threads that it starts. All serving threads must be among them.
#[test]
fn every_thread_that_serves_is_confined() {
    let house = House::new();
    let live = Live::start(starttls(["gateway", "-c"]).arg(house.configuration("")));
    let started = house.logged("started");
    assert!(started[0]["what"].as_str().unwrap().contains("confined"), "{started:?}");
    let tasks = fs::read_dir(format!("/proc/{}/task", live.id())).unwrap();
    let read = |path: PathBuf| fs::read_to_string(path).unwrap_or_default();
    let of = |task: fs::DirEntry| (read(task.path().join("comm")), read(task.path().join("status")));
    // A thread that ends meanwhile has no status.
    let serves = |(name, status): &(String, String)| name.starts_with("gateway-") && !status.is_empty();
    let serving: Vec<_> = tasks.map(|task| of(task.unwrap())).filter(serves).collect();
    assert!(!serving.is_empty());
    for (name, status) in serving {
        assert!(status.contains("NoNewPrivs:\t1"), "{name}: {status}");
    }
    signal(&live, Signal::SIGTERM);
    live.end().exits(0);
}

#[test]
fn no_session_fails_while_everything_is_read_anew_a_hundred_times() {
    let house = House::new();
    // All clients share one address, which has a limit of handshakes.
    let fast = "[limits]\nhandshakes-per-second = 100000";
    let live = Live::start(starttls(["gateway", "-c"]).arg(house.configuration(fast)));
    let port = port(house.logged("started")[0]["what"].as_str().unwrap());
    let connector = house.connector();
    let done = AtomicBool::new(false);
    let sessions = std::thread::scope(|scope| {
        let client = || {
            let mut sessions = 0;
            while !done.load(Ordering::Relaxed) {
                say(house.session(&connector, port), "a NOOP\r\nb LOGOUT\r\n", "b OK");
                sessions += 1;
            }
            sessions
        };
        let clients = [(); 2].map(|()| scope.spawn(client));
        for number in 1..=100 {
            house.configuration(&format!("drain = \"{number}s\"\n{fast}"));
            signal(&live, Signal::SIGHUP);
            house.reloaded(number);
        }
        done.store(true, Ordering::Relaxed);
        clients.map(|client| client.join().unwrap())
    });
    assert!(sessions.iter().all(|count| *count > 1), "{sessions:?}");
    signal(&live, Signal::SIGTERM);
    live.end().exits(0);
    let log = house.logged("stopped");
    let verdicts: Vec<_> = log.iter().filter(|line| line["verdict"] != Value::Null).collect();
    assert_eq!(verdicts.len(), sessions.iter().sum::<usize>());
    assert!(verdicts.iter().all(|line| line["verdict"] == "done"), "{verdicts:?}");
}

#[test]
fn sessions_that_are_there_may_finish_when_it_stops() {
    let house = House::new();
    let live = Live::start(starttls(["gateway", "-c"]).arg(house.configuration("drain = \"50s\"")));
    let port = port(house.logged("started")[0]["what"].as_str().unwrap());
    let connector = house.connector();
    let sessions: Vec<_> = (0..5).map(|_| house.session(&connector, port)).collect();
    signal(&live, Signal::SIGTERM);
    assert_eq!(last_event(&house.logged("draining")), "5 sessions");
    for session in sessions {
        say(session, "a NOOP\r\nb LOGOUT\r\n", "b OK");
    }
    live.end().exits(0);
    let log = house.logged("stopped");
    assert_eq!(last_event(&log), "0 sessions cut off");
    assert_eq!(log.iter().filter(|line| line["verdict"] == "done").count(), 5);
}

type Session = starttls::Encrypted<TcpStream>;

/// Sends `said` and expects `heard` before the server closes.
fn say(mut session: Session, said: &str, heard: &str) {
    session.write_all(said.as_bytes()).unwrap();
    session.flush().unwrap();
    let mut answer = String::new();
    session.read_to_string(&mut answer).unwrap();
    assert!(answer.contains(heard), "{answer}");
}

impl House {
    fn connector(&self) -> Connector {
        let builder = Connector::builder().no_system_roots().roots_pem(self.authority.root_pem());
        builder.timeout(DEADLINE).build().unwrap()
    }

    fn session(&self, connector: &Connector, port: u16) -> Session {
        let to = Endpoint::new("localhost", port).at("127.0.0.1", port);
        let session = connector.blocking().connect(&IMAP, to).unwrap();
        session.io().set_read_timeout(Some(DEADLINE)).unwrap();
        session
    }

    /// Waits for `times` reloads.
    fn reloaded(&self, times: usize) {
        self.logs("\"event\":\"reloaded\"", times);
    }

    /// Waits for the ends of `count` sessions, which their clients see first.
    fn ended(&self, count: usize) {
        self.logs("\"verdict\":", count);
    }

    /// Waits until the log contains `part` so many times.
    fn logs(&self, part: &str, times: usize) {
        let started = Instant::now();
        let log = || fs::read_to_string(self.path("log")).unwrap();
        while log().matches(part).count() < times {
            assert!(started.elapsed() < DEADLINE, "{}", log());
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}
