//! The statements of the guide to `survey`, run by DuckDB and ClickHouse, from PyPI.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

use crate::support::Run;
use crate::survey::{Simulation, finish, last_rows, rows, text};

/// Prints the rows of a statement as JSON.
const DUCKDB: &str = "import duckdb, json, sys; print(json.dumps(duckdb.execute(sys.argv[1]).fetchall()))";
const CLICKHOUSE: &str = "import chdb, json, sys
print(json.dumps([json.loads(line) for line in str(chdb.query(sys.argv[1], 'JSONCompactEachRow')).splitlines()]))";

/// Returns a Python with a package from PyPI, which is kept between runs.
fn python_with(package: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(package);
    let python = folder.join("bin/python");
    let has_package = |it: &Path| {
        it.exists() && Command::new(it).args(["-c", &format!("import {package}")]).status().unwrap().success()
    };
    if !has_package(&python) {
        let make = format!("python3 -m venv {package} && {package}/bin/pip install --quiet {package}");
        let status =
            Command::new("bash").args(["-c", &make]).current_dir(env!("CARGO_TARGET_TMPDIR")).status();
        assert!(status.unwrap().success(), "{package} needs python3-venv (Debian) and PyPI");
    }
    python
}

/// Returns the statements of a section of the guide.
fn statements(section: &str) -> Vec<String> {
    let guide = fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/survey.md")).unwrap();
    let section = guide.split("\n## ").find(|it| it.starts_with(section)).unwrap();
    section.split("```sql\n").skip(1).map(|it| it.split("```").next().unwrap().to_owned()).collect()
}

fn number(value: &Value) -> u64 {
    // ClickHouse writes 64-bit numbers as strings.
    value.as_u64().or_else(|| value.as_str()?.parse().ok()).unwrap_or_else(|| panic!("{value}"))
}

/// Returns the sum of a column.
fn sum(rows: &Value, column: usize) -> u64 {
    rows.as_array().unwrap().iter().map(|row| number(&row[column])).sum()
}

#[test]
#[ignore = "needs PyPI; cargo xtask recipes runs it"]
fn the_statements_of_the_guide_run() {
    let simulation = Simulation::new(300, 200);
    finish(&mut simulation.command("run", "a", &[]));
    // Another seed asks in another order, and the servers do the same.
    finish(&mut simulation.command("run", "2026-12", &["--seed", "2", "--retry-after", "none"]));
    let out = simulation.out("a");
    let run = |package: &str, program: &str, section: &str| -> Vec<Value> {
        let python = python_with(package);
        let run = |it: &String| {
            Run::of(Command::new(&python).args(["-c", program, it]).current_dir(&out)).exits(0).json()
        };
        statements(section).iter().map(run).collect()
    };
    let last = last_rows(&out);
    let attempts: Vec<_> = (1..=3).flat_map(|it| rows(&out.join(format!("results/probe-{it}")))).collect();
    let certificates = attempts.iter().filter(|row| !row["certificate"].is_null()).count();
    let joined = rows(&out.join("joined"));
    let best_sound = joined.iter().filter(|row| row["best"] == "sound").count();
    assert!(best_sound > 120, "{best_sound}");

    let duckdb = run("duckdb", DUCKDB, "Analyze with DuckDB");
    let clickhouse = run("chdb", CLICKHOUSE, "Analyze with ClickHouse");
    assert_eq!((duckdb.len(), clickhouse.len()), (8, 3));
    for best in [&duckdb[0], &clickhouse[0]] {
        assert_eq!(sum(best, 1), 300, "{best}");
        let sound = best.as_array().unwrap().iter().find(|row| row[0] == "sound").unwrap();
        assert_eq!(number(&sound[1]), best_sound as u64, "{best}");
    }
    for months in [&duckdb[1], &clickhouse[1]] {
        assert_eq!(sum(months, 1), certificates as u64, "{months}");
        let month = months[0][0].as_str().unwrap();
        assert!(month.len() == 7 && month.starts_with("20"), "{months}");
    }
    // The certificates of the providers are at 24 and five addresses; others are shared more widely.
    let shared = duckdb[2].as_array().unwrap();
    assert!(shared.len() > 2 && shared.len() <= 20, "{shared:?}");
    assert!(shared.iter().any(|row| row[1] == 24) && shared.iter().any(|row| row[1] == 5), "{shared:?}");
    assert!(out.join("probe.parquet").exists());
    for latest in [&duckdb[4], &clickhouse[2]] {
        assert_eq!(sum(latest, 2), last.len() as u64, "{latest}");
        let throttled = last.values().filter(|row| text(row, "reach") == "throttled").count() as u64;
        let counted = latest.as_array().unwrap().iter().filter(|row| row[0] == "throttled");
        assert_eq!(counted.map(|row| number(&row[2])).sum::<u64>(), throttled, "{latest}");
    }
    // The Parquet file has every attempt.
    assert_eq!(sum(&duckdb[5], 0), attempts.len() as u64, "{}", duckdb[5]);
    assert_eq!((&duckdb[6][0][0], &duckdb[6][0][1]), (&"whale.test".into(), &24.into()), "{}", duckdb[6]);
    let changes = duckdb[7].as_array().unwrap();
    assert_eq!(sum(&duckdb[7], 2), 300, "{changes:?}");
    let is_same = |row: &&Value| row[0] == "sound" && row[1] == "sound";
    assert!(number(&changes.iter().find(is_same).unwrap()[2]) >= 120, "{changes:?}");
}
