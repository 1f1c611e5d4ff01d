//! Which files are open in which process, as far as we may see.

use super::until::Until;
use std::collections::HashMap;
use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

/// So many open files are remembered; beyond that the folder is a busy one, and every file in it counts as held.
const MAX_HELD: usize = 100_000;

/// The files beneath a folder that were open somewhere.
#[derive(Debug, Default)]
pub struct Holders {
    held: HashMap<PathBuf, i32>,
    is_full: bool,
}

impl Holders {
    /// Looks at all processes that we may look at: without privileges those of our own user. The links are read and never
    /// followed, so that a dead mount holds up nothing.
    pub fn beneath(root: &Path, until: &Until) -> Self {
        let mut holders = Self::default();
        for pid in pids() {
            if until.is_over() {
                holders.is_full = true;
            }
            if holders.is_full {
                break;
            }
            holders.look(pid, root);
        }
        holders
    }

    fn look(&mut self, pid: i32, root: &Path) {
        // It may have gone, or be none of ours.
        let Ok(entries) = std::fs::read_dir(format!("/proc/{pid}/fd")) else { return };
        for entry in entries.filter_map(Result::ok) {
            let Ok(target) = std::fs::read_link(entry.path()) else { continue };
            if !target.starts_with(root) {
                continue;
            }
            if self.held.len() >= MAX_HELD {
                self.is_full = true;
                return;
            }
            self.held.insert(target, pid);
        }
    }

    /// A process that has this file open.
    pub fn of(&self, path: &Path) -> Option<i32> {
        self.held.get(path).copied()
    }

    /// Whether a file may be open somewhere: it is known to be, or not everything could be looked at.
    pub fn may_hold(&self, path: &Path) -> bool {
        self.is_full || self.held.contains_key(path)
    }
}

/// Whether a process has a file of this name open, wherever it lies for that process; `None` where we may not look.
pub fn has_open(pid: i32, name: &std::ffi::OsStr) -> Option<bool> {
    let entries = std::fs::read_dir(format!("/proc/{pid}/fd")).ok()?;
    let links = entries.filter_map(Result::ok).filter_map(|entry| std::fs::read_link(entry.path()).ok());
    Some(links.into_iter().any(|link| link.file_name() == Some(name)))
}

fn pids() -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else { return Vec::new() };
    let names = entries.filter_map(Result::ok).map(|entry| entry.file_name());
    names.filter_map(|name: OsString| std::str::from_utf8(name.as_bytes()).ok()?.parse().ok()).collect()
}

/// The program of a process, also where its file was replaced since it began.
///
/// # Errors
/// When it has ended, or we may not see it.
pub fn program(pid: i32) -> std::io::Result<PathBuf> {
    let link = std::fs::read_link(format!("/proc/{pid}/exe"))?;
    let bytes = link.into_os_string().into_vec();
    let bytes = bytes.strip_suffix(b" (deleted)").map_or(bytes.clone(), <[u8]>::to_vec);
    Ok(OsString::from_vec(bytes).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_file_is_held_for_as_long_as_it_is_open() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().canonicalize().unwrap();
        let (until, _waiting) = Until::after(Duration::from_secs(60));
        let path = root.join("open");
        let file = std::fs::File::create(&path).unwrap();
        std::fs::write(root.join("shut"), "").unwrap();
        let holders = Holders::beneath(&root, &until);
        assert!(holders.may_hold(&path) && !holders.may_hold(&root.join("shut")));
        assert_eq!(holders.of(&path), Some(std::process::id().cast_signed()));
        assert_eq!(has_open(std::process::id().cast_signed(), "open".as_ref()), Some(true));
        drop(file);
        assert!(!Holders::beneath(&root, &until).may_hold(&path));
    }

    #[test]
    fn without_the_time_to_look_everything_may_be_open() {
        let (until, _waiting) = Until::after(Duration::ZERO);
        assert!(Holders::beneath(Path::new("/tmp"), &until).may_hold(Path::new("/tmp/x")));
    }
}
