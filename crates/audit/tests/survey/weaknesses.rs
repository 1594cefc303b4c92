//! Simulated servers with one weakness each.

use std::sync::Arc;

use starttls::proto::{Protocol, protocol};
use starttls_audit::SurveyExtent;
use starttls_audit::report::{CheckOutcome, EndpointReport, EndpointVerdict, Severity};
use starttls_hello::WalkSize;
use starttls_lab::ca::Authority;
use starttls_lab::rogue::{Rogue, TlsModel, TlsWeakness};
use tokio::task::JoinSet;

use crate::{Asked, audited, evidence, finding, outcome, problems};

const SURVEY: SurveyExtent = SurveyExtent::new(WalkSize::Survey);
const BRIEF: SurveyExtent = SurveyExtent::new(WalkSize::Brief);

/// Returns the check that reports a weakness, and what its evidence contains.
fn expected(weakness: TlsWeakness) -> (&'static str, &'static str) {
    match weakness {
        TlsWeakness::Ssl2 => ("tls-ssl", "SSL_CK_RC4_128_WITH_MD5"),
        TlsWeakness::Ssl3 => ("tls-ssl", "ServerHello: SSL 3.0"),
        TlsWeakness::DeprecatedTls => ("tls-deprecated", "ServerHello: TLS 1.0"),
        TlsWeakness::NullSuite => ("tls-null", "TLS_RSA_WITH_NULL_SHA256"),
        TlsWeakness::AnonymousSuite => ("tls-anon", "TLS_ECDH_anon_WITH_AES_128_CBC_SHA"),
        TlsWeakness::ExportSuite => ("tls-export", "TLS_RSA_EXPORT_WITH_RC4_40_MD5"),
        TlsWeakness::Rc4Suite => ("tls-weak", "TLS_ECDHE_RSA_WITH_RC4_128_SHA"),
        TlsWeakness::TripleDesSuite => ("tls-block", "TLS_ECDHE_RSA_WITH_3DES_EDE_CBC_SHA"),
        TlsWeakness::StaticRsaSuite => ("tls-static", "TLS_RSA_WITH_AES_128_GCM_SHA256"),
        TlsWeakness::FiniteField => ("tls-dhe", "2048 bits"),
        TlsWeakness::Prime512 => ("tls-dh-size", "512 bits"),
        TlsWeakness::Prime1024 => ("tls-dh-size", "1024 bits"),
        TlsWeakness::ReusedValue => ("tls-dh-reuse", "TLS_DHE_RSA_WITH_AES_128_GCM_SHA256"),
        TlsWeakness::CbcSuite => ("tls-cbc", "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"),
        TlsWeakness::WeakCurve => ("tls-curve", "192 bits"),
        TlsWeakness::ExplicitCurve => ("tls-curve", "ServerHello"),
        TlsWeakness::Sha1Signature => ("tls-hash", "sha1"),
        TlsWeakness::Compression => ("tls-compression", "compression 1"),
        TlsWeakness::NoExtendedMasterSecret => ("tls-master", "ServerHello"),
        TlsWeakness::NoFallbackScsv | TlsWeakness::NoDowngradeMark => ("tls-fallback", "ServerHello"),
        TlsWeakness::Heartbeat => ("tls-heartbeat", "ServerHello"),
        TlsWeakness::ClientCertificate => ("tls-client-auth", "ServerHello"),
        TlsWeakness::BrokenClass => ("tls-broken", "alert internal_error"),
        TlsWeakness::OnlyTls10 => ("tls-none", "ServerHello: TLS 1.0"),
        TlsWeakness::OnlyStaticRsa => ("tls-suite", "TLS_RSA_WITH_AES_128_GCM_SHA256"),
        TlsWeakness::NewerVersionsRefused => ("tls-intolerant", "alert protocol_version"),
        TlsWeakness::LongHelloIgnored => ("tls-intolerant", "no answer in time"),
    }
}

