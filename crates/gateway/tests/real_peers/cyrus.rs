//! Cyrus: IMAP and ManageSieve by another maker than Dovecot's.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use starttls_lab::process::{Daemon, Scratch, free_port, own_loopback, program, user};

const PACKAGE: &str = "cyrus-imapd";

/// A Cyrus in cleartext, with no users.
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
        let owner = user("cyrus", PACKAGE).unwrap_or_else(|missing| panic!("{missing}"));
        for name in ["conf", "spool", "sieve"] {
            scratch.dir(name, &owner).unwrap();
        }
        let config = format!(
            "configdirectory: {dir}/conf
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
  recover cmd=\"/usr/lib/cyrus/bin/ctl_cyrusdb -C {config} -r\"
}}
SERVICES {{
  imap cmd=\"/usr/lib/cyrus/bin/imapd -C {config}\" listen=\"{imap}\" prefork=0 maxchild=20
  sieve cmd=\"/usr/lib/cyrus/bin/timsieved -C {config}\" listen=\"{sieve}\" prefork=0 maxchild=20
}}
EVENTS {{
}}
"
        );
        let services = scratch.file("cyrus.conf", &services).unwrap();
        let master =
            program("/usr/lib/cyrus/bin/master", PACKAGE).unwrap_or_else(|missing| panic!("{missing}"));
        let mut command = Command::new(master);
        command.args(["-D", "-C", &config, "-p", &format!("{dir}/conf/pid")]).arg("-M").arg(services);
        let mut daemon = Daemon::spawn(&scratch, "cyrus", &mut command).unwrap();
        for address in [imap, sieve] {
            daemon.wait_listening(address, Duration::from_secs(30)).unwrap();
        }
        Self { imap, sieve, _daemon: daemon, _scratch: scratch }
    }
}
