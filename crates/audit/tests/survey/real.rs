//! Real servers: the findings are what they are configured with.

use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::Duration;

use starttls::proto::protocol;
use starttls_audit::SurveyExtent;
use starttls_audit::report::{CheckOutcome, EndpointReport, EndpointVerdict, TlsSurvey};
use starttls_hello::WalkSize;
use starttls_testkit::process::{Daemon, Scratch, free_port_everywhere, own_loopback, program, run};
use starttls_testkit::real::{Setup, server};

use crate::{Asked, audited, evidence, finding, outcome};

const START: Duration = Duration::from_secs(120);

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

/// Surveys one protocol of a real server.
fn surveyed(name: &str, scheme: &str, size: WalkSize) -> EndpointReport {
    let setup = Setup::new().unwrap();
    let running = (server(name).unwrap().start)(&setup).unwrap();
    let endpoint = running.endpoint(scheme).unwrap();
    let root = setup.authority.root_pem();
    runtime().block_on(audited(&Asked {
        protocol: protocol(scheme).unwrap(),
        address: endpoint.address,
        server_name: &endpoint.server_name,
        root: &root,
        implicit: false,
        extent: SurveyExtent::new(size),
    }))
}

fn survey(report: &EndpointReport) -> &TlsSurvey {
    report.tls.as_ref().unwrap().survey.as_ref().unwrap()
}

/// Returns the versions that are offered, newest first.
fn versions(report: &EndpointReport) -> Vec<&str> {
    let offered = survey(report).versions.iter().filter(|it| it.offered == Some(true));
    offered.map(|it| it.name.as_str()).collect()
}

/// Returns the classes that are offered with TLS 1.2, and whether the classes of the version are all known.
fn classes(report: &EndpointReport) -> (Vec<&str>, bool) {
    let tls12 = survey(report).versions.iter().find(|it| it.name == "TLS 1.2").unwrap();
    let offered = tls12.classes.iter().filter(|it| it.offered == Some(true)).map(|it| it.name.as_str());
    (offered.collect(), tls12.classes.iter().all(|it| it.offered.is_some()))
}

#[test]
fn postfix_with_the_defaults_of_debian_offers_old_versions_and_anonymous_suites() {
    for (size, scheme) in [(WalkSize::Brief, "smtp"), (WalkSize::Survey, "submission")] {
        let report = surveyed("postfix", scheme, size);
        assert_eq!(versions(&report), ["TLS 1.3", "TLS 1.2", "TLS 1.1", "TLS 1.0"], "{size}");
        assert_eq!(finding(&report, "tls-deprecated").summary, "TLS 1.1 and 1.0 are offered");
        let evidence = evidence(&report, "tls-anon");
        assert!(evidence.contains("ServerHello: TLS 1.2, TLS_ECDH_anon_"), "{evidence}");
        assert!(finding(&report, "tls-anon").details.iter().any(|it| it.contains("(AECDH-")));
        for id in ["tls-ssl", "tls-null", "tls-export", "tls-weak", "tls-block"] {
            // With so many versions, no hello of a brief survey is left for finite-field Diffie-Hellman.
            let unasked = size == WalkSize::Brief && outcome(&report, id) == CheckOutcome::NotRun;
            assert!(unasked || outcome(&report, id) == CheckOutcome::Pass, "{size} {id}");
        }
        assert_eq!(outcome(&report, "tls-ssl"), CheckOutcome::Pass, "{size}");
        assert!(survey(&report).hellos <= size.connections(), "{size}");
    }
}

