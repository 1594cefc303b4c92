//! The TXT record at `_mta-sts` (RFC 8461 section 3.1).

use std::fmt;

use crate::tlsrpt::fields;

/// The parsed record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StsRecord {
    /// The id of the policy: 1 to 32 letters and digits.
    pub id: String,
    /// Whether a space precedes the first semicolon. Some clients discard such a record, because it does not begin with
    /// `v=STSv1;` (erratum 6285).
    pub space_before_semicolon: bool,
}

/// Why the TXT records at `_mta-sts` contain no policy id. Clients treat each as if the domain had no record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StsRecordFault {
    /// No record begins with `v=STSv1`.
    Absent,
    /// Several records begin with it.
    Multiple(usize),
    /// The record is invalid.
    Invalid(&'static str),
}

impl fmt::Display for StsRecordFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Absent => f.write_str("no TXT record begins with v=STSv1"),
            Self::Multiple(count) => write!(f, "{count} TXT records begin with v=STSv1: expected one"),
            Self::Invalid(reason) => write!(f, "invalid TXT record: {reason}"),
        }
    }
}

/// Finds the one valid record among the TXT records. Strings of one record are joined already.
///
/// # Errors
/// [`StsRecordFault`] if there is not exactly one.
pub fn parse_record(records: &[Vec<u8>]) -> Result<StsRecord, StsRecordFault> {
    let mut candidates = records.iter().filter_map(|it| fields::after_version(it, b"v=STSv1"));
    let rest = match (candidates.next(), candidates.count()) {
        (None, _) => return Err(StsRecordFault::Absent),
        (Some(rest), 0) => rest,
        (Some(_), others) => return Err(StsRecordFault::Multiple(others + 1)),
    };
    let fields = fields::parse(rest).map_err(StsRecordFault::Invalid)?;
    let (_, id) =
        fields.iter().find(|(name, _)| name == "id").ok_or(StsRecordFault::Invalid("id= is missing"))?;
    if id.len() > 32 || !id.bytes().all(|it| it.is_ascii_alphanumeric()) {
        return Err(StsRecordFault::Invalid("the id is not 1 to 32 letters and digits"));
    }
    Ok(StsRecord { id: id.clone(), space_before_semicolon: !rest.starts_with(b";") })
}
