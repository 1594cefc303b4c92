//! JSON: the report as one object, or an endpoint as one line.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::report::{AuditReport, EndpointReport, EndpointVerdict, SCHEMA_VERSION, Unaudited};

/// One line of a bulk run. Its schema is in `docs/schema/check-line.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(untagged)]
pub enum Line {
    /// One endpoint.
    Endpoint(Box<Audited>),
    /// A target without an endpoint, or the lookups of a target.
    Remark(Remark),
}

/// One endpoint of a bulk run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Audited {
    /// See [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The run that wrote the line.
    #[serde(flatten)]
    pub run: Run,
    /// The target as it was written.
    pub asked: String,
    /// The endpoint.
    #[serde(flatten)]
    pub endpoint: EndpointReport,
}

/// The run that wrote a line.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Run {
    /// The program and its version.
    #[serde(default)]
    pub generator: String,
    /// The start of the run: RFC 3339, UTC.
    #[serde(default)]
    pub run_started_at: String,
    /// The options of the command line, without the targets.
    #[serde(default)]
    pub options: Vec<String>,
}

impl From<&AuditReport> for Run {
    fn from(report: &AuditReport) -> Self {
        Self {
            generator: report.generator.clone(),
            run_started_at: report.started_at.clone(),
            options: report.options.clone(),
        }
    }
}

/// A target without an endpoint, or the lookups of a target.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct Remark {
    /// See [`SCHEMA_VERSION`].
    pub schema_version: u32,
    /// The run that wrote the line.
    #[serde(flatten)]
    pub run: Run,
    /// The target as it was written.
    pub asked: String,
    /// The line of the target list that contains the target.
    #[serde(default)]
    pub target_line: Option<usize>,
    /// The lookups for its endpoints, one line each.
    pub lookups: Vec<String>,
    /// The reason why it has no endpoint.
    pub error: Option<String>,
    /// The exit code for the error.
    #[serde(default)]
    pub exit_code: Option<u8>,
}

/// Renders the report as one object.
pub fn render(report: &AuditReport) -> String {
    // Structs with string keys cannot fail to serialize.
    starttls_report::json(&serde_json::to_string_pretty(report).unwrap_or_default()) + "\n"
}

/// Renders an endpoint as one line. `asked` is the target as the user wrote it.
pub fn line(run: &Run, asked: &str, endpoint: &EndpointReport) -> String {
    one_line(&Line::Endpoint(Box::new(Audited {
        schema_version: SCHEMA_VERSION,
        run: run.clone(),
        asked: asked.to_owned(),
        endpoint: endpoint.clone(),
    })))
}

/// Renders a remark about a target as one line.
pub fn remark(remark: &Remark) -> String {
    one_line(&Line::Remark(remark.clone()))
}

fn one_line(line: &Line) -> String {
    starttls_report::json(&serde_json::to_string(line).unwrap_or_default()) + "\n"
}

/// The error of a report that cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadError {
    /// The line of the file, from 1.
    pub line: usize,
    /// The fault of the line.
    pub fault: Fault,
}

/// The fault of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The file has no content.
    Empty,
    /// The line is not JSON.
    Syntax,
    /// The JSON ends too early.
    CutOff,
    /// The JSON is not a report, or a required field is missing.
    OtherData,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let line = self.line;
        match self.fault {
            Fault::Empty => f.write_str("the file is empty: expected a JSON report of an audit"),
            Fault::Syntax => write!(f, "line {line} is not JSON: expected a JSON report of an audit"),
            Fault::CutOff => write!(f, "line {line} is truncated: expected the end of the JSON value"),
            Fault::OtherData => write!(f, "line {line} is JSON, but not a report of an audit"),
        }
    }
}

impl std::error::Error for ReadError {}

impl ReadError {
    fn new(line: usize, error: &serde_json::Error) -> Self {
        let fault = match error.classify() {
            serde_json::error::Category::Eof => Fault::CutOff,
            serde_json::error::Category::Data => Fault::OtherData,
            _ => Fault::Syntax,
        };
        Self { line, fault }
    }
}

/// Reads a report that [`render`] or a bulk run wrote, such as a baseline. A truncated last line is ignored. If an
/// endpoint was audited more than once, the last audit counts.
///
/// # Errors
/// [`ReadError`] if a line is not part of a report.
pub fn read(text: &str) -> Result<AuditReport, ReadError> {
    let whole = match serde_json::from_str(text) {
        Ok(report) => return Ok(report),
        Err(error) => error,
    };
    let mut numbered = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty()).peekable();
    let Some((_, first)) = numbered.peek() else { return Err(ReadError { line: 1, fault: Fault::Empty }) };
    // A bulk run writes each object on one line.
    if serde_json::from_str::<serde_json::Value>(first).is_err() {
        return Err(ReadError::new(whole.line().max(1), &whole));
    }
    let mut report = AuditReport { started_at: String::new(), ..AuditReport::new(String::new(), Vec::new()) };
    while let Some((index, line)) = numbered.next() {
        match read_line(line.as_bytes(), index + 1) {
            Ok(line) => report.add(line),
            Err(error) if error.fault == Fault::CutOff && numbered.peek().is_none() => break,
            Err(error) => return Err(error),
        }
    }
    Ok(report)
}

/// Reads one line of a bulk run; `number` is its number in the file, from 1.
///
/// # Errors
/// [`ReadError`] if it is not a line of a report.
pub fn read_line(line: &[u8], number: usize) -> Result<Line, ReadError> {
    serde_json::from_slice(line).map_err(|error| ReadError::new(number, &error))
}

impl AuditReport {
    fn add(&mut self, line: Line) {
        match line {
            Line::Endpoint(audited) => {
                let Audited { endpoint: new, run, .. } = *audited;
                self.of_run(run);
                let same = |old: &EndpointReport| (&old.target, &old.address) == (&new.target, &new.address);
                match self.endpoints.iter().position(same) {
                    Some(at) => self.endpoints[at] = new,
                    None => self.endpoints.push(new),
                }
            }
            Line::Remark(remark) => {
                self.of_run(remark.run);
                self.lookups.extend(remark.lookups);
                let Some(reason) = remark.error else { return };
                let outcome = match remark.exit_code {
                    Some(3) => EndpointVerdict::Unreachable,
                    _ => EndpointVerdict::Inconclusive,
                };
                let (asked, target_line) = (remark.asked, remark.target_line);
                self.unaudited.push(Unaudited { asked, target_line, outcome, reason });
            }
        }
    }

    fn of_run(&mut self, run: Run) {
        (self.generator, self.started_at, self.options) = (run.generator, run.run_started_at, run.options);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `UPDATE_SCHEMA=1` writes the files.
    #[test]
    fn schemas_in_docs_equal_the_types() {
        let schemas = [
            ("check.json", schemars::schema_for!(AuditReport)),
            ("check-line.json", schemars::schema_for!(Line)),
        ];
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
