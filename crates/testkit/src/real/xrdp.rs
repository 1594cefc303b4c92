//! xrdp, which shows its login window to every client.

use std::process::Command;

use super::launcher::{Launcher, RunningServer, Setup};
use crate::error::Error;
use crate::process::{Daemon, as_user, program, user};

const PACKAGE: &str = "xrdp";

pub(super) fn start(setup: &Setup) -> Result<RunningServer, Error> {
    let launcher = Launcher::new(setup, "desk.example.test")?;
    let owner = user("xrdp", PACKAGE)?;
    let endpoint = launcher.endpoint("rdp")?;
    let log = launcher.scratch.dir("log", &owner)?.join("xrdp.log");
    let security = launcher.tls(
        || {
            let (chain, key) = launcher.certificate(&owner)?;
            Ok(format!("security_layer=tls\ncertificate={}\nkey_file={}\n", chain.display(), key.display()))
        },
        "security_layer=rdp\n",
    )?;
    // Each connection is a process of its own. The login window needs one kind of session.
    let config = format!(
        "[Globals]\nini_version=1\nfork=true\nport=tcp://{}\n{security}\
         ssl_protocols=TLSv1.2, TLSv1.3\nallow_channels=true\nmax_bpp=32\n\
         [Logging]\nLogFile={}\nLogLevel=INFO\nEnableSyslog=false\n[Channels]\n\
         [Xvnc]\nname=Xvnc\nlib=libvnc.so\nusername=ask\npassword=ask\nip=127.0.0.1\nport=-1\n",
        endpoint.address,
        log.display(),
    );
    let config = launcher.scratch.secret("xrdp.ini", &config, &owner)?;
    let mut command = Command::new(program("xrdp", PACKAGE)?);
    command.arg("--nodaemon").arg("--config").arg(config);
    let xrdp = Daemon::spawn(&launcher.scratch, "xrdp", as_user(&owner, &mut command))?;
    launcher.running("", vec![endpoint], vec![xrdp])
}
