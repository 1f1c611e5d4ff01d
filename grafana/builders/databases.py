"""PostgreSQL, Redis and the backups behind them."""

from .model import Dashboard
from .parts import *

KINDS = 'kind=~"postgres|redis"'
ROW = "job, instance, probe"


def pg(family, words="{{probe}}"):
    """A family of PostgreSQL, which has no label group: `probe` is narrowed by it."""
    return Query(f"max by (probe) ({sel(family, labels=PROBE)})", words)


def redis(family, words="{{probe}}"):
    return Query(f"max by (probe) ({sel(family)})", words)


def redis_rate(family, words="{{probe}}"):
    return Query(f"sum by (probe) ({rate(family)})", words)


first = [
    timeline("Databases over time", "The state of each probe of PostgreSQL and Redis.",
             Query(f"({state()})\n  and {ON} {sel('banken_probe_interval_seconds', KINDS)}", "{{probe}}"), "none", 12, 7, mapping="state",
             links={"banken-check": "Everything about this probe"}),
    table("PostgreSQL now", "One line for each server: its part in replication, connections, the oldest transaction, locks, size.",
          [f"max by ({ROW}) ({sel('banken_postgres_in_recovery', labels=PROBE)})",
           f"max by ({ROW}) ({sel('banken:postgres_connections_ratio:last')})",
           f"max by ({ROW}) ({sel('banken_postgres_longest_transaction_seconds', labels=PROBE)})",
           f"max by ({ROW}) ({sel('banken_postgres_waiting_locks', labels=PROBE)})",
           f"max by ({ROW}) ({sel('banken_postgres_database_bytes', labels=PROBE)})"],
          "none", 12, 7, no_value="No PostgreSQL is watched.",
          columns={"probe": Column("Server", link="banken-check"), "Value #A": Column("Part", mapping="standby"),
                   "Value #B": Column("Connections", "percentunit", gauge=True, maximum=1,
                                      steps=[(None, "green"), (0.80, "orange"), (0.90, "red")],
                                      threshold_series="banken:postgres_connections_ratio:threshold"),
                   "Value #C": Column("Oldest transaction", "s"), "Value #D": Column("Waiting locks", decimals=0),
                   "Value #E": Column("Size", "bytes")}),
    lines("Connections of PostgreSQL", "Share of the connections that the server allows, and the thresholds. At 100 % nobody gets in.",
          [Query(f"max by (probe) ({sel('banken:postgres_connections_ratio:last')})", "{{probe}}"),
           thresholds("banken:postgres_connections_ratio:threshold", PROBE)], "percentunit", 8, maximum=1),
    lines("Oldest transaction", "It holds its locks and keeps vacuum from removing dead rows.",
          [Query(f"max by (probe) ({sel('banken:postgres_transaction_seconds:last')})", "{{probe}}"),
           thresholds("banken:postgres_transaction_seconds:threshold", PROBE)], "s", 8),
    lines("Longest query", "How long the longest query that a client waits for has been running.",
          pg("banken_postgres_longest_query_seconds"), "s", 8),
    lines("Slow statements", "Statements whose mean time in pg_stat_statements is above `slow`.",
          pg("banken_postgres_slow_statements"), "short", 8, decimals=0),
    lines("Time of a statement", "Mean of the statements that ended since the last run, and the mean of the slowest statement.",
          [pg("banken_postgres_statement_mean_seconds", "{{probe}} mean"), pg("banken_postgres_slowest_statement_seconds", "{{probe}} slowest")],
          "s", 8),
    lines("Waiting locks", "Requests for locks that wait for somebody else's.", pg("banken_postgres_waiting_locks"), "short", 8, decimals=0),
    lines("Redis: memory", "Used, and the most that may be used where there is a limit.",
          [redis("banken_redis_memory_used_bytes", "{{probe}} used"), redis("banken_redis_memory_max_bytes", "{{probe}} limit")], "bytes", 8),
    lines("Redis: commands", "Commands that were carried out, and those that were answered with an error.",
          [redis_rate("banken_redis_commands_total", "{{probe}}"), redis_rate("banken_redis_error_replies_total", "{{probe}} errors")],
          "cps", 8),
    lines("Redis: keys that were found", "Share of the keys that were asked for and found. Nothing is drawn while nobody asks.",
          Query(f"sum by (probe) ({rate('banken_redis_keyspace_hits_total')})\n  / (sum by (probe) ({rate('banken_redis_keyspace_hits_total')})"
                f" + sum by (probe) ({rate('banken_redis_keyspace_misses_total')}) > 0)", "{{probe}}"), "percentunit", 8, maximum=1),
]

