//! What is in the folders of a log. A folder is listed again when its modification time says that names came or went,
//! and now and then in any case; names that concern nobody cost no system call.

use super::globs::{Files, Part, base_of};
use super::names;
use std::collections::{BTreeMap, HashSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How often everything is listed again, whatever the folders' times say.
const LIST_EVERY: Duration = Duration::from_secs(30);

/// Times of folders are only as fine as the kernel's tick: after a change a folder is listed once more.
const SETTLE: Duration = Duration::from_millis(50);

/// The most folders of one log.
const MAX_FOLDERS: usize = 10_000;

/// What makes a file that file, as long as it exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Identity {
    /// The device.
    pub dev: u64,
    /// The inode, which another file may have after this one.
    pub ino: u64,
    /// When it was created, in nanoseconds since the Unix epoch, where the file system knows: it tells two files with
    /// the same inode apart.
    pub born: Option<u64>,
}

impl Identity {
    /// Of this file.
    pub fn of(found: &Metadata) -> Self {
        let born = found.created().ok().and_then(|at| at.duration_since(std::time::UNIX_EPOCH).ok());
        Self { dev: found.dev(), ino: found.ino(), born: born.map(|at| at.as_nanos() as u64) }
    }

    /// Whether it may be the same file.
    pub fn fits(&self, other: &Self) -> bool {
        (self.dev, self.ino) == (other.dev, other.ino) && self.born.zip(other.born).is_none_or(|(a, b)| a == b)
    }

    /// Whether it may be the same file of a device that has another number now, as after a new mount.
    pub fn fits_elsewhere(&self, other: &Self) -> bool {
        self.ino == other.ino && self.born.is_some() && self.born == other.born
    }
}

/// A file that belongs to the log.
#[derive(Debug, Clone)]
pub struct Found {
    /// Where it is.
    pub path: PathBuf,
    /// Which it is.
    pub id: Identity,
    /// Bytes, when it was listed.
    pub size: u64,
    /// When it was written last, in nanoseconds since the Unix epoch.
    pub modified: i128,
    /// Whether the patterns want it.
    pub wanted: bool,
    /// The file from which it was rotated away, by its name.
    pub base: Option<PathBuf>,
    /// Whether the path is a symbolic link.
    pub is_link: bool,
}

#[derive(Debug, Default)]
struct Folder {
    /// Device, inode and modification time when it was listed.
    stamp: Option<(u64, u64, i64, i64)>,
    found: Vec<Found>,
    below: Vec<Below>,
    /// Bytes of compressed files.
    compressed: u64,
    problem: Option<ErrorKind>,
    listed_at: Option<Instant>,
    cost: Duration,
    settle_at: Option<Instant>,
}

#[derive(Debug)]
struct Below {
    name: OsString,
    is_link: bool,
}

/// Knows what is in the folders.
#[derive(Debug)]
pub struct Lister {
    files: Files,
    folders: BTreeMap<PathBuf, Folder>,
    complete_at: Option<Instant>,
    told: HashSet<PathBuf>,
    /// Goes up with every change.
    generation: u64,
}

/// One walk through the folders.
struct Walk {
    now: Instant,
    force: bool,
    seen: HashSet<PathBuf>,
    been: HashSet<(PathBuf, usize, usize)>,
    changed: bool,
}

impl Lister {
    /// Nothing is listed yet.
    pub fn new(files: Files) -> Self {
        Self { files, folders: BTreeMap::new(), complete_at: None, told: HashSet::new(), generation: 0 }
    }

    /// Which files it looks for.
    pub fn files(&self) -> &Files {
        &self.files
    }

    /// When a look is due although nothing happened.
    pub fn due_at(&self) -> Option<Instant> {
        let settle = self.folders.values().filter_map(|folder| folder.settle_at).min();
        let complete = self.complete_at.map(|at| at + LIST_EVERY);
        settle.into_iter().chain(complete).min()
    }

