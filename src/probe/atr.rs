//! Fetches candles as a trading bot does when it starts, holds them against what makes candles fit to calculate with, and
//! calculates the average true range.
//!
//! A run is one initialization: up to `attempts` attempts of up to `timeout` each, with growing pauses between them. The
//! number of the attempt and since when it all goes on are shown while it does, so that a hang is seen before it ends.
//!
//! It has its own small rooms: `pages` (where candles are asked for), `candles` (where they stand in an answer), `quality`
//! (what they must be), `wilder` (the calculation), `retry` (whether and when another attempt is made). Only this file knows
//! the order.

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
use crate::fetch::{Auth, Fetcher, Outcome, Session, trim};
use crate::net::{IpChoice, TLS_FAMILIES, TlsConfig};
use crate::observation::{Failure, Family, Readings, Reason, Scope, unix_now};
use crate::values::{HttpUrl, Invalid, Period, Secret, Size, too_short};
use candles::{Candle, Source};
use pages::{MAX_PAGES, Pages};
use quality::{Checks, Rules, show_time};
use retry::{Setback, chance, retry_after};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;
use tokio::time::Instant;
use wilder::average_true_range;

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

/// An average over more candles is a mistake in writing.
const MAX_PERIOD: u32 = 1000;

/// More attempts than this are no patience, they are a burden.
const MAX_ATTEMPTS: u32 = 10;

/// The longest series that can be demanded.
const MAX_CANDLES: usize = 10_000;

/// The whole answer is read into memory and parsed.
const MAX_BODY: u64 = 16 << 20;

/// How long a candle may be late at the exchange.
const LATENESS: Duration = Duration::from_secs(60);

/// What a run may take beside attempts and pauses: nobody is cut off because a busy machine is a moment late.
const SPARE: Duration = Duration::from_secs(5);

/// A target that asks for more than this is asked again all the same.
const LONGEST_HOLD: Duration = Duration::from_secs(3600);

impl Config {
    /// How long the attempts from this number on may take, with the pauses between them.
    fn longest_from(&self, attempt: u32) -> Duration {
        let attempts = self.attempts.get();
        let asking = self.timeout.0.saturating_mul((attempts + 1).saturating_sub(attempt));
        (attempt..attempts).fold(asking, |sum, number| sum.saturating_add(self.backoff.longest(number)))
    }

    fn rules(&self) -> Rules {
        let candle = self.candle.map(|candle| candle.0);
        let max_age = self.max_age.map(|age| age.0);
        Rules {
            min_candles: self.min_candles.unwrap_or_else(|| self.least_candles()),
            timed: self.paths.as_ref().is_none_or(|paths| paths.time.is_some()),
            candle,
            max_gaps: self.max_gaps,
            max_age: max_age.or_else(|| Some(candle?.saturating_mul(2).saturating_add(LATENESS))),
        }
    }

    fn least_candles(&self) -> usize {
        self.period.get() as usize + 1
    }

