//! Whether candles are fit to be calculated with.

use super::candles::Candle;
use crate::observation::{Failure, Family, Labels, Readings, Reason, Scope};
use crate::values::show_age;
use std::sync::Arc;
use std::time::Duration;

pub(super) static DATA_VALID: Family = Family::gauge(
    "banken_atr_data_valid",
    Scope::Name,
    &["check"],
    "Whether the candles passed a check, 1 or 0; 0 too where there were none to look at",
);

/// One thing that candles must be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Check {
    /// There are enough of them.
    Count,
    /// The latest is recent.
    Fresh,
    /// Each is later than the one before.
    Order,
    /// None is missing between two others.
    Gaps,
    /// The low is not above the high, and open and close lie between them.
    Range,
    /// Every price is above 0.
    Positive,
}

impl Check {
    const ALL: [Check; 6] = [Check::Count, Check::Fresh, Check::Order, Check::Gaps, Check::Range, Check::Positive];

    /// The value of the label `check`.
    fn as_str(self) -> &'static str {
        match self {
            Check::Count => "count",
            Check::Fresh => "fresh",
            Check::Order => "order",
            Check::Gaps => "gaps",
            Check::Range => "range",
            Check::Positive => "positive",
        }
    }

    fn reason(self) -> Reason {
        match self {
            Check::Count => Reason::Missing,
            Check::Fresh => Reason::Stale,
            Check::Order | Check::Gaps | Check::Range | Check::Positive => Reason::Body,
        }
    }
}

/// What candles must be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// At least so many.
    pub min_candles: usize,
    /// Whether they say when they opened.
    pub timed: bool,
    /// How long each lasts.
    pub candle: Option<Duration>,
    /// How many may be missing between others.
    pub max_gaps: u32,
    /// How long ago the latest may have opened.
    pub max_age: Option<Duration>,
}

/// The checks that apply to one probe.
pub(super) struct Checks {
    rules: Rules,
    applying: Vec<(Check, Arc<Labels>)>,
}

impl Checks {
    pub(super) fn new(rules: Rules) -> Self {
        let applies = |check: &Check| match check {
            Check::Count | Check::Range | Check::Positive => true,
            Check::Order => rules.timed,
            Check::Gaps => rules.candle.is_some(),
            Check::Fresh => rules.max_age.is_some(),
        };
        let labelled = |check: Check| (check, Arc::new(Labels::render(&[("check", check.as_str())])));
        Self { rules, applying: Check::ALL.into_iter().filter(applies).map(labelled).collect() }
    }

    /// Gives every check its series where there was nothing to look at.
    pub(super) fn complete(&self, out: &mut Readings) {
        if out.gauges().iter().any(|reading| std::ptr::eq(reading.family, &DATA_VALID)) {
            return;
        }
        for (_, labels) in &self.applying {
            out.flag_with(&DATA_VALID, labels, false);
        }
    }

    /// Looks at the candles, at `now` in seconds since the Unix epoch. Of several things that are wrong the first in the
    /// order of the checks gives the reason.
    pub(super) fn judge(&self, candles: &[Candle], now: f64, out: &mut Readings) -> Result<(), Failure> {
        let mut wrong: Option<Failure> = None;
        for (check, labels) in &self.applying {
            let found = self.rules.find(*check, candles, now);
            out.flag_with(&DATA_VALID, labels, found.is_none());
            let Some(what) = found else { continue };
            match &mut wrong {
                Some(failure) => {
                    failure.detail.push_str("; ");
                    failure.detail.push_str(&what);
                }
                None => wrong = Some(Failure::new(check.reason(), what)),
            }
        }
        wrong.map_or(Ok(()), Err)
    }
}

impl Rules {
    /// What is wrong, if something is.
    fn find(&self, check: Check, candles: &[Candle], now: f64) -> Option<String> {
        match check {
            Check::Count => (candles.len() < self.min_candles)
                .then(|| format!("{} candles, at least {} are needed", candles.len(), self.min_candles)),
            Check::Fresh => stale(candles, now, self.max_age?),
            Check::Order => pairs(candles, |before, after| {
                (after <= before).then(|| "does not open after the one before".to_owned())
            }),
            Check::Gaps => gaps(candles, self.candle?, self.max_gaps),
            Check::Range => each(candles, out_of_range),
            Check::Positive => each(candles, |candle| {
                let prices = [candle.open.unwrap_or(candle.low), candle.high, candle.low, candle.close];
                prices.into_iter().find(|price| *price <= 0.0).map(|price| format!("has the price {price}"))
            }),
        }
    }
}

