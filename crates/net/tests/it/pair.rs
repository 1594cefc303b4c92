//! The library's client and the library's server, in memory.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;

use crate::authority::{Authority, DEADLINE, NAME};
use starttls::proto::{ChannelBinding, Protocol, each_protocol, smtp};
use starttls::rustls::{HandshakeKind, NamedGroup, ProtocolVersion};
use starttls::{Acceptor, CertificateVerdict, Connector, Encrypted, Error, TlsVersion};
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::timeout;

type Side = Result<Encrypted<DuplexStream>, Error>;

/// Runs both sides through a pipe that holds `room` octets.
async fn meet(connector: &Connector, acceptor: &Acceptor, room: usize) -> (Side, Side) {
    let (near, far) = duplex(room);
    let both = async { tokio::join!(connector.upgrade(&smtp::SMTP, NAME, near), acceptor.accept(far)) };
    timeout(DEADLINE, both).await.expect("neither side hangs")
}

/// Sends more than any buffer holds in both directions at once, then closes cleanly. Each direction of each side is a
/// task of its own, so that none depends on the wake-ups of another.
async fn exchange(client: Encrypted<DuplexStream>, server: Encrypted<DuplexStream>, octets: usize) {
    let tasks = [(client, 0), (server, 1)].map(|(stream, byte)| {
        let (mut reading, mut writing) = tokio::io::split(stream);
        let write = tokio::spawn(async move {
            writing.write_all(&vec![byte; octets]).await.unwrap();
            writing.shutdown().await.unwrap();
        });
        let read = tokio::spawn(async move {
            let mut got = Vec::new();
            reading.read_to_end(&mut got).await.unwrap();
            assert_eq!(got, vec![byte ^ 1; octets]);
        });
        [write, read]
    });
    for task in tasks.into_iter().flatten() {
        timeout(DEADLINE, task).await.expect("no direction hangs").unwrap();
    }
}

#[tokio::test]
async fn both_sides_work_at_every_pipe_size() {
    let authority = Authority::new();
    let (connector, acceptor) =
        (authority.connector().build().unwrap(), authority.acceptor().build().unwrap());
    for (room, octets) in [(1, 50), (7, 5_000), (4096, 300_000)] {
        let (client, server) = meet(&connector, &acceptor, room).await;
        exchange(client.unwrap(), server.unwrap(), octets).await;
    }
}

/// A connection leaves its runtime with its socket, without a new handshake.
#[tokio::test]
async fn the_stream_of_a_connection_can_be_replaced() {
    let authority = Authority::new();
    let (connector, acceptor) =
        (authority.connector().build().unwrap(), authority.acceptor().build().unwrap());
    let (near, far) = tokio::net::UnixStream::pair().unwrap();
    let both = async { tokio::join!(connector.upgrade(&smtp::SMTP, NAME, near), acceptor.accept(far)) };
    let (client, server) = timeout(DEADLINE, both).await.unwrap();
    let (client, mut server) = (client.unwrap(), server.unwrap());
    let version = client.facts().version;
    let blocking = client.try_map_io(|socket| {
        let socket = socket.into_std()?;
        socket.set_nonblocking(false)?;
        socket.set_read_timeout(Some(DEADLINE))?;
        std::io::Result::Ok(socket)
    });
    let mut client = blocking.unwrap();
    assert_eq!(client.facts().version, version);
    let talking = tokio::task::spawn_blocking(move || {
        client.write_all(b"question").unwrap();
        let mut answer = [0; 6];
        client.read_exact(&mut answer).unwrap();
        answer
    });
    let mut question = [0; 8];
    timeout(DEADLINE, server.read_exact(&mut question)).await.unwrap().unwrap();
    assert_eq!(&question, b"question");
    server.write_all(b"answer").await.unwrap();
    server.flush().await.unwrap();
    assert_eq!(&talking.await.unwrap(), b"answer");
    assert_eq!(server.try_map_io(|_| Err::<UnixStream, _>("refused")).unwrap_err(), "refused");
}

#[tokio::test]
async fn an_erased_exporter_has_no_channel_binding() {
    let authority = Authority::new();
    let (connector, acceptor) =
        (authority.connector().build().unwrap(), authority.acceptor().build().unwrap());
    let (client, server) = meet(&connector, &acceptor, 4096).await;
    let (mut client, server) = (client.unwrap(), server.unwrap());
    let before = client.channel_binding(ChannelBinding::Exporter);
    assert!(before.is_some());
    client.erase_exporter();
    assert_eq!(client.channel_binding(ChannelBinding::Exporter), None);
    assert!(client.channel_binding(ChannelBinding::ServerEndPoint).is_some());
    assert_eq!(server.channel_binding(ChannelBinding::Exporter), before);
}

each_protocol! { async an_upgrade_succeeds_on_both_drivers }

