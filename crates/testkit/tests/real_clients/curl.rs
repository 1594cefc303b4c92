//! curl, with `--ssl-reqd` and the lab's authority.

use crate::support::{Client, client, endpoint, lab};
use starttls_lab::Lab;

/// Returns curl for this scheme of the lab, with an upgrade and verification.
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

#[test]
fn curl_submits_with_authentication() {
    let lab = lab();
    let port = endpoint(&lab, "submission").address.port();
    curl(&lab, "smtp", "/me")
        .args(["--connect-to", &format!("localhost::localhost:{port}")])
        .args(["--mail-from", "a@example.test", "--mail-rcpt", "b@example.test", "-T", "-"])
        .args(["--login-options", "AUTH=LOGIN"])
        .input("Subject: from curl\r\n\r\nhello\r\n")
        .run()
        .with(&[]);
    assert_eq!(lab.store().mail().len(), 2);
}

#[test]
fn curl_imap_fetches_lists_and_appends() {
    let lab = lab();
    curl(&lab, "imap", "/").run().with(&["* LIST () \"/\" INBOX"]);
    curl(&lab, "imap", "/INBOX;UID=1").run().with(&["Subject: It works", "\n.A line"]);
    let file = lab.ca_file().with_file_name("mail");
    std::fs::write(&file, "Subject: from curl\r\n\r\nappended\r\n").unwrap();
    curl(&lab, "imap", "/INBOX").args(["-T"]).args([&file]).run().with(&[]);
    assert_eq!(&*lab.store().mail()[1].text, b"Subject: from curl\r\n\r\nappended\r\n");
    curl(&lab, "imap", "/INBOX?SUBJECT%20curl").run().with(&["* SEARCH 2"]);
}

#[test]
fn curl_pop3_lists_and_retrieves() {
    let lab = lab();
    curl(&lab, "pop3", "/").run().with(&["1 "]);
    curl(&lab, "pop3", "/1").run().with(&["Subject: It works", "\n.A line"]);
}

#[test]
fn curl_ftp_lists_downloads_and_uploads() {
    let lab = lab();
    curl(&lab, "ftp", "/").run().with(&["welcome.txt"]);
    curl(&lab, "ftp", "/welcome.txt").run().with(&["Subject: It works"]);
    curl(&lab, "ftp", "/new.txt")
        .args(["--ftp-pasv", "--disable-epsv", "-T", "-"])
        .input("up\n")
        .run()
        .with(&[]);
    assert_eq!(lab.store().file("new.txt").as_deref(), Some(&b"up\n"[..]));
}

#[test]
fn curl_ldaps_searches() {
    let lab = lab();
    let port = endpoint(&lab, "ldaps").address.port();
    client("curl", "curl")
        .args(["-q", "-sS", "--max-time", "20", "--cacert"])
        .args([lab.ca_file()])
        .args(["--user", &format!("uid=test,dc=example,dc=test:{}", lab.password())])
        .args([format!("ldaps://localhost:{port}/uid=test,dc=example,dc=test?description?base")])
        .run()
        .with(&["You read this inside TLS."]);
}

#[test]
fn curl_implicit_tls() {
    let lab = lab();
    curl(&lab, "imaps", "/INBOX;UID=1").run().with(&["Subject: It works"]);
    curl(&lab, "https", "/").run().with(&["You read this inside TLS."]);
    curl(&lab, "smtps", "/me")
        .args(["--mail-from", "a@example.test", "--mail-rcpt", "b@example.test", "-T", "-"])
        .input("Subject: from curl\r\n\r\nhello\r\n")
        .run()
        .with(&[]);
    curl(&lab, "imaps", "/INBOX;UID=2").run().with(&["Subject: from curl"]);
    curl(&lab, "pop3s", "/1").run().with(&["Subject: It works"]);
    curl(&lab, "ftps", "/welcome.txt").run().with(&["Subject: It works"]);
}

#[test]
fn curl_refuses_an_authority_it_does_not_know() {
    let (lab, other) = (lab(), lab());
    let said = curl(&lab, "imap", "/").args(["--cacert"]).args([other.ca_file()]).run();
    assert!(!said.ok && said.err.contains("curl: (60)"), "{}", said.err);
}
