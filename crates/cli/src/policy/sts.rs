//! `starttls policy sts`.

use std::path::Path;
use std::time::Duration;

use starttls::validity;
use starttls_dns::DnsName;
use starttls_policy::dane::{ExchangerState, HostFacts, NextHop};
use starttls_policy::drive::domain_facts;
use starttls_policy::sts::{MAX_POLICY, MxPattern, StsDraft, StsMode, parse_policy};

use super::resolver;
use crate::args::{PolicySts, StsPart};
use crate::error::Failed;
use crate::output::Sink;
use crate::{exit, input};

/// The time limit of a lookup.
const LOOKUP_LIMIT: Duration = Duration::from_secs(10);

pub(super) async fn run(args: &PolicySts) -> Result<u8, Failed> {
    let mut sink = Sink::open(&args.output)?;
    if let Some(file) = &args.lint {
        return lint(file, &mut sink);
    }
    let Some(domain) = args.domain.clone() else { return Err(Failed::bug("no domain")) };
    let mode = StsMode::from(args.mode);
    let mut mx = args.mx.clone();
    if args.from_mx {
        let found = exchangers(args, &domain).await?;
        mx.extend(found.into_iter().filter(|it| !args.mx.contains(it)));
    }
    if mx.is_empty() && mode != StsMode::None {
        let hint = String::from("name each exchanger with --mx HOST, or take them from DNS with --from-mx");
        return Err(Failed::usage(format!("a policy in mode {mode} needs a pattern")).hint(Some(hint)));
    }
    let draft = StsDraft { domain, mode, max_age: args.max_age, mx };
    let id = args.id.clone().unwrap_or_else(|| id_of(validity::now()));
    let too_long = || Failed::usage("the domain is too long for the names of MTA-STS");
    let record = draft.zone_line(&id).ok_or_else(too_long)?;
    match args.print {
        StsPart::Text => sink.show(draft.text().as_bytes())?,
        StsPart::Record => sink.line(&record)?,
        StsPart::Plan => plan(&draft, &record, &draft.url().ok_or_else(too_long)?, &mut sink)?,
    }
    sink.finish()?;
    Ok(exit::DONE)
}

/// Returns a pattern for each exchanger of the domain. Without MX records the domain is its own exchanger.
async fn exchangers(args: &PolicySts, domain: &DnsName) -> Result<Vec<MxPattern>, Failed> {
    let stub = resolver::stub(&args.resolver, LOOKUP_LIMIT)?;
    let facts = domain_facts(&stub, &NextHop::Domain(domain.clone()), 25).await;
    match &facts.exchangers {
        ExchangerState::Failed(failure) => {
            return Err(Failed::new(
                exit::INCONCLUSIVE,
                format!("the MX lookup of {domain} failed: {failure}"),
            ));
        }
        ExchangerState::NoDomain => {
            return Err(Failed::usage(format!("the domain {domain} does not exist")));
        }
        ExchangerState::NullMx => {
            let why = format!("the domain {domain} accepts no mail: it has a null MX record (RFC 7505)");
            return Err(Failed::usage(why));
        }
        ExchangerState::Known { .. } => {}
    }
    // A pattern matches the name in the MX record, also if that is an alias.
    let names = facts.hosts.iter().filter_map(HostFacts::name);
    Ok(names.filter_map(|it| MxPattern::parse(it.as_str()).ok()).map(|(pattern, _)| pattern).collect())
}

/// Returns the time without punctuation, as an id may contain only letters and digits: `20261129150000Z`.
fn id_of(now: i64) -> String {
    validity::rfc3339(now).chars().filter(|it| it.is_ascii_digit() || *it == 'Z').collect()
}

/// The order matters: a sender that finds the record before the policy reports a failure (RFC 8461 section 8.1).
fn plan(draft: &StsDraft, record: &str, url: &str, sink: &mut Sink) -> Result<(), Failed> {
    sink.line("1. Serve this text as text/plain, with a certificate that is valid for the host:")?;
    sink.line(&format!("   {url}\n"))?;
    for line in draft.text().lines() {
        sink.line(&format!("   {line}"))?;
    }
    sink.line("\n2. Then publish the record. Change the id with every change of the text:")?;
    sink.line(&format!("\n   {record}\n"))?;
    match draft.mode {
        StsMode::Testing => {
            sink.line(
                "3. Read the reports (starttls policy report). If no exchanger fails, use --mode enforce.",
            )?;
        }
        StsMode::Enforce => {
            sink.line("3. To add an exchanger later, change the policy first and wait until senders have fetched it.")?;
            sink.line("   To remove the policy, serve mode none with a short max_age and a new id, and wait as long as")?;
            sink.line("   the longest max_age that was ever served.")?;
        }
        StsMode::None => {
            sink.line(
                "3. Keep the text and the record as long as the longest max_age that was ever served, then",
            )?;
            sink.line("   remove both.")?;
        }
    }
    Ok(())
}

fn lint(file: &Path, sink: &mut Sink) -> Result<u8, Failed> {
    // One octet more than a sender reads shows that the text is too long.
    let text = input::read_or_stdin(file, MAX_POLICY as u64 * 16)?;
    let read = parse_policy(&text);
    for remark in &read.remarks {
        let severity = if remark.is_error { "error" } else { "warning" };
        let line = remark.line.map(|it| format!("{it}:")).unwrap_or_default();
        sink.line(&format!("{}:{line} {severity}: {} [{}]", file.display(), remark.text, remark.check))?;
    }
    match &read.policy {
        Ok(policy) => {
            let patterns: Vec<String> = policy.mx.iter().map(ToString::to_string).collect();
            let days = policy.max_age / 86_400;
            sink.line(&format!("valid: mode {}, {days} days, mx {}", policy.mode, patterns.join(" ")))?;
        }
        Err(_) => sink.line("invalid: senders discard the policy")?,
    }
    let has_errors = read.remarks.iter().any(|it| it.is_error);
    Ok(if has_errors { exit::FINDINGS } else { exit::DONE })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_id_is_the_time() {
        assert_eq!(id_of(0), "19700101000000Z");
    }
}
