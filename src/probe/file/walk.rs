//! Goes through the folders that a path names, once and within bounds.

use crate::machine::globs::{Part, Trail};
use crate::observation::{Failure, Reason};
use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{OsStr, OsString};
use std::fs::{self, FileType, Metadata};
use std::io::{self, ErrorKind};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::time::Instant;

/// The most names that one run looks at, wanted or not.
pub(super) const MAX_ENTRIES: usize = 100_000;

/// Where a walk has got to in the parts of a pattern: several places at once, where `**` leaves a choice.
type Places = BTreeSet<usize>;

/// A name that fits, and what is behind it; links are followed.
pub(super) enum Behind {
    /// A regular file.
    File(Metadata),
    /// Something else, by what it is called.
    Other(&'static str),
}

/// One walk through the folders.
pub(super) struct Walk<'a> {
    trail: &'a Trail,
    deadline: Instant,
    entries: usize,
    /// Folders that are still to be looked into.
    rest: Vec<(PathBuf, Places)>,
}

impl<'a> Walk<'a> {
    /// Nothing is looked at yet. After `deadline` nobody waits for the end any more.
    pub(super) fn new(trail: &'a Trail, deadline: Instant) -> Self {
        Self { trail, deadline, entries: 0, rest: vec![(trail.base.clone(), Places::from([0]))] }
    }

    /// Hands over every name that fits. What is not there, or went meanwhile, is no error.
    ///
    /// # Errors
    /// [`Reason::Local`] where we may not look, [`Reason::Limit`] where there is too much, [`Reason::Missing`] where the
    /// file system fails, [`Reason::Timeout`] after the deadline.
    pub(super) fn run(mut self, take: &mut dyn FnMut(&Path, Behind)) -> Result<(), Failure> {
        while let Some((folder, places)) = self.rest.pop() {
            self.count(&folder)?;
            let places = self.with_skipped(places);
            let mut below = self.literals(&folder, &places, take)?;
            if self.must_list(&places) {
                self.list(&folder, &places, &mut below, take)?;
            }
            self.rest.extend(below.into_iter().map(|(name, places)| (folder.join(name), places)));
        }
        Ok(())
    }

    /// `**` can also be no folder at all.
    fn with_skipped(&self, mut places: Places) -> Places {
        for place in 0..self.trail.folders.len() {
            if places.contains(&place) && matches!(self.trail.folders[place], Part::Deep) {
                places.insert(place + 1);
            }
        }
        places
    }

    fn part(&self, place: usize) -> &'a Part {
        self.trail.folders.get(place).unwrap_or(&self.trail.name)
    }

    fn is_name(&self, place: usize) -> bool {
        place == self.trail.folders.len()
    }

    fn must_list(&self, places: &Places) -> bool {
        places.iter().any(|place| !matches!(self.part(*place), Part::Literal(_)))
    }

    /// What is known by name needs no listing, so that it is found in folders that may not be listed.
    fn literals(
        &self,
        folder: &Path,
        places: &Places,
        take: &mut dyn FnMut(&Path, Behind),
    ) -> Result<BTreeMap<OsString, Places>, Failure> {
        let mut below: BTreeMap<OsString, Places> = BTreeMap::new();
        for place in places {
            let Part::Literal(name) = self.part(*place) else { continue };
            let name = OsStr::from_bytes(name);
            if self.is_name(*place) {
                found(&folder.join(name), take)?;
            } else {
                below.entry(name.to_owned()).or_default().insert(place + 1);
            }
        }
        Ok(below)
    }

    fn list(
        &mut self,
        folder: &Path,
        places: &Places,
        below: &mut BTreeMap<OsString, Places>,
        take: &mut dyn FnMut(&Path, Behind),
    ) -> Result<(), Failure> {
        let Some(entries) = there(fs::read_dir(folder), "list", folder)? else { return Ok(()) };
        for entry in entries {
            self.count(folder)?;
            let Some(entry) = there(entry, "list", folder)? else { break };
            let name = entry.file_name();
            let Some(kind) = there(entry.file_type(), "look at", &entry.path())? else { continue };
            let deeper = self.deeper(places, &name, kind);
            if !deeper.is_empty() && (kind.is_dir() || is_folder(&entry.path())?) {
                below.entry(name.clone()).or_default().extend(deeper);
            }
            let fits = |place: &usize| {
                let part = self.part(*place);
                self.is_name(*place) && !matches!(part, Part::Literal(_)) && part.fits(&name)
            };
            if !kind.is_dir() && places.iter().any(fits) {
                // A folder behind a link is no file of a pattern either.
                found(&entry.path(), &mut |path, behind| {
                    if !matches!(behind, Behind::Other(FOLDER)) {
                        take(path, behind);
                    }
                })?;
            }
        }
        Ok(())
    }

    /// Where the walk goes on in a folder of this name.
    fn deeper(&self, places: &Places, name: &OsStr, kind: FileType) -> Places {
        if !kind.is_dir() && !kind.is_symlink() {
            return Places::new();
        }
        let step = |place: &usize| match self.part(*place) {
            _ if self.is_name(*place) => None,
            // Links are not followed here: they may lead back.
            Part::Deep => kind.is_dir().then_some(*place),
            part @ Part::Wild(_) => part.fits(name).then_some(place + 1),
            Part::Literal(_) => None,
        };
        places.iter().filter_map(step).collect()
    }

    fn count(&mut self, folder: &Path) -> Result<(), Failure> {
        self.entries += 1;
        if self.entries > MAX_ENTRIES + 1 {
            let detail = format!(
                "more than {MAX_ENTRIES} names had to be looked at, the last in {}: name fewer folders",
                folder.display()
            );
            return Err(Failure::new(Reason::Limit, detail));
        }
        if self.entries.is_multiple_of(256) && Instant::now() >= self.deadline {
            return Err(Failure::new(Reason::Timeout, format!("still listing {}", folder.display())));
        }
        Ok(())
    }
}

