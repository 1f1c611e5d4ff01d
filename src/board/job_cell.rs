//! The cell of one job: its runs as they were reported.

use super::Histogram;
use crate::health::{Crossing, Limit, gravest_crossing};
use crate::observation::{Family, Labels, Scope, Signal, Unit, label_words};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The duration of a job's runs, on which thresholds can be set.
pub static JOB_DURATION: Signal = Signal { key: "duration", unit: Unit::Seconds, threshold: &JOB_DURATION_THRESHOLD };

/// Where those thresholds are published.
static JOB_DURATION_THRESHOLD: Family = Family::gauge(
    "banken_job_duration_threshold_seconds",
    Scope::Task,
    &["severity"],
    "Configured threshold on the duration of a run, in seconds",
);

/// Upper bounds of the histogram of a job's durations, in seconds.
pub const JOB_BOUNDS: &[f64] =
    &[1.0, 5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 10800.0, 43200.0, 86400.0];

/// How many ended runs the page can show.
pub const RUNS_KEPT: usize = 10;

/// How a run ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum JobResult {
    /// It was reported as done.
    Success,
    /// It was reported as failed.
    Failure,
    /// It began and was never reported to have ended.
    Abandoned,
}

label_words!(JobResult, "result", Success = "success", Failure = "failure", Abandoned = "abandoned",);

/// What a cell knows about its job beside its runs.
#[derive(Debug, Clone, PartialEq)]
pub struct JobDescriptor {
    /// The label `task`.
    pub name: String,
    /// The label `group`.
    pub group: Option<String>,
    /// When it should run, in words: `every 5m`, `*/5 * * * * Asia/Tokyo`; none where no time is set.
    pub schedule: Option<String>,
    /// The fewest records that a run should report.
    pub records_min: Option<f64>,
    /// The most records that a run should report.
    pub records_max: Option<f64>,
    /// Configured thresholds.
    pub limits: Vec<Limit>,
}

/// A run that began and has not ended.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct RunningRun {
    /// What the reporter calls it; empty where it gave no id.
    pub id: String,
    /// When it began, in seconds since the Unix epoch.
    pub started_at: f64,
}

/// A run that ended.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct EndedRun {
    /// What the reporter calls it; empty where it gave no id.
    pub id: String,
    /// How it ended.
    pub result: JobResult,
    /// When it ended, in seconds since the Unix epoch.
    pub ended_at: f64,
    /// How long it took, in seconds; none where its start was not reported.
    pub duration: Option<f64>,
    /// How many records it processed, where it said so.
    pub records: Option<f64>,
    /// What it said, for people; never a label.
    pub message: String,
}

/// Everything that is known of one job.
#[derive(Debug, Clone)]
pub struct JobRecord {
    /// Ended runs by result.
    pub ended: [u64; JobResult::ALL.len()],
    /// Runs that have not ended, the oldest first.
    pub running: Vec<RunningRun>,
    /// The latest ended runs, the newest last.
    pub last_runs: VecDeque<EndedRun>,
    /// When a run last ended well, in seconds since the Unix epoch.
    pub last_success_at: Option<f64>,
    /// When a run was last reported, in seconds since the Unix epoch.
    pub last_report_at: Option<f64>,
    /// How long the latest ended run took whose start is known, in seconds.
    pub duration: Option<f64>,
    /// How many records the latest run reported that reported any.
    pub records: Option<f64>,
    /// How long runs took.
    pub durations: Histogram,
    /// Until when the next success is expected, in seconds since the Unix epoch, grace included.
    pub due_at: Option<f64>,
    /// Whether it is late; none for a job without a time to run at.
    pub late: Option<bool>,
}

impl Default for JobRecord {
    fn default() -> Self {
        Self {
            ended: [0; JobResult::ALL.len()],
            running: Vec::new(),
            last_runs: VecDeque::new(),
            last_success_at: None,
            last_report_at: None,
            duration: None,
            records: None,
            durations: Histogram::new(JOB_BOUNDS),
            due_at: None,
            late: None,
        }
    }
}

impl JobRecord {
    /// The latest ended run.
    pub fn last_run(&self) -> Option<&EndedRun> {
        self.last_runs.back()
    }

    /// Whether the number of records is outside of what was configured.
    pub fn records_are_unusual(&self, descriptor: &JobDescriptor) -> bool {
        self.records.is_some_and(|records| {
            descriptor.records_min.is_some_and(|min| records < min)
                || descriptor.records_max.is_some_and(|max| records > max)
        })
    }

    /// The gravest threshold that the latest run crossed, or the oldest that is running has crossed already.
    pub fn crossing(&self, descriptor: &JobDescriptor, now: f64) -> Option<Crossing> {
        let running = self.running.first().map(|run| now - run.started_at);
        let longest = running.into_iter().chain(self.duration).reduce(f64::max)?;
        gravest_crossing(&descriptor.limits, &[(&JOB_DURATION, longest)])
    }
}

/// The latest of one job.
#[derive(Debug)]
pub struct JobCell {
    descriptor: JobDescriptor,
    labels: Labels,
    record: Mutex<JobRecord>,
}

impl JobCell {
    /// A cell with a past: the one that was saved, or none.
    pub fn new(descriptor: JobDescriptor, record: JobRecord) -> Self {
        let mut pairs = vec![("task", descriptor.name.as_str())];
        pairs.extend(descriptor.group.as_deref().map(|group| ("group", group)));
        let labels = Labels::render(&pairs);
        Self { descriptor, labels, record: Mutex::new(record) }
    }

    /// A cell that goes on where `former` stands, under what may have changed.
    pub fn succeeding(descriptor: JobDescriptor, former: &JobCell) -> Self {
        Self::new(descriptor, former.read(Clone::clone))
    }

    /// Name, group, schedule, thresholds.
    pub fn descriptor(&self) -> &JobDescriptor {
        &self.descriptor
    }

    /// `task` and, where one is set, `group`.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Looks at the record; `look` must be quick.
    pub fn read<T>(&self, look: impl FnOnce(&JobRecord) -> T) -> T {
        look(&self.locked())
    }

    /// Changes the record; `change` must be quick, because scrapes wait for it.
    pub fn update<T>(&self, change: impl FnOnce(&mut JobRecord) -> T) -> T {
        change(&mut self.locked())
    }

    /// A record is changed by assignments only, so a panic elsewhere leaves it whole.
    fn locked(&self) -> MutexGuard<'_, JobRecord> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
