//! The file of runs when its process is killed.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use starttls_audit::report::AuditReport;
use starttls_web::{RunEnd, RunStore, StoredRun};

/// Names the file of the process that is killed, and the round.
const WRITER: &str = "STARTTLS_WEB_WRITER";
const ROUNDS: u64 = 50;
/// Enough for many pages of the file.
const LINES: u64 = 2000;

fn stored(id: &str, started: u64, end: RunEnd) -> StoredRun {
    let mut report = AuditReport::new(String::from("starttls 0.0.0"), Vec::new());
    if end == RunEnd::Finished {
        // Numbers without a pattern, which compression does not make small.
        let mut state = started;
        report.lookups = (0..LINES)
            .map(|_| {
                state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                format!("{state:016x}")
            })
            .collect();
    }
    StoredRun { id: id.to_owned(), target: String::from("x.example"), started, end, holder: None, report }
}

/// The process that is killed. It stores each run twice, as the service does, and prints what is done.
#[test]
#[ignore = "runs in a process that another test kills"]
fn writer() {
    let settings = std::env::var(WRITER).unwrap();
    let (round, path) = settings.split_once(' ').unwrap();
    let (store, round) = (RunStore::open(Path::new(path)).unwrap(), round.parse::<u64>().unwrap());
    for number in 0..10_000 {
        let (id, started) = (format!("{round}-{number}"), round * 10_000 + number);
        store.put(&stored(&id, started, RunEnd::BrokenOff)).unwrap();
        say(&format!("begun {id}"));
        store.put(&stored(&id, started, RunEnd::Finished)).unwrap();
        say(&format!("stored {id}"));
    }
}

/// Writes a line of its own to standard output, past what the test harness captures.
fn say(line: &str) {
    let mut out = std::io::stdout();
    writeln!(out, "\n{line}").unwrap();
}

/// Starts the writer, reads this many lines, waits, and kills it. Returns everything that it printed.
fn killed(path: &Path, round: u64) -> Vec<String> {
    let mut writer = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "crash::writer", "--ignored", "--nocapture"])
        .env(WRITER, format!("{round} {}", path.display()))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(writer.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut lines = lines.filter(|line| line.starts_with("begun ") || line.starts_with("stored "));
    let mut told: Vec<String> = lines.by_ref().take(1 + usize::try_from(round % 5).unwrap()).collect();
    // Somewhere in the next write.
    std::thread::sleep(Duration::from_micros(400 * (round % 23)));
    writer.kill().unwrap();
    writer.wait().unwrap();
    told.extend(lines);
    told
}

#[test]
fn a_run_is_stored_as_a_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("runs.redb");
    let mut broken_off = 0;
    for round in 0..ROUNDS {
        let told = killed(&path, round);
        assert!(!told.is_empty(), "round {round}: the writer did not start");
        let store = RunStore::open(&path).unwrap();
        for line in &told {
            let (done, id) = line.split_once(' ').unwrap();
            let started = round * 10_000 + id.split_once('-').unwrap().1.parse::<u64>().unwrap();
            let run = store.get(id).unwrap().unwrap_or_else(|| panic!("{line}: it is missing"));
            // The second write may have happened just before the kill.
            assert!(done == "begun" || run.end == RunEnd::Finished, "{line}: {:?}", run.end);
            assert_eq!(run.report.lookups, stored(id, started, run.end).report.lookups, "{line}");
            broken_off += u32::from(done == "begun" && run.end == RunEnd::BrokenOff);
        }
        // What was not announced is there as a whole too.
        for summary in store.history("x.example", 40).unwrap() {
            let run = store.get(&summary.id).unwrap().unwrap();
            assert_eq!((run.end, run.started), (summary.end, summary.started));
            assert_eq!(run.report.lookups.is_empty(), run.end == RunEnd::BrokenOff, "{}", run.id);
        }
    }
    assert!(broken_off > 0, "no kill came between the start and the end of a run");
}
