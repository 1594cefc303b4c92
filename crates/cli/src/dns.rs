//! Queries DNS for mail exchangers and services. Every query has a deadline, and names in answers that are not valid host
//! names are dropped.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use starttls_dns::{
    AdTrust, DnsAnswer, DnsName, DnsQuestion, MxTarget, RecordData, RecordType, Stub, system_resolvers,
};

/// The address families to look up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Any,
    V4,
    V6,
}

impl Family {
    fn wants(self, address: IpAddr) -> bool {
        match self {
            Self::Any => true,
            Self::V4 => address.is_ipv4(),
            Self::V6 => address.is_ipv6(),
        }
    }
}

/// The answer to a query.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer<T> {
    Records(Vec<T>),
    /// The name has no records of this type.
    Nothing,
    /// The name does not exist, and no name below it.
    NoSuchName,
    Failed(String),
}

/// A host in an MX or SRV record. A lower rank is preferred. A host without a name means that there is no service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) rank: u16,
    pub(crate) weight: u16,
    pub(crate) port: u16,
    pub(crate) name: Option<String>,
}

/// A resolver with a deadline for each query.
pub(crate) struct Dns {
    stub: Result<Stub, String>,
    /// Whether the user chose the server. Otherwise the system's resolver looks up addresses, with its configuration
    /// (hosts file, search list).
    chosen: bool,
    family: Family,
    deadline: Duration,
}

/// Returns whether a name is this machine by definition, so that no DNS server is asked (RFC 6761 section 6.3).
fn is_localhost(host: &str) -> bool {
    let host = host.trim_end_matches('.').to_ascii_lowercase();
    host == "localhost" || host.ends_with(".localhost")
}

impl Dns {
    pub(crate) fn new(server: Option<SocketAddr>, family: Family, deadline: Duration) -> Self {
        let addresses = match server {
            Some(server) => Ok(vec![server]),
            None => system_resolvers().map(|system| system.addresses),
        };
        // Nothing here depends on the AD bit.
        let stub = addresses.and_then(|addresses| Stub::new(addresses, AdTrust::Never));
        let stub = stub.map(|stub| stub.timeout(deadline)).map_err(|error| error.to_string());
        Self { stub, chosen: server.is_some(), family, deadline }
    }

    /// Returns every address of a host, in the order of the answers.
    pub(crate) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        let mut found = match host.parse() {
            Ok(address) => vec![address],
            Err(_) if self.chosen && !is_localhost(host) => self.asked(host).await?,
            Err(_) => {
                let late = || format!("no answer from DNS within {:?}", self.deadline);
                let lookup = tokio::time::timeout(self.deadline, tokio::net::lookup_host((host, 0))).await;
                let found = lookup.map_err(|_| late())?.map_err(|error| error.to_string())?;
                found.map(|address| address.ip()).collect()
            }
        };
        found.retain(|address| self.family.wants(*address));
        let mut seen = Vec::new();
        found.retain(|address| {
            !seen.contains(address) && {
                seen.push(*address);
                true
            }
        });
        Ok(found)
    }

    async fn asked(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        let address = |data: &RecordData| if let RecordData::Address(it) = data { Some(*it) } else { None };
        let ask = async |record, wanted| match wanted {
            true => self.ask(host, record, address).await,
            false => Answer::Nothing,
        };
        let (v4, v6) = tokio::join!(
            ask(RecordType::A, self.family != Family::V6),
            ask(RecordType::Aaaa, self.family != Family::V4),
        );
        match (v4, v6) {
            (Answer::Records(mut v4), Answer::Records(v6)) => {
                v4.extend(v6);
                Ok(v4)
            }
            (Answer::Records(found), _) | (_, Answer::Records(found)) => Ok(found),
            (Answer::Failed(why), _) | (_, Answer::Failed(why)) => Err(why),
            _ => Ok(Vec::new()),
        }
    }

    /// Returns the mail exchangers of a domain, the preferred ones first (RFC 5321 section 5.1).
    pub(crate) async fn exchangers(&self, domain: &str) -> Answer<Host> {
        let mx = |data: &RecordData| match data {
            RecordData::Mx(mx) => {
                Some(Host { rank: mx.preference, weight: 0, port: 25, name: host_name(&mx.target)? })
            }
            _ => None,
        };
        ordered(self.ask(domain, RecordType::Mx, mx).await)
    }

    /// Returns the target of the CNAME record of a name, if it has one.
    pub(crate) async fn alias(&self, name: &str) -> Option<String> {
        let target = |data: &RecordData| match data {
            RecordData::Name(target) => Some(target.to_string()),
            _ => None,
        };
        match self.ask(name, RecordType::Cname, target).await {
            Answer::Records(mut targets) => targets.pop(),
            _ => None,
        }
    }

    /// Returns the servers of a service, the preferred ones first (RFC 2782).
    pub(crate) async fn servers(&self, service: &str) -> Answer<Host> {
        let srv = |data: &RecordData| match data {
            RecordData::Srv(srv) => Some(Host {
                rank: srv.priority,
                weight: srv.weight,
                port: srv.port,
                name: host_name(&srv.target)?,
            }),
            _ => None,
        };
        ordered(self.ask(service, RecordType::Srv, srv).await)
    }

    async fn ask<T>(
        &self,
        name: &str,
        record: RecordType,
        read: impl Fn(&RecordData) -> Option<T>,
    ) -> Answer<T> {
        let stub = match &self.stub {
            Ok(stub) => stub,
            Err(why) => return Answer::Failed(why.clone()),
        };
        let name: DnsName = match name.parse() {
            Ok(name) => name,
            Err(error) => return Answer::Failed(starttls_dns::InvalidName::to_string(&error)),
        };
        match stub.ask(&DnsQuestion { name, record }).await {
            DnsAnswer::Failed(failure) => Answer::Failed(failure.to_string()),
            DnsAnswer::NoName { .. } => Answer::NoSuchName,
            DnsAnswer::NoData { .. } => Answer::Nothing,
            DnsAnswer::Found { records, .. } => {
                let found: Vec<_> = records.iter().filter_map(read).collect();
                if found.is_empty() { Answer::Nothing } else { Answer::Records(found) }
            }
        }
    }
}

fn ordered(mut answer: Answer<Host>) -> Answer<Host> {
    if let Answer::Records(hosts) = &mut answer {
        // Among equals the higher weight is first, then the name, so that two runs have the same order.
        hosts.sort_by(|a, b| (a.rank, b.weight, &a.name, a.port).cmp(&(b.rank, a.weight, &b.name, b.port)));
        hosts.dedup();
    }
    answer
}

/// Returns the name as text, `Some(None)` for the root, and `None` if it is not a host name. An address is returned, so that
/// the report can name it.
fn host_name(target: &MxTarget) -> Option<Option<String>> {
    match target {
        MxTarget::Null => Some(None),
        MxTarget::Host(name) => Some(Some(name.to_string())),
        MxTarget::Invalid(text) => {
            let text = text.trim_end_matches('.').to_owned();
            text.parse::<IpAddr>().is_ok().then_some(Some(text))
        }
    }
}
