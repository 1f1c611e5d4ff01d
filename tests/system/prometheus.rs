//! A real Prometheus scrapes Banken, and finds in it what is true.

mod dependencies;
pub mod servers;

use crate::stage::{Scrape, Stage, every_kind_and_threshold, replaced, with_probes};
use crate::support::{Banken, Process, eventually, free_port};
use servers::{Nginx, Prometheus, Series};
use std::collections::BTreeMap;
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// The demo and nginx, a Banken that watches both, and a Prometheus that scrapes all of them.
struct City {
    stage: Stage,
    nginx: Nginx,
    prometheus: Prometheus,
}

impl City {
    async fn build() -> Self {
        let port = free_port();
        let nginx = Nginx::start(port).await;
        let stage = Stage::set_with(|config| {
            let config = every_kind_and_threshold(config);
            let config = replaced(&config, "listen: 127.0.0.1:0", &format!("listen: 127.0.0.1:{port}"));
            with_probes(&config, &probes_of(&nginx))
        })
        .await;
        let job = |name: &str, address: &str, more: &str| {
            format!("  - {{ job_name: {name}, static_configs: [ {{ targets: ['{address}'] }} ]{more} }}\n")
        };
        let ca = nginx.certificate();
        let tls = format!(", scheme: https, tls_config: {{ ca_file: {} }}", ca.display());
        let jobs = [
            job("banken", &format!("127.0.0.1:{port}"), ""),
            job("banken-behind-nginx", &format!("127.0.0.1:{}", nginx.tls_port), &tls),
            job("demo", &stage.demo.http.to_string(), ""),
        ];
        let prometheus = Prometheus::start(&jobs.concat()).await;
        prometheus.until("count(up == 1)", |count| count == 3.0).await;
        Self { stage, nginx, prometheus }
    }
}

fn probes_of(nginx: &Nginx) -> String {
    let (port, tls_port, ca) = (nginx.port, nginx.tls_port, nginx.certificate());
    let ca = ca.display();
    format!(
        "  - {{ name: nginx, group: web, http: {{ url: 'http://127.0.0.1:{port}/', expect: {{ body_matches: '<title>' }} }} }}
  - {{ name: nginx-port, group: web, tcp: {{ address: '127.0.0.1:{port}' }} }}
  - name: nginx-price
    http:
      url: https://127.0.0.1:{tls_port}/price
      tls: {{ ca: {{ file: {ca} }} }}
      json: [ {{ field: price, path: $.price, export: true }} ]
  - {{ name: nginx-certificate, tls: {{ address: '127.0.0.1:{tls_port}', ca: {{ file: {ca} }} }} }}
"
    )
}

fn unix_now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs_f64()
}

/// A series of a scrape as Prometheus names it.
fn named(series: &str) -> Series {
    let (name, labels) = series.trim_end_matches('}').split_once('{').unwrap_or((series, ""));
    let pairs = labels.trim_end_matches('"').split("\",").filter_map(|pair| pair.split_once("=\""));
    let labels = pairs.map(|(key, value)| (key.to_owned(), value.to_owned()));
    labels.chain([("__name__".to_owned(), name.to_owned())]).collect()
}

async fn scraped(banken: &Banken) -> BTreeMap<Series, f64> {
    let scrape = Scrape::of(banken).await;
    scrape.samples().map(|(series, value)| (named(series), value)).collect()
}

/// Families whose values stay the same while everything is well.
const STEADY: [&str; 12] = [
    "banken_build_info",
    "banken_probe_healthy",
    "banken_probe_state",
    "banken_probe_interval_seconds",
    "banken_probe_duration_threshold_seconds",
    "banken_probe_http_status_code",
    "banken_probe_tls_not_after_timestamp_seconds",
    "banken_process_memory_threshold_bytes",
    "banken_process_start_timestamp_seconds",
    "banken_host_memory_total_bytes",
    "banken_host_boot_timestamp_seconds",
    "process_start_time_seconds",
];

#[tokio::test]
async fn prometheus_holds_every_series_with_the_value_that_banken_gave() {
    let City { stage, nginx: _nginx, prometheus } = City::build().await;
    let targets = prometheus.targets().await;
    assert_eq!(targets.len(), 3);
    assert!(targets.values().all(|(health, error)| health == "up" && error.is_empty()), "{targets:?}");
    let before = scraped(&stage.banken).await;
    let now = unix_now();
    prometheus.until("timestamp(banken_build_info{job=\"banken\"})", |scraped| scraped > now).await;
    let own = "{job=\"banken\",__name__!~\"up|scrape_(duration|samples|series)_.+\"}";
    let held: BTreeMap<Series, f64> = prometheus
        .query(own)
        .await
        .into_iter()
        .map(|(mut series, value)| {
            series.retain(|label, _| label != "job" && label != "instance");
            (series, value)
        })
        .collect();
    let after = scraped(&stage.banken).await;
    let missing: Vec<_> = before.keys().filter(|series| !held.contains_key(*series)).collect();
    assert!(missing.is_empty(), "Prometheus does not hold {missing:#?}");
    assert_eq!(held.len(), before.len());
    let mut compared = [0, 0];
    for (series, value) in &held {
        let name = series["__name__"].as_str();
        if STEADY.contains(&name) {
            compared[0] += 1;
            assert!(before[series] == *value && after[series] == *value, "{series:?}: {value}");
        } else if name.ends_with("_total") || name.ends_with("_bucket") || name.ends_with("_count") {
            compared[1] += 1;
            assert!((before[series]..=after[series]).contains(value), "{series:?}: {value}");
        }
    }
    assert!(compared[0] > 100 && compared[1] > 200, "{compared:?}");
    assert_eq!(prometheus.value("banken_probe_json_value{job=\"banken\",probe=\"nginx-price\"}").await, Some(12.5));
}

