//! Position and counts, saved together.

use super::intake::{Intake, SavedIntake};
use crate::state::{Loaded, Store};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::marker::PhantomData;
use std::time::{Duration, Instant};

/// How often what was read is saved while lines come in. A kill costs reading that much again, never a wrong count.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// Where reading goes on, and what was counted until there.
#[derive(Debug, Serialize, Deserialize)]
struct Checkpoint<P> {
    position: P,
    counts: SavedIntake,
}

/// Where to begin.
#[derive(Debug, PartialEq)]
pub enum Start<P> {
    /// Nothing was ever saved.
    First,
    /// Go on here.
    At(P),
    /// Something was saved and cannot be read.
    Lost,
}

/// Saves the checkpoints of one log.
#[derive(Debug)]
pub struct Keeper<P> {
    store: Option<Store>,
    name: String,
    saved_at: Option<Instant>,
    dirty: bool,
    failing: bool,
    position: PhantomData<P>,
}

impl<P: Serialize + DeserializeOwned> Keeper<P> {
    /// Of the log with this name; without a store nothing is kept.
    pub fn new(store: Option<Store>, name: String) -> Self {
        Self { store, name, saved_at: None, dirty: false, failing: false, position: PhantomData }
    }

    /// Where reading goes on; what was counted until there is put into `intake`. Blocks.
    pub fn load(&self, intake: &mut Intake) -> Start<P> {
        let Some(store) = &self.store else { return Start::First };
        match store.load::<Checkpoint<P>>(&self.name) {
            Loaded::Nothing => Start::First,
            Loaded::Latest(saved) => {
                intake.restore(&saved.counts);
                Start::At(saved.position)
            }
            Loaded::Previous(saved, why) => {
                tracing::warn!(log = self.name, why, "the saved position is damaged: the one before it is used");
                intake.restore(&saved.counts);
                Start::At(saved.position)
            }
            Loaded::Damaged(why) => {
                tracing::error!(log = self.name, why, "the saved position is damaged: counts begin at 0");
                Start::Lost
            }
        }
    }

    /// Something was read since the last save.
    pub fn touch(&mut self) {
        self.dirty = true;
    }

    /// How long to wait for the next save; none while there is nothing to save.
    pub fn due_in(&self) -> Option<Duration> {
        let wait = |saved_at: Instant| SAVE_EVERY.saturating_sub(saved_at.elapsed());
        (self.dirty && self.store.is_some()).then(|| self.saved_at.map_or(Duration::ZERO, wait))
    }

    /// Saves if it is time. Blocks.
    pub fn save_if_due(&mut self, position: impl FnOnce() -> P, intake: &Intake) {
        if self.due_in().is_some_and(|wait| wait.is_zero()) {
            self.save(position, intake);
        }
    }

    /// Saves what was not saved yet. Blocks. A failure is told once, and tried again when the next save is due.
    pub fn save(&mut self, position: impl FnOnce() -> P, intake: &Intake) {
        let Some(store) = &self.store else { return };
        if !self.dirty {
            return;
        }
        self.saved_at = Some(Instant::now());
        match store.save(&self.name, &Checkpoint { position: position(), counts: intake.save() }) {
            Ok(()) => {
                if self.failing {
                    tracing::info!(log = self.name, "the position can be saved again");
                }
                (self.dirty, self.failing) = (false, false);
            }
            Err(error) => {
                if !self.failing {
                    tracing::error!(log = self.name, %error, "the position cannot be saved: a restart will read again");
                }
                self.failing = true;
            }
        }
    }
}
