//! What this kind publishes.

use crate::net::TLS_FAMILIES;
use crate::observation::{Family, Labels, Scope, Signal, Unit};
use std::sync::Arc;

macro_rules! gauges {
    ($($static:ident = $name:literal, $help:literal;)*) => {
        $(pub(super) static $static: Family = Family::gauge($name, Scope::Probe, &[], $help);)*
    };
}

macro_rules! counters {
    ($($static:ident = $name:literal, $help:literal;)*) => {
        $(static $static: Family = Family::counter($name, Scope::Probe, &[], $help);)*
    };
}

gauges! {
    PING_SECONDS = "banken_redis_ping_seconds", "Time from sending PING until its answer, in seconds";
    UPTIME = "banken_redis_uptime_seconds", "How long the server has been running, in seconds";
    LOADING = "banken_redis_loading", "1 while the server loads its data and answers nothing else, otherwise 0";
    MEMORY_USED = "banken_redis_memory_used_bytes", "Memory that the server has allocated, in bytes";
    MEMORY_MAX = "banken_redis_memory_max_bytes",
        "Memory that the server may allocate for data, in bytes, absent without a limit";
    MEMORY_RESIDENT = "banken_redis_memory_resident_bytes",
        "Memory that the server has of the operating system, in bytes";
    CLIENTS_CONNECTED = "banken_redis_clients_connected", "Clients that are connected, this probe among them";
    CLIENTS_MAX = "banken_redis_clients_max", "Clients that may be connected";
    CLIENTS_BLOCKED = "banken_redis_clients_blocked", "Clients that wait in a blocking command";
    KEYS = "banken_redis_keys", "Number of keys";
    KEYS_EXPIRING = "banken_redis_keys_expiring", "Number of keys that expire";
    LAST_SAVE_SUCCESS = "banken_redis_last_save_success", "Whether the last save in the background succeeded, 1 or 0";
    LAST_SAVE = "banken_redis_last_save_timestamp_seconds",
        "When data was last saved, or the server started, in seconds since the Unix epoch";
    CHANGES = "banken_redis_changes_since_save", "Changes of data since the last save";
    APPEND_SUCCESS = "banken_redis_append_success",
        "Whether the last write to the append-only file succeeded, 1 or 0, absent without such a file";
    REPLICAS = "banken_redis_replicas_online", "Replicas that are connected and in step";
    LINK_UP = "banken_redis_replication_link_up",
        "Whether a replica is connected to its master, 1 or 0, absent on a master";
    LAG = "banken_redis_replication_lag_seconds",
        "On a replica, time since it last heard from its master; on a master, since the slowest replica last reported, in seconds";
}

/// Which part the server plays in replication.
pub(super) static ROLE: Family = Family::gauge(
    "banken_redis_role",
    Scope::Probe,
    &["role"],
    "1 for the part that the server plays in replication, 0 for the other",
);

/// The labels of [`ROLE`]: master, replica.
pub(super) fn role_labels() -> [Arc<Labels>; 2] {
    ["master", "replica"].map(|role| Arc::new(Labels::render(&[("role", role)])))
}

counters! {
    CONNECTIONS = "banken_redis_connections_total", "Connections that the server accepted while watched";
    REJECTED = "banken_redis_connections_rejected_total",
        "Connections that the server refused because it had its maximum of clients, while watched";
    COMMANDS = "banken_redis_commands_total", "Commands that the server carried out while watched";
    ERRORS = "banken_redis_error_replies_total", "Commands that the server answered with an error while watched";
    HITS = "banken_redis_keyspace_hits_total", "Keys that were asked for and found while watched";
    MISSES = "banken_redis_keyspace_misses_total", "Keys that were asked for and not found while watched";
    EXPIRED = "banken_redis_keys_expired_total", "Keys that were removed because their time was over, while watched";
    EVICTED = "banken_redis_keys_evicted_total", "Keys that were removed to make room, while watched";
}

