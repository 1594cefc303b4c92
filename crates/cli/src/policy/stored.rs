//! `policy list`, `show` and `forget`: the MTA-STS policies that a service keeps.

use std::io::ErrorKind;
use std::path::Path;

use starttls_dns::DnsName;
use starttls_policy::drive::{PolicyStore, StoreError, StoredPolicy};

use super::serve::control::{self, Request, Response};
use super::stored_report::{Entry, Report};
use crate::args::{Format, PolicyForget, PolicyList, PolicyShow, StoreAt};
use crate::error::Failed;
use crate::exit;
use crate::output::Sink;

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
