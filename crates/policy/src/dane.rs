//! Finds the TLSA records of a mail domain (RFC 7672 section 2.2).
//!
//! [`gather`] is a function over the answers so far. It returns the questions that are missing, or the result. Each result
//! carries the [`DaneStep`]s that led to it, so that a report can explain a decision.

use std::net::IpAddr;

use starttls_dns::{
    Answers, DnsAnswer, DnsName, DnsQuestion, LookupFailure, Mx, MxTarget, RecordData, RecordType, TlsaData,
};

use crate::tlsa;

/// The most exchangers of one domain that are examined.
pub const MAX_EXCHANGERS: usize = 32;

/// What mail is sent to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum NextHop {
    /// A mail domain: its MX records name the hosts.
    Domain(DnsName),
    /// A host that the configuration names, such as `[relay.example.com]` in Postfix. Its name is secure.
    Host(DnsName),
}

impl NextHop {
    /// Returns the name.
    pub fn name(&self) -> &DnsName {
        match self {
            Self::Domain(name) | Self::Host(name) => name,
        }
    }
}

/// A step of the search. [`DaneStep::meaning`] describes each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[expect(missing_docs, reason = "`meaning` has the text of each")]
pub enum DaneStep {
    N2,
    M1,
    M2,
    M3,
    M4,
    M5,
    M6,
    M7,
    M8,
    M9,
    M10,
    H1,
    H2,
    H3,
    H4,
    H5,
    H6,
    T1,
    T2,
    T3,
    T4,
}

impl DaneStep {
    /// All steps, in the order of the search.
    pub const ALL: &[Self] = &[
        Self::N2,
        Self::M1,
        Self::M2,
        Self::M3,
        Self::M4,
        Self::M5,
        Self::M6,
        Self::M7,
        Self::M8,
        Self::M9,
        Self::M10,
        Self::H1,
        Self::H2,
        Self::H3,
        Self::H4,
        Self::H5,
        Self::H6,
        Self::T1,
        Self::T2,
        Self::T3,
        Self::T4,
    ];

    /// Returns what was found in this step and what follows, with the section of RFC 7672.
    pub fn meaning(self) -> &'static str {
        match self {
            Self::N2 => "the configuration names the host, so its name is secure (2.2.2)",
            Self::M1 => "the MX lookup failed: mail is deferred (2.1.2)",
            Self::M2 => "the domain does not exist",
            Self::M3 => "DNSSEC proves that the domain has no MX record: it is its own mail host (2.2.2)",
            Self::M4 => {
                "the domain has no MX record, and DNSSEC does not prove it: DANE does not apply (2.2.1)"
            }
            Self::M5 => "the domain accepts no mail (RFC 7505)",
            Self::M6 => "a null MX record beside others is ignored (RFC 7505 section 3)",
            Self::M7 => "DNSSEC proves the MX records: DANE applies to each host (2.2.1)",
            Self::M8 => {
                "the MX records are not signed: DANE protects only the connection to the host (2.2.1)"
            }
            Self::M9 => "the MX record does not name a host: DANE does not apply (2.2)",
            Self::M10 => "the host is not examined: the domain has too many MX records",
            Self::H1 => "an address lookup failed: mail is not sent to this host (2.1.2)",
            Self::H2 => "the host has no address",
            Self::H3 => "DNSSEC proves the addresses (2.2.2)",
            Self::H4 => "the addresses are not signed: no TLSA lookup, DANE does not apply (2.2.2)",
            Self::H5 => "the host is an alias, and DNSSEC proves all of it (2.2.2)",
            Self::H6 => {
                "the host is an alias to unsigned addresses; DNSSEC may still prove the alias (2.2.2)"
            }
            Self::T1 => "the TLSA lookup failed: mail is not sent to this host (2.1.2)",
            Self::T2 => "the host has no secure TLSA records (2.2.3)",
            Self::T3 => "secure TLSA records exist and can be used: they must match (2.2.3)",
            Self::T4 => {
                "secure TLSA records exist but none can be used: TLS is required, without authentication (2.2)"
            }
        }
    }
}

/// The result of the search.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DomainFacts {
    /// The state of the MX records.
    pub exchangers: ExchangerState,
    /// The hosts, in the order in which they are tried.
    pub hosts: Vec<HostFacts>,
    /// The steps for the domain.
    pub steps: Vec<DaneStep>,
    /// The smallest time to live of the answers that were used, in seconds.
    pub ttl: Option<u32>,
}

