//! From a target to addresses that may be dialed. Every address comes from here, and is looked up once.

use std::net::{IpAddr, SocketAddr};

use starttls::proto::{Protocol, protocol};
use starttls_audit::report::{EndpointVerdict, Unaudited};
use starttls_dns::{
    DialPolicy, DnsAnswer, DnsName, DnsQuestion, MxTarget, Permitted, RecordData, RecordType, Stub,
};

use crate::target::{ServerTarget, TargetHost, TargetPolicy, WebTarget, is_accepted};

/// The most endpoints of one domain. Anybody can publish any number of records.
const MAX_ENDPOINTS: usize = 20;

/// The services that a domain announces with SRV records, and whether their certificates are for the domain (RFC 6120 section
/// 13.7.2.1) or for the host in the record.
const SERVICES: &[(&str, &str, bool)] = &[
    ("submission", "_submission._tcp", false),
    ("imap", "_imap._tcp", false),
    ("pop3", "_pop3._tcp", false),
    ("sieve", "_sieve._tcp", false),
    ("xmpp", "_xmpp-client._tcp", true),
    ("xmpp-server", "_xmpp-server._tcp", true),
    ("ldap", "_ldap._tcp", false),
];

/// An endpoint that may be audited.
#[derive(Clone, Debug)]
pub(crate) struct AllowedEndpoint {
    pub(crate) protocol: &'static Protocol,
    pub(crate) implicit: bool,
    /// The target as the report names it.
    pub(crate) target: String,
    pub(crate) server_name: String,
    pub(crate) address: Permitted,
}

/// The endpoints of a target, and what was left out.
#[derive(Clone, Debug, Default)]
pub(crate) struct Resolution {
    /// One line for each lookup.
    pub(crate) lookups: Vec<String>,
    pub(crate) endpoints: Vec<AllowedEndpoint>,
    pub(crate) left_out: Vec<Unaudited>,
}

/// Looks up names, and decides which addresses may be dialed.
#[derive(Clone, Debug)]
pub struct TargetResolver {
    /// The resolver. It reads no hosts file and no search list.
    pub stub: Stub,
    /// The addresses that may be dialed.
    pub dial: DialPolicy,
    /// The names and ports that may be asked for.
    pub targets: TargetPolicy,
}

impl TargetResolver {
    pub(crate) async fn resolve(&self, target: &WebTarget) -> Resolution {
        let mut found = Resolution::default();
        match target {
            WebTarget::Server(server) => {
                let server_name = match &server.host {
                    TargetHost::Name(name) => name.to_string(),
                    TargetHost::Address(address) => address.to_string(),
                };
                self.add(&mut found, server, &server_name).await;
            }
            WebTarget::Domain(domain) => self.domain(&mut found, domain).await,
        }
        found
    }

    async fn domain(&self, found: &mut Resolution, domain: &DnsName) {
        self.exchangers(found, domain).await;
        for &(scheme, label, is_domain) in SERVICES {
            let (Some(protocol), Ok(name)) = (protocol(scheme), domain.below(label)) else { continue };
            let answer = self.ask(&name, RecordType::Srv).await;
            for record in answer.records() {
                let RecordData::Srv(srv) = record else { continue };
                let MxTarget::Host(host) = &srv.target else { continue };
                found.lookups.push(format!("SRV {name}: {} {}", host, srv.port));
                let server_name = if is_domain { domain.to_string() } else { host.to_string() };
                let host = TargetHost::Name(host.clone());
                let server = ServerTarget { protocol, implicit: false, host, port: srv.port };
                self.add(found, &server, &server_name).await;
            }
        }
    }

