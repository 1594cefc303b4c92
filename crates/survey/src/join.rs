//! Joins the results for endpoints back to the domains: one row for each domain.
//!
//! Both sides are sorted and merged, so the memory is bounded. A domain never waits for an endpoint: what has no result yet
//! is marked as missing.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;

use starttls_x509::matches_host;

use crate::error::SurveyError;
use crate::files::{LineReader, LineWriter, json};
use crate::folder::{RunFolder, Stage};
use crate::planning::for_each_row;
use crate::row::{
    AddressRow, CertificateFacts, CertificateRow, DomainRow, EndpointOutcome, EndpointRow, JoinedBy,
    JoinedEndpoint, JoinedExchanger, JoinedRow, ROW_VERSION, TargetReach,
};
use crate::sort::LineSorter;
use crate::suffix::Suffixes;

/// What `join` wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JoinSummary {
    /// The number of domains.
    pub domains: u64,
    /// Domains with at least one endpoint without a result.
    pub incomplete: u64,
    /// The number of certificates.
    pub certificates: u64,
    /// Domains by their status.
    pub by_status: BTreeMap<String, u64>,
    /// Domains with endpoints, by their best outcome.
    pub by_best: BTreeMap<String, u64>,
    /// Endpoints that stayed throttled after the last pass.
    pub throttled: u64,
}

/// Writes `joined/domains.jsonl.zst` and `joined/certificates.jsonl.zst`.
///
/// # Errors
/// If a file cannot be read or written.
pub fn join(run: &RunFolder, suffixes: &Suffixes) -> Result<JoinSummary, SurveyError> {
    let scratch = run.scratch()?;
    let joined = run.joined()?;
    let by_name = endpoints_by_name(run, suffixes, &scratch)?;
    let by_domain = exchangers_by_domain(run, by_name, &scratch)?;
    let mut summary = JoinSummary::default();
    write_domains(&joined.join("domains.jsonl.zst"), by_domain, &scratch, &mut summary)?;
    summary.certificates = write_certificates(run, &joined.join("certificates.jsonl.zst"), &scratch)?;
    Ok(summary)
}

/// Results of the endpoints at one address, of one class. The line of a result sorts before those of the names.
fn endpoints_by_name(
    run: &RunFolder,
    suffixes: &Suffixes,
    scratch: &Path,
) -> Result<LineSorter, SurveyError> {
    let mut lines = LineSorter::new(scratch);
    for stage in run.stages()?.into_iter().filter(|it| matches!(it, Stage::Probe(_))) {
        for_each_row(run, "results", stage, |row: EndpointRow| {
            // The latest pass counts, so it comes first.
            let order = u8::MAX - row.pass;
            let short = ShortResult::of(row);
            let line = format!(
                "{}\t{}\t0\t{}\t{order:03}\t{}",
                short.address,
                short.suffix,
                short.server_name,
                json(&short)
            );
            lines.push(line).map_err(SurveyError::file(scratch))
        })?;
    }
    for_each_row(run, "results", Stage::Addresses, |row: AddressRow| {
        let suffix = suffixes.registrable(&row.name);
        let mut push = |line| lines.push(line).map_err(SurveyError::file(scratch));
        row.addresses
            .iter()
            .try_for_each(|it| push(format!("{}\t{suffix}\t1\t{}", it.to_canonical(), row.name)))
    })?;
    let mut by_name = LineSorter::new(scratch);
    let (mut class, mut results) = (String::new(), BTreeMap::new());
    for line in lines.finish().map_err(SurveyError::file(scratch))? {
        let line = line.map_err(SurveyError::file(scratch))?;
        let mut parts = line.splitn(4, '\t');
        let (Some(address), Some(suffix), Some(kind), Some(rest)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            continue;
        };
        let of = format!("{address}\t{suffix}");
        if of != class {
            class = of;
            results.clear();
        }
        if kind == "0" {
            let mut parts = rest.splitn(3, '\t');
            if let (Some(name), Some(_), Some(Ok(result))) =
                (parts.next(), parts.next(), parts.next().map(serde_json::from_str::<ShortResult>))
            {
                results.entry(name.to_owned()).or_insert(result);
            }
        } else if let Ok(address) = address.parse() {
            let endpoint = endpoint(address, rest, &results);
            let line = format!("{rest}\t0\t{}", json(&endpoint));
            by_name.push(line).map_err(SurveyError::file(scratch))?;
        }
    }
    Ok(by_name)
}

