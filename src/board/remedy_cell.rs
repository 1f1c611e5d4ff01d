//! The cell of one remedy: where it stands, what it did, and why it did not.

use super::Histogram;
use crate::observation::{Labels, label_words};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Upper bounds of the time from the first failure to the verified recovery, in seconds.
pub const RECOVERY_BOUNDS: &[f64] = &[0.5, 1.0, 3.0, 5.0, 10.0, 15.0, 20.0, 30.0, 60.0, 120.0, 300.0, 900.0, 3600.0];

/// How much of what a remedy did the page can show.
pub const DEEDS_KEPT: usize = 20;

/// Where a remedy stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum RemedyState {
    /// Nothing to do.
    #[default]
    Idle,
    /// A step is being carried out.
    Acting,
    /// A step was carried out, and good probes must show that it helped.
    Verifying,
    /// It did not help; the next attempt waits.
    BackingOff,
    /// It gave up: a person is needed.
    Exhausted,
}

label_words!(
    RemedyState,
    "state",
    Idle = "idle",
    Acting = "acting",
    Verifying = "verifying",
    BackingOff = "backing-off",
    Exhausted = "exhausted",
);

/// Why a remedy that would act does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[repr(u8)]
pub enum Suppression {
    /// It is not armed: it only says what it would do.
    DryRun,
    /// What it repaired failed again too soon after the recovery.
    Cooldown,
    /// Too many actions of this remedy, or on this host, within a time.
    Breaker,
    /// Much else fails too: the cause is elsewhere.
    SharedCause,
    /// The target comes and goes by itself.
    Flapping,
    /// A maintenance window is open.
    Maintenance,
    /// The kill switch is set.
    KillSwitch,
    /// Something that the target depends on fails.
    Dependency,
    /// The target is being started already, or a person has stopped it.
    TargetBusy,
    /// Banken itself is in trouble: nothing is known about the target.
    OwnFault,
    /// What it intends to do could not be written down.
    Journal,
}

label_words!(
    Suppression,
    "reason",
    DryRun = "dry_run",
    Cooldown = "cooldown",
    Breaker = "breaker",
    SharedCause = "shared_cause",
    Flapping = "flapping",
    Maintenance = "maintenance",
    KillSwitch = "kill_switch",
    Dependency = "dependency",
    TargetBusy = "target_busy",
    OwnFault = "own_fault",
    Journal = "journal",
);

/// How an action ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Outcome {
    /// It was carried out; whether it helped is another question.
    Success,
    /// It was not, or only in part.
    Failure,
}

label_words!(Outcome, "outcome", Success = "success", Failure = "failure");

/// What a cell knows about its remedy beside what it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemedyDescriptor {
    /// The label `remedy`.
    pub name: String,
    /// When it acts, in words: `probe dashboard is unhealthy`.
    pub when: String,
    /// The probe, log or job that it looks after, where there is one: `probe dashboard`.
    pub target: String,
    /// The actions of its steps, in order: values of the label `action`.
    pub steps: Vec<&'static str>,
    /// Whether it may act; otherwise it only says what it would do.
    pub armed: bool,
    /// Attempts within one incident.
    pub max_attempts: u32,
}

/// One thing that a remedy did or refrained from, for people.
#[derive(Debug, Clone, PartialEq)]
pub struct Deed {
    /// When, in seconds since the Unix epoch.
    pub at: f64,
    /// The incident that it belongs to.
    pub incident: String,
    /// In words: `service_restart: restarted crypto-dashboard.service`.
    pub words: String,
    /// Whether it is good news, bad news, or neither.
    pub good: Option<bool>,
}

