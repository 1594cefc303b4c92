//! The badge of a target: its verdict and the age of the newest report.

use starttls_audit::render::html::verdict_text;
use starttls_audit::report::EndpointVerdict;
use starttls_report::Language;
use starttls_report::html::Html;

use crate::store::RunSummary;
use crate::words;

const DAY: u64 = 86_400;
/// The age from which a report says nothing about now.
const OLD: u64 = 30 * DAY;

/// Returns an image with the verdict of this run, in a language.
pub(crate) fn badge(newest: Option<&RunSummary>, now: u64, language: Language) -> String {
    let age = newest.map(|run| now.saturating_sub(run.started));
    let (text, color) = match (newest, age) {
        (Some(run), Some(age)) => {
            let verdict = verdict_text(run.verdict).of(language);
            let days = age / DAY;
            let text = if days == 0 { words::BADGE_TODAY } else { words::BADGE_DAYS };
            let text = text.filled(language, &[("verdict", &verdict), ("days", &days)]);
            let color = match run.verdict {
                _ if age > OLD => "#5b6675",
                EndpointVerdict::Sound => "#13693a",
                EndpointVerdict::Inconclusive => "#7d5200",
                _ => "#a81c1c",
            };
            (text, color)
        }
        _ => (words::BADGE_NONE.of(language).to_owned(), "#5b6675"),
    };
    // The usual fonts of 11 px are about 7 px wide.
    let width = |text: &str| 7 * text.chars().count() + 12;
    let (left, right) = (width("STARTTLS"), width(&text));
    let mut out = Html::default();
    out.open(
        "svg",
        &[
            ("xmlns", &"http://www.w3.org/2000/svg"),
            ("width", &(left + right)),
            ("height", &20),
            ("role", &"img"),
            ("lang", &language),
            ("font-family", &"Verdana, DejaVu Sans, sans-serif"),
            ("font-size", &11),
        ],
    );
    out.element("title", &[], format_args!("STARTTLS: {text}"));
    out.empty("rect", &[("width", &left), ("height", &20), ("fill", &"#1c2430")]);
    out.empty("rect", &[("x", &left), ("width", &right), ("height", &20), ("fill", &color)]);
    for (x, text) in [(left / 2, "STARTTLS"), (left + right / 2, text.as_str())] {
        out.element("text", &[("x", &x), ("y", &14), ("fill", &"#fff"), ("text-anchor", &"middle")], text);
    }
    out.close("svg");
    out.into_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::RunEnd;

    #[test]
    fn a_badge_has_the_verdict_and_the_age() {
        let run = |verdict| RunSummary {
            id: String::new(),
            started_at: String::new(),
            started: 1_000 * DAY,
            end: RunEnd::Finished,
            preset: String::new(),
            verdict,
            generator: String::new(),
        };
        let sound = badge(Some(&run(EndpointVerdict::Sound)), 1_003 * DAY + 5, Language::English);
        assert!(sound.contains("STARTTLS: sound · 3 d") && sound.contains("#13693a"), "{sound}");
        let old = badge(Some(&run(EndpointVerdict::Sound)), 1_031 * DAY, Language::German);
        assert!(old.contains("#5b6675") && !old.contains("#13693a"), "{old}");
        assert!(old.contains("in Ordnung · 31 T.") && old.contains("lang=\"de\""), "{old}");
        assert!(badge(None, 0, Language::English).contains("no report"));
    }
}
