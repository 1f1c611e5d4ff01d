//! Runs reported from outside: by HTTP, or by pairs of lines in a log.
//!
//! An [`Event`] is written into the job's record by a pure function ([`ledger`]); when the next success is expected is
//! another ([`lateness`], [`cron`]). A [`Job`](job::Job) holds both together and saves them; this file gathers the jobs.
//! All of it goes by the wall clock, because schedules and reports do.

mod cron;
mod event;
mod job;
mod lateness;
mod ledger;
mod plan;
mod saved;
#[cfg(test)]
mod tests;
mod written;

pub use cron::{Cron, time_zone};
pub use event::{Details, Event, Step};
pub use job::Receipt;
pub use plan::{Lines, Plan, Records, Spec, Wish};

use crate::board::Board;
use crate::observation::unix_now;
use crate::state::Store;
use job::Job;
use saved::Taken;
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::MissedTickBehavior;

/// How often is looked for what is late.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Why a report is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No job has this name.
    #[error("there is no job of this name: add it under jobs: in the configuration and reload")]
    Unknown,
    /// The token is missing or another one.
    #[error("this job wants its token: send the header Authorization: Bearer TOKEN")]
    Unauthorized,
}

/// Somebody who may report runs of a job.
#[derive(Debug)]
pub struct Admitted(String);

/// Every job with its runs. Shared by the page's API, by logs and by the task that looks for what is late.
#[derive(Debug)]
pub struct Jobs {
    board: Arc<Board>,
    store: Option<Store>,
    /// Reports share it; a reload waits until those that have begun are done, so that none is lost.
    by_name: RwLock<BTreeMap<String, Job>>,
}

impl Jobs {
    /// Without any job yet; cells go to `board`. Without a store nothing survives a restart.
    pub fn new(board: Arc<Board>, store: Option<Store>) -> Self {
        Self { board, store, by_name: RwLock::default() }
    }

    /// Puts other jobs in place of all; one whose name stays goes on where it stands. Blocks: what was saved is read.
    pub fn replace(&self, plans: Vec<Plan>) {
        self.replace_at(plans, unix_now());
    }

    fn replace_at(&self, plans: Vec<Plan>, now: f64) {
        let mut jobs = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        let mut former = std::mem::take(&mut *jobs);
        for plan in plans {
            let job = match former.remove(plan.name()) {
                Some(job) if *job.plan() == plan => job,
                Some(job) => Job::succeeding(plan, &job, now),
                None => Job::begin(plan, self.store.clone(), now),
            };
            jobs.insert(job.plan().name().to_owned(), job);
        }
        // Who comes back under the same name goes on from here.
        for job in former.values() {
            job.finish(now);
        }
        self.board.replace_jobs(jobs.values().map(|job| Arc::clone(job.cell())).collect());
    }

    /// Asks whether somebody with this token, or with none, may report runs of a job.
    ///
    /// # Errors
    /// When there is no such job, or when it wants another token.
    pub fn admit(&self, name: &str, token: Option<&str>) -> Result<Admitted, Refusal> {
        let jobs = self.shared();
        let job = jobs.get(name).ok_or(Refusal::Unknown)?;
        match (job.plan().token(), token) {
            (None, _) => {}
            (Some(wanted), Some(given)) if wanted.is(given) => {}
            (Some(_), _) => return Err(Refusal::Unauthorized),
        }
        Ok(Admitted(name.to_owned()))
    }

    /// Takes a report; when this returns, it is saved. Blocks.
    ///
    /// # Errors
    /// When the job is gone meanwhile.
    pub fn report(&self, reporter: &Admitted, event: &Event) -> Result<Receipt, Refusal> {
        self.shared().get(&reporter.0).map(|job| job.report(event)).ok_or(Refusal::Unknown)
    }

    /// Takes a line that was heard in a log; when this returns, it is saved. A line whose `sequence` was taken before is
    /// left alone. `epoch` tells one counting of a log from the next: where a log lost its place and begins to count
    /// from 1 again, it has another. Blocks.
    pub fn hear(&self, id: &str, epoch: u64, sequence: u64, at: f64, captures: &BTreeMap<String, String>) {
        let named = id.strip_prefix("job/").and_then(|rest| rest.rsplit_once('/'));
        let Some((name, step)) = named.and_then(|(name, step)| Some((name, Step::named(step)?))) else {
            tracing::error!(id, "a line was heard that belongs to no job");
            return;
        };
        // After a reload a line may still come for a job that is gone.
        if let Some(job) = self.shared().get(name) {
            job.hear(id, Taken { epoch, sequence }, &Event::heard(step, captures, at, job.plan().zone()));
        }
    }

    /// Looks for what is late and what never ended, until `stop` says so; then saves.
    pub async fn watch(self: Arc<Self>, mut stop: watch::Receiver<bool>) {
        let mut ticks = tokio::time::interval(LOOK_EVERY);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
        loop {
            tokio::select! {
                () = ended(&mut stop) => break,
                _ = ticks.tick() => self.each(|job| job.look(unix_now())).await,
            }
        }
        self.each(|job| job.finish(unix_now())).await;
    }

    /// Saving blocks, and a dead disk must not hold up anything else.
    async fn each(self: &Arc<Self>, act: fn(&Job)) {
        let jobs = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || jobs.shared().values().for_each(act)).await;
        if let Err(error) = done {
            tracing::error!(%error, "looking after the jobs failed: this is a defect of Banken");
        }
    }

    fn shared(&self) -> RwLockReadGuard<'_, BTreeMap<String, Job>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ended(stop: &mut watch::Receiver<bool>) {
    // A sender that is gone means the end too.
    let _ = stop.wait_for(|stop| *stop).await;
}
