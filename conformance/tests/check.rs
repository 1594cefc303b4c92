//! Audits every real server of the lab. The findings must be exactly those that `check/SERVER.txt` expects.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

use std::path::Path;
use std::time::Duration;

use starttls::Connector;
use starttls_audit::{Audit, Limits};
use starttls_conformance::{differences, read};
use starttls_testkit::real::{RealServer, Setup};

/// The time limit for one endpoint, on a busy machine.
const DEADLINE: Duration = Duration::from_secs(180);

starttls_testkit::each_real_server!(audit);

fn audit(server: &RealServer) {
    let name = server.name;
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("check/{name}.txt"));
    let expected = read(&std::fs::read_to_string(&file).unwrap()).unwrap();
    for it in &expected {
        assert!(server.protocols.contains(&it.protocol.as_str()), "{name} does not speak {}", it.protocol);
    }
    let setup = Setup::new().unwrap();
    let running = (server.start)(&setup).unwrap_or_else(|error| panic!("{name}: {error}"));
    let root = setup.authority.root_pem();
    let audit =
        Audit::new(|| Connector::builder().no_system_roots().roots_pem(root.clone()), Limits::default())
            .unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let mut wrong = Vec::new();
    for endpoint in &running.endpoints {
        let protocol = starttls::proto::protocol(endpoint.protocol).unwrap();
        let target = format!("{}://{}", endpoint.protocol, endpoint.server_name);
        let report = runtime.block_on(async {
            let audit = audit.endpoint(protocol, &target, &endpoint.server_name, endpoint.address);
            tokio::time::timeout(DEADLINE, audit).await.unwrap()
        });
        if report.connections > Limits::default().connections {
            wrong.push(format!("{} took {} connections", endpoint.protocol, report.connections));
        }
        wrong.extend(differences(&expected, endpoint.protocol, &report.findings));
    }
    assert!(wrong.is_empty(), "{name}:\n{}", wrong.join("\n"));
}
