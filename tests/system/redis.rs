//! Redis servers of Debian's package, and what Banken says of them.

pub mod server;

use crate::support::{Banken, eventually, value_of};
use serde_json::Value;
use server::Redis;
use std::path::Path;
use tokio::net::TcpStream;

const CONFIG: &str = "host: false\ndefaults: { interval: 200ms, retry_interval: 100ms, timeout: 5s }\nprobes:\n";

/// A Banken with these probes.
async fn banken(entries: &[String]) -> Banken {
    Banken::start(&format!("{CONFIG}{}", entries.concat())).await
}

/// A sample of this kind.
async fn sample(banken: &Banken, probe: &str, family: &str) -> Option<f64> {
    banken.sample(&format!("banken_redis_{family}{{probe=\"{probe}\",kind=\"redis\"}}")).await
}

/// Waits until a sample is as wanted.
async fn until(banken: &Banken, probe: &str, family: &str, wanted: impl Fn(f64) -> bool) -> f64 {
    let what = format!("{family} of {probe} is as wanted");
    eventually(&what, async || sample(banken, probe, family).await.filter(|value| wanted(*value))).await
}

async fn until_exactly(banken: &Banken, probe: &str, family: &str, wanted: f64) {
    until(banken, probe, family, |value| value == wanted).await;
}

fn message(detail: &Value) -> &str {
    detail["message"].as_str().unwrap()
}

#[tokio::test]
async fn what_is_published_is_what_redis_cli_says() {
    let redis = Redis::start("maxmemory 64mb\nmaxclients 200\nappendonly yes").await;
    for number in 0..7 {
        redis.cli(&["SET", &format!("key{number}"), "value"]).await;
    }
    redis.cli(&["-n", "3", "SET", "other", "value", "EX", "1000"]).await;
    let thresholds =
        "thresholds: { memory: { info: 1KiB }, clients: { warning: 90% }, memory_ratio: { critical: 99% } },";
    let banken = banken(&[redis.entry("all", "", thresholds), redis.entry("third", "database: 3", "")]).await;
    let detail = banken.until_status("all", "healthy").await;
    assert_eq!(detail["severity"], "info", "{detail:#}");
    assert_eq!(detail["notes"]["address"], format!("127.0.0.1:{}", redis.port));
    let version = redis.info("redis_version").await;
    assert_eq!(detail["notes"]["server"], format!("Redis {version}, role master"));
    for (family, key) in [
        ("memory_max_bytes", "maxmemory"),
        ("clients_max", "maxclients"),
        ("clients_blocked", "blocked_clients"),
        ("loading", "loading"),
        ("last_save_timestamp_seconds", "rdb_last_save_time"),
        ("changes_since_save", "rdb_changes_since_last_save"),
        ("replicas_online", "connected_slaves"),
    ] {
        let expected: f64 = redis.info(key).await.parse().unwrap();
        until_exactly(&banken, "all", family, expected).await;
    }
    until_exactly(&banken, "all", "keys", 8.0).await;
    until_exactly(&banken, "all", "keys_expiring", 1.0).await;
    until_exactly(&banken, "third", "keys", 1.0).await;
    // Two probes, each with one connection that it keeps.
    until_exactly(&banken, "all", "clients_connected", 2.0).await;
    for family in ["last_save_success", "append_success"] {
        until_exactly(&banken, "all", family, 1.0).await;
    }
    let used: f64 = redis.info("used_memory").await.parse().unwrap();
    until(&banken, "all", "memory_used_bytes", |value| (used / 2.0..used * 2.0).contains(&value)).await;
    assert!(sample(&banken, "all", "ping_seconds").await.unwrap() > 0.0);
    assert!(sample(&banken, "all", "replication_link_up").await.is_none());
    for (role, value) in [("master", 1.0), ("replica", 0.0)] {
        let series = format!("banken_redis_role{{probe=\"all\",kind=\"redis\",role=\"{role}\"}}");
        assert_eq!(banken.sample(&series).await, Some(value));
    }
    let hits = sample(&banken, "all", "keyspace_hits_total").await.unwrap();
    for key in ["key1", "key2", "none"] {
        redis.cli(&["GET", key]).await;
    }
    until_exactly(&banken, "all", "keyspace_hits_total", hits + 2.0).await;
    until_exactly(&banken, "all", "keyspace_misses_total", 1.0).await;
    let accepted: f64 = redis.info("total_connections_received").await.parse().unwrap();
    let clients = async || redis.info("total_connections_received").await.parse::<f64>().unwrap();
    let runs = banken.probe("all").await["runs"].as_u64().unwrap();
    eventually("some more runs", async || (banken.probe("all").await["runs"].as_u64()? > runs + 5).then_some(())).await;
    assert_eq!(clients().await, accepted + 1.0, "redis-cli is the only one who connects anew");
}

