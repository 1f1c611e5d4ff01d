//! Answers in the shapes of Docker and of Podman, as their documentation has them, and answers that are none.

use super::{config, sample};
use crate::logs::docker::{Container, Docker};
use crate::support::{Banken, eventually};
use serde_json::{Value, json};
use std::path::PathBuf;
use tempfile::TempDir;

const MIB: f64 = 1024.0 * 1024.0;

struct Stage {
    folder: TempDir,
    docker: Docker,
}

impl Stage {
    fn new(container: Option<Container>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let docker = Docker::start(folder.path().join("docker.sock"), container);
        Self { folder, docker }
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("docker.sock")
    }

    async fn banken(&self, interval: &str, more: &str) -> Banken {
        let yaml = config(interval, &self.socket(), &[("bot", &format!("name: bot{more}"))]);
        Banken::start(&yaml.replace("retry_interval", "timeout: 2s, retry_interval")).await
    }
}

/// As Docker says it with the first version of control groups.
fn stats(cpu: f64, usage: f64, cache: f64) -> Value {
    json!({
        "read": "2026-11-22T10:45:09.965915582Z",
        "preread": "0001-01-01T00:00:00Z",
        "pids_stats": { "current": 3, "limit": 28795 },
        "blkio_stats": { "io_service_bytes_recursive": null },
        "num_procs": 0,
        "cpu_stats": {
            "cpu_usage": { "total_usage": (cpu * 1e9) as u64, "usage_in_kernelmode": 0, "usage_in_usermode": 0 },
            "system_cpu_usage": 1_091_561_298_u64,
            "online_cpus": 2,
        },
        "precpu_stats": { "cpu_usage": { "total_usage": 0 } },
        "memory_stats": {
            "usage": (usage * MIB) as u64,
            "limit": (512.0 * MIB) as u64,
            "stats": { "inactive_file": 4096, "total_inactive_file": (cache * MIB) as u64 },
        },
        "name": "/bot",
    })
}

fn running(restarts: u64, more: &Value) -> Value {
    let mut state = json!({
        "Status": "running", "Running": true, "Paused": false, "Restarting": false, "OOMKilled": false, "Dead": false,
        "Pid": 56, "ExitCode": 0, "Error": "",
        "StartedAt": "2026-11-22T10:45:00.5Z", "FinishedAt": "0001-01-01T00:00:00Z",
    });
    for (key, value) in more.as_object().unwrap() {
        state[key] = value.clone();
    }
    json!({ "RestartCount": restarts, "State": state })
}

fn bot() -> Container {
    Container { inspect: running(4, &json!({})), stats: Some(stats(50.0, 100.0, 30.0)), ..Container::new("abc") }
}

#[tokio::test]
async fn dockers_numbers_are_published_as_docker_stats_shows_them_and_counters_go_on() {
    let stage = Stage::new(Some(bot()));
    let banken = stage.banken("100ms", "").await;
    banken.until_status("bot", "healthy").await;
    for (family, value) in [
        ("banken_container_running", 1.0),
        ("banken_container_memory_bytes", 70.0 * MIB),
        ("banken_container_memory_limit_bytes", 512.0 * MIB),
        ("banken_container_pids", 3.0),
        ("banken_container_start_timestamp_seconds", 1_795_344_300.5),
        ("banken_container_cpu_seconds_total", 0.0),
        ("banken_container_restarts_total", 0.0),
    ] {
        assert_eq!(sample(&banken, family, "bot").await, Some(value), "{family}");
    }
    let until = async |family: &str, value: f64| {
        eventually(&format!("{family} is {value}"), async || {
            (sample(&banken, family, "bot").await? == value).then_some(())
        })
        .await;
    };
    stage.docker.change(|bot| bot.stats = Some(stats(52.5, 10.0, 0.0)));
    until("banken_container_cpu_seconds_total", 2.5).await;
    // It was started again: its own counters begin anew.
    stage.docker.change(|bot| {
        bot.inspect = running(6, &json!({ "StartedAt": "2026-11-22T11:00:00Z" }));
        bot.stats = Some(stats(60.0, 10.0, 0.0));
    });
    until("banken_container_restarts_total", 2.0).await;
    until("banken_container_cpu_seconds_total", 62.5).await;
    // It was made anew under the same name.
    let anew =
        Container { inspect: running(1, &json!({})), stats: Some(stats(1.0, 10.0, 0.0)), ..Container::new("def") };
    stage.docker.set(Some(anew));
    until("banken_container_restarts_total", 3.0).await;
    until("banken_container_cpu_seconds_total", 63.5).await;
    // It ends between the two questions, which each of them says in its own way.
    let nothing = json!({ "pids_stats": {}, "cpu_stats": { "cpu_usage": {} }, "memory_stats": {} });
    for stats in [None, Some(nothing)] {
        stage.docker.change(|bot| bot.stats = stats);
        eventually("nothing is measured", async || {
            sample(&banken, "banken_container_memory_bytes", "bot").await.is_none().then_some(())
        })
        .await;
        assert_eq!(banken.until_status("bot", "healthy").await["incidents"], 0);
        stage.docker.change(|bot| bot.stats = Some(self::stats(1.0, 10.0, 0.0)));
        until("banken_container_memory_bytes", 10.0 * MIB).await;
    }
    until("banken_container_cpu_seconds_total", 63.5).await;
}

