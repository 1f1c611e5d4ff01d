//! What this kind publishes.

use crate::observation::{Family, Scope, Signal, Unit};

/// The statuses of PM2, and one for what it may think of later.
pub(super) const STATUSES: &[&str] =
    &["online", "stopping", "stopped", "launching", "errored", "one-launch-status", "waiting restart", "other"];

pub(super) static UP: Family = Family::gauge(
    "banken_pm2_up",
    Scope::Probe,
    &[],
    "1 while at least one and as many instances as wanted are online, otherwise 0",
);

pub(super) static INSTANCES: Family =
    Family::gauge("banken_pm2_instances", Scope::Probe, &["status"], "Number of instances of the app by their status");

pub(super) static RESTARTS: Family = Family::counter(
    "banken_pm2_restarts_total",
    Scope::Probe,
    &[],
    "Restarts that PM2 has counted while watched, those that people asked for too",
);

pub(super) static UNSTABLE_RESTARTS: Family = Family::gauge(
    "banken_pm2_unstable_restarts",
    Scope::Probe,
    &[],
    "Restarts in a row after which the app ended too soon, as PM2 counts them until it gives up",
);

pub(super) static RESIDENT_MEMORY: Family = Family::gauge(
    "banken_pm2_resident_memory_bytes",
    Scope::Probe,
    &[],
    "Resident memory of all online instances together, in bytes",
);

pub(super) static CPU_RATIO: Family = Family::gauge(
    "banken_pm2_cpu_ratio",
    Scope::Probe,
    &[],
    "Cores used since the last run by all online instances together, 1 is one whole core",
);

pub(super) static START_TIMESTAMP: Family = Family::gauge(
    "banken_pm2_start_timestamp_seconds",
    Scope::Probe,
    &[],
    "When the oldest online instance was started, in seconds since the Unix epoch",
);

/// Resident memory of all online instances.
pub static MEMORY: Signal = Signal { key: "memory", unit: Unit::Bytes, threshold: &MEMORY_THRESHOLD };

static MEMORY_THRESHOLD: Family = Family::gauge(
    "banken_pm2_memory_threshold_bytes",
    Scope::Probe,
    &["severity"],
    "Configured threshold on the resident memory, in bytes",
);

/// Cores used by all online instances.
pub static CPU: Signal = Signal { key: "cpu", unit: Unit::Ratio, threshold: &CPU_THRESHOLD };

static CPU_THRESHOLD: Family = Family::gauge(
    "banken_pm2_cpu_threshold_ratio",
    Scope::Probe,
    &["severity"],
    "Configured threshold on the cores used, 1 is one whole core",
);

/// In the order of the documentation. The families of thresholds follow from the signals.
pub(super) static ALL: &[&Family] =
    &[&UP, &INSTANCES, &RESTARTS, &UNSTABLE_RESTARTS, &RESIDENT_MEMORY, &CPU_RATIO, &START_TIMESTAMP];
