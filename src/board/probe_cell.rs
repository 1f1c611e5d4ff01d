//! The cell of one probe.

use super::Record;
use crate::health::{Limit, Policy, Transition};
use crate::observation::{Audience, Family, Labels, Observation, Reading, Readings, Reason};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::time::Instant;

/// What a cell knows about its probe beside what it saw.
#[derive(Debug, Clone, PartialEq)]
pub struct Descriptor {
    /// The label `probe`.
    pub name: String,
    /// The label `kind`.
    pub kind: &'static str,
    /// The label `group`.
    pub group: Option<String>,
    /// How often it runs while its state is settled.
    pub interval: Duration,
    /// How results become health.
    pub policy: Policy,
    /// Configured thresholds.
    pub limits: Vec<Limit>,
    /// The reasons with which its kind can fail.
    pub reasons: &'static [Reason],
    /// The families that its kind publishes.
    pub families: &'static [&'static Family],
}

/// The latest of one probe.
#[derive(Debug)]
pub struct ProbeCell {
    descriptor: Descriptor,
    labels: Labels,
    name_label: Labels,
    record: Mutex<Record>,
}

impl ProbeCell {
    /// A cell without a past.
    pub fn new(descriptor: Descriptor) -> Self {
        let record = Record::new(descriptor.families);
        Self::with_record(descriptor, record)
    }

    /// A cell that goes on where `former` stands, under what may have changed (group, interval, thresholds).
    pub fn succeeding(descriptor: Descriptor, former: &ProbeCell) -> Self {
        let record = former.locked().clone_for(descriptor.families);
        Self::with_record(descriptor, record)
    }

    fn with_record(descriptor: Descriptor, record: Record) -> Self {
        let mut pairs = vec![("probe", descriptor.name.as_str()), ("kind", descriptor.kind)];
        pairs.extend(descriptor.group.as_deref().map(|group| ("group", group)));
        let labels = Labels::render(&pairs);
        let name_label = Labels::render(&[("probe", &descriptor.name)]);
        Self { descriptor, labels, name_label, record: Mutex::new(record) }
    }

    /// Name, kind, group, thresholds.
    pub fn descriptor(&self) -> &Descriptor {
        &self.descriptor
    }

    /// `probe`, `kind` and, where one is set, `group`.
    pub fn labels(&self) -> &Labels {
        &self.labels
    }

    /// `probe` alone.
    pub fn name_label(&self) -> &Labels {
        &self.name_label
    }

    /// Takes what a run saw. Gives back what changed, and an old sheet of readings to write the next run on.
    pub fn publish(&self, observation: Observation, now: Instant) -> (Option<Transition>, Readings) {
        self.locked().take(observation, &self.descriptor, now)
    }

    /// Looks at the record; `look` must be quick, because a run that ends waits for it.
    pub fn read<T>(&self, look: impl FnOnce(&Record) -> T) -> T {
        look(&self.locked())
    }

    /// A record is changed by assignments only, so a panic elsewhere leaves it whole.
    fn locked(&self) -> MutexGuard<'_, Record> {
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Audience for ProbeCell {
    fn hear(&self, gauges: &[Reading], increments: &[Reading]) {
        self.locked().hear(gauges, increments);
    }
}
