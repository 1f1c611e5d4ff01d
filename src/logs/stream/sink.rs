//! Where lines are counted, and position and counts are saved.

use super::Place;
use super::batch::{Batch, Incidents};
use crate::logs::checkpoint::{Keeper, Start};
use crate::logs::intake::Intake;
use crate::observation::{Failure, Reason, unix_now};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::task::spawn_blocking;

/// Counts lines and saves how far they go. Counting and saving block, so they are done aside.
#[derive(Debug)]
pub struct Sink<P> {
    shared: Arc<Mutex<Shared<P>>>,
    each_line: bool,
}

#[derive(Debug)]
struct Shared<P> {
    intake: Intake,
    keeper: Keeper<P>,
    start: Start<P>,
    progress: u64,
}

impl<P: Place> Shared<P> {
    fn reach(&mut self, position: P, incidents: Incidents) {
        self.intake.cell().update(|record| {
            record.counts.long_lines += incidents.long_lines;
            record.counts.rotations += incidents.rotations;
            record.counts.gaps += incidents.gaps;
        });
        self.start = Start::At(position);
        self.progress += 1;
        self.keeper.touch();
    }

    fn save(&mut self, only_if_due: bool) {
        let Self { intake, keeper, start: Start::At(position), .. } = self else { return };
        if only_if_due {
            keeper.save_if_due(|| position.clone(), intake);
        } else {
            keeper.save(|| position.clone(), intake);
        }
    }
}

impl<P: Place> Sink<P> {
    /// Goes on where `keeper` says.
    ///
    /// # Errors
    /// When this process is ending.
    pub async fn open(mut intake: Intake, keeper: Keeper<P>) -> Result<Self, Failure> {
        let each_line = intake.has_records();
        let shared = aside(move || {
            let start = keeper.load(&mut intake);
            Shared { intake, keeper, start, progress: 0 }
        });
        Ok(Self { shared: Arc::new(Mutex::new(shared.await?)), each_line })
    }

    /// An empty batch of the right form.
    pub fn batch(&self) -> Batch<P> {
        Batch::new(self.each_line)
    }

    /// Where reading goes on.
    pub fn start(&self) -> Start<P> {
        match &self.locked().start {
            Start::First => Start::First,
            Start::Lost => Start::Lost,
            Start::At(position) => Start::At(position.clone()),
        }
    }

    /// Sets where reading begins, and saves it, so that a restart begins there too.
    ///
    /// # Errors
    /// When this process is ending.
    pub async fn begin_at(&self, position: P, incidents: Incidents) -> Result<(), Failure> {
        self.aside(move |shared| {
            shared.reach(position, incidents);
            shared.save(false);
        })
        .await
    }

    /// Counts what is complete of a batch, or everything, and saves if it is time.
    ///
    /// # Errors
    /// When this process is ending, or counting has panicked.
    pub async fn take(&self, batch: &mut Batch<P>, all: bool) -> Result<(), Failure> {
        let mut taken = std::mem::replace(batch, self.batch());
        *batch = self
            .aside(move |shared| {
                let intake = &mut shared.intake;
                let ready = taken.ready(all, |text| intake.complete(text));
                if let Some((position, incidents)) = taken.take(ready, |text| intake.take(text, unix_now())) {
                    shared.reach(position, incidents);
                }
                shared.save(true);
                taken
            })
            .await?;
        Ok(())
    }

    /// Saves what was not saved yet.
    pub async fn save(&self) {
        if let Err(failure) = self.aside(|shared| shared.save(false)).await {
            tracing::error!(%failure, "the position of a log could not be saved");
        }
    }

    /// Goes up whenever reading gets on.
    pub fn progress(&self) -> u64 {
        self.locked().progress
    }

    /// The log was just read to its end.
    pub fn caught_up(&self) {
        self.locked().intake.cell().update(|record| record.caught_up_at = Some(unix_now()));
    }

    /// The same for a log whose end is never reached.
    pub fn caught_up_once(&self) {
        self.locked().intake.cell().update(|record| record.caught_up_at = record.caught_up_at.or(Some(unix_now())));
    }

    /// Notes why the log cannot be read, or that it can; a change is logged.
    pub fn tell(&self, fault: Option<Failure>) {
        let shared = self.locked();
        let cell = shared.intake.cell();
        let former = cell.update(|record| std::mem::replace(&mut record.fault, fault.clone()));
        let log = &cell.descriptor().name;
        match (former, fault) {
            (former, Some(failure)) if former.as_ref() != Some(&failure) => {
                tracing::warn!(log, reason = %failure.reason, "the log cannot be read: {}", failure.detail);
            }
            (Some(_), None) => tracing::info!(log, "the log can be read again"),
            _ => {}
        }
    }

    async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Shared<P>) -> T + Send + 'static,
    ) -> Result<T, Failure> {
        let shared = Arc::clone(&self.shared);
        aside(move || work(&mut locked(&shared))).await
    }

    /// Nobody waits for this lock for long: whoever counts is waited for before anything else is done.
    fn locked(&self) -> MutexGuard<'_, Shared<P>> {
        locked(&self.shared)
    }
}

fn locked<P>(shared: &Mutex<Shared<P>>) -> MutexGuard<'_, Shared<P>> {
    // Counts are changed by assignments only, so a panic leaves them whole.
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn aside<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T, Failure> {
    spawn_blocking(work).await.map_err(|error| Failure::new(Reason::Local, format!("counting was broken off: {error}")))
}
