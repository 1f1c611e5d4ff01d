//! The board as a report: what `/api/v1/status`, the page and `banken once` say, made once for all of them.

mod jobs;
mod logs;
mod past;
mod remedies;
mod words;

pub use jobs::{JobCheck, RunLine};
pub use logs::{Found, LogCheck};
pub use past::{Availability, FailureLine};
pub use remedies::{DeedLine, RemedyCheck};
pub use words::{Ago, Fact, clock_time, extent, rfc3339};

use super::{Board, ProbeCell, Record};
use crate::health::Status;
use crate::observation::{Family, Reading, Reason, Severity, Signal, Unit, unix_now};
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use tokio::time::Instant;

/// The whole state in words: healthy only if everything is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Overall {
    /// Everything is healthy and no threshold is crossed.
    Healthy,
    /// Something is not known: it has not run yet, or Banken had a fault of its own.
    Unknown,
    /// Something is suspect, or above a warning threshold.
    Degraded,
    /// Something is down, or above a critical threshold.
    Unhealthy,
}

impl Overall {
    /// The word in the report.
    pub const fn as_str(self) -> &'static str {
        match self {
            Overall::Healthy => "healthy",
            Overall::Unknown => "unknown",
            Overall::Degraded => "degraded",
            Overall::Unhealthy => "unhealthy",
        }
    }

    fn of(state: Status, severity: Option<Severity>) -> Self {
        match (state, severity) {
            (Status::Unhealthy, _) | (_, Some(Severity::Critical)) => Overall::Unhealthy,
            (Status::Suspect, _) | (_, Some(Severity::Warning)) => Overall::Degraded,
            (Status::Unknown, _) => Overall::Unknown,
            (Status::Healthy, _) => Overall::Healthy,
        }
    }
}

/// The report of everything.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// When it was made, RFC 3339.
    pub timestamp: String,
    /// Which Banken made it.
    pub version: &'static str,
    /// The worst of all checks.
    pub overall_status: Overall,
    /// Every probe by name.
    pub checks: BTreeMap<String, Check>,
    /// Every log by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub logs: BTreeMap<String, LogCheck>,
    /// Every job by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub jobs: BTreeMap<String, JobCheck>,
    /// Every remedy by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub remedies: BTreeMap<String, RemedyCheck>,
    /// What the host probe measured, by subject.
    pub metrics: BTreeMap<String, BTreeMap<String, f64>>,
}

impl Report {
    /// Of the board as it is now.
    pub fn of(board: &Board) -> Self {
        let now = unix_now();
        let cells = board.probes();
        let checks: BTreeMap<String, Check> =
            cells.iter().map(|cell| (cell.descriptor().name.clone(), Check::of(board, cell))).collect();
        let logs = board.logs();
        let logs: BTreeMap<_, _> =
            logs.iter().map(|cell| (cell.descriptor().name.clone(), LogCheck::of(cell, now))).collect();
        let jobs = board.jobs();
        let jobs: BTreeMap<_, _> =
            jobs.iter().map(|cell| (cell.descriptor().name.clone(), JobCheck::of(cell, now))).collect();
        let remedies = board.remedies();
        let remedies: BTreeMap<_, _> =
            remedies.iter().map(|cell| (cell.descriptor().name.clone(), RemedyCheck::of(cell))).collect();
        let standings = (checks.values().map(|check| (check.state, check.severity)))
            // Lines are written by strangers: what they say alone is for today, and condemns nothing.
            .chain(logs.values().map(|check| (check.state, check.severity.map(|s| s.min(Severity::Warning)))))
            // A job without a run is not a doubt: it is late once it should have run.
            .chain(jobs.values().filter(|check| check.state != Status::Unknown).map(|c| (c.state, c.severity)))
            // One that gave up needs a person.
            .chain(remedies.values().map(|remedy| (Status::Healthy, remedy.severity)));
        let overall = standings.map(|(state, severity)| Overall::of(state, severity)).max();
        Self {
            timestamp: rfc3339(now),
            version: env!("CARGO_PKG_VERSION"),
            overall_status: overall.unwrap_or(Overall::Healthy),
            metrics: host_metrics(&cells),
            checks,
            logs,
            jobs,
            remedies,
        }
    }
}

