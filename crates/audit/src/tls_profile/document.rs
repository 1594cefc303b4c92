//! The document of a profile: its tables and keys.

use starttls_hello::{CipherSuite, KeyExchange, NamedGroup, SuiteClass, Version};
use starttls_x509::HashAlgorithm;

use super::algorithm_names;
use super::rules::{Expectations, Feature, Level, Limit, Permissions, Provenance, SuiteRule, TlsProfile};
use super::toml_reader::{ProfileError, Source, Table, Unknown};

pub(super) fn parse(file: &str, text: &str) -> Result<TlsProfile, ProfileError> {
    let source = Source { file, text };
    let mut table = source.table()?;
    let stem = std::path::Path::new(file).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    let mut profile = TlsProfile {
        name: stem.unwrap_or_default(),
        title: String::new(),
        version: table.text("version")?.unwrap_or_else(|| String::from("not stated")),
        source: table.text("source")?.unwrap_or_else(|| file.to_owned()),
        certainty: table.take("certainty").map_or(Ok(Provenance::Unstated), |value| value.one(certainty))?,
        applies_to: table.text("applies-to")?.unwrap_or_else(|| String::from("not stated")),
        untested: table.list("untested", |text| Ok(text.to_owned()))?,
        versions: expectations(&mut table, "versions", version)?,
        suites: permissions(&mut table, "suites", suite)?,
        suites_tls13: permissions(&mut table, "suites-tls13", suite)?,
        groups: permissions(&mut table, "groups", group)?,
        dh_primes: permissions(&mut table, "dh-primes", group)?,
        signature_hashes: permissions(&mut table, "signature-hashes", hash)?,
        certificate_keys: permissions(&mut table, "certificate-keys", key)?,
        certificate_signatures: permissions(&mut table, "certificate-signatures", signature)?,
        features: expectations(&mut table, "features", feature)?,
        ..TlsProfile::default()
    };
    if let Some(mut sizes) = table.table("sizes")? {
        for key in ["required", "recommended"] {
            let Some(mut least) = sizes.table(key)? else { continue };
            for (kind, limit) in [
                ("rsa", &mut profile.sizes.rsa),
                ("ec", &mut profile.sizes.ec),
                ("dh", &mut profile.sizes.dh),
            ] {
                let bits = least.take(kind).map(|value| value.number()).transpose()?;
                *(if key == "required" { &mut limit.required } else { &mut limit.recommended }) = bits;
            }
            least.end()?;
        }
        sizes.end()?;
    }
    if let Some(mut days) = table.table("certificate-days")? {
        let mut number = |key| days.take(key).map(|value| value.number()).transpose();
        profile.certificate_days =
            Limit { required: number("required")?, recommended: number("recommended")? };
        days.end()?;
    }
    let Some(title) = table.text("title")? else { return Err(table.missing("title")) };
    table.end()?;
    Ok(TlsProfile { title, ..profile })
}

fn expectations<T>(
    table: &mut Table<'_>,
    key: &'static str,
    parse: impl Fn(&str) -> Result<T, Unknown> + Copy,
) -> Result<Expectations<T>, ProfileError> {
    let Some(mut table) = table.table(key)? else { return Ok(Expectations::default()) };
    let found = Expectations {
        required: table.list("required", parse)?,
        recommended: table.list("recommended", parse)?,
        discouraged: table.list("discouraged", parse)?,
        forbidden: table.list("forbidden", parse)?,
    };
    table.end()?;
    Ok(found)
}

fn permissions<T>(
    table: &mut Table<'_>,
    key: &'static str,
    parse: impl Fn(&str) -> Result<T, Unknown> + Copy,
) -> Result<Permissions<T>, ProfileError> {
    let Some(mut table) = table.table(key)? else { return Ok(Permissions::default()) };
    let (required_any, recommended_any) =
        (table.list("required-any", parse)?, table.list("recommended-any", parse)?);
    let mut rated = Vec::new();
    for (key, level) in LEVELS {
        rated.extend(table.list(key, parse)?.into_iter().map(|item| (item, level)));
    }
    let level = |text: &str| choice("a level", text, LEVELS.iter().map(|(name, level)| (*name, *level)));
    let other = table.take("other").map_or(Ok(Level::Accepted), |value| value.one(level))?;
    table.end()?;
    Ok(Permissions { required_any, recommended_any, rated, other })
}

