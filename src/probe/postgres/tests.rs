//! Drives the probe against fakes that speak just enough of PostgreSQL's protocol, byte by byte.

use super::{Config, Probe};
use crate::observation::{Failure, Readings, Reason};
use crate::probe::{Context, Probe as _, Settings as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

const DEADLINE: Duration = Duration::from_secs(20);

fn build(yaml: &str) -> Probe {
    let config: Config = serde_yaml::from_str(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"));
    config.build(&Context::default()).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{yaml}"))
}

/// Runs a probe once, with the runner's part of the contract: a deadline and its reason.
async fn run(probe: &mut Probe, deadline: Duration) -> (Result<(), Failure>, Readings) {
    let mut out = Readings::default();
    out.begin(Instant::now() + deadline, None);
    let result = tokio::time::timeout(deadline, probe.run(&mut out)).await;
    (result.unwrap_or_else(|_| Err(Failure::new(Reason::Timeout, "no answer in time"))), out)
}

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
    [&[tag], length.as_slice(), body].concat()
}

fn error(severity: &str, code: &str, words: &str) -> Vec<u8> {
    let fields = [('S', severity), ('V', severity), ('C', code), ('M', words)];
    let body: String = fields.iter().map(|(field, text)| format!("{field}{text}\0")).collect();
    message(b'E', format!("{body}\0").as_bytes())
}

/// The answer to a statement that gives one row of one column.
fn row(text: &str) -> Vec<u8> {
    let description = [&[0, 1], b"n\0".as_slice(), &[0; 18]].concat();
    let length = u32::try_from(text.len()).unwrap().to_be_bytes();
    let data = [&[0, 1], length.as_slice(), text.as_bytes()].concat();
    [message(b'T', &description), message(b'D', &data), message(b'C', b"SELECT 1\0"), ready()].concat()
}

fn ready() -> Vec<u8> {
    message(b'Z', b"I")
}

/// A server that offers no TLS, lets everybody in, and answers each statement with what this makes of it.
struct Fake {
    port: u16,
    connections: Arc<AtomicUsize>,
}

impl Fake {
    async fn start(login: Vec<u8>, answer: impl Fn(usize, &str) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (connections, answer) = (Arc::new(AtomicUsize::new(0)), Arc::new(answer));
        let count = Arc::clone(&connections);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let number = count.fetch_add(1, Ordering::SeqCst);
                let (login, answer) = (login.clone(), Arc::clone(&answer));
                // Whoever asks may go at any moment.
                tokio::spawn(async move { converse(stream, &login, |sql| answer(number, sql)).await.ok() });
            }
        });
        Self { port, connections }
    }

    /// A server that knows nothing but `select 1`.
    async fn bare() -> Self {
        Self::start(welcome(), |_, sql| bare_answer(sql)).await
    }

    fn probe(&self, more: &str) -> Probe {
        build(&format!("url: postgres://banken:hunter2@127.0.0.1:{}/app\n{more}", self.port))
    }

    fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn welcome() -> Vec<u8> {
    [message(b'R', &[0; 4]), ready()].concat()
}

fn bare_answer(sql: &str) -> Vec<u8> {
    match sql {
        "select 1" => row("1"),
        "rollback" => [message(b'C', b"ROLLBACK\0"), ready()].concat(),
        sql if sql.starts_with("begin") => [message(b'C', b"BEGIN\0"), ready()].concat(),
        _ => [error("ERROR", "42P01", "there is no such thing"), ready()].concat(),
    }
}

async fn converse(mut stream: TcpStream, login: &[u8], answer: impl Fn(&str) -> Vec<u8>) -> std::io::Result<()> {
    let mut request = [0; 8];
    stream.read_exact(&mut request).await?;
    stream.write_all(b"N").await?;
    let length = stream.read_u32().await? as usize;
    stream.read_exact(&mut vec![0; length - 4]).await?;
    stream.write_all(login).await?;
    loop {
        let _tag = stream.read_u8().await?;
        let length = stream.read_u32().await? as usize;
        let mut body = vec![0; length - 4];
        stream.read_exact(&mut body).await?;
        let sql = String::from_utf8_lossy(&body).trim_end_matches('\0').to_owned();
        let said = answer(&sql);
        if said.is_empty() {
            // It hangs.
            std::future::pending::<()>().await;
        }
        stream.write_all(&said).await?;
    }
}

