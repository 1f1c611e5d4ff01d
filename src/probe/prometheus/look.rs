//! Reads an answer once, from its first line to its last, and concludes.

use super::check::{Check, Tally};
use super::selector::Selector;
use super::{CHECK_VALID, CHECK_VALUE, Config, FAMILIES_FOUND, MISSING, SERIES};
use crate::exposition::{Item, Mistake, Sample};
use crate::observation::{Failure, Labels, Readings, Reason};
use crate::values::Redactor;
use std::collections::HashMap;
use std::fmt::Write as _;
use std::sync::Arc;

/// The most names in one failure.
const MAX_NAMED: usize = 10;

/// What is looked for, by name, so that a sample that nobody asks for costs one look.
pub(super) struct Wanted {
    required: HashMap<String, Vec<usize>>,
    checked: HashMap<String, Vec<usize>>,
    /// The label of each check.
    pub(super) labels: Vec<Arc<Labels>>,
}

impl Wanted {
    pub(super) fn new(config: &Config) -> Self {
        let by_name = |selectors: &mut dyn Iterator<Item = &Selector>| {
            let mut by_name: HashMap<String, Vec<usize>> = HashMap::new();
            for (index, selector) in selectors.enumerate() {
                by_name.entry(selector.name().to_owned()).or_default().push(index);
            }
            by_name
        };
        let labels = |check: &Check| Arc::new(Labels::render(&[("check", &check.name)]));
        Self {
            required: by_name(&mut config.require.iter()),
            checked: by_name(&mut config.checks.iter().map(|check| &check.metric)),
            labels: config.checks.iter().map(labels).collect(),
        }
    }
}

/// What was seen of an answer so far.
pub(super) struct Look<'a> {
    config: &'a Config,
    wanted: &'a Wanted,
    redactor: &'a Redactor,
    pub(super) now: f64,
    pub(super) series: u64,
    families: u64,
    /// The family whose lines are being read, and whether it had a sample.
    family: (String, bool),
    found: Vec<bool>,
    tallies: Vec<Tally>,
    unreadable: Option<Mistake>,
    unreadable_lines: u64,
}

/// What stands behind the name of a family in the names of its samples.
const SUFFIXES: [&str; 8] = ["_total", "_bucket", "_sum", "_count", "_created", "_info", "_gcount", "_gsum"];

impl<'a> Look<'a> {
    pub(super) fn new(config: &'a Config, wanted: &'a Wanted, redactor: &'a Redactor, now: f64) -> Self {
        Self {
            config,
            wanted,
            redactor,
            now,
            series: 0,
            families: 0,
            family: (String::new(), false),
            found: vec![false; config.require.len()],
            tallies: config.checks.iter().map(|_| Tally::default()).collect(),
            unreadable: None,
            unreadable_lines: 0,
        }
    }

    pub(super) fn take(&mut self, item: Result<Item<'_>, Mistake>) {
        match item {
            Ok(Item::Help { name, .. } | Item::Type { name, .. } | Item::Unit { name, .. }) => {
                if self.family.0 != name {
                    self.family = (name.into_owned(), false);
                }
            }
            Ok(Item::Sample(sample)) => self.take_sample(&sample),
            Err(mistake) => {
                self.unreadable_lines += 1;
                // A bound that was exceeded ends the reading, and says more than a line before it.
                if self.unreadable.is_none() || mistake.is_limit {
                    self.unreadable = Some(mistake);
                }
            }
        }
    }

    fn take_sample(&mut self, sample: &Sample<'_>) {
        self.series += 1;
        let name = sample.name.as_ref();
        let family = self.family.0.as_str();
        let belongs = name.strip_prefix(family).is_some_and(|rest| rest.is_empty() || SUFFIXES.contains(&rest));
        if !belongs {
            self.family = (name.to_owned(), false);
        }
        if !std::mem::replace(&mut self.family.1, true) {
            self.families += 1;
        }
        // A counter is called by its name with or without `_total`, as the format wants it.
        let names =
            [Some(name), Some(self.family.0.as_str()).filter(|family| *family != name), name.strip_suffix("_total")];
        for index in names.into_iter().flatten().filter_map(|name| self.wanted.required.get(name)).flatten() {
            self.found[*index] = self.found[*index] || self.config.require[*index].accepts(sample.labels);
        }
        for index in self.wanted.checked.get(name).into_iter().flatten() {
            let check = &self.config.checks[*index];
            if check.metric.accepts(sample.labels) {
                self.tallies[*index].take(check, sample, self.now, self.redactor);
            }
        }
    }

