//! Thresholds as they are written, resolved against the signals that a kind has.

use super::Kind;
use crate::health::{self, Limit};
use crate::observation::{Family, Scope, Signal, Unit};
use crate::values::{Invalid, Quantity};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

/// The duration of a run, on which every kind can have thresholds.
pub static DURATION: Signal = Signal { key: "duration", unit: Unit::Seconds, threshold: &DURATION_THRESHOLD };

/// Where the thresholds on the duration are published.
static DURATION_THRESHOLD: Family = Family::gauge(
    "banken_probe_duration_threshold_seconds",
    Scope::Probe,
    &["severity"],
    "Configured threshold on the duration of a run, in seconds",
);

/// Thresholds of one signal as they are written.
#[derive(Debug, Clone, PartialEq, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Thresholds {
    /// Worth knowing above this.
    pub info: Option<Quantity>,
    /// Look at it today above this.
    pub warning: Option<Quantity>,
    /// A person acts above this.
    pub critical: Option<Quantity>,
}

/// Resolves thresholds against the signals that a kind has.
pub fn limits(
    thresholds: &BTreeMap<String, Thresholds>,
    kind: &'static Kind,
    invalid: &mut Vec<Invalid>,
) -> Vec<Limit> {
    let signals: Vec<&'static Signal> = std::iter::once(&DURATION).chain(kind.signals.iter().copied()).collect();
    let mut limits = Vec::new();
    for (key, written) in thresholds {
        let path = format!("thresholds.{key}");
        let Some(signal) = signals.iter().find(|signal| signal.key == key) else {
            let known: Vec<_> = signals.iter().map(|signal| signal.key).collect();
            let message =
                format!("a probe of kind {} has no signal {key:?}: use one of {}", kind.name, known.join(", "));
            invalid.push(Invalid::new(path, message));
            continue;
        };
        let mut level = |name: &str, quantity: &Option<Quantity>| {
            quantity.as_ref().and_then(|quantity| match quantity.in_unit(signal.unit) {
                Ok(value) => Some(value),
                Err(message) => {
                    invalid.push(Invalid::new(format!("{path}.{name}"), message));
                    None
                }
            })
        };
        let levels = health::Levels {
            info: level("info", &written.info),
            warning: level("warning", &written.warning),
            critical: level("critical", &written.critical),
        };
        if let Some((milder, graver)) = levels.disorder() {
            let message = format!("{graver} is below {milder}: a graver threshold must be at least the milder one");
            invalid.push(Invalid::new(format!("{path}.{graver}"), message));
        }
        if *written == Thresholds::default() {
            invalid.push(Invalid::new(path, "no threshold in it: set info, warning or critical"));
            continue;
        }
        limits.push(Limit { signal, levels });
    }
    limits
}
