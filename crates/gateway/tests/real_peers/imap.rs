//! IMAP.

use crate::client::client;
use crate::real_backend::{Talk, Visit};

pub(crate) const TALKS: &[Talk] = &[
    Talk { name: "Python logs in to Dovecot and moves 5 MB", protocol: "imap", talk: python },
    Talk { name: "curl lists Dovecot's mailboxes", protocol: "imap", talk: curl },
    Talk { name: "gnutls-cli asks Dovecot what it can do", protocol: "imap", talk: gnutls_cli },
];

/// A literal can contain lines that look like responses and commands; they are data.
fn python(visit: &Visit<'_>) {
    visit.python(
        "
import imaplib
line = b'* CAPABILITY IMAP4rev1 STARTTLS LOGINDISABLED\\r\\nz STARTTLS\\r\\n.\\r\\n\\xe4\\xff {5}\\r\\n'
message = b'Subject: 5 MB\\r\\n\\r\\n' + line * (5_000_000 // len(line))
imap = imaplib.IMAP4('localhost', port, timeout=20)
imap.starttls(context)
assert 'STARTTLS' not in imap.capabilities and 'LOGINDISABLED' not in imap.capabilities, imap.capabilities
assert 'AUTH=PLAIN' in imap.capabilities, imap.capabilities
try:
    imap.login(user, 'wrong')
    assert False
except imaplib.IMAP4.error:
    pass
assert imap.login(user, password)[0] == 'OK'
assert b'INBOX' in imap.list()[1][-1]
assert imap.create('large')[0] == 'OK'
assert imap.append('large', None, None, message)[0] == 'OK'
assert imap.select('large')[1] == [b'1']
assert imap.fetch('1', '(BODY.PEEK[])')[1][0][1] == message
imap.logout()
imap = imaplib.IMAP4('localhost', port, timeout=20)
imap.starttls(context)
assert imap.authenticate('PLAIN', lambda _: f'\\0{user}\\0{password}')[0] == 'OK'
imap.logout()",
    );
}

fn curl(visit: &Visit<'_>) {
    client("curl", "curl")
        .args(["-q", "-sS", "--ssl-reqd", "--max-time", "20", "--cacert"])
        .args([&visit.ca_file])
        .args(["--user", &format!("{}:{}", visit.user(), visit.password())])
        .args([format!("imap://localhost:{}/", visit.port)])
        .run()
        .with(&["* LIST ", "INBOX"]);
}

fn gnutls_cli(visit: &Visit<'_>) {
    let said = client("gnutls-cli", "gnutls-bin")
        .args(["--starttls-proto", "imap", "--port", &visit.port.to_string()])
        .args([format!("--x509cafile={}", visit.ca_file.display())])
        .args(["localhost"])
        .input("a CAPABILITY\r\nb STARTTLS\r\nz LOGOUT\r\n")
        .run();
    said.with(&["Status: The certificate is trusted.", "AUTH=PLAIN", "b BAD", "z OK"]);
    let (_, inside) = said.out.split_once("- Simple Client Mode:").unwrap();
    assert!(!inside.contains("STARTTLS") && !inside.contains("b OK"), "{inside}");
}
