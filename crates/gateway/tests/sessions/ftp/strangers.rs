//! Data connections from unexpected clients, and data connections that end too early.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use starttls::rustls::HandshakeKind;
use starttls_gateway::Config;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;

use super::support::{Session, gateway, vsftpd};
use crate::environment::{Environment, Running, within};

fn cleartext(env: &Environment) -> (Running, (&str, &str)) {
    let server = &env.cleartext;
    let gateway = gateway(env, &format!("ftp://{}", server.address("ftp").unwrap()), None, "");
    (gateway, (server.user(), server.password()))
}

/// Returns whether the connection ends without further data, cleanly or with a reset.
async fn is_over(mut tcp: TcpStream) -> bool {
    !matches!(within(tcp.read(&mut [0; 1])).await, Ok(1))
}

/// Waits until the address refuses connections.
async fn closes(address: SocketAddr) {
    within(async {
        while TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stranger_is_turned_away_and_the_client_is_not() {
    let env = Environment::new();
    let (gateway, login) = cleartext(&env);
    let mut session = Session::ready(&env, gateway.address, login).await;
    let address = session.passive().await;
    for host in 2..5 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 0))).unwrap();
        assert!(is_over(within(socket.connect(address)).await.unwrap()).await);
    }
    let tcp = within(TcpStream::connect(address)).await.unwrap();
    session.expect("RETR welcome.txt", "150").await;
    let mut data = session.protect(tcp).await.unwrap();
    let mut content = Vec::new();
    within(data.read_to_end(&mut content)).await.unwrap();
    assert_eq!(content, &*env.cleartext.store().file("welcome.txt").unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_is_for_one_connection_of_one_session() {
    let env = Environment::new();
    let (gateway, login) = cleartext(&env);
    let mut session = Session::ready(&env, gateway.address, login).await;
    // The next request closes the previous port.
    let first = session.passive().await;
    let second = session.passive().await;
    closes(first).await;
    // The first connection closes the port too.
    let tcp = within(TcpStream::connect(second)).await.unwrap();
    session.expect("RETR welcome.txt", "150").await;
    let data = session.protect(tcp).await.unwrap();
    closes(second).await;
    drop(data);
    session.reply().await;
    // And the end of the session closes it.
    let third = session.passive().await;
    session.expect("QUIT", "221").await;
    drop(session);
    gateway.ended(1).await;
    closes(third).await;
}

/// Rule S9.
#[tokio::test(flavor = "multi_thread")]
async fn a_data_connection_resumes_its_own_control_session_only() {
    let env = Environment::new();
    let (gateway, login) = cleartext(&env);
    let other = Session::ready(&env, gateway.address, login).await;
    let mut session = Session::ready(&env, gateway.address, login).await;
    for (connector, kind) in
        [(&other.connector, HandshakeKind::Full), (&session.connector.clone(), HandshakeKind::Resumed)]
    {
        let address = session.passive().await;
        let tcp = within(TcpStream::connect(address)).await.unwrap();
        session.expect("RETR welcome.txt", "150").await;
        let upgraded = within(connector.upgrade_implicit(super::support::FTP, "localhost", tcp)).await;
        let mut data = upgraded.unwrap();
        let is = data.facts().kind;
        assert!(
            is == Some(kind) || kind != HandshakeKind::Resumed && is != Some(HandshakeKind::Resumed),
            "{is:?}"
        );
        within(data.read_to_end(&mut Vec::new())).await.unwrap();
        assert!(session.reply().await.starts_with("226"));
    }
    // Another control connection may resume either session, as in any other protocol.
    let endpoint = starttls::Endpoint::new("localhost", 0).at("127.0.0.1", gateway.address.port());
    let again = within(other.connector.connect(super::support::FTP, endpoint)).await.unwrap();
    assert_eq!(again.facts().kind, Some(HandshakeKind::Resumed));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_data_connection_without_resumption_is_refused_where_it_is_required() {
    let env = Environment::new();
    let (certificate, key) = &env.certificate;
    let text = format!(
        "[[listener]]\nlisten = \"ftp+starttls://127.0.0.1:0\"\nforward = \"ftp://{}\"\ncert = \"{}\"\nkey = \"{}\"\n\
         data-resumption = \"required\"\n",
        env.cleartext.address("ftp").unwrap(),
        certificate.display(),
        key.display(),
    );
    let gateway = env.start(Config::parse(&text, "gateway.toml").unwrap());
    let login = (env.cleartext.user(), env.cleartext.password());
    let mut session = Session::ready(&env, gateway.address, login).await;
    let address = session.passive().await;
    let tcp = within(TcpStream::connect(address)).await.unwrap();
    session.expect("STOR kept", "150").await;
    let upgraded = within(env.connector.upgrade_implicit(super::support::FTP, "localhost", tcp)).await;
    let written = async {
        let mut data = upgraded?;
        data.write_all(b"content").await?;
        data.shutdown().await?;
        data.read_u8().await?;
        Ok::<_, Box<dyn std::error::Error>>(())
    };
    assert!(within(written).await.is_err());
    assert!(session.reply().await.starts_with("426"));
    assert!(env.cleartext.store().file("kept").is_none());
    session.retrieve("welcome.txt").await;
}

/// A truncated upload is not stored as a complete file, on either kind of backend.
#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_cut_is_not_kept() {
    let env = Environment::new();
    let plain = cleartext(&env);
    let root = env.lab.ca_file();
    let upgraded = format!("ftp+starttls://localhost:{}", env.lab.endpoint("ftp").unwrap().address.port());
    let upgraded = gateway(&env, &upgraded, Some(root), "localhost");
    let login = (env.lab.user(), env.lab.password());
    for (gateway, login) in [plain, (upgraded, login)] {
        let mut session = Session::ready(&env, gateway.address, login).await;
        for (name, cut) in [("cut", true), ("whole", false)] {
            let address = session.passive().await;
            let tcp = within(TcpStream::connect(address)).await.unwrap();
            session.expect(&format!("STOR {name}"), "150").await;
            let mut data = session.protect(tcp).await.unwrap();
            within(data.write_all(b"content")).await.unwrap();
            within(data.flush()).await.unwrap();
            if !cut {
                within(data.shutdown()).await.unwrap();
            }
            drop(data);
            let reply = session.reply().await;
            // The code depends on how much the backend had received.
            let codes: &[&str] = if cut { &["426", "522"] } else { &["226"] };
            assert!(codes.contains(&&reply[..3]), "{name}: {reply}");
        }
    }
    for store in [env.cleartext.store(), env.lab.store()] {
        assert!(store.file("cut").is_none());
        assert_eq!(store.file("whole").as_deref(), Some(&b"content"[..]));
    }
}

/// A backend with false replies, which counts the connections to its data port.
struct Liar {
    control: TcpListener,
    data: TcpListener,
}

impl Liar {
    async fn new(host: &str) -> Self {
        let [control, data] = [within(TcpListener::bind((host, 0))), within(TcpListener::bind((host, 0)))];
        Self { control: control.await.unwrap(), data: data.await.unwrap() }
    }

    /// Answers PASV with this host and the port of the data listener, and RETR with a few octets and an end, or with a reset
    /// when the client has them.
    async fn serve(self, host: [u8; 4], reset: Option<Arc<Notify>>) {
        let (control, _) = self.control.accept().await.unwrap();
        let mut control = BufReader::new(control);
        control.write_all(b"220 Hello\r\n").await.unwrap();
        let mut line = String::new();
        while control.read_line(&mut line).await.is_ok_and(|count| count > 0) {
            let answer = match &*line.trim_end().split(' ').next().unwrap().to_ascii_uppercase() {
                "USER" => String::from("331 Yes?\r\n"),
                "PASS" => String::from("230 Well\r\n"),
                "PASV" => {
                    let ([a, b, c, d], [high, low]) =
                        (host, self.data.local_addr().unwrap().port().to_be_bytes());
                    format!("227 Passive ({a},{b},{c},{d},{high},{low})\r\n")
                }
                "EPSV" => format!("229 Extended (|||{}|)\r\n", self.data.local_addr().unwrap().port()),
                "ABOR" => String::new(),
                "STAT" => String::from("226 Once\r\n226 Twice\r\n"),
                "MDTM" => String::from("229 Nobody asked (|||22|)\r\n"),
                "RETR" => {
                    let (mut data, _) = self.data.accept().await.unwrap();
                    control.write_all(b"150 Here\r\n").await.unwrap();
                    data.write_all(b"content").await.unwrap();
                    if let Some(received) = &reset {
                        received.notified().await;
                        socket2::SockRef::from(&data).set_linger(Some(Duration::ZERO)).unwrap();
                    }
                    String::from("226 Done\r\n")
                }
                _ => String::from("500 What?\r\n"),
            };
            control.write_all(answer.as_bytes()).await.unwrap();
            line.clear();
        }
    }
}

async fn liar(env: &Environment, host: [u8; 4], reset: Option<Arc<Notify>>) -> (Session, Running) {
    let liar = Liar::new("127.0.0.1").await;
    let gateway = gateway(env, &format!("ftp://{}", liar.control.local_addr().unwrap()), None, "");
    tokio::spawn(liar.serve(host, reset));
    (Session::ready(env, gateway.address, ("me", "me")).await, gateway)
}

/// The gateway ignores the host in the reply to PASV and connects to the address of the control connection.
#[tokio::test(flavor = "multi_thread")]
async fn a_backend_cannot_send_the_gateway_elsewhere() {
    let env = Environment::new();
    let (mut session, _gateway) = liar(&env, [192, 0, 2, 1], None).await;
    assert_eq!(session.retrieve("file").await, b"content");
    // The client does not receive this host either.
    session.expect("MDTM file", "502").await;
    let reply = session.expect("PASV", "227").await;
    assert!(reply.contains("(127,0,0,1,"), "{reply}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_is_cut_has_no_end() {
    let env = Environment::new();
    let received = Arc::new(Notify::new());
    let (mut session, _gateway) = liar(&env, [127, 0, 0, 1], Some(received.clone())).await;
    let address = session.passive().await;
    let tcp = within(TcpStream::connect(address)).await.unwrap();
    session.expect("RETR file", "150").await;
    let mut data = session.protect(tcp).await.unwrap();
    let mut content = [0; 7];
    within(data.read_exact(&mut content)).await.unwrap();
    assert_eq!(&content, b"content");
    received.notify_one();
    let mut rest = Vec::new();
    assert!(within(data.read_to_end(&mut rest)).await.is_err());
    assert_eq!(rest, b"");
}

/// If the client opens no data connection, the port closes and the session continues.
#[tokio::test(flavor = "multi_thread")]
async fn unused_passive_ports_close_and_the_session_continues() {
    let env = Environment::new();
    let (_server, gateway) = vsftpd(&env, true);
    let mut session = Session::ready(&env, gateway.address, ("anonymous", "me")).await;
    for _ in 0..50 {
        session.passive().await;
    }
    session.expect("QUIT", "221").await;
    drop(session);
    assert_eq!(gateway.ended(1).await, ["ok"]);
}

/// Servers answer ABOR with no, one or two replies.
#[tokio::test(flavor = "multi_thread")]
async fn a_backend_may_miscount_its_answers() {
    let env = Environment::new();
    let (mut session, _gateway) = liar(&env, [127, 0, 0, 1], None).await;
    session.send("ABOR").await;
    assert_eq!(session.retrieve("file").await, b"content");
    session.send("STAT").await;
    session.send("EPSV").await;
    for code in ["226", "226", "229"] {
        assert!(session.reply().await.starts_with(code));
    }
    assert_eq!(session.retrieve("file").await, b"content");
}

/// The gateway uses the command that fits the address family of the backend.
#[tokio::test(flavor = "multi_thread")]
async fn a_backend_may_be_on_ipv6() {
    let env = Environment::new();
    let liar = Liar::new("::1").await;
    let gateway = gateway(&env, &format!("ftp://{}", liar.control.local_addr().unwrap()), None, "");
    tokio::spawn(liar.serve([0; 4], None));
    let mut session = Session::ready(&env, gateway.address, ("me", "me")).await;
    session.expect("PASV", "227").await;
    assert_eq!(session.retrieve("file").await, b"content");
}
