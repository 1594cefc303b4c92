//! The addresses of a backend's host name.

use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::watch;
use tokio::task::spawn_blocking;

/// The maximum number of addresses that are tried. Each gets a share of the time.
const MOST: usize = 16;

type LookupResult = Result<Vec<SocketAddr>, (io::ErrorKind, String)>;

/// The lookup of one backend's addresses. Copies share it.
///
/// The system's resolver blocks a thread until its servers answer. All sessions that need the addresses in that time wait for
/// the same lookup, so that a DNS outage blocks one thread per backend and not one per session. The result is not cached
/// after the lookup.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lookup(Arc<Mutex<Option<watch::Receiver<Option<LookupResult>>>>>);

impl Lookup {
    /// Returns the addresses of this host, at least one.
    ///
    /// # Errors
    /// The resolver's error.
    pub(crate) async fn addresses(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let mut answer = self.current_or_new(host, port);
        // The lookup thread may end with its runtime, before it has a result.
        let found = answer.wait_for(Option::is_some).await.map_err(|_| io::ErrorKind::Interrupted)?;
        match &*found {
            Some(Ok(addresses)) if !addresses.is_empty() => Ok(addresses.clone()),
            Some(Err((kind, what))) => Err(io::Error::new(*kind, what.clone())),
            _ => Err(io::Error::new(io::ErrorKind::NotFound, "the host name has no address")),
        }
    }

    /// Returns the lookup in progress, or starts a new one.
    fn current_or_new(&self, host: &str, port: u16) -> watch::Receiver<Option<LookupResult>> {
        let mut current = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(answer) = &*current
            && answer.borrow().is_none()
            && answer.has_changed().is_ok()
        {
            return answer.clone();
        }
        let (sender, answer) = watch::channel(None);
        let host = host.to_owned();
        spawn_blocking(move || {
            let found = (host.as_str(), port).to_socket_addrs().map(|all| all.take(MOST).collect());
            sender.send_replace(Some(found.map_err(|error| (error.kind(), error.to_string()))));
        });
        *current = Some(answer.clone());
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn concurrent_callers_wait_for_one_lookup() {
        let lookup = Lookup::default();
        // A lookup that ends when the test sends its result.
        let (sender, answer) = watch::channel(None);
        *lookup.0.lock().unwrap() = Some(answer);
        let waiting: Vec<_> = (0..1000)
            .map(|_| {
                let lookup = lookup.clone();
                tokio::spawn(async move { lookup.addresses("backend.example", 25).await.unwrap() })
            })
            .collect();
        // Each of them has a receiver, and so has the lookup itself.
        while sender.receiver_count() <= 1000 {
            tokio::task::yield_now().await;
        }
        let address: SocketAddr = "192.0.2.1:25".parse().unwrap();
        sender.send_replace(Some(Ok(vec![address])));
        for waiting in waiting {
            assert_eq!(waiting.await.unwrap(), [address]);
        }
        // The next call starts a new lookup.
        let found = lookup.addresses("localhost", 25).await.unwrap();
        assert!(found.iter().all(|it| it.ip().is_loopback()), "{found:?}");
    }

    #[tokio::test]
    async fn a_lookup_whose_thread_is_gone_is_repeated() {
        let lookup = Lookup::default();
        let (sender, answer) = watch::channel(None);
        *lookup.0.lock().unwrap() = Some(answer);
        drop(sender);
        let found = lookup.addresses("localhost", 25);
        assert!(tokio::time::timeout(std::time::Duration::from_secs(60), found).await.unwrap().is_ok());
        assert_eq!(lookup.addresses("192.0.2.1", 25).await.unwrap()[0].to_string(), "192.0.2.1:25");
    }
}
