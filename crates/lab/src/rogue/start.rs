//! Starts a rogue on the threads that all rogues share.

use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use starttls::TlsVersion;
use starttls::proto::Protocol;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;

use super::behavior::{Behavior, CleartextAccess};
use super::certificate::{Acceptors, acceptors, acceptors_with_model};
use super::server::RogueServer;
use super::tls_model::TlsModel;
use super::weakness::Weakness;
use crate::apps::context::World;
use crate::ca::Authority;
use crate::error::Error;
use crate::server::SoundServer;
use crate::store::Store;

/// A server with a weakness or a quirk. It runs until the value is dropped.
pub struct Rogue {
    protocol: &'static Protocol,
    address: SocketAddr,
    implicit_port: Option<u16>,
    server: Arc<RogueServer>,
    /// The listeners, which end with the value.
    _tasks: JoinSet<()>,
    /// The threads that all rogues share. They end with the last rogue.
    _threads: Arc<Threads>,
}

impl fmt::Debug for Rogue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rogue")
            .field("protocol", &self.protocol)
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

impl Rogue {
    /// Starts a server with this weakness, and with a certificate of the authority unless the weakness is another certificate.
    ///
    /// If the weakness does not apply to the protocol ([`Weakness::applies_to`]), the server may be sound.
    ///
    /// # Errors
    /// Returns an error if a port, a certificate or a thread cannot be created.
    pub fn start(
        protocol: &'static Protocol,
        weakness: Weakness,
        authority: &Authority,
    ) -> Result<Self, Error> {
        Self::with(protocol, weakness.behavior(), acceptors(protocol, Some(weakness), authority, None)?)
    }

    /// Starts the same server with the lowest and the highest of these TLS versions. [`Weakness::OldTlsOnly`] and
    /// [`Weakness::EarlyData`] ignore them.
    ///
    /// # Errors
    /// As [`Rogue::start`].
    pub fn start_with(
        protocol: &'static Protocol,
        weakness: Weakness,
        authority: &Authority,
        tls: (TlsVersion, TlsVersion),
    ) -> Result<Self, Error> {
        let acceptors = acceptors(protocol, Some(weakness), authority, Some(tls))?;
        Self::with(protocol, weakness.behavior(), acceptors)
    }

    /// Starts the same server with a second port for implicit TLS, which has the same weakness if it is one of TLS.
    ///
    /// # Errors
    /// As [`Rogue::start`].
    pub fn start_implicit(
        protocol: &'static Protocol,
        weakness: Weakness,
        authority: &Authority,
    ) -> Result<Self, Error> {
        let mut acceptors = acceptors(protocol, Some(weakness), authority, None)?;
        acceptors.implicit = protocol.implicit_tls.is_some().then(|| acceptors.upgrade.clone());
        Self::with(protocol, weakness.behavior(), acceptors)
    }

    /// Starts a server whose TLS is as this model describes, and otherwise sound. Clients that offer only what a current TLS
    /// library knows complete their handshake with such a library.
    ///
    /// # Errors
    /// As [`Rogue::start`].
    pub fn start_with_tls(
        protocol: &'static Protocol,
        model: TlsModel,
        authority: &Authority,
    ) -> Result<Self, Error> {
        Self::with(protocol, Behavior::SOUND, acceptors_with_model(protocol, authority, model)?)
    }

    pub(super) fn with(
        protocol: &'static Protocol,
        behavior: Behavior,
        acceptors: Acceptors,
    ) -> Result<Self, Error> {
        let threads = Threads::shared()?;
        let guard = threads.handle().map(Runtime::enter);
        let (user, password) = (String::from("test"), crate::lab::password());
        let open = behavior.gate == CleartextAccess::Open;
        let world = Arc::new(World { store: Store::default(), user, password, open, clear: false });
        let mut tasks = JoinSet::new();
        let mut implicit_port = None;
        if let (Some(acceptor), Some(tls)) = (acceptors.implicit, protocol.implicit_tls) {
            let (listener, address) = listener(protocol)?;
            implicit_port = Some(address.port());
            let world = Arc::clone(&world);
            tasks.spawn(
                SoundServer { scheme: tls.name, implicit: true, acceptor, world, log: None }.run(listener),
            );
        }
        let (listener, address) = listener(protocol)?;
        let Acceptors { upgrade: acceptor, simulated, early_data, .. } = acceptors;
        let served = AtomicBool::new(false);
        let server =
            Arc::new(RogueServer { protocol, behavior, acceptor, simulated, early_data, world, served });
        tasks.spawn(Arc::clone(&server).run(listener));
        drop(guard);
        Ok(Self { protocol, address, implicit_port, server, _tasks: tasks, _threads: threads })
    }

    /// Returns the protocol.
    pub fn protocol(&self) -> &'static Protocol {
        self.protocol
    }

    /// Returns the address of the server.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Returns the port for implicit TLS, if the server has one.
    pub fn implicit_port(&self) -> Option<u16> {
        self.implicit_port
    }

    /// Returns the name that a valid certificate of the server contains.
    pub fn server_name(&self) -> &'static str {
        "localhost"
    }

    /// Returns the user.
    pub fn user(&self) -> &str {
        &self.server.world.user
    }

    /// Returns the password of the user, which is random for each server.
    pub fn password(&self) -> &str {
        &self.server.world.password
    }
}

/// Binds a free port.
fn listener(protocol: &Protocol) -> Result<(tokio::net::TcpListener, SocketAddr), Error> {
    let failed = || Error::io(protocol.name);
    let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).map_err(failed())?;
    listener.set_nonblocking(true).map_err(failed())?;
    let address = listener.local_addr().map_err(failed())?;
    Ok((tokio::net::TcpListener::from_std(listener).map_err(failed())?, address))
}

struct Threads(Option<Runtime>);

impl Threads {
    fn shared() -> Result<Arc<Self>, Error> {
        static SHARED: Mutex<Weak<Threads>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(threads) = shared.upgrade() {
            return Ok(threads);
        }
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .thread_name("starttls-rogue")
            .enable_all()
            .build()
            .map_err(Error::io("the threads of the rogues"))?;
        let threads = Arc::new(Self(Some(runtime)));
        *shared = Arc::downgrade(&threads);
        Ok(threads)
    }

    fn handle(&self) -> Option<&Runtime> {
        self.0.as_ref()
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // Rogues may be dropped in asynchronous code, where blocking is not allowed.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
