//! The report as JSON: one object. Its schema is `docs/schema/attack.json`.

use crate::report::{AttackReport, ScenarioResult};

/// Renders the report as one object.
pub fn render(report: &AttackReport) -> String {
    // Serializing structs cannot fail: all keys are strings.
    starttls_report::json(&serde_json::to_string_pretty(report).unwrap_or_default()) + "\n"
}

/// Renders one run as one line.
pub fn line(tested: &ScenarioResult) -> String {
    starttls_report::json(&serde_json::to_string(tested).unwrap_or_default()) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// With `UPDATE_SCHEMA` set, the test writes the file.
    #[test]
    fn the_schema_in_the_docs_is_that_of_the_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schema/attack.json");
        let schema = serde_json::to_string_pretty(&schemars::schema_for!(AttackReport)).unwrap() + "\n";
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(path, &schema).unwrap();
        }
        let written = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            written == schema,
            "docs/schema/attack.json is out of date: run this test with UPDATE_SCHEMA=1"
        );
    }
}
