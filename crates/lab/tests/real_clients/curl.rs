//! curl, with `--ssl-reqd` and the lab's authority.

use crate::support::{Client, client, endpoint, lab};
use starttls_lab::Lab;

/// curl on this scheme of the lab's, upgrading, with verification.
fn curl(lab: &Lab, scheme: &str, path: &str) -> Client {
    let port = endpoint(lab, scheme).address.port();
    let user = format!("{}:{}", lab.user(), lab.password());
    client("curl", "curl")
        .args(["-q", "-sS", "--ssl-reqd", "--max-time", "20", "--user", &user, "--cacert"])
        .args([lab.ca_file()])
        .args([format!("{scheme}://localhost:{port}{path}")])
}

#[test]
fn curl_smtp_sends_a_message() {
    let lab = lab();
    curl(&lab, "smtp", "/me")
        .args(["--mail-from", "a@example.test", "--mail-rcpt", "b@example.test", "-T", "-"])
        .input("Subject: from curl\r\n\r\n.dot\r\n")
        .run()
        .with(&[]);
    assert_eq!(&*lab.store().mail()[1].text, b"Subject: from curl\r\n\r\n.dot\r\n");
}
