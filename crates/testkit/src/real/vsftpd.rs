//! vsftpd: anonymous logins only, since others would need accounts of the system. They may write to `incoming`.

use std::process::Command;

use super::launcher::{Launcher, RunningServer, Setup};
use crate::error::Error;
use crate::process::{Daemon, program, user};

pub(super) fn start(setup: &Setup) -> Result<RunningServer, Error> {
    let launcher = Launcher::new(setup, "ftp.example.test")?;
    let root = user("root", "base-passwd")?;
    let endpoint = launcher.endpoint("ftp")?;
    let dir = launcher.scratch.path().display();
    launcher.scratch.dir("pub", &root)?;
    launcher.scratch.dir("pub/incoming", &user("ftp", "vsftpd")?)?;
    launcher.scratch.dir("empty", &root)?;
    let tls = launcher.tls(
        || {
            let (chain, key) = launcher.certificate(&root)?;
            Ok(format!(
                "ssl_enable=YES
rsa_cert_file={}
rsa_private_key_file={}
ssl_ciphers=HIGH
allow_anon_ssl=YES
force_anon_logins_ssl=YES
force_anon_data_ssl=YES
require_ssl_reuse=YES",
                chain.display(),
                key.display()
            ))
        },
        "ssl_enable=NO",
    )?;
    let config = launcher.scratch.file(
        "vsftpd.conf",
        &format!(
            "listen=YES
listen_ipv6=NO
listen_address={ip}
listen_port={port}
background=NO
anonymous_enable=YES
local_enable=NO
anon_root={dir}/pub
write_enable=YES
anon_upload_enable=YES
anon_other_write_enable=YES
anon_umask=022
secure_chroot_dir={dir}/empty
seccomp_sandbox=NO
xferlog_enable=NO
connect_from_port_20=NO
{tls}
",
            ip = endpoint.address.ip(),
            port = endpoint.address.port(),
        ),
    )?;
    let vsftpd = program("vsftpd", "vsftpd")?;
    let vsftpd = Daemon::spawn(&launcher.scratch, "vsftpd", Command::new(vsftpd).arg(config))?;
    launcher.running("anonymous", vec![endpoint], vec![vsftpd])
}
