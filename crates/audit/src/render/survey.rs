//! The TLS survey in words, for the formats that people read.

use crate::filter::plural;
use crate::report::{SurveyedProperties, SurveyedSuite, SurveyedVersion, TlsSurvey};

/// Returns the survey in one line.
pub(crate) fn title(survey: &TlsSurvey) -> String {
    let hellos = plural(survey.hellos, "hello", "hellos");
    let end = match survey.end.as_str() {
        "complete" => "",
        "budget" => ", ended by the limit of hellos",
        "unanswered" => ", ended by a server that does not answer",
        "turned-away" => ", ended by a server that turned connections away",
        _ => ", ended because a hello that had succeeded was refused",
    };
    format!("{}, {hellos}{end}", survey.size)
}

/// Returns a version in one line: "TLS 1.2: cbc, aead; not offered: null, anon; not asked: ccm8".
pub(crate) fn version(version: &SurveyedVersion) -> String {
    let name = &version.name;
    match (version.offered, &version.reason) {
        (Some(false), _) => format!("{name}: not offered"),
        (None, Some(reason)) => format!("{name}: not known: {reason}"),
        (None, None) => format!("{name}: not asked"),
        (Some(true), _) if version.classes.is_empty() => format!("{name}: offered"),
        (Some(true), _) => {
            let of = |wanted| {
                let classes = version.classes.iter().filter(move |class| class.offered == wanted);
                classes.map(|class| class.name.as_str()).collect::<Vec<_>>().join(", ")
            };
            let parts =
                [("offered", of(Some(true))), ("not offered", of(Some(false))), ("not known", of(None))];
            let parts = parts.into_iter().filter(|(_, classes)| !classes.is_empty());
            let parts: Vec<_> = parts.map(|(word, classes)| format!("{word}: {classes}")).collect();
            format!("{name}: {}", parts.join("; "))
        }
    }
}

/// Returns a suite by its code, its names in the registry and in OpenSSL, and its class.
pub(crate) fn suite(suite: &SurveyedSuite) -> String {
    let openssl = suite.openssl_name.as_deref().filter(|name| *name != suite.name);
    let openssl = openssl.map(|name| format!(", {name}")).unwrap_or_default();
    format!("{} {}{openssl} ({})", suite.code, suite.name, suite.class)
}

/// Returns the other facts with their names, as far as they are known.
pub(crate) fn facts(survey: &TlsSurvey) -> Vec<(&'static str, String)> {
    let order = survey.preference.as_deref().map(|side| format!("the {side} decides"));
    let dh = survey.dh.iter().map(|dh| {
        let known = dh.prime_name.as_deref().map(|name| format!(", {name},")).unwrap_or_default();
        format!("{} bits{known} with {} ({})", dh.bits, dh.suite, dh.version)
    });
    let mut dh: Vec<_> = dh.collect();
    dh.dedup();
    let certificates = survey.certificates.iter().map(|it| match &it.unreadable {
        Some(error) => format!("unreadable: {error}"),
        None => format!("{}, {}, until {}", it.subject, it.key, it.not_after),
    });
    let (has, lacks) = properties(&survey.properties);
    let rows = [
        ("order", order.unwrap_or_default()),
        ("groups", survey.groups.join(", ")),
        ("signatures", survey.signature_schemes.join(", ")),
        ("Diffie-Hellman", dh.join(", ")),
        ("certificates", certificates.collect::<Vec<_>>().join("; ")),
        ("has", has.join(", ")),
        ("has not", lacks.join(", ")),
        ("not known", survey.unasked.join(", ")),
    ];
    rows.into_iter().filter(|(_, text)| !text.is_empty()).collect()
}

/// Returns the properties that the server has, and those that it does not have.
fn properties(properties: &SurveyedProperties) -> (Vec<&'static str>, Vec<&'static str>) {
    let SurveyedProperties {
        compression,
        secure_renegotiation,
        extended_master_secret,
        encrypt_then_mac,
        session_ticket,
        heartbeat,
        ocsp_staple,
        certificate_timestamps,
        client_certificate,
        fallback_scsv,
        downgrade_mark,
        weak_curve,
        legacy_signature,
        dh_reuse,
    } = properties;
    let all = [
        ("compression", compression),
        ("secure renegotiation", secure_renegotiation),
        ("extended master secret", extended_master_secret),
        ("encrypt-then-MAC", encrypt_then_mac),
        ("session tickets", session_ticket),
        ("heartbeat", heartbeat),
        ("OCSP stapling", ocsp_staple),
        ("certificate timestamps", certificate_timestamps),
        ("client certificates", client_certificate),
        ("TLS_FALLBACK_SCSV", fallback_scsv),
        ("downgrade mark", downgrade_mark),
        ("weak curves", weak_curve),
        ("SHA-1 or MD5 signatures", legacy_signature),
        ("reused Diffie-Hellman values", dh_reuse),
    ];
    let of = |wanted| all.iter().filter(|(_, it)| **it == Some(wanted)).map(|(name, _)| *name).collect();
    (of(true), of(false))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::SurveyedClass;

    #[test]
    fn a_version_is_offered_by_classes_or_not_or_not_known() {
        let class = |name: &str, offered| SurveyedClass { name: name.to_owned(), offered };
        let of = |offered, reason: Option<&str>, classes| SurveyedVersion {
            name: String::from("TLS 1.2"),
            offered,
            reason: reason.map(str::to_owned),
            classes,
            ..SurveyedVersion::default()
        };
        let classes = vec![class("anon", Some(false)), class("dhe", None), class("aead", Some(true))];
        for (it, text) in [
            (of(Some(true), None, classes), "TLS 1.2: offered: aead; not offered: anon; not known: dhe"),
            (of(Some(true), None, Vec::new()), "TLS 1.2: offered"),
            (of(Some(false), None, Vec::new()), "TLS 1.2: not offered"),
            (of(None, None, Vec::new()), "TLS 1.2: not asked"),
            (of(None, Some("no control"), Vec::new()), "TLS 1.2: not known: no control"),
        ] {
            assert_eq!(version(&it), text);
        }
    }
}
