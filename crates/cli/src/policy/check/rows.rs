//! The checks of a domain, as a function over what was seen.

use std::sync::Arc;
use std::time::Duration;

use starttls::dane::{DaneFault, DaneVerifier, TlsaRecord};
use starttls::rustls::crypto::aws_lc_rs;
use starttls::rustls::pki_types::UnixTime;
use starttls_dns::{DnsName, MxTarget, TlsaData};
use starttls_policy::dane::{DaneRecords, ExchangerState, HostDane, HostFacts};
use starttls_policy::rollover::{RolloverState, classify, has_rollover_scheme};
use starttls_policy::sts::{MAX_POLICY, StsFailure, StsMode, StsPolicy, StsRecordFault};
use starttls_policy::tlsa::{self, TlsaFault};
use starttls_policy::tlsrpt::TlsRptFault;

use super::observe::{MxSession, Observed, SessionResult};
use super::row::{Row, RowSeverity, Rows};
use super::zone;
use crate::policy::keys;

/// A day, in seconds.
const DAY: u32 = 86_400;

/// Returns the results, the most severe first.
pub(super) fn rows(observed: &Observed, now: i64) -> Vec<Row> {
    let mut rows = Rows::default();
    exchangers(observed, &mut rows);
    dane(observed, now, &mut rows);
    let policy = sts(observed, &mut rows);
    if let Some(policy) = &policy {
        coverage(observed, policy, &mut rows);
    }
    tlsrpt(observed, policy.is_some(), &mut rows);
    require_tls(observed, &mut rows);
    zone::rows(&observed.zones, &mut rows);
    if observed.left_out > 0 {
        let text = format!("{} addresses were not connected to: at most 25 are", observed.left_out);
        rows.add("mx-address", RowSeverity::Inconclusive, "domain", text);
    }
    rows.sorted()
}

fn exchangers(observed: &Observed, rows: &mut Rows) {
    match &observed.facts.exchangers {
        ExchangerState::Failed(failure) => {
            rows.add(
                "mx-lookup",
                RowSeverity::Inconclusive,
                "domain",
                format!("the MX lookup failed: {failure}"),
            );
        }
        ExchangerState::Known { secure: false, from_mx } if observed.dnssec.is_ok() => {
            let has_tlsa = observed.facts.hosts.iter().any(|it| matches!(it.dane, HostDane::Records(_)));
            let severity = if has_tlsa { RowSeverity::Warning } else { RowSeverity::Info };
            let what = if *from_mx { "the MX records are" } else { "the absence of MX records is" };
            let text =
                format!("{what} not signed with DNSSEC: an attacker can redirect mail in spite of DANE");
            rows.add("mx-unsigned", severity, "domain", text);
        }
        _ => {}
    }
    for host in &observed.facts.hosts {
        let name = shown(&host.host);
        match (&host.host, &host.dane) {
            (MxTarget::Invalid(_), _) => {
                rows.add("mx-literal", RowSeverity::Warning, &name, "the MX record does not name a host");
            }
            (_, HostDane::NoAddress) => {
                rows.add("mx-address", RowSeverity::Warning, &name, "the exchanger has no address");
            }
            _ => {}
        }
        if host.is_alias {
            let text = "the exchanger is an alias, which RFC 5321 section 5.1 forbids";
            rows.add("mx-alias", RowSeverity::Warning, &name, text);
        }
    }
    for session in &observed.sessions {
        if let SessionResult::Failed(reason) = &session.result {
            rows.add(
                "mx-address",
                RowSeverity::Inconclusive,
                at(session),
                format!("no TLS session: {reason}"),
            );
        }
    }
}

