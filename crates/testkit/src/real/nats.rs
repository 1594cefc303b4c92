//! nats-server, with one user.

use std::process::Command;

use super::launcher::{Launcher, RunningServer, Setup};
use crate::error::Error;
use crate::process::{Daemon, as_user, program, user};

const PACKAGE: &str = "nats-server";

pub(super) fn start(setup: &Setup) -> Result<RunningServer, Error> {
    let launcher = Launcher::new(setup, "queue.example.test")?;
    let owner = user("nobody", "base-passwd")?;
    let endpoint = launcher.endpoint("nats")?;
    let tls = launcher.tls(
        || {
            let (chain, key) = launcher.certificate(&owner)?;
            Ok(format!("tls {{\n  cert_file: {:?}\n  key_file: {:?}\n}}\n", chain, key))
        },
        "",
    )?;
    let config = format!(
        "listen: \"{}\"\nauthorization {{\n  user: test\n  password: \"{}\"\n}}\n{tls}",
        endpoint.address, launcher.password,
    );
    let config = launcher.scratch.secret("nats.conf", &config, &owner)?;
    let mut command = Command::new(program("nats-server", PACKAGE)?);
    command.arg("--config").arg(config);
    let server = Daemon::spawn(&launcher.scratch, "nats-server", as_user(&owner, &mut command))?;
    launcher.running("test", vec![endpoint], vec![server])
}
