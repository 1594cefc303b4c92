//! SARIF 2.1.0 for code scanning: one run of one tool, as GitHub code scanning accepts it.
//!
//! GitHub shows a result only if it names a file of the repository: a relative path and a line, never the URL of a
//! server. It recognizes a result by the fingerprint `primaryLocationLineHash`, which therefore has to differ between two
//! addresses of one server.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::Plain;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// The maximum length of a description that GitHub keeps, in characters.
const MAX_DESCRIPTION: usize = 1024;

/// A run of a tool.
#[derive(Clone, Debug, Default)]
pub struct SarifRun<'a> {
    /// The name of the tool.
    pub tool: &'a str,
    /// Its version.
    pub version: &'a str,
    /// The category, which distinguishes this analysis from others of the same repository: `starttls-check`.
    pub category: &'a str,
    /// The start of the run, RFC 3339 in UTC.
    pub started_at: Option<&'a str>,
    /// The options of the command line.
    pub options: &'a [String],
    /// The rules that the tool checks.
    pub rules: Vec<SarifRule>,
    /// Whether the tool completed its work.
    pub successful: bool,
    /// What prevented the tool from completing its work.
    pub notifications: Vec<SarifNotification>,
    /// The results.
    pub results: Vec<SarifResult>,
}

/// A rule that a tool checks.
#[derive(Clone, Debug, Default)]
pub struct SarifRule {
    /// The stable identifier.
    pub id: String,
    /// The problem, in a few words.
    pub title: String,
    /// Why the problem matters.
    pub description: String,
    /// The fix.
    pub help: String,
    /// The severity.
    pub severity: SarifSeverity,
    /// Tags for filters.
    pub tags: Vec<String>,
}

/// The severity of a result; `Error` by default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SarifSeverity {
    /// Information.
    Note,
    /// The problem helps an attacker, or will become an error.
    Warning,
    /// The problem weakens the protection.
    #[default]
    Error,
    /// The problem removes the protection.
    Critical,
}

/// A result of a rule.
#[derive(Clone, Debug, Default)]
pub struct SarifResult {
    /// The identifier of the rule.
    pub rule: String,
    /// The severity.
    pub severity: SarifSeverity,
    /// One or more sentences. Text in brackets does not become a link.
    pub message: String,
    /// The location that the viewer shows.
    pub place: SarifLocation,
    /// The values that identify the result in the next run: the server, its address, the check.
    pub identity: Vec<String>,
    /// Whether the baseline contains the result; `None` without a baseline.
    pub known: Option<bool>,
    /// The transcript that shows the problem, one entry for each message.
    pub evidence: Vec<String>,
    /// More properties, by name: the local address, the time.
    pub facts: Vec<(&'static str, String)>,
}

/// An event that prevented the tool from completing its work.
#[derive(Clone, Debug, Default)]
pub struct SarifNotification {
    /// The rule that was not checked, if the event concerns one.
    pub rule: Option<String>,
    /// The severity: warning or error.
    pub severity: SarifSeverity,
    /// One or more sentences.
    pub message: String,
    /// The location that the viewer shows, if any.
    pub place: Option<SarifLocation>,
}

/// A location: a line of a file, and the server or client that it stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SarifLocation {
    /// The path of the file from the root of the repository.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// The name of the tested server or client.
    pub name: String,
    /// The full name: its address, its command.
    pub full_name: String,
    /// The kind of the location: `endpoint` or `module`.
    pub kind: &'static str,
}

impl SarifSeverity {
    fn level(self) -> &'static str {
        match self {
            Self::Note => "note",
            Self::Warning => "warning",
            Self::Error | Self::Critical => "error",
        }
    }

    /// Returns the score by which code scanning sorts.
    fn score(self) -> &'static str {
        match self {
            Self::Note => "0.0",
            Self::Warning => "4.0",
            Self::Error => "7.0",
            Self::Critical => "9.0",
        }
    }
}

/// Returns the log that contains this run.
pub fn render(run: &SarifRun<'_>) -> String {
    let results: Vec<_> = run.results.iter().map(|finding| result(run, finding)).collect();
    let notifications: Vec<_> = run.notifications.iter().map(notification).collect();
    let mut invocation = json!({
        "executionSuccessful": run.successful,
        "toolExecutionNotifications": notifications,
        "arguments": run.options.iter().map(|it| plain(it)).collect::<Vec<_>>(),
    });
    if let Some(time) = run.started_at {
        invocation["startTimeUtc"] = plain(time).into();
    }
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": plain(run.tool),
                "version": plain(run.version),
                "rules": run.rules.iter().map(rule).collect::<Vec<_>>(),
            } },
            "automationDetails": { "id": format!("{}/", plain(run.category)) },
            "columnKind": "unicodeCodePoints",
            "invocations": [invocation],
            "results": results,
        }],
    });
    // Serialization of maps with string keys cannot fail.
    crate::json(&serde_json::to_string_pretty(&log).unwrap_or_default()) + "\n"
}

