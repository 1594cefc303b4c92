//! MariaDB; its one user may do everything.

use std::process::Command;

use super::{RunningServer, Setup, Stage};
use crate::Error;
use crate::process::{Daemon, as_user, program, run, user};

const PACKAGE: &str = "mariadb-server";

pub(super) fn start(setup: &Setup) -> Result<RunningServer, Error> {
    let stage = Stage::new(setup, "db.example.test")?;
    let owner = user("mysql", PACKAGE)?;
    let endpoint = stage.endpoint("mysql")?;
    let data = format!("--datadir={}", stage.scratch.dir("data", &owner)?.display());
    // Whatever server starts clears the temporary tables it finds: do not share a folder.
    let temporary = format!("--tmpdir={}", stage.scratch.dir("tmp", &owner)?.display());
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
        stage.password
    );
    let create = stage.scratch.secret("init.sql", &create, &owner)?;
    let mut command = Command::new(program("mariadbd", PACKAGE)?);
    command
        .args(["--no-defaults", "--skip-name-resolve", &data, &temporary])
        .args(small)
        .arg(format!("--init-file={}", create.display()))
        .arg(format!("--bind-address={}", endpoint.address.ip()))
        .arg(format!("--port={}", endpoint.address.port()))
        .arg(format!("--socket={}/data/mysqld.sock", stage.scratch.path().display()))
        .arg(format!("--pid-file={}/data/mysqld.pid", stage.scratch.path().display()));
    if setup.tls {
        let (chain, key) = stage.certificate(&owner)?;
        command
            .arg("--require-secure-transport=ON")
            .arg(format!("--ssl-cert={}", chain.display()))
            .arg(format!("--ssl-key={}", key.display()));
    } else {
        command.arg("--skip-ssl");
    }
    let mariadb = Daemon::spawn(&stage.scratch, "mariadbd", as_user(&owner, &mut command))?;
    stage.running("test", vec![endpoint], vec![mariadb])
}
