//! An audit opens only the connections and sends only the logins that its selected checks need. The tests count both at
//! the server.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use starttls::Connector;
use starttls::proto::{PROTOCOLS, Protocol, each_protocol, protocol};
use starttls_audit::check::{CHECKS, Check};
use starttls_audit::report::{CheckOutcome, EndpointReport, EndpointVerdict, EntryKind};
use starttls_audit::{Audit, LIGHT_CONNECTIONS, Limits, Requirement, Selection, SurveyExtent, cost};
use starttls_hello::WalkSize;
use starttls_lab::{Lab, Options};
use tokio::io::AsyncReadExt;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// What arrived at the server.
#[derive(Debug, Default)]
struct Arrived {
    connections: AtomicU32,
    /// Logins in cleartext.
    logins: AtomicU32,
}

/// Returns the words that occur in a login, for text protocols.
fn login_words(protocol: &Protocol) -> &'static [&'static str] {
    match protocol.name {
        "smtp" | "submission" | "lmtp" => &["AUTH "],
        "imap" => &["LOGIN", "AUTHENTICATE"],
        "pop3" | "ftp" => &["PASS "],
        "nntp" => &["AUTHINFO PASS"],
        "xmpp" => &["<auth"],
        _ => &[],
    }
}

fn is_login(protocol: &Protocol, text: &str) -> bool {
    login_words(protocol).iter().any(|word| text.contains(word))
}

/// Forwards connections to a server, and counts them and the logins in cleartext.
async fn counted(protocol: &'static Protocol, server: SocketAddr, arrived: Arc<Arrived>) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            arrived.connections.fetch_add(1, Ordering::Relaxed);
            let arrived = Arc::clone(&arrived);
            tokio::spawn(async move {
                let (mut from, mut to) = client.into_split();
                let (mut back, mut there) = TcpStream::connect(server).await.unwrap().into_split();
                tokio::spawn(async move {
                    let _ = tokio::io::copy(&mut back, &mut to).await;
                    let _ = to.shutdown().await;
                });
                let mut chunk = vec![0; 16 * 1024];
                while let Ok(len @ 1..) = from.read(&mut chunk).await {
                    if is_login(protocol, &String::from_utf8_lossy(&chunk[..len])) {
                        arrived.logins.fetch_add(1, Ordering::Relaxed);
                    }
                    if there.write_all(&chunk[..len]).await.is_err() {
                        return;
                    }
                }
                let _ = there.shutdown().await;
            });
        }
    });
    address
}

/// The report of an audit, with the number of its connections and logins.
struct Counted {
    report: EndpointReport,
    connections: u32,
    logins: usize,
}

