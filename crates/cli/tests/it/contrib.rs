//! The files in `contrib` that run this program: their commands exist and do what the files say.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use starttls_lab::Lab;

use crate::support::scripted_server::closed;
use crate::support::{Run, dns_server};
use crate::{endpoint, lab, shell};

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
fn the_action_installs_the_binary_of_a_release() {
    let folder = tempfile::tempdir().unwrap();
    let release = Release::in_folder(folder.path());
    Run::of(&mut release.install("v9.8.7", "")).exits(0);
    assert_eq!(std::fs::read_to_string(folder.path().join("bin/starttls")).unwrap(), BINARY);
    let path = std::fs::read_to_string(folder.path().join("github-path")).unwrap();
    assert_eq!(path.trim_end(), folder.path().join("bin").to_str().unwrap());

    // The checksum of the user counts, not the one beside the archive.
    let other = "0".repeat(64);
    let run = Run::of(&mut release.install("9.8.7", &other)).exits(1);
    assert!(run.stderr.contains("is not the expected file"), "{}", run.stderr);
    Run::of(&mut release.install("9.8.7", &release.sha256)).exits(0);
}

#[test]
fn the_action_installs_nothing_that_is_changed_or_unknown() {
    let folder = tempfile::tempdir().unwrap();
    let release = Release::in_folder(folder.path());
    let run = Run::of(&mut release.install("9.8.6", "")).exits(1);
    assert!(run.stderr.contains("cannot download file://"), "{}", run.stderr);
    for version in ["latest", "../../9.8.7", "9.8.7/x"] {
        let run = Run::of(&mut release.install(version, "")).exits(2);
        assert!(
            run.stderr.contains(&format!("release \"{version}\" has no binary for")),
            "{version}: {}",
            run.stderr
        );
    }
    std::fs::write(&release.archive, "something else").unwrap();
    let run = Run::of(&mut release.install("9.8.7", "")).exits(1);
    assert!(run.stderr.contains("is not the expected file"), "{}", run.stderr);
    std::fs::write(release.archive.with_file_name("SHA256SUMS"), "").unwrap();
    let run = Run::of(&mut release.install("9.8.7", "")).exits(1);
    assert!(run.stderr.contains("does not list"), "{}", run.stderr);
    assert!(!folder.path().join("bin").exists());
}