#[tokio::test]
async fn a_server_that_knows_little_is_well_and_what_it_does_not_know_is_noted() {
    let fake = Fake::bare().await;
    let mut probe = fake.probe("");
    for _ in 0..3 {
        let (outcome, out) = run(&mut probe, DEADLINE).await;
        assert_eq!(outcome, Ok(()));
        assert!(out.gauges().is_empty(), "{:?}", out.gauges());
        let left_out = out.notes().iter().filter(|(_, fact)| fact.starts_with("left out: ")).count();
        assert!(left_out >= 5, "{:?}", out.notes());
        assert_eq!(out.notes().iter().filter(|(what, _)| *what == "address").count(), 1, "{:?}", out.notes());
    }
    assert_eq!(fake.connections(), 1, "the connection is kept");
}

#[tokio::test]
async fn a_refusal_at_the_login_becomes_its_reason_and_hides_the_password() {
    let cases = [
        (error("FATAL", "28P01", "not hunter2"), Reason::Auth, "not [hidden] (SQLSTATE 28P01)"),
        (error("FATAL", "3D000", "there is no app"), Reason::Missing, "there is no app"),
        (error("FATAL", "53300", "too many clients"), Reason::Limit, "too many clients"),
        (error("FATAL", "57P03", "starting up"), Reason::Status, "starting up"),
        (message(b'R', &[0, 0, 0, 7]), Reason::Auth, "unsupported authentication method"),
        (b"HTTP/1.1 400 Bad Request".to_vec(), Reason::Protocol, "does not speak"),
        (message(b'E', &[0; 2 << 20]), Reason::Limit, "more than 1 MiB"),
    ];
    for (login, reason, words) in cases {
        let fake = Fake::start(login, |_, _| Vec::new()).await;
        let failure = run(&mut fake.probe(""), DEADLINE).await.0.unwrap_err();
        assert_eq!(failure.reason, reason, "{failure}");
        assert!(failure.detail.contains(words) && !failure.detail.contains("hunter2"), "{failure}");
    }
    let fake = Fake::start(message(b'R', &[0, 0, 0, 5, 1, 2, 3, 4]), |_, _| Vec::new()).await;
    let mut without = build(&format!("url: postgres://banken@127.0.0.1:{}/app", fake.port));
    let failure = run(&mut without, DEADLINE).await.0.unwrap_err();
    assert_eq!((failure.reason, failure.detail.contains("the URL has none")), (Reason::Auth, true), "{failure}");
}

#[tokio::test]
async fn a_kept_connection_that_has_broken_is_replaced_within_the_run() {
    // The first connection ends with its server's last words, the second one goes on.
    let fake = Fake::start(welcome(), |number, sql| match (number, sql) {
        (0, "rollback") => [message(b'C', b"ROLLBACK\0"), ready(), error("FATAL", "57P01", "shutting down")].concat(),
        (_, sql) => bare_answer(sql),
    })
    .await;
    // The words come within the first run.
    let mut probe = fake.probe("");
    let failure = run(&mut probe, DEADLINE).await.0.unwrap_err();
    assert_eq!(failure.reason, Reason::Status, "{failure}");
    assert_eq!(run(&mut probe, DEADLINE).await.0, Ok(()));
    assert_eq!(fake.connections(), 2);
    // The first one falls silent between two runs.
    let pings = AtomicUsize::new(0);
    let fake = Fake::start(welcome(), move |number, sql| match (number, sql) {
        (0, "select 1") if pings.fetch_add(1, Ordering::SeqCst) == 1 => Vec::new(),
        (_, sql) => bare_answer(sql),
    })
    .await;
    let mut probe = fake.probe("");
    assert_eq!(run(&mut probe, DEADLINE).await.0, Ok(()));
    let (outcome, out) = run(&mut probe, Duration::from_secs(3)).await;
    assert_eq!(outcome, Ok(()));
    assert!(out.notes().iter().any(|(what, _)| *what == "connection"), "{:?}", out.notes());
    assert_eq!(fake.connections(), 2);
}

