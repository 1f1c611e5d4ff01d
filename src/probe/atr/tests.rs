//! Drives the probe against a server of a few lines, which says candles as a test is about.

use super::*;
use crate::observation::{Audience, Reading};
use crate::probe::{Context, Probe as _};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use std::sync::{Arc, Mutex};

/// As the runner's: a test that hangs fails.
const DEADLINE: Duration = Duration::from_secs(60);

/// A server that gives the n-th request an answer, and remembers what it was asked for.
struct Server {
    address: std::net::SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Server {
    async fn start(answer: impl Fn(usize, &str) -> Response + Clone + Send + Sync + 'static) -> Self {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = Arc::clone(&asked);
        let router = Router::new().fallback(move |request: Request| {
            let path = request.uri().to_string();
            let number = {
                let mut log = log.lock().unwrap();
                log.push(path.clone());
                log.len()
            };
            let answer = answer(number, &path);
            async move { answer }
        });
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, asked }
    }

    async fn saying(body: Value) -> Self {
        Self::start(move |_, _| axum::Json(body.clone()).into_response()).await
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }

    fn probe(&self, more: &str) -> Probe {
        build(&format!("url: http://{}/candles\n{QUICK}{more}", self.address))
    }
}

const QUICK: &str = "backoff: { initial: 20ms, max: 40ms }\n";

fn config(yaml: &str) -> Config {
    serde_yaml::from_str(yaml).unwrap_or_else(|error| panic!("{error}\n{yaml}"))
}

fn build(yaml: &str) -> Probe {
    config(yaml).build(&Context::default()).unwrap_or_else(|mistakes| panic!("{mistakes:?}\n{yaml}"))
}

/// Runs once, with the runner's part of the contract: a deadline and its reason.
async fn run(probe: &mut Probe) -> (Result<(), Failure>, Readings) {
    let mut out = Readings::default();
    out.begin(Instant::now() + DEADLINE, None);
    let result = tokio::time::timeout(DEADLINE, probe.run(&mut out)).await;
    (result.unwrap_or_else(|_| Err(Failure::new(Reason::Timeout, "cut off"))), out)
}

async fn failure(probe: &mut Probe) -> (Failure, Readings) {
    let (result, out) = run(probe).await;
    (result.unwrap_err(), out)
}

fn attempts(out: &Readings) -> usize {
    out.increments().iter().filter(|reading| std::ptr::eq(reading.family, &ATTEMPTS)).count()
}

/// Rows of `[time, open, high, low, close]`, an hour apart, the latest from now; each true range is 3.
fn rows(count: usize) -> Vec<[f64; 5]> {
    let now = unix_now().floor();
    (0..count).map(|n| [now - 3600.0 * (count - 1 - n) as f64, 10.0, 12.0, 9.0, 11.0]).collect()
}

fn klines(count: usize) -> Value {
    rows(count)
        .into_iter()
        .map(|[time, open, high, low, close]| {
            json!([(time * 1000.0) as u64, open.to_string(), high.to_string(), low.to_string(), close.to_string(), "1"])
        })
        .collect()
}

fn error(status: u16, headers: &[(&str, &str)]) -> Response {
    let mut response = Response::builder().status(status);
    for (name, value) in headers {
        response = response.header(*name, *value);
    }
    response.body(Body::from("no")).unwrap()
}

