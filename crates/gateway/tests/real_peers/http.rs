//! HTTP that upgrades in place (RFC 2817).

use crate::client::client;
use crate::house::{Talk, Visit};

pub(crate) const TALKS: &[Talk] = &[
    Talk { name: "ipptool upgrades and asks CUPS for its printers", protocol: "http", talk: ipptool },
    Talk { name: "Python upgrades, verifies and asks CUPS twice", protocol: "http", talk: python },
];

fn ipptool(visit: &Visit<'_>) {
    client("ipptool", "cups-ipp-utils")
        .args([
            "-E",
            "-t",
            "-T",
            "20",
            "-v",
            &format!("ipp://localhost:{}/", visit.port),
            "get-printers.test",
        ])
        .run()
        .with(&["status-code = successful-ok"]);
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
for _ in range(2):
    connection.request('GET', '/nothing', headers={'Host': 'localhost'})
    answer = connection.getresponse()
    assert answer.status == 404 and answer.getheader('Upgrade') is None, answer.getheaders()
    answer.read()
connection.close()",
    );
}