fn rule(rule: &SarifRule) -> Value {
    let help = format!("{} {}", rule.description, rule.help);
    json!({
        "id": plain(&rule.id),
        "name": plain(&rule.id),
        "shortDescription": { "text": bounded(&rule.title) },
        "fullDescription": { "text": bounded(&rule.description) },
        "help": { "text": plain(&help) },
        "defaultConfiguration": { "level": rule.severity.level() },
        "properties": {
            "tags": std::iter::once("security").chain(rule.tags.iter().map(String::as_str)).collect::<Vec<_>>(),
            "precision": "high",
            "security-severity": rule.severity.score(),
        },
    })
}

fn result(run: &SarifRun<'_>, finding: &SarifResult) -> Value {
    let mut result = json!({
        "ruleId": plain(&finding.rule),
        "kind": "fail",
        "level": finding.severity.level(),
        "message": { "text": message(&finding.message) },
        "locations": [location(&finding.place)],
        "partialFingerprints": { "primaryLocationLineHash": fingerprint(&finding.identity) },
        "properties": { "evidence": finding.evidence.iter().map(|it| plain(it)).collect::<Vec<_>>() },
    });
    for (name, fact) in &finding.facts {
        result["properties"][*name] = plain(fact).into();
    }
    if let Some(index) = run.rules.iter().position(|rule| rule.id == finding.rule) {
        result["ruleIndex"] = index.into();
    }
    if let Some(known) = finding.known {
        result["baselineState"] = if known { "unchanged" } else { "new" }.into();
    }
    result
}

fn notification(it: &SarifNotification) -> Value {
    let mut notification = json!({
        "level": it.severity.level(),
        "message": { "text": message(&it.message) },
    });
    if let Some(rule) = &it.rule {
        notification["associatedRule"] = json!({ "id": plain(rule) });
    }
    if let Some(place) = &it.place {
        notification["locations"] = json!([location(place)]);
    }
    notification
}

fn location(place: &SarifLocation) -> Value {
    json!({
        "physicalLocation": {
            "artifactLocation": { "uri": relative(&place.path), "uriBaseId": "%SRCROOT%" },
            "region": { "startLine": place.line.max(1) },
        },
        "logicalLocations": [{
            "name": plain(&place.name),
            "fullyQualifiedName": plain(&place.full_name),
            "kind": place.kind,
        }],
    })
}

/// Returns a path as a relative reference (RFC 3986 section 4.2), without a root, a scheme, or steps to a parent.
fn relative(path: &str) -> String {
    let steps = path.split('/').filter(|step| !["", ".", ".."].contains(step));
    let steps: Vec<_> = steps.map(encoded).collect();
    if steps.is_empty() { String::from("unknown") } else { steps.join("/") }
}

/// Returns one step of a path; every octet but the unreserved ones (RFC 3986 section 2.3) is percent-encoded.
fn encoded(step: &str) -> String {
    let octet = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'.' | b'-' | b'_' | b'~' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    step.bytes().map(octet).collect()
}

/// Returns the fingerprint that GitHub compares: a hash, and its index among equal hashes.
fn fingerprint(identity: &[String]) -> String {
    let digest = Sha256::digest(identity.join("\0"));
    let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    hex + ":1"
}

/// Returns the text of a message without links, which are `[text](target)` (SARIF 2.1.0 section 3.11.6). The
/// text is not escaped for that, because text of a peer is already escaped.
fn message(text: &str) -> String {
    plain(text).replace("](", "] (")
}

fn plain(text: &str) -> String {
    Plain(text).to_string()
}

fn bounded(text: &str) -> String {
    plain(text).chars().take(MAX_DESCRIPTION).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_path_becomes_relative() {
        for (path, uri) in [
            ("targets.txt", "targets.txt"),
            ("./ops/targets.txt", "ops/targets.txt"),
            ("/etc/../targets.txt", "etc/targets.txt"),
            ("smtp://[2001:db8::1]:25", "smtp%3A/%5B2001%3Adb8%3A%3A1%5D%3A25"),
            ("ä b?#.txt", "%C3%A4%20b%3F%23.txt"),
            ("../..", "unknown"),
            ("", "unknown"),
        ] {
            assert_eq!(relative(path), uri);
        }
    }

    #[test]
    fn fingerprints_differ_with_every_part_only() {
        let of = |parts: &[&str]| fingerprint(&parts.iter().map(|&part| part.to_owned()).collect::<Vec<_>>());
        let one = of(&["smtp://mx.example.com", "192.0.2.1:25", "cert-name"]);
        assert_eq!(one, of(&["smtp://mx.example.com", "192.0.2.1:25", "cert-name"]));
        for other in [
            of(&["smtp://mx.example.com", "192.0.2.2:25", "cert-name"]),
            of(&["smtp://mx.example.com", "192.0.2.1:25", "cert-key"]),
            of(&["smtp://mx.example.com192.0.2.1:25", "cert-name"]),
        ] {
            assert_ne!(one, other);
        }
    }
}
