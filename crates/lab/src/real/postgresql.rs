//! PostgreSQL; its one user is the superuser, of the database `postgres`.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use nix::sys::signal::Signal;

use super::{RunningServer, START, Setup, Stage};
use crate::Error;
use crate::process::{Daemon, as_user, run, user};

pub(super) fn start(setup: &Setup) -> Result<RunningServer, Error> {
    let stage = Stage::new(setup, "sql.example.test")?;
    let owner = user("postgres", "postgresql")?;
    let endpoint = stage.endpoint("postgres")?;
    let data = stage.scratch.dir("data", &owner)?;
    let password = stage.scratch.secret("password", &stage.password, &owner)?;
    let bin = binaries()?;
    run(as_user(
        &owner,
        Command::new(bin.join("initdb"))
            .args(["--no-sync", "--auth=scram-sha-256", "--username=test", "--encoding=UTF8", "--no-locale"])
            .arg("--pwfile")
            .arg(password)
            .arg(&data),
    ))?;
    let tls = stage.tls(
        || {
            let (chain, key) = stage.certificate(&owner)?;
            Ok(format!(
                "ssl = on\nssl_cert_file = '{}'\nssl_key_file = '{}'\n",
                chain.display(),
                key.display()
            ))
        },
        "ssl = off\n",
    )?;
    let host = if setup.tls { "hostssl" } else { "host" };
    stage.scratch.secret("data/pg_hba.conf", &format!("{host} all all all scram-sha-256\n"), &owner)?;
    stage.scratch.secret(
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
    let postgres = Daemon::spawn(&stage.scratch, "postgres", as_user(&owner, command.arg("-D").arg(&data)))?;
    // "Fast" shutdown: do not wait for clients.
    let mut postgres = postgres.stop_with(Signal::SIGINT);
    // It listens before it is ready for logins.
    let status = data.join("postmaster.pid");
    postgres.wait_until(START, || fs::read_to_string(&status).is_ok_and(|text| text.contains("ready")))?;
    stage.running("test", vec![endpoint], vec![postgres])
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
