//! NATS: cnats, the client library in C, which Python calls.

use crate::client::{Said, client};
use crate::real_backend::{Talk, Visit};

pub(crate) const TALKS: &[Talk] = &[
    Talk { name: "cnats verifies, logs in and receives what it sends", protocol: "nats", talk: messages },
    Talk {
        name: "cnats with a wrong password is refused by the server",
        protocol: "nats",
        talk: wrong_password,
    },
    Talk { name: "cnats does not accept another name", protocol: "nats", talk: another_name },
    Talk { name: "Python without TLS is refused", protocol: "nats", talk: cleartext },
];

/// Connects with the arguments URL, password, CA file and name, and sends a message to its own subscription.
const SCRIPT: &str = "
import ctypes, sys
url, password, ca, name = [text.encode() for text in sys.argv[1:]]
nats = ctypes.CDLL('libnats.so.3.4')
nats.nats_GetLastError.restype = nats.natsMsg_GetData.restype = ctypes.c_char_p
nats.natsMsg_GetData.argtypes = [ctypes.c_void_p]
def do(function, *arguments):
    if getattr(nats, function)(*arguments):
        sys.exit('%s: %s' % (function, nats.nats_GetLastError(None)))
options, connection, subscription, message = [ctypes.c_void_p() for _ in range(4)]
do('natsOptions_Create', ctypes.byref(options))
do('natsOptions_SetURL', options, url)
do('natsOptions_SetAllowReconnect', options, False)
do('natsOptions_SetTimeout', options, ctypes.c_int64(20000))
do('natsOptions_SetUserInfo', options, b'test', password)
do('natsOptions_SetSecure', options, True)
do('natsOptions_LoadCATrustedCertificates', options, ca)
do('natsOptions_SetExpectedHostname', options, name)
do('natsConnection_Connect', ctypes.byref(connection), options)
do('natsConnection_SubscribeSync', ctypes.byref(subscription), connection, b'subject')
do('natsConnection_PublishString', connection, b'subject', b'the payload')
do('natsSubscription_NextMsg', ctypes.byref(message), subscription, ctypes.c_int64(20000))
print(nats.natsMsg_GetData(message).decode())
nats.natsConnection_Destroy(connection)
";

fn cnats(visit: &Visit<'_>, password: &str, name: &str) -> Said {
    client("python3", "python3")
        .args(["-c", SCRIPT, &format!("nats://localhost:{}", visit.port), password])
        .args([&visit.ca_file])
        .args([name])
        .run()
}

fn messages(visit: &Visit<'_>) {
    cnats(visit, visit.password(), "localhost").with(&["the payload"]);
}

fn wrong_password(visit: &Visit<'_>) {
    let said = cnats(visit, "wrong", "localhost");
    assert!(!said.ok && said.err.contains("Authorization Violation"), "{}", said.err);
    cnats(visit, visit.password(), "localhost").with(&["the payload"]);
}

fn another_name(visit: &Visit<'_>) {
    let said = cnats(visit, visit.password(), "elsewhere.example.com");
    assert!(!said.ok && said.err.contains("hostname mismatch"), "{}", said.err);
    visit.ended();
    cnats(visit, visit.password(), "localhost").with(&["the payload"]);
}

fn cleartext(visit: &Visit<'_>) {
    visit.python(
        "
import socket
for first in [b'PING\\r\\n', b'CONNECT {\"user\":\"x\"}\\r\\n']:
    tcp = socket.create_connection(('localhost', port), 20)
    greeting = tcp.makefile('rb').readline()
    assert greeting.startswith(b'INFO {') and b'\"tls_required\":true' in greeting, greeting
    tcp.sendall(first)
    answer = tcp.makefile('rb').read()
    assert answer == b\"-ERR 'Secure Connection - TLS Required'\\r\\n\", answer",
    );
    for _ in 0..2 {
        let session = visit.ended();
        assert!(!session.front, "{session:?}");
    }
    cnats(visit, visit.password(), "localhost").with(&["the payload"]);
}
