//! What happens to the process itself: it grows, it spins, it ends.

use crate::stage::{Scrape, Stage, path, replaced, until_sample};
use crate::support::{Banken, Process, eventually};
use rustix::process::Signal;
use std::process::Command;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const MIB: u64 = 1 << 20;

async fn of_process(banken: &Banken, family: &str) -> Option<f64> {
    Scrape::of(banken).await.value(&format!("{family}{{probe=\"process\"}}"))
}

#[tokio::test]
async fn memory_that_grows_crosses_one_threshold_after_the_other() {
    let stage = Stage::set().await;
    let before = of_process(&stage.banken, "banken_process_resident_memory_bytes").await.unwrap() as u64;
    let levels = [before + 16 * MIB, before + 32 * MIB];
    let config = std::fs::read_to_string(stage.banken.config_file()).unwrap();
    let memory = format!("memory: {{ warning: {}, critical: {} }}", levels[0], levels[1]);
    stage.banken.write_config(&replaced(&config, "memory: { warning: 512MiB, critical: 2GiB }", &memory));
    stage.banken.process.signal(Signal::HUP);
    eventually("the new threshold is published", async || {
        let series = "banken_process_memory_threshold_bytes{probe=\"process\",severity=\"warning\"}";
        (Scrape::of(&stage.banken).await.value(series) == Some(levels[0] as f64)).then_some(())
    })
    .await;
    stage.demo.fault("memory", "value=64MiB").await;
    for (severity, level) in ["warning", "critical"].into_iter().zip(levels) {
        let detail = eventually(&format!("{severity} is crossed"), async || {
            let detail = stage.banken.probe("process").await;
            (detail["severity"] == severity).then_some(detail)
        })
        .await;
        assert!(detail["message"].as_str().unwrap().contains(severity), "{detail:#}");
        let resident = of_process(&stage.banken, "banken_process_resident_memory_bytes").await;
        assert!(resident > Some(level as f64), "{resident:?}");
    }
    assert_eq!(stage.banken.json("/api/v1/status").await["overall_status"], "unhealthy");
    stage.demo.reset().await;
    eventually("it shrinks again", async || stage.banken.probe("process").await["severity"].is_null().then_some(()))
        .await;
    stage.nobody_else_was_disturbed(&[]).await;
}

#[tokio::test]
async fn a_thread_that_spins_shows_in_the_cores_used() {
    let stage = Stage::set().await;
    let ratio = async || of_process(&stage.banken, "banken_process_cpu_ratio").await.filter(|ratio| *ratio <= 0.4);
    eventually("it is idle", &ratio).await;
    stage.demo.fault("cpu", "").await;
    eventually("it uses over half a core", async || {
        of_process(&stage.banken, "banken_process_cpu_ratio").await.filter(|ratio| *ratio > 0.5)
    })
    .await;
    stage.demo.reset().await;
    eventually("it is idle again", &ratio).await;
    stage.nobody_else_was_disturbed(&[]).await;
}

#[tokio::test]
async fn a_crash_is_an_exit_and_refused_connections_until_the_service_is_back() {
    let Stage { mut demo, banken } = Stage::set().await;
    let pid = demo.process.pid();
    demo.fault("crash", "").await;
    assert_eq!(demo.process.ended().await.code(), Some(1));
    let victims = [("process", "exit"), ("ticker", "connect"), ("secure", "connect"), ("port", "connect")];
    for (probe, reason) in victims {
        let detail = banken.until_status(probe, "unhealthy").await;
        assert_eq!(detail["reason"], reason, "{detail:#}");
    }
    let message = banken.probe("process").await["message"].to_string();
    assert!(message.contains(&format!("pid {pid} ended")), "{message}");
    assert_eq!(of_process(&banken, "banken_process_up").await, Some(0.0));
    assert_eq!(of_process(&banken, "banken_process_restarts_total").await, Some(0.0));

    let stage = Stage { demo: demo.start_again().await, banken };
    for (probe, _) in victims {
        let detail = stage.banken.until_status(probe, "healthy").await;
        assert_eq!(path(&detail), ["healthy", "suspect", "unhealthy", "healthy"], "{detail:#}");
        until_sample(&stage.banken, probe, ("banken_probe_incidents_total", ""), |count| count == 1.0).await;
    }
    assert_eq!(of_process(&stage.banken, "banken_process_up").await, Some(1.0));
    assert_eq!(of_process(&stage.banken, "banken_process_restarts_total").await, Some(1.0));
    stage.banken.until_status("dashboard", "healthy").await;
    eventually("everything is healthy again", async || {
        (stage.banken.json("/api/v1/status").await["overall_status"] == "healthy").then_some(())
    })
    .await;
    // The host did not notice.
    assert_eq!(path(&stage.banken.probe("host").await), ["healthy"]);
}

#[tokio::test]
async fn the_exit_of_a_watched_process_is_noticed_at_once_however_long_the_interval() {
    const PROCESSES: usize = 5;
    let folder = tempfile::tempdir().unwrap();
    let sleepers = [(); PROCESSES].map(|()| Process::start(Command::new("sleep").arg("600")));
    let mut config = "host: false\ndefaults: { interval: 60s, retry_interval: 60s }\nprobes:\n".to_owned();
    for (number, sleeper) in sleepers.iter().enumerate() {
        let pidfile = folder.path().join(format!("{number}.pid"));
        std::fs::write(&pidfile, sleeper.pid().to_string()).unwrap();
        config += &format!("  - name: sleeper-{number}\n    process: {{ pidfile: {} }}\n", pidfile.display());
    }
    let banken = Banken::start(&config).await;
    let mut delays = Vec::new();
    for (number, mut sleeper) in sleepers.into_iter().enumerate() {
        let name = format!("sleeper-{number}");
        banken.until_status(&name, "healthy").await;
        let killed = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        sleeper.signal(Signal::KILL);
        banken.until_reason(&name, "exit").await;
        // No other run is due for a minute, so this is the one that noticed.
        let family = ("banken_probe_last_run_timestamp_seconds", "");
        delays.push(until_sample(&banken, &name, family, |_| true).await - killed);
        sleeper.ended().await;
    }
    delays.sort_by(f64::total_cmp);
    // The machine may be busy at one moment; it is not at most of them.
    let median = Duration::from_secs_f64(delays[PROCESSES / 2]);
    assert!(median < Duration::from_millis(100), "{delays:?}");
}