#[tokio::test]
async fn every_layout_gives_the_same_value() {
    let strings = |row: &[f64; 5]| row.map(|value| value.to_string());
    let rows = rows(20);
    let bitbank: Vec<Value> = rows
        .iter()
        .map(|row| {
            let [_, open, high, low, close] = strings(row);
            json!([open, high, low, close, "5.0", (row[0] * 1000.0) as u64])
        })
        .collect();
    let bitbank = json!({ "success": 1, "data": { "candlestick": [{ "type": "1hour", "ohlcv": bitbank }] } });
    let objects: Value = rows
        .iter()
        .map(|[time, open, high, low, close]| {
            let time = jiff::Timestamp::from_second(*time as i64).unwrap().to_string();
            json!({ "time": time, "open": open, "high": high, "low": low, "close": close })
        })
        .collect();
    let newest: Vec<Value> =
        rows.iter().rev().map(|[time, _, high, low, close]| json!({ "t": time, "v": [close, low, high] })).collect();
    let newest: Vec<Value> = newest
        .iter()
        .map(|row| json!({ "t": row["t"], "c": row["v"][0], "l": row["v"][1], "h": row["v"][2] }))
        .collect();
    let paths = "newest_first: true\npaths: { candles: $.result.list, time: t, high: h, low: l, close: c }\n";
    let cases = [
        (bitbank.clone(), "preset: bitbank\n"),
        (bitbank, ""),
        (klines(20), "preset: binance\n"),
        (klines(20), ""),
        (objects.clone(), "preset: ohlc\n"),
        (objects, ""),
        (json!({ "result": { "list": newest } }), paths),
    ];
    for (body, layout) in cases {
        let server = Server::saying(body).await;
        let (result, out) = run(&mut server.probe(&format!("candle: 1h\n{layout}"))).await;
        assert_eq!(result, Ok(()), "{layout}");
        assert_eq!(out.value(&VALUE), Some(3.0), "{layout}");
        assert_eq!((out.value(&CANDLES), out.value(&RUNNING), attempts(&out)), (Some(20.0), Some(0.0), 1));
        assert!(out.value(&STARTED).is_some() && out.value(&DURATION).is_some());
        let valid: Vec<_> = out.gauges().iter().filter(|r| std::ptr::eq(r.family, &quality::DATA_VALID)).collect();
        assert!(valid.len() == 6 && valid.iter().all(|reading| reading.value > 0.0), "{valid:?}");
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again_until_it_has() {
    let server = Server::start(|number, _| match number {
        1 => error(503, &[]),
        2 => axum::Json(json!({ "success": 0, "data": { "code": 10000 } })).into_response(),
        3 => axum::Json(klines(5)).into_response(),
        _ => axum::Json(klines(20)).into_response(),
    })
    .await;
    let (result, out) = run(&mut server.probe("")).await;
    assert_eq!(result, Ok(()));
    assert_eq!((attempts(&out), out.value(&ATTEMPT), out.value(&RUNNING)), (4, Some(4.0), Some(0.0)));
    let notes: Vec<_> =
        out.notes().iter().filter(|(what, _)| *what == "attempt").map(|(_, fact)| fact.as_str()).collect();
    assert!(notes[0].starts_with("1 of 5: status: HTTP 503"), "{notes:?}");
    assert!(notes[1].starts_with("2 of 5: missing: ") && notes[1].contains("10000"), "{notes:?}");
    assert!(notes[2].starts_with("3 of 5: missing: 5 candles, at least 15"), "{notes:?}");
}

#[tokio::test]
async fn after_the_last_attempt_the_last_failure_is_told() {
    let server = Server::start(|_, _| error(502, &[])).await;
    let (failure, out) = failure(&mut server.probe("attempts: 3\n")).await;
    assert_eq!(failure.reason, Reason::Status);
    assert!(failure.detail.starts_with("attempts that failed: all of 3; the last one: HTTP 502"), "{failure}");
    assert_eq!((attempts(&out), server.asked().len()), (3, 3));
    assert_eq!((out.value(&CANDLES), out.value(&VALUE), out.value(&RUNNING)), (Some(0.0), None, Some(0.0)));
    assert_eq!(out.gauges().iter().filter(|r| std::ptr::eq(r.family, &quality::DATA_VALID)).count(), 4);
}

#[tokio::test]
async fn a_request_that_is_refused_as_wrong_is_not_repeated() {
    for (status, reason) in [(400, Reason::Status), (401, Reason::Auth), (403, Reason::Auth), (404, Reason::Status)] {
        let server = Server::start(move |_, _| error(status, &[])).await;
        let (failure, out) = failure(&mut server.probe("")).await;
        assert_eq!(failure.reason, reason, "{failure}");
        assert!(
            failure.detail.starts_with("attempts that failed: 1 of 5; and another one would not help"),
            "{failure}"
        );
        assert_eq!((server.asked().len(), out.value(&RUNNING)), (1, Some(0.0)));
    }
    let server = Server::saying(klines(20)).await;
    let (failure, _) = failure(&mut server.probe("max_body: 100\n")).await;
    assert_eq!((failure.reason, server.asked().len()), (Reason::Limit, 1));
}

#[tokio::test]
async fn an_answer_that_is_no_candles_says_what_it_is() {
    let cases = [
        (json!({ "error": "x" }), "", Reason::Missing, "no shape of candles that is known"),
        (json!([1, 2]), "", Reason::Missing, "no shape"),
        (
            json!({ "a": {} }),
            "preset: binance\n",
            Reason::Missing,
            "no list of candles at $ of the body; it begins: {\"a\":{}}",
        ),
        (klines(20), "preset: bitbank\n", Reason::Missing, "no list of candles at /data/candlestick/0/ohlcv"),
        (klines(20), "paths: { candles: $.x, high: 2, low: 3, close: 4 }\n", Reason::Missing, "at $.x"),
        (
            klines(20),
            "paths: { candles: $, high: 9, low: 3, close: 4 }\n",
            Reason::Json,
            "candle 1 of 20 cannot be read: it has no high",
        ),
        (klines(20), "paths: { candles: $, high: h, low: 3, close: 4 }\n", Reason::Json, "it has no high"),
        (json!([[1, "1", "x", "1", "1"]]), "", Reason::Json, "its high is no number in \"[1,"),
        (json!([[1, "1", "inf", "1", "1"]]), "", Reason::Json, "its high is no number"),
        (json!([["soon", "1", "1", "1", "1"]]), "", Reason::Json, "its time is neither"),
        (json!([]), "", Reason::Missing, "0 candles, at least 15"),
    ];
    for (body, layout, reason, detail) in cases {
        let server = Server::saying(body).await;
        let (failure, out) = failure(&mut server.probe(&format!("attempts: 1\n{layout}"))).await;
        assert!(failure.reason == reason && failure.detail.contains(detail), "{failure}");
        assert!(out.value(&CANDLES).is_some() && out.value(&VALUE).is_none(), "{failure}");
    }
    let server = Server::start(|_, _| "<html>".into_response()).await;
    let (failure, _) = failure(&mut server.probe("attempts: 1\n")).await;
    assert_eq!(failure.reason, Reason::Json);
    assert!(failure.detail.contains("not JSON") && failure.detail.contains("it begins: <html>"), "{failure}");
}

#[tokio::test]
async fn candles_that_are_unfit_give_no_value_and_say_so() {
    let mut stale = rows(20);
    for row in &mut stale {
        row[0] -= 86_400.0;
    }
    let server = Server::saying(json!(stale)).await;
    let (failure, out) = failure(&mut server.probe("attempts: 2\ncandle: 1h\n")).await;
    assert_eq!(failure.reason, Reason::Stale, "{failure}");
    assert_eq!((out.value(&CANDLES), out.value(&VALUE), server.asked().len()), (Some(20.0), None, 2));
    let invalid: Vec<_> =
        out.gauges().iter().filter(|r| std::ptr::eq(r.family, &quality::DATA_VALID) && r.value == 0.0).collect();
    assert!(invalid.len() == 1 && invalid[0].labels.as_ref().unwrap().text() == "check=\"fresh\"", "{invalid:?}");
}

#[tokio::test]
async fn a_wish_to_wait_is_granted_within_the_run_and_kept_beyond_it() {
    let server = Server::start(|number, _| match number {
        1 => error(429, &[("retry-after", "1")]),
        2 => axum::Json(klines(20)).into_response(),
        _ => error(429, &[("retry-after", "3600")]),
    })
    .await;
    let mut probe = server.probe("attempts: 2\ntimeout: 5s\n");
    let begun = Instant::now();
    assert_eq!(run(&mut probe).await.0, Ok(()));
    assert!(begun.elapsed() >= Duration::from_secs(1), "{:?}", begun.elapsed());
    // Now the wait does not fit into the run.
    let (failed, out) = failure(&mut probe).await;
    assert_eq!((failed.reason, attempts(&out), server.asked().len()), (Reason::Status, 1, 3), "{failed}");
    assert!(failed.detail.contains("longer than this run lasts: HTTP 429"), "{failed}");
    // And it outlasts it.
    let (failed, out) = failure(&mut probe).await;
    assert_eq!((failed.reason, attempts(&out), server.asked().len()), (Reason::Status, 0, 3), "{failed}");
    assert!(failed.detail.starts_with("not asked, because the target wants to be left alone for 59m"), "{failed}");
    assert_eq!((out.value(&RUNNING), out.value(&ATTEMPT), out.value(&CANDLES)), (Some(0.0), Some(0.0), Some(0.0)));
}

#[tokio::test]
async fn a_refusal_that_names_a_time_is_kept_too_but_not_for_ever() {
    let server = Server::start(|_, _| error(418, &[("retry-after", "259200")])).await;
    let mut probe = server.probe("");
    assert_eq!(failure(&mut probe).await.0.reason, Reason::Status);
    let (until, _) = probe.hold.clone().unwrap();
    assert!(until <= Instant::now() + LONGEST_HOLD);
    probe.hold = Some((Instant::now(), probe.hold.unwrap().1));
    failure(&mut probe).await;
    assert_eq!(server.asked().len(), 2);
}

/// Remembers what it was shown.
#[derive(Default)]
struct Witness(Mutex<Vec<(Vec<Reading>, usize)>>);

impl Audience for Witness {
    fn hear(&self, gauges: &[Reading], increments: &[Reading]) {
        self.0.lock().unwrap().push((gauges.to_vec(), increments.len()));
    }
}

impl Witness {
    /// Running, attempt, and how many increments were shown.
    fn heard(&self) -> Vec<[f64; 3]> {
        let heard = self.0.lock().unwrap();
        let value = |gauges: &[Reading], family: &'static Family| {
            gauges.iter().find(|reading| std::ptr::eq(reading.family, family)).map_or(-1.0, |reading| reading.value)
        };
        heard.iter().map(|(gauges, added)| [value(gauges, &RUNNING), value(gauges, &ATTEMPT), *added as f64]).collect()
    }
}

#[tokio::test]
async fn a_hang_is_seen_while_it_lasts() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("url: http://{}/\n", listener.local_addr().unwrap());
    let mut probe = build(&format!("{url}{QUICK}attempts: 2\ntimeout: 300ms\n"));
    let witness = Arc::new(Witness::default());
    let mut out = Readings::default();
    out.begin(Instant::now() + DEADLINE, Some(Arc::clone(&witness) as Arc<dyn Audience>));
    let failure = probe.run(&mut out).await.unwrap_err();
    assert_eq!(failure.reason, Reason::Timeout);
    assert!(
        failure.detail.ends_with("the last one: not done within 300ms: it was still in the phase wait"),
        "{failure}"
    );
    assert_eq!(witness.heard(), [[1.0, 1.0, 1.0], [1.0, 2.0, 1.0], [0.0, 2.0, 0.0]]);
    assert!(out.value(&DURATION) >= Some(0.6) && out.increments().is_empty());
}

