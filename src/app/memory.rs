//! What survives a restart of the probes' past, and the folder in which all state is kept.

use crate::board::{Board, Packer, Past, ProbeCell};
use crate::observation::unix_now;
use crate::state::{Loaded, Store};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

/// How often it is saved. A kill costs the history at most this much; the end of Banken costs nothing.
const PERIOD: Duration = Duration::from_secs(60);

/// Probes in one file. A damaged one costs no more than these.
const PROBES_PER_FILE: usize = 1000;

/// More files were not written by us.
const MAX_FILES: usize = 64;

/// Opens the folder of the state. Watching without a memory is better than not watching; two who share one memory are not.
/// Where `needed` is false, nothing but the history of the page is lost, and nobody is to be alarmed.
///
/// # Errors
/// When the state is needed and belongs to another Banken.
pub fn open(board: &Board, state_dir: &Path, needed: bool) -> anyhow::Result<Option<Store>> {
    match Store::open(state_dir, Arc::clone(&board.own.saves)) {
        Ok(store) => Ok(Some(store)),
        Err(error) if needed && error.is_taken() => Err(error.into()),
        Err(error) if needed => {
            board.own.saves.count(false);
            tracing::error!("{error}; what needs it is watched, but nothing of it survives a restart");
            Ok(None)
        }
        Err(error) => {
            tracing::info!("the page's history is kept in memory only, until the next restart: {error}");
            Ok(None)
        }
    }
}

/// Saves the past of all probes once a minute, and at the end.
pub struct Keeper {
    store: Option<Store>,
    /// What was saved before this start and no probe has taken over yet.
    pasts: HashMap<String, Past>,
    packer: Packer,
    saving: Option<(watch::Sender<bool>, JoinHandle<()>)>,
}

impl Keeper {
    /// With what was saved before.
    pub async fn load(store: Option<Store>) -> Self {
        let reading = store.clone();
        // A file may be large, and its disk slow.
        let loaded = tokio::task::spawn_blocking(move || reading.as_ref().map(load).unwrap_or_default()).await;
        Self { store, pasts: loaded.unwrap_or_default(), packer: Packer::default(), saving: None }
    }

    /// Gives a cell without a past what was saved of a probe of its name and kind.
    pub fn restore(&mut self, cell: &ProbeCell) {
        let descriptor = cell.descriptor();
        if let Some(past) = self.pasts.remove(&descriptor.name)
            && past.kind == descriptor.kind
        {
            cell.restore(&past, &mut self.packer);
        }
    }

    /// Begins to save.
    pub fn keep(&mut self, board: &Arc<Board>) {
        let Some(store) = self.store.clone() else { return };
        let (stop, stopped) = watch::channel(false);
        self.saving = Some((stop, tokio::spawn(save_all(Arc::clone(board), store, stopped))));
    }

    /// Saves a last time, unless the deadline comes first.
    pub async fn end(self, deadline: Instant) {
        let Some((stop, task)) = self.saving else { return };
        stop.send_replace(true);
        if timeout_at(deadline, task).await.is_err() {
            tracing::warn!("the history could not be saved in time: its last minute is lost");
        }
    }
}

async fn save_all(board: Arc<Board>, store: Store, mut stopped: watch::Receiver<bool>) {
    let mut failing = false;
    loop {
        // A sender that is gone means the end too.
        let ended = tokio::time::timeout(PERIOD, stopped.wait_for(|stop| *stop)).await.is_ok();
        let (board, store) = (Arc::clone(&board), store.clone());
        let (at, now) = (unix_now(), Instant::now());
        let saved = tokio::task::spawn_blocking(move || save(&board, &store, at, now)).await;
        let error = saved.map_err(std::io::Error::other).and_then(|saved| saved).err();
        // Once, not once a minute.
        if let Some(error) = error.as_ref().filter(|_| !failing) {
            tracing::warn!(%error, "the page's history cannot be saved; it is tried again each minute");
        }
        failing = error.is_some();
        if ended {
            return;
        }
    }
}

/// It is not counted among the saves on which logs and jobs rely: a history that is lost is no reason to wake anybody.
fn save(board: &Board, store: &Store, at: f64, now: Instant) -> std::io::Result<()> {
    let mut packer = Packer::default();
    for (number, cells) in board.probes().chunks(PROBES_PER_FILE).enumerate() {
        let pasts: Vec<Past> = cells.iter().map(|cell| cell.past(at, now, &mut packer)).collect();
        store.save_uncounted(&file(number), &pasts)?;
    }
    Ok(())
}

