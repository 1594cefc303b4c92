//! Many sessions at once.

use std::iter;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::load::{Setup, ask, echo, until, within};

/// Returns `wanted`, or the number of sessions that the limit of open files allows, each with `ends` sockets in this
/// process.
pub(crate) fn possible(wanted: usize, ends: u64) -> usize {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let possible = usize::try_from(most.saturating_sub(200) / ends).unwrap();
    if possible < wanted {
        println!("{possible} connections instead of {wanted}: no more than {most} files may be open");
    }
    wanted.min(possible)
}

/// Returns the memory of this process in KiB, without the memory of the kernel.
pub(crate) fn memory() -> u64 {
    let rollup = std::fs::read_to_string("/proc/self/smaps_rollup").unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss_Anon:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn held_connections_stay_and_are_served() {
    held(300).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the full size: cargo xtask endurance"]
async fn thousands_of_held_connections() {
    held(5000).await;
}

/// A session is parked about a second after its last octets. What arrives just then must not be lost.
#[tokio::test(flavor = "multi_thread")]
async fn octets_that_arrive_at_the_moment_of_parking_are_answered() {
    let setup = Arc::new(Setup::new());
    let running = setup.gateway(echo().await);
    let mut sessions = JoinSet::new();
    for number in 0..100 {
        let (setup, to) = (setup.clone(), running.address);
        sessions.spawn(async move {
            let mut client = setup.client(to).await;
            for turn in 0..6 {
                tokio::time::sleep(Duration::from_millis(900 + (number * 37 + turn * 211) % 1300)).await;
                ask(&mut client, &format!("{number}-{turn}")).await;
            }
            client.shutdown().await.unwrap();
        });
    }
    within(sessions.join_all()).await;
    until("all sessions are over", || running.gateway.sessions() == 0).await;
    assert_eq!(*running.ended.lock().unwrap(), vec!["ok"; 100]);
    assert_eq!(running.gateway.parked(), 0);
}

async fn held(count: usize) {
    // Both sides of both legs are in this process.
    let count = possible(count, 4);
    let setup = Arc::new(Setup::new());
    let running = setup.gateway(echo().await);
    let mut opening = JoinSet::new();
    let mut held = Vec::new();
    let (before, began) = (memory(), Instant::now());
    within(async {
        for number in 0..count {
            let (setup, to) = (setup.clone(), running.address);
            opening.spawn(async move { setup.client(to).await });
            // At most 50 handshakes at the same time: connection bursts have a test of their own.
            if number >= 50 {
                held.push(opening.join_next().await.unwrap().unwrap());
            }
        }
        held.extend(opening.join_all().await);
    })
    .await;
    assert_eq!(running.gateway.sessions(), count);
    let each = memory().saturating_sub(before) as f64 / count as f64;
    println!("{count} held connections: {each:.1} KiB each, all ends; opened in {:?}", began.elapsed());
    until("all sessions are parked", || running.gateway.parked() == count).await;
    within(async {
        for (number, client) in held.iter_mut().enumerate() {
            ask(client, &format!("again-{number}")).await;
        }
        for client in &mut held {
            client.shutdown().await.unwrap();
        }
    })
    .await;
    until("all sessions are over", || running.gateway.sessions() == 0).await;
    assert_eq!(*running.ended.lock().unwrap(), vec!["ok"; count]);
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_dribble_do_not_slow_others() {
    const SLOW: usize = 200;
    let setup = Arc::new(Setup::new());
    let running = setup.gateway(echo().await);
    let begun = Arc::new(AtomicUsize::new(0));
    let (heard, to) = (Arc::new(AtomicUsize::new(0)), running.address);
    let (finish, may_finish) = watch::channel(false);
    let mut slow = JoinSet::new();
    for number in 0..SLOW {
        let (setup, begun, heard) = (setup.clone(), begun.clone(), heard.clone());
        let may_finish = may_finish.clone();
        slow.spawn(async move {
            // Half of them send slowly before TLS, half inside TLS.
            if number % 2 == 0 {
                let mut tcp = TcpStream::connect(to).await.unwrap();
                assert!(tcp.read(&mut [0; 512]).await.unwrap() > 0);
                dribble(&mut tcp, &begun, may_finish).await;
                assert!(tcp.read(&mut [0; 512]).await.unwrap() > 0);
            } else {
                let mut client = setup.client(to).await;
                dribble(&mut client, &begun, may_finish).await;
                assert!(client.read(&mut [0; 512]).await.unwrap() > 0);
            }
            heard.fetch_add(1, Ordering::Relaxed);
        });
    }
    until("all have begun", || begun.load(Ordering::Relaxed) == SLOW).await;
    // The slow clients send their first line octet by octet. Meanwhile other clients run whole sessions.
    let others: JoinSet<()> = (0..8)
        .map(|_| {
            let setup = setup.clone();
            async move {
                for _ in 0..5 {
                    setup.session(to).await;
                }
            }
        })
        .collect();
    within(others.join_all()).await;
    assert_eq!(heard.load(Ordering::Relaxed), 0, "the others had to wait for those that dribble");
    // The slow clients are served in the end.
    finish.send_replace(true);
    within(slow.join_all()).await;
    assert_eq!(heard.load(Ordering::Relaxed), SLOW);
}

/// Sends a line slowly, and its end when it is time to finish.
async fn dribble(
    stream: &mut (impl AsyncWriteExt + Unpin),
    begun: &AtomicUsize,
    mut may_finish: watch::Receiver<bool>,
) {
    stream.write_all(b"N").await.unwrap();
    stream.flush().await.unwrap();
    begun.fetch_add(1, Ordering::Relaxed);
    for octet in b"OOP ".iter().chain(iter::repeat(&b'x')) {
        stream.write_all(&[*octet]).await.unwrap();
        stream.flush().await.unwrap();
        if tokio::time::timeout(Duration::from_secs(1), may_finish.wait_for(|it| *it)).await.is_ok() {
            break;
        }
    }
    stream.write_all(b"\r\n").await.unwrap();
    stream.flush().await.unwrap();
}
