//! Policy texts, patterns, and when a policy applies.

use std::sync::Arc;

use proptest::prelude::*;
use starttls_policy::sts::{
    CacheChange, CachedPolicy, MAX_POLICY, StsAction, StsFailure, StsMode, StsPolicy, StsRecordState,
    after_fetch, cache_change, next_action, parse_policy,
};

use crate::support::{cases, complain};

#[test]
fn every_text_of_the_table() {
    let mut problems = Vec::new();
    for case in cases(include_str!("tables/sts_text.txt")) {
        // The empty line before the next case is not part of the text.
        let lines = case.lines.iter().take_while(|it| !it.starts_with("=> "));
        let text: String = lines.map(|it| it.replace("\\r", "\r").replace("\\e", "\u{1b}") + "\n").collect();
        let read = parse_policy(text.as_bytes());
        let result = match &read.policy {
            Ok(policy) => {
                let patterns: Vec<String> = policy.mx.iter().map(|it| format!(" {it}")).collect();
                format!("valid {} {}{}", policy.mode, policy.max_age, patterns.concat())
            }
            Err(reason) => format!("invalid {reason}"),
        };
        let remarks: Vec<String> = read
            .remarks
            .iter()
            .map(|it| {
                let line = it.line.map(|line| format!("@{line}")).unwrap_or_default();
                format!("{}{}{line}", if it.is_error { "!" } else { "" }, it.check)
            })
            .collect();
        for line in case.lines.iter().filter_map(|it| it.strip_prefix("=> ")) {
            let fits = match line.strip_prefix("remarks ") {
                Some(expected) => remarks.join(" ") == expected,
                None if line.starts_with("invalid") => result.starts_with(line),
                None => result == line,
            };
            if !fits {
                problems.push(format!("{}: expected {line}\n    found {result} {remarks:?}", case.name));
            }
        }
        let has_control = |it: &str| it.contains('\u{1b}');
        assert!(
            !has_control(&result) && !read.remarks.iter().any(|it| has_control(&it.text)),
            "{}",
            case.name
        );
        // Without errors the policy applies, and an invalid policy has an error that says why.
        assert_eq!(read.policy.is_err(), read.policy.is_err() && read.remarks.iter().any(|it| it.is_error));
    }
    complain(&problems);
}

#[test]
fn a_large_text_is_refused() {
    let text = [b"version: STSv1\n".to_vec(), vec![b'x'; MAX_POLICY]].concat();
    assert!(parse_policy(&text).policy.is_err_and(|it| it.contains("64 KiB")));
    assert!(parse_policy(&[0xff, 0xfe]).policy.is_err_and(|it| it.contains("UTF-8")));
    assert!(parse_policy(b"").policy.is_err());
}

#[test]
fn a_wildcard_stands_for_one_label() {
    for (pattern, host, expected) in [
        ("mx.example.com", "mx.example.com", true),
        ("mx.example.com", "MX.EXAMPLE.com.", true),
        ("mx.example.com", "a.mx.example.com", false),
        ("*.example.com", "mx.example.com", true),
        ("*.example.com", "example.com", false),
        ("*.example.com", "a.b.example.com", false),
        ("*.example.com", "mx.notexample.com", false),
    ] {
        assert_eq!(
            policy("enforce", 60, pattern).covers(&host.parse().unwrap()),
            expected,
            "{pattern} {host}"
        );
    }
}

fn policy(mode: &str, max_age: u64, mx: &str) -> StsPolicy {
    let text = format!("version: STSv1\nmode: {mode}\nmax_age: {max_age}\nmx: {mx}\n");
    parse_policy(text.as_bytes()).policy.unwrap()
}

