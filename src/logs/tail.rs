//! Follows files: every line is counted once, across restarts, kills and rotations.
//!
//! A file is known by device, inode and time of birth, by a checksum of its beginning, and by one of the bytes before the
//! place where reading goes on. Events of the kernel ([`bell`]) only wake us up; looking at the files is the truth.
//! [`pass`] is one look: what is in the folders ([`listing`]) is compared with what is known ([`reconcile`]), what is
//! new is read ([`tracked`]), and files that were truncated begin anew ([`truncation`]).

mod bell;
mod content;
mod globs;
mod listing;
mod names;
mod pass;
mod path_text;
mod reconcile;
#[cfg(test)]
mod tests;
mod tracked;
mod truncation;

pub use globs::Files;

use super::From;
use super::checkpoint::{Keeper, Start};
use super::intake::Intake;
use crate::observation::unix_now;
use bell::Bell;
use listing::Lister;
use pass::{Outcome, Wake};
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt as _;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tracked::{Mark, Tracked};

/// How often everything is looked at while events of the kernel wake us up.
const TICK: Duration = Duration::from_secs(1);

/// The same without such events.
const TICK_WITHOUT_EVENTS: Duration = Duration::from_millis(250);

/// Events that come closer together than this are one.
const GATHER: Duration = Duration::from_millis(20);

/// Where reading goes on.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub struct Position {
    /// Which files were followed: what only a changed configuration names was there before.
    written: globs::Written,
    /// There were more files than could be followed, so that one that is not listed here need not be new.
    beyond: bool,
    files: Vec<Mark>,
}

/// Everything that is known of the files of one log.
#[derive(Debug)]
struct Tail {
    lister: Lister,
    files: Vec<Tracked>,
    intake: Intake,
    keeper: Keeper<Position>,
    from: From,
    /// Nothing was listed yet, and nothing is known from before.
    first: bool,
    /// What was saved cannot be read.
    lost: bool,
    /// The files as an earlier configuration named them.
    earlier: Option<Files>,
    /// There were more files than could be followed before the restart.
    was_beyond: bool,
    /// Files beyond the bound by device and inode, and where they begin once there is room.
    aside: HashMap<(u64, u64), u64>,
    ignored: usize,
    /// Device and inode of our own output.
    own: Vec<(u64, u64)>,
    told_own: bool,
    /// Bytes of compressed files.
    other_volume: u64,
    /// Everything that was there at the start has been read.
    caught_up: bool,
    /// A file is not where it was: look at the folders.
    unsettled: bool,
    /// Files of which a copy says that they were truncated, by device and inode.
    truncated: Vec<(u64, u64)>,
    buffer: Vec<u8>,
}

impl Tail {
    /// Goes on where it was saved. Blocks.
    fn new(files: Files, from: From, mut intake: Intake, keeper: Keeper<Position>, now: Instant) -> Self {
        let start = keeper.load(&mut intake);
        let mut tail = Self {
            lister: Lister::new(files),
            files: Vec::new(),
            intake,
            keeper,
            from,
            first: true,
            lost: false,
            earlier: None,
            was_beyond: false,
            aside: HashMap::new(),
            ignored: 0,
            own: own_output(),
            told_own: false,
            other_volume: 0,
            caught_up: false,
            unsettled: true,
            truncated: Vec::new(),
            buffer: Vec::new(),
        };
        match start {
            Start::First => {}
            Start::Lost => tail.lost = true,
            Start::At(position) => {
                tail.first = false;
                tail.was_beyond = position.beyond;
                tail.earlier = Files::earlier(&position.written);
                tail.files = position.files.into_iter().map(|mark| Tracked::restored(mark, now)).collect();
            }
        }
        // What was begun is saved even if nothing is read: what comes later is new then.
        tail.keeper.touch();
        tail
    }

    fn name(&self) -> &str {
        &self.intake.cell().descriptor().name
    }

    /// Saves position and counts. Blocks.
    fn save(&mut self, at_once: bool) {
        let Self { lister, files, intake, keeper, ignored, .. } = self;
        let position = || Position {
            written: lister.files().written().clone(),
            beyond: *ignored > 0,
            files: files.iter().map(|file| file.mark.clone()).collect(),
        };
        if at_once {
            keeper.save(position, intake);
        } else {
            keeper.save_if_due(position, intake);
        }
    }
}

/// Device and inode of the files to which our own log goes.
fn own_output() -> Vec<(u64, u64)> {
    let file = |fd: BorrowedFd<'_>| {
        let found = std::fs::File::from(fd.try_clone_to_owned().ok()?).metadata().ok()?;
        found.is_file().then(|| (found.dev(), found.ino()))
    };
    [file(std::io::stdout().as_fd()), file(std::io::stderr().as_fd())].into_iter().flatten().collect()
}

/// Looks once from where reading would go on, for at most `limit`; nothing is saved. Blocks.
pub fn look(files: Files, from: From, intake: Intake, keeper: Keeper<Position>, limit: Duration) {
    let until = Instant::now() + limit;
    let mut tail = Tail::new(files, from, intake, keeper, Instant::now());
    while tail.pass(&Wake::All, Instant::now(), unix_now()).more && Instant::now() < until {}
}

/// Reads until `stop` says so, then saves.
pub async fn follow(
    files: Files,
    from: From,
    intake: Intake,
    keeper: Keeper<Position>,
    mut stop: watch::Receiver<bool>,
) {
    let mut bell = Bell::new(files.clone(), &intake.cell().descriptor().name);
    let begun = tokio::task::spawn_blocking(move || Tail::new(files, from, intake, keeper, Instant::now()));
    let Ok(mut tail) = begun.await else { return };
    let mut wake = Wake::All;
    let mut all_at = tokio::time::Instant::now();
    loop {
        let turned_at = tokio::time::Instant::now();
        let ending = *stop.borrow();
        if matches!(wake, Wake::All) {
            all_at = turned_at;
        }
        let turn = tokio::task::spawn_blocking(move || {
            let outcome = if ending { Outcome::default() } else { tail.pass(&wake, Instant::now(), unix_now()) };
            tail.save(ending);
            bell.attend(&tail.lister, &tail.files);
            (tail, bell, outcome)
        });
        let outcome;
        (tail, bell, outcome) = match turn.await {
            Ok(turn) => turn,
            Err(error) => {
                tracing::error!(%error, "a log is not followed any more: this is a defect of Banken");
                return;
            }
        };
        if ending {
            return;
        }
        if outcome.more {
            wake = Wake::All;
            continue;
        }
        let tick = if bell.works() { TICK } else { TICK_WITHOUT_EVENTS };
        let due = tail.keeper.due_in().into_iter().chain(outcome.due_in).min().map(|due| turned_at + due.max(GATHER));
        let sleep = tokio::time::sleep_until(due.unwrap_or(all_at + tick).min(all_at + tick));
        tokio::select! {
            changed = stop.changed() => {
                if changed.is_err() {
                    return;
                }
                wake = Wake::All;
            }
            () = sleep => wake = Wake::Due,
            () = bell.rung() => {
                tokio::time::sleep_until(turned_at + GATHER).await;
                wake = bell.take();
            }
        }
        // Whatever else there is to do, everything is looked at once in a tick.
        if all_at.elapsed() >= tick {
            wake = Wake::All;
        }
    }
}
