//! A listener from the command line.

use std::path::PathBuf;

use starttls::proto::{ClientName, by_port};

use super::address::{Mode, Url};
use super::backend;
use super::listener::Draft;
use super::networks::Networks;
use super::types::{Config, ListenerLimits, Route, UpgradePolicy};
use crate::certificates::CertificateSource;
use crate::setup_error::SetupError;

/// The arguments of the command line: `LISTEN FORWARD --cert PEM --key PEM` and options.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// The URL to listen on, or a well-known port such as `:587`, which implies the protocol and where TLS starts.
    pub listen: String,
    /// The URLs of backends, in order of preference.
    pub forward: Vec<String>,
    /// The certificate for clients, and its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// A folder of certificates for clients.
    pub directory: Option<PathBuf>,
    /// What clients that do not upgrade are served.
    pub starttls: Option<UpgradePolicy>,
    /// The networks whose clients may connect; empty allows all.
    pub allow: Vec<String>,
    /// Roots for the backend's certificate, in addition to the system's.
    pub ca_file: Option<PathBuf>,
    /// The name to verify in the backend's certificate, instead of its host name.
    pub server_name: Option<String>,
    /// The gateway's own name toward the backend, instead of the host's name.
    pub client_name: Option<ClientName>,
    /// Whether the gateway may send cleartext to a backend on another machine.
    pub allow_cleartext: bool,
}

pub(super) fn parse(arguments: &Arguments) -> Result<Config, SetupError> {
    let listen = with_scheme(&arguments.listen);
    let url = Url::parse(&listen)?;
    let limits = ListenerLimits::default();
    let backends = arguments.forward.iter().map(|forward| {
        let draft = backend::Draft {
            server_name: arguments.server_name.clone(),
            ca_file: arguments.ca_file.clone(),
            allow_cleartext: arguments.allow_cleartext,
            client_name: arguments.client_name.clone(),
            ..backend::Draft::default()
        };
        draft.build(forward, url.protocol, limits.dial)
    });
    let backends = backends.collect::<Result<Vec<_>, _>>()?;
    let pair = arguments.certificate.clone().map(|(chain, key)| CertificateSource::Pair { chain, key });
    let directory = arguments.directory.clone().map(CertificateSource::Directory);
    let mut allow = None;
    for network in &arguments.allow {
        allow.get_or_insert_with(Networks::default).add(network)?;
    }
    let draft = Draft {
        starttls: arguments.starttls,
        sources: pair.into_iter().chain(directory).collect(),
        allow,
        routes: vec![Route { names: Vec::new(), backends, client_auth: None }],
        ..Draft::default()
    };
    Config::of(vec![draft.build(&url)?])
}

/// Returns the URL of a well-known port such as `:587`. Returns other texts unchanged.
fn with_scheme(listen: &str) -> String {
    let port = listen.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    let (false, Some(port)) = (listen.contains("://"), port) else { return listen.to_owned() };
    match by_port(port) {
        Some((protocol, start)) => format!("{}://{listen}", Mode::from(start).scheme(protocol)),
        None => listen.to_owned(),
    }
}