#[tokio::test]
async fn what_a_young_day_lacks_is_on_the_page_before() {
    let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
    let path = |back: i64| format!("/1hour/{}", today.saturating_sub(jiff::ToSpan::days(back)).strftime("%Y%m%d"));
    let paths = [path(0), path(1), path(2), path(3)];
    // Pages of 8 candles each, in the order in which they are asked for.
    let page = |back: usize| json!(rows(32)[32 - 8 * (back + 1)..32 - 8 * back].to_vec());
    for (missing, min_candles, wanted) in [(None, 8, 1), (None, 9, 2), (Some(0), 9, 3), (Some(2), 30, 3), (None, 32, 4)]
    {
        let known = paths.clone();
        let server = Server::start(move |_, path| match known.iter().position(|known| known == path) {
            Some(back) if Some(back) != missing => {
                axum::Json(page(back - usize::from(missing == Some(0)))).into_response()
            }
            _ => error(404, &[]),
        })
        .await;
        let url = format!("url: 'http://{}/1hour/{{yyyymmdd}}'\n", server.address);
        let mut probe = build(&format!("{url}{QUICK}attempts: 1\nperiod: 7\ncandle: 1h\nmin_candles: {min_candles}\n"));
        let (result, out) = run(&mut probe).await;
        assert_eq!(server.asked(), paths[..wanted], "{missing:?} {min_candles}: {result:?}");
        if missing == Some(2) {
            assert!(result.unwrap_err().detail.contains("16 candles, at least 30"));
        } else {
            assert_eq!((result, out.value(&VALUE)), (Ok(()), Some(3.0)), "{missing:?} {min_candles}");
        }
        assert!(out.value(&CANDLES) >= Some(8.0));
    }
    let server = Server::start(|_, _| error(404, &[])).await;
    let url = format!("url: 'http://{}/{{yyyy}}'\n", server.address);
    let (failure, _) = failure(&mut build(&format!("{url}{QUICK}"))).await;
    assert_eq!((failure.reason, server.asked().len()), (Reason::Status, 2), "{failure}");
}