/// Everything that is known of one remedy.
#[derive(Debug, Clone)]
pub struct RemedyRecord {
    /// Where it stands.
    pub state: RemedyState,
    /// Since when, in seconds since the Unix epoch; none while it never did anything.
    pub since: Option<f64>,
    /// When the open incident began with a first failure, in seconds since the Unix epoch.
    pub incident_since: Option<f64>,
    /// The attempt of the open incident, from 1; 0 before the first.
    pub attempt: u32,
    /// How often each action of the descriptor's `steps` ended in each way, once for each distinct action in the order in
    /// which it first stands there.
    pub actions: Vec<(&'static str, [u64; Outcome::ALL.len()])>,
    /// How often it would have acted and did not, by reason.
    pub suppressed: [u64; Suppression::ALL.len()],
    /// Why it did not act when it last would have, in the open incident.
    pub suppression: Option<Suppression>,
    /// From the first failure to the verified recovery, in seconds.
    pub recovery: Histogram,
    /// The latest deeds, the newest last.
    pub deeds: VecDeque<Deed>,
}

impl RemedyRecord {
    /// A record without a past: every counter at 0.
    pub fn new(descriptor: &RemedyDescriptor) -> Self {
        let mut actions: Vec<(&'static str, [u64; Outcome::ALL.len()])> = Vec::new();
        for step in &descriptor.steps {
            if !actions.iter().any(|(known, _)| known == step) {
                actions.push((step, [0; Outcome::ALL.len()]));
            }
        }
        Self {
            state: RemedyState::Idle,
            since: None,
            incident_since: None,
            attempt: 0,
            actions,
            suppressed: [0; Suppression::ALL.len()],
            suppression: None,
            recovery: Histogram::new(RECOVERY_BOUNDS),
            deeds: VecDeque::new(),
        }
    }

    /// Counts an action of the descriptor that ended.
    pub fn count(&mut self, action: &'static str, outcome: Outcome) {
        if let Some((_, counts)) = self.actions.iter_mut().find(|(known, _)| *known == action) {
            counts[outcome as usize] += 1;
        }
    }

    /// Remembers a deed; the oldest is forgotten beyond the bound.
    pub fn remember(&mut self, deed: Deed) {
        if self.deeds.len() == DEEDS_KEPT {
            self.deeds.pop_front();
        }
        self.deeds.push_back(deed);
    }
}

/// The latest of one remedy.
#[derive(Debug)]
pub struct RemedyCell {
    descriptor: RemedyDescriptor,
    labels: Labels,
    record: Mutex<RemedyRecord>,
}

impl RemedyCell {
    /// A cell without a past.
    pub fn new(descriptor: RemedyDescriptor) -> Self {
        let record = RemedyRecord::new(&descriptor);
        Self::with_record(descriptor, record)
    }

    /// A cell that goes on where `former` stands, under what may have changed.
    pub fn succeeding(descriptor: RemedyDescriptor, former: &RemedyCell) -> Self {
        let mut record = former.read(Clone::clone);
        let fresh = RemedyRecord::new(&descriptor);
        for action in fresh.actions {
            if !record.actions.iter().any(|(known, _)| *known == action.0) {
                record.actions.push(action);
            }
        }
        Self::with_record(descriptor, record)
    }

    fn with_record(descriptor: RemedyDescriptor, record: RemedyRecord) -> Self {
        let labels = Labels::render(&[("remedy", &descriptor.name)]);
        Self { descriptor, labels, record: Mutex::new(record) }
    }

    /// Name, condition, steps.
    pub fn descriptor(&self) -> &RemedyDescriptor {
        &self.descriptor
    }

    /// `remedy`.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// Looks at the record; `look` must be quick.
    pub fn read<T>(&self, look: impl FnOnce(&RemedyRecord) -> T) -> T {
        look(&self.locked())
    }

    /// Changes the record; `change` must be quick, because scrapes wait for it.
    pub fn update<T>(&self, change: impl FnOnce(&mut RemedyRecord) -> T) -> T {
        change(&mut self.locked())
    }

    /// A record is changed by assignments only, so a panic elsewhere leaves it whole.
    fn locked(&self) -> MutexGuard<'_, RemedyRecord> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_action_that_stands_in_two_steps_is_counted_once() {
        let descriptor = RemedyDescriptor {
            name: "x".into(),
            when: "probe x is unhealthy".into(),
            target: "probe x".into(),
            steps: vec!["command", "service_restart", "command"],
            armed: true,
            max_attempts: 3,
        };
        let cell = RemedyCell::new(descriptor.clone());
        cell.update(|record| record.count("command", Outcome::Success));
        let heir = RemedyCell::succeeding(RemedyDescriptor { steps: vec!["alert", "command"], ..descriptor }, &cell);
        let counts = heir.read(|record| record.actions.clone());
        assert_eq!(counts, [("command", [1, 0]), ("service_restart", [0, 0]), ("alert", [0, 0])]);
    }

    #[test]
    fn enums_are_listed_in_the_order_of_their_numbers() {
        assert!(Suppression::ALL.iter().enumerate().all(|(index, reason)| *reason as usize == index));
        assert!(Outcome::ALL.iter().enumerate().all(|(index, outcome)| *outcome as usize == index));
    }
}
