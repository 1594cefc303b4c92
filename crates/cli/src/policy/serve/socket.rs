//! The sockets that the service listens on: opened by this process, or passed by the service manager.

use std::fmt;
use std::io::{self, ErrorKind};
use std::net::TcpListener;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::time::Duration;

use starttls_gateway::systemd::{self, Passed};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::sleep;

use crate::args::ListenAt;
use crate::console;
use crate::error::Failed;

/// A socket that listens.
#[derive(Debug)]
pub(super) enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener),
}

/// A socket that listens, in a runtime.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

/// A connection.
pub(super) trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl Socket {
    pub(super) fn open(at: &ListenAt) -> Result<Self, Failed> {
        let opened = match at {
            ListenAt::Tcp(address) => TcpListener::bind(address).map(Self::Tcp),
            ListenAt::Unix(path) => bind_unix(path).map(Self::Unix),
            ListenAt::Systemd(name) => systemd::take(name).map(|it| match it {
                Passed::Tcp(listener) => Self::Tcp(listener),
                Passed::Unix(listener) => Self::Unix(listener),
            }),
        };
        let blocking = opened.and_then(|socket| {
            match &socket {
                Self::Tcp(listener) => listener.set_nonblocking(true)?,
                Self::Unix(listener) => listener.set_nonblocking(true)?,
            }
            Ok(socket)
        });
        blocking.map_err(|error| Failed::usage(format!("cannot listen on {at}: {error}")))
    }

    /// Returns the socket in the runtime of the caller.
    pub(super) fn listener(self) -> io::Result<Listener> {
        Ok(match self {
            Self::Tcp(listener) => Listener::Tcp(tokio::net::TcpListener::from_std(listener)?),
            Self::Unix(listener) => Listener::Unix(tokio::net::UnixListener::from_std(listener)?),
        })
    }
}

impl fmt::Display for Socket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(listener) => match listener.local_addr() {
                Ok(address) => write!(f, "{address}"),
                Err(_) => f.write_str("a TCP socket"),
            },
            Self::Unix(listener) => {
                let address = listener.local_addr().ok();
                match address.as_ref().and_then(|it| it.as_pathname()) {
                    Some(path) => write!(f, "unix:{}", path.display()),
                    None => f.write_str("a unix socket"),
                }
            }
        }
    }
}

impl Listener {
    /// Waits for a connection, and again if one cannot be accepted, for example because the limit of files is reached.
    pub(super) async fn accept(&self) -> Box<dyn Duplex> {
        loop {
            let accepted: io::Result<Box<dyn Duplex>> = match self {
                Self::Tcp(listener) => listener.accept().await.map(|(stream, _)| {
                    // Small replies must not wait for an acknowledgement.
                    let _ = stream.set_nodelay(true);
                    Box::new(stream) as Box<dyn Duplex>
                }),
                Self::Unix(listener) => {
                    listener.accept().await.map(|(stream, _)| Box::new(stream) as Box<dyn Duplex>)
                }
            };
            match accepted {
                Ok(stream) => return stream,
                Err(error) => {
                    console::warning(&format_args!("cannot accept a connection: {error}"));
                    sleep(Duration::from_millis(100)).await;
                }
            }
        }
    }
}

/// Binds a socket in the file system. One that no process listens on any more is replaced.
fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == ErrorKind::AddrInUse => {
            let refused = UnixStream::connect(path).err().map(|error| error.kind());
            if refused != Some(ErrorKind::ConnectionRefused) {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }
}
