//! HTML: one page without network access and scripts, with styles for dark screens and for paper.
//!
//! `Markup` escapes every text, and ids and links consist of numbers only. The Content-Security-Policy of the page forbids
//! scripts and network access, in case an escape is missing.

mod transcript;

use std::fmt::{Arguments, Write};

use starttls_report::Markup;

use super::{common, survey};
use crate::check::check;
use crate::filter::{is_wrong, severity_word};
use crate::report::{
    AuditReport, Capabilities, CheckOutcome, EndpointReport, EndpointVerdict, Finding, StepTime, TlsSurvey,
};

/// Renders the report as an HTML page.
pub fn render(report: &AuditReport) -> String {
    let mut page = Page(String::new());
    let title = match report.endpoints.as_slice() {
        [endpoint] => format!("{}: {}", endpoint.target, common::verdict_word(endpoint.outcome)),
        _ => common::overview(report),
    };
    let title = Markup(&title);
    page.add(format_args!(
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
        <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\n\
        <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
        <meta name=\"color-scheme\" content=\"light dark\">\n\
        <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
        <header>\n<h1>STARTTLS audit</h1>\n<p>{}</p>\n</header>\n",
        Markup(&common::overview(report))
    ));
    if report.endpoints.len() > 1 {
        page.contents(report);
    }
    page.add(format_args!("<main>\n"));
    for (number, endpoint) in report.endpoints.iter().enumerate() {
        page.endpoint(number, endpoint);
    }
    for it in &report.unaudited {
        let (class, word) = (verdict_class(it.outcome), common::verdict_word(it.outcome));
        page.add(format_args!(
            "<section class=\"endpoint\">\n<h2><span class=\"badge {class}\">{word}</span> {}</h2>\n\
            <p class=\"summary\">{}</p>\n</section>\n",
            Markup(&it.asked),
            Markup(&it.reason)
        ));
    }
    page.add(format_args!("</main>\n<footer>\n"));
    for lookup in &report.lookups {
        page.add(format_args!("<p>Looked up: <code>{}</code></p>\n", Markup(lookup)));
    }
    let provenance = common::provenance(report);
    page.add(format_args!("<p>{}</p>\n</footer>\n</body>\n</html>\n", Markup(&provenance)));
    page.0
}

const STYLE: &str = include_str!("html/style.css");

struct Page(String);

impl Page {
    fn add(&mut self, text: Arguments<'_>) {
        // Writing to a String cannot fail.
        let _ = self.0.write_fmt(text);
    }

    fn contents(&mut self, report: &AuditReport) {
        self.add(format_args!("<nav aria-label=\"Endpoints\">\n<ul>\n"));
        for (number, endpoint) in report.endpoints.iter().enumerate() {
            let (class, word) = (verdict_class(endpoint.outcome), common::verdict_word(endpoint.outcome));
            let (target, address) =
                (Markup(&endpoint.target), endpoint.address.as_deref().unwrap_or_default());
            let address = Markup(address);
            self.add(format_args!(
                "<li><span class=\"badge {class}\">{word}</span> <a href=\"#e{number}\">{target}</a> \
                <small>{address}</small></li>\n"
            ));
        }
        self.add(format_args!("</ul>\n</nav>\n"));
    }

