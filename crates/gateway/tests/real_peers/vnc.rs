//! Python, and TigerVNC's viewer.

use std::process::Command;
use std::time::Duration;

use starttls_testkit::display::Display;
use starttls_testkit::process::{Daemon, Scratch, program};

use crate::real_backend::{Talk, Visit};

pub(crate) const TALKS: &[Talk] = &[
    Talk { name: "Python upgrades, verifies and reads the screen", protocol: "vnc", talk: python },
    Talk { name: "TigerVNC's viewer verifies and shows the screen", protocol: "vnc", talk: viewer },
    Talk {
        name: "TigerVNC's viewer without TLS, or with anonymous TLS, is refused",
        protocol: "vnc",
        talk: refused,
    },
];

/// Runs the viewer until its log contains this text.
fn run_viewer(visit: &Visit<'_>, security_types: &str, until: &str) {
    let (display, scratch) = (Display::start().unwrap(), Scratch::new().unwrap());
    let mut command = Command::new(program("xtigervncviewer", "tigervnc-viewer").unwrap());
    command.env("DISPLAY", display.name()).env("HOME", display.home());
    command.args(["-SecurityTypes", security_types, "-AlertOnFatalError=0", "-ReconnectOnError=0"]);
    command.args(["-Log", "*:stderr:100"]).arg("-X509CA").arg(&visit.ca_file);
    command.arg(format!("localhost::{}", visit.port));
    let log = scratch.path().join("viewer.log");
    let mut viewer = Daemon::spawn(&scratch, "viewer", &mut command).unwrap();
    let said = || std::fs::read_to_string(&log).is_ok_and(|said| said.contains(until));
    // A viewer that has failed ends, which may be before the log is read.
    let done = viewer.wait_until(Duration::from_secs(60), said);
    assert!(done.is_ok() || said(), "no {until:?} in {}", std::fs::read_to_string(&log).unwrap_or_default());
}

fn viewer(visit: &Visit<'_>) {
    run_viewer(visit, "X509None", "Using pixel format");
}

fn refused(visit: &Visit<'_>) {
    for (security_types, end) in
        [("None", "No matching security types"), ("TLSNone", "No valid VeNCrypt sub-type")]
    {
        run_viewer(visit, security_types, end);
        let session = visit.ended();
        assert_eq!((session.front, session.upstream), (false, None), "{security_types}: {session:?}");
        assert!(session.failure.is_some(), "{security_types}: {session:?}");
    }
    // The viewer itself is in order.
    run_viewer(visit, "X509None", "Using pixel format");
}

fn python(visit: &Visit<'_>) {
    visit.python(
        "
import socket
stream = socket.create_connection(('localhost', port), 20)
def read(count):
    octets = b''
    while len(octets) < count:
        octet = stream.recv(count - len(octets))
        assert octet, octets
        octets += octet
    return octets
assert read(12) == b'RFB 003.008\\n'
stream.sendall(b'RFB 003.008\\n')
assert read(read(1)[0]) == b'\\x13'
stream.sendall(b'\\x13')
assert read(2) == b'\\0\\2'
stream.sendall(b'\\0\\2')
assert read(6) == b'\\0\\1\\0\\0\\1\\4'
stream.sendall(b'\\0\\0\\1\\4')
assert read(1) == b'\\1'
stream = context.wrap_socket(stream, server_hostname='localhost')
assert read(4) == bytes(4)
stream.sendall(b'\\1')
init = read(24)
assert init[:4] == b'\\0\\x40\\0\\x30', init
name = read(int.from_bytes(init[20:], 'big'))
# The whole screen, in raw encoding.
stream.sendall(bytes([2, 0, 0, 1, 0, 0, 0, 0]) + bytes([3, 0, 0, 0, 0, 0, 0, 64, 0, 48]))
assert read(2) == b'\\0\\0'",
    );
}