/// One probe in short.
#[derive(Debug, Clone, Serialize)]
pub struct Check {
    /// healthy, suspect, unhealthy or unknown.
    pub status: &'static str,
    /// What a person wants to know first.
    pub message: String,
    /// The kind of probe.
    pub kind: &'static str,
    /// The group, where one is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The gravest threshold that is crossed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Why the last run failed, if it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Since when the status is what it is, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// When it last ran, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_run: Option<String>,
    /// How long the last run took, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub duration_seconds: Option<f64>,
    /// Share of successes among the last 100 runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub success_ratio: Option<f64>,
    /// Failed runs in a row.
    pub consecutive_failures: u32,
    /// The probes that it depends on and that explain its failure.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub caused_by: Vec<String>,
    /// The status itself.
    #[serde(skip)]
    pub state: Status,
    /// When it last ran, in seconds since the Unix epoch.
    #[serde(skip)]
    pub last_run_at: Option<f64>,
    /// Since when the status is what it is, in seconds since the Unix epoch.
    #[serde(skip)]
    pub since_at: Option<f64>,
}

impl Check {
    /// Of one cell.
    pub fn of(board: &Board, cell: &ProbeCell) -> Self {
        let caused_by = board.causes(cell);
        cell.read(|record| {
            let state = record.state.status();
            let failure = record.last_known.as_ref().and_then(|run| run.outcome.as_ref().err());
            Self {
                status: state.as_str(),
                message: message(record, &caused_by),
                kind: cell.descriptor().kind,
                group: cell.descriptor().group.clone(),
                severity: record.crossing.map(|crossing| crossing.severity),
                reason: record.own_fault.as_ref().or(failure).map(|failure| failure.reason.as_str()),
                since: record.status_since.map(rfc3339),
                last_run: record.last_run_at.map(rfc3339),
                duration_seconds: record.last_known.as_ref().map(|run| run.duration.as_secs_f64()),
                success_ratio: record.success_ratio(),
                consecutive_failures: record.state.consecutive_failures(),
                caused_by,
                state,
                last_run_at: record.last_run_at,
                since_at: record.status_since,
            }
        })
    }
}

/// What a person wants to know first.
fn message(record: &Record, caused_by: &[String]) -> String {
    if let Some(fault) = &record.own_fault {
        return format!("not known: {}", fault.detail);
    }
    let Some(run) = &record.last_known else { return "has not run yet".into() };
    let mut message = match &run.outcome {
        Ok(()) => format!("ok in {}", Unit::Seconds.show(run.duration.as_secs_f64())),
        Err(failure) => failure.to_string(),
    };
    if !caused_by.is_empty() {
        // Writing to a String cannot fail.
        let _ = write!(message, "; caused by {}", caused_by.join(" and "));
    }
    // What a kind has thresholds on is what is worth a look: the memory of a process, the disk of a host.
    let crossed = record.crossing.map(|crossing| crossing.signal.key);
    let worth_a_look = |signal: &Signal| signal.unit != Unit::Seconds && Some(signal.key) != crossed;
    for (signal, value) in record.readings().signals().iter().filter(|(signal, _)| worth_a_look(signal)) {
        let _ = write!(message, "; {} {}", signal.key, signal.unit.show(*value));
    }
    if let Some(crossing) = record.crossing {
        let unit = crossing.signal.unit;
        let (value, threshold) = (unit.show(crossing.value), unit.show(crossing.threshold));
        let key = crossing.signal.key;
        let _ = write!(message, "; {key} {value} is above {threshold} ({})", crossing.severity);
    }
    message
}

/// One probe with everything that is known of it.
#[derive(Debug, Clone, Serialize)]
pub struct Detail {
    /// Its name.
    pub name: String,
    /// The same as in the report.
    #[serde(flatten)]
    pub check: Check,
    /// How often it runs while its state is settled, in seconds.
    pub interval_seconds: f64,
    /// Facts about the last run: which address answered, which certificate.
    pub notes: BTreeMap<&'static str, String>,
    /// Seconds by phase of the last run.
    pub phases: BTreeMap<&'static str, f64>,
    /// Every value of the last run.
    pub readings: Vec<Value>,
    /// Runs, whatever they ended with.
    pub runs: u64,
    /// Failed runs by reason.
    pub failures: BTreeMap<&'static str, u64>,
    /// Runs that ended with a fault of Banken's own.
    pub unknown: u64,
    /// Confirmed incidents.
    pub incidents: u64,
    /// Availability by window: 1h, 24h, 7d, 30d.
    pub availability: BTreeMap<&'static str, Availability>,
    /// The last failed runs, the newest first.
    pub last_failures: Vec<FailureLine>,
    /// Changes of state, the newest first.
    pub changes: Vec<StateChange>,
}