    /// Looks at every folder and lists those that changed, or all of them. True if something was listed.
    pub fn refresh(&mut self, now: Instant, force: bool) -> bool {
        let complete = self.complete_at.is_none_or(|at| now >= at + LIST_EVERY);
        let force = force || complete;
        let mut walk = Walk { now, force, seen: HashSet::new(), been: HashSet::new(), changed: false };
        for index in 0..self.files.trails().len() {
            let base = self.files.trails()[index].base.clone();
            self.visit(&base, index, 0, &mut walk);
        }
        let before = self.folders.len();
        self.folders.retain(|path, _| walk.seen.contains(path));
        if force {
            self.complete_at = Some(now);
        }
        let changed = walk.changed || self.folders.len() != before;
        self.generation += u64::from(changed);
        changed
    }

    /// Everything that was found.
    pub fn found(&self) -> impl Iterator<Item = &Found> {
        self.folders.values().flat_map(|folder| &folder.found)
    }

    /// Bytes of compressed files.
    pub fn compressed(&self) -> u64 {
        self.folders.values().map(|folder| folder.compressed).sum()
    }

    /// The folders in which names matter, and whether they are there.
    pub fn folders(&self) -> impl Iterator<Item = (&Path, bool)> {
        let is_there = |folder: &Folder| !folder.problem.is_some_and(is_gone);
        self.folders.iter().map(move |(path, folder)| (path.as_path(), is_there(folder)))
    }

    /// Another number after every change.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// A folder that cannot be listed, and why.
    pub fn problem(&self) -> Option<(&Path, ErrorKind)> {
        let unlisted = |kind: &ErrorKind| !is_gone(*kind);
        self.folders.iter().find_map(|(path, folder)| Some((path.as_path(), folder.problem.filter(unlisted)?)))
    }

    fn visit(&mut self, folder: &Path, trail: usize, depth: usize, walk: &mut Walk) {
        if walk.seen.len() >= MAX_FOLDERS || !walk.been.insert((folder.to_owned(), trail, depth)) {
            return;
        }
        let Some(part) = self.files.trails()[trail].folders.get(depth).cloned() else {
            self.ensure(folder, walk);
            return;
        };
        match part {
            Part::Literal(name) => self.visit(&folder.join(OsStr::from_bytes(&name)), trail, depth + 1, walk),
            Part::Wild(_) => {
                for below in self.below(folder, walk, |below| part.fits(&below.name)) {
                    self.visit(&below, trail, depth + 1, walk);
                }
            }
            Part::Deep => {
                self.visit(folder, trail, depth + 1, walk);
                // Links are not followed here: they may lead back.
                for below in self.below(folder, walk, |below| !below.is_link) {
                    self.visit(&below, trail, depth, walk);
                }
            }
        }
    }

    fn below(&mut self, folder: &Path, walk: &mut Walk, fits: impl Fn(&Below) -> bool) -> Vec<PathBuf> {
        self.ensure(folder, walk);
        let listed = self.folders.get(folder).into_iter().flat_map(|listed| &listed.below);
        listed.filter(|below| fits(below)).map(|below| folder.join(&below.name)).collect()
    }

    /// Lists a folder if it has to be.
    fn ensure(&mut self, path: &Path, walk: &mut Walk) {
        if !walk.seen.insert(path.to_owned()) {
            return;
        }
        let stamp = fs::metadata(path).map(|found| (found.dev(), found.ino(), found.mtime(), found.mtime_nsec()));
        let known = self.folders.entry(path.to_owned()).or_default();
        let stamp = match stamp {
            Ok(stamp) => stamp,
            Err(error) => {
                walk.changed |= known.fail(&error);
                return;
            }
        };
        let settles = known.settle_at.is_some_and(|at| walk.now >= at);
        let is_new = known.stamp != Some(stamp);
        // A folder that is costly and changes all the time takes a tenth of a core at most.
        let rests = known.listed_at.is_some_and(|at| walk.now < at + known.cost * 9);
        if !(walk.force || ((is_new || settles) && !rests)) {
            if is_new {
                known.settle_at = known.listed_at.map(|at| at + known.cost * 9);
            }
            return;
        }
        let began = Instant::now();
        let fresh = list(path, &self.files, &mut self.told);
        let known = self.folders.entry(path.to_owned()).or_default();
        (known.listed_at, known.cost) = (Some(walk.now), began.elapsed());
        known.settle_at = is_new.then(|| walk.now + SETTLE.max(known.cost * 9));
        walk.changed = true;
        match fresh {
            Ok(fresh) => {
                known.stamp = Some(stamp);
                (known.found, known.below, known.compressed) = (fresh.found, fresh.below, fresh.compressed);
                known.problem = fresh.problem;
            }
            Err(error) => {
                known.fail(&error);
            }
        }
    }
}

