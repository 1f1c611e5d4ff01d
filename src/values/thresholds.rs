//! Thresholds as they are written, resolved against the signals that their owner has.

use super::{Invalid, Quantity};
use crate::health::{Levels, Limit};
use crate::observation::Signal;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;

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

/// Resolves thresholds against the signals that `owner` ("a probe of kind tcp") has.
pub fn limits(
    thresholds: &BTreeMap<String, Thresholds>,
    signals: &[&'static Signal],
    owner: &str,
    invalid: &mut Vec<Invalid>,
) -> Vec<Limit> {
    let mut limits = Vec::new();
    for (key, written) in thresholds {
        let path = format!("thresholds.{key}");
        let Some(signal) = signals.iter().find(|signal| signal.key == key) else {
            let known: Vec<_> = signals.iter().map(|signal| signal.key).collect();
            let remedy = match known.as_slice() {
                [] => "there are no thresholds here: remove it".to_owned(),
                known => format!("use one of {}", known.join(", ")),
            };
            let message = format!("{owner} has no signal {key:?}: {remedy}");
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
        let levels = Levels {
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
