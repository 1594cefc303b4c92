//! The selection of checks that an audit runs.

use std::fmt;
use std::sync::Arc;

use starttls_hello::WalkSize;

use crate::check::{self, CHECKS, Check, id};
use crate::report::{AuditReport, CheckOutcome, EndpointVerdict, Finding};
use crate::tls_profile::TlsProfile;

/// The most connections that an audit with [`Selection::light`] may open.
pub const LIGHT_CONNECTIONS: u32 = 2;

/// The checks of [`Selection::light`].
const LIGHT: &[&Check] = &[
    id::SRV_REACHABLE,
    id::SRV_MX_NAME,
    id::SRV_THROTTLED,
    id::SRV_PLAIN_TLS,
    id::SRV_PREAUTH,
    id::SRV_REFERRAL,
    id::SRV_ALERT,
    id::SRV_MANGLED,
    id::SRV_OFFERED,
    id::SRV_UPGRADE,
    id::CERT_CHAIN,
    id::CERT_INCOMPLETE,
    id::CERT_SELF_SIGNED,
    id::CERT_NAME,
    id::CERT_DATES,
    id::CERT_EXPIRY,
    id::CERT_KEY,
    id::CERT_SIGNATURE,
    id::CERT_USAGE,
    id::CERT_SAN,
    id::CERT_OCSP,
    id::TLS_HANDSHAKE,
    id::TLS_LARGE_HELLO,
    id::TLS_ALPN,
];

/// Checks that a family name in `only` does not select, because they ask for other certificates on connections of their
/// own.
const BY_ID_ONLY: &[&Check] = &[id::CERT_NO_SNI, id::CERT_UNKNOWN_SNI, id::CERT_TYPES];

/// The extent of the TLS survey.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SurveyExtent {
    /// What the survey asks for.
    pub size: WalkSize,
    /// The most connections. Each of them carries one ClientHello.
    pub hellos: usize,
}

impl SurveyExtent {
    /// Returns the extent of this size with its usual number of connections.
    pub const fn new(size: WalkSize) -> Self {
        Self { size, hellos: size.connections() }
    }
}

/// The checks to run and to report. The default selects all checks, with a brief TLS survey.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selection {
    /// In the order of the table.
    checks: Vec<&'static Check>,
    survey: SurveyExtent,
    profile: Option<Arc<TlsProfile>>,
}

/// An invalid selection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InvalidSelection {
    /// No check and no family has this name.
    Unknown(String),
    /// The selection contains no check.
    Empty,
}

impl fmt::Display for InvalidSelection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unknown(name) => write!(
                f,
                "unknown check {name:?}: expected the id of a check, such as srv-offered, or a family: srv, cert, tls, \
                 leak, time"
            ),
            Self::Empty => f.write_str("the selection contains no check"),
        }
    }
}

impl std::error::Error for InvalidSelection {}

impl Default for Selection {
    fn default() -> Self {
        Self::of_all(CHECKS.iter().collect())
    }
}

impl Selection {
    /// Returns the checks in `only` (without any, all of them) that are not in `skip`. Each name is the id of a check or
    /// a family: `srv-inject-eager`, `cert`.
    ///
    /// # Errors
    /// If a name is unknown, or if no check is left.
    pub fn new(only: &[String], skip: &[String]) -> Result<Self, InvalidSelection> {
        known(only.iter().chain(skip))?;
        let is_in_only = |row: &Check| {
            only.is_empty()
                || only.iter().any(|name| {
                    row.id == name || (row.family() == name && !BY_ID_ONLY.iter().any(|it| it.id == row.id))
                })
        };
        Self::of_all(CHECKS.iter().filter(|row| is_in_only(row)).collect()).without(skip)
    }

    /// Returns the selection for monitoring: offer, upgrade, certificate. It sends no login, and all of its checks are
    /// made on the first connection; [`LIGHT_CONNECTIONS`] leaves one for a small ClientHello or a diagnosis.
    pub fn light() -> Self {
        Self::of_all(LIGHT.to_vec())
    }

    /// Returns the selection of one check.
    pub(crate) fn of(check: &'static Check) -> Self {
        Self::of_all(vec![check])
    }

    const fn of_all(checks: Vec<&'static Check>) -> Self {
        Self { checks, survey: SurveyExtent::new(WalkSize::Brief), profile: None }
    }

    /// Returns the selection with another extent of the TLS survey. It runs if a check is selected that needs it.
    #[must_use]
    pub fn with_survey(self, survey: SurveyExtent) -> Self {
        Self { survey, ..self }
    }

