//! The output of the renderers, read by the programs for which it is made.

use std::io::{Read, Seek, SeekFrom, Write};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use starttls_audit::render::{prometheus, sarif};
use starttls_audit::report::AuditReport;

use crate::{hostile, sample};

const DEADLINE: Duration = Duration::from_secs(180);

/// Returns whether a program accepts the input, and its output.
fn read_by(command: &mut Command, input: &str) -> (bool, String) {
    let mut stdin = tempfile::tempfile().unwrap();
    stdin.write_all(input.as_bytes()).unwrap();
    stdin.seek(SeekFrom::Start(0)).unwrap();
    let mut said = tempfile::tempfile().unwrap();
    command.stdin(stdin).stdout(said.try_clone().unwrap()).stderr(said.try_clone().unwrap());
    let mut program = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let started = Instant::now();
    let status = loop {
        match program.try_wait().unwrap() {
            Some(status) => break status,
            None if started.elapsed() > DEADLINE => {
                let _ = program.kill();
                break program.wait().unwrap();
            }
            None => std::thread::sleep(Duration::from_millis(20)),
        }
    };
    let mut words = String::new();
    said.seek(SeekFrom::Start(0)).unwrap();
    said.read_to_string(&mut words).unwrap();
    (status.success(), words)
}

fn reports() -> [AuditReport; 3] {
    [sample::all(), sample::report(Vec::new()), hostile::hostile()]
}

fn schema() -> Command {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/render/readers");
    let mut command = Command::new("python3");
    command.arg(format!("{folder}/sarif.py")).arg(format!("{folder}/sarif-schema-2.1.0.json"));
    command
}

#[test]
fn sarif_matches_the_schema_of_oasis() {
    for report in reports() {
        let (fits, misfits) = read_by(&mut schema(), &sarif::render(&report, None));
        assert!(fits, "{misfits}");
    }
    let (fits, misfits) = read_by(&mut schema(), "{\"version\": \"2.1.0\", \"runs\": [{}]}");
    assert!(!fits && misfits.contains("'tool' is a required property"), "{misfits}");
}

#[test]
fn promtool_accepts_the_metrics() {
    let promtool = || {
        let mut command = Command::new("promtool");
        command.args(["check", "metrics"]).stdin(Stdio::piped());
        command
    };
    for report in reports() {
        // promtool reports syntax errors by its exit code and style problems in its output.
        assert_eq!(read_by(&mut promtool(), &prometheus::render(&report)), (true, String::new()));
    }
    let (fine, complaint) = read_by(&mut promtool(), "starttls_finding{target=\"x\" 1\n");
    assert!(!fine && !complaint.is_empty(), "{complaint}");
}
