//! Rules: patterns that stand in the configuration itself, and what becomes of what they capture.

use super::Entry;
use super::scanner::Expression;
use crate::board::{CaptureDescriptor, CaptureUsage, OTHER, PatternDescriptor};
use crate::observation::Gravity;
use crate::values::{Invalid, Pattern, check_name};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::{BTreeMap, HashSet};

/// A label with more values is not a label.
const MAX_VALUES: usize = 100;

/// As many buckets as anybody looks at.
const MAX_BOUNDS: usize = 30;

/// How bad a match is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "LogSeverity")]
pub enum Severity {
    /// An event worth knowing.
    Info,
    /// Something to look at.
    #[default]
    Warning,
    /// Something went wrong.
    Error,
    /// Something went so wrong that a person acts now.
    Critical,
}

impl Severity {
    /// The same in the board's words.
    pub const fn gravity(self) -> Gravity {
        match self {
            Severity::Info => Gravity::Info,
            Severity::Warning => Gravity::Warning,
            Severity::Error => Gravity::Error,
            Severity::Critical => Gravity::Critical,
        }
    }
}

/// An entry under `rules:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "LogRule")]
pub struct Rule {
    /// Unique in its log, the label `pattern`: lower-case letters, digits, `_`, `.`, `-`. A built-in pattern with the
    /// same id is replaced.
    pub id: String,
    /// What it finds, for people; without it the id.
    #[serde(default)]
    pub name: Option<String>,
    /// What the line, or the record of several lines, looks like. `^` and `$` are the ends of a line.
    pub pattern: Pattern,
    /// How bad a match is.
    #[serde(default)]
    pub severity: Severity,
    /// What becomes of the named groups of the pattern.
    #[serde(default)]
    pub captures: BTreeMap<String, Capture>,
}

/// What becomes of what a named group matched. Exactly one of these.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(rename = "LogCapture")]
pub struct Capture {
    /// It becomes a label with one of these values, or `other`.
    pub values: Option<Vec<String>>,
    /// It is a number, and the latest one is published.
    pub gauge: Option<bool>,
    /// It is a number, and a histogram with these upper bounds is published.
    pub histogram: Option<Vec<f64>>,
}

impl Rule {
    /// The pattern, compiled; `path` is where the rule stands.
    pub(super) fn entry(&self, path: &str) -> Result<Entry, Vec<Invalid>> {
        let mut invalid = Vec::new();
        if let Err(message) = check_name(&self.id) {
            invalid.push(Invalid::new("id", message));
        }
        let expression = Expression::compile(self.pattern.as_str(), true)
            .map_err(|message| invalid.push(Invalid::new("pattern", message)))
            .ok();
        let mut captures = Vec::new();
        for (name, capture) in &self.captures {
            let at = |key: &str| format!("captures.{name}{key}");
            let groups = expression.iter().flat_map(|expression| expression.regex().capture_names().flatten());
            let groups: Vec<_> = groups.collect();
            if expression.is_some() && !groups.contains(&name.as_str()) {
                invalid.push(Invalid::new(at(""), no_such_group(name, &groups)));
            }
            match capture.usage() {
                Ok(usage) => captures.push(CaptureDescriptor { name: name.clone(), usage }),
                Err((key, message)) => invalid.push(Invalid::new(at(key), message)),
            }
        }
        match expression {
            Some(expression) if invalid.is_empty() => Ok(Entry {
                descriptor: PatternDescriptor {
                    id: self.id.clone(),
                    name: self.name.clone().unwrap_or_else(|| self.id.clone()),
                    gravity: self.severity.gravity(),
                    captures,
                },
                text: self.pattern.as_str().to_owned(),
                expression,
                origin: Some(path.to_owned()),
            }),
            _ => Err(invalid.into_iter().map(|mistake| mistake.within(path)).collect()),
        }
    }
}

fn no_such_group(name: &str, groups: &[&str]) -> String {
    let known = match groups {
        [] => "it has no named group".to_owned(),
        groups => format!("it has {}", groups.join(", ")),
    };
    format!("the pattern has no group {name:?} ({known}): write (?P<{name}>…) in it")
}

impl Capture {
    /// What it becomes, or the key below which the mistake is, and the mistake.
    fn usage(&self) -> Result<CaptureUsage, (&'static str, String)> {
        match (&self.values, self.gauge, &self.histogram) {
            (Some(values), None, None) => {
                check_values(values).map_err(|message| (".values", message))?;
                Ok(CaptureUsage::Counts(values.clone()))
            }
            (None, Some(true), None) => Ok(CaptureUsage::Latest),
            (None, Some(false), None) => Err((".gauge", "remove this capture, or write true".into())),
            (None, None, Some(bounds)) => {
                check_bounds(bounds).map_err(|message| (".histogram", message))?;
                Ok(CaptureUsage::Histogram(bounds.clone()))
            }
            _ => Err(("", "write exactly one of values: […], gauge: true, histogram: […]".into())),
        }
    }
}

fn check_values(values: &[String]) -> Result<(), String> {
    if values.is_empty() || values.len() > MAX_VALUES {
        return Err(format!("{} values: list 1 to {MAX_VALUES}; every other text counts as {OTHER:?}", values.len()));
    }
    let mut seen = HashSet::new();
    for value in values {
        if value == OTHER {
            return Err(format!("{OTHER:?} stands for every text that is not listed: leave it out"));
        }
        if value.is_empty() || value.len() > super::MAX_CAPTURE {
            return Err(format!("{value:?} cannot be a value: 1 to {} bytes", super::MAX_CAPTURE));
        }
        if !seen.insert(value) {
            return Err(format!("{value:?} is listed twice: leave one out"));
        }
    }
    Ok(())
}

fn check_bounds(bounds: &[f64]) -> Result<(), String> {
    if bounds.is_empty() || bounds.len() > MAX_BOUNDS {
        return Err(format!("{} bounds: list 1 to {MAX_BOUNDS}", bounds.len()));
    }
    let rises = bounds.windows(2).all(|pair| pair[0] < pair[1]);
    if !rises || !bounds.iter().all(|bound| bound.is_finite()) {
        return Err("bounds must be finite numbers that rise, as in [0.1, 1, 10]".into());
    }
    Ok(())
}
