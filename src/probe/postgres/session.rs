//! A connection to a server: how it is opened, and how it is asked.

use super::refusal::{During, Secrets, is_final};
use super::table::{MAX_COLUMNS, Table};
use super::target::{Encryption, Place, Target};
use super::wire::{Settled, Wire};
use crate::net::{IpChoice, Roots, TlsClient, TlsConfig, dial};
use crate::observation::{Failure, Phase, Reading, Readings, Reason};
use crate::values::{Invalid, Secret};
use futures_util::future::try_join3;
use futures_util::{FutureExt as _, StreamExt as _};
use std::path::Path;
use std::pin::pin;
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::time::Instant;
use tokio_postgres::error::DbError;
use tokio_postgres::{Client, Connection, Error, SimpleQueryMessage};

/// Opens connections to one server.
pub(super) struct Dialer {
    target: Target,
    ip: IpChoice,
    tls: Option<TlsClient>,
    /// Whether a TLS connection protects even a password that is sent as it is: verified, or expressly not wanted to be.
    tls_is_wanted: bool,
    pub(super) secrets: Secrets,
}

/// What is sent to ask for TLS, and the two answers to it (PostgreSQL, "Message Formats", `SSLRequest`).
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];
const SSL_OFFERED: u8 = b'S';
const SSL_NOT_OFFERED: u8 = b'N';

impl Dialer {
    pub(super) fn build(
        url: &Secret,
        tls: Option<&TlsConfig>,
        ip: IpChoice,
        roots: &Roots,
    ) -> Result<Self, Vec<Invalid>> {
        let target = Target::parse(url, tls).map_err(|mistake| vec![mistake])?;
        let mut config = tls.cloned().unwrap_or_default();
        config.verify &= target.encryption != Encryption::IfOffered;
        let within =
            |mistakes: Vec<Invalid>| mistakes.into_iter().map(|mistake| mistake.within("tls")).collect::<Vec<_>>();
        let tls = match target.encryption {
            Encryption::Never => None,
            _ => Some(TlsClient::new(&config, &[], roots).map_err(within)?),
        };
        let secrets = Secrets::new(target.secrets.clone());
        Ok(Self { tls_is_wanted: target.encryption == Encryption::Always, target, ip, tls, secrets })
    }

    /// Connects and logs in.
    pub(super) async fn open(&self, out: &mut Readings) -> Result<Session, Failure> {
        let notes_before = out.notes().len();
        let wire = match &self.target.place {
            Place::Tcp { host, port } => self.over_tcp(host, *port, out).await?,
            Place::Unix(path) => over_unix(path, out).await?,
        };
        out.enter(Phase::Wait);
        let (client, connection) = self
            .target
            .login
            .connect_raw(wire, Settled)
            .await
            .map_err(|error| self.secrets.failed("the login failed", &error, During::Login))?;
        Ok(Session {
            client,
            connection,
            since: Instant::now(),
            is_sound: true,
            last_words: None,
            gauges: out.gauges().to_vec(),
            notes: out.notes()[notes_before..].to_vec(),
        })
    }

    async fn over_tcp(&self, host: &str, port: u16, out: &mut Readings) -> Result<Wire, Failure> {
        let mut stream = dial(host, port, self.ip, out).await?;
        // Without an address it is no loopback: the careful side.
        let is_local = stream.peer_addr().is_ok_and(|address| address.ip().is_loopback());
        let Some(tls) = &self.tls else { return Ok(Wire::new(stream, is_local)) };
        out.enter(Phase::Tls);
        if !offers_tls(&mut stream).await? {
            if self.target.encryption == Encryption::Always {
                let detail = "the server does not offer TLS: switch it on there (ssl = on), or write sslmode=disable in \
                              the url where nobody else can read or change what is sent";
                return Err(Failure::new(Reason::Tls, detail));
            }
            out.leave();
            return Ok(Wire::new(stream, is_local));
        }
        let stream = tls.handshake(stream, host, out).await?;
        let certificate = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).cloned();
        let wire = Wire::new(stream, is_local || self.tls_is_wanted);
        Ok(match certificate {
            Some(certificate) => wire.bound_to(&certificate),
            None => wire,
        })
    }
}

