//! The resolver and the trusted roots of the commands that look up policies.

use std::net::SocketAddr;
use std::time::Duration;

use starttls::{Connector, ConnectorBuilder};
use starttls_dns::{AdTrust, Stub, system_resolvers};

use crate::args::{Resolver, Trust, Way};
use crate::error::Failed;
use crate::input;

/// Returns the stub resolver. The AD bit counts from a loopback address, from resolvers that `/etc/resolv.conf` declares
/// trusted, and from one that the user declares trusted.
pub(crate) fn stub(args: &Resolver, timeout: Duration) -> Result<Stub, Failed> {
    let usage = |error: starttls_dns::StubError| Failed::usage(error.to_string());
    let (addresses, declared): (Vec<SocketAddr>, bool) = match args.resolver {
        Some(address) => (vec![address], args.trust_ad),
        None => {
            let system = system_resolvers().map_err(usage)?;
            (system.addresses, args.trust_ad || system.trust_ad)
        }
    };
    let trust = if declared { AdTrust::Declared } else { AdTrust::Loopback };
    Ok(Stub::new(addresses, trust).map_err(usage)?.timeout(timeout))
}

/// Refuses a lookup beside a proxy. A DNS question on the direct way would reveal the domain to the network that the proxy
/// hides it from.
pub(crate) fn check_no_proxy(way: &Way, hint: &str) -> Result<(), Failed> {
    if way.proxy.is_none() {
        return Ok(());
    }
    let why = "policies are looked up in DNS, and DNS questions do not go through --proxy";
    Err(Failed::usage(why).hint(Some(hint.to_owned())))
}

/// Returns a builder that trusts the system's roots, and those of a file.
pub(crate) fn roots(args: &Trust) -> Result<ConnectorBuilder, Failed> {
    let mut builder = Connector::builder();
    if let Some(path) = &args.ca_file {
        builder = builder.roots_pem(input::read(path, input::PEM)?);
    }
    Ok(if args.no_system_roots { builder.no_system_roots() } else { builder })
}
