//! `banken init` on a machine with PostgreSQL, Redis, nginx and Prometheus. It connects to whatever listens, so it has a
//! test program of its own: others would be disturbed.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test ends where it fails")]
#![allow(dead_code, reason = "the servers are shared with the tests of the whole system")]

#[path = "system/postgres/server.rs"]
mod postgres;
#[path = "system/redis/server.rs"]
mod redis;
#[path = "system/prometheus/servers.rs"]
mod servers;
#[path = "system/support.rs"]
mod support;

use serde_json::Value;
use std::path::Path;
use std::process::{Command, Output};
use support::{Banken, Process, free_port};

fn init(folder: &Path, arguments: &[&str]) -> Output {
    Banken::command().arg("init").args(arguments).current_dir(folder).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// The entry of the configuration whose block says this, with its comments: back to the block before it.
fn entry(config: &str, words: &str) -> String {
    let lines: Vec<_> = config.lines().collect();
    let end = lines.iter().position(|line| line.contains(words));
    let end = end.unwrap_or_else(|| panic!("nothing is proposed with {words:?}:\n{config}"));
    let is_former = |line: &&str| line.is_empty() || (line.starts_with("    ") && !line.starts_with("    group:"));
    let begin = lines[..end].iter().rposition(is_former).map_or(0, |former| former + 1);
    lines[begin..=end].join("\n")
}

#[tokio::test]
async fn what_runs_on_a_machine_becomes_a_configuration_that_is_accepted_and_works() {
    let (postgres, redis) = tokio::join!(postgres::Server::start(), redis::Redis::start(""));
    let nginx = servers::Nginx::start(free_port()).await;
    let prometheus = servers::Prometheus::start("  []").await;
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("bot.py");
    std::fs::write(&script, "import time\ntime.sleep(600)\n").unwrap();
    let bot = Process::start(Command::new("python3").arg(&script).arg("--api-key=hunter2"));
    // What is called python3 may be a script that looks for the real one first.
    support::eventually("the bot runs", async || {
        let program = std::fs::read_link(format!("/proc/{}/exe", bot.pid())).ok()?;
        program.file_name()?.to_str()?.starts_with("python").then_some(())
    })
    .await;

    let said = init(folder.path(), &[]);
    assert!(said.status.success(), "{}", text(&said.stderr));
    let said = text(&said.stdout);
    assert!(said.starts_with("banken.yml: ") && said.contains("banken check banken.yml"), "{said}");
    let config = std::fs::read_to_string(folder.path().join("banken.yml")).unwrap();
    assert!(!config.contains("hunter2"), "{config}");

    let blocks = [
        ("postgres", format!("tcp: {{ address: '127.0.0.1:{}' }}", postgres.port)),
        ("redis", format!("redis: {{ address: '127.0.0.1:{}' }}", redis.port)),
        ("nginx", format!("http: {{ url: 'http://127.0.0.1:{}/' }}", nginx.port)),
        ("nginx", format!("'https://127.0.0.1:{}/', tls: {{ verify: false }}", nginx.tls_port)),
        ("prometheus", format!("http: {{ url: '{}/-/healthy' }}", prometheus.base())),
        ("bot-process", format!("process: {{ cmdline: '{}' }}", regex::escape(script.to_str().unwrap()))),
    ];
    for (name, block) in &blocks {
        let entry = entry(&config, block);
        assert!(entry.contains(&format!("- name: {name}")), "{entry}");
        assert!(!entry.contains("did not answer"), "{entry}");
    }
    assert!(entry(&config, &blocks[0].1).contains("pg_monitor"), "how to see more is said");

    let check = Banken::command().args(["check", "banken.yml"]).current_dir(folder.path()).output().unwrap();
    assert!(check.status.success(), "{}\n{config}", text(&check.stdout) + &text(&check.stderr));
    let once = Banken::command().args(["--config", "banken.yml", "once"]).current_dir(folder.path()).output().unwrap();
    let report: Value = serde_json::from_slice(&once.stdout).unwrap();
    let healthy = report["checks"].as_object().unwrap().values().filter(|check| check["status"] == "healthy").count();
    assert!(healthy >= blocks.len(), "{report:#}");
}

#[tokio::test]
async fn a_configuration_that_is_there_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("banken.yml");
    std::fs::write(&path, "listen: 127.0.0.1:1\n").unwrap();
    let said = init(folder.path(), &["--no-trial"]);
    assert_eq!(said.status.code(), Some(1));
    assert!(text(&said.stderr).contains("banken.yml is there already"), "{}", text(&said.stderr));
    std::os::unix::fs::symlink("/nowhere/at/all", folder.path().join("link.yml")).unwrap();
    assert_eq!(init(folder.path(), &["--no-trial", "--output", "link.yml"]).status.code(), Some(1));
    assert_eq!(std::fs::read_to_string(path).unwrap(), "listen: 127.0.0.1:1\n");

    let shown = init(folder.path(), &["--no-trial", "--output", "-"]);
    assert!(text(&shown.stdout).contains("\nprobes:"), "{}", text(&shown.stdout));
}
