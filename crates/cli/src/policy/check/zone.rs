//! What the zones of the hosts show besides the records of the policies: proofs of non-existence, the ends of signatures, and
//! which CA may issue certificates (CAA).

use starttls_dns::{DnsAnswer, DnsName, DnsQuestion, LookupFailure, RecordData, RecordType, Stub};
use starttls_policy::dane::{DomainFacts, HostDane, HostFacts};

use super::row::{RowSeverity, Rows};

/// The most hosts whose zones are looked at.
const MAX_HOSTS: usize = 8;
/// The most labels that are removed in the search for CAA records.
const MAX_PARENTS: usize = 8;
/// A signature that ends sooner is reported: two days.
const SOON: i64 = 172_800;

/// What the zones of the hosts show.
#[derive(Default)]
pub(super) struct Zones {
    /// The questions beside the TLSA records that failed.
    denials: Vec<(DnsQuestion, LookupFailure)>,
    /// The time that is left for the signature of the records, in seconds.
    signatures: Vec<(DnsQuestion, i64)>,
    issuers: Vec<(DnsName, Issuers)>,
}

/// Which CA may issue certificates for a host (RFC 8659 section 3).
enum Issuers {
    /// No record: every CA.
    Any,
    /// Those that records name.
    Named,
    /// None: every `issue` record is empty.
    Forbidden,
    /// The lookup failed, so CAs do not issue (RFC 8659 section 5.2).
    Unknown(DnsQuestion, LookupFailure),
}

/// Asks the zones of the exchangers and of the policy host. `now` is in seconds since 1970.
pub(super) async fn look_up(
    stub: &Stub,
    domain: &DnsName,
    facts: &DomainFacts,
    policy_host: Option<DnsName>,
    port: u16,
    now: i64,
) -> Zones {
    let mut zones = Zones::default();
    let hosts: Vec<&HostFacts> = facts.hosts.iter().take(MAX_HOSTS).collect();
    let mut signed = Vec::new();
    if facts.are_exchangers_secure() {
        signed.push(DnsQuestion { name: domain.clone(), record: RecordType::Mx });
    }
    for host in hosts.iter().filter(|it| it.addresses_secure) {
        let (base, tlsa) = match (&host.dane, host.name()) {
            (HostDane::Records(records), _) => (records.base.clone(), true),
            (HostDane::Absent, Some(name)) => (name.clone(), false),
            _ => continue,
        };
        let Ok(name) = base.below(&format!("_{port}._tcp")) else { continue };
        // Name servers with a wrong proof for this name exist. A sender that asks for the TLSA records may then get SERVFAIL.
        let beside = DnsQuestion { name: name.clone(), record: RecordType::A };
        if let DnsAnswer::Failed(failure) = stub.ask(&beside).await {
            zones.denials.push((beside, failure));
        }
        signed.push(DnsQuestion { name: base, record: RecordType::A });
        if tlsa {
            signed.push(DnsQuestion { name, record: RecordType::Tlsa });
        }
    }
    for question in signed {
        if let Some(end) = stub.signature_end(&question).await {
            // The time is a serial number of 32 bits (RFC 4034 section 3.1.5).
            let left = i64::from(end.wrapping_sub(now as u32) as i32);
            zones.signatures.push((question, left));
        }
    }
    let names = policy_host.into_iter().chain(hosts.iter().filter_map(|it| it.name().cloned()));
    for name in names.take(MAX_HOSTS) {
        let issuers = issuers(stub, &name).await;
        zones.issuers.push((name, issuers));
    }
    zones
}

/// Searches the records at the name and above it (RFC 8659 section 3).
async fn issuers(stub: &Stub, host: &DnsName) -> Issuers {
    let mut name = host.clone();
    for _ in 0..MAX_PARENTS {
        let question = DnsQuestion { name: name.clone(), record: RecordType::Caa };
        match stub.ask(&question).await {
            DnsAnswer::Failed(failure) => return Issuers::Unknown(question, failure),
            DnsAnswer::Found { records, .. } => {
                let issue: Vec<&Vec<u8>> = records
                    .iter()
                    .filter_map(|it| match it {
                        RecordData::Caa { tag, value } if tag.eq_ignore_ascii_case("issue") => Some(value),
                        _ => None,
                    })
                    .collect();
                // The name of the issuer precedes the semicolon.
                let is_empty = |value: &&Vec<u8>| {
                    value.split(|octet| *octet == b';').next().is_none_or(|it| it.trim_ascii().is_empty())
                };
                return match issue.as_slice() {
                    [] => Issuers::Any,
                    all if all.iter().all(is_empty) => Issuers::Forbidden,
                    _ => Issuers::Named,
                };
            }
            DnsAnswer::NoData { .. } | DnsAnswer::NoName { .. } => {}
        }
        // Top-level domains are not asked.
        match name.parent().filter(|it| it.contains('.')).and_then(|it| it.parse().ok()) {
            Some(parent) => name = parent,
            None => break,
        }
    }
    Issuers::Any
}

/// Adds the results.
pub(super) fn rows(zones: &Zones, rows: &mut Rows) {
    for (question, failure) in &zones.denials {
        let text = format!(
            "the lookup of {question} failed: {failure}; a wrong proof of non-existence defers mail of DANE senders"
        );
        rows.add("dane-denial", RowSeverity::Error, &question.name, text);
    }
    for (question, left) in zones.signatures.iter().filter(|(_, left)| *left < SOON) {
        let text = format!(
            "the signature of {question} ends in {} h: without a new one, DANE senders defer all mail",
            left / 3600
        );
        rows.add("dane-signature", RowSeverity::Warning, &question.name, text);
    }
    for (host, issuers) in &zones.issuers {
        match issuers {
            Issuers::Named => {}
            Issuers::Any => {
                let text = "no CAA record restricts which CA may issue certificates for the host";
                rows.add("caa-absent", RowSeverity::Info, host, text);
            }
            Issuers::Forbidden => {
                let text = "the CAA records allow no CA: a certificate for the host cannot be renewed";
                rows.add("caa-forbids", RowSeverity::Warning, host, text);
            }
            Issuers::Unknown(question, failure) => {
                let text = format!("the lookup of {question} failed: {failure}; CAs do not issue then");
                rows.add("caa-lookup", RowSeverity::Warning, host, text);
            }
        }
    }
}
