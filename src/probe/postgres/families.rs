//! What this kind publishes.

use crate::net::TLS_FAMILIES;
use crate::observation::{Family, Scope, Signal, Unit};

/// A gauge of the server or the database, with the label `probe` alone.
const fn gauge(name: &'static str, help: &'static str) -> Family {
    Family::gauge(name, Scope::Name, &[], help)
}

/// Where thresholds are published.
const fn threshold(name: &'static str, help: &'static str) -> Family {
    Family::gauge(name, Scope::Name, &["severity"], help)
}

pub(super) static START_TIMESTAMP: Family = gauge(
    "banken_postgres_start_timestamp_seconds",
    "When the PostgreSQL server was started, in seconds since the Unix epoch",
);
pub(super) static IN_RECOVERY: Family =
    gauge("banken_postgres_in_recovery", "1 while the PostgreSQL server is a standby or recovers, otherwise 0");
pub(super) static CONNECTIONS: Family =
    gauge("banken_postgres_connections", "Connections of clients to the PostgreSQL server, to all of its databases");
pub(super) static CONNECTIONS_MAX: Family =
    gauge("banken_postgres_connections_max", "Connections that the PostgreSQL server allows at most");
pub(super) static LONGEST_TRANSACTION: Family = gauge(
    "banken_postgres_longest_transaction_seconds",
    "Age of the oldest open transaction of a client, in seconds, 0 without any, absent where not permitted",
);
pub(super) static LONGEST_QUERY: Family = gauge(
    "banken_postgres_longest_query_seconds",
    "How long the longest query that a client waits for has been running, in seconds, 0 without any, absent where not permitted",
);
pub(super) static WAITING_LOCKS: Family =
    gauge("banken_postgres_waiting_locks", "Requests for locks that wait for somebody else's lock");
pub(super) static DATABASE_BYTES: Family =
    gauge("banken_postgres_database_bytes", "Size of the database that the probe is connected to, in bytes");
pub(super) static TRANSACTION_ID_AGE: Family = gauge(
    "banken_postgres_transaction_id_age",
    "Transactions since the oldest one that is not frozen, in the database where it is highest; the server stops writing near 2 billion",
);
pub(super) static REPLICATION_LAG: Family = gauge(
    "banken_postgres_replication_lag_seconds",
    "How far a standby is behind, in seconds, 0 when everything received is replayed, absent on a primary",
);
pub(super) static DEAD_TUPLES: Family =
    gauge("banken_postgres_dead_tuples", "Dead rows in the tables of the database that wait for a vacuum, estimated");
pub(super) static DEAD_TUPLE_RATIO: Family = gauge(
    "banken_postgres_dead_tuple_ratio",
    "Dead rows as a share of all rows in the tables of the database, estimated",
);
pub(super) static LAST_VACUUM: Family = gauge(
    "banken_postgres_last_vacuum_timestamp_seconds",
    "When a table of the database was last vacuumed, by anybody, in seconds since the Unix epoch",
);
pub(super) static SLOW_STATEMENTS: Family = gauge(
    "banken_postgres_slow_statements",
    "Statements of the database whose mean execution time in pg_stat_statements is above the configured one",
);
pub(super) static SLOWEST_STATEMENT: Family = gauge(
    "banken_postgres_slowest_statement_seconds",
    "Mean execution time of the slowest statement in pg_stat_statements, in seconds",
);
pub(super) static STATEMENT_MEAN: Family = gauge(
    "banken_postgres_statement_mean_seconds",
    "Mean execution time of the statements that ended since the last run, from pg_stat_statements, in seconds",
);
pub(super) static QUERY_VALUE: Family = Family::gauge(
    "banken_query_value",
    Scope::Name,
    &["query", "row"],
    "What a configured query gave, in the unit of the query; row is the text of the columns that it declares as labels",
);

/// Connections used, as a share of those allowed.
pub static CONNECTIONS_SIGNAL: Signal =
    Signal { key: "connections", unit: Unit::Ratio, threshold: &CONNECTIONS_THRESHOLD };

static CONNECTIONS_THRESHOLD: Family = threshold(
    "banken_postgres_connections_threshold_ratio",
    "Configured threshold on the connections to PostgreSQL, as a share of those allowed",
);

/// The age of the oldest open transaction.
pub static TRANSACTION_SIGNAL: Signal =
    Signal { key: "transaction", unit: Unit::Seconds, threshold: &TRANSACTION_THRESHOLD };

static TRANSACTION_THRESHOLD: Family = threshold(
    "banken_postgres_transaction_threshold_seconds",
    "Configured threshold on the age of the oldest open transaction, in seconds",
);

/// How long the longest query has been running.
pub static QUERY_SIGNAL: Signal = Signal { key: "query", unit: Unit::Seconds, threshold: &QUERY_THRESHOLD };

static QUERY_THRESHOLD: Family = threshold(
    "banken_postgres_query_threshold_seconds",
    "Configured threshold on how long a query has been running, in seconds",
);

/// How far a standby is behind.
pub static LAG_SIGNAL: Signal = Signal { key: "replication_lag", unit: Unit::Seconds, threshold: &LAG_THRESHOLD };

static LAG_THRESHOLD: Family = threshold(
    "banken_postgres_replication_lag_threshold_seconds",
    "Configured threshold on how far a standby is behind, in seconds",
);

/// The size of the database.
pub static SIZE_SIGNAL: Signal = Signal { key: "size", unit: Unit::Bytes, threshold: &SIZE_THRESHOLD };

static SIZE_THRESHOLD: Family =
    threshold("banken_postgres_size_threshold_bytes", "Configured threshold on the size of the database, in bytes");

const COUNT: usize = 17 + TLS_FAMILIES.len();

/// In the order of the documentation. The families of thresholds follow from the signals.
static EVERY: [&Family; COUNT] = [
    &CONNECTIONS,
    &CONNECTIONS_MAX,
    &LONGEST_TRANSACTION,
    &LONGEST_QUERY,
    &WAITING_LOCKS,
    &DATABASE_BYTES,
    &DEAD_TUPLES,
    &DEAD_TUPLE_RATIO,
    &LAST_VACUUM,
    &TRANSACTION_ID_AGE,
    &IN_RECOVERY,
    &REPLICATION_LAG,
    &START_TIMESTAMP,
    &SLOW_STATEMENTS,
    &SLOWEST_STATEMENT,
    &STATEMENT_MEAN,
    &QUERY_VALUE,
    TLS_FAMILIES[0],
    TLS_FAMILIES[1],
];

/// Every family, as the row of the table wants them.
pub(super) static ALL: &[&Family] = &EVERY;
