//! Events of the kernel (inotify) as a wake-up, so that a line is counted at once. What happened is looked at, never
//! believed: events may be lost, and some file systems send none.
//!
//! inotify is used directly: it needs no thread, and its mask leaves out that files are opened and read.

use super::globs::{Files, base_of};
use super::listing::Lister;
use super::pass::Wake;
use super::tracked::Tracked;
use rustix::fs::inotify::{self, CreateFlags, ReadFlags, Reader, WatchFlags};
use rustix::io::Errno;
use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What matters in a folder.
const FOLDER: WatchFlags = WatchFlags::MODIFY
    .union(WatchFlags::CREATE)
    .union(WatchFlags::MOVE)
    .union(WatchFlags::DELETE)
    .union(WatchFlags::DELETE_SELF)
    .union(WatchFlags::MOVE_SELF)
    .union(WatchFlags::ONLYDIR);

/// Beyond so many files that changed, all are looked at.
const MANY: usize = 1000;

/// Rings when something happened.
#[derive(Debug)]
pub struct Bell {
    log: String,
    files: Files,
    events: Option<AsyncFd<OwnedFd>>,
    by_number: HashMap<i32, PathBuf>,
    by_path: HashMap<PathBuf, i32>,
    /// The generation of the listing that is attended to.
    generation: Option<u64>,
    complete: bool,
    told: bool,
    rung: HashSet<PathBuf>,
    names: bool,
    everything: bool,
}

impl Bell {
    /// Attends to nothing yet. Within a runtime.
    pub fn new(files: Files, log: &str) -> Self {
        let mut bell = Self {
            log: log.to_owned(),
            files,
            events: None,
            by_number: HashMap::new(),
            by_path: HashMap::new(),
            generation: None,
            complete: true,
            told: false,
            rung: HashSet::new(),
            names: false,
            everything: false,
        };
        let events = inotify::init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC);
        #[allow(
            deprecated,
            reason = "its successor is unsafe for types that change their descriptor; OwnedFd does not"
        )]
        let register = |events| AsyncFd::with_interest(events, Interest::READABLE);
        match events.map_err(std::io::Error::from).and_then(register) {
            Ok(events) => bell.events = Some(events),
            Err(error) => bell.tell(&error),
        }
        bell
    }

    /// Whether every change rings.
    pub fn works(&self) -> bool {
        self.events.is_some() && self.complete
    }

    /// Attends to the folders that matter and to what links lead to. Blocks.
    pub fn attend(&mut self, lister: &Lister, files: &[Tracked]) {
        let missing = lister.folders().any(|(_, is_there)| !is_there);
        if self.events.is_none() || (self.generation == Some(lister.generation()) && !missing) {
            return;
        }
        self.generation = Some(lister.generation());
        let mut wanted: HashMap<PathBuf, WatchFlags> = HashMap::new();
        for (folder, is_there) in lister.folders() {
            // Of a folder that is missing, the first one above it that is there.
            let attended =
                if is_there { Some(folder) } else { folder.ancestors().skip(1).find(|above| above.is_dir()) };
            wanted.extend(attended.map(|folder| (folder.to_owned(), FOLDER)));
        }
        let links = files.iter().filter(|file| file.is_link && file.is_followed());
        wanted.extend(links.map(|file| (file.mark.path.clone(), WatchFlags::MODIFY)));
        let Some(events) = &self.events else { return };
        self.by_path.retain(|path, number| {
            let keep = wanted.contains_key(path);
            if !keep && self.by_number.remove(number).is_some() {
                // It may be gone by itself.
                let _ = inotify::remove_watch(events, *number);
            }
            keep
        });
        let mut failed = None;
        for (path, flags) in wanted {
            if self.by_path.contains_key(&path) {
                continue;
            }
            match inotify::add_watch(events, &path, flags) {
                Ok(number) => {
                    self.by_number.insert(number, path.clone());
                    self.by_path.insert(path, number);
                }
                // Looked at when the listing changes again.
                Err(Errno::NOENT | Errno::NOTDIR) => self.generation = None,
                Err(error) => failed = Some(error),
            }
        }
        self.complete = failed.is_none();
        if let Some(error) = failed {
            self.tell(&error.into());
        }
    }

    fn tell(&mut self, error: &std::io::Error) {
        if !self.told {
            self.told = true;
            tracing::warn!(
                log = self.log, %error,
                "changes are not announced by the kernel (see fs.inotify.max_user_watches and max_user_instances): \
                 files are looked at four times a second instead"
            );
        }
    }

    /// Ends when something happened that matters. May be dropped and called again: nothing is lost.
    pub async fn rung(&mut self) {
        loop {
            let Some(events) = &self.events else { return std::future::pending().await };
            match events.readable().await {
                Ok(mut ready) => ready.clear_ready(),
                Err(_) => return std::future::pending().await,
            }
            self.gather();
            if self.everything || self.names || !self.rung.is_empty() {
                return;
            }
        }
    }

    /// What happened since it was taken last.
    pub fn take(&mut self) -> Wake {
        self.gather();
        let files = std::mem::take(&mut self.rung);
        let (names, everything) = (std::mem::take(&mut self.names), std::mem::take(&mut self.everything));
        if everything || files.len() > MANY { Wake::All } else { Wake::Some { files, names } }
    }

    fn gather(&mut self) {
        let Some(events) = &self.events else { return };
        let mut buffer = [MaybeUninit::uninit(); 16 << 10];
        let mut reader = Reader::new(events.get_ref(), &mut buffer);
        while let Ok(event) = reader.next() {
            let flags = event.events();
            if flags.contains(ReadFlags::QUEUE_OVERFLOW) {
                self.everything = true;
                continue;
            }
            let number = event.wd();
            if flags.intersects(ReadFlags::IGNORED | ReadFlags::DELETE_SELF | ReadFlags::MOVE_SELF) {
                if let Some(path) = self.by_number.remove(&number) {
                    self.by_path.remove(&path);
                    let _ = inotify::remove_watch(events, number);
                    (self.generation, self.names) = (None, true);
                }
                continue;
            }
            let Some(watched) = self.by_number.get(&number) else { continue };
            let Some(name) = event.file_name() else {
                self.rung.insert(watched.clone());
                continue;
            };
            let name = OsStr::from_bytes(name.to_bytes());
            if flags.contains(ReadFlags::ISDIR) {
                self.names = true;
            } else if concerns(&self.files, watched, name) {
                self.names |= !flags.contains(ReadFlags::MODIFY);
                self.rung.insert(watched.join(name));
            }
        }
    }
}

fn concerns(files: &Files, folder: &Path, name: &OsStr) -> bool {
    let wanted = |name: &OsStr| files.wants(&folder.join(name));
    wanted(name) || base_of(name, wanted).is_some()
}
