//! The library's client with every server of the lab.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::future::Future;
use std::net::TcpStream as StdTcpStream;
use std::time::Duration;

use starttls::proto::{ClientMessage, Identity, PROTOCOLS, Protocol};
use starttls::{CertificateVerdict, Connector, Encrypted, Error, TlsVersion};
use starttls_lab::{Lab, LabEndpoint, Options};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

async fn within<T>(step: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(300), step).await.expect("it was not done in time")
}

fn lab() -> Lab {
    Lab::start(Options::default()).unwrap()
}

fn connector(lab: &Lab, version: TlsVersion) -> Connector {
    let builder = Connector::builder().no_system_roots().roots_pem(lab.ca_pem());
    builder.tls_versions(version, version).timeout(Duration::from_secs(60)).build().unwrap()
}

async fn connect(connector: &Connector, to: &LabEndpoint) -> Result<Encrypted<TcpStream>, Error> {
    let address = (to.server_name, to.address.port());
    match to.implicit {
        true => connector.connect_implicit(to.protocol, address).await,
        false => connector.connect(to.protocol, address).await,
    }
}

/// Upgrades with verification, sends hello and quit inside TLS, and reads to the server's end.
async fn upgrade_everywhere(version: TlsVersion, name: &str) {
    let lab = lab();
    let connector = connector(&lab, version);
    for endpoint in lab.endpoints() {
        let (scheme, protocol) = (endpoint.scheme, endpoint.protocol);
        let connected = connect(&connector, endpoint).await;
        let mut stream = connected.unwrap_or_else(|error| panic!("{scheme}: {error}"));
        let facts = stream.facts();
        assert_eq!(facts.version_name(), name, "{scheme}");
        assert!(matches!(facts.verdict, CertificateVerdict::Verified), "{scheme}: {}", facts.verdict);
        assert_eq!(facts.alpn.as_deref(), protocol.alpn.map(str::as_bytes), "{scheme}");

        let identity = Identity::new(endpoint.server_name).inside_tls();
        let mut dialect = protocol.new_dialect(identity);
        let mut said = Vec::new();
        dialect.write_client(ClientMessage::Hello, &mut said);
        let hello = !said.is_empty();
        dialect.write_client(ClientMessage::Quit, &mut said);
        stream.write_all(&said).await.unwrap();
        stream.flush().await.unwrap();
        if said.is_empty() {
            stream.shutdown().await.unwrap();
        }
        let mut heard = Vec::new();
        let end = stream.read_to_end(&mut heard).await;
        assert!(end.is_ok(), "{scheme}: {end:?}");
        assert!(!heard.is_empty() || !hello, "{scheme} did not answer {said:?}");
    }
}

#[tokio::test]
async fn every_protocol_upgrades_with_tls_1_2() {
    within(upgrade_everywhere(TlsVersion::Tls12, "TLS 1.2")).await;
}

#[tokio::test]
async fn every_protocol_upgrades_with_tls_1_3() {
    within(upgrade_everywhere(TlsVersion::Tls13, "TLS 1.3")).await;
}

#[tokio::test]
async fn an_unknown_authority_is_refused_everywhere() {
    let (lab, other) = (lab(), lab());
    let connector = connector(&other, TlsVersion::Tls13);
    for endpoint in lab.endpoints() {
        let error = within(connect(&connector, endpoint)).await.unwrap_err();
        assert!(matches!(error, Error::Certificate { .. }), "{}: {error}", endpoint.scheme);
    }
}

#[tokio::test]
async fn a_name_that_is_not_in_the_certificate_is_refused_and_the_other_names_are_taken() {
    let lab = lab();
    let connector = connector(&lab, TlsVersion::Tls13);
    let imap = lab.endpoint("imap").unwrap();
    for (name, good) in
        [("localhost", true), ("127.0.0.1", true), (starttls_lab::SERVER_NAME, true), ("example.test", false)]
    {
        let to = starttls::Endpoint::new(name, 143).at("127.0.0.1", imap.address.port());
        let connected = within(connector.connect(imap.protocol, to)).await;
        assert_eq!(connected.is_ok(), good, "{name}");
    }
}

#[test]
fn every_protocol_of_the_registry_is_served() {
    let lab = lab();
    let missing = |protocol: &&Protocol| {
        let implicit = protocol.implicit_tls.map(|tls| (tls.name, true));
        let expected = [Some((protocol.name, false)), implicit];
        expected
            .into_iter()
            .flatten()
            .any(|(name, implicit)| lab.endpoint(name).is_none_or(|endpoint| endpoint.implicit != implicit))
    };
    let missing: Vec<_> = PROTOCOLS.iter().copied().filter(missing).collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert!(lab.endpoints().iter().all(|endpoint| endpoint.address.ip().is_loopback()));
}

#[test]
fn nothing_listens_and_nothing_is_left_when_the_lab_is_gone() {
    let lab = lab();
    let address = lab.endpoints()[0].address;
    let folder = lab.ca_file().parent().unwrap().to_owned();
    assert!(folder.is_dir() && StdTcpStream::connect(address).is_ok());
    drop(lab);
    assert!(!folder.exists());
    // The drop does not wait for the threads of the servers.
    let closed = (0..1200).any(|_| {
        std::thread::sleep(Duration::from_millis(50));
        StdTcpStream::connect(address).is_err()
    });
    assert!(closed);
}

#[test]
fn ports_may_be_asked_for() {
    let start = |base| Lab::start(Options { base_port: Some(base), ..Options::default() });
    // Other processes use ports too.
    let mut bases = (0..20).map(|step| 10_000 + (std::process::id() % 500) as u16 * 20 + step * 1_000);
    let lab = bases.find_map(|base| start(base).ok().map(|lab| (base, lab)));
    let (base, lab) = lab.unwrap();
    assert!(lab.endpoints().iter().all(|it| it.implicit || it.address.port() == base + it.protocol.port));
    assert!(start(base).is_err(), "the ports are taken");
    assert!(start(65_000).is_err(), "there is no such port");
}