fn dane(observed: &Observed, now: i64, rows: &mut Rows) {
    if let Err(reason) = &observed.dnssec {
        return rows.add(
            "dane-lookup",
            RowSeverity::Inconclusive,
            "domain",
            format!("DANE cannot be checked: {reason}"),
        );
    }
    let (mut with, mut without) = (0, Vec::new());
    for host in &observed.facts.hosts {
        match &host.dane {
            HostDane::Failed { question, failure } => {
                let text = format!(
                    "the lookup of {question} failed: {failure}; senders that use DANE defer the mail"
                );
                rows.add("dane-lookup", RowSeverity::Critical, shown(&host.host), text);
            }
            HostDane::Absent => without.push(shown(&host.host)),
            HostDane::NoAddress => {}
            HostDane::Records(records) => {
                with += 1;
                published(records, rows);
                for session in sessions_of(observed, host) {
                    authenticated(records, session, now, rows);
                }
            }
        }
    }
    match (with, without.as_slice()) {
        (_, []) => {}
        (0, _) => {
            rows.add("dane-absent", RowSeverity::Info, "domain", "no exchanger has secure TLSA records")
        }
        (_, without) => {
            let text = format!("no secure TLSA records exist for {}", without.join(", "));
            rows.add("dane-partial", RowSeverity::Warning, "domain", text);
        }
    }
}

/// Judges the records alone.
fn published(records: &DaneRecords, rows: &mut Rows) {
    let base = &records.base;
    if records.usable.is_empty() {
        let reasons: Vec<&str> =
            records.published.iter().filter_map(tlsa::fault).map(TlsaFault::text).collect();
        let text = format!(
            "no TLSA record can be used ({}): senders do not authenticate the server",
            reasons.join("; ")
        );
        rows.add("dane-unusable", RowSeverity::Error, base, text);
    }
    for record in &records.published {
        let kind = format!("{} {} {}", record.usage, record.selector, record.matching);
        match tlsa::fault(record) {
            Some(fault @ TlsaFault::PkixUsage) => {
                rows.add("dane-usage", RowSeverity::Warning, base, format!("{kind}: {}", fault.text()));
            }
            Some(fault) => {
                rows.add("dane-parameters", RowSeverity::Warning, base, format!("{kind}: {}", fault.text()))
            }
            None if record.matching == 0 => {
                let text = format!("{kind} publishes the data itself, and large answers fail on some paths");
                rows.add("dane-parameters", RowSeverity::Warning, base, text);
            }
            None if (record.usage, record.selector) == (3, 0) => {
                let text = format!("{kind} is invalid after each renewal of the certificate");
                rows.add("dane-parameters", RowSeverity::Warning, base, text);
            }
            None => {}
        }
    }
    if !records.usable.is_empty() && !has_rollover_scheme(&records.published) {
        let text =
            "no record for a next key: when the key is lost, mail fails for the time to live of the records";
        rows.add("dane-spare", RowSeverity::Info, base, text);
    }
    if records.ttl > DAY {
        let text = format!("the time to live is {} s: mail fails for as long after a lost key", records.ttl);
        rows.add("dane-ttl", RowSeverity::Warning, base, text);
    }
}

/// Compares the records with the chain of one address.
fn authenticated(records: &DaneRecords, session: &MxSession, now: i64, rows: &mut Rows) {
    let subject = at(session);
    let chain = match &session.result {
        SessionResult::Tls { chain, .. } => chain,
        SessionResult::Declined(reason) => {
            let text = format!("TLSA records exist, but the server does not upgrade: {reason}");
            return rows.add("dane-no-starttls", RowSeverity::Critical, subject, text);
        }
        SessionResult::Failed(_) => {
            let text = "the records were not compared: the server was not reached inside TLS";
            return rows.add("dane-mismatch", RowSeverity::Inconclusive, subject, text);
        }
    };
    if records.usable.is_empty() {
        return;
    }
    let names = records.names.iter().map(ToString::to_string).collect();
    let usable = records.usable.iter().map(as_record).collect();
    let verifier = DaneVerifier::new(usable, names, Arc::new(aws_lc_rs::default_provider()));
    let time = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now).unwrap_or_default()));
    match verifier.authenticate(chain, time) {
        Ok(_) => {
            if classify(&records.published, &keys::of_chain(chain), None) == RolloverState::Spare {
                let text =
                    "a TLSA record matches no certificate in use: it is a spare, or it was not removed";
                rows.add("dane-stale", RowSeverity::Info, subject, text);
            }
        }
        Err(fault) => {
            let only_cas = records.usable.iter().all(|it| it.usage == 2);
            let (id, severity) = match &fault {
                DaneFault::WrongName(_) => ("dane-anchor-name", RowSeverity::Error),
                DaneFault::NoPath(_) => ("dane-anchor", RowSeverity::Error),
                DaneFault::NoMatch { .. } if only_cas => ("dane-anchor", RowSeverity::Error),
                _ => ("dane-mismatch", RowSeverity::Critical),
            };
            let published: Vec<String> = records.usable.iter().map(ToString::to_string).collect();
            rows.add(id, severity, subject, format!("{fault}; published: {}", published.join(", ")));
        }
    }
}

