//! Every fault of the demo that a probe can see is seen, for the right reason, and so is its end.

mod process;
mod senses;

use crate::stage::{Scrape, Stage};
use crate::support::{Banken, Demo, Page, client, eventually, page_of};
use std::time::{SystemTime, UNIX_EPOCH};

/// The probes that ask for a page.
const PAGES: [&str; 9] =
    ["dashboard", "ticker", "health", "candlesticks", "external-data", "balance", "secure", "atr", "bot-metrics"];

/// Every page fails for the same reason.
fn all_pages(reason: &'static str) -> [(&'static str, &'static str); 9] {
    PAGES.map(|probe| (probe, reason))
}

async fn nothing_more(_: &Banken) {}

/// The two facts about a JSON field: whether it is there and whether it is right.
async fn field(banken: &Banken, probe: &str, field: &str) -> [Option<f64>; 2] {
    let detail = banken.probe(probe).await;
    let scrape = Scrape::of(banken).await;
    ["banken_probe_json_field_present", "banken_probe_json_field_valid"]
        .map(|family| scrape.of_probe(family, &detail, &format!("field=\"{field}\"")))
}

const GOOD: [Option<f64>; 2] = [Some(1.0), Some(1.0)];
const WRONG: [Option<f64>; 2] = [Some(1.0), Some(0.0)];
const ABSENT: [Option<f64>; 2] = [Some(0.0), Some(0.0)];

#[tokio::test]
async fn an_answer_that_is_slow_crosses_a_threshold_and_is_no_failure() {
    let stage = Stage::set().await;
    stage.demo.fault("slow", "value=1200ms").await;
    let detail = eventually("the threshold is crossed", async || {
        let detail = stage.banken.probe("ticker").await;
        (detail["severity"] == "warning").then_some(detail)
    })
    .await;
    assert_eq!(detail["status"], "healthy", "{detail:#}");
    let scrape = Scrape::of(&stage.banken).await;
    let threshold = |severity| {
        let label = format!("severity=\"{severity}\"");
        scrape.of_probe("banken_probe_duration_threshold_seconds", &detail, &label)
    };
    assert_eq!(["info", "warning", "critical"].map(threshold), [Some(0.5), Some(1.0), Some(2.0)]);
    assert!(scrape.of_probe("banken_probe_duration_seconds", &detail, "") > threshold("warning"));
    assert!(detail["phases"]["wait"].as_f64() > Some(1.0), "{detail:#}");
    assert_eq!(stage.banken.json("/api/v1/status").await["overall_status"], "degraded");
    stage.demo.reset().await;
    eventually("it is quick again", async || stage.banken.probe("ticker").await["severity"].is_null().then_some(()))
        .await;
    stage.nobody_else_was_disturbed(&[]).await;
}

#[tokio::test]
async fn an_answer_slower_than_the_timeout_is_a_timeout() {
    Stage::set().await.walk(("slow", "value=1m"), &all_pages("timeout"), nothing_more).await;
}

#[tokio::test]
async fn a_hanging_service_times_out_in_the_phase_wait_while_its_port_is_healthy() {
    let in_the_phase_wait = async |banken: &Banken| {
        for probe in PAGES {
            let detail = banken.probe(probe).await;
            assert!(detail["message"].as_str().unwrap().ends_with("still in the phase wait"), "{detail:#}");
            let wait =
                Scrape::of(banken).await.of_probe("banken_probe_phase_duration_seconds", &detail, "phase=\"wait\"");
            assert!(wait > Some(1.0), "{probe}: {wait:?}");
        }
    };
    Stage::set().await.walk(("hang", ""), &all_pages("timeout"), in_the_phase_wait).await;
}

#[tokio::test]
async fn an_error_status_fails_with_status_and_its_code_is_published() {
    let code = async |banken: &Banken| {
        let detail = banken.probe("ticker").await;
        assert_eq!(Scrape::of(banken).await.of_probe("banken_probe_http_status_code", &detail, ""), Some(503.0));
    };
    Stage::set().await.walk(("error", "value=503"), &all_pages("status"), code).await;
}

