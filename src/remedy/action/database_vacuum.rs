//! Gives the space of dead rows back: named tables of PostgreSQL, or one file of SQLite.
//!
//! PostgreSQL is given a plain `VACUUM`, which works beside readers and writers; what is locked is left alone. SQLite
//! copies the whole file and keeps writers out meanwhile: thus its integrity is checked and a backup is made first.

mod postgres;
mod space;
mod sqlite;
#[cfg(test)]
mod tests;

use super::{Context, Done, Effect, Kind, Scene, Setback, Settings};
use crate::values::{Invalid, Period};
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;

/// The row of this action in the table.
pub static KIND: Kind = Kind {
    name: "database_vacuum",
    summary: "Vacuums named tables of PostgreSQL without waiting for locks, or one SQLite file after a check and a backup",
    example: "\
- database_vacuum:
    postgres:
      url: postgres://banken@127.0.0.1:5432/app      # or: { file: /run/secrets/postgres-url }
      tables: [ public.orders, public.alerts ]
- database_vacuum:
    sqlite: { path: /var/lib/bot/trades.db }
    timeout: 2m
",
    effect: Effect::Disturbs,
};

/// The block `database_vacuum:`. Exactly one of `postgres` and `sqlite` must be there.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DatabaseVacuumAction")]
pub struct Config {
    /// Tables of PostgreSQL.
    #[serde(default)]
    pub postgres: Option<postgres::Config>,
    /// A file of SQLite.
    #[serde(default)]
    pub sqlite: Option<sqlite::Config>,
    /// How long a lock is waited for that somebody else holds; then that table, or the file, is left alone.
    #[serde(default = "default_lock_timeout")]
    #[schemars(with = "Period")]
    pub lock_timeout: Period,
    /// The longest that it may take with everything; what is under way then is given up by the database itself.
    #[serde(default = "default_timeout")]
    #[schemars(with = "Period")]
    pub timeout: Period,
}

const fn default_lock_timeout() -> Period {
    Period(Duration::from_secs(2))
}

const fn default_timeout() -> Period {
    Period(Duration::from_secs(60))
}

impl Settings for Config {
    type Action = Action;

    fn build(&self, context: &Context) -> Result<Action, Vec<Invalid>> {
        let mut invalid = Vec::new();
        if self.timeout.0 < Duration::from_secs(1) {
            invalid.push(Invalid::new("timeout", "too short for a database: at least 1s"));
        }
        if self.lock_timeout.0 < Duration::from_millis(1) || self.lock_timeout.0 >= self.timeout.0 {
            // PostgreSQL understands 0 as "wait for ever".
            invalid.push(Invalid::new("lock_timeout", "from 1ms to less than timeout"));
        }
        let limits = Limits { lock: self.lock_timeout.0, whole: self.timeout.0 };
        let within =
            |key: &str, mistakes: Vec<Invalid>| mistakes.into_iter().map(|m| m.within(key)).collect::<Vec<_>>();
        let built = match (&self.postgres, &self.sqlite) {
            (Some(config), None) => postgres::Tables::build(config, limits, context)
                .map(|tables| Action::Postgres(Box::new(tables)))
                .map_err(|m| within("postgres", m)),
            (None, Some(config)) => {
                sqlite::Database::build(config, limits, context).map(Action::Sqlite).map_err(|m| within("sqlite", m))
            }
            _ => Err(vec![Invalid::new("", "write exactly one of postgres and sqlite; make a step of each database")]),
        };
        match built {
            Ok(action) if invalid.is_empty() => Ok(action),
            Ok(_) => Err(invalid),
            Err(mistakes) => {
                invalid.extend(mistakes);
                Err(invalid)
            }
        }
    }

    fn timeout(&self) -> Duration {
        self.timeout.0
    }
}

/// What may take how long.
#[derive(Debug, Clone, Copy)]
struct Limits {
    /// Waiting for a lock.
    lock: Duration,
    /// Everything.
    whole: Duration,
}

/// A database that can be vacuumed.
pub enum Action {
    /// Tables of PostgreSQL.
    Postgres(Box<postgres::Tables>),
    /// A file of SQLite.
    Sqlite(sqlite::Database),
}

impl super::Action for Action {
    async fn rehearse(&self, _: &Scene) -> Result<Vec<String>, Setback> {
        match self {
            Action::Postgres(tables) => tables.rehearse().await,
            Action::Sqlite(database) => database.rehearse().await,
        }
    }

    async fn act(&self, _: &mut Scene) -> Result<Done, Setback> {
        match self {
            Action::Postgres(tables) => tables.vacuum().await,
            Action::Sqlite(database) => database.vacuum().await,
        }
    }
}

/// A size for people.
fn shown(bytes: u64) -> String {
    crate::observation::Unit::Bytes.show(bytes as f64)
}
