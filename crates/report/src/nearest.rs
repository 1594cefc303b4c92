//! The word that a user probably meant.

use starttls_proto as proto;

/// The least similarity of a likely misspelling: 1.0 is the same word.
const LIKELY: f64 = 0.8;

/// Returns the known word that is most similar to `word`, ignoring case, if one is similar enough to be a likely
/// misspelling.
///
/// ```
/// assert_eq!(starttls_report::nearest("SMPT", ["imap", "smtp"]), Some("smtp"));
/// assert_eq!(starttls_report::nearest("gopher", ["imap", "smtp"]), None);
/// ```
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_ascii_lowercase();
    let similarity = |name: &str| strsim::jaro_winkler(&word, &name.to_ascii_lowercase());
    let rated = known.into_iter().map(|name| (similarity(name), name));
    rated
        .filter(|(rate, _)| *rate > LIKELY)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, name)| name)
}

/// Returns the hint for an unknown scheme of a URL: the most similar scheme, followed by `rest`, or all schemes.
pub fn scheme_hint(unknown: &str, rest: &str) -> String {
    let (name, end) = unknown.split_once('+').map_or((unknown, ""), |(name, _)| (name, "+starttls"));
    let rest = rest.escape_debug();
    match nearest(name, proto::schemes()) {
        Some(near) if proto::protocol(near).is_some() => format!("did you mean {near}{end}{rest}?"),
        // A scheme of implicit TLS has no upgrade.
        Some(near) => format!("did you mean {near}{rest}?"),
        None => format!("known protocols: {}", proto::schemes().collect::<Vec<_>>().join(", ")),
    }
}
