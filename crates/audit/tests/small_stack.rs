//! An audit needs little stack: its futures are on the heap, in builds without optimization too.

use std::time::Duration;

use starttls::proto::protocol;
use starttls::{Connector, TlsVersion};
use starttls_audit::report::EndpointVerdict;
use starttls_audit::{Audit, Limits};
use starttls_lab::ca::Authority;
use starttls_lab::rogue::{Rogue, Weakness};
use tokio::runtime::Builder;

/// The stack of a thread, in octets. The usual one has 2 MiB, of which a program needs some for itself.
const STACK: usize = 768 * 1024;

#[test]
fn an_audit_fits_a_small_stack() {
    let authority = Authority::new().unwrap();
    let smtp = protocol("smtp").unwrap();
    // The longest audit: what the injection reached is asked again and again.
    let tls = (TlsVersion::Tls12, TlsVersion::Tls12);
    let rogue = Rogue::start_with(smtp, Weakness::Eager, &authority, tls).unwrap();
    let root = authority.root_pem();
    let runtime = Builder::new_multi_thread().worker_threads(2).thread_stack_size(STACK).enable_all().build();
    let report = runtime.unwrap().block_on(async move {
        // On a worker, whose stack is small; the main thread has another one.
        let audit = tokio::spawn(async move {
            let connector = || Connector::builder().no_system_roots().roots_pem(root.as_str());
            let audit = Audit::new(connector, Limits::default()).unwrap();
            audit.endpoint(smtp, "smtp://rogue", rogue.server_name(), rogue.address()).await
        });
        tokio::time::timeout(Duration::from_secs(300), audit).await.unwrap().unwrap()
    });
    assert_eq!(report.outcome, EndpointVerdict::Findings, "{}", report.summary);
}
