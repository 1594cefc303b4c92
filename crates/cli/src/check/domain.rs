//! Finds what a domain announces in DNS: mail exchangers (MX), and services (SRV).

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use starttls::dialer::Tcp;
use starttls::proto::{PROTOCOLS, Protocol, protocol};
use starttls::{Deadline, Dialer, Endpoint};

use super::resolved::Resolved;
use crate::dns::{Answer, Dns, Host as Announced};
use crate::target::{Host, Mode};

/// The result of the lookups: the endpoints to audit.
#[derive(Debug, Default)]
pub(crate) struct Found {
    /// One line for each lookup, for the report.
    pub(crate) lookups: Vec<String>,
    pub(crate) endpoints: Vec<Resolved>,
    /// Why the domain could not be looked up at all.
    pub(crate) failed: Option<String>,
    /// Whether the domain announces that it accepts no mail (RFC 7505).
    pub(crate) null_mx: bool,
    /// Whether MX records name exchangers.
    pub(crate) has_mx: bool,
}

/// The most endpoints of one domain. An attacker can publish any number of records at no cost.
const MOST: usize = 50;

/// How a domain announces the servers of a protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Announcement {
    /// MX records (RFC 5321 section 5.1).
    MailExchanger,
    /// SRV records with this label (RFC 2782).
    Service { label: &'static str, certificate: CertificateName },
    /// Not in DNS: such a server is found on its well-known port only.
    PortOnly,
}

/// The name that the certificate of an announced server must contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum CertificateName {
    /// The domain that the user asked for.
    Domain,
    /// The host in the SRV record.
    Host,
}

const fn service(label: &'static str, certificate: CertificateName) -> Announcement {
    Announcement::Service { label, certificate }
}

/// One row for each protocol that a domain announces. The others are found on their ports only.
///
/// RFC 6186 section 3 (mail), RFC 5804 section 1.8 (ManageSieve), RFC 6120 section 3.2.1 (XMPP), RFC 2782 (LDAP).
/// XMPP verifies the domain (RFC 6120 section 13.7.2.1), the others the host in the record.
const ANNOUNCEMENTS: &[(&str, Announcement)] = &[
    ("smtp", Announcement::MailExchanger),
    ("submission", service("_submission._tcp", CertificateName::Host)),
    ("imap", service("_imap._tcp", CertificateName::Host)),
    ("pop3", service("_pop3._tcp", CertificateName::Host)),
    ("sieve", service("_sieve._tcp", CertificateName::Host)),
    ("xmpp", service("_xmpp-client._tcp", CertificateName::Domain)),
    ("xmpp-server", service("_xmpp-server._tcp", CertificateName::Domain)),
    ("ldap", service("_ldap._tcp", CertificateName::Host)),
];

/// Returns the services with SRV records: the protocol, the label and the name in the certificate.
fn services() -> impl Iterator<Item = (&'static Protocol, &'static str, CertificateName)> {
    ANNOUNCEMENTS.iter().filter_map(|(name, announcement)| match *announcement {
        Announcement::Service { label, certificate } => Some((protocol(name)?, label, certificate)),
        Announcement::MailExchanger | Announcement::PortOnly => None,
    })
}

fn announcement(protocol: &Protocol) -> Announcement {
    let row = ANNOUNCEMENTS.iter().find(|(name, _)| *name == protocol.name);
    row.map_or(Announcement::PortOnly, |(_, announcement)| *announcement)
}

/// A host that serves a protocol.
struct Server {
    protocol: &'static Protocol,
    name: String,
    port: u16,
    server_name: String,
    /// Whether a record announces it. A domain without MX records is only possibly a mail exchanger itself.
    announced: bool,
    /// A problem of the record that announces it.
    remark: Option<String>,
}

