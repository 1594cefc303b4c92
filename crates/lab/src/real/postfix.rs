//! Postfix: SMTP and submission. Logins are checked by a Dovecot that does nothing else.

use std::process::Command;

use super::{Running, START, Setup, Stage, dovecot};
use crate::Error;
use crate::process::{Daemon, program, run, user};

pub(super) fn start(setup: &Setup) -> Result<Running, Error> {
    let stage = Stage::new(setup, "mail.example.test")?;
    let owner = user("postfix", "postfix")?;
    let endpoints = vec![stage.endpoint("smtp")?, stage.endpoint("submission")?];

    let name = &stage.server_name;
    let dir = stage.scratch.path().display().to_string();
    let root = user("root", "base-passwd")?;
    for (folder, owner) in [("etc", &root), ("queue", &root), ("data", &owner), ("mail", &owner)] {
        stage.scratch.dir(folder, owner)?;
    }
    let (auth_socket, auth) = auth(&stage)?;
    let tls = stage.tls(
        || {
            let (chain, key) = stage.certificate(&root)?;
            Ok(format!(
                "smtpd_tls_security_level = may
smtpd_tls_cert_file = {}
smtpd_tls_key_file = {}
smtpd_tls_auth_only = yes
tls_random_source = dev:/dev/urandom",
                chain.display(),
                key.display()
            ))
        },
        "smtpd_tls_security_level = none",
    )?;
    let (uid, gid) = (owner.uid, owner.gid);
    stage.scratch.file(
        "etc/main.cf",
        &format!(
            "compatibility_level = 3.6
myhostname = {name}
mydestination =
queue_directory = {dir}/queue
data_directory = {dir}/data
maillog_file = {dir}/mail.log
maillog_file_prefixes = {dir}
inet_protocols = ipv4
smtpd_peername_lookup = no
mynetworks =
alias_maps =
alias_database =
smtputf8_enable = no
virtual_mailbox_domains = example.test
virtual_mailbox_base = {dir}/mail
virtual_mailbox_maps = static:inbox/
virtual_minimum_uid = 1
virtual_uid_maps = static:{uid}
virtual_gid_maps = static:{gid}
smtpd_relay_restrictions = permit_sasl_authenticated, reject_unauth_destination
smtpd_sasl_type = dovecot
smtpd_sasl_path = {auth_socket}
smtpd_sasl_auth_enable = yes
{tls}
",
        ),
    )?;
    let submission = if setup.tls { "\n  -o smtpd_tls_security_level=encrypt" } else { "" };
    stage.scratch.file(
        "etc/master.cf",
        &format!(
            "{smtp} inet n - n - - smtpd
{submissions} inet n - n - - smtpd
  -o smtpd_client_restrictions=permit_sasl_authenticated,reject{submission}
pickup unix n - n 60 1 pickup
cleanup unix n - n - 0 cleanup
qmgr unix n - n 300 1 qmgr
tlsmgr unix - - n 1000? 1 tlsmgr
rewrite unix - - n - - trivial-rewrite
bounce unix - - n - 0 bounce
defer unix - - n - 0 bounce
trace unix - - n - 0 bounce
proxymap unix - - n - - proxymap
virtual unix - n n - - virtual
error unix - - n - - error
retry unix - - n - - error
anvil unix - - n - 1 anvil
scache unix - - n - 1 scache
postlog unix-dgram n - n - 1 postlogd
",
            smtp = endpoints[0].address,
            submissions = endpoints[1].address,
        ),
    )?;
    let config = format!("{dir}/etc");
    // Makes what is missing below the queue.
    run(Command::new(program("postfix", "postfix")?).args(["-c", &config, "check"]))?;
    let master = program("/usr/lib/postfix/sbin/master", "postfix")?;
    // -d: stay in the given process group.
    let master = Daemon::spawn(&stage.scratch, "master", Command::new(master).args(["-d", "-c", &config]))?;
    stage.running("test@example.test", endpoints, vec![master, auth])
}

fn auth(stage: &Stage<'_>) -> Result<(String, Daemon), Error> {
    let socket = stage.scratch.path().join("auth");
    let mut auth = dovecot::spawn(
        stage,
        &format!(
            "protocols =
ssl = no
service auth {{
  unix_listener {} {{
    user = postfix
    mode = 0600
  }}
}}
",
            socket.display()
        ),
    )?;
    auth.wait_until(START, || socket.exists())?;
    Ok((socket.display().to_string(), auth))
}
