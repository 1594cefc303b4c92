//! Each scenario detects the flaw that it is for, in each protocol, and no scenario accuses the sound client.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[path = "../environment/mod.rs"]
mod environment;
mod slow_key;
mod support;

use std::future::Future;
use std::sync::Arc;

use environment::Lab;
use starttls::TlsVersion;
use starttls::proto::{Identity, PROTOCOLS, Protocol, ServerMessage};
use starttls_attack::Scenario;
use starttls_attack::render::text::{TextStyle, row};
use starttls_attack::report::{AttackReport, ScenarioOutcome};
use starttls_testkit::vulnerable_clients::Flaw;
use support::{IMPATIENT, PATIENT, attack};
use tokio::sync::Semaphore;

/// Returns the scenarios that detect a client with this flaw, as ids or prefixes of ids.
fn caught_by(flaw: Flaw) -> &'static [&'static str] {
    match flaw {
        Flaw::FallsBack => &[
            "cli-strip",
            "cli-mangle",
            "cli-no-caps",
            "cli-refuse",
            "cli-many-sasl",
            "cli-challenge",
            "cli-local-infile",
        ],
        Flaw::KeepsBuffer => &["cli-inject"],
        Flaw::KeepsCapabilities => &["cli-state-caps", "cli-state-lost"],
        Flaw::BelievesPreauth => &["cli-preauth"],
        Flaw::FollowsReferrals => &["cli-redirect"],
        Flaw::BelievesPresent => &["cli-presend"],
        Flaw::IgnoresNames => &["cli-cert"],
        Flaw::NeverTimesOut => &["cli-silence", "cli-hs-stall"],
        Flaw::ShowsAnything => &["cli-spoof"],
        Flaw::OldTls => &["cli-hs-old"],
        Flaw::TakesAnyAlpn => &["cli-hs-alpn"],
        Flaw::SwallowsRefusal => &["cli-refuse-temp", "cli-refuse-perm"],
        Flaw::IgnoresTruncation => &["cli-truncate"],
        Flaw::LeavesDataClear => &["cli-data-clear"],
    }
}

/// Returns the expected outcome of a scenario for a client with this flaw.
fn verdict(flaw: Flaw, id: &str) -> ScenarioOutcome {
    match (flaw, id) {
        (Flaw::NeverTimesOut, _) => ScenarioOutcome::Hung,
        (Flaw::SwallowsRefusal, _) => ScenarioOutcome::Silent,
        (Flaw::BelievesPresent | Flaw::IgnoresTruncation | Flaw::TakesAnyAlpn, _)
        | (Flaw::KeepsCapabilities, "cli-state-lost")
        | (Flaw::IgnoresNames, "cli-cert-cn-only" | "cli-cert-sha1") => ScenarioOutcome::Weak,
        _ => ScenarioOutcome::Fooled,
    }
}

/// Returns why a scenario cannot detect a client with this flaw in this protocol, if it cannot.
fn hidden(protocol: &Protocol, flaw: Flaw, id: &str) -> Option<&'static str> {
    let mut greeting = Vec::new();
    protocol
        .new_dialect(Identity::new("localhost"))
        .write_server(ServerMessage::PreAuthenticated, &mut greeting);
    match (flaw, id, protocol.name) {
        (Flaw::BelievesPreauth, ..) if greeting.is_empty() => Some("no greeting says so to this client"),
        (Flaw::KeepsBuffer, "cli-inject-future", "pop3") => {
            Some("it asks for a list first, and waits for the end of that")
        }
        (Flaw::KeepsBuffer, "cli-inject-partial", "ldap" | "postgres" | "nbd") => {
            Some("it goes on whatever the answer to its first message, and can show nothing of a packet")
        }
        (Flaw::IgnoresTruncation, _, "irc") => Some("it waits for no answer to its last command"),
        (Flaw::IgnoresTruncation, _, "xmpp-server") => Some("the server ends the stream without an answer"),
        (Flaw::IgnoresNames, "cli-cert-weak-key", _) => Some(
            "its TLS library checks no signature by so small a key; the conformance tests have one that does",
        ),
        _ => None,
    }
}

/// Returns the wrong verdicts on a client with this flaw.
async fn is_caught(lab: Arc<Lab>, protocol: &'static Protocol, flaw: Flaw, tls: TlsVersion) -> Vec<String> {
    let ids = caught_by(flaw);
    let meant = |it: &Scenario| {
        ids.iter().any(|start| it.id.starts_with(start)) && hidden(protocol, flaw, &it.id).is_none()
    };
    let patience = if flaw == Flaw::NeverTimesOut { IMPATIENT } else { PATIENT };
    let report = attack(&lab, protocol, Some(flaw), tls, patience, &meant).await;
    differences(&report, |id| verdict(flaw, id), &format!("{} {flaw:?} {tls:?}", protocol.name))
}

