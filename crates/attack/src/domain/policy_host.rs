//! The policy host of the domain (RFC 8461 section 3.3).

use std::io;
use std::sync::Arc;
use std::time::Duration;

use starttls::Acceptor;
use starttls::proto::http::HTTP;
use starttls::rustls::sign::{CertifiedKey, SingleCertAndKey};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{EXCHANGER, POLICY_HOST, PolicyHostAttack, State, lock};
use crate::error::AttackError;

/// The time limit of a request.
const LIMIT: Duration = Duration::from_secs(20);
/// The longest request.
const MAX_REQUEST: usize = 8 << 10;
/// The most connections at once.
const AT_ONCE: usize = 16;

/// Returns a server that answers requests without end. The certificates are that of the host, and that of the attacker.
pub(super) fn serve(
    listener: TcpListener,
    state: Arc<State>,
    certificates: [Arc<CertifiedKey>; 2],
) -> Result<impl Future<Output = ()>, AttackError> {
    let acceptor = |certificate: Arc<CertifiedKey>| {
        let resolver = Arc::new(SingleCertAndKey::from(certificate));
        Acceptor::builder(&HTTP, POLICY_HOST).cert_resolver(resolver).build().map_err(AttackError::Tls)
    };
    let [sound, bad] = certificates;
    let (sound, bad) = (acceptor(sound)?, acceptor(bad)?);
    Ok(async move {
        let mut connections = JoinSet::new();
        loop {
            let Ok((stream, _)) = listener.accept().await else {
                sleep(Duration::from_millis(50)).await;
                continue;
            };
            if connections.len() >= AT_ONCE {
                connections.join_next().await;
            }
            let (acceptor, mode) = match *lock(&state.policy_host) {
                PolicyHostAttack::Untouched => (sound.clone(), "enforce"),
                PolicyHostAttack::BadCertificate => (bad.clone(), "none"),
                PolicyHostAttack::Unreachable => continue,
            };
            connections.spawn(async move {
                // The sender may leave at any time.
                let _ = timeout(LIMIT, respond(stream, acceptor, mode)).await;
            });
        }
    })
}

async fn respond(stream: TcpStream, acceptor: Acceptor, mode: &str) -> io::Result<()> {
    let mut session = acceptor.accept_implicit(stream).await.map_err(io::Error::other)?;
    let (mut request, mut buffer) = (Vec::new(), [0; 1024]);
    while !request.windows(4).any(|it| it == b"\r\n\r\n") && request.len() < MAX_REQUEST {
        match session.read(&mut buffer).await? {
            0 => return Ok(()),
            length => request.extend_from_slice(buffer.get(..length).unwrap_or_default()),
        }
    }
    let text = format!("version: STSv1\r\nmode: {mode}\r\nmax_age: 1209600\r\nmx: {EXCHANGER}\r\n");
    let head =
        format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n", text.len());
    session.write_all(format!("{head}{text}").as_bytes()).await?;
    session.shutdown().await
}
