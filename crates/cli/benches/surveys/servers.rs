//! The servers: released software with its defaults, and with everything on.

use std::error::Error;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use starttls_lab::ca::{Authority, Issued, KeyKind, Leaf};
use starttls_testkit::process::{Daemon, Scratch, free_port_everywhere, own_loopback, run};
use starttls_testkit::real::{self, RunningServer, Setup};

/// A running server.
pub(crate) struct Server {
    /// The scheme of its URL.
    pub(crate) scheme: &'static str,
    pub(crate) address: SocketAddr,
    _running: Running,
}

#[expect(dead_code, reason = "a server runs until its value is dropped")]
enum Running {
    Real(Box<(Setup, RunningServer)>),
    // The folder outlives the daemon.
    Daemon(Daemon, Scratch),
}

type Start = fn(&Path) -> Result<Server, Box<dyn Error>>;

/// The names of the servers, and how they start. The argument is a folder with Python packages.
pub(crate) const SERVERS: &[(&str, Start)] = &[
    ("Postfix", |_| real("smtp")),
    ("Dovecot", |_| real("imap")),
    ("openssl s_server", |_| openssl()),
    ("gnutls-serv", |_| gnutls()),
    ("tlslite-ng", tlslite),
];

const DEADLINE: Duration = Duration::from_secs(30);

fn real(protocol: &'static str) -> Result<Server, Box<dyn Error>> {
    let server = real::SERVERS.iter().find(|server| server.protocols.contains(&protocol));
    let server = server.ok_or_else(|| format!("no real server speaks {protocol}"))?;
    let setup = Setup::new()?;
    let running = (server.start)(&setup)?;
    let address = running.endpoint(protocol).ok_or("the server lacks an endpoint")?.address;
    Ok(Server { scheme: protocol, address, _running: Running::Real(Box::new((setup, running))) })
}

/// A server with implicit TLS and HTTP inside, on a free port of an address.
fn daemon(
    name: &str,
    ip: IpAddr,
    build: impl FnOnce(&Scratch, SocketAddr) -> Result<Command, Box<dyn Error>>,
) -> Result<Server, Box<dyn Error>> {
    let scratch = Scratch::new()?;
    let address = free_port_everywhere(ip)?;
    let mut command = build(&scratch, address)?;
    let mut daemon = Daemon::spawn(&scratch, name, &mut command)?;
    daemon.wait_listening(address, DEADLINE)?;
    Ok(Server { scheme: "https", address, _running: Running::Daemon(daemon, scratch) })
}

/// Returns the words of a command line.
fn words(line: &str) -> impl Iterator<Item = &str> {
    line.split_whitespace()
}

/// Writes certificates with an RSA key and with an ECDSA key: `rsa.pem`, `rsa.key`, `ec.pem`, `ec.key`.
fn certificates(scratch: &Scratch) -> Result<(), Box<dyn Error>> {
    let authority = Authority::new()?;
    for (name, key) in [("rsa", KeyKind::Rsa2048), ("ec", KeyKind::EcdsaP256)] {
        let issued: Issued = authority.issue(&Leaf { key, ..Leaf::named("localhost") })?;
        issued.write_to(scratch.path(), name)?;
    }
    Ok(())
}

/// Every version and suite that the library has.
fn openssl() -> Result<Server, Box<dyn Error>> {
    const EVERYTHING: &str = "ALL:COMPLEMENTOFALL@SECLEVEL=0";
    daemon("openssl", own_loopback(), |scratch, address| {
        certificates(scratch)?;
        let text = format!(
            "openssl_conf = d\n[d]\nssl_conf = s\n[s]\nsystem_default = x\n[x]\nMinProtocol = None\n\
             CipherString = {EVERYTHING}\n"
        );
        let config = scratch.file("openssl.cnf", &text)?;
        let mut command = Command::new("openssl");
        command.arg("s_server").arg("-accept").arg(address.to_string());
        command.args(words("-www -cert rsa.pem -key rsa.key -cert_chain rsa.pem -dcert ec.pem -dkey ec.key"));
        command.args(["-dcert_chain", "ec.pem", "-cipher", EVERYTHING]).env("OPENSSL_CONF", config);
        Ok(command)
    })
}

/// Every version of the library and its weak suites, except those without encryption: with them it refuses TLS 1.3.
fn gnutls() -> Result<Server, Box<dyn Error>> {
    // It listens on every address.
    daemon("gnutls", Ipv4Addr::UNSPECIFIED.into(), |scratch, address| {
        certificates(scratch)?;
        let mut command = Command::new("gnutls-serv");
        command.arg("--port").arg(address.port().to_string());
        command.args(words("--http --x509certfile rsa.pem --x509keyfile rsa.key --x509certfile ec.pem"));
        command.args(words("--x509keyfile ec.key --disable-client-cert --priority"));
        command.arg("NORMAL:+VERS-TLS1.1:+VERS-TLS1.0:+ARCFOUR-128:+3DES-CBC:+ANON-DH:+ANON-ECDH:+MD5");
        Ok(command)
    })
}

/// SSL 3.0 to TLS 1.3 with all suites of the library.
const TLSLITE: &str = "\
import socketserver, sys
from tlslite.api import *
from tlslite.constants import CipherSuite
chain, key = X509CertChain(), None
chain.parsePemList(open('rsa.pem').read())
key = parsePEMKey(open('rsa.key').read(), private=True)
settings = HandshakeSettings()
settings.minVersion, settings.maxVersion = (3, 0), (3, 4)
settings.cipherNames = ['chacha20-poly1305', 'aes256gcm', 'aes128gcm', 'aes256ccm', 'aes128ccm', 'aes256ccm_8',
                        'aes128ccm_8', 'aes256', 'aes128', '3des', 'rc4', 'null']
settings.macNames = ['sha', 'sha256', 'sha384', 'aead', 'md5']
class Handler(TLSSocketServerMixIn, socketserver.ThreadingTCPServer):
    allow_reuse_address, daemon_threads, request_queue_size = True, True, 64
    def handshake(self, connection):
        try:
            # It fails on a client with ALPN if it has no protocol of its own.
            connection.handshakeServer(certChain=chain, privateKey=key, settings=settings, alpn=[b'http/1.1'])
            return True
        except Exception:
            return False
class Page(socketserver.StreamRequestHandler):
    def handle(self):
        if self.rfile.readline():
            self.wfile.write(b'HTTP/1.0 200 OK\\r\\nContent-Length: 0\\r\\n\\r\\n')
Handler((sys.argv[1], int(sys.argv[2])), Page).serve_forever()
";

fn tlslite(venv: &Path) -> Result<Server, Box<dyn Error>> {
    daemon("tlslite", own_loopback(), |scratch, address| {
        certificates(scratch)?;
        // The library reads keys in the format of PKCS #1.
        run(Command::new("openssl")
            .current_dir(scratch.path())
            .args(words("rsa -traditional -in rsa.key -out rsa.key")))?;
        let script = scratch.file("server.py", TLSLITE)?;
        let mut command = Command::new(venv.join("bin/python"));
        command.arg(script).arg(address.ip().to_string()).arg(address.port().to_string());
        Ok(command)
    })
}
