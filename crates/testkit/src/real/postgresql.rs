//! PostgreSQL; its one user is the superuser, of the database `postgres`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;

use super::launcher::{Launcher, RunningServer, START, Setup};
use crate::error::Error;
use crate::process::{Daemon, as_user, run, user};

pub(super) fn start(setup: &Setup) -> Result<RunningServer, Error> {
    let launcher = Launcher::new(setup, "sql.example.test")?;
    let owner = user("postgres", "postgresql")?;
    let endpoint = launcher.endpoint("postgres")?;
    let data = launcher.scratch.dir("data", &owner)?;
    let password = launcher.scratch.secret("password", &launcher.password, &owner)?;
    let bin = binaries()?;
    run(as_user(
        &owner,
        Command::new(bin.join("initdb"))
            .args(["--no-sync", "--auth=scram-sha-256", "--username=test", "--encoding=UTF8", "--no-locale"])
            .arg("--pwfile")
            .arg(password)
            .arg(&data),
    ))?;
    let tls = launcher.tls(
        || {
            let (chain, key) = launcher.certificate(&owner)?;
            Ok(format!(
                "ssl = on\nssl_cert_file = '{}'\nssl_key_file = '{}'\n",
                chain.display(),
                key.display()
            ))
        },
        "ssl = off\n",
    )?;
    let host = if setup.tls { "hostssl" } else { "host" };
    launcher.scratch.secret("data/pg_hba.conf", &format!("{host} all all all scram-sha-256\n"), &owner)?;
    launcher.scratch.secret(
        "data/postgresql.conf",
        &format!(
            "listen_addresses = '{}'
port = {}
unix_socket_directories = ''
shared_buffers = 1MB
max_connections = 20
fsync = off
{tls}",
            endpoint.address.ip(),
            endpoint.address.port()
        ),
        &owner,
    )?;
    let mut command = Command::new(bin.join("postgres"));
    let postgres =
        Daemon::spawn(&launcher.scratch, "postgres", as_user(&owner, command.arg("-D").arg(&data)))?;
    // "Fast" shutdown: do not wait for clients.
    let mut postgres = postgres.stop_with(Signal::SIGINT);
    // It listens before it is ready for logins.
    let status = data.join("postmaster.pid");
    postgres.wait_until(START, || fs::read_to_string(&status).is_ok_and(|text| text.contains("ready")))?;
    launcher.running("test", vec![endpoint], vec![postgres])
}

/// Debian keeps the programs of each major version apart: take the latest.
fn binaries() -> Result<PathBuf, Error> {
    let versions = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    versions
        .map(|version| version.path().join("bin"))
        .filter(|bin| bin.join("postgres").is_file())
        .max_by_key(|bin| bin.parent()?.file_name()?.to_str()?.parse::<u32>().ok())
        .ok_or_else(|| Error::Missing { program: "postgres".into(), package: "postgresql" })
}