    /// Writes down what was seen, and says what is wrong.
    pub(super) fn conclude(mut self, out: &mut Readings) -> Result<(), Failure> {
        out.set(&SERIES, self.series as f64);
        out.set(&FAMILIES_FOUND, self.families as f64);
        let mut wrong = self.bounds();
        let missing: Vec<&str> = self
            .config
            .require
            .iter()
            .zip(&self.found)
            .filter(|(_, found)| !**found)
            .map(|(s, _)| s.as_str())
            .collect();
        out.set(&MISSING, missing.len() as f64);
        if !missing.is_empty() {
            let (count, all) = (missing.len(), self.config.require.len());
            let named = missing[..count.min(MAX_NAMED)].join(", ");
            let more = if count > MAX_NAMED { format!(" and {} more", count - MAX_NAMED) } else { String::new() };
            let detail = format!("{count} of {all} required metrics are missing: {named}{more}");
            wrong.push(Failure::new(Reason::Missing, detail));
        }
        let tallies = std::mem::take(&mut self.tallies);
        for ((check, labels), tally) in self.config.checks.iter().zip(&self.wanted.labels).zip(tallies) {
            let (value, problem) = tally.verdict(check, self.now);
            if let Some(value) = value.filter(|_| check.export) {
                out.set_with(&CHECK_VALUE, labels, value);
            }
            out.flag_with(&CHECK_VALID, labels, problem.is_none());
            wrong.extend(problem.map(|problem| {
                let detail = format!("check {} ({}) {}", check.name, check.metric.as_str(), problem.what);
                Failure::new(problem.reason, detail)
            }));
        }
        gather(wrong)
    }

    /// What is wrong with the answer as a whole.
    fn bounds(&self) -> Vec<Failure> {
        let mut wrong = Vec::new();
        if let Some(mistake) = &self.unreadable {
            let more = match self.unreadable_lines - 1 {
                0 => String::new(),
                others => format!(" (and {others} more lines)"),
            };
            let reason = if mistake.is_limit { Reason::Limit } else { Reason::Protocol };
            let detail =
                format!("the answer cannot be read: {}{more}", self.redactor.excerpt(mistake.to_string().as_bytes()));
            wrong.push(Failure::new(reason, detail));
        }
        let (series, least) = (self.series, self.config.min_series);
        if series < least {
            wrong.push(Failure::new(Reason::Missing, format!("{series} samples where at least {least} were expected")));
        }
        if let Some(most) = self.config.max_series.filter(|most| series > *most) {
            wrong.push(Failure::new(Reason::Limit, format!("{series} samples where at most {most} were expected")));
        }
        wrong
    }
}

/// Several things that are wrong as one failure: the gravest reason, and every detail up to a bound.
fn gather(mut wrong: Vec<Failure>) -> Result<(), Failure> {
    wrong.sort_by_key(|failure| match failure.reason {
        Reason::Limit => 0,
        Reason::Protocol => 1,
        Reason::Missing => 2,
        Reason::Stale => 3,
        _ => 4,
    });
    let more = wrong.len().saturating_sub(MAX_NAMED);
    let mut all = wrong.into_iter().take(MAX_NAMED);
    let Some(mut first) = all.next() else { return Ok(()) };
    for other in all {
        first.detail.push_str("; ");
        first.detail.push_str(&other.detail);
    }
    if more > 0 {
        // Writing to a String cannot fail.
        let _ = write!(first.detail, "; and {more} more are wrong");
    }
    Err(first)
}
