//! What changed between two runs.

use starttls_audit::report::Finding;
use starttls_report::html::Html;

use super::page;
use crate::changes::changes;
use crate::store::StoredRun;

/// Returns the page.
pub(crate) fn compare(before: &StoredRun, after: &StoredRun) -> String {
    let mut out = Html::default();
    out.element("h1", &[], format_args!("What changed: {}", after.target));
    out.markup("<dl class=\"facts\">\n");
    out.time_fact("Before", &before.report.started_at);
    out.time_fact("After", &after.report.started_at);
    out.markup("</dl>\n<ul class=\"links\">");
    for (run, text) in [(before, "The earlier report"), (after, "The later report")] {
        out.markup("<li>");
        out.element("a", &[("href", &format_args!("/r/{}", run.id))], text);
        out.markup("</li>");
    }
    out.markup("</ul>\n");
    if before.target != after.target {
        out.markup("<p class=\"error\">The reports are on different targets.</p>\n");
    }
    let generators = [&before.report.generator, &after.report.generator];
    if generators[0] != generators[1] {
        let [old, new] = generators;
        out.element("p", &[("class", &"hint")], format_args!("The program changed too: {old}, then {new}."));
    }
    for endpoint in changes(&before.report, &after.report) {
        out.markup("<section class=\"card\">\n");
        out.element("h2", &[], endpoint.target);
        if endpoint.new.is_empty() && endpoint.gone.is_empty() && endpoint.facts.is_empty() {
            out.markup("<p>Nothing changed.</p>\n");
        }
        list(&mut out, "new", "+", "new problem: ", &endpoint.new);
        list(&mut out, "gone", "−", "gone: ", &endpoint.gone);
        list(&mut out, "same", "=", "still there: ", &endpoint.same);
        if !endpoint.facts.is_empty() {
            out.markup("<dl class=\"facts\">\n");
            for (name, old, new) in &endpoint.facts {
                let shown = |text: &str| if text.is_empty() { String::from("none") } else { text.to_owned() };
                out.fact(name, &format!("{} → {}", shown(old), shown(new)));
            }
            out.markup("</dl>\n");
        }
        out.markup("</section>\n");
    }
    page(&format!("What changed: {}", after.target), &out)
}

fn list(out: &mut Html, class: &'static str, sign: &'static str, word: &'static str, findings: &[&Finding]) {
    if findings.is_empty() {
        return;
    }
    out.open("ul", &[("class", &format_args!("changes {class}"))]);
    for finding in findings {
        out.markup("<li>");
        out.element("span", &[("class", &"sign"), ("aria-hidden", &"true")], sign);
        out.text(format_args!("{word}{} ", finding.summary));
        out.element("code", &[("class", &"id")], &finding.id);
        out.markup("</li>\n");
    }
    out.markup("</ul>\n");
}
