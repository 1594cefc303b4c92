//! The formats of a report: JSON lines, EVE and a log of Zeek for programs, and HTML.

mod eve;
mod html;
mod zeek;

use std::net::SocketAddr;

use serde::Serialize;

use crate::compare::{Comparison, ConnectionDifference};
use crate::inspector::{CaptureSummary, ConnectionReport};
use crate::verdict::{ClientSummary, ServerSummary};

pub use eve::eve;
pub use html::{HtmlReport, Origin};
pub use zeek::{ZEEK_HEADER, zeek};

/// Returns the address and the port of the client and of the server.
fn ends(report: &ConnectionReport) -> ((String, u16), (String, u16)) {
    let end = |text: &str| {
        let address: Option<SocketAddr> = text.parse().ok();
        address.map_or_else(Default::default, |it| (it.ip().to_string(), it.port()))
    };
    (end(&report.client), end(&report.server))
}

/// Returns the spelling of a value in the JSON report.
fn word(value: &impl Serialize) -> String {
    match serde_json::to_value(value) {
        Ok(serde_json::Value::String(word)) => word,
        _ => String::new(),
    }
}

/// The version of the JSON format. It changes if a field is removed or gets another meaning.
pub const SCHEMA_VERSION: u32 = 1;

/// One line of the report: a connection when it ends, then each server, each client and the capture.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
#[serde(tag = "type", rename_all = "kebab-case")]
pub enum ReportLine<'a> {
    /// A connection.
    Connection {
        /// The version of the format.
        schema_version: u32,
        /// The connection.
        #[serde(flatten)]
        connection: &'a ConnectionReport,
    },
    /// A server.
    Server {
        /// The version of the format.
        schema_version: u32,
        /// The server.
        #[serde(flatten)]
        summary: &'a ServerSummary,
    },
    /// A client.
    Client {
        /// The version of the format.
        schema_version: u32,
        /// The client.
        #[serde(flatten)]
        summary: &'a ClientSummary,
    },
    /// The capture. It is the last line.
    Capture {
        /// The version of the format.
        schema_version: u32,
        /// The totals.
        #[serde(flatten)]
        summary: &'a CaptureSummary,
    },
    /// The capture so far.
    Progress {
        /// The version of the format.
        schema_version: u32,
        /// The totals.
        #[serde(flatten)]
        summary: &'a CaptureSummary,
    },
    /// A connection that is not the same in two captures.
    Difference {
        /// The version of the format.
        schema_version: u32,
        /// The connection.
        #[serde(flatten)]
        difference: &'a ConnectionDifference,
    },
    /// The totals of a comparison. It is the last line.
    Comparison {
        /// The version of the format.
        schema_version: u32,
        /// The totals.
        #[serde(flatten)]
        comparison: &'a Comparison,
    },
}

impl ReportLine<'_> {
    /// Returns the line as JSON without terminal control characters.
    ///
    /// # Errors
    /// An error of the JSON library, which these types do not cause.
    pub fn to_json(&self) -> Result<String, serde_json::Error> {
        serde_json::to_string(self).map(|json| starttls_report::json(&json))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_is_up_to_date() {
        let path = format!("{}/../../docs/schema/inspect.json", env!("CARGO_MANIFEST_DIR"));
        let schema = serde_json::to_string_pretty(&schemars::schema_for!(ReportLine<'_>)).unwrap() + "\n";
        if std::env::var_os("UPDATE_SCHEMA").is_some() {
            std::fs::write(&path, &schema).unwrap();
        }
        let written = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            written == schema,
            "docs/schema/inspect.json is out of date: run this test with UPDATE_SCHEMA=1"
        );
    }
}
