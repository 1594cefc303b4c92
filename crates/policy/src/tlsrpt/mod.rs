//! TLSRPT (RFC 8460): the record, and the reports.

mod container;
mod datagram;
pub(crate) mod fields;
mod record;
mod report;
mod summary;

pub use container::{MAX_REPORT, reports_in};
pub use datagram::{FailureCode, ReportedFailure, SessionPolicy, SessionPolicyKind, SessionReport};
pub use record::{TlsRptFault, TlsRptRecord, parse_rua_record, record_name};
pub use report::{FailureResult, MAX_POLICIES, PolicyResult, TlsReport, parse_report};
pub use summary::{FailureKey, FailureSummary, PolicySummary, ReportSummary, advice};
