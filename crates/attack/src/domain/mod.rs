//! A mail domain for one run of a sender: its DNS server, its policy host and its mail exchanger, which an attacker changes
//! after a first delivery.

mod dns;
mod policy_host;
mod zone;

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Deserialize;
use starttls::rustls::sign::CertifiedKey;
use starttls::x509::Certificate;
use tempfile::TempDir;
use tokio::net::{TcpListener, UdpSocket};
use tokio::task::JoinSet;

use crate::environment::{Environment, named_certificate};
use crate::error::AttackError;
use crate::subject::TargetDomain;
use zone::Zone;

/// The domain that the sender delivers to.
pub const DOMAIN: &str = "victim.test";
/// Its exchanger.
pub(crate) const EXCHANGER: &str = "mx.victim.test";
/// Its policy host.
const POLICY_HOST: &str = "mta-sts.victim.test";
/// A host of the attacker, who has a valid certificate for it.
const ATTACKER: &str = "mx.attacker.test";

/// The ports of a domain's servers, all on the IPv4 loopback address. Port 0 is any free port.
#[derive(Clone, Copy, Debug, Default)]
pub struct DomainPorts {
    /// The port of the DNS server, over UDP and TCP.
    pub dns: u16,
    /// The port of the policy host.
    pub policy_host: u16,
    /// The port of the exchanger.
    pub exchanger: u16,
}

impl DomainPorts {
    /// The ports that senders use, for senders without an option for other ports.
    pub const REAL: Self = Self { dns: 53, policy_host: 443, exchanger: 25 };
}

/// What an attacker does to a domain after the first delivery.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DomainAttack {
    /// The policy of the domain.
    pub(crate) policy: DomainPolicy,
    /// What the attacker does to the answers of DNS.
    #[serde(default)]
    pub(crate) dns: Vec<DnsAttack>,
    #[serde(default)]
    pub(crate) policy_host: PolicyHostAttack,
}

/// The policy of a domain.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum DomainPolicy {
    /// TLSA records in a signed zone.
    Dane,
    /// An enforced policy, and a zone that is not signed.
    MtaSts,
    /// Both, for the run without an attack.
    #[default]
    Both,
}

/// What an attacker does to the answers of DNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum DnsAttack {
    /// The TXT record of MTA-STS is missing.
    RemoveRecord,
    /// The lookup of the TXT record fails.
    FailRecord,
    /// The TXT record has another id, so that the sender fetches the policy again.
    ChangeId,
    /// The MX record names a host of the attacker.
    RedirectMx,
    /// The lookup of the TLSA records fails, as that of forged ones does.
    FailTlsa,
    /// The lookup of the MX records fails, as that of forged ones does.
    FailMx,
}

/// What an attacker does to the policy host.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PolicyHostAttack {
    /// Nothing.
    #[default]
    Untouched,
    /// It closes every connection.
    Unreachable,
    /// The attacker answers with mode none, and a certificate for another name.
    BadCertificate,
}

/// The servers of a domain. They end when it is dropped.
#[derive(Debug)]
pub(crate) struct PlayedDomain {
    state: Arc<State>,
    exchanger: std::net::TcpListener,
    dns: SocketAddr,
    policy_port: u16,
    folder: TempDir,
    _servers: JoinSet<()>,
}

#[derive(Debug)]
struct State {
    zone: Mutex<Zone>,
    policy_host: Mutex<PolicyHostAttack>,
    /// The questions that the DNS server was asked.
    questions: AtomicUsize,
}

