//! The gateway's own request uses the authority of the backend's URL, or its `server-name`, as `Host`. The client's
//! requests keep their `Host`.

use std::net::IpAddr;

use starttls::Acceptor;
use starttls::proto::http::HTTP;
use starttls_gateway::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::environment::{Environment, within};

/// Reads the head of one message.
async fn head(io: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(within(io.read_u8()).await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

fn host(head: &str) -> Vec<&str> {
    head.lines().filter_map(|line| line.strip_prefix("Host: ")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_of_http_is_asked_by_the_authority_of_its_url() {
    let env = Environment::new();
    let [chain, key] = [&env.certificate.0, &env.certificate.1].map(|path| std::fs::read(path).unwrap());
    let acceptor = Acceptor::builder(&HTTP, "localhost").certificate_pem(chain, key).build().unwrap();
    for (name, bound, keys, sni, named) in [
        ("localhost", "127.0.0.1", "", Some("localhost"), None),
        ("127.0.0.1", "127.0.0.1", "server-name = \"localhost\",", Some("localhost"), Some("localhost")),
        ("[::1]", "::1", "insecure = true,", None, None),
    ] {
        let listener = TcpListener::bind((bound.parse::<IpAddr>().unwrap(), 0)).await.unwrap();
        let authority = format!("{name}:{}", listener.local_addr().unwrap().port());
        let text = format!(
            "[[listener]]\nlisten = \"http://127.0.0.1:0\"\n\
             forward = {{ url = \"http+starttls://{authority}\", {keys} ca-file = {:?} }}\n",
            env.root
        );
        let running = env.start(Config::parse(&text, "test").unwrap());
        let backend = async {
            let (mut tcp, _) = within(listener.accept()).await.unwrap();
            let asked = head(&mut tcp).await;
            let accepted = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: TLS/1.0, HTTP/1.1\r\n\
                Connection: Upgrade\r\n\r\n";
            tcp.write_all(accepted.as_bytes()).await.unwrap();
            let mut stream = within(acceptor.accept_implicit(tcp)).await.unwrap();
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").await.unwrap();
            let relayed = head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            stream.shutdown().await.unwrap();
            (asked, stream.facts().server_name.clone(), relayed)
        };
        let client = async {
            let mut tcp = within(TcpStream::connect(running.address)).await.unwrap();
            tcp.write_all(b"GET / HTTP/1.1\r\nHost: app.example.test:8443\r\n\r\n").await.unwrap();
            head(&mut tcp).await
        };
        let (answer, (asked, server_name, relayed)) = tokio::join!(client, backend);
        assert_eq!(host(&asked), [named.unwrap_or(&authority)], "{asked}");
        assert_eq!(server_name.as_deref(), sni);
        assert_eq!(host(&relayed), ["app.example.test:8443"], "{relayed}");
        assert!(answer.starts_with("HTTP/1.1 204 "), "{answer}");
    }
}