#[tokio::test]
async fn who_we_are_decides_what_is_told_and_no_password_is_shown() {
    let redis = Redis::start(
        "user default off\nuser watch on >watch-hunter2 -@all +ping +info\nuser pinger on >pinger-hunter2 -@all +ping\n\
         user blind on >blind-hunter2 -@all +info",
    )
    .await;
    let open = Redis::start("requirepass open-hunter2").await;
    let as_user = |user: &str, password: &str| format!("username: {user}, password: {password}");
    let entries = [
        redis.entry("watch", &as_user("watch", "watch-hunter2"), ""),
        redis.entry("pinger", &as_user("pinger", "pinger-hunter2"), ""),
        redis.entry("pinger-expects", &(as_user("pinger", "pinger-hunter2") + ", expect: { role: master }"), ""),
        redis.entry("blind", &as_user("blind", "blind-hunter2"), ""),
        redis.entry("wrong", &as_user("watch", "wrong-hunter2"), ""),
        redis.entry("nobody", "", ""),
        open.entry("default", "password: open-hunter2", ""),
        open.entry("default-wrong", "password: wrong-hunter2", ""),
        open.entry("default-none", "", ""),
    ];
    let banken = Banken::start_with(&format!("{CONFIG}{}", entries.concat()), &["--log-level", "trace"]).await;
    let mut shown = String::new();
    for (probe, keys) in [("watch", true), ("pinger", false), ("default", true)] {
        let detail = banken.until_status(probe, "healthy").await;
        assert_eq!(sample(&banken, probe, "keys").await.is_some(), keys, "{probe}");
        assert!(sample(&banken, probe, "ping_seconds").await.is_some(), "{probe}");
        assert_eq!(detail["notes"]["info"].is_string(), !keys, "{detail:#}");
        shown += &detail.to_string();
    }
    let words = [
        ("pinger-expects", "expect cannot be checked, because INFO is refused: NOPERM"),
        ("blind", "PING is refused: NOPERM"),
        ("wrong", "the user \"watch\" or its password is refused (WRONGPASS)"),
        ("nobody", "NOAUTH Authentication required"),
        ("default-wrong", "the password is refused (WRONGPASS)"),
        ("default-none", "set password"),
    ];
    for (probe, words) in words {
        let detail = banken.until_status(probe, "unhealthy").await;
        assert_eq!(detail["reason"], "auth", "{detail:#}");
        assert!(message(&detail).contains(words), "{detail:#}");
        shown += &detail.to_string();
    }
    shown += &banken.metrics().await;
    shown += &banken.process.output();
    assert!(!shown.contains("hunter2"), "{shown}");
}

/// An authority, a certificate of the server and one of a client, in files of a folder.
fn certificates(folder: &Path) {
    let write = |name: &str, text: String| std::fs::write(folder.join(name), text).unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut authority = rcgen::CertificateParams::default();
    authority.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    authority.distinguished_name.push(rcgen::DnType::CommonName, "Authority of a test");
    let issuer = rcgen::Issuer::from_params(&authority, &key);
    write("ca.pem", authority.self_signed(&key).unwrap().pem());
    for name in ["server", "client"] {
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new(["127.0.0.1".to_owned()]).unwrap();
        write(&format!("{name}.pem"), leaf.signed_by(&key, &issuer).unwrap().pem());
        write(&format!("{name}.key"), key.serialize_pem());
    }
}

#[tokio::test]
async fn over_tls_the_certificate_is_verified_and_its_date_told_in_every_run() {
    let folder = tempfile::tempdir().unwrap();
    certificates(folder.path());
    let file = |name: &str| folder.path().join(name).display().to_string();
    let tls_port = crate::support::free_port();
    let mutual_port = crate::support::free_port();
    let options = |port: u16, clients: &str| {
        format!(
            "tls-port {port}\ntls-cert-file {}\ntls-key-file {}\ntls-ca-cert-file {}\ntls-auth-clients {clients}",
            file("server.pem"),
            file("server.key"),
            file("ca.pem")
        )
    };
    let _open = Redis::start(&options(tls_port, "no")).await;
    let _mutual = Redis::start(&options(mutual_port, "yes")).await;
    let entry = |name: &str, port: u16, tls: &str| {
        format!("  - {{ name: {name}, redis: {{ address: 127.0.0.1:{port}, tls: {{ {tls} }} }} }}\n")
    };
    let ca = format!("ca: {{ file: {} }}", file("ca.pem"));
    let client = format!("{ca}, cert: {{ file: {} }}, key: {{ file: {} }}", file("client.pem"), file("client.key"));
    let banken = banken(&[
        entry("good", tls_port, &ca),
        entry("stranger", tls_port, ""),
        entry("lenient", tls_port, "verify: false"),
        entry("known", mutual_port, &client),
        entry("unknown", mutual_port, &ca),
    ])
    .await;
    for probe in ["good", "lenient", "known"] {
        banken.until_status(probe, "healthy").await;
    }
    let detail = eventually("a run on the kept connection", async || {
        let detail = banken.probe("good").await;
        (detail["runs"].as_u64()? > 3 && detail["phases"]["tls"].is_null()).then_some(detail)
    })
    .await;
    let labels = |probe: &str| format!("{{probe=\"{probe}\",kind=\"redis\"}}");
    let scrape = banken.metrics().await;
    assert!(
        value_of(&scrape, &format!("banken_probe_tls_not_after_timestamp_seconds{}", labels("good"))) > Some(1e9),
        "{detail:#}"
    );
    for (probe, verified) in [("good", 1.0), ("stranger", 0.0), ("lenient", 0.0), ("known", 1.0)] {
        assert_eq!(
            value_of(&scrape, &format!("banken_probe_tls_verified{}", labels(probe))),
            Some(verified),
            "{probe}"
        );
    }
    for probe in ["stranger", "unknown"] {
        let detail = banken.until_status(probe, "unhealthy").await;
        assert_eq!(detail["reason"], "tls", "{detail:#}");
    }
}

