//! Drives the probe against fakes. `tests/system/postgres.rs` drives it against real servers.

mod fake;

use self::fake::{Fake, bare_answer, error, message, ready, row, welcome};
use super::{Config, Probe};
use crate::observation::{Failure, Readings, Reason};
use crate::probe::{Context, Probe as _, Settings as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
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

#[tokio::test]
async fn a_server_that_knows_little_is_well_and_what_it_does_not_know_is_noted() {
    let fake = Fake::bare().await;
    let mut probe = build(&fake.block(""));
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
        (message(b'E', &vec![0; 2 << 20]), Reason::Limit, "more than 1 MiB"),
    ];
    for (login, reason, words) in cases {
        let fake = Fake::start(login, |_, _| Vec::new()).await;
        let failure = run(&mut build(&fake.block("")), DEADLINE).await.0.unwrap_err();
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
    let mut probe = build(&fake.block(""));
    let failure = run(&mut probe, DEADLINE).await.0.unwrap_err();
    assert_eq!(failure.reason, Reason::Status, "{failure}");
    assert_eq!(run(&mut probe, DEADLINE).await.0, Ok(()));
    assert_eq!(fake.connections(), 2);
    // It ends with the answer to a question.
    let fake = Fake::start(welcome(), |number, sql| match (number, sql) {
        (0, sql) if sql.contains("pg_locks") => error("FATAL", "57P01", "shutting down"),
        (_, sql) => bare_answer(sql),
    })
    .await;
    let mut probe = build(&fake.block(""));
    let failure = run(&mut probe, DEADLINE).await.0.unwrap_err();
    assert_eq!(failure.reason, Reason::Status, "{failure}");
    assert_eq!(run(&mut probe, DEADLINE).await.0, Ok(()));
    // The first one falls silent between two runs.
    let pings = AtomicUsize::new(0);
    let fake = Fake::start(welcome(), move |number, sql| match (number, sql) {
        (0, "select 1") if pings.fetch_add(1, Ordering::SeqCst) == 1 => Vec::new(),
        (_, sql) => bare_answer(sql),
    })
    .await;
    let mut probe = build(&fake.block(""));
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
    let mut probe = build(&fake.block(""));
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
    assert_eq!(run(&mut build(&fake.block("")), Duration::from_secs(10)).await.0, Ok(()));
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
    let mut probe = build(&fake.block("queries: [{ name: a, sql: broken }, { name: b, sql: good }]"));
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
    let mut probe = build(&fake.block("tls: {}"));
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

/// An address of this machine that is no loopback; nothing is sent to find it.
fn outer_address() -> Option<std::net::IpAddr> {
    let socket = std::net::UdpSocket::bind("0.0.0.0:0").ok()?;
    socket.connect("192.0.2.1:9").ok()?;
    socket.local_addr().ok().map(|address| address.ip()).filter(|ip| !ip.is_loopback())
}

#[tokio::test]
async fn a_password_is_sent_in_clear_to_this_machine_and_to_no_other() {
    let heard = Arc::new(std::sync::Mutex::new(Vec::new()));
    let fake = {
        let heard = Arc::clone(&heard);
        Fake::start(message(b'R', &[0, 0, 0, 3]), move |_, said| {
            heard.lock().unwrap().push(said.to_owned());
            if said == "hunter2" { welcome() } else { bare_answer(said) }
        })
        .await
    };
    let url =
        |host: &str, mode: &str| format!("url: postgres://banken:hunter2@{host}:{}/app?sslmode={mode}", fake.port);
    for mode in ["disable", "prefer"] {
        assert_eq!(run(&mut build(&url("127.0.0.1", mode)), DEADLINE).await.0, Ok(()), "{mode}");
        assert_eq!(heard.lock().unwrap().drain(..).next().as_deref(), Some("hunter2"));
    }
    // A machine without a network has nobody else to send it to.
    let Some(outer) = outer_address() else { return };
    for mode in ["disable", "prefer"] {
        let failure = run(&mut build(&url(&outer.to_string(), mode)), DEADLINE).await.0.unwrap_err();
        assert_eq!(failure.reason, Reason::Auth, "{mode}: {failure}");
        assert!(failure.detail.contains("in clear"), "{mode}: {failure}");
        assert_eq!(heard.lock().unwrap().len(), 0, "{mode}");
    }
}

#[tokio::test]
async fn a_connection_is_not_kept_for_ever() {
    let fake = Fake::bare().await;
    let mut probe = build(&fake.block(""));
    for (minutes, connections) in [(0, 1), (14, 1), (2, 2)] {
        tokio::time::pause();
        tokio::time::advance(Duration::from_secs(minutes * 60)).await;
        tokio::time::resume();
        assert_eq!(run(&mut probe, DEADLINE).await.0, Ok(()));
        assert_eq!(fake.connections(), connections, "after {minutes} more minutes");
    }
}

#[tokio::test]
async fn a_connection_on_which_an_answer_is_left_over_is_not_kept() {
    let fake = Fake::start(welcome(), |_, sql| match sql {
        "twice" => [&row("1")[..row("1").len() - ready().len()], &row("2")].concat(),
        sql => bare_answer(sql),
    })
    .await;
    let mut probe = build(&fake.block("queries: [{ name: a, sql: twice }, { name: b, sql: never }]"));
    let failure = run(&mut probe, DEADLINE).await.0.unwrap_err();
    assert_eq!(
        (failure.reason, failure.detail.as_str()),
        (Reason::Query, "the query a: it gives several answers: write one statement")
    );
    assert!(probe.kept.is_none());
}
