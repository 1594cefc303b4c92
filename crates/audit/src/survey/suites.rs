//! The classes of suites that a server offers.

use starttls_hello::{CipherSuite, Known, Preference, SuiteClass, Support, Version, extension_kind};

use super::judge::{CLASSIC, Judge, any};
use super::role::Role;
use super::versions::names;
use crate::check::{Check, id};
use crate::finding::FindingBuilder;
use crate::report::Severity;

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

pub(super) fn block(judge: &Judge<'_>) -> FindingBuilder {
    classes(judge, id::TLS_BLOCK, &[SuiteClass::Block64], "suites with 64-bit blocks")
}

pub(super) fn without_forward_secrecy(judge: &Judge<'_>) -> FindingBuilder {
    classes(judge, id::TLS_STATIC, &[SuiteClass::Static], "suites without forward secrecy")
}

/// CBC suites are a note, unless no suite with authenticated encryption is offered.
pub(super) fn cbc(judge: &Judge<'_>) -> FindingBuilder {
    let check = id::TLS_CBC;
    let finding = classes(judge, check, &[SuiteClass::Cbc], "suites in CBC mode");
    if !finding.is_wrong() {
        return finding;
    }
    let modern = judge.handshake.version == Some(Version::Tls13)
        || judge.facts.version(Version::Tls13).value() == Some(Support::Offered);
    let aead = judge.facts.class(Version::Tls12, SuiteClass::Aead);
    let etm = match judge.facts.extension(extension_kind::ENCRYPT_THEN_MAC).value() {
        Some(Support::NotOffered) => ", without encrypt-then-MAC",
        Some(Support::Offered) => ", with encrypt-then-MAC",
        None => "",
    };
    let summary = format!("{}{etm}", finding.summary());
    match (modern, aead) {
        (false, Known::Is(Support::NotOffered, witness)) => {
            let severity = if judge.role == Role::Access { Severity::Warning } else { Severity::Info };
            judge.found_with(
                severity,
                check,
                format!("{summary}, and none with authenticated encryption"),
                [witness.hello],
            )
        }
        _ => finding.into_note(summary),
    }
}

/// Whose order decides matters only if there is something weak to choose.
pub(super) fn order(judge: &Judge<'_>) -> FindingBuilder {
    let check = id::TLS_ORDER;
    let weak = CLASSIC
        .into_iter()
        .any(|version| judge.facts.suites(version).iter().any(|suite| suite.class() <= SuiteClass::Static));
    match judge.facts.preference() {
        Known::Is(Preference::Server, witness) => {
            judge.absent(check, "the server's order of suites decides", witness)
        }
        Known::Is(Preference::Client, witness) if !weak => {
            judge.absent(check, "the client's order of suites decides, and no weak suite was seen", witness)
        }
        Known::Is(Preference::Client, witness) => {
            let summary = String::from("the client's order of suites decides, and weak suites are offered");
            judge.found(check, summary, [witness.hello])
        }
        unknown => judge.unknown(check, unknown),
    }
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
    let at = |version| any(classes.iter().map(|class| judge.facts.class(version, *class)));
    match absence(judge, at) {
        (Some(version), Known::Is(_, witness)) => {
            judge.absent(check, format!("{what} are not offered with {version}"), witness)
        }
        (None, Known::Is(_, witness)) => judge.absent(check, format!("{what} are not offered"), witness),
        (_, unknown) => judge.unknown(check, unknown),
    }
}

/// Returns whether suites that were not found are not offered, and the only version for which that is known. `at` returns
/// the fact for one version.
///
/// Servers have one list of suites for all versions. A survey asks for the suites at the oldest version too.
pub(super) fn absence(
    judge: &Judge<'_>,
    at: impl Fn(Version) -> Known<Support>,
) -> (Option<Version>, Known<Support>) {
    let all = any(CLASSIC.into_iter().map(&at));
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
pub(super) fn name(suite: CipherSuite) -> String {
    match suite.info().and_then(|info| info.openssl_name()).filter(|name| *name != suite.to_string()) {
        Some(openssl) => format!("{suite} ({openssl})"),
        None => suite.to_string(),
    }
}
