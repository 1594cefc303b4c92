//! POP3.

use crate::client::client;
use crate::real_backend::{Talk, Visit};

pub(crate) const TALKS: &[Talk] = &[
    Talk { name: "Python fetches from Dovecot what came by LMTP", protocol: "pop3", talk: python },
    Talk { name: "curl lists Dovecot's messages", protocol: "pop3", talk: curl },
];

fn python(visit: &Visit<'_>) {
    visit.python(
        "
import poplib
pop = poplib.POP3('localhost', port, timeout=20)
pop.stls(context)
assert 'TOP' in pop.capa() and 'STLS' not in pop.capa(), pop.capa()
pop.user(user); pop.pass_(password)
assert pop.stat()[0] == 2
lines = [pop.retr(message)[1] for message in (1, 2)]
assert any(b'Subject: python' in text and text[-1] == b'.dot' for text in lines), lines
pop.quit()",
    );
}

fn curl(visit: &Visit<'_>) {
    client("curl", "curl")
        .args(["-q", "-sS", "--ssl-reqd", "--max-time", "20", "--cacert"])
        .args([&visit.ca_file])
        .args(["--user", &format!("{}:{}", visit.user(), visit.password())])
        .args([format!("pop3://localhost:{}/", visit.port)])
        .run()
        .with(&["1 ", "2 "]);
}