/// Sends `said` in a new session and returns everything that the server sent up to its end.
async fn session(lab: &Lab, scheme: &str, said: &str) -> String {
    let endpoint = lab.endpoint(scheme).unwrap_or_else(|| panic!("the lab does not serve {scheme}"));
    let mut stream = connect(&connector(lab, TlsVersion::Tls13), endpoint).await.unwrap();
    stream.write_all(said.as_bytes()).await.unwrap();
    stream.flush().await.unwrap();
    let mut heard = Vec::new();
    within(stream.read_to_end(&mut heard)).await.unwrap();
    String::from_utf8(heard).unwrap()
}

#[tokio::test]
async fn http_answers_the_options_then_more_requests() {
    let lab = lab();
    let said = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\nOPTIONS * HTTP/1.1\r\nHost: localhost\r\n\r\n\
        GET /no HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    let heard = session(&lab, "http", said).await;
    let page = "Content-Length: 26\r\n\r\nYou read this inside TLS.\n";
    assert_eq!(heard.matches("HTTP/1.1 200 ").count(), 3, "{heard}");
    assert!(heard.contains(page) && heard.contains("HTTP/1.1 404 "), "{heard}");
}

#[tokio::test]
async fn nut_tells_what_the_power_supply_does() {
    let lab = lab();
    let said = format!(
        "LOGIN lab\nUSERNAME test\nPASSWORD {}\nLOGIN lab\nLIST UPS\nGET VAR lab ups.status\nGET VAR no x\nVER\nLOGOUT\n",
        lab.password()
    );
    let heard = session(&lab, "nut", &said).await;
    let start = "ERR USERNAME-REQUIRED\nOK\nOK\nOK\nBEGIN LIST UPS\nUPS lab ";
    assert!(
        heard.starts_with(start) && heard.contains("END LIST UPS\nVAR lab ups.status \"OL\"\n"),
        "{heard}"
    );
    assert!(heard.contains("ERR UNKNOWN-UPS\n") && heard.contains("OK Goodbye"), "{heard}");
}

#[tokio::test]
async fn mail_that_was_delivered_can_be_read() {
    let lab = lab();
    let said = "LHLO me\r\nMAIL FROM:<>\r\nRCPT TO:<test>\r\nDATA\r\nSubject: new\r\n\r\n..\r\n.\r\nQUIT\r\n";
    session(&lab, "lmtp", said).await;
    let login = format!("test {}", lab.password());
    let heard = session(
        &lab,
        "imap",
        &format!("a LOGIN {login}\r\nb EXAMINE INBOX\r\nc FETCH * BODY[]\r\nz LOGOUT\r\n"),
    )
    .await;
    assert!(heard.contains("* 2 FETCH (BODY[] {19}\r\nSubject: new\r\n\r\n.\r\n)"), "{heard}");
    let heard =
        session(&lab, "pop3", &format!("USER test\r\nPASS {}\r\nRETR 2\r\nQUIT\r\n", lab.password())).await;
    assert!(heard.contains("Subject: new\r\n\r\n..\r\n.\r\n"), "{heard}");
}

#[tokio::test]
async fn a_wrong_password_opens_nothing() {
    let lab = lab();
    for (scheme, said, refused) in [
        ("smtp", "EHLO me\r\nAUTH PLAIN AHRlc3QAd3Jvbmc=\r\nQUIT\r\n", "\r\n535 "),
        ("submission", "EHLO me\r\nMAIL FROM:<>\r\nQUIT\r\n", "\r\n530 5.7.0"),
        ("imap", "a LOGIN test wrong\r\nb SELECT INBOX\r\nz LOGOUT\r\n", "a NO [AUTHENTICATIONFAILED]"),
        ("pop3", "USER test\r\nPASS wrong\r\nSTAT\r\nQUIT\r\n", "-ERR [AUTH]"),
        ("sieve", "AUTHENTICATE \"PLAIN\" \"AHRlc3QAd3Jvbmc=\"\r\nLOGOUT\r\n", "NO \"Wrong"),
        ("nntp", "AUTHINFO USER test\r\nAUTHINFO PASS wrong\r\nLIST\r\nQUIT\r\n", "481 "),
        ("ftp", "USER test\r\nPASS wrong\r\nPWD\r\nQUIT\r\n", "530 "),
        ("nut", "USERNAME test\nPASSWORD wrong\nLOGIN lab\nLOGOUT\n", "ERR ACCESS-DENIED"),
    ] {
        let heard = session(&lab, scheme, said).await;
        assert!(heard.contains(refused), "{scheme}: {heard}");
    }
}

#[tokio::test]
async fn one_listener_serves_64_connections_at_a_time() {
    let lab = lab();
    let address = lab.endpoint("smtp").unwrap().address;
    let mut greeting = [0; 4];
    let mut served = Vec::new();
    for _ in 0..64 {
        let mut stream = TcpStream::connect(address).await.unwrap();
        within(stream.read_exact(&mut greeting)).await.unwrap();
        served.push(stream);
    }
    let mut waiting = TcpStream::connect(address).await.unwrap();
    let greeted = tokio::time::timeout(Duration::from_millis(300), waiting.read_exact(&mut greeting)).await;
    assert!(greeted.is_err(), "the 65th was served too");
    served.pop();
    within(waiting.read_exact(&mut greeting)).await.unwrap();
    assert_eq!(&greeting, b"220 ");
}
