//! The latest of everything: the only state that is shared.
//!
//! Senses write into cells, everything that looks outward reads them. A cell outlives a reload if its name and kind
//! stay, so its counters go on; a removed one is gone from the next reading.

mod histogram;
mod own;
mod probe_cell;
mod record;
pub mod report;

pub use histogram::Histogram;
pub use own::Own;
pub use probe_cell::{Descriptor, ProbeCell};
pub use record::{Change, LATENCY_BOUNDS, LastRun, Record};

use std::sync::{Arc, PoisonError, RwLock};

/// Every cell, and what Banken says about itself.
#[derive(Debug, Default)]
pub struct Board {
    probes: RwLock<Arc<[Arc<ProbeCell>]>>,
    /// About Banken itself.
    pub own: Own,
}

impl Board {
    /// The cells as they are now; a reload does not change a list that was taken.
    pub fn probes(&self) -> Arc<[Arc<ProbeCell>]> {
        Arc::clone(&self.probes.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The cell of one probe.
    pub fn probe(&self, name: &str) -> Option<Arc<ProbeCell>> {
        self.probes().iter().find(|cell| cell.descriptor().name == name).cloned()
    }

    /// Puts other cells in place of all: what is no longer there is gone from the next scrape.
    pub fn replace_probes(&self, cells: Vec<Arc<ProbeCell>>) {
        *self.probes.write().unwrap_or_else(PoisonError::into_inner) = cells.into();
    }

    /// How many probes have not run yet; none when the first round is done.
    pub fn waiting_for_first_run(&self) -> usize {
        self.probes().iter().filter(|cell| cell.read(|record| record.last_run_at.is_none())).count()
    }
}
