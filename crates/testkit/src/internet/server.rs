//! The mail servers of the simulation. One listener accepts the connections of all of them.

use std::io;
use std::net::{IpAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use starttls::proto::PROTOCOLS;
use starttls::rustls::crypto::aws_lc_rs::default_provider;
use starttls::rustls::server::{ClientHello, ResolvesServerCert};
use starttls::rustls::sign::CertifiedKey;
use starttls::x509::Bundle;
use starttls::{Acceptor, TlsVersion};
use starttls_lab::ca::{Authority, Leaf};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::runtime::Handle;
use tokio::time::timeout;

use super::{Behavior, Referee};

/// The name of the file with the root certificate.
pub(super) const CA_FILE: &str = "root.pem";

/// A session ends after this time, whatever the client does.
const SESSION: Duration = Duration::from_secs(60);

/// The pause of a slow server before its greeting.
const SLOW: Duration = Duration::from_millis(400);

/// The hosters share this many certificates.
const HOSTER_CERTIFICATES: usize = 20;
const HOSTERS: usize = 200;

#[derive(Clone, Debug)]
pub(super) struct Servers {
    modern: Acceptor,
    tls12: Acceptor,
}

/// The certificates, by the server name.
#[derive(Debug)]
struct Certificates {
    whale: Arc<CertifiedKey>,
    five: Arc<CertifiedKey>,
    hosters: Vec<Arc<CertifiedKey>>,
    other: Arc<CertifiedKey>,
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let name = hello.server_name().unwrap_or_default();
        let hoster = name.strip_prefix("mx.h").and_then(|it| it.strip_suffix(".test")?.parse::<usize>().ok());
        Some(Arc::clone(match hoster {
            Some(number) => self.hosters.get(number % HOSTER_CERTIFICATES)?,
            None if name.ends_with(".whale.test") => &self.whale,
            None if name.ends_with(".five.test") => &self.five,
            None => &self.other,
        }))
    }
}

impl Servers {
    pub(super) fn new(folder: &Path) -> io::Result<Self> {
        let authority = Authority::new().map_err(io::Error::other)?;
        std::fs::write(folder.join(CA_FILE), authority.root_pem())?;
        let key = |names: Vec<String>| {
            let issued =
                authority.issue(&Leaf { dns: names, ..Leaf::default() }).map_err(io::Error::other)?;
            let read = || {
                let chain = Bundle::read("the certificate", issued.chain_pem.as_bytes())?.certificates()?;
                Ok::<_, starttls::x509::BundleError>((
                    chain,
                    Bundle::read("the key", issued.key_pem.as_bytes())?.private_key()?,
                ))
            };
            let (chain, key) = read().map_err(io::Error::other)?;
            let chain = chain.into_iter().map(|it| it.der).collect();
            CertifiedKey::from_der(chain, key, &default_provider()).map(Arc::new).map_err(io::Error::other)
        };
        let hosters = (0..HOSTER_CERTIFICATES).map(|first| {
            key((first..HOSTERS).step_by(HOSTER_CERTIFICATES).map(|it| format!("mx.h{it}.test")).collect())
        });
        let certificates: Arc<dyn ResolvesServerCert> = Arc::new(Certificates {
            whale: key(vec![String::from("*.mail.whale.test")])?,
            five: key(vec![String::from("*.five.test")])?,
            hosters: hosters.collect::<io::Result<_>>()?,
            other: key(vec![String::from("mx.tail.test")])?,
        });
        let smtp =
            PROTOCOLS.iter().find(|it| it.name == "smtp").ok_or_else(|| io::Error::other("no SMTP"))?;
        let acceptor = |oldest, newest| {
            let builder = Acceptor::builder(smtp, "sim.test").cert_resolver(Arc::clone(&certificates));
            builder.tls_versions(oldest, newest).timeout(SESSION).build().map_err(io::Error::other)
        };
        Ok(Self {
            modern: acceptor(TlsVersion::Tls12, TlsVersion::Tls13)?,
            tls12: acceptor(TlsVersion::Tls12, TlsVersion::Tls12)?,
        })
    }