fn out_of_range(candle: &Candle) -> Option<String> {
    let Candle { open, high, low, close, .. } = *candle;
    if low > high {
        return Some(format!("has its low {low} above its high {high}"));
    }
    let outside = |name, price: f64| {
        (!(low..=high).contains(&price)).then(|| format!("has its {name} {price} outside of {low} to {high}"))
    };
    outside("close", close).or_else(|| open.and_then(|open| outside("open", open)))
}

/// The first candle of which something is found, and how many more there are.
fn each(candles: &[Candle], find: impl Fn(&Candle) -> Option<String>) -> Option<String> {
    let total = candles.len();
    let mut found = candles.iter().enumerate().filter_map(|(index, candle)| Some((index, find(candle)?)));
    let (index, what) = found.next()?;
    let time = candles[index].time.map_or_else(String::new, |time| format!(" ({})", show_time(time)));
    Some(format!("candle {} of {total}{time} {what}{}", index + 1, more(found.count())))
}

/// The same for the times of two that follow each other.
fn pairs(candles: &[Candle], find: impl Fn(f64, f64) -> Option<String>) -> Option<String> {
    let total = candles.len();
    let times = candles.windows(2).enumerate().filter_map(|(index, pair)| Some((index, pair[0].time?, pair[1].time?)));
    let mut found = times.filter_map(|(index, before, after)| Some((index, after, find(before, after)?)));
    let (index, after, what) = found.next()?;
    Some(format!("candle {} of {total} ({}) {what}{}", index + 2, show_time(after), more(found.count())))
}

fn more(others: usize) -> String {
    if others == 0 { String::new() } else { format!(", and so do {others} more") }
}

fn gaps(candles: &[Candle], candle: Duration, allowed: u32) -> Option<String> {
    let length = candle.as_secs_f64();
    let too_close = pairs(candles, |before, after| {
        let apart = after - before;
        (apart > 0.0 && apart < length / 2.0).then(|| {
            format!("opens {} after the one before, where a candle lasts {}", show_age(apart), show_age(length))
        })
    });
    if too_close.is_some() {
        return too_close;
    }
    let missing_between = |before: f64, after: f64| ((after - before) / length).round() as i64 - 1;
    let apart = candles.windows(2).filter_map(|pair| Some(missing_between(pair[0].time?, pair[1].time?)));
    let missing: i64 = apart.filter(|missing| *missing > 0).fold(0, i64::saturating_add);
    if missing <= i64::from(allowed) {
        return None;
    }
    let first = pairs(candles, |before, after| {
        let missing = missing_between(before, after);
        (missing > 0).then(|| format!("opens {} after the one before", show_age(after - before)))
    })?;
    Some(format!("missing candles: {missing}, of which {allowed} may be: {first}"))
}

fn stale(candles: &[Candle], now: f64, max_age: Duration) -> Option<String> {
    let latest = candles.iter().filter_map(|candle| candle.time).reduce(f64::max);
    let Some(latest) = latest else { return Some("there is no latest candle".to_owned()) };
    let (age, allowed) = (now - latest, max_age.as_secs_f64());
    if age > allowed {
        let age = show_age(age);
        return Some(format!("the latest candle opened {age} ago ({}), which is too old", show_time(latest)));
    }
    (-age > allowed).then(|| format!("the latest candle opens {} from now ({})", show_age(-age), show_time(latest)))
}

