//! Dovecot: IMAP, POP3, ManageSieve and LMTP.

use std::process::Command;

use super::{Running, Setup, Stage};
use crate::Error;
use crate::process::{Daemon, program, user};

pub(super) fn start(setup: &Setup) -> Result<Running, Error> {
    let stage = Stage::new(setup, "imap.example.test")?;
    let endpoints = ["imap", "pop3", "sieve", "lmtp"].map(|protocol| stage.endpoint(protocol));
    let endpoints = endpoints.into_iter().collect::<Result<Vec<_>, _>>()?;
    let tls = stage.tls(
        || {
            let (chain, key) = stage.certificate(&user("root", "base-passwd")?)?;
            Ok(format!("ssl = required\nssl_cert = <{}\nssl_key = <{}\n", chain.display(), key.display()))
        },
        "ssl = no\ndisable_plaintext_auth = no\n",
    )?;
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
    address = {}
    port = {}
  }}
  {implicit}
}}
",
                endpoint.protocol,
                endpoint.address.ip(),
                endpoint.address.port()
            )
        })
        .collect();
    let main = spawn(&stage, &format!("protocols = imap pop3 sieve lmtp\n{tls}{listeners}"))?;
    stage.running("test", endpoints, vec![main])
}

/// A Dovecot that knows the one user, with or without `@example.test`, and whatever `more` says.
pub(super) fn spawn(stage: &Stage<'_>, more: &str) -> Result<Daemon, Error> {
    let dir = stage.scratch.path().display();
    let mail = user("mail", "base-passwd")?;
    let dovecot = user("dovecot", "dovecot-core")?;
    stage.scratch.dir("homes", &mail)?;
    stage.scratch.secret("passwd", &format!("test:{{PLAIN}}{}\n", stage.password), &dovecot)?;
    let config = stage.scratch.file(
        "dovecot.conf",
        &format!(
            "base_dir = {dir}/run
state_dir = {dir}/run
log_path = /dev/stderr
auth_mechanisms = plain login
auth_username_format = %n
first_valid_uid = 1
mail_location = maildir:~/Maildir
passdb {{
  driver = passwd-file
  args = {dir}/passwd
}}
userdb {{
  driver = static
  args = uid=mail gid=mail home={dir}/homes/%n
}}
{more}"
        ),
    )?;
    let dovecot = program("dovecot", "dovecot-core")?;
    Daemon::spawn(&stage.scratch, "dovecot", Command::new(dovecot).arg("-F").arg("-c").arg(config))
}
