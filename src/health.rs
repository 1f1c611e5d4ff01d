//! Pure: (state, policy, verdict) → (state, transition). No clock, no I/O.
//!
//! `unknown → healthy ⇄ suspect(n) → unhealthy`. Failures count in a row up to `failure_threshold`; out of unhealthy it
//! takes `success_threshold` successes in a row; out of unknown one success is enough. A fault of our own (an
//! [`Verdict::Unknown`]) neither counts nor forgives: the count goes on where it stood.

use crate::observation::{Severity, Signal, label_words};

/// How many results in a row change the state.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Failures in a row until unhealthy; at least 1.
    pub failure_threshold: u32,
    /// Successes in a row until an unhealthy target is healthy again; at least 1.
    pub success_threshold: u32,
}

/// On how many others one target may depend.
pub const MAX_DEPENDENCIES: usize = 32;

/// What one run says about the target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// As expected.
    Success,
    /// The target failed.
    Failure,
    /// Our own fault: nothing is known about the target.
    Unknown,
}

/// The name of a state, as it stands in the label `state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Status {
    /// No verdict yet, or our own fault.
    Unknown,
    /// Fine.
    Healthy,
    /// Failing, but not often enough in a row.
    Suspect,
    /// Down.
    Unhealthy,
}

label_words!(Status, "state", Unknown = "unknown", Healthy = "healthy", Suspect = "suspect", Unhealthy = "unhealthy",);

/// What is known about the target itself, own faults apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Standing {
    Nothing,
    Healthy,
    Suspect { failures: u32, was_healthy: bool },
    Unhealthy { failures: u32, successes: u32 },
}

/// The state of one target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct State {
    standing: Standing,
    own_fault: bool,
}

impl Default for State {
    fn default() -> Self {
        Self { standing: Standing::Nothing, own_fault: false }
    }
}

/// A change of status.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Transition {
    /// Before.
    pub from: Status,
    /// After.
    pub to: Status,
    /// Whether an incident was confirmed or ended by it.
    pub incident: Option<Incident>,
}

/// The two ends of an incident.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Incident {
    /// The failures in a row reached the threshold.
    Confirmed,
    /// The target is verified to be healthy again.
    Recovered,
}

impl State {
    /// The name of the state.
    pub fn status(&self) -> Status {
        match self.standing {
            _ if self.own_fault => Status::Unknown,
            Standing::Nothing => Status::Unknown,
            Standing::Healthy => Status::Healthy,
            Standing::Suspect { .. } => Status::Suspect,
            Standing::Unhealthy { .. } => Status::Unhealthy,
        }
    }

    /// The verdict after thresholds: `None` until the first one; our own faults leave it as it was.
    pub fn healthy(&self) -> Option<bool> {
        match self.standing {
            Standing::Nothing => None,
            Standing::Healthy => Some(true),
            Standing::Suspect { was_healthy, .. } => was_healthy.then_some(true),
            Standing::Unhealthy { .. } => Some(false),
        }
    }

    /// Failures in a row.
    pub fn consecutive_failures(&self) -> u32 {
        match self.standing {
            Standing::Nothing | Standing::Healthy => 0,
            Standing::Suspect { failures, .. } | Standing::Unhealthy { failures, .. } => failures,
        }
    }

    /// Whether the next result may change the verdict, so that the runner should not wait for a whole interval.
    pub fn is_in_doubt(&self) -> bool {
        matches!(self.standing, Standing::Suspect { .. } | Standing::Unhealthy { successes: 1.., .. })
    }

    /// Whether an incident is confirmed and open.
    pub fn is_unhealthy(&self) -> bool {
        matches!(self.standing, Standing::Unhealthy { .. })
    }

    /// Whether it fails: now and then, or for good and not yet recovered.
    pub fn is_failing(&self) -> bool {
        matches!(self.standing, Standing::Suspect { .. } | Standing::Unhealthy { .. })
    }

    /// The state after one more result, and what changed.
    #[must_use]
    pub fn step(self, policy: Policy, verdict: Verdict) -> (State, Option<Transition>) {
        let (standing, own_fault) = match verdict {
            Verdict::Unknown => (self.standing, true),
            Verdict::Success => (self.after_success(policy), false),
            Verdict::Failure => (self.after_failure(policy), false),
        };
        let next = State { standing, own_fault };
        let incident = match (self.is_unhealthy(), next.is_unhealthy()) {
            (false, true) => Some(Incident::Confirmed),
            (true, false) => Some(Incident::Recovered),
            _ => None,
        };
        let (from, to) = (self.status(), next.status());
        (next, (from != to).then_some(Transition { from, to, incident }))
    }

