//! Tables of PostgreSQL: looked at in a read-only transaction, then vacuumed one after the other.

use super::{Limits, shown};
use crate::net::{IpChoice, TlsConfig};
use crate::observation::Readings;
use crate::postgres::{Dialer, During, Question, Session, Trouble};
use crate::remedy::action::{Context, Done, Setback};
use crate::values::{Invalid, Secret};
use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt::{self, Write as _};
use std::time::Duration;
use tokio::time::{Instant, timeout_at};

/// The block `postgres:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DatabaseVacuumPostgres")]
pub struct Config {
    /// Where the server is and who we are, as for the probe `postgres`. The role must own the tables.
    pub url: Secret,
    /// How TLS is spoken; the block alone asks for TLS with a certificate that is verified.
    #[serde(default)]
    pub tls: Option<TlsConfig>,
    /// Which family of addresses to use.
    #[serde(default)]
    pub ip: IpChoice,
    /// The tables, each as `SCHEMA.TABLE` in the spelling of the database; at most 50. None means none, never all.
    pub tables: Vec<String>,
    /// Whether the planner's statistics are renewed too.
    #[serde(default = "yes")]
    pub analyze: bool,
    /// Whether a table that somebody has locked is skipped at once, without waiting for `lock_timeout`.
    #[serde(default)]
    pub skip_locked: bool,
}

const fn yes() -> bool {
    true
}

/// More tables make a list that nobody has looked at.
const MAX_TABLES: usize = 50;

/// Longer names are cut by PostgreSQL (`NAMEDATALEN`), and then mean another table.
const MAX_NAME: usize = 63;

/// For the last word of the server, and the way of it to us.
const RESERVE: Duration = Duration::from_millis(500);

/// A table by its name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Table {
    schema: String,
    name: String,
}

impl Table {
    fn parse(text: &str) -> Result<Self, String> {
        let form = "write SCHEMA.TABLE, for example public.orders, in the spelling of the database and without quotes";
        let parts: Vec<&str> = text.split('.').collect();
        let [schema, name] = parts.as_slice() else { return Err(format!("{text:?} is not a table: {form}")) };
        for part in [schema, name] {
            let strange = |c: char| c.is_control() || matches!(c, '"' | '\\' | '\'' | ';');
            if part.is_empty() || part.trim() != *part || part.len() > MAX_NAME || part.contains(strange) {
                return Err(format!("{part:?} is not a name that can stand here: {form}"));
            }
        }
        Ok(Self { schema: (*schema).to_owned(), name: (*name).to_owned() })
    }

    /// As it stands in a statement. What would end the quotes was refused, and is doubled all the same.
    fn quoted(&self) -> String {
        let quote = |name: &str| format!("\"{}\"", name.replace('"', "\"\""));
        format!("{}.{}", quote(&self.schema), quote(&self.name))
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.schema, self.name)
    }
}

/// Tables that can be vacuumed.
pub struct Tables {
    dialer: Dialer,
    named: Vec<Table>,
    analyze: bool,
    skip_locked: bool,
    limits: Limits,
}

/// What is known of a table before it is vacuumed.
struct Found {
    size: u64,
    dead: u64,
    /// Who has locked it against a vacuum, by process id.
    locked_by: Option<String>,
}

impl Tables {
    pub(super) fn build(config: &Config, limits: Limits, context: &Context) -> Result<Self, Vec<Invalid>> {
        let mut invalid = Vec::new();
        let mut tables = Vec::new();
        for (index, text) in config.tables.iter().enumerate() {
            match Table::parse(text) {
                Ok(table) if tables.contains(&table) => {
                    invalid.push(Invalid::new(format!("tables[{index}]"), format!("{table} is named twice")));
                }
                Ok(table) => tables.push(table),
                Err(message) => invalid.push(Invalid::new(format!("tables[{index}]"), message)),
            }
        }
        if config.tables.is_empty() || config.tables.len() > MAX_TABLES {
            invalid.push(Invalid::new("tables", format!("name 1 to {MAX_TABLES} tables: an empty list means none")));
        }
        match Dialer::build(&config.url, config.tls.as_ref(), config.ip, &context.roots) {
            Ok(dialer) if invalid.is_empty() => {
                Ok(Self { dialer, named: tables, analyze: config.analyze, skip_locked: config.skip_locked, limits })
            }
            Ok(_) => Err(invalid),
            Err(mistakes) => {
                invalid.extend(mistakes);
                Err(invalid)
            }
        }
    }

