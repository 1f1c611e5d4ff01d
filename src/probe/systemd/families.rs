//! What this kind publishes.

use crate::observation::{Family, Scope, Signal, Unit};

pub(super) static ACTIVE: Family =
    Family::gauge("banken_systemd_active", Scope::Probe, &[], "1 while the unit is active or reloading, otherwise 0");

pub(super) static STATE: Family = Family::gauge(
    "banken_systemd_state",
    Scope::Probe,
    &["state"],
    "1 for the state in which the unit is and 0 for the others",
);

pub(super) static RESTARTS: Family = Family::counter(
    "banken_systemd_restarts_total",
    Scope::Probe,
    &[],
    "How often systemd has started the service again by itself while it was watched",
);

pub(super) static MEMORY_BYTES: Family = Family::gauge(
    "banken_systemd_memory_bytes",
    Scope::Probe,
    &[],
    "Memory that the unit uses, in bytes, absent where systemd does not account for it",
);

pub(super) static CPU_SECONDS: Family = Family::counter(
    "banken_systemd_cpu_seconds_total",
    Scope::Probe,
    &[],
    "CPU time that the unit spent while it was watched, in seconds",
);

pub(super) static CPU_RATIO: Family = Family::gauge(
    "banken_systemd_cpu_ratio",
    Scope::Probe,
    &[],
    "Cores that the unit used since the last run, 1 is one whole core",
);

pub(super) static TASKS: Family = Family::gauge(
    "banken_systemd_tasks",
    Scope::Probe,
    &[],
    "Processes and threads of the unit, absent where systemd does not count them",
);

pub(super) static ACTIVE_SINCE: Family = Family::gauge(
    "banken_systemd_active_since_timestamp_seconds",
    Scope::Probe,
    &[],
    "When the unit became active, in seconds since the Unix epoch, absent while it is not",
);

pub(super) static MAIN_EXIT_STATUS: Family = Family::gauge(
    "banken_systemd_main_exit_status",
    Scope::Probe,
    &[],
    "How the main process ended: its status, or 128 more than the number of the signal; absent while it runs",
);

pub(super) static LAST_TRIGGER: Family = Family::gauge(
    "banken_systemd_last_trigger_timestamp_seconds",
    Scope::Probe,
    &[],
    "When the timer elapsed last, in seconds since the Unix epoch",
);

/// Memory of the unit.
pub static MEMORY: Signal = Signal { key: "memory", unit: Unit::Bytes, threshold: &MEMORY_THRESHOLD };

static MEMORY_THRESHOLD: Family = Family::gauge(
    "banken_systemd_memory_threshold_bytes",
    Scope::Probe,
    &["severity"],
    "Configured threshold on the memory of a unit, in bytes",
);

/// Cores used by the unit.
pub static CPU: Signal = Signal { key: "cpu", unit: Unit::Ratio, threshold: &CPU_THRESHOLD };

static CPU_THRESHOLD: Family = Family::gauge(
    "banken_systemd_cpu_threshold_ratio",
    Scope::Probe,
    &["severity"],
    "Configured threshold on the cores that a unit uses, 1 is one whole core",
);

/// In the order of the documentation. The families of thresholds follow from the signals.
pub(super) static ALL: &[&Family] = &[
    &ACTIVE,
    &STATE,
    &RESTARTS,
    &MEMORY_BYTES,
    &CPU_SECONDS,
    &CPU_RATIO,
    &TASKS,
    &ACTIVE_SINCE,
    &MAIN_EXIT_STATUS,
    &LAST_TRIGGER,
];
