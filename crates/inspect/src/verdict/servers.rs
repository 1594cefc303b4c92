//! What many connections show together: servers that offer to some clients only, and clients that never encrypt.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use serde::Serialize;
use starttls_proto::ProtocolFamily;

use super::{Baseline, Confidence, Observation, Weight};
use crate::facts::{Clue, ClueKind, Facts, Offered, Readable, Requested, TlsUse};

/// The most servers and clients that are remembered.
const MAX_KNOWN: usize = 65_536;
/// The most clients without an offer that are remembered of one server.
const MAX_WITHOUT: usize = 256;

/// The memory of a server or client, of an offer, and of a connection without one, with what the tree and the heap add.
const KNOWN: usize = 512;
const OFFER: usize = 64;
const WITHOUT: usize = 384;

/// What is known of each server and client.
#[derive(Debug)]
pub struct Servers {
    /// The key is the server's address. For a proxy, the key also contains the destination that the client requested.
    servers: BTreeMap<(SocketAddr, Option<String>), ServerState>,
    clients: BTreeMap<IpAddr, ClientSummary>,
    /// Servers that are known to offer the upgrade.
    pub(crate) baseline: Baseline,
    /// Connections whose servers or clients were not remembered, for lack of room.
    pub forgotten: u64,
    /// Whether an offer of any server was not remembered.
    forgot_offers: bool,
    /// The memory in use, and its limit, in octets.
    weight: usize,
    limit: usize,
}

impl Default for Servers {
    fn default() -> Self {
        Self::new(64 * 1024 * 1024)
    }
}

#[derive(Debug, Default)]
struct ServerState {
    summary: ServerSummary,
    /// The first and the last time that the server offered the upgrade to a client.
    offers: Vec<(IpAddr, u64, u64)>,
    /// Whether offers to some clients were not remembered. Then no client is known to have got none.
    forgot_offers: bool,
    /// Connections to which it did not offer the upgrade.
    without: Vec<Without>,
}

#[derive(Debug)]
struct Without {
    client: IpAddr,
    time: u64,
    clue: Option<Clue>,
}

/// What a capture shows of one server.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ServerSummary {
    /// The server's address and port. If the client connects through a proxy, `DESTINATION via PROXY`.
    pub server: String,
    /// The protocol.
    pub protocol: Option<String>,
    /// Its connections.
    pub connections: u64,
    /// Connections in which the server offered the upgrade.
    pub offered: u64,
    /// Connections in which it provably did not.
    pub not_offered: u64,
    /// Connections that used TLS.
    pub encrypted: u64,
    /// Connections that carried content or a login in cleartext.
    pub readable: u64,
    /// Findings that only several connections together show.
    pub findings: Vec<Observation>,
}

/// What a capture shows of one client.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub struct ClientSummary {
    /// The address.
    pub client: String,
    /// Its connections with a known protocol.
    pub connections: u64,
    /// Connections that used TLS.
    pub encrypted: u64,
    /// Connections that carried content or a login in cleartext.
    pub readable: u64,
    /// Findings that only the connections to several servers show.
    pub findings: Vec<Observation>,
}

/// Returns how a report names a server: its address or, if the address is that of a proxy, the destination and the proxy.
pub(crate) fn server_name(address: &str, destination: Option<&str>) -> String {
    destination.map_or_else(|| address.to_owned(), |destination| format!("{destination} via {address}"))
}

impl Servers {
    /// Returns an empty table that takes no more than this many octets.
    pub fn new(limit: usize) -> Self {
        Self {
            servers: BTreeMap::new(),
            clients: BTreeMap::new(),
            baseline: Baseline::default(),
            forgotten: 0,
            forgot_offers: false,
            weight: 0,
            limit,
        }
    }

    /// Returns the octets in use.
    pub(crate) fn weight(&self) -> usize {
        self.weight
    }

    /// Adds a connection that started at this time.
    pub fn add(&mut self, client: IpAddr, server: SocketAddr, time: u64, facts: &Facts) {
        let Some(protocol) = facts.protocol else { return };
        // The upgrade of HTTP is rare: a server or client that does not use it shows nothing.
        if protocol.family == ProtocolFamily::Http && facts.requested != Requested::Yes {
            return;
        }
        let encrypted = u64::from(matches!(facts.tls, TlsUse::Upgrade | TlsUse::FirstOctet));
        let readable = u64::from(facts.readable >= Readable::Content);
        let client = facts.source().map_or(client, |source| source.ip());
        let server = (server, facts.destination().map(str::to_owned));
        let new = |is_known: bool, known: usize| match is_known {
            true => Some(0),
            false => (known < MAX_KNOWN).then_some(KNOWN),
        };
        let cost = new(self.servers.contains_key(&server), self.servers.len())
            .zip(new(self.clients.contains_key(&client), self.clients.len()))
            .map(|(server, client)| server + client)
            .filter(|cost| *cost == 0 || self.weight + cost <= self.limit);
        let Some(cost) = cost else {
            self.forgotten += 1;
            self.forgot_offers |= facts.offered == Offered::Yes;
            return;
        };
        self.weight += cost;
        let has_room = |cost: usize| self.weight + cost <= self.limit;
        let (may_offer, may_lack) = (has_room(OFFER), has_room(WITHOUT));
        let it = self.clients.entry(client).or_default();
        it.connections += 1;
        it.encrypted += encrypted;
        it.readable += readable;
        let state = self.servers.entry(server).or_default();
        let it = &mut state.summary;
        it.protocol = Some(protocol.name.to_owned());
        it.connections += 1;
        it.encrypted += encrypted;
        it.readable += readable;
        it.offered += u64::from(facts.offered == Offered::Yes);
        it.not_offered += u64::from(facts.offered == Offered::No);
        match facts.offered {
            Offered::Yes => {
                let known = state.offers.iter().position(|(known, ..)| *known == client);
                if let Some((_, first, last)) = known.and_then(|at| state.offers.get_mut(at)) {
                    (*first, *last) = ((*first).min(time), (*last).max(time));
                } else if state.offers.len() < MAX_WITHOUT && may_offer {
                    state.offers.push((client, time, time));
                    self.weight += OFFER;
                } else {
                    (state.forgot_offers, self.forgot_offers) = (true, true);
                }
            }
            // A client that got TLS lost nothing.
            Offered::No
                if facts.requested != Requested::Yes && state.without.len() < MAX_WITHOUT && may_lack =>
            {
                self.weight += WITHOUT;
                let clue = facts.clue(ClueKind::NoOffer).cloned();
                state.without.push(Without { client, time, clue });
            }
            _ => {}
        }
    }

