//! What a run writes down while it runs.

use super::{Family, FamilyType, Labels, Phase, Signal};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// One value of a family, with the family's own labels if it has any.
#[derive(Debug, Clone)]
pub struct Reading {
    /// Which family the value belongs to.
    pub family: &'static Family,
    /// The family's own labels, rendered once by whoever built the probe.
    pub labels: Option<Arc<Labels>>,
    /// The value in the family's base unit.
    pub value: f64,
}

impl Reading {
    /// Whether two readings are of the same series.
    pub fn same_series(&self, other: &Reading) -> bool {
        std::ptr::eq(self.family, other.family)
            && match (&self.labels, &other.labels) {
                (Some(ours), Some(theirs)) => Arc::ptr_eq(ours, theirs) || ours == theirs,
                (None, None) => true,
                _ => false,
            }
    }
}

/// Who is shown what a run has written while it still goes on.
pub trait Audience: Send + Sync {
    /// Takes over gauges and adds increments, which are not told again at the end of the run.
    fn hear(&self, gauges: &[Reading], increments: &[Reading]);
}

/// The sheet on which a probe writes what it sees, as soon as it sees it: a failed run keeps what came before.
pub struct Readings {
    gauges: Vec<Reading>,
    increments: Vec<Reading>,
    signals: Vec<(&'static Signal, f64)>,
    notes: Vec<(&'static str, String)>,
    phases: [Option<Duration>; Phase::ALL.len()],
    running: Option<(Phase, Instant)>,
    part: Option<Arc<str>>,
    deadline: Instant,
    audience: Option<Arc<dyn Audience>>,
}

impl fmt::Debug for Readings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Readings")
            .field("gauges", &self.gauges)
            .field("increments", &self.increments)
            .field("signals", &self.signals)
            .field("notes", &self.notes)
            .field("phases", &self.phases)
            .finish_non_exhaustive()
    }
}

impl Default for Readings {
    fn default() -> Self {
        Self {
            gauges: Vec::new(),
            increments: Vec::new(),
            signals: Vec::new(),
            notes: Vec::new(),
            phases: [None; Phase::ALL.len()],
            running: None,
            part: None,
            deadline: Instant::now(),
            audience: None,
        }
    }
}

impl Readings {
    /// Empties the sheet for the next run, which must be done by `deadline`; the memory is kept. The audience, if there is
    /// one, hears what is written when the probe says so.
    pub fn begin(&mut self, deadline: Instant, audience: Option<Arc<dyn Audience>>) {
        self.gauges.clear();
        self.increments.clear();
        self.signals.clear();
        self.notes.clear();
        self.phases = [None; Phase::ALL.len()];
        self.running = None;
        self.part = None;
        self.deadline = deadline;
        self.audience = audience;
    }

    /// Shows the gauges and increments that were written so far before the run ends: for what must be seen while it
    /// lasts, such as the number of the attempt that hangs.
    pub fn show(&mut self) {
        if let Some(audience) = &self.audience {
            audience.hear(&self.gauges, &self.increments);
            self.increments.clear();
        }
    }

    /// When the runner will end this run: for a probe that divides its time.
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Writes a gauge's value. A value that is no number is not a reading and leaves no series.
    pub fn set(&mut self, family: &'static Family, value: f64) {
        self.push_gauge(family, None, value);
    }

    /// Writes a 0/1 gauge.
    pub fn flag(&mut self, family: &'static Family, value: bool) {
        self.set(family, f64::from(u8::from(value)));
    }

    /// Writes a gauge's value under the family's own labels.
    pub fn set_with(&mut self, family: &'static Family, labels: &Arc<Labels>, value: f64) {
        self.push_gauge(family, Some(Arc::clone(labels)), value);
    }

    /// Writes a 0/1 gauge under the family's own labels.
    pub fn flag_with(&mut self, family: &'static Family, labels: &Arc<Labels>, value: bool) {
        self.set_with(family, labels, f64::from(u8::from(value)));
    }

    /// Takes a gauge back that belongs to something earlier in the run than what it stands beside now.
    pub fn withdraw(&mut self, family: &'static Family) {
        self.gauges.retain(|reading| !std::ptr::eq(reading.family, family));
    }

    /// Adds to a counter. The board keeps the sum, so that it goes on when a reload builds the probe anew.
    pub fn add(&mut self, family: &'static Family, increment: f64) {
        self.push_increment(family, None, increment);
    }

    /// Adds to a counter under the family's own labels.
    pub fn add_with(&mut self, family: &'static Family, labels: &Arc<Labels>, increment: f64) {
        self.push_increment(family, Some(Arc::clone(labels)), increment);
    }

    /// Says the value of a quantity that has thresholds; of several values the highest counts.
    pub fn signal(&mut self, signal: &'static Signal, value: f64) {
        match self.signals.iter_mut().find(|(known, _)| std::ptr::eq(*known, signal)) {
            Some((_, highest)) => *highest = highest.max(value),
            None => self.signals.push((signal, value)),
        }
    }

    /// Notes a fact for people (which address answered), shown on the page and by `banken probe`, never a label.
    pub fn note(&mut self, what: &'static str, fact: impl Into<String>) {
        self.notes.push((what, fact.into()));
    }

