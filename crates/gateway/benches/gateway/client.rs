//! The clients: TLS 1.3 with X25519 and AES-128-GCM, without resumption. They check everything that they receive.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use starttls::rustls::client::Resumption;
use starttls::rustls::crypto::aws_lc_rs;
use starttls::rustls::pki_types::pem::PemObject;
use starttls::rustls::pki_types::{CertificateDer, ServerName};
use starttls::rustls::version::TLS13;
use starttls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::Outcome;
use crate::backend::{CHUNK, Pattern};
use crate::servers::Front;

/// The number of parallel clients under load.
const THREADS: usize = 4;
/// The time between two connections that are held. Those of a server do not arrive in one second, and what a server frees when a
/// connection becomes idle serves those that arrive later.
const ARRIVAL: Duration = Duration::from_millis(4);

/// How long the last connection is idle before memory is measured.
const SETTLING: Duration = Duration::from_secs(3);

/// The number of clients that connect in parallel to hold connections: some servers delay each client.
const CROWD: usize = 64;
/// The read and write timeout.
const PATIENCE: Duration = Duration::from_secs(60);

/// A connection to a server under test.
enum Stream {
    Clear(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Read for Stream {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Clear(tcp) => tcp.read(buf),
            Self::Tls(tls) => tls.read(buf),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Clear(tcp) => tcp.write(buf),
            Self::Tls(tls) => tls.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Clear(tcp) => tcp.flush(),
            Self::Tls(tls) => tls.flush(),
        }
    }
}

struct Clients {
    address: SocketAddr,
    front: Front,
    config: Arc<ClientConfig>,
}

/// Runs a task and prints its figure or its completion.
pub(crate) fn run(args: &[&str]) -> Outcome<()> {
    let [what, address, front, root, count] = *args else { return Err("a client has five arguments".into()) };
    let clients = Clients { address: address.parse()?, front: Front::named(front)?, config: config(root)? };
    let count: u64 = count.parse()?;
    match what {
        "patient" => {
            let mut took = Vec::new();
            for number in 0..count {
                let start = Instant::now();
                clients.session(number)?;
                took.push(start.elapsed());
            }
            took.sort_unstable();
            println!("{}", took[took.len() / 2].as_secs_f64() * 1000.0);
        }
        "sessions" => {
            clients.at_once(THREADS, count as usize, |number| clients.session(number as u64))?;
            println!("{count}");
        }
        "hold" => {
            let began = Instant::now();
            let mut held = clients.at_once(CROWD, count as usize, |number| {
                thread::sleep((ARRIVAL * number as u32).saturating_sub(began.elapsed()));
                clients.open(number as u64)
            })?;
            thread::sleep(SETTLING);
            println!("held");
            io::stdin().read_line(&mut String::new())?;
            for stream in &mut held {
                stream.write_all(b"NOOP\r\n")?;
                expect(stream, "250")?;
            }
        }
        "up" => {
            let (mut stream, pattern, mut sent) = (clients.open(0)?, Pattern::new(), 0);
            stream.write_all(format!("XTAKE {count}\r\n").as_bytes())?;
            while sent < count {
                let part = pattern.at(sent, CHUNK.min((count - sent) as usize));
                stream.write_all(part)?;
                sent += part.len() as u64;
            }
            expect(&mut stream, "250 as sent")?;
            println!("{count}");
        }
        "down" => {
            let (mut stream, pattern, mut taken) = (clients.open(0)?, Pattern::new(), 0);
            stream.write_all(format!("XSEND {count}\r\n").as_bytes())?;
            let mut chunk = vec![0; CHUNK];
            while taken < count {
                let got = stream.read(&mut chunk)?;
                if got == 0 || chunk[..got] != *pattern.at(taken, got) {
                    return Err("not what was sent".into());
                }
                taken += got as u64;
            }
            println!("{count}");
        }
        _ => return Err("clients do not do this".into()),
    }
    Ok(())
}

pub(crate) fn config(root: &str) -> Outcome<Arc<ClientConfig>> {
    let mut provider = aws_lc_rs::default_provider();
    provider.kx_groups = vec![aws_lc_rs::kx_group::X25519];
    provider.cipher_suites = vec![aws_lc_rs::cipher_suite::TLS13_AES_128_GCM_SHA256];
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_file_iter(root)? {
        roots.add(root?)?;
    }
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.resumption = Resumption::disabled();
    Ok(Arc::new(config))
}

