//! What was found, added up while it is found: a folder may hold more than should be remembered.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What changes when a file's content changes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) dev: u64,
    pub(super) ino: u64,
    pub(super) size: u64,
    /// Seconds since the Unix epoch, and nanoseconds.
    pub(super) modified: (i64, i64),
    /// When content or attributes changed, which nobody can set back.
    pub(super) changed: (i64, i64),
}

impl Stamp {
    pub(super) fn of(found: &Metadata) -> Self {
        Self {
            dev: found.dev(),
            ino: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

/// Seconds since the Unix epoch as one number.
pub(super) fn seconds(at: (i64, i64)) -> f64 {
    at.0 as f64 + at.1 as f64 / 1e9
}

/// A file that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) path: PathBuf,
    pub(super) stamp: Stamp,
}

impl Found {
    /// Seconds since it was written. A time in the future is no age.
    pub(super) fn age(&self, now: f64) -> f64 {
        (now - seconds(self.stamp.modified)).max(0.0)
    }
}

/// The files of one look, added up.
#[derive(Debug, Default)]
pub(super) struct Tally {
    pub(super) count: u64,
    pub(super) total: u64,
    pub(super) newest: Option<Found>,
    pub(super) oldest: Option<Found>,
    pub(super) largest: Option<Found>,
    pub(super) smallest: Option<Found>,
    /// Files that were written within the time in which they may still change.
    pub(super) unsettled: u64,
    /// What is no regular file: how many, and the first of them.
    pub(super) others: u64,
    pub(super) other: Option<(PathBuf, &'static str)>,
    /// Every file, as far as they are asked for.
    pub(super) all: Vec<Found>,
}

/// What is to be added up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    /// Seconds since the Unix epoch.
    pub(super) now: f64,
    /// Files that were written more recently than this are passed over.
    pub(super) settled: Option<Duration>,
    /// How many files are remembered one by one.
    pub(super) remembered: usize,
}

impl Tally {
    pub(super) fn take_file(&mut self, path: &Path, metadata: &Metadata, rules: Rules) {
        let found = Stamp::of(metadata);
        let age = rules.now - seconds(found.modified);
        if rules.settled.is_some_and(|settled| age < settled.as_secs_f64()) {
            self.unsettled += 1;
            return;
        }
        self.count += 1;
        self.total = self.total.saturating_add(found.size);
        keep(&mut self.newest, path, found, |new, old| new.modified.cmp(&old.modified));
        keep(&mut self.oldest, path, found, |new, old| old.modified.cmp(&new.modified));
        keep(&mut self.largest, path, found, |new, old| new.size.cmp(&old.size));
        keep(&mut self.smallest, path, found, |new, old| old.size.cmp(&new.size));
        if self.all.len() < rules.remembered {
            self.all.push(Found { path: path.to_owned(), stamp: found });
        }
    }

    pub(super) fn take_other(&mut self, path: &Path, what: &'static str) {
        self.others += 1;
        self.other.get_or_insert_with(|| (path.to_owned(), what));
    }
}

/// Of equals the one whose path comes last, so that the order of a folder changes nothing.
fn keep(kept: &mut Option<Found>, path: &Path, stamp: Stamp, compare: impl Fn(&Stamp, &Stamp) -> std::cmp::Ordering) {
    let wins = kept.as_ref().is_none_or(|kept| {
        compare(&stamp, &kept.stamp).then_with(|| path.cmp(&kept.path)) == std::cmp::Ordering::Greater
    });
    if wins {
        *kept = Some(Found { path: path.to_owned(), stamp });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::{self, File};
    use std::time::UNIX_EPOCH;

    const NOW: f64 = 10_000.0;

    fn tally(files: &[(&str, u64, usize)], settled: Option<Duration>) -> Tally {
        let folder = tempfile::tempdir().unwrap();
        let mut tally = Tally::default();
        for (name, written, size) in files {
            let path = folder.path().join(name);
            fs::write(&path, "x".repeat(*size)).unwrap();
            File::options()
                .write(true)
                .open(&path)
                .unwrap()
                .set_modified(UNIX_EPOCH + Duration::from_secs(*written))
                .unwrap();
            tally.take_file(Path::new(name), &fs::metadata(&path).unwrap(), Rules { now: NOW, settled, remembered: 2 });
        }
        tally
    }

    fn name(found: Option<&Found>) -> &str {
        found.unwrap().path.to_str().unwrap()
    }

    #[test]
    fn the_ends_and_the_sums_are_kept_and_equals_do_not_depend_on_their_order() {
        let files = [("b", 9000, 3), ("a", 9000, 7), ("c", 5000, 7), ("d", 5000, 3)];
        let reversed: Vec<_> = files.iter().rev().copied().collect();
        for files in [&files[..], &reversed] {
            let tally = tally(files, None);
            assert_eq!((tally.count, tally.total, tally.all.len()), (4, 20, 2));
            assert_eq!((name(tally.newest.as_ref()), name(tally.oldest.as_ref())), ("b", "d"));
            assert_eq!((name(tally.largest.as_ref()), name(tally.smallest.as_ref())), ("c", "d"));
        }
    }

    #[test]
    fn a_file_that_is_not_settled_is_passed_over() {
        let minute = Some(Duration::from_secs(60));
        let tally = tally(&[("done", 9940, 1), ("growing", 9941, 5), ("from-tomorrow", 90_000, 5)], minute);
        assert_eq!((tally.count, tally.unsettled, tally.total), (1, 2, 1));
        assert_eq!(name(tally.newest.as_ref()), "done");
    }

    #[test]
    fn a_time_in_the_future_is_no_negative_age() {
        let tally = tally(&[("a", 20_000, 1)], None);
        assert!((tally.newest.unwrap().age(NOW) - 0.0).abs() < f64::EPSILON);
    }
}
