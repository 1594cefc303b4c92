//! Prosody: two hosts, for clients and for servers.

use std::process::Command;

use super::launcher::{Launcher, RunningServer, Setup};
use crate::error::Error;
use crate::process::{Daemon, as_user, program, run, user};

/// Served beside the name of the certificate, with the same user and password.
const OTHER: &str = "other.example.test";

pub(super) fn start(setup: &Setup) -> Result<RunningServer, Error> {
    let launcher = Launcher::new(setup, "xmpp.example.test")?;
    let owner = user("prosody", "prosody")?;
    let (client, server) = (launcher.endpoint("xmpp")?, launcher.endpoint("xmpp-server")?);
    let name = &launcher.server_name;
    let data = launcher.scratch.dir("data", &owner)?;
    let tls = launcher.tls(
        || {
            let (chain, key) = launcher.certificate(&owner)?;
            Ok(format!(
                "c2s_require_encryption = true
s2s_require_encryption = true
ssl = {{ certificate = {chain:?}; key = {key:?} }}"
            ))
        },
        "modules_disabled = { \"tls\" }
c2s_require_encryption = false
s2s_require_encryption = false
allow_unencrypted_plain_auth = true",
    )?;
    let config = launcher.scratch.file(
        "prosody.cfg.lua",
        &format!(
            "data_path = {data:?}
interfaces = {{ \"{ip}\" }}
c2s_ports = {{ {c2s} }}
s2s_ports = {{ {s2s} }}
c2s_direct_tls_ports = {{}}
s2s_direct_tls_ports = {{}}
http_ports = {{}}
https_ports = {{}}
modules_enabled = {{ \"roster\", \"saslauth\", \"tls\", \"dialback\", \"disco\", \"ping\" }}
authentication = \"internal_hashed\"
password_hash = \"SHA-256\"
log = {{ info = \"*console\" }}
{tls}
VirtualHost \"{name}\"
VirtualHost \"{OTHER}\"
",
            ip = launcher.ip,
            c2s = client.address.port(),
            s2s = server.address.port(),
        ),
    )?;
    let control = program("prosodyctl", "prosody")?;
    for host in [name, OTHER] {
        let register = ["register", "test", host, &launcher.password];
        run(as_user(&owner, Command::new(&control).arg("--config").arg(&config).args(register)))?;
    }
    let prosody = program("prosody", "prosody")?;
    let prosody = Daemon::spawn(
        &launcher.scratch,
        "prosody",
        as_user(&owner, Command::new(prosody).arg("-F").arg("--config").arg(config)),
    )?;
    let user = format!("test@{name}");
    launcher.running(&user, vec![client, server], vec![prosody])
}
