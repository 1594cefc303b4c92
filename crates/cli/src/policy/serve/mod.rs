//! `starttls policy serve`: a policy service for Postfix.

pub(in crate::policy) mod control;
mod health;
mod socket;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use sd_notify::NotifyState;
use starttls_dns::Stub;
use starttls_policy::decide::PartialDane;
use starttls_policy::drive::{PolicyFetcher, PolicyService, PolicyStore, ServiceSettings, StoreError};
use starttls_policy::socketmap::{MapReader, MapReply};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::resolver;
use crate::args::{ListenAt, PartialArg, PolicyServe};
use crate::confinement::Confinement;
use crate::console;
use crate::error::Failed;
use crate::exit;
use socket::{Listener, Socket};

/// The most connections. Postfix opens one for each delivery agent.
const MAX_CONNECTIONS: usize = 512;
/// The time for a whole request, as in Postfix.
const REQUEST_LIMIT: Duration = Duration::from_secs(100);
/// The time between two tests of the resolver.
const SELF_TEST: Duration = Duration::from_secs(3600);

pub(super) async fn run(args: &PolicyServe) -> Result<u8, Failed> {
    let server = Server::new(args).await?;
    let (ending, ended) = oneshot::channel();
    // Landlock confines a thread and the threads that it starts, so the service has a runtime of its own.
    std::thread::Builder::new().name(String::from("service")).spawn(move || {
        // The receiver is gone if a signal has ended the command.
        let _ = ending.send(server.run());
    })?;
    ended.await.unwrap_or_else(|_| Err(Failed::new(exit::BUG, "the service panicked")))
}

/// A service with everything that it needs from outside: its sockets, its file and the trusted roots.
struct Server {
    stub: Stub,
    service: PolicyService,
    dane: bool,
    listen: Socket,
    health: Option<Socket>,
    control: Option<Socket>,
    user: u32,
    confinement: Confinement,
}

impl Server {
    async fn new(args: &PolicyServe) -> Result<Self, Failed> {
        let stub = resolver::stub(&args.resolver, args.timeout)?;
        if !args.no_dane
            && let Err(error) = stub.self_test().await
        {
            let hint =
                "use a resolver on this machine that validates DNSSEC, or --no-dane to serve MTA-STS alone";
            return Err(Failed::new(exit::INCONCLUSIVE, error.to_string()).hint(Some(hint.into())));
        }
        let connector = resolver::roots(&args.trust)?;
        let connector = connector.timeout(args.timeout).build()?;
        let fetcher = PolicyFetcher::new(connector, args.trust.sts_port).timeout(args.timeout);
        let store = match args.state.as_deref() {
            Some(path) => store(path, args.reset)?,
            None => {
                console::warning(&"without --state, a restart forgets the MTA-STS policies");
                PolicyStore::default()
            }
        };
        let settings = ServiceSettings {
            dane: !args.no_dane,
            partial: match args.partial {
                PartialArg::Sts => PartialDane::Sts,
                PartialArg::Dane => PartialDane::Dane,
            },
            refresh: args.refresh,
            warn: console::warning,
        };
        let open = |at: &Option<ListenAt>| at.as_ref().map(Socket::open).transpose();
        let control = open(&args.control)?;
        if matches!(control, Some(Socket::Tcp(_))) {
            return Err(Failed::usage("the control socket must be a socket in the file system"));
        }
        let ports = stub.resolvers().iter().map(|it| it.port()).chain([args.trust.sts_port]).collect();
        Ok(Self {
            service: PolicyService::new(stub.clone(), fetcher, settings, store),
            stub,
            dane: !args.no_dane,
            listen: Socket::open(&args.listen)?,
            health: open(&args.health)?,
            control,
            user: control::user()?,
            confinement: Confinement::new(args.state.as_deref(), ports),
        })
    }

    /// Serves without end.
    fn run(self) -> Result<u8, Failed> {
        console::note(&self.confinement.enter());
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(self.serve())
    }

    async fn serve(self) -> Result<u8, Failed> {
        let Self { stub, service, dane, listen, health, control, user, .. } = self;
        let sound = Arc::new(AtomicBool::new(true));
        if let Some(socket) = health {
            console::note(&format_args!("health on http://{socket}/health"));
            tokio::spawn(health::serve(socket.listener()?, service.clone(), sound.clone()));
        }
        if let Some(socket) = control {
            tokio::spawn(control::serve(socket.listener()?, service.clone(), user));
        }
        if dane {
            tokio::spawn(watch(stub, sound));
        }
        let refreshed = service.clone();
        tokio::spawn(async move { refreshed.keep_fresh().await });
        console::note(&format_args!("listening on {listen}"));
        let listener = listen.listener()?;
        // The service also runs without a service manager.
        let _ = sd_notify::notify(&[NotifyState::Ready]);
        accept(&listener, &service).await
    }
}

