//! One file: where reading goes on in it, and reading it.

use super::content::{Checksum, Print, TAIL, back, fill, head, leads_up_to};
use super::listing::{Found, Identity};
use crate::logs::intake::{Intake, MAX_LINE};
use crate::observation::Failure;
use rustix::fs::OFlags;
use serde::{Deserialize, Serialize};
use std::fs::{self, File, Metadata, OpenOptions};
use std::io::{self, ErrorKind};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _};
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// How much is read at once.
const CHUNK: usize = 1 << 20;

/// After so long without a byte more, the last record of several lines is complete.
pub const QUIET: Duration = Duration::from_secs(1);

/// A line without an end of which so much is there is beyond the cap, whatever its line end looks like.
const ENDLESS: usize = MAX_LINE + 2;

/// What a file is to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It is where the patterns say, and may grow.
    Live,
    /// It was renamed away: it is read to its end.
    Rotated,
    /// It holds what a live file holds: it is not read, unless that one is truncated before its end was read.
    Copy,
}

/// What must survive a restart of one file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    #[serde(with = "super::path_text")]
    pub path: PathBuf,
    pub dev: u64,
    pub ino: u64,
    pub born: Option<u64>,
    pub role: Role,
    /// Where reading goes on: everything before was handed to the intake.
    pub offset: u64,
    /// Of the bytes before the offset.
    pub tail: Checksum,
    /// Of the file's beginning; for a copy, of its original's.
    pub print: Print,
    /// Bytes, when it was last looked at.
    pub size: u64,
    /// The rest of a line beyond the cap is being skipped.
    #[serde(default, skip_serializing_if = "is_false")]
    pub skipping: bool,
    /// A rotated file that was read to its end.
    #[serde(default, skip_serializing_if = "is_false")]
    pub done: bool,
    /// It is not there any more.
    #[serde(default, skip_serializing_if = "is_false")]
    pub gone: bool,
    /// It was not opened yet, and begins at the last line end before this many bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub begin: Option<u64>,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde gives a reference")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// What every file of a pass is read with.
pub struct Reader<'a> {
    pub intake: &'a mut Intake,
    pub buffer: &'a mut Vec<u8>,
    pub now: Instant,
    /// Seconds since the Unix epoch.
    pub at: f64,
    /// Bytes that this pass may still read.
    pub budget: usize,
    pub until: Instant,
    /// Something was handed to the intake.
    pub took: bool,
}

/// How far it went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Everything that is there was read.
    AtEnd,
    /// There is more.
    More,
    /// What was read before is not there any more: the file was truncated.
    Truncated,
}

/// A file that is known.
#[derive(Debug)]
pub struct Tracked {
    pub mark: Mark,
    file: Option<File>,
    /// Size and change time when it was last looked at.
    stamp: Option<(u64, i64, i64)>,
    /// There is something that was not read.
    behind: bool,
    /// How far it was looked at: an unfinished line lies between the offset and this.
    pub examined: u64,
    /// The unfinished rest was looked at after a quiet time.
    settled: bool,
    pub grown_at: Instant,
    pub missing_since: Option<Instant>,
    /// For a copy: its original's path. For others: none.
    pub original: Option<PathBuf>,
    /// How far it has to be read before the log is caught up with for the first time.
    pub goal: Option<u64>,
    /// Why it cannot be read.
    pub trouble: Option<Failure>,
    /// When it was written last, in nanoseconds since the Unix epoch, as listed.
    pub modified: i128,
    pub is_link: bool,
}

impl Tracked {
    /// As it was saved.
    pub fn restored(mark: Mark, now: Instant) -> Self {
        Self {
            file: None,
            stamp: None,
            behind: true,
            examined: mark.offset,
            settled: false,
            grown_at: now,
            missing_since: mark.gone.then_some(now),
            original: None,
            goal: None,
            trouble: None,
            modified: 0,
            is_link: false,
            mark,
        }
    }

