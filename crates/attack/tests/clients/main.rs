//! Each scenario detects the flaw that it is for, in each protocol, and no scenario accuses the sound client.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking, in its helpers too")]

#[path = "../environment/mod.rs"]
mod environment;
mod slow_key;
mod support;

use std::sync::{Arc, Mutex, Weak};

use environment::Lab;
use starttls::TlsVersion;
use starttls::proto::{ClientMessage, Identity, Protocol, ServerMessage, Side, each_protocol};
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
    let mut dialect = protocol.new_dialect(Identity::new("localhost"));
    // A dialect describes the messages of a binary protocol.
    let is_binary = [ClientMessage::Hello, ClientMessage::Request].into_iter().any(|message| {
        let mut octets = Vec::new();
        dialect.write_client(message, &mut octets);
        dialect.describe(Side::Client, &octets).is_some()
    });
    match (flaw, id, protocol.name) {
        (Flaw::BelievesPreauth, ..) if greeting.is_empty() => Some("no greeting says so to this client"),
        (Flaw::KeepsBuffer, "cli-inject-future", "pop3") => {
            Some("it asks for a list first, and waits for the end of that")
        }
        (Flaw::KeepsBuffer, "cli-inject-partial", _) if is_binary => Some(
            "it continues after every answer to its first message, and its output shows nothing of a packet",
        ),
        (Flaw::IgnoresTruncation, _, "irc") => Some("it waits for no answer to its last command"),
        (Flaw::IgnoresTruncation, _, "nats") => Some("the server ends the session after a login that fails"),
        (Flaw::IgnoresTruncation, _, "xmpp-server") => Some("the server ends the stream without an answer"),
        (Flaw::IgnoresNames, "cli-cert-weak-key", _) => Some(
            "its TLS library checks no signature by so small a key; the conformance tests have one that does",
        ),
        _ => None,
    }
}

/// Checks the verdicts on a client with this flaw.
fn is_caught(protocol: &'static Protocol, flaw: Flaw) {
    let ids = caught_by(flaw);
    let meant = |it: &Scenario| {
        ids.iter().any(|start| it.id.starts_with(start)) && hidden(protocol, flaw, &it.id).is_none()
    };
    let patience = if flaw == Flaw::NeverTimesOut { IMPATIENT } else { PATIENT };
    run(async |lab| {
        let mut wrong = Vec::new();
        for run in 0..runs() {
            let tls = tls(run, flaw);
            let report = attack(lab, protocol, Some(flaw), tls, patience, &meant).await;
            let what = format!("{} {flaw:?} {tls:?}", protocol.name);
            wrong.extend(differences(&report, |id| verdict(flaw, id), &what));
        }
        wrong
    });
}

/// Checks the verdicts on the sound client.
fn is_sound(protocol: &'static Protocol, tls: TlsVersion) {
    let what = format!("{} {tls:?}", protocol.name);
    // In some protocols, the client sends nothing before its request, so it waits for an answer that never arrives.
    let waits = |it: &Scenario| {
        caught_by(Flaw::NeverTimesOut).iter().chain(&["cli-presend"]).any(|start| it.id.starts_with(start))
    };
    run(async |lab| {
        let mut wrong = Vec::new();
        for _ in 0..runs() {
            for (patience, waiting) in [(PATIENT, false), (IMPATIENT, true)] {
                let only = |it: &Scenario| waits(it) == waiting;
                let report = attack(lab, protocol, None, tls, patience, &only).await;
                wrong.extend(differences(&report, |_| ScenarioOutcome::Sound, &what));
            }
        }
        wrong
    });
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

/// Runs a check beside a few others, and panics with all wrong verdicts.
fn run(check: impl AsyncFnOnce(&Arc<Lab>) -> Vec<String>) {
    static SLOTS: Semaphore = Semaphore::const_new(8);
    let lab = shared_lab();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let wrong = runtime.block_on(async {
        let _slot = SLOTS.acquire().await;
        check(&lab).await
    });
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

/// Returns the lab of all checks that run. The last of them removes its files.
fn shared_lab() -> Arc<Lab> {
    static LAB: Mutex<Weak<Lab>> = Mutex::new(Weak::new());
    let mut shared = LAB.lock().unwrap();
    shared.upgrade().unwrap_or_else(|| {
        let lab = Lab::new();
        *shared = Arc::downgrade(&lab);
        lab
    })
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
        each_protocol! { parallel $($name)* }

        $(fn $name(protocol: &'static Protocol) {
            is_caught(protocol, Flaw::$flaw);
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

each_protocol! {
    parallel
    the_sound_client_is_sound_by_tls_1_2
    the_sound_client_is_sound_by_tls_1_3
}

fn the_sound_client_is_sound_by_tls_1_2(protocol: &'static Protocol) {
    is_sound(protocol, TlsVersion::Tls12);
}

fn the_sound_client_is_sound_by_tls_1_3(protocol: &'static Protocol) {
    is_sound(protocol, TlsVersion::Tls13);
}
