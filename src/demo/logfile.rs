//! `app.log`: lines from anywhere in the service, written by one task, bounded in size.

use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use tokio::fs::{self, File, OpenOptions};
use tokio::io::{self, AsyncWriteExt as _};
use tokio::sync::{mpsc, watch};

use super::Service;
use super::chronicle::Chronicle;

/// The file is set aside as `app.log.1` before it grows beyond this.
const LIMIT: u64 = 50 << 20;
/// Lines that may wait for the writer; more are dropped rather than slow the service down.
const WAITING: usize = 1024;
/// Two lines a second.
const PACE: Duration = Duration::from_millis(500);
const STAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day] [hour]:[minute]:[second],[subsecond digits:3]");

/// Where the log is, inside the service's folder.
pub(super) fn path(dir: &Path) -> PathBuf {
    dir.join("app.log")
}

/// Takes lines from anywhere; cheap to clone, never waits.
#[derive(Debug, Clone)]
pub(super) struct Log(mpsc::Sender<String>);

impl Log {
    pub fn channel() -> (Self, mpsc::Receiver<String>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self(sender), receiver)
    }

    pub fn info(&self, logger: &str, message: &str) {
        let _ = self.0.try_send(line(OffsetDateTime::now_utc(), logger, "INFO", message));
    }

    pub fn error(&self, logger: &str, message: &str) {
        let _ = self.0.try_send(line(OffsetDateTime::now_utc(), logger, "ERROR", message));
    }
}

/// A line as Python's `logging` writes it.
pub(super) fn line(now: OffsetDateTime, logger: &str, level: &str, message: &str) -> String {
    let stamp = now.format(STAMP).unwrap_or_default();
    format!("{stamp} - {logger} - {level} - {message}\n")
}

/// Writes the service's ordinary life, and whatever arrives, until `stop` says so.
pub(super) async fn run(
    mut file: LogFile,
    service: Arc<Service>,
    mut arriving: mpsc::Receiver<String>,
    mut stop: watch::Receiver<bool>,
) {
    let mut chronicle = Chronicle::default();
    let mut ticks = tokio::time::interval(PACE);
    let mut lines = Vec::new();
    let mut written = true;
    loop {
        let stopping = tokio::select! {
            _ = ticks.tick() => {
                lines.extend(chronicle.tick(OffsetDateTime::now_utc(), &service));
                false
            }
            _ = arriving.recv_many(&mut lines, WAITING) => false,
            _ = stop.wait_for(|stop| *stop) => {
                lines.push(line(OffsetDateTime::now_utc(), "trading_bot.main", "INFO", "Shutting down"));
                true
            }
        };
        let outcome = file.append(&lines.concat()).await;
        match &outcome {
            Err(error) if written => tracing::warn!(%error, path = %file.path.display(), "demo: cannot write the log"),
            _ => {}
        }
        written = outcome.is_ok();
        lines.clear();
        if stopping {
            return;
        }
    }
}

/// An open log, and how much is in it.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    limit: u64,
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    file: File,
    inode: u64,
    size: u64,
}

impl LogFile {
    /// # Errors
    /// When the file cannot be opened for appending.
    pub async fn open(dir: &Path) -> io::Result<Self> {
        Self::with_limit(path(dir), LIMIT).await
    }

    async fn with_limit(path: PathBuf, limit: u64) -> io::Result<Self> {
        let open = Some(open(&path).await?);
        Ok(Self { path, limit, open })
    }

    async fn append(&mut self, text: &str) -> io::Result<()> {
        let outcome = self.try_append(text).await;
        if outcome.is_err() {
            self.open = None;
        }
        outcome
    }

    async fn try_append(&mut self, text: &str) -> io::Result<()> {
        let mut now = match self.open.take() {
            Some(now) => now,
            None => open(&self.path).await?,
        };
        if now.size > 0 && now.size + text.len() as u64 > self.limit {
            fs::rename(&self.path, self.path.with_extension("log.1")).await?;
            now = open(&self.path).await?;
        } else if !fs::metadata(&self.path).await.is_ok_and(|found| found.ino() == now.inode) {
            // Someone else rotated: the way of Python's WatchedFileHandler.
            now = open(&self.path).await?;
        }
        now.file.write_all(text.as_bytes()).await?;
        now.file.flush().await?;
        now.size += text.len() as u64;
        self.open = Some(now);
        Ok(())
    }
}

async fn open(path: &Path) -> io::Result<Open> {
    // The default folder is a well-known name in a folder that everyone may write to.
    let no_follow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let file = OpenOptions::new().append(true).create(true).custom_flags(no_follow).open(path).await?;
    let found = file.metadata().await?;
    Ok(Open { file, inode: found.ino(), size: found.len() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::demo::tests::scratch;

    #[tokio::test]
    async fn the_log_is_bounded_and_keeps_one_old_file() {
        let dir = scratch();
        let mut file = LogFile::with_limit(path(dir.path()), 100).await.unwrap();
        for number in 0..10 {
            file.append(&format!("{number}{}\n", "x".repeat(38))).await.unwrap();
        }
        let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
        assert_eq!(read("app.log").lines().map(|line| &line[..1]).collect::<String>(), "89");
        assert_eq!(read("app.log.1").lines().map(|line| &line[..1]).collect::<String>(), "67");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[tokio::test]
    async fn a_log_renamed_by_someone_else_is_opened_anew_and_an_old_one_continued() {
        let dir = scratch();
        let path = path(dir.path());
        std::fs::write(&path, "before\n").unwrap();
        let mut file = LogFile::open(dir.path()).await.unwrap();
        file.append("one\n").await.unwrap();
        std::fs::rename(&path, dir.path().join("aside")).unwrap();
        file.append("two\n").await.unwrap();
        assert_eq!(std::fs::read_to_string(dir.path().join("aside")).unwrap(), "before\none\n");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "two\n");
    }

    #[tokio::test]
    async fn a_link_in_place_of_the_log_is_refused() {
        let dir = scratch();
        std::os::unix::fs::symlink("/dev/null", path(dir.path())).unwrap();
        assert!(LogFile::open(dir.path()).await.is_err());
    }

    #[test]
    fn a_line_looks_like_pythons() {
        let now = time::macros::datetime!(2026-11-22 04:25:01.007 UTC);
        assert_eq!(line(now, "a.b", "INFO", "text"), "2026-11-22 04:25:01,007 - a.b - INFO - text\n");
    }
}
