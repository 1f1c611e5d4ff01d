//! The steps over one connection of SQLite, each of which ends when the time is over or nobody waits any more.

use super::{backup, refused};
use crate::remedy::action::Setback;
use crate::values::one_line;
use rusqlite::{Connection, ErrorCode, OpenFlags};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// How many steps of its virtual machine SQLite does before it asks whether to go on.
const ASK_EVERY: i32 = 10_000;

/// The most of a message of SQLite that is told.
const MAX_MESSAGE: usize = 200;

/// An open database and the time that is left for it.
pub struct Run {
    path: PathBuf,
    connection: Connection,
    ending: Ending,
}

/// When the work ends before its time.
#[derive(Clone)]
pub struct Ending {
    until: Instant,
    stop: Arc<AtomicBool>,
}

impl Ending {
    /// Whether it is over.
    pub fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || Instant::now() >= self.until
    }
}

impl Run {
    /// Opens a database that is there.
    pub fn open(path: &Path, lock: Duration, until: Instant, stop: Arc<AtomicBool>) -> Result<Self, Setback> {
        let ending = Ending { until, stop };
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX
            | OpenFlags::SQLITE_OPEN_NOFOLLOW
            | OpenFlags::SQLITE_OPEN_EXRESCODE;
        let failed = |error| setback(path, "it cannot be opened", &error);
        let mut connection = Connection::open_with_flags(path, flags).map_err(failed)?;
        connection.busy_timeout(lock).map_err(failed)?;
        let asked = ending.clone();
        connection.progress_handler(ASK_EVERY, Some(move || asked.is_over())).map_err(failed)?;
        Ok(Self { path: path.to_owned(), connection, ending })
    }

    /// Checks that it is the file that was looked at, that it may be written, and that it is whole. Gives the bytes that
    /// a vacuum would free.
    pub fn examine(&self, identity: &(u64, u64)) -> Result<u64, Setback> {
        let found = std::fs::symlink_metadata(&self.path).map_err(|error| refused(&self.path, error))?;
        if (found.dev(), found.ino()) != *identity {
            return Err(refused(&self.path, "it was changed for another file while it was looked at"));
        }
        let failed = |error| setback(&self.path, "it cannot be checked", &error);
        let verdict: String =
            self.connection.query_row("PRAGMA integrity_check(1)", [], |row| row.get(0)).map_err(failed)?;
        if verdict != "ok" {
            return Err(refused(
                &self.path,
                format!("it is damaged, and a vacuum could lose more: {}", short(&verdict)),
            ));
        }
        if self.connection.is_readonly("main").map_err(failed)? {
            return Err(refused(&self.path, "it may only be read: give the user that runs Banken the right to write"));
        }
        let number = |name: &str| self.connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
        let free = number("freelist_count").map_err(failed)?.saturating_mul(number("page_size").map_err(failed)?);
        Ok(free.max(0).cast_unsigned())
    }

    /// Copies it into a file of our own, of which `keep` are kept.
    pub fn back_up(&self, folder: &Path, keep: usize) -> Result<PathBuf, Setback> {
        backup::make(&self.connection, &self.path, folder, keep, &self.ending).map_err(|trouble| match trouble {
            backup::Trouble::Sqlite(error) => {
                setback(&self.path, "it cannot be backed up, so nothing was done", &error)
            }
            backup::Trouble::Other(why) => {
                Setback::Failed(format!("no backup could be made, so nothing was done: {why}"))
            }
            backup::Trouble::Over => Setback::Failed(format!(
                "{}: the backup was not ready in time, so nothing was done: make timeout longer",
                self.path.display()
            )),
        })
    }

    /// Vacuums it, and checks what came of that.
    pub fn vacuum(&self, copy: &Path) -> Result<(), Setback> {
        self.connection
            .execute_batch("VACUUM")
            .map_err(|error| setback(&self.path, "it could not be vacuumed and is as it was", &error))?;
        // In WAL mode the file shrinks when the log is taken in. Readers may keep that from happening; it comes later then.
        let _ = self.connection.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()));
        let checked: rusqlite::Result<String> =
            self.connection.query_row("PRAGMA quick_check(1)", [], |row| row.get(0));
        match checked {
            Ok(verdict) if verdict != "ok" => Err(Setback::Failed(format!(
                "{} is damaged after the vacuum ({}): the backup {} is whole",
                self.path.display(),
                short(&verdict),
                copy.display()
            ))),
            // What could not be asked (a lock, the time) says nothing against it.
            _ => Ok(()),
        }
    }
}

fn short(message: &str) -> String {
    one_line(message).chars().filter(|c| !c.is_control()).take(MAX_MESSAGE).collect()
}

/// What an error of SQLite means here.
fn setback(path: &Path, what: &str, error: &rusqlite::Error) -> Setback {
    let said = short(&error.to_string());
    let shown = path.display();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => {
            Setback::Busy(format!("{shown} is locked by a program that uses it ({said})"))
        }
        Some(ErrorCode::DatabaseCorrupt) => {
            Setback::Refused(format!("{shown} is damaged, and a vacuum could lose more: {said}"))
        }
        Some(ErrorCode::NotADatabase) => {
            Setback::Refused(format!("{shown} is not a database of SQLite, or it is encrypted: correct path"))
        }
        Some(ErrorCode::CannotOpen | ErrorCode::PermissionDenied | ErrorCode::ReadOnly) => Setback::Refused(format!(
            "{shown}: {what}: {said}; the user that runs Banken needs to write the file and its folder"
        )),
        Some(ErrorCode::OperationInterrupted) => {
            Setback::Failed(format!("{shown}: {what}: the time was over; make timeout longer"))
        }
        Some(ErrorCode::DiskFull) => Setback::Failed(format!("{shown}: {what}: no space was left; make room")),
        _ => Setback::Failed(format!("{shown}: {what}: {said}")),
    }
}
