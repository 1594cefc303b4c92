//! Network UPS Tools.

use crate::client::client;
use crate::real_backend::{Talk, Visit};

pub(crate) const TALKS: &[Talk] = &[
    Talk { name: "upsc reads what upsd knows, upsrw and upscmd nothing", protocol: "nut", talk: upsc },
    Talk { name: "Python verifies and logs in to upsd", protocol: "nut", talk: python },
];

fn upsc(visit: &Visit<'_>) {
    cleartext_clients(visit);
    // The driver needs a moment to report the state.
    let said = visit.until("the state of the UPS", || {
        let said = client("upsc", "nut-client").args([format!("lab@localhost:{}", visit.port)]).run();
        (!said.out.contains("WAIT")).then_some(said)
    });
    said.with(&["ups.status: OL", "battery.charge: "]);
}

/// `upscmd` and `upsrw` do not request TLS.
fn cleartext_clients(visit: &Visit<'_>) {
    let login = ["-u", visit.user(), "-p", visit.password()];
    let tools = [("upsrw", &["-s", "battery.charge=99"][..]), ("upscmd", &[])];
    for (tool, more) in tools {
        let place = format!("lab@localhost:{}", visit.port);
        let said = client(tool, "nut-client").args(login).args(more).args([&place, "load.off"]).run();
        assert!(!said.ok && said.err.to_lowercase().contains("access"), "{tool}: {}", said.err);
        let session = visit.ended();
        assert_eq!((session.front, session.upstream), (false, None), "{tool}");
    }
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
tls.close()",
    );
}
