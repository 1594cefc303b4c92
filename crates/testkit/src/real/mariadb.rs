//! MariaDB; its one user may do everything.

use std::process::Command;

use super::launcher::{Launcher, RunningServer, Setup};
use crate::error::Error;
use crate::process::{Daemon, as_user, program, run, user};

const PACKAGE: &str = "mariadb-server";

pub(super) fn start(setup: &Setup) -> Result<RunningServer, Error> {
    let launcher = Launcher::new(setup, "db.example.test")?;
    let owner = user("mysql", PACKAGE)?;
    let endpoint = launcher.endpoint("mysql")?;
    let data = format!("--datadir={}", launcher.scratch.dir("data", &owner)?.display());
    // Whatever server starts clears the temporary tables it finds: do not share a folder.
    let temporary = format!("--tmpdir={}", launcher.scratch.dir("tmp", &owner)?.display());
    let small = ["--innodb-buffer-pool-size=8M", "--innodb-log-file-size=4M", "--innodb-flush-method=nosync"];
    run(as_user(
        &owner,
        Command::new(program("mariadb-install-db", PACKAGE)?)
            .args(["--no-defaults", "--auth-root-authentication-method=normal", "--skip-test-db"])
            .args([&data, &temporary])
            .args(small),
    ))?;
    let create = format!(
        "DELETE FROM mysql.global_priv WHERE User = 'root';
FLUSH PRIVILEGES;
CREATE USER test@'%' IDENTIFIED BY '{}';
GRANT ALL ON *.* TO test@'%';
",
        launcher.password
    );
    let create = launcher.scratch.secret("init.sql", &create, &owner)?;
    let mut command = Command::new(program("mariadbd", PACKAGE)?);
    command
        .args(["--no-defaults", "--skip-name-resolve", &data, &temporary])
        .args(small)
        .arg(format!("--init-file={}", create.display()))
        .arg(format!("--bind-address={}", endpoint.address.ip()))
        .arg(format!("--port={}", endpoint.address.port()))
        .arg(format!("--socket={}/data/mysqld.sock", launcher.scratch.path().display()))
        .arg(format!("--pid-file={}/data/mysqld.pid", launcher.scratch.path().display()));
    if setup.tls {
        let (chain, key) = launcher.certificate(&owner)?;
        command
            .arg("--require-secure-transport=ON")
            .arg(format!("--ssl-cert={}", chain.display()))
            .arg(format!("--ssl-key={}", key.display()));
    } else {
        command.arg("--skip-ssl");
    }
    let mariadb = Daemon::spawn(&launcher.scratch, "mariadbd", as_user(&owner, &mut command))?;
    launcher.running("test", vec![endpoint], vec![mariadb])
}
