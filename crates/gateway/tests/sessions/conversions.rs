//! Each protocol with each kind of listener and each kind of backend.

use std::time::Duration;

use starttls::proto::ClientMessage::{Credentials, Hello, Other, Quit};
use starttls::proto::{AfterUpgrade, Identity, PROTOCOLS, Protocol, each_protocol};
use starttls_gateway::Config;
use starttls_gateway::config::Arguments;

use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::environment::{Environment, cleartext, say, tell, within, words};

/// Returns the URLs of the protocol's servers: without TLS, with an upgrade, and with TLS from the first byte.
pub(crate) fn backends(env: &Environment, protocol: &Protocol) -> Vec<String> {
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

each_protocol_with_own_greeting! { every_listener_reaches_every_backend }

each_protocol! {
    async if |it| !it.flow.has_cleartext_sessions =>
    every_listener_with_tls_reaches_every_backend_with_tls
    a_url_without_tls_is_refused
}

async fn every_listener_with_tls_reaches_every_backend_with_tls(protocol: &'static Protocol) {
    every_listener_reaches_every_backend(protocol).await;
}

async fn a_url_without_tls_is_refused(protocol: &'static Protocol) {
    let (env, name) = (Environment::new(), protocol.name);
    let upgraded = format!("{name}+starttls");
    for (listen, forward) in [(name, &*upgraded), (&*upgraded, name), (name, name)] {
        let config = Config::from_arguments(&Arguments {
            listen: format!("{listen}://127.0.0.1:0"),
            forward: vec![format!("{forward}://127.0.0.1:1")],
            certificate: (listen != name).then(|| env.certificate.clone()),
            ..Arguments::default()
        });
        let error = config.unwrap_err().to_string();
        let expected = format!("expected {upgraded}://, because");
        assert!(error.contains(&expected), "{listen} to {forward}: {error}");
    }
}

/// Returns the schemes of the protocol's listeners with TLS, and whether TLS starts at the first byte.
pub(crate) fn listeners(protocol: &Protocol) -> Vec<(String, bool)> {
    let upgrade = (format!("{}+starttls", protocol.name), false);
    let implicit = protocol.implicit_tls.map(|tls| (tls.name.to_owned(), true));
    [upgrade].into_iter().chain(implicit).collect()
}

/// Returns the hello and the goodbye of a client, or another message in protocols without them.
pub(crate) fn message_that_is_answered(protocol: &Protocol) -> Vec<u8> {
    [[Hello, Quit].as_slice(), &[Other], &[Credentials]]
        .into_iter()
        .map(|messages| words(protocol, messages))
        .find(|said| !said.is_empty())
        .unwrap()
}

async fn every_listener_reaches_every_backend(protocol: &'static Protocol) {
    let env = Environment::new();
    for (number, backend) in backends(&env, protocol).into_iter().enumerate() {
        for (scheme, implicit) in listeners(protocol) {
            let mut config = env.config(&format!("{scheme}://{{}}"), std::slice::from_ref(&backend), None);
            config.listeners[0].busy_poll = number.is_multiple_of(2);
            let running = env.start(config);
            let stream = within(env.connect(protocol, running.address, implicit)).await;
            let heard = say(stream, &message_that_is_answered(protocol)).await;
            assert!(!heard.is_empty(), "{scheme} -> {backend}");
            assert_eq!(running.ended(1).await, ["ok"], "{scheme} -> {backend}: {heard}");
        }
    }
}

#[test]
fn there_are_more_than_sixty_combinations() {
    let env = Environment::new();
    let tried = PROTOCOLS.iter().filter(|it| it.flow.after != AfterUpgrade::SequenceContinues);
    let tried: usize = tried.map(|it| backends(&env, it).len() * listeners(it).len()).sum();
    assert!(tried > 60, "{tried}");
}

each_protocol! {
    async if |it| !it.flow.greeting && it.flow.has_cleartext_sessions =>
    a_client_that_speaks_first_receives_nothing_before
}

async fn a_client_that_speaks_first_receives_nothing_before(protocol: &'static Protocol) {
    let env = Environment::new();
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

async fn silent(stream: &mut (impl AsyncReadExt + Unpin)) -> bool {
    tokio::time::timeout(Duration::from_millis(200), stream.read_u8()).await.is_err()
}

each_protocol! {
    async if |it| !it.flow.client_preamble.is_empty() =>
    a_preamble_reaches_a_backend_once
}

/// A client without TLS sends its preamble to the gateway, which has sent its own to the backend before the upgrade.
async fn a_preamble_reaches_a_backend_once(protocol: &'static Protocol) {
    let env = Environment::new();
    for backend in backends(&env, protocol).into_iter().filter(|it| it.contains("+starttls")) {
        let running = env.gateway(&format!("{}://{{}}", protocol.name), std::slice::from_ref(&backend), None);
        let mut dialect = protocol.new_dialect(Identity::new("localhost").with_nonce(0));
        let mut said = Vec::new();
        dialect.write_client(Other, &mut said);
        assert!(said.starts_with(protocol.flow.client_preamble), "{}", protocol.name);
        let heard = tell(cleartext(protocol, running.address).await, &said).await;
        assert!(!heard.is_empty(), "{backend}");
        assert_eq!(running.ended(1).await, ["ok"], "{backend}: {}", heard.escape_ascii());
    }
}