#[test]
fn the_action_names_the_archives_of_the_release() {
    let xtask = |file: &str| std::fs::read_to_string(contrib().join("../xtask/src/dist").join(file)).unwrap();
    let packages = xtask("package.rs");
    assert!(packages.contains("starttls-{VERSION}-{}") && packages.contains("SHA256SUMS"));
    let script = read("github/install.sh");
    assert!(script.contains("archive=starttls-$version-$target.tar.gz"), "{script}");
    let targets: Vec<&str> =
        script.lines().filter_map(|line| line.split_once(" target=")?.1.strip_suffix(" ;;")).collect();
    assert_eq!(targets.len(), 3, "{targets:?}");
    let architectures = xtask("architecture.rs");
    for target in targets.iter().filter(|it| !it.is_empty()) {
        assert!(architectures.contains(&format!("target: \"{target}\"")), "{target}");
    }
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

#[test]
fn the_rules_for_prometheus_pass_their_tests() {
    for (arguments, file) in
        [(["check", "rules"], "starttls.rules.yml"), (["test", "rules"], "starttls.test.yml")]
    {
        let mut promtool = Command::new("promtool");
        let run = Run::of(promtool.args(arguments).arg(file).current_dir(contrib().join("prometheus")));
        assert_eq!(run.code, 0, "{}{}", run.stdout, run.stderr);
    }
}

/// The names of metrics of the gateway, of `policy serve` and of `survey` are compared where those programs run.
#[test]
fn the_metrics_of_audits_exist() {
    let lab = lab();
    let resolver = dns_server::server("").to_string();
    let mut check =
        crate::support::starttls(["check", "--format", "prometheus", "--light", "--no-system-roots"]);
    check.arg("--ca-file").arg(lab.ca_file()).args(["--resolver", &resolver, &target(&lab), "nothing.test"]);
    // A closed port is a failed check.
    let (_held, closed) = closed();
    let output = Run::of(check.arg(format!("smtp://{closed}"))).stdout;
    assert!(output.contains("outcome=\"fail\"") && output.contains("severity=\"error\""), "{output}");
    assert_metrics_exist("starttls_gateway_", &output, false);
}

#[test]
fn the_rules_name_labels_that_exist() {
    for file in ["prometheus/starttls.rules.yml", "grafana/audits.json"] {
        let text = read(file).replace("\\\"", "\"");
        let outcomes: Vec<&str> =
            text.split("outcome=\"").skip(1).filter_map(|it| it.split('"').next()).collect();
        assert!(
            outcomes.iter().all(|it| ["fail", "kept"].contains(it)) && !outcomes.is_empty(),
            "{outcomes:?}"
        );
    }
}

/// The prefixes of the metrics that the tests of their programs compare.
const OF_OTHER_TESTS: [&str; 2] = ["starttls_policy_", "starttls_survey_"];

/// Compares the metrics in `contrib` that have this prefix (or do not have it) with the output of a program.
pub(crate) fn assert_metrics_exist(prefix: &str, output: &str, with_prefix: bool) {
    let mut used = BTreeSet::new();
    for file in ["prometheus/starttls.rules.yml", "grafana/gateway.json", "grafana/audits.json"] {
        let text = read(file);
        let words = text.split(|c: char| !(c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'));
        used.extend(
            words
                .filter(|word| word.starts_with("starttls_") || word.starts_with("probe_"))
                .map(str::to_owned),
        );
    }
    let used: Vec<&String> = used
        .iter()
        .filter(|name| name.starts_with(prefix) == with_prefix)
        .filter(|name| with_prefix || !OF_OTHER_TESTS.iter().any(|prefix| name.starts_with(prefix)))
        .collect();
    assert!(used.len() > 2, "{used:?}");
    for name in used {
        let family = name.trim_end_matches("_bucket").trim_end_matches("_total");
        let is_written =
            [name.as_str(), family].iter().any(|name| output.contains(&format!("# TYPE {name} ")));
        assert!(is_written, "{name} is not in:\n{output}");
    }
}

#[test]
fn dashboards_are_valid() {
    for (file, uid) in [("gateway", "starttls-gateway"), ("audits", "starttls-audit")] {
        let dashboard: serde_json::Value =
            serde_json::from_str(&read(&format!("grafana/{file}.json"))).unwrap();
        assert_eq!(dashboard["uid"], uid);
        let panels = dashboard["panels"].as_array().unwrap();
        let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), panels.len());
        for panel in panels {
            assert!(!panel["targets"].as_array().unwrap().is_empty(), "{panel}");
            assert_eq!(panel["datasource"]["uid"], "${datasource}", "{panel}");
        }
    }
}

fn target(lab: &Lab) -> String {
    format!("smtp://localhost:{}", endpoint(lab, "smtp").address.port())
}

/// The program in the release of a test.
const BINARY: &str = "#!/bin/sh\necho starttls 9.8.7\n";

/// A release 9.8.7 in a folder, and the command that installs it.
struct Release {
    folder: PathBuf,
    archive: PathBuf,
    sha256: String,
}

impl Release {
    fn in_folder(folder: &Path) -> Self {
        let name = format!("starttls-9.8.7-{}-unknown-linux-musl", std::env::consts::ARCH);
        let script = format!(
            "mkdir -p {name} v9.8.7 && printf '%s' \"$BINARY\" >{name}/starttls && chmod 755 {name}/starttls && \
             tar -czf v9.8.7/{name}.tar.gz {name} && cd v9.8.7 && sha256sum *.* >SHA256SUMS && cut -c1-64 SHA256SUMS"
        );
        let mut pack = shell();
        pack.args(["-c", &script]).current_dir(folder).env("BINARY", BINARY);
        let sha256 = Run::of(&mut pack).exits(0).stdout.trim().to_owned();
        Self { folder: folder.to_owned(), archive: folder.join(format!("v9.8.7/{name}.tar.gz")), sha256 }
    }

    fn install(&self, version: &str, sha256: &str) -> Command {
        let mut bash = shell();
        bash.arg(contrib().join("github/install.sh"))
            .env("VERSION", version)
            .env("SHA256", sha256)
            .env("RELEASES", format!("file://{}", self.folder.display()))
            .env("BIN", self.folder.join("bin"))
            .env("GITHUB_PATH", self.folder.join("github-path"));
        bash
    }
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
