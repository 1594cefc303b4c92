//! Questions to DNS. Every one has a deadline, and a name that comes back is a host name or left out.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use hickory_resolver::config::{ConnectionConfig, NameServerConfig, ResolveHosts, ResolverConfig};
use hickory_resolver::net::{NetError, runtime::TokioRuntimeProvider};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::{Resolver, TokioResolver};

/// Which addresses are wanted.
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

/// What came back.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Answer<T> {
    Records(Vec<T>),
    /// There are no records of this type.
    Nothing,
    /// There is no such name, and none below it.
    NoSuchName,
    Failed(String),
}

/// A host in a record: its rank (lower is first), its weight, its port. No name means that there is no service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Host {
    pub(crate) rank: u16,
    pub(crate) weight: u16,
    pub(crate) port: u16,
    pub(crate) name: Option<String>,
}

/// Whom to ask, and how long to wait.
pub(crate) struct Dns {
    resolver: Result<TokioResolver, String>,
    /// Whether the user chose the server; otherwise the system looks up addresses, with all that it is configured to.
    chosen: bool,
    family: Family,
    deadline: Duration,
}

/// The longest wait for one answer; a lost datagram is sent again within the deadline.
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
        let resolver = resolver.map_err(|error| format!("DNS cannot be asked: {error}"));
        Self { resolver, chosen: server.is_some(), family, deadline }
    }

    /// Every address of a host, in the order of the answers.
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

    /// The mail exchangers of a domain, the preferred first (RFC 5321 section 5.1).
    pub(crate) async fn exchangers(&self, domain: &str) -> Answer<Host> {
        let mx = |data: &RData| match data {
            RData::MX(mx) => {
                Some(Host { rank: mx.preference, weight: 0, port: 25, name: shown(&mx.exchange)? })
            }
            _ => None,
        };
        ordered(self.ask(domain, RecordType::MX, mx).await)
    }

    /// The name that this one is an alias of (CNAME), if it is one.
    pub(crate) async fn alias(&self, name: &str) -> Option<String> {
        let target = |data: &RData| match data {
            RData::CNAME(target) => shown(&target.0)?,
            _ => None,
        };
        match self.ask(name, RecordType::CNAME, target).await {
            Answer::Records(mut targets) => targets.pop(),
            _ => None,
        }
    }

    /// The servers of a service, the preferred first (RFC 2782).
    pub(crate) async fn servers(&self, service: &str) -> Answer<Host> {
        let srv = |data: &RData| match data {
            RData::SRV(srv) => Some(Host {
                rank: srv.priority,
                weight: srv.weight,
                port: srv.port,
                name: shown(&srv.target)?,
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
            return Answer::Failed(String::from("this cannot be a name in DNS"));
        };
        // No search list: a domain is the same everywhere.
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
        format!("no answer within {:?}", self.deadline)
    }
}

fn ordered(mut answer: Answer<Host>) -> Answer<Host> {
    if let Answer::Records(hosts) = &mut answer {
        // Among equals the heavier first, and then by name, so that two runs tell the same.
        hosts.sort_by(|a, b| (a.rank, b.weight, &a.name, a.port).cmp(&(b.rank, a.weight, &b.name, b.port)));
        hosts.dedup();
    }
    answer
}

/// A name as it is shown, nothing for the root; `None` for what is no host name.
fn shown(name: &Name) -> Option<Option<String>> {
    if name.is_root() {
        return Some(None);
    }
    let text = name.to_ascii().trim_end_matches('.').to_ascii_lowercase();
    text.parse::<crate::target::Host>().is_ok_and(|host| host.ascii == text).then_some(Some(text))
}
