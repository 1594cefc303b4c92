//! Finds the servers for a message: the target, or the domain's mail exchangers in order of preference.

use starttls::proto::{ProtocolFamily, smtp::SMTP};

use crate::args::Send;
use crate::dns::{Answer, Dns, Family};
use crate::error::Failed;
use crate::exit;
use crate::peer::Dial;
use crate::target::{Host, Mode, Target};

/// A server to try.
pub(super) struct Hop {
    pub(super) target: Target,
    pub(super) dial: Dial,
}

/// The limit for the addresses of mail exchangers, as in Postfix (`smtp_mx_address_limit`). Each attempt takes up to
/// `--timeout`, and the domain's DNS decides how many addresses there are.
const MOST: usize = 5;

/// The servers to try.
pub(super) struct Route {
    /// The preferred one first.
    pub(super) hops: Vec<Hop>,
    /// The exchangers and addresses beyond the limit.
    pub(super) left_out: Vec<String>,
}

/// Finds the servers to try.
pub(super) async fn find(args: &Send) -> Result<Route, Failed> {
    if let Some(target) = &args.target {
        let target: Target = target.parse()?;
        if target.protocol.family != ProtocolFamily::Smtp {
            let hint = String::from("use submission://, smtp://, smtps:// or lmtp://");
            return Err(Failed::usage(format!(
                "{} is not a protocol for sending mail",
                target.protocol.title
            ))
            .hint(Some(hint)));
        }
        let dial = args.peer.dial_target(&target)?;
        return Ok(Route { hops: vec![Hop { target, dial }], left_out: Vec::new() });
    }
    let domain = domain(args)?;
    let family = match (args.peer.ipv4, args.peer.ipv6) {
        (true, _) => Family::V4,
        (_, true) => Family::V6,
        _ => Family::Any,
    };
    let dns = Dns::new(args.resolver, family, args.peer.timeout);
    let (mut hops, mut left_out) = (Vec::new(), Vec::new());
    let mut last = None;
    for name in exchangers(&dns, &domain).await? {
        if hops.len() >= MOST {
            left_out.push(name);
            continue;
        }
        let target = Target { protocol: &SMTP, mode: Mode::Upgrade, host: name.parse()?, port: SMTP.port };
        if args.peer.connect.is_some() {
            let dial = args.peer.dial_target(&target)?;
            hops.push(Hop { target, dial });
            continue;
        }
        match dns.addresses(&name).await {
            Ok(addresses) => {
                for address in addresses {
                    if hops.len() >= MOST {
                        left_out.push(format!("{name} ({address})"));
                        continue;
                    }
                    let endpoint = args.peer.endpoint(&name, SMTP.port);
                    let dial = Dial::Tcp(endpoint.at(address.to_string(), SMTP.port));
                    hops.push(Hop { target: target.clone(), dial });
                }
            }
            Err(why) => last = Some(format!("cannot resolve {name}: {why}")),
        }
    }
    if hops.is_empty() {
        let why = last.unwrap_or_else(|| format!("no mail exchanger of {} has an address", domain.ascii));
        return Err(Failed::new(exit::UNREACHABLE, why));
    }
    Ok(Route { hops, left_out })
}

/// Returns the mail exchangers. Without MX records it is the domain itself (RFC 5321 section 5.1); a null MX means that
/// the domain accepts no mail (RFC 7505).
async fn exchangers(dns: &Dns, domain: &Host) -> Result<Vec<String>, Failed> {
    match dns.exchangers(&domain.ascii).await {
        Answer::Records(hosts) => {
            let names: Vec<String> = hosts.into_iter().filter_map(|host| host.name).collect();
            if names.is_empty() {
                let why = format!("{} accepts no mail: it has a null MX record (RFC 7505)", domain.ascii);
                return Err(Failed::new(exit::FINDINGS, why));
            }
            Ok(names)
        }
        Answer::Nothing => Ok(vec![domain.ascii.clone()]),
        Answer::NoSuchName => {
            Err(Failed::new(exit::UNREACHABLE, format!("the domain {} does not exist", domain.ascii)))
        }
        Answer::Failed(why) => Err(Failed::new(
            exit::UNREACHABLE,
            format!("cannot look up the mail exchangers of {}: {why}", domain.ascii),
        )),
    }
}

/// Returns the domain of the recipients, which must be the same for all.
fn domain(args: &Send) -> Result<Host, Failed> {
    let mut domains = args.to.iter().map(|to| to.rsplit_once('@').map_or("", |(_, domain)| domain));
    let first = domains.next().unwrap_or_default();
    if first.is_empty() {
        return Err(Failed::usage("invalid recipient for --mx: expected NAME@DOMAIN"));
    }
    if !domains.all(|domain| domain.eq_ignore_ascii_case(first)) {
        return Err(Failed::usage("with --mx, all recipients must have the same domain"));
    }
    first.parse()
}
