//! What the demo writes into its log and reports of its cycles is seen, and so is what goes wrong with both.

use crate::support::{Banken, Demo, eventually, free_port};
use serde_json::Value;

/// A demo that reports its cycles to a Banken, which also reads its log.
struct Scene {
    demo: Demo,
    banken: Banken,
    _state: tempfile::TempDir,
}

impl Scene {
    async fn set() -> Self {
        let port = free_port();
        let url = format!("http://127.0.0.1:{port}/api/v1/jobs/continuous-processing");
        let demo = Demo::start(&["--jobs-url", &url, "--job-token", "s3cret", "--cycle", "500ms"]).await;
        let state = tempfile::tempdir().unwrap();
        let yaml = CONFIG
            .replace("PORT", &port.to_string())
            .replace("STATE", &state.path().display().to_string())
            .replace("FOLDER", &demo.folder.path().display().to_string());
        let banken = Banken::start(&yaml).await;
        Self { demo, banken, _state: state }
    }

    async fn job(&self, name: &str) -> Value {
        self.banken.json(&format!("/api/v1/jobs/{name}")).await
    }

    /// Waits until something is true of a job.
    async fn until_job(&self, name: &str, what: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        eventually(&format!("{name}: {what}"), async || {
            let job = self.job(name).await;
            is_so(&job).then_some(job)
        })
        .await
    }
}

const CONFIG: &str = r"
listen: 127.0.0.1:PORT
state_dir: STATE
host: false
logs:
  - name: app
    paths: [ FOLDER/app.log ]
    from: beginning
    patterns: [ builtin ]
    rules:
      - id: pattern_detected
        pattern: 'Pattern detected: (?P<shape>\w+)'
        severity: info
        captures: { shape: { values: [ double_top, double_bottom ] } }
jobs:
  - name: continuous-processing
    every: 2s
    grace: 1s
    thresholds: { duration: { warning: 3s, critical: 5s } }
    records: { min: 1, max: 10 }
    token: s3cret
  - name: atr-init
    log:
      name: app
      start: 'ATR initialization started'
      success: 'ATR initialization finished \(attempt \d+, (?P<seconds>[0-9.]+)s\)'
";

#[tokio::test]
async fn cycles_that_fail_hang_or_do_not_come_are_told_apart() {
    const JOB: &str = "continuous-processing";
    let scene = Scene::set().await;
    let job = scene.until_job(JOB, "runs end well", |job| job["runs"]["success"].as_u64() >= Some(2)).await;
    assert_eq!((job["status"].as_str(), job["late"].as_bool()), (Some("healthy"), Some(false)), "{job:#}");
    assert!((1.0..=10.0).contains(&job["records"].as_f64().unwrap()), "{job:#}");
    assert!(job["duration_seconds"].as_f64() > Some(0.0), "{job:#}");

    scene.demo.fault("job_fail", "").await;
    let job = scene.until_job(JOB, "a run failed", |job| job["status"] == "suspect").await;
    assert!(job["message"].as_str().unwrap().contains("psycopg2.OperationalError"), "{job:#}");
    scene.demo.reset().await;
    scene.until_job(JOB, "runs end well again", |job| job["status"] == "healthy").await;

    scene.demo.fault("job_slow", "value=1m").await;
    let job = scene.until_job(JOB, "it is slow while it runs", |job| job["severity"] == "critical").await;
    assert_eq!(job["running"], 1, "{job:#}");
    let started = r#"banken_job_started_timestamp_seconds{task="continuous-processing"}"#;
    assert!(scene.banken.sample(started).await.is_some());
    scene.demo.reset().await;
    scene.until_job(JOB, "the slow run has ended", |job| job["running"] == 0).await;
    let slow = r#"banken_job_run_seconds_bucket{le="5.0",task="continuous-processing"}"#;
    let all = r#"banken_job_run_seconds_count{task="continuous-processing"}"#;
    assert!(scene.banken.sample(slow).await < scene.banken.sample(all).await, "the long run is in the histogram");

    scene.demo.fault("job_skip", "").await;
    scene.until_job(JOB, "it is late", |job| job["status"] == "unhealthy").await;
    assert_eq!(scene.banken.sample(r#"banken_job_late{task="continuous-processing"}"#).await, Some(1.0));
    assert_eq!(scene.banken.json("/api/v1/status").await["overall_status"], "unhealthy");
    scene.demo.reset().await;
    scene.until_job(JOB, "it is no longer late", |job| job["status"] == "healthy").await;
}

#[tokio::test]
async fn lines_of_the_log_become_events_by_kind_errors_by_class_and_runs_of_a_job() {
    let scene = Scene::set().await;
    let job = scene.until_job("atr-init", "the round in the log has ended", |job| job["status"] == "healthy").await;
    assert_eq!(job["duration_seconds"].as_f64(), Some(3.2), "the line itself tells how long it took");
    assert_eq!(job["runs"]["success"], 1, "{job:#}");

    let shape = r#"banken_log_captures_total{log="app",pattern="pattern_detected",capture="shape",value="double_top"}"#;
    eventually("a pattern was detected", async || scene.banken.sample(shape).await.filter(|count| *count > 0.0)).await;
    let before = scene.banken.json("/api/v1/logs/app").await;
    assert_eq!(before["matches"].as_object().unwrap().keys().collect::<Vec<_>>(), ["pattern_detected"], "{before:#}");
    assert_eq!(scene.banken.json("/api/v1/status").await["logs"]["app"]["severity"], "info");

    scene.demo.fault("log_errors", "").await;
    let classes = [
        "database_connection_error",
        "disk_full",
        "http_5xx",
        "json_decode_error",
        "memory_error",
        "permission_denied",
        "port_in_use",
        "python_exception",
        "redis_connection_error",
        "ssl_certificate_error",
    ];
    let log = eventually("every class of errors was found", async || {
        let log = scene.banken.json("/api/v1/logs/app").await;
        classes.iter().all(|class| log["matches"][class]["count"].as_u64() > Some(0)).then_some(log)
    })
    .await;
    assert_eq!(log["severity"], "critical", "{log:#}");
    scene.demo.fault("atr_hang", "").await;
    let hanging = scene.until_job("atr-init", "it runs", |job| job["running"] == 1).await;
    assert_eq!(hanging["runs"]["success"], 1, "{hanging:#}");
    scene.demo.reset().await;
    scene.until_job("atr-init", "the hang is over", |job| job["runs"]["success"] == 2).await;
}
