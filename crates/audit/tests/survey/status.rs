//! What the session of the audit shows about the certificate's status, its timestamps and early data.

use std::process::Command;

use starttls::proto::protocol;
use starttls_audit::SurveyExtent;
use starttls_audit::report::{CheckOutcome, EndpointReport, Severity};
use starttls_hello::WalkSize;
use starttls_lab::ca::Authority;
use starttls_lab::rogue::{Quirk, Rogue, Weakness};
use starttls_testkit::process::{Scratch, program, run};

use crate::real::{gnutls_command, library_in, openssl_command};
use crate::{Asked, audited, finding};

async fn with_staple(rogue: &Rogue, authority: &Authority) -> EndpointReport {
    let root = authority.root_pem();
    let extent = SurveyExtent::new(WalkSize::Brief);
    let (address, server_name) = (rogue.address(), rogue.server_name());
    let protocol = rogue.protocol();
    audited(&Asked { protocol, address, server_name, root: &root, implicit: false, extent }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stapled_response_is_verified_and_its_status_counts() {
    let authority = Authority::new().unwrap();
    let smtp = protocol("submission").unwrap();
    for (weakness, severity, summary) in [
        (Weakness::RevokedStaple, Severity::Critical, "was revoked on"),
        (Weakness::OutdatedStaple, Severity::Warning, "it ended on"),
        (Weakness::ForgedStaple, Severity::Warning, "not signed by the CA"),
        (Weakness::MissingStaple, Severity::Warning, "the server sends none"),
    ] {
        let rogue = Rogue::start(smtp, weakness, &authority).unwrap();
        let report = with_staple(&rogue, &authority).await;
        let found = finding(&report, "cert-ocsp");
        assert!(matches!(found.outcome, CheckOutcome::Fail | CheckOutcome::Warning), "{found:?}");
        assert!(found.summary.contains(summary), "{weakness:?}: {}", found.summary);
        assert_eq!(found.severity, severity, "{weakness:?}");
    }
    let stapled = Quirk::ALL.iter().find(|it| it.name() == "an OCSP response is stapled").unwrap();
    let rogue = stapled.start(smtp, &authority).unwrap();
    let report = with_staple(&rogue, &authority).await;
    let found = finding(&report, "cert-ocsp");
    assert_eq!(found.outcome, CheckOutcome::Pass, "{}", found.summary);
    assert!(found.summary.contains("not revoked, signed by the CA"), "{}", found.summary);
}

/// The tickets of GnuTLS permit early data if it is started so.
#[test]
fn early_data_is_found_in_the_tickets_of_the_session() {
    for (arguments, limit) in [(&["--earlydata", "--maxearlydata", "4096"][..], Some(4096)), (&[], Some(0))] {
        let report = library_in(WalkSize::Brief, |_, address| {
            let mut command = gnutls_command(address, "NORMAL");
            command.args(arguments);
            command
        });
        let tls = report.tls.as_ref().unwrap();
        assert_eq!(tls.early_data_limit, limit, "{arguments:?}: {}", report.summary);
        // HTTP has a profile for early data (RFC 8470), so that it is a note.
        let outcome = if limit == Some(0) { CheckOutcome::Pass } else { CheckOutcome::Info };
        let found = finding(&report, "tls-early-data");
        assert_eq!(found.outcome, outcome, "{}", found.summary);
    }
}

#[test]
fn signed_certificate_timestamps_are_counted_in_the_certificate() {
    let report = library_in(WalkSize::Brief, |scratch, address| {
        // Two timestamps of three octets and one octet, which no log has signed.
        certificate(scratch, "1.3.6.1.4.1.11129.2.4.2=DER:04:0a:00:08:00:03:61:62:63:00:01:61");
        openssl_command(address)
    });
    let found = finding(&report, "cert-transparency");
    assert_eq!(found.outcome, CheckOutcome::Pass, "{}", found.summary);
    assert!(found.summary.contains("2 in the certificate"), "{}", found.summary);
}

/// Only public CAs have to log their certificates. They mark them with a policy, such as "domain validated".
#[test]
fn timestamps_are_missing_from_a_certificate_of_a_public_ca_only() {
    for (policy, outcome) in [
        ("certificatePolicies=2.23.140.1.2.1", CheckOutcome::Info),
        ("certificatePolicies=1.3.6.1.4.1.99999.1", CheckOutcome::NotApplicable),
    ] {
        let report = library_in(WalkSize::Brief, |scratch, address| {
            certificate(scratch, policy);
            openssl_command(address)
        });
        let found = finding(&report, "cert-transparency");
        assert_eq!(found.outcome, outcome, "{policy}: {}", found.summary);
    }
}

/// Replaces the certificate of the server by one with this extension.
fn certificate(scratch: &Scratch, extension: &str) {
    let mut command = Command::new(program("openssl", "openssl").unwrap());
    command.args(["req", "-x509", "-nodes", "-subj", "/CN=localhost", "-newkey", "rsa:2048"]);
    command.args(["-addext", "subjectAltName=DNS:localhost", "-addext", extension]);
    command.args(["-keyout", "key.pem", "-out", "cert.pem"]);
    run(command.current_dir(scratch.path())).unwrap();
}
