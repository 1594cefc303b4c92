//! NNTP.

use crate::real_backend::{Talk, Visit};

pub(crate) const TALKS: &[Talk] = &[
    Talk { name: "Python reads a group of INN's", protocol: "nntp", talk: python },
    Talk { name: "openssl s_client logs in to INN", protocol: "nntp", talk: s_client },
];

fn python(visit: &Visit<'_>) {
    visit.python(
        "
import nntplib
news = nntplib.NNTP('localhost', port, timeout=20)
news.starttls(context)
assert 'STARTTLS' not in news.getcapabilities(), news.getcapabilities()
news.login(user, password)
assert news.group('local.test')[1:] == (0, 1, 0, 'local.test') or news.group('local.test')[4] == 'local.test'
assert [group.group for group in news.list()[1]] == ['local.test']
news.quit()",
    );
}

/// INN offers the upgrade even without a certificate.
fn s_client(visit: &Visit<'_>) {
    let input = format!(
        "CAPABILITIES\nSTARTTLS\nAUTHINFO USER {}\nAUTHINFO PASS {}\nGROUP local.test\nQUIT\n",
        visit.user(),
        visit.password()
    );
    let said = visit.s_client(input).args(["-crlf"]).run();
    said.with(&["101 ", "AUTHINFO ", "502 ", "281 ", "211 ", "205 "]);
    assert!(!said.out.contains("\r\nSTARTTLS\r\n"), "{}", said.out);
}