    /// Found now, to be read from its beginning.
    pub fn new(found: &Found, role: Role, now: Instant) -> Self {
        let mark = Mark {
            path: found.path.clone(),
            dev: found.id.dev,
            ino: found.id.ino,
            born: found.id.born,
            role,
            offset: 0,
            tail: Checksum::default(),
            print: Print::default(),
            size: found.size,
            skipping: false,
            done: false,
            gone: false,
            begin: None,
        };
        let mut new = Self::restored(mark, now);
        (new.modified, new.is_link) = (found.modified, found.is_link);
        new
    }

    /// Which file it is.
    pub fn id(&self) -> Identity {
        Identity { dev: self.mark.dev, ino: self.mark.ino, born: self.mark.born }
    }

    /// Device and inode.
    pub fn key(&self) -> (u64, u64) {
        (self.mark.dev, self.mark.ino)
    }

    /// Whether it is there and of interest.
    pub fn is_followed(&self) -> bool {
        !self.mark.gone && !self.mark.done && self.mark.role != Role::Copy
    }

    /// Whether a descriptor is open.
    pub fn is_open(&self) -> bool {
        self.file.is_some()
    }

    /// Gives the descriptor back; what the file holds is compared again when it is opened next.
    pub fn close(&mut self) {
        self.file = None;
    }

    /// Bytes that were not looked at.
    pub fn lag(&self) -> u64 {
        if self.is_followed() {
            self.mark.size.saturating_sub(self.examined.max(self.mark.begin.unwrap_or(0)))
        } else {
            0
        }
    }

    /// Whether there may be something to read although nothing happened to the file.
    pub fn is_behind(&self) -> bool {
        self.behind
    }

    /// Whether something that was looked at is held back.
    pub fn holds_rest(&self) -> bool {
        self.examined > self.mark.offset
    }

    /// When the held back rest should be looked at again.
    pub fn settles_at(&self) -> Option<Instant> {
        (self.holds_rest() && !self.settled).then(|| self.grown_at + QUIET)
    }

    /// How many links the open file has.
    pub fn links(&self) -> u64 {
        self.file.as_ref().and_then(|file| file.metadata().ok()).map_or(0, |found| found.nlink())
    }

    /// From its beginning again.
    pub fn reset(&mut self) {
        let mark = &mut self.mark;
        (mark.offset, mark.tail, mark.print) = (0, Checksum::default(), Print::default());
        (mark.skipping, mark.done, mark.begin) = (false, false, None);
        (self.behind, self.examined, self.settled, self.stamp) = (true, 0, false, None);
    }

    /// A copy turned out to be a file of its own.
    pub fn become_own(&mut self) {
        self.reset();
        self.mark.role = Role::Rotated;
    }

    /// A copy is read where its original was truncated.
    pub fn read_from(&mut self, original: &Mark) {
        self.become_own();
        let mark = &mut self.mark;
        (mark.offset, mark.tail, mark.print) = (original.offset, original.tail, original.print);
        (mark.skipping, self.examined) = (original.skipping, original.offset);
    }

    /// Everything that is in it was read in another file.
    pub fn count_as_read(&mut self) {
        self.become_own();
        (self.mark.begin, self.mark.done, self.behind) = (Some(self.mark.size), true, false);
        self.close();
    }

    /// Its beginning was compared: it need not be looked at before it changes.
    pub fn checked(&mut self) {
        self.behind = false;
    }

