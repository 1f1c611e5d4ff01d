//! One look at everything: find, read, let go, publish.

use super::Tail;
use super::tracked::{Reader, Role, Step, Tracked};
use crate::observation::{Failure, Reason};
use std::collections::HashSet;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// A file that was renamed or removed is kept for so long after its last byte.
pub const GRACE: Duration = Duration::from_secs(5);

/// What one pass reads at most, so that the end of the program and other logs need not wait.
const PASS_BYTES: usize = 64 << 20;
const PASS_TIME: Duration = Duration::from_millis(200);

/// What one live file may take of it while others wait.
const FILE_BYTES: usize = 16 << 20;

/// How soon the folders are looked at again when a file is not where it was.
const UNSETTLED: Duration = Duration::from_millis(50);

/// The most descriptors that are kept open while nothing is written.
const OPEN_FILES: usize = 256;

/// Why a pass is made.
#[derive(Debug)]
pub enum Wake {
    /// It is time to look at everything.
    All,
    /// Only what waits for its time.
    Due,
    /// Something happened to these files; with `names`, files came or went.
    Some { files: HashSet<PathBuf>, names: bool },
}

/// What a pass left.
#[derive(Debug, Default)]
pub struct Outcome {
    /// There is more to read at once.
    pub more: bool,
    /// When the next pass is due, if nothing happens before.
    pub due_in: Option<Duration>,
}

impl Tail {
    /// Looks and reads, within bounds. `at` is in seconds since the Unix epoch. Blocks.
    pub(super) fn pass(&mut self, wake: &Wake, now: Instant, at: f64) -> Outcome {
        let listing_due = self.lister.due_at().is_none_or(|due| now >= due);
        if self.unsettled || listing_due || matches!(wake, Wake::All | Wake::Some { names: true, .. }) {
            let is_first = self.first;
            self.discover(now, false);
            if is_first && !self.first {
                // Where reading begins is known from now on, also to a restart after a kill: nothing that is read now is
                // then taken for what was there before, and what is heard of it is known again.
                self.save(true);
            }
        }
        if !self.truncated.is_empty() {
            let truncated = std::mem::take(&mut self.truncated);
            self.recover(&truncated, now);
        }
        self.check_copies();
        let (mut more, truncated, mut took) = self.read(wake, now, at);
        if !truncated.is_empty() {
            self.recover(&truncated, now);
            self.truncated.clear();
            let (again, _, took_again) = self.read(&Wake::All, now, at);
            (more, took) = (more || again, took || took_again);
        }
        if took {
            self.keeper.touch();
        } else {
            self.buffer = Vec::new();
        }
        self.let_go(now);
        self.publish(more, at);
        let files = self.files.iter().filter(|file| file.is_followed());
        let settles = files.clone().filter_map(|file| self.intake.holds_back().then(|| file.settles_at()).flatten());
        let parting = files.filter_map(parts_at);
        let due = settles.chain(parting).chain(self.lister.due_at()).min();
        let unsettled = self.unsettled.then(|| now + UNSETTLED);
        let due = due.into_iter().chain(unsettled).min();
        Outcome { more, due_in: due.map(|due| due.saturating_duration_since(now)) }
    }

    /// Reads what is new: whether there is more, which files were truncated, and whether anything was read.
    fn read(&mut self, wake: &Wake, now: Instant, at: f64) -> (bool, Vec<(u64, u64)>, bool) {
        let Self { files, intake, buffer, unsettled, .. } = self;
        let mut left = PASS_BYTES;
        let until = Instant::now() + PASS_TIME;
        let (mut more, mut truncated, mut took) = (false, Vec::new(), false);
        for file in files.iter_mut() {
            if !is_due(file, wake, now) {
                continue;
            }
            if left == 0 || Instant::now() >= until {
                more = true;
                break;
            }
            let budget = if file.mark.role == Role::Live { left.min(FILE_BYTES) } else { left };
            let mut reader = Reader { intake, buffer, now, at, budget, until, took: false };
            let last = parts_at(file).is_some_and(|part| now >= part);
            let step = file.advance(&mut reader, last);
            left = left.saturating_sub(budget - reader.budget);
            took |= reader.took;
            match step {
                Ok(step) => {
                    file.trouble = None;
                    more |= step == Step::More;
                    if step == Step::Truncated {
                        truncated.push(file.key());
                    }
                    // What was written longest ago comes first: a live file waits until those before are at their end.
                    if step == Step::More && file.mark.role != Role::Live {
                        break;
                    }
                }
                Err(error) if error.kind() == ErrorKind::NotFound => *unsettled |= file.missing_since.is_none(),
                Err(error) => complain(file, &error),
            }
        }
        (more, truncated, took)
    }