#[test]
fn a_run_may_take_as_long_as_its_attempts_and_pauses() {
    let needs = |more: &str| config(&format!("url: http://a/\n{more}")).needs().unwrap();
    // 5 × 30 s, pauses of 1, 2, 4 and 8 s, and something to spare.
    assert_eq!(needs(""), Duration::from_secs(150 + 15 + 5));
    assert_eq!(needs("attempts: 1\ntimeout: 2s\n"), Duration::from_secs(7));
    assert_eq!(needs("attempts: 4\ntimeout: 1s\nbackoff: { initial: 2s, max: 3s }\n"), Duration::from_secs(4 + 8 + 5));
}

#[test]
fn mistakes_name_their_key_and_the_remedy() {
    let cases = [
        ("period: 2000", "period", "at most 1000"),
        ("attempts: 11", "attempts", "at most 10"),
        ("min_candles: 14", "min_candles", "at least 15"),
        ("min_candles: 100000", "min_candles", "at most 10000"),
        ("max_body: 17MiB", "max_body", "16MiB"),
        ("preset: ohlc\npaths: { candles: $, high: 1, low: 2, close: 3, time: 0 }", "paths", "keep one"),
        ("candle: 1h\npaths: { candles: $, high: 1, low: 2, close: 3 }", "candle", "paths.time"),
        ("max_age: 1h\npaths: { candles: $, high: 1, low: 2, close: 3 }", "max_age", "paths.time"),
        ("max_gaps: 1", "max_gaps", "candle"),
        ("timeout: 1ms", "timeout", "10ms"),
        ("backoff: { initial: 20s }", "backoff.max", "below backoff.initial"),
        ("backoff: { initial: 0s }", "backoff.initial", "10ms"),
        ("auth: {}", "auth", "basic or bearer"),
    ];
    for (yaml, path, message) in cases {
        let Err(mistakes) = config(&format!("url: http://a/\n{yaml}\n")).build(&Context::default()) else {
            panic!("{yaml} is accepted")
        };
        let found = mistakes.iter().any(|mistake| mistake.path == path && mistake.message.contains(message));
        assert!(found, "{yaml}: {mistakes:?}");
    }
    for yaml in [
        "period: 0",
        "paths: { candles: x, high: 1, low: 2, close: 3 }",
        "paths: { candles: $, high: -1, low: 2, close: 3 }",
        "preset: kraken",
    ] {
        assert!(serde_yaml::from_str::<Config>(&format!("url: http://a/\n{yaml}\n")).is_err(), "{yaml}");
    }
}
