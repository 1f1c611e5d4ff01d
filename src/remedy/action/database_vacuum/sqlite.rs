//! A file of SQLite: looked at, checked, copied aside, and only then vacuumed.
//!
//! SQLite's locks belong to the process: that any descriptor of the file is closed gives them all up. So the file is held
//! by a descriptor that is only a place (`O_PATH`), and nothing else here opens it.

mod backup;
mod steps;

use super::{Limits, shown, space};
use crate::remedy::action::{Context, Done, Setback};
use crate::values::Invalid;
use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags, fstat, openat2};
use rustix::io::Errno;
use schemars::JsonSchema;
use serde::Deserialize;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use steps::Run;
use tokio::sync::Mutex;
use tokio::task::spawn_blocking;

/// The block `sqlite:`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "DatabaseVacuumSqlite")]
pub struct Config {
    /// The file by its absolute path, no part of which may be a symbolic link.
    pub path: PathBuf,
    /// How many backups of it are kept, the one that is made now among them.
    #[serde(default = "default_backups")]
    pub backups: usize,
}

const fn default_backups() -> usize {
    3
}

/// More backups of a whole database fill a disk.
const MAX_BACKUPS: usize = 20;

/// For closing and for giving up in order.
const RESERVE: Duration = Duration::from_millis(500);

/// A file that can be vacuumed.
pub struct Database {
    path: PathBuf,
    backups: PathBuf,
    keep: usize,
    limits: Limits,
    /// One at a time: work that a timeout left behind ends first.
    turn: Arc<Mutex<()>>,
}

/// A file that may be vacuumed: regular, with one name, reached without a symbolic link.
struct Held {
    /// Keeps the place; closing it gives up no lock.
    _place: OwnedFd,
    /// Device and inode.
    identity: (u64, u64),
    size: u64,
}

impl Database {
    pub(super) fn build(config: &Config, limits: Limits, context: &Context) -> Result<Self, Vec<Invalid>> {
        let mut invalid = Vec::new();
        let is_plain = config.path.is_absolute()
            && config.path.file_name().is_some()
            && config.path.components().all(|part| !matches!(part, std::path::Component::ParentDir));
        if !is_plain || config.path.as_os_str().as_encoded_bytes().contains(&0) {
            invalid.push(Invalid::new("path", "write the absolute path of the file, without '..'"));
        }
        if !(1..=MAX_BACKUPS).contains(&config.backups) {
            invalid.push(Invalid::new("backups", format!("keep 1 to {MAX_BACKUPS}: without a backup nothing is done")));
        }
        if invalid.is_empty() {
            let (path, backups) = (config.path.clone(), context.backups.clone());
            Ok(Self { path, backups, keep: config.backups, limits, turn: Arc::default() })
        } else {
            Err(invalid)
        }
    }

    /// What would be done now.
    pub(super) async fn rehearse(&self) -> Result<Vec<String>, Setback> {
        let (size, free) = self.aside(|run, held| run.examine(&held.identity).map(|free| (held.size, free))).await?;
        Ok(vec![format!(
            "would back {} up to {} and vacuum it ({}, of which {} are free)",
            self.path.display(),
            self.backups.display(),
            shown(size),
            shown(free)
        )])
    }

    /// Backs it up and vacuums it.
    pub(super) async fn vacuum(&self) -> Result<Done, Setback> {
        let (path, before) = (self.path.clone(), self.backups.clone());
        let keep = self.keep;
        self.aside(move |run, held| {
            run.examine(&held.identity)?;
            let copy = run.back_up(&before, keep)?;
            run.vacuum(&copy)?;
            let after = std::fs::metadata(&path).map_or(0, |found| found.len());
            Ok(Done::new(format!(
                "vacuumed {} from {} to {}; backup {}",
                path.display(),
                shown(held.size),
                shown(after),
                copy.display()
            )))
        })
        .await
    }

    /// Does something on a thread for blocking work, which is told when nobody waits for it any more.
    async fn aside<T: Send + 'static>(
        &self,
        work: impl FnOnce(&mut Run, &Held) -> Result<T, Setback> + Send + 'static,
    ) -> Result<T, Setback> {
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let stop = StopWhenDropped(Arc::new(AtomicBool::new(false)));
        let (path, backups, limits) = (self.path.clone(), self.backups.clone(), self.limits);
        let flag = Arc::clone(&stop.0);
        let working = spawn_blocking(move || {
            let _turn = turn;
            let until = Instant::now() + limits.whole.saturating_sub(RESERVE);
            let held = hold(&path)?;
            make_room(&path, &backups, held.size)?;
            let mut run = Run::open(&path, limits.lock, until, flag)?;
            work(&mut run, &held)
        });
        let result = working.await;
        drop(stop);
        result.unwrap_or_else(|error| Err(Setback::Failed(format!("the vacuum broke: {error}"))))
    }
}

/// Tells the work that nobody waits for it.
struct StopWhenDropped(Arc<AtomicBool>);

impl Drop for StopWhenDropped {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn refused(path: &Path, why: impl std::fmt::Display) -> Setback {
    Setback::Refused(format!("{}: {why}", path.display()))
}

/// Looks whether the file is one that may be touched.
fn hold(path: &Path) -> Result<Held, Setback> {
    let flags = OFlags::PATH | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let place = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS);
    let place = place.map_err(|error| match error {
        Errno::NOENT => refused(path, "there is no such file: correct path, or create the database first"),
        Errno::LOOP => refused(path, "a part of it is a symbolic link: write where it leads"),
        error => refused(path, error),
    })?;
    let found = fstat(&place).map_err(|error| refused(path, error))?;
    match FileType::from_raw_mode(found.st_mode) {
        FileType::RegularFile => {}
        FileType::Symlink => return Err(refused(path, "it is a symbolic link: write where it leads")),
        _ => return Err(refused(path, "it is not a regular file")),
    }
    if found.st_nlink != 1 {
        return Err(refused(
            path,
            "it has several names (hard links), and SQLite would take them for several databases",
        ));
    }
    guard_folder(path)?;
    Ok(Held { identity: (found.st_dev, found.st_ino), size: found.st_size.max(0).cast_unsigned(), _place: place })
}

/// In a folder where others may rename files, the file could be changed for another between our look and SQLite's.
fn guard_folder(path: &Path) -> Result<(), Setback> {
    let folder = path.parent().unwrap_or(Path::new("/"));
    let found = rustix::fs::stat(folder).map_err(|error| refused(folder, error))?;
    if found.st_mode & 0o002 != 0 {
        let message = "everybody may write in this folder: put the database into one of its own (chmod o-w)";
        return Err(refused(folder, message));
    }
    Ok(())
}

fn make_room(path: &Path, backups: &Path, size: u64) -> Result<(), Setback> {
    let look = |folder: &Path| space::room(folder).map_err(Setback::Failed);
    let beside = look(path.parent().unwrap_or(Path::new("/")))?;
    // The folder itself is made with the first backup.
    let parent = backups.ancestors().find(|folder| folder.is_dir()).unwrap_or(Path::new("/"));
    space::suffices(size, beside, look(parent)?, look(&space::temporary_folder())?).map_err(|why| refused(path, why))
}
