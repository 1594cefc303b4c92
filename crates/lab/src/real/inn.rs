//! INN's `nnrpd`, the reader's side, without `innd`.

use std::process::Command;

use super::{RunningServer, Setup, Stage};
use crate::Error;
use crate::process::{Daemon, as_user, program, run, user};

pub(super) fn start(setup: &Setup) -> Result<RunningServer, Error> {
    let stage = Stage::new(setup, "news.example.test")?;
    let owner = user("news", "base-passwd")?;
    let endpoint = stage.endpoint("nntp")?;
    let dir = stage.scratch.path().display();
    for name in ["db", "spool", "log", "run", "tmp"] {
        stage.scratch.dir(name, &owner)?;
    }
    let tls = stage.tls(
        || {
            let (chain, key) = stage.certificate(&owner)?;
            let root = setup.authority.write_to(stage.scratch.path())?;
            Ok(format!(
                "tlscafile: {}\ntlscertfile: {}\ntlskeyfile: {}\n",
                root.display(),
                chain.display(),
                key.display()
            ))
        },
        "",
    )?;
    let config = stage.scratch.file(
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
            name = stage.server_name,
        ),
    )?;
    let hash = run(Command::new(program("openssl", "openssl")?).args(["passwd", "-6", &stage.password]))?;
    stage.scratch.secret("readers", &format!("test:{}", String::from_utf8_lossy(&hash)), &owner)?;
    let require = if setup.tls { "require_encryption: true" } else { "" };
    stage.scratch.secret(
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
    stage.scratch.file("storage.conf", "method tradspool {\n  newsgroups: *\n  class: 1\n}\n")?;
    stage.scratch.secret("db/active", "local.test 0000000000 0000000001 y\n", &owner)?;
    stage.scratch.secret("db/newsgroups", "local.test\tTests\n", &owner)?;
    stage.scratch.secret("db/active.times", "", &owner)?;
    for (tool, args) in [("makehistory", &["-O"][..]), ("makedbz", &["-i", "-o", "-s", "1000"])] {
        let tool = program(&format!("/usr/lib/news/bin/{tool}"), "inn2")?;
        run(as_user(&owner, Command::new(tool).args(args).env("INNCONF", &config)))?;
    }
    let nnrpd = program("/usr/lib/news/bin/nnrpd", "inn2")?;
    let (ip, port) = (endpoint.address.ip().to_string(), endpoint.address.port().to_string());
    let mut command = Command::new(nnrpd);
    command.args(["-D", "-f", "-n", "-4", &ip, "-p", &port]).env("INNCONF", &config);
    let nnrpd = Daemon::spawn(&stage.scratch, "nnrpd", as_user(&owner, &mut command))?;
    stage.running("test", vec![endpoint], vec![nnrpd])
}
