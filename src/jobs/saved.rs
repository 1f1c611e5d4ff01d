//! What of a job survives a restart.

use crate::board::{EndedRun, Histogram, JOB_BOUNDS, JobRecord, JobResult, RunningRun};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What was last taken of a kind of line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Taken {
    /// Which counting of the log's it was.
    pub epoch: u64,
    /// The how-manieth line of its kind it was.
    pub sequence: u64,
}

/// A job as it is saved. What an older file does not say has its default.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Saved {
    /// The schedule in words, to know whether it is still the same.
    pub schedule: Option<String>,
    /// From when the time to the next success is counted, in seconds since the Unix epoch.
    pub counted_from: f64,
    /// Whether that is so because Banken was away, and no run ended well since.
    pub forgiven: bool,
    /// When it was saved, in seconds since the Unix epoch.
    pub at: f64,
    /// The lines that were taken, by their ids.
    pub heard: BTreeMap<String, Taken>,
    /// What the board shows of it.
    pub record: SavedRecord,
}

/// A record as it is saved.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SavedRecord {
    ended: Vec<(JobResult, u64)>,
    running: Vec<RunningRun>,
    last_runs: Vec<EndedRun>,
    last_success_at: Option<f64>,
    last_report_at: Option<f64>,
    duration: Option<f64>,
    records: Option<f64>,
    buckets: Vec<u64>,
    sum: f64,
    due_at: Option<f64>,
    /// Whether it was late.
    pub late: Option<bool>,
}

impl SavedRecord {
    /// A copy of a record.
    pub fn of(record: &JobRecord) -> Self {
        Self {
            ended: JobResult::ALL.into_iter().zip(record.ended).collect(),
            running: record.running.clone(),
            last_runs: record.last_runs.iter().cloned().collect(),
            last_success_at: record.last_success_at,
            last_report_at: record.last_report_at,
            duration: record.duration,
            records: record.records,
            buckets: record.durations.counts().to_vec(),
            sum: record.durations.sum(),
            due_at: record.due_at,
            late: record.late,
        }
    }

    /// The record as it was.
    pub fn restore(&self) -> JobRecord {
        let mut record = JobRecord {
            running: self.running.clone(),
            last_runs: self.last_runs.iter().cloned().collect(),
            last_success_at: self.last_success_at,
            last_report_at: self.last_report_at,
            duration: self.duration,
            records: self.records,
            due_at: self.due_at,
            late: self.late,
            ..JobRecord::default()
        };
        for (result, count) in &self.ended {
            record.ended[*result as usize] = *count;
        }
        // Other bounds in another version: the old counts say nothing about them.
        if let Some(durations) = Histogram::restore(JOB_BOUNDS, self.buckets.clone(), self.sum) {
            record.durations = durations;
        }
        record
    }
}
