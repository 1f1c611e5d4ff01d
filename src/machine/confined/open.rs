//! Opening beneath a folder without following anything.

use super::Facts;
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags, StatxFlags, openat, openat2, statx};
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, OwnedFd};
use std::path::{Component, Path};

/// By which means a path is walked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Means {
    /// By `openat2`, and by steps where the system has no such call.
    Kernel,
    /// By steps alone.
    #[cfg_attr(not(test), allow(dead_code, reason = "where openat2 is missing, the kernel says so"))]
    Steps,
}

/// How far a path may lead.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// Over other file systems too: the way to a root.
    Everywhere,
    /// Nowhere but within this mount.
    Mount(u64),
}

/// How often an answer is asked for again that only means that somebody renamed something meanwhile.
const ATTEMPTS: usize = 16;

/// Opens a relative path of plain names beneath `from`; of an empty path, `from` itself.
pub(super) fn open(from: impl AsFd, below: &Path, flags: OFlags, reach: Reach, means: Means) -> Result<OwnedFd, Errno> {
    let from = from.as_fd();
    let flags = flags | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    if below.components().any(|part| !matches!(part, Component::Normal(_))) {
        return Err(Errno::XDEV);
    }
    // A root of "/" alone, or the folder itself once more.
    let path = if below.as_os_str().is_empty() { Path::new(".") } else { below };
    if means == Means::Kernel {
        let mut resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
        if reach != Reach::Everywhere {
            resolve |= ResolveFlags::NO_XDEV;
        }
        for _ in 0..ATTEMPTS {
            match openat2(from, path, flags, Mode::empty(), resolve) {
                Err(Errno::AGAIN | Errno::INTR) => {}
                // A filter of system calls says "not permitted"; what is forbidden for another reason is forbidden to
                // the steps as well.
                Err(Errno::NOSYS | Errno::PERM) => break,
                answer => return answer.and_then(|fd| no_link(fd, flags)),
            }
        }
    }
    by_steps(from, path, flags, reach)
}

/// The same, one name after the other: each is opened where the one before was, and never through a link.
fn by_steps(from: BorrowedFd<'_>, below: &Path, flags: OFlags, reach: Reach) -> Result<OwnedFd, Errno> {
    let mut at: Option<OwnedFd> = None;
    let mut parts = below.components().peekable();
    while let Some(part) = parts.next() {
        let here = at.as_ref().map_or(from, AsFd::as_fd);
        let is_last = parts.peek().is_none();
        // O_PATH needs no permission to read, only the one to pass.
        let how = if is_last { flags } else { OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC };
        let fd = no_link(openat(here, part.as_os_str(), how, Mode::empty())?, how)?;
        if let Reach::Mount(mount) = reach
            && mount_of(&fd)? != mount
        {
            return Err(Errno::XDEV);
        }
        at = Some(fd);
    }
    at.ok_or(Errno::NOENT)
}

/// With `O_PATH` a link at the end is opened instead of refused.
fn no_link(fd: OwnedFd, flags: OFlags) -> Result<OwnedFd, Errno> {
    if flags.contains(OFlags::PATH) && Facts::of(&fd)?.is_link() { Err(Errno::LOOP) } else { Ok(fd) }
}

/// The number of the mount on which something is. The device would not do: a folder that is mounted a second time has
/// the same one.
pub(super) fn mount_of(fd: impl AsFd) -> Result<u64, Errno> {
    let fd = fd.as_fd();
    if let Ok(answer) = statx(fd, c"", AtFlags::EMPTY_PATH, StatxFlags::MNT_ID)
        && answer.stx_mask & StatxFlags::MNT_ID.bits() != 0
    {
        return Ok(answer.stx_mnt_id);
    }
    // Before Linux 5.8.
    let path = format!("/proc/self/fdinfo/{}", fd.as_raw_fd());
    let text = std::fs::read_to_string(path).map_err(|_| Errno::NOSYS)?;
    let id = text.lines().find_map(|line| line.strip_prefix("mnt_id:")?.trim().parse().ok());
    id.ok_or(Errno::NOSYS)
}