/// The table of RFC 8461 sections 3.3 and 5.1: the cached policy, the record, the fetch, and what applies.
#[test]
fn a_policy_applies_as_the_table_says() {
    let old =
        CachedPolicy { id: "1".into(), fetched: 1000, policy: Arc::new(policy("enforce", 600, "old.test")) };
    let new = Arc::new(policy("none", 600, "new.test"));
    let failed = || Err(StsFailure::Fetch(String::from("404")));
    let (fresh, expired) = (1599, 1600);
    let (absent, unknown) = (StsRecordState::Absent, StsRecordState::Unknown);
    let id = |id: &str| StsRecordState::Id(id.into());
    let nothing = "no policy";
    for (name, cached, now, record, fetch, expected) in [
        ("no record", None, fresh, absent.clone(), failed(), nothing),
        ("record unknown", None, fresh, unknown.clone(), failed(), "no policy, retry soon"),
        ("record, fetch succeeds", None, fresh, id("2"), Ok(new.clone()), "2 none at 1599"),
        ("record, fetch fails", None, fresh, id("2"), failed(), nothing),
        ("cached, record removed", Some(&old), fresh, absent.clone(), failed(), "1 enforce at 1000"),
        ("cached, record unknown", Some(&old), fresh, unknown.clone(), failed(), "1 enforce at 1000"),
        ("cached, same id", Some(&old), fresh, id("1"), failed(), "1 enforce at 1599"),
        ("cached, new id", Some(&old), fresh, id("2"), Ok(new.clone()), "2 none at 1599"),
        ("cached, new id, fetch fails", Some(&old), fresh, id("2"), failed(), "1 enforce at 1000"),
        ("expired, record removed", Some(&old), expired, absent, failed(), nothing),
        ("expired, record unknown", Some(&old), expired, unknown, failed(), "no policy, retry soon"),
        ("expired, same id, fetch fails", Some(&old), expired, id("1"), failed(), nothing),
        ("expired, same id, fetched again", Some(&old), expired, id("1"), Ok(new.clone()), "1 none at 1600"),
        ("the clock went back", Some(&old), 10, StsRecordState::Absent, failed(), "1 enforce at 1000"),
    ] {
        let shown = |it: CachedPolicy| format!("{} {} at {}", it.id, it.policy.mode, it.fetched);
        let found = match next_action(cached, &record, now) {
            StsAction::NoPolicy { retry_soon: true } => String::from("no policy, retry soon"),
            StsAction::NoPolicy { retry_soon: false } => String::from(nothing),
            StsAction::Apply(policy) => shown(policy),
            StsAction::Fetch(id) => after_fetch(cached, &id, fetch, now).map_or(nothing.into(), shown),
        };
        assert_eq!(found, expected, "{name}");
    }
    let zero = Arc::new(policy("enforce", 0, "mx.test"));
    assert_eq!(after_fetch(Some(&old), "2", Ok(zero), 1001), None, "max_age 0");
}

#[test]
fn the_cache_changes_with_the_policy_that_applies() {
    let enforce = Arc::new(policy("enforce", 600_000, "mx.test"));
    let at = |id: &str, fetched| CachedPolicy { id: id.into(), fetched, policy: enforce.clone() };
    let (old, same, later, other) = (at("1", 1000), at("1", 1001), at("1", 90_000), at("2", 1001));
    for (name, cached, applies, expected) in [
        ("a new policy", None, Some(&old), CacheChange::Store(&old)),
        ("the same policy", Some(&old), Some(&same), CacheChange::Keep),
        ("the same policy a day later", Some(&old), Some(&later), CacheChange::Store(&later)),
        ("another policy", Some(&old), Some(&other), CacheChange::Store(&other)),
        ("an expired policy", Some(&old), None, CacheChange::Forget),
        ("no policy", None, None, CacheChange::Keep),
    ] {
        assert_eq!(cache_change(cached, applies), expected, "{name}");
    }
}

proptest! {
    #[test]
    fn no_text_panics(text in proptest::collection::vec(any::<u8>(), 0..200)) {
        let read = parse_policy(&text);
        prop_assert!(read.policy.is_ok() || read.remarks.iter().any(|it| it.is_error));
    }

    #[test]
    fn a_valid_policy_is_bounded(age in 0_u64..=9_999_999_999, mode in "enforce|testing|none") {
        let policy = policy(&mode, age, "mx.example.com");
        prop_assert!(policy.max_age <= 31_557_600);
        prop_assert_eq!(policy.mode == StsMode::Enforce, mode == "enforce");
    }
}