/// Returns the wrong verdicts on the sound client.
async fn is_sound(lab: Arc<Lab>, protocol: &'static Protocol, tls: TlsVersion) -> Vec<String> {
    let what = format!("{} {tls:?}", protocol.name);
    // In some protocols, the client sends nothing before its request, so it waits for an answer that never arrives.
    let waits = |it: &Scenario| {
        caught_by(Flaw::NeverTimesOut).iter().chain(&["cli-presend"]).any(|start| it.id.starts_with(start))
    };
    let report = attack(&lab, protocol, None, tls, PATIENT, &|it| !waits(it)).await;
    let mut wrong = differences(&report, |_| ScenarioOutcome::Sound, &what);
    let report = attack(&lab, protocol, None, tls, IMPATIENT, &waits).await;
    wrong.extend(differences(&report, |_| ScenarioOutcome::Sound, &what));
    wrong
}

fn differences(report: &AttackReport, expected: impl Fn(&str) -> ScenarioOutcome, what: &str) -> Vec<String> {
    let tested = report.scenarios.iter().map(|it| (it, expected(&it.id)));
    let others = tested.filter(|(it, expected)| it.outcome != *expected);
    let control =
        Some((&report.control, ScenarioOutcome::Sound)).filter(|it| it.0.outcome != ScenarioOutcome::Sound);
    let wrong = control.into_iter().chain(others);
    wrong
        .map(|(it, expected)| {
            let told = row(it, TextStyle { verbose: true, paint: None });
            format!("{what}: {} is {:?}, not {expected:?}: {told}", it.id, it.outcome)
        })
        .collect()
}

/// Runs a check for each protocol, several in parallel, and panics with all problems.
async fn everywhere<F: Future<Output = Vec<String>> + Send + 'static>(
    does: impl Fn(Arc<Lab>, &'static Protocol) -> F,
) {
    let (lab, slots) = (Lab::new(), Arc::new(Semaphore::new(8)));
    let task = |protocol| {
        let (slots, doing) = (slots.clone(), does(lab.clone(), protocol));
        tokio::spawn(async move {
            let _slot = slots.acquire().await;
            doing.await
        })
    };
    let tasks: Vec<_> = PROTOCOLS.iter().copied().map(task).collect();
    let mut wrong = Vec::new();
    for task in tasks {
        wrong.extend(task.await.unwrap());
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Returns the number of runs, which `ATTACK_RUNS` sets.
fn runs() -> u32 {
    std::env::var("ATTACK_RUNS").ok().and_then(|runs| runs.parse().ok()).unwrap_or(1)
}

/// Alternates the version of TLS between flaws and between runs.
fn tls(run: u32, flaw: Flaw) -> TlsVersion {
    let odd = (run + Flaw::ALL.iter().position(|it| *it == flaw).unwrap_or(0) as u32) % 2;
    if odd == 1 { TlsVersion::Tls12 } else { TlsVersion::Tls13 }
}

macro_rules! flaws {
    ($($name:ident $flaw:ident)*) => {
        $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            for run in 0..runs() {
                let tls = tls(run, Flaw::$flaw);
                everywhere(|lab, protocol| is_caught(lab, protocol, Flaw::$flaw, tls)).await;
            }
        })*

        #[test]
        fn every_flaw_is_tested() {
            assert_eq!(Flaw::ALL, [$(Flaw::$flaw),*]);
        }
    };
}

flaws! {
    falls_back FallsBack
    keeps_its_buffer KeepsBuffer
    keeps_capabilities KeepsCapabilities
    believes_preauth BelievesPreauth
    follows_referrals FollowsReferrals
    believes_what_was_sent_before BelievesPresent
    ignores_names IgnoresNames
    never_times_out NeverTimesOut
    shows_anything ShowsAnything
    speaks_old_tls OldTls
    takes_any_alpn TakesAnyAlpn
    swallows_refusals SwallowsRefusal
    ignores_truncation IgnoresTruncation
    leaves_data_clear LeavesDataClear
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sound_client_is_sound_by_tls_1_2() {
    for _ in 0..runs() {
        everywhere(|lab, protocol| is_sound(lab, protocol, TlsVersion::Tls12)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_sound_client_is_sound_by_tls_1_3() {
    for _ in 0..runs() {
        everywhere(|lab, protocol| is_sound(lab, protocol, TlsVersion::Tls13)).await;
    }
}
