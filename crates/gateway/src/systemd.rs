//! Sockets that the service manager opened for this process (sd_listen_fds(3)).

use std::io;
use std::sync::{Mutex, OnceLock, PoisonError};

use listenfd::ListenFd;

/// A socket from the service manager, which does not block.
#[derive(Debug)]
pub enum Passed {
    /// A TCP socket.
    Tcp(std::net::TcpListener),
    /// A socket in the file system.
    Unix(std::os::unix::net::UnixListener),
}

/// The sockets that were not taken yet, and the names of all.
struct Sockets {
    left: ListenFd,
    names: Vec<String>,
}

/// Takes the socket with this name. Each socket can be taken once.
///
/// # Errors
/// [`io::ErrorKind::NotFound`] if there is no socket with this name.
pub fn take(name: &str) -> io::Result<Passed> {
    static SOCKETS: OnceLock<Mutex<Sockets>> = OnceLock::new();
    let sockets = SOCKETS.get_or_init(|| {
        let names = std::env::var("LISTEN_FDNAMES").unwrap_or_default();
        let names = names.split(':').map(str::to_owned).collect();
        Mutex::new(Sockets { left: ListenFd::from_env(), names })
    });
    let mut sockets = sockets.lock().unwrap_or_else(PoisonError::into_inner);
    let named = (0..sockets.left.len()).filter(|at| sockets.names.get(*at).is_some_and(|it| it == name));
    for at in named.collect::<Vec<_>>() {
        if let Ok(Some(tcp)) = sockets.left.take_tcp_listener(at) {
            tcp.set_nonblocking(true)?;
            return Ok(Passed::Tcp(tcp));
        }
        if let Some(unix) = sockets.left.take_unix_listener(at)? {
            unix.set_nonblocking(true)?;
            return Ok(Passed::Unix(unix));
        }
    }
    let what =
        format!("the service manager passed no socket with the name {name} (FileDescriptorName={name})");
    Err(io::Error::new(io::ErrorKind::NotFound, what))
}
