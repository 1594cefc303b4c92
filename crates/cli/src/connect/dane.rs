//! Authentication by TLSA records, for `connect --tlsa` and `connect --dane`.

use std::sync::Arc;

use starttls::dane::{DaneVerifier, TlsaRecord};
use starttls::rustls::crypto::aws_lc_rs;
use starttls_dns::{DnsName, TlsaData};
use starttls_policy::dane::{HostDane, NextHop};
use starttls_policy::drive::domain_facts;
use starttls_policy::tlsa;

use crate::args::Connect;
use crate::error::Failed;
use crate::exit;
use crate::policy::resolver;
use crate::target::Target;

/// Returns the verifier that the options ask for, if they do.
pub(super) async fn verifier(args: &Connect, target: &Target) -> Result<Option<Arc<DaneVerifier>>, Failed> {
    let name = args.peer.server_name(&target.host.ascii);
    let records = match (args.dane, args.tlsa.as_slice()) {
        (false, []) => return Ok(None),
        (false, given) => tlsa::usable(given),
        (true, _) => published(args, target, name).await?,
    };
    if records.is_empty() {
        return Err(Failed::usage(
            "no TLSA record can be used: expected usage 2 or 3 with data of the right length",
        ));
    }
    let records = records.into_iter().map(|TlsaData { usage, selector, matching, data }| TlsaRecord {
        usage,
        selector,
        matching,
        data,
    });
    let verifier =
        DaneVerifier::new(records.collect(), vec![name.to_owned()], Arc::new(aws_lc_rs::default_provider()));
    Ok(Some(Arc::new(verifier)))
}

/// Looks up the records of the server.
async fn published(args: &Connect, target: &Target, name: &str) -> Result<Vec<TlsaData>, Failed> {
    let host: DnsName =
        name.parse().map_err(|error: starttls_dns::InvalidName| Failed::usage(error.to_string()))?;
    resolver::check_no_proxy(&args.peer.way, "give the records with --tlsa")?;
    let stub = resolver::stub(&args.resolver, args.peer.timeout)?;
    let inconclusive = |message: String| Failed::new(exit::INCONCLUSIVE, message);
    stub.self_test().await.map_err(|error| {
        let hint = "use a resolver on this machine that validates DNSSEC, or give the record with --tlsa";
        inconclusive(error.to_string()).hint(Some(hint.into()))
    })?;
    let facts = domain_facts(&stub, &NextHop::Host(host.clone()), target.port).await;
    match facts.hosts.into_iter().next().map(|it| it.dane) {
        Some(HostDane::Records(records)) if records.base == host => Ok(records.usable),
        Some(HostDane::Records(records)) => {
            let hint = format!("use --server-name {}", records.base);
            Err(Failed::usage(format!("{host} is an alias, and its TLSA records are for {}", records.base))
                .hint(Some(hint)))
        }
        Some(HostDane::Failed { question, failure }) => {
            Err(inconclusive(format!("the lookup of {question} failed: {failure}")))
        }
        _ => Err(Failed::new(
            exit::TLS,
            format!("no secure TLSA records exist for {host} and port {}", target.port),
        )),
    }
}
