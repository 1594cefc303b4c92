//! `starttls policy tlsa`.

use starttls::validity;
use starttls_dns::{DnsName, DnsQuestion, RecordData, RecordType, TlsaData};
use starttls_policy::rollover::{RECOMMENDED_TTL, RolloverState, classify, has_rollover_scheme, plan};
use starttls_policy::tlsa::{self, PublicKeyFacts};

use super::{keys, resolver};
use crate::args::PolicyTlsa;
use crate::console;
use crate::error::Failed;
use crate::exit;
use crate::output::Sink;
use crate::target::{Mode, Target};

pub(super) async fn run(args: &PolicyTlsa) -> Result<u8, Failed> {
    let mut sink = Sink::open(&args.output)?;
    let target = args.live.as_deref().map(str::parse::<Target>).transpose()?;
    let chain = match (&target, &args.from) {
        (Some(target), _) => live(args, target).await?,
        (None, Some(path)) => keys::read(path)?,
        (None, None) => return Err(Failed::usage("specify the certificate with --from or --live")),
    };
    let owner = owner(args, target.as_ref())?;
    let own = choose(args, &chain)?;
    let ttl = u32::try_from(args.ttl.as_secs()).unwrap_or(RECOMMENDED_TTL);
    let line = |record: &TlsaData| tlsa::zone_line(owner.as_str(), ttl, record, args.generic);
    warn(args, &own, ttl);
    let next = match &args.next {
        None => None,
        Some(path) => {
            let next = keys::read(path)?;
            Some((choose(args, &next)?, next))
        }
    };
    let mut code = exit::DONE;
    let in_dns = if args.look_up { look_up(args, &owner, &mut sink).await? } else { args.published.clone() };
    if !in_dns.is_empty() {
        let next = next.as_ref().and_then(|(_, chain)| chain.first());
        let state = classify(&in_dns, &chain, next);
        published(&in_dns, &chain, &mut sink)?;
        sink.line(state.text())?;
        let scheme = if has_rollover_scheme(&in_dns) { "yes" } else { "no" };
        sink.line(&format!("rollover scheme: {scheme}"))?;
        if state == RolloverState::Broken {
            code = exit::FINDINGS;
        }
    }
    match next {
        None if in_dns.is_empty() => sink.line(&line(&own))?,
        None => {}
        Some((next, _)) => {
            let current = if in_dns.is_empty() { vec![own] } else { in_dns };
            for (index, step) in plan(&current, &next, ttl, args.propagation.as_secs()).iter().enumerate() {
                let after = i64::try_from(step.after).unwrap_or(i64::MAX);
                let at = validity::rfc3339(validity::now().saturating_add(after));
                let when = match (step.after, index) {
                    (0, _) => format!("now ({at})"),
                    (_, 2) => format!("not before {at}, after step 2"),
                    _ => format!("not before {at}, {} after step 1", hours(step.after)),
                };
                sink.line(&format!("{}. {when}: {}", index + 1, step.action))?;
                step.zone.iter().try_for_each(|record| sink.line(&format!("   {}", line(record))))?;
                sink.line(&format!("   the server uses the {} key", step.server))?;
            }
        }
    }
    sink.finish()?;
    Ok(code)
}

/// Returns the chain that the server presents. Its certificate need not be valid: usage 3 does not require that.
async fn live(args: &PolicyTlsa, target: &Target) -> Result<Vec<PublicKeyFacts>, Failed> {
    let peer = args.dialing.peer();
    let connector = peer.builder(true)?.insecure().build()?;
    let endpoint = match peer.dial_target(target)? {
        crate::peer::Dial::Tcp(endpoint) => endpoint,
        crate::peer::Dial::Unix(_) => {
            return Err(Failed::usage("--connect unix: is not supported with --live"));
        }
    };
    let stream = match target.mode {
        Mode::Upgrade => connector.connect(target.protocol, endpoint).await?,
        Mode::ImplicitTls => connector.connect_implicit(target.protocol, endpoint).await?,
    };
    let chain = keys::of_chain(&stream.facts().chain);
    if chain.is_empty() {
        return Err(Failed::new(exit::TLS, "the server's certificate cannot be parsed"));
    }
    Ok(chain)
}

