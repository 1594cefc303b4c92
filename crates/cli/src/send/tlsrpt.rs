//! `--tlsrpt`: reports each session to a collector of TLSRPT data (RFC 8460), as a mail server does with libtlsrpt.

use std::io;
use std::net::SocketAddr;
use std::path::Path;

use starttls::CertificateFault;
use starttls_policy::decide::SkipReason;
use starttls_policy::drive::{StsFault, StsLookup};
use starttls_policy::sts::StsFailure;
use starttls_policy::tlsrpt::{
    FailureCode, ReportedFailure, SessionPolicy, SessionPolicyKind, SessionReport,
};

use super::policy::{HostPolicy, Policies};
use super::report::PolicyKind;
use crate::session::report::{Outcome, Report};

/// Where and about what sessions are reported.
#[derive(Clone, Debug)]
pub(super) struct Reporting {
    /// The domain of the recipients.
    domain: String,
    /// Its TLSRPT record.
    record: String,
    /// The failure to get its MTA-STS policy.
    sts: Option<(FailureCode, String)>,
}

impl Reporting {
    /// Returns what sessions are reported about, if the user and the domain want reports.
    pub(super) fn of(policies: &Policies) -> Option<Self> {
        let record = policies.report_record.clone()?;
        Some(Self { domain: policies.domain.to_string(), record, sts: Self::sts_failure(&policies.sts) })
    }

    /// Returns what sessions report of the MTA-STS policy.
    fn sts_failure(sts: &StsLookup) -> Option<(FailureCode, String)> {
        match sts.fault.as_ref()? {
            StsFault::Policy(failure) => {
                let code = match failure {
                    StsFailure::WebPki(_) => FailureCode::StsWebPkiInvalid,
                    StsFailure::Fetch(_) => FailureCode::StsPolicyFetchError,
                    StsFailure::Invalid(_) => FailureCode::StsPolicyInvalid,
                };
                Some((code, failure.reason().to_owned()))
            }
            // RFC 8460 section 4.3.4: DNS trouble is not a result type.
            StsFault::Lookup(_) | StsFault::Record(_) => None,
        }
    }

    /// Sends the report on a session. A collector that cannot take it must not delay or prevent the delivery.
    pub(super) fn send(
        &self,
        socket: &Path,
        policy: &HostPolicy,
        failure: Option<ReportedFailure>,
    ) -> io::Result<()> {
        send_datagram(socket, self.session(policy, failure).datagram().as_bytes())
    }

    fn session(&self, policy: &HostPolicy, failure: Option<ReportedFailure>) -> SessionReport {
        let kind = match policy.shown.kind {
            PolicyKind::Dane | PolicyKind::DaneUnusable | PolicyKind::DaneAndSts => SessionPolicyKind::Tlsa,
            PolicyKind::Sts => SessionPolicyKind::Sts,
            PolicyKind::None => SessionPolicyKind::NoPolicy,
        };
        let has_failed = failure.is_some();
        let mut failures: Vec<ReportedFailure> = failure.into_iter().collect();
        if policy.shown.kind == PolicyKind::DaneUnusable {
            failures.push(ReportedFailure::of(FailureCode::TlsaInvalid, policy, None));
        }
        let (strings, mx) = match kind {
            SessionPolicyKind::Tlsa => (policy.tlsa.clone(), Vec::new()),
            SessionPolicyKind::Sts => policy.sts.clone(),
            SessionPolicyKind::NoPolicy => (Vec::new(), Vec::new()),
        };
        let domain = policy.shown.domain.clone().unwrap_or_else(|| self.domain.clone());
        let mut policies = vec![SessionPolicy { kind, domain, strings, mx, failures, has_failed }];
        if let Some((code, reason)) = &self.sts {
            policies.push(SessionPolicy {
                kind: SessionPolicyKind::Sts,
                domain: self.domain.clone(),
                strings: Vec::new(),
                mx: Vec::new(),
                failures: vec![ReportedFailure {
                    receiver: None,
                    ..ReportedFailure::of(*code, policy, Some(reason))
                }],
                has_failed: true,
            });
        }
        SessionReport { domain: self.domain.clone(), record: self.record.clone(), policies }
    }
}

#[cfg(unix)]
fn send_datagram(socket: &Path, datagram: &[u8]) -> io::Result<()> {
    let collector = std::os::unix::net::UnixDatagram::unbound()?;
    collector.set_nonblocking(true)?;
    collector.send_to(datagram, socket).map(drop)
}

#[cfg(not(unix))]
fn send_datagram(_: &Path, _: &[u8]) -> io::Result<()> {
    let reason = "this system has no datagram sockets in the file system: --tlsrpt needs Unix";
    Err(io::Error::new(io::ErrorKind::Unsupported, reason))
}

/// Builds failures.
trait FailureOf {
    fn of(kind: FailureCode, policy: &HostPolicy, reason: Option<&str>) -> Self;
}

impl FailureOf for ReportedFailure {
    fn of(kind: FailureCode, policy: &HostPolicy, reason: Option<&str>) -> Self {
        let reason = reason.map(|it| it.chars().take(200).collect());
        let receiver = Some(policy.host.clone());
        Self { kind, sender: None, receiver, receiver_address: None, reason }
    }
}

/// Returns the failure of a host that was not connected to; `None` if it is not one of TLS (RFC 8460 section 4.3.4).
pub(super) fn of_skipped(reason: &SkipReason, policy: &HostPolicy) -> Option<ReportedFailure> {
    match reason {
        SkipReason::LookupFailed { .. } => {
            Some(ReportedFailure::of(FailureCode::DnssecInvalid, policy, Some(&reason.to_string())))
        }
        SkipReason::NotCovered => {
            Some(ReportedFailure::of(FailureCode::ValidationFailure, policy, Some("mx-not-in-policy")))
        }
        SkipReason::NoAddress | SkipReason::NotAHost | SkipReason::NotProven => None,
    }
}

/// Returns the failure of a connection without a session; `None` if it is not one of TLS.
pub(super) fn of_connection(connection: &Report, policy: &HostPolicy) -> Option<ReportedFailure> {
    let (kind, reason) = match (connection.outcome, &connection.fault) {
        (Outcome::Declined, _) => (FailureCode::StarttlsNotSupported, None),
        (Outcome::TlsFailed, Some(CertificateFault::WrongName { .. })) => {
            (FailureCode::CertificateHostMismatch, None)
        }
        (Outcome::TlsFailed, Some(CertificateFault::Expired { .. })) => {
            (FailureCode::CertificateExpired, None)
        }
        (Outcome::TlsFailed, Some(_)) if policy.is_dane_alone() => {
            (FailureCode::ValidationFailure, Some("dane-no-match"))
        }
        (Outcome::TlsFailed, Some(_)) => (FailureCode::CertificateNotTrusted, None),
        (Outcome::TlsFailed, None) => (FailureCode::ValidationFailure, None),
        _ => return None,
    };
    let receiver_address =
        connection.address.as_deref().and_then(|it| it.parse::<SocketAddr>().ok()).map(|it| it.ip());
    Some(ReportedFailure { receiver_address, ..ReportedFailure::of(kind, policy, reason) })
}

/// Returns the failure of a session that does not satisfy DANE.
pub(super) fn of_check(policy: &HostPolicy) -> ReportedFailure {
    ReportedFailure::of(FailureCode::ValidationFailure, policy, Some("dane-no-match"))
}
