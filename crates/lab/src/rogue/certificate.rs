//! TLS of a rogue: its certificate, its versions and its timeout.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use starttls::proto::Protocol;
use starttls::rustls::ServerConfig;
use starttls::rustls::crypto::aws_lc_rs;
use starttls::rustls::server::{ClientHello, ResolvesServerCert};
use starttls::rustls::sign::CertifiedKey;
use starttls::rustls::version::TLS13;
use starttls::{Acceptor, AcceptorBuilder, ClientAuth, TlsVersion};
use starttls_hello::Version;

use super::behavior::HANDSHAKE_TIMEOUT;
use super::simulated_tls::SimulatedTls;
use super::tls_model::TlsModel;
use super::weakness::Weakness;
use crate::ca::{Authority, Leaf, Surplus, Usage};
use crate::error::Error;
use crate::lab::SERVER_NAME;
use crate::ocsp::Staple;
use crate::profile;
use crate::weak_key::WeakKey;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// The lowest and the highest TLS version; `None` for all.
pub(super) type Versions = Option<(TlsVersion, TlsVersion)>;

/// The TLS configurations of a server: after its upgrade, and on a port for implicit TLS if it has one.
pub(super) struct Acceptors {
    pub(super) upgrade: Acceptor,
    pub(super) implicit: Option<Acceptor>,
    /// Answers the hellos after an upgrade that the first one does not need to answer.
    pub(super) simulated: Option<SimulatedTls>,
    /// Completes the handshakes after an upgrade in place of the first one.
    pub(super) early_data: Option<Arc<ServerConfig>>,
}

/// Returns the configurations of a server with this weakness, or of a sound one.
pub(super) fn acceptors(
    protocol: &'static Protocol,
    weakness: Option<Weakness>,
    authority: &Authority,
    versions: Versions,
) -> Result<Acceptors, Error> {
    let upgrade = acceptor(protocol, weakness, authority, versions)?;
    let implicit =
        (weakness == Some(Weakness::Shared) && protocol.implicit_tls.is_some()).then(|| upgrade.clone());
    let early_data = match weakness {
        Some(Weakness::EarlyData) => Some(permitting_early_data(protocol, authority)?),
        _ => None,
    };
    Ok(Acceptors { upgrade, implicit, simulated: None, early_data })
}

/// Returns a configuration whose tickets permit early data, which an [`Acceptor`] never does.
fn permitting_early_data(protocol: &Protocol, authority: &Authority) -> Result<Arc<ServerConfig>, Error> {
    let certified = Arc::new(authority.issue(&sound())?.certified()?);
    let provider = Arc::new(aws_lc_rs::default_provider());
    let builder = ServerConfig::builder_with_provider(provider).with_protocol_versions(&[&TLS13]);
    let builder = builder.map_err(io::Error::other).map_err(Error::io("the configuration of TLS"))?;
    let builder = builder.with_no_client_auth();
    let mut config = builder.with_cert_resolver(Arc::new(Presenting(Some(certified))));
    config.alpn_protocols = vec![protocol.alpn.unwrap_or(protocol.name).as_bytes().to_vec()];
    config.max_early_data_size = 16 * 1024;
    Ok(Arc::new(config))
}

/// Returns the configurations of a sound server whose port for implicit TLS has a certificate for another name.
pub(super) fn acceptors_with_other_name(
    protocol: &'static Protocol,
    authority: &Authority,
) -> Result<Acceptors, Error> {
    let other = acceptor(protocol, Some(Weakness::WrongName), authority, None)?;
    Ok(Acceptors {
        upgrade: acceptor(protocol, None, authority, None)?,
        implicit: Some(other),
        simulated: None,
        early_data: None,
    })
}

/// Returns the configurations of a sound server that sends a certificate that its path does not need.
pub(super) fn acceptors_with_surplus(
    protocol: &'static Protocol,
    authority: &Authority,
    surplus: Surplus,
) -> Result<Acceptors, Error> {
    let issued = authority.issue(&sound())?;
    let (intermediate, more) = (authority.intermediate_pem(), authority.surplus_pem(surplus)?);
    let chain = match surplus {
        Surplus::Twin => [issued.cert_pem, more, intermediate].concat(),
        Surplus::CrossSigned | Surplus::Stranger => [issued.cert_pem, intermediate, more].concat(),
    };
    let builder = builder(protocol, chain, issued.key_pem);
    Ok(Acceptors {
        upgrade: builder.build().map_err(Error::Server)?,
        implicit: None,
        simulated: None,
        early_data: None,
    })
}

/// Returns the configurations of a sound server that staples this.
pub(super) fn acceptors_with_staple(
    protocol: &'static Protocol,
    authority: &Authority,
    staple: Staple,
) -> Result<Acceptors, Error> {
    let leaf = sound();
    let (issued, stapled) = (authority.issue(&leaf)?, authority.issue_with_staple(&leaf, staple)?);
    let builder = builder(protocol, issued.chain_pem, issued.key_pem);
    let builder = builder.cert_resolver(Arc::new(Presenting(Some(Arc::new(stapled)))));
    Ok(Acceptors {
        upgrade: builder.build().map_err(Error::Server)?,
        implicit: None,
        simulated: None,
        early_data: None,
    })
}

