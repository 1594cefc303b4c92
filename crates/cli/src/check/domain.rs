//! What a domain announces in DNS: mail exchangers, and services in SRV records.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;

use starttls::proto::{Protocol, protocol};

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
    found.note_names(&servers, domain);
    let addresses: Vec<_> = servers
        .iter()
        .map(|server| {
            let (dns, name) = (Arc::clone(dns), server.name.clone());
            tokio::spawn(async move { dns.addresses(&name).await })
        })
        .collect();
    for (mut server, task) in servers.into_iter().zip(addresses) {
        let addresses = task.await.unwrap_or_else(|error| Err(error.to_string()));
        if let Some(name) = server_name {
            server.server_name = name.to_owned();
        }
        found.addresses(server, addresses);
    }
    if found.places.len() > MOST {
        found.places.truncate(MOST);
        found.lookups.push(format!("of the endpoints, the first {MOST} are audited"));
    }
    found
}

async fn joined(task: tokio::task::JoinHandle<Answer<Announced>>) -> Answer<Announced> {
    task.await.unwrap_or_else(|error| Answer::Failed(error.to_string()))
}

impl Found {
    /// RFC 5321 section 5.1: every MX, or the domain itself where there is none; RFC 7505: a null MX means no mail.
    fn exchangers(&mut self, domain: &str, answer: Answer<Announced>) -> Vec<Server> {
        let Some(protocol) = protocol("smtp") else { return Vec::new() };
        let server = |name: String, announced| Server {
            protocol,
            port: protocol.port,
            server_name: name.clone(),
            name,
            announced,
        };
        match answer {
            Answer::Records(hosts) => {
                let names: Vec<_> = hosts.iter().filter_map(|host| host.name.clone()).collect();
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
            Some(Server { protocol, name, port: host.port, server_name, announced: true })
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
                .filter(|server| server.protocol.name.starts_with("xmpp") == of_domain)
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

    fn addresses(&mut self, server: Server, addresses: Result<Vec<std::net::IpAddr>, String>) {
        let Server { protocol, name, port, server_name, announced } = server;
        let mut place = |address| {
            let place = Place::new((protocol, Mode::Upgrade), &name, port, &server_name, address);
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

fn named(host: &Announced) -> &str {
    host.name.as_deref().unwrap_or(".")
}
