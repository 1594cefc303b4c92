//! Every scenario leaves a finding in a capture of the client's network, or cannot: then the reason is listed here.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[path = "../environment/mod.rs"]
mod environment;
mod tap;

use std::collections::BTreeSet;
use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use environment::Lab;
use starttls::dialer::TcpRoute;
use starttls::proto::{Protocol, protocol};
use starttls::rustls::sign::CertifiedKey;
use starttls::{Endpoint, TlsVersion};
use starttls_attack::{
    Campaign, ClientExit, ClientFuture, ClientOutput, ClientRun, Environment, Scenario, Subject, Target,
    Upstream, UpstreamLease,
};
use starttls_inspect::{Confidence, ConnectionReport, Weight, compare};
use starttls_testkit::vulnerable_clients::{Flaw, VulnerableClient};
use tokio::sync::Semaphore;

use tap::{Octets, Taped, inspect, tap};

/// The protocols in which scenarios are played, the first ones first.
const PROTOCOLS: [&str; 9] = ["smtp", "imap", "pop3", "ftp", "xmpp", "ldap", "irc", "postgres", "mysql"];
/// The octets that are compared.
const COMPARED: usize = 64 * 1024;
const PATIENCE: Duration = Duration::from_secs(20);
/// The patience with a scenario in which nothing happens.
const SHORT: Duration = Duration::from_secs(5);

/// Returns the flaw of the client against which a scenario is played; `None` for the sound client.
fn flaw(id: &str) -> Option<Flaw> {
    let start = |starts: &[&str]| starts.iter().any(|it| id.starts_with(it));
    Some(match id {
        _ if start(&["cli-inject"]) => Flaw::KeepsBuffer,
        _ if start(&["cli-state-caps", "cli-state-lost"]) => Flaw::KeepsCapabilities,
        _ if start(&["cli-preauth"]) => Flaw::BelievesPreauth,
        _ if start(&["cli-redirect"]) => Flaw::FollowsReferrals,
        _ if start(&["cli-presend"]) => Flaw::BelievesPresent,
        _ if start(&["cli-cert"]) => Flaw::IgnoresNames,
        _ if start(&["cli-silence", "cli-hs-stall"]) => Flaw::NeverTimesOut,
        _ if start(&["cli-spoof"]) => Flaw::ShowsAnything,
        "cli-hs-old" => Flaw::OldTls,
        "cli-hs-alpn" => Flaw::TakesAnyAlpn,
        "cli-truncate" => Flaw::IgnoresTruncation,
        "cli-data-clear" => Flaw::LeavesDataClear,
        _ if start(&[
            "cli-strip",
            "cli-mangle",
            "cli-no-caps",
            "cli-refuse",
            "cli-many-sasl",
            "cli-challenge",
        ]) =>
        {
            Flaw::FallsBack
        }
        "cli-local-infile" => Flaw::FallsBack,
        _ => return None,
    })
}

/// A client of the lab whose connections pass through a tap.
struct Tapped {
    client: VulnerableClient,
    /// One entry for each run, in order.
    runs: Arc<Mutex<Vec<Taped>>>,
}

impl Subject for Tapped {
    fn run<'a>(&'a self, target: &'a Target) -> ClientFuture<'a> {
        Box::pin(async move {
            let taped = Taped::default();
            self.runs.lock().unwrap().push(taped.clone());
            let port = tap(SocketAddr::from((Ipv4Addr::LOCALHOST, target.port)), taped);
            let run = self.client.run(&target.host, SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
            let ended = tokio::time::timeout(target.timeout, run).await.ok();
            Ok(match ended {
                Some(ended) => ClientRun {
                    exit: if ended.well { ClientExit::Success } else { ClientExit::Failure(1) },
                    output: ClientOutput::from(ended.printed),
                },
                None => ClientRun { exit: ClientExit::TimedOut, output: ClientOutput::default() },
            })
        })
    }

    fn name(&self) -> String {
        String::from("tapped")
    }
}

/// The lab, with a tap between the man in the middle and the server.
struct TappedLab {
    lab: Arc<Lab>,
    runs: Arc<Mutex<Vec<Taped>>>,
}

impl Environment for TappedLab {
    fn upstream(&self, protocol: &'static Protocol) -> Result<UpstreamLease, Box<dyn Error + Send + Sync>> {
        let lease = self.lab.upstream(protocol)?;
        let Upstream { endpoint, connector } = lease.upstream;
        let server: SocketAddr = endpoint.dialed_address().parse()?;
        let taped = Taped::default();
        self.runs.lock().unwrap().push(taped.clone());
        let port = tap(server, taped);
        let endpoint = Endpoint::new(endpoint.server_name(), port).at(Ipv4Addr::LOCALHOST.to_string(), port);
        let upstream = Upstream { endpoint, connector: connector.with_dialer(TcpRoute::direct()) };
        Ok(UpstreamLease { upstream, ..lease })
    }