#[tokio::test]
async fn a_replica_is_seen_to_lose_its_master() {
    let mut master = Redis::start("repl-diskless-sync-delay 0").await;
    let replica = Redis::start(&format!("replicaof 127.0.0.1 {}", master.port)).await;
    let lag = "thresholds: { replication_lag: { critical: 1h } },";
    let banken = banken(&[
        master.entry("master", "expect: { role: master, min_replicas: 1 }", ""),
        replica.entry("replica", "", lag),
        replica.entry("linked", "expect: { role: replica, link_up: true }", ""),
        replica.entry("mistaken", "expect: { role: master }", ""),
    ])
    .await;
    for probe in ["master", "replica", "linked"] {
        banken.until_status(probe, "healthy").await;
    }
    until_exactly(&banken, "master", "replicas_online", 1.0).await;
    until_exactly(&banken, "replica", "replication_link_up", 1.0).await;
    until(&banken, "replica", "replication_lag_seconds", |lag| lag < 60.0).await;
    until(&banken, "master", "replication_lag_seconds", |lag| lag < 60.0).await;
    let detail = banken.until_status("mistaken", "unhealthy").await;
    assert!(message(&detail).contains("it is a replica, and a master was expected"), "{detail:#}");

    master.kill().await;
    banken.until_reason("master", "connect").await;
    until_exactly(&banken, "replica", "replication_link_up", 0.0).await;
    let detail = banken.until_status("linked", "unhealthy").await;
    assert_eq!(detail["reason"], "status", "{detail:#}");
    assert!(message(&detail).contains("its link to its master has been down for"), "{detail:#}");
    assert_eq!(banken.probe("replica").await["status"], "healthy", "it answers, and nothing more was expected");

    replica.cli(&["CONFIG", "SET", "replica-serve-stale-data", "no"]).await;
    let detail = banken.until_status("replica", "unhealthy").await;
    assert!(message(&detail).contains("MASTERDOWN"), "{detail:#}");
    until_exactly(&banken, "replica", "replication_link_up", 0.0).await;
}

#[tokio::test]
async fn a_server_that_is_stopped_is_a_timeout_and_recovers() {
    let redis = Redis::start("").await;
    let banken = banken(&[redis.entry("stopped", "", "timeout: 1s,")]).await;
    banken.until_status("stopped", "healthy").await;
    redis.process.signal(rustix::process::Signal::STOP);
    let detail = banken.until_status("stopped", "unhealthy").await;
    redis.process.signal(rustix::process::Signal::CONT);
    assert_eq!(detail["reason"], "timeout", "{detail:#}");
    assert!(message(&detail).contains("wait"), "{detail:#}");
    banken.until_status("stopped", "healthy").await;
}