    /// Lets go of files that are gone or were read to their end, and of descriptors that are not needed.
    fn let_go(&mut self, now: Instant) {
        let mut gaps = 0;
        let mut rotations = 0;
        let taken: HashSet<PathBuf> = self
            .files
            .iter()
            .filter(|f| f.missing_since.is_none() && !f.mark.gone)
            .map(|f| f.mark.path.clone())
            .collect();
        for file in &mut self.files {
            let parted = parts_at(file).is_some_and(|part| now >= part) && !file.is_behind();
            let missing = file.missing_since.is_some_and(|since| now.saturating_duration_since(since) >= GRACE);
            if missing && !file.mark.gone {
                let unread = !file.mark.done && file.mark.role != Role::Copy;
                if file.is_open() {
                    if !parted || file.holds_rest() {
                        continue;
                    }
                    rotations += u64::from(file.mark.role == Role::Live && file.links() > 0);
                } else if unread {
                    let was_live = file.mark.role == Role::Live && taken.contains(&file.mark.path);
                    let rest = file.mark.begin.is_none() && file.mark.size > file.mark.offset;
                    gaps += u64::from(rest || was_live);
                }
                file.mark.gone = true;
                file.close();
                self.keeper.touch();
            } else if parted && file.missing_since.is_none() && !file.holds_rest() {
                file.mark.done = true;
                file.close();
                self.keeper.touch();
            }
        }
        if gaps + rotations > 0 {
            self.intake.cell().update(|record| {
                record.counts.gaps += gaps;
                record.counts.rotations += rotations;
            });
        }
        let mut open: Vec<_> = self.files.iter_mut().filter(|file| file.is_open()).collect();
        if open.len() > OPEN_FILES {
            open.sort_by_key(|file| std::cmp::Reverse(file.grown_at));
            let idle = open.into_iter().skip(OPEN_FILES);
            idle.filter(|file| !file.is_behind() && file.missing_since.is_none()).for_each(Tracked::close);
        }
    }

    fn publish(&mut self, more: bool, at: f64) {
        let there = |file: &&Tracked| !file.mark.gone && file.missing_since.is_none();
        let followed: Vec<_> =
            self.files.iter().filter(|file| file.is_followed() && file.missing_since.is_none()).collect();
        let size = followed.iter().map(|file| file.mark.size).max().unwrap_or(0);
        let volume = self.files.iter().filter(there).map(|file| file.mark.size).sum::<u64>() + self.other_volume;
        let lag = self.files.iter().map(Tracked::lag).sum();
        let fault = self.fault(&followed);
        // What cannot be read for want of permission is not waited for.
        let waits = |file: &Tracked| {
            let refused = file.trouble.as_ref().is_some_and(|failure| failure.reason != Reason::Local);
            let there = file.is_followed() && file.missing_since.is_none();
            there && file.is_behind() && !refused && file.goal.is_some_and(|goal| file.examined < goal)
        };
        self.caught_up |= !self.files.iter().any(waits);
        let (caught_up, files, ignored) = (self.caught_up, followed.len(), self.ignored);
        self.intake.cell().update(|record| {
            (record.files, record.files_ignored) = (files, ignored);
            (record.size, record.volume, record.lag) = (size, volume, lag);
            if caught_up && (record.caught_up_at.is_none() || (!more && fault.is_none())) {
                record.caught_up_at = Some(at);
            }
            record.fault = fault;
        });
    }

    /// Why nothing can be read, or not everything for want of means of our own.
    fn fault(&self, followed: &[&Tracked]) -> Option<Failure> {
        let mut troubles = followed.iter().filter_map(|file| file.trouble.as_ref());
        let own = troubles.clone().find(|trouble| trouble.reason == Reason::Local);
        if followed.is_empty() {
            return Some(match self.lister.problem() {
                Some((folder, kind)) => {
                    let what = format!("{} cannot be listed: {kind}: let Banken's user read it", folder.display());
                    Failure::new(reason(kind), what)
                }
                None => Failure::new(
                    Reason::Missing,
                    format!("no file matches {}: check paths, or wait for the first line", self.lister.files().shown()),
                ),
            });
        }
        let first = || followed.iter().all(|file| file.trouble.is_some()).then(|| troubles.next()).flatten();
        own.or_else(first).cloned()
    }
}

/// Whether a file is looked at in this pass.
fn is_due(file: &Tracked, wake: &Wake, now: Instant) -> bool {
    if file.mark.gone || file.mark.role == Role::Copy || (file.missing_since.is_some() && !file.is_open()) {
        return false;
    }
    let waited = || file.settles_at().into_iter().chain(parts_at(file)).any(|due| now >= due);
    match wake {
        Wake::All => !file.mark.done,
        Wake::Some { files, .. } if files.contains(&file.mark.path) => true,
        _ => !file.mark.done && file.trouble.is_none() && (file.is_behind() || waited()),
    }
}

/// When a file that was rotated away or removed is let go, if nothing more is written.
fn parts_at(file: &Tracked) -> Option<Instant> {
    let parts = file.is_followed() && (file.mark.role == Role::Rotated || file.missing_since.is_some());
    parts.then(|| file.missing_since.map_or(file.grown_at, |since| since.max(file.grown_at)) + GRACE)
}

/// Tells once that a file cannot be read.
fn complain(file: &mut Tracked, error: &io::Error) {
    let path = file.mark.path.display();
    let failure = match error.kind() {
        ErrorKind::PermissionDenied => {
            Failure::new(Reason::Auth, format!("{path} may not be read: let Banken's user read it"))
        }
        kind => Failure::io(reason(kind), format!("{path} cannot be read"), error),
    };
    if file.trouble.as_ref() != Some(&failure) {
        tracing::warn!("{}", failure.detail);
    }
    file.trouble = Some(failure);
}

fn reason(kind: ErrorKind) -> Reason {
    match kind {
        ErrorKind::PermissionDenied => Reason::Auth,
        ErrorKind::NotFound => Reason::Missing,
        _ => Reason::Body,
    }
}