    /// Looks whether there is something new and hands it to the intake. With `last`, also an unfinished line.
    pub fn advance(&mut self, reader: &mut Reader<'_>, last: bool) -> io::Result<Step> {
        let found = self.look()?;
        let stamp = (found.len(), found.ctime(), found.ctime_nsec());
        if self.stamp != Some(stamp) {
            (self.stamp, self.grown_at, self.behind, self.settled) = (Some(stamp), reader.now, true, false);
            self.mark.done = false;
        }
        self.mark.size = found.len();
        // What grew a moment ago is not at its last line yet.
        let last = last && self.grown_at != reader.now;
        let quiet = reader.now.saturating_duration_since(self.grown_at) >= QUIET;
        let settles = self.holds_rest() && ((quiet && !self.settled && reader.intake.holds_back()) || last);
        if !self.behind && !settles {
            return Ok(Step::AtEnd);
        }
        if found.len() < self.mark.offset.max(u64::from(self.mark.print.len)) {
            return Ok(Step::Truncated);
        }
        if self.file.is_none() {
            self.open()?;
            if !self.is_what_it_was()? {
                return Ok(Step::Truncated);
            }
        }
        if !self.mark.print.is_whole() && found.len() > u64::from(self.mark.print.len) && !self.is_what_it_was()? {
            return Ok(Step::Truncated);
        }
        self.begin()?;
        self.settled = quiet;
        self.read(reader, quiet, last)
    }

    fn look(&self) -> io::Result<Metadata> {
        if let Some(file) = &self.file {
            return file.metadata();
        }
        let found = fs::metadata(&self.mark.path)?;
        if !found.is_file() || !self.id().fits(&Identity::of(&found)) {
            return Err(ErrorKind::NotFound.into());
        }
        Ok(found)
    }

    fn open(&mut self) -> io::Result<()> {
        // A FIFO that took the place of a file since it was looked at must not hold us up.
        let flags = (OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC).bits().cast_signed();
        let file = OpenOptions::new().read(true).custom_flags(flags).open(&self.mark.path)?;
        let found = file.metadata()?;
        if !found.is_file() || !self.id().fits(&Identity::of(&found)) {
            return Err(ErrorKind::NotFound.into());
        }
        self.file = Some(file);
        Ok(())
    }

    /// Compares the beginning with what is remembered of it, and remembers as much as there is.
    pub fn is_what_it_was(&mut self) -> io::Result<bool> {
        let head = self.first_bytes()?;
        let fits = self.mark.print.fits(&head);
        if fits && self.mark.role != Role::Copy {
            self.mark.print = Print::of(&head);
        }
        Ok(fits)
    }

    /// Whether this copy holds what its original held before `offset`; its beginning is the original's.
    pub fn leads_up_to(&mut self, offset: u64, tail: Checksum) -> io::Result<bool> {
        let fits = self.is_what_it_was()?;
        self.mark.size = self.look()?.len();
        self.file.as_ref().map_or(Ok(false), |file| Ok(fits && leads_up_to(file, offset, tail)?))
    }

    /// Its first bytes.
    pub fn first_bytes(&mut self) -> io::Result<Vec<u8>> {
        self.opened().and_then(head)
    }

    /// Its first bytes, its size, and what its last bytes are.
    pub fn extract(&mut self) -> io::Result<(Vec<u8>, u64, Checksum)> {
        let file = self.opened()?;
        let (head, size) = (head(file)?, file.metadata()?.len());
        let mut end = [0; TAIL];
        let end = &mut end[..back(size)];
        let len = fill(file, end, size - end.len() as u64)?;
        Ok((head, size, Checksum::of(&end[..len])))
    }

    /// Whether it holds all of what was extracted from another file.
    pub fn contains(&mut self, other: &[u8], size: u64, end: Checksum) -> io::Result<bool> {
        let file = self.opened()?;
        Ok(head(file)?.starts_with(other) && file.metadata()?.len() >= size && leads_up_to(file, size, end)?)
    }

    fn opened(&mut self) -> io::Result<&File> {
        if self.file.is_none() {
            self.look()?;
            self.open()?;
        }
        self.file.as_ref().ok_or_else(|| ErrorKind::NotFound.into())
    }

