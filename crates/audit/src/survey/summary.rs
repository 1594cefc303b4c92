//! The inventory of a survey: as a finding, and as data for the report.

use starttls_hello::{
    Answer, CipherSuite, ConnectionOutcome, Known, Preference, ServerFacts, SignatureScheme, Ssl2Kind,
    SuiteClass, SuiteInfo, Support, Version, Walk, WalkEnd, extension_kind,
};

use super::judge::{CLASSIC, Judge};
use super::known_primes;
use super::run::Survey;
use super::versions::{names, note};
use crate::check::id;
use crate::finding::FindingBuilder;
use crate::report::{
    CertificateReport, SurveyedClass, SurveyedDh, SurveyedProperties, SurveyedSuite, SurveyedVersion,
    TlsSurvey,
};

/// Reports everything that was seen, in one line.
pub(super) fn inventory(judge: &Judge<'_>) -> FindingBuilder {
    let facts = &judge.facts;
    let with = |wanted: fn(&Known<Support>) -> bool| -> Vec<Version> {
        Version::ALL.iter().rev().copied().filter(|version| wanted(&facts.version(*version))).collect()
    };
    let mut offered = with(|known| known.value() == Some(Support::Offered));
    if let Some(session) = judge.handshake.version.filter(|session| !offered.contains(session)) {
        offered.push(session);
        offered.sort_by(|one, other| other.cmp(one));
    }
    let unknown = with(|known| known.value().is_none());
    let unknown: Vec<_> = unknown.into_iter().filter(|version| !offered.contains(version)).collect();
    let mut parts = vec![format!("the server offers {}", names(&offered))];
    let classes: Vec<_> = SuiteClass::ALL
        .iter()
        .filter(|class| CLASSIC.iter().any(|it| facts.class(*it, **class).value() == Some(Support::Offered)))
        .map(|class| class.name())
        .collect();
    if !classes.is_empty() {
        parts.push(format!("suites up to TLS 1.2 of the classes {}", classes.join(", ")));
    }
    let groups: Vec<_> = facts.groups().iter().map(ToString::to_string).collect();
    if !groups.is_empty() {
        parts.push(format!("groups {}", groups.join(", ")));
    }
    if !unknown.is_empty() {
        parts.push(format!("unknown: {}", names(&unknown)));
    }
    let hellos = crate::filter::plural(judge.survey.walk.connections(), "hello", "hellos");
    parts.push(format!("seen with {hellos}"));
    if !is_complete(judge.survey) {
        parts.push(String::from("it may offer more"));
    }
    let text = parts.join("; ");
    match offered.is_empty() {
        true => judge.unknown(id::TLS_INVENTORY, facts.version(Version::Tls12)),
        false => note(id::TLS_INVENTORY, text),
    }
}

fn is_complete(survey: &Survey) -> bool {
    survey.end == WalkEnd::Complete
}

/// Returns the data of a survey for the report.
pub(crate) fn summary(survey: &Survey) -> TlsSurvey {
    let facts = survey.facts();
    let versions: Vec<_> = Version::ALL.iter().rev().map(|version| surveyed(&facts, *version)).collect();
    let unasked = versions.iter().flat_map(|version| {
        let classes = version.classes.iter().filter(|class| class.offered.is_none());
        let of_version = classes.map(|class| format!("{}: {}", version.name, class.name));
        match version.offered {
            Some(true) => of_version.collect(),
            Some(false) => Vec::new(),
            None => vec![version.name.clone()],
        }
    });
    TlsSurvey {
        size: survey.extent.size.name().to_owned(),
        hellos: survey.walk.connections(),
        end: survey.end.name().to_owned(),
        complete: is_complete(survey),
        preference: facts.preference().value().map(|preference| match preference {
            Preference::Server => String::from("server"),
            Preference::Client => String::from("client"),
        }),
        groups: facts.groups().iter().map(ToString::to_string).collect(),
        post_quantum: is_offered(facts.post_quantum()),
        signature_schemes: schemes(survey).iter().map(ToString::to_string).collect(),
        dh: facts
            .dh_parameters()
            .iter()
            .map(|dh| {
                let prime_sha256 = starttls_x509::hex(&starttls_x509::sha256(dh.prime));
                SurveyedDh {
                    version: dh.version.name().to_owned(),
                    suite: dh.suite.to_string(),
                    bits: dh.bits,
                    prime_name: known_primes::name(&prime_sha256).map(str::to_owned),
                    prime_sha256,
                }
            })
            .collect(),
        certificates: facts
            .chains()
            .iter()
            .filter_map(|chain| chain.first())
            .map(|der| CertificateReport::read(der))
            .collect(),
        properties: properties(&facts),
        unasked: unasked.collect(),
        versions,
    }
}

