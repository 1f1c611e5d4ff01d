//! The kind postgres against real servers, as a role that has `pg_monitor` only.

pub mod server;

use self::server::{PASSWORD, Server};
use crate::support::{Banken, eventually};
use rustix::process::Signal;

/// A probe of this name against a URL, with more lines in its block.
fn entry(name: &str, url: &str, more: &str) -> String {
    let more: Vec<_> = more.lines().map(|line| format!("      {line}\n")).collect();
    format!("  - name: {name}\n    postgres:\n      url: '{url}'\n{}", more.concat())
}

/// Fast enough that nobody waits, patient enough for a busy machine.
fn config(entries: &[String]) -> String {
    let defaults = "defaults: { interval: 300ms, retry_interval: 100ms, timeout: 10s }";
    format!("host: false\n{defaults}\nprobes:\n{}", entries.concat())
}

/// Waits until a figure of a probe is as wanted.
async fn until(banken: &Banken, series: &str, wanted: impl Fn(f64) -> bool) -> f64 {
    let what = format!("{series} is as wanted");
    eventually(&what, async || banken.sample(series).await.filter(|value| wanted(*value))).await
}

async fn figure(banken: &Banken, name: &str) -> Option<f64> {
    banken.sample(&format!("banken_postgres_{name}{{probe=\"db\"}}")).await
}

async fn runs(banken: &Banken, probe: &str) -> f64 {
    banken.sample(&format!("banken_probe_runs_total{{probe=\"{probe}\",kind=\"postgres\"}}")).await.unwrap()
}

async fn failures(banken: &Banken, probe: &str) -> f64 {
    let scrape = banken.metrics().await;
    let of_probe = format!("banken_probe_failures_total{{probe=\"{probe}\",");
    let lines = scrape.lines().filter(|line| line.starts_with(&of_probe));
    lines.map(|line| line.rsplit_once(' ').unwrap().1.parse::<f64>().unwrap()).sum()
}

/// Waits for so many more runs.
async fn more_runs(banken: &Banken, probe: &str, more: f64) {
    let before = runs(banken, probe).await;
    eventually("it runs on", async || (runs(banken, probe).await >= before + more).then_some(())).await;
}