#[test]
fn postfix_is_known_in_full_by_a_survey() {
    let report = surveyed("postfix", "submission", WalkSize::Survey);
    // The certificate of the lab has an elliptic key, so that suites with RSA cannot be used.
    assert_eq!(classes(&report), (vec!["anon", "cbc", "ccm8", "aead"], true));
    assert_eq!(outcome(&report, "tls-static"), CheckOutcome::Pass);
    assert_eq!(outcome(&report, "tls-cbc"), CheckOutcome::Info);
    assert_eq!(outcome(&report, "tls-master"), CheckOutcome::Pass);
    assert_eq!(outcome(&report, "tls-fallback"), CheckOutcome::Pass);
    // TLS 1.1 and older have no suites of these classes, so they are not open.
    let is_impossible = |open: &String| open.ends_with(": ccm8") || open.ends_with(": aead");
    assert!(!survey(&report).unasked.iter().any(is_impossible), "{:?}", survey(&report).unasked);
}

/// Dovecot closes the connection instead of sending an alert.
#[test]
fn dovecot_is_sound_although_it_closes_instead_of_answering() {
    for size in [WalkSize::Brief, WalkSize::Survey] {
        let report = surveyed("dovecot", "imap", size);
        assert_eq!(versions(&report), ["TLS 1.3", "TLS 1.2"], "{size}");
        for id in ["tls-ssl", "tls-deprecated", "tls-null", "tls-anon", "tls-export", "tls-weak", "tls-block"]
        {
            assert_eq!(outcome(&report, id), CheckOutcome::Pass, "{size} {id}: {:?}", finding(&report, id));
        }
    }
}

#[test]
fn slapd_offers_what_gnutls_offers_by_default() {
    let report = surveyed("openldap", "ldap", WalkSize::Brief);
    assert_eq!(versions(&report), ["TLS 1.3", "TLS 1.2", "TLS 1.1", "TLS 1.0"]);
    assert_eq!(outcome(&report, "tls-deprecated"), CheckOutcome::Warning);
    assert_eq!(outcome(&report, "tls-anon"), CheckOutcome::Pass);
}

/// Starts a TLS server of a library with an RSA certificate, and surveys it as a port with implicit TLS.
fn library(arguments: impl FnOnce(&Scratch, SocketAddr) -> Command) -> EndpointReport {
    library_in(WalkSize::Survey, arguments)
}

pub(crate) fn library_in(
    size: WalkSize,
    arguments: impl FnOnce(&Scratch, SocketAddr) -> Command,
) -> EndpointReport {
    let scratch = Scratch::new().unwrap();
    let mut certificate = Command::new(program("openssl", "openssl").unwrap());
    certificate.args(["req", "-x509", "-nodes", "-subj", "/CN=localhost", "-newkey", "rsa:2048"]);
    certificate.args(["-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"]);
    run(certificate.current_dir(scratch.path())).unwrap();
    let root = std::fs::read_to_string(scratch.path().join("cert.pem")).unwrap();
    // Some of these servers listen on all addresses.
    let address = free_port_everywhere(own_loopback()).unwrap();
    let mut command = arguments(&scratch, address);
    command.current_dir(scratch.path()).stdin(Stdio::null());
    let mut daemon = Daemon::spawn(&scratch, "server", &mut command).unwrap();
    daemon.wait_listening(address, START).unwrap();
    runtime().block_on(audited(&Asked {
        protocol: protocol("http").unwrap(),
        address,
        server_name: "localhost",
        root: &root,
        implicit: true,
        extent: SurveyExtent::new(size),
    }))
}

/// Starts OpenSSL with a configuration of these versions and suites, for HTTP.
fn openssl(scratch: &Scratch, address: SocketAddr, versions: &str, suites: &str) -> Command {
    let config = format!(
        "openssl_conf = d\n[d]\nssl_conf = s\n[s]\nsystem_default = x\n[x]\n{versions}\nCipherString = {suites}\n"
    );
    let config = scratch.file("openssl.cnf", &config).unwrap();
    let mut command = openssl_command(address);
    command.args(["-cipher", suites]).env("OPENSSL_CONF", config);
    command
}