/// Looks up everything in parallel.
pub(crate) async fn find(dns: &Arc<Dns>, domain: &Host, server_name: Option<&str>, dialer: Tcp) -> Found {
    let mut found = Found::default();
    let domain = domain.ascii.as_str();
    let exchangers = {
        let (dns, domain) = (Arc::clone(dns), domain.to_owned());
        tokio::spawn(async move { dns.exchangers(&domain).await })
    };
    let tasks: Vec<_> = services()
        .map(|(_, label, _)| {
            let (dns, name) = (Arc::clone(dns), format!("{label}.{domain}"));
            tokio::spawn(async move { dns.servers(&name).await })
        })
        .collect();
    let exchangers = joined(exchangers).await;
    let nowhere = exchangers == Answer::NoSuchName;
    let mut servers = found.exchangers(domain, exchangers);
    let mut answered = !found.endpoints.iter().any(|endpoint| endpoint.address.is_err());
    for (task, (protocol, label, certificate)) in tasks.into_iter().zip(services()) {
        let answer = joined(task).await;
        // No name exists below a name that does not exist (RFC 8020).
        if !nowhere {
            answered |= !matches!(answer, Answer::Failed(_));
            servers.extend(found.services(domain, label, protocol, certificate, answer));
        }
    }
    if nowhere || !answered {
        let why = found.endpoints.first().and_then(|endpoint| endpoint.address.as_ref().err());
        found.failed = Some(why.cloned().unwrap_or_else(|| format!("the domain {domain} does not exist")));
        found.endpoints.clear();
        return found;
    }
    if servers.len() > MOST {
        servers.truncate(MOST);
        found.lookups.push(format!("of the hosts, the first {MOST} are audited"));
    }
    if servers.iter().all(|server| !server.announced) && !servers.is_empty() {
        found.well_known(dns, domain, server_name, dialer).await;
        return found.limited();
    }
    found.note_names(&servers, domain);
    let aliases: Vec<_> = servers
        .iter()
        .map(|server| {
            let (dns, name, asked) = (
                Arc::clone(dns),
                server.name.clone(),
                announcement(server.protocol) == Announcement::MailExchanger,
            );
            tokio::spawn(async move { if asked { dns.alias(&name).await } else { None } })
        })
        .collect();
    let addresses: Vec<_> = servers
        .iter()
        .map(|server| {
            let (dns, name) = (Arc::clone(dns), server.name.clone());
            tokio::spawn(async move { dns.addresses(&name).await })
        })
        .collect();
    for ((mut server, task), alias) in servers.into_iter().zip(addresses).zip(aliases) {
        let mut addresses = task.await.unwrap_or_else(|error| Err(error.to_string()));
        let name = &server.name;
        if let Some(alias) = alias.await.ok().flatten() {
            let rule =
                "RFC 5321 section 5.1 and RFC 2181 section 10.3 require a host name that is not an alias";
            server.remark = Some(format!("the MX record contains {name}, an alias of {alias}: {rule}"));
        }
        if server.announced
            && announcement(server.protocol) == Announcement::MailExchanger
            && name.parse::<IpAddr>().is_ok()
        {
            let rule = "RFC 5321 section 5.1 requires a host name, so senders do not find this server";
            addresses = Err(format!("the MX record of {domain} contains the address {name}: {rule}"));
        }
        if let Some(name) = server_name {
            server.server_name = name.to_owned();
        }
        found.addresses(server, addresses);
    }
    found.limited()
}

async fn joined(task: tokio::task::JoinHandle<Answer<Announced>>) -> Answer<Announced> {
    task.await.unwrap_or_else(|error| Answer::Failed(error.to_string()))
}

impl Found {
    /// Drops the endpoints beyond the limit.
    fn limited(mut self) -> Self {
        if self.endpoints.len() > MOST {
            self.endpoints.truncate(MOST);
            self.lookups.push(format!("of the endpoints, the first {MOST} are audited"));
        }
        self
    }

