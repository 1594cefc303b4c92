//! The blocking driver, on both sides, over sockets.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use starttls::blocking::Untimed;
use starttls::proto::{ErrorKind, smtp};
use starttls::rustls::crypto::aws_lc_rs;
use starttls::rustls::pki_types::pem::PemObject;
use starttls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use starttls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};
use starttls::{CertificateVerdict, Chunk, ClientAuth, Endpoint, Error, MaybeEncrypted, Step, TlsVersion};

use crate::authority::{Authority, DEADLINE, NAME};
use crate::script::OFFER;

/// The limit for a peer that stalls. The steps before must end within it, on a busy machine too.
const LIMIT: Duration = Duration::from_secs(1);

/// Runs a scripted server up to the upgrade request, which it answers with this.
fn answering(mut io: UnixStream, answer: &'static [u8]) -> thread::JoinHandle<()> {
    io.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    thread::spawn(move || {
        io.write_all(b"220 hi\r\n").unwrap();
        assert_eq!(io.read(&mut [0; 64]).unwrap(), b"EHLO [127.0.0.1]\r\n".len());
        io.write_all(OFFER).unwrap();
        assert_eq!(io.read(&mut [0; 64]).unwrap(), b"STARTTLS\r\n".len());
        io.write_all(answer).unwrap();
        let mut rest = Vec::new();
        // The client may have closed the connection.
        let _ = io.read_to_end(&mut rest);
    })
}

#[test]
fn client_meets_server_over_tcp() {
    let authority = Authority::new();
    for only in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let connector = authority.connector().tls_versions(only, only).build().unwrap();
        let acceptor = authority.acceptor().build().unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let server = thread::spawn(move || {
            let mut stream = acceptor.blocking().accept(listener.accept().unwrap().0).unwrap();
            let mut heard = Vec::new();
            stream.read_to_end(&mut heard).unwrap();
            stream.write_all(&heard).unwrap();
            stream.close().unwrap();
        });
        let to = Endpoint::new(NAME, 25).at("localhost", port);
        let mut stream = connector.blocking().connect(&smtp::SMTP, to).unwrap();
        assert_eq!(stream.facts().verdict, CertificateVerdict::Verified);
        assert_eq!(stream.io().read_timeout().unwrap(), None, "the deadline is over");
        let said = vec![7; 100_000];
        stream.write_all(&said).unwrap();
        stream.close().unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).unwrap();
        assert_eq!(heard, said);
        server.join().unwrap();
    }
}

#[test]
fn implicit_and_over_any_stream() {
    let authority = Authority::new();
    let (connector, acceptor) =
        (authority.connector().build().unwrap(), authority.acceptor().build().unwrap());
    let (near, far) = UnixStream::pair().unwrap();
    let server = thread::spawn(move || {
        let mut stream = acceptor.blocking().accept_implicit(Untimed(far)).unwrap();
        stream.write_all(b"inside").unwrap();
        stream.close().unwrap();
    });
    let mut stream = connector.blocking().upgrade_implicit(&smtp::SMTP, NAME, Untimed(near)).unwrap();
    let mut heard = String::new();
    stream.read_to_string(&mut heard).unwrap();
    assert_eq!(heard, "inside");
    server.join().unwrap();
}

/// A stream whose writes take a part, and then fail once as a socket with a time limit does.
struct Slow {
    io: UnixStream,
    error: std::io::ErrorKind,
    is_slow: Arc<AtomicBool>,
    writes: u32,
}

impl Read for Slow {
    fn read(&mut self, buf: &mut [u8]) -> std::io::Result<usize> {
        self.io.read(buf)
    }
}

impl Write for Slow {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        if !self.is_slow.load(Ordering::Relaxed) {
            return self.io.write(buf);
        }
        self.writes += 1;
        if self.writes.is_multiple_of(2) {
            Err(self.error.into())
        } else {
            self.io.write(&buf[..buf.len().min(1000)])
        }
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.io.flush()
    }
}

