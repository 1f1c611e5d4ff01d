//! What the values of series must be: one check, and what it has seen of an answer that is read once.

use super::selector::Selector;
use crate::exposition::Sample;
use crate::observation::Reason;
use crate::values::{Invalid, Period, Redactor, check_name, show_age, too_short};
use schemars::JsonSchema;
use serde::Deserialize;
use std::fmt::Write as _;

/// One entry under `checks:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// Its name, the label `check`: lower-case letters, digits, `_`, `.`, `-`.
    #[schemars(regex(pattern = r"^[a-z0-9][a-z0-9_.-]*$|\$\{"))]
    pub name: String,
    /// Which series, as in PromQL: a name and conditions on labels.
    pub metric: Selector,
    /// It must be more than this.
    #[serde(default)]
    pub above: Option<f64>,
    /// It must be less than this.
    #[serde(default)]
    pub below: Option<f64>,
    /// It must be this or more.
    #[serde(default)]
    pub min: Option<f64>,
    /// It must be this or less.
    #[serde(default)]
    pub max: Option<f64>,
    /// It must be exactly this.
    #[serde(default)]
    pub equals: Option<f64>,
    /// It is a time in seconds since the Unix epoch, and must not be older than this, nor as far in the future.
    #[serde(default)]
    pub max_age: Option<Period>,
    /// Makes one value of several series; without it, each of them must be right.
    #[serde(default)]
    pub combine: Option<Combine>,
    /// Whether its value becomes a metric.
    #[serde(default)]
    pub export: bool,
    /// Whether there may be no such series.
    #[serde(default)]
    pub optional: bool,
}

/// How several series become one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Combine {
    /// Their sum.
    Sum,
    /// The least of them.
    Min,
    /// The greatest of them.
    Max,
}

/// What is wrong with a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Problem {
    pub(super) reason: Reason,
    /// The rest of a sentence that begins with the check.
    pub(super) what: String,
}

impl Check {
    fn bounds(&self) -> [(&'static str, &'static str, Option<f64>); 5] {
        [
            ("above", "above", self.above),
            ("below", "below", self.below),
            ("min", "at least", self.min),
            ("max", "at most", self.max),
            ("equals", "exactly", self.equals),
        ]
    }

    /// Finds mistakes when the configuration is loaded.
    pub(super) fn check(&self, invalid: &mut Vec<Invalid>) {
        if let Err(message) = check_name(&self.name) {
            invalid.push(Invalid::new("name", message));
        }
        for (key, _, bound) in self.bounds() {
            if let Some(bound) = bound.filter(|bound| !bound.is_finite()) {
                invalid.push(Invalid::new(key, format!("{bound} is no bound: write a number")));
            }
        }
        let lows = [("min", self.min), ("above", self.above)];
        let highs = [("max", self.max), ("below", self.below)];
        for (low_key, low) in lows {
            for (high_key, high) in highs {
                let (Some(low), Some(high)) = (low, high) else { continue };
                let touching = low_key == "min" && high_key == "max";
                if low > high || (low >= high && !touching) {
                    let message = format!("{low_key} {low} and {high_key} {high} leave no number between them");
                    invalid.push(Invalid::new(low_key, message));
                }
            }
        }
        if let Some(max_age) = self.max_age {
            invalid.extend(too_short("max_age", max_age.0));
            if self.combine == Some(Combine::Sum) {
                invalid.push(Invalid::new("max_age", "the sum of several times is no time: use combine: min or max"));
            }
        }
    }

    /// The first thing that is wrong with a value, at `now` in seconds since the Unix epoch.
    #[allow(clippy::float_cmp, reason = "a number equals what it was configured to equal")]
    fn problem_of(&self, value: f64, now: f64) -> Option<Problem> {
        let out_of_bounds = self.bounds().into_iter().find_map(|(key, words, bound)| {
            let bound = bound?;
            let holds = match key {
                "above" => value > bound,
                "below" => value < bound,
                "min" => value >= bound,
                "max" => value <= bound,
                _ => value == bound,
            };
            let what = || format!("is {value} where {words} {bound} was expected");
            (!holds).then(|| Problem { reason: Reason::Body, what: what() })
        });
        out_of_bounds.or_else(|| self.too_old(value, now))
    }

    fn too_old(&self, value: f64, now: f64) -> Option<Problem> {
        let limit = self.max_age?.0;
        let age = now - value;
        if !age.is_finite() {
            return Some(Problem { reason: Reason::Body, what: format!("is {value} where a time was expected") });
        }
        if age > limit.as_secs_f64() {
            let limit = humantime::format_duration(limit);
            let what = format!("is {} old where at most {limit} was expected", show_age(age));
            return Some(Problem { reason: Reason::Stale, what });
        }
        // More than that is no clock that differs: another unit than seconds, and it hides how old the thing is.
        let ahead = -age > limit.as_secs_f64();
        ahead.then(|| Problem { reason: Reason::Body, what: format!("lies {} in the future", show_age(-age)) })
    }
}

/// What a check has seen so far.
#[derive(Debug, Default)]
pub(super) struct Tally {
    seen: usize,
    wrong: usize,
    value: f64,
    first: Option<Problem>,
}

impl Tally {
    /// One more series that is meant.
    pub(super) fn take(&mut self, check: &Check, sample: &Sample<'_>, now: f64, redactor: &Redactor) {
        let value = sample.value;
        self.value = match check.combine {
            Some(_) if self.seen == 0 => value,
            Some(Combine::Sum) => self.value + value,
            // A value that is no number must not be lost among those that are.
            Some(_) if self.value.is_nan() || value.is_nan() => f64::NAN,
            Some(Combine::Min) => self.value.min(value),
            Some(Combine::Max) => self.value.max(value),
            None => value,
        };
        self.seen += 1;
        if check.combine.is_some() {
            return;
        }
        let Some(mut problem) = check.problem_of(value, now) else { return };
        self.wrong += 1;
        // Only a gravest one is kept of many: too old comes before the rest, as everywhere.
        if self.first.as_ref().is_none_or(|first| first.reason != Reason::Stale && problem.reason == Reason::Stale) {
            if !sample.labels.is_empty() {
                let _ = write!(problem.what, " at {}", redactor.quote(sample.labels.text()));
            }
            self.first = Some(problem);
        }
    }

    /// The one value there is, and what is wrong.
    pub(super) fn verdict(mut self, check: &Check, now: f64) -> (Option<f64>, Option<Problem>) {
        if self.seen == 0 {
            let what = "selects no series".to_owned();
            return (None, (!check.optional).then_some(Problem { reason: Reason::Missing, what }));
        }
        if check.combine.is_some() {
            return (Some(self.value), check.problem_of(self.value, now));
        }
        let value = (self.seen == 1).then_some(self.value);
        if let Some(first) = &mut self.first
            && self.wrong > 1
        {
            let _ = write!(first.what, ", and {} more of {} are wrong", self.wrong - 1, self.seen);
        }
        if check.export && self.seen > 1 && self.first.is_none() {
            let what = format!("selects {} series, of which only one could be exported: set combine", self.seen);
            return (None, Some(Problem { reason: Reason::Body, what }));
        }
        (value, self.first)
    }
}
