//! Runs are reported over HTTP and by `banken job`, and survive what may come.

mod wrapper;

use crate::support::{Banken, Process, client, eventually, page_of, value_of};
use reqwest::Response;
use serde_json::{Value, json};

/// A configuration with jobs; its state is kept in a folder that the caller owns.
pub fn config(state: &tempfile::TempDir, jobs: &str) -> String {
    format!("host: false\nstate_dir: {}\njobs:\n{jobs}", state.path().display())
}

/// A Banken with a job `cycle`, and the folder of its state.
pub async fn with_cycle(more: &str) -> (Banken, tempfile::TempDir) {
    let state = tempfile::tempdir().unwrap();
    let banken = Banken::start(&config(&state, &format!("  - {{ name: cycle, {more} }}\n"))).await;
    (banken, state)
}

async fn post(base: &str, path: &str, body: impl Into<reqwest::Body>) -> Response {
    client().post(format!("{base}/api/v1/jobs/{path}")).body(body).send().await.unwrap()
}

async fn report(base: &str, step: &str, body: Value) -> Value {
    let answer = post(base, &format!("cycle/{step}"), body.to_string()).await;
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

/// The samples of the job `cycle`, by family and further labels.
async fn samples<const N: usize>(banken: &Banken, series: [&str; N]) -> [Option<f64>; N] {
    let scrape = banken.metrics().await;
    series.map(|series| value_of(&scrape, series))
}

const RUNS: [&str; 4] = [
    r#"banken_job_runs_total{task="cycle",result="success"}"#,
    r#"banken_job_runs_total{task="cycle",result="failure"}"#,
    r#"banken_job_runs_total{task="cycle",result="abandoned"}"#,
    r#"banken_job_running{task="cycle"}"#,
];

#[tokio::test]
async fn overlapping_runs_are_counted_and_measured_apart() {
    let (banken, _state) = with_cycle("records: { min: 1, max: 10 }").await;
    assert_eq!(samples(&banken, RUNS).await, [Some(0.0); 4]);
    report(&banken.base, "start", json!({"run": "a"})).await;
    let answer = report(&banken.base, "start", json!({"run": "b", "message": "begun"})).await;
    assert_eq!(answer, json!({"task": "cycle", "run": "b", "running": 2, "late": null}));
    report(&banken.base, "success", json!({"run": "a", "records": 7})).await;
    report(&banken.base, "failure", json!({"run": "b", "duration_seconds": 90.5, "message": "no\ndatabase"})).await;
    // The simplest report of all.
    assert_eq!(post(&banken.base, "cycle/success?records=3", "").await.status(), 200);
    assert_eq!(samples(&banken, RUNS).await, [Some(2.0), Some(1.0), Some(0.0), Some(0.0)]);
    let more = [
        r#"banken_job_duration_seconds{task="cycle"}"#,
        r#"banken_job_records{task="cycle"}"#,
        r#"banken_job_run_seconds_count{task="cycle"}"#,
        r#"banken_job_run_seconds_bucket{le="120.0",task="cycle"}"#,
        r#"banken_job_late{task="cycle"}"#,
    ];
    assert_eq!(samples(&banken, more).await, [Some(90.5), Some(3.0), Some(2.0), Some(2.0), None]);
    let detail = banken.json("/api/v1/jobs/cycle").await;
    assert_eq!(detail["last_runs"][1]["message"], "no database", "{detail:#}");
    assert_eq!(detail["last_runs"][2]["run"], "a", "{detail:#}");
    assert_eq!(detail["under_way"], json!([]), "{detail:#}");
}

#[tokio::test]
async fn who_has_no_token_or_another_one_is_refused_and_so_is_an_unknown_job() {
    let (banken, _state) = with_cycle("token: s3cret-token").await;
    let status = async |path: &str, token: Option<&str>| {
        let request = client().post(format!("{}/api/v1/jobs/{path}", banken.base));
        let request = match token {
            Some(token) => request.bearer_auth(token),
            None => request,
        };
        request.send().await.unwrap()
    };
    for token in [None, Some("s3cret"), Some("")] {
        let answer = status("cycle/start", token).await;
        assert_eq!((answer.status().as_u16(), answer.headers()["www-authenticate"].as_bytes()), (401, &b"Bearer"[..]));
        assert!(!answer.text().await.unwrap().contains("s3cret"));
    }
    assert_eq!(samples(&banken, RUNS).await, [Some(0.0); 4]);
    assert_eq!(status("cycle/start", Some("s3cret-token")).await.status(), 200);
    let unknown = status("other/start", Some("s3cret-token")).await;
    assert_eq!(unknown.status(), 404);
    assert!(unknown.text().await.unwrap().contains("under jobs:"));
    assert_eq!(status("cycle/begin", Some("s3cret-token")).await.status(), 404);
    assert_eq!(banken.status_code("/api/v1/jobs/other").await, 404);
    assert!(!banken.process.output().contains("s3cret"));
}

#[tokio::test]
async fn what_cannot_be_taken_is_refused_with_the_reason_and_counts_nothing() {
    let (banken, _state) = with_cycle("").await;
    let long = json!({"message": "x".repeat(9000)}).to_string();
    for (body, status, said) in [
        ("{".to_owned(), 400, "the body is wrong"),
        (json!({"record": 1}).to_string(), 400, "unknown field `record`"),
        (json!({"records": -1}).to_string(), 400, "not negative"),
        (json!({"run": "x".repeat(200)}).to_string(), 400, "at most 128"),
        (long, 413, "larger than 8192 bytes"),
        ("x".repeat(100_000), 413, ""),
    ] {
        let answer = post(&banken.base, "cycle/success", body).await;
        assert_eq!(answer.status(), status);
        let text = answer.text().await.unwrap();
        assert!(text.contains(said), "{text}");
    }
    let foreign = client().post(format!("{}/api/v1/jobs/cycle/success", banken.base));
    assert_eq!(foreign.header("sec-fetch-site", "cross-site").send().await.unwrap().status(), 403);
    assert_eq!(banken.status_code("/api/v1/jobs/cycle/success").await, 405);
    assert_eq!(samples(&banken, RUNS).await, [Some(0.0); 4]);
}

#[tokio::test]
async fn counts_and_runs_under_way_go_on_after_a_kill() {
    let (mut banken, _state) = with_cycle("every: 1h").await;
    report(&banken.base, "success", json!({"run": "a", "duration_seconds": 4})).await;
    report(&banken.base, "start", json!({"run": "b"})).await;
    let series = [
        RUNS[0],
        RUNS[3],
        r#"banken_job_due_timestamp_seconds{task="cycle"}"#,
        r#"banken_job_started_timestamp_seconds{task="cycle"}"#,
        r#"banken_job_run_seconds_sum{task="cycle"}"#,
    ];
    let before = samples(&banken, series).await;
    assert!(before.iter().all(Option::is_some), "{before:?}");
    banken.process.signal(rustix::process::Signal::KILL);
    banken.process.ended().await;
    let mut command = Banken::command();
    command.arg("--config").arg(banken.config_file());
    let process = Process::start(&mut command);
    let base = page_of(&process).await;
    let scrape = client().get(format!("{base}/metrics")).send().await.unwrap().text().await.unwrap();
    assert_eq!(series.map(|series| value_of(&scrape, series)), before);
    let answer = report(&base, "success", json!({"run": "b"})).await;
    assert_eq!(answer["running"], 0);
}

#[tokio::test]
async fn a_job_goes_late_and_comes_back() {
    let (banken, _state) = with_cycle("every: 1s, grace: 1s").await;
    let late = async |wanted: f64| {
        eventually(&format!("late is {wanted}"), async || {
            (banken.sample(r#"banken_job_late{task="cycle"}"#).await == Some(wanted)).then_some(())
        })
        .await;
    };
    late(1.0).await;
    assert_eq!(banken.json("/api/v1/status").await["overall_status"], "unhealthy");
    report(&banken.base, "success", json!({})).await;
    late(0.0).await;
    late(1.0).await;
    assert_eq!(banken.process.output().matches("the job is late").count(), 2);
}