    /// What would be done to each table now.
    pub(super) async fn rehearse(&self) -> Result<Vec<String>, Setback> {
        let deadline = Instant::now() + self.limits.whole.saturating_sub(RESERVE);
        let (_, found) = self.look(deadline).await?;
        let line = |(table, found): (&Table, &Found)| {
            let mut line =
                format!("would run {} ({}, {} dead rows)", self.statement(table), shown(found.size), found.dead);
            if let Some(pid) = &found.locked_by {
                let _ = write!(line, "; now it would be left alone, because process {pid} of the server has locked it");
            }
            line
        };
        Ok(self.named.iter().zip(&found).map(line).collect())
    }

    /// Vacuums each table; one that is locked is left alone, and the others are not.
    pub(super) async fn vacuum(&self) -> Result<Done, Setback> {
        let deadline = Instant::now() + self.limits.whole.saturating_sub(RESERVE);
        let (mut session, found) = self.look(deadline).await?;
        let mut done = Vec::new();
        let mut locked = Vec::new();
        for (table, found) in self.named.iter().zip(&found) {
            match self.vacuum_one(&mut session, table, deadline).await {
                Ok(()) => done.push(format!("{table} ({}, {} dead rows before)", shown(found.size), found.dead)),
                Err(Setback::Busy(_)) => locked.push(table.to_string()),
                Err(setback) if done.is_empty() => return Err(setback),
                Err(setback) => {
                    return Err(Setback::Failed(format!("{setback}; vacuumed before: {}", done.join(", "))));
                }
            }
        }
        let left = format!("left alone, because somebody has locked it: {}", locked.join(", "));
        match (done.is_empty(), locked.is_empty()) {
            (true, _) => Err(Setback::Busy(left)),
            (false, true) => Ok(Done::new(format!("vacuumed {}", done.join(", ")))),
            (false, false) => Ok(Done::new(format!("vacuumed {}; {left}", done.join(", ")))),
        }
    }

    fn statement(&self, table: &Table) -> String {
        let options = [(self.analyze, "ANALYZE"), (self.skip_locked, "SKIP_LOCKED")];
        let options: Vec<_> = options.into_iter().filter(|(wanted, _)| *wanted).map(|(_, word)| word).collect();
        match options.as_slice() {
            [] => format!("VACUUM {}", table.quoted()),
            options => format!("VACUUM ({}) {}", options.join(", "), table.quoted()),
        }
    }

    /// A new connection, and what is known of each table. Whatever forbids the vacuum of one forbids it for all.
    async fn look(&self, deadline: Instant) -> Result<(Session, Vec<Found>), Setback> {
        within(deadline, async {
            let mut out = Readings::default();
            out.begin(deadline, None);
            let mut session = self.dialer.open(&mut out).await?;
            let mut found = Vec::new();
            for table in &self.named {
                found.push(self.find(&mut session, table, deadline).await?);
            }
            Ok((session, found))
        })
        .await
    }

