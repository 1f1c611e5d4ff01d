//! What this kind publishes.

use crate::observation::{Family, Scope, Signal, Unit};

pub(super) static RUNNING: Family =
    Family::gauge("banken_container_running", Scope::Probe, &[], "1 while the container runs, otherwise 0");

pub(super) static HEALTH: Family = Family::gauge(
    "banken_container_health",
    Scope::Probe,
    &["status"],
    "1 for what the health check of the container says and 0 for the rest",
);

pub(super) static RESTARTS: Family = Family::counter(
    "banken_container_restarts_total",
    Scope::Probe,
    &[],
    "How often its restart policy has started the container again while it was watched",
);

pub(super) static MEMORY_BYTES: Family = Family::gauge(
    "banken_container_memory_bytes",
    Scope::Probe,
    &[],
    "Memory that the container uses as docker stats shows it, in bytes",
);

pub(super) static MEMORY_LIMIT: Family = Family::gauge(
    "banken_container_memory_limit_bytes",
    Scope::Probe,
    &[],
    "Memory that the container may use, in bytes; without a limit, that of the host",
);

pub(super) static CPU_SECONDS: Family = Family::counter(
    "banken_container_cpu_seconds_total",
    Scope::Probe,
    &[],
    "CPU time that the container spent while it was watched, in seconds",
);

pub(super) static CPU_RATIO: Family = Family::gauge(
    "banken_container_cpu_ratio",
    Scope::Probe,
    &[],
    "Cores that the container used since the last run, 1 is one whole core",
);

pub(super) static PIDS: Family =
    Family::gauge("banken_container_pids", Scope::Probe, &[], "Processes and threads of the container");

pub(super) static OOM_KILLED: Family = Family::gauge(
    "banken_container_oom_killed",
    Scope::Probe,
    &[],
    "1 if the container was ended last for using too much memory, otherwise 0",
);

pub(super) static EXIT_CODE: Family = Family::gauge(
    "banken_container_exit_code",
    Scope::Probe,
    &[],
    "Exit code with which the container ended, absent while it runs",
);

pub(super) static STARTED: Family = Family::gauge(
    "banken_container_start_timestamp_seconds",
    Scope::Probe,
    &[],
    "When the container was started last, in seconds since the Unix epoch",
);

/// Memory of the container.
pub static MEMORY: Signal = Signal { key: "memory", unit: Unit::Bytes, threshold: &MEMORY_THRESHOLD };

static MEMORY_THRESHOLD: Family = Family::gauge(
    "banken_container_memory_threshold_bytes",
    Scope::Probe,
    &["severity"],
    "Configured threshold on the memory of a container, in bytes",
);

/// Cores used by the container.
pub static CPU: Signal = Signal { key: "cpu", unit: Unit::Ratio, threshold: &CPU_THRESHOLD };

static CPU_THRESHOLD: Family = Family::gauge(
    "banken_container_cpu_threshold_ratio",
    Scope::Probe,
    &["severity"],
    "Configured threshold on the cores that a container uses, 1 is one whole core",
);

/// In the order of the documentation. The families of thresholds follow from the signals.
pub(super) static ALL: &[&Family] = &[
    &RUNNING,
    &HEALTH,
    &RESTARTS,
    &MEMORY_BYTES,
    &MEMORY_LIMIT,
    &CPU_SECONDS,
    &CPU_RATIO,
    &PIDS,
    &OOM_KILLED,
    &EXIT_CODE,
    &STARTED,
];
