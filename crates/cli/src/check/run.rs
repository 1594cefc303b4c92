//! Resolves and audits the targets in parallel, and returns the results in the order of the targets.

use std::collections::{HashMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};

use starttls::dialer::Tcp;
use starttls_audit::check::id;
use starttls_audit::report::EndpointReport;
use starttls_audit::{Audit, EndpointAddress, unreachable};
use starttls_dns::{DnsName, InvalidName};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{Mutex as Turn, Semaphore};

use super::policies::PolicyAudit;
use super::resolved::Resolved;
use super::resume::EarlierRun;
use super::selection::Selected;
use super::targets::{Line, Meaning};
use super::{advice, domain};
use crate::args::Check;
use crate::dns::{Dns, Family};
use crate::error::Failed;
use crate::exit;
use crate::target::{Host, Mode, Target, split_port};

/// A result of a target. The results of a target come in this order.
pub(crate) enum Item {
    /// The lookups of a domain.
    LookedUp(Vec<String>),
    Endpoint(Box<EndpointReport>),
    /// The target has no endpoint to audit.
    Failed(Failed),
    /// The target is finished.
    End,
}

/// State that all audits share.
struct Shared {
    audit: Audit,
    dns: Arc<Dns>,
    connect: Option<(String, Option<u16>)>,
    server_name: Option<String>,
    /// Whether a proxy looks up the names.
    has_proxy: bool,
    policies: Option<PolicyAudit>,
    /// Whether servers are audited, and not the policies of domains alone.
    audits_servers: bool,
    /// Dials without a proxy, from the source address.
    direct: Tcp,
    earlier: Arc<EarlierRun>,
    /// Limits the number of parallel audits.
    places: Semaphore,
    /// Serializes the audits of one address, which may have several names.
    turns: Mutex<HashMap<EndpointAddress, Arc<Turn<()>>>>,
}

/// The targets that are waiting, and those in progress.
pub(crate) struct Queue {
    shared: Arc<Shared>,
    waiting: VecDeque<Line>,
    running: VecDeque<(String, Receiver<Item>)>,
    parallel: usize,
}

/// The number of targets in progress, as a multiple of the parallel audits: a slow first target must not block the
/// others.
const AHEAD: usize = 4;

impl Queue {
    pub(crate) fn new(
        args: &Check,
        selected: Selected,
        targets: Vec<Line>,
        earlier: Arc<EarlierRun>,
    ) -> Result<Self, Failed> {
        let peer = &args.peer;
        let builder = peer.builder(true)?;
        let audit = Audit::new(|| builder.clone(), super::limits::of(args))?;
        let audit = audit
            .with_advice(advice::option_for)
            .with_selection(selected.servers.clone())
            .client_name(peer.client_name())
            .with_route(peer.route()?);
        let connect = peer.connect.as_deref().map(|other| {
            let (host, port) = split_port(other)?;
            let host: Host = host.parse()?;
            Ok::<_, Failed>((host.ascii, port))
        });
        let family = match (peer.ipv4, peer.ipv6) {
            (true, _) => Family::V4,
            (_, true) => Family::V6,
            _ => Family::Any,
        };
        let parallel = usize::from(args.parallel);
        let shared = Shared {
            audit,
            dns: Arc::new(Dns::new(args.resolver, family, peer.timeout)),
            connect: connect.transpose()?,
            server_name: peer.server_name.clone(),
            has_proxy: peer.way.proxy.is_some(),
            policies: PolicyAudit::new(args, &selected)?,
            audits_servers: selected.audits_servers,
            direct: peer.way.source.map_or(Tcp::new(), |address| Tcp::new().source(address)),
            earlier,
            places: Semaphore::new(parallel),
            turns: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared), waiting: targets.into(), running: VecDeque::new(), parallel })
    }

    /// Returns the next result and its target as it was written, in the order of the targets.
    pub(crate) async fn next(&mut self) -> Option<(String, Item)> {
        while self.running.len() < self.parallel * AHEAD
            && let Some(Line { text, meaning, .. }) = self.waiting.pop_front()
        {
            let (sender, receiver) = channel(1);
            let (shared, asked) = (Arc::clone(&self.shared), text.clone());
            tokio::spawn(async move { shared.target(&asked, meaning, &sender).await });
            self.running.push_back((text, receiver));
        }
        let (text, receiver) = self.running.front_mut()?;
        let (text, item) = (text.clone(), receiver.recv().await);
        // A task that ends without a last result has panicked.
        let item =
            item.unwrap_or_else(|| Item::Failed(Failed::new(exit::BUG, "the audit ended without a result")));
        if matches!(item, Item::End | Item::Failed(_)) {
            self.running.pop_front();
        }
        Some((text, item))
    }
}

impl Shared {
    /// Sends the results of a target. The last one is an end or a failure.
    async fn target(self: Arc<Self>, asked: &str, meaning: Result<Meaning, Failed>, out: &Sender<Item>) {
        let last = match self.places(asked, meaning, out).await {
            Ok((places, domain)) => {
                let last = self.audits(asked, places, out).await;
                // The exchangers are not connected to at the same time as by their audits.
                match self.policies.as_ref().zip(domain).filter(|_| matches!(last, Item::End)) {
                    None => last,
                    Some((policies, domain)) => match policies.report(&domain).await {
                        Ok(report) => {
                            let _ = out.send(Item::Endpoint(Box::new(report))).await;
                            last
                        }
                        // The reports on the servers show the same fault.
                        Err(_) if self.audits_servers => last,
                        Err(failed) => Item::Failed(failed),
                    },
                }
            }
            Err(failed) => Item::Failed(failed),
        };
        // The receiver is gone if the run was interrupted.
        let _ = out.send(last).await;
    }