    /// RFC 5321 section 5.1: every MX, or the domain itself if it has no MX record; RFC 7505: a null MX means no mail.
    fn exchangers(&mut self, domain: &str, answer: Answer<Announced>) -> Vec<Server> {
        let Some(protocol) = protocol("smtp") else { return Vec::new() };
        let server = |name: String, announced| Server {
            protocol,
            port: protocol.port,
            server_name: name.clone(),
            name,
            announced,
            remark: None,
        };
        match answer {
            Answer::Records(hosts) => {
                let names: Vec<_> = hosts.iter().filter_map(|host| host.name.clone()).collect();
                self.null_mx = names.is_empty();
                self.has_mx = !names.is_empty();
                let told = if names.is_empty() {
                    String::from("null MX, the domain accepts no mail (RFC 7505)")
                } else {
                    let told = hosts.iter().map(|host| format!("{} {}", host.rank, named(host)));
                    told.collect::<Vec<_>>().join(", ")
                };
                self.lookups.push(format!("MX {domain}: {told}"));
                names.into_iter().map(|name| server(name, true)).collect()
            }
            Answer::Nothing => {
                self.lookups.push(format!(
                    "MX {domain}: none, so mail is delivered to {domain} itself (RFC 5321 section 5.1)"
                ));
                vec![server(domain.to_owned(), false)]
            }
            Answer::NoSuchName => {
                self.lookups.push(format!("MX {domain}: the domain does not exist"));
                Vec::new()
            }
            Answer::Failed(why) => {
                self.unanswered(protocol, domain, format!("MX {domain}"), &why);
                Vec::new()
            }
        }
    }

    fn services(
        &mut self,
        domain: &str,
        label: &str,
        protocol: &'static Protocol,
        certificate: CertificateName,
        answer: Answer<Announced>,
    ) -> Vec<Server> {
        let question = format!("SRV {label}.{domain}");
        let hosts = match answer {
            Answer::Records(hosts) => hosts,
            Answer::Nothing | Answer::NoSuchName => {
                self.lookups.push(format!("{question}: none"));
                return Vec::new();
            }
            Answer::Failed(why) => {
                self.unanswered(protocol, domain, question, &why);
                return Vec::new();
            }
        };
        let told = hosts.iter().map(|host| match &host.name {
            Some(name) => format!("{} {} {name}:{}", host.rank, host.weight, host.port),
            None => String::from("the service is not provided (RFC 2782)"),
        });
        self.lookups.push(format!("{question}: {}", told.collect::<Vec<_>>().join(", ")));
        let servers = hosts.into_iter().filter_map(|host| {
            let name = host.name?;
            let server_name = match certificate {
                CertificateName::Domain => domain.to_owned(),
                CertificateName::Host => name.clone(),
            };
            Some(Server { protocol, name, port: host.port, server_name, announced: true, remark: None })
        });
        servers.collect()
    }

    /// Adds an unreachable endpoint for a lookup without an answer, which does not prove that there is no service.
    fn unanswered(&mut self, protocol: &'static Protocol, domain: &str, question: String, why: &str) {
        let why = format!("{question}: {why}");
        self.lookups.push(why.clone());
        self.endpoints.push(Resolved::new(
            (protocol, Mode::Upgrade),
            domain,
            protocol.port,
            domain,
            Err(why),
        ));
    }

    /// Notes which name the certificates must contain, which differs between protocols.
    fn note_names(&mut self, servers: &[Server], domain: &str) {
        let by = |wanted: CertificateName| {
            let is_wanted = |server: &&Server| match announcement(server.protocol) {
                Announcement::Service { certificate, .. } => server.announced && certificate == wanted,
                Announcement::MailExchanger | Announcement::PortOnly => false,
            };
            let mut names: Vec<_> =
                servers.iter().filter(is_wanted).map(|server| server.protocol.title).collect();
            names.dedup();
            names.join(", ")
        };
        let (domains, hosts) = (by(CertificateName::Domain), by(CertificateName::Host));
        if !domains.is_empty() {
            self.lookups.push(format!("name to verify, {domains}: {domain} (RFC 6120 section 13.7.2.1)"));
        }
        if !hosts.is_empty() {
            let mut line = format!("name to verify, {hosts}: the host in the SRV record");
            let _ = write!(
                line,
                "; clients that do not trust DNS require {domain} (RFC 7817 section 3, RFC 6125 section 6.2.1)"
            );
            self.lookups.push(line);
        }
    }

