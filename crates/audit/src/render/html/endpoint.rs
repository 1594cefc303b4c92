//! The section of one endpoint.

use starttls_report::html::Html;

use super::super::{common, survey};
use super::{findings, transcript, verdict};
use crate::report::{Capabilities, CheckOutcome, EndpointReport, StepTime, TlsSurvey};

pub(super) fn section(out: &mut Html, number: usize, endpoint: &EndpointReport) {
    let key = common::verdict_key(endpoint.outcome);
    out.open(
        "section",
        &[("class", &"endpoint"), ("id", &format_args!("e{number}")), ("data-verdict", &key)],
    );
    out.markup("\n<h2>");
    verdict(out, endpoint.outcome);
    out.text(&endpoint.target);
    out.markup("</h2>\n");
    out.element("p", &[("class", &"verdict")], &endpoint.summary);
    facts(out, endpoint);
    findings::articles(out, "Problems", "wrong", number, endpoint, &common::new(endpoint));
    findings::articles(
        out,
        "Problems in the baseline",
        "wrong known",
        number,
        endpoint,
        &common::known(endpoint),
    );
    transcript::featured(out, number, endpoint);
    let inconclusive = common::with(endpoint, CheckOutcome::Inconclusive);
    findings::articles(out, "Inconclusive checks", "unclear", number, endpoint, &inconclusive);
    for (title, outcome) in [
        ("Notes", CheckOutcome::Info),
        ("Passed", CheckOutcome::Pass),
        ("Not applicable", CheckOutcome::NotApplicable),
        ("Not run", CheckOutcome::NotRun),
    ] {
        findings::list(out, title, number, endpoint, &common::with(endpoint, outcome));
    }
    if let Some(survey) = endpoint.tls.as_ref().and_then(|tls| tls.survey.as_ref()) {
        surveyed(out, survey);
    }
    if let Some(both) = &endpoint.capabilities {
        capabilities(out, both);
    }
    transcript::transcripts(out, number, endpoint);
    out.markup("</section>\n");
}

fn facts(out: &mut Html, endpoint: &EndpointReport) {
    out.markup("<dl class=\"facts\">\n");
    if let Some(address) = &endpoint.address {
        out.fact("Address", address);
    }
    out.fact("Name", &endpoint.server_name);
    if let Some(session) = endpoint.tls.as_ref().and_then(common::session) {
        out.fact("TLS", &session);
    }
    if let Some(presented) = &endpoint.certificate {
        out.fact("Certificate", &common::certificate(presented));
        if let Some(own) = presented.chain.first() {
            out.minor_fact("Names", &own.names.join(", "));
            out.minor_fact("Valid", &format!("{} to {}", own.not_before, own.not_after));
            out.minor_fact("Issued by", &own.issuer);
            out.minor_fact("Serial", &own.serial);
            out.minor_fact("SHA-256", &own.sha256);
            out.minor_fact("SPKI SHA-256", &own.spki_sha256);
        }
        if let Some(expires) = &presented.expires {
            out.minor_fact("Path expires", &format!("{}, with {}", expires.not_after, expires.subject));
        }
    }
    out.minor_fact("Audit", &common::effort(endpoint));
    out.minor_fact("Steps", &steps(&endpoint.steps));
    out.markup("</dl>\n");
}

fn steps(steps: &[StepTime]) -> String {
    let steps: Vec<_> = steps.iter().map(|StepTime { name, ms }| format!("{name} {ms:.1} ms")).collect();
    steps.join(", ")
}

fn surveyed(out: &mut Html, survey: &TlsSurvey) {
    out.markup("<details class=\"fold\">");
    out.element("summary", &[], format_args!("TLS survey: {}", survey::title(survey)));
    out.markup("\n");
    for version in &survey.versions {
        out.element("h4", &[], survey::version(version));
        if !version.suites.is_empty() {
            out.markup("\n<ul>\n");
            for suite in &version.suites {
                out.markup("<li>");
                out.element("code", &[], survey::suite(suite));
                out.markup("</li>\n");
            }
            out.markup("</ul>\n");
        }
    }
    out.markup("<dl class=\"facts\">\n");
    for (name, text) in survey::facts(survey) {
        out.fact(name, &text);
    }
    out.markup("</dl>\n</details>\n");
}

fn capabilities(out: &mut Html, Capabilities { before, inside }: &Capabilities) {
    out.markup("<details class=\"fold\">");
    let (in_cleartext, in_tls) = (before.len(), inside.len());
    out.element(
        "summary",
        &[],
        format_args!("Capabilities of the server, before TLS ({in_cleartext}) and inside ({in_tls})"),
    );
    out.markup("\n<div class=\"columns\">\n");
    for (title, these, others, only) in [
        ("In cleartext", before, inside, "only before TLS"),
        ("Inside TLS", inside, before, "only inside TLS"),
    ] {
        out.markup("<div>");
        out.element("h4", &[], title);
        out.markup("\n<ul>\n");
        for each in these {
            let both = others.contains(each);
            out.markup(if both { "<li>" } else { "<li><mark>" });
            out.element("code", &[], each);
            if !both {
                out.markup("</mark> ");
                out.element("small", &[], only);
            }
            out.markup("</li>\n");
        }
        out.markup("</ul></div>\n");
    }
    out.markup("</div>\n</details>\n");
}
