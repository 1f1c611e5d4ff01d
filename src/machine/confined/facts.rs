//! What the system knows of a file.

use rustix::fs::{FileType, Stat, fstat};
use rustix::io::Errno;
use std::os::fd::AsFd;
use std::time::{Duration, SystemTime};

/// What decides whether a file may be touched.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Facts {
    /// The file system.
    pub device: u64,
    /// Its number there.
    pub inode: u64,
    /// The uid of its owner.
    pub uid: u32,
    /// The gid of its group.
    pub gid: u32,
    /// How many names it has.
    pub links: u64,
    /// Its length in bytes.
    pub size: u64,
    /// When it was last written.
    pub modified: SystemTime,
    /// When anything about it last changed, its name or its owner too. Nobody can set this back.
    pub changed: SystemTime,
    /// When it was last read, as far as the file system keeps that.
    pub accessed: SystemTime,
    raw_mode: u32,
}

impl Facts {
    /// Of what is open.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn of(fd: impl AsFd) -> Result<Self, Errno> {
        fstat(fd).map(Self::from)
    }

    /// The permissions, with setuid, setgid and sticky.
    pub fn mode(&self) -> u32 {
        self.raw_mode & 0o7777
    }

    fn kind(&self) -> FileType {
        FileType::from_raw_mode(self.raw_mode)
    }

    /// A regular file.
    pub fn is_file(&self) -> bool {
        self.kind() == FileType::RegularFile
    }

    /// A folder.
    pub fn is_folder(&self) -> bool {
        self.kind() == FileType::Directory
    }

    /// A symbolic link.
    pub fn is_link(&self) -> bool {
        self.kind() == FileType::Symlink
    }

    /// A regular file with exactly one name, so that what is done to it is done to nothing else.
    pub fn is_lone_file(&self) -> bool {
        self.is_file() && self.links == 1
    }

    /// What kind of thing it is, for people.
    pub fn kind_in_words(&self) -> &'static str {
        match self.kind() {
            FileType::RegularFile if self.links > 1 => "a file with several names",
            FileType::RegularFile => "a file",
            FileType::Directory => "a folder",
            FileType::Symlink => "a symbolic link",
            FileType::Fifo => "a FIFO",
            FileType::Socket => "a socket",
            FileType::CharacterDevice | FileType::BlockDevice => "a device",
            FileType::Unknown => "something unknown",
        }
    }

    /// Whether it is the same file, whatever became of its content.
    pub fn is_same_file(&self, other: &Facts) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }

    /// Whether it is the same file, and nothing but its time of reading has changed.
    pub fn is_unchanged(&self, former: &Facts) -> bool {
        Facts { accessed: former.accessed, ..*self } == *former
    }

    /// The latest of its times.
    pub fn touched(&self) -> SystemTime {
        self.modified.max(self.changed).max(self.accessed)
    }
}

#[allow(clippy::useless_conversion, clippy::unnecessary_cast, reason = "the fields differ between processors")]
impl From<Stat> for Facts {
    fn from(stat: Stat) -> Self {
        Self {
            device: stat.st_dev as u64,
            inode: stat.st_ino as u64,
            uid: stat.st_uid,
            gid: stat.st_gid,
            links: stat.st_nlink as u64,
            size: u64::try_from(stat.st_size).unwrap_or(0),
            modified: time(stat.st_mtime as i64, stat.st_mtime_nsec as u64),
            changed: time(stat.st_ctime as i64, stat.st_ctime_nsec as u64),
            accessed: time(stat.st_atime as i64, stat.st_atime_nsec as u64),
            raw_mode: stat.st_mode,
        }
    }
}

/// A time before 1970 is as good as 1970, and one that does not fit is as good as far in the future.
fn time(seconds: i64, nanoseconds: u64) -> SystemTime {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or(0)) + Duration::from_nanos(nanoseconds);
    SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or_else(|| SystemTime::UNIX_EPOCH + Duration::from_secs(1 << 40))
}
