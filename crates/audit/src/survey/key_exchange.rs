//! Diffie-Hellman parameters, curves, and the signatures of key exchanges.

use starttls_hello::{
    Authentication, CipherSuite, Curve, DhParameters, KeyExchange, Known, ServerKeyExchange, SuiteFamily,
    Support, Witness,
};
use starttls_x509::{hex, sha256};

use super::judge::{Judge, any};
use super::known_primes;
use super::suites::{absence, name};
use crate::check::{Check, id};
use crate::finding::FindingBuilder;
use crate::report::{CheckOutcome, Severity};

/// The most exchanges that a finding names.
const MAX_NAMED: usize = 8;

/// Finite-field Diffie-Hellman is a note.
pub(super) fn finite_field(judge: &Judge<'_>) -> FindingBuilder {
    let check = id::TLS_DHE;
    let seen = judge.facts.dh_parameters();
    let Some(first) = seen.first() else {
        return absent_or_unknown(judge, check, |witness| {
            judge.absent(check, "finite-field Diffie-Hellman is not offered", witness)
        });
    };
    let summary = format!("finite-field Diffie-Hellman is offered, {} bits", sizes(&seen));
    judge.found(check, String::new(), [first.hello]).into_note(summary)
}

/// The size of the primes. The shortest one counts.
pub(super) fn dh_size(judge: &Judge<'_>) -> FindingBuilder {
    let check = id::TLS_DH_SIZE;
    let seen = judge.facts.dh_parameters();
    let worst = seen.iter().filter_map(|dh| Some((severity(dh)?, dh))).max_by_key(|(severity, _)| *severity);
    if let Some((severity, dh)) = worst {
        // Servers that share a prime share the work of an attacker.
        let shared = match known_primes::name(&hex(&sha256(dh.prime))) {
            Some(known) => format!(", {known}, which many servers share"),
            None => String::new(),
        };
        let summary = format!("{} uses a Diffie-Hellman prime of {} bits{shared}", name(dh.suite), dh.bits);
        return judge.found_with(severity, check, summary, [dh.hello]).details(primes(&seen));
    }
    match seen.first() {
        Some(_) => {
            let summary = format!("the primes that were seen have {} bits", sizes(&seen));
            FindingBuilder::pass(check, summary).details(primes(&seen))
        }
        None => absent_or_unknown(judge, check, |_| no_dhe(check)),
    }
}

/// Returns a line for each exchange, with the hash of its prime and the name of a prime that is known.
fn primes(seen: &[DhParameters<'_>]) -> Vec<String> {
    let line = |dh: &DhParameters<'_>| {
        let hash = hex(&sha256(dh.prime));
        let known = known_primes::name(&hash).map(|name| format!(", {name}")).unwrap_or_default();
        let suite = name(dh.suite);
        format!("{}, {suite}: {} bits{known}, SHA-256 of the prime {hash}", dh.version, dh.bits)
    };
    seen.iter().take(MAX_NAMED).map(line).collect()
}

/// Returns the severity of a prime, if it is too short.
fn severity(dh: &DhParameters<'_>) -> Option<Severity> {
    let severity = match dh.bits {
        ..=768 => Severity::Critical,
        769..=1024 => Severity::Error,
        1025..=2047 => Severity::Warning,
        _ => return None,
    };
    Some(if is_anonymous(dh.suite) { Severity::Info } else { severity })
}

fn is_anonymous(suite: CipherSuite) -> bool {
    suite.info().is_some_and(|info| info.authentication == Authentication::Anonymous)
}

fn sizes(seen: &[DhParameters<'_>]) -> String {
    let mut sizes: Vec<_> = seen.iter().map(|dh| dh.bits).collect();
    sizes.sort_unstable();
    sizes.dedup();
    sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and ")
}

/// Whether the server uses a value twice.
pub(super) fn dh_reuse(judge: &Judge<'_>) -> FindingBuilder {
    let check = id::TLS_DH_REUSE;
    match judge.facts.dh_reuse() {
        Known::Is(Support::Offered, witness) => {
            let summary = String::from("two connections have the same Diffie-Hellman value");
            judge.found(check, summary, [witness.hello])
        }
        Known::Is(Support::NotOffered, witness) => {
            judge.absent(check, "each connection has a Diffie-Hellman value of its own", witness)
        }
        unknown if judge.facts.dh_parameters().is_empty() => match dhe(judge) {
            Known::Is(Support::NotOffered, _) => no_dhe(check),
            _ => judge.unknown(check, unknown),
        },
        unknown => judge.unknown(check, unknown),
    }
}

/// Returns whether any suite with finite-field Diffie-Hellman is offered.
fn dhe(judge: &Judge<'_>) -> Known<Support> {
    let at = |version| {
        let suites = CipherSuite::all().filter(|(_, info)| {
            info.key_exchange == KeyExchange::Dhe && info.family == SuiteFamily::Pki && info.min <= version
        });
        any(suites.map(|(suite, _)| judge.facts.suite(version, suite)))
    };
    absence(judge, at).1
}

fn absent_or_unknown(
    judge: &Judge<'_>,
    check: &'static Check,
    absent: impl FnOnce(Witness) -> FindingBuilder,
) -> FindingBuilder {
    match dhe(judge) {
        Known::Is(Support::NotOffered, witness) => absent(witness),
        unknown => judge.unknown(check, unknown),
    }
}

fn no_dhe(check: &'static Check) -> FindingBuilder {
    let why = "the server offers no finite-field Diffie-Hellman";
    FindingBuilder::new(check, CheckOutcome::NotApplicable, why)
}

/// Whether the server agrees to a weak, unusual or explicit curve.
pub(super) fn curve(judge: &Judge<'_>) -> FindingBuilder {
    let known = judge.facts.weak_curve();
    let found = match known {
        Known::Is(Support::Offered, witness) => match curve_of(judge, witness.hello) {
            Some(Curve::Named(group)) => format!("the server accepts the curve {group}"),
            Some(Curve::ExplicitPrime { bits } | Curve::ExplicitBinary { bits }) => {
                format!("the server chooses a curve with explicit parameters, {bits} bits")
            }
            None => String::from("the server accepts a weak curve"),
        },
        _ => String::new(),
    };
    let absent = "the server accepts no weak curve";
    judge.property(id::TLS_CURVE, known, Support::Offered, (&found, absent))
}

fn curve_of(judge: &Judge<'_>, hello: usize) -> Option<Curve> {
    match &judge.flight(hello)?.key_exchange {
        Some(ServerKeyExchange::Ecdhe { curve, .. }) => Some(*curve),
        _ => None,
    }
}

/// Whether the server signs with SHA-1 or MD5 in TLS 1.2.
pub(super) fn hash(judge: &Judge<'_>) -> FindingBuilder {
    let known = judge.facts.legacy_signature();
    let scheme = match known {
        Known::Is(_, witness) => {
            let exchange = judge.flight(witness.hello).and_then(|flight| flight.key_exchange.as_ref());
            exchange.and_then(|exchange| exchange.scheme()).map(|scheme| scheme.to_string())
        }
        _ => None,
    };
    let found =
        format!("the server signs its key exchange with {}", scheme.as_deref().unwrap_or("SHA-1 or MD5"));
    let absent = "the server does not sign its key exchange with SHA-1 or MD5";
    judge.property(id::TLS_HASH, known, Support::Offered, (&found, absent))
}