#[tokio::test]
async fn a_role_that_may_only_monitor_sees_everything() {
    let server = Server::start_with("shared_preload_libraries = 'pg_stat_statements'").await;
    server.app("create extension pg_stat_statements");
    server.app("create table orders (status text, n int)");
    server.app("insert into orders select 'paid', i from generate_series(1, 30) as i");
    server.app("insert into orders select 'open', i from generate_series(1, 10) as i");
    server.app("delete from orders where n <= 5");
    server.app("select pg_sleep(0.3)");
    server.app("grant select on orders to banken");
    let queries = "slow: 200ms\nqueries:\n  \
                   - { name: orders, sql: 'select count(*) from orders -- all', min: 1 }\n  \
                   - { name: by-status, sql: 'select status, avg(n) from orders group by status', labels: [status] }\n";
    let limits = "    thresholds: { connections: { warning: 80% }, transaction: { warning: 60s, critical: 5m } }\n";
    let banken = Banken::start(&config(&[entry("db", &server.url(), queries) + limits])).await;
    let detail = banken.until_status("db", "healthy").await;
    assert!(detail.to_string().contains("PostgreSQL 1"), "{detail:#}");
    assert_eq!(figure(&banken, "connections_max").await, Some(20.0));
    assert_eq!(figure(&banken, "in_recovery").await, Some(0.0));
    assert_eq!(figure(&banken, "replication_lag_seconds").await, None, "a primary is not behind");
    assert_eq!(figure(&banken, "waiting_locks").await, Some(0.0));
    assert_eq!(figure(&banken, "last_vacuum_timestamp_seconds").await, None, "there was none");
    assert!(figure(&banken, "connections").await >= Some(1.0));
    assert!(figure(&banken, "database_bytes").await > Some(1e6));
    assert!(figure(&banken, "transaction_id_age").await > Some(0.0));
    assert!(figure(&banken, "start_timestamp_seconds").await > Some(1.7e9));
    assert!(figure(&banken, "longest_transaction_seconds").await.is_some());
    assert!(figure(&banken, "longest_query_seconds").await.is_some());
    assert!(figure(&banken, "slow_statements").await >= Some(1.0), "pg_sleep was slow");
    assert!(figure(&banken, "slowest_statement_seconds").await >= Some(0.3));
    until(&banken, "banken_postgres_statement_mean_seconds{probe=\"db\"}", |mean| mean > 0.0).await;
    until(&banken, "banken_postgres_dead_tuples{probe=\"db\"}", |dead| dead == 10.0).await;
    assert_eq!(figure(&banken, "dead_tuple_ratio").await, Some(0.25));
    let value = async |labels: &str| banken.sample(&format!("banken_query_value{{probe=\"db\",{labels}}}")).await;
    assert_eq!(value("query=\"orders\"").await, Some(30.0));
    assert_eq!(value("query=\"by-status\",row=\"paid\"").await, Some(18.0));
    assert_eq!(value("query=\"by-status\",row=\"open\"").await, Some(8.0));
    server.app("vacuum orders");
    until(&banken, "banken_postgres_last_vacuum_timestamp_seconds{probe=\"db\"}", |at| at > 1.7e9).await;
    until(&banken, "banken_postgres_dead_tuples{probe=\"db\"}", |dead| dead == 0.0).await;
    more_runs(&banken, "db", 5.0).await;
    assert_eq!(server.connections_of_banken(), 1, "one connection is kept");
    assert_eq!(failures(&banken, "db").await, 0.0);
    // What another session does is seen.
    let lock = server.session("begin; lock table orders; select pg_sleep(60)");
    let locked = "select count(*) from pg_locks where mode = 'AccessExclusiveLock' and granted and relation::regclass::text = 'orders'";
    eventually("the table is locked", async || (server.app(locked) == "1").then_some(())).await;
    let waiting = server.session("select count(*) from orders");
    until(&banken, "banken_postgres_waiting_locks{probe=\"db\"}", |count| count >= 1.0).await;
    until(&banken, "banken_postgres_longest_transaction_seconds{probe=\"db\"}", |age| age > 1.0).await;
    until(&banken, "banken_postgres_longest_query_seconds{probe=\"db\"}", |age| age > 1.0).await;
    let detail = banken.until_reason("db", "timeout").await;
    assert!(
        detail["message"].as_str().unwrap().contains("lock timeout"),
        "our own query waits too, but not long: {detail:#}"
    );
    drop((waiting, lock));
}

#[tokio::test]
async fn what_a_role_may_not_see_or_a_server_does_not_have_is_left_out() {
    let server = Server::start().await;
    server.sql("revoke pg_monitor from banken");
    let other = server.session("begin; select pg_sleep(60)");
    let banken = Banken::start(&config(&[entry("db", &server.url(), "")])).await;
    let hidden = async || banken.probe("db").await.to_string().contains("grant it pg_monitor").then_some(());
    eventually("the other session is there", hidden).await;
    assert!(figure(&banken, "connections").await >= Some(2.0), "it is counted all the same");
    for name in ["longest_transaction_seconds", "longest_query_seconds", "slow_statements"] {
        assert_eq!(figure(&banken, name).await, None, "{name}");
    }
    let detail = banken.until_status("db", "healthy").await.to_string();
    assert!(detail.contains("pg_stat_statements is not installed"), "{detail}");
    // Installed, but its library was not loaded.
    server.app("create extension pg_stat_statements");
    let refused = async || banken.probe("db").await.to_string().contains("shared_preload_libraries").then_some(());
    eventually("it is noted why", refused).await;
    assert_eq!(failures(&banken, "db").await, 0.0);
    drop(other);
}

