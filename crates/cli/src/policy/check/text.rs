//! The report of `policy check` for people.

use super::report::Report;
use super::row::RowSeverity;
use crate::error::Failed;
use crate::output::Sink;

pub(super) fn show(report: &Report, sink: &mut Sink) -> Result<(), Failed> {
    let signed = |secure| if secure { "DNSSEC" } else { "not signed" };
    sink.line(&format!("domain    {}", report.domain))?;
    if report.null_mx {
        sink.line("mx        none: the domain accepts no mail (RFC 7505)")?;
    }
    for mx in &report.mx {
        sink.line(&format!("mx        {} {} ({})", mx.preference, mx.host, signed(mx.secure)))?;
        if !mx.addresses.is_empty() {
            sink.line(&format!("          {} ({})", mx.addresses.join(" "), signed(mx.addresses_secure)))?;
        }
        mx.tlsa.iter().try_for_each(|record| sink.line(&format!("          TLSA {record}")))?;
    }
    match (&report.sts.id, report.sts.mode) {
        (Some(id), Some(mode)) => {
            let days = report.sts.max_age.unwrap_or_default() / 86_400;
            sink.line(&format!("mta-sts   {mode}, {days} days, id {id}: {}", report.sts.mx.join(" ")))?;
        }
        (Some(id), None) => sink.line(&format!("mta-sts   record with id {id}, no policy"))?,
        (None, _) => sink.line("mta-sts   none")?,
    }
    let reports = if report.tlsrpt.is_empty() { String::from("none") } else { report.tlsrpt.join(" ") };
    sink.line(&format!("tlsrpt    {reports}"))?;
    sink.line("")?;
    for host in &report.decision.send {
        sink.line(&format!("send      {}: {}", host.host, host.in_words()))?;
    }
    sink.line(&format!("postfix   {}", report.decision.postfix))?;
    for step in &report.decision.steps {
        let host = step.host.as_deref().unwrap_or(&report.domain);
        sink.line(&format!("          {} {host}: {}", step.step, step.meaning))?;
    }
    sink.line("")?;
    for row in &report.findings {
        let severity = match row.severity {
            RowSeverity::Info => "info",
            RowSeverity::Inconclusive => "inconclusive",
            RowSeverity::Warning => "warning",
            RowSeverity::Error => "error",
            RowSeverity::Critical => "critical",
        };
        sink.line(&format!("{severity:<13} {:<19} {}: {}", row.id, row.subject, row.text))?;
    }
    let count = |severity| report.findings.iter().filter(|it| it.severity == severity).count();
    let problems = count(RowSeverity::Critical) + count(RowSeverity::Error) + count(RowSeverity::Warning);
    let verdict = match (problems, count(RowSeverity::Inconclusive)) {
        (0, 0) => String::from("no problems found"),
        (0, some) => format!("{some} checks were inconclusive; no problems found"),
        (some, 0) => format!("{some} problems found"),
        (some, others) => format!("{some} problems found; {others} checks were inconclusive"),
    };
    sink.line(&verdict)
}
