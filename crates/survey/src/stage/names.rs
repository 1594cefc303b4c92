//! Asks DNS: for the exchangers of a domain, and for the addresses of an exchanger.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use starttls_dns::{DnsAnswer, DnsName, DnsQuestion, MxTarget, RecordData, RecordType, Stub};

use crate::budget::BudgetKeys;
use crate::monitor::Timed;
use crate::opt_out::OptOut;
use crate::row::{AddressRow, DomainRow, DomainStatus, Exchanger, ROW_VERSION};
use crate::target::NameTarget;
use crate::worker::{Contact, Done, Job, LaneGate, Skipped, record};

/// The most exchangers of a domain that are kept. RFC 5321 section 5.1 sets no limit; senders try a few.
const MAX_EXCHANGERS: usize = 32;

/// The most addresses of an exchanger that are kept.
const MAX_ADDRESSES: usize = 32;

/// Looks up the exchangers of domains.
#[derive(Debug)]
pub(crate) struct ResolveDomains {
    /// Whom to ask.
    pub(crate) stub: Stub,
    /// Those that are not asked for.
    pub(crate) opt_out: Arc<OptOut>,
}

/// Looks up the addresses of exchangers.
#[derive(Debug)]
pub(crate) struct ResolveAddresses {
    /// Whom to ask.
    pub(crate) stub: Stub,
}

impl Job for ResolveDomains {
    type Target = NameTarget;

    fn key(&self, target: &NameTarget) -> String {
        target.name.clone()
    }

    fn budgets(&self, _: &NameTarget) -> Option<(IpAddr, BudgetKeys)> {
        None
    }

    fn refuse(&self, target: &NameTarget) -> Option<Done> {
        let is_listed = self.opt_out.list().has_name(&target.name);
        is_listed.then(|| domain_done(DomainRow::without_records(&target.name, DomainStatus::OptedOut)))
    }

    fn skip(&self, target: &NameTarget, _: Skipped) -> Done {
        domain_done(DomainRow::without_records(&target.name, DomainStatus::Crashed))
    }

    async fn run(&self, target: Arc<NameTarget>, _: Option<LaneGate>) -> Done {
        let (answer, took) = ask(&self.stub, &target.name, RecordType::Mx).await;
        let mut row = domain_row(&target.name, &answer);
        row.elapsed_ms = millis(took);
        Done { steps: vec![(Timed::Dns, took)], ..domain_done(row) }
    }
}

fn domain_done(row: DomainRow) -> Done {
    let word = match row.status {
        DomainStatus::Mx => "mx",
        DomainStatus::NullMx => "null-mx",
        DomainStatus::ImplicitMx => "implicit-mx",
        DomainStatus::InvalidMx => "invalid-mx",
        DomainStatus::NoName => "no-name",
        DomainStatus::Failed => "failed",
        DomainStatus::OptedOut => "opted-out",
        DomainStatus::Crashed => "crashed",
    };
    Done { record: record(row.domain.clone(), &row), word, contact: Contact::Other, steps: Vec::new() }
}

impl DomainRow {
    fn without_records(domain: &str, status: DomainStatus) -> Self {
        Self {
            schema_version: ROW_VERSION,
            domain: domain.to_owned(),
            status,
            mx: Vec::new(),
            invalid_mx: Vec::new(),
            secure: false,
            ttl: None,
            error: None,
            elapsed_ms: 0.0,
        }
    }
}

/// Reads the answer for the exchangers of a domain.
fn domain_row(domain: &str, answer: &DnsAnswer) -> DomainRow {
    let mut row = DomainRow::without_records(domain, DomainStatus::Mx);
    (row.secure, row.ttl) = (answer.is_secure(), answer.ttl());
    let mut has_null = false;
    for record in answer.records() {
        let RecordData::Mx(mx) = record else { continue };
        match &mx.target {
            MxTarget::Null => has_null = true,
            MxTarget::Host(name) if row.mx.len() < MAX_EXCHANGERS => {
                row.mx.push(Exchanger { preference: mx.preference, name: name.to_string() });
            }
            MxTarget::Host(_) => {}
            MxTarget::Invalid(text) if row.invalid_mx.len() < MAX_EXCHANGERS => {
                row.invalid_mx.push(text.clone())
            }
            MxTarget::Invalid(_) => {}
        }
    }
    row.mx.sort();
    row.mx.dedup();
    row.status = match answer {
        DnsAnswer::Found { .. } if !row.mx.is_empty() => DomainStatus::Mx,
        DnsAnswer::Found { .. } if has_null => DomainStatus::NullMx,
        DnsAnswer::Found { .. } => DomainStatus::InvalidMx,
        DnsAnswer::NoData { .. } => DomainStatus::ImplicitMx,
        DnsAnswer::NoName { .. } => DomainStatus::NoName,
        DnsAnswer::Failed(failure) => {
            row.error = Some(failure.to_string());
            DomainStatus::Failed
        }
    };
    if row.status == DomainStatus::ImplicitMx {
        row.mx.push(Exchanger { preference: 0, name: domain.to_owned() });
    }
    row
}

