//! The datagram that reports one session to a collector of TLSRPT data, in version 1 of libtlsrpt's format. The collector adds
//! the sessions of a day up to a report.

use std::net::IpAddr;

use serde_json::{Map, Value, json};

/// One session, for a collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionReport {
    /// The domain of the recipient.
    pub domain: String,
    /// Its TLSRPT record, which names the destinations of reports.
    pub record: String,
    /// The policies of the session.
    pub policies: Vec<SessionPolicy>,
}

/// A policy that was found for a session, and whether the session satisfied it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionPolicy {
    /// The kind.
    pub kind: SessionPolicyKind,
    /// The domain that publishes it: that of the recipient, or the TLSA base domain.
    pub domain: String,
    /// The policy as published: the lines of the text, or the TLSA records (RFC 8460 section 4.4).
    pub strings: Vec<String>,
    /// The patterns for exchangers.
    pub mx: Vec<String>,
    /// The failures.
    pub failures: Vec<ReportedFailure>,
    /// Whether the session failed in the end.
    pub has_failed: bool,
}

/// The kind of a policy, with its number in the datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionPolicyKind {
    /// DANE.
    Tlsa = 1,
    /// MTA-STS.
    Sts = 2,
    /// No policy.
    NoPolicy = 9,
}

/// A failure of a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReportedFailure {
    /// The kind.
    pub kind: FailureCode,
    /// The address of the sender.
    pub sender: Option<IpAddr>,
    /// The exchanger.
    pub receiver: Option<String>,
    /// Its address.
    pub receiver_address: Option<IpAddr>,
    /// More about the failure.
    pub reason: Option<String>,
}

/// A result type (RFC 8460 section 4.3), with its number in the datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of RFC 8460")]
pub enum FailureCode {
    StarttlsNotSupported = 201,
    CertificateHostMismatch = 202,
    CertificateNotTrusted = 203,
    CertificateExpired = 204,
    ValidationFailure = 205,
    StsPolicyFetchError = 301,
    StsPolicyInvalid = 302,
    StsWebPkiInvalid = 303,
    TlsaInvalid = 304,
    DnssecInvalid = 305,
    DaneRequired = 306,
}

impl SessionReport {
    /// Returns the datagram. Fields without a value are left out.
    pub fn datagram(&self) -> String {
        let policies: Vec<Value> = self.policies.iter().map(SessionPolicy::json).collect();
        json!({ "dpv": "1", "d": self.domain, "pr": self.record, "policies": policies }).to_string()
    }
}

impl SessionPolicy {
    fn json(&self) -> Value {
        let mut fields = Map::new();
        fields.insert(String::from("policy-type"), (self.kind as u8).into());
        fields.insert(String::from("policy-domain"), self.domain.clone().into());
        for (name, values) in [("policy-string", &self.strings), ("mx-host", &self.mx)] {
            if !values.is_empty() {
                fields.insert(name.to_owned(), values.clone().into());
            }
        }
        if !self.failures.is_empty() {
            let failures: Vec<Value> = self.failures.iter().map(ReportedFailure::json).collect();
            fields.insert(String::from("failure-details"), failures.into());
        }
        fields.insert(String::from("t"), self.failures.len().into());
        fields.insert(String::from("f"), u8::from(self.has_failed).into());
        fields.into()
    }
}

impl ReportedFailure {
    fn json(&self) -> Value {
        let mut fields = Map::new();
        fields.insert(String::from("c"), (self.kind as u16).into());
        let text = |address: &Option<IpAddr>| address.map(|it| it.to_string());
        for (name, value) in [
            ("s", text(&self.sender)),
            ("n", self.receiver.clone()),
            ("r", text(&self.receiver_address)),
            ("f", self.reason.clone()),
        ] {
            if let Some(value) = value {
                fields.insert(name.to_owned(), value.into());
            }
        }
        fields.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_has_the_form_that_collectors_read() {
        let report = SessionReport {
            domain: String::from("example.test"),
            record: String::from("v=TLSRPTv1; rua=mailto:a@example.test"),
            policies: vec![SessionPolicy {
                kind: SessionPolicyKind::Tlsa,
                domain: String::from("mx.example.test"),
                strings: vec![String::from("3 1 1 AB")],
                mx: Vec::new(),
                failures: vec![ReportedFailure {
                    kind: FailureCode::ValidationFailure,
                    sender: None,
                    receiver: Some(String::from("mx.example.test")),
                    receiver_address: Some([192, 0, 2, 1].into()),
                    reason: Some(String::from("dane-no-match")),
                }],
                has_failed: true,
            }],
        };
        let read: Value = serde_json::from_str(&report.datagram()).unwrap_or_default();
        let expected = json!({
            "dpv": "1", "d": "example.test", "pr": "v=TLSRPTv1; rua=mailto:a@example.test",
            "policies": [{
                "policy-type": 1, "policy-domain": "mx.example.test", "policy-string": ["3 1 1 AB"], "t": 1, "f": 1,
                "failure-details": [{"c": 205, "n": "mx.example.test", "r": "192.0.2.1", "f": "dane-no-match"}],
            }],
        });
        assert_eq!(read, expected);
    }
}
