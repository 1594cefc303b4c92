//! Which policy governs: per host for a client that sends mail, per domain for a mail server that asks.

use std::fmt::{self, Write};

use starttls_dns::{DnsName, DnsQuestion, LookupFailure};

use crate::dane::{DaneRecords, DomainFacts, ExchangerState, HostDane, HostFacts};
use crate::sts::{StsMode, StsPolicy};

/// What DANE requires for a domain as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DaneState {
    /// The MX records are secure, and every host with an address has usable TLSA records.
    All,
    /// As [`All`](Self::All), but a lookup for another host failed.
    AllButFailed,
    /// The MX records are secure, and some hosts have usable TLSA records.
    Some,
    /// Hosts have secure TLSA records, and no record can be used.
    Unusable,
    /// The MX records are not secure, and some hosts have usable TLSA records.
    Half,
    /// No host has TLSA records.
    None,
    /// A lookup failed, and no better answer is sound.
    Failed,
}

impl DaneState {
    /// Returns the state of a domain.
    pub fn of(facts: &DomainFacts) -> Self {
        let secure = match &facts.exchangers {
            ExchangerState::Failed(_) => return Self::Failed,
            ExchangerState::NoDomain | ExchangerState::NullMx => return Self::None,
            ExchangerState::Known { secure, .. } => *secure,
        };
        let (mut usable, mut unusable, mut absent, mut failed) = (0_usize, 0_usize, 0_usize, 0_usize);
        for host in &facts.hosts {
            match &host.dane {
                // A host without an address is never connected to, so it decides nothing.
                HostDane::NoAddress => {}
                HostDane::Failed { .. } => failed += 1,
                HostDane::Absent => absent += 1,
                HostDane::Records(records) if records.usable.is_empty() => unusable += 1,
                HostDane::Records(_) => usable += 1,
            }
        }
        let all = secure && usable > 0 && absent + unusable == 0;
        match (usable, unusable, failed) {
            _ if all && failed > 0 => Self::AllButFailed,
            (_, _, 1..) => Self::Failed,
            _ if all => Self::All,
            (1.., _, _) if secure => Self::Some,
            (1.., _, _) => Self::Half,
            (0, 1.., _) => Self::Unusable,
            (0, 0, _) => Self::None,
        }
    }
}

/// Which policies a sender obeys.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PolicyChoice {
    /// DANE first, MTA-STS where DANE does not authenticate.
    #[default]
    Best,
    /// DANE only.
    Dane,
    /// MTA-STS, also where DANE authenticates. RFC 8461 section 2 forbids to override DANE, so both must hold there.
    Sts,
    /// None: TLS is opportunistic.
    None,
}

/// What a client must do at one host before it delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostRule<'a> {
    /// It must not deliver to this host.
    Skip(SkipReason),
    /// TLS is required.
    Require {
        /// A record must match the server's certificate.
        dane: Option<&'a DaneRecords>,
        /// The certificate must lead to a trusted root and contain the host's name.
        pkix: bool,
    },
    /// TLS is used if the server offers it.
    Opportunistic,
}

/// Why a client must not deliver to a host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// A lookup failed, so whether the host has TLSA records is unknown (RFC 7672 section 2.1.2).
    LookupFailed {
        /// The question.
        question: DnsQuestion,
        /// The reason.
        failure: LookupFailure,
    },
    /// The host has no address.
    NoAddress,
    /// The MX record does not name a host (RFC 5321 section 5.1).
    NotAHost,
    /// No pattern of the enforced MTA-STS policy matches the host (RFC 8461 section 4.1).
    NotCovered,
    /// The message requires REQUIRETLS, and nothing proves that the host is an exchanger of the domain (RFC 8689 section 4.2.1).
    NotProven,
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LookupFailed { question, failure } => {
                write!(f, "the lookup of {question} failed: {failure}")
            }
            Self::NoAddress => f.write_str("the host has no address"),
            Self::NotAHost => f.write_str("the MX record does not name a host"),
            Self::NotCovered => f.write_str("no mx pattern of the MTA-STS policy matches the host"),
            Self::NotProven => f.write_str(
                "REQUIRETLS needs a proof that the host is an exchanger of the domain, by DNSSEC or MTA-STS",
            ),
        }
    }
}

/// Returns what a client must do at this host.
///
/// DANE governs where it authenticates. With MX records that are not secure it does not replace MTA-STS: then both must hold,
/// because an attacker could have named the host.
pub fn host_rule<'a>(
    facts: &DomainFacts,
    host: &'a HostFacts,
    sts: Option<&StsPolicy>,
    choice: PolicyChoice,
) -> HostRule<'a> {
    if host.name().is_none() {
        return HostRule::Skip(SkipReason::NotAHost);
    }
    if choice == PolicyChoice::None {
        return HostRule::Opportunistic;
    }
    let enforced = sts.filter(|it| it.mode == StsMode::Enforce && choice != PolicyChoice::Dane);
    let dane = match &host.dane {
        HostDane::Failed { question, failure } => {
            let (question, failure) = (question.clone(), failure.clone());
            return HostRule::Skip(SkipReason::LookupFailed { question, failure });
        }
        HostDane::NoAddress => return HostRule::Skip(SkipReason::NoAddress),
        HostDane::Absent => None,
        HostDane::Records(records) => Some(records),
    };
    let authenticated = dane.filter(|it| !it.usable.is_empty());
    let by_dane_alone =
        facts.are_exchangers_secure() && authenticated.is_some() && choice != PolicyChoice::Sts;
    let pkix = enforced.is_some() && !by_dane_alone;
    if let Some(policy) = enforced
        && pkix
        && !covers(policy, host)
    {
        return HostRule::Skip(SkipReason::NotCovered);
    }
    match (dane, pkix) {
        (None, false) => HostRule::Opportunistic,
        _ => HostRule::Require { dane: authenticated, pkix },
    }
}

