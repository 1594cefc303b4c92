//! `attack smtp --domain` with senders that obey the policies of a domain, and with one that does not know any.

use serde_json::Value;

use crate::support::{Run, starttls};

/// A sender that uses TLS if it is offered, and verifies nothing.
const OPPORTUNISTIC: &str = "import smtplib, ssl, sys
server = smtplib.SMTP('127.0.0.1', int(sys.argv[1]), timeout=20)
server.ehlo()
if server.has_extn('starttls'):
    server.starttls(context=ssl._create_unverified_context())
server.sendmail('a@sender.test', ['user@victim.test'], 'Subject: x\\r\\n\\r\\ntext\\r\\n')
server.quit()
";

/// Returns the id and the outcome of each scenario.
fn outcomes(command: &str, options: &[&str], code: i32) -> Vec<(String, String, Value)> {
    let mut attack =
        starttls(["attack", "smtp", "--domain", "--format", "json", "--timeout", "40s", "--run", command]);
    let report = Run::of(attack.args(options)).exits(code).json();
    assert_eq!(report["control"]["outcome"], "sound", "{}", report["control"]);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let scenarios = report["scenarios"].as_array().unwrap().iter();
    scenarios.map(|it| (text(&it["id"]), text(&it["outcome"]), it.clone())).collect()
}

#[test]
fn a_sender_that_obeys_policies_is_sound() {
    let program = env!("CARGO_BIN_EXE_starttls");
    let command = format!(
        "{program} send --mx --from a@sender.test --to user@{{domain}} --body text --resolver {{resolver}} \
         --mx-port {{port}} --sts-port {{sts_port}} --ca-file {{ca}} --no-system-roots --timeout 20s"
    );
    let all = outcomes(&command, &[], 0);
    assert_eq!(all.len(), 11);
    for (id, outcome, result) in all {
        assert_eq!(outcome, "sound", "{id}: {result}");
    }
}

#[test]
fn a_sender_without_policies_is_fooled() {
    let folder = tempfile::TempDir::new().unwrap();
    let script = folder.path().join("sender.py");
    std::fs::write(&script, OPPORTUNISTIC).unwrap();
    let command = format!("python3 {} {{port}}", script.display());
    let only = "snd-sts-strip,snd-sts-certificate,snd-sts-record-removed,snd-dane-lookup-fails";
    let all = outcomes(&command, &["--only", only], 1);
    assert_eq!(all.len(), 4);
    for (id, outcome, result) in all {
        assert_eq!(outcome, "fooled", "{id}: {result}");
        assert!(result["fix"].as_str().is_some_and(|it| it.len() > 20), "{id}");
    }
}

/// A sender that does not even try is not called sound.
#[test]
fn a_sender_that_does_nothing_has_no_verdict() {
    let folder = tempfile::TempDir::new().unwrap();
    let script = folder.path().join("sender.py");
    std::fs::write(&script, OPPORTUNISTIC).unwrap();
    let once = format!(
        "test -e {{state}}/done && exit 1; touch {{state}}/done; python3 {} {{port}}",
        script.display()
    );
    let all = outcomes(&once, &["--only", "snd-dane-strip,snd-sts-record-removed"], 7);
    assert_eq!(all.len(), 2);
    for (id, outcome, result) in all {
        assert_eq!(outcome, "inconclusive", "{id}: {result}");
        assert!(
            result["summary"].as_str().unwrap().contains("neither asked DNS nor connected"),
            "{id}: {result}"
        );
    }
}

#[test]
fn the_kinds_of_scenarios_do_not_mix() {
    for (options, part) in [
        (&["--run", "true", "--scenario", "snd-dane-strip"][..], "use it with --domain"),
        (&["--run", "true", "--domain", "--scenario", "cli-strip-offer"], "use it without --domain"),
        (&["--domain", "--serve", "127.0.0.1:0", "--scenario", "snd-dane-strip"], "cannot be used with"),
    ] {
        let run = Run::of(starttls(["attack", "smtp"]).args(options)).exits(2);
        assert!(run.stderr.contains(part), "{}", run.stderr);
    }
    let other = Run::of(&mut starttls(["attack", "imap", "--domain", "--run", "true"])).exits(2);
    assert!(other.stderr.contains("none of the selected scenarios applies"), "{}", other.stderr);
}
