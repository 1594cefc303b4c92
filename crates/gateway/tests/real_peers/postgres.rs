//! PostgreSQL.

use crate::client::{Client, client};
use crate::real_backend::{Talk, TlsMode, Visit};

pub(crate) const TALKS: &[Talk] = &[
    Talk { name: "psql asks PostgreSQL and moves some MB", protocol: "postgres", talk: psql },
    Talk { name: "psql with the wrong password", protocol: "postgres", talk: psql_wrong },
    Talk { name: "psql that would bind to the channel", protocol: "postgres", talk: psql_bound },
    Talk { name: "Python cancels a query of PostgreSQL's", protocol: "postgres", talk: python_cancels },
];

/// With SCRAM, the client tells a server with TLS whether it supports channel binding. The gateway's TLS ends between
/// the two, so such clients have to do without.
fn channel_binding(visit: &Visit<'_>) -> &'static str {
    match visit.backend.tls_mode {
        TlsMode::Cleartext => "prefer",
        TlsMode::Upgraded => "disable",
    }
}

fn target(visit: &Visit<'_>, channel_binding: &str) -> String {
    format!(
        "host=localhost port={} user={} dbname=postgres sslmode=verify-full sslrootcert={} connect_timeout=20 \
         channel_binding={channel_binding}",
        visit.port,
        visit.user(),
        visit.ca_file.display()
    )
}

fn run_psql(password: &str, target: &str) -> Client {
    client("psql", "postgresql-client").env("PGPASSWORD", password).args([
        "--no-psqlrc",
        "-At",
        "-v",
        "ON_ERROR_STOP=1",
        target,
    ])
}

fn psql(visit: &Visit<'_>) {
    let lines: String = (0..200_000).map(|number| format!("{number}\tSTARTTLS {number}\n")).collect();
    let input = format!(
        "\\conninfo\ncreate table lines (number int, text text);\n\\copy lines from stdin\n{lines}\\.\n\
         select count(*), md5(string_agg(text, ',' order by number)) = \
         (select md5(string_agg('STARTTLS ' || i, ',' order by i)) from generate_series(0, 199999) i) from lines;\n\
         select md5(text), text from (select repeat('x', 5000000) as text) as large;\n"
    );
    let said = run_psql(visit.password(), &target(visit, channel_binding(visit))).input(input).run();
    said.with(&["TLSv1.3", "COPY 200000", "200000|t\n", &"x".repeat(5_000_000)]);
}

fn psql_wrong(visit: &Visit<'_>) {
    let said = run_psql("wrong", &target(visit, channel_binding(visit))).args(["-c", "select 1"]).run();
    assert!(!said.ok && said.err.contains("password authentication failed"), "{}", said.err);
}

/// The client binds to its channel to the gateway. A server with another channel takes the gateway for an attacker.
fn psql_bound(visit: &Visit<'_>) {
    let [prefer, require] = ["prefer", "require"].map(|channel_binding| {
        run_psql(visit.password(), &target(visit, channel_binding)).args(["-c", "select 1"]).run()
    });
    let refused = match visit.backend.tls_mode {
        TlsMode::Cleartext => {
            prefer.with(&["1\n"]);
            "channel binding is required"
        }
        TlsMode::Upgraded => {
            assert!(
                !prefer.ok && prefer.err.contains("SCRAM channel binding check failed"),
                "{}",
                prefer.err
            );
            "SCRAM channel binding check failed"
        }
    };
    assert!(!require.ok && require.err.contains(refused), "{}", require.err);
    if visit.backend.tls_mode == TlsMode::Upgraded {
        // The binding is to the certificate (RFC 5929 section 4), which may be the same on both legs.
        let same = Visit::with_the_servers_certificate(visit.backend, visit.endpoint);
        let name = &visit.endpoint.server_name;
        let target =
            target(&same, "require").replace("host=localhost", &format!("host={name} hostaddr=127.0.0.1"));
        run_psql(visit.password(), &target).args(["-c", "select 1"]).run().with(&["1\n"]);
    }
}

/// A cancel request uses a connection of its own. psql sends it in cleartext, and the gateway does not forward it.
fn python_cancels(visit: &Visit<'_>) {
    visit.python(
        "
import base64, hashlib, hmac, os, select, socket, struct
def connect():
    tcp = socket.create_connection(('localhost', port), 20)
    tcp.sendall(struct.pack('!ii', 8, 80877103))
    assert tcp.recv(1) == b'S'
    return context.wrap_socket(tcp, server_hostname='localhost')
def exactly(stream, count):
    got = b''
    while len(got) < count:
        more = stream.recv(count - len(got))
        assert more, got
        got += more
    return got
def message(stream):
    kind, length = struct.unpack('!ci', exactly(stream, 5))
    return kind, exactly(stream, length - 4)
def send(stream, kind, body):
    stream.sendall(kind + struct.pack('!i', len(body) + 4) + body)
tls = connect()
send(tls, b'', struct.pack('!i', 0x30000) + b'user\\0' + user.encode() + b'\\0database\\0postgres\\0\\0')
kind, body = message(tls)
assert kind == b'R' and b'SCRAM-SHA-256\\0' in body, body
first = 'n=,r=' + base64.b64encode(os.urandom(18)).decode()
send(tls, b'p', b'SCRAM-SHA-256\\0' + struct.pack('!i', len(first) + 3) + b'n,,' + first.encode())
kind, body = message(tls)
challenge = body[4:].decode()
fields = dict(field.split('=', 1) for field in challenge.split(','))
salted = hashlib.pbkdf2_hmac('sha256', password.encode(), base64.b64decode(fields['s']), int(fields['i']))
key = hmac.digest(salted, b'Client Key', 'sha256')
final = 'c=biws,r=' + fields['r']
signature = hmac.digest(hashlib.sha256(key).digest(), ','.join([first, challenge, final]).encode(), 'sha256')
proof = base64.b64encode(bytes(a ^ b for a, b in zip(key, signature))).decode()
send(tls, b'p', (final + ',p=' + proof).encode())
while True:
    kind, body = message(tls)
    assert kind != b'E', body
    if kind == b'K': backend = body
    if kind == b'Z': break
send(tls, b'Q', b'select pg_sleep(60)\\0')
clear = socket.create_connection(('localhost', port), 20)
clear.sendall(struct.pack('!ii', 16, 80877102) + backend)
clear.recv(1000); clear.close()
tls.settimeout(1)
try:
    assert not tls.recv(1), 'it was cancelled in cleartext'
except TimeoutError:
    pass
tls.settimeout(20)
# A server ignores the request before it has started the query, which takes a while on a busy machine.
for attempt in range(10):
    cancel = connect()
    cancel.sendall(struct.pack('!ii', 16, 80877102) + backend)
    assert cancel.recv(1) == b''
    if select.select([tls], [], [], 2)[0]: break
while kind != b'E':
    kind, body = message(tls)
assert b'57014' in body, body
send(tls, b'X', b'')
assert message(tls)[0] == b'Z'",
    );
    assert_eq!(visit.ended_in_cleartext().upstream, None);
}
