//! `policy list`, `show` and `forget`: the MTA-STS policies that a service keeps.

use std::io::ErrorKind;
use std::path::Path;

use serde::{Deserialize, Serialize};
use starttls::validity::rfc3339;
use starttls_dns::DnsName;
use starttls_policy::dane::NextHop;
use starttls_policy::drive::{KeptAnswer, PolicyStore, StoreError, StoredPolicy};

use super::serve::control::{self, Request, Response};
use crate::args::{Format, PolicyForget, PolicyList, PolicyShow, StoreAt};
use crate::error::Failed;
use crate::exit;
use crate::output::Sink;

/// The policies that a service keeps.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Report {
    /// Grows when a field changes its meaning or goes.
    pub(crate) schema_version: u32,
    /// The MTA-STS policies, sorted by domain.
    pub(crate) policies: Vec<Entry>,
    /// The answers that the service keeps in memory. Only `show` has them, and only from a running service.
    pub(crate) answers: Vec<Answer>,
}

/// A policy that a service keeps.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Entry {
    /// The domain, in A-labels.
    pub(crate) domain: String,
    /// The id in the record.
    pub(crate) id: String,
    /// The mode: enforce, testing or none.
    pub(crate) mode: String,
    /// The patterns.
    pub(crate) mx: Vec<String>,
    /// When the policy was fetched or confirmed, in RFC 3339.
    pub(crate) fetched: String,
    /// When the policy ends unless it is confirmed.
    pub(crate) expires: String,
    /// When a mail server last asked for the domain.
    pub(crate) used: String,
    /// The lines of the policy; only `show` has them.
    pub(crate) text: Vec<String>,
}

/// An answer that a service keeps.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(schemars::JsonSchema))]
pub(crate) struct Answer {
    /// The next hop, as Postfix writes it.
    pub(crate) next_hop: String,
    /// The answer to Postfix.
    pub(crate) reply: String,
    /// How long it is kept, in seconds.
    pub(crate) remaining: u64,
}

impl Report {
    pub(super) fn new(policies: Vec<Entry>, answers: Vec<Answer>) -> Self {
        Self { schema_version: 1, policies, answers }
    }
}

impl Entry {
    pub(super) fn new(domain: &DnsName, policy: &StoredPolicy, with_text: bool) -> Self {
        let StoredPolicy { cached, used } = policy;
        let time = |seconds: u64| rfc3339(seconds.try_into().unwrap_or(i64::MAX));
        Self {
            domain: domain.to_string(),
            id: cached.id.clone(),
            mode: cached.policy.mode.name().to_owned(),
            mx: cached.policy.mx.iter().map(ToString::to_string).collect(),
            fetched: time(cached.fetched),
            expires: time(cached.fetched.saturating_add(cached.policy.max_age)),
            used: time(*used),
            text: if with_text { cached.policy.lines.clone() } else { Vec::new() },
        }
    }
}

impl Answer {
    pub(super) fn new(kept: &KeptAnswer) -> Self {
        let name = match &kept.next_hop {
            NextHop::Domain(name) => name.to_string(),
            NextHop::Host(name) => format!("[{name}]"),
        };
        let port = if kept.port == 25 { String::new() } else { format!(":{}", kept.port) };
        Self {
            next_hop: format!("{name}{port}"),
            reply: kept.reply.to_string(),
            remaining: kept.remaining.as_secs(),
        }
    }
}

pub(super) fn list(args: &PolicyList) -> Result<u8, Failed> {
    let mut sink = Sink::replacing(&args.output)?;
    let report = match &args.store.state {
        Some(path) => {
            let mut all: Vec<_> = read(path)?.into_iter().collect();
            all.sort_unstable_by(|(one, _), (other, _)| one.cmp(other));
            Report::new(all.iter().map(|(name, it)| Entry::new(name, it, false)).collect(), Vec::new())
        }
        None => policies(&args.store, &Request::List)?,
    };
    match args.format {
        Format::Json => sink.json(&report)?,
        Format::Text => {
            for entry in &report.policies {
                sink.line(&format!(
                    "{} {} until {}: {}",
                    entry.domain,
                    entry.mode,
                    entry.expires,
                    entry.mx.join(" ")
                ))?;
            }
        }
    }
    sink.finish()?;
    Ok(exit::DONE)
}

