//! One listener from the command line.

use std::path::PathBuf;

use starttls::proto::{ClientName, by_port};

use super::address::{Mode, Url};
use super::listener::Draft;
use super::{Config, ListenerLimits, Networks, Route, UpgradePolicy, backend};
use crate::certificates::CertificateSource;
use crate::setup_error::SetupError;

/// What the command line says: `LISTEN FORWARD --cert PEM --key PEM`, and what goes with it.
#[derive(Clone, Debug, Default)]
pub struct Arguments {
    /// Where to listen, as a URL; or `:587` and its like, which is the upgrade on a well-known port.
    pub listen: String,
    /// Where to forward to, as URLs in order of preference.
    pub forward: Vec<String>,
    /// The certificate of the front and its key.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// A folder of certificates for the front.
    pub directory: Option<PathBuf>,
    /// How the front deals with those who do not upgrade.
    pub starttls: Option<UpgradePolicy>,
    /// Networks that may connect, if not everybody.
    pub allow: Vec<String>,
    /// Roots that the backend's certificate may lead to, next to the system's.
    pub ca_file: Option<PathBuf>,
    /// The name that the backend has to prove, instead of its host name.
    pub server_name: Option<String>,
    /// What the gateway calls itself toward the backend, instead of the host's own name.
    pub client_name: Option<ClientName>,
    /// Whether the backend may be on another machine and get cleartext.
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

/// `:587` as a URL, where the port says what is meant.
fn with_scheme(listen: &str) -> String {
    let port = listen.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
    let (false, Some(port)) = (listen.contains("://"), port) else { return listen.to_owned() };
    match by_port(port) {
        Some((protocol, start)) => format!("{}://{listen}", Mode::from(start).scheme(protocol)),
        None => listen.to_owned(),
    }
}
