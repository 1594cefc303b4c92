//! The findings of a survey.

use super::judge::{Handshake, Judge};
use super::role::Role;
use super::run::Survey;
use super::{certificates, faults, key_exchange, profile, properties, session, suites, summary, versions};
use crate::check::{Check, id};
use crate::finding::FindingBuilder;
use crate::requirement::Requirement;
use crate::tls_profile::TlsProfile;

/// Turns facts into the finding of one check.
type Judgment = fn(&Judge<'_>) -> FindingBuilder;

/// The checks that the survey decides, each with its judgment.
const ROWS: &[(&Check, Judgment)] = &[
    (id::TLS_OLD, versions::old),
    (id::TLS_INVENTORY, summary::inventory),
    (id::TLS_SSL, versions::ssl),
    (id::TLS_DEPRECATED, versions::deprecated),
    (id::TLS_NULL, suites::null),
    (id::TLS_ANON, suites::anonymous),
    (id::TLS_EXPORT, suites::export),
    (id::TLS_WEAK, suites::weak),
    (id::TLS_NONE, versions::none),
    (id::TLS_BLOCK, suites::block),
    (id::TLS_STATIC, suites::without_forward_secrecy),
    (id::TLS_CBC, suites::cbc),
    (id::TLS_DHE, key_exchange::finite_field),
    (id::TLS_DH_SIZE, key_exchange::dh_size),
    (id::TLS_DH_REUSE, key_exchange::dh_reuse),
    (id::TLS_CURVE, key_exchange::curve),
    (id::TLS_HASH, key_exchange::hash),
    (id::TLS_ORDER, suites::order),
    (id::TLS_COMPRESSION, properties::compression),
    (id::TLS_MASTER, properties::master_secret),
    (id::TLS_FALLBACK, properties::fallback),
    (id::TLS_HEARTBEAT, properties::heartbeat),
    (id::TLS_CLIENT_AUTH, properties::client_certificate),
    (id::TLS_BROKEN, faults::broken),
    (id::TLS_INTOLERANT, faults::intolerant),
    (id::TLS_RANDOM, faults::random),
    (id::CERT_TYPES, certificates::types),
];

/// The checks that the survey decides.
pub(crate) const CHECKS: &[&Check] = &{
    let mut checks = [id::TLS_PROFILE; ROWS.len() + 1];
    let mut index = 0;
    while index < ROWS.len() {
        checks[index] = ROWS[index].0;
        index += 1;
    }
    checks
};

/// Turns facts into the finding of one check that a session decides too. Returns `None` if the survey does not add to it.
type SessionJudgment = fn(&Judge<'_>) -> Option<FindingBuilder>;

/// The checks that a session decides, with the judgments of the survey. They replace those of the session.
const SESSION_ROWS: &[(&Check, SessionJudgment)] = &[
    (id::TLS_SUITE, session::suite),
    (id::TLS_GROUP, session::group),
    (id::TLS_RENEGOTIATION, session::renegotiation),
    (id::CERT_TRANSPARENCY, session::timestamps),
];

/// The checks that a session decides, and the survey too.
pub(crate) const SESSION_CHECKS: &[&Check] = &{
    let mut checks = [id::TLS_SUITE; SESSION_ROWS.len()];
    let mut index = 0;
    while index < SESSION_ROWS.len() {
        checks[index] = SESSION_ROWS[index].0;
        index += 1;
    }
    checks
};

/// Returns the findings on a server, and the comparison with the profile.
pub(crate) fn findings(
    survey: &Survey,
    role: Role,
    handshake: Handshake<'_>,
    profile: Option<&TlsProfile>,
) -> Vec<FindingBuilder> {
    let judge = Judge { survey, facts: survey.facts(), role, handshake };
    // One cause, one finding: the server answered no hello, and the handshake of a TLS library failed too.
    if handshake.version.is_none() && !judge.has_success() {
        return vec![summary::inventory(&judge)];
    }
    let compared = match profile {
        Some(profile) => profile::compare(&judge, profile),
        None => FindingBuilder::not_run(id::TLS_PROFILE, Requirement::TlsProfile),
    };
    let of_session = SESSION_ROWS.iter().filter_map(|(_, row)| row(&judge));
    ROWS.iter().map(|(_, row)| row(&judge)).chain([compared]).chain(of_session).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::selection::needs_survey;

    #[test]
    fn every_check_that_needs_the_survey_has_a_judgment() {
        let needed = crate::check::CHECKS.iter().filter(|row| needs_survey(row));
        let needed: Vec<_> = needed.map(|row| row.id).collect();
        assert!(CHECKS.iter().all(|check| needed.contains(&check.id)), "{needed:?}");
        assert_eq!(CHECKS.len(), needed.len(), "{needed:?}");
    }
}
