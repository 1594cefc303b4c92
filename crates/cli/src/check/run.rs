//! Endpoints, several at once, in the order of the targets.

use std::collections::{HashMap, VecDeque};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use starttls::proto::{Protocol, UrlAuthority};
use starttls_audit::check::id;
use starttls_audit::report::EndpointReport;
use starttls_audit::{Audit, Selection, unreachable};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio::sync::{Mutex as Turn, Semaphore};

use super::domain;
use super::resume::EarlierRun;
use super::targets::{Line, Meaning};
use crate::args::Check;
use crate::dns::{Dns, Family};
use crate::error::Failed;
use crate::exit;
use crate::target::{Host, Mode, Target, split_port};

/// Something to dial for a target, or the reason why not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    protocol: &'static Protocol,
    mode: Mode,
    pub(crate) target: String,
    server_name: String,
    authority: Option<UrlAuthority>,
    port: u16,
    pub(crate) address: Result<SocketAddr, String>,
    /// What is wrong with the MX record that names it.
    pub(crate) remark: Option<String>,
}

impl Place {
    pub(crate) fn new(
        (protocol, mode): (&'static Protocol, Mode),
        host: &str,
        port: u16,
        server_name: &str,
        address: Result<SocketAddr, String>,
    ) -> Self {
        let host = Host { ascii: host.to_owned(), unicode: None };
        let target = Target { protocol, mode, host, port };
        let (authority, server_name) = (target.authority(), server_name.to_owned());
        let target = target.to_string();
        Self { protocol, mode, target, server_name, authority, port, address, remark: None }
    }
}

/// What comes out of a target, in this order.
pub(crate) enum Item {
    /// It is a domain, and this is what was looked up.
    LookedUp(Vec<String>),
    Endpoint(Box<EndpointReport>),
    /// There is nothing to audit.
    Failed(Failed),
    /// Nothing more.
    End,
}

/// What all audits share.
struct Shared {
    audit: Audit,
    dns: Arc<Dns>,
    connect: Option<(String, Option<u16>)>,
    server_name: Option<String>,
    earlier: Arc<EarlierRun>,
    /// As many endpoints as may be audited at once.
    places: Semaphore,
    /// No endpoint is audited twice at the same time, whatever its names.
    turns: Mutex<HashMap<SocketAddr, Arc<Turn<()>>>>,
}

/// Targets that wait, and those that are being looked up and audited.
pub(crate) struct Queue {
    shared: Arc<Shared>,
    waiting: VecDeque<Line>,
    running: VecDeque<(String, Receiver<Item>)>,
    parallel: usize,
}

/// So many times as many targets as endpoints are under way, so that a slow one at the front holds up nobody.
const AHEAD: usize = 4;

impl Queue {
    pub(crate) fn new(
        args: &Check,
        selection: Selection,
        targets: Vec<Line>,
        earlier: Arc<EarlierRun>,
    ) -> Result<Self, Failed> {
        let peer = &args.peer;
        let builder = peer.builder(true)?;
        let audit = Audit::new(|| builder.clone(), super::limits(args))?;
        let audit = audit.with_selection(selection).client_name(peer.client_name());
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
            earlier,
            places: Semaphore::new(parallel),
            turns: Mutex::default(),
        };
        Ok(Self { shared: Arc::new(shared), waiting: targets.into(), running: VecDeque::new(), parallel })
    }

    /// The next thing that came of a target, under the target as it was written; in the order of the targets.
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
        // Whoever ends without a word was cut short by a bug.
        let item = item.unwrap_or_else(|| Item::Failed(Failed::new(exit::BUG, "the audit broke off")));
        if matches!(item, Item::End | Item::Failed(_)) {
            self.running.pop_front();
        }
        Some((text, item))
    }
}

impl Shared {
    /// Says what comes of a target, the last of it an end or a failure.
    async fn target(self: Arc<Self>, asked: &str, meaning: Result<Meaning, Failed>, out: &Sender<Item>) {
        let last = match self.places(asked, meaning, out).await {
            Ok(places) => self.audits(asked, places, out).await,
            Err(failed) => Item::Failed(failed),
        };
        // Nobody listens any more when the run was interrupted.
        let _ = out.send(last).await;
    }

    async fn places(
        &self,
        asked: &str,
        meaning: Result<Meaning, Failed>,
        out: &Sender<Item>,
    ) -> Result<Vec<Place>, Failed> {
        let domain = match meaning? {
            Meaning::Service(target) => return Ok(self.service(&target).await),
            Meaning::Domain(domain) => domain,
        };
        let found = domain::find(&self.dns, &domain, self.server_name.as_deref()).await;
        if !self.earlier.is_begun(asked) {
            let _ = out.send(Item::LookedUp(found.lookups)).await;
        }
        match found.failed {
            Some(why) => Err(Failed::new(exit::UNREACHABLE, why)),
            // RFC 7505: a clear answer, and no fault.
            None if found.places.is_empty() && found.null_mx => Ok(Vec::new()),
            None if found.places.is_empty() => {
                let hint = format!("say what to audit, for example smtp://{}", domain.ascii);
                let why = format!("{domain} announces no service that has an upgrade");
                Err(Failed::new(exit::INCONCLUSIVE, why).hint(Some(hint)))
            }
            None => Ok(found.places),
        }
    }

    /// Every address of a service.
    async fn service(&self, target: &Target) -> Vec<Place> {
        let host = target.host.ascii.as_str();
        let (dialled, port) = match &self.connect {
            Some((other, port)) => (other.as_str(), port.unwrap_or(target.port)),
            None => (host, target.port),
        };
        let addresses = match self.dns.addresses(dialled).await {
            Ok(addresses) if addresses.is_empty() => Err(format!("\"{dialled}\" has no such address")),
            Ok(addresses) => Ok(addresses),
            Err(why) => Err(format!("cannot resolve \"{dialled}\": {why}")),
        };
        let name = self.server_name.as_deref().unwrap_or(host);
        let place = |address| Place::new((target.protocol, target.mode), host, target.port, name, address);
        match addresses {
            Ok(found) => found.into_iter().map(|ip| place(Ok(SocketAddr::new(ip, port)))).collect(),
            Err(why) => vec![place(Err(why))],
        }
    }

    async fn audits(self: &Arc<Self>, asked: &str, places: Vec<Place>, out: &Sender<Item>) -> Item {
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

    async fn audit(&self, place: &Place) -> EndpointReport {
        let Place { protocol, mode, target, server_name, authority, port, address, remark } = place;
        let address = match address {
            Ok(address) => *address,
            Err(why) => return unreachable(protocol, target, server_name, *port, why),
        };
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            Arc::clone(turns.entry(address).or_default())
        };
        let _turn = turn.lock().await;
        // It is never closed.
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
