//! The average true range of the real binary, held against TA-Lib's on generated and on published series.

use crate::support::{Banken, value_of};
use crate::targets::{Target, response};
use serde_json::{Value, json};
use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

/// High, low and close of one candle.
type Prices = [f64; 3];

/// One series, and over how many candles it is averaged.
struct Case {
    name: String,
    prices: Vec<Prices>,
    period: u32,
    /// What an exchange says, where it is not made of the prices.
    answer: Option<String>,
    /// What was published as the result.
    published: Option<f64>,
}

impl Case {
    fn new(name: impl Into<String>, prices: Vec<Prices>, period: u32) -> Self {
        Self { name: name.into(), prices, period, answer: None, published: None }
    }

    /// The candles, in a layout that changes from case to case.
    fn body(&self, number: usize) -> String {
        if let Some(answer) = &self.answer {
            return answer.clone();
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis() as u64;
        let times = (0..self.prices.len() as u64).rev().map(|before| now - before * 60_000);
        let rows = self.prices.iter().zip(times).map(|([high, low, close], time)| match number % 3 {
            0 => json!([close.to_string(), high.to_string(), low.to_string(), close.to_string(), "1.0", time]),
            1 => json!([time, close.to_string(), high.to_string(), low.to_string(), close.to_string(), "1.0"]),
            _ => json!({ "time": time, "open": close, "high": high, "low": low, "close": close }),
        });
        let rows: Value = rows.collect();
        if number.is_multiple_of(3) {
            return json!({ "success": 1, "data": { "candlestick": [{ "type": "1min", "ohlcv": rows }] } }).to_string();
        }
        rows.to_string()
    }
}

/// Numbers between 0 and 1 that look like chance and are always the same (splitmix64).
struct Dice(u64);

impl Dice {
    fn roll(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// A random walk around a price, with gaps between a close and what follows.
fn walk(seed: u64, length: usize, price: f64, swing: f64) -> Vec<Prices> {
    let mut dice = Dice(seed);
    let mut last = price;
    let step = |dice: &mut Dice, from: f64| from * (1.0 + swing * (dice.roll() - 0.5));
    (0..length)
        .map(|_| {
            let open = step(&mut dice, last);
            let close = step(&mut dice, open);
            let high = open.max(close) * (1.0 + swing * dice.roll() / 2.0);
            let low = open.min(close) * (1.0 - swing * dice.roll() / 2.0);
            last = close;
            [high, low, close]
        })
        .collect()
}

fn generated() -> Vec<Case> {
    let mut cases = Vec::new();
    for period in [1, 2, 3, 14, 50] {
        for more in [1, 2, 60, 400] {
            let length = period as usize + more;
            let prices = walk(u64::from(period) * 1000 + more as u64, length, 152.0, 0.01);
            cases.push(Case::new(format!("walk-{period}-{length}"), prices, period));
        }
    }
    cases.push(Case::new("tiny", walk(1, 100, 3.5e-9, 0.2), 14));
    cases.push(Case::new("huge", walk(2, 100, 1.52e12, 0.001), 14));
    cases.push(Case::new("wild", walk(3, 300, 35.0, 1.5), 14));
    cases.push(Case::new("still", vec![[42.0; 3]; 40], 14));
    cases.push(Case::new("no-gaps", vec![[43.0, 41.0, 42.0]; 40], 14));
    cases.push(Case::new("jumps", (1..60).map(|n| if n % 2 == 0 { [900.0; 3] } else { [1.0; 3] }).collect(), 14));
    cases
}

fn fixture(name: &str) -> String {
    let path = format!("{}/tests/fixtures/atr/{name}", env!("CARGO_MANIFEST_DIR"));
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn published() -> Vec<Case> {
    let number = |text: &str| text.parse::<f64>().unwrap();
    let text = fixture("qqq-2010.csv");
    let lines: Vec<Vec<&str>> =
        text.lines().filter(|line| !line.starts_with('#')).map(|line| line.split(',').collect()).collect();
    let prices: Vec<Prices> =
        lines.iter().map(|fields| [number(fields[1]), number(fields[2]), number(fields[3])]).collect();
    let mut cases = vec![Case::new("qqq", prices.clone(), 14)];
    // The example begins with the range of the first day alone. A day before it that stood still makes that a true range.
    let day_before = [prices[0][2]; 3];
    for day in 14..=prices.len() {
        let prices: Vec<Prices> = [day_before].into_iter().chain(prices[..day].iter().copied()).collect();
        let published = Some(number(lines[day - 1][4]));
        cases.push(Case { published, ..Case::new(format!("qqq-{day}"), prices, 14) });
    }
    let answer = fixture("bitbank-btc_jpy-30min-20200220.json");
    let parsed: Value = serde_json::from_str(&answer).unwrap();
    let rows = parsed["data"]["candlestick"][0]["ohlcv"].as_array().unwrap();
    let price = |row: &Value, column: usize| number(row[column].as_str().unwrap());
    let prices: Vec<Prices> = rows.iter().map(|row| [price(row, 1), price(row, 2), price(row, 3)]).collect();
    for period in [1, 5, 14] {
        let case = Case::new(format!("bitbank-{period}"), prices.clone(), period);
        cases.push(Case { answer: Some(answer.clone()), ..case });
    }
    cases
}

/// What TA-Lib says about each case.
fn ta_lib(cases: &[Case]) -> Vec<f64> {
    let script = format!("{}/tests/talib", env!("CARGO_MANIFEST_DIR"));
    let made = Command::new(&script).stderr(Stdio::inherit()).output().unwrap();
    assert!(made.status.success(), "{script} failed: it needs python3-venv and a way to PyPI");
    let python = String::from_utf8(made.stdout).unwrap();
    let program = format!("{}/tests/fixtures/atr/talib_atr.py", env!("CARGO_MANIFEST_DIR"));
    let mut child =
        Command::new(python.trim()).arg(program).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let column = |case: &Case, column: usize| case.prices.iter().map(|prices| prices[column]).collect::<Vec<_>>();
    let series = |case: &Case| json!({ "high": column(case, 0), "low": column(case, 1), "close": column(case, 2), "period": case.period });
    let asked: Value = cases.iter().map(series).collect();
    child.stdin.take().unwrap().write_all(asked.to_string().as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

/// What `banken once` says about each case.
async fn of_banken(cases: &[Case]) -> Vec<f64> {
    let bodies: Vec<String> = cases.iter().enumerate().map(|(number, case)| case.body(number)).collect();
    let target = Target::http(move |head| {
        let number: usize = head.split(' ').nth(1).unwrap().trim_start_matches('/').parse().unwrap();
        response("200 OK", &bodies[number])
    })
    .await;
    let mut config = "host: false\nprobes:\n".to_owned();
    for (number, Case { name, period, .. }) in cases.iter().enumerate() {
        let atr = format!("{{ url: '{}{number}', period: {period}, attempts: 1 }}", target.url());
        config.push_str(&format!("  - {{ name: {name}, interval: 5m, atr: {atr} }}\n"));
    }
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("banken.yml");
    std::fs::write(&file, config).unwrap();
    let mut command = Banken::command();
    command.args(["once", "--format", "metrics", "--config"]).arg(&file);
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    let scrape = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{}\n{scrape}", String::from_utf8_lossy(&output.stderr));
    let value = |case: &Case| {
        let series = format!("banken_atr_value{{probe=\"{}\"}}", case.name);
        value_of(&scrape, &series).unwrap_or_else(|| panic!("{series} is not there"))
    };
    let count = |case: &Case| value_of(&scrape, &format!("banken_atr_candles{{probe=\"{}\"}}", case.name));
    for case in cases {
        assert_eq!(count(case), Some(case.prices.len() as f64), "{}", case.name);
    }
    cases.iter().map(value).collect()
}

#[tokio::test]
async fn the_average_true_range_is_that_of_ta_lib_on_generated_and_on_published_series() {
    let cases: Vec<Case> = generated().into_iter().chain(published()).collect();
    let ours = of_banken(&cases).await;
    let theirs = ta_lib(&cases);
    let mut moving = 0;
    for ((case, ours), theirs) in cases.iter().zip(ours).zip(theirs) {
        assert!((ours - theirs).abs() <= 1e-9 * theirs.abs(), "{}: {ours} where TA-Lib says {theirs}", case.name);
        moving += usize::from(theirs > 0.0);
        if let Some(published) = case.published {
            // It was published with ten digits at most.
            assert!((ours - published).abs() < 1e-9, "{}: {ours} where {published} was published", case.name);
        }
    }
    assert!(cases.len() > 40 && moving == cases.len() - 1, "only one of {} stands still: {moving}", cases.len());
}

#[tokio::test]
async fn a_probe_entry_may_not_set_a_timeout_that_cuts_attempts_off() {
    let config = |more: &str| {
        format!("host: false\nprobes:\n  - {{ name: a, interval: 5m{more}, atr: {{ url: 'http://127.0.0.1:1/' }} }}\n")
    };
    let check = |text: String| {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("banken.yml");
        std::fs::write(&file, text).unwrap();
        let output = Banken::command().arg("check").arg(&file).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let (accepted, said) = check(config(", timeout: 60s"));
    assert!(!accepted && said.contains("probes[0].timeout: a run of this probe can take 2m 50s"), "{said}");
    assert!(check(config("")).0);
    assert!(check(config(", timeout: 170s")).0);
}
