//! One attempt: candles from as many pages as it takes, what they must be, and the value.

use super::candles::Candle;
use super::pages::MAX_PAGES;
use super::quality::show_time;
use super::retry::{Setback, retry_after};
use super::wilder::average_true_range;
use super::{CANDLES, Probe, VALUE};
use crate::fetch::{Fetcher, Outcome, Session};
use crate::observation::{Failure, Readings, Reason, unix_now};

impl Probe {
    /// One attempt: candles, what they must be, and the value.
    pub(super) async fn attempt(&mut self, out: &mut Readings) -> Result<(), Setback> {
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
                    absent.get_or_insert(setback);
                    if back > 0 {
                        break;
                    }
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
