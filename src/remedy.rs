//! Repairs, with a contract: limits before, verification after, a record of each step.
//!
//! A remedy watches one condition on the board ([`watching`]). What it does next is decided by a pure function ([`policy`]);
//! what it intends is written down before it is done ([`journal`]), and so is where it stands, so that nothing is done twice
//! whatever ends this process. The actions are in [`action`], one file each.

pub mod action;
mod clock;
pub mod files;
pub mod journal;
pub mod patterns_file;
mod plan;
pub mod policy;
pub mod requests;
mod runner;
mod shared;
mod spec;
pub mod switches;
mod watching;
pub mod webhook;

pub use plan::{Condition, LogFacts, Plan, ProbeFacts, Surroundings, Trigger};
pub use spec::{Crossed, Entry, FromPatterns, Repair, Spec, Verify, When, Window};

use crate::board::{Board, RemedyCell};
use crate::state::Store;
use action::Worker;
use journal::Journal;
use requests::Request;
use runner::Runner;
use shared::Shared;
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use switches::Switches;
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, MissedTickBehavior, interval, timeout_at};
use webhook::Inbox;

/// The folder of remedies below that of the state.
pub fn folder(state_dir: &Path) -> PathBuf {
    state_dir.join("remedies")
}

/// Where requests to a remedy that is at work go.
type Desks = Arc<Mutex<HashMap<String, mpsc::Sender<Request>>>>;

/// A remedy that is at work.
struct Running {
    plan: Plan,
    cell: Arc<RemedyCell>,
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

/// What became of the remedies of another configuration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Taken {
    /// New ones.
    pub added: usize,
    /// Those that were built anew.
    pub changed: usize,
    /// Those that are gone.
    pub removed: usize,
    /// Those that went on untouched.
    pub kept: usize,
}

/// Every remedy of a host.
pub struct Remedies {
    shared: Arc<Shared>,
    folder: PathBuf,
    running: BTreeMap<String, Running>,
    desks: Desks,
    looking: (watch::Sender<bool>, JoinHandle<()>),
}

impl Remedies {
    /// Without any yet. Without a store nothing ever acts.
    pub async fn open(board: &Arc<Board>, store: Option<Store>, state_dir: &Path) -> Self {
        let folder = folder(state_dir);
        let reading = store.clone();
        let alerts = spawn_blocking(move || Inbox::open(reading)).await.unwrap_or_default();
        let switches = Arc::new(Switches::new(&folder));
        let journal = Journal::new(&folder);
        let desks = Desks::default();
        let (stop, stopped) = watch::channel(false);
        // What is asked of a folder that is not ours is not for us.
        let requests = store.is_some().then(|| folder.clone());
        let looking = tokio::spawn(look_around(Arc::clone(&switches), requests, Arc::clone(&desks), stopped));
        let shared = Shared::new(Arc::clone(board), store, switches, Arc::new(alerts), journal);
        Self { shared: Arc::new(shared), folder, running: BTreeMap::new(), desks, looking: (stop, looking) }
    }

    /// Where alerts are received.
    pub fn inbox(&self) -> Arc<Inbox> {
        Arc::clone(&self.shared.alerts)
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.running.len()
    }

    /// Takes another configuration's remedies; what has not changed goes on untouched. A step that has begun comes to its
    /// end before whatever takes its place begins.
    pub async fn take(&mut self, remedies: Vec<(Plan, Vec<Worker>)>, repair: Repair) -> Taken {
        self.shared.alerts.set_token(repair.webhook_token.clone());
        self.shared.switches.configure(repair);
        let switches = Arc::clone(&self.shared.switches);
        let folder = self.folder.clone();
        let has_any = !remedies.is_empty();
        let prepares = has_any && self.shared.store.is_some();
        // Before anything may act, it is known whether it may.
        let past = spawn_blocking(move || {
            if let Err(error) = if prepares { requests::prepare(&folder) } else { Ok(()) } {
                tracing::warn!(%error, folder = %folder.display(), "nobody can ask for anything in this folder");
            }
            switches.refresh();
            if has_any { journal::read(&folder).unwrap_or_default() } else { Vec::new() }
        });
        let past = past.await.unwrap_or_default();
        let mut taken = Taken::default();
        let mut former = std::mem::take(&mut self.running);
        for (plan, workers) in remedies {
            match former.remove(&plan.name) {
                Some(running) if running.plan == plan => {
                    taken.kept += 1;
                    self.running.insert(plan.name.clone(), running);
                }
                Some(running) => {
                    taken.changed += 1;
                    self.start(plan, workers, Some(running), &past);
                }
                None => {
                    taken.added += 1;
                    self.start(plan, workers, None, &past);
                }
            }
        }
        taken.removed = former.len();
        for (name, running) in former {
            self.desks().remove(&name);
            running.stop.send_replace(true);
        }
        self.shared.board.replace_remedies(self.running.values().map(|running| Arc::clone(&running.cell)).collect());
        taken
    }