impl Folder {
    /// Only a folder that is gone has no files; of one that cannot be listed, what was known stays.
    fn fail(&mut self, error: &io::Error) -> bool {
        let changed = self.problem != Some(error.kind());
        self.problem = Some(error.kind());
        if is_gone(error.kind()) {
            (self.found, self.below, self.compressed, self.stamp) = (Vec::new(), Vec::new(), 0, None);
            self.settle_at = None;
        }
        changed
    }
}

fn is_gone(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::NotADirectory)
}

fn list(folder: &Path, files: &Files, told: &mut HashSet<PathBuf>) -> io::Result<Folder> {
    let trails = files.trails();
    let names: Vec<&Part> = trails.iter().filter(|trail| trail.leads_to(folder)).map(|trail| &trail.name).collect();
    let wanted = |name: &OsStr| names.iter().any(|part| part.fits(name)) && !files.is_excluded(&folder.join(name));
    let descends = trails.iter().any(|trail| !trail.folders.is_empty());
    let mut fresh = Folder::default();
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        // Who may not list a folder may still open what he knows by name.
        Err(error) if error.kind() == ErrorKind::PermissionDenied => {
            fresh.problem = Some(error.kind());
            for part in &names {
                if let Part::Literal(name) = *part {
                    fresh.add((folder, OsStr::from_bytes(name), false), &wanted, told);
                }
            }
            return Ok(fresh);
        }
        Err(error) => return Err(error),
    };
    for entry in entries {
        let entry = entry?;
        let (name, kind) = (entry.file_name(), entry.file_type()?);
        if kind.is_dir() || (kind.is_symlink() && descends && entry.path().is_dir()) {
            if descends {
                fresh.below.push(Below { name, is_link: kind.is_symlink() });
            }
        } else {
            fresh.add((folder, &name, kind.is_symlink()), &wanted, told);
        }
    }
    Ok(fresh)
}

impl Folder {
    fn add(
        &mut self,
        (folder, name, is_link): (&Path, &OsStr, bool),
        wanted: &dyn Fn(&OsStr) -> bool,
        told: &mut HashSet<PathBuf>,
    ) {
        if let Some(rest) = names::uncompressed(name.as_bytes()) {
            let rest = OsStr::from_bytes(rest);
            if wanted(rest) || wanted(name) || base_of(rest, wanted).is_some() {
                self.compressed += fs::metadata(folder.join(name)).map_or(0, |found| found.len());
            }
            return;
        }
        let is_wanted = wanted(name);
        let base = base_of(name, wanted);
        if !is_wanted && base.is_none() {
            return;
        }
        let path = folder.join(name);
        // Gone again, or a link to nowhere.
        let Ok(found) = fs::metadata(&path) else { return };
        if !found.is_file() {
            if is_wanted && !found.is_dir() && told.len() < 1000 && told.insert(path.clone()) {
                tracing::warn!(file = %path.display(), "not a regular file ({}): it is left alone", kind_of(&found));
            }
            return;
        }
        self.found.push(Found {
            id: Identity::of(&found),
            size: found.len(),
            modified: i128::from(found.mtime()) * 1_000_000_000 + i128::from(found.mtime_nsec()),
            wanted: is_wanted,
            base: base.map(|base| folder.join(OsString::from_vec(base))),
            is_link,
            path,
        });
    }
}

fn kind_of(found: &Metadata) -> &'static str {
    let kind = found.file_type();
    match () {
        () if kind.is_fifo() => "a FIFO",
        () if kind.is_socket() => "a socket",
        () => "a device",
    }
}