pub(super) fn show(args: &PolicyShow) -> Result<u8, Failed> {
    let mut sink = Sink::replacing(&args.output)?;
    let report = match &args.store.state {
        Some(path) => {
            let policy = read(path)?.get(&args.domain).map(|it| Entry::new(&args.domain, it, true));
            Report::new(policy.into_iter().collect(), Vec::new())
        }
        None => policies(&args.store, &Request::Show { domain: args.domain.to_string() })?,
    };
    match args.format {
        Format::Json => sink.json(&report)?,
        Format::Text => {
            for entry in &report.policies {
                sink.line(&format!("domain    {}", entry.domain))?;
                sink.line(&format!("mta-sts   {}, id {}: {}", entry.mode, entry.id, entry.mx.join(" ")))?;
                sink.line(&format!("fetched   {}, expires {}", entry.fetched, entry.expires))?;
                sink.line(&format!("used      {}", entry.used))?;
                entry.text.iter().try_for_each(|line| sink.line(&format!("          {line}")))?;
            }
            for answer in &report.answers {
                let kept = format!("kept for {} s", answer.remaining);
                sink.line(&format!("answer    {}: {} ({kept})", answer.next_hop, answer.reply))?;
            }
        }
    }
    sink.finish()?;
    if report.policies.is_empty() && report.answers.is_empty() {
        return Err(unknown(&args.domain));
    }
    Ok(exit::DONE)
}

pub(super) fn forget(args: &PolicyForget) -> Result<u8, Failed> {
    let was_known = match &args.store.state {
        Some(path) => {
            let mut store = PolicyStore::open(path).map_err(|error| unusable(&error))?;
            store.remove(&args.domain).map_err(|error| unusable(&StoreError::Io(path.clone(), error)))?
        }
        None => match ask(&args.store, &Request::Forget { domain: args.domain.to_string() })? {
            Response::Forgotten(was_known) => was_known,
            other => return Err(unexpected(other)),
        },
    };
    if was_known { Ok(exit::DONE) } else { Err(unknown(&args.domain)) }
}

fn read(path: &Path) -> Result<std::collections::HashMap<DnsName, StoredPolicy>, Failed> {
    PolicyStore::read(path).map_err(|error| unusable(&error))
}

fn unusable(error: &StoreError) -> Failed {
    let hint = matches!(error, StoreError::InUse(_)).then(|| {
        String::from(
            "ask the service that uses it: --control with the path of its --control, instead of --state",
        )
    });
    Failed::usage(error.to_string()).hint(hint)
}

fn unknown(domain: &DnsName) -> Failed {
    Failed::new(exit::FINDINGS, format!("no policy of {domain} is kept"))
}

fn policies(store: &StoreAt, request: &Request) -> Result<Report, Failed> {
    match ask(store, request)? {
        Response::Policies(report) => Ok(report),
        other => Err(unexpected(other)),
    }
}

fn unexpected(response: Response) -> Failed {
    match response {
        Response::Error(reason) => {
            Failed::new(exit::INCONCLUSIVE, format!("the service answered: {}", reason.escape_debug()))
        }
        _ => Failed::new(exit::INCONCLUSIVE, "the service gave the answer to another request"),
    }
}

fn ask(store: &StoreAt, request: &Request) -> Result<Response, Failed> {
    let path = &store.control;
    control::ask(path, request).map_err(|error| {
        let hint = match error.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => {
                "start `policy serve` with --control, or use --state to read its file"
            }
            ErrorKind::UnexpectedEof | ErrorKind::InvalidData => {
                "run the command as root or as the user of the service"
            }
            _ => "the control socket is that of `policy serve --control`",
        };
        let message = format!("cannot ask the service at {}: {error}", path.display());
        Failed::new(exit::UNREACHABLE, message).hint(Some(hint.into()))
    })
}
