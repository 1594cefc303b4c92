//! A real server, a gateway in front of it, and clients that trust the gateway's certificate.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use starttls::Connector;
use starttls_audit::report::CheckOutcome;
use starttls_audit::{Audit, Limits};
use starttls_gateway::config::Listener;
use starttls_gateway::{Config, Gateway, SessionRecord};
use starttls_lab::ca::{Authority, Leaf};
use starttls_testkit::real::{RealEndpoint, RunningServer, SERVERS, Setup};
use tempfile::TempDir;

use crate::client::{Client, client};

/// Limit for events that the test waits for.
const DEADLINE: Duration = Duration::from_secs(90);

/// TLS between the gateway and the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TlsMode {
    /// TLS is disabled in the server.
    Cleartext,
    /// The server requires TLS, and the gateway verifies its certificate.
    Upgraded,
}

/// A client and what it does.
#[derive(Clone, Copy)]
pub(crate) struct Talk {
    /// The client and its task, as the failure of a test reports them.
    pub(crate) name: &'static str,
    pub(crate) protocol: &'static str,
    pub(crate) talk: fn(&Visit<'_>),
}

/// A running server without a gateway.
pub(crate) struct Backend {
    pub(crate) tls_mode: TlsMode,
    pub(crate) running: RunningServer,
    folder: TempDir,
    root: PathBuf,
}

/// A gateway for one client.
pub(crate) struct Visit<'a> {
    pub(crate) backend: &'a Backend,
    /// The address of the server and the name in its certificate.
    pub(crate) endpoint: &'a RealEndpoint,
    /// The gateway's port on localhost.
    pub(crate) port: u16,
    /// The CA file of the client.
    pub(crate) ca_file: PathBuf,
    records: Arc<Mutex<VecDeque<Ended>>>,
    _gateway: Gateway,
}

/// The result of a finished session.
#[derive(Debug)]
pub(crate) struct Ended {
    /// Whether the client's connection was in TLS.
    pub(crate) front: bool,
    /// Whether the connection to the backend was in TLS; `None` without such a connection.
    pub(crate) upstream: Option<bool>,
    /// The server name that the client requested.
    pub(crate) server_name: Option<String>,
    pub(crate) failure: Option<String>,
}

impl Backend {
    pub(crate) fn start(name: &str, tls_mode: TlsMode) -> Self {
        let server = SERVERS.iter().find(|server| server.name == name).unwrap();
        let setup = match tls_mode {
            TlsMode::Cleartext => Setup::without_tls(),
            TlsMode::Upgraded => Setup::new(),
        }
        .unwrap();
        let running = (server.start)(&setup).unwrap_or_else(|error| panic!("{name}: {error}"));
        let folder = tempfile::tempdir().unwrap();
        let root = setup.authority.write_to(folder.path()).unwrap();
        Self { tls_mode, running, folder, root }
    }

    /// Starts a gateway for one client and runs the client.
    pub(crate) fn hears(&self, talk: Talk) {
        self.hears_with(talk, "");
    }

    /// The same with these keys of the listener.
    pub(crate) fn hears_with(&self, Talk { name, protocol, talk }: Talk, keys: &str) {
        let visit = Visit::with(self, protocol, keys);
        // A panic reports the name of its thread.
        let talking = thread::Builder::new().name(format!("{name}, {:?}", self.tls_mode));
        let talked = thread::scope(|scope| {
            let talking = talking.spawn_scoped(scope, || {
                talk(&visit);
                visit.is_over();
            });
            talking.unwrap().join()
        });
        let records = visit.records.lock().unwrap();
        assert!(talked.is_ok(), "{name}, {:?}; other sessions: {records:?}", self.tls_mode);
    }

