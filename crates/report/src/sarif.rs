//! For code scanning: SARIF 2.1.0, one run of one tool, as GitHub code scanning accepts it.
//!
//! GitHub shows a result only where a file of the repository is named: a relative path and a line, never the URL of a
//! server. It recognizes a result by the fingerprint `primaryLocationLineHash`, which therefore has to differ between two
//! addresses of one server.

use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::Plain;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// Longest text that GitHub keeps of a description.
const MAX_DESCRIPTION: usize = 1024;

/// A run of a tool.
#[derive(Clone, Debug, Default)]
pub struct SarifRun<'a> {
    /// The name of the tool.
    pub tool: &'a str,
    /// Its version.
    pub version: &'a str,
    /// What tells this analysis from others of the same repository: `starttls-check`.
    pub category: &'a str,
    /// The start of the run, RFC 3339 in UTC.
    pub started_at: Option<&'a str>,
    /// The options of the command line.
    pub options: &'a [String],
    /// What the tool looks for.
    pub rules: Vec<SarifRule>,
    /// Whether the tool could do all that it should.
    pub successful: bool,
    /// What kept the tool from that.
    pub notifications: Vec<SarifNotification>,
    /// What the tool found.
    pub results: Vec<SarifResult>,
}

/// One thing that a tool looks for.
#[derive(Clone, Debug, Default)]
pub struct SarifRule {
    /// The stable identifier.
    pub id: String,
    /// What is wrong, in a few words.
    pub title: String,
    /// Why that matters.
    pub description: String,
    /// What to do about it.
    pub help: String,
    /// How bad it is.
    pub severity: SarifSeverity,
    /// Words that it is filtered by.
    pub tags: Vec<String>,
}

/// How bad a result is; `Error` unless it says otherwise.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SarifSeverity {
    /// Good to know.
    Note,
    /// Helps an attacker, or will be a problem.
    Warning,
    /// Weakens the protection.
    #[default]
    Error,
    /// Undoes the protection.
    Critical,
}

/// Something that was found.
#[derive(Clone, Debug, Default)]
pub struct SarifResult {
    /// The identifier of its rule.
    pub rule: String,
    /// How bad it is.
    pub severity: SarifSeverity,
    /// One or more sentences, in which nothing becomes a link.
    pub message: String,
    /// Where it is shown.
    pub place: SarifLocation,
    /// What makes it the same finding in the next run: the server, its address, the check.
    pub identity: Vec<String>,
    /// Whether a baseline had it already; nothing without a baseline.
    pub known: Option<bool>,
    /// The conversation that shows it, one entry for each message.
    pub evidence: Vec<String>,
    /// More about it, by name: the local address, the time.
    pub facts: Vec<(&'static str, String)>,
}

/// Something that kept the tool from its work.
#[derive(Clone, Debug, Default)]
pub struct SarifNotification {
    /// The rule that it is about, if there is one.
    pub rule: Option<String>,
    /// Warning or error.
    pub severity: SarifSeverity,
    /// One or more sentences.
    pub message: String,
    /// Where it is shown, if somewhere.
    pub place: Option<SarifLocation>,
}

/// Where a result is shown: a line of a file, and what that stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SarifLocation {
    /// The path of the file from the root of the repository.
    pub path: String,
    /// The line, from 1.
    pub line: usize,
    /// What was tested: the name of a server or a client.
    pub name: String,
    /// The same in full: its address, its command.
    pub full_name: String,
    /// `endpoint`, `module`.
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

    /// The scale that code scanning sorts by.
    fn score(self) -> &'static str {
        match self {
            Self::Note => "0.0",
            Self::Warning => "4.0",
            Self::Error => "7.0",
            Self::Critical => "9.0",
        }
    }
}

/// Returns the log with this run in it.
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
    // Maps with strings for keys: this cannot fail.
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

/// Returns a path as a relative reference (RFC 3986 section 4.2), whatever it was: without a root, a scheme, or steps up.
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

/// Returns the fingerprint that GitHub compares: a hash, and which of the equal hashes it is.
fn fingerprint(identity: &[String]) -> String {
    let digest = Sha256::digest(identity.join("\0"));
    let hex: String = digest.iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    hex + ":1"
}

/// Returns the text of a message without links, which are `[text](target)` (SARIF 2.1.0 section 3.11.6). Nothing is
/// escaped for that: what a peer sent is escaped already, and would be escaped twice.
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
    fn paths_are_relative_whatever_they_were() {
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
    fn fingerprints_differ_with_every_part_and_with_nothing_else() {
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
