//! What is broken is repaired, once, and that is verified.

use super::server::{QUICK, Server, happened, history, sample, until_happened, until_state};
use crate::support::eventually;
use rustix::process::Signal;
use std::time::{Duration, Instant};

#[tokio::test]
async fn a_killed_server_is_restarted_and_that_is_verified() {
    let server = Server::start().await;
    let banken = server.guarded(&server.config(true, "")).await;
    assert_eq!(sample(&banken, "banken_remedy_armed", "").await, Some(1.0));
    let killed = Instant::now();
    server.kill();
    let recovered = until_happened(&banken, "recovered", 1).await;
    println!("killed → verified: {:?}; of its own saying {} s", killed.elapsed(), recovered["seconds"]);
    assert_eq!(happened(&banken), ["opened", "intent", "result", "recovered"]);
    let journal = history(&banken);
    assert!(journal.iter().all(|entry| entry["incident"] == journal[0]["incident"]), "{journal:#?}");
    assert_eq!((&journal[2]["outcome"], &journal[2]["attempt"]), (&"success".into(), &1.into()));
    assert_eq!(server.starts(), 2);
    banken.until_status("web", "healthy").await;
    until_state(&banken, "idle").await;
    let success = "action=\"command\",outcome=\"success\"";
    assert_eq!(sample(&banken, "banken_remedy_actions_total", success).await, Some(1.0));
    assert_eq!(sample(&banken, "banken_remedy_recovery_seconds_count", "").await, Some(1.0));
    let report = banken.json("/api/v1/status").await;
    assert_eq!(report["remedies"]["restart"]["recoveries"], 1, "{report:#}");
}

#[tokio::test]
async fn an_action_that_ends_well_and_does_not_help_is_no_recovery_and_ends_with_a_person() {
    let server = Server::start().await;
    let step = "- command: { argv: [ /bin/true ] }";
    let more = "    verify: { within: 2s }\n";
    let config = server.config_with(true, step, more).replace("start_grace: 5s", "start_grace: 0s");
    let banken = server.guarded(&config.replace("max_attempts: 1", "max_attempts: 2")).await;
    server.kill();
    until_happened(&banken, "gave_up", 1).await;
    let first_attempt = ["opened", "intent", "result", "not_helped", "backing_off"];
    assert_eq!(happened(&banken), [&first_attempt[..], &["intent", "result", "not_helped", "gave_up"]].concat());
    until_state(&banken, "exhausted").await;
    assert_eq!(sample(&banken, "banken_remedy_recovery_seconds_count", "").await, Some(0.0));
}

#[tokio::test]
async fn a_reload_while_it_acts_neither_cuts_the_step_off_nor_takes_it_twice() {
    let server = Server::start().await;
    let (begun, script) = (server.path("begun").display().to_string(), server.script());
    let slow = format!("- command: {{ argv: [ /bin/sh, -c, 'echo begun >>{begun}; sleep 1.5; {script}' ] }}");
    let config = server.config_with(true, &slow, "");
    let banken = server.guarded(&config).await;
    server.kill();
    eventually("the step has begun", async || std::fs::exists(&begun).unwrap().then_some(())).await;
    banken.write_config(&config.replace("retry_delay: 500ms", "retry_delay: 700ms"));
    banken.process.signal(Signal::HUP);
    let taken = "the configuration was reloaded";
    eventually(taken, async || banken.process.output().contains(taken).then_some(())).await;
    assert_eq!(server.starts(), 1, "the reload came after the step, which proves nothing");
    until_happened(&banken, "recovered", 1).await;
    assert_eq!(happened(&banken), ["opened", "intent", "result", "recovered"]);
    assert_eq!((std::fs::read_to_string(&begun).unwrap().lines().count(), server.starts()), (1, 2));
}

#[tokio::test]
async fn the_death_of_a_process_is_repaired_at_once_whatever_the_interval() {
    let server = Server::start().await;
    let probe = format!(
        "  - {{ name: process, interval: 1m, failure_threshold: 1, timeout: 5s, process: {{ pidfile: {} }} }}\nremedies:",
        server.path("pid").display()
    );
    let config = server
        .config(true, "    cooldown: 0s\n    recover_within: 2m\n")
        .replace("when: { probe: web }", "when: { probe: process }");
    let banken = server.guarded(&config.replace("remedies:", &probe)).await;
    banken.until_status("process", "healthy").await;
    let mut times = Vec::new();
    for round in 1..=3 {
        let killed = Instant::now();
        server.kill();
        while server.starts() <= round || !server.is_serving() {
            assert!(killed.elapsed() < Duration::from_secs(20), "{:#?}", history(&banken));
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        times.push(killed.elapsed());
        until_happened(&banken, "recovered", round).await;
        println!("process killed → serving again: {:?}; verified after {:?}", times[round - 1], killed.elapsed());
    }
    assert!(times.iter().min().unwrap() < &Duration::from_secs(1), "{times:?}");
    assert_eq!(server.starts(), 4);
}

#[tokio::test]
async fn the_later_step_is_taken_where_the_lighter_one_did_not_help() {
    let server = Server::start().await;
    let steps = format!("- command: {{ argv: [ /bin/true ] }}\n      - command: {{ argv: [ {} ] }}", server.script());
    let banken =
        server.guarded(&server.config_with(true, &steps, "").replace("start_grace: 5s", "start_grace: 1s")).await;
    assert!(QUICK.contains("100ms"), "looked at often enough for what follows");
    server.kill();
    until_happened(&banken, "recovered", 1).await;
    assert_eq!(happened(&banken), ["opened", "intent", "result", "not_helped", "intent", "result", "recovered"]);
    let steps: Vec<_> = history(&banken).iter().filter_map(|entry| entry["step"].as_u64()).collect();
    assert_eq!(steps, [1, 1, 2, 2]);
}
