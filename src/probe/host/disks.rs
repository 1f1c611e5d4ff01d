//! Asks every file system how full it is, each on a thread of its own: a dead NFS server keeps the asking thread for
//! ever, and must keep nobody else.

use super::families::{DISK, DISK_AVAILABLE, DISK_SIZE, DISK_STUCK, DISK_USED_RATIO};
use super::mounts::{MAX_MOUNTS, Mount};
use crate::observation::{Failure, Labels, Readings, Reason, is_own_shortage};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot::{self, Receiver, error::TryRecvError};
use tokio::time::{Instant, timeout_at};

/// What a file system says of itself, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Space {
    pub(super) size: u64,
    /// Free, also what is kept for root.
    pub(super) free: u64,
    /// Free for users without privileges.
    pub(super) available: u64,
}

impl Space {
    /// The used share as `df` shows it: of what users could fill altogether.
    fn used_ratio(self) -> f64 {
        let used = self.size.saturating_sub(self.free) as f64;
        used / (used + self.available as f64)
    }
}

/// How a file system is asked; it may never return.
pub(super) type Ask = Arc<dyn Fn(&Path) -> io::Result<Space> + Send + Sync>;

/// Asks the kernel.
pub(super) fn statvfs(path: &Path) -> io::Result<Space> {
    let answer = rustix::fs::statvfs(path)?;
    let bytes = |blocks: u64| blocks.saturating_mul(answer.f_frsize);
    Ok(Space { size: bytes(answer.f_blocks), free: bytes(answer.f_bfree), available: bytes(answer.f_bavail) })
}

/// The file systems and who is being asked.
pub(super) struct Disks {
    ask: Ask,
    watched: Vec<Watched>,
    /// Every asking thread holds one, so that threads of mounts that are long gone are still counted.
    alive: Arc<()>,
}

struct Watched {
    mount: Mount,
    labels: Arc<Labels>,
    asked: Option<Receiver<io::Result<Space>>>,
}

enum Answer {
    Known(Space),
    Stuck,
    Broken(io::Error),
}

impl Disks {
    pub(super) fn new(ask: Ask) -> Self {
        Self { ask, watched: Vec::new(), alive: Arc::new(()) }
    }

    /// Asks all of them at once and writes what they say within `patience`.
    ///
    /// # Errors
    /// [`Reason::Timeout`] when one does not answer, [`Reason::Missing`] when one is broken, both after everything
    /// else was written.
    pub(super) async fn run(
        &mut self,
        mounts: Vec<Mount>,
        patience: Duration,
        out: &mut Readings,
    ) -> Result<(), Failure> {
        self.renew(mounts);
        let until = Instant::now() + patience;
        let asked: Vec<_> = self.watched.iter_mut().map(|watched| watched.begin(&self.ask, &self.alive)).collect();
        let mut failures = Failures::default();
        for (watched, asked) in self.watched.iter_mut().zip(asked) {
            let answer = match asked {
                Ok(true) => watched.answer(until).await,
                Ok(false) => Answer::Stuck,
                Err(error) => Answer::Broken(error),
            };
            write(watched, &answer, out);
            failures.note(&watched.mount, answer);
        }
        failures.verdict(patience)
    }

    /// Keeps what is still mounted, with its labels and its unanswered question.
    fn renew(&mut self, mounts: Vec<Mount>) {
        let mut former = std::mem::take(&mut self.watched);
        self.watched = mounts
            .into_iter()
            .map(|mount| {
                let same = |watched: &Watched| watched.mount.id == mount.id && watched.mount.point == mount.point;
                match former.iter().position(same).map(|index| former.swap_remove(index)) {
                    Some(watched) if watched.mount == mount => watched,
                    // Remounted with other options: that does not answer the question.
                    Some(watched) => Watched { asked: watched.asked, ..Watched::new(mount) },
                    None => Watched::new(mount),
                }
            })
            .collect();
    }
}

impl Watched {
    fn new(mount: Mount) -> Self {
        let point = mount.point.to_string_lossy();
        let labels = Labels::render(&[("mount", &point), ("device", &mount.device), ("fstype", &mount.fstype)]);
        Self { labels: Arc::new(labels), asked: None, mount }
    }

