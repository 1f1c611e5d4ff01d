//! What is remembered of one probe.

use super::history::{History, Passed};
use super::{Blame, Descriptor, Histogram};
use crate::health::{Crossing, Incident, State, Status, Transition, Verdict, gravest_crossing};
use crate::observation::{Failure, Family, FamilyType, Observation, Phase, Reading, Readings, Reason};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// Upper bounds of the latency histogram, in seconds.
pub const LATENCY_BOUNDS: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// How many changes of state the page can show.
const CHANGES_KEPT: usize = 32;

/// How many failed runs the page of a probe can show.
const FAILURES_KEPT: usize = 20;

/// So much of what a failed run said is kept, in bytes: a detail may quote a whole body.
const DETAIL_KEPT: usize = 500;

/// Without another run what a run found is believed for two intervals, and this much longer for the run itself.
const BELIEVED: Duration = Duration::from_secs(60);

/// The latest run.
#[derive(Debug, Clone)]
pub struct LastRun {
    /// When it began, in seconds since the Unix epoch.
    pub started_at: f64,
    /// How long it took.
    pub duration: Duration,
    /// Success, or why not.
    pub outcome: Result<(), Failure>,
}

/// A run that failed, for people.
#[derive(Debug, Clone, PartialEq)]
pub struct FailedRun {
    /// When it began, in seconds since the Unix epoch.
    pub started_at: f64,
    /// How long it took.
    pub duration: Duration,
    /// Why it failed.
    pub failure: Failure,
    /// Where the time went.
    pub phases: Vec<(Phase, Duration)>,
}

/// A change of state, for people.
#[derive(Debug, Clone)]
pub struct Change {
    /// When, in seconds since the Unix epoch.
    pub at: f64,
    /// Before.
    pub from: Status,
    /// After.
    pub to: Status,
    /// The failure that led to it, if one did.
    pub failure: Option<Failure>,
}

/// The last hundred known results, one bit each.
#[derive(Debug, Clone, Copy, Default)]
struct Window {
    bits: u128,
    length: u32,
}

impl Window {
    const SIZE: u32 = 100;

    fn push(&mut self, success: bool) {
        self.bits = ((self.bits << 1) | u128::from(success)) & ((1 << Self::SIZE) - 1);
        self.length = (self.length + 1).min(Self::SIZE);
    }

    fn ratio(self) -> Option<f64> {
        (self.length > 0).then(|| f64::from(self.bits.count_ones()) / f64::from(self.length))
    }
}

/// Everything that is known of one probe.
#[derive(Debug)]
pub struct Record {
    /// Where the state machine stands.
    pub state: State,
    /// Since when the status is what it is, in seconds since the Unix epoch; none before the first run.
    pub status_since: Option<f64>,
    /// When a run last began, known or not, in seconds since the Unix epoch.
    pub last_run_at: Option<f64>,
    /// When a successful run last began, in seconds since the Unix epoch.
    pub last_success_at: Option<f64>,
    /// The latest run that says something about the target.
    pub last_known: Option<LastRun>,
    /// Our own fault, while the latest run was one.
    pub own_fault: Option<Failure>,
    /// Runs, known or not.
    pub runs: u64,
    /// Runs that ended with our own fault.
    pub unknown: u64,
    /// Incidents that were confirmed.
    pub incidents: u64,
    /// How long known runs took.
    pub latency: Histogram,
    /// The gravest threshold that the latest known run crossed.
    pub crossing: Option<Crossing>,
    /// Changes of state, the newest last.
    pub changes: VecDeque<Change>,
    /// The latest failed runs, the newest last.
    pub recent_failures: VecDeque<FailedRun>,
    /// How it was in the last hour, day and month.
    pub history: History,
    readings: Readings,
    sums: Vec<Reading>,
    failures: [u64; Reason::ALL.len()],
    window: Window,
    failing_since: Option<Instant>,
    unhealthy_for: Duration,
    unhealthy_counted_until: Option<Instant>,
    blamed: Blame,
}