async fn audited(lab: &Lab, protocol: &'static Protocol, selection: Selection, limits: Limits) -> Counted {
    let endpoint = lab.endpoint(protocol.name).unwrap();
    let arrived = Arc::new(Arrived::default());
    let address = counted(protocol, endpoint.address, Arc::clone(&arrived)).await;
    let root = lab.ca_pem().to_owned();
    let audit = Audit::new(|| Connector::builder().no_system_roots().roots_pem(root.as_str()), limits);
    let audit = audit.unwrap().with_selection(selection);
    let audited = audit.endpoint(protocol, protocol.name, endpoint.server_name, address);
    let report = tokio::time::timeout(Duration::from_secs(300), audited).await.unwrap();
    let entries = || report.transcripts.iter().flat_map(|it| &it.entries);
    let sent_in = |kind| entries().filter(|it| it.kind == kind && is_login(protocol, &it.text)).count();
    // The logins in cleartext are those that arrived; only the client knows what it sends inside TLS.
    let in_cleartext = usize::try_from(arrived.logins.load(Ordering::Relaxed)).unwrap();
    let logins = in_cleartext + sent_in(EntryKind::ClientInside);
    // The audit may end before the listener has accepted its last connection.
    let accepted = async {
        while arrived.connections.load(Ordering::Relaxed) < report.connections {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let _ = tokio::time::timeout(Duration::from_secs(20), accepted).await;
    let connections = arrived.connections.load(Ordering::Relaxed);
    assert_eq!(connections, report.connections, "{}", protocol.name);
    Counted { report, connections, logins }
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn of(scheme: &str) -> &'static Protocol {
    protocol(scheme).unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_certificate_takes_one_connection() {
    let lab = Lab::start(Options::default()).unwrap();
    for protocol in ["smtp", "imap", "postgres", "ldap"].map(of) {
        let only = Selection::new(&names(&["cert"]), &[]).unwrap();
        let Counted { report, connections, logins } = audited(&lab, protocol, only, Limits::default()).await;
        assert_eq!((connections, logins), (1, 0), "{}", protocol.name);
        assert_eq!(report.outcome, EndpointVerdict::Sound, "{}: {}", protocol.name, report.summary);
        assert!(report.findings.iter().all(|it| it.id.starts_with("cert-")), "{:?}", report.findings);
        let requests = report.transcripts[0].entries.iter().filter(|it| it.text.contains("STARTTLS\\r\\n"));
        assert!(requests.filter(|it| it.kind == EntryKind::ClientInside).count() == 0, "a second request");
    }
    tokio::task::spawn_blocking(move || drop(lab)).await.unwrap();
}

/// The TLS survey of a sound server takes seven connections. A larger survey takes more, never more than allowed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_tls_checks_take_the_connections_of_the_survey() {
    let lab = Lab::start(Options::default()).unwrap();
    let only = Selection::new(&names(&["tls"]), &[]).unwrap();
    let counted = audited(&lab, of("imap"), only.clone(), Limits::default()).await;
    assert_eq!((counted.connections, counted.logins), (8, 0));
    let tls = counted.report.tls.unwrap();
    assert_eq!(tls.versions, ["TLS 1.2", "TLS 1.3"]);
    assert_eq!(tls.survey.map(|it| (it.hellos, it.complete)), Some((7, true)));

    for (extent, expected) in [
        (SurveyExtent { size: WalkSize::Brief, hellos: 3 }, 4),
        (SurveyExtent { size: WalkSize::Survey, hellos: 5 }, 6),
        (SurveyExtent::new(WalkSize::Survey), 19),
    ] {
        let selection = only.clone().with_survey(extent);
        let counted = audited(&lab, of("imap"), selection, Limits::default()).await;
        assert_eq!(counted.connections, expected, "{extent:?}");
    }
    tokio::task::spawn_blocking(move || drop(lab)).await.unwrap();
}

/// Without the checks that need the survey, no hello is sent.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_checks_the_survey_is_not_run() {
    let lab = Lab::start(Options::default()).unwrap();
    let only = Selection::new(&names(&["tls-suite", "tls-group"]), &[]).unwrap();
    let counted = audited(&lab, of("imap"), only, Limits::default()).await;
    assert_eq!(counted.connections, 1);
    assert_eq!(counted.report.tls.unwrap().survey, None);
    tokio::task::spawn_blocking(move || drop(lab)).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_check_no_login_is_sent() {
    let lab = Lab::start(Options::default()).unwrap();
    for protocol in ["smtp", "imap"].map(of) {
        let all = audited(&lab, protocol, Selection::default(), Limits::default()).await;
        assert!(all.logins > 0, "{}", protocol.name);
        let skip = Selection::new(&[], &names(&["srv-auth-before"])).unwrap();
        let Counted { report, connections, logins } = audited(&lab, protocol, skip, Limits::default()).await;
        assert_eq!(logins, 0, "{}", protocol.name);
        assert!(connections <= all.connections, "{}: {connections}", protocol.name);
        let ids: Vec<_> = report.findings.iter().map(|it| it.id.as_str()).collect();
        assert!(!ids.contains(&"srv-auth-before") && ids.contains(&"srv-not-enforced"), "{ids:?}");
        assert!(ids.contains(&"srv-inject-eager"), "{ids:?}");
    }
    tokio::task::spawn_blocking(move || drop(lab)).await.unwrap();
}

each_protocol! { async monitoring_takes_two_connections_and_no_login }

async fn monitoring_takes_two_connections_and_no_login(protocol: &'static Protocol) {
    let lab = Lab::start(Options::default()).unwrap();
    let limits = Limits { connections: LIGHT_CONNECTIONS, ..Limits::default() };
    let Counted { report, connections, logins } = audited(&lab, protocol, Selection::light(), limits).await;
    assert!(connections <= LIGHT_CONNECTIONS && logins == 0, "{}: {connections}", protocol.name);
    assert_eq!(report.outcome, EndpointVerdict::Sound, "{}: {}", protocol.name, report.summary);
    for id in ["srv-offered", "srv-upgrade", "cert-chain", "cert-expiry"] {
        assert!(report.findings.iter().any(|it| it.id == id), "{}: {id} is missing", protocol.name);
    }
    tokio::task::spawn_blocking(move || drop(lab)).await.unwrap();
}

/// The second connection of `--light` recognizes a port with implicit TLS.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn monitoring_recognizes_a_wrong_port() {
    let lab = Lab::start(Options::default()).unwrap();
    let imaps = lab.endpoint("imaps").unwrap();
    let limits = Limits { connections: LIGHT_CONNECTIONS, ..Limits::default() };
    let audit =
        Audit::new(|| Connector::builder().no_system_roots().roots_pem(lab.ca_pem()), limits).unwrap();
    let audit = audit.with_selection(Selection::light());
    let report = audit.endpoint(of("imap"), "imap://localhost", imaps.server_name, imaps.address).await;
    assert_eq!((report.outcome, report.connections), (EndpointVerdict::WrongPort, 2), "{}", report.summary);
    tokio::task::spawn_blocking(move || drop(lab)).await.unwrap();
}

/// An audit never exceeds the announced `cost`, and each check has a result if it runs alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_check_takes_more_than_announced() {
    let lab = Arc::new(Lab::start(Options::default()).unwrap());
    let slots = Arc::new(Semaphore::new(16));
    let mut audits = JoinSet::new();
    let needs_more = |check: &Check| PROTOCOLS.iter().any(|it| cost_of(check, it).connections > 1);
    for check in CHECKS.iter().filter(|check| needs_more(check)) {
        for protocol in PROTOCOLS.iter().copied() {
            let (lab, slots) = (Arc::clone(&lab), Arc::clone(&slots));
            audits.spawn(async move {
                let _slot = slots.acquire().await.unwrap();
                let only = Selection::new(&names(&[check.id]), &[]).unwrap();
                let counted = audited(&lab, protocol, only, Limits::default()).await;
                (check, protocol, counted)
            });
        }
    }
    assert!(audits.len() > 150, "{}", audits.len());
    let mut wrong = Vec::new();
    while let Some(done) = audits.join_next().await {
        let (check, protocol, Counted { report, connections, logins }) = done.unwrap();
        let case = format!("{} of {}", check.id, protocol.name);
        let announced = cost_of(check, protocol);
        if connections > announced.connections || (logins > 0 && !announced.failed_login) {
            wrong.push(format!("{case}: {connections} connections, {logins} logins of {announced:?}"));
        }
        let [finding] = report.findings.as_slice() else {
            wrong.push(format!("{case}: {:?}", report.findings));
            continue;
        };
        let expected = match announced.is_slow {
            true => finding.requirement == Some(Requirement::SlowChecks),
            false if finding.outcome == CheckOutcome::NotRun => {
                matches!(finding.requirement, Some(Requirement::TlsSurvey | Requirement::TlsProfile))
            }
            false => !matches!(finding.outcome, CheckOutcome::Inconclusive),
        };
        if finding.id != check.id || !expected {
            wrong.push(format!("{case}: {finding:?}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    tokio::task::spawn_blocking(move || drop(lab)).await.unwrap();
}

fn cost_of(check: &Check, protocol: &'static Protocol) -> starttls_audit::Cost {
    let check = CHECKS.iter().find(|row| row.id == check.id).unwrap();
    cost(check, protocol, SurveyExtent::new(WalkSize::Brief))
}
