//! The upgrade succeeds only with a valid certificate.

use starttls::{CertificateVerdict, Connector, Encrypted, Endpoint};

use super::{Peer, Run};
use crate::middle::Middle;

pub(crate) fn all(peer: &Peer) {
    the_command_upgrades(peer);
    the_command_says_goodbye(peer);
    the_library_upgrades(peer);
    c5_an_unknown_root_is_refused(peer);
    c5_another_name_is_refused(peer);
}

fn the_command_upgrades(peer: &Peer) {
    let run = Run::of(peer.connect(peer.endpoint.address.port()).args(["--format", "json"]));
    let context = format!("{}:\n{}\n{}", peer.protocol.name, run.stdout, run.stderr);
    assert_eq!(run.code, 0, "{context}");
    let report = run.json();
    assert_eq!(report["outcome"], "encrypted", "{context}");
    assert_eq!(report["negotiation"]["requested"], true, "{context}");
    assert_eq!(report["negotiation"]["accepted"], true, "{context}");
    assert_eq!(report["certificate"]["verified"], true, "{context}");
    let malformed =
        |it: &&serde_json::Value| ["malformed", "incomplete"].contains(&it["meaning"].as_str().unwrap());
    let messages = report["negotiation"]["messages"].as_array().unwrap();
    assert_eq!(messages.iter().find(malformed), None, "the observer cannot read {context}");
}

/// Without input, the command prints its report, sends the protocol's goodbye and succeeds.
fn the_command_says_goodbye(peer: &Peer) {
    let run = Run::of(&mut peer.connect(peer.endpoint.address.port()));
    assert_eq!(run.code, 0, "{}:\n{}\n{}", peer.protocol.name, run.stdout, run.stderr);
    assert!(run.stderr.contains("TLS starts here") && run.stderr.contains("verified"), "{}", run.stderr);
}

fn the_library_upgrades(peer: &Peer) {
    let connector = Connector::builder().no_system_roots().roots_pem(peer.root_pem.as_str()).build().unwrap();
    let (name, address) = (&peer.endpoint.server_name, peer.endpoint.address);
    let to = Endpoint::new(name, address.port()).at(address.ip().to_string(), address.port());

    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let session = runtime.block_on(connector.connect(peer.protocol, to.clone()));
    is_verified(peer, session);
    is_verified(peer, connector.blocking().connect(peer.protocol, to));
}

#[track_caller]
fn is_verified<IO>(peer: &Peer, session: Result<Encrypted<IO>, starttls::Error>) {
    let session = session.unwrap_or_else(|error| panic!("{}: {error}", peer.protocol.name));
    assert_eq!(session.facts().verdict, CertificateVerdict::Verified, "{}", peer.protocol.name);
}

fn c5_an_unknown_root_is_refused(peer: &Peer) {
    let command = peer.connect_as(peer.endpoint.address.port(), &peer.endpoint.server_name);
    let report = peer.refuses("unknown root", command, 5, &["it does not lead to a trusted root"]);
    assert_eq!(report["certificate"]["verified"], false);
    assert!(report["error"]["hint"].as_str().unwrap().contains("--ca-file"), "{report}");
}

/// In protocols that send the name in cleartext too (XMPP, HTTP), a relay replaces it for both sides, so that only the
/// certificate is wrong.
fn c5_another_name_is_refused(peer: &Peer) {
    const OTHER: &str = "other.example.test";
    let names = Some((OTHER, peer.endpoint.server_name.clone()));
    let middle = Middle { names, ..Middle::new(peer) };
    let mut command = peer.connect_as(middle.start(), OTHER);
    command.arg("--no-system-roots").arg("--ca-file").arg(&peer.ca_file);
    peer.refuses("another name", command, 5, &[&peer.endpoint.server_name, "not for", OTHER]);
}