/// What a join needs of a result.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct ShortResult {
    address: IpAddr,
    suffix: String,
    server_name: String,
    reach: TargetReach,
    outcome: EndpointOutcome,
    certificate: Option<CertificateFacts>,
}

impl ShortResult {
    fn of(row: EndpointRow) -> Self {
        let EndpointRow { address, suffix, server_name, reach, outcome, certificate, .. } = row;
        Self { address, suffix, server_name, reach, outcome, certificate }
    }

    fn own_certificate(&self) -> Option<&String> {
        self.certificate.as_ref().and_then(|it| it.chain.first())
    }
}

/// Returns the result for a name at an address, from the results of its class there.
fn endpoint(address: IpAddr, name: &str, results: &BTreeMap<String, ShortResult>) -> JoinedEndpoint {
    let missing = JoinedEndpoint {
        address,
        by: JoinedBy::Missing,
        reach: None,
        outcome: None,
        verified: None,
        certificate: None,
    };
    if let Some(own) = results.get(name) {
        return JoinedEndpoint {
            by: JoinedBy::Probe,
            reach: Some(own.reach),
            outcome: Some(own.outcome),
            verified: own.certificate.as_ref().map(|it| it.verified),
            certificate: own.own_certificate().cloned(),
            ..missing
        };
    }
    let mut samples = results.values();
    let Some(first) = samples.next() else { return missing };
    let is_same = |it: &ShortResult| {
        it.reach == first.reach
            && it.outcome == first.outcome
            && it.own_certificate() == first.own_certificate()
    };
    if !samples.all(is_same) {
        return JoinedEndpoint { by: JoinedBy::ClassDiffers, ..missing };
    }
    let verified = first.certificate.as_ref().and_then(|it| verified_for(it, name));
    // A certificate of another name is a problem that the sample did not have.
    let outcome = match (first.outcome, verified) {
        (EndpointOutcome::Sound, Some(false)) => EndpointOutcome::Findings,
        (EndpointOutcome::Sound, None) if first.certificate.is_some() => EndpointOutcome::Inconclusive,
        (outcome, _) => outcome,
    };
    JoinedEndpoint {
        by: JoinedBy::Class,
        reach: Some(first.reach),
        outcome: Some(outcome),
        verified,
        certificate: first.own_certificate().cloned(),
        ..missing
    }
}

/// Returns whether a certificate that another name presented is valid for this name; `None` if the row does not show it.
fn verified_for(certificate: &CertificateFacts, name: &str) -> Option<bool> {
    let has_name = certificate.names.iter().any(|it| matches_host(it, name));
    match (certificate.verified, has_name) {
        (true, true) => Some(true),
        // A row contains 100 names at most.
        (true, false) => (certificate.names.len() < 100).then_some(false),
        // The fault may be the name of the sample alone.
        (false, true) => None,
        (false, false) => Some(false),
    }
}

