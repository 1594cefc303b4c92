//! The control connection: commands that pass, commands that the gateway answers, and their order.

use starttls::Connector;
use starttls_audit::report::{CheckOutcome, EndpointVerdict};
use starttls_audit::{Audit, Limits};
use starttls_gateway::Config;
use starttls_lab::CleartextServers;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::support::{FTP, Session, gateway, vsftpd};
use crate::environment::{Environment, Running, within};

fn cleartext(env: &Environment) -> (Running, (&str, &str)) {
    let server: &CleartextServers = &env.cleartext;
    let gateway = gateway(env, &format!("ftp://{}", server.address("ftp").unwrap()), None, "");
    (gateway, (server.user(), server.password()))
}

#[tokio::test(flavor = "multi_thread")]
async fn features_are_those_that_hold() {
    let env = Environment::new();
    for (server, gateway) in [vsftpd(&env, true), vsftpd(&env, false)] {
        let mut session = Session::start(&env, gateway.address).await;
        let features = session.expect("feat", "211").await;
        for listed in ["\r\n PBSZ\r\n", "\r\n PROT\r\n", "\r\n EPSV\r\n", "\r\n SIZE\r\n"] {
            assert_eq!(features.matches(listed).count(), 1, "{listed} in {features}");
        }
        assert!(!features.contains("AUTH") && !features.contains("EPRT"), "{features}");
        drop(server);
    }
}

