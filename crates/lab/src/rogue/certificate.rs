//! The TLS side of a rogue: its certificate, its versions, its patience.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use starttls::proto::Protocol;
use starttls::rustls::server::{ClientHello, ResolvesServerCert};
use starttls::rustls::sign::CertifiedKey;
use starttls::{Acceptor, TlsVersion};

use super::Weakness;
use crate::ca::{Authority, Leaf, Usage};
use crate::{Error, SERVER_NAME, apps};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// For a handshake that does not end.
const PATIENCE: Duration = Duration::from_secs(5);

/// The acceptor of a server with this weakness, or of a sound one.
pub(super) fn acceptor(
    protocol: &'static Protocol,
    weakness: Option<Weakness>,
    authority: &Authority,
) -> Result<Acceptor, Error> {
    let now = SystemTime::now();
    let sound = Leaf {
        dns: vec![String::from("localhost"), String::from(SERVER_NAME)],
        ips: vec![IpAddr::V4(Ipv4Addr::LOCALHOST), IpAddr::V6(Ipv6Addr::LOCALHOST)],
        ..Leaf::default()
    };
    let leaf = match weakness {
        Some(Weakness::Expired) => Leaf { not_before: now - 60 * DAY, not_after: now - 2 * DAY, ..sound },
        Some(Weakness::NotYet) => Leaf { not_before: now + 2 * DAY, ..sound },
        Some(Weakness::SoonExpired) => Leaf { not_after: now + 5 * DAY, ..sound },
        Some(Weakness::WrongName) => {
            Leaf { dns: vec![String::from("other.example.test")], ips: Vec::new(), ..sound }
        }
        Some(Weakness::WrongUsage) => Leaf { usage: Usage::Client, ..sound },
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
    let builder = Acceptor::builder(protocol, "localhost")
        .certificate_pem(chain, issued.key_pem)
        .capabilities(apps::capabilities(protocol))
        .timeout(PATIENCE);
    let builder = match weakness {
        Some(Weakness::NoCertificate) => builder.resolver(Arc::new(Nothing)),
        Some(Weakness::OldTlsOnly) => builder.tls_versions(TlsVersion::Tls12, TlsVersion::Tls12),
        Some(Weakness::WrongAlpn) => builder.without_alpn(),
        Some(Weakness::Stall) => builder.timeout(DAY),
        _ => builder,
    };
    builder.build().map_err(Error::Server)
}

/// Has no certificate for anybody.
#[derive(Debug)]
struct Nothing;

impl ResolvesServerCert for Nothing {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        None
    }
}