/// Starts OpenSSL with its defaults, for HTTP.
pub(crate) fn openssl_command(address: SocketAddr) -> Command {
    let mut command = Command::new(program("openssl", "openssl").unwrap());
    command.args([
        "s_server",
        "-accept",
        &address.to_string(),
        "-cert",
        "cert.pem",
        "-key",
        "key.pem",
        "-www",
    ]);
    command
}

/// Starts GnuTLS with this priority, for HTTP.
pub(crate) fn gnutls_command(address: SocketAddr, priority: &str) -> Command {
    let mut command = Command::new(program("gnutls-serv", "gnutls-bin").unwrap());
    let port = address.port().to_string();
    command.args(["--http", "--port", &port, "--x509certfile", "cert.pem", "--x509keyfile", "key.pem"]);
    command.args(["--priority", priority]);
    command
}

/// The TLS library of the audit has no TLS 1.0, so that its handshake fails. The survey shows why.
#[test]
fn a_server_with_tls10_alone_is_reported_with_what_it_offers() {
    for size in [WalkSize::Brief, WalkSize::Survey] {
        let by_openssl = library_in(size, |scratch, address| {
            openssl(scratch, address, "MinProtocol = TLSv1\nMaxProtocol = TLSv1", "ALL@SECLEVEL=0")
        });
        let by_gnutls =
            library_in(size, |_, address| gnutls_command(address, "NORMAL:-VERS-TLS-ALL:+VERS-TLS1.0"));
        for report in [by_openssl, by_gnutls] {
            assert_eq!(report.outcome, EndpointVerdict::TlsFailed, "{size}: {}", report.summary);
            assert_eq!(versions(&report), ["TLS 1.0"], "{size}");
            let none = finding(&report, "tls-none");
            assert_eq!(none.outcome, CheckOutcome::Fail, "{size}: {}", none.summary);
            assert!(report.summary.ends_with(&none.summary), "{}", report.summary);
            assert!(evidence(&report, "tls-none").contains("ServerHello: TLS 1.0"), "{size}");
            assert!(survey(&report).hellos <= size.connections(), "{size}");
            let secure = finding(&report, "tls-renegotiation");
            assert_eq!(secure.outcome, CheckOutcome::Pass, "{size}: {}", secure.summary);
        }
    }
}

#[test]
fn openssl_with_everything_offers_null_and_anonymous_suites() {
    const EVERYTHING: &str = "ALL:COMPLEMENTOFALL@SECLEVEL=0";
    let report = library(|scratch, address| openssl(scratch, address, "MinProtocol = None", EVERYTHING));
    assert_eq!(versions(&report), ["TLS 1.3", "TLS 1.2", "TLS 1.1", "TLS 1.0"]);
    for id in ["tls-deprecated", "tls-null", "tls-anon", "tls-static"] {
        let found = finding(&report, id);
        assert!(matches!(found.outcome, CheckOutcome::Fail | CheckOutcome::Warning), "{found:?}");
    }
    // Debian's library contains neither.
    for id in ["tls-ssl", "tls-export", "tls-weak"] {
        assert_eq!(outcome(&report, id), CheckOutcome::Pass, "{id}");
    }
}

#[test]
fn gnutls_with_weak_suites_follows_the_order_of_the_client() {
    let report = library(|_, address| {
        gnutls_command(address, "NORMAL:+ARCFOUR-128:+3DES-CBC:+ANON-DH:+ANON-ECDH:+NULL:+MD5")
    });
    for id in ["tls-deprecated", "tls-null", "tls-anon", "tls-weak", "tls-block"] {
        let found = finding(&report, id);
        assert!(matches!(found.outcome, CheckOutcome::Fail | CheckOutcome::Warning), "{found:?}");
    }
    assert_eq!(outcome(&report, "tls-ssl"), CheckOutcome::Pass);
    assert_eq!(survey(&report).preference.as_deref(), Some("client"));
    assert!(matches!(outcome(&report, "tls-order"), CheckOutcome::Fail | CheckOutcome::Warning));
}