/// Merges the endpoints of each exchanger with the domains that use it.
fn exchangers_by_domain(
    run: &RunFolder,
    mut by_name: LineSorter,
    scratch: &Path,
) -> Result<LineSorter, SurveyError> {
    let mut by_domain = LineSorter::new(scratch);
    for_each_row(run, "results", Stage::Resolve, |row: DomainRow| {
        for exchanger in &row.mx {
            let line = format!("{}\t1\t{}\t{:05}", exchanger.name, row.domain, exchanger.preference);
            by_name.push(line).map_err(SurveyError::file(scratch))?;
        }
        let domain = row.domain.clone();
        let line =
            format!("{domain}\t0\t{}", json(&DomainRow { mx: Vec::new(), invalid_mx: Vec::new(), ..row }));
        by_domain.push(line).map_err(SurveyError::file(scratch))
    })?;
    let (mut name, mut endpoints) = (String::new(), Vec::<JoinedEndpoint>::new());
    for line in by_name.finish().map_err(SurveyError::file(scratch))? {
        let line = line.map_err(SurveyError::file(scratch))?;
        let mut parts = line.splitn(3, '\t');
        let (Some(of), Some(kind), Some(rest)) = (parts.next(), parts.next(), parts.next()) else { continue };
        if of != name {
            of.clone_into(&mut name);
            endpoints.clear();
        }
        if kind == "0" {
            endpoints.extend(serde_json::from_str::<JoinedEndpoint>(rest).ok());
        } else if let Some((domain, preference)) = rest.split_once('\t') {
            let exchanger = JoinedExchanger {
                preference: preference.parse().unwrap_or_default(),
                name: name.clone(),
                endpoints: endpoints.clone(),
            };
            by_domain
                .push(format!("{domain}\t1\t{}", json(&exchanger)))
                .map_err(SurveyError::file(scratch))?;
        }
    }
    Ok(by_domain)
}

fn write_domains(
    path: &Path,
    lines: LineSorter,
    scratch: &Path,
    summary: &mut JoinSummary,
) -> Result<(), SurveyError> {
    let mut writer = LineWriter::create(path)?;
    let mut row: Option<JoinedRow> = None;
    for line in lines.finish().map_err(SurveyError::file(scratch))? {
        let line = line.map_err(SurveyError::file(scratch))?;
        let mut parts = line.splitn(3, '\t');
        let (Some(_), Some(kind), Some(rest)) = (parts.next(), parts.next(), parts.next()) else { continue };
        if kind == "0" {
            if let Some(done) = row.take() {
                finish_domain(done, &mut writer, summary)?;
            }
            row = serde_json::from_str::<DomainRow>(rest).ok().map(|it| JoinedRow {
                schema_version: ROW_VERSION,
                domain: it.domain,
                status: it.status,
                secure: it.secure,
                mx: Vec::new(),
                endpoints: 0,
                answered: 0,
                verified: 0,
                best: None,
                worst: None,
            });
        } else if let (Some(row), Ok(exchanger)) = (&mut row, serde_json::from_str(rest)) {
            row.mx.push(exchanger);
        }
    }
    if let Some(done) = row {
        finish_domain(done, &mut writer, summary)?;
    }
    writer.finish()
}

fn finish_domain(
    mut row: JoinedRow,
    writer: &mut LineWriter,
    summary: &mut JoinSummary,
) -> Result<(), SurveyError> {
    row.mx.sort();
    let endpoints = || row.mx.iter().flat_map(|it| &it.endpoints);
    let count = |is: &dyn Fn(&JoinedEndpoint) -> bool| {
        u32::try_from(endpoints().filter(|it| is(it)).count()).unwrap_or(u32::MAX)
    };
    let (all, answered, verified, throttled, missing) = (
        count(&|_| true),
        count(&|it| it.reach == Some(TargetReach::Answered)),
        count(&|it| it.verified == Some(true)),
        count(&|it| it.reach == Some(TargetReach::Throttled)),
        count(&|it| it.by == JoinedBy::Missing),
    );
    let (best, worst) =
        (endpoints().filter_map(|it| it.outcome).min(), endpoints().filter_map(|it| it.outcome).max());
    (row.endpoints, row.answered, row.verified, row.best, row.worst) = (all, answered, verified, best, worst);
    summary.domains += 1;
    summary.incomplete += u64::from(missing > 0);
    summary.throttled += u64::from(throttled);
    *summary.by_status.entry(word(&row.status)).or_default() += 1;
    if let Some(best) = best {
        *summary.by_best.entry(word(&best)).or_default() += 1;
    }
    writer.line(&json(&row))
}

/// Returns the word of an enum in the rows.
pub(crate) fn word(value: &impl serde::Serialize) -> String {
    json(value).trim_matches('"').to_owned()
}

