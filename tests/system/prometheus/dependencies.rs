//! A failure that another one explains says so, and only the cause is left to alert.

use super::servers::Prometheus;
use crate::support::{Banken, eventually};
use crate::targets::Target;
use serde_json::Value;

/// A database, an API that needs it and a page that needs the API; the database is looked at seldom, its consequences often.
fn config(database: &Target, api: &Target, page: &Target) -> String {
    format!(
        "listen: 127.0.0.1:0
host: false
defaults: {{ interval: 1s, retry_interval: 1s, timeout: 500ms, failure_threshold: 2, success_threshold: 2 }}
probes:
  - {{ name: database, interval: 1h, tcp: {{ address: {} }} }}
  - {{ name: api, depends_on: [database], http: {{ url: 'http://{}/' }} }}
  - {{ name: page, depends_on: [api], http: {{ url: 'http://{}/' }} }}
  - {{ name: elsewhere, depends_on: [database], tcp: {{ address: {} }} }}
",
        database.address, api.address, page.address, page.address
    )
}

async fn caused_by(banken: &Banken, name: &str) -> Vec<String> {
    let detail = banken.probe(name).await;
    let causes = detail["caused_by"].as_array().cloned().unwrap_or_default();
    causes.iter().filter_map(Value::as_str).map(str::to_owned).collect()
}

#[tokio::test]
async fn only_the_cause_is_left_when_consequences_are_taken_away() {
    let (database, api, page) = tokio::join!(Target::saying("x"), Target::saying("x"), Target::saying("x"));
    let banken = Banken::start(&config(&database, &api, &page)).await;
    for name in ["database", "api", "page", "elsewhere"] {
        banken.until_status(name, "healthy").await;
    }
    let address = banken.base.trim_start_matches("http://");
    let prometheus =
        Prometheus::start(&format!("  - {{ job_name: banken, static_configs: [ {{ targets: ['{address}'] }} ] }}\n"))
            .await;
    let series = "banken_probe_caused_by{probe=\"api\",kind=\"http\",cause=\"database\"}";
    assert_eq!(banken.sample(series).await, Some(0.0), "known from the start");

    drop((database, api, page));
    // The database is due in an hour: its consequences ask for it.
    banken.until_status("database", "unhealthy").await;
    banken.until_status("page", "unhealthy").await;
    banken.until_status("api", "unhealthy").await;
    assert_eq!(caused_by(&banken, "api").await, ["database"]);
    assert_eq!(caused_by(&banken, "page").await, ["api"]);
    assert!(caused_by(&banken, "database").await.is_empty());
    assert!(banken.probe("api").await["message"].as_str().unwrap().contains("caused by database"));

    let alone = "(banken_probe_healthy == 0) unless on(probe) (banken_probe_caused_by == 1)";
    prometheus.until("count(banken_probe_healthy == 0)", |count| count == 4.0).await;
    eventually("only the database is left", async || {
        let found = prometheus.query(alone).await;
        let names: Vec<_> = found.iter().map(|(series, _)| series["probe"].as_str()).collect();
        (names == ["database"]).then_some(())
    })
    .await;
    assert_eq!(banken.sample(series).await, Some(1.0));
}
