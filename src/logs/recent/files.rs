//! Files by pattern, walked by descriptors: below the folder that the configuration names no link is followed, and only
//! regular files are opened.

use super::Recently;
use crate::logs::tail::Files;
use crate::machine::globs::{Part, Trail};
use crate::observation::{Failure, Reason};
use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags, fstat, openat, statat};
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::Read as _;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, Ordering};

/// More names than this are not looked at in one walk.
const MAX_NAMES: usize = 50_000;

/// Deeper folders are not looked into.
const MAX_DEPTH: usize = 32;

/// The endings of files that hold no text.
const COMPRESSED: [&str; 4] = [".gz", ".xz", ".zst", ".bz2"];

/// A file that may be read.
struct Candidate {
    modified: (i64, i64),
    folder: Rc<OwnedFd>,
    name: OsString,
    path: PathBuf,
    identity: (u64, u64),
}

struct Walk<'w> {
    files: &'w Files,
    most: usize,
    left: usize,
    found: Vec<Candidate>,
    /// The first folder that could not be looked into.
    trouble: Option<String>,
    stop: &'w AtomicBool,
}

/// Reads the ends of the `most` newest files. Blocks.
pub fn read(files: &Files, most: usize, max_bytes: usize, stop: &AtomicBool) -> Result<Vec<Recently>, Failure> {
    let mut walk = Walk { files, most, left: MAX_NAMES, found: Vec::new(), trouble: None, stop };
    for trail in files.trails() {
        walk.trail(trail);
    }
    let mut read = Vec::new();
    for candidate in &walk.found {
        match end_of(candidate, max_bytes) {
            Ok(text) => read.push(Recently { name: candidate.path.display().to_string(), text }),
            Err(error) => {
                walk.trouble.get_or_insert(format!("{}: {error}", candidate.path.display()));
            }
        }
    }
    if read.is_empty() {
        let why = walk.trouble.unwrap_or_else(|| "there is no such file".into());
        return Err(Failure::new(Reason::Missing, format!("nothing of {} can be read: {why}", files.shown())));
    }
    Ok(read)
}

/// A folder or a file by one name, which is no link. A FIFO does not keep us waiting.
fn open(folder: &OwnedFd, name: &OsStr, flags: OFlags) -> rustix::io::Result<OwnedFd> {
    openat(folder, name, flags | OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty())
}

impl Walk<'_> {
    fn trail(&mut self, trail: &Trail) {
        // The operator's own words: a link in them is meant.
        match rustix::fs::open(&trail.base, OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty()) {
            Ok(base) => self.folder(&Rc::new(base), &trail.base, &trail.folders, &trail.name, 0),
            Err(error) => self.note(&trail.base, error),
        }
    }

    fn note(&mut self, path: &Path, error: rustix::io::Errno) {
        self.trouble.get_or_insert(format!("{}: {error}", path.display()));
    }

    fn folder(&mut self, folder: &Rc<OwnedFd>, path: &Path, parts: &[Part], name: &Part, depth: usize) {
        if depth > MAX_DEPTH || self.stop.load(Ordering::Relaxed) {
            return;
        }
        match parts {
            [] => self.list(folder, path, name),
            [Part::Literal(literal), rest @ ..] => {
                let below = OsStr::from_bytes(literal);
                if literal != b".." {
                    self.enter(folder, path, below, rest, name, depth);
                }
            }
            [part @ Part::Wild(_), rest @ ..] => {
                for below in self.names(folder, path) {
                    if part.fits(&below) {
                        self.enter(folder, path, &below, rest, name, depth);
                    }
                }
            }
            [Part::Deep, rest @ ..] => {
                self.folder(folder, path, rest, name, depth);
                for below in self.names(folder, path) {
                    self.enter(folder, path, &below, parts, name, depth);
                }
            }
        }
    }

    fn enter(&mut self, folder: &OwnedFd, path: &Path, below: &OsStr, parts: &[Part], name: &Part, depth: usize) {
        // Most names are no folders, and those that may not be looked into are nobody's fault.
        if let Ok(opened) = open(folder, below, OFlags::DIRECTORY) {
            self.folder(&Rc::new(opened), &path.join(below), parts, name, depth + 1);
        }
    }

    fn names(&mut self, folder: &OwnedFd, path: &Path) -> Vec<OsString> {
        let mut names = Vec::new();
        let listed = Dir::read_from(folder).and_then(|dir| {
            for entry in dir {
                let entry = entry?;
                let bytes = entry.file_name().to_bytes();
                if matches!(bytes, b"." | b"..") {
                    continue;
                }
                if self.left == 0 {
                    break;
                }
                self.left -= 1;
                names.push(OsStr::from_bytes(bytes).to_owned());
            }
            Ok(())
        });
        if let Err(error) = listed {
            self.note(path, error);
        }
        names
    }

    fn list(&mut self, folder: &Rc<OwnedFd>, path: &Path, name: &Part) {
        if let Part::Literal(literal) = name {
            let name = OsStr::from_bytes(literal).to_owned();
            self.consider(folder, path, name);
            return;
        }
        for found in self.names(folder, path) {
            let is_text = !COMPRESSED.iter().any(|ending| found.as_bytes().ends_with(ending.as_bytes()));
            if is_text && name.fits(&found) {
                self.consider(folder, path, found);
            }
        }
    }

    fn consider(&mut self, folder: &Rc<OwnedFd>, path: &Path, name: OsString) {
        let place = path.join(&name);
        let Ok(found) = statat(folder, &name, AtFlags::SYMLINK_NOFOLLOW) else { return };
        if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile || self.files.is_excluded(&place) {
            return;
        }
        let identity = (found.st_dev, found.st_ino);
        if self.found.iter().any(|known| known.identity == identity) {
            return;
        }
        let modified = (found.st_mtime, found.st_mtime_nsec.cast_signed());
        self.found.push(Candidate { modified, folder: Rc::clone(folder), name, path: place, identity });
        self.found.sort_by_key(|candidate| std::cmp::Reverse(candidate.modified));
        self.found.truncate(self.most);
    }
}

