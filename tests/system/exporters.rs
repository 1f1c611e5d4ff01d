//! The kind `prometheus` against real exporters: Prometheus itself, `node_exporter`, another Banken, and files that nginx would
//! serve as they are.

use crate::prometheus::servers::Prometheus;
use crate::stage::Scrape;
use crate::support::{Banken, Process, client, eventually, free_port};
use crate::targets::{Target, response};
use serde_json::Value;
use std::path::Path;
use std::process::Command;
use std::sync::{Arc, Mutex};

fn watching(url: &str, block: &str) -> String {
    let defaults = "defaults: { interval: 200ms, retry_interval: 100ms, timeout: 10s }";
    format!("host: false\n{defaults}\nprobes:\n  - name: exporter\n    prometheus:\n      url: {url}\n{block}")
}

/// Values of the families of the kind that have no labels of their own, and of those of a check.
async fn sample(banken: &Banken, family: &str, more: &str) -> Option<f64> {
    let detail = banken.probe("exporter").await;
    Scrape::of(banken).await.of_probe(&format!("banken_prometheus_{family}"), &detail, more)
}

async fn message(banken: &Banken) -> String {
    banken.probe("exporter").await["message"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn the_metrics_of_a_real_prometheus_are_read_whole() {
    let prometheus = Prometheus::start("  - { job_name: none, static_configs: [] }\n").await;
    let url = format!("{}/metrics", prometheus.base());
    let block = "      require: [ prometheus_build_info, prometheus_http_request_duration_seconds, process_cpu_seconds_total, 'prometheus_tsdb_head_series', go_gc_duration_seconds ]
      checks:
        - { name: reloaded, metric: prometheus_config_last_reload_successful, equals: 1 }
        - { name: reload_age, metric: prometheus_config_last_reload_success_timestamp_seconds, max_age: 1h, export: true }
        - { name: goroutines, metric: go_goroutines, min: 1, max: 10000, export: true }
        - { name: requests, metric: 'prometheus_http_requests_total{handler=~\"/metrics|/-/ready\"}', combine: sum, min: 0, export: true }
      min_series: 200
      max_series: 100000
";
    let banken = Banken::start(&watching(&url, block)).await;
    let detail = banken.until_status("exporter", "healthy").await;
    assert_eq!(detail["failures"], serde_json::json!({}), "{detail:#}");
    let text = client().get(&url).send().await.unwrap().text().await.unwrap();
    let samples = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).count() as f64;
    let types = text.lines().filter(|line| line.starts_with("# TYPE ")).count() as f64;
    // A series for each handler and status that was asked for appears while it is watched.
    let series = sample(&banken, "series", "").await.unwrap();
    assert!((series - samples).abs() < 0.2 * samples, "{series} of {samples}");
    let families = sample(&banken, "families", "").await.unwrap();
    assert!((families - types).abs() < 0.1 * types, "{families} of {types}");
    assert_eq!(sample(&banken, "missing_families", "").await, Some(0.0));
    assert!(sample(&banken, "body_bytes", "").await > Some(10_000.0));
    for check in ["reloaded", "reload_age", "goroutines", "requests"] {
        assert_eq!(sample(&banken, "check_valid", &format!("check=\"{check}\"")).await, Some(1.0), "{check}");
    }
    assert_eq!(sample(&banken, "check_value", "check=\"reloaded\"").await, None, "it is not exported");
    assert!(sample(&banken, "check_value", "check=\"goroutines\"").await >= Some(1.0));
    assert!(sample(&banken, "check_value", "check=\"requests\"").await >= Some(1.0));
}

/// A real `node_exporter` that publishes nothing but what is in a folder of textfiles.
async fn node_exporter(folder: &Path) -> (Process, String) {
    let address = format!("127.0.0.1:{}", free_port());
    let mut command = Command::new("prometheus-node-exporter");
    command
        .arg(format!("--web.listen-address={address}"))
        .args(["--collector.disable-defaults", "--collector.textfile", "--log.level=error"])
        .arg(format!("--collector.textfile.directory={}", folder.display()));
    let process = Process::start(&mut command);
    let url = format!("http://{address}/metrics");
    eventually("node_exporter answers", async || client().get(&url).send().await.ok()).await;
    (process, url)
}

/// Written beside and renamed, as whoever writes textfiles should.
fn write_metrics(folder: &Path, text: &str) {
    let beside = folder.join("bot.prom.new");
    std::fs::write(&beside, text).unwrap();
    std::fs::rename(beside, folder.join("bot.prom")).unwrap();
}

#[tokio::test]
async fn a_family_that_vanishes_and_values_that_leave_their_range_are_told_apart_and_both_recover() {
    let folder = tempfile::tempdir().unwrap();
    let good = "bot_lag{group=\"a\"} 3\nbot_lag{group=\"b\"} 4\nbot_cycles_total 7\n";
    write_metrics(folder.path(), good);
    let (_exporter, url) = node_exporter(folder.path()).await;
    let block = "      require: [ bot_cycles_total, node_textfile_mtime_seconds ]
      checks:
        - { name: lag, metric: 'bot_lag{group=~\"a|b\"}', max: 100 }
        - { name: worst, metric: bot_lag, combine: max, export: true }
        - { name: readable, metric: node_textfile_scrape_error, equals: 0 }
        - { name: written, metric: node_textfile_mtime_seconds, max_age: 1h }
";
    let banken = Banken::start(&watching(&url, block)).await;
    banken.until_status("exporter", "healthy").await;
    assert_eq!(sample(&banken, "check_value", "check=\"worst\"").await, Some(4.0));

    write_metrics(folder.path(), "bot_lag{group=\"a\"} 3\nbot_lag{group=\"b\"} 4\n");
    let detail = banken.until_reason("exporter", "missing").await;
    assert!(detail["message"].as_str().unwrap().contains("1 of 2 required metrics are missing: bot_cycles_total"));
    assert_eq!(sample(&banken, "missing_families", "").await, Some(1.0));
    assert_eq!(sample(&banken, "check_valid", "check=\"lag\"").await, Some(1.0), "what is there is still judged");
    write_metrics(folder.path(), good);
    banken.until_status("exporter", "healthy").await;

    write_metrics(folder.path(), "bot_lag{group=\"a\"} 3\nbot_lag{group=\"b\"} 104\nbot_cycles_total 8\n");
    let detail = banken.until_reason("exporter", "body").await;
    let said = detail["message"].as_str().unwrap();
    assert!(said.contains("is 104 where at most 100 was expected at \"group=\"b\"\""), "{said}");
    let lag = sample(&banken, "check_valid", "check=\"lag\"").await;
    assert_eq!((lag, sample(&banken, "check_value", "check=\"worst\"").await), (Some(0.0), Some(104.0)));
    write_metrics(folder.path(), good);
    banken.until_status("exporter", "healthy").await;

    // What the exporter itself cannot read is missing there, and it says so.
    write_metrics(folder.path(), "bot_lag{group=\"a\" 3\n");
    banken.until_reason("exporter", "missing").await;
    eventually("the exporter's own complaint is seen", async || {
        message(&banken).await.contains("check readable (node_textfile_scrape_error) is 1").then_some(())
    })
    .await;
    write_metrics(folder.path(), good);
    std::fs::File::open(folder.path().join("bot.prom"))
        .and_then(|file| file.set_modified(std::time::SystemTime::now() - std::time::Duration::from_secs(7200)))
        .unwrap();
    let detail = banken.until_reason("exporter", "stale").await;
    assert!(detail["message"].as_str().unwrap().contains("check written"), "{detail:#}");
}

#[tokio::test]
async fn another_banken_is_read_in_both_formats() {
    let other = Banken::start("host: { interval: 200ms }\nprobes: []\n").await;
    for accept in ["", "      headers: { accept: 'text/plain;version=0.0.4' }\n"] {
        let block = format!(
            "      require: [ banken_build_info, banken_probe_runs, banken_probe_runs_total, banken_probe_latency_seconds ]
      checks: [ {{ name: host, metric: 'banken_probe_healthy{{probe=\"host\"}}', equals: 1 }} ]\n{accept}"
        );
        let banken = Banken::start(&watching(&format!("{}/metrics", other.base), &block)).await;
        let detail = banken.until_status("exporter", "healthy").await;
        assert_eq!(detail["failures"], serde_json::json!({}), "{detail:#}");
        // A rate has a series only from the second look on.
        eventually("every series is seen", async || {
            let samples = Scrape::of(&other).await.samples().len() as f64;
            (sample(&banken, "series", "").await == Some(samples)).then_some(())
        })
        .await;
    }
}

#[tokio::test]
async fn an_answer_that_is_broken_says_at_which_line() {
    let says = Arc::new(Mutex::new("good 1\n".to_owned()));
    let body = Arc::clone(&says);
    let target = Target::http(move |_| response("200 OK", &body.lock().unwrap())).await;
    let banken = Banken::start(&watching(&target.url(), "      max_body: 64KiB\n")).await;
    banken.until_status("exporter", "healthy").await;
    let cases = [
        ("good 1\nhalf{a=\"b\n".to_owned(), "protocol", "line 2"),
        ("<html>\n".to_owned(), "protocol", "line 1"),
        (String::new(), "missing", "0 samples where at least 1"),
        ("good 1\n".repeat(10_000), "limit", "larger than 65536 bytes"),
    ];
    for (text, reason, what) in cases {
        *says.lock().unwrap() = text;
        let detail: Value = banken.until_reason("exporter", reason).await;
        eventually(what, async || message(&banken).await.contains(what).then_some(())).await;
        assert!(!detail["message"].as_str().unwrap().contains('\n'), "{detail:#}");
        *says.lock().unwrap() = "good 1\n".to_owned();
        banken.until_status("exporter", "healthy").await;
    }
}
