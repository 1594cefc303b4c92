//! Protocols in which the gateway relays the greeting of the backend.

use starttls::proto::ClientMessage::Other;
use starttls::proto::{AfterUpgrade, Protocol, each_protocol, nats::NATS};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::environment::{Environment, cleartext, say, tell, within, words};
use crate::scripted::Scripted;

// MySQL numbers its packets across the boundary, so that sessions of real clients test it.
each_protocol! {
    async if |it| it.flow.login_needs_greeting && it.flow.after != super::AfterUpgrade::SequenceContinues =>
    a_listener_reaches_a_backend_with_and_without_tls
}

async fn a_listener_reaches_a_backend_with_and_without_tls(protocol: &'static Protocol) {
    let env = Environment::new();
    let name = protocol.name;
    let backends = [
        format!("{name}://{}", env.cleartext.address(name).unwrap()),
        format!("{name}+starttls://localhost:{}", env.lab.endpoint(name).unwrap().address.port()),
    ];
    for backend in &backends {
        let running = env.gateway(&format!("{name}+starttls://{{}}"), std::slice::from_ref(backend), None);
        let stream = within(env.connect(protocol, running.address, false)).await;
        let answer = say(stream, &words(protocol, &[Other])).await;
        assert!(!answer.is_empty(), "{backend}: {:?}", running.ended(1).await);
    }
    let running = env.gateway(&format!("{name}://{{}}"), &backends[1..], None);
    let client = cleartext(protocol, running.address).await;
    let answer = tell(client, &words(protocol, &[Other])).await;
    assert!(!answer.is_empty(), "{:?}", running.ended(1).await);
}

/// A client of NATS signs the nonce of the server that it logs in to, and must not reconnect to a server without the gateway.
#[tokio::test]
async fn a_greeting_keeps_its_nonce_and_loses_what_holds_for_another_connection() {
    let env = Environment::new();
    let sent = "INFO {\"nonce\":\"CQSLYoD5a2L9uIo\",\"tls_available\":true,\"connect_urls\":[\"192.0.2.1:4222\"]} \r\n";
    let backend = Scripted::start(sent.as_bytes().to_vec(), |_| Some("")).await;
    for (listen, received) in [
        ("nats+starttls://{}", "INFO {\"nonce\":\"CQSLYoD5a2L9uIo\",\"tls_required\":true} \r\n"),
        ("nats://{}", "INFO {\"nonce\":\"CQSLYoD5a2L9uIo\"} \r\n"),
    ] {
        let scheme = if listen.starts_with("nats:") { "nats+starttls" } else { "nats" };
        let forward = format!("{scheme}://{}", backend.address);
        let running = env.gateway(listen, &[forward], None);
        let mut tcp = TcpStream::connect(running.address).await.unwrap();
        let mut greeting = vec![0; received.len()];
        within(tcp.read_exact(&mut greeting)).await.unwrap();
        assert_eq!(String::from_utf8_lossy(&greeting), received, "{} {listen}", NATS.title);
    }
}
