//! Finds the servers for a message: the target, or the domain's mail exchangers in order of preference.

use std::net::IpAddr;

use starttls::proto::{ProtocolFamily, smtp::SMTP};
use starttls_dns::DnsName;
use starttls_policy::dane::{DomainFacts, ExchangerState, HostFacts, NextHop};
use starttls_policy::decide::{PolicyChoice, SkipReason};

use super::cache::PolicyCache;
use super::policy::{HostPolicy, Policies};
use super::tlsrpt::Reporting;
use crate::args::{Peer, Send};
use crate::error::Failed;
use crate::exit;
use crate::peer::Dial;
use crate::policy::resolver;
use crate::target::{Mode, Target};

/// A server to try.
pub(super) struct Hop {
    pub(super) target: Target,
    /// The address to dial, or why the message must not be delivered there.
    pub(super) dial: Result<Dial, Failed>,
    /// What policies require there; `None` if they were not looked up.
    pub(super) policy: Option<HostPolicy>,
    /// Why the host is not connected to, for a report.
    pub(super) skip: Option<SkipReason>,
}

/// The limit for the addresses of mail exchangers, as in Postfix (`smtp_mx_address_limit`). Each attempt takes up to
/// `--timeout`, and the domain's DNS decides how many addresses there are.
const MOST: usize = 5;

/// The servers to try.
#[derive(Default)]
pub(super) struct Route {
    /// The preferred one first.
    pub(super) hops: Vec<Hop>,
    /// The exchangers and addresses beyond the limit.
    pub(super) left_out: Vec<String>,
    /// What the sender could not find out about policies.
    pub(super) notes: Vec<String>,
    /// What sessions are reported about.
    pub(super) reporting: Option<Reporting>,
}

/// Finds the servers to try.
pub(super) async fn find(args: &Send) -> Result<Route, Failed> {
    let cache = PolicyCache::open(args)?;
    match &args.target {
        Some(target) => to_target(args, cache.as_ref(), target.parse()?).await,
        None => to_domain(args, cache.as_ref(), domain(args)?).await,
    }
}

async fn to_target(args: &Send, cache: Option<&PolicyCache>, target: Target) -> Result<Route, Failed> {
    if target.protocol.family != ProtocolFamily::Smtp {
        let hint = String::from("use submission://, smtp://, smtps:// or lmtp://");
        return Err(Failed::usage(format!("{} is not a protocol for sending mail", target.protocol.title))
            .hint(Some(hint)));
    }
    let dial = args.peer.dial_target(&target)?;
    let choice = args.policy_choice();
    let name = target.host.ascii.parse::<DnsName>().ok().filter(DnsName::is_host);
    // An address has no policies (RFC 7672 section 2.2, RFC 8461 section 3.4).
    let Some(name) = name.filter(|_| choice != PolicyChoice::None) else {
        let hop = Hop { target, dial: Ok(dial), policy: None, skip: None };
        return Ok(Route { hops: vec![hop], ..Route::default() });
    };
    resolver::check_no_proxy(&args.peer.way, "leave out --policy: the certificate must be trusted then")?;
    let stub = resolver::stub(&args.resolver, args.peer.timeout)?;
    let policies = Policies::look_up(args, cache, &stub, NextHop::Host(name), target.port).await?;
    let Some(host) = policies.facts.hosts.first() else { return Err(Failed::bug("no host to deliver to")) };
    let (policy, skip) = policies.of(host);
    // The system resolves the name as it does without policies.
    let dial = match &skip {
        None | Some(SkipReason::NoAddress) => Ok(policy.named(dial)),
        Some(reason) => Err(policy.skipped(reason)),
    };
    Ok(Route {
        hops: vec![Hop { target, dial, policy: Some(policy), skip }],
        notes: policies.notes,
        ..Route::default()
    })
}

