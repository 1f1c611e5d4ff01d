//! How a probe was until now: availability and the last failures.

use super::rfc3339;
use crate::board::{FailedRun, Record, Uptime, Window};
use serde::Serialize;
use std::collections::BTreeMap;

/// Availability over one window.
#[derive(Debug, Clone, Serialize)]
pub struct Availability {
    /// The share of the known time that was not spent in an incident.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ratio: Option<f64>,
    /// The share of the window that is known.
    pub known_ratio: f64,
    /// Seconds in incidents, each counted from its first failure.
    pub incident_seconds: f64,
}

impl From<Uptime> for Availability {
    fn from(uptime: Uptime) -> Self {
        Self { ratio: uptime.ratio(), known_ratio: uptime.known(), incident_seconds: uptime.bad }
    }
}

/// Availability by window, at `now` in seconds since the Unix epoch.
pub fn availability(record: &Record, now: f64) -> BTreeMap<&'static str, Availability> {
    Window::ALL.into_iter().map(|window| (window.as_str(), record.history.uptime(window, now).into())).collect()
}

/// A run that failed.
#[derive(Debug, Clone, Serialize)]
pub struct FailureLine {
    /// When it began, RFC 3339.
    pub at: String,
    /// How long it took, in seconds.
    pub duration_seconds: f64,
    /// Why it failed.
    pub reason: &'static str,
    /// What exactly happened.
    pub detail: String,
    /// Seconds by phase.
    pub phases: BTreeMap<&'static str, f64>,
}

impl From<&FailedRun> for FailureLine {
    fn from(run: &FailedRun) -> Self {
        Self {
            at: rfc3339(run.started_at),
            duration_seconds: run.duration.as_secs_f64(),
            reason: run.failure.reason.as_str(),
            detail: run.failure.detail.clone(),
            phases: run.phases.iter().map(|(phase, time)| (phase.as_str(), time.as_secs_f64())).collect(),
        }
    }
}