    fn endpoint(&mut self, number: usize, endpoint: &EndpointReport) {
        let (class, word) = (verdict_class(endpoint.outcome), common::verdict_word(endpoint.outcome));
        let verdict = common::verdict_key(endpoint.outcome);
        self.add(format_args!(
            "<section class=\"endpoint\" id=\"e{number}\" data-verdict=\"{verdict}\">\n\
            <h2><span class=\"badge {class}\">{word}</span> {}</h2>\n<p class=\"summary\">{}</p>\n",
            Markup(&endpoint.target),
            Markup(&endpoint.summary)
        ));
        self.facts(endpoint);
        self.findings("Problems", "wrong", number, endpoint, &common::new(endpoint));
        self.findings("Problems in the baseline", "wrong known", number, endpoint, &common::known(endpoint));
        let inconclusive = common::with(endpoint, CheckOutcome::Inconclusive);
        self.findings("Inconclusive checks", "unclear", number, endpoint, &inconclusive);
        for (title, open, outcome) in [
            ("Notes", true, CheckOutcome::Info),
            ("Passed", false, CheckOutcome::Pass),
            ("Not applicable", false, CheckOutcome::NotApplicable),
            ("Not run", false, CheckOutcome::NotRun),
        ] {
            self.list(title, open, number, endpoint, &common::with(endpoint, outcome));
        }
        if let Some(survey) = endpoint.tls.as_ref().and_then(|tls| tls.survey.as_ref()) {
            self.survey(survey);
        }
        if let Some(capabilities) = &endpoint.capabilities {
            self.capabilities(capabilities);
        }
        if !endpoint.transcripts.is_empty() {
            transcript::transcripts(self, number, endpoint);
        }
        self.add(format_args!("</section>\n"));
    }

    fn facts(&mut self, endpoint: &EndpointReport) {
        self.add(format_args!("<dl class=\"facts\">\n"));
        if let Some(address) = &endpoint.address {
            self.fact("Address", address);
        }
        self.fact("Name", &endpoint.server_name);
        if let Some(session) = endpoint.tls.as_ref().and_then(common::session) {
            self.fact("TLS", &session);
        }
        if let Some(presented) = &endpoint.certificate {
            self.fact("Certificate", &common::certificate(presented));
            if let Some(own) = presented.chain.first() {
                self.fact("Names", &own.names.join(", "));
                self.fact("Valid", &format!("{} to {}", own.not_before, own.not_after));
                self.fact("Issued by", &own.issuer);
                self.fact("Serial", &own.serial);
                self.fact("SHA-256", &own.sha256);
                self.fact("SPKI SHA-256", &own.spki_sha256);
            }
            if let Some(expires) = &presented.expires {
                self.fact("Path expires", &format!("{}, with {}", expires.not_after, expires.subject));
            }
        }
        self.fact("Audit", &common::effort(endpoint));
        self.add(format_args!("</dl>\n"));
        self.steps(&endpoint.steps);
    }

    fn fact(&mut self, name: &str, text: &str) {
        if !text.is_empty() {
            self.add(format_args!("<div><dt>{name}</dt><dd>{}</dd></div>\n", Markup(text)));
        }
    }

    fn steps(&mut self, steps: &[StepTime]) {
        if steps.is_empty() {
            return;
        }
        self.add(format_args!("<ol class=\"steps\" aria-label=\"Time per step\">\n"));
        for StepTime { name, ms } in steps {
            let share = ms.max(0.01);
            let name = Markup(name);
            self.add(format_args!(
                "<li style=\"flex-grow:{share:.2}\"><span>{name}</span> {ms:.1} ms</li>\n"
            ));
        }
        self.add(format_args!("</ol>\n"));
    }

    fn findings(
        &mut self,
        title: &str,
        class: &str,
        number: usize,
        endpoint: &EndpointReport,
        findings: &[(usize, &Finding)],
    ) {
        if findings.is_empty() {
            return;
        }
        self.add(format_args!("<h3>{title}</h3>\n"));
        for &(index, finding) in findings {
            let severity = severity_word(finding.severity);
            let badge = if is_wrong(finding) { severity } else { "inconclusive" };
            let outcome = common::outcome_key(finding.outcome);
            let id = Markup(&finding.id);
            self.add(format_args!(
                "<article class=\"finding {class} {severity}\" id=\"e{number}-f{index}\" data-check=\"{id}\" \
                data-outcome=\"{outcome}\" data-severity=\"{severity}\">\n\
                <h4><span class=\"badge {badge}\">{badge}</span> {} <code class=\"id\">{id}</code></h4>\n",
                Markup(&finding.summary)
            ));
            self.details(finding);
            for &at in &finding.evidence {
                transcript::excerpt(self, number, endpoint, at);
            }
            if let Some(fix) = &finding.fix {
                self.add(format_args!("<p class=\"fix\"><strong>Fix:</strong> {}</p>\n", Markup(fix)));
            }
            if let Some(row) = check(&finding.id) {
                self.add(format_args!(
                    "<details class=\"why\"><summary>Why it matters</summary><p>{}</p><p class=\"spec\">{}</p></details>\n",
                    Markup(row.why),
                    Markup(row.spec)
                ));
            }
            self.add(format_args!("</article>\n"));
        }
    }

