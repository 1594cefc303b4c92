//! The section of one endpoint.

use starttls_report::Language;
use starttls_report::html::Html;

use super::super::{common, survey};
use super::{DATA, conclusion, findings, transcript, verdict};
use crate::report::{Capabilities, CheckOutcome, EndpointReport, Presented, StepTime, TlsSummary, TlsSurvey};
use crate::words;

pub(super) fn section(out: &mut Html, language: Language, number: usize, endpoint: &EndpointReport) {
    let key = common::verdict_key(endpoint.outcome);
    out.open(
        "section",
        &[("class", &"endpoint"), ("id", &format_args!("e{number}")), ("data-verdict", &key)],
    );
    out.markup("\n<h2>");
    verdict(out, language, endpoint.outcome);
    out.peer(&endpoint.target);
    out.markup("</h2>\n<p class=\"verdict\">");
    conclusion(out, language, endpoint);
    out.markup("</p>");
    facts(out, language, endpoint);
    let articles = findings::Articles { language, number, endpoint };
    articles.write(out, words::outcome(CheckOutcome::Fail), "wrong", &common::new(endpoint));
    articles.write(out, words::KNOWN_PROBLEMS, "wrong known", &common::known(endpoint));
    transcript::featured(out, language, number, endpoint);
    let inconclusive = common::with(endpoint, CheckOutcome::Inconclusive);
    articles.write(out, words::outcome(CheckOutcome::Inconclusive), "unclear", &inconclusive);
    for outcome in [CheckOutcome::Info, CheckOutcome::Pass, CheckOutcome::NotApplicable, CheckOutcome::NotRun]
    {
        articles.list(out, words::outcome(outcome), &common::with(endpoint, outcome));
    }
    if let Some(survey) = endpoint.tls.as_ref().and_then(|tls| tls.survey.as_ref()) {
        surveyed(out, language, survey);
    }
    if let Some(both) = &endpoint.capabilities {
        capabilities(out, language, both);
    }
    transcript::transcripts(out, language, number, endpoint);
    out.markup("</section>\n");
}

fn facts(out: &mut Html, language: Language, endpoint: &EndpointReport) {
    out.markup("<dl class=\"facts\">\n");
    if let Some(address) = &endpoint.address {
        out.data_fact(words::ADDRESS.of(language), address);
    }
    out.data_fact(words::NAME.of(language), &endpoint.server_name);
    if let Some(session) = endpoint.tls.as_ref().and_then(|tls| session(tls, language)) {
        out.fact(words::TLS.of(language), &session);
    }
    if let Some(presented) = &endpoint.certificate {
        out.fact_of(words::CERTIFICATE.of(language), &certificate(presented, language));
        if let Some(own) = presented.chain.first() {
            let until =
                words::FROM_TO.filled(language, &[("first", &own.not_before), ("last", &own.not_after)]);
            out.minor_data_fact(words::NAMES.of(language), &own.names.join(", "));
            out.minor_fact(words::VALID.of(language), &until);
            out.minor_data_fact(words::ISSUED_BY.of(language), &own.issuer);
            out.minor_data_fact(words::SERIAL.of(language), &own.serial);
            out.minor_data_fact("SHA-256", &own.sha256);
            out.minor_data_fact("SPKI SHA-256", &own.spki_sha256);
        }
        if let Some(expires) = &presented.expires {
            let both = [("date", &expires.not_after as _), ("subject", &expires.subject as _)];
            out.minor_fact(words::PATH_EXPIRES.of(language), &words::DATE_WITH.filled(language, &both));
        }
    }
    out.minor_fact(words::AUDIT.of(language), &effort(endpoint, language));
    out.minor_fact(words::STEPS.of(language), &steps(&endpoint.steps, language));
    out.markup("</dl>\n");
}