fn load(store: &Store) -> HashMap<String, Past> {
    let mut pasts = HashMap::new();
    for number in 0..MAX_FILES {
        let (found, damage) = match store.load::<Vec<Past>>(&file(number)) {
            Loaded::Nothing => break,
            Loaded::Latest(found) => (found, None),
            Loaded::Previous(found, why) => (found, Some(why)),
            Loaded::Damaged(why) => (Vec::new(), Some(why)),
        };
        if let Some(why) = damage {
            tracing::warn!(why, "a file of the page's history is damaged: the one before it is used, or none");
        }
        for past in found {
            // A later file was left behind by a time with more probes.
            pasts.entry(past.name.clone()).or_insert(past);
        }
    }
    pasts
}

fn file(number: usize) -> String {
    format!("history/{number}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::{Descriptor, Window};
    use crate::health::Policy;
    use crate::observation::{Failure, Observation, Phase, Readings, Reason};

    fn board(probes: usize) -> Board {
        let cell = |number: usize| {
            Arc::new(ProbeCell::new(Descriptor {
                name: format!("p{number:04}"),
                kind: "tcp",
                group: None,
                interval: Duration::from_secs(30),
                policy: Policy { failure_threshold: 1, success_threshold: 1 },
                limits: Vec::new(),
                reasons: &[],
                families: &[],
                depends_on: Vec::new(),
            }))
        };
        let board = Board::default();
        board.replace_probes((0..probes).map(cell).collect());
        board
    }

    fn run(board: &Board, at: f64, now: Instant, failed: bool) {
        for cell in board.probes().iter() {
            let mut readings = Readings::default();
            readings.enter(Phase::Connect);
            readings.leave();
            let outcome = if failed { Err(Failure::new(Reason::Connect, "refused")) } else { Ok(()) };
            let observation = Observation { started_at: at, duration: Duration::from_millis(5), outcome, readings };
            board.publish(cell, observation, now);
        }
    }

    fn store(folder: &Path, board: &Board) -> Store {
        Store::open(folder, Arc::clone(&board.own.saves)).unwrap()
    }

    async fn restored(folder: &Path, board: &Board) {
        let mut keeper = Keeper::load(Some(store(folder, board))).await;
        for cell in board.probes().iter() {
            keeper.restore(cell);
        }
    }

    #[tokio::test]
    async fn history_failures_and_changes_come_back_after_a_restart_and_no_save_is_counted() {
        let (folder, at, now) = (tempfile::tempdir().unwrap(), unix_now(), Instant::now());
        let before = board(PROBES_PER_FILE + 1);
        run(&before, at, now, false);
        run(&before, at + 20.0, now + Duration::from_secs(20), true);
        run(&before, at + 30.0, now + Duration::from_secs(30), true);
        save(&before, &store(folder.path(), &before), at + 30.0, now + Duration::from_secs(30)).unwrap();
        assert_eq!((before.own.saves.saved(), before.own.saves.failed()), (0, 0));
        let after = board(PROBES_PER_FILE + 1);
        restored(folder.path(), &after).await;
        for cell in after.probes().iter() {
            cell.read(|record| {
                let uptime = record.history.uptime(Window::Day, at + 30.0);
                assert_eq!((uptime.good.round(), uptime.bad.round()), (20.0, 10.0), "{}", cell.descriptor().name);
                assert_eq!(record.recent_failures.len(), 2);
                assert_eq!(record.recent_failures[0].failure, Failure::new(Reason::Connect, "refused"));
                assert_eq!(record.recent_failures[0].phases[0].0, Phase::Connect);
                assert_eq!(record.changes.len(), 2);
            });
        }
    }

    #[tokio::test]
    async fn a_damaged_file_means_the_one_before_it_and_two_damaged_ones_an_empty_history() {
        let (folder, at, now) = (tempfile::tempdir().unwrap(), unix_now(), Instant::now());
        let before = board(1);
        run(&before, at, now, false);
        let saving = store(folder.path(), &before);
        save(&before, &saving, at + 10.0, now + Duration::from_secs(10)).unwrap();
        save(&before, &saving, at + 20.0, now + Duration::from_secs(20)).unwrap();
        drop(saving);
        for (damaged, good) in [("0.json", 10.0), ("0.json.previous", 0.0)] {
            std::fs::write(folder.path().join("history").join(damaged), "damaged").unwrap();
            let after = board(1);
            restored(folder.path(), &after).await;
            let uptime = after.probes()[0].read(|record| record.history.uptime(Window::Day, at + 20.0));
            assert!((uptime.good - good).abs() < 0.5, "{damaged}: {uptime:?}");
            assert_eq!(after.own.saves.damaged(), 1, "{damaged}");
        }
    }
}
