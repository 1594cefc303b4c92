//! Transfers that are aborted, slow, or stalled.

use std::fs::File;
use std::net::SocketAddr;
use std::time::Duration;

use starttls_gateway::Config;
use starttls_testkit::real;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};

use super::support::{Session, vsftpd};
use crate::environment::{Environment, Running, within};

/// Far larger than all socket buffers.
const LARGE: u64 = 512 << 20;

fn large(server: &real::RunningServer) {
    File::create(server.folder().join("pub/large")).unwrap().set_len(LARGE).unwrap();
    std::fs::write(server.folder().join("pub/small"), "content").unwrap();
}

/// Starts vsftpd without TLS after a gateway with these limits.
fn impatient(env: &Environment, limits: &str) -> (real::RunningServer, Running) {
    let (server, _) = vsftpd(env, false);
    large(&server);
    let (certificate, key) = &env.certificate;
    let text = format!(
        "[[listener]]\nlisten = \"ftp+starttls://127.0.0.1:0\"\nforward = \"ftp://{}\"\ncert = \"{}\"\nkey = \"{}\"\n\
         limits = {{ {limits} }}\n",
        server.endpoint("ftp").unwrap().address,
        certificate.display(),
        key.display(),
    );
    (server, env.start(Config::parse(&text, "gateway.toml").unwrap()))
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_transfer_leaves_the_session() {
    let env = Environment::new();
    for tls in [false, true] {
        let (server, gateway) = vsftpd(&env, tls);
        large(&server);
        let mut session = Session::ready(&env, gateway.address, ("anonymous", "me")).await;
        let address = session.passive().await;
        let tcp = within(TcpStream::connect(address)).await.unwrap();
        session.expect("RETR large", "150").await;
        let mut data = session.protect(tcp).await.unwrap();
        within(data.read_exact(&mut [0; 1000])).await.unwrap();
        session.send("ABOR").await;
        drop(data);
        assert!(session.reply().await.starts_with("426"));
        let reply = session.reply().await;
        assert!(reply.starts_with("225") || reply.starts_with("226"), "{reply}");
        assert_eq!(session.retrieve("small").await, b"content");
    }
}

/// A control connection is not idle while its data connection makes progress.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_transfer_is_not_idle() {
    let env = Environment::new();
    let (_server, gateway) = impatient(&env, "idle = \"6s\"");
    let mut session = Session::ready(&env, gateway.address, ("anonymous", "me")).await;
    let address = session.passive().await;
    let tcp = within(TcpStream::connect(address)).await.unwrap();
    session.expect("RETR large", "150").await;
    let mut data = session.protect(tcp).await.unwrap();
    let mut piece = vec![0; 2 << 20];
    for _ in 0..24 {
        within(data.read_exact(&mut piece)).await.unwrap();
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
    session.send("NOOP").await;
    // After the transfer stalls, the session ends.
    assert_eq!(gateway.ended(1).await, ["no traffic for 6 s"]);
    let rest = within(data.read_to_end(&mut Vec::new())).await;
    assert!(rest.is_err(), "{rest:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_passive_port_closes_after_the_limit() {
    let env = Environment::new();
    let (_server, gateway) = impatient(&env, "negotiation = \"5s\"");
    let mut session = Session::ready(&env, gateway.address, ("anonymous", "me")).await;
    let address = session.passive().await;
    let knock = || async {
        // The gateway refuses this address, so the connection attempt changes nothing.
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::from(([127, 0, 0, 2], 0))).unwrap();
        socket.connect(address).await
    };
    assert!(within(knock()).await.is_ok());
    within(async {
        while knock().await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await;
    assert_eq!(session.retrieve("small").await, b"content");
}