const LEVELS: [(&str, Level); 4] = [
    ("accepted", Level::Accepted),
    ("unrated", Level::Unrated),
    ("discouraged", Level::Discouraged),
    ("forbidden", Level::Forbidden),
];

/// Finds a word, in any letter case.
fn choice<'k, T>(
    expected: &'static str,
    text: &str,
    known: impl Iterator<Item = (&'k str, T)>,
) -> Result<T, Unknown> {
    let mut names = Vec::new();
    for (name, value) in known {
        if name.eq_ignore_ascii_case(text) {
            return Ok(value);
        }
        names.push(name);
    }
    Err(Unknown::new(expected, text, names.into_iter()))
}

fn certainty(text: &str) -> Result<Provenance, Unknown> {
    let known = [("read", Provenance::Read), ("checker", Provenance::Checker)];
    choice("\"read\" or \"checker\"", text, known.into_iter())
}

fn version(text: &str) -> Result<Version, Unknown> {
    choice("a version such as \"TLS 1.2\"", text, Version::ALL.iter().map(|it| (it.name(), *it)))
}

fn feature(text: &str) -> Result<Feature, Unknown> {
    choice("a feature such as \"compression\"", text, Feature::ALL.iter().map(|it| (it.name(), *it)))
}

fn suite(text: &str) -> Result<SuiteRule, Unknown> {
    if let Some(class) = text.strip_prefix("class:") {
        let known = SuiteClass::ALL.iter().map(|it| (it.name(), SuiteRule::Class(*it)));
        return choice("a class of suites such as \"class:rc4\"", class, known);
    }
    if let Some(exchange) = text.strip_prefix("exchange:") {
        let known = KeyExchange::ALL.iter().map(|it| (it.name(), SuiteRule::Exchange(it.name())));
        return choice("a key exchange such as \"exchange:RSA\"", exchange, known);
    }
    if let Some(mode) = text.strip_prefix("mode:") {
        let known = CipherSuite::all().map(|(_, info)| (info.mode, SuiteRule::Mode(info.mode)));
        return choice("a mode such as \"mode:CBC\"", mode, known.filter(|(name, _)| !name.is_empty()));
    }
    let known = || CipherSuite::all().map(|(_, info)| info.name);
    let unknown = || Unknown::new("a suite by its IANA or OpenSSL name, or \"class:rc4\"", text, known());
    CipherSuite::by_name(text).map(SuiteRule::Suite).ok_or_else(unknown)
}

fn group(text: &str) -> Result<NamedGroup, Unknown> {
    let known = || NamedGroup::all().map(|(_, info)| info.name);
    NamedGroup::by_name(text).ok_or_else(|| Unknown::new("a group such as \"x25519\"", text, known()))
}

fn hash(text: &str) -> Result<HashAlgorithm, Unknown> {
    // A survey determines these two: it offers nothing else.
    let known = [("MD5", HashAlgorithm::Md5), ("SHA-1", HashAlgorithm::Sha1)];
    choice("\"MD5\" or \"SHA-1\"", text, known.into_iter())
}

fn key(text: &str) -> Result<String, Unknown> {
    known_name("a kind of key such as \"RSA\" or \"EC P-256\"", text, &algorithm_names::keys())
}

fn signature(text: &str) -> Result<String, Unknown> {
    known_name("an algorithm such as \"RSA with SHA-256\"", text, &algorithm_names::signatures())
}

fn known_name(expected: &'static str, text: &str, known: &[String]) -> Result<String, Unknown> {
    choice(expected, text, known.iter().map(|name| (name.as_str(), name.clone())))
}
