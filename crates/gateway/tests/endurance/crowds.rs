//! Many silent connections, peers that do not read, and every order in which the two sides can end.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::load::{Running, Setup, backend, echo, until, within};
use crate::many::{memory, possible};

/// Limit in KiB for the memory of one session whose peers do not read: the unwritten data of both directions, and TLS.
/// The socket buffers of the kernel are not included.
const UNREAD: u64 = 512;

#[tokio::test(flavor = "multi_thread")]
async fn mute_connections_take_little_memory_and_delay_no_session() {
    mute(300).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the full size: cargo xtask endurance"]
async fn thousands_of_mute_connections() {
    mute(5000).await;
}

async fn mute(count: usize) {
    // Both ends are in this process.
    let count = possible(count, 2);
    let setup = Arc::new(Setup::new());
    let running = setup.gateway(echo().await);
    let before = memory();
    let mut held = Vec::new();
    within(async {
        while held.len() < count {
            held.push(TcpStream::connect(running.address).await.unwrap());
        }
    })
    .await;
    until("all are there", || running.gateway.sessions() == count).await;
    let each = memory().saturating_sub(before) as f64 / count as f64;
    let (rounds, began) = (20, Instant::now());
    for _ in 0..rounds {
        within(setup.session(running.address)).await;
    }
    let session = began.elapsed() / rounds;
    println!(
        "{count} mute connections: {each:.1} KiB each, both ends; a session beside them takes {session:?}"
    );
    // A stop does not wait for these sessions.
    let Running { gateway, ended, .. } = running;
    let draining = tokio::task::spawn_blocking(move || drop(gateway));
    within(draining).await.unwrap();
    drop(held);
    until("each session is recorded", || ended.lock().unwrap().len() == count + rounds as usize).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sides_that_do_not_read_take_a_bounded_memory() {
    unread(40, false).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the full size: cargo xtask endurance"]
async fn hundreds_of_sides_that_do_not_read() {
    unread(500, true).await;
}

/// Both sides of each session send as much as they can, and neither reads. The memory of this process is measured only
/// if no other test runs in it.
async fn unread(count: usize, alone: bool) {
    let count = possible(count, 4);
    let setup = Arc::new(Setup::new());
    let (stuck, sent) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let (counted, total) = (stuck.clone(), sent.clone());
    let flood = backend(move |mut stream| {
        let (counted, total) = (counted.clone(), total.clone());
        async move {
            assert!(stream.read(&mut [0; 64]).await.unwrap() > 0);
            pour(&mut stream, &counted, &total).await;
            // Holds the connection until the test ends.
            std::future::pending::<()>().await;
        }
    })
    .await;
    let running = setup.gateway(flood);
    let mut clients = Vec::new();
    for _ in 0..count {
        let mut client = within(setup.connect(running.address)).await.unwrap();
        client.write_all(b"MAIL FROM:<>\r\n").await.unwrap();
        client.flush().await.unwrap();
        clients.push(client);
    }
    let before = memory();
    let mut pouring = JoinSet::new();
    for mut client in clients {
        let (counted, total) = (stuck.clone(), sent.clone());
        pouring.spawn(async move {
            pour(&mut client, &counted, &total).await;
            client
        });
    }
    until("both sides of all are stuck", || stuck.load(Ordering::Relaxed) == 2 * count).await;
    let clients = within(pouring.join_all()).await;
    let each = memory().saturating_sub(before) / count as u64;
    println!(
        "{count} sessions of which neither side reads: {each} KiB each, {} MiB on the way",
        sent.load(Ordering::Relaxed) >> 20
    );
    assert!(!alone || each < UNREAD, "{each} KiB each");
    // The gateway still serves other clients.
    assert_eq!(running.gateway.sessions(), count);
    drop(clients);
    until("all sessions are over", || running.gateway.sessions() == 0).await;
}

/// Writes until the peer stops reading.
async fn pour(stream: &mut (impl AsyncWriteExt + Unpin), stuck: &AtomicUsize, sent: &AtomicUsize) {
    let piece = [b'x'; 16 << 10];
    // Three seconds without progress: the other side has stopped reading.
    while let Ok(Ok(count)) = tokio::time::timeout(Duration::from_secs(3), stream.write(&piece)).await {
        sent.fetch_add(count, Ordering::Relaxed);
    }
    stuck.fetch_add(1, Ordering::Relaxed);
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_in_every_order_lose_nothing() {
    ends(60).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the full size: cargo xtask endurance"]
async fn thousands_of_ends_in_every_order() {
    ends(6000).await;
}

/// Varies which side ends first and how much the other side sends afterwards: nothing, a little, more than the buffers.
async fn ends(count: usize) {
    const SIZES: [usize; 3] = [0, 1000, 1 << 20];
    let setup = Arc::new(Setup::new());
    let first = backend(|mut stream| async move {
        // The first line contains two sizes: what the backend sends before its end, and what it receives after that.
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            line.push(stream.read_u8().await.unwrap());
        }
        let line = String::from_utf8(line).unwrap();
        let mut sizes = line.split_whitespace().skip(1).map(|it| it.parse::<usize>().unwrap());
        let (says, hears) = (sizes.next().unwrap(), sizes.next().unwrap());
        stream.write_all(&vec![b'b'; says]).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut heard = Vec::new();
        stream.read_to_end(&mut heard).await.unwrap();
        assert_eq!(heard.len(), hears);
    })
    .await;
    let last = backend(|mut stream| async move {
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await.unwrap();
        stream.write_all(&said).await.unwrap();
        stream.shutdown().await.unwrap();
    })
    .await;
    let (server_first, client_first) = (setup.gateway(first), setup.gateway(last));
    let (to_first, to_last) = (server_first.address, client_first.address);
    let began = Instant::now();
    let mut sessions = JoinSet::new();
    for number in 0..count {
        if sessions.len() >= 20 {
            within(sessions.join_next()).await.unwrap().unwrap();
        }
        let setup = setup.clone();
        let (says, hears) = (SIZES[number % 3], SIZES[number / 3 % 3]);
        sessions.spawn(async move {
            if number % 2 == 0 {
                let mut client = setup.connect(to_last).await.unwrap();
                let said = [b"DATA\r\n".as_slice(), &vec![b'c'; says]].concat();
                client.write_all(&said).await.unwrap();
                client.shutdown().await.unwrap();
                let mut heard = Vec::new();
                client.read_to_end(&mut heard).await.unwrap();
                assert_eq!(heard.len(), said.len(), "session {number}");
            } else {
                let mut client = setup.connect(to_first).await.unwrap();
                client.write_all(format!("DATA {says} {hears}\r\n").as_bytes()).await.unwrap();
                client.flush().await.unwrap();
                let mut heard = Vec::new();
                client.read_to_end(&mut heard).await.unwrap();
                assert_eq!(heard.len(), says, "session {number}");
                client.write_all(&vec![b'c'; hears]).await.unwrap();
                client.shutdown().await.unwrap();
            }
        });
    }
    within(sessions.join_all()).await;
    println!("{count} sessions that end in every order took {:?}", began.elapsed());
    let ended = || [&server_first, &client_first].map(|it| it.ended.lock().unwrap().clone()).concat();
    until("all sessions are over", || ended().len() == count).await;
    assert_eq!(ended(), vec!["ok"; count]);
}
