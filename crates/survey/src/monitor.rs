//! What a worker has done so far, for progress, status and metrics.

use std::collections::{BTreeMap, HashSet, VecDeque};
use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use crate::folder::Stage;

/// The time over which the rate is measured.
const WINDOW: Duration = Duration::from_secs(600);

/// The limits of the histograms of durations, in seconds: from an answer of a near server to the longest limit that is usual.
const BUCKETS: [f64; 10] = [0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 30.0];

/// The same for the time that a worker holds a lane.
const LANE_BUCKETS: [f64; 8] = [1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0];

/// What takes time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Timed {
    /// The work on a target.
    Target,
    /// The TCP connection to a server.
    Connect,
    /// The TLS handshake with a server.
    Handshake,
    /// A question to the resolver.
    Dns,
    /// A worker holds a lane.
    LaneHold,
}

impl Timed {
    /// All of them, with their names and help.
    const ALL: [(Self, &'static str, &'static str); 5] = [
        (Self::Target, "target_seconds", "Duration of the work on a target."),
        (Self::Connect, "connect_seconds", "Duration of the first TCP connection to an endpoint."),
        (Self::Handshake, "handshake_seconds", "Duration of the first TLS handshake with an endpoint."),
        (Self::Dns, "dns_seconds", "Duration of a question to the resolver."),
        (Self::LaneHold, "lane_hold_seconds", "Time that this process held a lane."),
    ];

    fn buckets(self) -> &'static [f64] {
        if self == Self::LaneHold { &LANE_BUCKETS } else { &BUCKETS }
    }
}

/// An operation of the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum QueueOperation {
    /// Asks for a lane.
    #[cfg(feature = "nats")]
    Take,
    /// Becomes the holder of a lane.
    Enter,
    /// Takes a shard.
    Claim,
    /// Records what is in work.
    Start,
    /// Keeps results.
    Save,
    /// Makes the result of a shard visible.
    Finish,
    /// Remembers the subnets that turned clients away.
    Remember,
    /// Gives a lane back.
    Leave,
    /// Keeps a lane. A failure is a lane that was lost.
    Hold,
    /// Publishes what was planned, and collects the results.
    #[cfg(feature = "nats")]
    Collect,
}

impl QueueOperation {
    /// The names of all of them, in their order.
    #[cfg(feature = "nats")]
    const NAMES: &[&str] =
        &["take", "enter", "claim", "start", "save", "finish", "remember", "leave", "hold", "collect"];
    #[cfg(not(feature = "nats"))]
    const NAMES: &[&str] = &["enter", "claim", "start", "save", "finish", "remember", "leave", "hold"];
}

/// The numbers of durations up to each limit, and their sum.
#[derive(Debug)]
struct Histogram {
    counts: Vec<u64>,
    sum: f64,
}

impl Histogram {
    fn new(buckets: &[f64]) -> Self {
        Self { counts: vec![0; buckets.len() + 1], sum: 0.0 }
    }

    fn observe(&mut self, buckets: &[f64], seconds: f64) {
        let bucket = buckets.iter().position(|limit| seconds <= *limit).unwrap_or(buckets.len());
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.sum += seconds;
    }

    fn write(&self, text: &mut String, name: &str, buckets: &[f64]) {
        let mut all = 0;
        let limits = buckets.iter().map(ToString::to_string).chain([String::from("+Inf")]);
        for (limit, count) in limits.zip(&self.counts) {
            all += count;
            let _ = writeln!(text, "starttls_survey_{name}_bucket{{le=\"{limit}\"}} {all}");
        }
        let _ = writeln!(text, "starttls_survey_{name}_sum {}", self.sum);
        let _ = writeln!(text, "starttls_survey_{name}_count {all}");
    }
}

/// What this process has done. All workers of the process share it.
#[derive(Debug)]
pub struct Monitor {
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    stages: BTreeMap<Stage, StageCount>,
    in_flight: u64,
    paused: BTreeMap<u16, u64>,
    /// Times and numbers of results, for the rate.
    recent: VecDeque<(Instant, u64)>,
    /// In the order of [`Timed::ALL`].
    durations: Vec<Histogram>,
    /// The time of the last result; until there is one, that of the start.
    last_progress: SystemTime,
    /// In the order of [`QueueOperation::NAMES`].
    queue_errors: Vec<u64>,
}

