//! Checks the files of a run: every planned shard has one result, and each of its targets has one row in it.

use std::collections::HashMap;

use serde::Deserialize;

use crate::error::SurveyError;
use crate::files::LineReader;
use crate::folder::{RunFolder, ShardId, Stage};
use crate::row::ROW_VERSION;
use crate::target::{EndpointTarget, NameTarget};

/// The state of a run's files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verification {
    /// Planned shards.
    pub shards: u64,
    /// Shards without a result.
    pub open: u64,
    /// Rows in the results.
    pub rows: u64,
    /// What is wrong, at most a hundred of them. Open shards are not wrong.
    pub problems: Vec<String>,
}

/// The most problems that are listed.
const MAX_PROBLEMS: usize = 100;

/// A row of any stage.
#[derive(Deserialize)]
struct AnyRow {
    schema_version: u32,
    key: Option<String>,
    domain: Option<String>,
    name: Option<String>,
}

/// Reads all shards and results of a run. A frame that is cut off or changed is found by its checksum and by the number of rows:
/// readers such as DuckDB drop it without a word.
///
/// # Errors
/// If the folder of the run cannot be read.
pub fn verify(run: &RunFolder) -> Result<Verification, SurveyError> {
    let mut found = Verification::default();
    for stage in run.stages()? {
        let planned = run.planned(stage)?;
        let done = run.done(stage)?;
        let expected = run.stage(stage)?.unwrap_or_default();
        if expected.shards != planned.len() as u64 {
            found.problem(format!(
                "{stage}: {} shards were planned, and {} exist",
                expected.shards,
                planned.len()
            ));
        }
        for id in done.difference(&planned) {
            found.problem(format!("{stage}: shard {id} has a result, but it was not planned"));
        }
        for id in &planned {
            found.shards += 1;
            if !done.contains(id) {
                found.open += 1;
                continue;
            }
            match compare(run, stage, *id) {
                Ok((rows, problems)) => {
                    found.rows += rows;
                    problems.into_iter().for_each(|it| found.problem(format!("{stage}: shard {id}: {it}")));
                }
                Err(error) => found.problem(error.to_string()),
            }
        }
    }
    Ok(found)
}

impl Verification {
    fn problem(&mut self, text: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(text);
        }
    }
}

/// Compares the rows of a shard with its targets.
fn compare(run: &RunFolder, stage: Stage, id: ShardId) -> Result<(u64, Vec<String>), SurveyError> {
    let mut counts: HashMap<String, u64> = HashMap::new();
    let mut targets = LineReader::open(&run.shard(stage, id))?;
    match stage {
        Stage::Probe(_) => {
            while let Some(target) = targets.next_row::<EndpointTarget>()? {
                counts.insert(target.key(), 0);
            }
        }
        Stage::Resolve | Stage::Addresses => {
            while let Some(target) = targets.next_row::<NameTarget>()? {
                counts.insert(target.name, 0);
            }
        }
    }
    let (mut rows, mut problems) = (0, Vec::new());
    let mut results = LineReader::open(&run.of_shard("results", stage, id))?;
    while let Some(row) = results.next_row::<AnyRow>()? {
        rows += 1;
        if row.schema_version != ROW_VERSION {
            problems.push(format!("a row has the version {}: expected {ROW_VERSION}", row.schema_version));
        }
        let key = row.key.or(row.domain).or(row.name).unwrap_or_default();
        match counts.get_mut(&key) {
            Some(count) => *count += 1,
            None => problems.push(format!("\"{}\" has a row, but it is not a target", key.escape_debug())),
        }
    }
    for (key, count) in counts.into_iter().filter(|(_, count)| *count != 1) {
        problems.push(format!("\"{}\" has {count} rows: expected one", key.escape_debug()));
    }
    Ok((rows, problems))
}
