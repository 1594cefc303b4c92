//! For programs: the report as one object, or an endpoint as one line.

use serde::{Deserialize, Serialize};

use crate::report::{Endpoint, Report, SCHEMA_VERSION};

/// One line of a bulk run. Its schema is in `docs/schema/check-line.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Line {
    /// One endpoint.
    Endpoint(Box<Audited>),
    /// What else is to be said about a target.
    Remark(Remark),
}

/// One endpoint of a bulk run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Audited {
    /// See [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The target as it was written.
    pub asked: String,
    /// The endpoint.
    #[serde(flatten)]
    pub endpoint: Endpoint,
}

/// A target that is none, or what was looked up for one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Remark {
    /// See [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The target as it was written.
    pub asked: String,
    /// What was looked up on the way to its endpoints, one line each.
    pub lookups: Vec<String>,
    /// Why it has no endpoint.
    pub error: Option<String>,
}

/// The report as one object.
pub fn render(report: &Report) -> String {
    // Structs with strings for keys: this cannot fail.
    starttls_report::json(&serde_json::to_string_pretty(report).unwrap_or_default()) + "\n"
}

/// An endpoint as one line, under the target as it was written.
pub fn line(asked: &str, endpoint: &Endpoint) -> String {
    one_line(&Line::Endpoint(Box::new(Audited {
        schema_version: SCHEMA_VERSION,
        asked: asked.to_owned(),
        endpoint: endpoint.clone(),
    })))
}

/// A line about a target, beside those of its endpoints.
pub fn remark(asked: &str, lookups: &[String], error: Option<&str>) -> String {
    one_line(&Line::Remark(Remark {
        schema_version: SCHEMA_VERSION,
        asked: asked.to_owned(),
        lookups: lookups.to_vec(),
        error: error.map(str::to_owned),
    }))
}

fn one_line(line: &Line) -> String {
    starttls_report::json(&serde_json::to_string(line).unwrap_or_default()) + "\n"
}

/// Reads what [`render`] or a bulk run wrote, such as a baseline. A line that was cut off at the end is left out.
pub fn read(text: &str) -> Result<Report, serde_json::Error> {
    let whole = match serde_json::from_str(text) {
        Ok(report) => return Ok(report),
        Err(error) => error,
    };
    let lines = lines(text)?;
    if lines.is_empty() {
        return Err(whole);
    }
    let mut report = Report { started_at: String::new(), ..Report::new(String::new(), Vec::new()) };
    for line in lines {
        match line {
            Line::Endpoint(audited) => report.endpoints.push(audited.endpoint),
            Line::Remark(remark) => report.lookups.extend(remark.lookups),
        }
    }
    Ok(report)
}

/// Reads the lines of a bulk run. One that was cut off at the end is left out.
pub fn lines(text: &str) -> Result<Vec<Line>, serde_json::Error> {
    let mut lines = Vec::new();
    let mut rest = text.lines().filter(|line| !line.trim().is_empty()).peekable();
    while let Some(line) = rest.next() {
        match serde_json::from_str(line) {
            Ok(line) => lines.push(line),
            Err(error) if error.is_eof() && rest.peek().is_none() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(lines)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Set `UPDATE_SCHEMA` to write the files anew.
    #[test]
    fn the_schemas_in_the_docs_are_those_of_the_code() {
        let schemas =
            [("check.json", schemars::schema_for!(Report)), ("check-line.json", schemars::schema_for!(Line))];
        for (name, schema) in schemas {
            let path = format!("{}/../../docs/schema/{name}", env!("CARGO_MANIFEST_DIR"));
            let schema = serde_json::to_string_pretty(&schema).unwrap() + "\n";
            if std::env::var_os("UPDATE_SCHEMA").is_some() {
                std::fs::write(&path, &schema).unwrap();
            }
            let written = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                written == schema,
                "docs/schema/{name} is out of date: run this test with UPDATE_SCHEMA=1"
            );
        }
    }
}
