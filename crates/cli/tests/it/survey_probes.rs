//! The probes of `survey` with several connections to an endpoint, each of which counts.

use std::collections::BTreeSet;
use std::net::IpAddr;

use serde_json::Value;
use starttls_testkit::internet::Behavior;

use crate::schema::fits_in;
use crate::survey::{CLIENT_NAME, Simulation, assert_right, finish, last_rows, text};

/// Surveys with one of these probes, and returns the rows of endpoints that serve TLS.
fn survey(probe: &str, most: u64) -> Vec<Value> {
    let simulation = Simulation::new(100, 120);
    finish(&mut simulation.command("run", "a", &["--probe", probe, "--samples", "1"]));
    simulation.assert_polite();
    let referee = &simulation.internet.referee;
    assert_eq!(referee.hellos(), BTreeSet::from([String::from(CLIENT_NAME)]), "the name in EHLO");
    let rows = last_rows(&simulation.out("a"));
    assert!(rows.len() > 50, "{} endpoints", rows.len());
    let serve = |row: &Value| {
        let behavior = Behavior::of(text(row, "address").parse::<IpAddr>().unwrap());
        let serves = matches!(behavior, Behavior::Sound | Behavior::Tls12 | Behavior::Slow);
        serves && text(row, "reach") == "answered"
    };
    for row in rows.values() {
        fits_in("survey-endpoint.json", row);
        assert!(row["connections"].as_u64().unwrap() <= most, "{row}");
    }
    let serving: Vec<_> = rows.into_values().filter(serve).collect();
    assert!(serving.len() > 30, "{} servers", serving.len());
    serving
}

fn words<'a>(list: &'a Value, name: &str) -> Vec<&'a str> {
    list[name].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect()
}

#[test]
fn a_survey_of_tls_finds_the_versions_of_each_server() {
    for row in survey("tls", 20) {
        assert_right(&row);
        let behavior = Behavior::of(text(&row, "address").parse::<IpAddr>().unwrap());
        let expected: &[&str] =
            if behavior == Behavior::Tls12 { &["TLS 1.2"] } else { &["TLS 1.2", "TLS 1.3"] };
        assert_eq!(words(&row["tls"], "versions"), expected, "{row}");
        assert_eq!(row["tls"]["survey"]["size"], "brief", "{row}");
        assert!(row["connections"].as_u64().unwrap() > 1, "{row}");
    }
}

#[test]
fn a_full_survey_makes_all_checks() {
    for row in survey("full", 30) {
        assert_right(&row);
        // Checks that need connections of their own.
        let passed = words(&row, "passed");
        for check in ["srv-upgrade", "srv-inject-eager", "srv-inject-lazy"] {
            assert!(passed.contains(&check), "{check} in {row}");
        }
    }
}