    fn check(&self, invalid: &mut Vec<Invalid>) {
        let mut demand = |is_so: bool, key: &str, message: String| {
            if !is_so {
                invalid.push(Invalid::new(key, message));
            }
        };
        demand(self.period.get() <= MAX_PERIOD, "period", format!("at most {MAX_PERIOD} candles can be averaged"));
        demand(self.attempts.get() <= MAX_ATTEMPTS, "attempts", format!("at most {MAX_ATTEMPTS} attempts are made"));
        if let Some(count) = self.min_candles {
            let least = self.least_candles();
            demand(
                count >= least,
                "min_candles",
                format!("a period of {} needs at least {least} candles", self.period),
            );
            demand(count <= MAX_CANDLES, "min_candles", format!("at most {MAX_CANDLES} candles can be demanded"));
        }
        let max_body = self.max_body.0;
        demand((1..=MAX_BODY).contains(&max_body), "max_body", "set it to at least 1 and at most 16MiB".into());
        let named = self.preset != Preset::Auto;
        demand(!named || self.paths.is_none(), "paths", "preset and paths are both set: keep one".into());
        let timed = self.rules().timed;
        let untimed = |key: &str| format!("{key} needs to know when candles opened: set paths.time");
        demand(timed || self.candle.is_none(), "candle", untimed("candle"));
        demand(timed || self.max_age.is_none(), "max_age", untimed("max_age"));
        let no_gaps = self.max_gaps == 0;
        demand(no_gaps || self.candle.is_some(), "max_gaps", "gaps are only looked for where candle is set".into());
        let periods = [("candle", self.candle), ("max_age", self.max_age), ("timeout", Some(self.timeout))];
        for (key, period) in periods {
            invalid.extend(period.and_then(|period| too_short(key, period.0)));
        }
        self.backoff.check(invalid);
    }
}

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
        let result = match self.held() {
            Some(failure) => Err(failure),
            None => {
                out.flag(&RUNNING, true);
                self.attempts(out).await
            }
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

    /// One attempt: candles, what they must be, and the value.
    async fn attempt(&mut self, out: &mut Readings) -> Result<(), Setback> {
        let candles = self.candles(out).await?;
        out.leave();
        self.checks.judge(&candles, unix_now(), out)?;
        if let Some(time) = candles.last().and_then(|candle| candle.time) {
            out.note("latest candle", show_time(time));
        }
        let Some(value) = average_true_range(&candles, self.config.period).filter(|value| value.is_finite()) else {
            return Err(Failure::new(Reason::Body, "these candles give no average true range").into());
        };
        out.set(&VALUE, value);
        Ok(())
    }

    /// The candles of this page, and of those before it as far as they are needed.
    async fn candles(&mut self, out: &mut Readings) -> Result<Vec<Candle>, Setback> {
        let today = jiff::Timestamp::now().to_zoned(jiff::tz::TimeZone::UTC).date();
        let are_dated = self.pages.are_dated();
        let mut candles: Vec<Candle> = Vec::new();
        let mut absent: Option<Setback> = None;
        let pages = if are_dated { MAX_PAGES } else { 1 };
        for back in 0..pages {
            let fetcher = self.pages.fetcher(today, back)?;
            match page(fetcher, self.config.max_body.0, &mut self.body, out).await {
                Ok(()) => {}
                // A young day has no page yet, and before the first one there is none either.
                Err(setback) if are_dated && setback.status == Some(404) => {
                    if absent.is_some() || back > 0 {
                        absent.get_or_insert(setback);
                        break;
                    }
                    absent = Some(setback);
                    continue;
                }
                Err(setback) => return Err(setback),
            }
            let known = candles.len();
            let count = |count: usize| out.set(&CANDLES, (known + count) as f64);
            let mut earlier = self.source.read(&self.body, fetcher.redactor(), count)?;
            earlier.append(&mut candles);
            candles = earlier;
            if candles.len() >= self.min_candles {
                break;
            }
        }
        match absent {
            Some(setback) if candles.is_empty() => Err(setback),
            _ => Ok(candles),
        }
    }
}

/// Fetches one page of candles.
async fn page(fetcher: &mut Fetcher, max_body: u64, body: &mut Vec<u8>, out: &mut Readings) -> Result<(), Setback> {
    let mut session = Session::new([&*fetcher]);
    match fetcher.ask(&mut session, out, |status, _, _| (200..300).contains(&status)).await? {
        Outcome::Accepted(mut answer) => {
            answer.read(max_body, usize::MAX, body).await?;
            Ok(())
        }
        Outcome::Refused(refusal) => {
            let status = Some(refusal.status());
            let wait = retry_after(refusal.headers(), unix_now());
            let (failure, _) = refusal.explain("2xx", &mut session, body, out).await;
            Err(Setback { failure, status, wait })
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
