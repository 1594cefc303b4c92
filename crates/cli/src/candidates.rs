//! The words that complete an argument, from the tables of checks, scenarios and protocols.

use clap_complete::engine::CompletionCandidate;
use starttls::login::Account;
use starttls::proto;
use starttls_audit::check::{CHECKS, Check};
use starttls_hello::Version;

use crate::policy::check::table::{RULES, family};

/// Returns the ids of all checks, attacks and findings of captures.
pub(crate) fn ids() -> Vec<CompletionCandidate> {
    let mut ids = checks();
    ids.extend(policy_checks());
    #[cfg(feature = "attack")]
    ids.extend(scenarios());
    #[cfg(feature = "inspect")]
    ids.extend(starttls_inspect::RULES.iter().map(|rule| word(rule.id, rule.title)));
    ids
}

/// Returns the ids of the checks of policies.
fn policy_checks() -> impl Iterator<Item = CompletionCandidate> {
    RULES.iter().map(|rule| word(rule.id, rule.title))
}

/// Returns the ids of the checks.
fn checks() -> Vec<CompletionCandidate> {
    CHECKS.iter().map(|check| word(check.id, check.title)).collect()
}

/// Returns the families of checks, and the ids of the checks.
pub(crate) fn check_selection() -> Vec<CompletionCandidate> {
    let mut families: Vec<_> = CHECKS.iter().map(Check::family).collect();
    families.extend(RULES.iter().map(|rule| family(rule.id)));
    families.dedup();
    let mut words: Vec<_> = families.into_iter().map(|it| word(it, "all checks of this family")).collect();
    words.extend(checks());
    words.extend(policy_checks());
    words
}

/// Returns the ids of the attacks.
#[cfg(feature = "attack")]
pub(crate) fn scenarios() -> Vec<CompletionCandidate> {
    let scenarios = starttls_attack::Scenario::all().unwrap_or_default();
    scenarios.iter().map(|scenario| word(&scenario.id, &scenario.title)).collect()
}

/// Returns the names of the protocols.
pub(crate) fn protocols() -> Vec<CompletionCandidate> {
    proto::PROTOCOLS.iter().map(|protocol| word(protocol.name, protocol.title)).collect()
}

/// Returns the start of a target for every scheme: `smtp://`.
pub(crate) fn targets() -> Vec<CompletionCandidate> {
    proto::schemes()
        .map(|scheme| {
            let title = proto::scheme(scheme).map_or("", |(protocol, _)| protocol.title);
            word(&format!("{scheme}://"), title)
        })
        .collect()
}

/// Returns the start of a listener or a backend of the gateway, for every scheme.
#[cfg(feature = "gateway")]
pub(crate) fn gateway_urls() -> Vec<CompletionCandidate> {
    let mut words = targets();
    words.extend(
        proto::PROTOCOLS
            .iter()
            .map(|protocol| word(&format!("{}+starttls://", protocol.name), protocol.title)),
    );
    words
}

/// Returns the SASL mechanisms.
pub(crate) fn mechanisms() -> Vec<CompletionCandidate> {
    Account::mechanisms().map(CompletionCandidate::new).collect()
}

/// Returns the versions of SSL and TLS in their short form.
pub(crate) fn versions() -> Vec<CompletionCandidate> {
    let short = ["ssl2", "ssl3", "1.0", "1.1", "1.2", "1.3"];
    short.iter().zip(Version::ALL).map(|(short, version)| word(short, version.name())).collect()
}

fn word(value: &str, help: &str) -> CompletionCandidate {
    CompletionCandidate::new(value).help(Some(String::from(help).into()))
}
