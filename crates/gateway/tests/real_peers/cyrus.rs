//! Cyrus, a second implementation of IMAP and ManageSieve. Debian does not allow both Dovecot and Cyrus to be
//! installed, so the test unpacks Cyrus from its packages.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use starttls_testkit::process::{Daemon, Scratch, free_port, own_loopback, run, user};

/// The folder to which `cargo xtask setup` downloads the packages.
const PACKAGES: &str = "../../target/debs";

/// A Cyrus server without TLS and without users.
pub(crate) struct Cyrus {
    pub(crate) imap: SocketAddr,
    pub(crate) sieve: SocketAddr,
    // Dropped in this order: the folder outlives its daemon.
    _daemon: Daemon,
    _scratch: Scratch,
}

impl Cyrus {
    pub(crate) fn start() -> Self {
        let (scratch, ip) = (Scratch::new().unwrap(), own_loopback());
        let (imap, sieve) = (free_port(ip).unwrap(), free_port(ip).unwrap());
        let dir = scratch.path().display().to_string();
        unpack(scratch.path());
        let owner = user("mail", "base-passwd").unwrap();
        for name in ["conf", "spool", "sieve"] {
            scratch.dir(name, &owner).unwrap();
        }
        let config = format!(
            "cyrus_user: mail
configdirectory: {dir}/conf
proc_path: {dir}/conf/proc
mboxname_lockpath: {dir}/conf/lock
defaultpartition: default
partition-default: {dir}/spool
sievedir: {dir}/sieve
sasl_pwcheck_method: auxprop
sasl_auxprop_plugin: sasldb
allowplaintext: yes
servername: cyrus.example.test
"
        );
        let config = scratch.file("imapd.conf", &config).unwrap().display().to_string();
        let services = format!(
            "START {{
  recover cmd=\"{dir}/usr/lib/cyrus/bin/ctl_cyrusdb -C {config} -r\"
}}
SERVICES {{
  imap cmd=\"{dir}/usr/lib/cyrus/bin/imapd -C {config}\" listen=\"{imap}\" prefork=0 maxchild=20
  sieve cmd=\"{dir}/usr/lib/cyrus/bin/timsieved -C {config}\" listen=\"{sieve}\" prefork=0 maxchild=20
}}
EVENTS {{
}}
"
        );
        let services = scratch.file("cyrus.conf", &services).unwrap();
        let mut command = Command::new(scratch.path().join("usr/lib/cyrus/bin/master"));
        // Packages from before the merge of /lib into /usr/lib unpack into the former.
        let libraries = format!("lib/{}-linux-gnu", std::env::consts::ARCH);
        command.env("LD_LIBRARY_PATH", format!("{dir}/usr/{libraries}:{dir}/{libraries}"));
        command.args(["-D", "-C", &config, "-p", &format!("{dir}/conf/pid")]).arg("-M").arg(services);
        let mut daemon = Daemon::spawn(&scratch, "cyrus", &mut command).unwrap();
        for address in [imap, sieve] {
            daemon.wait_listening(address, Duration::from_secs(30)).unwrap();
        }
        Self { imap, sieve, _daemon: daemon, _scratch: scratch }
    }
}

/// Unpacks every downloaded package: Cyrus, and libraries that may not be installed.
fn unpack(into: &Path) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join(PACKAGES);
    let files = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|file| file.path());
    let packages: Vec<PathBuf> =
        files.filter(|path| path.extension().is_some_and(|it| it == "deb")).collect();
    assert!(!packages.is_empty(), "Cyrus is not in {}: cargo xtask setup downloads it", folder.display());
    for package in packages {
        run(Command::new("dpkg-deb").arg("--extract").arg(package).arg(into)).unwrap();
    }
}
