//! `/metrics` on the wire: two formats, gzip, and what every parser relies on.

use crate::support::{Banken, client, value_of};
use crate::targets::{Target, response};
use std::collections::{HashMap, HashSet};
use std::io::Read as _;

const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
const PROMETHEUS: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A good target with a JSON field, a dead one, this very process and the host: every shape of family.
async fn busy() -> (Banken, Target) {
    let target = Target::http(|_| response("200 OK", r#"{"price": 3.5}"#)).await;
    let url = target.url();
    let yaml = format!(
        "probes:\n  - name: good\n    group: 'a \"quoted\" \\ group'\n    thresholds: {{ duration: {{ warning: 5s }} }}\n    \
         http: {{ url: '{url}', json: [ {{ field: price, path: $.price, export: true }} ] }}\n  \
         - {{ name: dead, tcp: {{ address: '127.0.0.1:1' }} }}\n  - {{ name: own, process: {{ name: banken }} }}\n"
    );
    (Banken::start(&yaml).await, target)
}

async fn scrape(banken: &Banken, accept: &str) -> (String, String) {
    let answer = client().get(format!("{}/metrics", banken.base)).header("Accept", accept).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let content_type = answer.headers()["content-type"].to_str().unwrap().to_owned();
    (content_type, answer.text().await.unwrap())
}

/// The name of a sample's family, given the types that are known so far.
fn family_of<'a>(series: &'a str, types: &HashMap<&str, &str>) -> &'a str {
    let name = series.split(['{', ' ']).next().unwrap();
    let suffixes = ["", "_total", "_bucket", "_sum", "_count"];
    let mut candidates = suffixes.iter().filter_map(|suffix| name.strip_suffix(suffix));
    candidates.find(|candidate| types.contains_key(candidate)).unwrap_or_else(|| panic!("{series} has no # TYPE"))
}

/// Every family is told once, before its samples, which stand together; no series twice.
fn check(text: &str) {
    let mut types = HashMap::new();
    let (mut helps, mut series, mut finished) = (HashSet::new(), HashSet::new(), HashSet::new());
    let mut current = "";
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(help) = line.strip_prefix("# HELP ") {
            let (name, words) = help.split_once(' ').unwrap();
            assert!(helps.insert(name), "# HELP {name} stands twice");
            assert!(words.len() > 10, "{line}");
        } else if let Some(comment) = line.strip_prefix("# TYPE ") {
            let (name, kind) = comment.split_once(' ').unwrap();
            assert!(types.insert(name, kind).is_none(), "# TYPE {name} stands twice");
            assert!(helps.contains(name), "{name} has no # HELP");
        } else {
            let (name, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("{line:?} is no sample"));
            assert!(value.parse::<f64>().is_ok(), "{line}");
            assert!(series.insert(name), "{name} stands twice");
            let family = family_of(name, &types);
            if family != current {
                assert!(finished.insert(family), "the samples of {family} do not stand together");
                current = family;
            }
        }
    }
    assert_eq!(helps.len(), types.len());
    assert!(series.len() > 100, "{}", series.len());
}

#[tokio::test]
async fn both_formats_are_served_as_they_are_asked_for_and_both_are_well_formed() {
    let (banken, _target) = busy().await;
    for accept in ["*/*", "text/plain", "text/html", "application/openmetrics-text;q=0.1,text/plain"] {
        let (content_type, text) = scrape(&banken, accept).await;
        assert_eq!(content_type, PROMETHEUS, "{accept}");
        assert!(!text.contains("# EOF"));
        assert!(text.contains("# TYPE banken_probe_runs_total counter\n"));
        assert!(text.contains("# HELP banken_probe_runs_total Runs"));
        check(&text);
    }
    let of_prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.2,*/*;q=0.1";
    for accept in ["application/openmetrics-text", of_prometheus] {
        let (content_type, text) = scrape(&banken, accept).await;
        assert_eq!(content_type, OPEN_METRICS, "{accept}");
        assert!(text.ends_with("\n# EOF\n") && text.matches("# EOF").count() == 1);
        assert!(text.contains("# TYPE banken_probe_runs counter\n"));
        check(&text);
    }
}

#[tokio::test]
async fn label_values_are_escaped() {
    let (banken, _target) = busy().await;
    let labels = r#"{probe="good",kind="http",group="a \"quoted\" \\ group""#;
    let text = banken.metrics().await;
    assert_eq!(value_of(&text, &format!("banken_probe_success{labels}}}")), Some(1.0), "{text}");
    assert_eq!(value_of(&text, &format!("banken_probe_json_value{labels},field=\"price\"}}")), Some(3.5));
    assert_eq!(
        value_of(&text, &format!("banken_probe_duration_threshold_seconds{labels},severity=\"warning\"}}")),
        Some(5.0)
    );
}

#[tokio::test]
async fn gzip_is_sent_to_whoever_accepts_it_and_is_the_same_text() {
    let (banken, _target) = busy().await;
    let url = format!("{}/metrics", banken.base);
    // The first scrape lacks the duration of the one before.
    banken.metrics().await;
    let answer = client().get(&url).header("Accept-Encoding", "gzip").send().await.unwrap();
    assert_eq!(answer.headers()["content-encoding"], "gzip");
    let packed = answer.bytes().await.unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_string(&mut text).unwrap();
    assert!(packed.len() * 4 < text.len(), "{} of {}", packed.len(), text.len());
    let plain = client().get(&url).send().await.unwrap();
    assert!(!plain.headers().contains_key("content-encoding"));
    // Values move on between two scrapes, series do not.
    let series = |text: &str| {
        let name = |line: &str| {
            if line.starts_with('#') { line.to_owned() } else { line.rsplit_once(' ').unwrap().0.to_owned() }
        };
        text.lines().map(name).collect::<Vec<_>>()
    };
    assert_eq!(series(&plain.text().await.unwrap()), series(&text));
}

#[tokio::test]
async fn head_is_answered_without_a_body() {
    let banken = Banken::start("host: false\n").await;
    for path in ["/metrics", "/", "/healthz", "/api/v1/status"] {
        let answer = client().head(format!("{}{path}", banken.base)).send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        assert!(answer.bytes().await.unwrap().is_empty(), "{path}");
    }
}