    fn addresses(&mut self, server: Server, addresses: Result<Vec<IpAddr>, String>) {
        let Server { protocol, name, port, server_name, announced, remark } = server;
        let mut endpoint = |address| {
            let mut endpoint = Resolved::new((protocol, Mode::Upgrade), &name, port, &server_name, address);
            endpoint.remark.clone_from(&remark);
            if !self.endpoints.contains(&endpoint) {
                self.endpoints.push(endpoint);
            }
        };
        match addresses {
            Ok(addresses) if addresses.is_empty() && !announced => {
                self.lookups.push(format!("{name} has no address: it accepts no mail"));
            }
            Ok(addresses) if addresses.is_empty() => endpoint(Err(format!("\"{name}\" has no address"))),
            Ok(addresses) => {
                let told = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let told = format!("addresses of {name}: {told}");
                addresses.into_iter().for_each(|address| endpoint(Ok(SocketAddr::new(address, port).into())));
                if !self.lookups.contains(&told) {
                    self.lookups.push(told);
                }
            }
            Err(why) => endpoint(Err(format!("cannot resolve \"{name}\": {why}"))),
        }
    }
}

/// The time that a port has to accept a connection.
const ACCEPTS: Duration = Duration::from_secs(3);

/// The most addresses of a host that are tried on all ports.
const MOST_ADDRESSES: usize = 4;

impl Found {
    /// Finds the services of a domain that announces none: those on the open well-known ports of the host. If no port is
    /// open, the only endpoint is the host as its own mail exchanger (RFC 5321 section 5.1).
    async fn well_known(&mut self, dns: &Arc<Dns>, domain: &str, server_name: Option<&str>, dialer: Tcp) {
        let addresses = match dns.addresses(domain).await {
            Ok(addresses) => addresses,
            Err(why) => {
                let why = Err(format!("cannot resolve \"{domain}\": {why}"));
                return self.endpoints.extend(protocol("smtp").map(|smtp| {
                    Resolved::new(
                        (smtp, Mode::Upgrade),
                        domain,
                        smtp.port,
                        server_name.unwrap_or(domain),
                        why,
                    )
                }));
            }
        };
        if addresses.is_empty() {
            self.lookups.push(format!("{domain} has no address: it accepts no mail"));
            return;
        }
        let told = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        self.lookups.push(format!("addresses of {domain}: {told}"));
        let services = services_by_port();
        let tried = addresses.iter().take(MOST_ADDRESSES).copied();
        let open = open_ports(tried, services.keys().copied(), dialer).await;
        let ports: BTreeSet<_> = open.iter().map(SocketAddr::port).collect();
        let ports: Vec<_> = ports.iter().map(ToString::to_string).collect();
        if ports.is_empty() {
            let urls = ["imaps", "smtps", "submission", "ldap", "xmpp"].map(|it| format!("{it}://{domain}"));
            self.lookups.push(format!(
                "{domain} announces no service, and none of its well-known ports is open; for a service on another \
                 port specify its URL, such as {}",
                urls.join(", ")
            ));
        } else {
            self.lookups.push(format!(
                "{domain} announces no service; its open well-known ports are audited: {}",
                ports.join(", ")
            ));
        }
        let mut found: Vec<_> =
            open.into_iter().filter_map(|address| Some((*services.get(&address.port())?, address))).collect();
        if found.is_empty() {
            let mail = services.get(&25).copied();
            found.extend(
                mail.into_iter()
                    .flat_map(|mail| addresses.iter().map(move |ip| (mail, SocketAddr::new(*ip, 25)))),
            );
        }
        self.endpoints.extend(found.into_iter().map(|(service, address)| {
            Resolved::new(service, domain, address.port(), server_name.unwrap_or(domain), Ok(address.into()))
        }));
    }
}

