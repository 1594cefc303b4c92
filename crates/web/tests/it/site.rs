//! A service on a port of its own, and a client of it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;

use starttls::Connector;
use starttls_audit::{Audit, Limits};
use starttls_dns::{AdTrust, DialPolicy, Stub};
use starttls_web::{Access, ApiKeys, RunStore, TargetPolicy, TargetResolver, WebSettings, serve};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

const DEADLINE: Duration = Duration::from_secs(120);

/// A service that runs until the end of the test's runtime.
pub(crate) struct Site {
    pub(crate) address: SocketAddr,
}

/// A response.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) headers: HashMap<String, String>,
    pub(crate) body: String,
}

/// What differs between the services of the tests.
#[derive(Clone, Default)]
pub(crate) struct Options<'a> {
    /// The root that audits trust.
    pub(crate) root: &'a str,
    /// The ports of servers that may be asked.
    pub(crate) ports: Vec<u16>,
    /// The networks that may be asked.
    pub(crate) allowed: Vec<&'a str>,
    pub(crate) is_public: bool,
    /// The resolver. By default nothing answers.
    pub(crate) resolver: Option<SocketAddr>,
    /// The file of keys.
    pub(crate) keys: &'a str,
    /// The longest wait for one answer of a server; by default longer than a browser needs for what it does meanwhile.
    pub(crate) reply_timeout: Option<Duration>,
}

impl Site {
    pub(crate) async fn start(options: Options<'_>) -> Self {
        let reply_timeout = options.reply_timeout.unwrap_or(Duration::from_secs(60));
        let limits = Limits { reply_timeout, ..Limits::default() };
        let root = options.root.to_owned();
        let builder = || {
            let builder = Connector::builder().no_system_roots();
            if root.is_empty() { builder } else { builder.roots_pem(root.as_str()) }
        };
        let mut dial = DialPolicy::default();
        for network in &options.allowed {
            dial = dial.allow(network.parse().unwrap());
        }
        // A second question would be another one for the server of a test.
        let patience = Duration::from_secs(if options.resolver.is_some() { 30 } else { 1 });
        let resolver = options.resolver.unwrap_or(SocketAddr::from(([127, 0, 0, 1], 9)));
        let stub = Stub::new(vec![resolver], AdTrust::Loopback).unwrap().timeout(patience);
        let settings = WebSettings {
            audit: Audit::new(builder, limits).unwrap(),
            resolver: TargetResolver {
                stub,
                dial,
                targets: TargetPolicy { ports: options.ports, local_names: false },
            },
            store: RunStore::in_memory().unwrap(),
            generator: String::from("starttls 0.0.0"),
            keep: Duration::from_secs(3600),
            keys: ApiKeys::parse(options.keys).unwrap(),
            is_public: options.is_public,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // The tests are the proxy too, so that they can be many clients.
        let access = Access { proxies: vec!["127.0.0.1/32".parse().unwrap()], ..Access::default() };
        tokio::spawn(serve(listener, access, settings));
        Self { address }
    }

    pub(crate) async fn get(&self, path: &str) -> Reply {
        self.request(&format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address))
            .await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Reply {
        self.post_with(path, body, "").await
    }

    /// Sends a POST request with further header lines.
    pub(crate) async fn post_with(&self, path: &str, body: &str, headers: &str) -> Reply {
        let (host, length) = (self.address, body.len());
        self.request(&format!(
            "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        ))
        .await
    }

    /// Sends a request and reads the response up to the end of the connection.
    pub(crate) async fn request(&self, request: &str) -> Reply {
        Reply::parse(&String::from_utf8(self.octets(request).await).unwrap())
    }

    /// Sends a request and returns all octets of the response.
    pub(crate) async fn octets(&self, request: &str) -> Vec<u8> {
        let exchange = async {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut response = Vec::new();
            stream.read_to_end(&mut response).await.unwrap();
            response
        };
        tokio::time::timeout(DEADLINE, exchange).await.unwrap()
    }

    /// Starts an audit and waits for its end. Returns its path.
    pub(crate) async fn audited(&self, target: &str) -> String {
        let started = self.post("/check", &format!("target={target}&fresh=1")).await;
        assert_eq!(started.status, 303, "{started:?}");
        let path = started.headers["location"].clone();
        let live = self.get(&format!("{path}/live")).await;
        assert!(live.status == 303 || live.body.contains("Finished: see the report"), "{live:?}");
        path
    }
}

impl Reply {
    fn parse(response: &str) -> Self {
        let (head, body) = response.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no head: {response:?}"));
        let mut lines = head.lines();
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: HashMap<String, String> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let is_chunked = headers.get("transfer-encoding").is_some_and(|it| it == "chunked");
        let body = if is_chunked { unchunked(body) } else { body.to_owned() };
        Self { status, headers, body }
    }
}

fn unchunked(mut body: &str) -> String {
    let mut out = String::new();
    while let Some((size, rest)) = body.split_once("\r\n") {
        let size = usize::from_str_radix(size, 16).unwrap();
        if size == 0 {
            break;
        }
        out.push_str(&rest[..size]);
        body = &rest[size + 2..];
    }
    out
}

/// Runs a test with a deadline.
pub(crate) fn run(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(8 * DEADLINE, test).await.unwrap() });
    runtime.shutdown_background();
}
