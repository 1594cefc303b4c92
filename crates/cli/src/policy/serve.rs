//! `starttls policy serve`: a policy service for Postfix.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use starttls_dns::DnsName;
use starttls_policy::decide::PartialDane;
use starttls_policy::drive::{PolicyFetcher, PolicyService, PolicyStore, ServiceSettings, StoreError};
use starttls_policy::socketmap::{MapReader, MapReply};
use starttls_policy::sts::CachedPolicy;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, UnixListener};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};

use super::resolver;
use crate::args::{PartialArg, PolicyServe};
use crate::console;
use crate::error::Failed;
use crate::exit;

/// The most connections. Postfix opens one for each delivery agent.
const MAX_CONNECTIONS: usize = 512;
/// The time for a whole request, as in Postfix.
const REQUEST_LIMIT: Duration = Duration::from_secs(100);
/// The time limit of a request for health or metrics.
const HEALTH_LIMIT: Duration = Duration::from_secs(5);
/// The largest such request.
const MAX_HTTP: usize = 8 << 10;
/// The time between two tests of the resolver.
const SELF_TEST: Duration = Duration::from_secs(3600);

pub(super) async fn run(args: &PolicyServe) -> Result<u8, Failed> {
    let stub = resolver::stub(&args.resolver, args.timeout)?;
    if !args.no_dane
        && let Err(error) = stub.self_test().await
    {
        let hint =
            "use a resolver on this machine that validates DNSSEC, or --no-dane to serve MTA-STS alone";
        return Err(Failed::new(exit::INCONCLUSIVE, error.to_string()).hint(Some(hint.into())));
    }
    let connector = resolver::roots(args.ca_file.as_deref(), args.no_system_roots)?;
    let fetcher = PolicyFetcher::new(connector.timeout(args.timeout).build()?, args.sts_port);
    let store = args.state.as_deref().map(|path| store(path, args.reset)).transpose()?;
    if store.is_none() {
        console::warning(&"without --state, a restart forgets the MTA-STS policies");
    }
    let partial = match args.partial {
        PartialArg::Sts => PartialDane::Sts,
        PartialArg::Dane => PartialDane::Dane,
    };
    let settings = ServiceSettings { dane: !args.no_dane, partial };
    let service = PolicyService::new(stub.clone(), fetcher, settings, store);
    let sound = Arc::new(AtomicU64::new(1));
    if let Some(address) = args.health {
        let listener = TcpListener::bind(address).await.map_err(|error| cannot_listen(&address, &error))?;
        console::note(&format_args!("health on http://{}/health", listener.local_addr()?));
        tokio::spawn(health(listener, service.clone(), sound.clone()));
    }
    if !args.no_dane {
        tokio::spawn(async move {
            loop {
                sleep(SELF_TEST).await;
                let result = stub.self_test().await;
                sound.store(result.is_ok().into(), Ordering::Relaxed);
                if let Err(error) = result {
                    console::warning(&error);
                }
            }
        });
    }
    let connections = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    match args.listen.strip_prefix("unix:") {
        Some(path) => {
            let listener =
                bind_unix(Path::new(path)).await.map_err(|error| cannot_listen(&args.listen, &error))?;
            console::note(&format_args!("listening on {}", args.listen));
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => serve(stream, &service, &connections).await,
                    Err(error) => pause(&error).await,
                }
            }
        }
        None => {
            let listener =
                TcpListener::bind(&args.listen).await.map_err(|error| cannot_listen(&args.listen, &error))?;
            console::note(&format_args!("listening on {}", listener.local_addr()?));
            loop {
                match listener.accept().await {
                    Ok((stream, _)) => {
                        // Small replies must not wait for an acknowledgement.
                        let _ = stream.set_nodelay(true);
                        serve(stream, &service, &connections).await;
                    }
                    Err(error) => pause(&error).await,
                }
            }
        }
    }
}

fn store(path: &Path, reset: bool) -> Result<(PolicyStore, HashMap<DnsName, CachedPolicy>), Failed> {
    let opened = match reset {
        true => PolicyStore::create(path).map(|store| (store, HashMap::new())),
        false => PolicyStore::open(path),
    };
    opened.map_err(|error| {
        let hint = match &error {
            StoreError::Missing(_) => "use --reset to create it; after a loss, the known policies are unprotected until they are fetched again",
            _ => "restore it from a backup, or use --reset to start without the known policies",
        };
        Failed::usage(error.to_string()).hint(Some(hint.into()))
    })
}

fn cannot_listen(address: &dyn std::fmt::Display, error: &std::io::Error) -> Failed {
    Failed::usage(format!("cannot listen on {address}: {error}"))
}

/// Binds a socket in the file system. One that no process listens on any more is replaced.
async fn bind_unix(path: &Path) -> std::io::Result<UnixListener> {
    match UnixListener::bind(path) {
        Err(error) if error.kind() == std::io::ErrorKind::AddrInUse => {
            let refused = tokio::net::UnixStream::connect(path).await.err().map(|error| error.kind());
            if refused != Some(std::io::ErrorKind::ConnectionRefused) {
                return Err(error);
            }
            std::fs::remove_file(path)?;
            UnixListener::bind(path)
        }
        bound => bound,
    }
}

