//! A job in words.

use super::{Ago, rfc3339};
use crate::board::{EndedRun, JobCell, JobDescriptor, JobRecord, JobResult};
use crate::health::{Crossing, Status};
use crate::observation::{Severity, Unit};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// One job in short.
#[derive(Debug, Clone, Serialize)]
pub struct JobCheck {
    /// healthy, suspect (its last run did not end well), unhealthy (late) or unknown (no run ended yet).
    pub status: &'static str,
    /// What a person wants to know first.
    pub message: String,
    /// The group, where one is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The gravest threshold that is crossed; a number of records outside of its bounds is worth knowing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// When it should run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub schedule: Option<String>,
    /// Whether it is late.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub late: Option<bool>,
    /// Until when the next success is expected, grace included, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<String>,
    /// Runs that have not ended.
    pub running: usize,
    /// When a run last ended well, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_success: Option<String>,
    /// How long the latest run took, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<f64>,
    /// How many records it processed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<f64>,
    /// Ended runs by result.
    pub runs: BTreeMap<&'static str, u64>,
    /// The latest ended runs, the newest first.
    pub last_runs: Vec<RunLine>,
    /// The status itself.
    #[serde(skip)]
    pub state: Status,
    /// When it was last heard of, in seconds since the Unix epoch.
    #[serde(skip)]
    pub last_report_at: Option<f64>,
}

/// A run that ended.
#[derive(Debug, Clone, Serialize)]
pub struct RunLine {
    /// What the reporter calls it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub run: String,
    /// How it ended.
    pub result: &'static str,
    /// When it ended, RFC 3339.
    pub ended: String,
    /// How long it took, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<f64>,
    /// How many records it processed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records: Option<f64>,
    /// What it said.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// When it ended, in seconds since the Unix epoch.
    #[serde(skip)]
    pub ended_at: f64,
}

impl RunLine {
    fn of(run: &EndedRun) -> Self {
        Self {
            run: run.id.clone(),
            result: run.result.as_str(),
            ended: rfc3339(run.ended_at),
            duration_seconds: run.duration,
            records: run.records,
            message: run.message.clone(),
            ended_at: run.ended_at,
        }
    }
}

impl JobCheck {
    /// Of one cell, at `now` (seconds since the Unix epoch).
    pub fn of(cell: &JobCell, now: f64) -> Self {
        let descriptor = cell.descriptor();
        cell.read(|record| {
            let state = state(record);
            let crossing = record.crossing(descriptor, now);
            let unusual = record.records_are_unusual(descriptor).then_some(Severity::Info);
            let runs = JobResult::ALL.into_iter().zip(record.ended);
            Self {
                status: state.as_str(),
                message: message(record, descriptor, crossing, now),
                group: descriptor.group.clone(),
                severity: crossing.map(|crossing| crossing.severity).into_iter().chain(unusual).max(),
                schedule: descriptor.schedule.clone(),
                late: record.late,
                due: record.due_at.map(rfc3339),
                running: record.running.len(),
                last_success: record.last_success_at.map(rfc3339),
                duration_seconds: record.duration,
                records: record.records,
                runs: runs.map(|(result, count)| (result.as_str(), count)).collect(),
                last_runs: record.last_runs.iter().rev().map(RunLine::of).collect(),
                state,
                last_report_at: record.last_report_at,
            }
        })
    }
}

fn state(record: &JobRecord) -> Status {
    match (record.late, record.last_run()) {
        (Some(true), _) => Status::Unhealthy,
        (_, None) => Status::Unknown,
        (_, Some(run)) if run.result == JobResult::Success => Status::Healthy,
        (_, Some(_)) => Status::Suspect,
    }
}

fn message(record: &JobRecord, descriptor: &JobDescriptor, crossing: Option<Crossing>, now: f64) -> String {
    let mut parts = Vec::new();
    if record.late == Some(true) {
        parts.push(match record.due_at {
            Some(due) => format!("late for {}", Ago::since(due, now)),
            None => "late".into(),
        });
    }
    parts.extend(record.running.first().map(|run| format!("running for {}", Ago::since(run.started_at, now))));
    parts.push(match record.last_run() {
        None => "no run has ended yet".into(),
        Some(run) => ended(run, now),
    });
    if let Some(crossing) = crossing {
        let (value, threshold) = (Unit::Seconds.show(crossing.value), Unit::Seconds.show(crossing.threshold));
        parts.push(format!("duration {value} is above {threshold} ({})", crossing.severity));
    }
    if record.records_are_unusual(descriptor) {
        parts.push(format!("{} records are unusual", record.records.unwrap_or_default()));
    }
    parts.join("; ")
}

fn ended(run: &EndedRun, now: f64) -> String {
    let how = match run.result {
        JobResult::Success => "last run ok",
        JobResult::Failure => "last run failed",
        JobResult::Abandoned => "last run never ended",
    };
    let mut text = format!("{how} {} ago", Ago::since(run.ended_at, now));
    // Writing to a String cannot fail.
    if let Some(duration) = run.duration {
        let _ = write!(text, " in {}", Unit::Seconds.show(duration));
    }
    if let Some(records) = run.records {
        let _ = write!(text, ", {records} records");
    }
    if run.result == JobResult::Failure && !run.message.is_empty() {
        let _ = write!(text, ": {}", run.message);
    }
    text
}
