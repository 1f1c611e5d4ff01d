//! The latest of everything: the only state that is shared.
//!
//! Senses write into cells, everything that looks outward reads them. A cell outlives a reload if its name and kind
//! stay, so its counters go on; a removed one is gone from the next reading.

mod blame;
mod histogram;
mod history;
mod job_cell;
mod log_cell;
mod own;
mod past;
mod probe_cell;
mod record;
mod remedy_cell;
pub mod report;

pub use blame::{Blame, Dependency};
pub use histogram::Histogram;
pub use history::{History, Latency, Packer, Point, Uptime, Window};
pub use job_cell::{
    EndedRun, JOB_BOUNDS, JOB_DURATION, JobCell, JobDescriptor, JobRecord, JobResult, RUNS_KEPT, RunningRun,
};
pub use log_cell::{
    CaptureDescriptor, CaptureRecord, CaptureUsage, LOG_SIZE, LogCell, LogCounts, LogDescriptor, LogRecord, OTHER,
    PatternDescriptor, PatternRecord, SavedLog,
};
pub use own::{Own, Saves};
pub use past::Past;
pub use probe_cell::{Descriptor, Pace, ProbeCell, Seen};
pub use record::{Change, FailedRun, LATENCY_BOUNDS, LastRun, Record};
pub use remedy_cell::{
    DEEDS_KEPT, Deed, Outcome, RECOVERY_BOUNDS, RemedyCell, RemedyDescriptor, RemedyRecord, RemedyState, Suppression,
};

use crate::health::{Status, Transition};
use crate::observation::{Observation, Readings};
use std::sync::{Arc, PoisonError, RwLock};
use tokio::sync::watch;
use tokio::time::Instant;

/// Cells of one sense, replaced as a whole.
#[derive(Debug)]
struct List<T>(RwLock<Arc<[Arc<T>]>>);

impl<T> Default for List<T> {
    fn default() -> Self {
        Self(RwLock::new(Arc::from([])))
    }
}

impl<T> List<T> {
    fn get(&self) -> Arc<[Arc<T>]> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn replace(&self, cells: Vec<Arc<T>>) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = cells.into();
    }
}

/// Every cell, and what Banken says about itself.
#[derive(Debug, Default)]
pub struct Board {
    probes: List<ProbeCell>,
    logs: List<LogCell>,
    jobs: List<JobCell>,
    remedies: List<RemedyCell>,
    /// Raised by what a reader of the page should see at once.
    news: watch::Sender<u64>,
    /// About Banken itself.
    pub own: Own,
}

impl Board {
    /// The probes as they are now; a reload does not change a list that was taken.
    pub fn probes(&self) -> Arc<[Arc<ProbeCell>]> {
        self.probes.get()
    }

    /// The logs as they are now.
    pub fn logs(&self) -> Arc<[Arc<LogCell>]> {
        self.logs.get()
    }

    /// The jobs as they are now.
    pub fn jobs(&self) -> Arc<[Arc<JobCell>]> {
        self.jobs.get()
    }

    /// The remedies as they are now.
    pub fn remedies(&self) -> Arc<[Arc<RemedyCell>]> {
        self.remedies.get()
    }

    /// The cell of one probe.
    pub fn probe(&self, name: &str) -> Option<Arc<ProbeCell>> {
        let cells = self.probes();
        let position = cells.binary_search_by(|cell| cell.descriptor().name.as_str().cmp(name)).ok()?;
        Some(Arc::clone(&cells[position]))
    }

    /// Puts other cells in place of all: what is no longer there is gone from the next scrape.
    pub fn replace_probes(&self, mut cells: Vec<Arc<ProbeCell>>) {
        cells.sort_by(|a, b| a.descriptor().name.cmp(&b.descriptor().name));
        self.probes.replace(cells);
        self.raise();
    }

    /// Something to wait on: it changes when the state of a probe does, or a threshold is crossed, or a reload changed what
    /// is watched. Not with every run, because there may be thousands in a second.
    pub fn news(&self) -> watch::Receiver<u64> {
        self.news.subscribe()
    }

    /// Says that something else changed that readers of the page want to see.
    pub fn raise(&self) {
        self.news.send_modify(|number| *number = number.wrapping_add(1));
    }

    /// Takes what a run of a probe saw, and whose fault it may be that it failed. Gives back what changed, and an old
    /// sheet of readings to write the next run on.
    pub fn publish(&self, cell: &ProbeCell, observation: Observation, now: Instant) -> (Option<Transition>, Readings) {
        let may_be_caused = !cell.dependencies().is_empty() && observation.outcome.is_err();
        let failing = if may_be_caused { self.failing_dependencies(cell) } else { Blame::NOBODY };
        let (transition, sheet, is_news) = cell.publish(observation, failing, now);
        if is_news {
            self.raise();
        }
        if transition.is_some_and(|transition| transition.to == Status::Suspect) {
            let quiet = cell.dependencies().iter().enumerate().filter(|(position, _)| !failing.holds(*position));
            for (_, dependency) in quiet {
                if let Some(cause) = self.probe(&dependency.name) {
                    cause.ask();
                }
            }
        }
        (transition, sheet)
    }

    /// Puts other logs in place of all.
    pub fn replace_logs(&self, cells: Vec<Arc<LogCell>>) {
        self.logs.replace(cells);
        self.raise();
    }

    /// Puts other jobs in place of all.
    pub fn replace_jobs(&self, cells: Vec<Arc<JobCell>>) {
        self.jobs.replace(cells);
        self.raise();
    }

    /// Puts other remedies in place of all.
    pub fn replace_remedies(&self, cells: Vec<Arc<RemedyCell>>) {
        self.remedies.replace(cells);
        self.raise();
    }

    /// How many probes have not run yet; none when the first round is done.
    pub fn waiting_for_first_run(&self) -> usize {
        self.probes().iter().filter(|cell| cell.read(|record| record.last_run_at.is_none())).count()
    }
}
