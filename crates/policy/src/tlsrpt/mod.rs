//! TLSRPT (RFC 8460): the record, and the reports.

pub(crate) mod fields;
mod record;

pub use record::{TlsRptFault, TlsRptRecord, parse_rua_record, record_name};