    fn certificate(&self, name: &str) -> Option<Arc<CertifiedKey>> {
        self.lab.certificate(name)
    }

    fn ca_file(&self) -> &Path {
        self.lab.ca_file()
    }
}

/// A scenario that was played.
struct Played {
    id: String,
    protocol: &'static Protocol,
    /// What passed between the client and the man in the middle, and between him and the server.
    near: Vec<Octets>,
    far: Vec<Octets>,
}

/// Plays a scenario. The first result is the run without an attack.
async fn play(lab: Arc<Lab>, protocol: &'static Protocol, scenario: Scenario) -> [Played; 2] {
    let (id, flaw) = (scenario.id.clone(), flaw(&scenario.id));
    let patience = if flaw == Some(Flaw::NeverTimesOut) { SHORT } else { PATIENCE };
    // With this version, certificates are visible.
    let client = VulnerableClient::new(protocol, flaw, &lab.fixtures.root_pem()).tls(TlsVersion::Tls12);
    let (near, far) = (Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(Vec::new())));
    let campaign = Campaign {
        protocol,
        scenarios: vec![scenario],
        environment: Arc::new(TappedLab { lab, runs: far.clone() }),
        subject: Arc::new(Tapped { client: client.patience(patience), runs: near.clone() }),
        timeout: patience * 2,
        jobs: 1,
        repeat: 1,
        domain: None,
    };
    campaign.run().await.unwrap();
    let (near, far): (Vec<Taped>, Vec<Taped>) = (near.lock().unwrap().clone(), far.lock().unwrap().clone());
    assert!(near.len() > 1 && near.len() == far.len(), "{id}: {} {}", near.len(), far.len());
    let played = async |id, at: usize| {
        let (near, far) = (near[at].connections().await, far[at].connections().await);
        Played { id, protocol, near, far }
    };
    // The run of the scenario is the last one.
    [played(String::from("control"), 0).await, played(id, near.len() - 1).await]
}

/// Returns the scenarios of one conversation. The policies of a domain are in DNS and on the web, which are not captured.
fn scenarios() -> impl Iterator<Item = Scenario> {
    Scenario::all().unwrap().into_iter().filter(|it| !it.needs_domain())
}

/// Plays every scenario in the first protocol in which it exists.
async fn play_all() -> Vec<Played> {
    let (lab, slots) = (Lab::new(), Arc::new(Semaphore::new(8)));
    let play = |scenario: Scenario| {
        let found = PROTOCOLS.iter().filter_map(|name| protocol(name));
        let protocol = found.into_iter().find(|it| scenario.inapplicable(it).is_none());
        let protocol = protocol.unwrap_or_else(|| panic!("{} is in none of the protocols", scenario.id));
        let (lab, slots) = (lab.clone(), slots.clone());
        tokio::spawn(async move {
            let _slot = slots.acquire().await;
            play(lab, protocol, scenario).await
        })
    };
    let tasks: Vec<_> = scenarios().map(play).collect();
    let mut played = Vec::new();
    for task in tasks {
        played.extend(task.await.unwrap());
    }
    played
}

/// What captures show of a scenario.
struct Visible {
    /// The findings in a capture of the client's network.
    near: &'static [&'static str],
    /// The findings that a comparison with a capture of the server's network adds.
    compared: &'static [&'static str],
    /// Why the client's network alone does not show it.
    reason: &'static str,
}

const fn seen(near: &'static [&'static str], compared: &'static [&'static str]) -> Visible {
    Visible { near, compared, reason: "" }
}