impl Record {
    /// A record without a past. Counters without labels of their own are known from the start, at 0.
    pub fn new(families: &'static [&'static Family]) -> Self {
        let known = families.iter().filter(|f| f.family_type == FamilyType::Counter && f.labels.is_empty());
        Self {
            state: State::default(),
            status_since: None,
            last_run_at: None,
            last_success_at: None,
            last_known: None,
            own_fault: None,
            runs: 0,
            unknown: 0,
            incidents: 0,
            latency: Histogram::new(LATENCY_BOUNDS),
            crossing: None,
            changes: VecDeque::new(),
            recent_failures: VecDeque::new(),
            history: History::default(),
            readings: Readings::default(),
            sums: known.map(|family| Reading { family, labels: None, value: 0.0 }).collect(),
            failures: [0; Reason::ALL.len()],
            window: Window::default(),
            failing_since: None,
            unhealthy_for: Duration::ZERO,
            unhealthy_counted_until: None,
            blamed: Blame::NOBODY,
        }
    }

    /// The same past for a cell that takes over. The latest gauges are left behind: what the new configuration
    /// measures is known after its first run, and nothing stale is ever exported.
    pub(super) fn clone_for(&self, families: &'static [&'static Family]) -> Self {
        let mut sums = Self::new(families).sums;
        for sum in &self.sums {
            match sums.iter_mut().find(|known| known.same_series(sum)) {
                Some(known) => known.value = sum.value,
                None => sums.push(sum.clone()),
            }
        }
        Self {
            latency: self.latency.clone(),
            changes: self.changes.clone(),
            recent_failures: self.recent_failures.clone(),
            history: self.history.clone(),
            last_known: self.last_known.clone(),
            own_fault: self.own_fault.clone(),
            readings: Readings::default(),
            sums,
            // Positions may have changed; the next run says it anew.
            blamed: Blame::NOBODY,
            ..*self
        }
    }

    /// How often it failed for one reason.
    pub fn failures(&self, reason: Reason) -> u64 {
        self.failures[reason as usize]
    }

    /// The share of successes among the last hundred known runs.
    pub fn success_ratio(&self) -> Option<f64> {
        self.window.ratio()
    }

    /// What the latest known run wrote down.
    pub fn readings(&self) -> &Readings {
        &self.readings
    }

    /// Counters of the kind.
    pub fn sums(&self) -> &[Reading] {
        &self.sums
    }

    /// The time spent in incidents, each counted from its first failure; an open one counts until now, except while
    /// our own fault leaves us blind.
    pub fn unhealthy_for(&self, now: Instant) -> Duration {
        let open = self.unhealthy_counted_until.map_or(Duration::ZERO, |until| now.saturating_duration_since(until));
        self.unhealthy_for + open
    }

    /// Which dependencies explain that it fails, of those that fail now and those that did when it last failed; a
    /// failure outlives its cause until the next run.
    pub fn blame(&self, failing: Blame) -> Blame {
        if self.state.is_failing() { self.blamed.or(failing) } else { Blame::NOBODY }
    }

    /// What a run says about the target.
    pub(super) fn verdict(observation: &Observation) -> Verdict {
        match &observation.outcome {
            Ok(()) => Verdict::Success,
            Err(failure) if failure.reason == Reason::Local => Verdict::Unknown,
            Err(_) => Verdict::Failure,
        }
    }

    /// Since when the target fails, while an incident is confirmed and open.
    pub fn unhealthy_since(&self) -> Option<Instant> {
        self.failing_since.filter(|_| self.state.is_unhealthy())
    }

    /// Takes what a run saw, and which of its dependencies failed then.
    pub(super) fn take(
        &mut self,
        observation: Observation,
        descriptor: &Descriptor,
        blame: Blame,
        now: Instant,
    ) -> (Option<Transition>, Readings) {
        let verdict = Self::verdict(&observation);
        let (next, transition) = self.state.step(descriptor.policy, verdict);
        self.account(next, transition, now);
        self.state = next;
        let passed = Passed {
            status: next.status(),
            incident: transition.and_then(|transition| transition.incident),
            run: (verdict != Verdict::Unknown).then_some((observation.duration, verdict == Verdict::Success)),
            believed: descriptor.interval * 2 + BELIEVED,
        };
        self.history.take(&passed, observation.started_at + observation.duration.as_secs_f64(), now);
        if verdict == Verdict::Failure {
            self.blamed = blame;
        }
        if let Some(transition) = transition {
            self.remember(transition, &observation);
        }
        self.status_since.get_or_insert(observation.started_at);
        self.runs += 1;
        self.last_run_at = Some(observation.started_at);
        for increment in observation.readings.increments() {
            self.add(increment);
        }
        (transition, self.keep(observation, descriptor, verdict))
    }

    /// Keeps the run itself; gives back the sheet that is no longer needed.
    fn keep(&mut self, observation: Observation, descriptor: &Descriptor, verdict: Verdict) -> Readings {
        let Observation { started_at, duration, outcome, readings } = observation;
        match (verdict, &outcome) {
            (Verdict::Unknown, Err(failure)) => {
                // Blind runs leave the picture of the target as it was.
                self.unknown += 1;
                self.own_fault = Some(failure.clone());
                return readings;
            }
            (_, Err(failure)) => {
                self.failures[failure.reason as usize] += 1;
                self.remember_failure(FailedRun {
                    started_at,
                    duration,
                    failure: shortened(failure),
                    phases: readings.phases().collect(),
                });
            }
            (_, Ok(())) => self.last_success_at = Some(started_at),
        }
        self.own_fault = None;
        self.window.push(outcome.is_ok());
        self.latency.observe(duration.as_secs_f64());
        self.crossing = gravest_crossing(&descriptor.limits, readings.signals());
        self.last_known = Some(LastRun { started_at, duration, outcome });
        std::mem::replace(&mut self.readings, readings)
    }

    /// Takes what a run that still goes on has written so far.
    pub(super) fn hear(&mut self, gauges: &[Reading], increments: &[Reading]) {
        for gauge in gauges {
            self.readings.take_over(gauge);
        }
        for increment in increments {
            self.add(increment);
        }
    }

    fn account(&mut self, next: State, transition: Option<Transition>, now: Instant) {
        self.unhealthy_for = self.unhealthy_for(now);
        if next.is_failing() {
            self.failing_since.get_or_insert(now);
        } else {
            self.failing_since = None;
        }
        if transition.and_then(|t| t.incident) == Some(Incident::Confirmed) {
            self.incidents += 1;
            let since = self.failing_since.unwrap_or(now);
            self.unhealthy_for += now.saturating_duration_since(since);
        }
        self.unhealthy_counted_until = (next.status() == Status::Unhealthy).then_some(now);
    }

    fn remember(&mut self, transition: Transition, observation: &Observation) {
        let at = observation.started_at + observation.duration.as_secs_f64();
        self.status_since = Some(at);
        let failure = observation.outcome.as_ref().err().map(shortened);
        self.changes.push_back(Change { at, from: transition.from, to: transition.to, failure });
        self.bound();
    }

    fn remember_failure(&mut self, run: FailedRun) {
        self.recent_failures.push_back(run);
        self.bound();
    }

    /// What is kept for people has a bound.
    pub(super) fn bound(&mut self) {
        let surplus = self.recent_failures.len().saturating_sub(FAILURES_KEPT);
        self.recent_failures.drain(..surplus);
        let surplus = self.changes.len().saturating_sub(CHANGES_KEPT);
        self.changes.drain(..surplus);
    }

    fn add(&mut self, increment: &Reading) {
        match self.sums.iter_mut().find(|sum| sum.same_series(increment)) {
            Some(sum) => sum.value += increment.value,
            None => self.sums.push(increment.clone()),
        }
    }
}