#[tokio::test]
async fn a_login_that_is_refused_says_why() {
    let server = Server::start().await;
    server.sql("create database closed allow_connections false");
    server.sql("create database private");
    server.sql("revoke connect on database private from public");
    server.sql("create role nobody login password 'nobody-else'");
    server.sql("alter role nobody connection limit 0");
    let at = format!("127.0.0.1:{}", server.port);
    let cases = [
        ("password", format!("postgres://banken:wr0ng-word@{at}/app"), "auth"),
        ("none", format!("postgres://banken@{at}/app"), "auth"),
        ("private", format!("postgres://banken:{PASSWORD}@{at}/private"), "auth"),
        ("database", format!("postgres://banken:{PASSWORD}@{at}/nowhere"), "missing"),
        ("closed", format!("postgres://banken:{PASSWORD}@{at}/closed"), "status"),
        ("full", format!("postgres://nobody:nobody-else@{at}/app"), "limit"),
        ("clear", format!("postgres://banken:{PASSWORD}@{at}/app?sslmode=require"), "tls"),
    ];
    let entries: Vec<_> = cases.iter().map(|(name, url, _)| entry(name, url, "")).collect();
    let banken = Banken::start(&config(&entries)).await;
    let mut shown = String::new();
    for (name, _, reason) in &cases {
        let detail = banken.until_status(name, "unhealthy").await;
        assert_eq!(detail["reason"], *reason, "{detail:#}");
        shown += &detail.to_string();
    }
    shown += &banken.metrics().await;
    shown += &banken.process.output();
    for secret in [PASSWORD, "wr0ng-word", "nobody-else"] {
        assert!(!shown.contains(secret), "{secret} is shown");
    }
    server.sql("alter role banken password 'another'");
    server.sql("alter role banken password null");
    assert!(server.process.output().contains("FATAL"), "{}", server.process.output());
}