#[tokio::test]
async fn prometheus_asks_for_openmetrics_and_is_given_it_compressed() {
    let City { stage: _stage, nginx, .. } = City::build().await;
    let [_, accept, content_type, encoding] = eventually("nginx has written it down", async || {
        nginx.negotiations("/metrics").into_iter().find(|[agent, ..]| agent.starts_with("Prometheus/"))
    })
    .await;
    assert!(accept.starts_with("application/openmetrics-text"), "{accept}");
    assert_eq!(content_type, "application/openmetrics-text; version=1.0.0; charset=utf-8");
    assert_eq!(encoding, "gzip");
}

#[tokio::test]
async fn promtool_has_nothing_to_say_about_a_scrape_with_every_kind_thresholds_and_failures() {
    let stage = Stage::set_with(every_kind_and_threshold).await;
    for (fault, query) in [("error", "value=500"), ("expired_certificate", "")] {
        stage.demo.fault(fault, query).await;
    }
    for (probe, reason) in [("ticker", "status"), ("certificate", "tls"), ("secure", "tls")] {
        assert_eq!(stage.banken.until_status(probe, "unhealthy").await["reason"], reason);
    }
    let scrape = stage.banken.get("/metrics").await;
    assert_eq!(scrape.headers()["content-type"], "text/plain; version=0.0.4; charset=utf-8");
    assert_eq!(promtool(&scrape.text().await.unwrap()), (true, String::new()));
    // It would say something if there were something to say.
    let (_, said) = promtool("# HELP a_seconds_count A.\n# TYPE a_seconds_count gauge\na_seconds_count 1\n");
    assert!(said.contains("a_seconds_count"), "{said}");
}

/// Whether `promtool check metrics` is content, and everything it prints.
fn promtool(scrape: &str) -> (bool, String) {
    let mut child = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child.stdin.take().unwrap().write_all(scrape.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(said).unwrap())
}

#[tokio::test]
async fn an_outage_of_nginx_shows_in_prometheus_while_banken_stays_up() {
    let City { stage, nginx, prometheus } = City::build().await;
    let of_nginx = |family: &str| format!("{family}{{job=\"banken\",probe=\"nginx\"}}");
    let refused = "banken_probe_failures_total{job=\"banken\",probe=\"nginx\",reason=\"connect\"}";
    assert_eq!(prometheus.value(&of_nginx("banken_probe_healthy")).await, Some(1.0));
    assert_eq!(prometheus.value(refused).await, Some(0.0));
    let start_again = nginx.end().await;
    prometheus.until(&of_nginx("banken_probe_healthy"), |healthy| healthy == 0.0).await;
    let failures = prometheus.until(refused, |failures| failures >= 3.0).await;
    prometheus.until(refused, |more| more > failures).await;
    prometheus.until("up{job=\"banken-behind-nginx\"}", |up| up == 0.0).await;
    let unhealthy = "count(banken_probe_healthy{job=\"banken\"} == 0)";
    assert_eq!(prometheus.until(unhealthy, |count| count >= 4.0).await, 4.0, "only what nginx serves is down");
    let _nginx = start_again.await;
    prometheus.until(&of_nginx("banken_probe_healthy"), |healthy| healthy == 1.0).await;
    prometheus.until("up{job=\"banken-behind-nginx\"}", |up| up == 1.0).await;
    assert_eq!(prometheus.value(&of_nginx("banken_probe_incidents_total")).await, Some(1.0));
    let recovery = prometheus.value(&of_nginx("banken_probe_unhealthy_seconds_total")).await;
    assert!(recovery > Some(0.0), "{recovery:?}");
    assert_eq!(prometheus.value("min_over_time(up{job=\"banken\"}[5m])").await, Some(1.0));
    stage.nobody_else_was_disturbed(&["nginx", "nginx-port", "nginx-price", "nginx-certificate"]).await;
}

#[tokio::test]
async fn counters_go_on_across_a_reload() {
    let City { stage, nginx: _nginx, prometheus } = City::build().await;
    let banken = &stage.banken;
    let enough = |count: f64| count >= 3.0;
    prometheus.until("count_over_time(up{job=\"banken\"}[5m])", enough).await;
    let config = std::fs::read_to_string(banken.config_file()).unwrap();
    let changed = replaced(&config, "interval: 300ms, retry", "interval: 200ms, retry");
    let newcomer = format!("  - {{ name: newcomer, tcp: {{ address: '{}' }} }}\n", stage.demo.http);
    let changed = with_probes(&changed, &newcomer);
    banken.write_config(&changed);
    hang_up(&banken.process);
    prometheus.until("count_over_time(banken_probe_runs_total{job=\"banken\",probe=\"newcomer\"}[5m])", enough).await;
    assert_eq!(
        prometheus.value("banken_probe_interval_seconds{job=\"banken\",probe=\"ticker\"}").await,
        Some(0.2),
        "the new configuration was not taken over"
    );
    let scrape = banken.metrics().await;
    let counters = scrape.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.strip_suffix(" counter"));
    let counters: Vec<_> = counters.chain(["banken_probe_latency_seconds_count"]).collect();
    assert!(counters.len() >= 10, "{counters:?}");
    for counter in counters {
        let resets = prometheus.query(&format!("resets({counter}{{job=\"banken\"}}[5m]) > 0")).await;
        assert!(resets.is_empty(), "{counter} was reset: {resets:?}");
        let held = prometheus.query(&format!("{counter}{{job=\"banken\"}}")).await;
        assert!(!held.is_empty(), "{counter} is not there");
    }
}

fn hang_up(process: &Process) {
    process.signal(rustix::process::Signal::HUP);
}
