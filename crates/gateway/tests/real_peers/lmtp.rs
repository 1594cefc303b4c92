//! LMTP.

use crate::client::client;
use crate::real_backend::{Talk, Visit};

pub(crate) const TALKS: &[Talk] = &[
    Talk { name: "swaks delivers to Dovecot by LMTP", protocol: "lmtp", talk: swaks },
    Talk { name: "Python delivers to Dovecot by LMTP", protocol: "lmtp", talk: python },
];

/// The folder to which Dovecot delivers.
const INBOX: &str = "homes/test/Maildir/new";

fn swaks(visit: &Visit<'_>) {
    client("swaks", "swaks")
        .args(["--server", "localhost", "--port", &visit.port.to_string(), "--protocol", "LMTP"])
        .args(["--from", "a@example.test", "--to", "test@example.test", "--header", "Subject: from swaks"])
        .args(["-tls", "--tls-verify", "--tls-ca-path"])
        .args([&visit.ca_file])
        .run()
        .with(&["=== TLS started with cipher", "Saved"]);
    visit.finds(INBOX, "Subject: from swaks");
}

/// LMTP answers the message once for each recipient.
fn python(visit: &Visit<'_>) {
    visit.python(
        "
import smtplib
lmtp = smtplib.LMTP('localhost', port, timeout=20)
lmtp.starttls(context=context)
lmtp.ehlo()
assert not lmtp.has_extn('starttls') and lmtp.has_extn('pipelining'), lmtp.esmtp_features
refused = lmtp.sendmail('a@example.test', ['test@example.test', 'nobody'], 'Subject: python\\n\\n.dot\\n')
assert list(refused) == ['nobody'], refused
lmtp.quit()",
    );
    assert!(visit.finds(INBOX, "Subject: python").ends_with(b"\n.dot\n"));
}
