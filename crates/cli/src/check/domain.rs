//! What a domain announces in DNS: mail exchangers, and services in SRV records.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use starttls::proto::{PROTOCOLS, Protocol, ProtocolFamily, protocol};

use super::run::Place;
use crate::dns::{Answer, Dns, Host as Announced};
use crate::target::{Host, Mode};

/// What was looked up, and what is there to audit.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) lookups: Vec<String>,
    pub(crate) places: Vec<Place>,
    /// Why there is nothing, if nothing could be asked.
    pub(crate) failed: Option<String>,
    /// Whether the domain says that it takes no mail (RFC 7505).
    pub(crate) null_mx: bool,
}

/// More endpoints of one domain are not audited: records of hostile length are cheap.
const MOST: usize = 50;

/// Which services are looked for, by which label, and whether the certificate must be for the domain.
///
/// RFC 6186 section 3 (mail), RFC 5804 section 1.8 (ManageSieve), RFC 6120 section 3.2.1 (XMPP), RFC 2782 (LDAP).
/// XMPP verifies the domain (RFC 6120 section 13.7.2.1), the others the host that the record names.
const SERVICES: &[(&str, &str, bool)] = &[
    ("_submission._tcp", "submission", false),
    ("_imap._tcp", "imap", false),
    ("_pop3._tcp", "pop3", false),
    ("_sieve._tcp", "sieve", false),
    ("_xmpp-client._tcp", "xmpp", true),
    ("_xmpp-server._tcp", "xmpp-server", true),
    ("_ldap._tcp", "ldap", false),
];

/// A host that serves something.
struct Server {
    protocol: &'static Protocol,
    name: String,
    port: u16,
    server_name: String,
    /// Whether it was announced; a domain without mail exchangers need not be one itself.
    announced: bool,
    /// What is wrong with the record that announces it.
    remark: Option<String>,
}