    /// Returns the summaries of all servers, with findings across connections.
    pub fn servers(&self) -> Vec<ServerSummary> {
        let summary = |((address, destination), state): (&(SocketAddr, Option<String>), &ServerState)| {
            let server = server_name(&address.to_string(), destination.as_deref());
            let is_known = self.baseline.contains(*address, destination.as_deref());
            ServerSummary { server, findings: state.stripped(is_known), ..state.summary.clone() }
        };
        self.servers.iter().map(summary).collect()
    }

    /// Returns the summaries of all clients.
    pub fn clients(&self) -> Vec<ClientSummary> {
        let mut lacking = self.lacking();
        let mut summary = |(address, it): (&IpAddr, &ClientSummary)| ClientSummary {
            client: address.to_string(),
            findings: lacking.remove(address).and_then(stripped_everywhere).into_iter().collect(),
            ..it.clone()
        };
        self.clients.iter().map(&mut summary).collect()
    }
}

impl Servers {
    /// Returns, for each client that no server offered the upgrade to, the evidence of the servers that offered it to
    /// others.
    fn lacking(&self) -> BTreeMap<IpAddr, Vec<Option<Clue>>> {
        let mut lacking: BTreeMap<IpAddr, Vec<Option<Clue>>> = BTreeMap::new();
        if self.forgot_offers {
            return lacking;
        }
        for state in self.servers.values().filter(|state| !state.offers.is_empty()) {
            let mut counted = BTreeSet::new();
            for without in state.without.iter().filter(|without| counted.insert(without.client)) {
                lacking.entry(without.client).or_default().push(without.clue.clone());
            }
        }
        for (client, ..) in self.servers.values().flat_map(|state| &state.offers) {
            lacking.remove(client);
        }
        lacking
    }
}

/// Returns a finding for a client to which none of several servers offered what they offered to others.
fn stripped_everywhere(servers: Vec<Option<Clue>>) -> Option<Observation> {
    const SEVERAL: usize = 3;
    (servers.len() >= SEVERAL).then(|| Observation {
        id: "obs-stripped",
        severity: Weight::High,
        certainty: Confidence::Likely,
        summary: format!(
            "{} servers that offered the upgrade to other clients did not offer it to this one. An innocent cause: the \
             servers' offers depend on the client's network",
            servers.len()
        ),
        evidence: servers.into_iter().flatten().take(3).collect(),
    })
}

impl ServerState {
    /// Returns a finding for each client that got no offer, if the server offered the upgrade to other clients before
    /// and after, or is known to offer it. Offered earlier and to no client later is a changed configuration.
    fn stripped(&self, is_known: bool) -> Vec<Observation> {
        let mut clients: Vec<IpAddr> = self.without.iter().map(|it| it.client).collect();
        clients.sort_unstable();
        clients.dedup();
        let others = |client: IpAddr| self.offers.iter().filter(move |(other, ..)| *other != client);
        let finding = |client: IpAddr| {
            let mine = || self.without.iter().filter(move |it| it.client == client);
            let never = !self.forgot_offers && !self.offers.iter().any(|(other, ..)| *other == client);
            let between = mine().any(|it| {
                others(client).any(|(_, first, _)| *first < it.time)
                    && others(client).any(|(.., last)| *last > it.time)
            });
            let connections = match mine().count() {
                1 => String::from("1 connection"),
                count => format!("{count} connections"),
            };
            let reason = match others(client).count() {
                1 if between => String::from("the server offered it to 1 other client before and after"),
                count if between => {
                    format!("the server offered it to {count} other clients before and after")
                }
                _ => String::from("the server offers it according to the baseline"),
            };
            let innocent = match between {
                true => "offers that depend on the client's network, or several hosts behind one address",
                false => {
                    "a configuration that was changed since, or offers that depend on the client's network"
                }
            };
            (never && (between || is_known)).then(|| Observation {
                id: "obs-stripped",
                severity: Weight::High,
                certainty: Confidence::Likely,
                summary: format!(
                    "{client} was not offered the upgrade in {connections}; {reason}. Innocent causes: {innocent}"
                ),
                evidence: mine().filter_map(|it| it.clue.clone()).take(2).collect(),
            })
        };
        clients.into_iter().filter_map(finding).collect()
    }
}
