//! `attack` against secure and vulnerable clients, which are shell commands that run `starttls connect`.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use starttls::proto::{PROTOCOLS, Protocol, each_protocol};

use crate::support::process::Live;
use crate::support::{Run, starttls};
use crate::{lab, schema, shows};

/// Returns the command line of `connect` as the client under test, with `input` on its standard input.
pub(crate) fn client(protocol: &str, input: &str, options: &str) -> String {
    let program = env!("CARGO_BIN_EXE_starttls");
    let target = format!("{protocol}://{{host}}:{{port}}");
    format!("printf '{input}' | {program} connect -q --no-system-roots --ca-file {{ca}} {options} {target}")
}

pub(crate) const LOGIN: &str = "x LOGIN {user} {password}\\r\\nx LIST \"\" *\\r\\nx LOGOUT\\r\\n";

pub(crate) fn sound() -> String {
    client("imap", LOGIN, "--timeout 20s")
}

/// Returns a client that continues in cleartext if the upgrade fails.
fn weak() -> String {
    format!("{} || {}", sound(), client("imap", LOGIN, "--cleartext"))
}

pub(crate) fn attack(protocol: &str, client: &str, options: &[&str]) -> Command {
    let mut command = starttls(["attack", protocol, "--run", client]);
    command.args(options);
    if !options.contains(&"--timeout") {
        command.args(["--timeout", "40s"]);
    }
    command
}

each_protocol! { no_scenario_fools_connect }

fn no_scenario_fools_connect(protocol: &'static Protocol) {
    // Scenarios in which a client waits for its deadline have a test of their own.
    let skipped = match protocol.name {
        // An LDAP client sends nothing before its request, so it does not read until then.
        "ldap" => "cli-silence,cli-hs-stall,cli-presend",
        _ => "cli-silence,cli-hs-stall",
    };
    let options = ["--skip", skipped, "--timeout", "40s"];
    let client = client(protocol.name, "", "--timeout 30s");
    Run::of(&mut attack(protocol.name, &client, &options)).exits(0);
}

#[test]
fn the_whole_of_imap_and_all_its_silences() {
    let client = client("imap", LOGIN, "--timeout 10s");
    let run = Run::of(&mut attack("imap", &client, &["--timeout", "40s"])).exits(0);
    assert!(run.stdout.contains("cli-hs-stall             sound        gave up"), "{}", run.stdout);
    assert!(run.stdout.lines().count() > 40, "{}", run.stdout);
}

#[test]
fn a_client_that_falls_back_is_caught_with_its_password() {
    let run = Run::of(&mut attack("imap", &weak(), &["--only", "cli-refuse-temp,cli-strip-offer"])).exits(1);
    run_says(&run, "cli-strip-offer          sound");
    run_says(&run, "cli-refuse-temp          fooled       sends the password in cleartext: x LOGIN test ");
    run_says(&run, "fooled: 1 fooled, 1 sound of 2 scenarios");
    assert!(
        run.stderr.contains("a man in the middle for clients that you are allowed to test"),
        "{}",
        run.stderr
    );
}

pub(crate) fn run_says(run: &Run, part: &str) {
    assert!(run.stdout.contains(part), "nothing of {part:?} in:\n{}", run.stdout);
}

#[test]
fn json_fits_its_schema_and_evidence_its_transcript() {
    let only = ["--only", "cli-refuse-perm", "--format", "json"];
    let report = Run::of(&mut attack("imap", &weak(), &only)).exits(1).json();
    schema::fits_in("attack.json", &report);
    assert_eq!((&report["outcome"], &report["control"]["outcome"]), (&"fooled".into(), &"sound".into()));
    let scenario = &report["scenarios"][0];
    assert_eq!(scenario["outcome"], "fooled");
    let evidence = &scenario["evidence"][0];
    let at = |name: &str| evidence[name].as_u64().unwrap() as usize;
    let entry = &scenario["transcripts"][at("transcript")]["entries"][at("entry")];
    assert_eq!((&entry["from"], &entry["layer"]), (&"client".into(), &"cleartext".into()));
    assert!(evidence["text"].as_str().unwrap().ends_with(entry["text"].as_str().unwrap()), "{evidence}");
}