    /// Begins a phase, which ends the one before it. A phase that happens again (a redirect) adds up.
    pub fn enter(&mut self, phase: Phase) {
        let now = Instant::now();
        self.leave_at(now);
        self.running = Some((phase, now));
    }

    /// Ends the phase that is running.
    pub fn leave(&mut self) {
        self.leave_at(Instant::now());
    }

    fn leave_at(&mut self, now: Instant) {
        if let Some((phase, since)) = self.running.take() {
            *self.phases[phase as usize].get_or_insert(Duration::ZERO) += now.duration_since(since);
        }
    }

    /// Says which part of the run goes on, for kinds whose runs have several.
    pub fn begin_part(&mut self, name: &Arc<str>) {
        self.part = Some(Arc::clone(name));
    }

    /// The part that goes on: after a timeout, what was not done.
    pub fn running_part(&self) -> Option<&str> {
        self.part.as_deref()
    }

    /// The phase that is running: after a timeout, where the time went.
    pub fn running_phase(&self) -> Option<Phase> {
        self.running.map(|(phase, _)| phase)
    }

    /// How long each phase took, for those that happened.
    pub fn phases(&self) -> impl Iterator<Item = (Phase, Duration)> + '_ {
        Phase::ALL.iter().filter_map(|phase| self.phases[*phase as usize].map(|time| (*phase, time)))
    }

    /// The gauges written in this run.
    pub fn gauges(&self) -> &[Reading] {
        &self.gauges
    }

    /// The increments of counters written in this run.
    pub fn increments(&self) -> &[Reading] {
        &self.increments
    }

    /// The quantities that thresholds compare with.
    pub fn signals(&self) -> &[(&'static Signal, f64)] {
        &self.signals
    }

    /// Facts for people.
    pub fn notes(&self) -> &[(&'static str, String)] {
        &self.notes
    }

    /// The value of a gauge without labels of its own.
    pub fn value(&self, family: &'static Family) -> Option<f64> {
        self.gauges.iter().find(|reading| std::ptr::eq(reading.family, family)).map(|reading| reading.value)
    }

    fn push_gauge(&mut self, family: &'static Family, labels: Option<Arc<Labels>>, value: f64) {
        debug_assert_eq!(family.family_type, FamilyType::Gauge, "{}", family.name);
        debug_assert_eq!(family.labels.is_empty(), labels.is_none(), "{}", family.name);
        if !value.is_finite() {
            return;
        }
        let reading = Reading { family, labels, value };
        // A value that became better known replaces the former one: a series has one sample.
        match self.gauges.iter_mut().find(|known| known.same_series(&reading)) {
            Some(known) => known.value = value,
            None => self.gauges.push(reading),
        }
    }

    /// Writes a gauge that stands on another sheet.
    pub fn take_over(&mut self, reading: &Reading) {
        self.push_gauge(reading.family, reading.labels.clone(), reading.value);
    }

    fn push_increment(&mut self, family: &'static Family, labels: Option<Arc<Labels>>, value: f64) {
        debug_assert_eq!(family.family_type, FamilyType::Counter, "{}", family.name);
        debug_assert_eq!(family.labels.is_empty(), labels.is_none(), "{}", family.name);
        if value.is_finite() && value >= 0.0 {
            self.increments.push(Reading { family, labels, value });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Scope;
    use super::*;

    static DEPTH: Family = Family::gauge("depth", Scope::Probe, &[], "Depth");

    #[tokio::test(start_paused = true)]
    async fn a_phase_that_happens_twice_adds_up_and_the_running_one_is_known() {
        let mut readings = Readings::default();
        readings.enter(Phase::Connect);
        tokio::time::advance(Duration::from_millis(20)).await;
        readings.enter(Phase::Wait);
        tokio::time::advance(Duration::from_millis(5)).await;
        readings.enter(Phase::Connect);
        tokio::time::advance(Duration::from_millis(10)).await;
        assert_eq!(readings.running_phase(), Some(Phase::Connect));
        readings.leave();
        let phases: Vec<_> = readings.phases().collect();
        assert_eq!(phases, vec![(Phase::Connect, Duration::from_millis(30)), (Phase::Wait, Duration::from_millis(5))]);
    }

    #[test]
    fn a_value_that_is_no_number_leaves_no_reading() {
        let mut readings = Readings::default();
        readings.set(&DEPTH, f64::NAN);
        readings.set(&DEPTH, f64::INFINITY);
        assert!(readings.gauges().is_empty());
        readings.set(&DEPTH, 3.0);
        assert_eq!(readings.value(&DEPTH), Some(3.0));
    }

    #[test]
    fn a_value_that_was_withdrawn_is_gone() {
        let mut readings = Readings::default();
        readings.set(&DEPTH, 3.0);
        readings.withdraw(&DEPTH);
        assert_eq!(readings.value(&DEPTH), None);
    }

    #[test]
    fn of_several_values_of_a_signal_the_highest_counts() {
        static DISK: Signal = Signal { key: "disk", unit: super::super::Unit::Ratio, threshold: &DEPTH };
        let mut readings = Readings::default();
        readings.signal(&DISK, 0.4);
        readings.signal(&DISK, 0.9);
        readings.signal(&DISK, 0.5);
        assert_eq!(readings.signals(), &[(&DISK, 0.9)]);
    }
}