#[test]
fn a_write_that_fails_for_now_loses_and_repeats_nothing() {
    use std::io::ErrorKind::{Interrupted, TimedOut, WouldBlock};
    let authority = Authority::new();
    for error in [Interrupted, TimedOut, WouldBlock] {
        let (connector, acceptor) =
            (authority.connector().build().unwrap(), authority.acceptor().build().unwrap());
        let (near, far) = UnixStream::pair().unwrap();
        let server = thread::spawn(move || {
            let mut heard = Vec::new();
            let mut stream = acceptor.blocking().accept_implicit(Untimed(far)).unwrap();
            stream.read_to_end(&mut heard).map(|_| heard)
        });
        let is_slow = Arc::new(AtomicBool::new(false));
        let slow = Slow { io: near, error, is_slow: is_slow.clone(), writes: 0 };
        let mut stream = connector.blocking().upgrade_implicit(&smtp::SMTP, NAME, Untimed(slow)).unwrap();
        is_slow.store(true, Ordering::Relaxed);
        let said: Vec<u8> = (0..50_000u32).map(|at| at as u8).collect();
        let mut left = &said[..];
        while !left.is_empty() {
            match stream.write(&left[..left.len().min(7000)]) {
                Ok(count) => left = &left[count..],
                Err(failed) => assert_eq!(failed.kind(), error),
            }
        }
        while let Err(failed) = stream.close() {
            assert_eq!(failed.kind(), error);
        }
        assert!(server.join().unwrap().unwrap() == said, "{error:?}");
    }
}

#[test]
fn a_cut_connection_is_no_end() {
    let authority = Authority::new();
    let (connector, acceptor) =
        (authority.connector().build().unwrap(), authority.acceptor().build().unwrap());
    let (near, far) = UnixStream::pair().unwrap();
    let server = thread::spawn(move || drop(acceptor.blocking().accept(far).unwrap()));
    let mut stream = connector.blocking().upgrade(&smtp::SMTP, NAME, near).unwrap();
    server.join().unwrap();
    let error = stream.read(&mut [0; 16]).unwrap_err();
    assert_eq!(error.kind(), std::io::ErrorKind::UnexpectedEof);
}

#[test]
fn b2_injected_with_the_go_ahead() {
    let connector = Authority::new().connector().build().unwrap();
    let (near, far) = UnixStream::pair().unwrap();
    let server = answering(far, b"220 go\r\n250 AUTH PLAIN\r\n");
    let outcome = connector.blocking().upgrade(&smtp::SMTP, NAME, near);
    assert!(matches!(outcome, Err(Error::Protocol(error)) if error.kind == ErrorKind::BeyondBoundary));
    server.join().unwrap();
}

#[test]
fn c3_answer_that_waits_when_the_question_comes_is_too_early() {
    let (refused, client_is_refused) = mpsc::channel();
    let observer = move |chunk: &Chunk<'_>| {
        if chunk.bytes.starts_with(b"454 ") {
            refused.send(()).unwrap();
        }
    };
    let connector = Authority::new().connector().retries(1, LIMIT).build().unwrap();
    let connector = connector.observed_by(Arc::new(observer));
    let (near, mut far) = UnixStream::pair().unwrap();
    far.write_all(b"220 hi\r\n").unwrap();
    let server = thread::spawn(move || {
        assert!(far.read(&mut [0; 64]).unwrap() > 0);
        far.write_all(OFFER).unwrap();
        assert!(far.read(&mut [0; 64]).unwrap() > 0);
        far.write_all(b"454 wait\r\n").unwrap();
        // In the pause of the client before it asks again.
        client_is_refused.recv_timeout(DEADLINE).unwrap();
        far.write_all(b"220 go\r\n").unwrap();
        far
    });
    let outcome = connector.blocking().upgrade(&smtp::SMTP, NAME, near);
    assert!(matches!(outcome, Err(Error::Protocol(error)) if error.kind == ErrorKind::EarlyAnswer));
    server.join().unwrap();
}

