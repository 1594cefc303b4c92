//! The TXT record at `_smtp._tls` (RFC 8460 section 3).

use std::fmt;

use starttls_dns::{DnsName, InvalidName};

use super::fields;

/// The parsed record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsRptRecord {
    /// Where reports are sent: `mailto:` and `https:` URIs.
    pub rua: Vec<String>,
    /// URIs with another scheme or form, which senders of reports ignore.
    pub unusable: Vec<String>,
}

/// Why the TXT records contain no destination for reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsRptFault {
    /// No record begins with `v=TLSRPTv1`.
    Absent,
    /// Several records begin with it.
    Multiple(usize),
    /// The record is invalid.
    Invalid(&'static str),
}

impl fmt::Display for TlsRptFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("no TXT record begins with v=TLSRPTv1"),
            Self::Multiple(count) => write!(f, "{count} TXT records begin with v=TLSRPTv1: expected one"),
            Self::Invalid(reason) => write!(f, "invalid TXT record: {reason}"),
        }
    }
}

/// Returns the name of the TXT record: `_smtp._tls.example.com`.
///
/// # Errors
/// [`InvalidName`] if the name would be too long.
pub fn record_name(domain: &DnsName) -> Result<DnsName, InvalidName> {
    domain.below("_smtp._tls")
}

/// Finds the one valid record among the TXT records.
///
/// # Errors
/// [`TlsRptFault`] if there is not exactly one with at least one destination.
pub fn parse_rua_record(records: &[Vec<u8>]) -> Result<TlsRptRecord, TlsRptFault> {
    let mut candidates = records.iter().filter_map(|it| fields::after_version(it, b"v=TLSRPTv1"));
    let rest = match (candidates.next(), candidates.count()) {
        (None, _) => return Err(TlsRptFault::Absent),
        (Some(rest), 0) => rest,
        (Some(_), others) => return Err(TlsRptFault::Multiple(others + 1)),
    };
    let fields = fields::parse(rest).map_err(TlsRptFault::Invalid)?;
    let (_, rua) =
        fields.iter().find(|(name, _)| name == "rua").ok_or(TlsRptFault::Invalid("rua= is missing"))?;
    let uris = rua.split(',').map(|it| it.trim_matches([' ', '\t']).to_owned());
    let (rua, unusable): (Vec<_>, Vec<_>) = uris.partition(|uri| is_destination(uri));
    if rua.is_empty() {
        return Err(TlsRptFault::Invalid("rua= has no mailto: or https: URI"));
    }
    Ok(TlsRptRecord { rua, unusable })
}

/// Returns whether reports can be sent there. `!` must be percent-encoded (RFC 8460 section 3).
fn is_destination(uri: &str) -> bool {
    let Some((scheme, rest)) = uri.split_once(':') else { return false };
    let clean = !rest.contains(['!', ' ', '\t']);
    if scheme.eq_ignore_ascii_case("mailto") {
        let address = rest.split('?').next().unwrap_or_default();
        clean
            && address.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty())
    } else {
        let host = rest.strip_prefix("//").and_then(|it| it.split(['/', '?', '#']).next());
        clean && scheme.eq_ignore_ascii_case("https") && host.is_some_and(|it| !it.is_empty())
    }
}
