//! Invalid files, changed certificates and names that do not resolve: the gateway continues, and uses what is repaired.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use starttls::Acceptor;
use starttls::proto::smtp::SMTP;
use starttls_gateway::Config;
use starttls_lab::ca::{Authority, Leaf};
use tokio::io::{AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpListener;

use crate::load::{Crowd, Setup, answer, ask, echo, until, within};

#[tokio::test(flavor = "multi_thread")]
async fn reloads_of_broken_files_fail_no_session() {
    storm(60).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the full size: cargo xtask endurance"]
async fn a_storm_of_reloads_of_broken_files() {
    storm(5000).await;
}

async fn storm(rounds: usize) {
    let setup = Arc::new(Setup::new());
    let to = echo().await;
    let mut running = setup.gateway(to);
    let mut veteran = within(setup.client(running.address)).await;
    let crowd = Crowd::new(&setup, running.address, 4);
    let good = std::fs::read(setup.path("1.pem")).unwrap();
    let (mut kept, mut taken, began) = (0, 0, Instant::now());
    for round in 0..rounds {
        // Truncated, not PEM, another certificate, missing, and valid again.
        let other = || std::fs::read(setup.path("0.pem")).unwrap();
        let path = setup.path("1.pem");
        match round % 5 {
            0 => std::fs::write(&path, &good[..good.len() / 4]).unwrap(),
            1 => std::fs::write(&path, b"\0\xff").unwrap(),
            2 => std::fs::write(&path, other()).unwrap(),
            3 => std::fs::remove_file(&path).unwrap(),
            _ => std::fs::write(&path, &good).unwrap(),
        }
        match setup.try_config(to, 1) {
            Ok(config) => {
                running.gateway.reload(config).unwrap();
                taken += 1;
            }
            Err(_) => kept += 1,
        }
        let mut client = within(setup.connect(running.address)).await.unwrap();
        within(ask(&mut client, "reloaded")).await;
        client.shutdown().await.unwrap();
    }
    assert_eq!((kept, taken), (rounds * 4 / 5, rounds / 5));
    within(ask(&mut veteran, "veteran")).await;
    veteran.shutdown().await.unwrap();
    let sessions = within(crowd.stop()).await;
    println!(
        "{kept} broken and {taken} good configurations in {:?}, {sessions} sessions beside them",
        began.elapsed()
    );
    until("all sessions are over", || running.gateway.sessions() == 0).await;
    assert_eq!(*running.ended.lock().unwrap(), vec!["ok"; sessions + rounds + 1]);
}

/// A backend with TLS from the first byte, whose certificate can be changed.
struct Backend {
    address: SocketAddr,
    acceptor: tokio::sync::watch::Sender<Acceptor>,
}

fn acceptor(authority: &Authority) -> Acceptor {
    let leaf = authority.issue(&Leaf::named("localhost")).unwrap();
    Acceptor::builder(&SMTP, "localhost").certificate_pem(leaf.chain_pem, leaf.key_pem).build().unwrap()
}

impl Backend {
    async fn start(authority: &Authority) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, current) = tokio::sync::watch::channel(acceptor(authority));
        tokio::spawn(async move {
            while let Ok((tcp, _)) = listener.accept().await {
                let acceptor = current.borrow().clone();
                tokio::spawn(async move {
                    let Ok(mut stream) = acceptor.accept_implicit(tcp).await else { return };
                    // A gateway that does not trust the certificate closes the connection.
                    if stream.write_all(b"220 backend\r\n").await.is_ok() && stream.flush().await.is_ok() {
                        answer(BufReader::with_capacity(512, stream)).await;
                    }
                });
            }
        });
        Self { address, acceptor: sender }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_may_change_its_certificate() {
    let setup = Setup::new();
    let [old, new] = [Authority::new().unwrap(), Authority::new().unwrap()];
    let backend = Backend::start(&old).await;
    std::fs::write(setup.path("backend.pem"), old.root_pem()).unwrap();
    let forward = format!(
        "{{ url = \"smtps://localhost:{}\", ca-file = {:?} }}",
        backend.address.port(),
        setup.path("backend.pem")
    );
    let config = || Config::parse(&setup.text(&forward, 0), "test").unwrap();
    let mut running = setup.run(config());
    let mut veteran = within(setup.client(running.address)).await;
    // A certificate renewed by the same authority needs no change of the configuration.
    backend.acceptor.send_replace(acceptor(&old));
    within(setup.session(running.address)).await;
    // The gateway does not trust the new authority: clients receive a temporary error.
    backend.acceptor.send_replace(acceptor(&new));
    let began = Instant::now();
    for _ in 0..10 {
        let mut client = within(setup.connect(running.address)).await.unwrap();
        let mut heard = String::new();
        within(client.read_to_string(&mut heard)).await.unwrap();
        assert!(heard.starts_with("421 "), "{heard}");
    }
    println!("ten clients were told that the backend is not to be trusted in {:?}", began.elapsed());
    // After the reload, the gateway trusts both.
    std::fs::write(setup.path("backend.pem"), old.root_pem() + &new.root_pem()).unwrap();
    running.gateway.reload(config()).unwrap();
    within(setup.session(running.address)).await;
    within(ask(&mut veteran, "veteran")).await;
}

fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_cannot_be_looked_up_costs_its_own_clients_only() {
    no_name(100).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the full size: cargo xtask endurance"]
async fn thousands_of_clients_of_a_name_that_cannot_be_looked_up() {
    no_name(2000).await;
}

async fn no_name(count: usize) {
    let setup = Arc::new(Setup::new());
    // RFC 6761 section 6.4: no resolver knows this name.
    let forward = "{ url = \"smtp://backend.invalid\", allow-cleartext = true }";
    let mut running = setup.run(Config::parse(&setup.text(forward, 0), "test").unwrap());
    let sound = setup.gateway(echo().await);
    let (mut clients, began, mut most) = (tokio::task::JoinSet::new(), Instant::now(), 0);
    for _ in 0..count {
        if clients.len() >= 50 {
            within(clients.join_next()).await.unwrap().unwrap();
        }
        most = most.max(threads());
        let (setup, to) = (setup.clone(), running.address);
        clients.spawn(async move {
            let mut client = within(setup.connect(to)).await.unwrap();
            let mut heard = String::new();
            within(client.read_to_string(&mut heard)).await.unwrap();
            assert!(heard.starts_with("421 "), "{heard}");
        });
    }
    within(setup.session(sound.address)).await;
    within(clients.join_all()).await;
    println!(
        "{count} clients of a name that cannot be looked up: told in {:?}, {most} threads",
        began.elapsed()
    );
    // The same recovery as with a name that resolves again.
    running.gateway.reload(setup.config(echo().await, 0)).unwrap();
    within(setup.session(running.address)).await;
}