/// Asks for everything at once.
pub(crate) async fn find(dns: &Arc<Dns>, domain: &Host, server_name: Option<&str>) -> Found {
    let mut found = Found::default();
    let domain = domain.ascii.as_str();
    let exchangers = {
        let (dns, domain) = (Arc::clone(dns), domain.to_owned());
        tokio::spawn(async move { dns.exchangers(&domain).await })
    };
    let services: Vec<_> = SERVICES
        .iter()
        .map(|(label, ..)| {
            let (dns, name) = (Arc::clone(dns), format!("{label}.{domain}"));
            tokio::spawn(async move { dns.servers(&name).await })
        })
        .collect();
    let exchangers = joined(exchangers).await;
    let nowhere = exchangers == Answer::NoSuchName;
    let mut servers = found.exchangers(domain, exchangers);
    let mut answered = !found.places.iter().any(|place| place.address.is_err());
    for (task, (label, name, of_domain)) in services.into_iter().zip(SERVICES) {
        let answer = joined(task).await;
        // Nothing is below a name that does not exist (RFC 8020).
        if let (false, Some(protocol)) = (nowhere, protocol(name)) {
            answered |= !matches!(answer, Answer::Failed(_));
            servers.extend(found.services(domain, label, protocol, *of_domain, answer));
        }
    }
    if nowhere || !answered {
        let why = found.places.first().and_then(|place| place.address.as_ref().err());
        found.failed = Some(why.cloned().unwrap_or_else(|| format!("there is no domain {domain}")));
        found.places.clear();
        return found;
    }
    if servers.len() > MOST {
        servers.truncate(MOST);
        found.lookups.push(format!("of the hosts, the first {MOST} are audited"));
    }
    if servers.iter().all(|server| !server.announced) && !servers.is_empty() {
        found.well_known(dns, domain, server_name).await;
        return found.limited();
    }
    found.note_names(&servers, domain);
    let aliases: Vec<_> = servers
        .iter()
        .map(|server| {
            let (dns, name, asked) = (Arc::clone(dns), server.name.clone(), server.protocol.name == "smtp");
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
            let rule = "RFC 5321 section 5.1 and RFC 2181 section 10.3 require the name of a host";
            server.remark = Some(format!("the MX record names {name}, an alias of {alias}: {rule}"));
        }
        if server.announced && server.protocol.name == "smtp" && name.parse::<IpAddr>().is_ok() {
            let rule = "RFC 5321 section 5.1 requires the name of a host, so senders do not find this server";
            addresses = Err(format!("the MX record of {domain} has the address {name}: {rule}"));
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
    /// Leaves out the endpoints beyond the limit.
    fn limited(mut self) -> Self {
        if self.places.len() > MOST {
            self.places.truncate(MOST);
            self.lookups.push(format!("of the endpoints, the first {MOST} are audited"));
        }
        self
    }

    /// RFC 5321 section 5.1: every MX, or the domain itself where there is none; RFC 7505: a null MX means no mail.
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
                let told = if names.is_empty() {
                    String::from("null MX, the domain takes no mail (RFC 7505)")
                } else {
                    let told = hosts.iter().map(|host| format!("{} {}", host.rank, named(host)));
                    told.collect::<Vec<_>>().join(", ")
                };
                self.lookups.push(format!("MX {domain}: {told}"));
                names.into_iter().map(|name| server(name, true)).collect()
            }
            Answer::Nothing => {
                self.lookups.push(format!(
                    "MX {domain}: none, so that mail goes to {domain} itself (RFC 5321 section 5.1)"
                ));
                vec![server(domain.to_owned(), false)]
            }
            Answer::NoSuchName => {
                self.lookups.push(format!("MX {domain}: no such domain"));
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
        of_domain: bool,
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
            let server_name = if of_domain { domain.to_owned() } else { name.clone() };
            Some(Server { protocol, name, port: host.port, server_name, announced: true, remark: None })
        });
        servers.collect()
    }

    /// A question without an answer is no proof that there is nothing: it is an endpoint that was not reached.
    fn unanswered(&mut self, protocol: &'static Protocol, domain: &str, question: String, why: &str) {
        let why = format!("{question}: {why}");
        self.lookups.push(why.clone());
        self.places.push(Place::new((protocol, Mode::Upgrade), domain, protocol.port, domain, Err(why)));
    }

    /// Which name a certificate must be for is not the same for all.
    fn note_names(&mut self, servers: &[Server], domain: &str) {
        let by = |of_domain: bool| {
            let mut names: Vec<_> = servers
                .iter()
                .filter(|server| server.announced && server.protocol.name != "smtp")
                .filter(|server| (server.protocol.family == ProtocolFamily::Xmpp) == of_domain)
                .map(|server| server.protocol.title)
                .collect();
            names.dedup();
            names.join(", ")
        };
        let (domains, hosts) = (by(true), by(false));
        if !domains.is_empty() {
            self.lookups.push(format!("name to verify, {domains}: {domain} (RFC 6120 section 13.7.2.1)"));
        }
        if !hosts.is_empty() {
            let mut line = format!("name to verify, {hosts}: the host in the SRV record");
            let _ = write!(
                line,
                "; clients that do not trust DNS want {domain} (RFC 7817 section 3, RFC 6125 section 6.2.1)"
            );
            self.lookups.push(line);
        }
    }

    fn addresses(&mut self, server: Server, addresses: Result<Vec<IpAddr>, String>) {
        let Server { protocol, name, port, server_name, announced, remark } = server;
        let mut place = |address| {
            let mut place = Place::new((protocol, Mode::Upgrade), &name, port, &server_name, address);
            place.remark.clone_from(&remark);
            if !self.places.contains(&place) {
                self.places.push(place);
            }
        };
        match addresses {
            Ok(addresses) if addresses.is_empty() && !announced => {
                self.lookups.push(format!("{name} has no address: it takes no mail"));
            }
            Ok(addresses) if addresses.is_empty() => place(Err(format!("\"{name}\" has no address"))),
            Ok(addresses) => {
                let told = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
                let told = format!("addresses of {name}: {told}");
                addresses.into_iter().for_each(|address| place(Ok(SocketAddr::new(address, port))));
                if !self.lookups.contains(&told) {
                    self.lookups.push(told);
                }
            }
            Err(why) => place(Err(format!("cannot resolve \"{name}\": {why}"))),
        }
    }
}

