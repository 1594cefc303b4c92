//! Postfix: SMTP and submission. A Dovecot checks the logins, and may store the mail.

use std::os::unix::net::UnixStream;
use std::process::Command;

use super::dovecot;
use super::launcher::{Launcher, RunningServer, START, Setup};
use crate::error::Error;
use crate::process::{Daemon, program, run, user};

pub(super) fn start(setup: &Setup) -> Result<RunningServer, Error> {
    launch(setup, false)
}

/// Starts Postfix with a Dovecot that stores the mail, for IMAP and POP3.
pub(super) fn start_with_mailbox(setup: &Setup) -> Result<RunningServer, Error> {
    launch(setup, true)
}

fn launch(setup: &Setup, mailbox: bool) -> Result<RunningServer, Error> {
    let launcher = Launcher::new(setup, "mail.example.test")?;
    let owner = user("postfix", "postfix")?;
    let kept: &[&str] = if mailbox { &["imap", "pop3"] } else { &[] };
    let endpoints = ["smtp", "submission"].iter().chain(kept).map(|protocol| launcher.endpoint(protocol));
    let endpoints = endpoints.collect::<Result<Vec<_>, _>>()?;

    let name = &launcher.server_name;
    let dir = launcher.scratch.path().display().to_string();
    let root = user("root", "base-passwd")?;
    for (folder, owner) in [("etc", &root), ("queue", &root), ("data", &owner), ("mail", &owner)] {
        launcher.scratch.dir(folder, owner)?;
    }
    let certificate = if setup.tls { Some(launcher.certificate(&root)?) } else { None };
    let services = match endpoints.get(2..) {
        Some(kept @ [_, ..]) => dovecot::services(kept, certificate.as_ref())?,
        _ => String::from("ssl = no\n"),
    };
    let auth = auth(&launcher, mailbox, &services)?;
    let tls = certificate.as_ref().map_or_else(
        || String::from("smtpd_tls_security_level = none"),
        |(chain, key)| {
            format!(
                "smtpd_tls_security_level = may
smtpd_tls_cert_file = {}
smtpd_tls_key_file = {}
smtpd_tls_auth_only = yes
tls_random_source = dev:/dev/urandom",
                chain.display(),
                key.display()
            )
        },
    );
    // A test may send a message above the default size limit of Postfix.
    let transport = if mailbox {
        format!(
            "virtual_transport = lmtp:unix:{dir}/lmtp\nmessage_size_limit = 67108864\nvirtual_mailbox_limit = 0"
        )
    } else {
        String::new()
    };
    let (uid, gid) = (owner.uid, owner.gid);
    launcher.scratch.file(
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
smtpd_sasl_path = {dir}/auth
smtpd_sasl_auth_enable = yes
{tls}
{transport}
",
        ),
    )?;
    let submission = if setup.tls { "\n  -o smtpd_tls_security_level=encrypt" } else { "" };
    launcher.scratch.file(
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
lmtp unix - - n - - lmtp
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
    // Creates the folders of the queue.
    run(Command::new(program("postfix", "postfix")?).args(["-c", &config, "check"]))?;
    let master = program("/usr/lib/postfix/sbin/master", "postfix")?;
    // -d: stay in the given process group.
    let master =
        Daemon::spawn(&launcher.scratch, "master", Command::new(master).args(["-d", "-c", &config]))?;
    launcher.running("test@example.test", endpoints, vec![master, auth])
}

/// Starts the Dovecot that checks logins, and stores the mail if there is a mailbox.
fn auth(launcher: &Launcher<'_>, mailbox: bool, services: &str) -> Result<Daemon, Error> {
    let listener = |service: &str, socket: &str| {
        let path = launcher.scratch.path().join(socket);
        format!(
            "service {service} {{
  unix_listener {} {{
    user = postfix
    mode = 0600
  }}
}}
",
            path.display()
        )
    };
    let (protocols, more) =
        if mailbox { ("imap pop3 lmtp", listener("lmtp", "lmtp")) } else { ("", String::new()) };
    let config = format!("protocols = {protocols}\n{services}{}{more}", listener("auth", "auth"));
    let mut dovecot = dovecot::spawn(launcher, &config)?;
    let socket = launcher.scratch.path().join("auth");
    dovecot.wait_until(START, || UnixStream::connect(&socket).is_ok())?;
    Ok(dovecot)
}
