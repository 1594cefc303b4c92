//! What the service refuses.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use flate2::read::GzDecoder;
use starttls::proto::smtp::SMTP;
use starttls_lab::{Lab, Options as LabOptions};
use tokio::net::UdpSocket;

use crate::site::{Options, Site, run};

/// A server on this machine sees no connection, whatever its address is called.
#[test]
fn servers_of_this_machine_are_not_asked() {
    let listener = TcpListener::bind("127.0.0.9:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    run(async move {
        let names = NameServer::start(vec![Ipv4Addr::new(127, 0, 0, 9)]).await;
        let resolver = Some(names.address);
        let site = Site::start(Options { ports: vec![port], resolver, ..Options::default() }).await;
        for host in [
            "127.0.0.9",
            "[::ffff:127.0.0.9]",
            "[64:ff9b::7f00:9]",
            "[2002:7f00:9::1]",
            "10.0.0.1",
            "169.254.169.254",
            "[fe80::1]",
            "[::]",
            "0.0.0.0",
            "[::1]",
            "[::127.0.0.9]",
            "[::ffff:7f00:9]",
            "[0:0:0:0:0:ffff:127.0.0.9]",
            "[64:ff9b:1::7f00:9]",
            "[2001:0:7f00:9::80ff:fff6]",
            "[fe80::5efe:127.0.0.9]",
            "[fc00::1]",
            "[fec0::1]",
            "[ff02::1]",
            "[100::1]",
            "[3fff::1]",
            "[5f00::1]",
            "192.168.0.1",
            "172.16.0.1",
            "100.64.0.1",
            "192.0.0.8",
            "198.18.0.1",
            "224.0.0.1",
            "240.0.0.1",
            "255.255.255.255",
            // The resolver answers every name with the address of the server.
            "inside.example.com",
            "127.0.0.9.example.com",
            "localhost.localdomain",
        ] {
            let path = site.audited(&format!("smtp://{host}:{port}")).await;
            let report = site.get(&path).await;
            assert!(
                report.body.contains("not audited: ") && report.body.contains("inconclusive"),
                "{host}: {report:?}"
            );
            let probed = site.get(&format!("/probe?target=smtp://{host}:{port}")).await;
            assert!(probed.body.contains("probe_success 0"), "{host}: {probed:?}");
        }
        for target in [
            "localhost",
            "smtp://127.1",
            "smtp://0x7f.1",
            "smtp://2130706433",
            "smtp://%E2%91%A0%E2%91%A1%E2%91%A6.0.0.1",
            "file:///etc/passwd",
            "",
            "smtp://mail.example.com:22",
            "unix:/x",
            "smtp://0x7f000009",
            "smtp://0177.0.0.011",
            "smtp://127.0.9",
            "smtp://127.0.0.9.",
            "smtp://127.0.0.9%2500",
            "smtp://%EF%BC%91%EF%BC%92%EF%BC%97.0.0.9",
            "smtp://127%E3%80%820%E3%80%820%E3%80%829",
            "smtp://%EF%BD%8Cocalhost",
            "smtp://LOCALHOST",
            "smtp://localhost.",
            "smtp://a.localhost",
            "smtp://[::1%25lo]",
            "smtp://[::1",
            "smtp://user@127.0.0.9",
            "smtp://example.com@127.0.0.9",
            "smtp://127.0.0.9@example.com",
            "smtp://127.0.0.9#@example.com",
            "smtp://127.0.0.9\\@example.com",
            "smtp:%5C%5C127.0.0.9",
            "smtp://9.0.0.127.in-addr.arpa",
            "smtp://printer.local",
            "smtp://metadata.google.internal",
            "http://169.254.169.254/latest/meta-data/",
        ] {
            let refused = site.post("/check", &format!("target={target}")).await;
            assert_eq!(refused.status, 422, "{target}: {refused:?}");
            assert!(
                refused.body.contains("role=\"alert\"") && refused.body.contains("<title>Error"),
                "{refused:?}"
            );
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    });
    assert!(listener.accept().is_err(), "a connection arrived");
}

/// A name server that answers each question for an address with the next of its addresses, and then always with the last one.
struct NameServer {
    address: SocketAddr,
    questions: Arc<AtomicUsize>,
}

