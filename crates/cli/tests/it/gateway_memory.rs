//! The memory of an idle connection in the gateway.

use std::fs;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use starttls::proto::smtp::SMTP;
use starttls::{Connector, Encrypted, Endpoint};
use starttls_lab::ca::{Authority, Leaf};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

use crate::support::process::{DEADLINE, Live};
use crate::support::starttls;

/// Limit in KiB for an idle upgraded connection with its connection to the backend.
const MOST: u64 = 16;
/// Connections before the first measurement, so that one-time allocations are not counted.
const BEFORE: usize = 100;
const HELD: usize = 300;

/// Starts a backend that greets and answers every line, and returns its port.
async fn backend() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                stream.write_all(b"220 backend\r\n").await.unwrap();
                let mut lines = BufReader::with_capacity(512, stream);
                let mut line = String::new();
                // A client may close its connection at any time.
                while lines.read_line(&mut line).await.is_ok_and(|count| count > 0) {
                    line.clear();
                    if lines.write_all(b"250 OK\r\n").await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    port
}

/// Returns a client whose session is established and idle.
async fn client(connector: &Connector, port: u16) -> Encrypted<TcpStream> {
    let endpoint = Endpoint::new("localhost", port).at("127.0.0.1", port);
    let mut client = connector.connect(&SMTP, endpoint).await.unwrap();
    for line in ["EHLO me\r\n", "MAIL FROM:<>\r\n"] {
        client.write_all(line.as_bytes()).await.unwrap();
        client.flush().await.unwrap();
        client.read_exact(&mut [0; 8]).await.unwrap();
    }
    client
}

/// Returns the private memory of a process in KiB, without shared code and kernel memory.
fn memory(process: u32) -> u64 {
    let rollup = fs::read_to_string(format!("/proc/{process}/smaps_rollup")).unwrap();
    let line = rollup.lines().find_map(|line| line.strip_prefix("Pss_Anon:")).unwrap();
    line.trim().strip_suffix(" kB").unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_connection_takes_little() {
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    setrlimit(Resource::RLIMIT_NOFILE, most, most).unwrap();
    let (dir, authority) = (tempfile::tempdir().unwrap(), Authority::new().unwrap());
    authority.issue(&Leaf::named("localhost")).unwrap().write_to(dir.path(), "front").unwrap();
    let folder = dir.path().display();
    let text = format!(
        "log = \"{folder}/log\"\n[limits]\nconnections-per-address = 1000\nhandshakes-per-second = 1000\n\
         [[listener]]\nlisten = \"smtp+starttls://127.0.0.1:0\"\ncert = \"{folder}/front.pem\"\n\
         key = \"{folder}/front.key\"\nforward = \"smtp://127.0.0.1:{}\"\n",
        backend().await
    );
    let config = dir.path().join("gateway.toml");
    fs::write(&config, text).unwrap();
    let gateway = Live::start(starttls(["gateway", "-c"]).arg(config));
    let connector = Connector::builder().no_system_roots().roots_pem(authority.root_pem());
    let connector = connector.timeout(DEADLINE).build().unwrap();
    let holding = async {
        let port = loop {
            let log = fs::read_to_string(dir.path().join("log")).unwrap_or_default();
            let port = log.split_once("listens on 127.0.0.1:").map(|(_, rest)| rest);
            match port.and_then(|rest| rest.split_once(|it: char| !it.is_ascii_digit())) {
                Some((port, _)) => break port.parse().unwrap(),
                None => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        let mut held = Vec::new();
        for _ in 0..BEFORE {
            held.push(client(&connector, port).await);
        }
        let before = memory(gateway.id());
        for _ in 0..HELD {
            held.push(client(&connector, port).await);
        }
        let each = (memory(gateway.id()) - before) as f64 / HELD as f64;
        assert!(each <= MOST as f64, "{each:.1} KiB each");
        // The connections are still served.
        for client in &mut held {
            client.write_all(b"NOOP\r\n").await.unwrap();
            client.flush().await.unwrap();
            client.read_exact(&mut [0; 8]).await.unwrap();
        }
        each
    };
    let each = tokio::time::timeout(2 * DEADLINE, holding).await.expect("it was not done in time");
    assert!(each > 1.0, "{each:.1} KiB each: something else was looked at");
}
