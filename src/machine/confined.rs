//! Files beneath a folder that the configuration names, and nothing else, whoever exchanges names for links meanwhile.
//!
//! A [`Folder`] is an open descriptor. What is done is done to one name in it, so that no path is ever walked twice; what
//! lies deeper is opened from it by `openat2`, which refuses symbolic links, other file systems and every way out. Where
//! that call is missing (before Linux 5.6, or forbidden by a filter), the same is done name by name.

mod facts;
mod open;
mod pattern;
#[cfg(test)]
mod tests;
mod trouble;
mod walk;

#[cfg(test)]
pub mod trials;

pub use facts::Facts;
pub use pattern::Below;
pub use trouble::{Trouble, show};
pub use walk::{Bounds, Entry, Tour, walk};

use open::{Means, Reach, open};
use rustix::fs::{AtFlags, Dir, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Component, Path, PathBuf};

/// A folder that is held open.
#[derive(Debug)]
pub struct Folder {
    fd: OwnedFd,
    /// Where it was when it was opened. It is only ever shown.
    path: PathBuf,
    mount: u64,
    means: Means,
}

impl Folder {
    /// Opens a folder by its absolute path, in which no part may be a symbolic link: where others can write into one of
    /// the folders on the way, a link would be theirs to make.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub fn root(path: &Path) -> Result<Self, Trouble> {
        Self::root_by(path, Means::Kernel)
    }

    fn root_by(path: &Path, means: Means) -> Result<Self, Trouble> {
        let trouble = |error| Trouble::of("open", show(path), error);
        let Ok(below) = path.strip_prefix("/") else { return Err(Trouble::NoName(show(path))) };
        let top = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let slash = rustix::fs::open("/", top, Mode::empty()).map_err(trouble)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let fd = open(&slash, below, flags, Reach::Everywhere, means).map_err(trouble)?;
        let mount = open::mount_of(&fd).map_err(trouble)?;
        Ok(Self { fd, path: path.to_owned(), mount, means })
    }

    /// Where it was when it was opened.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A name in it, for people.
    pub fn shown(&self, name: impl AsRef<Path>) -> String {
        let name = name.as_ref();
        show(if name.as_os_str().is_empty() { self.path.clone() } else { self.path.join(name) })
    }

    /// A folder beneath this one; of an empty path, this one again.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub fn folder(&self, below: &Path) -> Result<Self, Trouble> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY;
        let fd = open(&self.fd, below, flags, Reach::Mount(self.mount), self.means).map_err(|error| {
            // The kernel calls a link that was to be a folder either.
            let link = matches!(&error, &Errno::NOTDIR) && self.has_link(below);
            Trouble::of("open", self.shown(below), if link { Errno::LOOP } else { error })
        })?;
        Ok(Self { fd, path: self.path.join(below), mount: self.mount, means: self.means })
    }

    /// The folder in which a path ends, and its last name.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub fn holder<'a>(&self, below: &'a Path) -> Result<(Self, &'a OsStr), Trouble> {
        match (below.parent(), below.file_name()) {
            (Some(parent), Some(name)) => Ok((self.folder(parent)?, name)),
            _ => Err(Trouble::NoName(self.shown(below))),
        }
    }

    /// Opens what has this name. It never waits, not for the other end of a FIFO either; whoever wants a regular file
    /// looks at [`Facts::of`] the answer.
    ///
    /// # Errors
    /// Why it cannot be had.
    pub fn open(&self, name: &OsStr, flags: OFlags) -> Result<File, Trouble> {
        self.plain(name)?;
        // Where only a place is opened, nothing can be waited for, and nothing else may be asked.
        let patience = if flags.contains(OFlags::PATH) { OFlags::empty() } else { OFlags::NONBLOCK | OFlags::NOCTTY };
        let flags = flags | patience;
        let fd = open(&self.fd, Path::new(name), flags, Reach::Mount(self.mount), self.means);
        fd.map(File::from).map_err(|error| Trouble::of("open", self.shown(name), error))
    }

    /// Opens a regular file with exactly one name, if it is still the one that was looked at.
    ///
    /// # Errors
    /// Why it cannot be had, and [`Trouble::Missing`] when another one has its name now.
    pub fn open_same(&self, name: &OsStr, flags: OFlags, expected: &Facts) -> Result<File, Trouble> {
        let file = self.open(name, flags)?;
        let facts = Facts::of(&file).map_err(|error| Trouble::of("look at", self.shown(name), error))?;
        if facts.is_same_file(expected) && facts.is_lone_file() { Ok(file) } else { Err(self.missing(name)) }
    }

    /// Makes a new file that only we may use, for writing.
    ///
    /// # Errors
    /// Why it cannot be made; there is one of this name, for example.
    pub fn create(&self, name: &OsStr) -> Result<File, Trouble> {
        self.plain(name)?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let fd = rustix::fs::openat(&self.fd, name, flags, Mode::RUSR | Mode::WUSR);
        fd.map(File::from).map_err(|error| Trouble::of("create", self.shown(name), error))
    }

    /// What is known of this name, links not followed; `None` where there is nothing.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn facts(&self, name: &OsStr) -> Result<Option<Facts>, Trouble> {
        self.plain(name)?;
        match rustix::fs::statat(&self.fd, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => Ok(Some(Facts::from(stat))),
            Err(Errno::NOENT) => Ok(None),
            Err(error) => Err(Trouble::of("look at", self.shown(name), error)),
        }
    }

    /// What is known of the folder itself.
    ///
    /// # Errors
    /// When it cannot be looked at.
    pub fn own_facts(&self) -> Result<Facts, Trouble> {
        Facts::of(&self.fd).map_err(|error| Trouble::of("look at", self.shown(""), error))
    }

    /// The names in it, at most so many; whether there are more.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn names(&self, most: usize) -> Result<(Vec<OsString>, bool), Trouble> {
        let trouble = |error| Trouble::of("read", self.shown(""), error);
        let mut names = Vec::new();
        for entry in Dir::read_from(&self.fd).map_err(trouble)? {
            let name = entry.map_err(trouble)?.file_name().to_bytes().to_vec();
            if name == b"." || name == b".." {
                continue;
            }
            if names.len() >= most {
                return Ok((names, true));
            }
            names.push(OsString::from_vec(name));
        }
        Ok((names, false))
    }

    /// Removes a name that is no folder.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn unlink(&self, name: &OsStr) -> Result<(), Trouble> {
        self.plain(name)?;
        let done = rustix::fs::unlinkat(&self.fd, name, AtFlags::empty());
        done.map_err(|error| Trouble::of("remove", self.shown(name), error))
    }

    /// Makes a folder that only we may use.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn make_folder(&self, name: &OsStr) -> Result<(), Trouble> {
        self.plain(name)?;
        let done = rustix::fs::mkdirat(&self.fd, name, Mode::RWXU);
        done.map_err(|error| Trouble::of("create", self.shown(name), error))
    }

    /// Removes an empty folder.
    ///
    /// # Errors
    /// When it is not empty, or cannot be removed.
    pub fn remove_folder(&self, name: &OsStr) -> Result<(), Trouble> {
        self.plain(name)?;
        let done = rustix::fs::unlinkat(&self.fd, name, AtFlags::REMOVEDIR);
        done.map_err(|error| Trouble::of("remove", self.shown(name), error))
    }

    /// Gives a name another one that is free.
    ///
    /// # Errors
    /// When the new one is taken, or the file system cannot make sure that it is free.
    pub fn rename(&self, from: &OsStr, to: &OsStr) -> Result<(), Trouble> {
        self.move_name(from, to, RenameFlags::NOREPLACE)
    }

    /// Gives a name another one, in place of what has that now.
    ///
    /// # Errors
    /// When it cannot be done.
    pub fn replace(&self, from: &OsStr, to: &OsStr) -> Result<(), Trouble> {
        self.move_name(from, to, RenameFlags::empty())
    }

    /// Lets two names change places. `false` where the file system cannot do that.
    ///
    /// # Errors
    /// When it cannot be done.
    pub fn exchange(&self, one: &OsStr, other: &OsStr) -> Result<bool, Trouble> {
        match self.move_name(one, other, RenameFlags::EXCHANGE) {
            Ok(()) => Ok(true),
            Err(Trouble::Io { error, .. }) if is_unknown(&error) => Ok(false),
            Err(trouble) => Err(trouble),
        }
    }

    fn move_name(&self, from: &OsStr, to: &OsStr, flags: RenameFlags) -> Result<(), Trouble> {
        self.plain(from)?;
        self.plain(to)?;
        let done = rustix::fs::renameat_with(&self.fd, from, &self.fd, to, flags);
        done.map_err(|error| Trouble::of("rename", format!("{} to {}", self.shown(from), show(to)), error))
    }

    /// Makes sure that the names in it survive whatever comes.
    ///
    /// # Errors
    /// When the disk says no.
    pub fn sync(&self) -> Result<(), Trouble> {
        rustix::fs::fsync(&self.fd).map_err(|error| Trouble::of("sync", self.shown(""), error))
    }

    /// Sets owner and mode of the folder itself.
    ///
    /// # Errors
    /// When the system does not allow it.
    pub fn furnish(&self, owner: Option<u32>, group: Option<u32>, mode: u32) -> Result<(), Trouble> {
        furnish(&self.fd, owner, group, mode).map_err(|error| Trouble::of("set the mode of", self.shown(""), error))
    }

    fn has_link(&self, below: &Path) -> bool {
        let mut known = PathBuf::new();
        below.components().any(|part| {
            known.push(part);
            let stat = rustix::fs::statat(&self.fd, &known, AtFlags::SYMLINK_NOFOLLOW);
            stat.is_ok_and(|stat| Facts::from(stat).is_link())
        })
    }

    fn missing(&self, name: &OsStr) -> Trouble {
        Trouble::Missing(self.shown(name))
    }

    fn plain(&self, name: &OsStr) -> Result<(), Trouble> {
        let mut parts = Path::new(name).components();
        let is_plain = matches!((parts.next(), parts.next()), (Some(Component::Normal(part)), None) if part == name);
        if is_plain { Ok(()) } else { Err(Trouble::NoName(self.shown(name))) }
    }
}