impl NameServer {
    async fn start(addresses: Vec<Ipv4Addr>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        let server = Self { address: socket.local_addr().unwrap(), questions: Arc::default() };
        let questions = Arc::clone(&server.questions);
        tokio::spawn(async move {
            let mut query = [0; 1500];
            while let Ok((length, client)) = socket.recv_from(&mut query).await {
                // The question ends after the root's empty label, the type and the class.
                let labels = query[12..length].iter().position(|it| *it == 0).unwrap();
                let question = &query[12..12 + labels + 5];
                let is_address = question[labels + 1..labels + 3] == [0, 1];
                let mut reply = vec![query[0], query[1], 0x81, 0x80, 0, 1, 0, is_address.into(), 0, 0, 0, 0];
                reply.extend_from_slice(question);
                if is_address {
                    let count = questions.fetch_add(1, Ordering::Relaxed);
                    let address = addresses.get(count).or(addresses.last()).unwrap();
                    // A pointer to the name, A, IN, no time to live, four octets.
                    reply.extend_from_slice(&[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 0, 0, 4]);
                    reply.extend_from_slice(&address.octets());
                }
                socket.send_to(&reply, client).await.unwrap();
            }
        });
        server
    }
}

/// The first answer is permitted. Later ones lead to a server that is not.
#[test]
fn a_name_is_looked_up_once() {
    let lab = Lab::start(LabOptions::default()).unwrap();
    let smtp = lab.endpoints().iter().find(|it| it.protocol == &SMTP && !it.implicit).unwrap();
    let port = smtp.address.port();
    let forbidden = TcpListener::bind(("127.0.0.9", port)).unwrap();
    forbidden.set_nonblocking(true).unwrap();
    run(async move {
        let names = NameServer::start(vec![Ipv4Addr::LOCALHOST, Ipv4Addr::new(127, 0, 0, 9)]).await;
        let options = Options {
            ports: vec![port],
            allowed: vec!["127.0.0.1/32"],
            resolver: Some(names.address),
            ..Options::default()
        };
        let site = Site::start(options).await;
        let target = format!("smtp://moving.example.com:{port}");
        let first = site.get(&site.audited(&target).await).await.body;
        assert!(first.contains("EHLO") && first.contains(&format!("127.0.0.1:{port}")), "{first}");
        assert_eq!(names.questions.load(Ordering::Relaxed), 1);
        let second = site.get(&site.audited(&target).await).await.body;
        assert!(second.contains("not audited: ") && !second.contains("EHLO"), "{second}");
    });
    drop(lab);
    assert!(forbidden.accept().is_err(), "a connection arrived");
}

/// Many clients ask for one server, each under another name.
#[test]
fn a_server_is_protected_from_many_clients() {
    run(async {
        let lab = Lab::start(LabOptions::default()).unwrap();
        let smtp = lab.endpoints().iter().find(|it| it.protocol == &SMTP && !it.implicit).unwrap();
        let port = smtp.address.port();
        let names = NameServer::start(vec![Ipv4Addr::LOCALHOST]).await;
        let options = Options {
            ports: vec![port],
            allowed: vec!["127.0.0.0/8"],
            is_public: true,
            resolver: Some(names.address),
            ..Options::default()
        };
        let site = Site::start(options).await;
        let ask = async |client: IpAddr, name: &str| {
            let body = format!("target=smtp://{name}.example.com:{port}&preset=quick&fresh=1");
            let asked = site.post_with("/check", &body, &format!("X-Forwarded-For: {client}\r\n")).await;
            assert_eq!(asked.status, 303, "{client}, {name}: {asked:?}");
            let path = asked.headers["location"].clone();
            site.get(&format!("{path}/live")).await;
            path
        };
        let client = |number: u8| IpAddr::from([203, 0, 113, number]);
        let reports = [ask(client(1), "one").await, ask(client(2), "one").await];
        for number in 3..30 {
            let path = ask(client(number), &format!("name{number}")).await;
            let report = site.get(&path).await.body;
            assert!(report.contains("No server was audited") && !report.contains("EHLO"), "{report}");
        }
        // More than the client's budget, for a target whose budget is used up: a report that exists.
        for _ in 0..10 {
            assert!(reports.contains(&ask(client(1), "one").await));
        }
        let metrics = site.get("/metrics").await.body;
        assert!(metrics.contains("starttls_web_endpoints_total 2\n"), "{metrics}");
        let badge = site.get(&format!("/t/smtp%3A%2F%2Fone.example.com%3A{port}/badge.svg")).await.body;
        assert!(!badge.contains("no report"), "{badge}");
        let badge = site.get(&format!("/t/smtp%3A%2F%2Fname3.example.com%3A{port}/badge.svg")).await.body;
        assert!(badge.contains("no report"), "{badge}");
        tokio::task::spawn_blocking(move || drop(lab)).await.unwrap();
    });
}