    async fn find(&self, session: &mut Session, table: &Table, deadline: Instant) -> Result<Found, Setback> {
        let what = format!("the look at {table}");
        // Names hold neither quotes nor backslashes: see `Table::parse`. The locks are those that keep a vacuum out.
        let sql = format!(
            "select pg_is_in_recovery() as standby, pg_table_size(c.oid) as size, c.relkind, \
             coalesce(pg_stat_get_dead_tuples(c.oid), 0) as dead, \
             (pg_has_role(c.relowner, 'USAGE') or exists (select from pg_database d where d.datname = \
             current_database() and pg_has_role(d.datdba, 'USAGE')) or case when current_setting('server_version_num')::int \
             >= 170000 then has_table_privilege(c.oid, 'MAINTAIN') else false end) as ours, \
             (select min(l.pid) from pg_locks l where l.relation = c.oid and l.granted and l.database = (select oid \
             from pg_database where datname = current_database()) and l.mode in ('ShareUpdateExclusiveLock', \
             'ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')) as locked \
             from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace \
             where n.nspname = '{}' and c.relname = '{}'",
            table.schema, table.name
        );
        let left = deadline.saturating_duration_since(Instant::now());
        let question = Question { what: &what, sql: &sql, settings: "", max_rows: 1, left };
        let answer = session.ask(&question, &self.dialer).await.map_err(|trouble| self.failed(&what, trouble))?;
        let Some(row) = answer.first() else {
            let message = format!("there is no table {table} in this database: correct tables, or the URL's database");
            return Err(Setback::Refused(message));
        };
        if row.is_true("standby") {
            return Err(Setback::Refused("the server is a standby, which cannot vacuum: name the primary".into()));
        }
        if !matches!(row.text("relkind"), Some("r" | "p" | "m" | "t")) {
            return Err(Setback::Refused(format!("{table} is not a table: vacuum what it is made of")));
        }
        if !row.is_true("ours") {
            let message = format!(
                "the role of the URL does not own {table}, and PostgreSQL would skip it: grant the owner's role"
            );
            return Err(Setback::Refused(message));
        }
        let whole = |column| row.number(column).unwrap_or_default().max(0.0) as u64;
        Ok(Found { size: whole("size"), dead: whole("dead"), locked_by: row.text("locked").map(str::to_owned) })
    }

    async fn vacuum_one(&self, session: &mut Session, table: &Table, deadline: Instant) -> Result<(), Setback> {
        let what = format!("the vacuum of {table}");
        let left = deadline.saturating_duration_since(Instant::now());
        if left < RESERVE {
            return Err(Setback::Failed(format!("no time was left for {what}: make timeout longer")));
        }
        // The server gives up by itself, also when we are gone.
        let settings = format!(
            "set statement_timeout = {}; set lock_timeout = {}",
            left.saturating_sub(RESERVE / 2).as_millis().max(1),
            self.limits.lock.as_millis().clamp(1, i32::MAX as u128)
        );
        within(deadline + RESERVE / 2, async {
            for sql in [settings, self.statement(table)] {
                let warnings = match session.order(&what, &sql, &self.dialer).await {
                    Ok(warnings) => warnings,
                    Err(Trouble::Refused(error)) if error.code().code() == LOCK_NOT_AVAILABLE => {
                        return Err(Setback::Busy(format!("{table} is locked")));
                    }
                    Err(trouble) => return Err(self.failed(&what, trouble)),
                };
                if let Some(warning) = warnings.first() {
                    if warning.code().code() == LOCK_NOT_AVAILABLE {
                        return Err(Setback::Busy(format!("{table} is locked")));
                    }
                    let words = self.dialer.secrets.excerpt(warning.message());
                    return Err(Setback::Failed(format!("{what} was not done: {words}")));
                }
            }
            Ok(())
        })
        .await
    }

    fn failed(&self, what: &str, trouble: Trouble) -> Setback {
        match trouble {
            Trouble::Refused(error) => self.dialer.secrets.refused(what, &error, During::Question).into(),
            Trouble::Unfit(failure) | Trouble::Broken(failure) => failure.into(),
        }
    }
}

/// The SQLSTATE of a lock that was not to be had (PostgreSQL, appendix A).
const LOCK_NOT_AVAILABLE: &str = "55P03";

async fn within<T>(deadline: Instant, work: impl Future<Output = Result<T, Setback>>) -> Result<T, Setback> {
    let late = |_| Setback::Failed("the server did not answer in time: nothing more is done".into());
    timeout_at(deadline, work).await.map_err(late)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_named_with_its_schema_and_nothing_that_ends_a_quote() {
        let table = Table::parse("public.Order Items").unwrap();
        assert_eq!(table.quoted(), "\"public\".\"Order Items\"");
        for text in [
            "orders",
            "a.b.c",
            ".orders",
            "public.",
            "public.x\"; drop table y; --",
            "public.x';",
            "public.a\\b",
            "a. b",
            "public.a\nb",
        ] {
            assert!(Table::parse(text).is_err(), "{text}");
        }
        assert!(Table::parse(&format!("public.{}", "x".repeat(64))).is_err());
    }
}
