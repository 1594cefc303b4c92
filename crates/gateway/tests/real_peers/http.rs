//! HTTP with an upgrade on the same connection (RFC 2817).

use crate::client::client;
use crate::real_backend::{Talk, Visit};

pub(crate) const TALKS: &[Talk] = &[
    Talk { name: "ipptool upgrades and asks CUPS for its printers", protocol: "http", talk: ipptool },
    Talk { name: "Python upgrades, verifies and asks CUPS", protocol: "http", talk: python },
];

/// The request of `ipptool`, with its expected result: CUPS has no printers.
const PRINTERS: &str = "{
  OPERATION CUPS-Get-Printers
  GROUP operation-attributes-tag
  ATTR charset attributes-charset utf-8
  ATTR naturalLanguage attributes-natural-language en
  STATUS client-error-not-found
}
";

fn ipptool(visit: &Visit<'_>) {
    let test = visit.file("printers.test", PRINTERS);
    client("ipptool", "cups-ipp-utils")
        .args(["-E", "-t", "-T", "20", "-v", &format!("ipp://localhost:{}/", visit.port)])
        .args([test])
        .run()
        .with(&["status-message (textWithoutLanguage) = No destinations added."]);
}

fn python(visit: &Visit<'_>) {
    visit.python(
        "
import http.client, socket
connection = http.client.HTTPConnection('localhost', port, timeout=20)
connection.connect()
connection.sock.sendall(b'OPTIONS * HTTP/1.1\\r\\nHost: localhost\\r\\nConnection: Upgrade\\r\\nUpgrade: TLS/1.2\\r\\n\\r\\n')
answer = b''
while not answer.endswith(b'\\r\\n\\r\\n'):
    answer += connection.sock.recv(1)
assert answer.startswith(b'HTTP/1.1 101 '), answer
connection.sock = context.wrap_socket(connection.sock, server_hostname='localhost')
first = connection.sock.recv(65536)
assert first.startswith(b'HTTP/1.1 '), first
printers = b'\\x01\\x01\\x40\\x02\\0\\0\\0\\x01\\x01\\x47\\0\\x12attributes-charset\\0\\x05utf-8\\x48\\0\\x1battributes-natural-language\\0\\x02en\\x03'
headers = {'Host': 'localhost', 'Content-Type': 'application/ipp'}
connection.auto_open = False
connection.request('POST', '/', printers, headers)
answer = connection.getresponse()
assert answer.status == 200 and answer.getheader('Upgrade') is None, (answer.status, answer.getheaders())
assert b'No destinations added.' in answer.read()
connection.close()",
    );
}