/// Asks for TLS. Exactly one byte is read, so that nothing said in clear can pass for a part of what is said over TLS.
async fn offers_tls(stream: &mut TcpStream) -> Result<bool, Failure> {
    let broke = |error| Failure::io(Reason::Protocol, "the connection broke when TLS was asked for", &error);
    stream.write_all(&SSL_REQUEST).await.map_err(broke)?;
    match stream.read_u8().await.map_err(broke)? {
        SSL_OFFERED => Ok(true),
        SSL_NOT_OFFERED => Ok(false),
        b'E' => Err(Failure::new(Reason::Protocol, "the server answered with an error when TLS was asked for")),
        other => {
            let detail =
                format!("the server does not speak PostgreSQL: asked for TLS, it said {}", [other].escape_ascii());
            Err(Failure::new(Reason::Protocol, detail))
        }
    }
}

async fn over_unix(path: &Path, out: &mut Readings) -> Result<Wire, Failure> {
    out.enter(Phase::Connect);
    let what = format!("cannot connect to {}", path.display());
    let stream = UnixStream::connect(path).await.map_err(|error| match error.kind() {
        // Here this is no shortage of ours: the server does not take connections from its queue.
        std::io::ErrorKind::WouldBlock => Failure::new(Reason::Connect, format!("{what}: its queue is full")),
        _ => Failure::io(Reason::Connect, what, &error),
    })?;
    out.leave();
    out.note("address", path.display().to_string());
    Ok(Wire::new(stream, true))
}

/// A connection that is logged in.
pub(super) struct Session {
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
pub(super) enum Trouble {
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
pub(super) struct Question<'q> {
    /// What it is about, for failures.
    pub(super) what: &'q str,
    /// The statement; one that gives rows.
    pub(super) sql: &'q str,
    /// What is set before it, in the same transaction.
    pub(super) settings: &'static str,
    /// The most rows.
    pub(super) max_rows: usize,
    /// The time that is left for it.
    pub(super) left: Duration,
}

impl Session {
    /// How long ago it was opened.
    pub(super) fn age(&self) -> Duration {
        self.since.elapsed()
    }

    /// Whether it can be asked again.
    pub(super) fn is_sound(&self) -> bool {
        self.is_sound && self.last_words.is_none() && !self.client.is_closed()
    }

    /// Says again what its opening showed.
    pub(super) fn recall(&self, out: &mut Readings) {
        for gauge in &self.gauges {
            out.take_over(gauge);
        }
        for (what, fact) in &self.notes {
            out.note(what, fact.clone());
        }
    }

    /// Whether the server answers at all.
    pub(super) async fn ping(&mut self, dialer: &Dialer) -> Result<(), Failure> {
        let Self { client, connection, last_words, .. } = self;
        let secrets = &dialer.secrets;
        let answer = drive(connection, last_words, fetch(client, "select 1", "select 1", 1)).await;
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

    /// Asks in a read-only transaction of its own, which the server ends by itself before our time is up: nothing of a
    /// run that was cut off goes on there.
    pub(super) async fn ask(&mut self, question: &Question<'_>, dialer: &Dialer) -> Result<Table, Trouble> {
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
        let trouble = match drive(connection, last_words, work).await {
            Ok(((), Ok(table), ())) => return Ok(table),
            Ok(((), Err(error), ())) if !is_final(&error) => return Err(Trouble::Refused(error)),
            Ok(((), Err(error), ())) => {
                Trouble::Broken(dialer.secrets.refused(question.what, &error, During::Question))
            }
            Err(Stop::Unfit(failure)) => Trouble::Unfit(failure),
            Err(Stop::Error(error)) => Trouble::Broken(dialer.secrets.failed(question.what, &error, During::Question)),
        };
        self.is_sound = false;
        Err(trouble)
    }
}

/// How long the server may take, so that its own word that it took too long still reaches us in time.
fn server_time(left: Duration) -> Duration {
    left - (left / 10).min(Duration::from_millis(500))
}

/// Does a piece of work while the connection carries it. The connection has no task of its own: it ends with its owner.
async fn drive<T>(
    connection: &mut Connection<Wire, Wire>,
    last_words: &mut Option<Error>,
    work: impl Future<Output = Result<T, Stop>>,
) -> Result<T, Stop> {
    let mut work = pin!(work);
    let ended = tokio::select! {
        biased;
        done = &mut work => return done,
        ended = connection => ended,
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
                    Some(refused) => Ok(Err(Box::new(refused.clone()))),
                    None => Err(error.into()),
                };
            }
        }
    }
    Ok(Ok(table.unwrap_or_default()))
}
