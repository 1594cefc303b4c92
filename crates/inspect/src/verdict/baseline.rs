//! Servers that are known to offer the upgrade.

use std::collections::BTreeSet;
use std::fmt;
use std::net::SocketAddr;

use serde_json::{Deserializer, Value};

/// The most servers of a baseline.
const MAX_SERVERS: usize = 1_000_000;

/// Servers that offered the upgrade in an earlier inspection or audit. A client that gets no offer from one of them was
/// probably stripped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Baseline {
    /// Address and port, or name and port.
    servers: BTreeSet<String>,
}

/// Why a baseline cannot be used.
#[derive(Debug)]
pub enum BaselineError {
    /// It is not JSON: what the JSON library found.
    Json(String),
    /// It is JSON, and no report.
    NotAReport,
}

impl fmt::Display for BaselineError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(found) => write!(f, "invalid JSON: {found}"),
            Self::NotAReport => {
                f.write_str("expected a JSON report of an inspection or of an audit, found other JSON")
            }
        }
    }
}

impl std::error::Error for BaselineError {}

impl Baseline {
    /// Reads the JSON report of an inspection, or of an audit as an object or as lines.
    ///
    /// # Errors
    /// [`BaselineError`] if the text is not a report of either kind.
    pub fn parse(text: &str) -> Result<Self, BaselineError> {
        let (mut baseline, mut is_report) = (Self::default(), false);
        for value in Deserializer::from_str(text).into_iter::<Value>() {
            let value = value.map_err(|error| BaselineError::Json(error.to_string()))?;
            is_report |= baseline.add(&value);
        }
        if is_report { Ok(baseline) } else { Err(BaselineError::NotAReport) }
    }

    /// Returns the number of servers.
    pub fn len(&self) -> usize {
        self.servers.len()
    }

    /// Returns whether there are no servers.
    pub fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// Returns whether the baseline contains a server that offers the upgrade: the server at this address or, if the address
    /// is that of a proxy, the destination.
    pub(crate) fn contains(&self, address: SocketAddr, destination: Option<&str>) -> bool {
        match destination {
            Some(destination) => self.servers.contains(destination),
            None => self.servers.contains(&address.to_string()),
        }
    }

    /// Adds what a part of a report shows. Returns whether it is one.
    fn add(&mut self, value: &Value) -> bool {
        let text = |field: &str| value[field].as_str();
        if let Some(endpoints) = value["endpoints"].as_array() {
            endpoints.iter().for_each(|endpoint| {
                self.add(endpoint);
            });
            return true;
        }
        match text("type") {
            Some("connection") => {
                // Of a connection through a proxy, the destination is the server.
                let hops = value["proxies"].as_array().map(Vec::as_slice).unwrap_or_default();
                let behind = hops.iter().rev().find(|hop| hop["source"].is_null());
                let behind = behind.and_then(|hop| hop["destination"].as_str());
                self.insert(behind.or(text("server")).filter(|_| text("offered") == Some("yes")));
                true
            }
            Some("server") => {
                let name = text("server").and_then(|name| name.split(" via ").next());
                self.insert(name.filter(|_| value["offered"].as_u64() > Some(0)));
                true
            }
            Some("client" | "capture") => true,
            _ => self.audited(value),
        }
    }

    /// Adds an audited endpoint.
    fn audited(&mut self, endpoint: &Value) -> bool {
        let (Some(findings), Some(name)) =
            (endpoint["findings"].as_array(), endpoint["server_name"].as_str())
        else {
            return false;
        };
        let offers = findings.iter().any(|it| it["id"] == "srv-offered" && it["outcome"] == "pass");
        if offers {
            self.insert(endpoint["address"].as_str());
            self.insert(endpoint["port"].as_u64().map(|port| format!("{name}:{port}")).as_deref());
        }
        true
    }

    fn insert(&mut self, server: Option<&str>) {
        if let Some(server) = server.filter(|_| self.servers.len() < MAX_SERVERS) {
            self.servers.insert(server.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_of_inspections_and_audits_are_read() {
        let lines = r#"{"type":"connection","server":"192.0.2.1:25","offered":"yes"}
            {"type":"connection","server":"192.0.2.2:25","offered":"no"}
            {"type":"connection","server":"192.0.2.9:1080","offered":"yes",
             "proxies":[{"kind":"socks5","source":null,"destination":"mail.example:587"}]}
            {"type":"server","server":"192.0.2.3:25","offered":3}
            {"type":"capture","packets":1}"#;
        let baseline = Baseline::parse(lines).unwrap();
        let has = |address: &str, name| baseline.contains(address.parse().unwrap(), name);
        assert!(has("192.0.2.1:25", None) && has("192.0.2.3:25", None) && !has("192.0.2.2:25", None));
        assert!(has("192.0.2.77:1080", Some("mail.example:587")) && !has("192.0.2.9:1080", None));
        let endpoint = |outcome: &str| {
            format!(
                r#"{{"address":"192.0.2.1:25","server_name":"mx.example","port":25,
                "findings":[{{"id":"srv-offered","outcome":"{outcome}"}}]}}"#
            )
        };
        let report = Baseline::parse(&format!(r#"{{"endpoints":[{}]}}"#, endpoint("pass"))).unwrap();
        assert!(report.contains("192.0.2.1:25".parse().unwrap(), None));
        assert!(report.contains("203.0.113.1:1080".parse().unwrap(), Some("mx.example:25")));
        assert_eq!(Baseline::parse(&endpoint("pass")).unwrap().len(), 2);
        assert!(Baseline::parse(&endpoint("fail")).unwrap().is_empty());
        assert!(matches!(Baseline::parse("{}"), Err(BaselineError::NotAReport)));
        assert!(matches!(Baseline::parse(""), Err(BaselineError::NotAReport)));
        assert!(matches!(Baseline::parse("{\"type\":"), Err(BaselineError::Json(_))));
    }
}