    /// Adds the mail exchangers. A domain without MX records is its own (RFC 5321 section 5.1).
    async fn exchangers(&self, found: &mut Resolution, domain: &DnsName) {
        let Some(smtp) = protocol("smtp") else { return };
        let answer = self.ask(domain, RecordType::Mx).await;
        let mut exchangers: Vec<_> = answer
            .records()
            .iter()
            .filter_map(|record| match record {
                RecordData::Mx(mx) => Some((mx.preference, mx.target.clone())),
                _ => None,
            })
            .collect();
        exchangers.sort_by_key(|(preference, _)| *preference);
        match &answer {
            DnsAnswer::NoName { .. } => {
                return found.leave_out(
                    domain.as_str(),
                    EndpointVerdict::Unreachable,
                    "the domain does not exist",
                );
            }
            DnsAnswer::Failed(failure) => {
                let why = format!("the mail exchangers could not be looked up: {failure}");
                return found.leave_out(domain.as_str(), EndpointVerdict::Inconclusive, &why);
            }
            DnsAnswer::NoData { .. } => exchangers.push((0, MxTarget::Host(domain.clone()))),
            DnsAnswer::Found { .. } => {}
        }
        for (preference, target) in exchangers {
            match target {
                MxTarget::Host(host) => {
                    found.lookups.push(format!("MX {domain}: {preference} {host}"));
                    let name = host.to_string();
                    let host = TargetHost::Name(host);
                    let server = ServerTarget { protocol: smtp, implicit: false, host, port: smtp.port };
                    self.add(found, &server, &name).await;
                }
                MxTarget::Null => found.lookups.push(format!("MX {domain}: accepts no mail (RFC 7505)")),
                MxTarget::Invalid(text) => {
                    let why = format!("the MX record names \"{text}\", which is not a host");
                    found.leave_out(domain.as_str(), EndpointVerdict::Unreachable, &why);
                }
            }
        }
    }

    /// Adds a server by its first address that may be dialed, IPv4 before IPv6.
    async fn add(&self, found: &mut Resolution, server: &ServerTarget, server_name: &str) {
        let target = server.to_string();
        if found.endpoints.len() >= MAX_ENDPOINTS {
            let why = format!("more than {MAX_ENDPOINTS} endpoints");
            return found.leave_out(&target, EndpointVerdict::Inconclusive, &why);
        }
        if !is_accepted(server.protocol, server.port, &self.targets) {
            let why = format!("port {} is not a port that this service asks", server.port);
            return found.leave_out(&target, EndpointVerdict::Inconclusive, &why);
        }
        let addresses = match &server.host {
            TargetHost::Address(address) => Ok(vec![*address]),
            TargetHost::Name(name) => self.addresses(name).await,
        };
        let addresses = match addresses {
            Ok(addresses) => addresses,
            Err(why) => return found.leave_out(&target, EndpointVerdict::Unreachable, &why),
        };
        let mut refused = Vec::new();
        for address in addresses {
            match Permitted::new(SocketAddr::new(address, server.port), &self.dial) {
                Ok(address) => {
                    return found.endpoints.push(AllowedEndpoint {
                        protocol: server.protocol,
                        implicit: server.implicit,
                        target,
                        server_name: server_name.to_owned(),
                        address,
                    });
                }
                Err(why) => refused.push(why.to_string()),
            }
        }
        found.leave_out(
            &target,
            EndpointVerdict::Inconclusive,
            &format!("not audited: {}", refused.join("; ")),
        );
    }

    async fn addresses(&self, name: &DnsName) -> Result<Vec<IpAddr>, String> {
        let (v4, v6) = tokio::join!(self.ask(name, RecordType::A), self.ask(name, RecordType::Aaaa));
        let addresses: Vec<IpAddr> = v4
            .records()
            .iter()
            .chain(v6.records())
            .filter_map(|record| match record {
                RecordData::Address(address) => Some(*address),
                _ => None,
            })
            .collect();
        match (addresses.is_empty(), v4.failure().or(v6.failure())) {
            (false, _) => Ok(addresses),
            (true, Some(failure)) => Err(format!("{name} could not be looked up: {failure}")),
            (true, None) => Err(format!("{name} has no address")),
        }
    }

    async fn ask(&self, name: &DnsName, record: RecordType) -> DnsAnswer {
        self.stub.ask(&DnsQuestion { name: name.clone(), record }).await
    }
}

impl Resolution {
    fn leave_out(&mut self, asked: &str, outcome: EndpointVerdict, reason: &str) {
        let (asked, reason) = (asked.to_owned(), reason.to_owned());
        self.left_out.push(Unaudited { asked, target_line: None, outcome, reason });
    }
}