const fn unseen(reason: &'static str, compared: &'static [&'static str]) -> Visible {
    Visible { near: &[], compared, reason }
}

/// Returns what captures show of a scenario. A scenario without an arm fails the test.
fn visible(id: &str) -> Visible {
    match id {
        "cli-strip-offer" => seen(&["obs-credentials", "obs-not-offered"], &["obs-stripped"]),
        "cli-mangle-offer" => seen(&["obs-credentials", "obs-masked"], &["obs-stripped"]),
        // The list is refused, and what the client does then is the same.
        "cli-no-caps" => seen(&["obs-credentials", "obs-not-offered"], &["obs-conflict"]),
        "cli-refuse-temp" | "cli-refuse-perm" | "cli-refuse-bye" => {
            seen(&["obs-credentials", "obs-fell-back", "obs-refused"], &["obs-stripped"])
        }
        "cli-refuse-odd" | "cli-refuse-empty" | "cli-refuse-garbage" => {
            seen(&["obs-credentials", "obs-fell-back"], &["obs-conflict"])
        }
        "cli-many-sasl" | "cli-challenge" | "cli-challenge-clear-password" | "cli-local-infile" => {
            seen(&["obs-credentials", "obs-not-offered"], &["obs-stripped"])
        }
        "cli-preauth-offer" => seen(&["obs-credentials"], &["obs-conflict"]),
        "cli-preauth" => unseen("a server may accept a client without a login", &["obs-conflict"]),
        "cli-silence" | "cli-presend" => seen(&["obs-request-lost"], &["obs-stripped"]),
        "cli-silence-greeting" => unseen("no octet crosses the client's network", &[]),
        "cli-redirect" => seen(&["obs-refused"], &["obs-stripped"]),
        "cli-redirect-greeting" | "cli-redirect-stream" | "cli-redirect-sts" => {
            unseen("a server may refer its clients to another one", &["obs-conflict"])
        }
        "cli-spoof-error" => seen(&["obs-refused"], &["obs-stripped"]),
        "cli-spoof-greeting" | "cli-spoof-alert" => {
            unseen("a server may send such a text", &["obs-conflict"])
        }
        _ if id.starts_with("cli-inject") => seen(&["obs-injected"], &["obs-injected"]),
        _ if id.starts_with("cli-split") => seen(&["obs-injected", "obs-tls-failed"], &["obs-injected"]),
        _ if id.starts_with("cli-state") => unseen(
            "a server may announce this before TLS; the client's mistake is inside TLS",
            &["obs-conflict"],
        ),
        "cli-cert-unknown-root" => {
            unseen("the network does not know which authorities the client trusts", &["obs-conflict"])
        }
        _ if id.starts_with("cli-cert") => seen(&["obs-certificate"], &["obs-conflict"]),
        "cli-hs-garbage" => seen(&["obs-injected", "obs-tls-failed"], &["obs-injected"]),
        "cli-hs-old" => seen(&["obs-old-tls", "obs-tls-failed"], &[]),
        "cli-hs-alert" | "cli-hs-stall" | "cli-hs-alpn" => seen(&["obs-tls-failed"], &[]),
        "cli-truncate" => unseen("the end of the session is inside TLS", &["obs-conflict"]),
        "cli-data-clear" => unseen("data connections are other connections", &["obs-conflict"]),
        _ => panic!("no expectation for {id}"),
    }
}

/// Returns the ids of the findings. A name in cleartext is not an attack.
fn findings(reports: &[ConnectionReport]) -> BTreeSet<&'static str> {
    let all = reports.iter().flat_map(|report| &report.findings);
    all.map(|finding| finding.id).filter(|id| *id != "obs-names").collect()
}

// On one thread, the runs of a campaign start in their order.
#[tokio::test]
async fn every_scenario_is_observed() {
    let played = tokio::time::timeout(Duration::from_secs(240), play_all()).await.unwrap();
    let mut wrong = Vec::new();
    for Played { id, protocol, near, far } in &played {
        let [near, far] = [near, far].map(|connections| inspect(connections, protocol.port, COMPARED));
        let comparison = compare(&near, &far);
        let differences = || comparison.differences.iter().flat_map(|it| &it.findings).map(|it| &it.finding);
        let compared: BTreeSet<&str> = differences().map(|it| it.id).collect();
        let near = findings(&near);
        let mut complain = |what: String| wrong.push(format!("{id} {}: {what}", protocol.name));
        if id == "control" {
            // The man in the middle may end TLS without an attack.
            let severe = differences().any(|it| it.severity == Weight::High);
            if !near.is_empty() || severe || comparison.matched != 1 {
                complain(format!("{near:?} {compared:?}"));
            }
            continue;
        }
        let visible = visible(id);
        if visible.reason.is_empty() && !visible.near.iter().all(|it| near.contains(it)) {
            complain(format!("expected {:?}, found {near:?}", visible.near));
        }
        if !visible.reason.is_empty() && !near.is_empty() {
            complain(format!("is visible by {near:?}, although {}", visible.reason));
        }
        if !visible.compared.iter().all(|it| compared.contains(it)) {
            complain(format!("expected {:?} from the comparison, found {compared:?}", visible.compared));
        }
        if differences().any(|it| it.certainty != Confidence::Proven) {
            complain(String::from("a difference is not proven"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
    assert_eq!(played.len(), 2 * scenarios().count());
}
