//! A demo, and a Banken beside it that watches it as `banken demo --print-config` says, only faster.

use crate::support::{Banken, Demo, eventually};
use serde_json::Value;
use std::collections::BTreeMap;

pub struct Stage {
    pub demo: Demo,
    pub banken: Banken,
}

impl Stage {
    /// Everything runs and is healthy.
    pub async fn set() -> Self {
        Self::set_with(|config| config).await
    }

    /// The same, with a configuration that was changed.
    pub async fn set_with(change: impl FnOnce(String) -> String) -> Self {
        let demo = Demo::start(&[]).await;
        let banken = Banken::start(&change(faster(&printed_config(&demo)))).await;
        let stage = Self { demo, banken };
        for name in stage.probes().await {
            stage.banken.until_status(&name, "healthy").await;
        }
        stage
    }

    /// Switches a fault on, sees exactly these probes fall for these reasons, looks at the rest, switches it off and sees
    /// them recover, while nobody else was disturbed.
    pub async fn walk(
        &self,
        (fault, query): (&str, &str),
        victims: &[(&str, &str)],
        while_on: impl AsyncFnOnce(&Banken),
    ) {
        self.demo.fault(fault, query).await;
        for (probe, reason) in victims {
            let detail = self.banken.until_status(probe, "unhealthy").await;
            assert_eq!(detail["reason"], *reason, "{detail:#}");
            assert!(detail["message"].as_str().unwrap().starts_with(&format!("{reason}: ")), "{detail:#}");
            let scrape = Scrape::of(&self.banken).await;
            assert_eq!(scrape.of_probe("banken_probe_success", &detail, ""), Some(0.0), "{probe}");
            assert_eq!(scrape.of_probe("banken_probe_healthy", &detail, ""), Some(0.0), "{probe}");
            assert_eq!(scrape.of_probe("banken_probe_state", &detail, "state=\"unhealthy\""), Some(1.0), "{probe}");
        }
        while_on(&self.banken).await;
        self.demo.reset().await;
        for (probe, reason) in victims {
            let detail = self.banken.until_status(probe, "healthy").await;
            assert_eq!(path(&detail), ["healthy", "suspect", "unhealthy", "healthy"], "{detail:#}");
            assert_eq!(detail["failures"].as_object().unwrap().keys().collect::<Vec<_>>(), [reason], "{detail:#}");
            let scrape = Scrape::of(&self.banken).await;
            assert_eq!(scrape.of_probe("banken_probe_incidents_total", &detail, ""), Some(1.0), "{probe}");
            assert_eq!(scrape.of_probe("banken_probe_healthy", &detail, ""), Some(1.0), "{probe}");
            let failures = scrape.of_probe("banken_probe_failures_total", &detail, &format!("reason=\"{reason}\""));
            assert!(failures >= Some(3.0), "{probe}: {failures:?} failures for {reason}");
        }
        self.nobody_else_was_disturbed(&victims.iter().map(|(probe, _)| *probe).collect::<Vec<_>>()).await;
    }

    pub async fn nobody_else_was_disturbed(&self, victims: &[&str]) {
        for name in self.probes().await.into_iter().filter(|name| !victims.contains(&name.as_str())) {
            let detail = self.banken.probe(&name).await;
            assert_eq!(path(&detail), ["healthy"], "{detail:#}");
            assert_eq!((&detail["incidents"], &detail["failures"]), (&0.into(), &serde_json::json!({})), "{detail:#}");
        }
    }

    async fn probes(&self) -> Vec<String> {
        let report = self.banken.json("/api/v1/status").await;
        report["checks"].as_object().unwrap().keys().cloned().collect()
    }
}

/// The states a probe was in, the first one first. A stall of this machine shows as unknown, and is no news of the probe.
pub fn path(detail: &Value) -> Vec<&str> {
    let changes = detail["changes"].as_array().unwrap().iter().rev();
    let mut path: Vec<_> =
        changes.map(|change| change["to"].as_str().unwrap()).filter(|state| *state != "unknown").collect();
    path.dedup();
    path
}

/// What `banken demo --print-config` prints for this demo.
pub fn printed_config(demo: &Demo) -> String {
    let output = Banken::command()
        .args(["demo", "--print-config", "--watch-listen", "127.0.0.1:0"])
        .args(["--listen", &demo.http.to_string(), "--tls-listen", &demo.tls.to_string()])
        .arg("--dir")
        .arg(demo.folder.path())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The same configuration with everything sooner, so that nobody waits; the timeout leaves a busy machine some room.
pub fn faster(config: &str) -> String {
    let sooner = [
        ("interval: 5s, retry_interval: 1s, timeout: 3s", "interval: 300ms, retry_interval: 100ms, timeout: 2s"),
        ("host: { interval: 5s }", "host: { interval: 1s }"),
        ("interval: 1m", "interval: 300ms"),
        ("max_age: 30s", "max_age: 2s"),
        ("interval: 30s\n    atr:", "interval: 300ms\n    atr:"),
        ("attempts: 5\n      timeout: 3s", "attempts: 2\n      timeout: 2s"),
        // Nobody reports here.
        ("every: 20s", "every: 1h"),
    ];
    sooner.iter().fold(config.to_owned(), |config, (slow, fast)| replaced(&config, slow, fast))
}

/// Replaces what must be there.
pub fn replaced(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "there is no {old:?} in\n{text}");
    text.replace(old, new)
}

