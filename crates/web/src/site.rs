//! The service with everything that its responses need.

use std::net::{IpAddr, SocketAddr};

use starttls_dns::IpPrefix;

use crate::live::Viewers;
use crate::service::Service;
use crate::store::{RunStoreError, StoredRun};

/// How the service is reached.
#[derive(Clone, Debug, Default)]
pub struct Access {
    /// The hosts in the URLs of the service. A request for another host is refused: an attacker can make a name of his own lead
    /// to this machine, and his page could then read the answers. Empty: `localhost` and loopback addresses.
    pub hosts: Vec<String>,
    /// The proxies whose `X-Forwarded-For` names the client.
    pub proxies: Vec<IpPrefix>,
}

/// What the responses need.
#[derive(Debug)]
pub(crate) struct Site {
    pub(crate) service: Service,
    pub(crate) access: Access,
    pub(crate) listening: SocketAddr,
    pub(crate) viewers: Viewers,
}

impl Site {
    /// Returns whether a request for this host is for this service.
    pub(crate) fn is_ours(&self, host: Option<&str>) -> bool {
        let Some(host) = host else { return false };
        if self.access.hosts.iter().any(|ours| ours.eq_ignore_ascii_case(host)) {
            return true;
        }
        let address: Option<IpAddr> = host.trim_start_matches('[').trim_end_matches(']').parse().ok();
        match address {
            Some(address) => address.is_loopback() || address == self.listening.ip(),
            None => host.eq_ignore_ascii_case("localhost"),
        }
    }
}

/// Returns a stored run. Ids have a fixed alphabet, so others are not looked up.
pub(crate) fn stored(service: &Service, id: &str) -> Result<Option<StoredRun>, RunStoreError> {
    if is_id(id) { service.store().get(id) } else { Ok(None) }
}

pub(crate) fn is_id(id: &str) -> bool {
    id.len() == 26 && id.bytes().all(|it| it.is_ascii_lowercase() || it.is_ascii_digit())
}