#[test]
fn cleartext_only_by_name() {
    let connector = Authority::new().connector().build().unwrap();
    let (near, far) = UnixStream::pair().unwrap();
    let server = answering(far, b"502 never\r\n");
    let outcome = connector.blocking().upgrade_or_cleartext(&smtp::SMTP, NAME, near).unwrap();
    let MaybeEncrypted::NotEncrypted(refused) = outcome else { panic!("{outcome:?}") };
    let io = refused.into_cleartext();
    assert_eq!(io.read_timeout().unwrap(), None, "the deadline is over");
    drop(io);
    server.join().unwrap();

    let (near, far) = UnixStream::pair().unwrap();
    let server = answering(far, b"502 never\r\n");
    let outcome = connector.blocking().upgrade(&smtp::SMTP, NAME, near);
    assert!(matches!(outcome, Err(Error::Declined(_))), "{outcome:?}");
    server.join().unwrap();
}

#[test]
fn b6_silence_and_dribbling() {
    let connector = Authority::new().connector().timeout(LIMIT).build().unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let _silent: TcpStream = listener.accept().unwrap().0;
        let mut dribbling = listener.accept().unwrap().0;
        let began = Instant::now();
        while began.elapsed() < DEADLINE && dribbling.write_all(b"2").is_ok() {
            thread::sleep(LIMIT / 50);
        }
    });
    for _ in 0..2 {
        let began = Instant::now();
        let to = Endpoint::new(NAME, 25).at("127.0.0.1", address.port());
        let outcome = connector.blocking().connect(&smtp::SMTP, to);
        assert!(matches!(outcome, Err(Error::Timeout { step: Step::Greeting, .. })), "{outcome:?}");
        assert!(began.elapsed() < DEADLINE);
    }
    server.join().unwrap();
}

#[test]
fn b6_in_the_handshake() {
    let connector = Authority::new().connector().timeout(LIMIT).build().unwrap();
    let (near, far) = UnixStream::pair().unwrap();
    let server = answering(far, b"220 go\r\n");
    let outcome = connector.blocking().upgrade(&smtp::SMTP, NAME, near);
    assert!(matches!(outcome, Err(Error::Timeout { step: Step::Handshake, .. })), "{outcome:?}");
    server.join().unwrap();
}

/// A client that resumes sessions, which the library's client does not.
fn resuming(authority: &Authority) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.pem().as_bytes()).unwrap()).unwrap();
    let alice = authority.issue_for_client("alice.example");
    let chain = vec![CertificateDer::from_pem_slice(alice.chain.as_bytes()).unwrap()];
    let key = PrivateKeyDer::from_pem_slice(alice.key.as_bytes()).unwrap();
    let config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
    let config = config.with_safe_default_protocol_versions().unwrap().with_root_certificates(roots);
    Arc::new(config.with_client_auth_cert(chain, key).unwrap())
}

#[test]
fn s8_s9_a_session_is_resumed_where_it_began_and_with_its_certificate() {
    let authority = Authority::new();
    let config = resuming(&authority);
    let acceptor =
        || authority.acceptor().client_auth(ClientAuth::Required, authority.pem()).build().unwrap();
    let (here, elsewhere) = (acceptor(), acceptor());
    let kinds = [&here, &here, &elsewhere].map(|acceptor| {
        let (near, far) = UnixStream::pair().unwrap();
        let (acceptor, config) = (acceptor.clone(), config.clone());
        let server = thread::spawn(move || {
            let mut stream = acceptor.blocking().accept_implicit(far).unwrap();
            stream.write_all(b"x").unwrap();
            stream.close().unwrap();
            stream
        });
        let session = ClientConnection::new(config, NAME.try_into().unwrap()).unwrap();
        let mut client = StreamOwned::new(session, near);
        client.read_exact(&mut [0]).unwrap();
        let stream = server.join().unwrap();
        let facts = stream.facts();
        assert_eq!((facts.chain.len(), &facts.verdict), (1, &CertificateVerdict::Verified));
        facts.kind_name()
    });
    assert_eq!(kinds, ["full", "resumed", "full"]);
}
