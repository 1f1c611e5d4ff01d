//! What this kind publishes.

use crate::observation::{Family, Scope, Signal, Unit};

pub(super) static UP: Family =
    Family::gauge("banken_process_up", Scope::Name, &[], "1 while at least one and as many as wanted run, otherwise 0");

pub(super) static INSTANCES: Family =
    Family::gauge("banken_process_instances", Scope::Name, &[], "Number of matching processes that run");

pub(super) static RESIDENT_MEMORY: Family = Family::gauge(
    "banken_process_resident_memory_bytes",
    Scope::Name,
    &[],
    "Resident memory of all instances together, in bytes",
);

pub(super) static CPU_SECONDS: Family = Family::counter(
    "banken_process_cpu_seconds_total",
    Scope::Name,
    &[],
    "CPU time of user and system that all instances spent while watched, in seconds",
);

pub(super) static CPU_RATIO: Family = Family::gauge(
    "banken_process_cpu_ratio",
    Scope::Name,
    &[],
    "Cores used since the last run by all instances together, 1 is one whole core",
);

pub(super) static THREADS: Family =
    Family::gauge("banken_process_threads", Scope::Name, &[], "Number of threads of all instances together");

pub(super) static OPEN_FDS: Family = Family::gauge(
    "banken_process_open_fds",
    Scope::Name,
    &[],
    "Open file descriptors of all instances together, absent where not permitted",
);

pub(super) static START_TIMESTAMP: Family = Family::gauge(
    "banken_process_start_timestamp_seconds",
    Scope::Name,
    &[],
    "When the oldest instance started, in seconds since the Unix epoch",
);

pub(super) static RESTARTS: Family = Family::counter(
    "banken_process_restarts_total",
    Scope::Name,
    &[],
    "Instances that appeared after another one had gone away",
);

/// Resident memory of all instances.
pub static MEMORY: Signal = Signal { key: "memory", unit: Unit::Bytes, threshold: &MEMORY_THRESHOLD };

static MEMORY_THRESHOLD: Family = Family::gauge(
    "banken_process_memory_threshold_bytes",
    Scope::Name,
    &["severity"],
    "Configured threshold on the resident memory, in bytes",
);

/// Cores used by all instances.
pub static CPU: Signal = Signal { key: "cpu", unit: Unit::Ratio, threshold: &CPU_THRESHOLD };

static CPU_THRESHOLD: Family = Family::gauge(
    "banken_process_cpu_threshold_ratio",
    Scope::Name,
    &["severity"],
    "Configured threshold on the cores used, 1 is one whole core",
);

/// In the order of the documentation. The families of thresholds follow from the signals.
pub(super) static ALL: &[&Family] =
    &[&UP, &INSTANCES, &RESIDENT_MEMORY, &CPU_SECONDS, &CPU_RATIO, &THREADS, &OPEN_FDS, &START_TIMESTAMP, &RESTARTS];