/// Gauges that are a number of INFO as it stands.
pub(super) static NUMBERS: [(&Family, &str); 9] = [
    (&UPTIME, "uptime_in_seconds"),
    (&LOADING, "loading"),
    (&MEMORY_USED, "used_memory"),
    (&MEMORY_RESIDENT, "used_memory_rss"),
    (&CLIENTS_CONNECTED, "connected_clients"),
    (&CLIENTS_MAX, "maxclients"),
    (&CLIENTS_BLOCKED, "blocked_clients"),
    (&LAST_SAVE, "rdb_last_save_time"),
    (&CHANGES, "rdb_changes_since_last_save"),
];

/// The server's own counters, by their names in INFO.
pub(super) static COUNTERS: [(&Family, &str); 8] = [
    (&CONNECTIONS, "total_connections_received"),
    (&REJECTED, "rejected_connections"),
    (&COMMANDS, "total_commands_processed"),
    (&ERRORS, "total_error_replies"),
    (&HITS, "keyspace_hits"),
    (&MISSES, "keyspace_misses"),
    (&EXPIRED, "expired_keys"),
    (&EVICTED, "evicted_keys"),
];

macro_rules! thresholds {
    ($($threshold:ident = $name:literal, $help:literal;)*) => {
        $(static $threshold: Family = Family::gauge($name, Scope::Probe, &["severity"], $help);)*
    };
}

thresholds! {
    MEMORY_THRESHOLD = "banken_redis_memory_threshold_bytes", "Configured threshold on the memory used, in bytes";
    MEMORY_RATIO_THRESHOLD = "banken_redis_memory_threshold_ratio",
        "Configured threshold on the memory used, as a share of what may be used";
    CLIENTS_THRESHOLD = "banken_redis_clients_threshold_ratio",
        "Configured threshold on the clients connected, as a share of what may be connected";
    LAG_THRESHOLD = "banken_redis_replication_lag_threshold_seconds",
        "Configured threshold on the replication lag, in seconds";
}

/// Memory used, in bytes.
pub static MEMORY: Signal = Signal { key: "memory", unit: Unit::Bytes, threshold: &MEMORY_THRESHOLD };

/// Memory used, as a share of the limit; there is none without a limit.
pub static MEMORY_RATIO: Signal = Signal { key: "memory_ratio", unit: Unit::Ratio, threshold: &MEMORY_RATIO_THRESHOLD };

/// Clients connected, as a share of the maximum.
pub static CLIENTS: Signal = Signal { key: "clients", unit: Unit::Ratio, threshold: &CLIENTS_THRESHOLD };

/// How far replication is behind.
pub static REPLICATION_LAG: Signal = Signal { key: "replication_lag", unit: Unit::Seconds, threshold: &LAG_THRESHOLD };

pub(super) static SIGNALS: &[&Signal] = &[&MEMORY, &MEMORY_RATIO, &CLIENTS, &REPLICATION_LAG];

/// In the order of the documentation. The families of thresholds follow from the signals.
pub(super) static ALL: &[&Family] = &[
    &PING_SECONDS,
    &UPTIME,
    &LOADING,
    &MEMORY_USED,
    &MEMORY_MAX,
    &MEMORY_RESIDENT,
    &CLIENTS_CONNECTED,
    &CLIENTS_MAX,
    &CLIENTS_BLOCKED,
    &CONNECTIONS,
    &REJECTED,
    &COMMANDS,
    &ERRORS,
    &KEYS,
    &KEYS_EXPIRING,
    &EXPIRED,
    &EVICTED,
    &HITS,
    &MISSES,
    &LAST_SAVE_SUCCESS,
    &LAST_SAVE,
    &CHANGES,
    &APPEND_SUCCESS,
    &ROLE,
    &REPLICAS,
    &LINK_UP,
    &LAG,
    TLS_FAMILIES[0],
    TLS_FAMILIES[1],
];
