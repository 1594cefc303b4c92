//! Reads the output of an earlier run that this run continues (`--resume`).

use std::collections::{HashMap, HashSet};
use std::io::{BufRead, BufReader, ErrorKind};
use std::path::{Path, PathBuf};

use starttls_audit::render::json::{self, Line};
use starttls_audit::report::{CheckOutcome, EndpointReport, EndpointVerdict};

use super::judge::Judge;
use super::resolved::Resolved;
use super::targets::Line as Target;
use crate::error::Failed;
use crate::exit;

/// The results of the earlier run. Only the target of the last line may be incomplete. Endpoints that were unreachable
/// or throttled are audited again.
#[derive(Debug, Default)]
pub(crate) struct EarlierRun {
    path: Option<PathBuf>,
    /// The length of the file up to the end of its last complete line.
    length: u64,
    targets: HashMap<String, Done>,
    /// Every spelling of the target of the last line, unless it had no endpoint. Each endpoint has a line for each
    /// spelling, so all of them may be incomplete.
    incomplete: HashSet<String>,
}

/// The results of one target in the file.
#[derive(Debug, Default)]
struct Done {
    /// The run that wrote its last line.
    run: String,
    /// By URL and address.
    endpoints: HashMap<(String, Option<String>), State>,
    /// Why there was no endpoint.
    failed: Option<State>,
}

/// The result of an audit.
#[derive(Clone, Copy, Debug)]
struct State {
    code: u8,
    /// Whether the target is audited again.
    retry: bool,
}

impl EarlierRun {
    /// Reads the file. A missing file is the same as an empty one.
    pub(crate) fn read(path: &Path, judge: &Judge, targets: &[Target]) -> Result<Self, Failed> {
        let mut earlier = Self { path: Some(path.to_owned()), ..Self::default() };
        let bad = |what: String| Failed::usage(format!("cannot resume from {}: {what}", path.display()));
        let mut file = match starttls::file::open(path) {
            Ok(file) => BufReader::new(file),
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(earlier),
            Err(error) => return Err(bad(error.to_string())),
        };
        let (mut bytes, mut last) = (Vec::new(), None);
        for number in 1.. {
            bytes.clear();
            let length = file.read_until(b'\n', &mut bytes).map_err(|error| bad(error.to_string()))?;
            if !bytes.ends_with(b"\n") {
                break;
            }
            if !bytes.trim_ascii().is_empty() {
                let line = json::read_line(&bytes, number).map_err(|error| {
                    bad(error.to_string()).hint(Some(String::from(
                        "--resume needs the output of --format json with --file or with several targets",
                    )))
                })?;
                last = earlier.add(line, judge);
            }
            earlier.length += length as u64;
        }
        let last = targets.iter().find(|target| Some(&target.text) == last.as_ref()).map(Target::key);
        let spellings = targets.iter().filter(|target| Some(target.key()) == last);
        earlier.incomplete = spellings.map(|target| target.text.clone()).collect();
        Ok(earlier)
    }

    /// Adds a line. Returns its target if that may be incomplete.
    fn add(&mut self, line: Line, judge: &Judge) -> Option<String> {
        match line {
            Line::Endpoint(it) => {
                let key = (it.endpoint.target.clone(), it.endpoint.address.clone());
                let retry = should_retry(&it.endpoint);
                let (_, code) = judge.judged(it.endpoint);
                let done = self.done(&it.asked, it.run.run_started_at);
                done.endpoints.insert(key, State { code, retry });
                done.failed = None;
                Some(it.asked)
            }
            Line::Remark(it) => {
                let done = self.done(&it.asked, it.run.run_started_at);
                done.failed = it.error.is_some().then(|| {
                    let code = it.exit_code.unwrap_or(exit::USAGE);
                    State { code, retry: [exit::UNREACHABLE, exit::BUG].contains(&code) }
                });
                done.failed.is_none().then_some(it.asked)
            }
        }
    }

    /// Returns the results of a target, without those that a later run has replaced.
    fn done(&mut self, asked: &str, run: String) -> &mut Done {
        let done = self.targets.entry(asked.to_owned()).or_default();
        if done.run != run {
            done.endpoints.retain(|_, state| !state.retry);
            done.failed = None;
            done.run = run;
        }
        done
    }

    /// Returns whether the target needs no audit.
    pub(crate) fn is_finished(&self, asked: &str) -> bool {
        let retry = |done: &Done| done.states().any(|state| state.retry);
        self.targets.get(asked).is_some_and(|done| !retry(done)) && !self.incomplete.contains(asked)
    }

    /// Returns whether the file contains a part of this target.
    pub(crate) fn is_begun(&self, asked: &str) -> bool {
        self.targets.contains_key(asked) && !self.is_finished(asked)
    }

    /// Returns whether the endpoint was audited and reported for every spelling of the target, and is not audited again.
    pub(crate) fn has(&self, asked: &str, resolved: &Resolved) -> bool {
        let address = resolved.address.as_ref().ok().map(ToString::to_string);
        let key = (resolved.target.clone(), address);
        let has = |asked: &str| {
            self.targets
                .get(asked)
                .and_then(|done| done.endpoints.get(&key))
                .is_some_and(|state| !state.retry)
        };
        match self.incomplete.contains(asked) {
            true => self.incomplete.iter().all(|asked| has(asked)),
            false => has(asked),
        }
    }

    /// Returns the exit code of the results that remain. `again` holds the targets that are audited again.
    pub(crate) fn code(&self, again: &HashSet<String>) -> u8 {
        let stays = |(asked, done): (&String, &Done)| {
            let again = again.contains(asked);
            done.states().filter(move |state| !(again && state.retry)).collect::<Vec<_>>()
        };
        let states = self.targets.iter().flat_map(stays);
        states.fold(exit::DONE, |code, state| exit::worse(code, state.code))
    }

    /// Returns the file and the offset to append at, unless the new lines go to another file.
    pub(crate) fn continued(&self, output: Option<&Path>) -> Option<(PathBuf, u64)> {
        let path = self.path.as_ref()?;
        let same = |other: &Path| match (other.canonicalize(), path.canonicalize()) {
            (Ok(one), Ok(other)) => one == other,
            _ => other == path,
        };
        output.is_none_or(same).then(|| (path.clone(), self.length))
    }
}

impl Done {
    fn states(&self) -> impl Iterator<Item = State> {
        self.endpoints.values().copied().chain(self.failed)
    }
}

/// Returns whether the endpoint is audited again: it was unreachable or throttled, which may be temporary.
fn should_retry(endpoint: &EndpointReport) -> bool {
    let throttled = || {
        let mut findings = endpoint.findings.iter();
        findings.any(|it| it.id == "srv-throttled" && it.outcome == CheckOutcome::Inconclusive)
    };
    match endpoint.outcome {
        EndpointVerdict::Unreachable => true,
        EndpointVerdict::Inconclusive => throttled(),
        _ => false,
    }
}