fn is_offered(known: Known<Support>) -> Option<bool> {
    known.value().map(|support| support == Support::Offered)
}

fn surveyed(facts: &ServerFacts<'_>, version: Version) -> SurveyedVersion {
    let known = facts.version(version);
    let suites: Vec<_> = match version {
        Version::Ssl2 => facts.ssl2_kinds().iter().map(|kind| kind_of_ssl2(*kind)).collect(),
        _ => facts.suites(version).into_iter().map(suite).collect(),
    };
    // TLS 1.1 and older have no suites of some classes.
    let has = |class| {
        version == Version::Ssl2 || Walk::suites(version).into_iter().any(|suite| suite.class() == class)
    };
    let classes = SuiteClass::ALL
        .iter()
        .filter(|class| version <= Version::Tls12 && **class <= SuiteClass::Aead && has(**class));
    SurveyedVersion {
        name: version.name().to_owned(),
        offered: is_offered(known),
        reason: match known {
            Known::Inconclusive(doubt) => Some(doubt.to_string()),
            Known::Unasked | Known::Is(..) => None,
        },
        complete: match version {
            // A server of SSL 2.0 lists all its kinds.
            Version::Ssl2 => is_offered(known).is_some(),
            _ => is_offered(known) == Some(false) || facts.is_complete(version),
        },
        classes: match is_offered(known) {
            Some(true) => classes
                .map(|class| SurveyedClass {
                    name: class.name().to_owned(),
                    offered: is_offered(facts.class(version, *class)),
                })
                .collect(),
            _ => Vec::new(),
        },
        suites,
    }
}

fn suite(suite: CipherSuite) -> SurveyedSuite {
    surveyed_suite(format!("0x{:04x}", suite.0), suite.to_string(), suite.info())
}

fn kind_of_ssl2(kind: Ssl2Kind) -> SurveyedSuite {
    let [a, b, c] = kind.0;
    surveyed_suite(format!("0x{a:02x}{b:02x}{c:02x}"), kind.to_string(), kind.info())
}

fn surveyed_suite(code: String, name: String, info: Option<&'static SuiteInfo>) -> SurveyedSuite {
    let openssl_name = info.and_then(SuiteInfo::openssl_name).map(str::to_owned);
    let class = info.map_or(SuiteClass::Other, |info| info.class).name().to_owned();
    SurveyedSuite { code, name, openssl_name, class }
}

/// Returns the schemes of the signatures that the server made, each once.
pub(super) fn schemes(survey: &Survey) -> Vec<SignatureScheme> {
    let mut schemes = Vec::new();
    for exchange in survey.walk.exchanges() {
        let ConnectionOutcome::Answered(Answer::Hello(flight)) = &exchange.outcome else { continue };
        let scheme = flight.key_exchange.as_ref().and_then(|exchange| exchange.scheme());
        schemes.extend(scheme.filter(|scheme| !schemes.contains(scheme)));
    }
    schemes
}

fn properties(facts: &ServerFacts<'_>) -> SurveyedProperties {
    let extension = |kind| is_offered(facts.extension(kind));
    SurveyedProperties {
        compression: is_offered(facts.compression()),
        secure_renegotiation: extension(extension_kind::RENEGOTIATION_INFO),
        extended_master_secret: extension(extension_kind::EXTENDED_MASTER_SECRET),
        encrypt_then_mac: extension(extension_kind::ENCRYPT_THEN_MAC),
        session_ticket: extension(extension_kind::SESSION_TICKET),
        heartbeat: extension(extension_kind::HEARTBEAT),
        ocsp_staple: extension(extension_kind::STATUS_REQUEST),
        certificate_timestamps: extension(extension_kind::SIGNED_CERTIFICATE_TIMESTAMP),
        client_certificate: is_offered(facts.client_certificate()),
        fallback_scsv: is_offered(facts.fallback_scsv()),
        downgrade_mark: is_offered(facts.downgrade_mark()),
        weak_curve: is_offered(facts.weak_curve()),
        legacy_signature: is_offered(facts.legacy_signature()),
        dh_reuse: is_offered(facts.dh_reuse()),
    }
}
