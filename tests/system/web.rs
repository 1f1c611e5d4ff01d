//! The endpoints: alive and ready, the report, one probe, a reload.

mod bounds;
mod exposition;
mod page;
mod runbooks;

use crate::support::{Banken, client, eventually};
use crate::targets::Target;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

const QUIET: &str = "host: false\n";

async fn post(banken: &Banken, headers: &[(&str, &str)]) -> (u16, String) {
    let mut request = client().post(format!("{}/-/reload", banken.base));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test]
async fn it_is_alive_at_once_and_ready_after_the_first_round() {
    let hanging = Target::hanging().await;
    let yaml = format!(
        "{QUIET}probes:\n  - {{ name: slow, interval: 60s, timeout: 5s, http: {{ url: '{}' }} }}\n",
        hanging.url()
    );
    let banken = Banken::launch(&yaml, Banken::command()).await;
    assert_eq!(banken.status_code("/healthz").await, 200);
    let answer = banken.get("/readyz").await;
    assert_eq!(answer.status(), 503);
    assert_eq!(answer.text().await.unwrap(), "not ready: 1 probes have not run yet\n");
    banken.until_ready().await;
    assert_eq!(banken.probe("slow").await["reason"], "timeout");
}

#[tokio::test]
async fn the_report_has_the_shape_that_scripts_before_banken_printed() {
    let (good, hanging) = (Target::saying("fine").await, Target::hanging().await);
    let yaml = format!(
        "host: {{ interval: 200ms }}\nprobes:\n  - {{ name: good, group: bot, http: {{ url: '{}' }} }}\n  \
         - {{ name: slow, failure_threshold: 1, timeout: 200ms, http: {{ url: '{}' }} }}\n",
        good.url(),
        hanging.url()
    );
    let banken = Banken::start(&yaml).await;
    let report = eventually("the second look at the host", async || {
        let report = banken.json("/api/v1/status").await;
        report["metrics"]["cpu"]["usage_percent"].is_f64().then_some(report)
    })
    .await;
    let moment = OffsetDateTime::parse(report["timestamp"].as_str().unwrap(), &Rfc3339).unwrap();
    assert!((OffsetDateTime::now_utc() - moment).whole_seconds().abs() < 60, "{moment}");
    let percent = |subject: &str| report["metrics"][subject]["usage_percent"].as_f64().unwrap();
    assert!((0.0..=100.0).contains(&percent("cpu")) && (0.0..=100.0).contains(&percent("memory")), "{report:#}");
    assert!(percent("memory") > 0.0);
    assert_eq!(report["overall_status"], "unhealthy");
    let (good, slow) = (&report["checks"]["good"], &report["checks"]["slow"]);
    assert_eq!((&good["status"], &good["group"]), (&"healthy".into(), &"bot".into()));
    assert!(good["message"].as_str().unwrap().starts_with("ok in "), "{good}");
    assert_eq!((&slow["status"], &slow["reason"]), (&"unhealthy".into(), &"timeout".into()));
    assert!(slow["message"].as_str().unwrap().contains("not done within 200ms"), "{slow}");
}

#[tokio::test]
async fn a_probe_is_shown_in_full_and_an_unknown_one_is_not_found() {
    let good = Target::saying("fine").await;
    let yaml = format!("{QUIET}probes:\n  - {{ name: good, http: {{ url: '{}' }} }}\n", good.url());
    let banken = Banken::start(&yaml).await;
    let detail = banken.until_status("good", "healthy").await;
    assert_eq!(detail["name"], "good");
    assert_eq!(detail["notes"]["address"], good.address.to_string());
    assert!(detail["phases"]["connect"].is_f64() && detail["phases"]["wait"].is_f64(), "{detail:#}");
    let status = detail["readings"].as_array().unwrap().iter().find(|r| r["metric"] == "banken_probe_http_status_code");
    assert_eq!(status.unwrap()["value"], 200.0);
    assert_eq!((&detail["changes"][0]["from"], &detail["changes"][0]["to"]), (&"unknown".into(), &"healthy".into()));
    for path in ["/api/v1/probes/nobody", "/api/v1/probes/..%2f..%2fetc", "/nothing/here"] {
        assert_eq!(banken.status_code(path).await, 404, "{path}");
    }
    assert!(banken.get("/nothing/here").await.text().await.unwrap().contains("/metrics"), "it says where to look");
    assert_eq!(banken.status_code("/-/reload").await, 405, "a GET changes nothing");
}

#[tokio::test]
async fn a_reload_says_what_it_did_or_every_mistake_and_then_the_old_configuration_goes_on() {
    let good = Target::saying("fine").await;
    let one = format!(
        "{QUIET}probes:\n  - {{ name: good, interval: 100ms, timeout: 50ms, http: {{ url: '{}' }} }}\n",
        good.url()
    );
    let banken = Banken::start(&one).await;
    let two = format!("{one}  - {{ name: second, tcp: {{ address: '{}' }} }}\n", good.address);
    banken.write_config(&two);
    assert_eq!(post(&banken, &[]).await, (200, "reloaded: 1 added, 0 changed, 0 removed, 1 kept\n".into()));
    banken.until_status("second", "healthy").await;

    banken.write_config(&two.replace("tcp:", "tpc:").replace("name: good", "nam: good"));
    let (status, text) = post(&banken, &[]).await;
    assert_eq!(status, 422, "{text}");
    let problems: Vec<_> = text.lines().filter(|line| line.contains("banken.yml:")).collect();
    assert!(problems.iter().any(|line| line.contains("banken.yml:4:7: ") && line.contains("\"nam\"")), "{text}");
    assert!(problems.iter().any(|line| line.contains("banken.yml:5:21: ") && line.contains("\"tpc\"")), "{text}");
    let runs = banken.probe("good").await["runs"].as_u64().unwrap();
    eventually("the old probes go on", async || {
        (banken.probe("good").await["runs"].as_u64().unwrap() > runs + 2).then_some(())
    })
    .await;
    assert_eq!(banken.sample("banken_config_last_reload_successful").await, Some(0.0));
}

#[tokio::test]
async fn a_reload_is_not_taken_from_another_site() {
    let banken = Banken::start(QUIET).await;
    let before = banken.sample("banken_config_last_reload_success_timestamp_seconds").await;
    for site in ["cross-site", "same-site", "nonsense"] {
        assert_eq!(post(&banken, &[("Sec-Fetch-Site", site)]).await.0, 403, "{site}");
    }
    assert_eq!(banken.sample("banken_config_last_reload_success_timestamp_seconds").await, before);
    for site in ["same-origin", "none"] {
        assert_eq!(post(&banken, &[("Sec-Fetch-Site", site)]).await.0, 200, "{site}");
    }
}
