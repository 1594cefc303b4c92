//! Dovecot: IMAP, POP3, ManageSieve and LMTP.

use std::path::PathBuf;
use std::process::Command;

use super::launcher::{Launcher, RealEndpoint, RunningServer, Setup};
use crate::error::Error;
use crate::process::{Daemon, program, run, user};

const PACKAGE: &str = "dovecot-core";

pub(super) fn start(setup: &Setup) -> Result<RunningServer, Error> {
    let launcher = Launcher::new(setup, "imap.example.test")?;
    let endpoints = ["imap", "pop3", "sieve", "lmtp"].map(|protocol| launcher.endpoint(protocol));
    let endpoints = endpoints.into_iter().collect::<Result<Vec<_>, _>>()?;
    let tls = if setup.tls { Some(launcher.certificate(&user("root", "base-passwd")?)?) } else { None };
    let services = services(&endpoints, tls.as_ref())?;
    let main = spawn(&launcher, &format!("protocols = imap pop3 sieve lmtp\n{services}"))?;
    launcher.running("test", endpoints, vec![main])
}

/// Returns the configuration for these endpoints, with this certificate and its key.
pub(super) fn services(
    endpoints: &[RealEndpoint],
    tls: Option<&(PathBuf, PathBuf)>,
) -> Result<String, Error> {
    let syntax = Syntax::installed()?;
    let tls = tls.map_or_else(
        || String::from(syntax.without_tls()),
        |(chain, key)| syntax.certificate(&chain.display().to_string(), &key.display().to_string()),
    );
    let listeners: String = endpoints
        .iter()
        .map(|endpoint| {
            let (service, implicit) = match endpoint.protocol {
                "imap" => ("imap-login", "inet_listener imaps {\n    port = 0\n  }"),
                "pop3" => ("pop3-login", "inet_listener pop3s {\n    port = 0\n  }"),
                "sieve" => ("managesieve-login", ""),
                other => (other, ""),
            };
            format!(
                "service {service} {{
  inet_listener {} {{
    {} = {}
    port = {}
  }}
  {implicit}
}}
",
                endpoint.protocol,
                syntax.address(),
                endpoint.address.ip(),
                endpoint.address.port()
            )
        })
        .collect();
    Ok(tls + &listeners)
}

/// Starts a Dovecot with the one user, with or without `@example.test`, and the configuration in `more`.
pub(super) fn spawn(launcher: &Launcher<'_>, more: &str) -> Result<Daemon, Error> {
    let dir = launcher.scratch.path().display().to_string();
    launcher.scratch.dir("homes", &user("mail", "base-passwd")?)?;
    let passwd = format!("test:{{PLAIN}}{}\n", launcher.password);
    launcher.scratch.secret("passwd", &passwd, &user("dovecot", PACKAGE)?)?;
    let config = launcher.scratch.file(
        "dovecot.conf",
        &format!(
            "{users}
base_dir = {dir}/run
state_dir = {dir}/run
log_path = /dev/stderr
auth_mechanisms = plain login scram-sha-1 scram-sha-256 cram-md5
first_valid_uid = 1
{more}",
            users = Syntax::installed()?.users(&dir),
        ),
    )?;
    let dovecot = program("dovecot", PACKAGE)?;
    Daemon::spawn(&launcher.scratch, "dovecot", Command::new(dovecot).arg("-F").arg("-c").arg(config))
}

/// The syntax of settings that differ between Dovecot 2.3 (Debian 12) and 2.4 (Debian 13).
enum Syntax {
    V23,
    V24,
}

impl Syntax {
    fn installed() -> Result<Self, Error> {
        let version = run(Command::new(program("dovecot", PACKAGE)?).arg("--version"))?;
        Ok(if version.starts_with(b"2.3.") { Self::V23 } else { Self::V24 })
    }

    fn users(&self, dir: &str) -> String {
        match self {
            Self::V23 => format!(
                "auth_username_format = %n
mail_location = maildir:~/Maildir
passdb {{
  driver = passwd-file
  args = {dir}/passwd
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={dir}/homes/%n
}}"
            ),
            Self::V24 => format!(
                "dovecot_config_version = 2.4.0
dovecot_storage_version = 2.4.0
auth_username_format = %{{user | username}}
mail_driver = maildir
mail_path = ~/Maildir
passdb passwd-file {{
  passwd_file_path = {dir}/passwd
}}
userdb static {{
  fields {{
    uid = mail
    gid = mail
    home = {dir}/homes/%{{user | username}}
  }}
}}"
            ),
        }
    }

    fn certificate(&self, chain: &str, key: &str) -> String {
        match self {
            Self::V23 => format!("ssl = required\nssl_cert = <{chain}\nssl_key = <{key}\n"),
            Self::V24 => {
                format!("ssl = required\nssl_server_cert_file = {chain}\nssl_server_key_file = {key}\n")
            }
        }
    }

    fn without_tls(&self) -> &'static str {
        match self {
            Self::V23 => "ssl = no\ndisable_plaintext_auth = no\n",
            Self::V24 => "ssl = no\nauth_allow_cleartext = yes\n",
        }
    }

    fn address(&self) -> &'static str {
        match self {
            Self::V23 => "address",
            Self::V24 => "listen",
        }
    }
}