    /// Returns the endpoints of a target. The second value is the domain if it has exchangers, which may have policies.
    async fn places(
        &self,
        asked: &str,
        meaning: Result<Meaning, Failed>,
        out: &Sender<Item>,
    ) -> Result<(Vec<Resolved>, Option<DnsName>), Failed> {
        let domain = match meaning? {
            Meaning::Service(target) if !self.audits_servers => {
                let hint = String::from(
                    "specify the domain, for example example.com, or select checks of servers too",
                );
                let why = format!("the selected checks are those of a domain, and {target} is a server");
                return Err(Failed::usage(why).hint(Some(hint)));
            }
            Meaning::Service(target) => return Ok((self.service(&target).await, None)),
            Meaning::Domain(domain) if self.has_proxy => {
                let hint = format!("specify the server to audit, for example smtp://{}", domain.ascii);
                let why = format!(
                    "{domain} is a domain, whose records cannot be looked up through a proxy: expected PROTO://HOST"
                );
                return Err(Failed::usage(why).hint(Some(hint)));
            }
            Meaning::Domain(domain) => domain,
        };
        if !self.audits_servers {
            let name = domain.ascii.parse().map_err(|error: InvalidName| Failed::usage(error.to_string()))?;
            return Ok((Vec::new(), Some(name)));
        }
        let found = domain::find(&self.dns, &domain, self.server_name.as_deref(), self.direct).await;
        if !self.earlier.is_begun(asked) {
            let _ = out.send(Item::LookedUp(found.lookups)).await;
        }
        match found.failed {
            Some(why) => Err(Failed::new(exit::UNREACHABLE, why)),
            // RFC 7505: the domain accepts no mail, which is not a problem.
            None if found.endpoints.is_empty() && found.null_mx => Ok((Vec::new(), None)),
            None if found.endpoints.is_empty() => {
                let hint = format!("specify the server to audit, for example smtp://{}", domain.ascii);
                let why = format!("{domain} announces no service with an upgrade");
                Err(Failed::new(exit::INCONCLUSIVE, why).hint(Some(hint)))
            }
            None => Ok((found.endpoints, domain.ascii.parse().ok().filter(|_| found.has_mx))),
        }
    }

    /// Returns an endpoint for every address of a service.
    async fn service(&self, target: &Target) -> Vec<Resolved> {
        let host = target.host.ascii.as_str();
        let (dialled, port) = match &self.connect {
            Some((other, port)) => (other.as_str(), port.unwrap_or(target.port)),
            None => (host, target.port),
        };
        let name = self.server_name.as_deref().unwrap_or(host);
        let place = |address| Resolved::new((target.protocol, target.mode), host, target.port, name, address);
        if self.has_proxy {
            return vec![place(Ok(match dialled.parse::<IpAddr>() {
                Ok(ip) => SocketAddr::new(ip, port).into(),
                Err(_) => EndpointAddress::Named(dialled.to_owned(), port),
            }))];
        }
        let addresses = match self.dns.addresses(dialled).await {
            Ok(addresses) if addresses.is_empty() => {
                Err(format!("\"{dialled}\" has no address of the requested family"))
            }
            Ok(addresses) => Ok(addresses),
            Err(why) => Err(format!("cannot resolve \"{dialled}\": {why}")),
        };
        match addresses {
            Ok(found) => found.into_iter().map(|ip| place(Ok(SocketAddr::new(ip, port).into()))).collect(),
            Err(why) => vec![place(Err(why))],
        }
    }

    async fn audits(self: &Arc<Self>, asked: &str, places: Vec<Resolved>, out: &Sender<Item>) -> Item {
        let new = places.into_iter().filter(|place| !self.earlier.has(asked, place));
        let audits: Vec<_> = new
            .map(|place| {
                let shared = Arc::clone(self);
                tokio::spawn(async move { shared.audit(&place).await })
            })
            .collect();
        for audit in audits {
            let item = match audit.await {
                Ok(endpoint) => Item::Endpoint(Box::new(endpoint)),
                Err(error) => return Item::Failed(Failed::new(exit::BUG, error.to_string())),
            };
            if out.send(item).await.is_err() {
                break;
            }
        }
        Item::End
    }

    async fn audit(&self, place: &Resolved) -> EndpointReport {
        let Resolved { protocol, mode, target, server_name, authority, port, address, remark } = place;
        let address = match address {
            Ok(address) => address.clone(),
            Err(why) => return unreachable(protocol, target, server_name, *port, why),
        };
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(turns.entry(address.clone()).or_default())
        };
        let _turn = turn.lock().await;
        // The semaphore is never closed.
        let _place = self.places.acquire().await;
        let audit = self.audit.with_authority(authority.clone());
        let audit = audit.with_implicit_tls(matches!(mode, Mode::ImplicitTls));
        let mut endpoint = audit.endpoint(protocol, target, server_name, address).await;
        if let Some(remark) = remark {
            starttls_audit::add_warning(&mut endpoint, id::SRV_MX_NAME, remark);
        }
        endpoint
    }
}
