//! Copies of databases in a folder of our own: whole and on the disk before they have their name, and never too many.

use super::steps::Ending;
use rusqlite::Connection;
use rusqlite::backup::{Backup, StepResult};
use sha2::{Digest as _, Sha256};
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Pages that are copied before we ask whether to go on: 4 MiB of usual pages.
const PAGES: i32 = 1024;

/// How long to wait before a locked database is asked again.
const PAUSE: Duration = Duration::from_millis(20);

/// Why there is no backup.
pub enum Trouble {
    /// SQLite says so.
    Sqlite(rusqlite::Error),
    /// Something else, in words.
    Other(String),
    /// The time was over.
    Over,
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        Trouble::Sqlite(error)
    }
}

/// Makes the folder for backups, where it is not there: for us alone.
fn make_folder(folder: &Path) -> Result<(), String> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|error| in_words(folder, &error))
}

fn in_words(path: &Path, error: &io::Error) -> String {
    format!("{}: {error}", path.display())
}

/// What the names of the backups of one database begin with: its own name, and a mark of where it is.
fn prefix(path: &Path) -> String {
    let mark = Sha256::digest(path.as_os_str().as_encoded_bytes());
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name: String = name
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() || matches!(c, '.' | '-') { c } else { '_' })
        .take(60)
        .collect();
    format!("{name}-{:02x}{:02x}{:02x}{:02x}-", mark[0], mark[1], mark[2], mark[3])
}

/// Copies a database and keeps the newest `keep` copies.
pub fn make(from: &Connection, path: &Path, folder: &Path, keep: usize, ending: &Ending) -> Result<PathBuf, Trouble> {
    let other = |path: &Path, error: &io::Error| Trouble::Other(in_words(path, error));
    let prefix = prefix(path);
    make_folder(folder).map_err(Trouble::Other)?;
    sweep(folder, &prefix);
    // Sorted by name they are sorted by time.
    let now = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%S%3fZ").to_string();
    let place = folder.join(format!("{prefix}{now}.db"));
    let partial = folder.join(format!("{prefix}{now}.partial"));
    let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial);
    drop(made.map_err(|error| other(&partial, &error))?);
    if let Err(trouble) = copy(from, &partial, ending) {
        // It is nothing by which anybody could be helped.
        let _ = fs::remove_file(&partial);
        return Err(trouble);
    }
    let finished = File::open(&partial)
        .and_then(|file| file.sync_all())
        .and_then(|()| fs::rename(&partial, &place))
        .and_then(|()| File::open(folder)?.sync_all());
    finished.map_err(|error| other(&place, &error))?;
    prune(folder, &prefix, keep);
    Ok(place)
}

fn copy(from: &Connection, to: &Path, ending: &Ending) -> Result<(), Trouble> {
    let mut copy = Connection::open(to)?;
    // The file has no other reader, and is synced as a whole.
    copy.execute_batch("PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF")?;
    // One state of the database for all steps: a writer in between would make it begin anew, again and again.
    from.execute_batch("BEGIN; SELECT 1 FROM sqlite_schema LIMIT 1")?;
    let copied = copy_pages(from, &mut copy, ending);
    let ended = from.execute_batch("ROLLBACK");
    copied?;
    ended?;
    copy.close().map_err(|(_, error)| Trouble::Sqlite(error))
}

#[allow(clippy::disallowed_methods, reason = "this is a thread for blocking work, and nobody else's")]
fn copy_pages(from: &Connection, to: &mut Connection, ending: &Ending) -> Result<(), Trouble> {
    let backup = Backup::new(from, to)?;
    loop {
        if ending.is_over() {
            return Err(Trouble::Over);
        }
        match backup.step(PAGES)? {
            StepResult::Done => return Ok(()),
            StepResult::More => {}
            _ => std::thread::sleep(PAUSE),
        }
    }
}

/// The copies of one database, the oldest first.
fn copies(folder: &Path, prefix: &str, suffix: &str) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut found: Vec<PathBuf> = entries
        .filter(|entry| {
            entry.file_name().to_str().is_some_and(|name| name.starts_with(prefix) && name.ends_with(suffix))
        })
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// Removes what a kill left behind.
fn sweep(folder: &Path, prefix: &str) {
    for partial in copies(folder, prefix, ".partial") {
        let _ = fs::remove_file(partial);
    }
}

fn prune(folder: &Path, prefix: &str, keep: usize) {
    let found = copies(folder, prefix, ".db");
    for old in found.iter().take(found.len().saturating_sub(keep)) {
        if let Err(error) = fs::remove_file(old) {
            tracing::warn!(file = %old.display(), %error, "an old backup cannot be removed");
        }
    }
}