async fn an_upgrade_succeeds_on_both_drivers(protocol: &'static Protocol) {
    let authority = Authority::new();
    let connector = authority.connector().build().unwrap();
    let acceptor = authority.acceptor_for(protocol).build().unwrap();
    let (near, far) = duplex(7);
    let both = async { tokio::join!(connector.upgrade(protocol, NAME, near), acceptor.accept(far)) };
    let (client, server) = timeout(DEADLINE, both).await.unwrap();
    let (client, server) = (client.unwrap(), server.unwrap());
    assert_eq!(client.facts().alpn.as_deref(), protocol.alpn.map(str::as_bytes), "{protocol:?}");
    exchange(client, server, 1000).await;

    let (near, far) = UnixStream::pair().unwrap();
    let server = std::thread::spawn(move || acceptor.blocking().accept(far).map(drop));
    let client = connector.blocking().upgrade(protocol, NAME, near).unwrap();
    server.join().unwrap().unwrap();
    drop(client);
}

/// Returns whether the server resumed a session with this client. The client sends data, so that tickets arrive.
async fn resumes(connector: &Connector, acceptor: &Acceptor) -> bool {
    let (client, server) = meet(connector, acceptor, 4096).await;
    let (mut client, mut server) = (client.unwrap(), server.unwrap());
    server.write_all(b"x").await.unwrap();
    client.read_exact(&mut [0]).await.unwrap();
    assert_eq!(client.facts().kind, server.facts().kind);
    assert_eq!(client.facts().verdict, CertificateVerdict::Verified);
    assert_eq!(client.facts().chain.len(), 1);
    client.facts().kind == Some(HandshakeKind::Resumed)
}

/// Rule S9: sessions are resumed only by the acceptor that created them.
#[tokio::test]
async fn sessions_are_resumed_where_they_belong() {
    let authority = Authority::new();
    for only in [TlsVersion::Tls12, TlsVersion::Tls13] {
        let acceptor = authority.acceptor().build().unwrap();
        let connector = authority.connector().tls_versions(only, only).build().unwrap();
        let session = connector.with_session_resumption();
        let known = [&session, &session, &connector, &connector.with_session_resumption(), &session];
        for (connector, expected) in known.into_iter().zip([false, true, false, false, true]) {
            assert_eq!(resumes(connector, &acceptor).await, expected, "{only:?}");
        }
        // An acceptor with tickets and a session cache of its own.
        let tickets = acceptor.tickets().unwrap();
        assert!(!resumes(&session, &acceptor.with_tickets(tickets)).await, "{only:?}");
    }
}

#[tokio::test]
async fn facts_of_both_versions() {
    let authority = Authority::new();
    let acceptor = authority.acceptor().build().unwrap();
    for (only, version, suite) in [
        (TlsVersion::Tls12, ProtocolVersion::TLSv1_2, "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384"),
        (TlsVersion::Tls13, ProtocolVersion::TLSv1_3, "TLS_AES_256_GCM_SHA384"),
    ] {
        let connector = authority.connector().tls_versions(only, only).build().unwrap();
        let (client, server) = meet(&connector, &acceptor, 4096).await;
        let (mut client, mut server) = (client.unwrap(), server.unwrap());
        server.write_all(b"x").await.unwrap();
        client.read_exact(&mut [0]).await.unwrap();
        for facts in [client.facts(), server.facts()] {
            assert_eq!(facts.version, Some(version));
            assert_eq!(facts.cipher_suite_name(), suite);
            assert_eq!(facts.kind, Some(HandshakeKind::Full));
            assert_eq!(facts.server_name.as_deref(), Some(NAME));
            assert!(facts.timings.handshake.is_some() && facts.timings.negotiation.is_some());
        }
        let facts = client.facts();
        assert_eq!(facts.verdict, CertificateVerdict::Verified);
        assert_eq!(facts.chain.len(), 1);
        assert!(facts.handshake_read > 500 && facts.handshake_written > 100);
        let modern = only == TlsVersion::Tls13;
        assert_eq!(facts.group == Some(NamedGroup::X25519MLKEM768), modern);
        assert_eq!(client.tickets_received() > 0, modern);
        assert_eq!(server.facts().verdict, CertificateVerdict::NoCertificate);
    }
}

#[tokio::test]
async fn everything_can_move_between_threads() {
    fn moves<T: Send + 'static>(_: &T) {}
    fn shared<T: Send + Sync + 'static>() {}
    shared::<Connector>();
    shared::<Acceptor>();
    shared::<Error>();
    let authority = Authority::new();
    let (connector, acceptor) =
        (authority.connector().build().unwrap(), authority.acceptor().build().unwrap());
    let (near, far) = duplex(64);
    let client = async move { connector.upgrade(&smtp::SMTP, NAME, near).await };
    let server = async move { acceptor.accept(far).await };
    moves(&client);
    moves(&server);
    let (client, server) = tokio::join!(tokio::spawn(client), tokio::spawn(server));
    moves(&client.unwrap().unwrap());
    moves(&server.unwrap().unwrap());
}
