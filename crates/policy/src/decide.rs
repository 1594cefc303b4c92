//! Which policy governs: per host for a client that sends mail, per domain for a mail server that asks.

use std::fmt::Write;

use starttls_dns::DnsName;

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
    /// MTA-STS only. RFC 8461 section 2 forbids to override DANE, so a host that DANE forbids stays forbidden.
    Sts,
    /// None: TLS is opportunistic.
    None,
}

/// What a client must do at one host before it delivers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HostRule<'a> {
    /// It must not deliver to this host.
    Skip(String),
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
    if choice == PolicyChoice::None {
        return HostRule::Opportunistic;
    }
    let secure = matches!(facts.exchangers, ExchangerState::Known { secure: true, .. });
    let enforced = sts.filter(|it| it.mode == StsMode::Enforce && choice != PolicyChoice::Dane);
    let dane = match &host.dane {
        HostDane::Failed { question, failure } => {
            return HostRule::Skip(format!("the lookup of {question} failed: {failure}"));
        }
        HostDane::NoAddress => return HostRule::Skip(String::from("the host has no address")),
        HostDane::Absent => None,
        HostDane::Records(records) => Some(records),
    };
    let authenticated = dane.filter(|it| !it.usable.is_empty());
    let by_dane_alone = secure && authenticated.is_some();
    let pkix = enforced.is_some() && !by_dane_alone;
    if let Some(policy) = enforced
        && pkix
        && !host.name().is_some_and(|name| policy.covers(name))
    {
        return HostRule::Skip(String::from("no mx pattern of the MTA-STS policy matches the host"));
    }
    match (dane, pkix) {
        (None, false) => HostRule::Opportunistic,
        _ => HostRule::Require { dane: authenticated, pkix },
    }
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
