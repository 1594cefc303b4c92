//! The server's certificates: keys, signatures and validity.

use starttls_x509::{Certificate, EllipticCurve, KeyAlgorithm, SignatureAlgorithm};

use super::facts::Asked;
use super::{Offers, Row, Verdict, rated};
use crate::tls_profile::algorithm_names;
use crate::tls_profile::rules::{Level, Limit, Permissions, TlsProfile};

const DAY: i64 = 86_400;

/// One certificate of the server.
struct Leaf {
    key: KeyAlgorithm,
    signature: SignatureAlgorithm,
    /// The time between its dates, in seconds.
    validity: i64,
}

pub(super) fn rows(asked: &Asked<'_>, profile: &TlsProfile) -> Vec<Row> {
    let leaves = leaves(asked);
    let bits = |pick: fn(&KeyAlgorithm) -> Option<u32>| -> Vec<u32> {
        leaves.iter().filter_map(|leaf| pick(&leaf.key)).collect()
    };
    let mut rows = sizes("RSA keys", profile.sizes.rsa, &bits(rsa_bits), leaves.is_empty());
    rows.extend(sizes("EC keys", profile.sizes.ec, &bits(ec_bits), leaves.is_empty()));
    let keys = leaves.iter().map(|leaf| {
        let name = algorithm_names::key(&leaf.key);
        (name.clone().unwrap_or_else(|| leaf.key.to_string()), name)
    });
    rows.extend(rated(
        "keys of certificates",
        &profile.certificate_keys,
        &offers(&profile.certificate_keys, keys),
    ));
    let signatures = leaves.iter().map(|leaf| {
        let name = algorithm_names::signature(&leaf.signature);
        (name.clone().unwrap_or_else(|| leaf.signature.to_string()), name)
    });
    let rules = &profile.certificate_signatures;
    rows.extend(rated("signatures of certificates", rules, &offers(rules, signatures)));
    rows.extend(days(profile.certificate_days, &leaves));
    rows
}

/// Returns the certificates of the hellos and of the sessions, each once.
fn leaves(asked: &Asked<'_>) -> Vec<Leaf> {
    let chains = asked.facts.chains();
    let seen = chains.iter().filter_map(|chain| chain.first().map(Vec::as_slice));
    let mut all: Vec<&[u8]> = seen.chain(asked.session.certificates.iter().copied()).collect();
    all.sort_unstable();
    all.dedup();
    let read = |der: &[u8]| {
        let certificate = Certificate::from_der(der).ok()?;
        Some(Leaf {
            key: certificate.public_key().algorithm(),
            signature: certificate.signature_algorithm(),
            validity: certificate.not_after() - certificate.not_before(),
        })
    };
    all.into_iter().filter_map(read).collect()
}

fn rsa_bits(key: &KeyAlgorithm) -> Option<u32> {
    match key {
        KeyAlgorithm::Rsa { bits } | KeyAlgorithm::RsaPss { bits } => u32::try_from(*bits).ok(),
        _ => None,
    }
}

fn ec_bits(key: &KeyAlgorithm) -> Option<u32> {
    match key {
        KeyAlgorithm::Ec(EllipticCurve::P(bits) | EllipticCurve::Brainpool(bits)) => {
            u32::try_from(*bits).ok()
        }
        KeyAlgorithm::Ec(EllipticCurve::Secp256k1) | KeyAlgorithm::Ed25519 => Some(256),
        KeyAlgorithm::Ed448 => Some(448),
        _ => None,
    }
}

fn sizes(title: &str, limit: Limit, bits: &[u32], none_seen: bool) -> Vec<Row> {
    let row = |least: u32, word: &str, otherwise| {
        let (verdict, detail) = match bits.iter().min() {
            _ if none_seen => (Verdict::Inconclusive, String::from("no certificate was seen")),
            None => (Verdict::Pass, String::from("no such key is used")),
            Some(shortest) if *shortest < least => (otherwise, format!("a key has {shortest} bits")),
            Some(shortest) => (Verdict::Pass, format!("the shortest key has {shortest} bits")),
        };
        Row { requirement: format!("{title} of {least} bits {word}"), verdict, detail }
    };
    let required = limit.required.map(|bits| row(bits, "required", Verdict::Fail));
    let recommended = limit.recommended.map(|bits| row(bits, "recommended", Verdict::Warn));
    required.into_iter().chain(recommended).collect()
}

/// Rates names. A name that the table does not have is not known.
fn offers(rules: &Permissions<String>, names: impl Iterator<Item = (String, Option<String>)>) -> Offers {
    let mut offers = Offers { advice: "the audit has no name for it", ..Offers::default() };
    for (shown, name) in names {
        match name {
            Some(name) => offers.accepted.push((shown, rules.level(&name))),
            // It may be any algorithm that the rules do not name, or one that they name otherwise.
            None => offers.open.push((shown, rules.other)),
        }
    }
    if offers.accepted.is_empty() && offers.open.is_empty() {
        offers.advice = "no certificate was seen";
        offers.open = Level::FAULTS.map(|level| (String::from("the certificate"), level)).to_vec();
    }
    offers.accepted.sort();
    offers.accepted.dedup();
    offers
}

fn days(limit: Limit, leaves: &[Leaf]) -> Vec<Row> {
    let longest = leaves.iter().map(|leaf| leaf.validity).max();
    let row = |days: u32, word: &str, otherwise| {
        let (verdict, detail) = match longest {
            None => (Verdict::Inconclusive, String::from("no certificate was seen")),
            Some(seconds) => {
                let verdict = if seconds > i64::from(days) * DAY { otherwise } else { Verdict::Pass };
                (verdict, format!("valid for {} days", (seconds + DAY - 1) / DAY))
            }
        };
        Row { requirement: format!("validity of certificates up to {days} days {word}"), verdict, detail }
    };
    let required = limit.required.map(|days| row(days, "required", Verdict::Fail));
    let recommended = limit.recommended.map(|days| row(days, "recommended", Verdict::Warn));
    required.into_iter().chain(recommended).collect()
}
