//! `survey` and a target that ends the program each time that it is probed.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Child;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use starttls_testkit::internet::{Behavior, provider};

use crate::support::{Run, starttls};
use crate::survey::{Simulation, assert_right, finish, last_rows, rows_of, spawn, text};

/// The server sends SIGKILL to the survey as soon as it is connected to.
#[test]
fn a_target_that_ends_the_program_is_found_and_no_other_is_accused() {
    let simulation = Simulation::new(100, 80);
    // Few lanes, so that the target has many neighbors, in its lane and beside it.
    let more = ["--lanes", "3", "-q"];
    Run::of(&mut simulation.command("plan", "a", &more)).exits(0);
    // The first shard of each lane but that of the large provider, whose addresses are all in one.
    let lanes = ["0001", "0002"];
    let shard = |lane| simulation.out("a").join(format!("shards/probe-1/{lane}-000000.jsonl.zst"));
    let planned: Vec<_> = lanes.iter().flat_map(|lane| rows_of(&shard(lane))).collect();
    let at = |row: &Value| text(row, "address").parse::<Ipv4Addr>().unwrap();
    let is_suited = |it: Ipv4Addr| {
        let is_sound = provider(it).is_none() && Behavior::of(it.into()) == Behavior::Sound;
        is_sound && planned.iter().filter(|row| at(row) == it).count() == 1
    };
    let poison = planned.iter().map(at).filter(|it| is_suited(*it)).nth(3);
    let poison = poison.unwrap_or_else(|| panic!("{planned:?}"));

    // The child is killed by its handle, which knows whether it has ended.
    let victim: Arc<Mutex<Option<Child>>> = Arc::default();
    let of_server = Arc::clone(&victim);
    simulation.internet.referee.watch(move |address| {
        if address == poison
            && let Some(child) = of_server.lock().unwrap().as_mut()
        {
            let _ = child.kill();
        }
    });
    let mut kills = 0;
    loop {
        *victim.lock().unwrap() = Some(spawn(&mut simulation.command("run", "a", &more)));
        let status = loop {
            if let Some(status) = victim.lock().unwrap().as_mut().unwrap().try_wait().unwrap() {
                break status;
            }
            std::thread::sleep(Duration::from_millis(5));
        };
        if status.code().is_some() {
            break;
        }
        kills += 1;
        assert!(kills < 100, "the target is never given up");
    }
    *victim.lock().unwrap() = None;
    finish(&mut simulation.command("run", "a", &more));

    // Fourteen starts without a result, and those with results of other targets before them.
    assert!(kills >= 14, "{kills} kills");
    simulation.assert_polite();
    let out = simulation.out("a");
    Run::of(&mut starttls([Path::new("survey"), Path::new("verify"), &out])).exits(0);
    let last = last_rows(&out);
    assert!(last.len() > 50, "{} endpoints", last.len());
    for row in last.values() {
        if at(row) == poison {
            assert_eq!((text(row, "reach"), text(row, "outcome")), ("crashed", "inconclusive"), "{row}");
        } else {
            assert_right(row);
        }
    }
}
