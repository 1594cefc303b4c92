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