rows = [
    Row("PostgreSQL: size, vacuum, replication", [
        lines("Size of the database", "The database that the probe is connected to.", pg("banken_postgres_database_bytes"), "bytes", 8),
        lines("Dead rows", "Share of the rows that wait for a vacuum, estimated.", pg("banken_postgres_dead_tuple_ratio"), "percentunit", 8,
              maximum=1),
        lines("Time since a vacuum", "Since a table of the database was last vacuumed, by anybody.",
              Query(f"max by (probe) (time() - {sel('banken_postgres_last_vacuum_timestamp_seconds', labels=PROBE)})", "{{probe}}"), "s", 8),
        lines("Replication lag of PostgreSQL", "How far a standby is behind, 0 when everything received is replayed.",
              pg("banken_postgres_replication_lag_seconds"), "s", 8),
        lines("Age of transaction ids", "Transactions since the oldest one that is not frozen. Near 2 billion the server stops writing.",
              pg("banken_postgres_transaction_id_age"), "short", 8),
        lines("Own queries", "What the queries of banken.yml gave, each in a unit of its own.",
              Query(f"max by (probe, query, row) ({sel('banken_query_value', labels=PROBE)})", "{{probe}} {{query}} {{row}}"), "short", 8),
    ]),
    Row("Redis: clients, keys, saves, replication", [
        lines("Redis: clients", "Connected, and those that wait in a blocking command.",
              [redis("banken_redis_clients_connected", "{{probe}} connected"), redis("banken_redis_clients_blocked", "{{probe}} blocked")],
              "short", 8, decimals=0),
        lines("Redis: keys", "Keys, and those of them that expire.",
              [redis("banken_redis_keys", "{{probe}}"), redis("banken_redis_keys_expiring", "{{probe}} expiring")], "short", 8, decimals=0),
        lines("Redis: keys that went away", "Expired in time, or evicted to make room: the latter means that the memory is full.",
              [redis_rate("banken_redis_keys_expired_total", "{{probe}} expired"),
               redis_rate("banken_redis_keys_evicted_total", "{{probe}} evicted")], "cps", 8),
        lines("Redis: answer to PING", "Time from sending PING until its answer.", redis("banken_redis_ping_seconds"), "s", 8),
        lines("Redis: connections", "Accepted, and refused because the server had its maximum of clients.",
              [redis_rate("banken_redis_connections_total", "{{probe}} accepted"),
               redis_rate("banken_redis_connections_rejected_total", "{{probe}} refused")], "cps", 8),
        lines("Redis: time since a save", "Since data was last saved to disk, or the server started.",
              Query(f"max by (probe) (time() - {sel('banken_redis_last_save_timestamp_seconds')})", "{{probe}}"), "s", 8),
        history("Redis: saves and links", "Whether the last save succeeded.", redis("banken_redis_last_save_success"), "none", 8, 7, mapping="ok"),
        history("Redis: link to the master", "Whether a replica is connected to its master.",
                redis("banken_redis_replication_link_up"), "none", 8, 7, mapping="up"),
        lines("Redis: replication lag", "On a replica since it heard from its master; on a master since its slowest replica reported.",
              redis("banken_redis_replication_lag_seconds"), "s", 8, 7),
    ]),
    Row("Backups", [
        lines("Age of backups", "Time since each backup was written (probes of kind file in group backups), and the thresholds.",
              [Query(f"max by (probe) ({sel('banken:file_age_seconds:last', 'group=' + chr(34) + 'backups' + chr(34), labels=BASE)})", "{{probe}}",
                     waiver="Backups are probes of kind file: the variables choose databases."),
               Query(f"min by (severity) ({sel('banken:file_age_seconds:threshold', 'group=' + chr(34) + 'backups' + chr(34), labels=BASE)})",
                     "{{severity}} threshold",
                     waiver="Backups are probes of kind file: the variables choose databases.")], "s", 24),
    ]),
]

DASHBOARD = Dashboard(
    "banken-databases", "Banken: how are the databases?",
    "PostgreSQL and Redis: connections, transactions, slow statements, locks, memory, replication; and the age of backups.",
    variables(more=KINDS), first, rows, ALERT,
)
