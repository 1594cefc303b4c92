//! SMTP and mail submission.

use crate::client::client;
use crate::real_backend::{Talk, Visit};

pub(crate) const TALKS: &[Talk] = &[
    Talk { name: "swaks sends a message to Postfix", protocol: "smtp", talk: swaks },
    Talk { name: "swaks submits a message to Postfix", protocol: "submission", talk: swaks_submits },
    Talk { name: "Python submits 5 MB to Postfix", protocol: "submission", talk: python },
    Talk { name: "curl submits a message to Postfix", protocol: "submission", talk: curl },
];

/// The folder to which Postfix delivers.
const INBOX: &str = "mail/inbox/new";

fn swaks(visit: &Visit<'_>) {
    swaks_with(visit, &[], "from swaks");
}

fn swaks_submits(visit: &Visit<'_>) {
    let login = ["--auth", "LOGIN", "--auth-user", visit.user(), "--auth-password", visit.password()];
    swaks_with(visit, &login, "submitted by swaks");
}

fn swaks_with(visit: &Visit<'_>, more: &[&str], subject: &str) {
    client("swaks", "swaks")
        .args(["--server", "localhost", "--port", &visit.port.to_string()])
        .args(["--from", "a@example.test", "--to", "b@example.test"])
        .args(["--header", &format!("Subject: {subject}")])
        .args(["-tls", "--tls-verify", "--tls-ca-path"])
        .args([&visit.ca_file])
        .args(more)
        .run()
        .with(&["=== TLS started with cipher", "250 2.0.0 Ok: queued"]);
    visit.finds(INBOX, &format!("Subject: {subject}"));
}

/// Lines of a message can look like capabilities, a STARTTLS request and the end of the message; they are data.
fn python(visit: &Visit<'_>) {
    visit.python(
        "
import smtplib
body = b'250-STARTTLS\\r\\n250 AUTH SCRAM-SHA-256-PLUS PLAIN\\r\\nSTARTTLS\\r\\n.\\r\\n..\\r\\n\\xe4\\xff\\r\\n'
body = b'Subject: 5 MB\\r\\n\\r\\n' + body * (5_000_000 // len(body)) + b'the end\\r\\n'
smtp = smtplib.SMTP('localhost', port, timeout=20)
smtp.starttls(context=context)
smtp.ehlo()
assert not smtp.has_extn('starttls') and smtp.has_extn('pipelining'), smtp.esmtp_features
try:
    smtp.login(user, 'wrong')
    assert False
except smtplib.SMTPAuthenticationError:
    pass
smtp.login(user, password)
smtp.sendmail('a@example.test', ['b@example.test'], body, ['BODY=8BITMIME'])
smtp.quit()",
    );
    let body: &[u8] = b"250-STARTTLS\n250 AUTH SCRAM-SHA-256-PLUS PLAIN\nSTARTTLS\n.\n..\n\xe4\xff\n";
    let body = [&body.repeat(5_000_000 / (body.len() + 6)), &b"the end\n"[..]].concat();
    assert!(visit.finds(INBOX, "Subject: 5 MB").ends_with(&[b"\n\n", &*body].concat()));
}

fn curl(visit: &Visit<'_>) {
    client("curl", "curl")
        .args(["-q", "-sS", "--ssl-reqd", "--max-time", "20", "--cacert"])
        .args([&visit.ca_file])
        .args(["--user", &format!("{}:{}", visit.user(), visit.password())])
        .args(["--mail-from", "a@example.test", "--mail-rcpt", "b@example.test", "-T", "-"])
        .args([format!("smtp://localhost:{}/me", visit.port)])
        .input("Subject: from curl\r\n\r\n.dot\r\n")
        .run()
        .with(&[]);
    assert!(visit.finds(INBOX, "Subject: from curl").ends_with(b"\n\n.dot\n"));
}
