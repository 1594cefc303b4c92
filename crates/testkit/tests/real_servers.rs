//! Every real server starts, and an established client upgrades and verifies it. A server that is started without TLS
//! refuses the upgrade.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::path::Path;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use starttls_testkit::display::Display;
use starttls_testkit::real::{RealEndpoint, RealServer, Setup};

/// The time limit for an upgrade that has to succeed.
const DEADLINE: Duration = Duration::from_secs(30);
/// The time limit for an upgrade that has to fail: a client may wait forever for the answer.
const NO_UPGRADE: Duration = Duration::from_secs(4);

mod upgrades {
    starttls_testkit::each_real_server!(super::with_tls);
}

mod does_not_upgrade {
    starttls_testkit::each_real_server!(super::without_tls);
}

fn with_tls(server: &RealServer) {
    upgrades(server, true);
}

fn without_tls(server: &RealServer) {
    upgrades(server, false);
}

fn upgrades(RealServer { name, start, protocols, .. }: &RealServer, tls: bool) {
    let setup = if tls { Setup::new() } else { Setup::without_tls() }.unwrap();
    let running = start(&setup).unwrap_or_else(|error| panic!("{name}: {error}"));
    let root = setup.authority.write_to(running.folder()).unwrap();
    assert!(running.endpoints.iter().map(|endpoint| &endpoint.protocol).eq(*protocols));
    for endpoint in &running.endpoints {
        let outcome = upgrade(endpoint, &root, if tls { DEADLINE } else { NO_UPGRADE });
        assert_eq!(outcome.is_ok(), tls, "{name}, {}: {outcome:?}", endpoint.protocol);
    }

    let folder = running.folder().display().to_string();
    let ids: Vec<_> = running.ids().collect();
    drop(running);
    assert!(!Path::new(&folder).exists(), "{folder} was not removed");
    assert_eq!(left(&folder, &ids), Vec::<String>::new(), "left behind");
}

/// Upgrades with an established client.
fn upgrade(endpoint: &RealEndpoint, root: &Path, deadline: Duration) -> Result<(), String> {
    let starttls = match endpoint.protocol {
        "http" => {
            return run(&mut python(endpoint, root, HTTP, "HTTP/1.1 101 ", "\r\n\r\n"), deadline).map(drop);
        }
        "nbd" => return nbdinfo(endpoint, root, deadline),
        "rdp" => return xfreerdp(endpoint, root, deadline),
        "nats" => return run(&mut python(endpoint, root, "", "INFO {", "\r\n"), deadline).map(drop),
        "nut" => {
            return run(&mut python(endpoint, root, "STARTTLS\n", "OK STARTTLS", "\n"), deadline).map(drop);
        }
        "vnc" => {
            let name = &endpoint.server_name;
            let (ip, port) = (endpoint.address.ip().to_string(), endpoint.address.port().to_string());
            let mut client = Command::new("python3");
            client.args(["-c", VENCRYPT, &ip, &port, name]).arg(root);
            return run(&mut client, deadline).map(drop);
        }
        "submission" => "smtp",
        other => other,
    };
    let name = &endpoint.server_name;
    let mut client = Command::new("openssl");
    client
        .args(["s_client", "-connect", &endpoint.address.to_string(), "-starttls", starttls, "-brief"])
        .args(["-name", name, "-servername", name, "-verify_hostname", name])
        .args(["-verify_return_error", "-no-CApath", "-no-CAstore", "-CAfile"])
        .arg(root);
    run(&mut client, deadline).and_then(|said| {
        let verified = said.contains("CONNECTION ESTABLISHED") && said.contains("Verification: OK");
        if verified { Ok(()) } else { Err(said) }
    })
}

/// Returns whether libnbd upgrades and reads the size of the disk. `nbds` never continues in cleartext.
fn nbdinfo(endpoint: &RealEndpoint, root: &Path, deadline: Duration) -> Result<(), String> {
    let folder = root.parent().unwrap().join("client");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::copy(root, folder.join("ca-cert.pem")).unwrap();
    // This version of libnbd verifies the name in the URI, so the name is looked up in a file.
    let hosts = folder.join("hosts");
    std::fs::write(&hosts, format!("{} {}\n", endpoint.address.ip(), endpoint.server_name)).unwrap();
    let (name, port) = (&endpoint.server_name, endpoint.address.port());
    let uri = format!("nbds://{name}:{port}/?tls-certificates={}", folder.display());
    let mut client = Command::new("nbdinfo");
    client.env("LD_PRELOAD", "libnss_wrapper.so").env("NSS_WRAPPER_HOSTS", hosts).args(["--size", &uri]);
    run(&mut client, deadline).and_then(|said| if said.trim() == "1048576" { Ok(()) } else { Err(said) })
}