    async fn serve(&self, mut stream: TcpStream, behavior: Behavior, referee: &Referee) -> io::Result<()> {
        match behavior {
            Behavior::Sound => upgraded(&self.modern, stream, referee).await,
            Behavior::Tls12 => upgraded(&self.tls12, stream, referee).await,
            Behavior::Slow => {
                // A client that is gone must not count as connected.
                match timeout(SLOW, stream.peek(&mut [0])).await {
                    Ok(_) => Ok(()),
                    Err(_) => upgraded(&self.modern, stream, referee).await,
                }
            }
            Behavior::NoOffer => {
                scripted(
                    &mut stream,
                    referee,
                    &[
                        b"220 sim.test ESMTP\r\n",
                        b"250-sim.test\r\n250 SIZE 1000\r\n",
                        b"502 5.5.1 not here\r\n",
                    ],
                )
                .await
            }
            Behavior::Refuses => {
                scripted(&mut stream, referee, &[GREETING, OFFER, b"454 4.7.0 not now\r\n"]).await
            }
            Behavior::TurnsAway => {
                scripted(&mut stream, referee, &[b"421 4.7.0 sim.test too many connections\r\n"]).await
            }
            Behavior::Silent => until_closed(&mut stream).await,
            Behavior::Closes => Ok(()),
            Behavior::ClosesAfterHello => {
                stream.write_all(GREETING).await?;
                stream.read_buf(&mut Vec::with_capacity(512)).await.map(drop)
            }
            Behavior::Injects => {
                scripted(&mut stream, referee, &[GREETING, OFFER, b"220 go ahead\r\n250 injected\r\n"]).await
            }
            Behavior::NoHandshake => {
                for part in [GREETING, OFFER, b"220 go ahead\r\n"] {
                    stream.write_all(part).await?;
                    stream.read_buf(&mut Vec::with_capacity(2048)).await?;
                }
                Ok(())
            }
            Behavior::Garbage => scripted(&mut stream, referee, &[b"\x00\x01\x02 hello\r\n"]).await,
        }
    }
}

async fn upgraded(acceptor: &Acceptor, stream: TcpStream, referee: &Referee) -> io::Result<()> {
    // A client that ends before the upgrade is not an error here.
    let Ok(mut inside) = acceptor.accept(stream).await else { return Ok(()) };
    referee.shook_hands();
    let mut line = Vec::new();
    loop {
        line.clear();
        if inside.read_buf(&mut line).await? == 0 {
            return Ok(());
        }
        referee.heard(&line);
        let is_quit = line.to_ascii_uppercase().starts_with(b"QUIT");
        let reply: &[u8] = if is_quit { b"221 2.0.0 bye\r\n" } else { b"250-sim.test\r\n250 SIZE 1000\r\n" };
        inside.write_all(reply).await?;
        inside.flush().await?;
        if is_quit {
            return inside.shutdown().await;
        }
    }
}

const GREETING: &[u8] = b"220 sim.test ESMTP\r\n";
const OFFER: &[u8] = b"250-sim.test\r\n250 STARTTLS\r\n";

/// Sends each part after what the client sent since the one before, and then waits for the client's end.
async fn scripted(stream: &mut TcpStream, referee: &Referee, parts: &[&[u8]]) -> io::Result<()> {
    for (index, part) in parts.iter().enumerate() {
        if index > 0 {
            let mut line = Vec::with_capacity(2048);
            if stream.read_buf(&mut line).await? == 0 {
                return Ok(());
            }
            referee.heard(&line);
        }
        stream.write_all(part).await?;
    }
    until_closed(stream).await
}

async fn until_closed(stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> io::Result<()> {
    let mut octets = Vec::with_capacity(2048);
    while stream.read_buf(&mut octets).await? > 0 {
        if octets.to_ascii_uppercase().starts_with(b"QUIT") {
            return Ok(());
        }
        octets.clear();
    }
    Ok(())
}

/// Accepts connections on a thread of its own, so that a busy runtime does not delay the record.
pub(super) fn listen(
    listener: TcpListener,
    servers: Servers,
    behavior: fn(IpAddr) -> Behavior,
    referee: Arc<Referee>,
    runtime: Handle,
) -> io::Result<()> {
    std::thread::Builder::new().name(String::from("accept")).spawn(move || {
        for stream in listener.incoming() {
            let Ok(stream) = stream else {
                // Most likely the process has no free descriptor until a session ends.
                std::thread::sleep(Duration::from_millis(5));
                continue;
            };
            let Ok(address) = stream.local_addr().map(|it| it.ip()) else { continue };
            let visit = referee.opened(address);
            let (servers, referee) = (servers.clone(), Arc::clone(&referee));
            runtime.spawn(async move {
                if stream.set_nonblocking(true).is_ok()
                    && let Ok(stream) = TcpStream::from_std(stream)
                {
                    let _ = stream.set_nodelay(true);
                    let _ = timeout(SESSION, servers.serve(stream, behavior(address), &referee)).await;
                }
                referee.closed(visit);
            });
        }
    })?;
    Ok(())
}
