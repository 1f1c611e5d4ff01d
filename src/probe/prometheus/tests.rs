//! Drives the probe against a server that says one text, and reads texts without any server.

use super::*;
use crate::observation::Labels;
use crate::probe::{Context, Probe as _};
use axum::Router;
use axum::http::header::CONTENT_TYPE as TYPE;
use axum::response::IntoResponse as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::time::Instant;

const PAGE: &str = "\
# HELP orders_total Orders.
# TYPE orders_total counter
orders_total{pair=\"DOGE_JPY\"} 12
orders_total{pair=\"BTC_JPY\"} 3
# TYPE cycle_seconds histogram
cycle_seconds_bucket{le=\"1\"} 4
cycle_seconds_bucket{le=\"+Inf\"} 5
cycle_seconds_sum 6.5
cycle_seconds_count 5
# TYPE kafka_lag gauge
kafka_lag{group=\"a\",topic=\"x\"} 7
kafka_lag{group=\"a\",topic=\"y\"} 30
kafka_lag{group=\"b\",topic=\"x\"} 9000
# TYPE never_set gauge
# TYPE ratio gauge
ratio NaN
untyped_thing 1
other_thing 2
";

fn config(yaml: &str) -> Config {
    let yaml = format!("url: http://127.0.0.1:1/metrics\n{yaml}");
    serde_yaml::from_str(&yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"))
}

fn build(config: &Config) -> Probe {
    config.build(&Context::default()).unwrap_or_else(|mistakes| panic!("{mistakes:?}"))
}

/// Judges a text at a time, without any server.
fn look_at(yaml: &str, text: &str, now: f64) -> (Result<(), Failure>, Readings) {
    let config = config(yaml);
    let probe = build(&config);
    let mut look = Look::new(&probe.config, &probe.wanted, probe.fetcher.redactor(), now);
    for item in exposition::read(text.as_bytes(), Dialect::of(text.as_bytes()), BOUNDS) {
        look.take(item);
    }
    let mut out = Readings::default();
    (look.conclude(&mut out), out)
}

fn look(yaml: &str) -> (Result<(), Failure>, Readings) {
    look_at(yaml, PAGE, 0.0)
}

fn of_check(out: &Readings, family: &'static Family, check: &str) -> Option<f64> {
    let labels = Labels::render(&[("check", check)]);
    let mut gauges = out.gauges().iter().filter(|reading| std::ptr::eq(reading.family, family));
    gauges.find(|reading| reading.labels.as_deref() == Some(&labels)).map(|reading| reading.value)
}

#[test]
fn series_and_families_are_counted() {
    let (result, out) = look("");
    assert_eq!(result, Ok(()));
    let counts = [&SERIES, &FAMILIES_FOUND, &MISSING].map(|family| out.value(family));
    assert_eq!(counts, [Some(12.0), Some(6.0), Some(0.0)], "a family without a sample is none");
}

#[test]
fn what_is_required_has_a_sample_under_its_own_name_or_that_of_its_family() {
    let there = [
        "orders_total",
        "orders",
        "cycle_seconds",
        "cycle_seconds_bucket",
        "ratio",
        "untyped_thing",
        "kafka_lag{group=\"b\"}",
        "cycle_seconds{le=\"1\"}",
    ];
    for name in there {
        assert_eq!(look(&format!("require: ['{name}']")).0, Ok(()), "{name}");
    }
    for name in ["never_set", "order", "orders_total_total", "cycle", "kafka_lag{group=\"c\"}", "thing"] {
        let (result, out) = look(&format!("require: [ratio, '{name}']"));
        let failure = result.expect_err(name);
        assert_eq!(failure, Failure::new(Reason::Missing, format!("1 of 2 required metrics are missing: {name}")));
        assert_eq!(out.value(&MISSING), Some(1.0));
    }
    let open = "# TYPE orders counter\norders_total 1\n# TYPE build info\nbuild_info{v=\"1\"} 1\n# EOF\n";
    for name in ["orders", "orders_total", "build", "build_info"] {
        assert_eq!(look_at(&format!("require: [{name}]"), open, 0.0).0, Ok(()), "{name}");
    }
}

#[test]
fn many_that_are_missing_are_counted_and_the_first_named() {
    let names: Vec<String> = (0..30).map(|number| format!("m{number}")).collect();
    let failure = look(&format!("require: [{}]", names.join(", "))).0.unwrap_err();
    assert!(failure.detail.starts_with("30 of 30 required metrics are missing: m0, m1"), "{failure}");
    assert!(failure.detail.ends_with("m9 and 20 more"), "{failure}");
}

#[test]
fn values_are_held_against_every_kind_of_bound() {
    let lag = "metric: 'kafka_lag{group=\"b\"}'";
    let table = [
        (format!("{lag}, below: 9001"), None),
        (format!("{lag}, below: 9000"), Some("is 9000 where below 9000 was expected")),
        (format!("{lag}, max: 9000"), None),
        (format!("{lag}, max: 8999"), Some("is 9000 where at most 8999")),
        (format!("{lag}, above: 8999"), None),
        (format!("{lag}, above: 9000"), Some("above 9000")),
        (format!("{lag}, min: 9000"), None),
        (format!("{lag}, min: 9001"), Some("at least 9001")),
        (format!("{lag}, equals: 9000"), None),
        (format!("{lag}, equals: 9001"), Some("exactly 9001")),
        (lag.to_owned(), None),
        ("metric: ratio, min: 0".into(), Some("is NaN where at least 0")),
        ("metric: ratio".into(), None),
        ("metric: 'kafka_lag{group=\"a\"}', max: 30".into(), None),
        (
            "metric: 'kafka_lag{group=\"a\"}', max: 20".into(),
            Some("is 30 where at most 20 was expected at \"group=\"a\",topic=\"y\"\""),
        ),
        (
            "metric: kafka_lag, max: 6".into(),
            Some("is 7 where at most 6 was expected at \"group=\"a\",topic=\"x\"\", and 2 more of 3 are wrong"),
        ),
        ("metric: kafka_lag, combine: sum, equals: 9037".into(), None),
        ("metric: kafka_lag, combine: min, equals: 7".into(), None),
        ("metric: kafka_lag, combine: max, equals: 9000".into(), None),
        ("metric: kafka_lag, combine: max, below: 9000".into(), Some("is 9000 where below")),
        ("metric: cycle_seconds, min: 0".into(), Some("selects no series")),
        ("metric: nothing".into(), Some("selects no series")),
        ("metric: nothing, optional: true, min: 3".into(), None),
    ];
    for (check, wanted) in table {
        let (result, out) = look(&format!("checks: [ {{ name: x, {check} }} ]"));
        assert_eq!(of_check(&out, &CHECK_VALID, "x"), Some(f64::from(u8::from(wanted.is_none()))), "{check}");
        match (result, wanted) {
            (Ok(()), None) => {}
            (Err(failure), Some(what)) => {
                assert!(failure.detail.contains(what), "{check}: {failure}");
                let reason = if what.contains("no series") { Reason::Missing } else { Reason::Body };
                assert_eq!(failure.reason, reason, "{check}");
            }
            (result, _) => panic!("{check}: {result:?}"),
        }
    }
}

#[test]
fn the_value_of_one_series_or_of_several_made_one_is_exported() {
    let table = [
        ("metric: 'kafka_lag{group=\"b\"}', max: 1", Some(9000.0), false),
        ("metric: kafka_lag, combine: sum", Some(9037.0), true),
        ("metric: kafka_lag", None, false),
        ("metric: ratio", None, true),
        ("metric: nothing, optional: true", None, true),
    ];
    for (check, value, passes) in table {
        let (result, out) = look(&format!("checks: [ {{ name: x, export: true, {check} }} ]"));
        assert_eq!((of_check(&out, &CHECK_VALUE, "x"), result.is_ok()), (value, passes), "{check}: {result:?}");
    }
    assert_eq!(of_check(&look("checks: [ { name: x, metric: untyped_thing } ]").1, &CHECK_VALUE, "x"), None);
}

#[test]
fn a_number_that_is_none_is_not_lost_among_others() {
    for text in ["x 1\nx{a=\"b\"} NaN\n", "x NaN\nx{a=\"b\"} 1\n"] {
        for combine in ["min", "max", "sum"] {
            let yaml = format!("checks: [ {{ name: x, metric: x, combine: {combine}, min: 0 }} ]");
            assert!(look_at(&yaml, text, 0.0).0.unwrap_err().detail.contains("NaN"), "{combine}");
        }
    }
}

#[test]
fn a_time_must_not_be_too_old_nor_in_another_unit() {
    let now = 1_795_321_651.0;
    let table = [
        (now - 60.0, None),
        (now + 30.0, None),
        (now - 61.0, Some((Reason::Stale, "is 1m 1s old where at most 1m was expected"))),
        (now * 1000.0, Some((Reason::Body, "in the future"))),
        (0.0, Some((Reason::Stale, "old"))),
    ];
    for (value, wanted) in table {
        let yaml = "checks: [ { name: x, metric: backup_seconds, max_age: 1m } ]";
        let (result, _) = look_at(yaml, &format!("backup_seconds {value}\n"), now);
        match wanted {
            None => assert_eq!(result, Ok(())),
            Some((reason, what)) => {
                let failure = result.unwrap_err();
                assert!(failure.reason == reason && failure.detail.contains(what), "{failure}");
            }
        }
    }
    let both = "checks: [ { name: x, metric: t, max_age: 1m, min: 5 } ]";
    let failure = look_at(both, "t 1\nt{a=\"b\"} 1000\n", now).0.unwrap_err();
    assert_eq!(failure.reason, Reason::Stale, "of two series the one that is too old gives the reason: {failure}");
    assert!(look_at("checks: [ { name: x, metric: t, max_age: 1m } ]", "t +Inf\n", now).0.is_err());
}

#[test]
fn the_number_of_samples_has_bounds() {
    assert_eq!(look("min_series: 12\nmax_series: 12").0, Ok(()));
    let few = look("min_series: 13").0.unwrap_err();
    assert_eq!(few, Failure::new(Reason::Missing, "12 samples where at least 13 were expected"));
    let many = look("max_series: 11").0.unwrap_err();
    assert_eq!(many, Failure::new(Reason::Limit, "12 samples where at most 11 were expected"));
    assert_eq!(look_at("", "", 0.0).0.unwrap_err().reason, Reason::Missing);
    assert_eq!(look_at("min_series: 0", "", 0.0).0, Ok(()));
}

#[test]
fn lines_that_cannot_be_read_are_told_and_the_others_still_count() {
    let text = "good 1\nbad\nworse{\ngood{a=\"b\"} 2\n";
    let (result, out) = look_at("require: [good, absent]", text, 0.0);
    let failure = result.unwrap_err();
    assert_eq!((failure.reason, out.value(&SERIES)), (Reason::Protocol, Some(2.0)));
    assert!(failure.detail.starts_with("the answer cannot be read: line 2: "), "{failure}");
    assert!(failure.detail.contains("(and 1 more lines); 1 of 2 required metrics are missing: absent"), "{failure}");
    let long = format!("bad\ngood{{a=\"{}\"}} 1\n", "x".repeat(70_000));
    let failure = look_at("", &long, 0.0).0.unwrap_err();
    assert!(failure.reason == Reason::Limit && failure.detail.contains("line 2"), "{failure}");
    let cut = look_at("", "# TYPE a gauge\na 1\n# EOF\nb 2\n", 0.0);
    assert!(cut.0.is_ok(), "a text that does not end in # EOF is read as 0.0.4");
}

#[test]
fn of_several_things_the_gravest_gives_the_reason_and_all_are_told() {
    let checks = "checks:\n  - { name: range, metric: one, min: 5 }\n  - { name: age, metric: one, max_age: 1m }\n";
    let look = |more: &str| look_at(&format!("{checks}{more}"), "one 1\n", 1e9).0.unwrap_err();
    assert_eq!(look("").reason, Reason::Stale);
    assert_eq!(look("require: [two]").reason, Reason::Missing);
    assert_eq!(look("require: [two]\nmin_series: 0\nmax_series: 0").reason, Reason::Limit);
    assert_eq!(look("require: [two]").detail.matches("; ").count(), 2);
    let many: Vec<_> = (0..40).map(|n| format!("{{ name: c{n}, metric: one, min: 5 }}")).collect();
    let failure = look_at(&format!("checks: [{}]", many.join(", ")), "one 1\n", 0.0).0.unwrap_err();
    assert!(failure.detail.ends_with("; and 30 more are wrong"), "{failure}");
}

/// Says one text to everybody, and remembers what it was asked.
async fn server(content_type: &'static str, text: &'static str) -> (std::net::SocketAddr, Arc<Mutex<Vec<String>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let accepts = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&accepts);
    let router = Router::new().fallback(move |headers: http::HeaderMap| {
        log.lock().unwrap().push(headers[ACCEPT].to_str().unwrap().to_owned());
        async move { ([(TYPE, content_type)], text).into_response() }
    });
    tokio::spawn(async move { axum::serve(listener, router).await });
    (address, accepts)
}

async fn run(config: Config) -> (Result<(), Failure>, Readings) {
    let mut probe = build(&config);
    let mut out = Readings::default();
    out.begin(Instant::now() + Duration::from_secs(20), None);
    let result = probe.run(&mut out).await;
    (result, out)
}

#[tokio::test]
async fn the_type_of_the_answer_decides_how_it_is_read() {
    let whole = "a 1 1700000000.5\n# EOF\n";
    let cases = [
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", whole, None),
        ("application/openmetrics-text; version=1.0.0", "a 1\n", Some((Reason::Protocol, "without # EOF"))),
        ("text/plain; version=0.0.4", whole, Some((Reason::Protocol, "not a timestamp"))),
        ("text/plain; version=0.0.4", "a 1 1700000000500\n", None),
        ("text/html", "<html><body>", Some((Reason::Protocol, "line 1"))),
        ("application/json", "{\"status\": \"ok\"}", Some((Reason::Protocol, "line 1"))),
    ];
    for (content_type, text, wanted) in cases {
        let (address, accepts) = server(content_type, text).await;
        let config = Config { url: format!("http://{address}/metrics").parse().unwrap(), ..config("") };
        let (result, out) = run(config).await;
        match wanted {
            None => assert_eq!((result, out.value(&SERIES)), (Ok(()), Some(1.0)), "{content_type}"),
            Some((reason, what)) => {
                let failure = result.expect_err(content_type);
                assert!(failure.reason == reason && failure.detail.contains(what), "{content_type}: {failure}");
            }
        }
        assert_eq!(out.value(&BODY_BYTES), Some(text.len() as f64));
        assert_eq!(*accepts.lock().unwrap(), [FORMATS]);
    }
}

#[tokio::test]
async fn an_accept_header_of_ones_own_is_sent_as_it_is() {
    let (address, accepts) = server("text/plain", "a 1\n").await;
    let own = config("headers: { Accept: text/plain }");
    let (result, _) = run(Config { url: format!("http://{address}/").parse().unwrap(), ..own }).await;
    assert_eq!((result, accepts.lock().unwrap().as_slice()), (Ok(()), ["text/plain".to_owned()].as_slice()));
}

#[tokio::test]
async fn without_an_answer_every_check_is_invalid() {
    let (result, out) = run(config("checks: [ { name: x, metric: y, export: true } ]")).await;
    assert_eq!(result.unwrap_err().reason, Reason::Connect);
    assert_eq!(of_check(&out, &CHECK_VALID, "x"), Some(0.0));
    assert_eq!((of_check(&out, &CHECK_VALUE, "x"), out.value(&SERIES)), (None, None));
}

#[test]
fn mistakes_name_their_key_and_the_remedy() {
    let cases = [
        (
            "checks: [ { name: a, metric: x }, { name: a, metric: y } ]",
            "checks[1].name",
            "already the name of checks[0]",
        ),
        ("checks: [ { name: A, metric: x } ]", "checks[0].name", "not a name"),
        ("checks: [ { name: a, metric: x, min: 3, max: 2 } ]", "checks[0].min", "no number between"),
        ("checks: [ { name: a, metric: x, above: 3, max: 3 } ]", "checks[0].above", "no number between"),
        ("checks: [ { name: a, metric: x, min: .nan } ]", "checks[0].min", "no bound"),
        ("checks: [ { name: a, metric: x, max_age: 1ms } ]", "checks[0].max_age", "10ms"),
        ("checks: [ { name: a, metric: x, max_age: 1h, combine: sum } ]", "checks[0].max_age", "min or max"),
        ("min_series: 5\nmax_series: 4", "max_series", "below min_series"),
        ("max_body: 0", "max_body", "at least 1"),
        ("max_body: 17MiB", "max_body", "16MiB"),
    ];
    for (yaml, path, message) in cases {
        let Err(mistakes) = config(yaml).build(&Context::default()) else { panic!("{yaml} is accepted") };
        let found = mistakes.iter().any(|mistake| mistake.path == path && mistake.message.contains(message));
        assert!(found, "{yaml}: {mistakes:?}");
    }
    assert!(build(&config("checks: [ { name: a, metric: x, min: 3, max: 3 } ]")).config.checks.len() == 1);
}