#[tokio::test]
async fn when_the_server_is_started_again_the_connection_is_replaced_and_no_counter_goes_back() {
    let mut redis = Redis::start("").await;
    let banken = banken(&[redis.entry("again", "", "")]).await;
    banken.until_status("again", "healthy").await;
    let families = ["commands_total", "connections_total", "keyspace_hits_total"];
    let values = async || {
        let scrape = banken.metrics().await;
        families.map(|family| {
            let series = format!("banken_redis_{family}{{probe=\"again\",kind=\"redis\"}}");
            value_of(&scrape, &series).unwrap_or_else(|| panic!("{series} is gone: {scrape}"))
        })
    };
    let mut last = values().await;
    let mut look = async || {
        let now = values().await;
        assert!(now.iter().zip(last).all(|(now, before)| *now >= before), "{now:?} after {last:?}");
        last = now;
        now
    };
    for round in 1..=2 {
        let [before, ..] = look().await;
        for number in 0..50 {
            redis.cli(&["SET", &format!("key{number}"), "x"]).await;
        }
        eventually("what was done is counted", async || (look().await[0] >= before + 50.0).then_some(())).await;
        redis = redis.start_again().await;
        redis.cli(&["SET", "there", "x"]).await;
        let hits = look().await[2];
        redis.cli(&["GET", "there"]).await;
        // The first look after the start finds it, whenever that is.
        eventually("what was done after the start is counted", async || (look().await[2] == hits + 1.0).then_some(()))
            .await;
        banken.until_status("again", "healthy").await;
        look().await;
        assert!(redis.process.is_running(), "round {round}");
    }
}

#[tokio::test]
async fn a_connection_that_the_server_closes_is_no_failure() {
    let redis = Redis::start("").await;
    let banken = banken(&[redis.entry("idle", "", "")]).await;
    banken.until_status("idle", "healthy").await;
    let mut renewed = 0;
    eventually("connections were replaced three times", async || {
        redis.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
        let detail = eventually("a new connection", async || {
            let detail = banken.probe("idle").await;
            detail["notes"]["renewed"].is_string().then_some(detail)
        })
        .await;
        assert_eq!(detail["failures"], serde_json::json!({}), "{detail:#}");
        let runs = detail["runs"].as_u64()?;
        eventually("the next run", async || (banken.probe("idle").await["runs"].as_u64()? > runs).then_some(())).await;
        renewed += 1;
        (renewed == 3).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_server_with_all_the_clients_it_may_have_turns_others_away() {
    let redis = Redis::start("maxclients 4").await;
    let thresholds = "thresholds: { clients: { warning: 50%, critical: 90% } },";
    let banken = banken(&[redis.entry("full", "", thresholds)]).await;
    banken.until_status("full", "healthy").await;
    until_exactly(&banken, "full", "connections_rejected_total", 0.0).await;
    let connect = || TcpStream::connect(("127.0.0.1", redis.port));
    let _three = [connect().await.unwrap(), connect().await.unwrap(), connect().await.unwrap()];
    until_exactly(&banken, "full", "clients_connected", 4.0).await;
    let _rejected = [connect().await.unwrap(), connect().await.unwrap()];
    until(&banken, "full", "connections_rejected_total", |count| count >= 2.0).await;
    let detail = eventually("the threshold is crossed", async || {
        let detail = banken.probe("full").await;
        (detail["severity"] == "critical").then_some(detail)
    })
    .await;
    assert_eq!(detail["status"], "healthy", "our connection is one of the four: {detail:#}");
    let mut command = Banken::command();
    command.arg("--config").arg(banken.config_file()).args(["probe", "full"]);
    let output = tokio::process::Command::from(command).output().await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("reason    limit\n") && text.contains("max number of clients"), "{text}");
}

#[tokio::test]
async fn a_save_that_fails_is_seen_whether_or_not_writes_go_on() {
    let redis = Redis::start("save 3600 1000000").await;
    let banken = banken(&[redis.entry("plain", "", ""), redis.entry("saved", "expect: { saved: true }", "")]).await;
    for probe in ["plain", "saved"] {
        banken.until_status(probe, "healthy").await;
    }
    // A folder where the file should be: it fails for root too.
    let dump = redis.folder().join("dump.rdb");
    std::fs::create_dir(&dump).unwrap();
    redis.cli(&["SET", "key", "value"]).await;
    redis.cli(&["BGSAVE"]).await;
    let detail = banken.until_status("plain", "unhealthy").await;
    assert_eq!(detail["reason"], "status", "{detail:#}");
    assert!(message(&detail).contains("MISCONF"), "{detail:#}");
    until_exactly(&banken, "plain", "last_save_success", 0.0).await;
    until_exactly(&banken, "plain", "changes_since_save", 1.0).await;

    redis.cli(&["CONFIG", "SET", "stop-writes-on-bgsave-error", "no"]).await;
    banken.until_status("plain", "healthy").await;
    let detail = eventually("the save is what fails", async || {
        let detail = banken.probe("saved").await;
        message(&detail).contains("its last save failed").then_some(detail)
    })
    .await;
    assert_eq!(detail["reason"], "status", "{detail:#}");
    until_exactly(&banken, "plain", "last_save_success", 0.0).await;

    std::fs::remove_dir(&dump).unwrap();
    redis.cli(&["BGSAVE"]).await;
    banken.until_status("saved", "healthy").await;
    until_exactly(&banken, "plain", "last_save_success", 1.0).await;
    until_exactly(&banken, "plain", "changes_since_save", 0.0).await;
}
