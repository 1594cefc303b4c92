//! More handshakes: the ALPN id of another protocol, other server names.

use std::net::{IpAddr, Ipv4Addr};

use starttls::Connector;
use starttls::proto::{Escaped, Protocol};

use super::{Context, Cost, Probe, Running};
use crate::check::{Check, id};
use crate::error::ProbeError;
use crate::finding::{FindingBuilder, ProbeResult};
use crate::message;
use crate::plan::Plan;
use crate::record::Log;
use crate::report::{CertificateReport, CheckOutcome, Severity};
use crate::selection::Selection;

/// A completed handshake.
struct Handshake {
    own: Option<CertificateReport>,
    alpn: Option<Vec<u8>>,
}

/// Upgrades with this connector and server name, and ends the session.
async fn handshake(
    plan: &Plan,
    purpose: &str,
    connector: &Connector,
    name: &str,
    log: &Log,
) -> Result<Handshake, ProbeError> {
    let _place = plan.place().await;
    let mut inside = plan.upgrade_with(connector, name, purpose, log).await?;
    let facts = inside.session().facts();
    let own = facts.chain.first().map(|der| CertificateReport::read(der));
    let handshake = Handshake { own, alpn: facts.alpn.clone() };
    inside.quit().await;
    Ok(handshake)
}

/// Offers only the ALPN id of another protocol (rule S7, CVE-2021-3618).
pub(super) struct ForeignAlpn;

impl Probe for ForeignAlpn {
    fn checks(&self) -> &'static [&'static Check] {
        &[id::SRV_ALPN]
    }

    fn cost(&self, _: &Selection, _: &'static Protocol) -> Cost {
        Cost::new(1)
    }

    fn run<'a>(&'a self, context: &'a Context<'a>) -> Running<'a> {
        Box::pin(foreign_alpn(context.plan))
    }

    fn runs_with_implicit_tls(&self) -> bool {
        true
    }
}

async fn foreign_alpn(plan: &Plan) -> ProbeResult {
    let check = id::SRV_ALPN;
    let mut result = ProbeResult::default();
    let (connector, purpose) = (&plan.connectors.foreign_alpn, "only another protocol's ALPN id");
    let finding = match handshake(plan, purpose, connector, &plan.server_name, &result.log).await {
        Ok(Handshake { alpn: Some(chosen), .. }) => {
            let why = message::OTHER_ALPN_ACCEPTED.with(&[("id", &Escaped(&chosen))]);
            FindingBuilder::fail(check, why)
        }
        // RFC 7301 leaves it to the server, and most servers ignore ALPN.
        Ok(_) => {
            let why = "the server ignores ALPN: an attacker can redirect a client of another protocol here";
            FindingBuilder::new(check, CheckOutcome::Warning, why).severity(Severity::Info)
        }
        Err(ProbeError::Handshake(fault)) if fault.is_alert => {
            FindingBuilder::pass(check, "the server refuses the ALPN id of another protocol")
        }
        Err(error) => FindingBuilder::inconclusive(check, &error),
    };
    result.push_with_last(finding);
    result
}

/// Upgrades without a server name, and with an unknown one.
pub(super) struct OtherNames;

impl Probe for OtherNames {
    fn checks(&self) -> &'static [&'static Check] {
        &[id::CERT_NO_SNI, id::CERT_UNKNOWN_SNI]
    }

    fn cost(&self, selection: &Selection, _: &'static Protocol) -> Cost {
        Cost::new(self.checks().iter().map(|check| u32::from(selection.wants(check))).sum())
    }

    fn run<'a>(&'a self, context: &'a Context<'a>) -> Running<'a> {
        Box::pin(other_names(context))
    }

    fn runs_with_implicit_tls(&self) -> bool {
        true
    }
}

async fn other_names(context: &Context<'_>) -> ProbeResult {
    let plan = context.plan;
    let mut result = ProbeResult::default();
    // RFC 6066 section 3: an address is not sent in SNI. Any address will do, because no name is verified here.
    let address = plan.address.ip().unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let cases = [
        (id::CERT_NO_SNI, "without a name in SNI", address.to_string(), message::OTHER_WITHOUT_SNI),
        (
            id::CERT_UNKNOWN_SNI,
            "with an unknown name in SNI",
            String::from("unknown.starttls-probe.invalid"),
            message::OTHER_WITH_UNKNOWN_SNI,
        ),
    ];
    for (check, purpose, name, other) in cases.into_iter().filter(|case| plan.selection.wants(case.0)) {
        let info =
            |text: String| FindingBuilder::new(check, CheckOutcome::Info, format!("{purpose}, {text}"));
        let finding = match handshake(plan, purpose, &plan.connectors.open, &name, &result.log).await {
            Ok(Handshake { own: Some(own), .. }) if Some(own.sha256.as_str()) == context.fingerprint() => {
                info(String::from("the server presents the same certificate"))
            }
            Ok(Handshake { own: Some(own), .. }) => {
                let names = own.names.join(", ");
                FindingBuilder::new(check, CheckOutcome::Info, other.with(&[("names", &names)]))
            }
            Ok(_) => info(String::from("the server presents no certificate")),
            Err(ProbeError::Handshake(why)) => info(format!("the handshake fails: {why}")),
            Err(error) => FindingBuilder::inconclusive(check, &error),
        };
        result.push_with_last(finding);
    }
    result
}
