//! `banken job`: the command comes first, the report second.

use super::{RUNS, samples, with_cycle};
use crate::support::{Banken, Process, eventually, free_port};
use serde_json::Value;
use std::process::Output;
use std::time::{Duration, Instant};

/// `banken job …` with an address, through to its end.
async fn job(url: &str, arguments: &[&str]) -> Output {
    let mut command = Banken::command();
    command.arg("job").args(arguments).env("BANKEN_URL", url);
    tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap()
}

async fn last_run(banken: &Banken) -> Value {
    banken.json("/api/v1/jobs/cycle").await["last_runs"][0].clone()
}

#[tokio::test]
async fn a_command_that_ends_well_is_a_success_with_its_duration_and_its_records() {
    let (banken, _state) = with_cycle("").await;
    let script = r#"cat; echo done; echo 7 > "$BANKEN_RECORDS_FILE"; sleep 0.2"#;
    let ended = job(&banken.base, &["run", "cycle", "--", "sh", "-c", script]).await;
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stdout)), (Some(0), "done\n".into()));
    assert_eq!(String::from_utf8_lossy(&ended.stderr), "");
    assert_eq!(samples(&banken, RUNS).await, [Some(1.0), Some(0.0), Some(0.0), Some(0.0)]);
    let run = last_run(&banken).await;
    assert_eq!((run["records"].as_f64(), run["message"].as_str()), (Some(7.0), Some("exit status 0")));
    assert!(run["duration_seconds"].as_f64() > Some(0.2), "{run:#}");
}

#[tokio::test]
async fn the_exit_status_of_a_command_is_kept_and_reported() {
    let (banken, _state) = with_cycle("").await;
    for (command, code, said) in [
        (&["sh", "-c", "exit 3"][..], 3, "exit status 3"),
        (&["sh", "-c", "kill -KILL $$"], 137, "killed by signal 9"),
        (&["/nonexistent/command"], 127, "it cannot be started"),
        (&["/etc/passwd"], 126, "it cannot be started"),
    ] {
        let ended = job(&banken.base, &[&["run", "cycle", "--"], command].concat()).await;
        assert_eq!(ended.status.code(), Some(code), "{command:?}");
        let run = last_run(&banken).await;
        assert!(run["result"] == "failure" && run["message"].as_str().unwrap().contains(said), "{run:#}");
    }
    assert_eq!(samples(&banken, RUNS).await, [Some(0.0), Some(4.0), Some(0.0), Some(0.0)]);
}

#[tokio::test]
async fn a_command_is_under_way_while_it_runs_and_is_sent_the_signals_that_come() {
    let (banken, _state) = with_cycle("").await;
    let mut command = Banken::command();
    let script = "trap 'exit 5' TERM; echo ready; while :; do sleep 0.05; done";
    command.args(["job", "run", "cycle", "--", "sh", "-c", script]).env("BANKEN_URL", &banken.base);
    let mut wrapper = Process::start(&mut command);
    eventually("the command is ready", async || wrapper.output().contains("ready").then_some(())).await;
    eventually("its run is under way", async || (samples(&banken, RUNS).await[3] == Some(1.0)).then_some(())).await;
    wrapper.signal(rustix::process::Signal::TERM);
    assert_eq!(wrapper.ended().await.code(), Some(5));
    assert_eq!(samples(&banken, RUNS).await, [Some(0.0), Some(1.0), Some(0.0), Some(0.0)]);
}

#[tokio::test]
async fn a_command_does_not_notice_that_banken_is_away() {
    let began = Instant::now();
    let url = format!("http://127.0.0.1:{}", free_port());
    let ended = job(&url, &["run", "cycle", "--", "sh", "-c", "echo done; exit 4"]).await;
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stdout)), (Some(4), "done\n".into()));
    let said = String::from_utf8_lossy(&ended.stderr);
    assert!(said.lines().count() == 1 && said.contains("cycle is not reported"), "{said}");
    assert!(began.elapsed() < Duration::from_secs(10));
}

#[tokio::test]
async fn a_banken_that_does_not_answer_holds_up_a_command_by_ten_seconds_at_most() {
    // Its connections are taken by the kernel, and nobody answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let began = Instant::now();
    let url = format!("http://{}", silent.local_addr().unwrap());
    let ended = job(&url, &["run", "cycle", "--", "true"]).await;
    assert_eq!(ended.status.code(), Some(0));
    let took = began.elapsed();
    assert!(took > Duration::from_secs(5) && took < Duration::from_secs(15), "{took:?}");
}

#[tokio::test]
async fn address_and_token_come_from_the_configuration_and_a_mistake_in_it_is_only_told() {
    let (banken, _state) = with_cycle("token: s3cret-token").await;
    let port = banken.base.rsplit(':').next().unwrap();
    let text = std::fs::read_to_string(banken.config_file()).unwrap();
    std::fs::write(banken.config_file(), text.replace("127.0.0.1:0", &format!("0.0.0.0:{port}"))).unwrap();
    let file = banken.config_file().display().to_string();
    let ended = job("", &["--config", &file, "run", "cycle", "--", "sh", "-c", "env; cat /proc/$PPID/cmdline"]).await;
    assert_eq!((ended.status.code(), String::from_utf8_lossy(&ended.stderr)), (Some(0), "".into()));
    assert!(!String::from_utf8_lossy(&ended.stdout).contains("s3cret"));
    assert_eq!(samples(&banken, RUNS).await[0], Some(1.0));
    // The configuration's token is not for another address.
    let ended = job(&banken.base, &["--config", &file, "success", "cycle"]).await;
    assert_eq!(ended.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("401"));
    std::fs::write(banken.config_file(), "nonsense: 1").unwrap();
    let ended = job("", &["--config", &file, "run", "cycle", "--", "sh", "-c", "exit 6"]).await;
    assert_eq!(ended.status.code(), Some(6));
    assert!(String::from_utf8_lossy(&ended.stderr).contains("configuration"));
}

#[tokio::test]
async fn single_steps_are_reported_and_fail_if_they_do_not_arrive() {
    let (banken, _state) = with_cycle("token: s3cret-token").await;
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "s3cret-token\n").unwrap();
    let token = token.display().to_string();
    let with_token =
        async |arguments: &[&str]| job(&banken.base, &[arguments, &["--token-file", &token]].concat()).await;
    assert_eq!(with_token(&["start", "cycle", "--run", "17"]).await.status.code(), Some(0));
    assert_eq!(samples(&banken, RUNS).await[3], Some(1.0));
    let ended = with_token(&["failure", "cycle", "--run", "17", "--records", "2", "--message", "no database"]).await;
    assert_eq!(ended.status.code(), Some(0));
    let run = last_run(&banken).await;
    assert_eq!((run["run"].as_str(), run["message"].as_str()), (Some("17"), Some("no database")));
    assert_eq!(with_token(&["success", "other"]).await.status.code(), Some(1));
    assert_eq!(job(&banken.base, &["success", "cycle"]).await.status.code(), Some(1));
    assert_eq!(job(&banken.base, &["success", "../../etc"]).await.status.code(), Some(2));
}
