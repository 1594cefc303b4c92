//! Asks DNS, the policy host and every exchanger.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use starttls::proto::{Side, smtp::SMTP};
use starttls::rustls::pki_types::CertificateDer;
use starttls::submission::{Delivery, Message, Until};
use starttls::{
    CertificateFault, CertificateVerdict, Chunk, ConnectionPhase, Connector, Encrypted, Endpoint, Error,
    Observer as Tap, TlsFacts, validity,
};
use starttls_dns::{DnsName, Stub};
use starttls_policy::dane::{DomainFacts, HostDane, NextHop};
use starttls_policy::drive::{FetchedPolicy, PolicyFetcher, domain_facts, texts};
use starttls_policy::sts::{self, StsFailure, StsRecord, StsRecordFault};
use starttls_policy::tlsrpt::{self, TlsRptFault, TlsRptRecord};
use starttls_x509::Certificate;
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use super::zone::{self, Zones};

/// The keyword of RFC 8689.
const REQUIRE_TLS: &str = "REQUIRETLS";
/// The time for the reply to EHLO inside TLS.
const HELLO_LIMIT: Duration = Duration::from_secs(5);

/// The most connections to exchangers, as in an audit.
const MAX_SESSIONS: usize = 25;

pub(super) struct Observer<'a> {
    pub(super) stub: &'a Stub,
    /// Completes the handshake with every certificate, and records the verdict.
    pub(super) connector: Connector,
    pub(super) fetcher: PolicyFetcher,
    pub(super) port: u16,
}

/// Everything that was seen of a domain.
pub(super) struct Observed {
    /// Why DNSSEC is not available.
    pub(super) dnssec: Result<(), String>,
    pub(super) facts: DomainFacts,
    /// The outer error is that of the lookup.
    pub(super) sts_record: Result<Result<StsRecord, StsRecordFault>, String>,
    /// The answers of the addresses of the policy host; nothing was asked without a record.
    pub(super) policies: Result<Vec<FetchedPolicy>, StsFailure>,
    /// The outer error is that of the lookup.
    pub(super) tlsrpt: Result<Result<TlsRptRecord, TlsRptFault>, String>,
    pub(super) sessions: Vec<MxSession>,
    pub(super) zones: Zones,
    /// The addresses beyond the limit.
    pub(super) left_out: usize,
}

/// A connection to one address of an exchanger.
pub(super) struct MxSession {
    pub(super) host: DnsName,
    pub(super) address: IpAddr,
    pub(super) result: SessionResult,
}

/// The result of a connection.
pub(super) enum SessionResult {
    /// TLS was negotiated.
    Tls {
        chain: Vec<CertificateDer<'static>>,
        /// Whether the certificate leads to a trusted root and is for the host, or why not.
        pkix: Result<(), String>,
        /// Whether the server offers REQUIRETLS inside TLS; `None` if it did not answer EHLO there.
        require_tls: Option<bool>,
        /// Whether it offers REQUIRETLS in cleartext.
        require_tls_in_clear: bool,
    },
    /// The server does not offer STARTTLS or refuses it.
    Declined(String),
    /// No connection, or no handshake.
    Failed(String),
}