/// The end of a file, from the beginning of a line on.
fn end_of(candidate: &Candidate, max_bytes: usize) -> std::io::Result<Vec<u8>> {
    let opened = open(&candidate.folder, &candidate.name, OFlags::empty())?;
    let found = fstat(&opened)?;
    if FileType::from_raw_mode(found.st_mode) != FileType::RegularFile {
        return Err(std::io::Error::other("it is not a regular file"));
    }
    let file = File::from(opened);
    let size = found.st_size.max(0).cast_unsigned();
    let begin = size.saturating_sub(max_bytes as u64);
    let mut text = Vec::new();
    let mut at = OffsetReader { file: &file, offset: begin };
    at.by_ref().take(max_bytes as u64).read_to_end(&mut text)?;
    if begin > 0 {
        // Where no line ends within so much, there is no line to be shown.
        let cut = memchr::memchr(b'\n', &text).map_or(text.len(), |end| end + 1);
        text.drain(..cut);
    }
    Ok(text)
}

/// Reads from an offset on without moving anything.
struct OffsetReader<'f> {
    file: &'f File,
    offset: u64,
}

impl std::io::Read for OffsetReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{create_dir_all, write};
    use std::os::unix::fs::symlink;
    use std::time::{Duration, SystemTime};

    fn files(paths: &[String]) -> Files {
        Files::build(paths, &[], 3, &mut Vec::new()).unwrap()
    }

    fn look(paths: &[String], max_bytes: usize) -> Result<Vec<Recently>, Failure> {
        read(&files(paths), 3, max_bytes, &AtomicBool::new(false))
    }

    #[test]
    fn the_newest_regular_files_are_read_and_no_link_is_followed() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        create_dir_all(at("logs/deep/er")).unwrap();
        create_dir_all(at("outside")).unwrap();
        write(at("outside/secret.log"), "secret\n").unwrap();
        symlink(at("outside/secret.log"), at("logs/link.log")).unwrap();
        symlink(at("outside"), at("logs/deep/away")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, at("logs/fifo.log"), FileType::Fifo, Mode::from_raw_mode(0o600), 0)
            .unwrap();
        write(at("logs/old.log.gz"), "not text").unwrap();
        for (age, name) in ["logs/a.log", "logs/b.log", "logs/deep/c.log", "logs/deep/er/d.log"].iter().enumerate() {
            write(at(name), format!("{name}\n")).unwrap();
            let file = File::options().write(true).open(at(name)).unwrap();
            file.set_modified(SystemTime::now() - Duration::from_secs(60 * age as u64)).unwrap();
        }
        let all = look(&[format!("{}/logs/**/*.log*", folder.path().display())], 100).unwrap();
        let texts: Vec<_> = all.iter().map(|file| String::from_utf8_lossy(&file.text).into_owned()).collect();
        assert_eq!(texts, ["logs/a.log\n", "logs/b.log\n", "logs/deep/c.log\n"]);
        for name in ["logs/link.log", "logs/fifo.log", "logs/none.log", "logs/d*/away/*.log", "logs/d*/er/../x.log"] {
            let failure = look(&[at(name).display().to_string()], 100).unwrap_err();
            assert!(failure.detail.contains(name), "{name}: {failure}");
        }
    }

    #[test]
    fn only_the_end_of_a_large_file_is_read_from_a_whole_line_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("large.log");
        write(&path, "0123456789\n".repeat(1000) + "last").unwrap();
        let paths = [path.display().to_string()];
        let text = |max_bytes| look(&paths, max_bytes).unwrap().remove(0).text;
        assert_eq!(text(20), b"0123456789\nlast");
        assert_eq!(text(3), b"");
        assert_eq!(text(1 << 20).len(), 11_004);
    }
}