#[tokio::test]
async fn a_run_that_is_cut_off_takes_its_connection_with_it() {
    let fake = Fake::start(welcome(), |number, sql| match (number, sql) {
        (0, sql) if sql.contains("pg_locks") => Vec::new(),
        (_, sql) => bare_answer(sql),
    })
    .await;
    let mut probe = fake.probe("");
    let (outcome, _) = run(&mut probe, Duration::from_millis(500)).await;
    assert_eq!(outcome.unwrap_err().reason, Reason::Timeout);
    assert!(probe.kept.is_none());
    assert_eq!(run(&mut probe, DEADLINE).await.0, Ok(()));
    assert_eq!(fake.connections(), 2);
}

#[tokio::test]
async fn what_goes_on_at_the_server_is_ended_there_before_our_time_is_up() {
    let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
    let fake = {
        let seen = Arc::clone(&seen);
        Fake::start(welcome(), move |_, sql| {
            seen.lock().unwrap().push(sql.to_owned());
            bare_answer(sql)
        })
        .await
    };
    assert_eq!(run(&mut fake.probe(""), Duration::from_secs(10)).await.0, Ok(()));
    let seen = seen.lock().unwrap().clone();
    let begins: Vec<_> = seen.iter().filter_map(|sql| sql.strip_prefix("begin read only; ")).collect();
    assert!(begins.len() >= 6, "{seen:?}");
    for begin in begins {
        let rest = begin.strip_prefix("set local statement_timeout = ").unwrap();
        let (statement, rest) = rest.split_once("; set local lock_timeout = ").unwrap();
        let lock = rest.split_once(';').unwrap().0;
        let (statement, lock): (u64, u64) = (statement.parse().unwrap(), lock.parse().unwrap());
        assert!((5000..10_000).contains(&statement), "{begin}");
        assert!(lock < statement && rest.ends_with("search_path = pg_catalog"), "{begin}");
    }
}

#[tokio::test]
async fn other_queries_are_asked_although_one_fails() {
    let fake = Fake::start(welcome(), |_, sql| match sql {
        "broken" => [error("ERROR", "42P01", "no table for hunter2"), ready()].concat(),
        "good" => row("7"),
        sql => bare_answer(sql),
    })
    .await;
    let mut probe = fake.probe("queries: [{ name: a, sql: broken }, { name: b, sql: good }]");
    for _ in 0..2 {
        let (outcome, out) = run(&mut probe, DEADLINE).await;
        let failure = outcome.unwrap_err();
        assert_eq!(failure.reason, Reason::Query);
        assert_eq!(failure.detail, "the query a: no table for [hidden] (SQLSTATE 42P01)");
        let values: Vec<_> = out.gauges().iter().map(|reading| reading.value).collect();
        assert_eq!(values, [7.0]);
    }
    assert_eq!(fake.connections(), 1, "a refused query does not cost the connection");
}

#[tokio::test]
async fn a_server_without_tls_is_refused_where_tls_is_wanted() {
    let fake = Fake::bare().await;
    let mut probe = fake.probe("tls: {}");
    let failure = run(&mut probe, DEADLINE).await.0.unwrap_err();
    assert_eq!(failure.reason, Reason::Tls, "{failure}");
    assert!(failure.detail.contains("sslmode=disable"), "{failure}");
}

#[tokio::test]
async fn what_does_not_speak_postgresql_is_told_as_that() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let serving = tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
            let _ = stream.read_u64().await;
        }
    });
    let mut probe = build(&format!("url: postgres://banken@127.0.0.1:{port}/app"));
    let failure = run(&mut probe, DEADLINE).await.0.unwrap_err();
    serving.abort();
    assert_eq!(failure.reason, Reason::Protocol, "{failure}");
    assert!(failure.detail.ends_with("it said H"), "{failure}");
}

#[tokio::test]
async fn a_socket_that_is_not_there_is_no_connection() {
    let mut probe = build("url: postgres:///app?host=/nonexistent&user=banken");
    let failure = run(&mut probe, DEADLINE).await.0.unwrap_err();
    assert_eq!(failure.reason, Reason::Connect, "{failure}");
    assert!(failure.detail.contains("/nonexistent/.s.PGSQL.5432"), "{failure}");
}