#[tokio::test]
async fn tls_is_verified_and_the_login_is_bound_to_the_certificate() {
    let (folder, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let (lines, ca) = Server::tls(folder.path());
    let (_, other_ca) = Server::tls(other.path());
    let server = Server::start_with(&lines).await;
    let url = server.url();
    let tls = |ca: &std::path::Path| format!("tls: {{ ca: {{ file: {} }} }}", ca.display());
    let entries = [
        entry("good", &format!("{url}?sslmode=verify-full&channel_binding=require"), &tls(&ca)),
        entry("wrong-ca", &url, &tls(&other_ca)),
        entry("unknown-ca", &format!("{url}?sslmode=require"), ""),
        entry("wrong-name", &url, &tls(&ca).replace(" } }", " }, server_name: db.example }")),
        entry("unverified", &url, "tls: { verify: false }"),
        entry("offered", &url, ""),
        entry("never", &format!("{url}?sslmode=disable"), ""),
    ];
    let banken = Banken::start(&config(&entries)).await;
    let verified = async |probe: &str| {
        banken.sample(&format!("banken_probe_tls_verified{{probe=\"{probe}\",kind=\"postgres\"}}")).await
    };
    for (probe, expected) in [("good", Some(1.0)), ("unverified", Some(0.0)), ("offered", Some(0.0)), ("never", None)] {
        banken.until_status(probe, "healthy").await;
        assert_eq!(verified(probe).await, expected, "{probe}");
    }
    for probe in ["wrong-ca", "unknown-ca", "wrong-name"] {
        let detail = banken.until_status(probe, "unhealthy").await;
        assert_eq!(detail["reason"], "tls", "{detail:#}");
        assert_eq!(verified(probe).await, Some(0.0), "{probe}");
    }
    more_runs(&banken, "good", 3.0).await;
    let expires = "banken_probe_tls_not_after_timestamp_seconds{probe=\"good\",kind=\"postgres\"}";
    assert!(banken.sample(expires).await > Some(1.7e9), "a kept connection still says when the certificate expires");
    let encrypted = "select count(*) from pg_stat_ssl join pg_stat_activity using (pid)
                     where ssl and application_name = 'banken'";
    assert_eq!(server.sql(encrypted), "3");
    assert_eq!(server.connections_of_banken(), 4);
}

#[tokio::test]
async fn a_unix_socket_needs_no_network() {
    let server = Server::start().await;
    let url = format!(
        "postgres:///app?host={}&port={}&user=banken&password={PASSWORD}",
        server.folder().display(),
        server.port
    );
    let banken = Banken::start(&config(&[entry("db", &url, "")])).await;
    let detail = banken.until_status("db", "healthy").await;
    assert!(detail.to_string().contains(".s.PGSQL."), "{detail:#}");
    assert_eq!(figure(&banken, "connections_max").await, Some(20.0));
}

#[tokio::test]
async fn a_server_that_was_restarted_between_two_runs_costs_no_failure() {
    let server = Server::start().await;
    let url = server.url();
    // So rarely that the restart is over before the next run; retries come soon.
    let slow = config(&[entry("db", &url, "")]).replace("interval: 300ms", "interval: 15s");
    let banken = Banken::start(&slow).await;
    banken.until_status("db", "healthy").await;
    // The second run is on the grid; from then on there is a whole interval.
    more_runs(&banken, "db", 1.0).await;
    let started = figure(&banken, "start_timestamp_seconds").await.unwrap();
    let before = runs(&banken, "db").await;
    let server = server.end().await.await;
    assert_eq!(runs(&banken, "db").await, before, "the restart took too long for this test");
    until(&banken, "banken_postgres_start_timestamp_seconds{probe=\"db\"}", |at| at > started).await;
    assert_eq!(failures(&banken, "db").await, 0.0);
    assert_eq!(server.connections_of_banken(), 1);
    let detail = banken.probe("db").await.to_string();
    assert!(detail.contains("was replaced"), "{detail}");
    // While it is down, that is a failure; afterwards it is well again.
    banken.write_config(&config(&[entry("db", &url, "")]));
    banken.process.signal(Signal::HUP);
    let again = server.end().await;
    banken.until_reason("db", "connect").await;
    let server = again.await;
    banken.until_status("db", "healthy").await;
    assert_eq!(server.connections_of_banken(), 1);
}

#[tokio::test]
async fn a_query_that_takes_too_long_is_ended_at_the_server() {
    let server = Server::start().await;
    let queries = "queries:\n  - { name: slow, sql: 'select pg_sleep(3600)' }\n  - { name: quick, sql: 'select 1' }\n";
    let config = config(&[entry("db", &server.url(), queries)]).replace("timeout: 10s", "timeout: 2s");
    let banken = Banken::start(&config).await;
    let detail = banken.until_reason("db", "timeout").await;
    assert!(detail["message"].as_str().unwrap().contains("the query slow"), "{detail:#}");
    assert!(figure(&banken, "connections").await.is_some(), "what was known before is told");
    banken.write_config("host: false\nprobes: []\n");
    banken.process.signal(Signal::HUP);
    let sleeping = "select count(*) from pg_stat_activity where query like '%pg_sleep(3600)%'
                    and state = 'active' and pid <> pg_backend_pid()";
    eventually("nothing goes on there", async || (server.sql(sleeping) == "0").then_some(())).await;
    eventually("the connection is closed", async || (server.connections_of_banken() == 0).then_some(())).await;
}

#[tokio::test]
async fn a_server_that_stands_still_is_a_timeout_and_leaves_no_connections_behind() {
    let server = Server::start().await;
    let slow = config(&[entry("db", &server.url(), "")]).replace("timeout: 10s", "timeout: 2s");
    let banken = Banken::start(&slow).await;
    banken.until_status("db", "healthy").await;
    // The server and the process that serves us.
    let backend = server.sql("select pid from pg_stat_activity where application_name = 'banken'");
    let backend = rustix::process::Pid::from_raw(backend.parse().unwrap()).unwrap();
    server.process.signal(Signal::STOP);
    rustix::process::kill_process(backend, Signal::STOP).unwrap();
    let detail = banken.until_status("db", "unhealthy").await;
    assert_eq!(detail["reason"], "timeout", "{detail:#}");
    server.process.signal(Signal::CONT);
    rustix::process::kill_process(backend, Signal::CONT).unwrap();
    banken.until_status("db", "healthy").await;
    eventually("one connection is left", async || (server.connections_of_banken() == 1).then_some(())).await;
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off_and_harms_nobody() {
    let server = Server::start().await;
    let queries = "queries:\n  \
                   - { name: rows, sql: 'select generate_series(1, 1000000000) as i, 1 as n', labels: [i] }\n";
    let large = "queries:\n  - { name: large, sql: \"select repeat('x', 50000000)\" }\n";
    let banken =
        Banken::start(&config(&[entry("many", &server.url(), queries), entry("large", &server.url(), large)])).await;
    let detail = banken.until_status("many", "unhealthy").await;
    assert_eq!(detail["reason"], "limit", "{detail:#}");
    assert!(detail["message"].as_str().unwrap().contains("the query rows: it gives more than 100 rows"), "{detail:#}");
    let detail = banken.until_status("large", "unhealthy").await;
    assert_eq!(detail["reason"], "limit", "{detail:#}");
    assert!(!banken.metrics().await.contains("banken_query_value{"), "half an answer is none");
    banken.write_config("host: false\nprobes: []\n");
    banken.process.signal(Signal::HUP);
    eventually("nothing goes on there", async || (server.connections_of_banken() == 0).then_some(())).await;
}

#[tokio::test]
async fn nothing_can_be_changed_and_what_a_query_breaks_is_told() {
    let server = Server::start().await;
    server.app("create table t (n int)");
    server.app("grant all on t to banken");
    let queries = "queries:\n  \
                   - { name: write, sql: 'insert into t values (1) returning n' }\n  \
                   - { name: range, sql: 'select 11', max: 10 }\n";
    let banken = Banken::start(&config(&[entry("db", &server.url(), queries)])).await;
    let detail = banken.until_status("db", "unhealthy").await;
    assert_eq!(detail["reason"], "query", "{detail:#}");
    assert!(detail["message"].as_str().unwrap().contains("read-only transaction (SQLSTATE 25006)"), "{detail:#}");
    assert_eq!(banken.sample("banken_query_value{probe=\"db\",query=\"range\"}").await, Some(11.0));
    assert_eq!(server.app("select count(*) from t"), "0");
    assert_eq!(server.connections_of_banken(), 1, "a refused statement does not cost the connection");
}

#[tokio::test]
async fn a_standby_says_how_far_it_is_behind() {
    let primary = Server::start().await;
    let standby = primary.standby().await;
    primary.app("create table t (n int)");
    let banken = Banken::start(&config(&[entry("db", &standby.url(), "")])).await;
    banken.until_status("db", "healthy").await;
    assert_eq!(figure(&banken, "in_recovery").await, Some(1.0));
    let lag = "banken_postgres_replication_lag_seconds{probe=\"db\"}";
    until(&banken, lag, |lag| lag == 0.0).await;
    assert_eq!(figure(&banken, "dead_tuples").await, None, "a standby does not count them");
    // Received but not replayed.
    standby.sql("select pg_wal_replay_pause()");
    primary.app("insert into t values (1)");
    until(&banken, lag, |lag| lag > 0.5).await;
    standby.sql("select pg_wal_replay_resume()");
    until(&banken, lag, |lag| lag == 0.0).await;
    assert_eq!(failures(&banken, "db").await, 0.0);
}
