//! What a configuration may ask for, and what follows from it.

use super::quality::Rules;
use super::{Config, Preset};
use crate::values::{Invalid, too_short};
use std::time::Duration;

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

impl Config {
    /// How long the attempts from this number on may take, with the pauses between them.
    pub(super) fn longest_from(&self, attempt: u32) -> Duration {
        let attempts = self.attempts.get();
        let asking = self.timeout.0.saturating_mul((attempts + 1).saturating_sub(attempt));
        (attempt..attempts).fold(asking, |sum, number| sum.saturating_add(self.backoff.longest(number)))
    }

    pub(super) fn rules(&self) -> Rules {
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

    pub(super) fn check(&self, invalid: &mut Vec<Invalid>) {
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
