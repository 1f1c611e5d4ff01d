//! Fetches candles as a trading bot does when it starts, holds them against what makes candles fit to calculate with, and
//! calculates the average true range.
//!
//! A run is one initialization: up to `attempts` attempts of up to `timeout` each, with growing pauses between them. The
//! number of the attempt and since when it all goes on are shown while it does, so that a hang is seen before it ends.
//!
//! It has its own small rooms: `bounds` (what may be configured), `attempt` (one attempt, from asking to the value), `pages`
//! (where candles are asked for), `candles` (where they stand in an answer), `quality` (what they must be), `wilder` (the
//! calculation), `retry` (whether and when another attempt is made).

mod attempt;
mod bounds;
mod candles;
mod pages;
mod quality;
mod retry;
#[cfg(test)]
mod tests;
mod wilder;

pub use candles::{Column, Paths, Preset};
pub use retry::Backoff;

use super::{Context, Kind, Settings};
use crate::fetch::{Auth, trim};
use crate::net::{IpChoice, TLS_FAMILIES, TlsConfig};
use crate::observation::{Failure, Family, Readings, Reason, Scope, unix_now};
use crate::values::{HttpUrl, Invalid, Period, Secret, Size};
use candles::Source;
use pages::Pages;
use quality::Checks;
use retry::{Setback, chance};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;
use tokio::time::Instant;

static DURATION: Family = Family::gauge(
    "banken_atr_init_duration_seconds",
    Scope::Name,
    &[],
    "How long the last initialization took with all of its attempts and pauses, in seconds",
);
static RUNNING: Family =
    Family::gauge("banken_atr_init_running", Scope::Name, &[], "Whether an initialization is going on, 1 or 0");
static STARTED: Family = Family::gauge(
    "banken_atr_init_started_timestamp_seconds",
    Scope::Name,
    &[],
    "When the latest initialization began, in seconds since the Unix epoch",
);
static ATTEMPT: Family = Family::gauge(
    "banken_atr_init_attempt",
    Scope::Name,
    &[],
    "Number of the attempt that is going on, or that was the last one of the latest initialization",
);
static ATTEMPTS: Family =
    Family::counter("banken_atr_init_attempts_total", Scope::Name, &[], "Attempts to fetch candles and to calculate");
static VALUE: Family = Family::gauge(
    "banken_atr_value",
    Scope::Name,
    &[],
    "Average true range at the latest candle, in units of the price; absent while there is none",
);
static CANDLES: Family =
    Family::gauge("banken_atr_candles", Scope::Name, &[], "Candles in the last answer, whether they were good or not");

const FAMILY_COUNT: usize = 8 + TLS_FAMILIES.len();
static FAMILIES: [&Family; FAMILY_COUNT] = [
    &DURATION,
    &RUNNING,
    &STARTED,
    &ATTEMPT,
    &ATTEMPTS,
    &VALUE,
    &CANDLES,
    &quality::DATA_VALID,
    TLS_FAMILIES[0],
    TLS_FAMILIES[1],
];

/// The row of this kind in the table.
pub static KIND: Kind = Kind {
    name: "atr",
    summary: "Candles can be fetched, are whole and fresh, and give an average true range",
    example: "\
- name: atr
  interval: 5m
  atr: { url: 'https://public.bitbank.cc/doge_jpy/candlestick/1hour/{yyyymmdd}', period: 14, candle: 1h }
- name: atr-binance
  interval: 5m
  thresholds: { duration: { warning: 15s, critical: 30s } }
  atr:
    url: https://api.binance.com/api/v3/klines?symbol=DOGEJPY&interval=1h&limit=100
    candle: 1h
    attempts: 5
    timeout: 30s
",
    reasons: &[
        Reason::Resolve,
        Reason::Connect,
        Reason::Tls,
        Reason::Timeout,
        Reason::Protocol,
        Reason::Status,
        Reason::Auth,
        Reason::Json,
        Reason::Missing,
        Reason::Stale,
        Reason::Body,
        Reason::Limit,
    ],
    families: &FAMILIES,
    signals: &[],
};

/// The block `atr:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Where the candles are; `{yyyymmdd}`, `{yyyy}`, `{mm}` and `{dd}` in it stand for the date in UTC.
    pub url: HttpUrl,
    /// Headers of the request, each a text or `{ file: PATH }`; sent to the host of `url` alone.
    #[serde(default)]
    pub headers: BTreeMap<String, Secret>,
    /// Credentials; sent to the host of `url` alone.
    #[serde(default)]
    pub auth: Option<Auth>,
    /// Which family of addresses is used.
    #[serde(default)]
    pub ip: IpChoice,
    /// How TLS is spoken.
    #[serde(default)]
    pub tls: TlsConfig,
    /// How the answer is laid out.
    #[serde(default)]
    pub preset: Preset,
    /// How the answer is laid out, where no preset fits.
    #[serde(default)]
    pub paths: Option<Paths>,
    /// Whether the newest candle comes first.
    #[serde(default)]
    pub newest_first: bool,
    /// Over how many candles the true range is averaged.
    #[serde(default = "default_period")]
    pub period: NonZeroU32,
    /// How many candles there must be at least; without it, one more than `period`.
    #[serde(default)]
    pub min_candles: Option<usize>,
    /// How long a candle lasts; with it, candles that are missing or too close are found.
    #[serde(default)]
    pub candle: Option<Period>,
    /// How many candles may be missing between others.
    #[serde(default)]
    pub max_gaps: u32,
    /// How long ago the latest candle may have opened; without it, twice `candle` and a minute.
    #[serde(default)]
    pub max_age: Option<Period>,
    /// The largest answer, after inflating.
    #[serde(default = "default_max_body")]
    pub max_body: Size,
    /// How often it is tried in one run.
    #[serde(default = "default_attempts")]
    pub attempts: NonZeroU32,
    /// How long one attempt may take.
    #[serde(default = "default_timeout")]
    pub timeout: Period,
    /// The pauses between attempts.
    #[serde(default)]
    pub backoff: Backoff,
}

