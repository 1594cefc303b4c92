//! Queries DNS. Every query has a deadline, and names in answers that are not valid host names are dropped.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::{NetError, runtime::TokioRuntimeProvider};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Resolver, TokioResolver};

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
    resolver: Result<TokioResolver, String>,
    /// Whether the user chose the server. Otherwise the system's resolver looks up addresses, with its configuration
    /// (hosts file, search list).
    chosen: bool,
    family: Family,
    deadline: Duration,
}

/// The longest wait for one answer. A lost datagram is sent again within the deadline.
const MAX_WAIT: Duration = Duration::from_secs(5);

impl Dns {
    pub(crate) fn new(server: Option<SocketAddr>, family: Family, deadline: Duration) -> Self {
        let builder = match server {
            None => TokioResolver::builder_tokio(),
            Some(server) => {
                let at = |mut connection: ConnectionConfig| {
                    connection.port = server.port();
                    connection
                };
                let connections = vec![at(ConnectionConfig::udp()), at(ConnectionConfig::tcp())];
                let server = NameServerConfig::new(server.ip(), true, connections);
                let config = ResolverConfig::from_name_servers(vec![server]);
                Ok(Resolver::builder_with_config(config, TokioRuntimeProvider::default()))
            }
        };
        let resolver = builder.and_then(|mut builder| {
            let options = builder.options_mut();
            options.use_hosts_file = ResolveHosts::Never;
            options.attempts = 2;
            options.timeout = (deadline / 3).min(MAX_WAIT);
            builder.build()
        });
        let resolver = resolver.map_err(|error| format!("cannot start the DNS resolver: {error}"));
        Self { resolver, chosen: server.is_some(), family, deadline }
    }

    /// Returns every address of a host, in the order of the answers.
    pub(crate) async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, String> {
        let mut found = match host.parse() {
            Ok(address) => vec![address],
            Err(_) if self.chosen => self.asked(host).await?,
            Err(_) => {
                let lookup = tokio::time::timeout(self.deadline, tokio::net::lookup_host((host, 0))).await;
                let found = lookup.map_err(|_| self.late())?.map_err(|error| error.to_string())?;
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
        let address = |data: &RData| data.ip_addr();
        let ask = async |record, wanted| match wanted {
            true => self.ask(host, record, address).await,
            false => Answer::Nothing,
        };
        let (v4, v6) = tokio::join!(
            ask(RecordType::A, self.family != Family::V6),
            ask(RecordType::AAAA, self.family != Family::V4),
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
        let mx = |data: &RData| match data {
            RData::MX(mx) => {
                Some(Host { rank: mx.preference, weight: 0, port: 25, name: host_name(&mx.exchange)? })
            }
            _ => None,
        };
        ordered(self.ask(domain, RecordType::MX, mx).await)
    }

    /// Returns the target of the CNAME record of a name, if it has one.
    pub(crate) async fn alias(&self, name: &str) -> Option<String> {
        let target = |data: &RData| match data {
            RData::CNAME(target) => host_name(&target.0)?,
            _ => None,
        };
        match self.ask(name, RecordType::CNAME, target).await {
            Answer::Records(mut targets) => targets.pop(),
            _ => None,
        }
    }

    /// Returns the servers of a service, the preferred ones first (RFC 2782).
    pub(crate) async fn servers(&self, service: &str) -> Answer<Host> {
        let srv = |data: &RData| match data {
            RData::SRV(srv) => Some(Host {
                rank: srv.priority,
                weight: srv.weight,
                port: srv.port,
                name: host_name(&srv.target)?,
            }),
            _ => None,
        };
        ordered(self.ask(service, RecordType::SRV, srv).await)
    }

    async fn ask<T>(&self, name: &str, record: RecordType, read: impl Fn(&RData) -> Option<T>) -> Answer<T> {
        let resolver = match &self.resolver {
            Ok(resolver) => resolver,
            Err(why) => return Answer::Failed(why.clone()),
        };
        let Ok(mut name) = Name::from_ascii(name) else {
            return Answer::Failed(String::from("invalid DNS name"));
        };
        // No search list: the result must not depend on the machine.
        name.set_fqdn(true);
        match tokio::time::timeout(self.deadline, resolver.lookup(name, record)).await {
            Err(_) | Ok(Err(NetError::Timeout)) => Answer::Failed(self.late()),
            Ok(Err(error)) if error.is_nx_domain() => Answer::NoSuchName,
            Ok(Err(error)) if error.is_no_records_found() => Answer::Nothing,
            Ok(Err(error)) => Answer::Failed(error.to_string()),
            Ok(Ok(lookup)) => {
                let found: Vec<_> = lookup.answers().iter().filter_map(|answer| read(&answer.data)).collect();
                if found.is_empty() { Answer::Nothing } else { Answer::Records(found) }
            }
        }
    }

    fn late(&self) -> String {
        format!("no answer from DNS within {:?}", self.deadline)
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

/// Returns the name as text, `Some(None)` for the root, and `None` if it is not a valid host name.
fn host_name(name: &Name) -> Option<Option<String>> {
    if name.is_root() {
        return Some(None);
    }
    let text = name.to_ascii().trim_end_matches('.').to_ascii_lowercase();
    text.parse::<crate::target::Host>().is_ok_and(|host| host.ascii == text).then_some(Some(text))
}
