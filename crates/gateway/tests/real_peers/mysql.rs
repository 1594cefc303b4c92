//! MySQL.

use crate::client::{Client, client};
use crate::real_backend::{Talk, Visit};

pub(crate) const TALKS: &[Talk] = &[
    Talk { name: "mariadb asks MariaDB and moves some MB", protocol: "mysql", talk: native },
    Talk { name: "mariadb logs in to MariaDB by Ed25519", protocol: "mysql", talk: ed25519 },
    Talk { name: "mariadb with the wrong password", protocol: "mysql", talk: wrong },
];

fn mariadb(visit: &Visit<'_>, user: &str, password: &str) -> Client {
    client("mariadb", "mariadb-client")
        .args(["--no-defaults", "--protocol=tcp", "--host=localhost", "--port", &visit.port.to_string()])
        .args(["--ssl-verify-server-cert", "--connect-timeout=20", "--batch", "--skip-column-names"])
        .args([format!("--ssl-ca={}", visit.ca_file.display()), format!("--password={password}")])
        .args(["--local-infile=1", "--max-allowed-packet=64M", "--user", user])
}

fn native(visit: &Visit<'_>) {
    let lines: String = (0..200_000).map(|number| format!("{number}\tSTARTTLS {number}\n")).collect();
    let file = visit.file("lines", lines);
    let statements = format!(
        "select plugin from mysql.user where user = 'test'; show status like 'Ssl_version';
         create database lab; use lab; create table numbered (number int, text text);
         load data local infile '{}' into table numbered;
         select count(*), sum(crc32(text)) = (select sum(crc32(concat('STARTTLS ', seq))) from seq_0_to_199999)
         from numbered; select * from numbered; select repeat('x', 5000000);",
        file.display()
    );
    let said = mariadb(visit, visit.user(), visit.password()).args(["-e", &statements]).run();
    said.with(&[
        "mysql_native_password",
        "200000\t1\n",
        "\n199999\tSTARTTLS 199999\n",
        &"x".repeat(5_000_000),
    ]);
}

fn ed25519(visit: &Visit<'_>) {
    let create =
        "install soname 'auth_ed25519'; create user ed identified via ed25519 using password('secret')";
    mariadb(visit, visit.user(), visit.password()).args(["-e", create]).run().with(&[]);
    mariadb(visit, "ed", "secret").args(["-e", "select current_user()"]).run().with(&["ed@%"]);
    let wrong = mariadb(visit, "ed", "wrong").args(["-e", "select 1"]).run();
    assert!(!wrong.ok && wrong.err.contains("ERROR 1045"), "{}", wrong.err);
}

fn wrong(visit: &Visit<'_>) {
    let said = mariadb(visit, visit.user(), "wrong").args(["-e", "select 1"]).run();
    assert!(!said.ok && said.err.contains("ERROR 1045"), "{}", said.err);

    // No server listens on this port.
    let down = Visit::by(visit.backend, visit.endpoint, "forward = \"mysql://127.0.0.1:1\"");
    let said = mariadb(&down, visit.user(), "secret").args(["-e", "select 1"]).run();
    assert!(!said.ok && said.err.contains("cannot serve for now"), "{}", said.err);
}
