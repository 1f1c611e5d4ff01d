//! The families of remedies. Their names are settled and the shipped rules read them; a series appears once a remedy acts,
//! and this version has none that does.

use crate::observation::{Family, Scope};

/// Every family that each remedy has.
pub static PER_REMEDY: &[Family] = &[
    Family::counter(
        "banken_remedy_actions_total",
        Scope::Remedy,
        &["action", "outcome"],
        "Actions that a remedy took, by action and outcome: success, failure",
    ),
    Family::counter(
        "banken_remedy_suppressed_total",
        Scope::Remedy,
        &["reason"],
        "Times when a remedy would have acted and did not, by reason",
    ),
    Family::gauge(
        "banken_remedy_state",
        Scope::Remedy,
        &["state"],
        "Which state the remedy is in, 1 for that state and 0 for the others: idle, acting, verifying, backing-off, exhausted",
    ),
    Family::histogram(
        "banken_remedy_recovery_seconds",
        Scope::Remedy,
        &[],
        "Time from the first failure to the verified recovery, in seconds",
    ),
];