/// Waits when no connection can be accepted, for example because the limit of files is reached.
async fn pause(error: &std::io::Error) {
    console::warning(&format_args!("cannot accept a connection: {error}"));
    sleep(Duration::from_millis(100)).await;
}

/// Serves a connection in a task of its own, once fewer than the most are open.
async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    service: &PolicyService,
    connections: &Arc<Semaphore>,
) {
    let Ok(permit) = connections.clone().acquire_owned().await else { return };
    let service = service.clone();
    tokio::spawn(async move {
        let _permit = permit;
        // The client closes when it likes.
        let _ = converse(stream, &service).await;
    });
}

/// Answers the requests of one connection in order.
async fn converse(
    mut stream: impl AsyncRead + AsyncWrite + Unpin,
    service: &PolicyService,
) -> std::io::Result<()> {
    let (mut reader, mut buffer, mut replies) = (MapReader::default(), vec![0; 4096], Vec::new());
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
                }
                Err(fault) => {
                    console::warning(&fault);
                    MapReply::Permanent(fault.to_string()).write(&mut replies);
                    stream.write_all(&replies).await?;
                    return stream.shutdown().await;
                }
            }
            if replies.len() > 64 << 10 {
                timeout(REQUEST_LIMIT, stream.write_all(&replies)).await??;
                replies.clear();
            }
        }
        timeout(REQUEST_LIMIT, stream.write_all(&replies)).await??;
        replies.clear();
        let Ok(length) = timeout(REQUEST_LIMIT, stream.read(&mut buffer)).await else { return Ok(()) };
        match length? {
            0 => return Ok(()),
            length => reader.receive(buffer.get(..length).unwrap_or_default()),
        }
    }
}

/// Answers `/health` and `/metrics`.
async fn health(listener: TcpListener, service: PolicyService, sound: Arc<AtomicU64>) {
    let connections = Arc::new(Semaphore::new(16));
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                pause(&error).await;
                continue;
            }
        };
        let Ok(permit) = connections.clone().acquire_owned().await else { return };
        let (service, sound) = (service.clone(), sound.clone());
        tokio::spawn(async move {
            let _permit = permit;
            let _ = timeout(HEALTH_LIMIT, http(stream, &service, &sound)).await;
        });
    }
}

async fn http(
    mut stream: tokio::net::TcpStream,
    service: &PolicyService,
    sound: &AtomicU64,
) -> std::io::Result<()> {
    let (mut head, mut octet) = (Vec::new(), [0; 512]);
    while !head.windows(4).any(|it| it == b"\r\n\r\n") && head.len() < MAX_HTTP {
        match stream.read(&mut octet).await? {
            0 => return Ok(()),
            length => head.extend_from_slice(octet.get(..length).unwrap_or_default()),
        }
    }
    let is_sound = sound.load(Ordering::Relaxed) == 1;
    let (status, body) = if head.starts_with(b"GET /health ") {
        if is_sound {
            ("200 OK", String::from("ok\n"))
        } else {
            ("503 Service Unavailable", String::from("DNSSEC is not available\n"))
        }
    } else if head.starts_with(b"GET /metrics ") {
        ("200 OK", metrics(service, is_sound))
    } else {
        ("404 Not Found", String::from("expected /health or /metrics\n"))
    };
    let head = format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain; version=0.0.4\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{head}{body}").as_bytes()).await?;
    stream.shutdown().await
}

fn metrics(service: &PolicyService, is_sound: bool) -> String {
    let counters = service.counters();
    let mut text = String::new();
    for (name, help, value) in [
        ("requests_total", "Questions of mail servers.", &counters.requests),
        ("cached_total", "Questions that the cache answered.", &counters.cached),
        ("deferred_total", "Answers that defer mail.", &counters.deferred),
        ("refresh_failures_total", "MTA-STS policies that could not be fetched.", &counters.fetch_failures),
        ("store_failures_total", "MTA-STS policies that could not be written.", &counters.store_failures),
    ] {
        let value = value.load(Ordering::Relaxed);
        text.push_str(&format!(
            "# HELP starttls_policy_{name} {help}\n# TYPE starttls_policy_{name} counter\n"
        ));
        text.push_str(&format!("starttls_policy_{name} {value}\n"));
    }
    for (name, help, value) in [
        ("policies", "MTA-STS policies that are known.", service.policies()),
        ("dnssec", "Whether the resolver validates DNSSEC.", usize::from(is_sound)),
    ] {
        text.push_str(&format!(
            "# HELP starttls_policy_{name} {help}\n# TYPE starttls_policy_{name} gauge\n"
        ));
        text.push_str(&format!("starttls_policy_{name} {value}\n"));
    }
    text
}
