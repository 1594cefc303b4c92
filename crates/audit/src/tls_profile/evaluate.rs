//! The comparison of a profile with the facts about a server.

mod certificate;
mod facts;
mod offers;

use starttls_hello::{ServerFacts, Version};

use super::rules::{Expectations, Feature, Level, Permissions, TlsProfile};
use facts::{Asked, State};

/// The result of one requirement. Greater values are worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verdict {
    /// An audit does not test the requirement.
    NotTested,
    /// The server meets the requirement.
    Pass,
    /// The server does not follow a recommendation.
    Warn,
    /// The facts do not decide it.
    Inconclusive,
    /// The server does not meet the requirement.
    Fail,
}

/// A requirement, and whether a server meets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    /// The requirement.
    pub requirement: String,
    /// The result.
    pub verdict: Verdict,
    /// What was found, or why the result is inconclusive.
    pub detail: String,
}

/// The facts about a server that a survey cannot see, because they need a complete handshake.
#[derive(Clone, Copy, Debug, Default)]
pub struct SessionFacts<'a> {
    /// The server's own certificate of each session, in DER.
    pub certificates: &'a [&'a [u8]],
    /// Whether a session had a stapled OCSP response.
    pub ocsp_stapled: Option<bool>,
    /// Whether a ticket allowed 0-RTT data; `None` if tickets were not read.
    pub early_data: Option<bool>,
}

/// Compares a profile with the facts: one row for each requirement, in the order of the profile.
pub fn evaluate(profile: &TlsProfile, facts: &ServerFacts<'_>, session: SessionFacts<'_>) -> Vec<Row> {
    let asked = Asked { facts, session };
    let mut rows = expected(&profile.versions, Version::name, |version| asked.version(version));
    rows.extend(rated(
        "suites up to TLS 1.2",
        &profile.suites,
        &offers::classic_suites(&asked, &profile.suites),
    ));
    let modern = offers::modern_suites(&asked, &profile.suites_tls13);
    rows.extend(rated("suites of TLS 1.3", &profile.suites_tls13, &modern));
    rows.extend(rated("groups", &profile.groups, &offers::groups(&asked, &profile.groups)));
    rows.extend(rated(
        "Diffie-Hellman primes",
        &profile.dh_primes,
        &offers::primes(&asked, &profile.dh_primes),
    ));
    rows.extend(offers::prime_sizes(&asked, profile.sizes.dh));
    rows.extend(offers::signatures(&asked, &profile.signature_hashes));
    rows.extend(certificate::rows(&asked, profile));
    rows.extend(expected(&profile.features, Feature::name, |feature| asked.feature(feature, profile)));
    rows.extend(profile.untested.iter().map(|requirement| Row {
        requirement: requirement.clone(),
        verdict: Verdict::NotTested,
        detail: String::from("not tested"),
    }));
    rows
}

/// Returns the result of all requirements together: that of the worst one.
pub fn overall(rows: &[Row]) -> Verdict {
    rows.iter().map(|row| row.verdict).max().unwrap_or(Verdict::NotTested)
}

/// One row for each thing that is expected or not.
fn expected<T: Copy>(
    expectations: &Expectations<T>,
    name: impl Fn(T) -> &'static str,
    state: impl Fn(T) -> State,
) -> Vec<Row> {
    let lists = [
        (&expectations.required, "required", true, Verdict::Fail),
        (&expectations.recommended, "recommended", true, Verdict::Warn),
        (&expectations.discouraged, "discouraged", false, Verdict::Warn),
        (&expectations.forbidden, "forbidden", false, Verdict::Fail),
    ];
    let mut rows = Vec::new();
    for (list, word, wanted, otherwise) in lists {
        for item in list.iter().copied() {
            let (verdict, detail) = match state(item) {
                State::Yes(detail) => (if wanted { Verdict::Pass } else { otherwise }, detail),
                State::No(detail) => (if wanted { otherwise } else { Verdict::Pass }, detail),
                State::NotApplicable(detail) => (Verdict::Pass, detail),
                State::Unknown(why) => (Verdict::Inconclusive, why),
                State::Untested(why) => (Verdict::NotTested, why),
            };
            rows.push(Row { requirement: format!("{} {word}", name(item)), verdict, detail });
        }
    }
    rows
}

/// What a server accepts of one kind, and what is not known of it.
#[derive(Debug, Default)]
struct Offers {
    /// The names of what it accepts, with their levels.
    accepted: Vec<(String, Level)>,
    /// The names of what it may accept, with their levels.
    open: Vec<(String, Level)>,
    /// Whether one of those that are required was accepted; `None` if it is not known.
    has_required: Option<bool>,
    has_recommended: Option<bool>,
    /// Why none of this applies to the server.
    not_applicable: Option<String>,
    /// What the user can do about the names that are open.
    advice: &'static str,
}

/// One row for each level that the rules use.
fn rated<T>(title: &str, rules: &Permissions<T>, offers: &Offers) -> Vec<Row> {
    let row = |word: &str, verdict, detail| Row { requirement: format!("{title} {word}"), verdict, detail };
    let mut rows = Vec::new();
    for (list, word, has, otherwise) in [
        (&rules.required_any, "of which one is required", offers.has_required, Verdict::Fail),
        (&rules.recommended_any, "of which one is recommended", offers.has_recommended, Verdict::Warn),
    ] {
        if list.is_empty() {
            continue;
        }
        rows.push(match (&offers.not_applicable, has) {
            (Some(why), _) => row(word, Verdict::Pass, why.clone()),
            (None, Some(true)) => row(word, Verdict::Pass, String::from("offered")),
            (None, Some(false)) => row(word, otherwise, String::from("none of them is offered")),
            (None, None) => row(word, Verdict::Inconclusive, String::from(offers.advice)),
        });
    }
    for (level, word, verdict) in
        [(Level::Discouraged, "discouraged", Verdict::Warn), (Level::Forbidden, "forbidden", Verdict::Fail)]
    {
        if rules.other != level && !rules.rated.iter().any(|(_, rated)| *rated == level) {
            continue;
        }
        let of_level = |list: &[(String, Level)]| {
            list.iter().filter(|it| it.1 == level).map(|it| it.0.clone()).collect::<Vec<_>>()
        };
        let (accepted, open) = (of_level(&offers.accepted), of_level(&offers.open));
        rows.push(if let Some(why) = &offers.not_applicable {
            row(word, Verdict::Pass, why.clone())
        } else if !accepted.is_empty() {
            row(word, verdict, format!("offered: {}", shortened(&accepted)))
        } else if !open.is_empty() {
            row(word, Verdict::Inconclusive, format!("not known: {}; {}", shortened(&open), offers.advice))
        } else {
            row(word, Verdict::Pass, String::from("none is offered"))
        });
    }
    let unrated: Vec<_> =
        offers.accepted.iter().filter(|it| it.1 == Level::Unrated).map(|it| it.0.clone()).collect();
    if !unrated.is_empty() {
        rows.push(row("that are not rated", Verdict::Pass, format!("offered: {}", shortened(&unrated))));
    }
    rows
}

/// Returns the first names and the number of the others.
fn shortened(names: &[String]) -> String {
    const SHOWN: usize = 6;
    let shown = names.get(..SHOWN).unwrap_or(names).join(", ");
    match names.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}
