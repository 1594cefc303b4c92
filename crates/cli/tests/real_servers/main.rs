//! Every real server is upgraded by the command and by the library; under an attack the upgrade is refused.
//!
//! If the programs of a server are not installed, its test fails and names the Debian package.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

mod attacks;
mod dnssec;
mod login;
mod mail;
mod middle;
mod policy;
mod verified;

#[path = "../support/dns_server.rs"]
mod dns_server;
#[path = "../support/process.rs"]
#[expect(dead_code, reason = "shared with other tests, which use the rest")]
mod process;

use std::path::PathBuf;
use std::process::Command;

use starttls::proto::{Protocol, protocol};
use starttls_testkit::real::{RealEndpoint, RealServer, RunningServer, Setup};

use process::{Run, starttls};

/// One protocol of a running server, with the CA file for it.
struct Peer {
    protocol: &'static Protocol,
    endpoint: RealEndpoint,
    root_pem: String,
    ca_file: PathBuf,
}

impl Peer {
    /// Returns `connect` to this port with the peer's name, which trusts only the lab's root.
    fn connect(&self, port: u16) -> Command {
        let mut command = self.connect_as(port, &self.endpoint.server_name);
        command.arg("--no-system-roots").arg("--ca-file").arg(&self.ca_file);
        command
    }

    /// Returns `connect` to this port, which verifies this name. The URL contains the name of the server, because some
    /// servers receive it before TLS (`Host`).
    fn connect_as(&self, port: u16, name: &str) -> Command {
        let (ip, scheme, own) = (self.endpoint.address.ip(), self.protocol.name, &self.endpoint.server_name);
        let mut command = starttls(["connect", "--timeout", "30s", "--server-name", name]);
        command.arg(format!("{scheme}://{own}:{port}")).args(["--connect", &ip.to_string()]);
        command
    }

    /// Runs the command, expects this exit code and these parts of the error, and returns the report.
    #[track_caller]
    fn refuses(&self, what: &str, mut command: Command, code: i32, parts: &[&str]) -> serde_json::Value {
        let run = Run::of(command.args(["--format", "json"]));
        let context = format!("{}, {what}:\n{}\n{}", self.protocol.name, run.stdout, run.stderr);
        assert_eq!(run.code, code, "{context}");
        let report = run.json();
        assert_eq!(report["exit_code"], code, "{context}");
        assert!(report["tls"].is_null(), "{context}");
        let message = report["error"]["message"].as_str().unwrap_or_default();
        for part in parts {
            assert!(message.contains(part), "no {part:?} in the error of {context}");
        }
        report
    }
}

mod upgrades {
    starttls_testkit::each_real_server!(super::upgrades);
}

mod logs_in {
    starttls_testkit::each_real_server!(super::logs_in);
}

fn upgrades(server: &RealServer) {
    visit(server, |peer, _| {
        verified::all(peer);
        attacks::all(peer);
    });
}

fn logs_in(server: &RealServer) {
    visit(server, login::all);
}

fn visit(server: &RealServer, each: impl Fn(&Peer, &RunningServer)) {
    with_setup(server, |peer, running, _| each(peer, running));
}

fn with_setup(RealServer { name, start, .. }: &RealServer, each: impl Fn(&Peer, &RunningServer, &Setup)) {
    let setup = Setup::new().unwrap();
    let running = start(&setup).unwrap_or_else(|error| panic!("{name}: {error}"));
    let ca_file = setup.authority.write_to(running.folder()).unwrap();
    for endpoint in &running.endpoints {
        let protocol = protocol(endpoint.protocol)
            .unwrap_or_else(|| panic!("{name}: {} is not in the registry", endpoint.protocol));
        let (endpoint, root_pem) = (endpoint.clone(), setup.authority.root_pem());
        let peer = Peer { protocol, endpoint, root_pem, ca_file: ca_file.clone() };
        each(&peer, &running, &setup);
    }
}
