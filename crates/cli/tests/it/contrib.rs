//! The files in `contrib` that run this program: their commands exist and do what the files say.

use std::path::{Path, PathBuf};
use std::process::Command;

use starttls_lab::Lab;

use crate::support::Run;
use crate::{endpoint, lab};

#[test]
fn the_commands_for_nagios_check_a_server() {
    let lab = lab();
    let text = read("nagios/starttls.cfg");
    let commands: Vec<&str> =
        text.lines().filter_map(|line| line.trim().strip_prefix("command_line")).map(str::trim).collect();
    assert_eq!(commands.len(), 2, "{text}");
    for command in commands {
        let command = command
            .replace("/usr/bin/starttls", "exec starttls")
            .replace("$ARG1$", &target(&lab))
            .replace("$ARG2$", "0")
            .replace("$ARG3$", "0")
            .replace(" -- ", &format!(" --no-system-roots --ca-file {} -- ", lab.ca_file().display()));
        let run = Run::of(shell().args(["-c", &command])).exits(0);
        assert!(run.stdout.starts_with("STARTTLS OK"), "{command}: {}", run.stdout);
    }
}

#[test]
fn the_options_for_icinga_exist() {
    let help = Run::of(shell().args(["-c", "exec starttls check --help"])).exits(0).stdout;
    let text = read("icinga2/starttls.conf");
    let options: Vec<&str> = text.split('"').filter(|word| word.starts_with("--")).collect();
    assert!(options.len() > 5, "{text}");
    for option in options {
        assert!(help.contains(&format!("{option} ")) || help.contains(&format!("{option}\n")), "{option}");
    }
}

#[test]
fn the_action_audits_targets_and_writes_sarif() {
    let lab = lab();
    let folder = tempfile::tempdir().unwrap();
    let arguments = format!("--light --no-system-roots --ca-file {}", lab.ca_file().display());
    let mut action = action(folder.path());
    action.env("TARGETS", format!("{}\n\n", target(&lab))).env("ARGUMENTS", arguments);
    Run::of(action.env("FAIL_ON", "critical")).exits(0);
    let sarif = std::fs::read_to_string(folder.path().join("starttls.sarif")).unwrap();
    assert!(sarif.contains("\"2.1.0\"") && sarif.contains("starttls-targets.txt"), "{sarif}");
}

#[test]
fn the_action_attacks_a_client() {
    let folder = tempfile::tempdir().unwrap();
    let mut action = action(folder.path());
    // A client that never upgrades: the run without an attack fails, so that the result is inconclusive.
    action.env("ATTACK", "smtp").env("RUN", "true").env("ARGUMENTS", "--only cli-strip-offer");
    Run::of(&mut action).exits(7);
    assert!(folder.path().join("starttls.sarif").exists());
}

#[test]
fn the_action_without_an_input_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let run = Run::of(&mut action(folder.path())).exits(2);
    assert!(run.stderr.contains("set the input targets"), "{}", run.stderr);
}

fn target(lab: &Lab) -> String {
    format!("smtp://localhost:{}", endpoint(lab, "smtp").address.port())
}

/// Returns the command of the action, without its inputs.
fn action(folder: &Path) -> Command {
    let mut bash = shell();
    bash.arg(contrib().join("github/run.sh")).current_dir(folder);
    for input in ["TARGETS", "ATTACK", "RUN", "FAIL_ON", "ARGUMENTS"] {
        bash.env_remove(input);
    }
    bash
}

fn read(name: &str) -> String {
    std::fs::read_to_string(contrib().join(name)).unwrap()
}

fn contrib() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../contrib")
}

/// Returns bash, which finds the program under test first.
fn shell() -> Command {
    let folder = Path::new(env!("CARGO_BIN_EXE_starttls")).parent().unwrap();
    let mut bash = Command::new("bash");
    bash.env("PATH", format!("{}:/usr/bin:/bin", folder.display()));
    bash
}