    fn after_success(self, policy: Policy) -> Standing {
        match self.standing {
            Standing::Unhealthy { successes, .. } if !self.own_fault && successes + 1 < policy.success_threshold => {
                Standing::Unhealthy { failures: 0, successes: successes + 1 }
            }
            _ => Standing::Healthy,
        }
    }

    fn after_failure(self, policy: Policy) -> Standing {
        let (failures, was_healthy) = match self.standing {
            Standing::Nothing => (1, false),
            Standing::Healthy => (1, true),
            Standing::Suspect { failures, was_healthy } => (failures.saturating_add(1), was_healthy),
            Standing::Unhealthy { failures, .. } => {
                return Standing::Unhealthy { failures: failures.saturating_add(1), successes: 0 };
            }
        };
        if failures >= policy.failure_threshold {
            Standing::Unhealthy { failures, successes: 0 }
        } else {
            Standing::Suspect { failures, was_healthy }
        }
    }
}

/// The thresholds of one signal, in its base unit; each severity is optional.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Levels {
    /// Worth knowing above this.
    pub info: Option<f64>,
    /// Look at it today above this.
    pub warning: Option<f64>,
    /// A person acts above this.
    pub critical: Option<f64>,
}

impl Levels {
    /// The threshold of one severity.
    pub fn get(&self, severity: Severity) -> Option<f64> {
        match severity {
            Severity::Info => self.info,
            Severity::Warning => self.warning,
            Severity::Critical => self.critical,
        }
    }

    /// The gravest threshold that `value` is above.
    pub fn crossed_by(&self, value: f64) -> Option<Severity> {
        Severity::ALL.into_iter().rev().find(|severity| self.get(*severity).is_some_and(|level| value > level))
    }

    /// The first pair in which the graver threshold is below the milder one, which no value could make sense of.
    pub fn disorder(&self) -> Option<(Severity, Severity)> {
        let set: Vec<_> = Severity::ALL.into_iter().filter_map(|s| self.get(s).map(|level| (s, level))).collect();
        set.windows(2).find(|pair| pair[0].1 > pair[1].1).map(|pair| (pair[0].0, pair[1].0))
    }
}

/// A signal and the thresholds that were configured for it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Limit {
    /// What is compared.
    pub signal: &'static Signal,
    /// With which values.
    pub levels: Levels,
}

/// A threshold that a value is above.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Crossing {
    /// Of which signal.
    pub signal: &'static Signal,
    /// How grave it is.
    pub severity: Severity,
    /// The value in the signal's base unit.
    pub value: f64,
    /// The threshold in the signal's base unit.
    pub threshold: f64,
}

