//! What must survive a restart: small files that are whole or not there, whatever ends this process.
//!
//! A file is written beside its place, fsynced, renamed over it, and the folder is fsynced. It carries a checksum, and
//! the one before it is kept: a file that was cut short or overwritten is found out, and the former one is used.

use crate::board::Saves;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use serde::Serialize;
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The first word of every file, with the version of the form.
const MAGIC: &str = "banken-state-1";

/// A larger file was not written by us.
const MAX_BYTES: u64 = 64 << 20;

/// What was found of a saved value.
#[derive(Debug, PartialEq)]
pub enum Loaded<T> {
    /// Nothing was ever saved.
    Nothing,
    /// As it was last saved.
    Latest(T),
    /// The latest is damaged, and this is the one before it. Why is told in words.
    Previous(T, String),
    /// Nothing that is there can be used. Why is told in words.
    Damaged(String),
}

/// Why a folder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// It cannot be created or written in.
    #[error(
        "state cannot be kept in {}: {error}; create the folder for the user that runs Banken, or name another under state_dir:",
        folder.display()
    )]
    Unusable {
        /// The folder.
        folder: PathBuf,
        /// What went wrong.
        error: io::Error,
    },
    /// Another process has taken it.
    #[error(
        "another Banken keeps its state in {}: end it, or name another folder under state_dir:",
        folder.display()
    )]
    Taken {
        /// The folder.
        folder: PathBuf,
    },
}

impl OpenError {
    /// Whether another process has taken the folder.
    pub fn is_taken(&self) -> bool {
        matches!(self, OpenError::Taken { .. })
    }
}

/// A folder of saved values. Clones share it.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
    saves: Arc<Saves>,
    /// Held for as long as the folder is ours; none for somebody who only looks.
    lock: Option<Arc<OwnedFd>>,
}

impl Store {
    /// Opens a folder, creates it where it is missing, and takes it for this process alone.
    ///
    /// # Errors
    /// When it cannot be written in, or when another process has taken it.
    pub fn open(folder: &Path, saves: Arc<Saves>) -> Result<Self, OpenError> {
        let unusable = |error: io::Error| OpenError::Unusable { folder: folder.to_owned(), error };
        fs::create_dir_all(folder).map_err(unusable)?;
        let flags = OFlags::CREATE | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let lock = rustix::fs::open(folder.join("lock"), flags, Mode::RUSR | Mode::WUSR)
            .map_err(|error| unusable(error.into()))?;
        match flock(&lock, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(Self { folder: folder.to_owned(), saves, lock: Some(Arc::new(lock)) }),
            Err(rustix::io::Errno::WOULDBLOCK) => Err(OpenError::Taken { folder: folder.to_owned() }),
            Err(error) => Err(unusable(error.into())),
        }
    }

    /// The same folder for somebody who only looks: nothing is created, locked or saved.
    pub fn read_only(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), saves: Arc::default(), lock: None }
    }

    /// Saves a value under a name such as `logs/app`. When this returns, the value survives whatever comes.
    ///
    /// # Errors
    /// When it cannot be written; what was saved before is then still there.
    pub fn save(&self, name: &str, value: &impl Serialize) -> io::Result<()> {
        if self.lock.is_none() {
            return Ok(());
        }
        let result = self.try_save(name, value);
        self.saves.count(result.is_ok());
        result
    }

    /// The same for what nobody needs to be woken for: it is not counted.
    ///
    /// # Errors
    /// When it cannot be written; what was saved before is then still there.
    pub fn save_uncounted(&self, name: &str, value: &impl Serialize) -> io::Result<()> {
        if self.lock.is_some() { self.try_save(name, value) } else { Ok(()) }
    }

    fn try_save(&self, name: &str, value: &impl Serialize) -> io::Result<()> {
        let path = self.path(name);
        let folder = path.parent().unwrap_or(&self.folder);
        fs::create_dir_all(folder)?;
        let body = serde_json::to_vec(value)?;
        let fresh = with_suffix(&path, ".new");
        let result = write_new(&fresh, &body).and_then(|()| {
            // The one before stays: as a second name first, so that there is no moment without the latest.
            let previous = with_suffix(&path, ".previous");
            let kept = with_suffix(&path, ".kept");
            let _ = fs::remove_file(&kept);
            match fs::hard_link(&path, &kept) {
                Ok(()) => fs::rename(&kept, &previous)?,
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                // A file system without links: the latest moves, and for a moment only the previous is there.
                Err(_) => fs::rename(&path, &previous)?,
            }
            fs::rename(&fresh, &path)?;
            File::open(folder)?.sync_all()
        });
        if result.is_err() {
            // What could not be finished must not fill the disk further.
            let _ = fs::remove_file(&fresh);
        }
        result
    }

    /// What was saved under a name.
    pub fn load<T: DeserializeOwned>(&self, name: &str) -> Loaded<T> {
        let path = self.path(name);
        let why = match read(&path) {
            Ok(Some(value)) => return Loaded::Latest(value),
            Ok(None) => None,
            Err(why) => Some(why),
        };
        let previous = read(&with_suffix(&path, ".previous"));
        if why.is_some() || previous.is_err() {
            self.saves.count_damaged();
        }
        match (previous, why) {
            (Ok(Some(value)), why) => Loaded::Previous(value, why.unwrap_or_else(|| "the latest is not there".into())),
            (Ok(None), None) => Loaded::Nothing,
            (Ok(None), Some(why)) => Loaded::Damaged(why),
            (Err(previous), why) => Loaded::Damaged(why.unwrap_or(previous)),
        }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(format!("{name}.json"))
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

fn write_new(path: &Path, body: &[u8]) -> io::Result<()> {
    let no_follow = OFlags::NOFOLLOW.bits().cast_signed();
    let mut file =
        OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).custom_flags(no_follow).open(path)?;
    writeln!(file, "{MAGIC} {}", checksum(body))?;
    file.write_all(body)?;
    file.sync_all()
}

