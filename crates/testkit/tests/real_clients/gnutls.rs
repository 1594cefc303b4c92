//! `gnutls-cli --starttls-proto` with each protocol that it shares with the lab.

use crate::support::{client, endpoint, lab};

/// Upgrades, verifies, sends `input` inside TLS, and expects `expected`.
fn gnutls_cli(protocol: &str, input: impl Into<Vec<u8>>, expected: &[&str]) {
    let lab = lab();
    let port = endpoint(&lab, protocol).address.port().to_string();
    let ca = format!("--x509cafile={}", lab.ca_file().display());
    let mut client = client("gnutls-cli", "gnutls-bin")
        .args(["--starttls-proto", protocol, "--port", &port, &ca])
        .args(["localhost"])
        .input(input);
    // After the end of its input, it waits two seconds for each answer.
    client.input_ends = false;
    client.run().with(&["Status: The certificate is trusted."]).with(expected);
}

#[test]
fn gnutls_cli_smtp() {
    gnutls_cli("smtp", "EHLO me\r\nQUIT\r\n", &["250-AUTH PLAIN LOGIN", "221 2.0.0"]);
}

#[test]
fn gnutls_cli_lmtp() {
    gnutls_cli("lmtp", "LHLO me\r\nQUIT\r\n", &["250 SIZE", "221 2.0.0"]);
}

#[test]
fn gnutls_cli_imap() {
    gnutls_cli("imap", "a CAPABILITY\r\nz LOGOUT\r\n", &["AUTH=PLAIN", "z OK"]);
}

#[test]
fn gnutls_cli_pop3() {
    gnutls_cli("pop3", "CAPA\r\nQUIT\r\n", &["SASL PLAIN", "+OK"]);
}

#[test]
fn gnutls_cli_sieve() {
    gnutls_cli("sieve", "LOGOUT\r\n", &["\"SASL\" \"PLAIN\"", "OK"]);
}

#[test]
fn gnutls_cli_ftp() {
    gnutls_cli("ftp", "SYST\r\nQUIT\r\n", &["215 ", "221 "]);
}

#[test]
fn gnutls_cli_nntp() {
    gnutls_cli("nntp", "DATE\r\nQUIT\r\n", &["111 20", "205 "]);
}

#[test]
fn gnutls_cli_xmpp() {
    let header = "<stream:stream to='localhost' version='1.0' xmlns='jabber:client' \
        xmlns:stream='http://etherx.jabber.org/streams'>";
    gnutls_cli("xmpp", format!("{header}\n</stream:stream>\n"), &["<mechanism>PLAIN</mechanism>"]);
}

#[test]
fn gnutls_cli_ldap() {
    gnutls_cli("ldap", b"\x30\x05\x02\x01\x03\x42\x00\n", &[]);
}

#[test]
fn gnutls_cli_postgres() {
    gnutls_cli("postgres", b"X\0\0\0\x04\n", &[]);
}
