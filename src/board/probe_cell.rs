//! The cell of one probe.

use super::past::Memory;
use super::{Blame, Dependency, Packer, Past, Record};
use crate::health::{Limit, Policy, Transition, Verdict};
use crate::observation::{Audience, Family, Labels, Observation, Reading, Readings, Reason};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
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
    /// The names of the probes whose failure explains its own.
    pub depends_on: Vec<String>,
}

/// How eager the runner of a probe should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Pace {
    /// As configured.
    #[default]
    Ordinary,
    /// No run begins before this moment: what is probed is being repaired.
    Held(Instant),
    /// Again so long after the last run began: what is done next hangs on it.
    Urgent(Duration),
}

/// What a run said, for whoever decides by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Seen {
    /// When the run began.
    pub started: Instant,
    /// What it says about the target.
    pub verdict: Verdict,
    /// Since when the target fails, while an incident is confirmed and open.
    pub unhealthy_since: Option<Instant>,
}

/// The latest of one probe.
#[derive(Debug)]
pub struct ProbeCell {
    descriptor: Descriptor,
    labels: Labels,
    name_label: Labels,
    dependencies: Vec<Dependency>,
    asked: Notify,
    pace: Mutex<Pace>,
    seen: watch::Sender<Option<Seen>>,
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
        let dependencies = descriptor.depends_on.iter().map(|name| Dependency::on(name)).collect();
        Self {
            descriptor,
            labels,
            name_label,
            dependencies,
            asked: Notify::new(),
            pace: Mutex::default(),
            seen: watch::Sender::new(None),
            record: Mutex::new(record),
        }
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

    /// The probes whose failure explains its own.
    pub fn dependencies(&self) -> &[Dependency] {
        &self.dependencies
    }

    /// Wishes that it runs soon, because another probe wants to know whether it is the cause.
    pub fn ask(&self) {
        self.asked.notify_one();
    }

    /// Ends when somebody has wished so since it last ended.
    pub async fn asked(&self) {
        self.asked.notified().await;
    }

    /// How eager its runner should be.
    pub fn pace(&self) -> Pace {
        *self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes that, from now on.
    pub fn set_pace(&self, pace: Pace) {
        let mut current = self.pace.lock().unwrap_or_else(PoisonError::into_inner);
        if *current != pace {
            *current = pace;
            self.asked.notify_one();
        }
    }

    /// What each run says, from the latest one on. It ends when another cell takes over.
    pub fn runs(&self) -> watch::Receiver<Option<Seen>> {
        let mut runs = self.seen.subscribe();
        runs.mark_changed();
        runs
    }

    /// Takes what a run saw. What changed, an old sheet of readings, and whether a reader of the page should hear of it.
    pub(super) fn publish(
        &self,
        observation: Observation,
        blame: Blame,
        now: Instant,
    ) -> (Option<Transition>, Readings, bool) {
        let started = now.checked_sub(observation.duration).unwrap_or(now);
        let verdict = Record::verdict(&observation);
        let severity = |record: &Record| record.crossing.map(|crossing| crossing.severity);
        let mut record = self.locked();
        let before = severity(&record);
        let (transition, sheet) = record.take(observation, &self.descriptor, blame, now);
        let is_news = transition.is_some() || severity(&record) != before;
        let unhealthy_since = record.unhealthy_since();
        drop(record);
        if self.seen.receiver_count() > 0 {
            self.seen.send_replace(Some(Seen { started, verdict, unhealthy_since }));
        }
        (transition, sheet, is_news)
    }

    /// Looks at the record; `look` must be quick, because a run that ends waits for it.
    pub fn read<T>(&self, look: impl FnOnce(&Record) -> T) -> T {
        look(&self.locked())
    }

    /// Looks at the record once its history has come up to now; `at` is now in seconds since the Unix epoch.
    pub fn read_at<T>(&self, at: f64, now: Instant, look: impl FnOnce(&Record) -> T) -> T {
        let mut record = self.locked();
        record.history.pass(at, now);
        look(&record)
    }

    /// What of it survives a restart.
    pub fn past(&self, at: f64, now: Instant, packer: &mut Packer) -> Past {
        let memory = self.read_at(at, now, Memory::of);
        Past::of(&self.descriptor, &memory, packer)
    }

    /// Gives a cell that has not seen a run the past that was saved for it.
    pub fn restore(&self, past: &Past, packer: &mut Packer) {
        past.restore(&mut self.locked(), packer);
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