fn default_period() -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(13)
}

fn default_max_body() -> Size {
    Size(4 << 20)
}

fn default_attempts() -> NonZeroU32 {
    NonZeroU32::MIN.saturating_add(4)
}

fn default_timeout() -> Period {
    Period(Duration::from_secs(30))
}

/// What a run may take beside attempts and pauses: nobody is cut off because a busy machine is a moment late.
const SPARE: Duration = Duration::from_secs(5);

/// A target that asks for more than this is asked again all the same.
const LONGEST_HOLD: Duration = Duration::from_secs(3600);

impl Settings for Config {
    type Probe = Probe;

    fn build(&self, context: &Context) -> Result<Probe, Vec<Invalid>> {
        let mut invalid = Vec::new();
        let pages = Pages::new(self, &context.roots, &mut invalid);
        self.check(&mut invalid);
        if !invalid.is_empty() {
            return Err(invalid);
        }
        Ok(Probe {
            pages,
            source: Source::new(self.preset, self.paths.as_ref(), self.newest_first),
            checks: Checks::new(self.rules()),
            min_candles: self.rules().min_candles,
            config: self.clone(),
            hold: None,
            body: Vec::new(),
        })
    }

    fn needs(&self) -> Option<Duration> {
        Some(self.longest_from(1).saturating_add(SPARE))
    }
}

/// A probe of this kind that was built.
pub struct Probe {
    config: Config,
    pages: Pages,
    source: Source,
    checks: Checks,
    min_candles: usize,
    /// Until when the target wants to be left alone, and what it answered.
    hold: Option<(Instant, Failure)>,
    body: Vec<u8>,
}

impl super::Probe for Probe {
    async fn run(&mut self, out: &mut Readings) -> Result<(), Failure> {
        let started = Instant::now();
        out.set(&STARTED, unix_now());
        out.set(&ATTEMPT, 0.0);
        let result = if let Some(failure) = self.held() {
            Err(failure)
        } else {
            out.flag(&RUNNING, true);
            self.attempts(out).await
        };
        out.flag(&RUNNING, false);
        out.set(&DURATION, started.elapsed().as_secs_f64());
        // Shown at once: of a run that ends with our own fault nothing else is kept.
        out.show();
        if out.value(&CANDLES).is_none() {
            out.set(&CANDLES, 0.0);
        }
        self.checks.complete(out);
        trim(&mut self.body);
        result
    }
}

impl Probe {
    /// The failure of a run that asks nobody, because the target wants to be left alone.
    fn held(&mut self) -> Option<Failure> {
        let (until, failure) = self.hold.take()?;
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return None;
        }
        let detail =
            format!("not asked, because the target wants to be left alone for {}: {}", whole(left), failure.detail);
        let held = Failure::new(failure.reason, detail);
        self.hold = Some((until, failure));
        Some(held)
    }

    async fn attempts(&mut self, out: &mut Readings) -> Result<(), Failure> {
        let attempts = self.config.attempts.get();
        let timeout = self.config.timeout.0;
        let mut number = 1;
        loop {
            out.add(&ATTEMPTS, 1.0);
            out.set(&ATTEMPT, f64::from(number));
            out.show();
            let setback = match tokio::time::timeout(timeout, self.attempt(out)).await {
                Ok(Ok(())) => return Ok(()),
                Ok(Err(setback)) => setback,
                Err(_) => timed_out(out, timeout).into(),
            };
            out.leave();
            let pause = self.config.backoff.pause(number, chance()).max(setback.wait.unwrap_or_default());
            let end = Instant::now() + pause + self.config.longest_from(number + 1);
            let remark = if setback.is_final() {
                "and another one would not help: "
            } else if number == attempts {
                if attempts == 1 { "" } else { "the last one: " }
            } else if setback.wait.is_some() && end > out.deadline() {
                "and the target wants to be left alone for longer than this run lasts: "
            } else {
                out.note("attempt", format!("{number} of {attempts}: {}", setback.failure));
                tokio::time::sleep(pause).await;
                number += 1;
                continue;
            };
            let Setback { failure, wait, .. } = setback;
            if let Some(wait) = wait.filter(|wait| !wait.is_zero()) {
                self.hold = Some((Instant::now() + wait.min(LONGEST_HOLD), failure.clone()));
            }
            let all = if number == attempts { format!("all of {attempts}") } else { format!("{number} of {attempts}") };
            let detail = format!("attempts that failed: {all}; {remark}{}", failure.detail);
            return Err(Failure::new(failure.reason, detail));
        }
    }
}

fn timed_out(out: &Readings, timeout: Duration) -> Failure {
    let timeout = humantime::format_duration(timeout);
    let phase = out.running_phase().map_or_else(String::new, |p| format!(": it was still in the phase {}", p.as_str()));
    Failure::new(Reason::Timeout, format!("not done within {timeout}{phase}"))
}

/// A time in whole seconds, never none of them.
fn whole(time: Duration) -> humantime::FormattedDuration {
    humantime::format_duration(Duration::from_secs(time.as_secs().max(1)))
}
