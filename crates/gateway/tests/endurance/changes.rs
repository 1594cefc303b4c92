//! Reload and drain under load.

use std::collections::BTreeSet;
use std::sync::Arc;

use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

use crate::load::{Crowd, Setup, ask, echo, until, within};

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_reloads_under_load_fail_no_session() {
    let setup = Arc::new(Setup::new());
    let (first, second) = (echo().await, echo().await);
    let mut running = setup.gateway(first);
    let mut veteran = setup.client(running.address).await;
    let crowd = Crowd::new(&setup, running.address, 4);
    let mut seen = BTreeSet::new();
    within(async {
        for round in 0..100 {
            let backend = if round % 3 == 0 { second } else { first };
            running.gateway.reload(setup.config(backend, (round + 1) % 2)).unwrap();
            let mut client = setup.connect(running.address).await.unwrap();
            ask(&mut client, "reloaded").await;
            seen.insert(client.facts().chain[0].to_vec());
            client.shutdown().await.unwrap();
        }
        // The sessions from before all these changes still work.
        ask(&mut veteran, "veteran").await;
        veteran.shutdown().await.unwrap();
    })
    .await;
    let sessions = within(crowd.stop()).await;
    assert!(sessions > 0);
    assert_eq!(seen.len(), 2, "both certificates were presented");
    until("all sessions are over", || running.gateway.sessions() == 0).await;
    let ended = running.ended.lock().unwrap().clone();
    assert_eq!(ended, vec!["ok"; sessions + 101]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drain_under_load_completes_all_sessions() {
    let setup = Arc::new(Setup::new());
    let running = setup.gateway(echo().await);
    let (gateway, to) = (running.gateway, running.address);
    let mut held = Vec::new();
    for _ in 0..20 {
        held.push(within(setup.client(to)).await);
    }
    // The load opens new connections all the time. The gateway refuses connections only before TLS.
    let load: Vec<_> = (0..4)
        .map(|_| {
            let setup = setup.clone();
            tokio::spawn(async move {
                let mut sessions = 0;
                while let Ok(mut client) = setup.connect(to).await {
                    ask(&mut client, "during the drain").await;
                    client.shutdown().await.unwrap();
                    sessions += 1;
                }
                sessions
            })
        })
        .collect();
    until("there is load", || running.ended.lock().unwrap().len() > 10).await;
    let draining = tokio::task::spawn_blocking(move || gateway.drain());
    within(async {
        let mut sessions = 0;
        for client in load {
            sessions += client.await.unwrap();
        }
        assert!(sessions > 10, "{sessions}");
        until("nobody is let in", || std::net::TcpStream::connect(to).is_err()).await;
        // The existing sessions may continue.
        assert!(!draining.is_finished());
        for client in &mut held {
            ask(client, "after the order").await;
            client.shutdown().await.unwrap();
        }
        assert_eq!(draining.await.unwrap(), 0, "sessions were cut off");
        assert!(TcpStream::connect(to).await.is_err());
        // Every session that completed TLS ended well. Others may have been refused.
        let ended = running.ended.lock().unwrap().clone();
        let well = ended.iter().filter(|how| *how == "ok").count();
        assert!(well >= sessions + held.len(), "{ended:?}");
    })
    .await;
}