fn shortened(failure: &Failure) -> Failure {
    let mut detail = failure.detail.as_str();
    if detail.len() > DETAIL_KEPT {
        let end = (0..=DETAIL_KEPT).rev().find(|end| detail.is_char_boundary(*end)).unwrap_or(0);
        detail = &detail[..end];
        return Failure::new(failure.reason, format!("{detail}…"));
    }
    failure.clone()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::health::Policy;
    use crate::observation::Scope;

    static RESTARTS: Family = Family::counter("banken_test_restarts_total", Scope::Probe, &[], "Restarts");
    static DEPTH: Family = Family::gauge("banken_test_depth", Scope::Probe, &[], "Depth");

    static FAMILIES: [&Family; 2] = [&RESTARTS, &DEPTH];

    fn descriptor() -> Descriptor {
        Descriptor {
            name: "x".into(),
            kind: "tcp",
            group: None,
            interval: Duration::from_secs(30),
            policy: Policy { failure_threshold: 3, success_threshold: 2 },
            limits: Vec::new(),
            reasons: &[Reason::Connect],
            families: &FAMILIES,
            depends_on: Vec::new(),
        }
    }

    struct Story {
        record: Record,
        now: Instant,
    }

    impl Story {
        fn begin() -> Self {
            Self { record: Record::new(descriptor().families), now: Instant::now() }
        }

        fn run(&mut self, reason: Option<Reason>) -> &mut Self {
            self.run_with(reason, |_| {})
        }

        fn run_with(&mut self, reason: Option<Reason>, write: impl FnOnce(&mut Readings)) -> &mut Self {
            self.now += Duration::from_secs(10);
            let mut readings = Readings::default();
            write(&mut readings);
            let outcome = reason.map_or(Ok(()), |reason| Err(Failure::new(reason, "told to")));
            let observation = Observation { started_at: 1.0, duration: Duration::from_millis(1), outcome, readings };
            self.record.take(observation, &descriptor(), Blame::NOBODY, self.now);
            self
        }
    }

    #[test]
    fn an_incident_is_counted_from_its_first_failure_until_the_verified_recovery() {
        let mut story = Story::begin();
        let failed = Some(Reason::Connect);
        story.run(None).run(failed).run(failed);
        assert_eq!((story.record.incidents, story.record.unhealthy_for(story.now)), (0, Duration::ZERO));
        story.run(failed);
        assert_eq!((story.record.incidents, story.record.unhealthy_for(story.now)), (1, Duration::from_secs(20)));
        let later = story.now + Duration::from_secs(5);
        assert_eq!(story.record.unhealthy_for(later), Duration::from_secs(25), "an open incident goes on");
        story.run(None).run(None);
        assert_eq!(story.record.state.status(), Status::Healthy);
        assert_eq!(story.record.unhealthy_for(story.now + Duration::from_secs(99)), Duration::from_secs(40));
    }

    #[test]
    fn our_own_fault_leaves_success_ratio_readings_and_failures_alone() {
        let mut story = Story::begin();
        story.run_with(None, |out| out.set(&DEPTH, 7.0));
        story.run_with(Some(Reason::Local), |out| out.set(&DEPTH, 0.0));
        let record = &story.record;
        assert_eq!(record.readings().value(&DEPTH), Some(7.0));
        assert_eq!((record.runs, record.unknown, record.success_ratio()), (2, 1, Some(1.0)));
        assert_eq!(record.failures(Reason::Local), 0);
        assert_eq!(record.state.status(), Status::Unknown);
    }

    #[test]
    fn the_ratio_forgets_what_is_older_than_a_hundred_runs() {
        let mut story = Story::begin();
        for _ in 0..50 {
            story.run(Some(Reason::Connect));
        }
        assert_eq!(story.record.success_ratio(), Some(0.0));
        for _ in 0..75 {
            story.run(None);
        }
        assert_eq!(story.record.success_ratio(), Some(0.75));
    }

    #[test]
    fn counters_start_at_zero_and_go_on_in_the_cell_that_takes_over_while_gauges_do_not() {
        let mut story = Story::begin();
        assert_eq!(story.record.sums()[0].value.to_bits(), 0.0_f64.to_bits());
        story.run_with(None, |out| {
            out.add(&RESTARTS, 2.0);
            out.set(&DEPTH, 1.0);
        });
        let heir = story.record.clone_for(descriptor().families);
        assert_eq!(heir.sums()[0].value.to_bits(), 2.0_f64.to_bits());
        assert_eq!((heir.runs, heir.readings().value(&DEPTH)), (1, None));
    }

    #[test]
    fn changes_of_state_are_remembered_up_to_a_bound() {
        let mut story = Story::begin();
        for _ in 0..40 {
            story.run(None).run(Some(Reason::Connect));
        }
        assert_eq!(story.record.changes.len(), CHANGES_KEPT);
        let newest = story.record.changes.back().unwrap();
        assert_eq!((newest.from, newest.to), (Status::Healthy, Status::Suspect));
    }
}