/// Returns every protocol by its port, and where TLS starts on that port.
fn services_by_port() -> BTreeMap<u16, (&'static Protocol, Mode)> {
    let implicit = PROTOCOLS.iter().filter_map(|it| Some((it.implicit_tls?.port, (*it, Mode::ImplicitTls))));
    implicit.chain(PROTOCOLS.iter().map(|it| (it.port, (*it, Mode::Upgrade)))).collect()
}

/// Returns the ports that accept a connection, in the order of the addresses and ports.
async fn open_ports(
    addresses: impl Iterator<Item = IpAddr>,
    ports: impl Iterator<Item = u16> + Clone,
    dialer: Tcp,
) -> Vec<SocketAddr> {
    let tasks: Vec<_> = addresses
        .flat_map(|ip| ports.clone().map(move |port| SocketAddr::new(ip, port)))
        .map(|address| {
            tokio::spawn(async move {
                let to = Endpoint::new(address.ip().to_string(), address.port());
                let dialed = dialer.dial(&to, Deadline::starting_now(ACCEPTS)).await;
                dialed.is_ok().then_some(address)
            })
        })
        .collect();
    let mut open = Vec::new();
    for task in tasks {
        open.extend(task.await.ok().flatten());
    }
    open
}

fn named(host: &Announced) -> &str {
    host.name.as_deref().unwrap_or(".")
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpSocket;

    use super::*;

    #[test]
    fn every_announced_protocol_is_registered() {
        let is_unknown = |name: &&str| protocol(name).is_none();
        let unknown: Vec<_> = ANNOUNCEMENTS.iter().map(|(name, _)| *name).filter(is_unknown).collect();
        assert_eq!(unknown, Vec::<&str>::new(), "these protocols are not registered");
    }

    #[test]
    fn every_port_has_one_service() {
        let services = services_by_port();
        for (port, name, mode) in [(25, "smtp", Mode::Upgrade), (993, "imap", Mode::ImplicitTls)] {
            assert_eq!(
                services.get(&port).map(|(protocol, mode)| (protocol.name, *mode)),
                Some((name, mode))
            );
        }
        let own =
            PROTOCOLS.iter().filter(|it| services.get(&it.port) == Some(&(**it, Mode::Upgrade))).count();
        assert_eq!(own, PROTOCOLS.len());
    }

    #[tokio::test]
    async fn ports_that_accept_a_connection_are_open() {
        // A bound socket that does not listen reserves its port.
        let (open, closed) = (listener(), TcpSocket::new_v4().unwrap());
        closed.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let address = open.local_addr().unwrap();
        let ports = [closed.local_addr().unwrap().port(), address.port()];
        assert_eq!(open_ports(std::iter::once(address.ip()), ports.into_iter(), Tcp::new()).await, [address]);
    }

    #[tokio::test]
    async fn ports_are_tried_from_the_source_address() {
        let open = listener();
        let address = open.local_addr().unwrap();
        let source = IpAddr::from([127, 0, 0, 9]);
        let ports = std::iter::once(address.port());
        let found = open_ports(std::iter::once(address.ip()), ports, Tcp::new().source(source)).await;
        assert_eq!(found, [address]);
        assert_eq!(open.accept().unwrap().1.ip(), source);
    }

    #[test]
    fn no_domain_has_more_endpoints_than_the_limit() {
        let endpoint = |port| {
            let address = SocketAddr::new(IpAddr::from([127, 0, 0, 1]), port);
            Resolved::new(
                (&starttls::proto::smtp::SMTP, Mode::Upgrade),
                "example.test",
                port,
                "example.test",
                Ok(address.into()),
            )
        };
        let found =
            |count| Found { endpoints: (0..count).map(endpoint).collect(), ..Found::default() }.limited();
        assert_eq!((found(50).endpoints.len(), found(50).lookups.len()), (50, 0));
        assert_eq!((found(60).endpoints.len(), found(60).lookups.len()), (50, 1));
    }

    fn listener() -> std::net::TcpListener {
        std::net::TcpListener::bind("127.0.0.1:0").unwrap()
    }
}