impl DomainFacts {
    /// Returns whether DNSSEC proves which hosts accept mail for the domain, or the configuration names them.
    pub fn are_exchangers_secure(&self) -> bool {
        matches!(self.exchangers, ExchangerState::Known { secure: true, .. })
    }
}

/// The state of the MX records of a domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ExchangerState {
    /// The lookup failed.
    Failed(LookupFailure),
    /// The domain does not exist.
    NoDomain,
    /// The domain accepts no mail (RFC 7505).
    NullMx,
    /// The hosts are known.
    Known {
        /// Whether DNSSEC proves them, or the configuration names them.
        secure: bool,
        /// Whether MX records name them. Otherwise the host is the domain or the next hop itself.
        from_mx: bool,
    },
}

/// A host that accepts mail for the domain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HostFacts {
    /// What the MX record names.
    pub host: MxTarget,
    /// The preference in the MX record; 0 for a host without one.
    pub preference: u16,
    /// The addresses, IPv6 first.
    pub addresses: Vec<IpAddr>,
    /// Whether DNSSEC proves the addresses.
    pub addresses_secure: bool,
    /// Whether the host is an alias.
    pub is_alias: bool,
    /// What DANE requires.
    pub dane: HostDane,
    /// The steps for this host.
    pub steps: Vec<DaneStep>,
}

impl HostFacts {
    /// Returns the name of the host, if it is one.
    pub fn name(&self) -> Option<&DnsName> {
        match &self.host {
            MxTarget::Host(name) => Some(name),
            _ => None,
        }
    }
}

/// What DANE requires of the connections to one host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostDane {
    /// A lookup failed: the host must not be connected to.
    Failed {
        /// The question.
        question: DnsQuestion,
        /// The reason.
        failure: LookupFailure,
    },
    /// The host has no address.
    NoAddress,
    /// DANE does not apply.
    Absent,
    /// The host has secure TLSA records.
    Records(DaneRecords),
}

/// The TLSA records of a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DaneRecords {
    /// The TLSA base domain: the name for SNI (RFC 7672 section 8.1).
    pub base: DnsName,
    /// The records as published.
    pub published: Vec<TlsaData>,
    /// The records that a client matches. If there are none, TLS is required without authentication.
    pub usable: Vec<TlsaData>,
    /// The names of which a certificate must contain one, for usage 2 (RFC 7672 section 3.2.2).
    pub names: Vec<DnsName>,
    /// The time to live of the records, in seconds.
    pub ttl: u32,
}

/// The result of [`gather`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Gathered {
    /// These questions must be answered first.
    Ask(Vec<DnsQuestion>),
    /// The search is complete.
    Done(DomainFacts),
}

/// Searches the TLSA records of every host that accepts mail for the next hop on this port.
pub fn gather(next_hop: &NextHop, port: u16, answers: &Answers) -> Gathered {
    let mut search = Search { answers, missing: Vec::new(), ttl: None };
    let facts = match next_hop {
        NextHop::Domain(domain) => search.domain(domain, port),
        NextHop::Host(host) => {
            let names = Reference { secure: true, names: vec![host.clone()] };
            search.host(host, 0, port, &names).map(|facts| DomainFacts {
                exchangers: ExchangerState::Known { secure: true, from_mx: false },
                hosts: vec![facts],
                steps: vec![DaneStep::N2],
                ttl: None,
            })
        }
    };
    match facts {
        Some(facts) if search.missing.is_empty() => Gathered::Done(DomainFacts { ttl: search.ttl, ..facts }),
        _ => Gathered::Ask(search.missing),
    }
}

/// The names that certificates of usage 2 may contain besides the TLSA base domain, and whether the way to the host is
/// secure.
struct Reference {
    secure: bool,
    names: Vec<DnsName>,
}

/// A search over the answers so far. Its functions return `None` if an answer is missing.
struct Search<'a> {
    answers: &'a Answers,
    missing: Vec<DnsQuestion>,
    ttl: Option<u32>,
}