/// Returns the TLS session in one line, if a handshake succeeded.
fn session(tls: &TlsSummary, language: Language) -> Option<String> {
    let (version, suite) = tls.version.as_ref().zip(tls.cipher_suite.as_ref())?;
    let group = tls.group.as_deref().unwrap_or(words::NO_KEY_EXCHANGE.of(language));
    let quantum = if tls.post_quantum { words::POST_QUANTUM.of(language) } else { "" };
    let alpn = tls.alpn.as_deref().map(|id| format!(", ALPN {id}")).unwrap_or_default();
    Some(format!("{version}, {suite}, {group}{quantum}{alpn}"))
}

/// Returns the presented certificate in one line.
fn certificate(presented: &Presented, language: Language) -> Html {
    let mut out = Html::default();
    let Some(own) = presented.chain.first().filter(|own| own.unreadable.is_none()) else {
        out.english(language, common::certificate(presented));
        return out;
    };
    let (left, until) = match &presented.expires {
        Some(expires) => (expires.days_left, &expires.not_after),
        None => (own.days_left, &own.not_after),
    };
    out.english(language, &presented.verdict);
    out.markup("; ");
    out.peer(&own.subject);
    out.text(format_args!(", {}, {} ({until})", own.key, words::remaining(language, left)));
    out
}

/// Returns the connections and the duration of an audit, its local address and its time.
fn effort(endpoint: &EndpointReport, language: Language) -> String {
    let connections = words::CONNECTIONS.filled(language, endpoint.connections as usize);
    let mut effort = format!("{connections}, {:.2} s", endpoint.elapsed_ms / 1000.0);
    if let Some(source) = &endpoint.source {
        effort += &words::FROM.filled(language, &[("source", source)]);
    }
    if !endpoint.started_at.is_empty() {
        effort += &words::AT.filled(language, &[("time", &endpoint.started_at)]);
    }
    effort
}

fn steps(steps: &[StepTime], language: Language) -> String {
    let named = |name: &str| words::step(name).map_or(name.to_owned(), |text| text.of(language).to_owned());
    let steps: Vec<_> =
        steps.iter().map(|StepTime { name, ms }| format!("{} {ms:.1} ms", named(name))).collect();
    steps.join(", ")
}

/// Writes the TLS survey, whose words are those of the registries and of this program in English.
fn surveyed(out: &mut Html, language: Language, survey: &TlsSurvey) {
    let mut title = Html::default();
    title.english(language, survey::title(survey));
    out.markup("<details class=\"fold\"><summary>");
    out.phrase(words::TLS_SURVEY.of(language), &[("survey", &title)]);
    out.markup("</summary>\n");
    out.open("div", &[("lang", &Language::English)]);
    out.markup("\n");
    for version in &survey.versions {
        out.element("h4", &[], survey::version(version));
        if !version.suites.is_empty() {
            out.markup("\n<ul>\n");
            for suite in &version.suites {
                out.markup("<li>");
                out.element("code", DATA, survey::suite(suite));
                out.markup("</li>\n");
            }
            out.markup("</ul>\n");
        }
    }
    out.markup("<dl class=\"facts\">\n");
    for (name, text) in survey::facts(survey) {
        out.fact(name, &text);
    }
    out.markup("</dl>\n</div></details>\n");
}

fn capabilities(out: &mut Html, language: Language, Capabilities { before, inside }: &Capabilities) {
    out.markup("<details class=\"fold\">");
    let counts = [("before", &before.len() as _), ("inside", &inside.len() as _)];
    out.element("summary", &[], words::CAPABILITIES.filled(language, &counts));
    out.markup("\n<div class=\"columns\">\n");
    for (title, these, others, only) in [
        (words::IN_CLEARTEXT, before, inside, words::ONLY_BEFORE),
        (words::INSIDE_TLS, inside, before, words::ONLY_INSIDE),
    ] {
        out.markup("<div>");
        out.element("h4", &[], title.of(language));
        out.markup("\n<ul>\n");
        for each in these {
            let both = others.contains(each);
            out.markup(if both { "<li>" } else { "<li><mark>" });
            out.element("code", DATA, each);
            if !both {
                out.markup("</mark> ");
                out.element("small", &[], only.of(language));
            }
            out.markup("</li>\n");
        }
        out.markup("</ul></div>\n");
    }
    out.markup("</div>\n</details>\n");
}