/// The backend receives no command that would avoid TLS (rules S3 and S4) or redirect a data connection.
#[tokio::test(flavor = "multi_thread")]
async fn what_weakens_the_session_is_refused() {
    let env = Environment::new();
    let (gateway, login) = cleartext(&env);
    let mut session = Session::start(&env, gateway.address).await;
    session.expect("EPSV", "522").await;
    session.expect("PASV", "522").await;
    let mut session = Session::ready(&env, gateway.address, login).await;
    let refused = [
        ("AUTH TLS", "503"),
        ("auth ssl", "503"),
        ("ADAT x", "503"),
        ("CCC", "534"),
        ("PROT C", "534"),
        ("PROT E", "536"),
        ("PROT X", "504"),
        ("PORT 127,0,0,1,4,1", "502"),
        ("EPRT |1|127.0.0.1|1025|", "502"),
        ("LPSV", "502"),
        ("CPSV", "502"),
        ("SSCN ON", "502"),
        ("REIN", "502"),
        ("P@SW", "500"),
        (" PORT 127,0,0,1,4,1", "500"),
        ("PORT\t127,0,0,1,4,1", "500"),
        ("EPSV 2", "522"),
        ("EPSV x", "522"),
    ];
    for (command, code) in refused {
        session.expect(command, code).await;
    }
    assert_eq!(session.retrieve("welcome.txt").await, &*env.cleartext.store().file("welcome.txt").unwrap());
    session.expect("EPSV ALL", "200").await;
    session.expect("PASV", "503").await;
    session.expect("QUIT", "221").await;
    let heard = String::from_utf8(env.cleartext.heard("ftp")).unwrap().to_ascii_uppercase();
    for (command, _) in refused {
        assert!(!heard.contains(command.trim()), "{command} in {heard}");
    }
    assert!(!heard.contains("PROT") && !heard.contains("PBSZ"), "{heard}");
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_come_in_their_order() {
    let env = Environment::new();
    let (gateway, (user, password)) = cleartext(&env);
    let mut session = Session::start(&env, gateway.address).await;
    let said = format!(
        "NOOP\r\nPBSZ 0\r\nUSER {user}\r\nAUTH TLS\r\nPASS {password}\r\nPROT P\r\nFEAT\r\nCCC\r\nEPSV\r\nMLST welcome.txt\r\nPORT 1,2,3,4,5,6\r\nQUIT"
    );
    session.send(&said).await;
    for code in ["200", "200", "331", "503", "230", "200", "211", "534", "229", "250", "502", "221"] {
        let reply = session.reply().await;
        assert!(reply.starts_with(code), "{code}: {reply}");
    }
    let mut rest = Vec::new();
    within(session.control.read_to_end(&mut rest)).await.unwrap();
    assert_eq!(rest, b"");
    drop(session);
    assert_eq!(gateway.ended(1).await, ["ok"]);
}

/// ABOR after the Telnet signals IP and Synch, with and without the octet that TCP may deliver out of band.
#[tokio::test(flavor = "multi_thread")]
async fn an_abort_comes_with_telnet_before_it() {
    let env = Environment::new();
    let (server, gateway) = vsftpd(&env, true);
    std::fs::write(server.folder().join("pub/file"), "content").unwrap();
    let mut session = Session::ready(&env, gateway.address, ("anonymous", "me")).await;
    for synch in [&b"\xff\xf4\xff\xf2"[..], b"\xff\xf4\xff", b"\xf2"] {
        within(session.control.write_all(synch)).await.unwrap();
        session.expect("ABOR", "225").await;
        assert_eq!(session.retrieve("file").await, b"content");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_line_ends_the_session() {
    let env = Environment::new();
    let (gateway, _) = cleartext(&env);
    for said in [b"NOOP\nPORT 1,2,3,4,5,6\r\n".to_vec(), b"NOOP\rPWD\r\n".to_vec(), vec![b'x'; 10_000]] {
        let mut session = Session::start(&env, gateway.address).await;
        within(session.control.write_all(&said)).await.unwrap();
        within(session.control.flush()).await.unwrap();
        let mut heard = Vec::new();
        within(session.control.read_to_end(&mut heard)).await.unwrap();
        assert_eq!(String::from_utf8(heard).unwrap(), "421 Closing the control connection\r\n");
    }
    let ended = gateway.ended(3).await;
    assert!(ended.iter().all(|failure| failure.starts_with("client: expected a")), "{ended:?}");
    let heard = env.cleartext.heard("ftp");
    assert_eq!(heard, b"", "{}", heard.escape_ascii());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_auditor_finds_nothing() {
    let env = Environment::new();
    let root = std::fs::read(&env.root).unwrap();
    let audit =
        Audit::new(|| Connector::builder().no_system_roots().roots_pem(root.clone()), Limits::default());
    let audit = audit.unwrap();
    for (_server, gateway) in [vsftpd(&env, true), vsftpd(&env, false)] {
        let report = within(audit.endpoint(FTP, "ftp://localhost", "localhost", gateway.address)).await;
        let found: Vec<_> = report.findings.iter().filter(|it| it.outcome == CheckOutcome::Fail).collect();
        assert!(report.outcome == EndpointVerdict::Sound && found.is_empty(), "{found:#?}");
    }
}

/// Returns the first of two adjacent free ports. They are below those that the system gives to connections, because another test
/// would take one of them while it is free. Different processes start at different ports.
fn two_ports() -> u16 {
    let is_free = |port: &u16| std::net::TcpListener::bind(("127.0.0.1", *port)).is_ok();
    let start = 20_000 + u16::try_from(std::process::id() % 6_000).unwrap() * 2;
    let mut pairs = (start..32_700).step_by(2).filter(|port| is_free(port) && is_free(&(port + 1)));
    pairs.next().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_firewall_sees_the_ports_and_clients_the_address() {
    let env = Environment::new();
    let (certificate, key) = &env.certificate;
    let first = two_ports();
    let text = format!(
        "[[listener]]\nlisten = \"ftp+starttls://127.0.0.1:0\"\nforward = \"ftp://{}\"\ncert = \"{}\"\nkey = \"{}\"\n\
         data-ports = \"{first}-{}\"\ndata-address = \"203.0.113.5\"\n",
        env.cleartext.address("ftp").unwrap(),
        certificate.display(),
        key.display(),
        first + 1,
    );
    let gateway = env.start(Config::parse(&text, "gateway.toml").unwrap());
    let login = (env.cleartext.user(), env.cleartext.password());
    let mut told = Vec::new();
    let mut sessions = Vec::new();
    for _ in 0..2 {
        let mut session = Session::ready(&env, gateway.address, login).await;
        let reply = session.expect("PASV", "227").await;
        let numbers = reply.split_once('(').unwrap().1.split_once(')').unwrap().0.to_owned();
        let (address, port) = numbers.split_at("203,0,113,5,".len());
        assert_eq!(address, "203,0,113,5,");
        let (high, low) = port.split_once(',').unwrap();
        told.push(u16::from_be_bytes([high.parse().unwrap(), low.parse().unwrap()]));
        sessions.push(session);
    }
    told.sort_unstable();
    assert_eq!(told, [first, first + 1]);
    // All ports are in use until a session ends.
    let mut third = Session::ready(&env, gateway.address, login).await;
    third.expect("EPSV", "425").await;
    let mut last = sessions.pop().unwrap();
    let welcome = env.cleartext.store().file("welcome.txt").unwrap();
    assert_eq!(last.retrieve("welcome.txt").await, &*welcome);
    assert_eq!(third.retrieve("welcome.txt").await, &*welcome);
}
