//! Logs in to PostgreSQL and asks how it does: sessions, locks, size, lag, vacuum, slow statements, and own queries.
//!
//! One connection is kept between runs. It belongs to the run while one goes on, so that a run that is cut off takes its
//! connection with it, and nobody reads the answer to another one's question. There is no task beside the run that
//! drives it. Everything is asked in read-only transactions that set their own limits and leave nothing behind in the
//! session; thus a pooler in between is no trouble.

mod families;
mod queries;

mod server;

mod statements;

#[cfg(test)]
mod tests;

pub use self::families::{CONNECTIONS_SIGNAL, LAG_SIGNAL, QUERY_SIGNAL, SIZE_SIGNAL, TRANSACTION_SIGNAL};
use self::queries::Own;
pub use self::queries::Query;

use self::statements::Statements;
use super::{Context, Kind, Settings};
use crate::net::{IpChoice, TlsConfig};
use crate::observation::{Failure, Phase, Readings, Reason};
use crate::postgres::{Dialer, Session};
use crate::values::{Invalid, Period, Secret};
use schemars::JsonSchema;
use serde::Deserialize;
use std::time::Duration;
use tokio::time::{Instant, timeout};

/// The row of this kind in the table.
pub static KIND: Kind = Kind {
    name: "postgres",
    summary: "PostgreSQL answers; its connections, transactions, locks, size, lag, vacuum, slow statements; own queries",
    example: "\
- name: database
  thresholds: { connections: { warning: 80%, critical: 90% }, transaction: { warning: 60s, critical: 5m } }
  postgres:
    url: postgres://banken@127.0.0.1:5432/app      # or: { file: /run/secrets/postgres-url }
    queries:
      - { name: alerts, sql: 'select count(*) from alerts', max: 1000 }
      - { name: orders, sql: 'select status, count(*) from orders group by status', labels: [status] }
",
    reasons: &[
        Reason::Resolve,
        Reason::Connect,
        Reason::Tls,
        Reason::Timeout,
        Reason::Protocol,
        Reason::Status,
        Reason::Auth,
        Reason::Query,
        Reason::Missing,
        Reason::Limit,
    ],
    families: families::ALL,
    signals: &[&CONNECTIONS_SIGNAL, &TRANSACTION_SIGNAL, &QUERY_SIGNAL, &LAG_SIGNAL, &SIZE_SIGNAL],
};

/// The block `postgres:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the server is and who we are: `postgres://USER:PASSWORD@HOST:PORT/DATABASE?sslmode=…`, or
    /// `postgres:///DATABASE?host=/var/run/postgresql&user=USER` for a Unix socket.
    pub url: Secret,
    /// How TLS is spoken; the block alone asks for TLS with a certificate that is verified.
    #[serde(default)]
    pub tls: Option<TlsConfig>,
    /// Which family of addresses to use.
    #[serde(default)]
    pub ip: IpChoice,
    /// Questions of one's own, whose rows become gauges; at most 50.
    #[serde(default)]
    pub queries: Vec<Query>,
    /// From which mean execution time on `pg_stat_statements` calls a statement slow here.
    #[serde(default = "default_slow")]
    pub slow: Period,
}

fn default_slow() -> Period {
    Period(Duration::from_secs(1))
}

impl Settings for Config {
    type Probe = Probe;

    fn build(&self, context: &Context) -> Result<Probe, Vec<Invalid>> {
        let mut invalid = queries::mistakes(&self.queries);
        match Dialer::build(&self.url, self.tls.as_ref(), self.ip, &context.roots) {
            Ok(dialer) if invalid.is_empty() => Ok(Probe {
                dialer,
                own: self.queries.iter().cloned().map(Own::new).collect(),
                statements: Statements::new(self.slow.0),
                kept: None,
            }),
            Ok(_) => Err(invalid),
            Err(mistakes) => {
                invalid.extend(mistakes);
                Err(invalid)
            }
        }
    }
}

/// A PostgreSQL probe that was built.
pub struct Probe {
    dialer: Dialer,
    own: Vec<Own>,
    statements: Statements,
    /// The connection of the last run, while no run goes on.
    kept: Option<Session>,
}

/// A kept connection is replaced after this time: what its handshake showed (an address, a certificate, a password that is
/// still right) must not be told for ever.
const MAX_AGE: Duration = Duration::from_secs(15 * 60);

/// After a failure, nothing more is asked in less time than this: the first failure is the better word, and a connection
/// that is not cut off can be kept.
const SHORTEST: Duration = Duration::from_millis(100);

impl super::Probe for Probe {
    async fn run(&mut self, out: &mut Readings) -> Result<(), Failure> {
        let mut session = self.greet(out).await?;
        let outcome = self.examine(&mut session, out).await;
        out.leave();
        if session.is_sound() {
            self.kept = Some(session);
        }
        outcome
    }
}

impl Probe {
    /// A connection over which the server has just answered: the kept one, or a new one where that does not answer soon.
    async fn greet(&mut self, out: &mut Readings) -> Result<Session, Failure> {
        if let Some(mut kept) = self.kept.take().filter(|kept| kept.age() < MAX_AGE) {
            out.enter(Phase::Wait);
            // Where packets are lost without a word (a firewall that forgot us, a host that is gone), time is left to dial.
            if let Ok(Ok(())) = timeout(left(out) / 3, kept.ping(&self.dialer)).await {
                kept.recall(out);
                return Ok(kept);
            }
            out.note("connection", "the kept one did not answer and was replaced");
        }
        let mut session = self.dialer.open(out).await?;
        out.enter(Phase::Wait);
        session.ping(&self.dialer).await?;
        Ok(session)
    }

    /// Asks everything; what fails among the own queries does not keep the rest from being asked.
    async fn examine(&mut self, session: &mut Session, out: &mut Readings) -> Result<(), Failure> {
        server::examine(session, &self.dialer, out).await?;
        self.statements.examine(session, &self.dialer, out).await?;
        let mut outcome = Ok(());
        for own in &mut self.own {
            let answer = own.ask(session, &self.dialer, out).await;
            outcome = outcome.and(answer);
            if !session.is_sound() || (outcome.is_err() && left(out) < SHORTEST) {
                break;
            }
        }
        outcome
    }
}

/// The time until the runner ends this run.
fn left(out: &Readings) -> Duration {
    out.deadline().saturating_duration_since(Instant::now())
}
