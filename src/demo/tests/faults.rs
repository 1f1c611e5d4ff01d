use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde_json::Value as Json;
use tokio::time::Instant;

use super::rig::{Rig, eventually};
use crate::demo::burden::BURNER;

const TICKER: &str = "/api/ticker/DOGE_JPY";

/// Follows one field of the detailed health through a fault: before, during and after.
async fn health_follows(fault: &str, path: &str, good: impl Into<Json>, bad: impl Into<Json>) {
    let (good, bad) = (good.into(), bad.into());
    let rig = Rig::start().await;
    let see = async || rig.json("/health/detailed").await.pointer(path).cloned().unwrap();
    assert_eq!(see().await, good);
    rig.on(fault).await;
    assert_eq!(see().await, bad);
    assert_eq!(rig.json("/health/detailed").await["status"], "degraded");
    rig.off(fault).await;
    assert_eq!(see().await, good);
}

#[tokio::test]
async fn slow_delays_every_answer_and_lets_go_when_it_ends() {
    let rig = Rig::start().await;
    rig.on("slow?value=300ms").await;
    for path in [TICKER, "/", "/metrics", "/no/such/page"] {
        let began = Instant::now();
        rig.get(path).await.unwrap();
        assert!(began.elapsed() >= Duration::from_millis(300), "{path} is fast");
    }
    rig.on("slow?value=1h").await;
    let mut waiting = tokio::spawn(rig.client.get(&rig.base).send());
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut waiting).await.is_err());
    rig.off("slow").await;
    assert_eq!(waiting.await.unwrap().unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn error_answers_with_the_status_wanted() {
    let rig = Rig::start().await;
    rig.on("error").await;
    assert_eq!(rig.get(TICKER).await.unwrap().status(), StatusCode::INTERNAL_SERVER_ERROR);
    rig.on("error?value=502").await;
    assert_eq!(rig.get("/").await.unwrap().status(), StatusCode::BAD_GATEWAY);
    rig.off("error").await;
    assert_eq!(rig.get(TICKER).await.unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn hang_accepts_and_does_not_answer() {
    let rig = Rig::start().await;
    rig.on("hang").await;
    let mut asked = tokio::spawn(rig.client.get(&rig.base).send());
    assert!(tokio::time::timeout(Duration::from_millis(300), &mut asked).await.is_err());
    tokio::net::TcpStream::connect(rig.tls).await.unwrap();
    rig.off("hang").await;
    assert_eq!(asked.await.unwrap().unwrap().status(), StatusCode::OK);
}

#[tokio::test]
async fn missing_field_leaves_out_the_field_named() {
    let rig = Rig::start().await;
    rig.on("missing_field").await;
    let ticker = rig.json(TICKER).await;
    assert!(ticker.get("current_price").is_none() && ticker.get("bid").is_some(), "{ticker}");
    rig.on("missing_field?value=bid").await;
    let ticker = rig.json(TICKER).await;
    assert!(ticker.get("current_price").is_some() && ticker.get("bid").is_none(), "{ticker}");
    rig.off("missing_field").await;
    assert!(rig.json(TICKER).await.get("bid").is_some());
}

#[tokio::test]
async fn bad_json_is_cut_off() {
    let rig = Rig::start().await;
    rig.on("bad_json").await;
    let answer = rig.get(TICKER).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "application/json");
    assert!(serde_json::from_str::<Json>(&answer.text().await.unwrap()).unwrap_err().is_eof());
    rig.off("bad_json").await;
    assert!(rig.json(TICKER).await.is_object());
}

#[tokio::test]
async fn stale_stops_the_clock() {
    let rig = Rig::start().await;
    let moment = async || rig.json(TICKER).await["timestamp"].clone();
    let before = moment().await;
    eventually("time passes", async || moment().await != before).await;
    rig.on("stale").await;
    let frozen = rig.json(TICKER).await;
    let candles = rig.json("/v1/candlesticks/BTC_JPY").await;
    tokio::time::sleep(Duration::from_millis(30)).await;
    assert_eq!(rig.json(TICKER).await, frozen);
    assert_eq!(rig.json("/v1/candlesticks/BTC_JPY").await, candles);
    rig.off("stale").await;
    assert_ne!(moment().await, frozen["timestamp"]);
}

#[tokio::test]
async fn api_only_shows_in_the_health_and_in_the_log() {
    health_follows("api_only", "/mode", "live", "api_only").await;
    let rig = Rig::start().await;
    rig.on("api_only").await;
    eventually("a warning", async || rig.log().contains("WARNING - Live trading is not available")).await;
    assert!(rig.get("/metrics").await.unwrap().text().await.unwrap().contains("\ntrading_bot_api_only_mode 1\n"));
}

#[tokio::test]
async fn auth_failed_shows_in_the_health() {
    health_follows("auth_failed", "/api/authenticated", true, false).await;
}

#[tokio::test]
async fn external_data_shows_in_the_health() {
    health_follows("external_data", "/external_data/status", "ok", "failed").await;
}

#[tokio::test]
async fn atr_hang_runs_since_the_switch_on() {
    health_follows("atr_hang", "/init/atr/state", "done", "running").await;
    let rig = Rig::start().await;
    rig.on("atr_hang").await;
    let (_, fault) = rig.ask(Method::GET, "/atr_hang").await;
    let health = rig.json("/health/detailed").await;
    assert_eq!(health["init"]["atr"]["started_at"], fault["since"]);
    assert!(health["init"]["atr"]["duration_seconds"].is_null());
}

#[tokio::test]
async fn log_errors_come_and_go() {
    let rig = Rig::start().await;
    eventually("a first line", async || !rig.log().is_empty()).await;
    assert!(!rig.log().contains(" - ERROR - "));
    rig.on("log_errors").await;
    for sign in ["Traceback (most recent call last):", "psycopg2.OperationalError", "No space left on device"] {
        eventually(sign, async || rig.log().contains(sign)).await;
    }
    rig.off("log_errors").await;
    let rest = async || rig.log().rsplit(" - ERROR - ").next().unwrap().lines().count();
    eventually("ordinary lines again", async || rest().await > 5).await;
}

#[tokio::test]
async fn memory_grows_is_resident_and_is_given_back() {
    let resident = || {
        let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
        let pages = statm.split_whitespace().nth(1).unwrap().parse::<usize>().unwrap();
        (pages * rustix::param::page_size()) >> 20
    };
    let rig = Rig::start().await;
    let before = resident();
    rig.on("memory?value=64MiB").await;
    eventually("24 MiB more", async || resident() > before + 24).await;
    rig.off("memory").await;
    eventually("given back", async || resident() < before + 12).await;
}

#[tokio::test]
async fn cpu_burns_one_thread() {
    let ticks_burnt = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let stats = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("stat")).ok());
        let burners = stats.filter(|stat| stat.contains(BURNER));
        burners.map(|stat| burnt(&stat)).collect::<Vec<_>>()
    };
    let rig = Rig::start().await;
    assert!(ticks_burnt().is_empty());
    rig.on("cpu").await;
    eventually("burning", async || ticks_burnt().first().is_some_and(|ticks| *ticks > 5)).await;
    assert_eq!(ticks_burnt().len(), 1);
    rig.off("cpu").await;
    eventually("cool", async || ticks_burnt().is_empty()).await;
}

/// `utime` of `/proc/…/stat`, the twelfth field after the name in parentheses.
fn burnt(stat: &str) -> u64 {
    let after_name = stat.rsplit(')').next().unwrap();
    after_name.split_whitespace().nth(11).unwrap().parse().unwrap()
}
