use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::extract::{Path, State};
use axum::routing::post;
use axum::{Json, Router};
use http::HeaderMap;
use serde_json::Value;
use tokio::net::TcpListener;

use super::rig::{Rig, eventually};

type Pings = Arc<Mutex<Vec<(String, String, Value)>>>;

/// A service that reports to a receiver, and what the receiver has got.
async fn reporting() -> (Rig, Pings) {
    let pings = Pings::default();
    let router = Router::new().route("/api/v1/jobs/cycle/{event}", post(receive)).with_state(Arc::clone(&pings));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/api/v1/jobs/cycle/", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router).into_future());
    let rig = Rig::with(|options| {
        options.jobs_url = Some(url.parse().unwrap());
        options.job_token = Some("s3cret".parse().unwrap());
        options.cycle = Duration::from_millis(100).into();
    })
    .await;
    (rig, pings)
}

async fn receive(State(pings): State<Pings>, Path(event): Path<String>, headers: HeaderMap, Json(body): Json<Value>) {
    let token = headers["authorization"].to_str().unwrap().to_owned();
    pings.lock().unwrap().push((event, token, body));
}

/// Everything received from the ping of number `from` on, once that is `count` pings at least.
async fn received(pings: &Pings, from: usize, count: usize) -> Vec<(String, String, Value)> {
    eventually("pings", async || pings.lock().unwrap().len() >= from + count).await;
    pings.lock().unwrap()[from..].to_vec()
}

#[tokio::test]
async fn every_run_is_reported_in_order_with_one_id() {
    let (_rig, pings) = reporting().await;
    let got = received(&pings, 0, 6).await;
    let mut ids = Vec::new();
    for run in got[..6].chunks(2) {
        let [(start, token, began), (end, _, ended)] = run else { panic!("{run:?}") };
        assert_eq!((start.as_str(), end.as_str(), token.as_str()), ("start", "success", "Bearer s3cret"));
        assert_eq!(began["run"], ended["run"]);
        assert!((1..=10).contains(&ended["records"].as_u64().unwrap()), "{ended}");
        assert!(ended["message"].is_string());
        ids.push(ended["run"].as_str().unwrap().to_owned());
    }
    ids.dedup();
    assert_eq!(ids.len(), 3);
}

#[tokio::test]
async fn failing_cycles_are_reported_until_the_fault_ends() {
    let (rig, pings) = reporting().await;
    let last_end = async |event: &str| {
        let seen = pings.lock().unwrap();
        seen.iter().rev().find(|ping| ping.0 != "start").is_some_and(|ping| ping.0 == event)
    };
    rig.on("job_fail").await;
    eventually("a failure", async || last_end("failure").await).await;
    assert!(
        rig.get("/metrics")
            .await
            .unwrap()
            .text()
            .await
            .unwrap()
            .contains("trading_bot_cycles_total{result=\"failure\"} ")
    );
    rig.off("job_fail").await;
    eventually("a success", async || last_end("success").await).await;
}

#[tokio::test]
async fn skipped_cycles_do_not_run() {
    let (rig, pings) = reporting().await;
    received(&pings, 0, 1).await;
    rig.on("job_skip").await;
    // The run that may be open now still ends.
    eventually("an ended run", async || pings.lock().unwrap().last().unwrap().0 != "start").await;
    let settled = pings.lock().unwrap().len();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert_eq!(pings.lock().unwrap().len(), settled);
    rig.off("job_skip").await;
    received(&pings, settled, 2).await;
}

#[tokio::test]
async fn a_slow_cycle_lasts_as_long_as_the_fault() {
    let (rig, pings) = reporting().await;
    rig.on("job_slow?value=1h").await;
    let count = || pings.lock().unwrap().len();
    eventually("a run that stays open", async || {
        let before = count();
        tokio::time::sleep(Duration::from_millis(300)).await;
        count() == before && pings.lock().unwrap().last().is_some_and(|ping| ping.0 == "start")
    })
    .await;
    let settled = count();
    rig.off("job_slow").await;
    assert_eq!(received(&pings, settled, 1).await[0].0, "success");
}

#[tokio::test]
async fn cycles_go_on_when_nobody_listens() {
    let rig = Rig::with(|options| {
        options.jobs_url = Some("http://127.0.0.1:9/jobs".parse().unwrap());
        options.cycle = Duration::from_millis(50).into();
    })
    .await;
    eventually("three runs", async || rig.log().matches("Processing cycle finished").count() > 2).await;
}