/// Adds probes to a configuration; their entries are whole lines.
pub fn with_probes(config: &str, entries: &str) -> String {
    replaced(config, "\nlogs:\n", &format!("\n{entries}logs:\n"))
}

/// The samples of one scrape.
pub struct Scrape(BTreeMap<String, f64>);

impl Scrape {
    pub async fn of(banken: &crate::support::Page) -> Self {
        Self::parse(&banken.metrics().await)
    }

    pub fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.starts_with('#'));
        let samples = samples.map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            (series.to_owned(), value.parse().unwrap())
        });
        Self(samples.collect())
    }

    pub fn value(&self, series: &str) -> Option<f64> {
        self.0.get(series).copied()
    }

    /// A sample of a family with the labels that every probe has, and more.
    pub fn of_probe(&self, family: &str, detail: &Value, more: &str) -> Option<f64> {
        let mut labels = vec![format!("probe={}", detail["name"]), format!("kind={}", detail["kind"])];
        labels.extend(detail["group"].as_str().map(|group| format!("group=\"{group}\"")));
        labels.extend((!more.is_empty()).then(|| more.to_owned()));
        self.value(&format!("{family}{{{}}}", labels.join(",")))
    }

    /// Every series and its value.
    pub fn samples(&self) -> impl ExactSizeIterator<Item = (&str, f64)> {
        self.0.iter().map(|(series, value)| (series.as_str(), *value))
    }
}

/// Waits until a sample of a probe is as wanted.
pub async fn until_sample(
    banken: &Banken,
    probe: &str,
    (family, more): (&str, &str),
    wanted: impl Fn(f64) -> bool,
) -> f64 {
    eventually(&format!("{family} of {probe} is as wanted"), async || {
        let detail = banken.probe(probe).await;
        Scrape::of(banken).await.of_probe(family, &detail, more).filter(|value| wanted(*value))
    })
    .await
}

/// Probes that find what they look for wherever the demo runs.
fn kinds_without_a_part_in_the_demo(config: &str) -> String {
    let (_, after) = config.split_once("http://127.0.0.1:").unwrap();
    let port: String = after.chars().take_while(char::is_ascii_digit).collect();
    format!(
        "  - name: patterns
    file: {{ path: {}/deploy/examples/error_patterns.json, syntax: json }}
    thresholds: {{ age: {{ critical: 100years }}, size: {{ warning: 1GB }} }}
  - {{ name: service-port, port: {{ port: {port} }} }}
  - name: loopback
    icmp: {{ host: 127.0.0.1, count: 1 }}
    thresholds: {{ loss: {{ warning: 10% }}, round_trip: {{ critical: 10s }} }}
  - {{ name: program, command: {{ argv: [ 'true' ] }} }}
  - name: app
    pm2: {{ name: none, home: /nonexistent/.pm2, min: 0 }}
    thresholds: {{ memory: {{ warning: 1GiB }}, cpu: {{ info: 50, warning: 60, critical: 70 }} }}
",
        env!("CARGO_MANIFEST_DIR")
    )
}

/// The configuration of the demo with a threshold on everything that can have one, and a probe of every kind.
pub fn every_kind_and_threshold(config: String) -> String {
    let every = [
        (
            "host: { interval: 1s }",
            "host: { interval: 1s, thresholds: { cpu: { warning: 200% }, memory: { warning: 99%, critical: 100% }, \
             swap: { info: 100% }, disk: { critical: 100% }, duration: { critical: 1m } } }",
        ),
        ("cpu: { warning: 90% }", "cpu: { info: 50, warning: 60, critical: 70 }"),
        (
            "    thresholds: { size:",
            "      - { id: quick, pattern: 'computed in (?P<ms>[0-9]+)ms', captures: { ms: { histogram: [40, 60] } } }
      - { id: kelly, pattern: 'Kelly (?P<ratio>[0-9.]+)', captures: { ratio: { gauge: true } } }
    thresholds: { size:",
        ),
    ];
    let config = every.iter().fold(config, |config, (old, new)| replaced(&config, old, new));
    let config = config.replacen("    http:\n", "    http:\n      keep_alive: true\n", 1);
    let url = config.split("url: ").nth(1).unwrap().lines().next().unwrap().to_owned();
    let journey = format!("  - {{ name: journey, http: {{ steps: [ {{ name: first, url: '{url}' }} ] }} }}\n");
    let remedy =
        "remedies:\n  - { name: none, when: { probe: journey }, steps: [ { command: { argv: [ /bin/true ] } } ] }\n";
    with_probes(&config, &(journey + &kinds_without_a_part_in_the_demo(&config))) + remedy
}