    fn details(&mut self, finding: &Finding) {
        if !finding.details.is_empty() {
            self.add(format_args!("<ul class=\"details\">\n"));
            for detail in &finding.details {
                self.add(format_args!("<li>{}</li>\n", Markup(detail)));
            }
            self.add(format_args!("</ul>\n"));
        }
    }

    fn list(
        &mut self,
        title: &str,
        open: bool,
        number: usize,
        endpoint: &EndpointReport,
        findings: &[(usize, &Finding)],
    ) {
        if findings.is_empty() {
            return;
        }
        let (open, count) = (if open { " open" } else { "" }, findings.len());
        self.add(format_args!("<details class=\"fold\"{open}><summary>{title} ({count})</summary>\n<ul>\n"));
        for &(index, finding) in findings {
            let (outcome, id) = (common::outcome_key(finding.outcome), Markup(&finding.id));
            let text = match finding.outcome {
                CheckOutcome::NotRun => common::not_run(finding),
                _ => finding.summary.clone(),
            };
            self.add(format_args!(
                "<li id=\"e{number}-f{index}\" data-check=\"{id}\" data-outcome=\"{outcome}\">{} \
                <code class=\"id\">{id}</code>",
                Markup(&text)
            ));
            self.details(finding);
            if let Some(&at) = finding.evidence.iter().find(|at| common::excerpt(endpoint, **at).is_some()) {
                transcript::link(self, number, at);
            }
            self.add(format_args!("</li>\n"));
        }
        self.add(format_args!("</ul>\n</details>\n"));
    }

    fn survey(&mut self, survey: &TlsSurvey) {
        self.add(format_args!(
            "<details class=\"fold\"><summary>TLS survey: {}</summary>\n",
            Markup(&survey::title(survey))
        ));
        for version in &survey.versions {
            self.add(format_args!("<h4>{}</h4>\n", Markup(&survey::version(version))));
            if !version.suites.is_empty() {
                self.add(format_args!("<ul>\n"));
                for suite in &version.suites {
                    self.add(format_args!("<li><code>{}</code></li>\n", Markup(&survey::suite(suite))));
                }
                self.add(format_args!("</ul>\n"));
            }
        }
        self.add(format_args!("<dl class=\"facts\">\n"));
        for (name, text) in survey::facts(survey) {
            self.fact(name, &text);
        }
        self.add(format_args!("</dl>\n</details>\n"));
    }

    fn capabilities(&mut self, Capabilities { before, inside }: &Capabilities) {
        self.add(format_args!(
            "<details class=\"fold\"><summary>Capabilities of the server, before TLS ({}) and inside ({})\
            </summary>\n<div class=\"columns\">\n",
            before.len(),
            inside.len()
        ));
        for (title, these, others, only) in [
            ("In cleartext", before, inside, "only before TLS"),
            ("Inside TLS", inside, before, "only inside TLS"),
        ] {
            self.add(format_args!("<div><h4>{title}</h4>\n<ul>\n"));
            for each in these {
                let text = Markup(each);
                if others.contains(each) {
                    self.add(format_args!("<li><code>{text}</code></li>\n"));
                } else {
                    self.add(format_args!(
                        "<li><mark><code>{text}</code></mark> <small>{only}</small></li>\n"
                    ));
                }
            }
            self.add(format_args!("</ul></div>\n"));
        }
        self.add(format_args!("</div>\n</details>\n"));
    }
}

fn verdict_class(verdict: EndpointVerdict) -> &'static str {
    match verdict {
        EndpointVerdict::Sound => "good",
        EndpointVerdict::Inconclusive => "inconclusive",
        _ => "bad",
    }
}