#[tokio::test]
async fn a_missing_field_fails_the_probe_and_keeps_its_status_code() {
    let seen = async |banken: &Banken| {
        assert_eq!(field(banken, "ticker", "current_price").await, ABSENT);
        assert_eq!(field(banken, "ticker", "quoted_at").await, GOOD);
        let detail = banken.probe("ticker").await;
        let scrape = Scrape::of(banken).await;
        assert_eq!(scrape.of_probe("banken_probe_http_status_code", &detail, ""), Some(200.0));
        assert_eq!(scrape.of_probe("banken_probe_json_value", &detail, "field=\"current_price\""), None);
    };
    let stage = Stage::set().await;
    assert_eq!(field(&stage.banken, "ticker", "current_price").await, GOOD);
    stage.walk(("missing_field", "value=current_price"), &[("ticker", "missing")], seen).await;
    assert_eq!(field(&stage.banken, "ticker", "current_price").await, GOOD);
}

#[tokio::test]
async fn json_that_is_cut_off_is_no_json() {
    let seen = async |banken: &Banken| assert_eq!(field(banken, "ticker", "current_price").await, ABSENT);
    Stage::set().await.walk(("bad_json", ""), &[("ticker", "json")], seen).await;
}

#[tokio::test]
async fn figures_that_stopped_moving_are_stale() {
    let seen = async |banken: &Banken| {
        assert_eq!(field(banken, "ticker", "quoted_at").await, WRONG);
        assert_eq!(field(banken, "ticker", "current_price").await, GOOD);
    };
    Stage::set().await.walk(("stale", ""), &[("ticker", "stale")], seen).await;
}

#[tokio::test]
async fn api_only_mode_shows_in_a_field_that_is_there_and_not_right() {
    let seen = async |banken: &Banken| {
        assert_eq!(field(banken, "health", "mode").await, WRONG);
        let detail = banken.probe("bot-metrics").await;
        let valid = async |check: &str| {
            let label = format!("check=\"{check}\"");
            Scrape::of(banken).await.of_probe("banken_prometheus_check_valid", &detail, &label)
        };
        assert_eq!([valid("api_only").await, valid("price").await], [Some(0.0), Some(1.0)]);
        assert_eq!(field(banken, "health", "margin_mode").await, GOOD);
    };
    let victims = [("health", "json"), ("bot-metrics", "body")];
    Stage::set().await.walk(("api_only", ""), &victims, seen).await;
}

#[tokio::test]
async fn a_refused_api_key_shows_in_the_detailed_health() {
    let seen = async |banken: &Banken| assert_eq!(field(banken, "health", "authenticated").await, WRONG);
    Stage::set().await.walk(("auth_failed", ""), &[("health", "json")], seen).await;
}

#[tokio::test]
async fn an_initialization_that_hangs_is_seen_while_it_hangs_and_its_number_of_attempts_with_it() {
    let of_atr = async |banken: &Banken, family: &str| banken.sample(&format!("{family}{{probe=\"atr\"}}")).await;
    let seen = async |banken: &Banken| {
        assert_eq!(field(banken, "health", "atr_init").await, WRONG);
        let attempts = of_atr(banken, "banken_atr_init_attempts_total").await.unwrap();
        eventually("the second attempt hangs", async || {
            let scrape = Scrape::of(banken).await;
            let value = |family: &str| scrape.value(&format!("{family}{{probe=\"atr\"}}"));
            let hangs = value("banken_atr_init_running") == Some(1.0) && value("banken_atr_init_attempt") == Some(2.0);
            hangs.then_some(())
        })
        .await;
        eventually("attempts go on", async || {
            (of_atr(banken, "banken_atr_init_attempts_total").await > Some(attempts)).then_some(())
        })
        .await;
        assert_eq!(of_atr(banken, "banken_atr_value").await, None, "there is no value without candles");
        let started = of_atr(banken, "banken_atr_init_started_timestamp_seconds").await.unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
        assert!((now - 30.0..=now).contains(&started), "{started}");
        let message = banken.probe("atr").await["message"].to_string();
        assert!(message.contains("attempts that failed: all of 2; the last one: not done within 2s"), "{message}");
    };
    let stage = Stage::set().await;
    assert!(of_atr(&stage.banken, "banken_atr_value").await > Some(0.0));
    assert_eq!(of_atr(&stage.banken, "banken_atr_candles").await, Some(100.0));
    let victims = [("health", "json"), ("candlesticks", "timeout"), ("atr", "timeout")];
    stage.walk(("atr_hang", ""), &victims, seen).await;
    assert!(of_atr(&stage.banken, "banken_atr_value").await > Some(0.0));
}

#[tokio::test]
async fn failing_external_data_is_told_apart_from_a_failing_bot() {
    let seen = async |banken: &Banken| assert_eq!(field(banken, "external-data", "status").await, WRONG);
    Stage::set().await.walk(("external_data", ""), &[("external-data", "json")], seen).await;
}

