//! The PROXY protocol against HAProxy.

use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use starttls::proto::http::HTTP;
use starttls::{Acceptor, Connector, TlsFacts};
use starttls_gateway::proxy_protocol::{Header, ProxiedClient, read, v1, v2};
use starttls_lab::ca::{KeyKind, Leaf, Usage};
use starttls_testkit::process::{Daemon, Scratch, free_port, own_loopback, program};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::client::DEADLINE;
use crate::folder::Folder;

const HEAD: &str =
    "global\n  maxconn 100\ndefaults\n  timeout connect 10s\n  timeout client 30s\n  timeout server 30s\n";

/// Starts HAProxy with this configuration and waits until it listens.
fn haproxy(scratch: &Scratch, text: &str, listens: SocketAddr) -> Daemon {
    let file = scratch.file("haproxy.cfg", &format!("{HEAD}{text}")).unwrap();
    let mut command = Command::new(program("haproxy", "haproxy").unwrap());
    let mut daemon = Daemon::spawn(scratch, "haproxy", command.arg("-db").arg("-f").arg(file)).unwrap();
    daemon.wait_listening(listens, Duration::from_secs(30)).unwrap();
    daemon
}

#[tokio::test]
async fn what_haproxy_sends_is_read_to_the_byte() {
    let folder = Folder::new();
    let scratch = Scratch::new().unwrap();
    let own = folder.authority.issue(&Leaf { usage: Usage::Client, ..Leaf::named("device") }).unwrap();
    let server = folder.issue(&["mail.example.com"], KeyKind::EcdsaP256);
    let pem = scratch.file("server.pem", &format!("{}{}", server.chain_pem, server.key_pem)).unwrap();
    let ca = scratch.file("ca.pem", &folder.authority.root_pem()).unwrap();
    let ip = own_loopback();
    let backend = TcpListener::bind((ip, 0)).await.unwrap();
    let to = backend.local_addr().unwrap();
    for (options, tls) in [
        ("send-proxy", false),
        ("send-proxy-v2", false),
        ("send-proxy-v2-ssl-cn proxy-v2-options ssl,cert-cn,ssl-cipher,authority,crc32c,unique-id", true),
    ] {
        let front = free_port(ip).unwrap();
        let ssl = format!("ssl crt {} ca-file {} verify optional", pem.display(), ca.display());
        let ssl = if tls { &ssl } else { "" };
        let text = format!(
            "listen test\n  mode tcp\n  unique-id-format %ci-%cp\n  bind {front} {ssl}\n  server backend {to} {options}\n"
        );
        let _haproxy = haproxy(&scratch, &text, front);
        let dialled = async {
            let mut tcp = TcpStream::connect(front).await.unwrap();
            let from = tcp.local_addr().unwrap();
            if tls {
                let connector = Connector::builder()
                    .no_system_roots()
                    .roots_pem(folder.authority.root_pem())
                    .client_certificate_pem(own.chain_pem.clone(), own.key_pem.clone());
                let connector = connector.build().unwrap();
                let mut session = connector.upgrade_implicit(&HTTP, "mail.example.com", tcp).await.unwrap();
                session.write_all(b"EHLO").await.unwrap();
                session.flush().await.unwrap();
                (from, Box::new(session) as Box<dyn std::any::Any>)
            } else {
                tcp.write_all(b"EHLO").await.unwrap();
                (from, Box::new(tcp) as Box<dyn std::any::Any>)
            }
        };
        let accepted = async {
            // The check whether HAProxy listens may connect first and sends nothing.
            let (mut rest, mut header) = ([0; 4], Header::Local);
            while rest == [0; 4] {
                let (mut io, _) = backend.accept().await.unwrap();
                header = read(&mut io).await.unwrap();
                let _ = io.read_exact(&mut rest).await;
            }
            (header, rest)
        };
        let both = async { tokio::join!(accepted, dialled) };
        let ((header, rest), (client, _open)) = timeout(DEADLINE, both).await.unwrap();
        assert_eq!(header, Header::Proxied { client, destination: front }, "{options}");
        assert_eq!(&rest, b"EHLO", "{options}");
    }
}

