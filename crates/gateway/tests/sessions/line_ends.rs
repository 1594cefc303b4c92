//! Lines that end with LF alone: the client gets the protocol's error before the connection ends.

use starttls::proto::ClientMessage::{Hello, Probe};
use starttls::proto::{Identity, Phase, Protocol, ServerMessage, each_protocol};
use starttls_gateway::config::UpgradePolicy;

use crate::environment::{Environment, Running, cleartext, say, tell, within, words};

/// Returns the protocol's first command whose line ends with CRLF, if there is one.
fn command(protocol: &Protocol) -> Option<Vec<u8>> {
    let said = [Hello, Probe].map(|message| words(protocol, &[message]));
    said.into_iter().find(|said| said.ends_with(b"\r\n"))
}

fn bare(command: &[u8]) -> Vec<u8> {
    command.iter().copied().filter(|octet| *octet != b'\r').collect()
}

/// Returns the last message of a server.
fn goodbye(protocol: &Protocol, phase: Phase) -> String {
    let mut out = Vec::new();
    let mut dialect = protocol.new_dialect(Identity::new("localhost").in_phase(phase));
    dialect.write_server(ServerMessage::Bye, &mut out);
    String::from_utf8(out).unwrap()
}

fn gateway(env: &Environment, protocol: &Protocol, offer: UpgradePolicy) -> Running {
    let backend = format!("{}://{}", protocol.name, env.cleartext.address(protocol.name).unwrap());
    env.gateway(&format!("{}+starttls://{{}}", protocol.name), &[backend], Some(offer))
}

each_protocol! {
    async if |it| super::command(it).is_some() =>
    a_bare_line_feed_is_answered_before_the_end
}

async fn a_bare_line_feed_is_answered_before_the_end(protocol: &'static Protocol) {
    let (env, command) = (Environment::new(), command(protocol).unwrap());
    for offer in [UpgradePolicy::Required, UpgradePolicy::Hidden, UpgradePolicy::Optional] {
        if offer == UpgradePolicy::Optional && !protocol.flow.tls_may_be_optional {
            continue;
        }
        let running = gateway(&env, protocol, offer);
        let heard = tell(cleartext(protocol, running.address).await, &bare(&command)).await;
        let heard = String::from_utf8_lossy(&heard).into_owned();
        assert_eq!(heard, goodbye(protocol, Phase::Cleartext), "{offer:?}");
        assert!(running.ended(1).await[0].contains("CRLF"), "{offer:?}");
    }
    let running = gateway(&env, protocol, UpgradePolicy::Required);
    let stream = within(env.connect(protocol, running.address, false)).await;
    let heard = say(stream, &bare(&command)).await;
    assert!(heard.ends_with(&goodbye(protocol, Phase::InsideTls)), "inside TLS: {heard:?}");
    assert!(running.ended(1).await[0].contains("CRLF"));
}