    fn start(&mut self, plan: Plan, workers: Vec<Worker>, former: Option<Running>, past: &[journal::Entry]) {
        let cell = match &former {
            Some(former) => RemedyCell::succeeding(plan.descriptor(), &former.cell),
            None => RemedyCell::new(plan.descriptor()),
        };
        let cell = Arc::new(cell);
        if former.is_none() {
            recall(&cell, past);
        }
        let (desk, requests) = mpsc::channel(8);
        self.desks().insert(plan.name.clone(), desk);
        let runner = Runner::new(Arc::clone(&self.shared), plan.clone(), workers.into(), Arc::clone(&cell), requests);
        let (stop, stopped) = watch::channel(false);
        let task = tokio::spawn(async move {
            if let Some(former) = former {
                former.stop.send_replace(true);
                // A panic there is no reason not to begin here.
                let _ = former.task.await;
            }
            runner.run(stopped).await;
        });
        self.running.insert(plan.name.clone(), Running { plan, cell, stop, task });
    }

    /// Ends all; a step that has begun may come to its end until the deadline, and is cut off then.
    pub async fn end(self, deadline: Instant) {
        let (stop, looking) = self.looking;
        stop.send_replace(true);
        for running in self.running.values() {
            running.stop.send_replace(true);
        }
        for (remedy, mut running) in self.running {
            if timeout_at(deadline, &mut running.task).await.is_err() {
                tracing::warn!(remedy, "a step of the remedy was cut off: the next start looks whether it helped");
                running.task.abort();
            }
        }
        looking.abort();
    }

    fn desks(&self) -> std::sync::MutexGuard<'_, HashMap<String, mpsc::Sender<Request>>> {
        self.desks.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a remedy did before this start, from the journal.
fn recall(cell: &RemedyCell, past: &[journal::Entry]) {
    let name = cell.descriptor().name.as_str();
    cell.update(|record| {
        for entry in past.iter().filter(|entry| entry.remedy == name) {
            let at = entry.at.parse::<jiff::Timestamp>().map_or(0.0, |at| at.as_millisecond() as f64 / 1000.0);
            record.remember(runner::deed(entry, at, None));
        }
    });
}

/// Looks once a second at what people switch and ask for.
async fn look_around(
    switches: Arc<Switches>,
    requests: Option<PathBuf>,
    desks: Desks,
    mut stopped: watch::Receiver<bool>,
) {
    let mut ticks = interval(plan::POLL);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
    loop {
        tokio::select! {
            _ = stopped.wait_for(|stop| *stop) => return,
            _ = ticks.tick() => {}
        }
        let (switches, folder) = (Arc::clone(&switches), requests.clone());
        let looked = spawn_blocking(move || {
            switches.refresh();
            folder.map(|folder| requests::take(&folder)).unwrap_or_default()
        });
        for (request, remedy) in looked.await.unwrap_or_default() {
            let desk = desks.lock().unwrap_or_else(PoisonError::into_inner).get(&remedy).cloned();
            if let Some(desk) = desk {
                // A desk that is full has eight requests of the same kind already.
                let _ = desk.try_send(request);
            } else {
                tracing::warn!(remedy, "there is no remedy of this name");
            }
        }
    }
}