fn as_record(data: &TlsaData) -> TlsaRecord {
    let TlsaData { usage, selector, matching, data } = data.clone();
    TlsaRecord { usage, selector, matching, data }
}

/// Judges the record and the policy. Returns the policy that senders apply.
fn sts(observed: &Observed, rows: &mut Rows) -> Option<StsPolicy> {
    let record = match &observed.sts_record {
        Err(reason) => {
            rows.add("sts-record", RowSeverity::Inconclusive, "domain", reason.clone());
            return None;
        }
        Ok(Err(StsRecordFault::Absent)) => {
            rows.add("sts-absent", RowSeverity::Info, "domain", "the domain has no MTA-STS policy");
            return None;
        }
        Ok(Err(fault @ StsRecordFault::Multiple(_))) => {
            rows.add("sts-multiple", RowSeverity::Error, "domain", fault.to_string());
            return None;
        }
        Ok(Err(fault)) => {
            rows.add("sts-record", RowSeverity::Error, "domain", fault.to_string());
            return None;
        }
        Ok(Ok(record)) => record,
    };
    if record.space_before_semicolon {
        let text = "a space precedes the first semicolon: some senders discard the record";
        rows.add("sts-record", RowSeverity::Warning, "domain", text);
    }
    let fetched = match &observed.policies {
        Ok(fetched) => fetched,
        Err(failure) => {
            rows.add("sts-fetch", RowSeverity::Error, "domain", failure.reason());
            return None;
        }
    };
    let mut policy = None;
    for answer in fetched {
        let subject = format!("policy host [{}]", answer.address);
        let text = match &answer.result {
            Ok(text) => text,
            Err(failure) => {
                let (id, severity) = match failure {
                    StsFailure::WebPki(_) => ("sts-host-certificate", RowSeverity::Error),
                    _ if (300..400).contains(&answer.status) => ("sts-redirect", RowSeverity::Error),
                    _ if answer.text.len() >= MAX_POLICY => ("sts-size", RowSeverity::Error),
                    _ if answer.status == 200 && answer.text.is_empty() => ("sts-type", RowSeverity::Error),
                    _ => ("sts-fetch", RowSeverity::Error),
                };
                rows.add(id, severity, subject, failure.reason());
                continue;
            }
        };
        for remark in &text.remarks {
            let severity = if remark.is_error { RowSeverity::Error } else { RowSeverity::Warning };
            let line = remark.line.map(|it| format!("line {it}: ")).unwrap_or_default();
            rows.add(remark.check, severity, &subject, format!("{line}{}", remark.text));
        }
        policy = policy.or(text.policy.clone().ok());
    }
    if fetched.iter().skip(1).any(|it| Some(&it.text) != fetched.first().map(|it| &it.text)) {
        rows.add(
            "sts-differs",
            RowSeverity::Warning,
            "domain",
            "the addresses of the policy host serve different texts",
        );
    }
    policy
}