async fn to_domain(args: &Send, cache: Option<&PolicyCache>, domain: DnsName) -> Result<Route, Failed> {
    let stub = resolver::stub(&args.resolver, args.peer.timeout)?;
    let next_hop = NextHop::Domain(domain.clone());
    let policies = Policies::look_up(args, cache, &stub, next_hop, args.mx_port).await?;
    let facts = &policies.facts;
    check_exchangers(facts, &domain)?;
    let (mut hops, mut left_out) = (Vec::new(), Vec::new());
    let (port, mut dialed) = (args.mx_port, 0);
    for host in &facts.hosts {
        // An exchanger that is not a host name does not exist for senders (RFC 5321 section 5.1).
        let Some(name) = host.name() else { continue };
        if dialed >= MOST {
            left_out.push(name.to_string());
            continue;
        }
        let target = Target { protocol: &SMTP, mode: Mode::Upgrade, host: name.as_str().parse()?, port };
        let (policy, skip) = policies.of(host);
        let hop = |dial| Hop { target: target.clone(), dial, policy: Some(policy.clone()), skip: None };
        match skip {
            Some(SkipReason::NoAddress) if args.peer.connect.is_none() => continue,
            None | Some(SkipReason::NoAddress) => {}
            Some(reason) => {
                hops.push(Hop { skip: Some(reason.clone()), ..hop(Err(policy.skipped(&reason))) });
                continue;
            }
        }
        if args.peer.connect.is_some() {
            dialed += 1;
            hops.push(hop(Ok(policy.named(args.peer.dial_target(&target)?))));
            continue;
        }
        for address in addresses(&args.peer, host) {
            if dialed >= MOST {
                left_out.push(format!("{name} ({address})"));
                continue;
            }
            dialed += 1;
            let endpoint = args.peer.endpoint(name.as_str(), port).at(address.to_string(), port);
            hops.push(hop(Ok(policy.named(Dial::Tcp(endpoint)))));
        }
    }
    if hops.is_empty() {
        let why = format!("no mail exchanger of {domain} has an address");
        return Err(Failed::new(exit::UNREACHABLE, why));
    }
    let reporting = Reporting::of(&policies);
    Ok(Route { hops, left_out, notes: policies.notes, reporting })
}

fn addresses<'a>(peer: &'a Peer, host: &'a HostFacts) -> impl Iterator<Item = &'a IpAddr> {
    host.addresses.iter().filter(|address| match (peer.ipv4, peer.ipv6) {
        (true, _) => address.is_ipv4(),
        (_, true) => address.is_ipv6(),
        _ => true,
    })
}

/// Checks that the domain accepts mail, as far as its records show.
fn check_exchangers(facts: &DomainFacts, domain: &DnsName) -> Result<(), Failed> {
    Err(match &facts.exchangers {
        ExchangerState::Known { .. } => return Ok(()),
        ExchangerState::NullMx => {
            let why = format!("{domain} accepts no mail: it has a null MX record (RFC 7505)");
            Failed::new(exit::FINDINGS, why)
        }
        ExchangerState::NoDomain => {
            Failed::new(exit::UNREACHABLE, format!("the domain {domain} does not exist"))
        }
        // The mail exchangers may exist, and may have policies (RFC 7672 section 2.1.2).
        ExchangerState::Failed(failure) => {
            let why = format!("cannot look up the mail exchangers of {domain}: {failure}");
            Failed::new(exit::INCONCLUSIVE, why).hint(Some(String::from(
                "the problem may be temporary: try again later, or ask another resolver with --resolver",
            )))
        }
    })
}

/// Returns the domain of the recipients, which must be the same for all.
fn domain(args: &Send) -> Result<DnsName, Failed> {
    let mut domains = args.to.iter().map(|to| to.rsplit_once('@').map_or("", |(_, domain)| domain));
    let first = domains.next().unwrap_or_default();
    if first.is_empty() {
        return Err(Failed::usage("invalid recipient for --mx: expected NAME@DOMAIN"));
    }
    if !domains.all(|domain| domain.eq_ignore_ascii_case(first)) {
        return Err(Failed::usage("with --mx, all recipients must have the same domain"));
    }
    if let Some(literal) = first.strip_prefix('[') {
        let hint = format!("send to the address: smtp://{}", literal.trim_end_matches(']'));
        return Err(Failed::usage("an address literal has no mail exchangers").hint(Some(hint)));
    }
    first.parse().map_err(|error: starttls_dns::InvalidName| Failed::usage(error.to_string()))
}
