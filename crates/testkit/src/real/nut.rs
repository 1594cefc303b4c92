//! NUT's `upsd`, with an imaginary UPS. Debian builds it with NSS, so its certificate lives in a
//! database.

use std::process::Command;

use super::launcher::{Launcher, RunningServer, START, Setup};
use crate::error::Error;
use crate::process::{Daemon, as_user, program, run, user};

const PACKAGE: &str = "nut-server";

pub(super) fn start(setup: &Setup) -> Result<RunningServer, Error> {
    let launcher = Launcher::new(setup, "ups.example.test")?;
    let owner = user("nut", "nut-client")?;
    let endpoint = launcher.endpoint("nut")?;
    let dir = launcher.scratch.path();
    let state = launcher.scratch.dir("state", &owner)?;
    let tls = launcher.tls(|| database(&launcher), "")?;
    let (ip, port) = (endpoint.address.ip(), endpoint.address.port());
    launcher.scratch.file("nut.conf", "MODE=none\n")?;
    launcher
        .scratch
        .file("ups.conf", "[lab]\n  driver = dummy-ups\n  port = lab.dev\n  mode = dummy-once\n")?;
    launcher.scratch.file("lab.dev", "ups.status: OL\nbattery.charge: 100\n")?;
    launcher.scratch.secret("upsd.conf", &format!("LISTEN {ip} {port}\n{tls}"), &owner)?;
    launcher.scratch.secret(
        "upsd.users",
        &format!(
            "[test]\n  password = {}\n  actions = SET\n  instcmds = ALL\n  upsmon secondary\n",
            launcher.password
        ),
        &owner,
    )?;
    let at_home = |mut command: Command| {
        command.env("NUT_CONFPATH", dir).env("NUT_STATEPATH", &state).env("NUT_ALTPIDPATH", &state);
        as_user(&owner, &mut command);
        command
    };
    let mut driver = at_home(Command::new(program("/lib/nut/dummy-ups", PACKAGE)?));
    let mut driver = Daemon::spawn(&launcher.scratch, "dummy-ups", driver.args(["-F", "-a", "lab"]))?;
    driver.wait_until(START, || state.join("dummy-ups-lab").exists())?;
    let mut upsd = at_home(Command::new(program("/lib/nut/upsd", PACKAGE)?));
    let upsd = Daemon::spawn(&launcher.scratch, "upsd", upsd.arg("-F"))?;
    launcher.running("test", vec![endpoint], vec![upsd, driver])
}

/// Makes the database and returns the lines of `upsd.conf` that name it.
fn database(launcher: &Launcher<'_>) -> Result<String, Error> {
    let owner = user("nut", "nut-client")?;
    let (chain, key) = launcher.certificate(&owner)?;
    let database = launcher.scratch.dir("nss", &owner)?;
    let bundle = launcher.scratch.secret("server.p12", "", &owner)?;
    let password = format!("pass:{}", launcher.password);
    run(as_user(
        &owner,
        Command::new(program("openssl", "openssl")?)
            .args(["pkcs12", "-export", "-name", &launcher.server_name, "-passout", &password])
            .arg("-in")
            .arg(chain)
            .arg("-inkey")
            .arg(key)
            .arg("-out")
            .arg(&bundle),
    ))?;
    let at = format!("sql:{}", database.display());
    let pass = launcher.scratch.secret("nss-password", &launcher.password, &owner)?;
    let certutil = program("certutil", "libnss3-tools")?;
    run(as_user(&owner, Command::new(certutil).args(["-N", "-d", &at, "-f"]).arg(&pass)))?;
    let pk12util = program("pk12util", "libnss3-tools")?;
    run(as_user(
        &owner,
        Command::new(pk12util)
            .args(["-d", &at, "-W", &launcher.password, "-k"])
            .arg(pass)
            .arg("-i")
            .arg(bundle),
    ))?;
    Ok(format!(
        "CERTPATH {}\nCERTIDENT \"{}\" \"{}\"\nDISABLE_WEAK_SSL true\n",
        database.display(),
        launcher.server_name,
        launcher.password
    ))
}
