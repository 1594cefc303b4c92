//! Fetches policies over HTTPS (RFC 8461 section 3.3).

use std::net::IpAddr;
use std::time::Duration;

use http_body_util::{BodyExt, Empty};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::{CONNECTION, CONTENT_TYPE, HOST, LOCATION, USER_AGENT};
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use starttls::proto::http::HTTP;
use starttls::{Connector, Endpoint, Error};
use starttls_dns::{DnsName, DnsQuestion, RecordData, RecordType, Stub};
use tokio::time::timeout;

use crate::sts::{self, MAX_POLICY, POLICY_PATH, StsFailure, StsPolicy, StsText};

/// The default time limit of a fetch from one address.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The most addresses of a policy host.
const MAX_ADDRESSES: usize = 8;

/// A client for policy hosts. It follows no redirect, and keeps nothing.
#[derive(Clone, Debug)]
pub struct PolicyFetcher {
    connector: Connector,
    port: u16,
    timeout: Duration,
}

/// The answer of one address of a policy host.
#[derive(Clone, Debug)]
pub struct FetchedPolicy {
    /// The address.
    pub address: IpAddr,
    /// The text as received; empty if no text was received.
    pub text: Vec<u8>,
    /// The parsed text, or why senders have no policy from this address.
    pub result: Result<StsText, StsFailure>,
    /// The media type, as received; empty if the header field is missing.
    pub content_type: String,
    /// The status; 0 without an answer.
    pub status: u16,
}

impl FetchedPolicy {
    /// Returns the policy, or why senders have none.
    ///
    /// # Errors
    /// [`StsFailure`] if senders have none.
    pub fn policy(&self) -> Result<StsPolicy, StsFailure> {
        self.result.clone()?.policy.map_err(StsFailure::Invalid)
    }
}

impl PolicyFetcher {
    /// Returns a client that verifies policy hosts as this connector does. The port of policy hosts is 443.
    pub fn new(connector: Connector, port: u16) -> Self {
        Self { connector, port, timeout: TIMEOUT }
    }