    /// Returns the selection with a profile, which `tls-profile` compares the TLS survey with. Without one, that check is
    /// not run.
    #[must_use]
    pub fn with_profile(self, profile: TlsProfile) -> Self {
        Self { profile: Some(Arc::new(profile)), ..self }
    }

    /// Returns the profile that the TLS survey is compared with.
    pub fn profile(&self) -> Option<&TlsProfile> {
        self.profile.as_deref()
    }

    /// Returns the selection without the checks that need the TLS survey.
    ///
    /// # Errors
    /// If no check is left.
    pub fn without_survey(mut self) -> Result<Self, InvalidSelection> {
        self.checks.retain(|row| !needs_survey(row));
        self.not_empty()
    }

    /// Returns the extent of the TLS survey.
    pub const fn survey(&self) -> SurveyExtent {
        self.survey
    }

    /// Returns the selection without these checks and families.
    ///
    /// # Errors
    /// If a name is unknown, or if no check is left.
    pub fn without(mut self, skip: &[String]) -> Result<Self, InvalidSelection> {
        known(skip)?;
        self.checks.retain(|row| !skip.iter().any(|name| is_named(row, name)));
        self.not_empty()
    }

    fn not_empty(self) -> Result<Self, InvalidSelection> {
        if self.checks.is_empty() { Err(InvalidSelection::Empty) } else { Ok(self) }
    }

    /// Returns whether this check is selected.
    pub fn wants(&self, check: &Check) -> bool {
        self.checks.iter().any(|it| it.id == check.id)
    }

    /// Returns the number of checks that are not selected.
    pub(crate) fn left_out(&self) -> usize {
        CHECKS.len() - self.checks.len()
    }

    /// Returns whether at least one of these checks is selected.
    pub(crate) fn wants_any(&self, checks: &[&Check]) -> bool {
        checks.iter().any(|check| self.wants(check))
    }

    /// Removes the findings of checks that are not selected. An endpoint without any result left is inconclusive.
    pub fn apply(&self, report: &mut AuditReport) {
        let wanted = |finding: &Finding| crate::check::check(&finding.id).is_none_or(|row| self.wants(row));
        for endpoint in &mut report.endpoints {
            endpoint.findings.retain(wanted);
            let is_open = matches!(
                endpoint.outcome,
                EndpointVerdict::Sound | EndpointVerdict::Findings | EndpointVerdict::Inconclusive
            );
            let has_result = endpoint.findings.iter().any(|it| it.outcome != CheckOutcome::NotRun);
            if !has_result && is_open {
                endpoint.outcome = EndpointVerdict::Inconclusive;
                endpoint.summary = String::from("none of the selected checks has a result");
            }
        }
    }
}

/// Returns whether the TLS survey decides this check.
pub(crate) fn needs_survey(row: &Check) -> bool {
    [id::TLS_OLD, id::CERT_TYPES].iter().any(|it| it.id == row.id)
        || check::SURVEY.iter().any(|it| it.id == row.id)
}

fn is_named(row: &Check, name: &str) -> bool {
    row.id == name || row.family() == name
}

fn known<'a>(names: impl IntoIterator<Item = &'a String>) -> Result<(), InvalidSelection> {
    let mut unknown = names.into_iter().filter(|name| !CHECKS.iter().any(|row| is_named(row, name)));
    unknown.next().map_or(Ok(()), |name| Err(InvalidSelection::Unknown(name.clone())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn selected(only: &[&str], skip: &[&str]) -> Result<Selection, InvalidSelection> {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        Selection::new(&names(only), &names(skip))
    }

    #[test]
    fn a_selection_without_checks_or_with_unknown_names_is_invalid() {
        assert_eq!(selected(&["tls"], &["tls"]), Err(InvalidSelection::Empty));
        assert_eq!(selected(&["srv-alpn"], &["srv"]), Err(InvalidSelection::Empty));
        assert_eq!(
            selected(&["srv-inject"], &[]),
            Err(InvalidSelection::Unknown(String::from("srv-inject")))
        );
        assert_eq!(selected(&[], &["tsl"]), Err(InvalidSelection::Unknown(String::from("tsl"))));
        assert_eq!(selected(&[], &[]), Ok(Selection::default()));
    }

    #[test]
    fn the_family_of_certificates_does_not_select_other_names() {
        let family = selected(&["cert"], &[]).unwrap();
        assert!(family.wants(id::CERT_CHAIN) && !family.wants(id::CERT_NO_SNI), "{family:?}");
        assert!(selected(&["cert-no-sni"], &[]).unwrap().wants(id::CERT_NO_SNI));
        assert!(!selected(&[], &["cert"]).unwrap().wants(id::CERT_NO_SNI));
        assert!(Selection::default().wants(id::CERT_NO_SNI));
    }
}
