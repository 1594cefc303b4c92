//! An FTP client that a test controls in detail, and helpers to run client programs.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use starttls::proto::{Protocol, ftp};
use starttls::{Connector, Encrypted, Endpoint};
use starttls_gateway::Config;
use starttls_gateway::config::Arguments;
use starttls_testkit::process::program;
use starttls_testkit::real::{self, SERVERS, Setup};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::environment::{Environment, Running, within};

pub(super) const FTP: &Protocol = &ftp::FTP;

/// Runs a program within this time and returns its output. Panics if the program fails.
pub(super) async fn run_for<A: AsRef<OsStr>>(
    limit: Duration,
    (name, package): (&str, &'static str),
    args: impl IntoIterator<Item = A>,
) -> String {
    let mut command = Command::new(program(name, package).unwrap());
    // Without this, the program would read the configuration of the user that runs the tests.
    command.args(args).env("HOME", "/nonexistent").env("LC_ALL", "C.UTF-8");
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let ended = tokio::time::timeout(limit, command.output()).await;
    let output = ended.unwrap_or_else(|_| panic!("{name} was not done in time")).unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{name} failed\nout: {out}\nerr: {err}");
    out.into_owned()
}

pub(super) async fn run<A: AsRef<OsStr>>(
    program: (&str, &'static str),
    args: impl IntoIterator<Item = A>,
) -> String {
    run_for(Duration::from_secs(60), program, args).await
}

/// Starts vsftpd, with or without TLS, and a gateway in front of it.
pub(super) fn vsftpd(env: &Environment, tls: bool) -> (real::RunningServer, Running) {
    vsftpd_behind(env, tls, "ftp+starttls://127.0.0.1:0")
}

/// The same with this listener URL.
pub(super) fn vsftpd_behind(env: &Environment, tls: bool, listen: &str) -> (real::RunningServer, Running) {
    let setup = if tls { Setup::new() } else { Setup::without_tls() }.unwrap();
    let server = SERVERS.iter().find(|server| server.name == "vsftpd").unwrap();
    let running = (server.start)(&setup).unwrap();
    let endpoint = running.endpoint("ftp").unwrap();
    let ca_file = tls.then(|| running.folder().join("root.pem"));
    if let Some(file) = &ca_file {
        std::fs::write(file, setup.authority.root_pem()).unwrap();
    }
    let scheme = if tls { "ftp+starttls" } else { "ftp" };
    let gateway = gateway_on(
        env,
        listen,
        &format!("{scheme}://{}", endpoint.address),
        ca_file.as_deref(),
        &endpoint.server_name,
    );
    (running, gateway)
}

/// Starts a gateway with an upgrade in front of this backend.
pub(super) fn gateway(
    env: &Environment,
    forward: &str,
    ca_file: Option<&Path>,
    server_name: &str,
) -> Running {
    gateway_on(env, "ftp+starttls://127.0.0.1:0", forward, ca_file, server_name)
}

fn gateway_on(
    env: &Environment,
    listen: &str,
    forward: &str,
    ca_file: Option<&Path>,
    server_name: &str,
) -> Running {
    let config = Config::from_arguments(&Arguments {
        listen: listen.to_owned(),
        forward: vec![forward.to_owned()],
        certificate: (!listen.starts_with("ftp://")).then(|| env.certificate.clone()),
        ca_file: ca_file.map(Path::to_owned),
        server_name: ca_file.map(|_| server_name.to_owned()),
        ..Arguments::default()
    });
    env.start(config.unwrap())
}

/// A control connection inside TLS.
pub(super) struct Session {
    pub(super) control: BufReader<Encrypted<TcpStream>>,
    /// Data connections resume the session in this connector.
    pub(super) connector: Connector,
    gateway: SocketAddr,
}

impl Session {
    /// Connects and upgrades.
    pub(super) async fn start(env: &Environment, gateway: SocketAddr) -> Self {
        let connector = env.connector.with_session_resumption();
        let endpoint =
            Endpoint::new("localhost", gateway.port()).at(gateway.ip().to_string(), gateway.port());
        let control = within(connector.connect(FTP, endpoint)).await.unwrap();
        Self { control: BufReader::new(control), connector, gateway }
    }

    /// The same, logged in and with protected data connections.
    pub(super) async fn ready(
        env: &Environment,
        gateway: SocketAddr,
        (user, password): (&str, &str),
    ) -> Self {
        let mut session = Self::start(env, gateway).await;
        session.expect(&format!("USER {user}"), "331").await;
        session.expect(&format!("PASS {password}"), "230").await;
        session.expect("PBSZ 0", "200").await;
        session.expect("PROT P", "200").await;
        session
    }

    pub(super) async fn send(&mut self, line: &str) {
        let sending = async {
            self.control.write_all(format!("{line}\r\n").as_bytes()).await?;
            self.control.flush().await
        };
        within(sending).await.unwrap();
    }

    /// Returns the next reply, with all its lines.
    pub(super) async fn reply(&mut self) -> String {
        let mut reply = String::new();
        loop {
            let start = reply.len();
            let count = within(self.control.read_line(&mut reply)).await.unwrap();
            assert!(count > 0, "the end behind {reply:?}");
            if reply.as_bytes()[start + 3] == b' ' && reply[..3] == reply[start..start + 3] {
                return reply;
            }
        }
    }

    /// Sends a command and expects a reply with this code.
    #[track_caller]
    pub(super) fn expect<'a>(
        &'a mut self,
        line: &'a str,
        code: &'a str,
    ) -> impl Future<Output = String> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            self.send(line).await;
            let reply = self.reply().await;
            assert!(reply.starts_with(code), "{caller}: {line}: {reply}");
            reply
        }
    }

    /// Requests a data port and returns its address.
    pub(super) async fn passive(&mut self) -> SocketAddr {
        let reply = self.expect("EPSV", "229").await;
        let port = reply.split('|').nth(3).unwrap().parse().unwrap();
        SocketAddr::new(self.gateway.ip(), port)
    }

    /// Starts TLS on a data connection, with a resumption of the control connection's session.
    pub(super) async fn protect(&self, tcp: TcpStream) -> Result<Encrypted<TcpStream>, starttls::Error> {
        within(self.connector.upgrade_implicit(FTP, "localhost", tcp)).await
    }

    /// Downloads a file.
    pub(super) async fn retrieve(&mut self, name: &str) -> Vec<u8> {
        let address = self.passive().await;
        let tcp = within(TcpStream::connect(address)).await.unwrap();
        self.expect(&format!("RETR {name}"), "150").await;
        let mut data = self.protect(tcp).await.unwrap();
        let mut content = Vec::new();
        within(data.read_to_end(&mut content)).await.unwrap();
        assert!(self.reply().await.starts_with("226"));
        content
    }
}