/// Writes each certificate once.
fn write_certificates(run: &RunFolder, path: &Path, scratch: &Path) -> Result<u64, SurveyError> {
    let mut lines = LineSorter::new(scratch);
    for stage in run.stages()?.into_iter().filter(|it| matches!(it, Stage::Probe(_))) {
        for id in run.done(stage)? {
            let file = run.of_shard("certificates", stage, id);
            if !file.exists() {
                continue;
            }
            let mut reader = LineReader::open(&file)?;
            while let Some(line) = reader.next_line()? {
                let row: CertificateRow =
                    serde_json::from_str(&line).map_err(|error| SurveyError::contents(&file, error))?;
                lines.push(format!("{}\t{line}", row.sha256)).map_err(SurveyError::file(scratch))?;
            }
        }
    }
    let mut writer = LineWriter::create(path)?;
    let (mut last, mut count) = (String::new(), 0);
    for line in lines.finish().map_err(SurveyError::file(scratch))? {
        let line = line.map_err(SurveyError::file(scratch))?;
        if let Some((sha256, row)) = line.split_once('\t')
            && sha256 != last
        {
            writer.line(row)?;
            sha256.clone_into(&mut last);
            count += 1;
        }
    }
    writer.finish()?;
    Ok(count)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(name: &str, sha256: &str, verified: bool, names: &[&str]) -> (String, ShortResult) {
        let certificate = CertificateFacts {
            verified,
            verdict: String::new(),
            not_after_unix: None,
            names: names.iter().map(|it| (*it).to_owned()).collect(),
            chain: vec![sha256.to_owned()],
        };
        let result = ShortResult {
            address: [127, 0, 0, 1].into(),
            suffix: String::from("p.test"),
            server_name: name.to_owned(),
            reach: TargetReach::Answered,
            outcome: if verified { EndpointOutcome::Sound } else { EndpointOutcome::Findings },
            certificate: Some(certificate),
        };
        (name.to_owned(), result)
    }

    fn joined(
        name: &str,
        results: impl IntoIterator<Item = (String, ShortResult)>,
    ) -> (JoinedBy, Option<EndpointOutcome>, Option<bool>) {
        let it = endpoint([127, 0, 0, 1].into(), name, &results.into_iter().collect());
        (it.by, it.outcome, it.verified)
    }

    #[test]
    fn a_class_shows_only_what_all_of_its_samples_show() {
        use EndpointOutcome::{Findings, Inconclusive, Sound};
        let wildcard = |name| result(name, "1", true, &["*.p.test"]);
        assert_eq!(joined("a.p.test", [wildcard("a.p.test")]), (JoinedBy::Probe, Some(Sound), Some(true)));
        assert_eq!(
            joined("c.p.test", [wildcard("a.p.test"), wildcard("b.p.test")]),
            (JoinedBy::Class, Some(Sound), Some(true))
        );
        let one = |name| result(name, "1", true, &["a.p.test", "b.p.test"]);
        assert_eq!(
            joined("c.p.test", [one("a.p.test"), one("b.p.test")]),
            (JoinedBy::Class, Some(Findings), Some(false)),
            "the certificate is not for this name"
        );
        let own =
            [result("a.p.test", "1", true, &["a.p.test"]), result("b.p.test", "2", true, &["b.p.test"])];
        assert_eq!(
            joined("c.p.test", own),
            (JoinedBy::ClassDiffers, None, None),
            "a provider with a certificate for each name"
        );
        assert_eq!(
            joined("c.p.test", [result("a.p.test", "1", false, &["c.p.test"])]),
            (JoinedBy::Class, Some(Findings), None)
        );
        let many: Vec<String> = (0..100).map(|it| format!("t{it}.p.test")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(
            joined("c.p.test", [result("t1.p.test", "1", true, &many)]),
            (JoinedBy::Class, Some(Inconclusive), None),
            "the row does not have all names"
        );
        assert_eq!(joined("c.p.test", []), (JoinedBy::Missing, None, None));
    }
}
