//! What this kind publishes.

use crate::observation::{Family, Scope, Signal, Unit};

/// A family without labels of its cell: there is one host.
const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Family {
    Family::gauge(name, Scope::Bare, labels, help)
}

const DISK_LABELS: &[&str] = &["mount", "device", "fstype"];

pub(super) static CPU_RATIO: Family =
    gauge("banken_host_cpu_ratio", &[], "Share of the time of all cores that was busy since the last run, 0 to 1");

pub(super) static CPU_SECONDS: Family = Family::counter(
    "banken_host_cpu_seconds_total",
    Scope::Bare,
    &["mode"],
    "Time of all cores spent in each mode while watched, in seconds; guests count as user",
);

pub(super) static LOAD: Family =
    gauge("banken_host_load", &["window"], "Load average: processes that run or wait for a core or a disk");

pub(super) static MEMORY_TOTAL: Family =
    gauge("banken_host_memory_total_bytes", &[], "Memory that the kernel can use, in bytes");

pub(super) static MEMORY_AVAILABLE: Family =
    gauge("banken_host_memory_available_bytes", &[], "Memory that programs can still get without swapping, in bytes");

pub(super) static MEMORY_USED: Family =
    gauge("banken_host_memory_used_bytes", &[], "Memory that is not available any more, in bytes");

pub(super) static SWAP_TOTAL: Family = gauge("banken_host_swap_total_bytes", &[], "Size of all swap space, in bytes");

pub(super) static SWAP_USED: Family = gauge("banken_host_swap_used_bytes", &[], "Swap space in use, in bytes");

pub(super) static SWAP_FREE: Family = gauge("banken_host_swap_free_bytes", &[], "Swap space that is free, in bytes");

pub(super) static DISK_SIZE: Family =
    gauge("banken_host_disk_size_bytes", DISK_LABELS, "Size of the file system, in bytes");

pub(super) static DISK_AVAILABLE: Family = gauge(
    "banken_host_disk_available_bytes",
    DISK_LABELS,
    "Space that users without privileges can still fill, in bytes",
);

pub(super) static DISK_USED_RATIO: Family = gauge(
    "banken_host_disk_used_ratio",
    DISK_LABELS,
    "Used share of the file system as df computes it, 0 to 1; absent where it is read-only itself",
);

pub(super) static DISK_STUCK: Family = gauge(
    "banken_host_disk_stuck",
    DISK_LABELS,
    "1 while the file system gives no answer or only an error, otherwise 0",
);

pub(super) static NETWORK_RECEIVE: Family = Family::counter(
    "banken_host_network_receive_bytes_total",
    Scope::Bare,
    &["device"],
    "Bytes received on the interface while watched",
);

pub(super) static NETWORK_TRANSMIT: Family = Family::counter(
    "banken_host_network_transmit_bytes_total",
    Scope::Bare,
    &["device"],
    "Bytes sent on the interface while watched",
);

pub(super) static PROCESSES: Family =
    gauge("banken_host_processes", &[], "Number of processes, threads of the kernel included");

pub(super) static CPUS: Family = gauge("banken_host_cpus", &[], "Number of cores that are online");

pub(super) static BOOT_TIMESTAMP: Family =
    gauge("banken_host_boot_timestamp_seconds", &[], "When the host booted, in seconds since the Unix epoch");

/// Busy share of all cores.
pub static CPU: Signal = Signal { key: "cpu", unit: Unit::Ratio, threshold: &CPU_THRESHOLD };

static CPU_THRESHOLD: Family = gauge(
    "banken_host_cpu_threshold_ratio",
    &["severity"],
    "Configured threshold on the busy share of all cores, 0 to 1",
);

/// Share of the memory that is not available.
pub static MEMORY: Signal = Signal { key: "memory", unit: Unit::Ratio, threshold: &MEMORY_THRESHOLD };

static MEMORY_THRESHOLD: Family = gauge(
    "banken_host_memory_threshold_ratio",
    &["severity"],
    "Configured threshold on the used share of the memory, 0 to 1",
);

/// Share of the swap space in use.
pub static SWAP: Signal = Signal { key: "swap", unit: Unit::Ratio, threshold: &SWAP_THRESHOLD };

static SWAP_THRESHOLD: Family = gauge(
    "banken_host_swap_threshold_ratio",
    &["severity"],
    "Configured threshold on the used share of the swap space, 0 to 1",
);

/// Used share of the fullest file system, as `df` computes it.
pub static DISK: Signal = Signal { key: "disk", unit: Unit::Ratio, threshold: &DISK_THRESHOLD };

static DISK_THRESHOLD: Family = gauge(
    "banken_host_disk_threshold_ratio",
    &["severity"],
    "Configured threshold on the used share of the fullest file system, 0 to 1",
);

/// In the order of the documentation. The families of thresholds follow from the signals.
pub(super) static ALL: &[&Family] = &[
    &CPU_RATIO,
    &CPU_SECONDS,
    &LOAD,
    &MEMORY_TOTAL,
    &MEMORY_AVAILABLE,
    &MEMORY_USED,
    &SWAP_TOTAL,
    &SWAP_USED,
    &SWAP_FREE,
    &DISK_SIZE,
    &DISK_AVAILABLE,
    &DISK_USED_RATIO,
    &DISK_STUCK,
    &NETWORK_RECEIVE,
    &NETWORK_TRANSMIT,
    &PROCESSES,
    &CPUS,
    &BOOT_TIMESTAMP,
];