/// Returns whether FreeRDP upgrades, verifies the certificate and reaches the login window. `/sec:tls` permits neither CredSSP
/// nor Standard RDP Security.
fn xfreerdp(endpoint: &RealEndpoint, root: &Path, deadline: Duration) -> Result<(), String> {
    let display = Display::start().unwrap();
    let name = &endpoint.server_name;
    let mut client = Command::new("xfreerdp");
    client.env("DISPLAY", display.name()).env("HOME", display.home()).env("SSL_CERT_FILE", root);
    client.arg(format!("/v:{}", endpoint.address)).arg(format!("/cert:deny,name:{name}"));
    client.args(["/u:test", "/p:test", "/sec:tls", "+auth-only"]);
    run(&mut client, deadline).map(drop)
}

const HTTP: &str = "OPTIONS * HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: TLS/1.2\r\n\r\n";

const PYTHON: &str = "
import socket, ssl, sys
host, port, name, root, request, wanted, end = sys.argv[1:]
stream = socket.create_connection((host, port), 10)
stream.sendall(request.encode())
answer = b''
while not answer.endswith(end.encode()):
    octet = stream.recv(1)
    assert octet and len(answer) < 4096, answer
    answer += octet
assert answer.startswith(wanted.encode()), answer
ssl.create_default_context(cafile=root).wrap_socket(stream, server_hostname=name)
";

/// Negotiates the sub-type X509None of VeNCrypt, and reads the SecurityResult inside TLS.
const VENCRYPT: &str = r"
import socket, ssl, sys
host, port, name, root = sys.argv[1:]
stream = socket.create_connection((host, port), 10)
def read(count):
    octets = b''
    while len(octets) < count:
        octet = stream.recv(1)
        assert octet, octets
        octets += octet
    return octets
assert read(12) == b'RFB 003.008\n'
stream.sendall(b'RFB 003.008\n')
assert 19 in read(read(1)[0])
stream.sendall(b'\x13')
assert read(2) == b'\0\2'
stream.sendall(b'\0\2')
assert read(1) == b'\0'
assert b'\0\0\1\4' in read(4 * read(1)[0])
stream.sendall(b'\0\0\1\4')
assert read(1) == b'\1'
stream = ssl.create_default_context(cafile=root).wrap_socket(stream, server_hostname=name)
assert read(4) == bytes(4)
";

/// Returns a client that sends a request, reads the answer up to `end`, expects it to start with `wanted`, and
/// upgrades.
fn python(endpoint: &RealEndpoint, root: &Path, request: &str, wanted: &str, end: &str) -> Command {
    let RealEndpoint { address, server_name, .. } = endpoint;
    let mut client = Command::new("python3");
    client.args(["-c", PYTHON, &address.ip().to_string(), &address.port().to_string(), server_name]);
    client.arg(root).args([request, wanted, end]);
    client
}

/// Runs a client to its end, or kills it at the deadline.
fn run(command: &mut Command, deadline: Duration) -> Result<String, String> {
    let mut child =
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let start = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if start.elapsed() > deadline {
            child.kill().unwrap();
        }
        sleep(Duration::from_millis(10));
    }
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    if output.status.success() { Ok(said) } else { Err(said) }
}

/// Returns the processes whose arguments contain a folder or that are in one of these groups.
fn left(folder: &str, groups: &[u32]) -> Vec<String> {
    let output = Command::new("ps").args(["-eo", "pgid=,stat=,args="]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let left = text.lines().filter(|line| {
        let mut fields = line.split_whitespace();
        let group = fields.next().and_then(|field| field.parse().ok());
        // A zombie orphan only waits until process 1 reaps it.
        let ended = fields.next().is_some_and(|state| state.starts_with('Z'));
        !ended && (line.contains(folder) || group.is_some_and(|group| groups.contains(&group)))
    });
    left.map(String::from).collect()
}
