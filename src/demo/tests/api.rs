use std::io::Read as _;
use std::time::Duration;

use reqwest::StatusCode;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::rig::{Rig, options, scratch};
use crate::demo::{Demo, Ended};

#[tokio::test]
async fn the_ticker_is_fresh_and_knows_its_pairs() {
    let rig = Rig::start().await;
    for pair in ["DOGE_JPY", "BTC_JPY", "USD_JPY"] {
        let ticker = rig.json(&format!("/api/ticker/{pair}")).await;
        assert_eq!(ticker["pair"], pair);
        assert!(ticker["current_price"].as_f64().unwrap() > 0.0);
        assert!(ticker["volume_24h"].as_str().unwrap().parse::<f64>().unwrap() > 0.0);
        let at = OffsetDateTime::parse(ticker["timestamp"].as_str().unwrap(), &Rfc3339).unwrap();
        assert!((OffsetDateTime::now_utc() - at).abs() < Duration::from_secs(5));
    }
    let unknown = rig.get("/api/ticker/EUR_JPY").await.unwrap();
    assert_eq!(unknown.status(), StatusCode::NOT_FOUND);
    assert_eq!(rig.get("/nothing/here").await.unwrap().status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_ticker_is_compressed_for_those_who_ask() {
    let rig = Rig::start().await;
    let url = format!("{}/api/ticker/DOGE_JPY", rig.base);
    let answer = rig.client.get(&url).header("accept-encoding", "gzip").send().await.unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    let mut text = String::new();
    flate2::read::GzDecoder::new(&answer.bytes().await.unwrap()[..]).read_to_string(&mut text).unwrap();
    assert!(text.contains("current_price"), "{text}");
    assert!(rig.get("/api/ticker/DOGE_JPY").await.unwrap().headers().get("content-encoding").is_none());
}

#[tokio::test]
async fn health_is_good_when_nothing_is_wrong() {
    let rig = Rig::start().await;
    assert_eq!(rig.json("/health").await, serde_json::json!({"status": "ok"}));
    let detailed = rig.json("/health/detailed").await;
    for (path, expected) in [
        ("/status", serde_json::json!("ok")),
        ("/mode", serde_json::json!("live")),
        ("/margin_mode", serde_json::json!(true)),
        ("/api/authenticated", serde_json::json!(true)),
        ("/api/last_error", serde_json::Value::Null),
        ("/init/atr/state", serde_json::json!("done")),
        ("/init/atr/attempts", serde_json::json!(1)),
        ("/external_data/status", serde_json::json!("ok")),
    ] {
        assert_eq!(detailed.pointer(path), Some(&expected), "{path} in {detailed}");
    }
    for path in ["/kpi/kelly_ratio", "/kpi/win_rate", "/kpi/drawdown", "/kpi/sharpe_ratio", "/uptime_seconds"] {
        assert!(detailed.pointer(path).is_some_and(serde_json::Value::is_number), "{path} in {detailed}");
    }
}

#[tokio::test]
async fn candles_have_the_shape_of_bitbank() {
    let rig = Rig::start().await;
    let answer = rig.json("/v1/candlesticks/doge_jpy").await;
    assert_eq!(answer["success"], 1);
    assert_eq!(answer.pointer("/data/candlestick/0/type").unwrap(), "5min");
    let rows = answer.pointer("/data/candlestick/0/ohlcv").unwrap().as_array().unwrap();
    assert_eq!(rows.len(), 100);
    for row in rows {
        assert!(row[0].as_str().unwrap().parse::<f64>().unwrap() > 0.0);
        assert!(row[5].is_u64(), "{row}");
    }
}

#[tokio::test]
async fn the_balance_needs_the_token_or_the_login() {
    let rig = Rig::start().await;
    let ask = || rig.client.get(format!("{}/api/private/balance", rig.base));
    let status = async |request: reqwest::RequestBuilder| request.send().await.unwrap().status();
    assert_eq!(status(ask()).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(ask().bearer_auth("wrong")).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(ask().basic_auth("demo", Some("wrong"))).await, StatusCode::UNAUTHORIZED);
    assert_eq!(status(ask().bearer_auth("demo-token")).await, StatusCode::OK);
    assert_eq!(status(ask().basic_auth("demo", Some("demo"))).await, StatusCode::OK);
    assert!(ask().send().await.unwrap().headers()["www-authenticate"].to_str().unwrap().contains("Bearer"));
}

#[tokio::test]
async fn the_dashboard_and_the_metrics_show_the_same_service() {
    let rig = Rig::start().await;
    let page = rig.get("/").await.unwrap();
    assert!(page.headers()["content-type"].to_str().unwrap().starts_with("text/html"));
    let html = page.text().await.unwrap();
    assert!(html.contains("DOGE_JPY") && html.contains("<rect") && html.contains(&rig.control), "{html}");
    let metrics = rig.get("/metrics").await.unwrap();
    assert_eq!(metrics.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    let text = metrics.text().await.unwrap();
    assert!(text.contains("trading_bot_http_requests_total{code=\"2xx\"} 1\n"), "{text}");
}

#[tokio::test]
async fn requests_are_in_the_log_and_so_is_the_end() {
    let rig = Rig::start().await;
    rig.get("/health?x=1").await.unwrap();
    super::rig::eventually("an access line", async || rig.log().contains("\"GET /health HTTP/1.1\" 200 OK")).await;
    let path = rig.dir.path().to_owned();
    let pid = || std::fs::read_to_string(path.join("demo.pid"));
    assert_eq!(pid().unwrap().trim(), std::process::id().to_string());
    let mut kept = std::fs::File::open(path.join("app.log")).unwrap();
    assert_eq!(rig.stop().await, Ended::Shutdown);
    assert!(pid().is_err());
    let mut text = String::new();
    kept.read_to_string(&mut text).unwrap();
    assert!(text.trim_end().ends_with("INFO - Shutting down"), "{text}");
}

#[tokio::test]
async fn an_address_already_taken_is_named_with_its_option() {
    let rig = Rig::start().await;
    let dir = scratch();
    let mut options = options(&dir);
    options.control = rig.tls;
    let error = format!("{:#}", Demo::bind(options).await.unwrap_err());
    assert!(error.contains("--control") && error.contains(&rig.tls.to_string()), "{error}");
}