#[test]
fn other_sites_cannot_use_the_service() {
    run(async {
        let site = Site::start(Options::default()).await;
        let body = "target=example.com";
        for header in ["Sec-Fetch-Site: cross-site\r\n", "Origin: https://evil.example\r\n"] {
            assert_eq!(site.post_with("/check", body, header).await.status, 403, "{header}");
            assert_eq!(site.post_with("/api/v1/checks", "{}", header).await.status, 403, "{header}");
        }
        // The attacker's name leads to this machine.
        let rebound = site.request("GET / HTTP/1.1\r\nHost: evil.example\r\nConnection: close\r\n\r\n").await;
        assert_eq!(rebound.status, 421);
        let probe =
            "GET /probe?target=example.com HTTP/1.1\r\nHost: localhost\r\nSec-Fetch-Site: cross-site\r\n";
        assert_eq!(site.request(&format!("{probe}Connection: close\r\n\r\n")).await.status, 403);
    });
}

#[test]
fn every_response_has_the_policy() {
    run(async {
        let site = Site::start(Options::default()).await;
        for path in [
            "/",
            "/about",
            "/none",
            "/r/none",
            "/t/example.com",
            "/health",
            "/metrics",
            "/robots.txt",
            "/api/v1/openapi.json",
            "/compare?a=1&b=2",
            "/r/..%2f..%2fetc",
            "/t/%3Cscript%3E",
        ] {
            let reply = site.get(path).await;
            let policy = &reply.headers["content-security-policy"];
            assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{path}: {policy}");
            assert_eq!(reply.headers["x-content-type-options"], "nosniff", "{path}");
            assert!(!reply.body.contains("<script>"), "{path}");
        }
        let badge = site.get("/t/example.com/badge.svg").await;
        assert_eq!(badge.headers["cross-origin-resource-policy"], "cross-origin");
        let home = site.get("/").await.body;
        let style = home
            .split("href=\"")
            .find_map(|rest| rest.starts_with("/assets/").then(|| rest.split('"').next()));
        let style = site.get(style.flatten().unwrap()).await;
        assert!(style.status == 200 && style.headers["cache-control"].contains("immutable"));
        assert_eq!(site.get("/assets/0.css").await.status, 404);
    });
}

#[test]
fn a_page_is_compressed_for_a_browser() {
    run(async {
        let site = Site::start(Options::default()).await;
        let host = site.address;
        let request =
            format!("GET / HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nAccept-Encoding: gzip\r\n\r\n");
        let response = site.octets(&request).await;
        let end = response.windows(4).position(|it| it == b"\r\n\r\n").unwrap() + 4;
        let head = String::from_utf8(response[..end].to_vec()).unwrap();
        assert!(
            head.contains("\r\ncontent-encoding: gzip\r\n") && head.contains("accept-encoding"),
            "{head}"
        );
        let mut page = String::new();
        GzDecoder::new(&response[end..]).read_to_string(&mut page).unwrap();
        assert_eq!(page, site.get("/").await.body);
    });
}

#[test]
fn a_public_service_limits_a_client() {
    run(async {
        let site = Site::start(Options { is_public: true, ..Options::default() }).await;
        let mut statuses = Vec::new();
        for host in 1..=5 {
            statuses.push(site.post("/check", &format!("target=smtp://10.0.0.{host}")).await.status);
        }
        assert_eq!(statuses, [303, 303, 303, 429, 429]);
        let long = "x".repeat(10_000);
        assert_eq!(site.post("/check", &format!("target={long}")).await.status, 413);
    });
}
