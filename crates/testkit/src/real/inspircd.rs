//! InspIRCd. A client with the password may connect with any nickname.

use std::process::Command;

use super::launcher::{Launcher, RunningServer, Setup};
use crate::error::Error;
use crate::process::{Daemon, as_user, program, user};

pub(super) fn start(setup: &Setup) -> Result<RunningServer, Error> {
    let launcher = Launcher::new(setup, "irc.example.test")?;
    let owner = user("irc", "base-passwd")?;
    let endpoint = launcher.endpoint("irc")?;
    let dir = launcher.scratch.path().display();
    for name in ["data", "log", "run"] {
        launcher.scratch.dir(name, &owner)?;
    }
    let tls = launcher.tls(
        || {
            let (chain, key) = launcher.certificate(&owner)?;
            Ok(format!(
                r#"<module name="ssl_gnutls">
<module name="starttls">
<sslprofile name="lab" provider="gnutls" certfile="{}" keyfile="{}">
<starttls provider="lab">
"#,
                chain.display(),
                key.display()
            ))
        },
        "",
    )?;
    let config = launcher.scratch.secret(
        "inspircd.conf",
        &format!(
            r#"<server name="{name}" description="lab" network="Lab">
<admin name="lab" nick="lab" email="lab@example.test">
<path configdir="{dir}" datadir="{dir}/data" logdir="{dir}/log" runtimedir="{dir}/run" moduledir="/usr/lib/inspircd/modules">
<bind address="{ip}" port="{port}" type="clients">
<connect name="lab" allow="*" password="{password}" timeout="30" resolvehostnames="no" useident="no" localmax="500" globalmax="500" limit="500">
<class name="none"><type name="none" classes="none">
<options prefixquit="">
<performance softlimit="500" nouserdns="yes">
<module name="cap">
<log method="file" type="* -USERINPUT -USEROUTPUT" level="default" target="{dir}/log/inspircd.log">
{tls}"#,
            name = launcher.server_name,
            ip = endpoint.address.ip(),
            port = endpoint.address.port(),
            password = launcher.password,
        ),
        &owner,
    )?;
    let inspircd = program("inspircd", "inspircd")?;
    let mut command = Command::new(inspircd);
    command.arg("--nofork").arg(format!("--config={}", config.display()));
    let inspircd = Daemon::spawn(&launcher.scratch, "inspircd", as_user(&owner, &mut command))?;
    launcher.running("test", vec![endpoint], vec![inspircd])
}