    /// Asks, unless the former question is still unanswered: then there is nothing to wait for.
    fn begin(&mut self, ask: &Ask, alive: &Arc<()>) -> io::Result<bool> {
        if let Some(asked) = &mut self.asked
            && matches!(asked.try_recv(), Err(TryRecvError::Empty))
        {
            return Ok(false);
        }
        // A late answer tells the past; it only shows that it is worth asking again.
        self.asked = None;
        if Arc::strong_count(alive) > MAX_MOUNTS {
            return Ok(false);
        }
        let (tell, asked) = oneshot::channel();
        let (ask, alive, point) = (Arc::clone(ask), Arc::clone(alive), self.mount.point.clone());
        // Not the runtime's blocking threads: the runtime waits for those when Banken ends.
        std::thread::Builder::new().name("statvfs".into()).stack_size(STACK).spawn(move || {
            let answer = ask(&point);
            // Counted out before it is told, so that who hears the answer may ask again.
            drop(alive);
            let _ = tell.send(answer);
        })?;
        self.asked = Some(asked);
        Ok(true)
    }

    async fn answer(&mut self, until: Instant) -> Answer {
        let Some(asked) = &mut self.asked else { return Answer::Stuck };
        let Ok(told) = timeout_at(until, asked).await else { return Answer::Stuck };
        self.asked = None;
        match told {
            Ok(Ok(space)) => Answer::Known(space),
            Ok(Err(error)) => Answer::Broken(error),
            Err(_) => Answer::Broken(io::Error::other("the asking thread broke")),
        }
    }
}

/// One system call deep.
const STACK: usize = 64 * 1024;

fn write(watched: &Watched, answer: &Answer, out: &mut Readings) {
    let labels = &watched.labels;
    match answer {
        Answer::Stuck => out.flag_with(&DISK_STUCK, labels, true),
        Answer::Broken(error) if is_dead(error) => out.flag_with(&DISK_STUCK, labels, true),
        Answer::Broken(_) => {}
        // A file system without blocks is one of the kernel's that the list of types does not know.
        Answer::Known(space) if space.size == 0 => {}
        Answer::Known(space) => {
            out.flag_with(&DISK_STUCK, labels, false);
            out.set_with(&DISK_SIZE, labels, space.size as f64);
            out.set_with(&DISK_AVAILABLE, labels, space.available as f64);
            let ratio = space.used_ratio();
            // What cannot be written cannot fill up: neither threshold nor alert is to look at it.
            if !watched.mount.read_only && ratio.is_finite() {
                out.set_with(&DISK_USED_RATIO, labels, ratio);
                out.signal(&DISK, ratio);
            }
        }
    }
}

/// Whether the file system is broken, and not just closed to us or gone a moment ago.
fn is_dead(error: &io::Error) -> bool {
    use io::ErrorKind::{Interrupted, NotADirectory, NotFound, PermissionDenied, Unsupported};
    !matches!(error.kind(), NotFound | NotADirectory | PermissionDenied | Unsupported | Interrupted)
        && !is_own_shortage(error)
}

#[derive(Default)]
struct Failures {
    stuck: Vec<String>,
    broken: Vec<String>,
    own: Option<Failure>,
}

impl Failures {
    fn note(&mut self, mount: &Mount, answer: Answer) {
        let name = format!("{} ({}, {})", mount.point.display(), mount.device, mount.fstype);
        match answer {
            Answer::Known(_) => {}
            Answer::Stuck => self.stuck.push(name),
            Answer::Broken(error) if is_dead(&error) => self.broken.push(format!("{name}: {error}")),
            Answer::Broken(error) if is_own_shortage(&error) => {
                self.own = Some(Failure::new(Reason::Local, format!("cannot ask {name}: {error}")));
            }
            Answer::Broken(error) => tracing::debug!(mount = name, %error, "file system left out"),
        }
    }

    fn verdict(self, patience: Duration) -> Result<(), Failure> {
        let mut facts = self.broken;
        let reason = if self.stuck.is_empty() { Reason::Missing } else { Reason::Timeout };
        if !self.stuck.is_empty() {
            let (patience, stuck) = (humantime::format_duration(patience), self.stuck.join(", "));
            facts.insert(0, format!("no answer within {patience} from the file system at {stuck}"));
        }
        if facts.is_empty() { self.own.map_or(Ok(()), Err) } else { Err(Failure::new(reason, facts.join("; "))) }
    }
}

#[cfg(test)]
mod tests;