    /// Audits the gateway for each protocol of the server and expects no findings.
    pub(crate) fn is_audited(&self) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        for endpoint in &self.running.endpoints {
            let visit = Visit::to(self, endpoint.protocol);
            let root = std::fs::read(&visit.ca_file).unwrap();
            let connector = || Connector::builder().no_system_roots().roots_pem(root.clone());
            let audit = Audit::new(connector, Limits::default()).unwrap();
            let protocol = starttls::proto::protocol(endpoint.protocol).unwrap();
            let address = std::net::SocketAddr::from(([127, 0, 0, 1], visit.port));
            let audit = audit.endpoint(protocol, "the front", &endpoint.server_name, address);
            let audit = async { tokio::time::timeout(2 * DEADLINE, audit).await.unwrap() };
            let report = runtime.block_on(audit);
            assert!(report.tls.is_some(), "{}: {}", protocol.name, report.summary);
            // A check that takes minutes or many connections runs only on request.
            let usual =
                [CheckOutcome::Pass, CheckOutcome::Info, CheckOutcome::NotApplicable, CheckOutcome::NotRun];
            // The gateway sends session tickets with its first data, and servers of MySQL and NATS send none before a login.
            let has_no_ticket = |id: &str| protocol.flow.login_needs_greeting && id == "tls-early-data";
            let findings = report.findings.iter().filter(|it| !usual.contains(&it.outcome));
            let findings = findings.filter(|it| !has_no_ticket(&it.id));
            let findings: Vec<_> = findings.map(|it| format!("{}: {}", it.id, it.summary)).collect();
            assert!(findings.is_empty(), "{} to {:?}: {findings:?}", protocol.name, self.tls_mode);
        }
    }

    /// Creates a new folder, which is removed with the server's folder.
    fn own_folder(&self) -> PathBuf {
        tempfile::tempdir_in(self.folder.path()).unwrap().keep()
    }

    /// Returns the `forward` key for this server.
    pub(crate) fn forward(&self, endpoint: &RealEndpoint) -> String {
        let (scheme, address) = (endpoint.protocol, endpoint.address);
        match self.tls_mode {
            TlsMode::Cleartext => format!("\"{scheme}://{address}\""),
            TlsMode::Upgraded => format!(
                "{{ url = \"{scheme}+starttls://{address}\", server-name = {:?}, ca-file = {:?}, \
                 no-system-roots = true }}",
                endpoint.server_name, self.root
            ),
        }
    }
}

impl<'a> Visit<'a> {
    fn to(backend: &'a Backend, protocol: &str) -> Self {
        Self::with(backend, protocol, "")
    }

    fn with(backend: &'a Backend, protocol: &str, keys: &str) -> Self {
        let endpoint = backend.running.endpoint(protocol).unwrap();
        Self::by(backend, endpoint, &format!("{keys}\nforward = {}", backend.forward(endpoint)))
    }

    /// Starts a gateway with these routes.
    pub(crate) fn by(backend: &'a Backend, endpoint: &'a RealEndpoint, routes: &str) -> Self {
        let folder = backend.own_folder();
        let authority = Authority::new().unwrap();
        let ca_file = authority.write_to(&folder).unwrap();
        let names = ["localhost", "*.example.test"].map(String::from).to_vec();
        let leaf = Leaf { dns: names, ips: vec!["127.0.0.1".parse().unwrap()], ..Leaf::default() };
        let certificate = authority.issue(&leaf).unwrap().write_to(&folder, "front").unwrap();
        Self::presenting(&certificate, ca_file, backend, endpoint, routes)
    }

    /// Starts a gateway that uses the server's certificate.
    pub(crate) fn with_the_servers_certificate(backend: &'a Backend, endpoint: &'a RealEndpoint) -> Self {
        let certificate = ["server.pem", "server.key"].map(|name| backend.running.folder().join(name));
        let ca_file = backend.own_folder().join("root.pem");
        std::fs::copy(&backend.root, &ca_file).unwrap();
        let forward = format!("forward = {}", backend.forward(endpoint));
        Self::presenting(&certificate.into(), ca_file, backend, endpoint, &forward)
    }

