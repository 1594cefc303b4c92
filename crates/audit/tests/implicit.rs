//! Ports where TLS starts at the first byte (RFC 8314): audited like any other, as far as the checks apply.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on panics")]

use std::net::SocketAddr;
use std::time::Duration;

use starttls::Connector;
use starttls::proto::{PROTOCOLS, Protocol, each_protocol};
use starttls_audit::check::CHECKS;
use starttls_audit::report::{CheckOutcome, EndpointReport, EndpointVerdict, Finding};
use starttls_audit::{Audit, Limits};
use starttls_lab::ca::Authority;
use starttls_lab::rogue::{Rogue, Weakness};
use starttls_lab::{Lab, Options};

async fn audited(protocol: &'static Protocol, address: SocketAddr, root: &str) -> EndpointReport {
    let limits = Limits { reply_timeout: Duration::from_secs(600), ..Limits::default() };
    let audit = Audit::new(|| Connector::builder().no_system_roots().roots_pem(root), limits).unwrap();
    let scheme = protocol.implicit_tls.map_or("", |tls| tls.name);
    let target = format!("{scheme}://localhost:{}", address.port());
    let audit = audit.with_implicit_tls(true);
    let audited = audit.endpoint(protocol, &target, "localhost", address);
    tokio::time::timeout(Duration::from_secs(300), audited).await.unwrap()
}

fn wrong(endpoint: &EndpointReport) -> Vec<&Finding> {
    let bad = |it: &&Finding| matches!(it.outcome, CheckOutcome::Fail | CheckOutcome::Warning);
    endpoint.findings.iter().filter(bad).collect()
}

/// Runs one task for each item on two threads.
fn each<T, F: Future<Output = ()> + Send + 'static>(all: impl IntoIterator<Item = T>, task: impl Fn(T) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let tasks: Vec<_> = all.into_iter().map(|it| tokio::spawn(task(it))).collect();
        for task in tasks {
            task.await.unwrap();
        }
    });
}

#[test]
fn every_sound_server_is_sound_and_no_check_is_left_out() {
    let lab = Lab::start(Options::default()).unwrap();
    let implicit: Vec<_> = lab.endpoints().iter().filter(|it| it.implicit).cloned().collect();
    let known = PROTOCOLS.iter().filter(|it| it.implicit_tls.is_some()).count();
    assert_eq!(implicit.len(), known, "the lab has every port with implicit TLS");
    each(implicit, |endpoint| {
        let root = lab.ca_pem().to_owned();
        async move {
            let report = audited(endpoint.protocol, endpoint.address, &root).await;
            assert_eq!(report.outcome, EndpointVerdict::Sound, "{}: {:?}", endpoint.scheme, report.findings);
            assert_eq!(report.tls.unwrap().versions, ["TLS 1.2", "TLS 1.3"]);
            let conditional = [
                "srv-mx-name",
                "srv-throttled",
                "srv-plain-tls",
                "cert-self-signed",
                "cert-incomplete",
                "tls-version",
                "tls-large-hello",
            ];
            for id in CHECKS.iter().map(|row| row.id).filter(|id| !conditional.contains(id)) {
                assert!(report.findings.iter().any(|it| it.id == id), "{}: no {id}", endpoint.scheme);
            }
            let pass =
                |id: &str| report.findings.iter().any(|it| it.id == id && it.outcome == CheckOutcome::Pass);
            for id in [
                "srv-reachable",
                "srv-offer-inside",
                "tls-handshake",
                "cert-chain",
                "cert-name",
                "cert-dates",
            ] {
                assert!(pass(id), "{}: {id}: {:?}", endpoint.scheme, report.findings);
            }
        }
    });
}

#[test]
fn weaknesses_of_tls_are_found_and_nothing_else() {
    use Weakness::*;
    let weaknesses = [
        Expired,
        NotYet,
        SoonExpired,
        WrongName,
        SelfSigned,
        UnknownRoot,
        MissingIntermediate,
        WrongUsage,
        CommonNameOnly,
        WeakKey,
        VersionOne,
        UnknownExtension,
        OldTlsOnly,
        WrongAlpn,
        NoCertificate,
    ];
    let authority = std::sync::Arc::new(Authority::new().unwrap());
    let protocols = || PROTOCOLS.iter().copied().filter(|it| it.implicit_tls.is_some());
    each(
        weaknesses.into_iter().flat_map(|it| protocols().map(move |protocol| (it, protocol))),
        |(weakness, protocol)| {
            let authority = std::sync::Arc::clone(&authority);
            async move {
                let rogue = Rogue::start_implicit(protocol, weakness, &authority).unwrap();
                let address = SocketAddr::new(rogue.address().ip(), rogue.implicit_port().unwrap());
                let report = audited(protocol, address, &authority.root_pem()).await;
                let who = format!("{}: {weakness:?}: {:?}", protocol.name, wrong(&report));
                let is_it = |id: &str| {
                    weakness.is_shown_by(id) || (weakness == NoCertificate && id == "tls-handshake")
                };
                assert!(wrong(&report).iter().any(|it| is_it(&it.id)), "missed: {who}");
                for finding in wrong(&report) {
                    assert!(
                        is_it(&finding.id) || weakness.also().contains(&finding.id.as_str()),
                        "false alarm: {who}"
                    );
                }
            }
        },
    );
}

#[test]
fn cleartext_on_the_port_is_one_finding_with_the_url() {
    let lab = Lab::start(Options::default()).unwrap();
    let upgrades = lab.endpoints().iter().filter(|it| !it.implicit && it.protocol.implicit_tls.is_some());
    each(upgrades.cloned().collect::<Vec<_>>(), |endpoint| async move {
        let report =
            audited(endpoint.protocol, endpoint.address, &Authority::new().unwrap().root_pem()).await;
        let not_passed: Vec<_> =
            report.findings.iter().filter(|it| it.outcome != CheckOutcome::Pass).collect();
        let [finding] = not_passed.as_slice() else { panic!("{}: {not_passed:?}", endpoint.scheme) };
        assert_eq!((finding.id.as_str(), report.outcome), ("srv-plain-tls", EndpointVerdict::WrongPort));
        let scheme = if endpoint.scheme == "submission" { "smtp" } else { endpoint.scheme };
        let url = format!("use {scheme}://localhost:{}", endpoint.address.port());
        assert!(finding.summary.contains(&url), "{}: {finding:?}", endpoint.scheme);
    });
}

each_protocol! {
    async if |it| it.implicit_tls.is_some() =>
    a_missing_alpn_id_is_a_failure_where_it_is_required
}

/// Clients refuse PostgreSQL at the first byte without ALPN, so such a server is not sound.
async fn a_missing_alpn_id_is_a_failure_where_it_is_required(protocol: &'static Protocol) {
    let authority = Authority::new().unwrap();
    let rogue = Rogue::start_implicit(protocol, Weakness::WrongAlpn, &authority).unwrap();
    let address = SocketAddr::new(rogue.address().ip(), rogue.implicit_port().unwrap());
    let report = audited(protocol, address, &authority.root_pem()).await;
    let finding = report.findings.iter().find(|it| it.id == "tls-alpn").unwrap();
    let expected = if protocol.required_alpn().is_some() { CheckOutcome::Fail } else { CheckOutcome::Info };
    assert_eq!(finding.outcome, expected, "{}: {finding:?}", protocol.name);
    assert_eq!(report.outcome == EndpointVerdict::Sound, expected == CheckOutcome::Info, "{}", protocol.name);
}