fn read<T: DeserializeOwned>(path: &Path) -> Result<Option<T>, String> {
    let told = |what: String| format!("{}: {what}", path.display());
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(told(error.to_string())),
    };
    let mut bytes = Vec::new();
    file.take(MAX_BYTES).read_to_end(&mut bytes).map_err(|error| told(error.to_string()))?;
    let end = memchr::memchr(b'\n', &bytes).ok_or_else(|| told("it is cut short".into()))?;
    let (head, body) = (&bytes[..end], &bytes[end + 1..]);
    if head != format!("{MAGIC} {}", checksum(body)).as_bytes() {
        return Err(told("its checksum is wrong".into()));
    }
    serde_json::from_slice(body).map(Some).map_err(|error| told(error.to_string()))
}

fn checksum(body: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(body).iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Folder(tempfile::TempDir);

    impl Folder {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn store(&self) -> Store {
            Store::open(self.0.path(), Arc::default()).unwrap()
        }

        fn file(&self) -> PathBuf {
            self.0.path().join("logs/app.json")
        }
    }

    #[test]
    fn what_was_saved_last_is_loaded_and_the_one_before_when_it_is_damaged() {
        let folder = Folder::new();
        let store = folder.store();
        assert_eq!(store.load::<u32>("logs/app"), Loaded::Nothing);
        store.save("logs/app", &1).unwrap();
        store.save("logs/app", &2).unwrap();
        assert_eq!(store.load::<u32>("logs/app"), Loaded::Latest(2));
        let whole = fs::read(folder.file()).unwrap();
        let damages: [Vec<u8>; 4] =
            [whole[..whole.len() - 1].to_vec(), vec![0; whole.len()], Vec::new(), [whole.as_slice(), b"3"].concat()];
        for damage in damages {
            fs::write(folder.file(), damage).unwrap();
            assert!(matches!(store.load::<u32>("logs/app"), Loaded::Previous(1, _)));
        }
        fs::remove_file(with_suffix(&folder.file(), ".previous")).unwrap();
        assert!(matches!(store.load::<u32>("logs/app"), Loaded::Damaged(_)));
        assert_eq!(store.saves.damaged(), 5);
    }

    #[test]
    fn a_save_that_ended_half_way_leaves_the_former_value() {
        let folder = Folder::new();
        let store = folder.store();
        store.save("logs/app", &1).unwrap();
        store.save("logs/app", &2).unwrap();
        // Killed after the fresh file was begun.
        fs::write(with_suffix(&folder.file(), ".new"), "half").unwrap();
        assert_eq!(store.load::<u32>("logs/app"), Loaded::Latest(2));
        // Killed where links are unknown: the latest has moved, the fresh one is not in its place yet.
        fs::rename(folder.file(), with_suffix(&folder.file(), ".previous")).unwrap();
        assert!(matches!(store.load::<u32>("logs/app"), Loaded::Previous(2, _)));
        store.save("logs/app", &3).unwrap();
        assert_eq!(store.load::<u32>("logs/app"), Loaded::Latest(3));
    }

    #[test]
    fn a_folder_belongs_to_one_process_and_is_free_again_after_it() {
        let folder = Folder::new();
        let store = folder.store();
        let error = Store::open(folder.0.path(), Arc::default()).unwrap_err().to_string();
        assert!(error.contains("another Banken") && error.contains("state_dir"), "{error}");
        drop(store);
        folder.store();
    }

    #[test]
    fn who_only_looks_saves_nothing() {
        let folder = Folder::new();
        folder.store().save("logs/app", &1).unwrap();
        let looking = Store::read_only(folder.0.path());
        assert_eq!(looking.load::<u32>("logs/app"), Loaded::Latest(1));
        looking.save("logs/app", &2).unwrap();
        assert_eq!(looking.load::<u32>("logs/app"), Loaded::Latest(1));
    }
}
