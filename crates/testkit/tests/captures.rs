//! Vectors of conversations with real servers. `UPDATE_VECTORS=1` writes them again; without it, each run checks that
//! the installed servers still send what the files contain.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use starttls::proto::{
    Client, EventKind, Identity, Outgoing, Progress, Protocol, Relay, RelayEvent, Side, protocol,
};
use starttls_testkit::real::{RealEndpoint, SERVERS, Setup};

const DEADLINE: Duration = Duration::from_secs(30);

/// The names that vectors use.
const SERVER: &str = "mail.example.com";
const CLIENT: &str = "client.example";
/// The first octets of a ClientHello, where it is the request.
const CLIENT_HELLO: &[u8] = b"\x16\x03\x01\x00\xc8\x01\x00\x00\xc4\x03\x03";

type Turns = Vec<(Side, Vec<u8>)>;

/// Upgrades up to the boundary with the engine alone, and returns the messages.
fn capture(protocol: &Protocol, endpoint: &RealEndpoint) -> Turns {
    let mut tcp = TcpStream::connect_timeout(&endpoint.address, DEADLINE).unwrap();
    tcp.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut identity = Identity::new(&endpoint.server_name);
    identity.client_name = CLIENT.parse().unwrap();
    let (mut turns, mut out, mut heard) = (Turns::new(), Vec::new(), [0; 4096]);
    let mut client = Client::new(protocol, identity.with_nonce(0), &mut out);
    loop {
        if !out.is_empty() {
            tcp.write_all(&out).unwrap();
            turns.push((Side::Client, std::mem::take(&mut out)));
        }
        let len = tcp.read(&mut heard).unwrap();
        assert_ne!(len, 0, "{} closed: {turns:?}", protocol.name);
        match turns.last_mut() {
            Some((Side::Server, said)) => said.extend_from_slice(&heard[..len]),
            _ => turns.push((Side::Server, heard[..len].to_vec())),
        }
        match client.receive(&heard[..len], &mut out).unwrap() {
            Progress::Continue(next) => client = next,
            Progress::Upgrade(_) => break,
            Progress::End(declined) => panic!("{}: {declined:?}", protocol.name),
        }
    }
    if protocol.flow.client_hello_is_request {
        out.extend_from_slice(CLIENT_HELLO);
    }
    // In protocols without an answer to the request, the request is still unsent.
    if !out.is_empty() {
        turns.push((Side::Client, out));
    }
    turns
}

/// Returns a vector in the format of `crates/proto/vectors/README.md`.
fn vector(server: &str, protocol: &Protocol, endpoint: &RealEndpoint, turns: &Turns) -> String {
    let text = |bytes: &[u8]| bytes.iter().all(|byte| byte.is_ascii_graphic() || b" \r\n".contains(byte));
    let lf = turns.iter().all(|(_, bytes)| text(bytes) && !bytes.contains(&b'\r') && bytes.ends_with(b"\n"));
    let (eol, ending) = if lf { ("eol: lf\n", "\n") } else { ("", "\r\n") };
    let mut file = format!(
        "spec: {}\nresult: upgrade\nroles: client relay\n{eol}comment: Captured from a running server ({server}).\n---\n",
        protocol.spec
    );
    for (side, bytes) in turns {
        let side = if *side == Side::Client { 'C' } else { 'S' };
        if !text(bytes) {
            let octets: Vec<String> = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            file.push_str(&format!("{side}# {}\n", octets.join(" ")));
            continue;
        }
        let said = String::from_utf8(bytes.clone()).unwrap().replace(&endpoint.server_name, SERVER);
        for line in said.split_inclusive(ending) {
            let escaped = |line: &str| line.replace('\\', "\\\\").replace('\r', "\\r").replace('\n', "\\n");
            match line.strip_suffix(ending) {
                Some(line) => {
                    let line = escaped(line);
                    // A space at the end of a line would not be seen.
                    let line = line.strip_suffix(' ').map(|rest| format!("{rest}\\x20")).unwrap_or(line);
                    file.push_str(&format!("{side}: {line}\n"));
                }
                None => file.push_str(&format!("{side}- {}\n", escaped(line))),
            }
        }
    }
    file
}

/// Returns the meanings that an observer finds in the messages.
fn meanings(protocol: &Protocol, turns: &Turns) -> Vec<(Side, EventKind)> {
    let (mut out, mut events) = (Outgoing::default(), Vec::<RelayEvent>::new());
    let mut relay = Relay::new(protocol, Vec::new());
    for (side, bytes) in turns {
        relay.receive(*side, bytes, &mut out, &mut events);
    }
    events.iter().map(|event| (event.from, event.kind)).collect()
}

#[test]
fn real_servers_say_what_their_vectors_say() {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR")).join("../proto/vectors");
    let setup = Setup::new().unwrap();
    for server in SERVERS {
        let running = (server.start)(&setup).unwrap_or_else(|error| panic!("{}: {error}", server.name));
        for endpoint in &running.endpoints {
            let protocol = protocol(endpoint.protocol).unwrap();
            let turns = capture(protocol, endpoint);
            let path: PathBuf = vectors.join(protocol.name).join(format!("captured-{}.txt", server.name));
            if std::env::var_os("UPDATE_VECTORS").is_some() {
                std::fs::write(&path, vector(server.name, protocol, endpoint, &turns)).unwrap();
            }
            assert!(path.is_file(), "{} is missing: run this test with UPDATE_VECTORS=1", path.display());
            let seen = meanings(protocol, &turns);
            let boundaries = seen.iter().filter(|(_, what)| *what == EventKind::Boundary).count();
            assert_eq!(boundaries, 2, "{}, {}: {seen:?}", server.name, protocol.name);
        }
    }
}
