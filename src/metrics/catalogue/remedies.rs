//! The families of remedies.

use crate::board::{Outcome, RemedyCell, RemedyRecord, RemedyState, Suppression};
use crate::metrics::samples::Samples;
use crate::observation::{Family, Scope};
use std::fmt;

/// What is known of one remedy at a scrape.
pub struct RemedyView<'a> {
    /// Its cell.
    pub cell: &'a RemedyCell,
    /// What the cell remembers.
    pub record: &'a RemedyRecord,
}

/// A family of every remedy, and how its samples follow from the record.
pub struct RemedyRow {
    /// What it says.
    pub family: Family,
    /// Writes its samples.
    pub write: fn(&RemedyView<'_>, &mut Samples<'_, '_>) -> fmt::Result,
}

/// Every family that each remedy has.
pub static PER_REMEDY: &[RemedyRow] = &[
    RemedyRow {
        family: Family::counter(
            "banken_remedy_actions_total",
            Scope::Remedy,
            &["action", "outcome"],
            "Actions that a remedy took, by action and outcome: success, failure",
        ),
        write: |view, out| {
            for (action, counts) in &view.record.actions {
                for (outcome, count) in Outcome::ALL.into_iter().zip(counts) {
                    out.labelled(&format!("action=\"{action}\",{}", outcome.label()), *count as f64)?;
                }
            }
            Ok(())
        },
    },
    RemedyRow {
        family: Family::counter(
            "banken_remedy_suppressed_total",
            Scope::Remedy,
            &["reason"],
            "Times when a remedy would have acted and did not, by reason",
        ),
        write: |view, out| {
            let mut counts = Suppression::ALL.into_iter().zip(view.record.suppressed);
            counts.try_for_each(|(reason, count)| out.labelled(reason.label(), count as f64))
        },
    },
    RemedyRow {
        family: Family::gauge(
            "banken_remedy_state",
            Scope::Remedy,
            &["state"],
            "Which state the remedy is in, 1 for that state and 0 for the others: idle, acting, verifying, backing-off, exhausted",
        ),
        write: |view, out| {
            let mut states = RemedyState::ALL.into_iter();
            states.try_for_each(|state| out.labelled(state.label(), f64::from(u8::from(state == view.record.state))))
        },
    },
    RemedyRow {
        family: Family::gauge(
            "banken_remedy_armed",
            Scope::Remedy,
            &[],
            "Whether the remedy may act, 1 or 0; otherwise it only says what it would do",
        ),
        write: |view, out| out.value(f64::from(u8::from(view.cell.descriptor().armed))),
    },
    RemedyRow {
        family: Family::histogram(
            "banken_remedy_recovery_seconds",
            Scope::Remedy,
            &[],
            "Time from the first failure to the verified recovery, in seconds",
        ),
        write: |view, out| out.histogram(&view.record.recovery),
    },
];