#[test]
fn build_servers_get_what_they_read() {
    let only = |format| {
        let options = ["--only", "cli-refuse-perm,cli-strip-offer", "--format", format];
        Run::of(&mut attack("imap", &weak(), &options)).exits(1).stdout
    };
    let junit = only("junit");
    let document = roxmltree::Document::parse(&junit).unwrap();
    let cases = document.descendants().filter(|node| node.has_tag_name("testcase")).count();
    let failures: Vec<_> = document.descendants().filter(|node| node.has_tag_name("failure")).collect();
    assert_eq!((cases, failures.len()), (3, 1), "{junit}");
    assert!(
        failures[0].attribute("message").unwrap().starts_with("sends the password in cleartext"),
        "{junit}"
    );
    let sarif: serde_json::Value = serde_json::from_str(&only("sarif")).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert_eq!((results.len(), &results[0]["ruleId"]), (1, &"cli-refuse-perm".into()), "{sarif}");
    assert!(sarif["runs"][0]["tool"]["driver"]["rules"].as_array().unwrap().len() > 40);
}

#[test]
fn a_client_that_waits_for_ever_is_said_to() {
    let patient = client("imap", LOGIN, "--timeout 10m");
    let options = ["--only", "cli-silence", "--skip", "cli-silence-greeting", "--timeout", "12s"];
    let run = Run::of(&mut attack("imap", &patient, &options)).exits(7);
    run_says(&run, "cli-silence              hung         still waiting at the timeout");
}

#[test]
fn without_a_sound_control_there_is_no_verdict() {
    for (client, why) in [
        ("true", "the client ended and did not connect"),
        ("echo nobody; false", "the client failed before it connected: nobody"),
        (&client("imap", LOGIN, "--cleartext"), "sends its credentials in cleartext without an attack"),
        (&format!("{} ; false", sound()), "the client failed without an attack"),
    ] {
        let run = Run::of(&mut attack("imap", client, &["--timeout", "20s"])).exits(7);
        run_says(&run, why);
        assert!(!run.stdout.contains("cli-"), "{}", run.stdout);
    }
}

#[test]
fn what_a_client_has_started_ends_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let note = folder.path().join("pid");
    let client = format!("sleep 1000 & echo $! > {}; {}", note.display(), sound());
    Run::of(&mut attack("imap", &client, &["--only", "cli-strip-offer"])).exits(0);
    let id: i32 = std::fs::read_to_string(note).unwrap().trim().parse().unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        // A zombie process has ended too.
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
        if stat.is_empty() || stat.contains(") Z ") {
            return;
        }
        assert!(Instant::now() < deadline, "{stat}");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn it_listens_on_this_machine_only() {
    let serve = |address: &str| {
        let arguments = ["attack", "imap", "--serve", address, "--scenario", "cli-refuse-temp"];
        starttls(arguments)
    };
    let run = Run::of(&mut serve("0.0.0.0:0")).exits(2);
    shows!("attack-not-here", run.stderr);
    let mut allowed = serve("0.0.0.0:0");
    let mut live = Live::start(allowed.arg("--i-am-authorised-to-test"));
    live.is_told("listening on 0.0.0.0:");
    interrupt(&live);
    assert_eq!(live.end().code, 0);
}

pub(crate) fn interrupt(live: &Live) {
    kill(Pid::from_raw(live.id() as i32), Signal::SIGINT).unwrap();
}

/// Returns the word after `key` in the output.
pub(crate) fn told(text: &str, key: &str) -> String {
    let (_, behind) = text.split_once(key).unwrap();
    behind.split_whitespace().next().unwrap().trim_end_matches('.').to_owned()
}