#[derive(Clone, Debug, Default)]
struct StageCount {
    planned: u64,
    floor: Duration,
    done: u64,
    words: BTreeMap<&'static str, u64>,
    open_lanes: HashSet<u16>,
}

/// A moment of a stage.
#[derive(Clone, Debug, PartialEq)]
pub struct StageProgress {
    /// The stage.
    pub stage: Stage,
    /// The number of targets.
    pub planned: u64,
    /// How many of them have a result.
    pub done: u64,
    /// Connections and questions in flight.
    pub in_flight: u64,
    /// Subnets that are left alone for a time.
    pub paused: u64,
    /// Lanes with work.
    pub lanes: usize,
    /// Results per second over the last minutes.
    pub rate: f64,
    /// The estimated time left; `None` without a rate.
    pub left: Option<Duration>,
    /// Whether the budgets of the slowest lane decide the time left, and not the rate.
    pub is_bound_by_budgets: bool,
}

impl Default for Monitor {
    fn default() -> Self {
        let state = State {
            stages: BTreeMap::new(),
            in_flight: 0,
            paused: BTreeMap::new(),
            recent: VecDeque::new(),
            durations: Timed::ALL.iter().map(|(timed, ..)| Histogram::new(timed.buckets())).collect(),
            last_progress: SystemTime::now(),
            queue_errors: vec![0; QueueOperation::NAMES.len()],
        };
        Self { state: Mutex::new(state) }
    }
}

impl State {
    fn count_recent(&mut self, now: Instant, more: u64) {
        self.last_progress = SystemTime::now();
        match self.recent.back_mut() {
            Some((at, results)) if now.duration_since(*at) < Duration::from_secs(1) => *results += more,
            _ => self.recent.push_back((now, more)),
        }
        while self.recent.front().is_some_and(|(at, _)| now.duration_since(*at) > WINDOW) {
            self.recent.pop_front();
        }
    }
}

impl Monitor {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Records a stage, and how many of its targets have a result already.
    pub fn begin(&self, stage: Stage, planned: u64, done: u64, floor: Duration) {
        let mut state = self.state();
        state.recent.clear();
        let count = state.stages.entry(stage).or_default();
        (count.planned, count.done, count.floor) = (planned, done, floor);
    }

    pub(crate) fn lane(&self, stage: Stage, lane: u16, is_open: bool) {
        let mut state = self.state();
        let lanes = &mut state.stages.entry(stage).or_default().open_lanes;
        if is_open {
            lanes.insert(lane)
        } else {
            lanes.remove(&lane)
        };
    }

    pub(crate) fn started(&self) {
        self.state().in_flight += 1;
    }

    pub(crate) fn ended(&self) {
        let mut state = self.state();
        state.in_flight = state.in_flight.saturating_sub(1);
    }

    pub(crate) fn paused(&self, lane: u16, subnets: u64) {
        self.state().paused.insert(lane, subnets);
    }

    pub(crate) fn queue_failed(&self, operation: QueueOperation) {
        if let Some(count) = self.state().queue_errors.get_mut(operation as usize) {
            *count += 1;
        }
    }

    pub(crate) fn took(&self, timed: Timed, time: Duration) {
        if let Some(histogram) = self.state().durations.get_mut(timed as usize) {
            histogram.observe(timed.buckets(), time.as_secs_f64());
        }
    }

    /// Records results of other processes.
    #[cfg(feature = "nats")]
    pub(crate) fn collected(&self, stage: Stage, word: &'static str, results: u64) {
        let now = Instant::now();
        let mut state = self.state();
        let count = state.stages.entry(stage).or_default();
        count.done += results;
        *count.words.entry(word).or_default() += results;
        state.count_recent(now, results);
    }

    pub(crate) fn result(&self, stage: Stage, word: &'static str) {
        let now = Instant::now();
        let mut state = self.state();
        let count = state.stages.entry(stage).or_default();
        count.done += 1;
        *count.words.entry(word).or_default() += 1;
        state.count_recent(now, 1);
    }

