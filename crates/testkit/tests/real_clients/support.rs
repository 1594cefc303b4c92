//! The lab for tests with client programs.

use starttls_lab::{Lab, LabEndpoint, Options};

pub(crate) use crate::client::{Client, Said, base64, client};

#[expect(clippy::print_stderr, reason = "it is shown if the test fails")]
pub(crate) fn lab() -> Lab {
    let log = |incident: &starttls_lab::Incident| eprintln!("lab: {incident}");
    Lab::start(Options { log: Some(std::sync::Arc::new(log)), ..Options::default() }).unwrap()
}

pub(crate) fn endpoint<'a>(lab: &'a Lab, scheme: &str) -> &'a LabEndpoint {
    lab.endpoint(scheme).unwrap_or_else(|| panic!("the lab does not serve {scheme}"))
}

/// The initial response of SASL PLAIN, as Base64.
pub(crate) fn plain(lab: &Lab) -> String {
    base64(&format!("\0{}\0{}", lab.user(), lab.password()))
}