/// Compares the policy with the exchangers.
fn coverage(observed: &Observed, policy: &StsPolicy, rows: &mut Rows) {
    if policy.mode == StsMode::None {
        return rows.add(
            "sts-mode",
            RowSeverity::Warning,
            "domain",
            "mode none: the policy protects no mail",
        );
    }
    let severity = if policy.mode == StsMode::Enforce { RowSeverity::Critical } else { RowSeverity::Warning };
    let hosts: Vec<&DnsName> = observed.facts.hosts.iter().filter_map(HostFacts::name).collect();
    for host in &hosts {
        if !policy.covers(host) {
            let text = "no mx pattern matches the exchanger: senders do not deliver to it in mode enforce";
            rows.add("sts-mx-uncovered", severity, host, text);
        }
    }
    for session in observed.sessions.iter().filter(|it| policy.covers(&it.host)) {
        match &session.result {
            SessionResult::Tls { pkix: Err(reason), .. } => {
                let text = format!("the certificate does not satisfy the policy: {reason}");
                rows.add("sts-mx-certificate", severity, at(session), text);
            }
            SessionResult::Declined(reason) => {
                let text = format!("the policy requires TLS, but the server does not upgrade: {reason}");
                rows.add("sts-mx-certificate", severity, at(session), text);
            }
            SessionResult::Tls { pkix: Ok(()), .. } | SessionResult::Failed(_) => {}
        }
    }
    for pattern in &policy.mx {
        if !hosts.iter().any(|host| pattern.matches(host)) {
            rows.add("sts-mx-idle", RowSeverity::Info, pattern, "no exchanger matches this pattern");
        }
        if pattern.is_wildcard() {
            rows.add(
                "sts-mx-wide",
                RowSeverity::Info,
                pattern,
                "the pattern allows every host of the domain",
            );
        }
    }
}

fn tlsrpt(observed: &Observed, has_sts: bool, rows: &mut Rows) {
    let has_dane = observed.facts.hosts.iter().any(|it| matches!(it.dane, HostDane::Records(_)));
    match &observed.tlsrpt {
        Err(reason) => rows.add("rpt-record", RowSeverity::Inconclusive, "domain", reason.clone()),
        Ok(Err(TlsRptFault::Absent)) => {
            let severity = if has_sts || has_dane { RowSeverity::Warning } else { RowSeverity::Info };
            let text = "the domain has no TLSRPT record: failures of its policies are not reported to it";
            rows.add("rpt-absent", severity, "domain", text);
        }
        Ok(Err(fault)) => rows.add("rpt-record", RowSeverity::Error, "domain", fault.to_string()),
        Ok(Ok(record)) => {
            for uri in &record.unusable {
                let uri: String = uri.chars().take(80).flat_map(char::escape_debug).collect();
                let text = format!("\"{uri}\" is not a mailto: or https: URI");
                rows.add("rpt-uri", RowSeverity::Error, "domain", text);
            }
        }
    }
}

fn require_tls(observed: &Observed, rows: &mut Rows) {
    for session in &observed.sessions {
        let SessionResult::Tls { require_tls, require_tls_in_clear, .. } = &session.result else { continue };
        if *require_tls == Some(true) {
            let text = "the server supports REQUIRETLS: messages that require it are delivered";
            rows.add("req-offered", RowSeverity::Info, at(session), text);
        }
        if *require_tls_in_clear {
            let text =
                "the server offers REQUIRETLS before TLS, where it has no meaning (RFC 8689 section 2)";
            rows.add("req-in-clear", RowSeverity::Warning, at(session), text);
        }
    }
}

fn sessions_of<'a>(observed: &'a Observed, host: &'a HostFacts) -> impl Iterator<Item = &'a MxSession> {
    observed.sessions.iter().filter(|it| host.name() == Some(&it.host))
}

fn at(session: &MxSession) -> String {
    format!("{} [{}]", session.host, session.address)
}

pub(super) fn shown(host: &MxTarget) -> String {
    match host {
        MxTarget::Host(name) => name.to_string(),
        MxTarget::Invalid(text) => text.clone(),
        MxTarget::Null => String::from("."),
    }
}
