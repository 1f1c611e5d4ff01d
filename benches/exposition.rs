//! How long a scrape of 100,000 series takes, and how long prometheus-client's own `Family` takes for as many.

#![allow(clippy::unwrap_used, reason = "a benchmark that cannot be set up should end at once")]

use banken::board::{Board, Descriptor, LATENCY_BOUNDS, ProbeCell};
use banken::health::Policy;
use banken::metrics::{Exposition, Format};
use banken::observation::{Observation, Phase, Readings};
use criterion::{Criterion, criterion_group, criterion_main};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;
use std::hint::black_box;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;
use tokio::time::Instant;

const SERIES: usize = 100_000;

fn samples(text: impl AsRef<[u8]>) -> usize {
    let text = std::str::from_utf8(text.as_ref()).unwrap();
    text.lines().filter(|line| !line.starts_with('#')).count()
}

fn cell(number: usize) -> Arc<ProbeCell> {
    let cell = ProbeCell::new(Descriptor {
        name: format!("probe-{number:05}"),
        kind: "http",
        group: Some(format!("group-{:02}", number % 20)),
        interval: Duration::from_secs(30),
        policy: Policy { failure_threshold: 3, success_threshold: 2 },
        limits: Vec::new(),
        reasons: banken::probe::http::KIND.reasons,
        families: &[],
        depends_on: Vec::new(),
    });
    for run in 0..20 {
        let mut readings = Readings::default();
        for phase in Phase::ALL {
            readings.enter(phase);
        }
        readings.leave();
        let duration = Duration::from_micros(137 * run + number as u64);
        let observation = Observation { started_at: 1_766_917_800.123, duration, outcome: Ok(()), readings };
        Board::default().publish(&cell, observation, Instant::now());
    }
    Arc::new(cell)
}

/// A board whose scrape has at least so many samples.
fn board() -> Exposition {
    let board = Arc::new(Board::default());
    let one = {
        board.replace_probes(vec![cell(0)]);
        let with = samples(Exposition::new(Arc::clone(&board)).open_metrics().unwrap());
        board.replace_probes(Vec::new());
        with - samples(Exposition::new(Arc::clone(&board)).open_metrics().unwrap())
    };
    board.replace_probes((0..SERIES.div_ceil(one)).map(cell).collect());
    Exposition::new(board)
}

type Pairs = Vec<(String, String)>;

/// Reads `name{a="x",b="y"} 1` apart.
fn sample(line: &str) -> (&str, Pairs, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap();
    let (name, labels) = series.split_once('{').unwrap_or((series, ""));
    let labels = labels.trim_end_matches('}').split("\",").filter(|pair| !pair.is_empty());
    let pair = |pair: &str| {
        let (key, value) = pair.split_once("=\"").unwrap();
        (key.to_owned(), value.trim_end_matches('"').to_owned())
    };
    (name, labels.map(pair).collect(), value.parse().unwrap())
}

/// The very same series as `Family`s of prometheus-client, which is how most exporters keep them.
fn families(text: &str) -> Registry {
    let mut registry = Registry::default();
    let mut lines = text.lines().peekable();
    while let Some(help) = lines.next().and_then(|line| line.strip_prefix("# HELP ")) {
        let (name, help) = help.split_once(' ').unwrap();
        let metric_type = lines.next().unwrap().rsplit_once(' ').unwrap().1.to_owned();
        let mut samples = Vec::new();
        while let Some(line) = lines.next_if(|line| !line.starts_with('#')) {
            samples.push(sample(line));
        }
        match metric_type.as_str() {
            "gauge" => {
                let family: Family<Pairs, Gauge<f64, AtomicU64>> = Family::default();
                for (_, labels, value) in samples {
                    family.get_or_create(&labels).set(value);
                }
                registry.register(name, help, family);
            }
            "counter" => {
                let family: Family<Pairs, Counter<f64, AtomicU64>> = Family::default();
                for (_, labels, value) in samples {
                    family.get_or_create(&labels).inc_by(value);
                }
                registry.register(name, help, family);
            }
            _ => {
                let family: Family<Pairs, Histogram> =
                    Family::new_with_constructor(|| Histogram::new(LATENCY_BOUNDS.iter().copied()));
                for (_, labels, _) in samples.into_iter().filter(|(name, ..)| name.ends_with("_count")) {
                    family.get_or_create(&labels).observe(0.000_137);
                }
                registry.register(name, help, family);
            }
        }
    }
    registry
}

fn exposition(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scrape of 100,000 series");
    group.sample_size(20);
    let exposition = board();
    let count = samples(exposition.open_metrics().unwrap());
    assert!(count >= SERIES, "only {count} samples");
    group.bench_function("banken, OpenMetrics", |bencher| {
        bencher.iter(|| black_box(exposition.open_metrics().unwrap()));
    });
    group.bench_function("banken, 0.0.4", |bencher| {
        bencher.iter(|| black_box(Format::Prometheus.render(exposition.open_metrics().unwrap())));
    });
    let registry = families(std::str::from_utf8(&exposition.open_metrics().unwrap()).unwrap());
    let mut same = String::new();
    prometheus_client::encoding::text::encode(&mut same, &registry).unwrap();
    assert!(samples(&same).abs_diff(count) < 50, "{} samples instead of {count}", samples(&same));
    group.bench_function("prometheus-client Family, OpenMetrics", |bencher| {
        bencher.iter(|| {
            let mut text = String::new();
            prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
            black_box(text)
        });
    });
    group.finish();
}

criterion_group!(benches, exposition);
criterion_main!(benches);