async fn surveyed(protocol: &'static Protocol, model: TlsModel, extent: SurveyExtent) -> EndpointReport {
    let authority = Authority::new().unwrap();
    let rogue = Rogue::start_with_tls(protocol, model, &authority).unwrap();
    let root = authority.root_pem();
    let (address, server_name) = (rogue.address(), rogue.server_name());
    audited(&Asked { protocol, address, server_name, root: &root, implicit: false, extent }).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_survey_finds_each_weakness_and_no_other() {
    let wrong = Arc::new(std::sync::Mutex::new(Vec::new()));
    let mut audits = JoinSet::new();
    for weakness in TlsWeakness::ALL.iter().copied() {
        let wrong = Arc::clone(&wrong);
        audits.spawn(async move {
            let report = surveyed(protocol("submission").unwrap(), weakness.model(), SURVEY).await;
            let (id, shown) = expected(weakness);
            let note = matches!(id, "tls-dhe" | "tls-cbc" | "tls-client-auth");
            let is_found = match finding(&report, id).outcome {
                CheckOutcome::Fail | CheckOutcome::Warning => !note,
                CheckOutcome::Info => note,
                _ => false,
            };
            let mut more = problems(&report);
            more.retain(|(other, _)| *other != id && !weakness.also().contains(other));
            let evidence = evidence(&report, id);
            // A server that no TLS library can talk to is never sound.
            let verdict = report.outcome == EndpointVerdict::TlsFailed;
            if verdict == weakness.has_session() {
                more.push(("outcome", report.summary.as_str()));
            }
            if !is_found || !more.is_empty() || !evidence.contains(shown) {
                let found = (finding(&report, id).outcome, &finding(&report, id).summary);
                wrong.lock().unwrap().push(format!("{weakness:?}: {found:?}, also {more:?}; {evidence}"));
            }
        });
    }
    audits.join_all().await;
    let wrong = wrong.lock().unwrap();
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// The primes of the rogue with 1024 and 2048 bits are groups of specifications.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn known_primes_are_named() {
    let (submission, small, usual) =
        (protocol("submission").unwrap(), "group 2 of RFC 2409", "group 14 of RFC 3526");
    for (weakness, name) in [(TlsWeakness::Prime1024, small), (TlsWeakness::FiniteField, usual)] {
        let report = surveyed(submission, weakness.model(), SURVEY).await;
        let found = finding(&report, "tls-dh-size");
        assert!(found.details.iter().any(|it| it.contains(name)), "{weakness:?}: {found:?}");
        assert_eq!(found.summary.contains("which many servers share"), name == small, "{}", found.summary);
        let survey = report.tls.unwrap().survey.unwrap();
        assert_eq!(survey.dh[0].prime_name.as_deref(), Some(name));
    }
}

/// A brief survey has a limit of eight hellos. It finds every weakness that the default selection promises.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_brief_survey_finds_versions_and_weak_suites() {
    let smtp = protocol("smtp").unwrap();
    for (weakness, severity) in [
        (TlsWeakness::Ssl2, Severity::Critical),
        (TlsWeakness::Ssl3, Severity::Error),
        (TlsWeakness::DeprecatedTls, Severity::Info),
        (TlsWeakness::NullSuite, Severity::Error),
        (TlsWeakness::AnonymousSuite, Severity::Info),
        (TlsWeakness::ExportSuite, Severity::Error),
        (TlsWeakness::Rc4Suite, Severity::Warning),
        (TlsWeakness::TripleDesSuite, Severity::Info),
        (TlsWeakness::StaticRsaSuite, Severity::Info),
        (TlsWeakness::Prime512, Severity::Critical),
        (TlsWeakness::Compression, Severity::Warning),
    ] {
        let report = surveyed(smtp, weakness.model(), BRIEF).await;
        let found = finding(&report, expected(weakness).0);
        assert!(
            matches!(found.outcome, CheckOutcome::Fail | CheckOutcome::Warning),
            "{weakness:?} {found:?}"
        );
        assert_eq!(found.severity, severity, "{weakness:?}, for a server that others deliver to");
        assert!(report.tls.unwrap().survey.unwrap().hellos <= 8, "{weakness:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sound_server_passes_whether_it_sends_alerts_or_closes() {
    for closes in [false, true] {
        for extent in [BRIEF, SURVEY] {
            let model = TlsModel { closes, ..TlsModel::SOUND };
            let report = surveyed(protocol("submission").unwrap(), model, extent).await;
            assert_eq!(problems(&report), [], "{closes} {extent:?}");
            for id in
                ["tls-ssl", "tls-deprecated", "tls-null", "tls-anon", "tls-export", "tls-weak", "tls-block"]
            {
                assert_eq!(outcome(&report, id), CheckOutcome::Pass, "{id} {closes} {extent:?}");
            }
        }
    }
}
