//! The two passive senses: readers of logs, and jobs with what they hear of logs.

use super::Summary;
use crate::board::{Board, LogCell};
use crate::jobs::{self, Jobs};
use crate::logs::{self, Listener};
use crate::state::Store;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

/// A reader of a log that is at work.
struct Reader {
    plan: logs::Plan,
    cell: Arc<LogCell>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Reader {
    /// Tells it to end; the task is done when everything it read is saved.
    fn end(self) -> JoinHandle<()> {
        self.stop.send_replace(true);
        self.task
    }
}

/// Logs and jobs.
pub struct Senses {
    board: Arc<Board>,
    store: Option<Store>,
    state_dir: PathBuf,
    readers: HashMap<String, Reader>,
    job_plans: Vec<jobs::Plan>,
    jobs: Arc<Jobs>,
    watching: (watch::Sender<bool>, JoinHandle<()>),
}

impl Senses {
    /// Without any log or job yet. Must be called inside of a runtime.
    pub fn new(board: &Arc<Board>, state_dir: &Path, store: Option<Store>) -> Self {
        let jobs = Arc::new(Jobs::new(Arc::clone(board), store.clone()));
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(Arc::clone(&jobs).watch(stopped));
        Self {
            board: Arc::clone(board),
            store,
            state_dir: state_dir.to_owned(),
            readers: HashMap::new(),
            job_plans: Vec::new(),
            jobs,
            watching: (stop, task),
        }
    }

    /// Every job, for those who report runs.
    pub fn jobs(&self) -> Arc<Jobs> {
        Arc::clone(&self.jobs)
    }

    /// Where state is kept.
    pub fn state_dir(&self) -> &Path {
        &self.state_dir
    }

    /// How many logs and jobs are watched.
    pub fn counts(&self) -> (usize, usize) {
        (self.readers.len(), self.job_plans.len())
    }

    /// Takes another configuration's logs and jobs; what has not changed goes on untouched.
    pub async fn take(&mut self, logs: Vec<logs::Plan>, jobs: Vec<jobs::Plan>, summary: &mut Summary, grace: Instant) {
        self.take_jobs(jobs, summary).await;
        self.take_logs(logs, summary, grace).await;
    }

    async fn take_jobs(&mut self, plans: Vec<jobs::Plan>, summary: &mut Summary) {
        for plan in &plans {
            match self.job_plans.iter().find(|former| former.name() == plan.name()) {
                Some(former) if former == plan => summary.kept += 1,
                Some(_) => summary.changed += 1,
                None => summary.added += 1,
            }
        }
        let is_gone = |former: &&jobs::Plan| !plans.iter().any(|plan| plan.name() == former.name());
        summary.removed += self.job_plans.iter().filter(is_gone).count();
        self.job_plans.clone_from(&plans);
        let jobs = Arc::clone(&self.jobs);
        // What was saved is read from disk.
        let replaced = tokio::task::spawn_blocking(move || jobs.replace(plans)).await;
        if let Err(panic) = replaced {
            tracing::error!(%panic, "jobs could not be taken over, which is a defect of Banken");
        }
    }

    async fn take_logs(&mut self, plans: Vec<logs::Plan>, summary: &mut Summary, grace: Instant) {
        let mut former = std::mem::take(&mut self.readers);
        let mut fresh = Vec::new();
        for plan in plans {
            match former.remove(plan.name()) {
                Some(reader) if reader.plan == plan => {
                    summary.kept += 1;
                    self.readers.insert(plan.name().to_owned(), reader);
                }
                Some(reader) => {
                    summary.changed += 1;
                    former.insert(plan.name().to_owned(), reader);
                    fresh.push(plan);
                }
                None => {
                    summary.added += 1;
                    fresh.push(plan);
                }
            }
        }
        summary.removed += former.len() - fresh.iter().filter(|plan| former.contains_key(plan.name())).count();
        let cells: HashMap<String, Arc<LogCell>> =
            former.iter().map(|(name, reader)| (name.clone(), Arc::clone(&reader.cell))).collect();
        // The heir goes on where the former reader has saved that it stands.
        end_readers(former.into_values(), grace).await;
        for plan in fresh {
            let cell = Arc::new(match cells.get(plan.name()) {
                Some(former) => LogCell::succeeding(plan.descriptor(), former),
                None => LogCell::new(plan.descriptor()),
            });
            self.start(plan, cell);
        }
        let mut cells: Vec<_> = self.readers.values().map(|reader| Arc::clone(&reader.cell)).collect();
        cells.sort_by(|a, b| a.descriptor().name.cmp(&b.descriptor().name));
        self.board.replace_logs(cells);
    }

    fn start(&mut self, plan: logs::Plan, cell: Arc<LogCell>) {
        let (stop, stopped) = watch::channel(false);
        let jobs = Arc::clone(&self.jobs);
        let listener: Listener =
            Arc::new(move |heard| jobs.hear(&heard.hook, heard.epoch, heard.sequence, heard.at, &heard.captures));
        let reading = plan.clone().follow(Arc::clone(&cell), self.store.clone(), Some(listener), stopped);
        let task = tokio::spawn(reading);
        self.readers.insert(plan.name().to_owned(), Reader { plan, cell, stop, task });
    }

    /// Ends all readers and the watch over jobs; everything is saved, unless the deadline comes first.
    pub async fn end(self, deadline: Instant) {
        // Readers first: what they hear until they end belongs to the jobs.
        end_readers(self.readers.into_values(), deadline).await;
        let (stop, task) = self.watching;
        stop.send_replace(true);
        if timeout_at(deadline, task).await.is_err() {
            tracing::warn!("jobs could not be saved in time");
        }
    }
}

async fn end_readers(readers: impl Iterator<Item = Reader>, deadline: Instant) {
    let tasks: Vec<_> = readers.map(|reader| (reader.plan.name().to_owned(), reader.end())).collect();
    for (log, task) in tasks {
        if timeout_at(deadline, task).await.is_err() {
            tracing::warn!(log, "its reader did not end in time: what it read last will be read again");
        }
    }
}
