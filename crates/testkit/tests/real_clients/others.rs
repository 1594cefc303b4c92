//! swaks, the LDAP tools, psql, mariadb, lftp.

use crate::support::{client, endpoint, lab};

#[test]
fn swaks_sends_a_message() {
    let lab = lab();
    for (scheme, protocol) in [("smtp", "ESMTP"), ("submission", "ESMTP"), ("lmtp", "LMTP")] {
        let before = lab.store().mail().len();
        let port = endpoint(&lab, scheme).address.port().to_string();
        let mut swaks = client("swaks", "swaks")
            .args(["--server", "localhost", "--port", &port, "--protocol", protocol])
            .args(["--from", "a@example.test", "--to", "b@example.test", "--header", "Subject: from swaks"])
            .args(["-tls", "--tls-verify", "--tls-ca-path"])
            .args([lab.ca_file()]);
        if scheme != "lmtp" {
            swaks =
                swaks.args(["--auth", "LOGIN", "--auth-user", lab.user(), "--auth-password", lab.password()]);
        }
        swaks.run().with(&["=== TLS started with cipher", "Delivered as"]);
        assert_eq!(lab.store().mail().len(), before + 1, "{scheme}");
    }
}

#[test]
fn ldapsearch_and_ldapwhoami() {
    let lab = lab();
    // libldap replaces `localhost` by the name of the machine when it verifies a certificate.
    let url = format!("ldap://127.0.0.1:{}", endpoint(&lab, "ldap").address.port());
    let tool = |name| {
        client(name, "ldap-utils")
            .env("LDAPTLS_CACERT", lab.ca_file())
            .env("LDAPTLS_REQCERT", "demand")
            .args(["-ZZ", "-x", "-H", &url, "-o", "nettimeout=20"])
    };
    tool("ldapsearch")
        .args(["-s", "base", "-b", "", "+"])
        .run()
        .with(&["namingContexts: dc=example,dc=test"]);
    let who = ["-D", "uid=test,dc=example,dc=test", "-w", lab.password()];
    tool("ldapsearch")
        .args(who)
        .args(["-b", "dc=example,dc=test", "(uid=test)"])
        .run()
        .with(&["description: You read this inside TLS.", "numEntries: 1"]);
    tool("ldapwhoami").args(who).run().with(&["dn:uid=test,dc=example,dc=test"]);
    let wrong = tool("ldapwhoami").args(["-D", "uid=test,dc=example,dc=test", "-w", "wrong"]).run();
    assert!(!wrong.ok && wrong.err.contains("Invalid credentials"), "{}", wrong.err);
}

#[test]
fn psql_verify_full() {
    let lab = lab();
    let target = format!(
        "host=localhost port={} user=test dbname=test sslmode=verify-full sslrootcert={} connect_timeout=20",
        endpoint(&lab, "postgres").address.port(),
        lab.ca_file().display()
    );
    let psql = |password: &str| {
        client("psql", "postgresql-client")
            .env("PGPASSWORD", password)
            .args(["--no-psqlrc", "-At", "-c", "begin", "-c", "select 1", "-c", "commit"])
            .args(["-c", "\\conninfo", &target])
            .run()
    };
    psql(lab.password()).with(&["BEGIN\n1\nCOMMIT\n", "TLSv1.3"]);
    assert!(psql("wrong").err.contains("wrong user or password"));
}

/// Most client libraries use the extended protocol.
#[test]
fn pgbench_has_a_transaction_in_the_extended_protocol() {
    let lab = lab();
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script");
    std::fs::write(&script, "BEGIN;\nSELECT 1;\nEND;\n").unwrap();
    let port = endpoint(&lab, "postgres").address.port().to_string();
    client("pgbench", "postgresql")
        .env("PGPASSWORD", lab.password())
        .env("PGSSLMODE", "verify-full")
        .env("PGSSLROOTCERT", lab.ca_file())
        .args(["-n", "-M", "extended", "-t", "2", "-h", "localhost", "-p", &port, "-U", "test", "-f"])
        .args([script])
        .args(["test"])
        .run()
        .with(&["number of transactions actually processed: 2/2"]);
}

#[test]
fn mariadb_verifies_the_server() {
    let lab = lab();
    let port = endpoint(&lab, "mysql").address.port().to_string();
    let mariadb = |password: &str| {
        client("mariadb", "mariadb-client")
            .args(["--no-defaults", "--protocol=tcp", "--host=localhost", "--port", &port, "--user=test"])
            .args(["--ssl-verify-server-cert", "--connect-timeout=20", "--batch"])
            .args([format!("--ssl-ca={}", lab.ca_file().display()), format!("--password={password}")])
            .args(["-e", "select 1; select @@version_comment limit 1"])
            .run()
    };
    mariadb(lab.password()).with(&["1\n1\n", "starttls lab"]);
    let wrong = mariadb("wrong");
    assert!(!wrong.ok && wrong.err.contains("ERROR 1045"), "{}", wrong.err);
}

#[test]
fn lftp_lists_downloads_and_uploads() {
    let lab = lab();
    let file = lab.ca_file().with_file_name("up.txt");
    std::fs::write(&file, "from lftp\n").unwrap();
    let script = format!(
        "set ftp:ssl-force true; set ftp:ssl-protect-data true; set ssl:verify-certificate true; \
         set ssl:ca-file {}; set net:max-retries 1; set net:timeout 20; \
         open -u test,{} -p {} ftp://localhost; cls; cat welcome.txt; put {}; quit",
        lab.ca_file().display(),
        lab.password(),
        endpoint(&lab, "ftp").address.port(),
        file.display()
    );
    client("lftp", "lftp").args(["--norc", "-c", &script]).run().with(&["welcome.txt", "Subject: It works"]);
    assert_eq!(lab.store().file("up.txt").as_deref(), Some(&b"from lftp\n"[..]));
}
