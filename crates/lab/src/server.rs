//! The accept loop of one listener, with a task for each connection and a limit on their number.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use starttls::Acceptor;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use crate::apps::context::World;
use crate::profile;
use crate::session::{Session, SessionError};

/// The idle timeout inside TLS.
const IDLE: Duration = Duration::from_secs(60);
/// The most connections at a time on one listener. Further ones wait.
const CONNECTIONS: usize = 64;

/// A session that ended with an error.
#[derive(Debug)]
#[non_exhaustive]
pub struct Incident {
    /// The scheme of the endpoint (`smtp`, `imaps`).
    pub scheme: &'static str,
    /// The address of the client.
    pub peer: SocketAddr,
    /// The error.
    pub error: SessionError,
}

impl fmt::Display for Incident {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} from {}: {}", self.scheme, self.peer, self.error)
    }
}

/// A function that receives incidents.
pub type IncidentLog = Arc<dyn Fn(&Incident) + Send + Sync>;

/// The configuration of one listener.
#[derive(Clone)]
pub(crate) struct SoundServer {
    pub(crate) scheme: &'static str,
    pub(crate) implicit: bool,
    pub(crate) acceptor: Acceptor,
    pub(crate) world: Arc<World>,
    pub(crate) log: Option<IncidentLog>,
}

impl SoundServer {
    /// Serves connections until the task is dropped, which ends all its sessions.
    pub(crate) async fn run(self, listener: TcpListener) {
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        let mut sessions = JoinSet::new();
        while let Ok(permit) = Arc::clone(&room).acquire_owned().await {
            while sessions.try_join_next().is_some() {}
            let Ok((stream, peer)) = listener.accept().await else {
                // Most likely the process has no free descriptor until a session ends.
                tokio::time::sleep(Duration::from_millis(50)).await;
                continue;
            };
            let server = self.clone();
            sessions.spawn(async move {
                if let (Err(error), Some(log)) = (server.serve(stream).await, &server.log) {
                    log(&Incident { scheme: server.scheme, peer, error });
                }
                drop(permit);
            });
        }
    }

    async fn serve(&self, stream: TcpStream) -> Result<(), SessionError> {
        stream.set_nodelay(true)?;
        let (acceptor, protocol) = (&self.acceptor, self.acceptor.protocol());
        let mut session = if self.implicit {
            let stream = acceptor.accept_implicit(stream).await?;
            Session::implicit(protocol, acceptor.identity(), stream, IDLE)?
        } else {
            let stream = match acceptor.accept(stream).await {
                // A client may leave before the upgrade.
                Err(starttls::Error::Quit(_)) => return Ok(()),
                other => other?,
            };
            Session::upgraded(protocol, acceptor.identity(), stream, IDLE)?
        };
        let served = profile::serve(&mut session, &self.world, acceptor).await;
        match served {
            // The client is gone or does not read.
            Err(SessionError::Io(_) | SessionError::Idle) => served,
            served => served.and(session.close().await),
        }
    }
}
