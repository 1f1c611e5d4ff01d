//! The record of every step: JSON lines, the intent before and the result after, each safely on disk before anything else
//! happens.
//!
//! A line is written with one call and synced. A line that a kill cut short is closed when the file is opened again, and
//! whoever reads leaves it out.

use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

/// The journal's name in its folder.
const NAME: &str = "journal.jsonl";

/// Beyond this a file is put aside.
const MAX_BYTES: u64 = 4 << 20;

/// How many files that were put aside are kept.
const KEPT: u32 = 5;

/// The longest text of an entry, in bytes.
const MAX_DETAIL: usize = 2000;

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum What {
    /// An incident is open.
    Opened,
    /// A step would be taken and is not.
    Suppressed,
    /// What a step would do, in a dry run.
    Would,
    /// A step is about to be taken.
    Intent,
    /// It ended.
    Result,
    /// It was begun, and its end was never written.
    Interrupted,
    /// It did not help.
    NotHelped,
    /// The next attempt waits.
    BackingOff,
    /// The remedy gave up.
    GaveUp,
    /// The target is good again, and that is verified.
    Recovered,
    /// The target is good again without us.
    Closed,
    /// A person has taken note.
    Acknowledged,
}

impl What {
    /// In a word for people.
    pub const fn in_words(self) -> &'static str {
        match self {
            What::Opened => "opened",
            What::Suppressed => "suppressed",
            What::Would => "would",
            What::Intent => "intent",
            What::Result => "result",
            What::Interrupted => "interrupted",
            What::NotHelped => "not helped",
            What::BackingOff => "backing off",
            What::GaveUp => "gave up",
            What::Recovered => "recovered",
            What::Closed => "closed",
            What::Acknowledged => "acknowledged",
        }
    }
}

/// A line of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When, RFC 3339.
    pub at: String,
    /// Which remedy.
    pub remedy: String,
    /// Which incident.
    pub incident: String,
    /// What happened.
    pub what: What,
    /// Of which attempt, from 1.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub attempt: u32,
    /// Of which step, from 1.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub step: u32,
    /// By which action.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub action: String,
    /// How it ended: success, failure, busy.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub outcome: String,
    /// In words; it holds no secret.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
    /// How long it took, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde hands a reference")]
fn is_zero(number: &u32) -> bool {
    *number == 0
}

/// A journal that is written. One process writes it: whoever holds the lock of the folder.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: Option<File>,
}

impl Journal {
    /// In this folder, which is made with the first entry.
    pub fn new(folder: &Path) -> Self {
        Self { path: folder.join(NAME), file: None }
    }

    /// Writes an entry. When this returns, it survives whatever comes. Blocks.
    ///
    /// # Errors
    /// When it could not be written or synced: then whatever it announces must not be done.
    pub fn write(&mut self, entry: &Entry) -> io::Result<()> {
        let result = self.try_write(entry);
        if result.is_err() {
            // What state the file is in is not known any more.
            self.file = None;
        }
        result
    }

    fn try_write(&mut self, entry: &Entry) -> io::Result<()> {
        let mut entry = entry.clone();
        truncate(&mut entry.detail);
        let mut line = serde_json::to_vec(&entry)?;
        line.push(b'\n');
        let is_gone = |file: &File| !matches!((file.metadata(), fs::metadata(&self.path)), (Ok(ours), Ok(there)) if ours.ino() == there.ino());
        if self.file.as_ref().is_none_or(is_gone) {
            self.file = Some(open(&self.path)?);
        }
        let Some(file) = &mut self.file else { return Err(io::Error::other("no journal")) };
        file.write_all(&line)?;
        file.sync_data()?;
        if file.metadata()?.len() > MAX_BYTES {
            self.file = None;
            put_aside(&self.path)?;
        }
        Ok(())
    }
}

fn truncate(text: &mut String) {
    if text.len() > MAX_DETAIL {
        let end = (0..=MAX_DETAIL).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push('…');
    }
}

