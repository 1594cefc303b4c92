//! The form, and what the service does.

use starttls_report::html::Html;

use super::page;
use crate::preset::Preset;

/// Returns the page with the form. `error` belongs to the text in the field.
pub(crate) fn home(text: &str, error: Option<&str>) -> String {
    let mut out = Html::default();
    out.markup(
        "<h1>Is the upgrade to TLS sound?</h1>\n\
         <p>Enter a domain or the URL of a server. The audit opens up to 30 connections to it, shows the conversations, and \
         says what is wrong and how to fix it.</p>\n<section class=\"card\">\n<form method=\"post\" action=\"/check\">\n\
         <label for=\"target\">Domain or URL</label>\n",
    );
    if let Some(error) = error {
        out.element("p", &[("id", &"error"), ("class", &"error"), ("role", &"alert")], error);
    }
    let (described, invalid) = match error {
        Some(_) => ("error hint", "true"),
        None => ("hint", "false"),
    };
    out.empty(
        "input",
        &[
            ("type", &"text"),
            ("id", &"target"),
            ("name", &"target"),
            ("value", &text),
            ("required", &""),
            ("maxlength", &300),
            ("inputmode", &"url"),
            ("autocomplete", &"off"),
            ("autocapitalize", &"none"),
            ("spellcheck", &"false"),
            ("aria-describedby", &described),
            ("aria-invalid", &invalid),
        ],
    );
    out.markup(
        "\n<p class=\"hint\" id=\"hint\">Examples: <code>example.com</code>, <code>smtp://mail.example.com</code>, \
         <code>imap://mail.example.com</code>, <code>ldap://ldap.example.com</code></p>\n\
         <label for=\"preset\">Extent</label>\n<select id=\"preset\" name=\"preset\">\n",
    );
    for (preset, text) in [
        (Preset::Standard, "Standard: all checks"),
        (Preset::Quick, "Quick: offer, upgrade and certificate"),
        (Preset::Tls, "TLS: all checks, and what the server offers in TLS"),
    ] {
        out.element("option", &[("value", &preset.name())], text);
    }
    out.markup("</select>\n<div class=\"actions\"><button>Audit</button></div>\n</form>\n</section>\n");
    let title = if error.is_some() { "Error: STARTTLS audit" } else { "STARTTLS audit" };
    page(title, &out)
}

/// Returns the page about the service.
pub(crate) fn about(generator: &str, is_public: bool) -> String {
    let mut out = Html::default();
    out.markup(
        "<h1>About this service</h1>\n<section class=\"card\">\n<h2>What it sends</h2>\n\
         <p>An audit negotiates TLS as a client does, sends harmless commands at the wrong moment to see whether the server \
         keeps them, and reads the certificate. It does not log in, sends no mail, and follows no redirection. The checks are \
         those of the command <code>starttls check</code>.</p>\n</section>\n\
         <section class=\"card\">\n<h2>Which servers it asks</h2>\n\
         <p>Names are looked up once, and only addresses that the operator permits are asked, on the ports of the protocols. \
         Private and other special-purpose addresses are refused unless the operator allows them.</p>\n",
    );
    if is_public {
        out.markup(
            "<p>Each server is audited at most twice within ten minutes, for all visitors together, and each network at most 20 times \
             within an hour. Each visitor can start three audits at once, and ten in an hour.</p>\n",
        );
    }
    out.markup(
        "</section>\n<section class=\"card\">\n<h2>What it keeps</h2>\n\
         <p>Reports, for a limited time. They can be read by everybody who knows their link, and are not listed. There are no \
         cookies. Monitoring can read a target's verdict from <code>/probe</code>, and programs can use \
         <a href=\"/api/v1/openapi.json\">the API</a>.</p>\n</section>\n",
    );
    out.element("p", &[], generator);
    page("About this service", &out)
}