impl Clients {
    /// Runs a function `count` times, a few in parallel.
    fn at_once<T: Send>(
        &self,
        threads: usize,
        count: usize,
        work: impl Fn(usize) -> Outcome<T> + Sync,
    ) -> Outcome<Vec<T>> {
        let next = AtomicUsize::new(0);
        let share = || {
            let mut done = Vec::new();
            loop {
                match next.fetch_add(1, Ordering::Relaxed) {
                    number if number >= count => return Ok(done),
                    number => done.push(work(number).map_err(|e| format!("{}: {e}", self.address))?),
                }
            }
        };
        let shares: Vec<Result<Vec<T>, String>> = thread::scope(|scope| {
            let threads: Vec<_> = (0..threads).map(|_| scope.spawn(share)).collect();
            threads
                .into_iter()
                .map(|it| it.join().unwrap_or_else(|_| Err("a client panicked".into())))
                .collect()
        });
        let mut all = Vec::new();
        for share in shares {
            all.extend(share?);
        }
        Ok(all)
    }

    fn session(&self, number: u64) -> Outcome<()> {
        let mut stream = self.open(number)?;
        stream.write_all(b"QUIT\r\n")?;
        expect(&mut stream, "221")?;
        if let Stream::Tls(tls) = &mut stream {
            tls.conn.send_close_notify();
            // The server may have closed the connection.
            let _ = tls.flush();
        }
        Ok(())
    }

    /// Opens a session and waits for the backend's answer to a recipient that is unique to the session.
    fn open(&self, number: u64) -> Outcome<Stream> {
        let mut tcp = TcpStream::connect(self.address)?;
        tcp.set_nodelay(true)?;
        tcp.set_read_timeout(Some(PATIENCE))?;
        tcp.set_write_timeout(Some(PATIENCE))?;
        if self.front == Front::Upgrade {
            expect(&mut tcp, "220")?;
            tcp.write_all(b"EHLO client\r\n")?;
            expect(&mut tcp, "250")?;
            tcp.write_all(b"STARTTLS\r\n")?;
            expect(&mut tcp, "220")?;
        }
        let mut stream = match self.front {
            Front::Cleartext => Stream::Clear(tcp),
            Front::Upgrade | Front::Implicit => {
                let name = ServerName::try_from("localhost")?;
                let tls = ClientConnection::new(self.config.clone(), name)?;
                Stream::Tls(Box::new(StreamOwned::new(tls, tcp)))
            }
        };
        if self.front != Front::Upgrade {
            expect(&mut stream, "220")?;
        }
        stream.write_all(b"EHLO client\r\n")?;
        expect(&mut stream, "250")?;
        let mail = format!("MAIL FROM:<from@example.com>\r\nRCPT TO:<{number}@example.com>\r\n");
        stream.write_all(mail.as_bytes())?;
        expect_all(&mut stream, &["250", &format!("250 TO:<{number}@example.com>")])?;
        Ok(stream)
    }
}

/// Reads one reply and checks its start.
fn expect(stream: &mut impl Read, begin: &str) -> Outcome<()> {
    expect_all(stream, &[begin])
}

/// Reads as many replies as `begins` has entries and checks the start of each.
fn expect_all(stream: &mut impl Read, begins: &[&str]) -> Outcome<()> {
    let (mut said, mut chunk) = (Vec::new(), [0; 1024]);
    loop {
        let got = stream.read(&mut chunk)?;
        said.extend_from_slice(&chunk[..got]);
        let lines = said.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
        // The last line of a reply has no hyphen after its code.
        let last: Vec<&[u8]> = lines.filter(|line| line.get(3) == Some(&b' ')).collect();
        if last.len() == begins.len() {
            // All lines of a reply have the same code.
            let right = last.iter().zip(begins).all(|(line, begin)| line.starts_with(begin.as_bytes()));
            let problem = || format!("{begins:?} expected: \"{}\"", said.escape_ascii());
            return if right { Ok(()) } else { Err(problem().into()) };
        }
        if got == 0 {
            return Err(format!("{begins:?} was not said: \"{}\"", said.escape_ascii()).into());
        }
    }
}