impl Observer<'_> {
    pub(super) async fn observe(&self, domain: &DnsName) -> Observed {
        let next_hop = NextHop::Domain(domain.clone());
        let (dnssec, facts, sts_record, tlsrpt) = tokio::join!(
            super::dnssec(self.stub),
            domain_facts(self.stub, &next_hop, self.port),
            self.records(sts::record_name(domain)),
            self.records(tlsrpt::record_name(domain)),
        );
        let sts_record = sts_record.map(|it| sts::parse_record(&it));
        let policies = match &sts_record {
            Ok(Ok(_)) => self.policies(domain).await,
            _ => Ok(Vec::new()),
        };
        let policy_host = matches!(&sts_record, Ok(Ok(_))).then(|| sts::policy_host(domain).ok()).flatten();
        let ((sessions, left_out), zones) = tokio::join!(
            self.sessions(&facts),
            zone::look_up(self.stub, domain, &facts, policy_host, self.port, validity::now()),
        );
        let tlsrpt = tlsrpt.map(|it| tlsrpt::parse_rua_record(&it));
        Observed { dnssec, facts, sts_record, policies, tlsrpt, sessions, zones, left_out }
    }

    async fn records(
        &self,
        name: Result<DnsName, starttls_dns::InvalidName>,
    ) -> Result<Vec<Vec<u8>>, String> {
        // A name that is too long cannot have records.
        let Ok(name) = name else { return Ok(Vec::new()) };
        texts(self.stub, &name).await.map(|(texts, _)| texts)
    }

    async fn policies(&self, domain: &DnsName) -> Result<Vec<FetchedPolicy>, StsFailure> {
        let mut fetching = JoinSet::new();
        for address in self.fetcher.addresses(self.stub, domain).await? {
            let (fetcher, domain) = (self.fetcher.clone(), domain.clone());
            fetching.spawn(async move { fetcher.fetch_from(&domain, address).await });
        }
        let mut found = fetching.join_all().await;
        found.sort_by_key(|it| it.address);
        Ok(found)
    }

    async fn sessions(&self, facts: &DomainFacts) -> (Vec<MxSession>, usize) {
        let mut connecting = JoinSet::new();
        let mut left_out = 0;
        for facts in &facts.hosts {
            let Some(host) = facts.name() else { continue };
            let base = match &facts.dane {
                HostDane::Records(records) => records.base.clone(),
                _ => host.clone(),
            };
            for address in &facts.addresses {
                if connecting.len() >= MAX_SESSIONS {
                    left_out += 1;
                    continue;
                }
                let endpoint = Endpoint::new(host.as_str(), self.port)
                    .with_server_name(base.as_str())
                    .at(address.to_string(), self.port);
                let cleartext = Cleartext::default();
                let connector = self.connector.observed_by(Arc::new(cleartext.clone()));
                let (host, address) = (host.clone(), *address);
                connecting.spawn(async move {
                    let result = match connector.connect(&SMTP, endpoint).await {
                        Ok(mut stream) => {
                            let require_tls = offers_require_tls(&mut stream).await;
                            examined(stream.facts(), &host, require_tls, cleartext.offers_require_tls())
                        }
                        Err(error @ Error::Declined(_)) => SessionResult::Declined(error.to_string()),
                        Err(error) => SessionResult::Failed(crate::error::with_causes(&error)),
                    };
                    MxSession { host, address, result }
                });
            }
        }
        let mut sessions = connecting.join_all().await;
        let order = |host: &DnsName| facts.hosts.iter().position(|it| it.name() == Some(host));
        sessions.sort_by_key(|it| (order(&it.host), it.address));
        (sessions, left_out)
    }
}

/// MTA-STS requires the name of the exchanger, while SNI is the TLSA base domain where DANE applies.
fn examined(
    facts: &TlsFacts,
    host: &DnsName,
    require_tls: Option<bool>,
    require_tls_in_clear: bool,
) -> SessionResult {
    let own = facts.chain.first().and_then(|it| Certificate::from_der(it).ok());
    let is_named = own.is_some_and(|it| it.is_for(host.as_str()));
    let leads_to_root = match &facts.verdict {
        CertificateVerdict::Verified => Ok(()),
        CertificateVerdict::Failed(failure) => match failure.fault {
            CertificateFault::WrongName { .. } if !facts.path.is_empty() => Ok(()),
            _ => Err(failure.to_string()),
        },
        other => Err(other.to_string()),
    };
    let pkix = match (leads_to_root, is_named) {
        (Ok(()), false) => Err(format!("the certificate is not for {host}")),
        (result, _) => result,
    };
    SessionResult::Tls { chain: facts.chain.clone(), pkix, require_tls, require_tls_in_clear }
}

/// Returns whether the server offers REQUIRETLS in its reply to EHLO inside TLS.
async fn offers_require_tls(stream: &mut Encrypted<TcpStream>) -> Option<bool> {
    let message = Message::new(Vec::new()).ok()?;
    // No command after EHLO is sent, so the recipient is never named.
    let delivery = Delivery::new("", ["postmaster"], message).ok()?.until(Until::Hello).timeout(HELLO_LIMIT);
    Some(delivery.send(&SMTP, stream, None).await.ok()?.extensions.has(REQUIRE_TLS))
}

/// What a server sends in cleartext.
#[derive(Clone, Default)]
struct Cleartext(Arc<Mutex<Vec<u8>>>);

impl Tap for Cleartext {
    fn observe(&self, chunk: &Chunk<'_>) {
        if chunk.from == Side::Server && chunk.phase == ConnectionPhase::Negotiation {
            // The library bounds the negotiation.
            self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(chunk.bytes);
        }
    }
}

impl Cleartext {
    fn offers_require_tls(&self) -> bool {
        let received = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut lines = received.split(|octet| *octet == b'\n');
        lines.any(|line| {
            line.get(4..).is_some_and(|it| it.trim_ascii().eq_ignore_ascii_case(REQUIRE_TLS.as_bytes()))
        })
    }
}