fn open(path: &Path) -> io::Result<File> {
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::create_dir_all(folder)?;
    let no_follow = rustix::fs::OFlags::NOFOLLOW.bits().cast_signed();
    let is_new = !path.exists();
    let mut file =
        OpenOptions::new().read(true).append(true).create(true).mode(0o600).custom_flags(no_follow).open(path)?;
    let length = file.metadata()?.len();
    if length > 0 {
        let mut last = [0];
        file.seek(SeekFrom::Start(length - 1))?;
        file.read_exact(&mut last)?;
        if last != *b"\n" {
            // A kill cut the last line short: what comes now must not become a part of it.
            file.write_all(b"\n")?;
        }
    }
    if is_new {
        File::open(folder)?.sync_all()?;
    }
    Ok(file)
}

fn numbered(path: &Path, number: u32) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{number}"));
    name.into()
}

fn put_aside(path: &Path) -> io::Result<()> {
    for number in (1..KEPT).rev() {
        match fs::rename(numbered(path, number), numbered(path, number + 1)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    fs::rename(path, numbered(path, 1))?;
    File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
}

/// Every entry that is kept in this folder, the oldest first. Lines that are no entries are left out. Blocks.
///
/// # Errors
/// When a file that is there cannot be read.
pub fn read(folder: &Path) -> io::Result<Vec<Entry>> {
    let path = folder.join(NAME);
    let mut entries = Vec::new();
    for file in (1..=KEPT).rev().map(|number| numbered(&path, number)).chain([path.clone()]) {
        let bytes = match File::open(&file) {
            Ok(file) => {
                let mut bytes = Vec::new();
                file.take(2 * MAX_BYTES).read_to_end(&mut bytes)?;
                bytes
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) => return Err(error),
        };
        entries.extend(bytes.split(|byte| *byte == b'\n').filter_map(|line| serde_json::from_slice(line).ok()));
    }
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(detail: &str) -> Entry {
        Entry {
            at: "2026-11-28T12:00:00Z".into(),
            remedy: "x".into(),
            incident: "x-1".into(),
            what: What::Intent,
            attempt: 1,
            step: 1,
            action: "command".into(),
            outcome: String::new(),
            detail: detail.into(),
            seconds: None,
        }
    }

    fn details(folder: &Path) -> Vec<String> {
        read(folder).unwrap().into_iter().map(|entry| entry.detail).collect()
    }

    #[test]
    fn a_line_that_was_cut_short_spoils_no_other() {
        let folder = tempfile::tempdir().unwrap();
        Journal::new(folder.path()).write(&entry("first")).unwrap();
        let path = folder.path().join(NAME);
        let whole = fs::read(&path).unwrap();
        fs::write(&path, [whole.as_slice(), &whole[..whole.len() / 2]].concat()).unwrap();
        Journal::new(folder.path()).write(&entry("second")).unwrap();
        assert_eq!(details(folder.path()), ["first", "second"]);
    }

    #[test]
    fn it_is_rotated_and_read_over_all_files_that_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::new(folder.path());
        let long = "é".repeat(5000);
        let lines = 7 * MAX_BYTES as usize / MAX_DETAIL;
        // Syncing each of thousands of lines is what takes the time: fill the file by hand, and write where it rotates.
        for round in 0..7 {
            journal.write(&entry(&format!("round {round}"))).unwrap();
            let mut line = serde_json::to_vec(&entry(&long[..MAX_DETAIL])).unwrap();
            line.push(b'\n');
            let mut file = OpenOptions::new().append(true).open(folder.path().join(NAME)).unwrap();
            for _ in 0..lines / 7 {
                file.write_all(&line).unwrap();
            }
            journal.write(&entry(&long)).unwrap();
        }
        let files = fs::read_dir(folder.path()).unwrap().count();
        assert_eq!(files, KEPT as usize);
        let kept = details(folder.path());
        assert!(kept.iter().any(|detail| detail == "round 6") && !kept.iter().any(|detail| detail == "round 0"));
        assert!(kept.iter().all(|detail| detail.len() <= MAX_DETAIL + '…'.len_utf8()));
    }

    #[test]
    fn a_journal_that_is_taken_away_is_begun_anew_and_one_that_cannot_be_written_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::new(folder.path());
        journal.write(&entry("first")).unwrap();
        fs::remove_file(folder.path().join(NAME)).unwrap();
        journal.write(&entry("second")).unwrap();
        assert_eq!(details(folder.path()), ["second"]);
        fs::remove_file(folder.path().join(NAME)).unwrap();
        std::os::unix::fs::symlink("/dev/null", folder.path().join(NAME)).unwrap();
        assert!(journal.write(&entry("third")).is_err(), "it followed a link");
    }
}