impl Job for ResolveAddresses {
    type Target = NameTarget;

    fn key(&self, target: &NameTarget) -> String {
        target.name.clone()
    }

    fn budgets(&self, _: &NameTarget) -> Option<(IpAddr, BudgetKeys)> {
        None
    }

    fn refuse(&self, _: &NameTarget) -> Option<Done> {
        None
    }

    fn skip(&self, target: &NameTarget, _: Skipped) -> Done {
        address_done(AddressRow {
            schema_version: ROW_VERSION,
            name: target.name.clone(),
            addresses: Vec::new(),
            is_missing: false,
            error: Some(String::from("the program ended several times while it worked on this name")),
            elapsed_ms: 0.0,
        })
    }

    async fn run(&self, target: Arc<NameTarget>, _: Option<LaneGate>) -> Done {
        let started = Instant::now();
        let ((v4, v4_took), (v6, v6_took)) = tokio::join!(
            ask(&self.stub, &target.name, RecordType::A),
            ask(&self.stub, &target.name, RecordType::Aaaa)
        );
        let mut addresses: Vec<IpAddr> = Vec::new();
        for record in v4.records().iter().chain(v6.records()) {
            if let RecordData::Address(address) = record
                && addresses.len() < MAX_ADDRESSES
            {
                addresses.push(*address);
            }
        }
        addresses.sort();
        addresses.dedup();
        let error = v4.failure().or(v6.failure()).map(ToString::to_string);
        let row = AddressRow {
            schema_version: ROW_VERSION,
            name: target.name.clone(),
            is_missing: addresses.is_empty() && error.is_none(),
            addresses,
            error,
            elapsed_ms: millis(started.elapsed()),
        };
        Done { steps: vec![(Timed::Dns, v4_took), (Timed::Dns, v6_took)], ..address_done(row) }
    }
}

fn address_done(row: AddressRow) -> Done {
    let word = match (&row.error, row.addresses.is_empty()) {
        (_, false) => "found",
        (None, true) => "missing",
        (Some(_), true) => "failed",
    };
    Done { record: record(row.name.clone(), &row), word, contact: Contact::Other, steps: Vec::new() }
}

/// Asks the resolver, and returns how long that took.
async fn ask(stub: &Stub, name: &str, record: RecordType) -> (DnsAnswer, Duration) {
    let started = Instant::now();
    let answer = match name.parse::<DnsName>() {
        Ok(name) => stub.ask(&DnsQuestion { name, record }).await,
        // The names in shards were parsed when they were planned.
        Err(_) => DnsAnswer::NoName { secure: false, ttl: 0 },
    };
    (answer, started.elapsed())
}

fn millis(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e4).round() / 10.0
}

#[cfg(test)]
mod tests {
    use starttls_dns::{FailureKind, Mx};

    use super::*;

    #[test]
    fn answers_have_a_status() {
        let found = |names: &[(u16, &str)]| DnsAnswer::Found {
            records: names
                .iter()
                .map(|(preference, name)| {
                    RecordData::Mx(Mx { preference: *preference, target: MxTarget::new(name) })
                })
                .collect(),
            secure: true,
            aliases: vec![],
            ttl: 60,
        };
        for (answer, status, mx) in [
            (
                found(&[(20, "b.test"), (10, "a.test."), (20, "b.test")]),
                DomainStatus::Mx,
                vec!["a.test", "b.test"],
            ),
            (found(&[(0, ".")]), DomainStatus::NullMx, vec![]),
            (found(&[(0, "192.0.2.1")]), DomainStatus::InvalidMx, vec![]),
            (found(&[(0, "."), (1, "a.test")]), DomainStatus::Mx, vec!["a.test"]),
            (DnsAnswer::NoData { secure: false, ttl: 1 }, DomainStatus::ImplicitMx, vec!["d.test"]),
            (DnsAnswer::NoName { secure: false, ttl: 1 }, DomainStatus::NoName, vec![]),
            (DnsAnswer::Failed(FailureKind::Timeout.into()), DomainStatus::Failed, vec![]),
        ] {
            let row = domain_row("d.test", &answer);
            assert_eq!((row.status, row.error.is_some()), (status, status == DomainStatus::Failed));
            assert_eq!(row.mx.iter().map(|it| it.name.as_str()).collect::<Vec<_>>(), mx);
        }
    }
}
