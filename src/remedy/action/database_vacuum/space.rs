//! Whether there is room for what a vacuum of SQLite writes meanwhile.

use super::shown;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// A file system on which something will be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Room {
    /// Its device.
    pub device: u64,
    /// Bytes that we may still write to it.
    pub free: u64,
}

/// What is known of the file system of a folder.
pub fn room(folder: &Path) -> Result<Room, String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", folder.display());
    let space = rustix::fs::statvfs(folder).map_err(|error| told(&error))?;
    let found = rustix::fs::stat(folder).map_err(|error| told(&error))?;
    Ok(Room { device: found.st_dev, free: space.f_bavail.saturating_mul(space.f_frsize) })
}

/// Where SQLite puts the copy while it vacuums (SQLite, "Temporary Files Used By SQLite", section 5).
pub fn temporary_folder() -> PathBuf {
    let named = ["SQLITE_TMPDIR", "TMPDIR"].into_iter().filter_map(std::env::var_os).map(PathBuf::from);
    let fixed = ["/var/tmp", "/usr/tmp", "/tmp"].into_iter().map(PathBuf::from);
    let usable = |folder: &PathBuf| {
        folder.is_dir()
            && rustix::fs::access(folder, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok()
    };
    named.chain(fixed).find(usable).unwrap_or_else(|| ".".into())
}

/// Beside what is computed: a file system that is filled to its last byte breaks others.
const MARGIN: u64 = 16 << 20;

/// Whether a file of `size` bytes can be vacuumed: its journal and what is written over it (twice the size) beside it, a
/// backup, and a copy in the folder for temporary files. What lies on one file system is added up.
pub fn suffices(size: u64, beside: Room, backups: Room, temporary: Room) -> Result<(), String> {
    let mut wanted: BTreeMap<u64, (u64, u64, Vec<&str>)> = BTreeMap::new();
    let needs = [
        (beside, size.saturating_mul(2), "the database"),
        (backups, size, "the backups"),
        (temporary, size, "temporary files"),
    ];
    for (room, bytes, what) in needs {
        let entry = wanted.entry(room.device).or_insert((room.free, MARGIN, Vec::new()));
        entry.1 = entry.1.saturating_add(bytes);
        entry.2.push(what);
    }
    for (free, bytes, what) in wanted.into_values() {
        if free < bytes {
            return Err(format!(
                "a vacuum needs {} on the file system of {}, and {} are free: make room first",
                shown(bytes),
                what.join(" and "),
                shown(free)
            ));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_to_one_file_system_is_added_up() {
        let size = 100 << 20;
        let room = |device, free: u64| Room { device, free: free << 20 };
        let apart = |a, b, c| suffices(size, room(1, a), room(2, b), room(3, c));
        assert_eq!(apart(216, 116, 116), Ok(()));
        for (a, b, c, what) in
            [(215, 200, 200, "the database"), (300, 115, 200, "the backups"), (300, 200, 115, "temp")]
        {
            let message = apart(a, b, c).unwrap_err();
            assert!(message.contains(&format!("file system of {what}")), "{message}");
        }
        let together = |free| suffices(size, room(1, free), room(1, free), room(1, free));
        assert_eq!(together(416), Ok(()));
        assert!(together(415).unwrap_err().contains("the database and the backups and temporary files"));
    }
}