    /// Sets the time limit of a fetch from one address, from the connection to the last octet.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        Self { timeout, ..self }
    }

    /// Returns the addresses of the policy host of a domain.
    ///
    /// # Errors
    /// [`StsFailure`] if the host has none.
    pub async fn addresses(&self, stub: &Stub, domain: &DnsName) -> Result<Vec<IpAddr>, StsFailure> {
        let host = sts::policy_host(domain).map_err(|error| StsFailure::Fetch(error.to_string()))?;
        let question = |record| DnsQuestion { name: host.clone(), record };
        let (v4, v6) = (question(RecordType::A), question(RecordType::Aaaa));
        let (v4, v6) = tokio::join!(stub.ask(&v4), stub.ask(&v6));
        let mut found: Vec<IpAddr> = [&v6, &v4]
            .iter()
            .flat_map(|it| it.records())
            .filter_map(|it| if let RecordData::Address(address) = it { Some(*address) } else { None })
            .collect();
        found.truncate(MAX_ADDRESSES);
        if found.is_empty() {
            let failure = v4.failure().or(v6.failure());
            let reason = failure.map_or_else(|| String::from("it has no address"), ToString::to_string);
            return Err(StsFailure::Fetch(format!("the policy host {host} cannot be reached: {reason}")));
        }
        Ok(found)
    }

    /// Fetches the policy from the first address that answers.
    ///
    /// # Errors
    /// [`StsFailure`] of the last address.
    pub async fn fetch(&self, stub: &Stub, domain: &DnsName) -> Result<(StsPolicy, Vec<u8>), StsFailure> {
        let mut failure = StsFailure::Fetch(String::from("the policy host has no address"));
        for address in self.addresses(stub, domain).await? {
            let fetched = self.fetch_from(domain, address).await;
            match fetched.policy() {
                Ok(policy) => return Ok((policy, fetched.text)),
                Err(error) => failure = error,
            }
            // Only an address that does not answer is followed by another one.
            if fetched.status != 0 {
                break;
            }
        }
        Err(failure)
    }

    /// Fetches the policy from one address.
    pub async fn fetch_from(&self, domain: &DnsName, address: IpAddr) -> FetchedPolicy {
        let mut fetched = FetchedPolicy {
            address,
            text: Vec::new(),
            result: Err(StsFailure::Fetch(format!("no complete answer within {:?}", self.timeout))),
            content_type: String::new(),
            status: 0,
        };
        let outcome = timeout(self.timeout, self.exchange(domain, &mut fetched)).await;
        if let Ok(result) = outcome {
            fetched.result = result;
        }
        fetched
    }

    async fn exchange(&self, domain: &DnsName, fetched: &mut FetchedPolicy) -> Result<StsText, StsFailure> {
        let failed = |error: hyper::Error| {
            StsFailure::Fetch(format!("invalid HTTP answer: {}", escaped(&error.to_string())))
        };
        let host = sts::policy_host(domain).map_err(|error| StsFailure::Fetch(error.to_string()))?;
        let endpoint = Endpoint::new(host.as_str(), self.port).at(fetched.address.to_string(), self.port);
        let stream = self.connector.connect_implicit(&HTTP, endpoint).await.map_err(of_library)?;
        let (mut sender, connection) = http1::Builder::new()
            .max_buf_size(MAX_POLICY)
            .handshake::<_, Empty<Bytes>>(TokioIo::new(stream))
            .await
            .map_err(failed)?;
        let authority = if self.port == 443 { host.to_string() } else { format!("{host}:{}", self.port) };
        let request = Request::get(POLICY_PATH)
            .header(HOST, authority)
            .header(USER_AGENT, "starttls")
            .header(CONNECTION, "close")
            .body(Empty::new())
            .map_err(|error| StsFailure::Fetch(error.to_string()))?;
        let work = async {
            let mut response = sender.send_request(request).await.map_err(failed)?;
            fetched.status = response.status().as_u16();
            let header = |name| {
                response.headers().get(name).map(|it| escaped(&String::from_utf8_lossy(it.as_bytes())))
            };
            fetched.content_type = header(CONTENT_TYPE).unwrap_or_default();
            if response.status().is_redirection() {
                let target = header(LOCATION).unwrap_or_default();
                return Err(StsFailure::Fetch(format!(
                    "status {}, a redirection to \"{target}\": senders do not follow it",
                    fetched.status
                )));
            }
            if response.status() != StatusCode::OK {
                return Err(StsFailure::Fetch(format!("status {}: expected 200", fetched.status)));
            }
            let media = fetched.content_type.split(';').next().unwrap_or_default().trim();
            if !media.eq_ignore_ascii_case("text/plain") {
                return Err(StsFailure::Fetch(format!("Content-Type \"{media}\": expected text/plain")));
            }
            while let Some(frame) = response.frame().await {
                if let Ok(data) = frame.map_err(failed)?.into_data() {
                    fetched.text.extend_from_slice(&data);
                }
                if fetched.text.len() > MAX_POLICY {
                    fetched.text.truncate(MAX_POLICY);
                    return Err(StsFailure::Fetch(String::from("the policy is larger than 64 KiB")));
                }
            }
            Ok(sts::parse_policy(&fetched.text))
        };
        tokio::pin!(connection);
        tokio::pin!(work);
        let mut is_open = true;
        loop {
            tokio::select! {
                result = &mut work => return result,
                // The connection moves the octets; its own result adds nothing.
                _ = &mut connection, if is_open => is_open = false,
            }
        }
    }
}

fn of_library(error: Error) -> StsFailure {
    match error {
        Error::Certificate { .. } => StsFailure::WebPki(error.to_string()),
        _ => StsFailure::Fetch(error.to_string()),
    }
}

/// Returns received text escaped and bounded.
fn escaped(text: &str) -> String {
    text.chars().take(200).flat_map(char::escape_debug).collect()
}
