//! An earlier output that a run goes on with.

use std::collections::HashSet;
use std::fs::File;
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use starttls_audit::render::json::Line;

use super::run::Place;
use crate::failure::Failed;

/// What is done already. Lines stand in the order of the targets, so only the last target may be half done.
#[derive(Debug, Default)]
pub(crate) struct Earlier {
    path: Option<PathBuf>,
    /// How much of the file is whole lines.
    length: u64,
    targets: HashSet<String>,
    last: Option<Last>,
}

#[derive(Debug)]
struct Last {
    asked: String,
    /// Targets and addresses.
    endpoints: HashSet<(String, Option<String>)>,
}

impl Earlier {
    /// Reads it; a file that is not there yet has nothing in it.
    pub(crate) fn read(path: &Path) -> Result<Self, Failed> {
        let mut earlier = Self { path: Some(path.to_owned()), ..Self::default() };
        let bad = |what: String| Failed::usage(format!("cannot go on with {}: {what}", path.display()));
        let mut file = match File::open(path) {
            Ok(file) => BufReader::new(file),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(earlier),
            Err(error) => return Err(bad(error.to_string())),
        };
        let mut bytes = Vec::new();
        for number in 1.. {
            bytes.clear();
            let length = file.read_until(b'\n', &mut bytes).map_err(|error| bad(error.to_string()))?;
            if !bytes.ends_with(b"\n") {
                break;
            }
            if !bytes.trim_ascii().is_empty() {
                let line = serde_json::from_slice(&bytes);
                earlier
                    .add(line.map_err(|error| bad(format!("line {number} is none of a report: {error}")))?);
            }
            earlier.length += length as u64;
        }
        Ok(earlier)
    }

    fn add(&mut self, line: Line) {
        let (asked, endpoint, failed) = match line {
            Line::Endpoint(it) => (it.asked, Some((it.endpoint.target, it.endpoint.address)), false),
            Line::Remark(it) => (it.asked, None, it.error.is_some()),
        };
        self.targets.insert(asked.clone());
        if failed {
            self.last = None;
            return;
        }
        let mut last = self.last.take().filter(|last| last.asked == asked);
        last.get_or_insert_with(|| Last { asked, endpoints: HashSet::new() }).endpoints.extend(endpoint);
        self.last = last;
    }

    /// Whether nothing of this target is left to do.
    pub(crate) fn is_finished(&self, asked: &str) -> bool {
        self.targets.contains(asked) && !self.is_begun(asked)
    }

    /// Whether this target may be half done.
    pub(crate) fn is_begun(&self, asked: &str) -> bool {
        self.last.as_ref().is_some_and(|last| last.asked == asked)
    }

    /// Whether this was audited.
    pub(crate) fn has(&self, asked: &str, place: &Place) -> bool {
        let address = place.address.as_ref().ok().map(ToString::to_string);
        self.last.as_ref().is_some_and(|last| {
            last.asked == asked && last.endpoints.contains(&(place.target.clone(), address))
        })
    }

    /// The file to append to and where, unless the new lines are wanted elsewhere.
    pub(crate) fn continued(&self, output: Option<&Path>) -> Option<(PathBuf, u64)> {
        let path = self.path.as_ref()?;
        let same = |other: &Path| match (other.canonicalize(), path.canonicalize()) {
            (Ok(one), Ok(other)) => one == other,
            _ => other == path,
        };
        output.is_none_or(same).then(|| (path.clone(), self.length))
    }
}