/// A value of a series.
#[derive(Debug, Clone, Serialize)]
pub struct Value {
    /// The family.
    pub metric: &'static str,
    /// The family's own labels as in the exposition.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub labels: String,
    /// The value in the base unit.
    pub value: f64,
}

/// A change of state.
#[derive(Debug, Clone, Serialize)]
pub struct StateChange {
    /// When, RFC 3339.
    pub at: String,
    /// Before.
    pub from: &'static str,
    /// After.
    pub to: &'static str,
    /// The failure that led to it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

impl Detail {
    /// Of one cell.
    pub fn of(board: &Board, cell: &ProbeCell) -> Self {
        let check = Check::of(board, cell);
        let now = unix_now();
        cell.read_at(now, Instant::now(), |record| Self {
            name: cell.descriptor().name.clone(),
            check,
            interval_seconds: cell.descriptor().interval.as_secs_f64(),
            notes: record.readings().notes().iter().cloned().collect(),
            phases: record.readings().phases().map(|(phase, time)| (phase.as_str(), time.as_secs_f64())).collect(),
            readings: readings(record).map(value).collect(),
            runs: record.runs,
            failures: Reason::ALL
                .into_iter()
                .filter(|reason| record.failures(*reason) > 0)
                .map(|reason| (reason.as_str(), record.failures(reason)))
                .collect(),
            unknown: record.unknown,
            incidents: record.incidents,
            availability: past::availability(record, now),
            last_failures: record.recent_failures.iter().rev().map(FailureLine::from).collect(),
            changes: record
                .changes
                .iter()
                .rev()
                .map(|change| StateChange {
                    at: rfc3339(change.at),
                    from: change.from.as_str(),
                    to: change.to.as_str(),
                    message: change.failure.as_ref().map(ToString::to_string),
                })
                .collect(),
        })
    }
}

/// The gauges of the last run and the counters of the kind.
pub fn readings(record: &Record) -> impl Iterator<Item = &Reading> {
    record.readings().gauges().iter().chain(record.sums())
}

fn value(reading: &Reading) -> Value {
    let labels = reading.labels.as_ref().map_or(String::new(), |labels| labels.text().to_owned());
    Value { metric: reading.family.name, labels, value: reading.value }
}

/// Values without labels of the built-in host probe, by subject: `cpu: { ratio: … }`. Its families all begin alike.
fn host_metrics(cells: &[std::sync::Arc<ProbeCell>]) -> BTreeMap<String, BTreeMap<String, f64>> {
    const PREFIX: &str = "banken_host_";
    let mut metrics: BTreeMap<String, BTreeMap<String, f64>> = BTreeMap::new();
    let of_host = |family: &Family| family.name.strip_prefix(PREFIX);
    for cell in cells.iter().filter(|cell| cell.descriptor().families.iter().any(|f| of_host(f).is_some())) {
        cell.read(|record| {
            for reading in readings(record) {
                let Some(name) = of_host(reading.family) else { continue };
                let (subject, rest) = name.split_once('_').unwrap_or((name, ""));
                let key = match &reading.labels {
                    Some(labels) if rest.is_empty() => labels.text().replace('"', ""),
                    Some(labels) => format!("{rest}{{{}}}", labels.text().replace('"', "")),
                    None if rest.is_empty() => "count".to_owned(),
                    None => rest.to_owned(),
                };
                metrics.entry(subject.to_owned()).or_default().insert(key, reading.value);
            }
        });
    }
    usage_in_percent(&mut metrics);
    metrics
}

/// The two figures that the scripts before Banken printed, under the names they had there.
fn usage_in_percent(metrics: &mut BTreeMap<String, BTreeMap<String, f64>>) {
    if let Some(cpu) = metrics.get_mut("cpu")
        && let Some(ratio) = cpu.get("ratio").copied()
    {
        cpu.insert("usage_percent".into(), ratio * 100.0);
    }
    if let Some(memory) = metrics.get_mut("memory")
        && let (Some(used), Some(total)) = (memory.get("used_bytes").copied(), memory.get("total_bytes").copied())
        && total > 0.0
    {
        memory.insert("usage_percent".into(), used / total * 100.0);
    }
}
