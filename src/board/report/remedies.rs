//! A remedy in words.

use super::rfc3339;
use crate::board::{Deed, Outcome, RemedyCell, RemedyRecord, RemedyState, Suppression};
use crate::observation::Severity;
use serde::Serialize;
use std::collections::BTreeMap;

/// One remedy in short.
#[derive(Debug, Clone, Serialize)]
pub struct RemedyCheck {
    /// idle, acting, verifying, backing-off or exhausted.
    pub state: &'static str,
    /// What a person wants to know first.
    pub message: String,
    /// When it acts.
    pub when: String,
    /// The actions of its steps.
    pub steps: Vec<&'static str>,
    /// Whether it may act; otherwise it only says what it would do.
    pub armed: bool,
    /// Critical once it gave up.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// Since when it is in its state, RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<String>,
    /// Why it did not act when it last would have, in the open incident.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub suppressed_by: Option<&'static str>,
    /// Actions that ended, by action and outcome.
    pub actions: BTreeMap<&'static str, BTreeMap<&'static str, u64>>,
    /// How often it would have acted and did not, by reason; reasons that never were are left out.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub suppressed: BTreeMap<&'static str, u64>,
    /// Recoveries that were verified.
    pub recoveries: u64,
    /// The latest deeds, the newest first.
    pub last_deeds: Vec<DeedLine>,
    /// The state itself.
    #[serde(skip)]
    pub standing: RemedyState,
    /// Since when, in seconds since the Unix epoch.
    #[serde(skip)]
    pub since_at: Option<f64>,
}

/// One thing that a remedy did or refrained from.
#[derive(Debug, Clone, Serialize)]
pub struct DeedLine {
    /// When, RFC 3339.
    pub at: String,
    /// The incident that it belongs to.
    pub incident: String,
    /// In words.
    pub what: String,
    /// Whether it is good news, bad news, or neither.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub good: Option<bool>,
    /// When, in seconds since the Unix epoch.
    #[serde(skip)]
    pub at_seconds: f64,
}

impl DeedLine {
    fn of(deed: &Deed) -> Self {
        let (incident, what) = (deed.incident.clone(), deed.words.clone());
        Self { at: rfc3339(deed.at), incident, what, good: deed.good, at_seconds: deed.at }
    }
}

impl RemedyCheck {
    /// Of one cell.
    pub fn of(cell: &RemedyCell) -> Self {
        let descriptor = cell.descriptor();
        cell.read(|record| Self {
            state: record.state.as_str(),
            message: message(record, descriptor.armed, descriptor.max_attempts),
            when: descriptor.when.clone(),
            steps: descriptor.steps.clone(),
            armed: descriptor.armed,
            severity: (record.state == RemedyState::Exhausted).then_some(Severity::Critical),
            since: record.since.map(rfc3339),
            suppressed_by: record.suppression.map(Suppression::as_str),
            actions: record
                .actions
                .iter()
                .map(|(action, counts)| {
                    let by_outcome = Outcome::ALL.into_iter().zip(counts);
                    (*action, by_outcome.map(|(outcome, count)| (outcome.as_str(), *count)).collect())
                })
                .collect(),
            suppressed: Suppression::ALL
                .into_iter()
                .zip(record.suppressed)
                .filter(|(_, count)| *count > 0)
                .map(|(reason, count)| (reason.as_str(), count))
                .collect(),
            recoveries: record.recovery.count(),
            last_deeds: record.deeds.iter().rev().map(DeedLine::of).collect(),
            standing: record.state,
            since_at: record.since,
        })
    }
}

/// What a person wants to know first.
fn message(record: &RemedyRecord, armed: bool, max_attempts: u32) -> String {
    let of_all = || format!("attempt {} of {max_attempts}", record.attempt);
    match (record.state, record.suppression) {
        (RemedyState::Exhausted, _) => "it gave up and needs a person".into(),
        (RemedyState::Acting, _) => format!("it acts: {}", of_all()),
        (RemedyState::Verifying, _) => format!("it looks whether that helped: {}", of_all()),
        (RemedyState::BackingOff, None) => format!("it did not help, the next attempt waits: {}", of_all()),
        (_, Some(suppression)) => format!("it would act, but: {}", suppression.in_words()),
        (RemedyState::Idle, None) if armed => "nothing to do".into(),
        (RemedyState::Idle, None) => "nothing to do; dry run: it would only say what it would do".into(),
    }
}

impl Suppression {
    /// The same for people.
    pub const fn in_words(self) -> &'static str {
        match self {
            Suppression::DryRun => "it is not armed (dry run)",
            Suppression::Cooldown => "it failed again within the cool-down",
            Suppression::Breaker => "too many actions within a short time",
            Suppression::SharedCause => "much else fails too, so that the cause is elsewhere",
            Suppression::Flapping => "the target comes and goes by itself",
            Suppression::Maintenance => "a maintenance window is open",
            Suppression::KillSwitch => "the kill switch is set",
            Suppression::Dependency => "something that the target depends on fails",
            Suppression::TargetBusy => "the target is being started, or a person has stopped it",
            Suppression::OwnFault => "Banken itself is in trouble",
            Suppression::Journal => "the journal cannot be written",
        }
    }
}