/// A time as people read it, to the second.
pub(super) fn show_time(seconds: f64) -> String {
    jiff::Timestamp::from_second(seconds as i64).map_or_else(|_| seconds.to_string(), |time| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: f64 = 1_795_321_651.0;
    const HOUR: f64 = 3600.0;

    /// Good candles of an hour, the latest of which opened half an hour ago.
    fn good(count: usize) -> Vec<Candle> {
        let opened = |index: usize| NOW - HOUR / 2.0 - HOUR * (count - 1 - index) as f64;
        let candle = |index| Candle { open: Some(10.0), high: 12.0, low: 9.0, close: 11.0, time: Some(opened(index)) };
        (0..count).map(candle).collect()
    }

    fn rules() -> Rules {
        let hours = |count: u64| Duration::from_secs(count * 3600);
        Rules { min_candles: 15, timed: true, candle: Some(hours(1)), max_gaps: 0, max_age: Some(hours(2)) }
    }

    fn judge(rules: Rules, candles: &[Candle]) -> (Option<Failure>, Vec<&'static str>) {
        let mut out = Readings::default();
        let checks = Checks::new(rules);
        let result = checks.judge(candles, NOW, &mut out);
        let failed = |check: &Check| {
            let labels = Labels::render(&[("check", check.as_str())]);
            let mut gauges = out.gauges().iter();
            gauges.any(|reading| reading.labels.as_deref() == Some(&labels) && reading.value < 1.0)
        };
        (result.err(), Check::ALL.iter().filter(|check| failed(check)).map(|check| check.as_str()).collect())
    }

    fn spoilt(spoil: impl FnOnce(&mut Vec<Candle>)) -> (Option<Failure>, Vec<&'static str>) {
        let mut candles = good(20);
        spoil(&mut candles);
        judge(rules(), &candles)
    }

    #[test]
    fn good_candles_pass_every_check() {
        assert_eq!(judge(rules(), &good(15)), (None, vec![]));
        assert_eq!(judge(rules(), &good(500)), (None, vec![]));
    }

    #[test]
    fn each_flaw_is_found_by_its_own_check_and_told_with_its_place() {
        type Spoil = fn(&mut Vec<Candle>);
        let table: [(Spoil, Reason, &str, &str); 12] = [
            (|c| drop(c.drain(..6)), Reason::Missing, "count", "14 candles, at least 15"),
            (|c| c.truncate(18), Reason::Stale, "fresh", "opened 2h 30m ago"),
            (
                |c| c.iter_mut().for_each(|c| c.time = c.time.map(|t| t + 3.0 * HOUR)),
                Reason::Stale,
                "fresh",
                "2h 30m from now",
            ),
            (|c| c.swap(3, 4), Reason::Body, "order", "candle 5 of 20"),
            (|c| c[7].time = c[6].time, Reason::Body, "order", "candle 8 of 20"),
            (
                |c| c.retain(|c| c.time != good(20)[4].time),
                Reason::Body,
                "gaps",
                "missing candles: 1, of which 0 may be: candle 5 of 19",
            ),
            (
                |c| c[2].low = 12.5,
                Reason::Body,
                "range",
                "candle 3 of 20 (2026-11-21T10:57:31Z) has its low 12.5 above",
            ),
            (|c| c[2].close = 8.0, Reason::Body, "range", "its close 8 outside of 9 to 12"),
            (|c| c[2].open = Some(12.1), Reason::Body, "range", "its open 12.1 outside"),
            (
                |c| {
                    c[0].low = 0.0;
                    c[1].low = 0.0;
                },
                Reason::Body,
                "positive",
                "candle 1 of 20 (2026-11-21T08:57:31Z) has the price 0, and so do 1 more",
            ),
            (|c| c[5].low = -1.0, Reason::Body, "positive", "the price -1"),
            (
                |c| {
                    c[5].open = Some(0.0);
                    c[5].low = 0.0;
                },
                Reason::Body,
                "positive",
                "the price 0",
            ),
        ];
        for (number, (spoil, reason, check, detail)) in table.into_iter().enumerate() {
            let (failure, failed) = spoilt(spoil);
            let failure = failure.unwrap_or_else(|| panic!("{number} passed"));
            assert!(failure.reason == reason && failure.detail.contains(detail), "{number}: {failure}");
            assert!(failed.contains(&check), "{number}: {failed:?}");
            if !matches!(check, "order") {
                assert_eq!(failed, [check], "{number}: {failure}");
            }
        }
    }

    #[test]
    fn gaps_up_to_the_allowed_number_pass_and_candles_too_close_never_do() {
        let mut candles = good(20);
        candles.drain(4..6);
        candles.remove(9);
        for (max_gaps, passes) in [(2, false), (3, true)] {
            assert_eq!(judge(Rules { max_gaps, ..rules() }, &candles).0.is_none(), passes, "{max_gaps}");
        }
        let daily = Rules { candle: Some(Duration::from_secs(86_400)), max_gaps: 1000, ..rules() };
        let (failure, failed) = judge(daily, &candles);
        assert!(failure.unwrap().detail.contains("opens 1h after the one before, where a candle lasts 1day"));
        assert_eq!(failed, ["gaps"]);
    }

    #[test]
    fn too_few_come_before_stale_before_the_rest_and_all_are_told() {
        let (failure, failed) = spoilt(|candles| {
            candles.truncate(10);
            candles[3].low = 13.0;
        });
        let failure = failure.unwrap();
        assert_eq!((failure.reason, failed), (Reason::Missing, vec!["count", "fresh", "range"]));
        assert_eq!(failure.detail.matches("; ").count(), 2, "{failure}");
    }

    #[test]
    fn what_cannot_be_checked_has_no_series() {
        let bare = Rules { min_candles: 2, timed: false, candle: None, max_gaps: 0, max_age: None };
        let checks: Vec<_> = Checks::new(bare).applying.iter().map(|(check, _)| check.as_str()).collect();
        assert_eq!(checks, ["count", "range", "positive"]);
        assert_eq!(Checks::new(rules()).applying.len(), Check::ALL.len());
        assert_eq!(judge(rules(), &[]).1, ["count", "fresh"]);
    }
}
