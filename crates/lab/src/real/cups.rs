//! CUPS: HTTP that upgrades in place (RFC 2817).

use std::process::Command;

use super::{RunningServer, Setup, Stage};
use crate::Error;
use crate::ca::Leaf;
use crate::process::{Daemon, program, user};

/// On loopback, CUPS answers to no other name.
const NAME: &str = "localhost";

pub(super) fn start(setup: &Setup) -> Result<RunningServer, Error> {
    let stage = Stage::new(setup, NAME)?;
    let root = user("root", "base-passwd")?;
    let endpoint = stage.endpoint("http")?;
    let dir = stage.scratch.path().display();
    let lp = user("lp", "base-passwd")?;
    for name in ["cache", "request", "request/tmp", "state", "docs", "keys"] {
        stage.scratch.dir(name, &lp)?;
    }
    if setup.tls {
        let issued = setup.authority.issue(&Leaf::named(NAME))?;
        stage.scratch.file(&format!("keys/{NAME}.crt"), &issued.chain_pem)?;
        stage.scratch.secret(&format!("keys/{NAME}.key"), &issued.key_pem, &root)?;
    }
    let files = stage.scratch.file(
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
    let config = stage.scratch.file(
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
    let cupsd = Daemon::spawn(&stage.scratch, "cupsd", &mut command)?;
    stage.running("", vec![endpoint], vec![cupsd])
}
