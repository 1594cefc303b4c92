//! vsftpd: anonymous logins only, since others would need accounts of the system. They may write to `incoming`.

use std::process::Command;

use super::{RunningServer, Setup, Stage};
use crate::Error;
use crate::process::{Daemon, program, user};

pub(super) fn start(setup: &Setup) -> Result<RunningServer, Error> {
    let stage = Stage::new(setup, "ftp.example.test")?;
    let root = user("root", "base-passwd")?;
    let endpoint = stage.endpoint("ftp")?;
    let dir = stage.scratch.path().display();
    stage.scratch.dir("pub", &root)?;
    stage.scratch.dir("pub/incoming", &user("ftp", "vsftpd")?)?;
    stage.scratch.dir("empty", &root)?;
    let tls = stage.tls(
        || {
            let (chain, key) = stage.certificate(&root)?;
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
    let config = stage.scratch.file(
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
    let vsftpd = Daemon::spawn(&stage.scratch, "vsftpd", Command::new(vsftpd).arg(config))?;
    stage.running("anonymous", vec![endpoint], vec![vsftpd])
}
