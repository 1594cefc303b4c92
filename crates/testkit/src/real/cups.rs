//! CUPS: HTTP that upgrades in place (RFC 2817).

use std::process::Command;

use super::launcher::{Launcher, RunningServer, Setup};
use crate::error::Error;
use crate::process::{Daemon, program, user};
use starttls_lab::ca::Leaf;

/// On loopback, CUPS answers to no other name.
const NAME: &str = "localhost";

pub(super) fn start(setup: &Setup) -> Result<RunningServer, Error> {
    let launcher = Launcher::new(setup, NAME)?;
    let root = user("root", "base-passwd")?;
    let endpoint = launcher.endpoint("http")?;
    let dir = launcher.scratch.path().display();
    let lp = user("lp", "base-passwd")?;
    for name in ["cache", "request", "request/tmp", "state", "docs", "keys"] {
        launcher.scratch.dir(name, &lp)?;
    }
    if setup.tls {
        let issued = setup.authority.issue(&Leaf::named(NAME))?;
        launcher.scratch.file(&format!("keys/{NAME}.crt"), &issued.chain_pem)?;
        launcher.scratch.secret(&format!("keys/{NAME}.key"), &issued.key_pem, &root)?;
    }
    let files = launcher.scratch.file(
        "cups-files.conf",
        &format!(
            "User lp
Group lp
SystemGroup root
ServerRoot {dir}
ServerKeychain {dir}/keys
CreateSelfSignedCerts no
CacheDir {dir}/cache
RequestRoot {dir}/request
TempDir {dir}/request/tmp
StateDir {dir}/state
DocumentRoot {dir}/docs
AccessLog stderr
ErrorLog stderr
PageLog stderr
"
        ),
    )?;
    let config = launcher.scratch.file(
        "cupsd.conf",
        &format!(
            "ServerName {NAME}
Listen {address}
LogLevel info
Browsing No
WebInterface No
DefaultAuthType None
DefaultEncryption {encryption}
<Location />
  Order allow,deny
  Allow all
</Location>
",
            address = endpoint.address,
            encryption = if setup.tls { "IfRequested" } else { "Never" },
        ),
    )?;
    let cupsd = program("cupsd", "cups-daemon")?;
    let mut command = Command::new(cupsd);
    command.arg("-f").arg("-c").arg(config).arg("-s").arg(files);
    let cupsd = Daemon::spawn(&launcher.scratch, "cupsd", &mut command)?;
    launcher.running("", vec![endpoint], vec![cupsd])
}