/// Returns the configurations of a sound server and of a simulated one in front of it, with the same certificate.
pub(super) fn acceptors_with_model(
    protocol: &'static Protocol,
    authority: &Authority,
    model: TlsModel,
) -> Result<Acceptors, Error> {
    let (leaf, newest) = (sound(), model.newest());
    let issued = authority.issue(&leaf)?;
    let chain = issued.certified()?.cert.iter().map(|it| it.to_vec()).collect();
    let builder = builder(protocol, issued.chain_pem, issued.key_pem);
    let builder = match newest {
        Some(Version::Tls13) => builder,
        _ => builder.tls_versions(TlsVersion::Tls12, TlsVersion::Tls12),
    };
    let upgrade = builder.build().map_err(Error::Server)?;
    let simulated = Some(SimulatedTls::new(model, chain, authority, &leaf)?);
    Ok(Acceptors { upgrade, implicit: None, simulated, early_data: None })
}

/// Returns the contents of a valid certificate.
fn sound() -> Leaf {
    Leaf {
        dns: vec![String::from("localhost"), String::from(SERVER_NAME)],
        ips: vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
        ..Leaf::default()
    }
}

fn builder(protocol: &'static Protocol, chain: String, key: String) -> AcceptorBuilder {
    Acceptor::builder(protocol, "localhost")
        .certificate_pem(chain, key)
        .capabilities(profile::capabilities(protocol))
        .timeout(HANDSHAKE_TIMEOUT)
}

fn acceptor(
    protocol: &'static Protocol,
    weakness: Option<Weakness>,
    authority: &Authority,
    versions: Versions,
) -> Result<Acceptor, Error> {
    let now = SystemTime::now();
    let sound = sound();
    let leaf = match weakness {
        Some(Weakness::Expired) => Leaf { not_before: now - 60 * DAY, not_after: now - 2 * DAY, ..sound },
        Some(Weakness::NotYet) => Leaf { not_before: now + 2 * DAY, ..sound },
        Some(Weakness::SoonExpired) => Leaf { not_after: now + 5 * DAY, ..sound },
        Some(Weakness::WrongName) => {
            Leaf { dns: vec![String::from("other.example.test")], ips: Vec::new(), ..sound }
        }
        Some(Weakness::WrongUsage) => Leaf { usage: Usage::Client, ..sound },
        Some(Weakness::SelfSigned) => Leaf { usage: Usage::Authority, ..sound },
        Some(Weakness::CommonNameOnly) => {
            Leaf { dns: Vec::new(), ips: Vec::new(), common_name: Some(String::from("localhost")), ..sound }
        }
        _ => sound,
    };
    let issued = match weakness {
        Some(Weakness::SelfSigned) => Authority::self_signed(&leaf)?,
        Some(Weakness::UnknownRoot) => Authority::named("unknown")?.issue(&leaf)?,
        _ => authority.issue(&leaf)?,
    };
    let chain =
        if weakness == Some(Weakness::MissingIntermediate) { issued.cert_pem } else { issued.chain_pem };
    let builder = builder(protocol, chain, issued.key_pem);
    let builder = match versions {
        Some((min, max)) => builder.tls_versions(min, max),
        None => builder,
    };
    let builder = match weakness.and_then(Weakness::staple) {
        Some(staple) => {
            let certified = Arc::new(authority.issue_with_staple(&leaf, staple)?);
            builder.cert_resolver(Arc::new(Presenting(Some(certified))))
        }
        None => builder,
    };
    let builder = match weakness {
        Some(Weakness::NoCertificate) => builder.cert_resolver(Arc::new(Presenting(None))),
        Some(Weakness::WeakKey) => {
            builder.cert_resolver(Arc::new(Presenting(Some(Arc::new(WeakKey::certified(authority, &leaf)?)))))
        }
        Some(Weakness::VersionOne) => {
            let certified = Arc::new(authority.issue_version_1(&leaf)?);
            builder.cert_resolver(Arc::new(Presenting(Some(certified))))
        }
        Some(Weakness::UnknownExtension) => {
            let certified = Arc::new(authority.issue_with_unknown_extension(&leaf)?);
            builder.cert_resolver(Arc::new(Presenting(Some(certified))))
        }
        Some(Weakness::OldTlsOnly) => builder.tls_versions(TlsVersion::Tls12, TlsVersion::Tls12),
        Some(weakness) if weakness.wants_certificate() => {
            builder.client_auth(ClientAuth::Required, authority.root_pem())
        }
        Some(Weakness::WrongAlpn) => builder.without_alpn(),
        Some(Weakness::Stall | Weakness::Drip) => builder.timeout(DAY),
        _ => builder,
    };
    builder.build().map_err(Error::Server)
}

/// Presents the same certificate to every client, or none.
#[derive(Debug)]
struct Presenting(Option<Arc<CertifiedKey>>);

impl ResolvesServerCert for Presenting {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        self.0.clone()
    }
}