impl Search<'_> {
    fn ask(&mut self, name: &DnsName, record: RecordType) -> Option<DnsAnswer> {
        let Some(answer) = self.answers.get(name, record) else {
            let question = DnsQuestion { name: name.clone(), record };
            if !self.missing.contains(&question) {
                self.missing.push(question);
            }
            return None;
        };
        if let Some(ttl) = answer.ttl() {
            self.ttl = Some(self.ttl.map_or(ttl, |it| it.min(ttl)));
        }
        Some(answer.clone())
    }

    fn domain(&mut self, domain: &DnsName, port: u16) -> Option<DomainFacts> {
        let without_hosts =
            |exchangers, step| DomainFacts { exchangers, hosts: Vec::new(), steps: vec![step], ttl: None };
        let (records, secure, aliases) = match self.ask(domain, RecordType::Mx)? {
            DnsAnswer::Failed(failure) => {
                return Some(without_hosts(ExchangerState::Failed(failure), DaneStep::M1));
            }
            DnsAnswer::NoName { .. } => return Some(without_hosts(ExchangerState::NoDomain, DaneStep::M2)),
            DnsAnswer::NoData { secure, .. } => return self.implicit(domain, secure, port),
            DnsAnswer::Found { records, secure, aliases, .. } => (records, secure, aliases),
        };
        let mut steps = vec![if secure { DaneStep::M7 } else { DaneStep::M8 }];
        let mut exchangers: Vec<Mx> = records
            .into_iter()
            .filter_map(|it| if let RecordData::Mx(mx) = it { Some(mx) } else { None })
            .collect();
        let all = exchangers.len();
        exchangers.retain(|it| it.target != MxTarget::Null);
        if exchangers.is_empty() {
            return Some(without_hosts(ExchangerState::NullMx, DaneStep::M5));
        }
        if exchangers.len() < all {
            steps.push(DaneStep::M6);
        }
        // Hosts of the same preference are sorted by name, so that the result does not depend on the order of the answer.
        exchangers.sort_by_cached_key(|it| (it.preference, format!("{:?}", it.target)));
        exchangers.dedup();
        let mut names = Vec::new();
        if secure {
            names.push(domain.clone());
            names.extend(aliases.last().cloned());
        }
        let reference = Reference { secure, names };
        let mut hosts = Vec::with_capacity(exchangers.len());
        for (index, mx) in exchangers.into_iter().enumerate() {
            let facts = match &mx.target {
                MxTarget::Host(host) if index < MAX_EXCHANGERS => {
                    self.host(host, mx.preference, port, &reference)
                }
                MxTarget::Host(_) => Some(without_dane(mx, DaneStep::M10)),
                _ => Some(without_dane(mx, DaneStep::M9)),
            };
            // The others are searched all the same, so that their questions can be asked together.
            hosts.extend(facts);
        }
        let exchangers = ExchangerState::Known { secure, from_mx: true };
        Some(DomainFacts { exchangers, hosts, steps, ttl: None })
    }

    /// A domain without MX records is its own mail host (RFC 5321 section 5.1).
    fn implicit(&mut self, domain: &DnsName, secure: bool, port: u16) -> Option<DomainFacts> {
        let reference = Reference { secure, names: vec![domain.clone()] };
        let host =
            if secure { self.host(domain, 0, port, &reference)? } else { self.addresses_only(domain)? };
        Some(DomainFacts {
            exchangers: ExchangerState::Known { secure, from_mx: false },
            hosts: vec![host],
            steps: vec![if secure { DaneStep::M3 } else { DaneStep::M4 }],
            ttl: None,
        })
    }

    /// Looks up a host to which DANE does not apply. A failure means no address here.
    fn addresses_only(&mut self, host: &DnsName) -> Option<HostFacts> {
        let (v4, v6) = (self.ask(host, RecordType::A), self.ask(host, RecordType::Aaaa));
        let addresses = addresses(&[v6?, v4?]);
        let dane = if addresses.is_empty() { HostDane::NoAddress } else { HostDane::Absent };
        Some(HostFacts {
            host: MxTarget::Host(host.clone()),
            preference: 0,
            addresses,
            addresses_secure: false,
            is_alias: false,
            dane,
            steps: Vec::new(),
        })
    }

    fn host(
        &mut self,
        host: &DnsName,
        preference: u16,
        port: u16,
        reference: &Reference,
    ) -> Option<HostFacts> {
        let (v4, v6) = (self.ask(host, RecordType::A), self.ask(host, RecordType::Aaaa));
        let (v4, v6) = (v4?, v6?);
        let found: Vec<_> = [&v6, &v4].into_iter().filter(|it| !it.records().is_empty()).collect();
        let aliases = found.iter().find_map(|it| match it {
            DnsAnswer::Found { aliases, .. } if !aliases.is_empty() => Some(aliases.clone()),
            _ => None,
        });
        let mut facts = HostFacts {
            host: MxTarget::Host(host.clone()),
            preference,
            addresses: addresses(&[v6.clone(), v4.clone()]),
            addresses_secure: !found.is_empty() && found.iter().all(|it| it.is_secure()),
            is_alias: aliases.is_some(),
            dane: HostDane::Absent,
            steps: Vec::new(),
        };
        if found.is_empty() {
            let failed = [(&v4, RecordType::A), (&v6, RecordType::Aaaa)]
                .into_iter()
                .find_map(|(answer, record)| Some((answer.failure()?.clone(), record)));
            (facts.dane, facts.steps) = match failed {
                Some((failure, record)) => {
                    let question = DnsQuestion { name: host.clone(), record };
                    (HostDane::Failed { question, failure }, vec![DaneStep::H1])
                }
                None => (HostDane::NoAddress, vec![DaneStep::H2]),
            };
            return Some(facts);
        }
        let any_secure = found.iter().any(|it| it.is_secure());
        let candidates = match aliases {
            None if any_secure => {
                facts.steps.push(DaneStep::H3);
                vec![host.clone()]
            }
            None => {
                facts.steps.push(DaneStep::H4);
                Vec::new()
            }
            // Names in the middle of the chain are never a TLSA base domain (RFC 7672 section 2.2.3).
            Some(aliases) if any_secure => {
                facts.steps.push(DaneStep::H5);
                aliases.last().cloned().into_iter().chain([host.clone()]).collect()
            }
            Some(_) => {
                facts.steps.push(DaneStep::H6);
                match self.ask(host, RecordType::Cname)? {
                    DnsAnswer::Failed(failure) => {
                        let question = DnsQuestion { name: host.clone(), record: RecordType::Cname };
                        facts.dane = HostDane::Failed { question, failure };
                        return Some(facts);
                    }
                    alias if alias.is_secure() => vec![host.clone()],
                    _ => Vec::new(),
                }
            }
        };
        let (dane, step) = self.records(&candidates, port, reference)?;
        facts.dane = dane;
        facts.steps.extend(step);
        Some(facts)
    }

    /// Asks for the TLSA records of the candidates in turn (RFC 7672 section 2.2.3). A failure ends the search: the attacker
    /// could otherwise suppress the answer for the first candidate.
    fn records(
        &mut self,
        candidates: &[DnsName],
        port: u16,
        reference: &Reference,
    ) -> Option<(HostDane, Option<DaneStep>)> {
        for base in candidates {
            // A name that is too long for the prefix cannot have TLSA records.
            let Ok(name) = base.below(&format!("_{port}._tcp")) else { continue };
            match self.ask(&name, RecordType::Tlsa)? {
                DnsAnswer::Failed(failure) => {
                    let question = DnsQuestion { name, record: RecordType::Tlsa };
                    return Some((HostDane::Failed { question, failure }, Some(DaneStep::T1)));
                }
                DnsAnswer::Found { records, secure: true, ttl, .. } => {
                    let published: Vec<TlsaData> = records
                        .into_iter()
                        .filter_map(|it| if let RecordData::Tlsa(tlsa) = it { Some(tlsa) } else { None })
                        .collect();
                    let usable = tlsa::usable(&published);
                    let step = if usable.is_empty() { DaneStep::T4 } else { DaneStep::T3 };
                    let mut names = vec![base.clone()];
                    if reference.secure {
                        names.extend(reference.names.iter().filter(|it| *it != base).cloned());
                    }
                    let found = DaneRecords { base: base.clone(), published, usable, names, ttl };
                    return Some((HostDane::Records(found), Some(step)));
                }
                _ => {}
            }
        }
        Some((HostDane::Absent, (!candidates.is_empty()).then_some(DaneStep::T2)))
    }
}

fn without_dane(mx: Mx, step: DaneStep) -> HostFacts {
    HostFacts {
        host: mx.target,
        preference: mx.preference,
        addresses: Vec::new(),
        addresses_secure: false,
        is_alias: false,
        dane: HostDane::Absent,
        steps: vec![step],
    }
}

fn addresses(answers: &[DnsAnswer]) -> Vec<IpAddr> {
    let records = answers.iter().flat_map(DnsAnswer::records);
    records
        .filter_map(|it| if let RecordData::Address(address) = it { Some(*address) } else { None })
        .collect()
}