#[test]
fn a_person_drives_the_client_and_sees_the_verdicts_fall() {
    let mut live = Live::start(&mut starttls([
        "attack",
        "imap",
        "--serve",
        "127.0.0.1:0",
        "--scenario",
        "cli-refuse-temp",
    ]));
    live.is_told("Ctrl-C stops");
    let text = live.stderr().to_owned();
    let (address, ca, password) =
        (told(&text, "listening on "), told(&text, "ca file"), told(&text, "password"));
    let (_, port) = address.split_once(':').unwrap();
    let filled = weak().replace("{host}", "localhost").replace("{port}", port).replace("{ca}", &ca);
    let filled = filled.replace("{user}", "test").replace("{password}", &password);
    for verdict in ["control                  sound", "cli-refuse-temp          sound"] {
        Run::of(Command::new("sh").arg("-c").arg(&filled));
        live.hears(verdict);
    }
    // The second connection of a client that falls back is a connection of its own, which the next start has to follow.
    live.hears("cli-refuse-temp          fooled       sends the password in cleartext");
    interrupt(&live);
    assert_eq!(live.end().code, 1);
}

#[test]
fn before_a_real_server_nothing_private_is_shown() {
    let lab = lab();
    let target = format!("imap://localhost:{}", lab.endpoint("imap").unwrap().address.port());
    let mut command =
        starttls(["attack", "imap", "--upstream", &target, "--listen", "127.0.0.1:0", "--ca-file"]);
    let mut live =
        Live::start(command.arg(lab.ca_file()).args(["--scenario", "cli-refuse-temp", "--format", "json"]));
    live.is_told("Ctrl-C stops");
    let address = told(live.stderr(), "listening on ");
    let (_, port) = address.split_once(':').unwrap();
    let filled = weak().replace("{host}", "localhost").replace("{port}", port);
    let filled = filled.replace("{ca}", &lab.ca_file().display().to_string());
    let filled = filled.replace("{user}", lab.user()).replace("{password}", lab.password());
    Run::of(Command::new("sh").arg("-c").arg(&filled));
    live.hears("\"id\":\"control\"");
    Run::of(Command::new("sh").arg("-c").arg(&filled));
    live.hears("credentials in cleartext");
    interrupt(&live);
    let run = live.end();
    assert_eq!(run.code, 1);
    assert!(!run.stdout.contains(lab.password()) && !run.stderr.contains(lab.password()), "{}", run.stdout);
}

#[test]
fn scenarios_are_listed_and_explained() {
    let all = Run::of(&mut starttls(["attack", "--list"])).exits(0).stdout;
    let some = Run::of(&mut starttls(["attack", "mysql", "--list"])).exits(0).stdout;
    assert!(all.lines().count() > 40 && all.contains("cli-presend"), "{all}");
    let (meant, others) = some.split_once("Not applicable to MySQL:\n").unwrap();
    assert!(meant.contains("cli-hs-stall") && !meant.contains("cli-presend"), "{some}");
    assert!(others.contains("cli-presend              the request has no answer\n"), "{some}");
    let scenarios = starttls_attack::Scenario::all().unwrap();
    let scenario = scenarios.iter().find(|it| it.id == "cli-inject-caps").unwrap();
    let applies = PROTOCOLS.iter().filter(|it| scenario.inapplicable(it).is_none()).map(|it| it.name);
    let explained = Run::of(&mut starttls(["explain", "cli-inject-caps"])).exits(0).stdout;
    shows!("explain-attack", explained.replace(&applies.collect::<Vec<_>>().join(" "), "PROTOCOLS"));
}

#[test]
fn wrong_usage_is_reported_before_anything_runs() {
    let mut told = String::new();
    for arguments in [
        &["attack"][..],
        &["attack", "imap"],
        &["attack", "gopher", "--run", "true"],
        &["attack", "imap", "--run", "true", "--only", "cli-nonsense"],
        &["attack", "mysql", "--serve", "127.0.0.1:0", "--scenario", "cli-presend"],
        &["attack", "imap", "--upstream", "smtp://localhost", "--listen", "127.0.0.1:0"],
        &["explain", "cli-nonsense"],
    ] {
        let run = Run::of(&mut starttls(arguments)).exits(2);
        told += &format!("$ starttls {}\n{}\n", arguments.join(" "), run.stderr);
    }
    // The list of the registry is as long as the registry.
    let known = starttls::proto::schemes().collect::<Vec<_>>().join(", ");
    shows!("attack-usage", told.replace(&known, "SCHEMES"));
}
