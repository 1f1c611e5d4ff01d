//! Where actions on files may be at work at all.

use crate::machine::confined::show;
use crate::machine::user::User;
use crate::values::{Invalid, Period};
use std::path::{Component, Path};
use std::time::Duration;

/// What is done beneath a root.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Allows {
    /// Things that are named one by one.
    Named,
    /// Files are removed that fit a pattern.
    Removing,
    /// Whatever is in it is removed.
    Clearing,
}

/// Folders of the system, in which nothing is removed; what lies beneath them may be a root.
const OF_THE_SYSTEM: &[&str] =
    &["/home", "/media", "/mnt", "/opt", "/run", "/srv", "/usr/local", "/var", "/var/lib", "/root", "/usr/share"];

/// Folders that are shared, so that not everything in them may go.
const SHARED: &[&str] =
    &["/tmp", "/var/tmp", "/dev/shm", "/var/cache", "/var/log", "/var/spool", "/var/backups", "/var/mail", "/var/run"];

/// Trees in which nothing is removed at any depth.
const TREES_OF_THE_SYSTEM: &[&str] = &[
    "/bin",
    "/boot",
    "/dev",
    "/etc",
    "/lib",
    "/lib32",
    "/lib64",
    "/libx32",
    "/proc",
    "/sbin",
    "/sys",
    "/usr/bin",
    "/usr/lib",
    "/usr/lib64",
    "/usr/sbin",
    "/usr/include",
    "/var/lib/dpkg",
    "/var/lib/rpm",
    "/var/lib/docker",
    "/var/lib/containers",
    "/var/lib/systemd",
];

/// What is wrong with a root, if anything is. `backups` is the folder of Banken's own copies, which it never removes.
pub fn check_root(root: &Path, allows: Allows, backups: &Path) -> Option<Invalid> {
    let refuse = |why: &str| Some(Invalid::new("root", format!("{} {why}", show(root))));
    let is_plain = root.components().all(|part| matches!(part, Component::RootDir | Component::Normal(_)));
    if !root.is_absolute() || !is_plain {
        return refuse("is no absolute path without '..': write the whole path");
    }
    let is_of = |list: &[&str]| list.iter().any(|folder| root == Path::new(folder));
    let is_in = |list: &[&str]| list.iter().any(|folder| root.starts_with(folder));
    if root == Path::new("/") || root == Path::new("/usr") {
        return refuse("is the system: name the folder that is meant");
    }
    if allows == Allows::Named {
        return None;
    }
    if (is_in(TREES_OF_THE_SYSTEM) && !root.starts_with("/dev/shm")) || is_of(OF_THE_SYSTEM) {
        return refuse("belongs to the system, and nothing is removed there: name a folder of the service");
    }
    if allows == Allows::Clearing && is_of(SHARED) {
        return refuse("is shared by everybody: name the folder of one service in it");
    }
    if !backups.as_os_str().is_empty() && (backups.starts_with(root) || root.starts_with(backups)) {
        return refuse(
            "holds the copies that Banken keeps of what it repairs: name another folder, or another state_dir",
        );
    }
    None
}

/// A timeout in which something can be done.
pub fn check_timeout(timeout: Period) -> Option<Invalid> {
    let range = Duration::from_secs(1)..=Duration::from_secs(3600);
    (!range.contains(&timeout.0)).then(|| Invalid::new("timeout", "write a timeout from 1s to 1h"))
}

/// The uid of whom files must belong to: ours, where none is named.
///
/// # Errors
/// When there is no such user.
pub fn owner(user: Option<&User>) -> Result<u32, Invalid> {
    match user {
        None => Ok(rustix::process::geteuid().as_raw()),
        Some(user) => user.uid(Path::new("/etc/passwd")).map_err(|why| Invalid::new("owner", why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_allowed(root: &str, allows: Allows) -> bool {
        check_root(Path::new(root), allows, Path::new("/var/lib/banken/backups")).is_none()
    }

    #[test]
    fn the_system_is_no_root_and_a_folder_of_a_service_is() {
        use Allows::{Clearing, Named, Removing};
        for root in ["", "/", "/.", "relative", "/opt/../etc", "/usr", "/usr/"] {
            for allows in [Named, Removing, Clearing] {
                assert!(!is_allowed(root, allows), "{root}");
            }
        }
        for root in ["/etc", "/etc/app", "/proc/1", "/sys", "/dev", "/var", "/var/", "/home", "/lib64/x", "/usr/bin"] {
            assert!(!is_allowed(root, Removing) && !is_allowed(root, Clearing), "{root}");
        }
        for root in ["/tmp", "/var/tmp", "/var/log", "/var/cache", "/dev/shm"] {
            assert!(is_allowed(root, Removing) && !is_allowed(root, Clearing), "{root}");
        }
        for root in ["/tmp/app", "/var/cache/app", "/opt/app/cache", "/home/bot/.cache", "/usr/local/app"] {
            assert!(is_allowed(root, Removing) && is_allowed(root, Clearing), "{root}");
        }
        assert!(is_allowed("/etc/app", Named));
    }

    #[test]
    fn the_copies_of_what_was_repaired_are_never_cleaned_away() {
        for root in ["/var/lib/banken", "/var/lib/banken/backups", "/var/lib/banken/backups/x"] {
            assert!(!is_allowed(root, Allows::Removing), "{root}");
        }
        assert!(is_allowed("/var/lib/banken-of-another", Allows::Removing));
    }
}
