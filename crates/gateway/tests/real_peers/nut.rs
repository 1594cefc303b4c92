//! Network UPS Tools.

use crate::client::client;
use crate::house::{Talk, Visit};

pub(crate) const TALKS: &[Talk] = &[
    Talk { name: "upsc reads what upsd knows", protocol: "nut", talk: upsc },
    Talk { name: "upsrw sets a variable in upsd", protocol: "nut", talk: upsrw },
    Talk { name: "upscmd lists upsd's commands", protocol: "nut", talk: upscmd },
    Talk { name: "Python verifies and logs in to upsd", protocol: "nut", talk: python },
];

fn upsc(visit: &Visit<'_>) {
    client("upsc", "nut-client")
        .args([format!("lab@localhost:{}", visit.port)])
        .run()
        .with(&["ups.status: OL", "battery.charge: "]);
}

fn upsrw(visit: &Visit<'_>) {
    client("upsrw", "nut-client")
        .args(["-s", "battery.charge=99", "-u", visit.user(), "-p", visit.password()])
        .args([format!("lab@localhost:{}", visit.port)])
        .run()
        .with(&["OK"]);
}

fn upscmd(visit: &Visit<'_>) {
    client("upscmd", "nut-client")
        .args(["-l"])
        .args([format!("lab@localhost:{}", visit.port)])
        .run()
        .with(&["Instant commands supported on UPS [lab]"]);
}

fn python(visit: &Visit<'_>) {
    visit.python(
        "
import socket
tcp = socket.create_connection(('localhost', port), 20)
def ask(stream, line):
    stream.sendall(line.encode() + b'\\n')
    answer = b''
    while not answer.endswith(b'\\n'):
        answer += stream.recv(1)
    return answer.decode()
assert ask(tcp, 'USERNAME ' + user).startswith('ERR ')
assert ask(tcp, 'STARTTLS').startswith('OK STARTTLS')
tls = context.wrap_socket(tcp, server_hostname=name)
assert ask(tls, 'STARTTLS').startswith('ERR ')
assert ask(tls, 'VER').startswith('Network UPS Tools')
assert ask(tls, 'USERNAME ' + user) == ask(tls, 'PASSWORD ' + password) == 'OK\\n'
assert ask(tls, 'LOGIN lab') == 'OK\\n'
assert ask(tls, 'GET VAR lab ups.status') == 'VAR lab ups.status \"OL\"\\n'
assert ask(tls, 'LOGOUT').startswith('OK')
tls.unwrap()",
    );
}
