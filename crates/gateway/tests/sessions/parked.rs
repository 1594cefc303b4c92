//! Sessions that are parked because nothing moves, and what happens to them then.

use std::sync::Arc;

use starttls::proto::smtp::LMTP;
use starttls_gateway::config::Listener;
use starttls_gateway::{Config, Gateway, SessionRecord};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

use crate::environment::{Environment, parked, within};
use crate::legs::{Between, Break, LEGS};

/// Either side may be the first to send. Whether the gateway parses the session does not matter.
#[tokio::test(flavor = "multi_thread")]
async fn a_parked_session_goes_on_when_a_side_sends() {
    let env = Environment::new();
    for legs in LEGS {
        let between = Between::start(&env, legs, "").await;
        let running = &between.running;
        let mut sessions = Vec::new();
        for opaque in [false, true] {
            for _ in 0..2 {
                sessions.push(between.session(opaque).await);
            }
        }
        running.parked(sessions.len()).await;
        for (number, (client, backend)) in sessions.iter_mut().enumerate() {
            match number % 2 {
                0 => {
                    client.say("NOOP\r\n").await;
                    backend.hear("NOOP\r\n").await;
                }
                _ => {
                    backend.say("421 bye\r\n").await;
                    client.hear("421 bye\r\n").await;
                }
            }
        }
        // Those that have ended in the protocol wait for the end of their connections, as the others do.
        running.parked(sessions.len()).await;
        for (client, backend) in &mut sessions {
            within(client.io().shutdown()).await.unwrap();
            assert_eq!(backend.rest().await.unwrap(), "", "{legs:?}");
            within(backend.io().shutdown()).await.unwrap();
            assert_eq!(client.rest().await.unwrap(), "", "{legs:?}");
        }
        assert_eq!(running.ended(sessions.len()).await, vec!["ok"; sessions.len()], "{legs:?}");
    }
}

/// What the gateway has read of a command waits with the session.
#[tokio::test(flavor = "multi_thread")]
async fn a_session_can_park_in_the_middle_of_a_command() {
    let env = Environment::new();
    for legs in LEGS {
        let between = Between::start(&env, legs, "").await;
        let (mut client, mut backend) = between.session(false).await;
        for part in ["N", "OO", "P\r", "\n"] {
            between.running.parked(1).await;
            client.say(part).await;
            between.running.parked(0).await;
        }
        backend.hear("NOOP\r\n").await;
    }
}

/// See [`crate::broken`] for the same without a pause.
#[tokio::test(flavor = "multi_thread")]
async fn g7_a_connection_that_breaks_while_it_is_parked_stays_broken() {
    let env = Environment::new();
    for legs in LEGS {
        let between = Between::start(&env, legs, "").await;
        let running = &between.running;
        let mut cases = Vec::new();
        for number in 0..8 {
            let [opaque, client_breaks, resets] = [1, 2, 4].map(|bit| number & bit != 0);
            let how = if resets { Break::Reset } else { Break::Truncation };
            if how == Break::Reset || if client_breaks { legs.front } else { legs.back } {
                let peers = between.session(opaque).await;
                cases.push((opaque, client_breaks, how, peers));
            }
        }
        running.parked(cases.len()).await;
        for (opaque, client_breaks, how, (client, backend)) in cases {
            let (breaking, mut other) = if client_breaks { (client, backend) } else { (backend, client) };
            breaking.break_off(how);
            let rest = other.rest().await;
            let case = format!("{legs:?}, opaque: {opaque}, client breaks: {client_breaks}, {how:?}");
            assert!(rest.is_err(), "{case}: the other side saw an end in good order after {rest:?}");
        }
    }
}

/// A session between Unix sockets is parked too.
#[tokio::test(flavor = "multi_thread")]
async fn unix_sockets_are_parked() {
    let env = Environment::new();
    let [front, back] = ["front", "back"].map(|name| env.folder.path().join(name));
    let (cert, key) = &env.certificate;
    let text = format!(
        "[[listener]]\nlisten = \"lmtp+starttls://unix:{}\"\ncert = {cert:?}\nkey = {key:?}\n\
         forward = \"lmtp://unix:{}\"\n",
        front.display(),
        back.display()
    );
    let listener = UnixListener::bind(&back).unwrap();
    let config = Config::parse(&text, "test").unwrap();
    let gateway = Gateway::start(config, Arc::new(|_: &Listener, _: &SessionRecord| {})).unwrap();
    let backend = async {
        let mut backend = within(listener.accept()).await.unwrap().0;
        backend.write_all(b"220 backend\r\n").await.unwrap();
        backend
    };
    let client = async {
        let socket = UnixStream::connect(&front).await.unwrap();
        within(env.connector.upgrade(&LMTP, "localhost", socket)).await.unwrap()
    };
    let (mut client, mut backend) = tokio::join!(client, backend);
    parked(&gateway, 1).await;
    within(client.write_all(b"NOOP\r\n")).await.unwrap();
    within(client.flush()).await.unwrap();
    let mut heard = [0; 6];
    within(backend.read_exact(&mut heard)).await.unwrap();
    assert_eq!(&heard, b"NOOP\r\n");
    parked(&gateway, 1).await;
}