impl PlayedDomain {
    /// Starts the servers of a domain with this policy.
    pub(crate) async fn start(
        ports: DomainPorts,
        environment: &Arc<dyn Environment>,
        policy: DomainPolicy,
    ) -> Result<Self, AttackError> {
        let exchanger = certificate(environment, EXCHANGER).await?;
        let leaf = exchanger.cert.first().and_then(|it| Certificate::from_der(it).ok());
        let key = leaf.map(|it| it.spki_der().to_vec()).unwrap_or_default();
        let state = Arc::new(State {
            zone: Mutex::new(Zone::new(policy, key)),
            policy_host: Mutex::default(),
            questions: AtomicUsize::default(),
        });
        let (udp, tcp) = bind_dns(ports.dns).await?;
        let policies = bind(ports.policy_host).await?;
        let local = |listener: &TcpListener| listener.local_addr().map_err(AttackError::Listen);
        let (dns, policy_port) = (local(&tcp)?, local(&policies)?.port());
        let exchanger = bind(ports.exchanger).await?.into_std().map_err(AttackError::Listen)?;
        let folder = tempfile::tempdir().map_err(AttackError::Listen)?;
        let mut servers = JoinSet::new();
        servers.spawn(dns::serve_udp(udp, state.clone()));
        servers.spawn(dns::serve_tcp(tcp, state.clone()));
        let sound = certificate(environment, POLICY_HOST).await?;
        let bad = certificate(environment, ATTACKER).await?;
        servers.spawn(policy_host::serve(policies, state.clone(), [sound, bad])?);
        Ok(Self { state, exchanger, dns, policy_port, folder, _servers: servers })
    }

    /// Returns the listener of the exchanger for one phase of the run.
    pub(crate) fn exchanger(&self) -> Result<TcpListener, AttackError> {
        let listener = self.exchanger.try_clone().and_then(TcpListener::from_std);
        listener.map_err(AttackError::Listen)
    }

    /// Returns what a sender must know of the domain.
    pub(crate) fn target(&self) -> TargetDomain {
        TargetDomain {
            name: DOMAIN,
            resolver: self.dns,
            policy_port: self.policy_port,
            state: self.folder.path().to_owned(),
        }
    }

    /// Starts the attack.
    pub(crate) fn attack(&self, attack: &DomainAttack) {
        lock(&self.state.zone).attack(&attack.dns);
        *lock(&self.state.policy_host) = attack.policy_host;
    }

    /// Returns the number of questions that the DNS server was asked.
    pub(crate) fn questions(&self) -> usize {
        self.state.questions.load(Ordering::Relaxed)
    }
}

async fn certificate(
    environment: &Arc<dyn Environment>,
    host: &str,
) -> Result<Arc<CertifiedKey>, AttackError> {
    named_certificate(environment, &format!("name:{host}")).await
}

async fn bind(port: u16) -> Result<TcpListener, AttackError> {
    again_while_in_use(|| TcpListener::bind((Ipv4Addr::LOCALHOST, port))).await
}

/// Binds UDP and TCP sockets with the same port.
async fn bind_dns(port: u16) -> Result<(UdpSocket, TcpListener), AttackError> {
    again_while_in_use(|| async move {
        let tcp = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?;
        // Another program may have the UDP port that TCP was given.
        let udp = UdpSocket::bind(tcp.local_addr()?).await?;
        Ok((udp, tcp))
    })
    .await
}

/// Binds again for two seconds while an address is in use: the tasks of the run before, which had the same ports, may still be
/// ending.
async fn again_while_in_use<T, F: Future<Output = io::Result<T>>>(
    bind: impl Fn() -> F,
) -> Result<T, AttackError> {
    for _ in 0..100 {
        match bind().await {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            bound => return bound.map_err(AttackError::Listen),
        }
    }
    bind().await.map_err(AttackError::Listen)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use starttls_testkit::process::free_port;

    use super::*;

    #[tokio::test]
    async fn ports_that_are_about_to_be_free_are_waited_for() {
        // The system does not assign it, so that no other test gets it meanwhile.
        let port = free_port(Ipv4Addr::LOCALHOST.into()).unwrap().port();
        let before = bind_dns(port).await.unwrap();
        let (bound, ()) = tokio::join!(bind_dns(port), async {
            tokio::time::sleep(Duration::from_millis(50)).await;
            drop(before);
        });
        bound.unwrap();
    }
}