#[tokio::test]
async fn an_expired_certificate_is_refused_and_its_date_is_published_all_the_same() {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64();
    let certificate = async |banken: &Banken, probe: &str| {
        let detail = banken.probe(probe).await;
        let scrape = Scrape::of(banken).await;
        ["banken_probe_tls_verified", "banken_probe_tls_not_after_timestamp_seconds"]
            .map(|family| scrape.of_probe(family, &detail, "").unwrap_or_else(|| panic!("{family} of {probe}")))
    };
    let seen = async |banken: &Banken| {
        for probe in ["certificate", "secure"] {
            let [verified, not_after] = certificate(banken, probe).await;
            assert!(verified == 0.0 && not_after < now, "{probe}: {verified} {not_after}");
            assert!(banken.probe(probe).await["message"].as_str().unwrap().contains("expired"));
        }
    };
    let stage = Stage::set().await;
    stage.walk(("expired_certificate", ""), &[("certificate", "tls"), ("secure", "tls")], seen).await;
    for probe in ["certificate", "secure"] {
        let [verified, not_after] = certificate(&stage.banken, probe).await;
        assert!(verified == 1.0 && not_after > now, "{probe}: {verified} {not_after}");
    }
}

#[tokio::test]
async fn credentials_that_are_accepted_are_healthy_and_others_fail_with_auth() {
    let demo = Demo::start(&[]).await;
    let cases = [
        ("bearer", "auth: { bearer: demo-token }", None),
        ("basic", "auth: { basic: { username: demo, password: demo } }", None),
        ("wrong-bearer", "auth: { bearer: another-token }", Some("auth")),
        ("wrong-basic", "auth: { basic: { username: demo, password: another } }", Some("auth")),
        ("no-credentials", "method: GET", Some("auth")),
    ];
    let entries = cases.map(|(name, line, _)| {
        format!("  - name: {name}\n    http:\n      url: http://{}/api/private/balance\n      {line}\n", demo.http)
    });
    let defaults = "defaults: { interval: 300ms, retry_interval: 100ms, timeout: 2s }";
    let banken = Banken::start(&format!("host: false\n{defaults}\nprobes:\n{}", entries.concat())).await;
    for (name, _, reason) in cases {
        let detail = banken.until_status(name, if reason.is_some() { "unhealthy" } else { "healthy" }).await;
        assert_eq!(detail["reason"].as_str(), reason, "{detail:#}");
        let code = Scrape::of(&banken).await.of_probe("banken_probe_http_status_code", &detail, "");
        assert_eq!(code, Some(if reason.is_some() { 401.0 } else { 200.0 }), "{name}");
        assert!(!detail.to_string().contains("another"), "a secret is shown: {detail:#}");
    }
}

#[tokio::test]
async fn a_reload_of_the_demo_that_watches_itself_keeps_what_it_watches() {
    let demo = Demo::start(&["--watch", "--watch-listen", "127.0.0.1:0"]).await;
    let page = Page { base: page_of(&demo.process).await };
    let answer = client().post(format!("{}/-/reload", page.base)).send().await.unwrap();
    let said = answer.text().await.unwrap();
    assert!(said.starts_with("reloaded: 0 added, 0 changed, 0 removed, 16 kept"), "{said}");
}

#[tokio::test]
async fn the_demo_watches_itself_and_survives_its_own_crash() {
    let mut demo = Demo::start(&["--watch", "--watch-listen", "127.0.0.1:0"]).await;
    let page = Page { base: page_of(&demo.process).await };
    eventually("everything is healthy", async || {
        (page.json("/api/v1/status").await["overall_status"] == "healthy").then_some(())
    })
    .await;
    assert!(page.get("/").await.text().await.unwrap().contains("All is well"));
    assert_eq!(page.sample("banken_config_last_reload_successful").await, Some(1.0));
    demo.fault("crash", "").await;
    for probe in ["ticker", "secure", "port"] {
        let detail = page.until_status(probe, "unhealthy").await;
        assert_eq!(detail["reason"], "connect", "{detail:#}");
    }
    assert!(demo.process.is_running());
    assert!(page.get("/").await.text().await.unwrap().contains("Needs attention"));
    demo.reset().await;
    for probe in ["ticker", "secure", "port", "process"] {
        page.until_status(probe, "healthy").await;
    }
}
