//! Every protocol, every kind of front, every kind of backend.

use std::time::Duration;

use starttls::proto::ClientMessage::{Credentials, Hello, Other, Quit};
use starttls::proto::{AfterUpgrade, PROTOCOLS, Protocol};

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::environment::{Environment, say, within, words};

/// The URLs of this protocol's servers: without TLS, upgraded, inside TLS from the first byte.
fn backends(env: &Environment, protocol: &Protocol) -> Vec<String> {
    let url = |scheme: &str, port| format!("{scheme}://localhost:{port}");
    let plain = env.cleartext.address(protocol.name).map(|it| url(protocol.name, it.port()));
    let upgraded = env
        .lab
        .endpoint(protocol.name)
        .map(|it| url(&format!("{}+starttls", protocol.name), it.address.port()));
    let implicit = protocol
        .implicit_tls
        .and_then(|tls| env.lab.endpoint(tls.name))
        .map(|it| url(it.scheme, it.address.port()));
    [plain, upgraded, implicit].into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_front_reaches_every_backend() {
    let env = Environment::new();
    let mut tried = 0;
    for protocol in PROTOCOLS.iter().filter(|it| it.flow.after != AfterUpgrade::SequenceContinues) {
        for backend in backends(&env, protocol) {
            let fronts = [Some((format!("{}+starttls", protocol.name), false))]
                .into_iter()
                .chain([protocol.implicit_tls.map(|tls| (tls.name.to_owned(), true))])
                .flatten();
            for (front, implicit) in fronts {
                let running = env.gateway(&format!("{front}://{{}}"), std::slice::from_ref(&backend), None);
                let stream = within(env.connect(protocol, running.address, implicit)).await;
                // Who has neither a hello nor a goodbye is asked something.
                let said = [[Hello, Quit].as_slice(), &[Other], &[Credentials]]
                    .into_iter()
                    .map(|messages| words(protocol, messages))
                    .find(|said| !said.is_empty())
                    .unwrap();
                let heard = say(stream, &said).await;
                assert!(!heard.is_empty(), "{front} -> {backend}");
                assert_eq!(running.ended(1).await, ["ok"], "{front} -> {backend}: {heard}");
                tried += 1;
            }
        }
    }
    assert!(tried > 60, "{tried}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_speaks_first_hears_nothing_before() {
    let env = Environment::new();
    for protocol in PROTOCOLS.iter().filter(|it| !it.flow.greeting) {
        let all = backends(&env, protocol);
        if let Some(implicit) = protocol.implicit_tls {
            let running = env.gateway(&format!("{}://{{}}", implicit.name), &all[..1], None);
            let mut stream = within(env.connect(protocol, running.address, true)).await;
            assert!(silent(&mut stream).await, "{}", implicit.name);
        }
        let upgraded = all.iter().find(|url| url.contains("+starttls")).unwrap();
        let running = env.gateway(&format!("{}://{{}}", protocol.name), std::slice::from_ref(upgraded), None);
        let mut stream = TcpStream::connect(running.address).await.unwrap();
        assert!(silent(&mut stream).await, "{}", protocol.name);
    }
}

async fn silent(stream: &mut (impl AsyncReadExt + Unpin)) -> bool {
    tokio::time::timeout(Duration::from_millis(200), stream.read_u8()).await.is_err()
}
