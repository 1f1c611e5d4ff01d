//! What every server is asked. What it does not know or does not permit leaves its metric out, and a note says so.

use super::families::{
    CONNECTIONS, CONNECTIONS_MAX, CONNECTIONS_SIGNAL, DATABASE_BYTES, DEAD_TUPLE_RATIO, DEAD_TUPLES, IN_RECOVERY,
    LAG_SIGNAL, LAST_VACUUM, LONGEST_QUERY, LONGEST_TRANSACTION, QUERY_SIGNAL, REPLICATION_LAG, SIZE_SIGNAL,
    START_TIMESTAMP, TRANSACTION_ID_AGE, TRANSACTION_SIGNAL, WAITING_LOCKS,
};
use super::left;
use crate::observation::{Failure, Family, Readings, Reason, Signal};
use crate::postgres::Dialer;
use crate::postgres::During;
use crate::postgres::{Question, Session, Trouble};
use crate::postgres::{Row, Table};

/// On which servers something is asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum On {
    All,
    Primaries,
    Standbys,
}

/// A question to every server, and what is made of the one row of its answer.
struct Section {
    what: &'static str,
    on: On,
    sql: &'static str,
    write: fn(Row<'_>, &mut Readings),
}

/// The first one, which says what the others are asked.
static SERVER: Section = Section {
    what: "server",
    on: On::All,
    sql: "select current_setting('server_version') as version,
                 pg_is_in_recovery() as in_recovery,
                 extract(epoch from pg_postmaster_start_time()) as started,
                 current_setting('max_connections') as connections_max",
    write: |row, out| {
        let role = if row.is_true("in_recovery") { "standby" } else { "primary" };
        out.note("server", format!("PostgreSQL {}, {role}", row.text("version").unwrap_or("of an unknown version")));
        out.flag(&IN_RECOVERY, row.is_true("in_recovery"));
        set(out, &START_TIMESTAMP, row.number("started"));
        set(out, &CONNECTIONS_MAX, row.number("connections_max"));
    },
};

static SECTIONS: &[Section] = &[
    // Without pg_monitor or pg_read_all_stats, what others do is NULL; background processes have no database.
    Section {
        what: "sessions",
        on: On::All,
        sql: "select count(*) filter (where is_client) as connections,
                     count(*) filter (where is_client and is_hidden) as hidden,
                     coalesce(max(extract(epoch from clock_timestamp() - xact_start))
                       filter (where is_client and pid <> pg_backend_pid()), 0) as longest_transaction,
                     coalesce(max(extract(epoch from clock_timestamp() - query_start))
                       filter (where is_client and state = 'active' and pid <> pg_backend_pid()), 0) as longest_query
              from (select coalesce(backend_type = 'client backend', datid is not null) as is_client,
                           backend_type is null as is_hidden, *
                    from pg_stat_activity) as activity",
        write: sessions,
    },
    Section {
        what: "locks",
        on: On::All,
        sql: "select count(*) as waiting from pg_locks where not granted",
        write: |row, out| set(out, &WAITING_LOCKS, row.number("waiting")),
    },
    Section {
        what: "database size",
        on: On::All,
        sql: "select pg_database_size(current_database()) as bytes",
        write: |row, out| {
            set(out, &DATABASE_BYTES, row.number("bytes"));
            signal(out, &SIZE_SIGNAL, row.number("bytes"));
        },
    },
    Section {
        what: "transaction ids",
        on: On::All,
        sql: "select max(age(datfrozenxid)) as age from pg_database",
        write: |row, out| set(out, &TRANSACTION_ID_AGE, row.number("age")),
    },
    // A standby that is connected and has replayed everything is not behind, however long ago its primary was written to.
    Section {
        what: "replication lag",
        on: On::Standbys,
        sql: "select case when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn()
                           and exists (select from pg_stat_wal_receiver) then 0
                     else greatest(0, extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()))
                     end as lag",
        write: |row, out| {
            set(out, &REPLICATION_LAG, row.number("lag"));
            signal(out, &LAG_SIGNAL, row.number("lag"));
        },
    },
    // A standby does not vacuum and does not count what its primary does.
    Section {
        what: "vacuum",
        on: On::Primaries,
        sql: "select coalesce(sum(n_dead_tup), 0) as dead, coalesce(sum(n_live_tup), 0) as live,
                     extract(epoch from max(greatest(last_vacuum, last_autovacuum))) as last_vacuum,
                     (select format('%I.%I has %s', schemaname, relname, n_dead_tup) from pg_stat_user_tables
                      where n_dead_tup > 0 order by n_dead_tup desc, relid limit 1) as worst
              from pg_stat_user_tables",
        write: vacuum,
    },
];

/// Built-in functions and views only, whatever somebody has put into a schema of the role's path.
const SYSTEM_PATH: &str = "; set local search_path = pg_catalog";

