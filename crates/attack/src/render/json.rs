//! For programs: one object. Its schema is `docs/schema/attack.json`.

use crate::report::{AttackReport, ScenarioResult};

/// The report as one object.
pub fn render(report: &AttackReport) -> String {
    // Structs with strings for keys: this cannot fail.
    starttls_report::json(&serde_json::to_string_pretty(report).unwrap_or_default()) + "\n"
}

/// One run as one line.
pub fn line(tested: &ScenarioResult) -> String {
    starttls_report::json(&serde_json::to_string(tested).unwrap_or_default()) + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Set `UPDATE_SCHEMA` to write the file anew.
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
