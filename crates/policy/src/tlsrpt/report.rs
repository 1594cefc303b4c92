//! Reads a report (RFC 8460 section 4).
//!
//! Reporters deviate from the schema: they leave fields out, write `null` for lists, numbers as strings, and a string where
//! a list belongs. None of this changes what the report says, so all of it is accepted.

use serde_json::Value;

/// The most policies of one report that are read.
pub const MAX_POLICIES: usize = 10_000;
/// The most failures of one policy that are read.
const MAX_FAILURES: usize = 10_000;
/// The longest text that is kept.
const MAX_TEXT: usize = 500;

/// A report of one organization for one day.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsReport {
    /// The organization that sent the mail and the report.
    pub organization: String,
    /// The id, unique for the organization.
    pub id: String,
    /// The first and the last day, as `YYYY-MM-DD`; empty if the report does not contain them.
    pub days: (String, String),
    /// The results for each policy.
    pub policies: Vec<PolicyResult>,
    /// The number of entries that are not listed because there are too many.
    pub left_out: u64,
}

/// The sessions that one policy governed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyResult {
    /// `tlsa`, `sts` or `no-policy-found`.
    pub kind: String,
    /// The domain of the policy; empty if the report does not contain it.
    pub domain: String,
    /// The sessions with a successful upgrade.
    pub successful: u64,
    /// The sessions that failed.
    pub failed: u64,
    /// The failures by kind.
    pub failures: Vec<FailureResult>,
}

/// Failed sessions of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FailureResult {
    /// The result type: `certificate-expired`.
    pub result: String,
    /// The number of sessions.
    pub sessions: u64,
    /// The name of the exchanger; may be empty.
    pub receiver: String,
    /// The address of the exchanger; may be empty.
    pub receiver_address: String,
    /// What the reporter adds; may be empty.
    pub reason: String,
}

/// Parses a report.
///
/// # Errors
/// A clause that describes what is wrong.
pub fn parse_report(json: &[u8]) -> Result<TlsReport, String> {
    let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json);
    let value: Value = serde_json::from_slice(json).map_err(|error| format!("invalid JSON: {error}"))?;
    let Value::Object(_) = value else { return Err(String::from("expected a JSON object")) };
    let Some(listed) = value.get("policies") else {
        return Err(String::from("policies is missing: this is not a TLSRPT report"));
    };
    let (listed, mut left_out) = limited(list(listed), MAX_POLICIES);
    let mut policies = Vec::with_capacity(listed.len());
    for entry in listed {
        let policy = entry.get("policy").unwrap_or(entry);
        let summary = entry.get("summary").unwrap_or(entry);
        let (failures, more) = limited(entry.get("failure-details").map_or(&[], list), MAX_FAILURES);
        left_out += more;
        policies.push(PolicyResult {
            kind: text(policy, "policy-type"),
            domain: text(policy, "policy-domain").to_ascii_lowercase().trim_end_matches('.').to_owned(),
            successful: number(summary, "total-successful-session-count"),
            failed: number(summary, "total-failure-session-count"),
            failures: failures.iter().map(failure).collect(),
        });
    }
    let range = value.get("date-range").unwrap_or(&Value::Null);
    Ok(TlsReport {
        organization: text(&value, "organization-name"),
        id: text(&value, "report-id"),
        days: (day(range, "start-datetime"), day(range, "end-datetime")),
        policies,
        left_out,
    })
}

fn failure(entry: &Value) -> FailureResult {
    let reason = [text(entry, "failure-reason-code"), text(entry, "additional-information")];
    FailureResult {
        result: text(entry, "result-type"),
        sessions: number(entry, "failed-session-count"),
        receiver: text(entry, "receiving-mx-hostname"),
        receiver_address: text(entry, "receiving-ip"),
        reason: reason.into_iter().filter(|it| !it.is_empty()).collect::<Vec<_>>().join("; "),
    }
}

/// Returns the entries that are read, and the number of the others.
fn limited(all: &[Value], limit: usize) -> (&[Value], u64) {
    let (kept, others) = all.split_at(all.len().min(limit));
    (kept, others.len() as u64)
}

/// Returns the entries of a list. One object counts as a list of one.
fn list(value: &Value) -> &[Value] {
    match value {
        Value::Array(entries) => entries,
        Value::Object(_) => std::slice::from_ref(value),
        _ => &[],
    }
}

/// Returns a text, without control characters and bounded.
fn text(value: &Value, key: &str) -> String {
    let text = match value.get(key) {
        Some(Value::String(text)) => text.as_str(),
        Some(Value::Array(entries)) => entries.first().and_then(Value::as_str).unwrap_or_default(),
        _ => "",
    };
    text.chars().filter(|it| !it.is_control()).take(MAX_TEXT).collect()
}

fn number(value: &Value, key: &str) -> u64 {
    match value.get(key) {
        Some(Value::Number(number)) => number.as_u64().unwrap_or_default(),
        Some(Value::String(text)) => text.trim().parse().unwrap_or_default(),
        _ => 0,
    }
}

/// Returns the day of a time, with or without a zone.
fn day(range: &Value, key: &str) -> String {
    let text = text(range, key);
    let day = text.get(..10).unwrap_or_default();
    let is_day = day.bytes().enumerate().all(|(index, it)| match index {
        4 | 7 => it == b'-',
        _ => it.is_ascii_digit(),
    });
    if is_day { day.to_owned() } else { String::new() }
}