/// How long a port may take to accept a connection.
const ACCEPTS: Duration = Duration::from_secs(3);

/// More addresses of a host are not tried on all ports.
const MOST_ADDRESSES: usize = 4;

impl Found {
    /// Finds the services of a domain that announces none: those on the open well-known ports of the host. If none is
    /// open, the endpoint is the host as its own mail exchanger (RFC 5321 section 5.1).
    async fn well_known(&mut self, dns: &Arc<Dns>, domain: &str, server_name: Option<&str>) {
        let addresses = match dns.addresses(domain).await {
            Ok(addresses) => addresses,
            Err(why) => {
                let why = Err(format!("cannot resolve \"{domain}\": {why}"));
                return self.places.extend(protocol("smtp").map(|smtp| {
                    Place::new((smtp, Mode::Upgrade), domain, smtp.port, server_name.unwrap_or(domain), why)
                }));
            }
        };
        if addresses.is_empty() {
            self.lookups.push(format!("{domain} has no address: it takes no mail"));
            return;
        }
        let told = addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        self.lookups.push(format!("addresses of {domain}: {told}"));
        let services = services_by_port();
        let open = open_ports(addresses.iter().take(MOST_ADDRESSES).copied(), services.keys().copied()).await;
        let ports: BTreeSet<_> = open.iter().map(SocketAddr::port).collect();
        let ports: Vec<_> = ports.iter().map(ToString::to_string).collect();
        if ports.is_empty() {
            let urls = ["imaps", "smtps", "submission", "ldap", "xmpp"].map(|it| format!("{it}://{domain}"));
            self.lookups.push(format!(
                "{domain} announces no service, and none of its well-known ports is open; for a service on another \
                 port give its URL, such as {}",
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
        self.places.extend(found.into_iter().map(|(service, address)| {
            Place::new(service, domain, address.port(), server_name.unwrap_or(domain), Ok(address))
        }));
    }
}

/// Every protocol by its port, and where TLS starts there.
fn services_by_port() -> BTreeMap<u16, (&'static Protocol, Mode)> {
    let implicit = PROTOCOLS.iter().filter_map(|it| Some((it.implicit_tls?.port, (*it, Mode::ImplicitTls))));
    implicit.chain(PROTOCOLS.iter().map(|it| (it.port, (*it, Mode::Upgrade)))).collect()
}

/// Returns those of these ports that accept a connection, in the order of the addresses and ports.
async fn open_ports(
    addresses: impl Iterator<Item = IpAddr>,
    ports: impl Iterator<Item = u16> + Clone,
) -> Vec<SocketAddr> {
    let tasks: Vec<_> = addresses
        .flat_map(|ip| ports.clone().map(move |port| SocketAddr::new(ip, port)))
        .map(|address| {
            tokio::spawn(async move {
                let dialled = tokio::time::timeout(ACCEPTS, tokio::net::TcpStream::connect(address)).await;
                matches!(dialled, Ok(Ok(_))).then_some(address)
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
    use super::*;

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
        let (open, closed) = (listener(), listener());
        let address = open.local_addr().unwrap();
        let ports = [closed.local_addr().unwrap().port(), address.port()];
        drop(closed);
        assert_eq!(open_ports(std::iter::once(address.ip()), ports.into_iter()).await, [address]);
    }

    #[test]
    fn no_domain_has_more_endpoints_than_the_limit() {
        let place = |port| {
            let address = SocketAddr::new(IpAddr::from([127, 0, 0, 1]), port);
            Place::new(
                (&starttls::proto::smtp::SMTP, Mode::Upgrade),
                "example.test",
                port,
                "example.test",
                Ok(address),
            )
        };
        let found = |count| Found { places: (0..count).map(place).collect(), ..Found::default() }.limited();
        assert_eq!((found(50).places.len(), found(50).lookups.len()), (50, 0));
        assert_eq!((found(60).places.len(), found(60).lookups.len()), (50, 1));
    }

    fn listener() -> std::net::TcpListener {
        std::net::TcpListener::bind("127.0.0.1:0").unwrap()
    }
}
