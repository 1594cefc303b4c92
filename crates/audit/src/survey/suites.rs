//! The classes of suites that a server offers.

use starttls_hello::{CipherSuite, Known, SuiteClass, Support, Version};

use super::judge::{CLASSIC, Judge, any};
use super::versions::names;
use crate::check::{Check, id};
use crate::finding::FindingBuilder;

/// The most suites that a finding names.
const MAX_NAMED: usize = 8;

pub(super) fn null(judge: &Judge<'_>) -> FindingBuilder {
    classes(judge, id::TLS_NULL, &[SuiteClass::Null], "suites without encryption")
}

pub(super) fn anonymous(judge: &Judge<'_>) -> FindingBuilder {
    classes(judge, id::TLS_ANON, &[SuiteClass::Anonymous], "suites without authentication")
}

pub(super) fn export(judge: &Judge<'_>) -> FindingBuilder {
    classes(judge, id::TLS_EXPORT, &[SuiteClass::Export], "export suites")
}

pub(super) fn weak(judge: &Judge<'_>) -> FindingBuilder {
    classes(judge, id::TLS_WEAK, &[SuiteClass::Rc4, SuiteClass::Des], "suites with RC4, RC2 or DES")
}

/// Reports whether a server offers suites of these classes.
fn classes(judge: &Judge<'_>, check: &'static Check, classes: &[SuiteClass], what: &str) -> FindingBuilder {
    let found: Vec<_> = CLASSIC
        .into_iter()
        .map(|version| (version, of_classes(judge, version, classes)))
        .filter(|(_, suites)| !suites.is_empty())
        .collect();
    if !found.is_empty() {
        let versions: Vec<_> = found.iter().map(|(version, _)| *version).collect();
        let hellos = found.iter().filter_map(|(version, suites)| witness(judge, *version, *suites.first()?));
        let summary = format!("{what} are offered with {}", names(&versions));
        return judge.found(check, summary, hellos.collect::<Vec<_>>()).details(
            found.iter().map(|(version, suites)| format!("{version}: {}", listed(suites))).collect(),
        );
    }
    match absence(judge, classes) {
        (Some(version), Known::Is(_, witness)) => {
            judge.absent(check, format!("{what} are not offered with {version}"), witness)
        }
        (None, Known::Is(_, witness)) => judge.absent(check, format!("{what} are not offered"), witness),
        (_, unknown) => judge.unknown(check, unknown),
    }
}

/// Returns whether classes that were not found are not offered, and the only version for which that is known.
///
/// Servers have one list of suites for all versions. A survey asks for the suites at the oldest version too.
fn absence(judge: &Judge<'_>, classes: &[SuiteClass]) -> (Option<Version>, Known<Support>) {
    let at = |version| any(classes.iter().map(|class| judge.facts.class(version, *class)));
    let all = any(CLASSIC.into_iter().map(at));
    let offered = |version: &Version| judge.facts.version(*version).value() == Some(Support::Offered);
    match (all, CLASSIC.into_iter().find(offered)) {
        (Known::Is(..), _) | (_, None) => (None, all),
        (_, Some(best)) => (Some(best), at(best)),
    }
}

/// Returns the suites of these classes that were negotiated with a version.
pub(super) fn of_classes(judge: &Judge<'_>, version: Version, classes: &[SuiteClass]) -> Vec<CipherSuite> {
    let mut suites = judge.facts.suites(version);
    suites.retain(|suite| classes.contains(&suite.class()));
    suites
}

/// Returns the hello that negotiated a suite.
fn witness(judge: &Judge<'_>, version: Version, suite: CipherSuite) -> Option<usize> {
    match judge.facts.suite(version, suite) {
        Known::Is(Support::Offered, witness) => Some(witness.hello),
        _ => None,
    }
}

/// Returns suites by their names in the registry and in OpenSSL.
pub(super) fn listed(suites: &[CipherSuite]) -> String {
    let named: Vec<_> = suites.iter().take(MAX_NAMED).map(|suite| name(*suite)).collect();
    let more = match suites.len().saturating_sub(MAX_NAMED) {
        0 => String::new(),
        more => format!(", and {more} more"),
    };
    format!("{}{more}", named.join(", "))
}

/// Returns a suite's name in the registry, and OpenSSL's if it differs.
fn name(suite: CipherSuite) -> String {
    match suite.info().and_then(|info| info.openssl_name()).filter(|name| *name != suite.to_string()) {
        Some(openssl) => format!("{suite} ({openssl})"),
        None => suite.to_string(),
    }
}