    fn presenting(
        (cert, key): &(PathBuf, PathBuf),
        ca_file: PathBuf,
        backend: &'a Backend,
        endpoint: &'a RealEndpoint,
        routes: &str,
    ) -> Self {
        let text = format!(
            "[[listener]]\nlisten = \"{}+starttls://127.0.0.1:0\"\ncert = {cert:?}\nkey = {key:?}\n{routes}\n",
            endpoint.protocol
        );
        let config = Config::parse(&text, "gateway.toml").unwrap_or_else(|error| panic!("{error}\n{text}"));
        let records = Arc::new(Mutex::new(VecDeque::new()));
        let kept = records.clone();
        let observer = move |_: &Listener, record: &SessionRecord| {
            kept.lock().unwrap().push_back(Ended {
                front: record.downstream.is_some(),
                upstream: record.backend.as_ref().map(|_| record.upstream.is_some()),
                server_name: record.server_name.clone(),
                failure: record.failure.as_ref().map(ToString::to_string),
            });
        };
        let gateway = Gateway::start(config, Arc::new(observer)).unwrap();
        let port = gateway.addresses()[0].1.unwrap().port();
        Self { backend, endpoint, port, ca_file, records, _gateway: gateway }
    }

    pub(crate) fn user(&self) -> &str {
        &self.backend.running.user
    }

    pub(crate) fn password(&self) -> &str {
        &self.backend.running.password
    }

    /// Returns the result of the next session.
    pub(crate) fn ended(&self) -> Ended {
        self.until("a session", || self.records.lock().unwrap().pop_front())
    }

    /// Returns the result of the first session without TLS with the client, whatever has ended before.
    pub(crate) fn ended_in_cleartext(&self) -> Ended {
        self.until("a session in cleartext", || {
            let mut records = self.records.lock().unwrap();
            let at = records.iter().position(|it| !it.front)?;
            records.remove(at)
        })
    }

    /// Expects at least one more session, and that all had the expected TLS on both legs. Not every peer sends
    /// close_notify, so a connection may break at its end.
    fn is_over(&self) {
        let mut ended = vec![self.ended()];
        ended.extend(self.records.lock().unwrap().drain(..));
        for session in ended {
            let ended_well = |failure: &String| failure.ends_with(" broke");
            assert!(session.failure.as_ref().is_none_or(ended_well), "{session:?}");
            assert!(session.front, "{session:?}");
            assert_eq!(session.upstream, Some(self.backend.tls_mode == TlsMode::Upgraded), "{session:?}");
        }
    }

    /// Waits for an event that the server causes.
    pub(crate) fn until<T>(&self, what: &str, mut done: impl FnMut() -> Option<T>) -> T {
        let start = Instant::now();
        loop {
            if let Some(done) = done() {
                return done;
            }
            assert!(start.elapsed() < DEADLINE, "{what} was not there in time");
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Waits for a file below the server's folder that contains `text`.
    pub(crate) fn finds(&self, folder: &str, text: &str) -> Vec<u8> {
        let folder = self.backend.running.folder().join(folder);
        self.until(text, || {
            let files = std::fs::read_dir(&folder).into_iter().flatten().flatten();
            let mut contents = files.filter_map(|file| std::fs::read(file.path()).ok());
            contents.find(|content| content.windows(text.len()).any(|window| window == text.as_bytes()))
        })
    }

    /// Writes a file for a client.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.ca_file.with_file_name(name);
        std::fs::write(&path, content).unwrap();
        path
    }

    /// Returns `openssl s_client`, which upgrades, verifies, sends `input` and waits for the end of the connection.
    pub(crate) fn s_client(&self, input: impl Into<Vec<u8>>) -> Client {
        let name = &self.endpoint.server_name;
        client("openssl", "openssl")
            .args(["s_client", "-starttls", self.endpoint.protocol, "-connect"])
            .args([format!("localhost:{}", self.port)])
            .args(["-servername", name, "-verify_hostname", name, "-verify_return_error"])
            .args(["-quiet", "-no-CApath", "-no-CAstore", "-CAfile"])
            .args([&self.ca_file])
            .input(input)
    }

    /// Runs a script in Python. The script can use `context`, `port`, `user`, `password` and `name`.
    pub(crate) fn python(&self, script: &str) {
        let start = "import ssl, sys\nca, port, user, password, name = sys.argv[1:]\nport = int(port)\n\
            context = ssl.create_default_context(cafile=ca)\n";
        client("python3", "python3")
            .args(["-W", "ignore", "-I", "-c", &format!("{start}{script}\nprint('done')")])
            .args([&self.ca_file])
            .args([&self.port.to_string(), self.user(), self.password(), &self.endpoint.server_name])
            .run()
            .with(&["done"]);
    }
}
