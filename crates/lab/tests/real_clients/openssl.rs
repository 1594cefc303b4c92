//! `openssl s_client -starttls`, every protocol it knows.

use crate::support::{Said, client, endpoint, lab};
use starttls_lab::Lab;

fn s_client(lab: &Lab, protocol: &str, extra: &[&str], input: &[u8]) -> Said {
    let endpoint = endpoint(lab, protocol);
    client("openssl", "openssl")
        .args(["s_client", "-connect", &endpoint.address.to_string(), "-starttls", protocol])
        .args(["-servername", "localhost", "-verify_hostname", "localhost", "-verify_return_error"])
        // Quiet: no commands of its own in the input, and no end before the server's.
        .args(["-verify", "5", "-quiet", "-CAfile"])
        .args([lab.ca_file()])
        .args(extra)
        .input(input)
        .run()
}

#[test]
fn s_client_smtp() {
    let lab = lab();
    let input =
        b"EHLO me\nMAIL FROM:<a@example.test>\nRCPT TO:<b@example.test>\nDATA\nhello\n..dot\n.\nQUIT\n";
    s_client(&lab, "smtp", &["-crlf"], input).with(&["250-AUTH PLAIN LOGIN", "Delivered as 2", "221 2.0.0"]);
    assert_eq!(&*lab.store().mail()[1].text, b"hello\r\n.dot\r\n");
}

#[test]
fn s_client_lmtp_has_a_reply_for_each_recipient() {
    let lab = lab();
    let input = b"LHLO me\nMAIL FROM:<>\nRCPT TO:<a@x>\nRCPT TO:<b@x>\nDATA\nhello\n.\nQUIT\n";
    let said = s_client(&lab, "lmtp", &["-crlf", "-name", "me"], input);
    said.with(&["221 2.0.0"]);
    assert_eq!(said.out.matches("Delivered as 2").count(), 2, "{}", said.out);
}

#[test]
fn s_client_refuses_an_authority_it_does_not_know() {
    let (lab, other) = (lab(), lab());
    let said = client("openssl", "openssl")
        .args(["s_client", "-connect", &endpoint(&lab, "smtp").address.to_string(), "-starttls", "smtp"])
        .args(["-verify_return_error", "-CAfile"])
        .args([other.ca_file()])
        .run();
    assert!(!said.ok && said.out.contains("Verify return code: 20"), "{}", said.out);
}
