//! InspIRCd; whoever knows the password may connect, under any nickname.

use std::process::Command;

use super::{RunningServer, Setup, Stage};
use crate::Error;
use crate::process::{Daemon, as_user, program, user};

pub(super) fn start(setup: &Setup) -> Result<RunningServer, Error> {
    let stage = Stage::new(setup, "irc.example.test")?;
    let owner = user("irc", "base-passwd")?;
    let endpoint = stage.endpoint("irc")?;
    let dir = stage.scratch.path().display();
    for name in ["data", "log", "run"] {
        stage.scratch.dir(name, &owner)?;
    }
    let tls = stage.tls(
        || {
            let (chain, key) = stage.certificate(&owner)?;
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
    let config = stage.scratch.secret(
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
            name = stage.server_name,
            ip = endpoint.address.ip(),
            port = endpoint.address.port(),
            password = stage.password,
        ),
        &owner,
    )?;
    let inspircd = program("inspircd", "inspircd")?;
    let mut command = Command::new(inspircd);
    command.arg("--nofork").arg(format!("--config={}", config.display()));
    let inspircd = Daemon::spawn(&stage.scratch, "inspircd", as_user(&owner, &mut command))?;
    stage.running("test", vec![endpoint], vec![inspircd])
}