#[tokio::test]
async fn every_trouble_has_its_reason_and_is_over_when_it_is_over() {
    let stage = Stage::new(Some(bot()));
    let banken = stage.banken("100ms", "").await;
    let log = json!([{ "ExitCode": 1, "Output": "connection\nrefused" }]);
    let sick = json!({ "Health": { "Status": "unhealthy", "FailingStreak": 3, "Log": log } });
    let paused = json!({ "Status": "paused", "Paused": true });
    let ended = json!({
        "Status": "exited", "Running": false, "ExitCode": 137, "OOMKilled": true, "FinishedAt": "2026-11-22T10:46:00Z",
    });
    for (inspect, reason, words) in [
        (
            running(4, &sick),
            "status",
            "3 checks in a row have failed; the last one ended with exit code 1 and said: connection refused",
        ),
        (running(4, &paused), "status", "bot is paused"),
        (running(4, &ended), "exit", "exit code 137 (signal 9), out of memory, at 2026-11-22T10:46:00Z"),
        (json!({ "State": 7 }), "json", "not understood"),
    ] {
        stage.docker.change(|bot| bot.inspect = inspect.clone());
        banken.until_reason("bot", reason).await;
        let said = banken.message("bot").await;
        assert!(said.contains(words), "{said} does not say {words:?}");
        stage.docker.change(|bot| bot.inspect = running(4, &json!({})));
        banken.until_status("bot", "healthy").await;
    }
    stage.docker.change(|bot| bot.stats = Some(json!({ "memory_stats": { "usage": "much" } })));
    banken.until_reason("bot", "json").await;
    assert_eq!(sample(&banken, "banken_container_running", "bot").await, Some(1.0), "what was said before is kept");
    stage.docker.change(|bot| bot.stats = Some(Value::Null));
    let detail = banken.until_reason("bot", "timeout").await;
    assert!(detail["message"].as_str().unwrap().contains("in the phase wait"), "{detail:#}");
    stage.docker.set(None);
    banken.until_reason("bot", "missing").await;
    // It may have gone between the two questions of one run; the next one knows.
    eventually("it is known that it does not run", async || {
        (sample(&banken, "banken_container_running", "bot").await == Some(0.0)).then_some(())
    })
    .await;
    stage.docker.set(Some(bot()));
    banken.until_status("bot", "healthy").await;
    let Stage { folder, docker } = stage;
    drop(docker);
    banken.until_reason("bot", "connect").await;
    std::fs::remove_file(folder.path().join("docker.sock")).unwrap();
    eventually("it is said what to do", async || {
        banken.message("bot").await.contains("mount its socket").then_some(())
    })
    .await;
    assert_eq!(sample(&banken, "banken_container_running", "bot").await, None, "nothing is known of it");
}

#[tokio::test]
async fn an_event_wakes_the_probe_and_docker_may_go_away_meanwhile() {
    let stage = Stage::new(Some(bot()));
    let banken = stage.banken("1h", "").await;
    banken.until_status("bot", "healthy").await;
    let filters = eventually("events are asked for", async || stage.docker.filters()).await;
    assert_eq!(filters["container"], json!(["bot"]));
    assert_eq!(filters["type"], json!(["container"]));
    assert!(filters["event"].as_array().unwrap().contains(&json!("die")), "{filters}");
    let ended = json!({ "Status": "exited", "Running": false, "ExitCode": 1, "FinishedAt": "2026-11-22T10:46:00Z" });
    stage.docker.change(|bot| bot.inspect = running(4, &ended));
    banken.until_reason("bot", "exit").await;
    stage.docker.change(|bot| bot.inspect = running(4, &json!({})));
    eventually("it runs again", async || {
        (sample(&banken, "banken_container_running", "bot").await? == 1.0).then_some(())
    })
    .await;
}