fn found(path: &Path, take: &mut dyn FnMut(&Path, Behind)) -> Result<(), Failure> {
    match there(fs::metadata(path), "look at", path)? {
        Some(metadata) if metadata.is_file() => take(path, Behind::File(metadata)),
        Some(metadata) => take(path, Behind::Other(called(metadata.file_type()))),
        None if fs::symlink_metadata(path).is_ok() => take(path, Behind::Other("a link to nowhere")),
        None => {}
    }
    Ok(())
}

fn is_folder(path: &Path) -> Result<bool, Failure> {
    Ok(there(fs::metadata(path), "look at", path)?.is_some_and(|metadata| metadata.is_dir()))
}

const FOLDER: &str = "a folder";

fn called(kind: FileType) -> &'static str {
    match () {
        () if kind.is_dir() => FOLDER,
        () if kind.is_fifo() => "a FIFO",
        () if kind.is_socket() => "a socket",
        () => "a device",
    }
}

/// Divides errors into what is not there, what we may not see, and what is broken.
///
/// # Errors
/// [`Reason::Local`] for what we may not see: that says nothing about the file. Else [`Reason::Missing`].
pub(super) fn there<T>(result: io::Result<T>, what: &str, path: &Path) -> Result<Option<T>, Failure> {
    let error = match result {
        Ok(value) => return Ok(Some(value)),
        Err(error) => error,
    };
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory => Ok(None),
        ErrorKind::PermissionDenied => {
            let remedy = "allow it to Banken's user, or name fewer folders";
            Err(Failure::new(Reason::Local, format!("cannot {what} {}: {error}; {remedy}", path.display())))
        }
        _ => Err(Failure::io(Reason::Missing, format_args!("cannot {what} {}", path.display()), &error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;
    use std::time::Duration;

    fn in_a_minute() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    /// What a pattern finds below a folder, in order.
    fn seen(folder: &Path, pattern: &str) -> Vec<String> {
        let trail = Trail::parse(&folder.join(pattern).display().to_string()).unwrap();
        let mut seen = Vec::new();
        let take = &mut |path: &Path, behind: Behind| {
            let name = path.strip_prefix(folder).unwrap().display();
            seen.push(match behind {
                Behind::File(_) => name.to_string(),
                Behind::Other(what) => format!("{name} ({what})"),
            });
        };
        Walk::new(&trail, in_a_minute()).run(take).unwrap();
        seen.sort();
        seen
    }

    fn folder(files: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for file in files {
            let path = folder.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        }
        folder
    }

    #[test]
    fn a_pattern_finds_what_fits_each_once_and_nothing_else() {
        let folder = folder(&["a.dump", "b.dump", "b.txt", "x/a.dump", "x/y/a.dump", "x/y/z/a.dump", "w/y/a.dump"]);
        let cases: [(&str, &[&str]); 10] = [
            ("a.dump", &["a.dump"]),
            ("c.dump", &[]),
            ("nowhere/*.dump", &[]),
            ("b.txt/*.dump", &[]),
            ("*.dump", &["a.dump", "b.dump"]),
            ("*/y/a.dump", &["w/y/a.dump", "x/y/a.dump"]),
            ("*/*/*.dump", &["w/y/a.dump", "x/y/a.dump"]),
            ("x/**/a.dump", &["x/a.dump", "x/y/a.dump", "x/y/z/a.dump"]),
            ("**/y/**/*.dump", &["w/y/a.dump", "x/y/a.dump", "x/y/z/a.dump"]),
            ("x/**", &["x/a.dump", "x/y/a.dump", "x/y/z/a.dump"]),
        ];
        for (pattern, expected) in cases {
            assert_eq!(seen(folder.path(), pattern), expected, "{pattern}");
        }
        assert_eq!(seen(folder.path(), "**/**/a.dump").len(), 5);
    }

    #[test]
    fn links_are_followed_to_files_and_through_a_wildcard_but_not_by_two_stars() {
        let folder = folder(&["real/a.dump"]);
        symlink(folder.path().join("real/a.dump"), folder.path().join("latest.dump")).unwrap();
        symlink(folder.path().join("real"), folder.path().join("linked")).unwrap();
        symlink(folder.path(), folder.path().join("real/loop.dump")).unwrap();
        symlink("nothing", folder.path().join("real/lost.dump")).unwrap();
        assert_eq!(seen(folder.path(), "*.dump"), ["latest.dump"]);
        let both = [
            "linked/a.dump",
            "linked/lost.dump (a link to nowhere)",
            "real/a.dump",
            "real/lost.dump (a link to nowhere)",
        ];
        assert_eq!(seen(folder.path(), "*/*.dump"), both);
        assert_eq!(
            seen(folder.path(), "**/*.dump"),
            ["latest.dump", "real/a.dump", "real/lost.dump (a link to nowhere)"]
        );
        assert_eq!(seen(folder.path(), "real"), ["real (a folder)"]);
    }

    #[test]
    fn what_is_no_regular_file_is_told_as_what_it_is() {
        let folder = folder(&[]);
        let _socket = std::os::unix::net::UnixListener::bind(folder.path().join("s")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, folder.path().join("f"), rustix::fs::FileType::Fifo, 0o600.into(), 0)
            .unwrap();
        assert_eq!(seen(folder.path(), "*"), ["f (a FIFO)", "s (a socket)"]);
        assert_eq!(seen(Path::new("/dev"), "null"), ["null (a device)"]);
    }

    #[test]
    fn a_walk_ends_at_its_bound_and_at_its_deadline() {
        let folder = folder(&["a"]);
        let trail = Trail::parse(&folder.path().join("*").display().to_string()).unwrap();
        let mut walk = Walk::new(&trail, in_a_minute());
        walk.entries = MAX_ENTRIES - 1;
        assert_eq!(walk.run(&mut |_, _| {}), Ok(()));
        let mut walk = Walk::new(&trail, in_a_minute());
        walk.entries = MAX_ENTRIES;
        assert_eq!(walk.run(&mut |_, _| {}).unwrap_err().reason, Reason::Limit);
        let mut walk = Walk::new(&trail, Instant::now());
        walk.entries = 255;
        assert_eq!(walk.run(&mut |_, _| {}).unwrap_err().reason, Reason::Timeout);
    }

    #[test]
    fn what_we_may_not_see_is_our_own_trouble_and_what_is_broken_is_not() {
        let path = Path::new("/backup");
        let error = |errno: rustix::io::Errno| io::Error::from_raw_os_error(errno.raw_os_error());
        assert_eq!(there::<()>(Err(error(rustix::io::Errno::NOENT)), "list", path), Ok(None));
        let reason = |errno| there::<()>(Err(error(errno)), "list", path).unwrap_err().reason;
        assert_eq!(reason(rustix::io::Errno::ACCESS), Reason::Local);
        assert_eq!(reason(rustix::io::Errno::MFILE), Reason::Local);
        assert_eq!(reason(rustix::io::Errno::IO), Reason::Missing);
        assert_eq!(reason(rustix::io::Errno::NOTCONN), Reason::Missing);
    }
}