/// Sets owner and mode of what is open: the owner first, because a change of it takes bits away from the mode.
///
/// # Errors
/// When the system does not allow it.
pub fn furnish(fd: impl std::os::fd::AsFd, owner: Option<u32>, group: Option<u32>, mode: u32) -> Result<(), Errno> {
    let now = Facts::of(&fd)?;
    let owner = owner.filter(|owner| *owner != now.uid).map(rustix::fs::Uid::from_raw);
    let group = group.filter(|group| *group != now.gid).map(rustix::fs::Gid::from_raw);
    if owner.is_some() || group.is_some() {
        rustix::fs::fchown(&fd, owner, group)?;
    }
    rustix::fs::fchmod(&fd, Mode::from_raw_mode(mode))
}

/// A relative path that stays beneath where it begins.
///
/// # Errors
/// What to write instead.
pub fn relative(path: &Path) -> Result<(), String> {
    let stays = path.components().all(|part| matches!(part, Component::Normal(_)));
    if path.as_os_str().is_empty() || !stays || path.as_os_str().as_bytes().contains(&0) {
        return Err(format!("{} does not stay beneath root: write a relative path without '..'", show(path)));
    }
    Ok(())
}

fn is_unknown(error: &io::Error) -> bool {
    let errno = Errno::from_io_error(error);
    matches!(errno, Some(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP | Errno::PERM))
}
