//! What `pg_stat_statements` says, in a database that has it.

use super::families::{SLOW_STATEMENTS, SLOWEST_STATEMENT, STATEMENT_MEAN};
use super::server::{ask, set};
use crate::observation::{Failure, Readings};
use crate::postgres::Dialer;
use crate::postgres::Row;
use crate::postgres::Session;
use std::time::Duration;

/// What is asked of the extension, and what it said last.
pub(super) struct Statements {
    slow: Duration,
    /// Calls and seconds of all statements at the last run.
    last: Option<(f64, f64)>,
}

/// Where the extension is, and how its columns are called: those of times got longer names with its version 1.8.
const EXTENSION: &str = "select quote_ident(nspname) as schema,
       string_to_array(extversion, '.')::int[] >= array[1, 8] as is_new
from pg_extension join pg_namespace on pg_namespace.oid = extnamespace
where extname = 'pg_stat_statements'";

/// The texts of statements are left where they are: they may hold secrets, and are read from a file each time.
const STATEMENTS: &str = "select count(*) filter (where mean > SLOW) as slow,
       max(mean) / 1000 as slowest,
       coalesce(sum(calls), 0) as calls,
       coalesce(sum(total), 0) / 1000 as seconds,
       (array_agg(queryid order by mean desc))[1] as slowest_id
from (select queryid, calls, TOTAL as total, MEAN as mean from SCHEMA.pg_stat_statements(false)
      where dbid = (select oid from pg_database where datname = current_database())) as statements";

impl Statements {
    pub(super) fn new(slow: Duration) -> Self {
        Self { slow, last: None }
    }

    pub(super) async fn examine(
        &mut self,
        session: &mut Session,
        dialer: &Dialer,
        out: &mut Readings,
    ) -> Result<(), Failure> {
        let what = "statements";
        let Some(found) = ask(session, dialer, what, EXTENSION, out).await? else { return Ok(()) };
        let Some(row) = found.first() else {
            self.last = None;
            out.note(what, "left out: pg_stat_statements is not installed in this database");
            return Ok(());
        };
        let (total, mean) =
            if row.is_true("is_new") { ("total_exec_time", "mean_exec_time") } else { ("total_time", "mean_time") };
        let sql = STATEMENTS
            .replace("SLOW", &(self.slow.as_secs_f64() * 1000.0).to_string())
            .replace("TOTAL", total)
            .replace("MEAN", mean)
            .replace("SCHEMA", row.text("schema").unwrap_or("public"));
        if let Some(table) = ask(session, dialer, what, &sql, out).await?
            && let Some(row) = table.first()
        {
            self.write(row, out);
        }
        Ok(())
    }

    fn write(&mut self, row: Row<'_>, out: &mut Readings) {
        set(out, &SLOW_STATEMENTS, row.number("slow"));
        set(out, &SLOWEST_STATEMENT, row.number("slowest"));
        if let Some((id, seconds)) = row.text("slowest_id").zip(row.number("slowest")) {
            out.note("slowest statement", format!("queryid {id} takes {seconds:.3} s on average"));
        }
        let now = row.number("calls").zip(row.number("seconds"));
        if let Some((now, last)) = now.zip(self.last) {
            set(out, &STATEMENT_MEAN, mean_since(last, now));
        }
        self.last = now;
    }
}

/// The mean time of the calls between two readings; none where nothing ended, or where statements were forgotten meanwhile.
fn mean_since((calls_before, seconds_before): (f64, f64), (calls, seconds): (f64, f64)) -> Option<f64> {
    let (calls, seconds) = (calls - calls_before, seconds - seconds_before);
    (calls > 0.0 && seconds >= 0.0).then(|| seconds / calls)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_of_what_ended_since_the_last_run() {
        assert_eq!(mean_since((10.0, 2.0), (14.0, 4.0)), Some(0.5));
        assert_eq!(mean_since((10.0, 2.0), (10.0, 2.0)), None, "nothing ended");
        assert_eq!(mean_since((10.0, 2.0), (3.0, 0.1)), None, "it was reset");
        assert_eq!(mean_since((10.0, 2.0), (11.0, 1.9)), None, "a statement was forgotten");
    }
}
