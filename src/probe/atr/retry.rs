//! What happens after an attempt that failed: whether another one makes sense, and when.

use crate::observation::{Failure, Reason};
use crate::values::{Invalid, Period, too_short};
use http::HeaderMap;
use http::header::RETRY_AFTER;
use schemars::JsonSchema;
use serde::Deserialize;
use std::hash::{BuildHasher as _, RandomState};
use std::time::Duration;

/// The block `backoff:`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Backoff {
    /// The longest pause after the first attempt; it doubles after each further one.
    pub initial: Period,
    /// The longest pause of all.
    pub max: Period,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { initial: Period(Duration::from_secs(1)), max: Period(Duration::from_secs(10)) }
    }
}

impl Backoff {
    pub(super) fn check(&self, invalid: &mut Vec<Invalid>) {
        for (key, period) in [("backoff.initial", self.initial), ("backoff.max", self.max)] {
            invalid.extend(too_short(key, period.0));
        }
        if self.max < self.initial {
            invalid.push(Invalid::new("backoff.max", "it is below backoff.initial: the pauses could not grow"));
        }
    }

    /// The longest pause after so many attempts.
    pub(super) fn longest(&self, attempts: u32) -> Duration {
        let doubled = 2_u32.saturating_pow(attempts.saturating_sub(1));
        self.initial.0.saturating_mul(doubled).min(self.max.0)
    }

    /// The pause after so many attempts: between half of the longest and all of it, so that many probes that failed
    /// together do not come back together. `chance` is between 0 and 1.
    pub(super) fn pause(&self, attempts: u32, chance: f64) -> Duration {
        self.longest(attempts).mul_f64(0.5 + chance / 2.0)
    }
}

/// A number between 0 and 1 that nobody can foresee.
pub(super) fn chance() -> f64 {
    let bits = RandomState::new().hash_one(0_u8);
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// A failed attempt.
#[derive(Debug)]
pub(super) struct Setback {
    /// Why it failed.
    pub failure: Failure,
    /// The status of the answer, where it is the reason.
    pub status: Option<u16>,
    /// How long the target wants to be left alone.
    pub wait: Option<Duration>,
}

impl From<Failure> for Setback {
    fn from(failure: Failure) -> Self {
        Self { failure, status: None, wait: None }
    }
}

impl Setback {
    /// Whether asking the same again cannot help: the target says that our request is wrong, or its answer broke a bound.
    /// Candles that are wrong or not there may be right a second later.
    pub(super) fn is_final(&self) -> bool {
        match self.status {
            // Request timeout, too early, too many requests: these ask for another attempt.
            Some(408 | 425 | 429) => false,
            Some(status) => (400..500).contains(&status),
            None => self.failure.reason == Reason::Limit,
        }
    }
}

/// How long an answer asks to wait (RFC 9110, section 10.2.3), at `now` in seconds since the Unix epoch.
pub(super) fn retry_after(headers: &HeaderMap, now: f64) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<u32>() {
        return Some(Duration::from_secs(seconds.into()));
    }
    let until = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Duration::try_from_secs_f64(until.as_second() as f64 - now).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backoff(initial: u64, max: u64) -> Backoff {
        let period = |seconds| Period(Duration::from_secs(seconds));
        Backoff { initial: period(initial), max: period(max) }
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_keep_their_distance_by_chance() {
        let backoff = backoff(1, 6);
        let longest: Vec<_> = [1, 2, 3, 4, 40, u32::MAX].map(|n| backoff.longest(n).as_secs()).into();
        assert_eq!(longest, [1, 2, 4, 6, 6, 6]);
        assert_eq!(backoff.pause(3, 0.0), Duration::from_secs(2));
        assert_eq!(backoff.pause(3, 1.0), Duration::from_secs(4));
        let mut chances: Vec<_> = (0..100).map(|_| chance()).collect();
        assert!(chances.iter().all(|chance| (0.0..1.0).contains(chance)));
        chances.sort_by(f64::total_cmp);
        assert!(chances[0] < 0.3 && chances[99] > 0.7, "{chances:?}");
    }

    #[test]
    fn a_request_that_is_wrong_is_not_repeated_and_anything_else_is() {
        let of_status = |status| Setback { status: Some(status), ..Failure::new(Reason::Status, "x").into() };
        for (status, is_final) in [(400, true), (401, true), (403, true), (404, true), (418, true), (451, true)] {
            assert_eq!(of_status(status).is_final(), is_final, "{status}");
        }
        for status in [301, 408, 425, 429, 500, 502, 503, 504, 599] {
            assert!(!of_status(status).is_final(), "{status}");
        }
        for reason in Reason::ALL {
            let setback = Setback::from(Failure::new(reason, "x"));
            assert_eq!(setback.is_final(), reason == Reason::Limit, "{reason}");
        }
    }

    #[test]
    fn a_wish_to_wait_is_read_as_seconds_and_as_a_date() {
        let headers = |text: &str| HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]);
        let now = 784_111_777.0;
        let cases = [
            ("0", Some(0)),
            (" 120 ", Some(120)),
            ("Sun, 06 Nov 1994 08:50:37 GMT", Some(60)),
            ("Sun, 06 Nov 1994 08:00:00 GMT", None),
            ("soon", None),
            ("-5", None),
            ("99999999999", None),
        ];
        for (text, seconds) in cases {
            assert_eq!(retry_after(&headers(text), now), seconds.map(Duration::from_secs), "{text}");
        }
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }
}