fn store(path: &Path, reset: bool) -> Result<PolicyStore, Failed> {
    let opened = if reset { PolicyStore::create(path) } else { PolicyStore::open(path) };
    opened.map_err(|error| {
        let hint = match &error {
            StoreError::Missing(_) => "use --reset to create it; after a loss, the known policies are unprotected until they are fetched again",
            StoreError::InUse(_) => "stop the other service, or use another file",
            _ => "restore it from a backup, or use --reset to start without the known policies",
        };
        Failed::usage(error.to_string()).hint(Some(hint.into()))
    })
}

/// Tests the resolver every hour, without end.
async fn watch(stub: Stub, sound: Arc<AtomicBool>) {
    loop {
        sleep(SELF_TEST).await;
        let result = stub.self_test().await;
        sound.store(result.is_ok(), Ordering::Relaxed);
        if let Err(error) = result {
            console::warning(&error);
        }
    }
}

/// Serves each connection in a task of its own, while fewer than the most are open.
async fn accept(listener: &Listener, service: &PolicyService) -> Result<u8, Failed> {
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let stream = listener.accept().await;
        if connections.available_permits() == 0 {
            console::warning(&format_args!("{MAX_CONNECTIONS} connections are open: the next ones wait"));
        }
        let permit = connections.clone().acquire_owned().await.map_err(Failed::bug)?;
        let service = service.clone();
        tokio::spawn(async move {
            let _permit = permit;
            // The client closes when it likes.
            let _ = converse(stream, &service, REQUEST_LIMIT).await;
        });
    }
}

/// Answers the requests of one connection in order. A client that does not complete a request within the limit, or does not
/// read its replies, is left.
async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    service: &PolicyService,
    limit: Duration,
) -> std::io::Result<()> {
    let (mut reader, mut buffer, mut replies) = (MapReader::default(), vec![0; 4096], Vec::new());
    let mut deadline = Instant::now() + limit;
    loop {
        loop {
            match reader.next_request() {
                Ok(None) => break,
                Ok(Some(request)) => {
                    let reply = service.answer(&request).await;
                    if let MapReply::Temporary(reason) = &reply {
                        console::warning(reason);
                    }
                    reply.write(&mut replies);
                    deadline = Instant::now() + limit;
                }
                Err(fault) => {
                    console::warning(&fault);
                    MapReply::Permanent(fault.to_string()).write(&mut replies);
                    timeout(limit, stream.write_all(&replies)).await??;
                    return stream.shutdown().await;
                }
            }
            if replies.len() > 64 << 10 {
                timeout(limit, stream.write_all(&replies)).await??;
                replies.clear();
            }
        }
        timeout(limit, stream.write_all(&replies)).await??;
        replies.clear();
        let Ok(length) = timeout_at(deadline, stream.read(&mut buffer)).await else { return Ok(()) };
        match length? {
            0 => return Ok(()),
            length => reader.receive(buffer.get(..length).unwrap_or_default()),
        }
    }
}

#[cfg(test)]
mod tests {
    use starttls::Connector;
    use starttls_dns::AdTrust;

    use super::*;

    fn service() -> PolicyService {
        let stub = Stub::new(vec!["127.0.0.1:1".parse().unwrap()], AdTrust::Never).unwrap();
        let fetcher = PolicyFetcher::new(Connector::builder().build().unwrap(), 1);
        let settings = ServiceSettings {
            dane: false,
            partial: PartialDane::Sts,
            refresh: Duration::from_secs(86_400),
            warn: |_| {},
        };
        PolicyService::new(stub, fetcher, settings, PolicyStore::default())
    }

    /// The deadline of each test.
    async fn in_time<T>(work: impl Future<Output = T>) -> T {
        timeout(Duration::from_secs(60), work).await.unwrap()
    }

    #[tokio::test]
    async fn a_client_that_trickles_a_request_is_left() {
        let (mut client, server) = tokio::io::duplex(64);
        let serving =
            tokio::spawn(async move { converse(server, &service(), Duration::from_millis(300)).await });
        // Each octet arrives within the limit, the request does not.
        let trickled = in_time(async {
            let mut sent = 0;
            while client.write_all(b"1").await.is_ok() && sent < 100 {
                if sent == 0 {
                    client.write_all(b"0000:").await.unwrap();
                }
                sent += 1;
                sleep(Duration::from_millis(50)).await;
            }
            sent
        });
        assert!(trickled.await < 100, "the connection was not closed");
        assert!(in_time(serving).await.unwrap().is_ok());
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_is_left() {
        let (mut client, server) = tokio::io::duplex(64);
        let serving =
            tokio::spawn(async move { converse(server, &service(), Duration::from_millis(300)).await });
        let request = b"7:other x,".repeat(200);
        // The pipe is full before everything is written, because the service waits for its replies to be read.
        let written = in_time(client.write_all(&request)).await;
        let result = in_time(serving).await.unwrap();
        assert!(written.is_err() && result.is_err(), "{written:?} {result:?}");
    }
}
