//! A connection that is logged in, and how it is asked.

use super::dialer::Dialer;
use super::refusal::{During, is_final};
use super::table::{MAX_COLUMNS, Table};
use super::wire::Wire;
use crate::observation::{Failure, Reading, Readings, Reason};
use futures_util::future::try_join3;
use futures_util::{FutureExt as _, StreamExt as _};
use std::future::poll_fn;
use std::pin::pin;
use std::time::Duration;
use tokio::time::Instant;
use tokio_postgres::error::{DbError, Severity};
use tokio_postgres::{AsyncMessage, Client, Connection, Error, SimpleQueryMessage};

/// A connection that is logged in.
pub struct Session {
    client: Client,
    connection: Connection<Wire, Wire>,
    since: Instant,
    is_sound: bool,
    /// With what the connection ended, where that came together with a whole answer.
    last_words: Option<Error>,
    /// What its opening showed: true as long as it lasts, so that a later run says it again.
    gauges: Vec<Reading>,
    notes: Vec<(&'static str, String)>,
}

/// Why there is no answer.
pub enum Trouble {
    /// The server refused; the connection is as good as before.
    Refused(Box<DbError>),
    /// The answer is not one that we take.
    Unfit(Failure),
    /// The connection can no longer be used.
    Broken(Failure),
}

/// Why a connection is given up.
enum Stop {
    Error(Error),
    Unfit(Failure),
}

impl From<Error> for Stop {
    fn from(error: Error) -> Self {
        Stop::Error(error)
    }
}

/// A statement and what it may take.
pub struct Question<'q> {
    /// What it is about, for failures.
    pub what: &'q str,
    /// The statement; one that gives rows.
    pub sql: &'q str,
    /// What is set before it, in the same transaction.
    pub settings: &'static str,
    /// The most rows.
    pub max_rows: usize,
    /// The time that is left for it.
    pub left: Duration,
}

impl Session {
    /// A connection that was opened just now, and what its opening showed.
    pub fn new(
        client: Client,
        connection: Connection<Wire, Wire>,
        gauges: Vec<Reading>,
        notes: Vec<(&'static str, String)>,
    ) -> Self {
        Self { client, connection, since: Instant::now(), is_sound: true, last_words: None, gauges, notes }
    }

    /// How long ago it was opened.
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Whether it can be asked again.
    pub fn is_sound(&self) -> bool {
        self.is_sound && self.last_words.is_none() && !self.client.is_closed()
    }

    /// Says again what its opening showed.
    pub fn recall(&self, out: &mut Readings) {
        for gauge in &self.gauges {
            out.take_over(gauge);
        }
        for (what, fact) in &self.notes {
            out.note(what, fact.clone());
        }
    }

    /// Whether the server answers at all.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn ping(&mut self, dialer: &Dialer) -> Result<(), Failure> {
        let Self { client, connection, last_words, .. } = self;
        let secrets = &dialer.secrets;
        let answer = drive(connection, last_words, None, fetch(client, "select 1", "select 1", 1)).await;
        let failure = match answer {
            Ok(Ok(table)) if table.first().and_then(|row| row.at(0)) == Some("1") => return Ok(()),
            Ok(Ok(_)) => Failure::new(Reason::Query, "select 1 did not give 1"),
            Ok(Err(error)) => secrets.refused("select 1", &error, During::Question),
            Err(Stop::Unfit(failure)) => failure,
            Err(Stop::Error(error)) => secrets.failed("select 1", &error, During::Question),
        };
        self.is_sound = false;
        Err(failure)
    }

    /// Carries out a statement that changes something, outside of a transaction, and gives the warnings that came with it:
    /// what a server skips it only warns of. A limit of time is the caller's to set.
    ///
    /// # Errors
    /// What came of it instead.
    pub async fn order(&mut self, what: &str, sql: &str, dialer: &Dialer) -> Result<Vec<DbError>, Trouble> {
        if let Some(error) = self.last_words.take() {
            self.is_sound = false;
            return Err(Trouble::Broken(dialer.secrets.failed(what, &error, During::Question)));
        }
        let Self { client, connection, last_words, .. } = self;
        let mut warnings = Vec::new();
        let trouble = match drive(connection, last_words, Some(&mut warnings), fetch(client, sql, what, 1)).await {
            Ok(Ok(_)) => return Ok(warnings),
            Ok(Err(error)) => return Err(Trouble::Refused(error)),
            Err(Stop::Unfit(failure)) => Trouble::Unfit(failure),
            Err(Stop::Error(error)) => Trouble::Broken(dialer.secrets.failed(what, &error, During::Question)),
        };
        self.is_sound = false;
        Err(trouble)
    }

