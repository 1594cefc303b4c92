//! LDAP.

use crate::client::client;
use crate::real_backend::{Talk, Visit};

pub(crate) const TALKS: &[Talk] = &[
    Talk { name: "ldapsearch binds to OpenLDAP and searches", protocol: "ldap", talk: tools },
    Talk { name: "ldapsearch asks OpenLDAP what it is", protocol: "ldap", talk: root },
];

/// libldap replaces `localhost` by the name of the machine when it verifies a certificate.
fn tool(visit: &Visit<'_>, name: &str) -> crate::client::Client {
    client(name, "ldap-utils").env("LDAPTLS_CACERT", &visit.ca_file).env("LDAPTLS_REQCERT", "demand").args([
        "-ZZ",
        "-x",
        "-o",
        "nettimeout=20",
        "-H",
        &format!("ldap://127.0.0.1:{}", visit.port),
    ])
}

fn tools(visit: &Visit<'_>) {
    let who = ["-D", visit.user(), "-w", visit.password()];
    tool(visit, "ldapsearch")
        .args(who)
        .args(["-b", "dc=example,dc=test", "(uid=test)"])
        .run()
        .with(&["sn: test", "numEntries: 1"]);
    tool(visit, "ldapwhoami").args(who).run().with(&["dn:uid=test,dc=example,dc=test"]);
    let wrong = tool(visit, "ldapwhoami").args(["-D", visit.user(), "-w", "wrong"]).run();
    assert!(!wrong.ok && wrong.err.contains("Invalid credentials"), "{}", wrong.err);
}

fn root(visit: &Visit<'_>) {
    let root = tool(visit, "ldapsearch").args(["-s", "base", "-b", "", "+"]).run();
    root.with(&["namingContexts: dc=example,dc=test"]);
    tool(visit, "ldapwhoami").run().with(&["anonymous"]);
}