    /// Returns the numbers of this process's results of a stage, by kind.
    pub fn results(&self, stage: Stage) -> BTreeMap<&'static str, u64> {
        self.state().stages.get(&stage).map(|count| count.words.clone()).unwrap_or_default()
    }

    /// Returns whether this process looked up names, and no look-up of one of the stages was answered.
    pub fn lacks_dns(&self) -> bool {
        let all_failed = |stage| {
            let results = self.results(stage);
            !results.is_empty() && results.keys().all(|word| *word == "failed")
        };
        all_failed(Stage::Resolve) || all_failed(Stage::Addresses)
    }

    /// Returns how far a stage is.
    pub fn progress(&self, stage: Stage) -> StageProgress {
        let state = self.state();
        let count = state.stages.get(&stage).cloned().unwrap_or_default();
        let recent: u64 = state.recent.iter().map(|(_, results)| results).sum();
        let since = state.recent.front().map_or(Duration::ZERO, |(at, _)| at.elapsed());
        let rate = if since.is_zero() { 0.0 } else { recent as f64 / since.as_secs_f64().max(1.0) };
        let open = count.planned.saturating_sub(count.done);
        let by_rate =
            (rate > 0.0).then(|| Duration::try_from_secs_f64(open as f64 / rate).unwrap_or(Duration::MAX));
        // The part of the floor that the open targets need, if they are spread evenly.
        let share = if count.planned == 0 { 0.0 } else { open as f64 / count.planned as f64 };
        let by_budgets = count.floor.mul_f64(share.clamp(0.0, 1.0));
        StageProgress {
            stage,
            planned: count.planned,
            done: count.done,
            in_flight: state.in_flight,
            paused: state.paused.values().sum(),
            lanes: count.open_lanes.len(),
            rate,
            left: by_rate.map(|it| it.max(by_budgets)),
            is_bound_by_budgets: by_rate.is_some_and(|it| by_budgets > it),
        }
    }

    /// Returns the metrics in the text format of Prometheus. No label contains a name or an address.
    pub fn prometheus(&self) -> String {
        let state = self.state();
        let mut text = String::new();
        let head = |name: &str, kind: &str, help: &str| {
            format!("# HELP starttls_survey_{name} {help}\n# TYPE starttls_survey_{name} {kind}\n")
        };
        text += &head("targets_total", "counter", "Results by stage and kind.");
        for (stage, count) in &state.stages {
            for (word, results) in &count.words {
                let _ = writeln!(
                    text,
                    "starttls_survey_targets_total{{stage=\"{stage}\",reach=\"{word}\"}} {results}"
                );
            }
        }
        for (name, help, value) in [
            (
                "planned_targets",
                "Targets of a stage.",
                (|it: &StageCount| it.planned as f64) as fn(&StageCount) -> f64,
            ),
            ("done_targets", "Targets of a stage with a result.", |it| it.done as f64),
            ("open_lanes", "Lanes with work.", |it| it.open_lanes.len() as f64),
            ("floor_seconds", "The time that the budgets need at least.", |it| it.floor.as_secs_f64()),
        ] {
            text += &head(name, "gauge", help);
            for (stage, count) in &state.stages {
                let _ = writeln!(text, "starttls_survey_{name}{{stage=\"{stage}\"}} {}", value(count));
            }
        }
        for (name, kind, help, value) in [
            ("inflight", "gauge", "Targets in work.", state.in_flight as f64),
            (
                "paused_subnets",
                "gauge",
                "Subnets that are left alone.",
                state.paused.values().sum::<u64>() as f64,
            ),
            (
                "last_progress_timestamp_seconds",
                "gauge",
                "Time of the last result, or of the start, in seconds since 1970.",
                state.last_progress.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64(),
            ),
        ] {
            text += &head(name, kind, help);
            let _ = writeln!(text, "starttls_survey_{name} {value}");
        }
        text += &head("queue_errors_total", "counter", "Operations of the queue that failed.");
        for (operation, count) in QueueOperation::NAMES.iter().zip(&state.queue_errors) {
            let _ = writeln!(text, "starttls_survey_queue_errors_total{{op=\"{operation}\"}} {count}");
        }
        for ((timed, name, help), histogram) in Timed::ALL.iter().zip(&state.durations) {
            text += &head(name, "histogram", help);
            histogram.write(&mut text, name, timed.buckets());
        }
        text
    }
}
