//! The latest of everything: the only state that is shared.
//!
//! Senses write into cells, everything that looks outward reads them. A cell outlives a reload if its name and kind
//! stay, so its counters go on; a removed one is gone from the next reading.

mod histogram;
mod job_cell;
mod log_cell;
mod own;
mod probe_cell;
mod record;
pub mod report;

pub use histogram::Histogram;
pub use job_cell::{
    EndedRun, JOB_BOUNDS, JOB_DURATION, JobCell, JobDescriptor, JobRecord, JobResult, RUNS_KEPT, RunningRun,
};
pub use log_cell::{
    CaptureDescriptor, CaptureRecord, CaptureUsage, LOG_SIZE, LogCell, LogCounts, LogDescriptor, LogRecord, OTHER,
    PatternDescriptor, PatternRecord, SavedLog,
};
pub use own::{Own, Saves};
pub use probe_cell::{Descriptor, ProbeCell};
pub use record::{Change, LATENCY_BOUNDS, LastRun, Record};

use std::sync::{Arc, PoisonError, RwLock};

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

    /// The cell of one probe.
    pub fn probe(&self, name: &str) -> Option<Arc<ProbeCell>> {
        self.probes().iter().find(|cell| cell.descriptor().name == name).cloned()
    }

    /// Puts other cells in place of all: what is no longer there is gone from the next scrape.
    pub fn replace_probes(&self, cells: Vec<Arc<ProbeCell>>) {
        self.probes.replace(cells);
    }

    /// Puts other logs in place of all.
    pub fn replace_logs(&self, cells: Vec<Arc<LogCell>>) {
        self.logs.replace(cells);
    }

    /// Puts other jobs in place of all.
    pub fn replace_jobs(&self, cells: Vec<Arc<JobCell>>) {
        self.jobs.replace(cells);
    }

    /// How many probes have not run yet; none when the first round is done.
    pub fn waiting_for_first_run(&self) -> usize {
        self.probes().iter().filter(|cell| cell.read(|record| record.last_run_at.is_none())).count()
    }
}
