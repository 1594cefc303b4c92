//! The gateway under too many connections: it answers health requests and ends on a signal.

use std::fs;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use starttls_lab::ca::{Authority, Leaf};
use starttls_testkit::process::{free_port, own_loopback};
use tempfile::TempDir;

use crate::support::process::{DEADLINE, Live};
use crate::support::starttls;

/// A running gateway for SMTP with a health address.
struct Gateway {
    live: Live,
    dir: TempDir,
    smtp: SocketAddr,
    metrics: SocketAddr,
}

impl Gateway {
    /// Starts the gateway with this limit of open files.
    fn start(files: u32, more: &str) -> Self {
        let free = || free_port(own_loopback()).unwrap();
        let (dir, smtp, metrics) = (tempfile::tempdir().unwrap(), free(), free());

        let own = Authority::new().unwrap().issue(&Leaf::named("localhost")).unwrap();
        own.write_to(dir.path(), "own").unwrap();
        let folder = dir.path().display();
        let text = format!(
            "log = \"{folder}/log\"\nmetrics = \"{metrics}\"\ndrain = \"1s\"\n[[listener]]\n\
             listen = \"smtp+starttls://{smtp}\"\ncert = \"{folder}/own.pem\"\nkey = \"{folder}/own.key\"\n\
             forward = \"smtp://127.0.0.1:9\"\n{more}\n"
        );
        let config = dir.path().join("gateway.toml");
        fs::write(&config, text).unwrap();
        let gateway = starttls(["gateway", "-c"]);
        let mut limited = Command::new("sh");
        limited.args(["-c", &format!("ulimit -n {files}; exec \"$0\" \"$@\"")]);
        limited.arg(gateway.get_program()).args(gateway.get_args()).arg(config);
        let gateway = Self { live: Live::start(&mut limited), dir, smtp, metrics };
        gateway.logged("started");
        gateway
    }

    fn logged(&self, event: &str) -> String {
        let started = Instant::now();
        loop {
            let log = fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
            if let Some(line) = log.lines().find(|line| line.contains(&format!("\"event\":\"{event}\""))) {
                return line.to_owned();
            }
            assert!(started.elapsed() < DEADLINE, "nothing of {event} in\n{log}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn health(&self) -> String {
        let mut tcp = TcpStream::connect(self.metrics).unwrap();
        tcp.set_read_timeout(Some(DEADLINE)).unwrap();
        tcp.write_all(b"GET /health HTTP/1.1\r\n\r\n").unwrap();
        let mut answer = String::new();
        // A draining gateway may reset a late connection.
        let _ = tcp.read_to_string(&mut answer);
        answer
    }

    fn end(self) {
        kill(Pid::from_raw(self.live.id() as i32), Signal::SIGTERM).unwrap();
        self.logged("draining");
        self.live.end().exits(0);
    }
}

fn mute(count: usize, at: SocketAddr) -> Vec<TcpStream> {
    (0..count).map(|_| TcpStream::connect(at).unwrap()).collect()
}

/// Returns the first four octets that a new client receives.
fn greeting(at: SocketAddr) -> String {
    let mut tcp = TcpStream::connect(at).unwrap();
    tcp.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut heard = [0; 4];
    tcp.read_exact(&mut heard).unwrap();
    String::from_utf8_lossy(&heard).into_owned()
}

#[test]
fn clients_use_up_the_connections_and_not_the_files() {
    let gateway =
        Gateway::start(256, "limits = { connections-per-address = 1000, handshakes-per-second = 1000 }");
    let started = gateway.logged("started");
    assert!(
        started.contains("connections instead of 10000, because at most 256 files may be open"),
        "{started}"
    );
    let held = mute(200, gateway.smtp);
    // When all places are in use, the next client is refused, and health requests are still answered.
    let began = Instant::now();
    while greeting(gateway.smtp) != "421 " {
        assert!(began.elapsed() < DEADLINE, "there is no limit");
    }
    for _ in 0..20 {
        assert!(gateway.health().starts_with("HTTP/1.1 200 "));
    }
    drop(held);
    let began = Instant::now();
    while greeting(gateway.smtp) != "220 " {
        assert!(began.elapsed() < DEADLINE, "the places are not free again");
    }
    let _held = mute(200, gateway.smtp);
    gateway.end();
}

#[test]
fn connections_that_are_mute_do_not_hold_up_the_end() {
    let proxy = "proxy-from = [\"127.0.0.1\"]\nlimits = { connections-per-address = 1000, handshakes-per-second = 1000 }";
    let gateway = Gateway::start(2048, proxy);
    let (_headers, _heads) = (mute(100, gateway.smtp), mute(300, gateway.metrics));
    assert!(gateway.health().starts_with("HTTP/1.1 200 "));
    kill(Pid::from_raw(gateway.live.id() as i32), Signal::SIGHUP).unwrap();
    gateway.logged("reloaded");
    gateway.end();
}