    /// A file that begins at its end begins after the last line that is complete there.
    fn begin(&mut self) -> io::Result<()> {
        let (Some(limit), Some(file)) = (self.mark.begin, &self.file) else { return Ok(()) };
        // What is shorter than it was when it was first seen began anew since then.
        let limit = if self.mark.size < limit { 0 } else { limit };
        let start = limit.saturating_sub((MAX_LINE + TAIL) as u64);
        let mut bytes = vec![0; (limit - start) as usize];
        let len = fill(file, &mut bytes, start)?;
        bytes.truncate(len);
        let end = memchr::memrchr(b'\n', &bytes).map(|end| end + 1);
        let end = if start == 0 { end.or(Some(0)) } else { end };
        self.mark.skipping = end.is_none();
        bytes.truncate(end.unwrap_or(len));
        self.mark.offset = start + bytes.len() as u64;
        self.mark.tail = Checksum::of(&bytes[bytes.len() - back(self.mark.offset).min(bytes.len())..]);
        self.examined = self.mark.offset;
        self.mark.begin = None;
        Ok(())
    }

    fn read(&mut self, reader: &mut Reader<'_>, quiet: bool, last: bool) -> io::Result<Step> {
        let Some(file) = &self.file else { return Ok(Step::AtEnd) };
        reader.buffer.resize(TAIL + CHUNK, 0);
        loop {
            let before = back(self.mark.offset);
            // What lies before the offset is read and compared together with what follows: there is no moment between.
            let len = fill(file, reader.buffer, self.mark.offset - before as u64)?;
            let bytes = &reader.buffer[..len];
            if len < before || (before > 0 && Checksum::of(&bytes[..before]) != self.mark.tail) {
                return Ok(Step::Truncated);
            }
            if before == 0 && !self.mark.print.fits(bytes) {
                return Ok(Step::Truncated);
            }
            let full = len == reader.buffer.len();
            let fresh = &bytes[before..];
            let rest = Rest { settled: quiet && !full, full, last: last && !full };
            let used = consume(fresh, &mut self.mark.skipping, reader.intake, reader.at, rest);
            if used > 0 {
                reader.took = true;
                self.mark.offset += used as u64;
                let taken = &bytes[..before + used];
                self.mark.tail = Checksum::of(&taken[taken.len() - back(self.mark.offset)..]);
            }
            self.examined = self.mark.offset + (fresh.len() - used) as u64;
            if !full {
                self.behind = false;
                return Ok(Step::AtEnd);
            }
            reader.budget = reader.budget.saturating_sub(used);
            if reader.budget == 0 || Instant::now() >= reader.until {
                return Ok(Step::More);
            }
        }
    }
}

/// What may be done with what is not complete.
#[derive(Debug, Clone, Copy)]
struct Rest {
    /// The file has been quiet: the last record is complete.
    settled: bool,
    /// The buffer is full: what does not end in it must not wait.
    full: bool,
    /// Nothing will follow: an unfinished line is a line.
    last: bool,
}

/// Hands what is complete to the intake and says how much that was.
fn consume(fresh: &[u8], skipping: &mut bool, intake: &mut Intake, at: f64, rest: Rest) -> usize {
    let mut used = 0;
    if *skipping {
        let end = memchr::memchr(b'\n', fresh);
        used = end.map_or(fresh.len(), |end| end + 1);
        *skipping = end.is_none();
        intake.skip(used);
    }
    let mut whole = intake.complete(&fresh[used..]);
    if rest.settled || rest.last || (rest.full && whole == 0) {
        whole = memchr::memrchr(b'\n', &fresh[used..]).map_or(0, |end| end + 1);
    }
    if whole > 0 {
        intake.take(&fresh[used..used + whole], at);
        used += whole;
    }
    let unfinished = &fresh[used..];
    let endless = unfinished.len() >= ENDLESS && memchr::memchr(b'\n', unfinished).is_none();
    if endless || (rest.last && !unfinished.is_empty()) {
        intake.take(unfinished, at);
        used += unfinished.len();
        *skipping = endless && !rest.last;
    }
    used
}
