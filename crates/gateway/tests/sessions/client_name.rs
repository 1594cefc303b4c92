//! The client name that the gateway sends to a backend, before TLS and inside TLS.

use starttls::Acceptor;
use starttls::proto::smtp::SUBMISSION;
use starttls_gateway::Config;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use crate::environment::{Environment, cleartext, within};

/// Reads one line and sends an answer.
async fn hear<IO: AsyncRead + AsyncWrite + Unpin>(io: &mut BufReader<IO>, answer: &str) -> String {
    let mut line = String::new();
    within(io.read_line(&mut line)).await.unwrap();
    within(io.write_all(answer.as_bytes())).await.unwrap();
    within(io.flush()).await.unwrap();
    line
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_has_a_name_of_its_own() {
    let env = Environment::new();
    let [chain, key] = [&env.certificate.0, &env.certificate.1].map(|path| std::fs::read(path).unwrap());
    let acceptor = Acceptor::builder(&SUBMISSION, "localhost").certificate_pem(chain, key).build().unwrap();
    let password = env.folder.path().join("password");
    std::fs::write(&password, "secret\n").unwrap();
    let own = starttls::host_name().unwrap_or_default();
    for (key, expected) in [
        ("", own.as_str()),
        ("client-name = \"gateway.example.com\",", "gateway.example.com"),
        ("client-name = \"[192.0.2.7]\",", "[192.0.2.7]"),
    ] {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let text = format!(
            "[[listener]]\nlisten = \"submission://127.0.0.1:0\"\n\
             forward = {{ url = \"submission+starttls://localhost:{}\", ca-file = {:?}, {key} \
             login = {{ user = \"me\", password-file = {password:?} }} }}\n",
            listener.local_addr().unwrap().port(),
            env.root
        );
        let running = env.start(Config::parse(&text, "test").unwrap());
        let client = cleartext(&SUBMISSION, running.address);
        let backend = async {
            let (tcp, _) = within(listener.accept()).await.unwrap();
            let mut tcp = BufReader::new(tcp);
            tcp.write_all(b"220 backend ESMTP\r\n").await.unwrap();
            let before = hear(&mut tcp, "250-backend\r\n250 STARTTLS\r\n").await;
            assert_eq!(hear(&mut tcp, "220 go\r\n").await, "STARTTLS\r\n");
            let stream = within(acceptor.accept_implicit(tcp.into_inner())).await.unwrap();
            let mut stream = BufReader::new(stream);
            let inside = hear(&mut stream, "250-backend\r\n250 AUTH PLAIN\r\n").await;
            hear(&mut stream, "235 2.7.0 welcome\r\n").await;
            (before, inside, stream)
        };
        let (_client, (before, inside, _backend)) = tokio::join!(client, backend);
        let expected = format!("EHLO {expected}\r\n");
        assert_eq!((before, inside), (expected.clone(), expected));
    }
}
