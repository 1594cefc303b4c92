//! For code scanning: SARIF 2.1.0, one run of one tool.

use serde_json::{Value, json};

use crate::Plain;

const SCHEMA: &str =
    "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json";

/// A run of a tool.
#[derive(Clone, Debug)]
pub struct Run<'a> {
    /// What the tool is called.
    pub tool: &'a str,
    /// Its version.
    pub version: &'a str,
    /// What it looks for.
    pub rules: Vec<Value>,
    /// Whether it could do all that it should.
    pub successful: bool,
    /// What kept it from that.
    pub notifications: Vec<Value>,
    /// What it found.
    pub results: Vec<Value>,
}

/// The log with this run in it.
pub fn render(run: Run<'_>) -> String {
    let log = json!({
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": Plain(run.tool).to_string(),
                "version": Plain(run.version).to_string(),
                "rules": run.rules,
            } },
            "invocations": [{
                "executionSuccessful": run.successful,
                "toolExecutionNotifications": run.notifications,
            }],
            "results": run.results,
        }],
    });
    // Maps with strings for keys: this cannot fail.
    crate::json(&serde_json::to_string_pretty(&log).unwrap_or_default()) + "\n"
}

/// The text of a message, in which brackets make links (SARIF 2.1.0 section 3.11.6).
pub fn message(text: &str) -> String {
    Plain(text).to_string().replace('\\', "\\\\").replace('[', "\\[").replace(']', "\\]")
}
