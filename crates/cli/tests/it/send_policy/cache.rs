//! `send --policy-cache`: policies outlive a delivery, and the file is never lost in silence.

use super::*;

/// The attacker forges the MX records, which are not signed, and suppresses the record of the MTA-STS policy.
#[test]
fn a_policy_in_the_cache_applies_when_an_attacker_suppresses_its_record() {
    let world = World::new(&[Server::Trusted("mx1.example.test"), Server::Untrusted("mx2.example.test")]);
    let path = world.folder.path().join("policies.jsonl");
    let cache = ["--policy-cache", path.to_str().unwrap()];
    let sound = format!("{}{STS}", unsigned(&without(DANE, "_tcp")));
    let forged = without(&sound, "_mta-sts").replace("mx1", "mx2").replace("{ip1}", "{ip2}");
    let unanswered = format!("{forged}\n_mta-sts.example.test SERVFAIL\n");
    // A sender that takes any certificate, unless a policy requires more.
    let send =
        |zone: &str, options: &[&str]| world.send(zone, &enforce(), &[&["--insecure"][..], options].concat());
    let (missing, _) = world.send_code(&sound, &cache);
    assert_eq!(missing, 2);
    let (_, report) = send(&sound, &[&cache[..], &["--reset-policy-cache"]].concat());
    let policy = |report: &Value| {
        let policy = &report["attempts"][0]["policy"];
        (policy["kind"].as_str().unwrap().to_owned(), policy["source"].as_str().unwrap_or("-").to_owned())
    };
    let words = |kind: &str, source: &str| (kind.to_owned(), source.to_owned());
    assert_eq!(
        (report["exit_code"].as_u64(), policy(&report)),
        (Some(0), words("sts", "fetched")),
        "{report}"
    );
    for (name, zone) in [("removed", &forged), ("unanswered", &unanswered)] {
        let (run, report) = send(zone, &cache);
        assert_eq!((run.code, policy(&report)), (5, words("sts", "cache")), "{name}: {report}");
        assert_eq!(world.connections.load(Ordering::SeqCst), 0, "{name}");
        let note = report["policy_notes"].to_string();
        assert!(note.contains("the MTA-STS policy of example.test comes from the cache"), "{name}: {note}");
        // Without the cache the attack succeeds, so it is one.
        let (run, report) = send(zone, &[]);
        assert_eq!((run.code, policy(&report)), (0, words("none", "-")), "{name}: {report}");
        assert_eq!(world.received.lock().unwrap().len(), 1, "{name}");
    }
    // The domain that removes its own record is delivered to until the policy expires.
    let (run, report) = send(&without(&sound, "_mta-sts"), &cache);
    assert_eq!((run.code, policy(&report)), (0, words("sts", "cache")), "{report}");
    // A new id replaces the policy.
    let changed = sound.replace("id=1", "id=2");
    let (_, report) = world.send(&changed, &enforce().replace("enforce", "none"), &cache);
    assert_eq!((report["exit_code"].as_u64(), policy(&report)), (Some(0), words("none", "-")), "{report}");
    let show = Run::of(starttls(["policy", "show", "example.test", "--state"]).arg(&path)).exits(0);
    assert!(show.stdout.contains("mta-sts   none, id 2: "), "{}", show.stdout);
}

#[test]
fn a_cache_that_cannot_be_used_is_an_error_and_one_that_cannot_be_changed_a_note() {
    let world = World::new(&[Server::Trusted("mx1.example.test")]);
    let path = world.folder.path().join("policies.jsonl");
    let cache = ["--policy-cache", path.to_str().unwrap()];
    let zone = format!("{}{STS}", without(DANE, "_tcp"));
    let refused = |part: &str, hint: &str| {
        let (code, text) = world.send_code(&zone, &cache);
        assert!(code == 2 && text.contains(part) && text.contains(hint), "{code}: {text}");
        assert_eq!(world.connections.load(Ordering::SeqCst), 0);
    };
    refused("does not exist", "hint: use --reset-policy-cache to create it");
    for text in
        ["", "not a file of policies\n", "{\"starttls-policies\":9}\n", "{\"starttls-policies\":1}\n{}\n"]
    {
        std::fs::write(&path, text).unwrap();
        refused("invalid file of policies", "hint: restore it from a backup");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "the file stays as it is");
    }
    let (code, text) = world.send_code(&zone, &[&cache[..], &["--policy", "dane"]].concat());
    assert!(code == 2 && text.contains("--policy-cache has no effect"), "{code}: {text}");
    // A policy service holds the lock as long as it runs.
    let held = starttls_policy::drive::PolicyStore::create(&path).unwrap();
    let (run, report) = world.send(&zone, &enforce(), &cache);
    assert_eq!(run.code, 0, "{report}");
    let note = report["policy_notes"][0].as_str().unwrap();
    assert!(note.contains("is not kept: ") && note.contains("in use by another process"), "{note}");
    drop(held);
}