    /// Asks in a read-only transaction of its own, which the server ends by itself before our time is up: nothing of a
    /// run that was cut off goes on there.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn ask(&mut self, question: &Question<'_>, dialer: &Dialer) -> Result<Table, Trouble> {
        if let Some(error) = self.last_words.take() {
            self.is_sound = false;
            return Err(Trouble::Broken(dialer.secrets.failed(question.what, &error, During::Question)));
        }
        let time = server_time(question.left).as_millis().max(1);
        let begin = format!(
            "begin read only; set local statement_timeout = {time}; set local lock_timeout = {}{}",
            (time / 2).max(1),
            question.settings
        );
        let Self { client, connection, last_words, .. } = self;
        let work = try_join3(
            client.batch_execute(&begin).map(|begun| begun.map_err(Stop::from)),
            fetch(client, question.sql, question.what, question.max_rows),
            client.batch_execute("rollback").map(|ended| ended.map_err(Stop::from)),
        );
        let trouble = match drive(connection, last_words, None, work).await {
            Ok(((), Ok(table), ())) => return Ok(table),
            Ok(((), Err(error), ())) => return Err(Trouble::Refused(error)),
            Err(Stop::Unfit(failure)) => Trouble::Unfit(failure),
            Err(Stop::Error(error)) => Trouble::Broken(dialer.secrets.failed(question.what, &error, During::Question)),
        };
        self.is_sound = false;
        Err(trouble)
    }
}

/// More warnings than this say nothing new.
const MAX_WARNINGS: usize = 16;

/// How long the server may take, so that its own word that it took too long still reaches us in time.
fn server_time(left: Duration) -> Duration {
    left.saturating_sub((left / 10).min(Duration::from_millis(500)))
}

/// Does a piece of work while the connection carries it. The connection has no task of its own: it ends with its owner.
async fn drive<T>(
    connection: &mut Connection<Wire, Wire>,
    last_words: &mut Option<Error>,
    warnings: Option<&mut Vec<DbError>>,
    work: impl Future<Output = Result<T, Stop>>,
) -> Result<T, Stop> {
    let mut work = pin!(work);
    let ended = tokio::select! {
        biased;
        done = &mut work => return done,
        ended = carry(connection, warnings) => ended,
    };
    // What came before the end is still an answer, and often the better word for why it ended.
    match (work.now_or_never(), ended) {
        (Some(Err(Stop::Error(vague))), Err(error)) if vague.is_closed() => Err(Stop::Error(error)),
        (Some(done), ended) => {
            *last_words = ended.err();
            done
        }
        (None, Err(error)) => Err(Stop::Error(error)),
        (None, Ok(())) => Err(Stop::Unfit(Failure::new(Reason::Protocol, "the connection was closed"))),
    }
}

/// Carries what is said both ways until the connection ends, and keeps the warnings where somebody wants them.
async fn carry(connection: &mut Connection<Wire, Wire>, mut warnings: Option<&mut Vec<DbError>>) -> Result<(), Error> {
    while let Some(message) = poll_fn(|cx| connection.poll_message(cx)).await.transpose()? {
        if let (AsyncMessage::Notice(notice), Some(kept)) = (message, warnings.as_deref_mut())
            && notice.parsed_severity() == Some(Severity::Warning)
            && kept.len() < MAX_WARNINGS
        {
            kept.push(notice);
        }
    }
    Ok(())
}

/// Sends a statement and reads its answer. Values come as text, whatever their type.
async fn fetch(client: &Client, sql: &str, what: &str, max_rows: usize) -> Result<Result<Table, Box<DbError>>, Stop> {
    let unfit = |reason, detail: String| Stop::Unfit(Failure::new(reason, format!("{what}: {detail}")));
    let mut answer = pin!(client.simple_query_raw(sql).await?);
    let mut table: Option<Table> = None;
    while let Some(message) = answer.next().await {
        match message {
            Ok(SimpleQueryMessage::RowDescription(_)) if table.is_some() => {
                return Err(unfit(Reason::Query, "it gives several answers: write one statement".into()));
            }
            Ok(SimpleQueryMessage::RowDescription(columns)) if columns.len() > MAX_COLUMNS => {
                let detail = format!("it gives {} columns, at most {MAX_COLUMNS} are taken", columns.len());
                return Err(unfit(Reason::Limit, detail));
            }
            Ok(SimpleQueryMessage::RowDescription(columns)) => {
                table = Some(Table::new(columns.iter().map(|column| column.name().to_owned()).collect()));
            }
            Ok(SimpleQueryMessage::Row(row)) => {
                let table = table.get_or_insert_default();
                if table.len() == max_rows {
                    return Err(unfit(Reason::Limit, format!("it gives more than {max_rows} rows")));
                }
                table.push(&row);
            }
            Ok(_) => {}
            Err(error) => {
                return match error.as_db_error() {
                    Some(refused) if !is_final(refused) => Ok(Err(Box::new(refused.clone()))),
                    _ => Err(error.into()),
                };
            }
        }
    }
    Ok(Ok(table.unwrap_or_default()))
}