/// Asks a server everything that every server is asked.
pub(super) async fn examine(session: &mut Session, dialer: &Dialer, out: &mut Readings) -> Result<(), Failure> {
    let about = ask(session, dialer, SERVER.what, SERVER.sql, out).await?;
    let about = about.as_ref().and_then(Table::first);
    let is_standby = about.is_some_and(|row| row.is_true("in_recovery"));
    if let Some(row) = about {
        (SERVER.write)(row, out);
    }
    let here = if is_standby { On::Standbys } else { On::Primaries };
    for section in SECTIONS.iter().filter(|section| section.on == On::All || section.on == here) {
        if let Some(table) = ask(session, dialer, section.what, section.sql, out).await?
            && let Some(row) = table.first()
        {
            (section.write)(row, out);
        }
    }
    Ok(())
}

/// Asks one thing; what is refused is noted, except for lack of time.
pub(super) async fn ask(
    session: &mut Session,
    dialer: &Dialer,
    what: &'static str,
    sql: &str,
    out: &mut Readings,
) -> Result<Option<Table>, Failure> {
    let question = Question { what, sql, settings: SYSTEM_PATH, max_rows: 1, left: left(out) };
    match session.ask(&question, dialer).await {
        Ok(table) => Ok(Some(table)),
        Err(Trouble::Broken(failure) | Trouble::Unfit(failure)) => Err(failure),
        Err(Trouble::Refused(error)) => {
            let failure = dialer.secrets.refused(what, &error, During::Question);
            if failure.reason == Reason::Timeout {
                return Err(failure);
            }
            out.note(what, format!("left out: {}", dialer.secrets.excerpt(error.message())));
            Ok(None)
        }
    }
}

pub(super) fn set(out: &mut Readings, family: &'static Family, value: Option<f64>) {
    if let Some(value) = value {
        out.set(family, value);
    }
}

fn signal(out: &mut Readings, signal: &'static Signal, value: Option<f64>) {
    if let Some(value) = value {
        out.signal(signal, value);
    }
}

fn sessions(row: Row<'_>, out: &mut Readings) {
    let connections = row.number("connections");
    set(out, &CONNECTIONS, connections);
    let ratio = connections.zip(out.value(&CONNECTIONS_MAX)).map(|(used, max)| used / max);
    signal(out, &CONNECTIONS_SIGNAL, ratio.filter(|ratio| ratio.is_finite()));
    if row.number("hidden") > Some(0.0) {
        out.note("sessions", "ages left out: the role may not see what others do, grant it pg_monitor");
        return;
    }
    // Clocks of sessions may be a moment ahead of the one that is compared with.
    let age = |column| row.number(column).map(|age| age.max(0.0));
    set(out, &LONGEST_TRANSACTION, age("longest_transaction"));
    signal(out, &TRANSACTION_SIGNAL, age("longest_transaction"));
    set(out, &LONGEST_QUERY, age("longest_query"));
    signal(out, &QUERY_SIGNAL, age("longest_query"));
}

fn vacuum(row: Row<'_>, out: &mut Readings) {
    let (dead, live) = (row.number("dead"), row.number("live"));
    set(out, &DEAD_TUPLES, dead);
    if let Some((dead, live)) = dead.zip(live) {
        out.set(&DEAD_TUPLE_RATIO, if dead > 0.0 { dead / (dead + live) } else { 0.0 });
    }
    set(out, &LAST_VACUUM, row.number("last_vacuum"));
    if let Some(worst) = row.text("worst") {
        out.note("dead rows", worst);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(out: &Readings, name: &str) -> Option<f64> {
        let mut gauges = out.gauges().iter();
        gauges.find(|reading| reading.family.name == format!("banken_postgres_{name}")).map(|reading| reading.value)
    }

    #[test]
    fn what_others_do_is_left_out_where_it_is_hidden() {
        let columns = ["connections", "hidden", "longest_transaction", "longest_query"];
        let table = |hidden| Table::of(&columns, &[&[Some("5"), Some(hidden), Some("-0.5"), Some("3")]]);
        let mut out = Readings::default();
        out.set(&CONNECTIONS_MAX, 20.0);
        sessions(table("4").first().unwrap(), &mut out);
        assert_eq!((value(&out, "connections"), value(&out, "longest_transaction_seconds")), (Some(5.0), None));
        assert_eq!(out.signals().to_vec(), [(&CONNECTIONS_SIGNAL, 0.25)]);
        assert!(out.notes()[0].1.contains("pg_monitor"), "{:?}", out.notes());
        sessions(table("0").first().unwrap(), &mut out);
        assert_eq!(value(&out, "longest_transaction_seconds"), Some(0.0));
        assert_eq!(value(&out, "longest_query_seconds"), Some(3.0));
    }

    #[test]
    fn an_empty_database_has_no_share_of_dead_rows() {
        let columns = ["dead", "live", "last_vacuum", "worst"];
        let mut out = Readings::default();
        vacuum(Table::of(&columns, &[&[Some("0"), Some("0"), None, None]]).first().unwrap(), &mut out);
        assert_eq!((value(&out, "dead_tuple_ratio"), value(&out, "last_vacuum_timestamp_seconds")), (Some(0.0), None));
        let row = [Some("1"), Some("3"), Some("1700000000.5"), Some("public.orders has 1")];
        vacuum(Table::of(&columns, &[&row]).first().unwrap(), &mut out);
        assert_eq!(value(&out, "dead_tuple_ratio"), Some(0.25));
        assert_eq!(out.notes(), [("dead rows", "public.orders has 1".to_owned())]);
    }
}