/// Returns the records in DNS. Senders ignore records that DNSSEC does not prove.
async fn look_up(args: &PolicyTlsa, owner: &DnsName, sink: &mut Sink) -> Result<Vec<TlsaData>, Failed> {
    let peer = args.dialing.peer();
    resolver::check_no_proxy(&peer.way, "give the records with --published")?;
    let stub = resolver::stub(&args.resolver, peer.timeout)?;
    let question = DnsQuestion { name: owner.clone(), record: RecordType::Tlsa };
    let answer = stub.ask(&question).await;
    if let Some(failure) = answer.failure() {
        let why = format!("the lookup of {question} failed: {failure}");
        let hint = "senders that use DANE defer the mail until the lookup succeeds";
        return Err(Failed::new(exit::INCONCLUSIVE, why).hint(Some(hint.into())));
    }
    let records: Vec<TlsaData> = answer
        .records()
        .iter()
        .filter_map(|it| if let RecordData::Tlsa(record) = it { Some(record.clone()) } else { None })
        .collect();
    match (records.is_empty(), answer.is_secure()) {
        (true, _) => sink.line(&format!("no TLSA record is published at {owner}"))?,
        (false, true) => {}
        (false, false) => console::warning(
            &"DNSSEC does not prove the records: the zone is not signed, or the resolver does not validate or is not trusted",
        ),
    }
    Ok(records)
}

/// Returns the name of the records: `_25._tcp.mx.example.com`.
fn owner(args: &PolicyTlsa, target: Option<&Target>) -> Result<DnsName, Failed> {
    let name = match (&args.name, target) {
        (Some(name), _) => name.clone(),
        (None, Some(target)) => {
            let name = target.host.ascii.parse::<DnsName>().ok().filter(DnsName::is_host);
            let hint = Some(String::from("specify the host name with --name"));
            name.ok_or_else(|| Failed::usage("an address has no TLSA records").hint(hint))?
        }
        (None, None) => return Err(Failed::usage("specify the host name with --name")),
    };
    let port = args.port.or(target.map(|it| it.port)).unwrap_or(25);
    name.below(&format!("_{port}._tcp")).map_err(|error| Failed::usage(error.to_string()))
}

/// Returns the record for the server's own certificate, or for the last CA of the chain with usage 2.
fn choose(args: &PolicyTlsa, chain: &[PublicKeyFacts]) -> Result<TlsaData, Failed> {
    let selector = args.selector.unwrap_or(if args.usage == 2 { 0 } else { 1 });
    let of = match args.usage {
        2 => chain.get(1..).and_then(<[_]>::last).ok_or_else(|| {
            let hint = String::from("usage 2 needs the certificate of a CA that the server sends");
            Failed::usage("the chain contains only the server's own certificate").hint(Some(hint))
        })?,
        _ => chain.first().ok_or_else(|| Failed::usage("the file contains no certificate"))?,
    };
    tlsa::record(args.usage, selector, args.matching, of).ok_or_else(|| {
        let hint = String::from("use --selector 1, or a certificate");
        Failed::usage("a key or a request has no certificate for selector 0").hint(Some(hint))
    })
}

fn warn(args: &PolicyTlsa, record: &TlsaData, ttl: u32) {
    if record.matching == 0 {
        console::warning(&"matching type 0 publishes the data itself: large records fail on some paths");
    }
    if (record.usage, record.selector) == (3, 0) {
        console::warning(
            &"selector 0 with usage 3 changes with every renewal of the certificate: use selector 1",
        );
    }
    if record.usage == 2 {
        console::warning(
            &"usage 2 requires that the server sends this CA certificate; CAs change it without notice",
        );
    }
    if ttl > RECOMMENDED_TTL && args.published.is_empty() && !args.look_up {
        console::warning(&"after a lost key, mail fails for the time to live: use an hour or less");
    }
}

/// Writes what each published record matches.
fn published(records: &[TlsaData], chain: &[PublicKeyFacts], sink: &mut Sink) -> Result<(), Failed> {
    for record in records {
        let verdict = match (tlsa::fault(record), tlsa::matching_index(record, chain)) {
            (Some(fault), _) => format!("unusable: {}", fault.text()),
            (None, Some(0)) => String::from("matches the server's own certificate"),
            (None, Some(index)) => format!("matches certificate {} of the chain", index + 1),
            (None, None) => String::from("matches no certificate in use"),
        };
        sink.line(&format!(
            "{} {} {} {}: {verdict}",
            record.usage,
            record.selector,
            record.matching,
            shortened(record)
        ))?;
    }
    Ok(())
}

/// Returns the first octets of the data.
fn shortened(record: &TlsaData) -> String {
    let hex: String = record.data.iter().take(8).map(|octet| format!("{octet:02x}")).collect();
    if record.data.len() > 8 { format!("{hex}…") } else { hex }
}

fn hours(seconds: u64) -> String {
    let (hours, minutes) = (seconds / 3600, seconds / 60 % 60);
    if minutes == 0 { format!("{hours} h") } else { format!("{hours} h {minutes} min") }
}