/// The gravest crossing among the values of one run.
pub fn gravest_crossing(limits: &[Limit], values: &[(&'static Signal, f64)]) -> Option<Crossing> {
    let crossings = limits.iter().filter_map(|limit| {
        let (_, value) = values.iter().find(|(signal, _)| std::ptr::eq(*signal, limit.signal))?;
        let severity = limit.levels.crossed_by(*value)?;
        let threshold = limit.levels.get(severity)?;
        Some(Crossing { signal: limit.signal, severity, value: *value, threshold })
    });
    crossings.max_by_key(|crossing| crossing.severity)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const POLICY: Policy = Policy { failure_threshold: 3, success_threshold: 2 };

    fn walk(policy: Policy, verdicts: &str) -> State {
        verdicts.chars().fold(State::default(), |state, c| state.step(policy, verdict(c)).0)
    }

    fn verdict(c: char) -> Verdict {
        match c {
            's' => Verdict::Success,
            'f' => Verdict::Failure,
            _ => Verdict::Unknown,
        }
    }

    #[test]
    fn verdicts_in_a_row_lead_to_the_status() {
        let cases = [
            ("", Status::Unknown, None),
            ("s", Status::Healthy, Some(true)),
            ("f", Status::Suspect, None),
            ("ff", Status::Suspect, None),
            ("fff", Status::Unhealthy, Some(false)),
            ("sf", Status::Suspect, Some(true)),
            ("sffs", Status::Healthy, Some(true)),
            ("sfff", Status::Unhealthy, Some(false)),
            ("sfffs", Status::Unhealthy, Some(false)),
            ("sfffss", Status::Healthy, Some(true)),
            ("sfffsfs", Status::Unhealthy, Some(false)),
            ("su", Status::Unknown, Some(true)),
            ("sus", Status::Healthy, Some(true)),
            ("sfffu", Status::Unknown, Some(false)),
            ("sfffus", Status::Healthy, Some(true)),
            ("sfffuf", Status::Unhealthy, Some(false)),
            ("sfuff", Status::Unhealthy, Some(false)),
            ("sfuf", Status::Suspect, Some(true)),
        ];
        for (verdicts, status, healthy) in cases {
            let state = walk(POLICY, verdicts);
            assert_eq!((state.status(), state.healthy()), (status, healthy), "after {verdicts:?}");
        }
    }

    #[test]
    fn a_graver_threshold_wins_and_a_disorder_is_found() {
        let levels = Levels { info: Some(1.0), warning: Some(5.0), critical: Some(10.0) };
        assert_eq!(levels.crossed_by(1.0), None);
        assert_eq!(levels.crossed_by(1.1), Some(Severity::Info));
        assert_eq!(levels.crossed_by(10.1), Some(Severity::Critical));
        assert_eq!(levels.disorder(), None);
        let wrong = Levels { info: None, warning: Some(5.0), critical: Some(2.0) };
        assert_eq!(wrong.disorder(), Some((Severity::Warning, Severity::Critical)));
    }

    fn verdicts() -> impl Strategy<Value = Vec<Verdict>> {
        proptest::collection::vec(
            prop_oneof![Just(Verdict::Success), Just(Verdict::Failure), Just(Verdict::Unknown)],
            0..200,
        )
    }

    proptest! {
        #[test]
        fn our_own_faults_never_change_what_is_said_of_the_target(
            verdicts in verdicts(), failure_threshold in 1u32..6, success_threshold in 1u32..6,
        ) {
            let policy = Policy { failure_threshold, success_threshold };
            let mut state = State::default();
            for verdict in verdicts {
                let (next, transition) = state.step(policy, verdict);
                if verdict == Verdict::Unknown {
                    prop_assert_eq!(next.healthy(), state.healthy());
                    prop_assert_eq!(next.consecutive_failures(), state.consecutive_failures());
                    prop_assert_eq!(next.status(), Status::Unknown);
                    prop_assert!(transition.is_none_or(|t| t.incident.is_none()));
                }
                state = next;
            }
        }

        #[test]
        fn unhealthy_needs_the_threshold_in_known_failures_since_the_last_success(
            verdicts in verdicts(), failure_threshold in 1u32..6, success_threshold in 1u32..6,
        ) {
            let policy = Policy { failure_threshold, success_threshold };
            let mut state = State::default();
            let mut failures_since_success = 0;
            for verdict in verdicts {
                let (next, transition) = state.step(policy, verdict);
                match verdict {
                    Verdict::Success => failures_since_success = 0,
                    Verdict::Failure => failures_since_success += 1,
                    Verdict::Unknown => {}
                }
                match transition.and_then(|t| t.incident) {
                    Some(Incident::Confirmed) => prop_assert_eq!(failures_since_success, failure_threshold),
                    Some(Incident::Recovered) => prop_assert_eq!(verdict, Verdict::Success),
                    None => {}
                }
                prop_assert_eq!(transition.is_some(), state.status() != next.status());
                state = next;
            }
        }

        #[test]
        fn enough_successes_always_heal_and_enough_failures_always_condemn(verdicts in verdicts()) {
            let state = verdicts.into_iter().fold(State::default(), |state, v| state.step(POLICY, v).0);
            let healed = (0..2).fold(state, |state, _| state.step(POLICY, Verdict::Success).0);
            prop_assert_eq!(healed.status(), Status::Healthy);
            let condemned = (0..3).fold(state, |state, _| state.step(POLICY, Verdict::Failure).0);
            prop_assert_eq!(condemned.status(), Status::Unhealthy);
        }
    }
}
