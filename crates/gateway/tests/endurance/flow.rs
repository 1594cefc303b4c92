//! How the gateway relays bytes and the end of each direction.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use starttls::Encrypted;
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::load::{Setup, answer, ask, backend, echo, until, within};

#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_one_direction_is_not_the_end_of_the_other() {
    let setup = Setup::new();
    let last = backend(|mut stream| async move {
        let mut said = Vec::new();
        stream.read_to_end(&mut said).await.unwrap();
        stream.write_all(format!("250 {} octets\r\n", said.len()).as_bytes()).await.unwrap();
    })
    .await;
    let running = setup.gateway(last);
    let mut client = setup.connect(running.address).await.unwrap();
    within(async {
        client.write_all(b"said before the end\r\n").await.unwrap();
        client.shutdown().await.unwrap();
        let mut heard = String::new();
        client.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "250 21 octets\r\n");
    })
    .await;

    // The same with the backend ending first.
    let first = backend(|mut stream| async move {
        stream.write_all(b"250 that is all\r\n").await.unwrap();
        stream.shutdown().await.unwrap();
        let mut said = String::new();
        stream.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "said behind the end\r\n");
    })
    .await;
    let other = setup.gateway(first);
    let mut client = setup.connect(other.address).await.unwrap();
    within(async {
        let mut heard = String::new();
        client.read_to_string(&mut heard).await.unwrap();
        assert_eq!(heard, "250 that is all\r\n");
        client.write_all(b"said behind the end\r\n").await.unwrap();
        client.shutdown().await.unwrap();
    })
    .await;
    for running in [running, other] {
        until("the session is over", || running.ended.lock().unwrap().len() == 1).await;
        assert_eq!(*running.ended.lock().unwrap(), ["ok"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_backend_is_not_read_for_a_client_that_does_not_read() {
    const ALL: u64 = 100 << 20;
    let setup = Setup::new();
    let sent = Arc::new(AtomicU64::new(0));
    let count = sent.clone();
    let flood = backend(move |mut stream| {
        let count = count.clone();
        async move {
            assert!(stream.read(&mut [0; 64]).await.unwrap() > 0);
            pour(&mut stream, ALL, &count).await;
        }
    })
    .await;
    let running = setup.gateway(flood);
    let mut client = setup.connect(running.address).await.unwrap();
    within(async {
        client.write_all(b"go\r\n").await.unwrap();
        stuck(&sent, ALL).await;
        // The client starts to read and receives everything.
        assert_eq!(drink(&mut client, ALL).await, ALL);
    })
    .await;

    // The other direction: a backend that reads only after the test notifies it.
    let (read, told) = (Arc::new(AtomicU64::new(0)), Arc::new(tokio::sync::Notify::new()));
    let (count, wait) = (read.clone(), told.clone());
    let lazy = backend(move |mut stream| {
        let (count, wait) = (count.clone(), wait.clone());
        async move {
            stream.read_exact(&mut [0; 4]).await.unwrap();
            wait.notified().await;
            count.store(drink(&mut stream, ALL).await, Ordering::Relaxed);
        }
    })
    .await;
    let running = setup.gateway(lazy);
    let mut client = setup.connect(running.address).await.unwrap();
    let sent = Arc::new(AtomicU64::new(0));
    let count = sent.clone();
    let pouring = tokio::spawn(async move {
        client.write_all(b"go\r\n").await.unwrap();
        pour(&mut client, ALL, &count).await;
        // If unread data, such as a session ticket, remained in the socket, closing it would reset the connection and
        // lose what was sent.
        assert_eq!(client.read(&mut [0; 16]).await.unwrap(), 0);
    });
    within(async {
        stuck(&sent, ALL).await;
        told.notify_one();
        pouring.await.unwrap();
    })
    .await;
    until("the backend has read", || read.load(Ordering::Relaxed) > 0).await;
    assert_eq!(read.load(Ordering::Relaxed), ALL);
}

/// Returns octets that depend on their position, so that moved or lost data is noticed.
fn octets(position: u64, length: usize) -> Vec<u8> {
    (position..position + length as u64).map(|at| (at % 251) as u8).collect()
}

const PIECE: usize = 251 * 256;

async fn pour(stream: &mut (impl AsyncWriteExt + Unpin), all: u64, sent: &AtomicU64) {
    let piece = octets(0, PIECE);
    let mut left = all;
    while left > 0 {
        let length = left.min(PIECE as u64);
        stream.write_all(&piece[..length as usize]).await.unwrap();
        left -= length;
        sent.fetch_add(length, Ordering::Relaxed);
    }
    stream.shutdown().await.unwrap();
}

/// Reads and compares; stops at the first wrong octet.
async fn drink(stream: &mut (impl AsyncReadExt + Unpin), all: u64) -> u64 {
    let (mut got, mut chunk) = (0, vec![0; PIECE]);
    let expected = octets(0, PIECE + 251);
    while got < all {
        let count = stream.read(&mut chunk).await.unwrap();
        let start = (got % 251) as usize;
        if count == 0 || chunk[..count] != expected[start..start + count] {
            break;
        }
        got += count as u64;
    }
    got
}

/// Waits until there is no more progress: what was sent by then is in buffers.
async fn stuck(sent: &AtomicU64, all: u64) {
    let mut before = u64::MAX;
    loop {
        let now = sent.load(Ordering::Relaxed);
        assert!(now < all, "everything was taken from the sender, and nobody has read it");
        if now > 0 && now == before {
            break;
        }
        before = now;
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    // The kernel buffers a few MiB on each leg.
    assert!(before < 48 << 20, "{before} octets lie somewhere");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_dies_takes_its_sessions_along_and_no_others() {
    const DOOMED: usize = 20;
    let setup = Setup::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let dying = tokio::spawn(die_after(listener, DOOMED));
    let (doomed, sound) = (setup.gateway(address), setup.gateway(echo().await));
    let mut other = setup.client(sound.address).await;
    let mut clients: Vec<Encrypted<TcpStream>> = Vec::new();
    within(async {
        for _ in 0..DOOMED {
            clients.push(setup.client(doomed.address).await);
        }
        for client in &mut clients {
            client.write_all(b"nobody answers this\r\n").await.unwrap();
        }
        dying.await.unwrap();
        for client in &mut clients {
            // The session ends with an error: the end of the stream must not look complete.
            let heard = client.read(&mut [0; 64]).await;
            assert!(heard.is_err(), "{heard:?}");
        }
        until("all sessions are over", || doomed.gateway.sessions() == 0).await;
        let ended = doomed.ended.lock().unwrap().clone();
        assert_eq!(ended, vec!["the connection to the backend broke"; DOOMED]);
        // While the backend is down, clients receive an error of the protocol.
        let mut turned_away = setup.connect(doomed.address).await.unwrap();
        let mut heard = String::new();
        turned_away.read_to_string(&mut heard).await.unwrap();
        assert!(heard.starts_with("421 "), "{heard}");
        // The backend returns on the same address and is used again.
        let again = bind(address).await;
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = again.accept().await {
                stream.write_all(b"220 backend\r\n").await.unwrap();
                tokio::spawn(answer(BufReader::new(stream)));
            }
        });
        setup.session(doomed.address).await;
        ask(&mut other, "still there").await;
    })
    .await;
}

async fn bind(address: SocketAddr) -> TcpListener {
    loop {
        match TcpListener::bind(address).await {
            Ok(listener) => return listener,
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}

/// Answers the first line of `count` clients, then closes all with unread bytes, like a process that was killed.
async fn die_after(listener: TcpListener, count: usize) {
    let mut served = Vec::new();
    for _ in 0..count {
        let (mut stream, _) = listener.accept().await.unwrap();
        stream.write_all(b"220 backend\r\n").await.unwrap();
        assert_eq!(stream.read(&mut [0; 64]).await.unwrap(), 7);
        stream.write_all(b"250 first\r\n").await.unwrap();
        served.push(stream);
    }
    for stream in &served {
        stream.readable().await.unwrap();
    }
}
