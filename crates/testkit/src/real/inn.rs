//! INN's `nnrpd`, the reader's side, without `innd`.

use std::process::Command;

use super::launcher::{Launcher, RunningServer, Setup};
use crate::error::Error;
use crate::process::{Daemon, as_user, program, run, user};

pub(super) fn start(setup: &Setup) -> Result<RunningServer, Error> {
    let launcher = Launcher::new(setup, "news.example.test")?;
    let owner = user("news", "base-passwd")?;
    let endpoint = launcher.endpoint("nntp")?;
    let dir = launcher.scratch.path().display();
    for name in ["db", "spool", "log", "run", "tmp"] {
        launcher.scratch.dir(name, &owner)?;
    }
    let tls = launcher.tls(
        || {
            let (chain, key) = launcher.certificate(&owner)?;
            let root = setup.authority.write_to(launcher.scratch.path())?;
            Ok(format!(
                "tlscafile: {}\ntlscertfile: {}\ntlskeyfile: {}\n",
                root.display(),
                chain.display(),
                key.display()
            ))
        },
        "",
    )?;
    let config = launcher.scratch.file(
        "inn.conf",
        &format!(
            "domain: example.test
pathhost: {name}
mta: /bin/true
hismethod: hisv6
ovmethod: tradindexed
enableoverview: true
readerswhenstopped: true
nnrpdloadlimit: 0
pathnews: /usr/lib/news
patharticles: {dir}/spool
pathdb: {dir}/db
pathetc: {dir}
pathincoming: {dir}/spool
pathlog: {dir}/log
pathoverview: {dir}/spool
pathrun: {dir}/run
pathspool: {dir}/spool
pathtmp: {dir}/tmp
{tls}",
            name = launcher.server_name,
        ),
    )?;
    let hash = run(Command::new(program("openssl", "openssl")?).args(["passwd", "-6", &launcher.password]))?;
    launcher.scratch.secret("readers", &format!("test:{}", String::from_utf8_lossy(&hash)), &owner)?;
    let require = if setup.tls { "require_encryption: true" } else { "" };
    launcher.scratch.secret(
        "readers.conf",
        &format!(
            "auth \"anyone\" {{
  hosts: \"*\"
}}
auth \"test\" {{
  hosts: \"*\"
  {require}
  auth: \"ckpasswd -f {dir}/readers\"
}}
access \"test\" {{
  users: \"test\"
  newsgroups: \"*\"
}}
"
        ),
        &owner,
    )?;
    launcher.scratch.file("storage.conf", "method tradspool {\n  newsgroups: *\n  class: 1\n}\n")?;
    launcher.scratch.secret("db/active", "local.test 0000000000 0000000001 y\n", &owner)?;
    launcher.scratch.secret("db/newsgroups", "local.test\tTests\n", &owner)?;
    launcher.scratch.secret("db/active.times", "", &owner)?;
    for (tool, args) in [("makehistory", &["-O"][..]), ("makedbz", &["-i", "-o", "-s", "1000"])] {
        let tool = program(&format!("/usr/lib/news/bin/{tool}"), "inn2")?;
        run(as_user(&owner, Command::new(tool).args(args).env("INNCONF", &config)))?;
    }
    let nnrpd = program("/usr/lib/news/bin/nnrpd", "inn2")?;
    let (ip, port) = (endpoint.address.ip().to_string(), endpoint.address.port().to_string());
    let mut command = Command::new(nnrpd);
    command.args(["-D", "-f", "-n", "-4", &ip, "-p", &port]).env("INNCONF", &config);
    let nnrpd = Daemon::spawn(&launcher.scratch, "nnrpd", as_user(&owner, &mut command))?;
    launcher.running("test", vec![endpoint], vec![nnrpd])
}