/// Returns what a server knows about a client with this certificate after a real handshake.
pub(crate) async fn facts_of_a_client(folder: &Folder, leaf: &Leaf) -> TlsFacts {
    let server = folder.issue(&["mail.example.com"], KeyKind::EcdsaP256);
    let own = folder.authority.issue(&Leaf { usage: Usage::Client, ..leaf.clone() }).unwrap();
    let acceptor = Acceptor::builder(&HTTP, "mail.example.com")
        .certificate_pem(server.chain_pem, server.key_pem)
        .client_auth(starttls::ClientAuth::Required, folder.authority.root_pem());
    let connector = Connector::builder()
        .no_system_roots()
        .roots_pem(folder.authority.root_pem())
        .client_certificate_pem(own.chain_pem, own.key_pem);
    let (acceptor, connector) = (acceptor.build().unwrap(), connector.build().unwrap());
    let (near, far) = tokio::io::duplex(16 * 1024);
    let both = async {
        tokio::join!(
            acceptor.accept_implicit(far),
            connector.upgrade_implicit(&HTTP, "mail.example.com", near)
        )
    };
    let (session, peer) = timeout(DEADLINE, both).await.unwrap();
    let (session, _peer) = (session.unwrap(), peer.unwrap());
    session.facts().clone()
}

#[tokio::test]
async fn haproxy_reads_what_is_written() {
    let folder = Folder::new();
    let scratch = Scratch::new().unwrap();
    let front = free_port(own_loopback()).unwrap();
    let text = format!(
        "frontend test\n  mode http\n  bind {front} accept-proxy\n  http-request return status 200 \
         content-type text/plain lf-string \"%[src] %[src_port] %[dst] %[dst_port] %[fc_pp_authority]\"\n"
    );
    let _haproxy = haproxy(&scratch, &text, front);
    let facts = &facts_of_a_client(&folder, &Leaf::named("device")).await;

    let addresses = |one: &str, other: &str| Some((one.parse().unwrap(), other.parse().unwrap()));
    let four = addresses("192.0.2.1:50000", "198.51.100.2:25");
    let six = addresses("[2001:db8::1]:50000", "[2001:db8::2]:25");
    let (four_said, six_said) = ("192.0.2.1 50000 198.51.100.2 25", "2001:db8::1 50000 2001:db8::2 25");
    let v2_tls = v2(&ProxiedClient { addresses: six, tls: Some(facts), certificate: true });
    for (header, said) in [
        (v1(&ProxiedClient { addresses: four, tls: None, certificate: false }), format!("{four_said} ")),
        (v1(&ProxiedClient { addresses: six, tls: None, certificate: false }), format!("{six_said} ")),
        (v2(&ProxiedClient { addresses: four, tls: None, certificate: false }), format!("{four_said} ")),
        (v2_tls.clone(), format!("{six_said} mail.example.com")),
    ] {
        let asking = async {
            let mut tcp = TcpStream::connect(front).await.unwrap();
            tcp.write_all(&header).await.unwrap();
            tcp.write_all(b"GET / HTTP/1.0\r\n\r\n").await.unwrap();
            let mut answer = String::new();
            tcp.read_to_string(&mut answer).await.unwrap();
            answer
        };
        let answer = timeout(DEADLINE, asking).await.unwrap();
        assert_eq!(answer.rsplit("\r\n\r\n").next(), Some(said.as_str()), "{answer}");
    }
    // TLVs that HAProxy has no sample fetch for.
    for value in [
        &b"\x21\0\x07TLSv1.3"[..],
        b"\x22\0\x06device",
        b"\x23\0\x16TLS_AES_256_GCM_SHA384",
        b"\x01\0\x08http/1.1",
    ] {
        assert!(v2_tls.windows(value.len()).any(|it| it == value), "{value:?}");
    }
    // TLS with a valid certificate that was presented in this handshake.
    assert!(v2_tls.windows(8).any(|it| it[0] == 0x20 && it[3..] == [7, 0, 0, 0, 0]));
}