/// Returns what a client must do at this host for a message that requires REQUIRETLS (RFC 8689 section 4.2.1): DNSSEC or MTA-STS
/// proves that the host is an exchanger of the domain, and DANE or a trusted root authenticates it. The client must also
/// find the keyword REQUIRETLS in the server's reply to EHLO inside TLS.
pub fn require_tls_rule<'a>(
    facts: &DomainFacts,
    host: &'a HostFacts,
    sts: Option<&StsPolicy>,
    choice: PolicyChoice,
) -> HostRule<'a> {
    // A policy in mode testing comes from the domain as well as an enforced one.
    let is_covered = sts.is_some_and(|it| it.mode != StsMode::None && covers(it, host));
    match host_rule(facts, host, sts, choice) {
        HostRule::Skip(reason) => HostRule::Skip(reason),
        _ if !facts.are_exchangers_secure() && !is_covered => HostRule::Skip(SkipReason::NotProven),
        HostRule::Require { dane: Some(records), pkix } => HostRule::Require { dane: Some(records), pkix },
        HostRule::Require { dane: None, .. } | HostRule::Opportunistic => {
            HostRule::Require { dane: None, pkix: true }
        }
    }
}

fn covers(policy: &StsPolicy, host: &HostFacts) -> bool {
    host.name().is_some_and(|name| policy.covers(name))
}

/// The answer to a mail server for a whole domain, in the terms of Postfix's TLS security levels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// `dane-only`: every connection must be authenticated by DANE.
    DaneOnly,
    /// `dane`: DANE for each host that has records, opportunistic TLS for others.
    Dane,
    /// `secure`: the certificate must be valid for a pattern.
    Secure(Vec<String>),
    /// No policy: the mail server's default applies.
    NoPolicy,
    /// The mail must wait, for this reason.
    Defer(String),
}

/// What a mail server is answered for a domain that only some hosts of have TLSA records, and that has an MTA-STS policy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PartialDane {
    /// `secure`: MTA-STS covers every host, DANE only some.
    #[default]
    Sts,
    /// `dane`: DANE for the hosts that have it; the others are not protected.
    Dane,
}

/// Returns the answer for a domain.
pub fn decide(facts: &DomainFacts, sts: Option<&StsPolicy>, partial: PartialDane) -> Decision {
    let enforced = sts.filter(|it| it.mode == StsMode::Enforce);
    let secure = |policy: &StsPolicy| {
        // Postfix writes a wildcard as a leading dot.
        let pattern = |wildcard, name: &DnsName| if wildcard { format!(".{name}") } else { name.to_string() };
        Decision::Secure(policy.mx.iter().map(|it| pattern(it.is_wildcard(), it.name())).collect())
    };
    match (DaneState::of(facts), enforced) {
        (DaneState::All, _) => Decision::DaneOnly,
        (DaneState::Failed, _) => Decision::Defer(failure(facts)),
        (DaneState::AllButFailed, _) => Decision::Dane,
        (DaneState::Some | DaneState::Half, Some(_)) if partial == PartialDane::Dane => Decision::Dane,
        (DaneState::Some | DaneState::Half | DaneState::Unusable | DaneState::None, Some(policy)) => {
            secure(policy)
        }
        (DaneState::Some | DaneState::Half | DaneState::Unusable, None) => Decision::Dane,
        (DaneState::None, None) => Decision::NoPolicy,
    }
}

/// Returns the sentence that an administrator finds in the log of the mail server.
fn failure(facts: &DomainFacts) -> String {
    if let ExchangerState::Failed(failure) = &facts.exchangers {
        return format!("the MX lookup failed: {failure}");
    }
    let mut text = String::new();
    for host in &facts.hosts {
        if let HostDane::Failed { question, failure } = &host.dane {
            let _ = write!(
                text,
                "{}the lookup of {question} failed: {failure}",
                if text.is_empty() { "" } else { "; " }
            );
        }
    }
    text
}

impl Decision {
    /// Returns the name of the security level in Postfix, or the kind of reply.
    pub fn level(&self) -> &'static str {
        match self {
            Self::DaneOnly => "dane-only",
            Self::Dane => "dane",
            Self::Secure(_) => "secure",
            Self::NoPolicy => "NOTFOUND",
            Self::Defer(_) => "TEMP",
        }
    }
}
